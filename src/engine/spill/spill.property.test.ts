// State on the disk changes no result: of any query, in any batches, restored at any step; and what comes back changed is not used.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchOf, rowAt } from '../../data/index.ts'
import { FakeDisk } from '../../log/fakeDisk.ts'
import { bindScript, Catalog, type Plan, readLeaves } from '../../sql/index.ts'
import { partKey } from '../checkpoints/manifest.ts'
import { splitState } from '../checkpoints/stateParts.ts'
import { type PartUpdate, StateTracker } from '../checkpoints/stateTracker.ts'
import { CheckpointStore } from '../checkpoints/store.ts'
import { Graph } from '../graph.ts'
import { ChangeCounts } from '../testChanges.ts'
import { Memory } from './memory.ts'
import { removeSpilled, SpillFiles } from './spillFiles.ts'
import { savedState } from './testing.ts'

const tables = `
CREATE TABLE a (k BIGINT, g STRING, v BIGINT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt - INTERVAL '0.005' SECOND) WITH ('connector' = 'nexmark');
CREATE TABLE b (k BIGINT, g STRING, v BIGINT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt - INTERVAL '0.005' SECOND) WITH ('connector' = 'nexmark');
CREATE VIEW latest AS SELECT k, v, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt DESC) AS r FROM a) WHERE r = 1;`
const hop = "TABLE(HOP(TABLE a, DESCRIPTOR(rt), INTERVAL '0.010' SECOND, INTERVAL '0.030' SECOND))"
const tumble = (table: string) => `TABLE(TUMBLE(TABLE ${table}, DESCRIPTOR(rt), INTERVAL '0.020' SECOND))`
const queries = [
  `SELECT g, window_start, COUNT(*), SUM(v), COUNT(DISTINCT v) FROM ${hop} GROUP BY g, window_start, window_end`,
  "SELECT g, SESSION_START(rt, INTERVAL '0.010' SECOND), COUNT(*) FROM a GROUP BY g, SESSION(rt, INTERVAL '0.010' SECOND)",
  'SELECT g, COUNT(*), COUNT(DISTINCT v), MAX(v), LISTAGG(CAST(v AS STRING)) FROM a GROUP BY g',
  'SELECT n, COUNT(*) FROM (SELECT k, COUNT(*) AS n FROM a GROUP BY k) GROUP BY n',
  'SELECT DISTINCT k, g FROM a',
  'SELECT * FROM (SELECT k, v, rt, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, rt) AS r FROM a) WHERE r <= 2',
  'SELECT k, g, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt DESC) AS r FROM a) WHERE r = 1',
  'SELECT k, g, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt) AS r FROM a) WHERE r = 1',
  'SELECT k, v, SUM(v) OVER (PARTITION BY k ORDER BY rt ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM a',
  `SELECT k, window_start, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, window_start, window_end ORDER BY v, g, rt) AS r
     FROM ${tumble('a')}) WHERE r <= 2`,
  'SELECT x.k, x.v, y.v FROM a x LEFT JOIN b y ON x.k = y.k AND x.v <= y.v',
  'SELECT k, v FROM a WHERE k IN (SELECT k FROM b)',
  "SELECT x.k, x.v, y.v FROM a x FULL JOIN b y ON x.k = y.k AND y.rt BETWEEN x.rt - INTERVAL '0.010' SECOND AND x.rt + INTERVAL '0.010' SECOND",
  `SELECT x.k, x.v, y.v FROM (SELECT * FROM ${tumble('a')}) x LEFT JOIN (SELECT * FROM ${tumble('b')}) y
     ON x.k = y.k AND x.window_start = y.window_start AND x.window_end = y.window_end`,
  'SELECT b.k, b.v, l.v FROM b LEFT JOIN latest FOR SYSTEM_TIME AS OF b.rt AS l ON b.k = l.k',
  '(SELECT k, v FROM a) EXCEPT ALL (SELECT k, v FROM b)',
]
const plans = queries.map((sql): Plan => {
  const bound = bindScript(`${tables}${sql}`, new Catalog()).at(-1)
  assert.ok(bound?.type === 'query')
  return readLeaves(bound.query)
})

