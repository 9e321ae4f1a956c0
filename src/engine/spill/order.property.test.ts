// Whatever the memory, and however rows are cut into batches: the same rows, also where order or event time counts behind state on the disk.
// The measure is the same query in memory, row by row: that is Flink's way. Rows come late, too.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Batch, batchOf, INSERT, isRetraction, rowAt, UPDATE_BEFORE } from '../../data/index.ts'
import { FakeDisk } from '../../log/fakeDisk.ts'
import { bindScript, Catalog, inputsOf, type Plan, readLeaves } from '../../sql/index.ts'
import { Graph } from '../graph.ts'
import { Memory } from './memory.ts'
import { SpillFiles } from './spillFiles.ts'
import { savedState } from './testing.ts'

const table = (name: string) =>
  `CREATE TABLE ${name} (k BIGINT, g STRING, v BIGINT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt - INTERVAL '0.400' SECOND) WITH ('connector' = 'nexmark');`
const tables = `${table('a')}${table('b')}`
const first = 'SELECT k, g, v, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, g ORDER BY rt) AS r FROM a) WHERE r = 1'
const last = 'SELECT k, g, v, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt DESC) AS r FROM a) WHERE r = 1'
const top = 'SELECT k, g, v, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM a) WHERE r <= 2'
const near = `SELECT a.k, b.g, b.v, a.rt FROM a JOIN b ON a.k = b.k AND b.rt BETWEEN a.rt - INTERVAL '1' SECOND AND a.rt + INTERVAL '1' SECOND`
const running = 'SELECT k, g, SUM(v) OVER (PARTITION BY k ORDER BY rt ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS v, rt FROM a'
const listOf = (from: string) => `SELECT LISTAGG(CAST(k AS STRING) || '/' || CAST(v AS STRING)) FROM (${from})`
const windowsOf = (from: string) =>
  `SELECT TUMBLE_START(rt, INTERVAL '1' SECOND), COUNT(*), SUM(v) FROM (${from}) GROUP BY TUMBLE(rt, INTERVAL '1' SECOND)`
const queries = [
  windowsOf('SELECT g, rt, COUNT(*) AS v FROM a GROUP BY g, rt'),
  windowsOf('SELECT a.rt, a.v FROM a JOIN b ON a.k = b.k'),
  windowsOf('SELECT a.rt, a.v FROM a WHERE a.k IN (SELECT k FROM b)'),
  windowsOf(top),
  windowsOf(first),
  windowsOf(last),
  windowsOf(near),
  windowsOf(running),
  `SELECT k, v, SUM(v) OVER (ORDER BY rt) FROM (${first})`,
  `SELECT k, v, COUNT(*) OVER (PARTITION BY g ORDER BY rt ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (${running})`,
  `SELECT * FROM (${first}) MATCH_RECOGNIZE (ORDER BY rt MEASURES A.v AS av, B.v AS bv AFTER MATCH SKIP TO NEXT ROW PATTERN (A B) DEFINE B AS B.v >= A.v)`,
  `SELECT k, g, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY g ORDER BY rt) AS r FROM (${near})) WHERE r = 1`,
  listOf(first),
  listOf(last),
  listOf(top),
  listOf('SELECT k, COUNT(*) AS v FROM a GROUP BY k'),
  listOf('SELECT n AS k, COUNT(*) AS v FROM (SELECT k, COUNT(*) AS n FROM a GROUP BY k) GROUP BY n'),
  listOf('SELECT a.k, b.v FROM a JOIN b ON a.k = b.k'),
  `SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY g ORDER BY v) AS r FROM (SELECT a.k, a.g, b.v FROM a JOIN b ON a.k = b.k)) WHERE r <= 2`,
]
/** One row for each value of the first column. */
const keyed = [
  'SELECT k, COUNT(*), SUM(v), COUNT(DISTINCT g) FROM a GROUP BY k',
  'SELECT g, MAX(n) FROM (SELECT k, g, COUNT(*) AS n FROM a GROUP BY k, g) GROUP BY g',
  last,
  'SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM a) WHERE r = 1',
]
const all = [...queries, ...keyed]
const plans = all.map((sql): Plan => {
  const bound = bindScript(`${tables}${sql}`, new Catalog()).at(-1)
  assert.ok(bound?.type === 'query', sql)
  return readLeaves(bound.query)
})

const isUpdating = (plan: Plan): boolean => plan.changelog !== 'append' || inputsOf(plan).some(isUpdating)

type Row = [bigint | null, string | null, bigint, number]
interface Step {
  table: string
  rows: Row[]
  after: 'nothing' | 'tick' | 'restore'
}
interface Outcome {
  /** What stays when all changes are applied, and all that an inserting query gave. */
  rows: Map<string, number>
  /** By the first column, what stood there after each change; undefined for nothing. */
  versions: Map<string, (string | undefined)[]>
  late: number
  spilledBytes: number
}

