// Memory of one open window over many distinct keys, and the time of each event as they become more. Counts and sums of what it emits are checked.
import assert from 'node:assert/strict'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { BatchMemory, type Field, t } from '../src/data/index.ts'
import { buildOperator } from '../src/engine/operators/index.ts'

const BATCH_ROWS = 4096
const values = benchOptions('windowKeys', {
  about: 'Memory of one open window over many distinct keys, and the time of each event as they become more. Counts and sums are checked.',
  takes: 'half a minute, and about 2 GB of memory',
  options: { keys: { value: 'N', default: '10000000', doc: 'distinct keys, from 10 on' } },
  examples: ['', '--keys 1000000'],
})
const keyCount = Math.floor(numberIn('keys', values.keys, 10))

const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'key', type: t.bigint() },
  { name: 'value', type: t.bigint() },
]
const aggregate = (fn: string, args: number[]) => ({
  fn,
  args,
  argTypes: args.map((arg) => fields[arg].type),
  distinct: false,
  type: t.bigint(),
})
let rowsOut = 0
let counted = 0n
let sum = 0n
const memory = new BatchMemory()
const operator = buildOperator(
  {
    node: 'windowAggregate',
    input: { node: 'values', rows: [], fields, changelog: 'append' },
    window: { kind: 'TUMBLE', sizeMs: 3_600_000, offsetMs: 0, partitionKeys: [1], timeAttribute: 'event', timeZone: 'UTC' },
    timeColumn: 0,
    keys: [1],
    aggregates: [aggregate('COUNT', []), aggregate('SUM', [2])],
    windowColumns: ['start', 'end'],
    changelog: 'append',
    fields: [],
  },
  {
    emit: ({ rowCount, columns }) => {
      const [counts, sums] = columns.slice(1, 3) as { data: BigInt64Array }[]
      rowsOut += rowCount
      for (let row = 0; row < rowCount; row++) {
        counted += counts.data[row]
        sum += sums.data[row]
      }
    },
    memory,
    count: () => {},
    late: () => assert.fail('no row is late'),
    rowFailed: (_batch, _row, error) => {
      throw error
    },
    inputFields: [fields],
    outputFields: [],
  },
)

const ts = new Float64Array(BATCH_ROWS).fill(1000)
const keys = new BigInt64Array(BATCH_ROWS)
const amounts = new BigInt64Array(BATCH_ROWS)
let residentBytes = 0
const tenth = Math.ceil(keyCount / 10)
let expected = 0n
console.log('  keys so far   ns per event (CPU)   resident')
for (let done = 0; done < keyCount; ) {
  const end = Math.min(keyCount, done + tenth)
  const first = done
  const cpu = process.cpuUsage()
  while (done < end) {
    const rowCount = Math.min(BATCH_ROWS, end - done)
    for (let row = 0; row < rowCount; row++) {
      const number = BigInt(done + row)
      // Odd times a number, modulo 2^40: every key once, in no order.
      keys[row] = (number * 0x9e3779b97fn) & 0xffffffffffn
      amounts[row] = number
      expected += number
    }
    const columns = [
      { lane: 'f64' as const, data: ts },
      { lane: 'i64' as const, data: keys },
      { lane: 'i64' as const, data: amounts },
    ]
    operator.process({ rowCount, columns, watermarkAfter: -Infinity, processingTimeMs: 0 }, 0)
    memory.release(0)
    done += rowCount
  }
  const { user, system } = process.cpuUsage(cpu)
  const { rss } = process.memoryUsage()
  residentBytes = Math.max(residentBytes, rss)
  console.log(
    `${String(done).padStart(13)}   ${((1000 * (user + system)) / (done - first)).toFixed(0).padStart(18)}   ${(rss / 1e6).toFixed(0).padStart(5)} MB`,
  )
}
operator.advance(Infinity)
residentBytes = Math.max(residentBytes, process.memoryUsage().rss, process.resourceUsage().maxRSS * 1024)
assert.equal(rowsOut, keyCount)
assert.equal(counted, BigInt(keyCount))
assert.equal(sum, expected)
console.log(`${rowsOut} rows emitted, each key counted once; at most ${(residentBytes / 1e6).toFixed(0)} MB resident`)