type Row = unknown[]
function makeGraph(plan: Plan, result: ChangeCounts, disk?: FakeDisk, limitBytes = 0, prefix = 'x'): Graph {
  const fail = () => {
    throw new Error('no row may be late or fail')
  }
  const files = disk && new SpillFiles(disk, '/data/spill', prefix)
  return new Graph(plan, {
    timeZone: 'UTC',
    sink: (batch) => result.add(batch),
    spill: files && { memory: new Memory(Memory.budget(limitBytes, 1)), files, keyGroups: 4 },
    hooks: { count: () => {}, late: fail, rowFailed: fail },
  })
}
function push(graph: Graph, table: string, rows: Row[], nowMs: number): void {
  graph.sources.forEach(({ fields, columns, table: { name } }, source) => {
    if (name !== table) return
    const picked = rows.map((row) => columns.map((column) => row[column]))
    graph.push(source, 0, batchOf(fields, picked, { processingTimeMs: nowMs }))
  })
}
const newDisk = () => {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  return disk
}

/** Rows in order of time, back by no more than the watermark's delay, each for one of the tables. */
const rowsOf = fc
  .array(
    fc.tuple(
      fc.constantFrom('a', 'b'),
      fc.constantFrom(null, 1n, 2n, 3n, 4n, 5n),
      fc.constantFrom(null, '', 'x', 'y', 'z'.repeat(20)),
      fc.constantFrom(0n, 1n, 2n, 1n << 40n),
      fc.nat(7),
    ),
    { maxLength: 60 },
  )
  .map((rows) => {
    let nowMs = 0
    return rows.map(([table, k, g, v, step]) => ({ table, row: [k, g, v, (nowMs += step)] as Row }))
  })

interface Case {
  rows: { table: string; row: Row }[]
  /** How many rows each step brings, and whether time passes, or all is restored, after it. */
  steps: { size: number; after: 'nothing' | 'tick' | 'restore' }[]
  limitBytes: number
}
const cases: fc.Arbitrary<Case> = fc.record({
  rows: rowsOf,
  steps: fc.array(fc.record({ size: fc.integer({ min: 1, max: 9 }), after: fc.constantFrom('nothing', 'nothing', 'tick', 'restore') }), {
    maxLength: 30,
  }),
  limitBytes: fc.constantFrom(0, 2_000, 8_000, 1e9),
})

function play(plan: Plan, { rows, steps, limitBytes }: Case, disk: FakeDisk | undefined): { result: ChangeCounts; spilledBytes: number } {
  const result = new ChangeCounts()
  let graphs = 0
  let graph = makeGraph(plan, result, disk, limitBytes)
  let at = 0
  let nowMs = 0
  for (const { size, after } of [...steps, { size: rows.length, after: 'nothing' }]) {
    for (const { table, row } of rows.slice(at, (at += size))) push(graph, table, [row], nowMs)
    if (after === 'tick') graph.tick((nowMs += 700))
    if (after === 'restore' && disk) {
      const before = savedState(graph, disk)
      graph.close()
      graph = makeGraph(plan, result, disk, limitBytes, `x${++graphs}`)
      graph.restore([before])
    }
  }
  const spilledBytes = graph.status().reduce((sum, { operator }) => sum + (operator?.spilledBytes ?? 0), 0)
  graph.finish()
  graph.close()
  return { result, spilledBytes }
}