function play(plan: Plan, steps: readonly Step[], limitBytes: number | undefined): Outcome {
  const rows = new Map<string, number>()
  const versions = new Map<string, (string | undefined)[]>()
  let late = 0
  const sink = (batch: Batch) => {
    for (let row = 0; row < batch.rowCount; row++) {
      const values = rowAt(batch, row).map(String)
      const text = values.join('|')
      const kind = batch.kinds?.[row] ?? INSERT
      if (kind !== UPDATE_BEFORE) versions.set(values[0], [...(versions.get(values[0]) ?? []), isRetraction(kind) ? undefined : text])
      const count = (rows.get(text) ?? 0) + (isRetraction(kind) ? -1 : 1)
      if (count === 0) rows.delete(text)
      else rows.set(text, count)
    }
  }
  const disk = new FakeDisk()
  const hooks = {
    count: () => {},
    late: (_: Batch, ordinals: number[]) => {
      late += ordinals.length
    },
    rowFailed: (_batch: Batch, _row: number, error: Error) => {
      throw error
    },
  }
  let graphs = 0
  const make = () => {
    const files = new SpillFiles(disk, '/spill', `x${++graphs}`)
    const spill = limitBytes === undefined ? undefined : { memory: new Memory(Memory.budget(limitBytes, 1)), files, keyGroups: 4 }
    return new Graph(plan, { timeZone: 'UTC', sink, spill, hooks })
  }
  let graph = make()
  let nowMs = 0
  for (const { table, rows, after } of steps) {
    graph.sources.forEach(({ fields, columns, table: { name } }, source) => {
      if (name !== table) return
      const picked = rows.map((row) => columns.map((column) => row[column]))
      graph.push(source, 0, batchOf(fields, picked, { processingTimeMs: nowMs }))
    })
    if (after === 'tick') graph.tick((nowMs += 700))
    if (after !== 'restore') continue
    const before = savedState(graph, disk)
    graph.close()
    graph = make()
    graph.restore([before])
  }
  const spilledBytes = graph.status().reduce((sum, { operator }) => sum + (operator?.spilledBytes ?? 0), 0)
  graph.finish()
  graph.close()
  return { rows, versions, late, spilledBytes }
}

/** No two of one time: in which order keys have their turn that are due at one time is nobody's, in Flink's timers, too. */
const rowsOf = fc
  .array(
    fc.record({
      table: fc.constantFrom('a', 'a', 'b'),
      k: fc.constantFrom(null, 1n, 2n, 3n, 4n, 5n),
      g: fc.constantFrom(null, 'x', 'y', 'z'),
      v: fc.constantFrom(0n, 1n, 2n, 3n),
      stepMs: fc.integer({ min: -12, max: 16 }),
    }),
    { maxLength: 50 },
  )
  .map((rows) => {
    let nowMs = 100
    return rows.map(({ table, k, g, v, stepMs }, at) => ({ table, row: [k, g, v, (nowMs += stepMs) * 100 + at] as Row }))
  })

test('with any memory, in any batches: the rows of row by row in memory, late ones included', () => {
  const spilled = new Set<string>()
  fc.assert(
    fc.property(
      rowsOf,
      fc.infiniteStream(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom('nothing', 'nothing', 'nothing', 'tick', 'restore'))),
      fc.constantFrom(0, 2_000, 20_000, 1e9),
      (rows, cuts, limitBytes) => {
        const one = rows.map(({ table, row }): Step => ({ table, rows: [row], after: 'nothing' }))
        // Rows of one table that follow each other are one batch: another cut changes no order between the tables.
        const steps: Step[] = []
        for (const { table, row } of rows) {
          const last = steps.at(-1)
          if (last?.table === table && last.rows.length < (cuts.next().value?.[0] ?? 1)) last.rows.push(row)
          else steps.push({ table, rows: [row], after: cuts.next().value?.[1] ?? 'nothing' })
        }
        for (const [i, plan] of plans.entries()) {
          const expected = play(plan, one, undefined)
          const got = play(plan, steps, limitBytes)
          const sql = all[i]
          if (got.spilledBytes > 0) spilled.add(sql)
          assert.deepEqual(new Map([...got.rows].sort()), new Map([...expected.rows].sort()), sql)
          // Changes of one key in one batch may be one, also where they are late.
          if (!isUpdating(plan)) assert.equal(got.late, expected.late, sql)
          if (!keyed.includes(sql)) continue
          // What is left of them is in order, and the last is there.
          for (const [key, versions] of expected.versions) {
            const own = got.versions.get(key) ?? []
            let at = 0
            for (const version of versions) if (version === own[at]) at++
            assert.ok(at === own.length && own.at(-1) === versions.at(-1), `${sql}: of ${key} ${own.join(' ')}, not ${versions.join(' ')}`)
          }
        }
      },
    ),
    { numRuns: 60 },
  )
  assert.deepEqual(
    all.filter((sql) => !spilled.has(sql)),
    [],
    'the test is one of spilling only if each query did',
  )
})
