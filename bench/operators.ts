// Rows per second of CPU time through stateful operators alone: other work on the machine matters little.
import { cpus } from 'node:os'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { type Batch, BatchMemory, type Column, type Field, t } from '../src/data/index.ts'
import { buildOperator } from '../src/engine/operators/index.ts'
import type { AggregateCall, Plan, PlanWindow } from '../src/sql/index.ts'

const batchRowCount = 4096
const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'key', type: t.string() },
  { name: 'value', type: t.double() },
  { name: 'long', type: t.bigint() },
  { name: 'int', type: t.int() },
]

/** Batches as a decoder gives them: text in one arena, times in order with a watermark 1 s behind, about 1,000 rows per ms of event time × 1000. */
function makeBatches(batchCount: number, keyCount: number, rowsPerSecond: number): Batch[] {
  let seed = 1
  const random = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
    return seed / 0x7fffffff
  }
  const texts = Array.from({ length: keyCount }, (_, i) => Buffer.from(`user-${i}`))
  const startMs = Date.UTC(2026, 0, 1)
  return Array.from({ length: batchCount }, (_, b) => {
    const ts = new Float64Array(batchRowCount)
    const value = new Float64Array(batchRowCount)
    const long = new BigInt64Array(batchRowCount)
    const int = new Int32Array(batchRowCount)
    const starts = new Int32Array(batchRowCount)
    const ends = new Int32Array(batchRowCount)
    const watermarksBefore = new Float64Array(batchRowCount)
    const bytes = new Uint8Array(batchRowCount * 40)
    let at = 0
    for (let row = 0; row < batchRowCount; row++) {
      ts[row] = startMs + Math.floor(((b * batchRowCount + row) * 1000) / rowsPerSecond)
      watermarksBefore[row] = ts[row] - 1000
      value[row] = random() * 100
      long[row] = BigInt(Math.floor(random() * 1e6))
      int[row] = Math.floor(random() * 1e6)
      const text = texts[Math.floor(random() * keyCount)]
      starts[row] = at
      bytes.set(text, at)
      ends[row] = at + text.length
      at += 40
    }
    const columns: Column[] = [
      { lane: 'f64', data: ts },
      { lane: 'utf8', bytes, starts, ends },
      { lane: 'f64', data: value },
      { lane: 'i64', data: long },
      { lane: 'i32', data: int },
    ]
    return { rowCount: batchRowCount, columns, watermarksBefore, watermarkAfter: ts[batchRowCount - 1] - 1000, processingTimeMs: 0 }
  })
}

const call = (fn: string, arg?: number, distinct = false, type = t.double()): AggregateCall => ({
  fn,
  args: arg === undefined ? [] : [arg],
  argTypes: arg === undefined ? [] : [fields[arg].type],
  distinct,
  type,
})
const five = [call('COUNT', undefined, false, t.bigint()), call('SUM', 2), call('AVG', 2), call('MIN', 2), call('MAX', 2)]
const longs = [
  call('COUNT', undefined, false, t.bigint()),
  call('SUM', 3, false, t.bigint()),
  call('MIN', 3, false, t.bigint()),
  call('MAX', 3, false, t.bigint()),
]

const input: Plan = { node: 'values', rows: [], fields, changelog: 'append' }
const windowed = (window: Partial<PlanWindow>, keys: number[], aggregates: AggregateCall[]): Plan => ({
  node: 'windowAggregate',
  input,
  window: { kind: 'TUMBLE', sizeMs: 10_000, offsetMs: 0, partitionKeys: keys, timeAttribute: 'event', timeZone: 'UTC', ...window },
  timeColumn: 0,
  keys,
  aggregates,
  windowColumns: ['start', 'end'],
  changelog: 'append',
  fields: [],
})
const grouped = (keys: number[], aggregates: AggregateCall[]): Plan => ({
  node: 'groupAggregate',
  input,
  keys,
  aggregates,
  changelog: 'retract',
  fields: [],
})