test('with state on the disk as in memory, restored at any step', () => {
  const spilled = new Map<string, number>()
  fc.assert(
    fc.property(cases, (one) => {
      for (const [i, plan] of plans.entries()) {
        const alone = play(plan, { ...one, steps: [] }, undefined)
        const { result, spilledBytes } = play(plan, one, newDisk())
        if (spilledBytes > 0) spilled.set(queries[i], (spilled.get(queries[i]) ?? 0) + 1)
        assert.deepEqual(new Map([...result.counts].sort()), new Map([...alone.result.counts].sort()), queries[i])
      }
    }),
    { numRuns: 40 },
  )
  // The test is one of spilling only if each query did.
  assert.deepEqual(
    queries.filter((sql) => !spilled.has(sql)),
    [],
  )
})

const someRows = Array.from({ length: 40 }, (_, i) => ({ table: 'a', row: [BigInt(i % 11), `g${i % 7}`, BigInt(i), i] as Row }))

function pushAll(graph: Graph, rows: typeof someRows): void {
  for (const { table, row } of rows) push(graph, table, [row], 0)
}

test('a flipped bit is noticed: SPILL_DAMAGED, and nothing of the state is used', () => {
  const disk = newDisk()
  const graph = makeGraph(plans[2], new ChangeCounts(), disk)
  pushAll(graph, someRows)
  for (const file of disk.list('/data/spill')) flip(disk, `/data/spill/${file}`)
  assert.throws(
    () => pushAll(graph, someRows),
    (error: { code?: string }) => error.code === 'SPILL_DAMAGED',
  )
})

test('a checkpoint that finds a flipped bit is SPILL_DAMAGED, and leaves nothing: no other could be written either', () => {
  const disk = newDisk()
  const graph = makeGraph(plans[2], new ChangeCounts(), disk)
  pushAll(graph, someRows)
  const store = new CheckpointStore('/data', disk)
  const write = (id: number) => {
    const tracker = new StateTracker()
    const updates: PartUpdate[] = []
    const operators = graph.snapshot().map(({ signature, node, label, state }) => {
      const parts = state === undefined ? [] : splitState(state)
      for (const part of parts) updates.push(tracker.update(partKey('q', signature, part.name), part))
      const times = { watermarkMs: null, forwardedMs: null, inputWatermarks: [], rowsIn: 0, rowsOut: 0 }
      return { signature, node, label, stateRows: 0, keyGroups: [0, 127] as [number, number], parts, ...times }
    })
    const none = { sink: { kind: 'none' as const }, latePositions: {}, counters: { rowsIn: 0, rowsOut: 0, lateRows: 0, failedRows: 0 } }
    const query = { id: 'q', takenAt: id, signature: 's', inputs: [], operators, ...none }
    return store.write({ folder: store.folderOf('j'), id, job: 'j', createdMs: 0, queries: [query], updates, base: undefined })
  }
  assert.equal(write(1).id, 1)
  for (const file of disk.list('/data/spill')) flip(disk, `/data/spill/${file}`)
  assert.throws(
    () => write(2),
    (error: { code?: string }) => error.code === 'SPILL_DAMAGED',
  )
  assert.deepEqual(disk.list('/data/checkpoints/j').sort(), ['chk-1', 'data-1'])
})

test('rows that wait for state on the disk have their turn where the clock was set back by a day', () => {
  const graph = makeGraph(plans[2], new ChangeCounts(), newDisk(), 4_000)
  const waiting = () => graph.status().reduce((sum, { operator }) => sum + (operator?.waitingRows ?? 0), 0)
  const dayMs = 86_400_000
  graph.tick(2 * dayMs)
  for (let i = 0; i < 200; i++) push(graph, 'a', [[BigInt(i), `group ${i}`, 1n, i]], 0)
  graph.tick(2 * dayMs + 2_000)
  push(graph, 'a', [[1n, 'group 1', 1n, 300]], 0)
  graph.tick(2 * dayMs + 2_001)
  assert.equal(waiting(), 1)
  graph.tick(dayMs)
  assert.equal(waiting(), 0)
})

function flip(disk: FakeDisk, path: string): void {
  const file = disk.open(path, 'create')
  const byte = new Uint8Array(1)
  const position = Math.floor(disk.size(file) / 2)
  disk.read(file, byte, 0, 1, position)
  byte[0] ^= 4
  disk.write(file, [byte], position)
  disk.close(file)
}

