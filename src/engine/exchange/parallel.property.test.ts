// A query in several subtasks gives what it gives in one, however its rows are split and however the subtasks interleave.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchOf, spoilReleased } from '../../data/index.ts'
import { bindScript, Catalog, type Plan, readLeaves } from '../../sql/index.ts'
import { Graph } from '../graph.ts'
import { ChangeCounts } from '../testChanges.ts'
import { emptyNote, Links, Rounds, shareLinks } from './index.ts'

// Rows that an operator keeps without copying them come out wrong.
spoilReleased(true)

const table = `
CREATE TABLE a (k BIGINT, g STRING, v BIGINT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt - INTERVAL '0.005' SECOND) WITH ('connector' = 'nexmark');`
const window = "TABLE(TUMBLE(TABLE a, DESCRIPTOR(rt), INTERVAL '0.020' SECOND))"
const hop = "TABLE(HOP(TABLE a, DESCRIPTOR(rt), INTERVAL '0.010' SECOND, INTERVAL '0.030' SECOND))"
const queries = [
  `SELECT g, window_start, COUNT(*), SUM(v) FROM ${window} GROUP BY g, window_start, window_end`,
  `SELECT window_end, MAX(n) FROM (SELECT k, window_start, window_end, COUNT(*) AS n FROM ${hop} GROUP BY k, window_start, window_end)
   GROUP BY window_start, window_end`,
  'SELECT g, COUNT(*), COUNT(DISTINCT v), COUNT(DISTINCT v) FILTER (WHERE v > 2) FROM a GROUP BY g',
  'SELECT n, COUNT(*) FROM (SELECT k, COUNT(*) AS n FROM a GROUP BY k) GROUP BY n',
  'SELECT x.k, y.g, COUNT(*) FROM a x LEFT JOIN (SELECT g, MAX(v) AS v FROM a GROUP BY g) y ON x.v = y.v GROUP BY x.k, y.g',
  'SELECT * FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM a) WHERE r <= 2',
  'SELECT COUNT(*), SUM(v) FROM a',
  `SELECT g, k, COUNT(*), COUNT(k), COUNT(*) FILTER (WHERE v > 2), MIN(v), MAX(v), AVG(v), SUM(v), SUM(CAST(k AS TINYINT)), MIN(CAST(k AS DOUBLE)),
   MAX(CAST(v AS FLOAT)), SUM(CAST(k AS DOUBLE)), STDDEV_POP(CAST(k AS DOUBLE)) FROM a GROUP BY g, k`,
  'SELECT k + 1, g FROM a WHERE v > 1',
]
const plans = queries.map((sql): Plan => {
  const bound = bindScript(`${table}${sql}`, new Catalog()).at(-1)
  assert.ok(bound?.type === 'query')
  return readLeaves(bound.query)
})

type Row = unknown[]
function makeGraph(plan: Plan, result: ChangeCounts, rounds?: Rounds): Graph {
  const fail = () => {
    throw new Error('no row may be late or fail')
  }
  return new Graph(plan, {
    timeZone: 'UTC',
    sink: (batch) => result.add(batch),
    rounds,
    hooks: { count: () => {}, late: fail, rowFailed: fail },
  })
}
function push(graph: Graph, rows: Row[]): void {
  graph.sources.forEach(({ fields, columns }, source) => {
    const picked = rows.map((row) => columns.map((column) => row[column]))
    graph.push(source, 0, batchOf(fields, picked, { processingTimeMs: 0 }))
  })
}

/** Rows of one subtask: time moves on, back by no more than the watermark's delay. */
const rowsOf = fc
  .array(
    fc.tuple(
      fc.constantFrom(null, 1n, 2n, 3n, 4n),
      fc.constantFrom(null, '', 'x', 'y', 'z'.repeat(20)),
      fc.constantFrom(0n, 1n, 2n, 3n, 1n << 40n),
      fc.nat(7),
      fc.nat(4),
    ),
    { maxLength: 40 },
  )
  .map((rows) => {
    let nowMs = 0
    return rows.map(([k, g, v, step, back]): Row => [k, g, v, Math.max((nowMs += step) - back, 0)])
  })

test('in several subtasks as in one', () => {
  fc.assert(
    fc.property(
      fc.array(rowsOf, { minLength: 2, maxLength: 3 }),
      // Whose turn it is, and what it does: takes what has come, or pushes so many rows.
      fc.array(fc.tuple(fc.nat(2), fc.nat(4)), { maxLength: 80 }),
      (parts, turns) => {
        for (const [i, plan] of plans.entries()) {
          const whole = new ChangeCounts()
          const alone = makeGraph(plan, whole)
          // Rows in order of time: none is late.
          push(
            alone,
            parts.flat().sort((a, b) => (a[3] as number) - (b[3] as number)),
          )
          alone.finish()
          const shared = shareLinks(parts.length, 1 << 12)
          const together = new ChangeCounts()
          const subtasks = parts.map((_, subtask) => {
            const rounds = new Rounds(new Links(shared, subtask))
            return { rounds, graph: makeGraph(plan, together, rounds) }
          })
          const deliver = ({ rounds, graph }: (typeof subtasks)[number]) => {
            const pumped = rounds.pump()
            return rounds.deliver((stage, note) => graph.deliver(stage, note)) || pumped
          }
          const at = parts.map(() => 0)
          const begin = (subtask: number, count: number) => {
            const { rounds, graph } = subtasks[subtask]
            if (!rounds.canBegin) return
            const rows = parts[subtask].slice(at[subtask], (at[subtask] += count))
            const isEnd = at[subtask] >= parts[subtask].length
            const run = () => {
              if (rows.length > 0) push(graph, rows)
              if (isEnd) graph.finish()
            }
            rounds.begin(run, () => ({ ...emptyNote, isEnd }))
          }
          for (const [who, what] of turns) {
            const subtask = who % parts.length
            if (what === 0) deliver(subtasks[subtask])
            else begin(subtask, what)
          }
          // All ends are said when each subtask has completed a round in which all have said it.
          for (let i = 0; i < 1_000 && !subtasks.every(({ rounds }) => rounds.isEnded); i++) {
            for (let any = true; any; ) any = subtasks.map(deliver).includes(true)
            subtasks.forEach((_, subtask) => {
              begin(subtask, 40)
            })
          }
          assert.ok(subtasks.every(({ rounds }) => rounds.isEnded))
          assert.deepEqual(new Map([...together.counts].sort()), new Map([...whole.counts].sort()), queries[i])
        }
      },
    ),
    { numRuns: 60 },
  )
})