const plans: Record<string, Plan> = {
  'tumble utf8 key, COUNT SUM AVG MIN MAX of DOUBLE': windowed({}, [1], five),
  'tumble utf8 key, COUNT': windowed({}, [1], five.slice(0, 1)),
  'tumble bigint key, COUNT SUM MIN MAX of BIGINT': windowed({}, [3], longs),
  'tumble utf8 key, COUNT SUM MIN MAX of BIGINT': windowed({}, [1], longs),
  'tumble utf8 key, COUNT(DISTINCT int)': windowed({}, [1], [call('COUNT', 4, true, t.bigint())]),
  'tumble no key, five aggregates': windowed({}, [], five),
  'hop 10 s / 2 s, utf8 key, five aggregates': windowed({ kind: 'HOP', stepMs: 2000 }, [1], five),
  'session 1 s, utf8 key, five aggregates': windowed({ kind: 'SESSION', sizeMs: 1000, partitionKeys: [1] }, [1], five),
  'group by utf8 key, five aggregates': grouped([1], five),
  'group by utf8 and int key, COUNT': grouped([1, 4], five.slice(0, 1)),
}

/** `rightOf` gives the batch that enters input 1 before a batch of input 0, if any. */
function run(name: string, plan: Plan, batches: Batch[], rightOf?: (index: number) => Batch | undefined): void {
  const rates: number[] = []
  let outRows = 0
  for (let pass = 0; pass < 5; pass++) {
    outRows = 0
    const memory = new BatchMemory()
    const operator = buildOperator(plan, {
      memory,
      emit: (batch) => {
        outRows += batch.rowCount
      },
      count: () => {},
      late: () => {},
      rowFailed: () => {},
      inputFields: [fields, fields],
      outputFields: plan.fields,
    })
    const started = process.cpuUsage()
    for (const [index, batch] of batches.entries()) {
      const right = rightOf?.(index)
      if (right !== undefined) operator.process(right, 1)
      operator.process(batch, 0)
      memory.release(0)
      operator.advance(batch.watermarkAfter)
    }
    operator.advance(Infinity)
    const { user, system } = process.cpuUsage(started)
    rates.push((batches.length * batchRowCount) / (user + system))
  }
  const median = rates.toSorted((a, b) => a - b)[2]
  console.log(`${median.toFixed(2).padStart(7)} M rows per CPU second  ${name}  (${outRows} rows out)`)
}

/** Bids joined with the last auction of their key, and the like: input 1 gets every tenth batch. */
const binary: Record<string, Plan> = {
  'regular join by utf8 key, one row per key on the right': {
    node: 'join',
    kind: 'INNER',
    left: input,
    right: input,
    leftKeys: [1],
    rightKeys: [1],
    fields: [...fields, ...fields],
    changelog: 'append',
  },
  'interval join by utf8 key, 1 s': {
    node: 'intervalJoin',
    kind: 'INNER',
    left: input,
    right: input,
    leftKeys: [1],
    rightKeys: [1],
    leftTime: 0,
    rightTime: 0,
    lowerMs: -1000,
    upperMs: 0,
    fields: [...fields, ...fields],
    changelog: 'append',
  },
}
const rowBased: Record<string, Plan> = {
  'top 3 by utf8 key': {
    node: 'topN',
    input,
    partitionKeys: [1],
    orderBy: [{ column: 2, descending: true, nullsFirst: false }],
    from: 1,
    to: 3,
    rankColumn: true,
    fields: [...fields, { name: 'rn', type: t.bigint(false) }],
    changelog: 'retract',
  },
  'keep last by utf8 key': {
    node: 'deduplicate',
    input,
    keys: [1],
    timeColumn: 0,
    keep: 'last',
    processingTime: false,
    fields,
    changelog: 'retract',
  },
}

const values = benchOptions('operators', {
  about: 'Rows per second of processor time through stateful operators alone: other work on the machine matters little.',
  takes: 'about two minutes',
  options: {
    only: { value: 'TEXT', default: '', doc: 'those whose names have this' },
    keys: { value: 'N,N', default: '1000,10000,100000', doc: 'numbers of keys' },
  },
  examples: ['', '--only window --keys 1000'],
})
const filter = values.only
console.log(
  `${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}, batches of ${batchRowCount}, median of 5; CPU time of all threads, garbage collection included`,
)
for (const keyCount of values.keys.split(',').map((text) => numberIn('keys', text, 1))) {
  const batches = makeBatches(500, keyCount, 100_000)
  console.log(`${keyCount} keys, 100,000 rows per second of event time`)
  for (const [name, plan] of Object.entries({ ...plans, ...rowBased })) if (name.includes(filter)) run(name, plan, batches)
  // The right side has each key about once.
  const rights = makeBatches(Math.ceil(keyCount / batchRowCount), keyCount, 100_000)
  for (const [name, plan] of Object.entries(binary))
    if (name.includes(filter)) run(name, plan, batches.slice(0, 100), (index) => rights[index])
}