test('a full disk is SPILL_FAILED and leaves no half of a file behind', () => {
  const disk = newDisk()
  const graph = makeGraph(plans[2], new ChangeCounts(), disk)
  pushAll(graph, someRows.slice(0, 20))
  const before = disk.list('/data/spill').length
  const { write } = disk
  disk.write = () => {
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }
  assert.throws(
    () => pushAll(graph, someRows),
    (error: { code?: string; message: string }) => error.code === 'SPILL_FAILED' && /no space left/.test(error.message),
  )
  disk.write = write
  assert.ok(disk.list('/data/spill').length <= before)
})

test('what another process has left is removed at the start, and a query that ends leaves nothing', () => {
  const disk = newDisk()
  const graph = makeGraph(plans[2], new ChangeCounts(), disk)
  pushAll(graph, someRows)
  assert.ok(disk.list('/data/spill').length > 0)
  removeSpilled(disk, '/data/spill')
  assert.deepEqual(disk.list('/data/spill'), [])
  removeSpilled(disk, '/data/none')
})

test('one budget: who holds more than its fair share gives it up, others stay', () => {
  const memory = new Memory(Memory.budget(1_000, 2), 0)
  const other = new Memory(memory.shared, 1)
  const large = memory.account()
  const small = other.account()
  large.set(800, 0)
  small.set(100, 0)
  assert.equal(large.allowedBytes, 900)
  small.set(300, 0)
  assert.equal(large.allowedBytes, 700)
  assert.equal(small.allowedBytes, 500)
  memory.otherBytes = 400
  assert.equal(small.allowedBytes, 300)
  large.set(300, 500)
  assert.deepEqual(memory.use, { limitBytes: 1_000, stateBytes: 600, spilledBytes: 500, otherBytes: 400 })
  memory.clear(1)
  large.close()
  assert.deepEqual(memory.use, { limitBytes: 1_000, stateBytes: 0, spilledBytes: 0, otherBytes: 400 })
})

test('with part of the state on the disk, a first row is remembered for its time to live from when it was given out', () => {
  const sql = 'SELECT k FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt) AS r FROM a) WHERE r = 1'
  const bound = bindScript(`${tables}SET 'table.exec.state.ttl' = '100 ms'; ${sql}`, new Catalog()).at(-1)
  assert.ok(bound?.type === 'query')
  const given = new Map<unknown, number>()
  const fail = () => assert.fail('no row may be late or fail')
  const graph = new Graph(readLeaves(bound.query), {
    timeZone: 'UTC',
    sink: (batch) => {
      for (let row = 0; row < batch.rowCount; row++) {
        const [k] = rowAt(batch, row)
        given.set(k, (given.get(k) ?? 0) + 1)
      }
    },
    spill: { memory: new Memory(Memory.budget(600_000, 1)), files: new SpillFiles(newDisk(), '/data/spill', 'x'), keyGroups: 4 },
    hooks: { count: () => {}, late: fail, rowFailed: fail },
  })
  const keys = Array.from({ length: 8_000 }, (_, k) => BigInt(k))
  const at = (nowMs: number, rows: Row[]) => {
    graph.tick(nowMs)
    push(graph, 'a', rows, nowMs)
    graph.tick(nowMs + 1)
    graph.tick(nowMs + 1_001)
  }
  at(1, keys.map((k) => [k, 'x', 1n, 10])) // biome-ignore format: one thought
  at(5_000, [[-1n, 'x', 1n, 1_000]])
  const spilled = graph.status().some(({ operator }) => (operator?.spilledBytes ?? 0) > 0)
  at(6_050, keys.map((k) => [k, 'x', 1n, 2_000])) // biome-ignore format: one thought
  graph.finish()
  assert.ok(spilled)
  assert.deepEqual(
    [...given.values()].filter((times) => times !== 1),
    [],
  )
})
