// JSON decoding on one core: events like those of a web shop (184 bytes, 8 fields), all fields and three of them, beside JSON.parse per line.
import { benchOptions, numberIn } from '../scripts/options.ts'
import { type RowField, t } from '../src/data/index.ts'
import { makeJsonDecoder } from '../src/formats/index.ts'

const values = benchOptions('json', {
  about: 'JSON decoding on one core: events of 184 bytes, all 8 fields and three of them, beside JSON.parse per line.',
  takes: 'about 20 seconds',
  options: {
    events: { value: 'N', default: '1000000', doc: 'events that are decoded' },
    cpu: { doc: 'say the processor time of each, too' },
  },
  examples: ['', '--events 200000'],
})
const eventCount = numberIn('events', values.events, 1)
const BATCH_ROWS = 4096

const fields: RowField[] = [
  { name: 'id', type: t.bigint() },
  { name: 'ts', type: t.bigint() },
  { name: 'user_id', type: t.string() },
  { name: 'product_id', type: t.string() },
  { name: 'event_type', type: t.string() },
  { name: 'region', type: t.string() },
  { name: 'amount', type: t.double() },
  { name: 'url', type: t.string() },
]
const three = fields.filter((field) => ['ts', 'user_id', 'amount'].includes(field.name))

function makeEvents(count: number): Buffer {
  let seed = 42
  const random = () => {
    seed = (seed + 0x6d2b79f5) >>> 0
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296
  }
  const types = ['view', 'click', 'add_to_cart', 'remove_from_cart', 'purchase', 'search']
  const regions = ['us-east', 'us-west', 'eu-west', 'eu-central', 'ap-south', 'ap-northeast', 'sa-east', 'af-south']
  const lines: string[] = []
  for (let i = 0; i < count; i++) {
    const ts = 1_700_000_000_000 + Math.floor(i / 10) - Math.floor(random() * 2000)
    const user = Math.floor(10000 * random() * random())
    const product = Math.floor(random() * 1000)
    lines.push(
      `{"id":${i},"ts":${ts},"user_id":"user_${user}","product_id":"prod_${product}","event_type":"${types[(random() * 6) | 0]}","region":"${regions[(random() * 8) | 0]}","amount":${(random() * 500).toFixed(2)},"url":"https://shop.example.com/p/${product}?u=${user}"}\n`,
    )
  }
  return Buffer.from(lines.join(''))
}

const bytes = makeEvents(eventCount)
const starts = new Int32Array(eventCount)
const ends = new Int32Array(eventCount)
for (let i = 0, p = 0; i < eventCount; i++) {
  starts[i] = p
  ends[i] = bytes.indexOf(10, p)
  p = ends[i] + 1
}

function report(name: string, run: () => number): void {
  let best = Infinity
  let rowCount = 0
  for (let round = 0; round < 5; round++) {
    const before = process.cpuUsage()
    const from = performance.now()
    rowCount = run()
    const wallMs = performance.now() - from
    const cpu = process.cpuUsage(before)
    best = Math.min(best, wallMs)
    if (values.cpu) console.log(`  ${wallMs.toFixed(0)} ms wall, ${((cpu.user + cpu.system) / 1000).toFixed(0)} ms cpu`)
  }
  const perSecond = rowCount / best / 1000
  console.log(
    `${name.padEnd(24)} ${perSecond.toFixed(2)} M events/s  ${((bytes.length / best / 1000) * (rowCount / eventCount)).toFixed(0)} MB/s`,
  )
}

function decodeAll(wanted: RowField[], perturb?: Uint8Array): number {
  const decoder = makeJsonDecoder(wanted)
  const source = perturb ?? bytes
  let rowCount = 0
  for (let i = 0; i < eventCount; i += BATCH_ROWS) {
    const count = Math.min(BATCH_ROWS, eventCount - i)
    const decoded = decoder.decode(source, starts.subarray(i, i + count), ends.subarray(i, i + count), count, (index, error) => {
      throw new Error(`row ${i + index}: ${error.message}`)
    })
    rowCount += decoded.rowCount
  }
  return rowCount
}

report('decoder, 8 fields', () => decodeAll(fields))
report('decoder, 3 fields', () => decodeAll(three))
report('JSON.parse, per line', () => {
  const count = Math.min(eventCount, 200_000)
  let sum = 0
  for (let i = 0; i < count; i++) sum += JSON.parse(bytes.toString('latin1', starts[i], ends[i])).amount
  return sum > 0 ? count : 0
})
