// What a running graph tells `why`: rows of each edge, late rows with what they missed, join sides without a match.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchOf } from '../data/index.ts'
import { bindScript, Catalog } from '../sql/index.ts'
import type { Lateness } from './diagnosis.ts'
import { Graph } from './graph.ts'

const tables = `
CREATE TABLE l (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts);
CREATE TABLE r (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts);`

/** A graph of the query; `push(table, rows)` takes rows [k, v, seconds]. */
function started(query: string) {
  const plan = bindScript(`${tables}${query}`, new Catalog()).at(-1)
  if (plan?.type !== 'query') throw new Error('no query')
  const late: Lateness[] = []
  const hooks = {
    count: () => {},
    late: (_batch: unknown, _rows: unknown, _fields: unknown, lateness: Lateness[]) => void late.push(...lateness),
    rowFailed: (_batch: unknown, _row: unknown, error: Error) => {
      throw error
    },
  }
  const graph = new Graph(plan.query, { timeZone: 'UTC', hooks, sink: () => {} })
  const push = (table: string, rows: [string | null, number, number][]) => {
    const index = graph.sources.findIndex((source) => source.table.name === table)
    const { table: definition, columns, fields } = graph.sources[index]
    const names = columns.map((column) => definition.columns[column].name)
    const values = rows.map(([k, v, seconds]) => names.map((name) => ({ k, v, ts: seconds * 1_000 })[name] ?? null))
    graph.push(index, 0, { ...batchOf(fields, values), processingTimeMs: 0 })
  }
  return { graph, push, late, node: (kind: string) => graph.status().find(({ node }) => node === kind)! }
}
const sidesOf = (status: { sides?: { rows: number; unmatched: number }[] }) => status.sides!.map(({ rows, unmatched }) => [rows, unmatched])

test('rows in and out of each node, with the condition that drops them and the last three rows', () => {
  const { push, node } = started('SELECT k FROM l WHERE v > 10;')
  push(
    'l',
    [5, 20, 30, 40, 50].map((v) => [`k${v}`, v, 1]),
  )
  const calc = node('calc')
  assert.deepEqual([calc.rowsIn, calc.rowsOut, calc.predicate], [5, 4, '(v > 10)'])
  assert.deepEqual(
    calc.samples.map(({ row }) => row),
    [['k30'], ['k40'], ['k50']],
  )
})

for (const [window, startSeconds, endSeconds] of [
  ["TUMBLE(TABLE l, DESCRIPTOR(ts), INTERVAL '10' SECOND)", 0, 10],
  ["HOP(TABLE l, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)", 5, 15],
  ["CUMULATE(TABLE l, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)", 0, 20],
  ["SESSION(TABLE l PARTITION BY k, DESCRIPTOR(ts), INTERVAL '4' SECOND)", 7, 11],
] as const)
  test(`a late row says which watermark and window it missed: ${window.slice(0, 7)}`, () => {
    const { push, late, node } = started(`SELECT k, COUNT(*) AS n FROM TABLE(${window}) GROUP BY k, window_start, window_end;`)
    push('l', [
      ['a', 1, 60],
      ['b', 1, 7],
    ])
    assert.deepEqual(late, [{ watermarkMs: 60_000, window: { startMs: startSeconds * 1_000, endMs: endSeconds * 1_000 } }])
    const { lateRows, lateSamples } = node('windowAggregate')
    assert.equal(lateRows, 1)
    assert.equal(lateSamples[0].row.includes('b'), true)
  })

test('join sides without a match', () => {
  const regular = started('SELECT l.k, l.v, r.v AS w FROM l JOIN r ON l.k = r.k;')
  regular.push('l', [
    ['a', 1, 1],
    ['b', 2, 1],
    ['b', 3, 1],
  ])
  regular.push('r', [
    ['a', 1, 1],
    ['c', 1, 1],
  ])
  const status = regular.node('join')
  assert.deepEqual(sidesOf(status), [
    [3, 2],
    [2, 1],
  ])
  assert.equal(status.sides![1].samples[0].includes('c'), true)

  const interval = started("SELECT l.k, r.v FROM l, r WHERE l.k = r.k AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '5' SECOND;")
  interval.push('l', [
    ['a', 1, 1],
    ['b', 1, 2],
  ])
  interval.push('r', [
    ['a', 1, 3],
    ['z', 1, 4],
    ['z', 1, 60],
  ])
  interval.push('l', [['y', 1, 60]])
  assert.deepEqual(
    interval.node('intervalJoin').sides!.map(({ unmatched }) => unmatched),
    [1, 1],
  )

  const side = (table: string) => `(SELECT * FROM TABLE(TUMBLE(TABLE ${table}, DESCRIPTOR(ts), INTERVAL '10' SECOND)))`
  const windowed = started(
    `SELECT a.k, b.v FROM ${side('l')} a JOIN ${side('r')} b ON a.k = b.k AND a.window_start = b.window_start AND a.window_end = b.window_end;`,
  )
  for (const [table, keys] of [
    ['l', ['a', 'b']],
    ['r', ['a', 'c', 'd']],
  ] as const)
    windowed.push(table, [...keys.map((k): [string, number, number] => [k, 1, 1]), ['later', 1, 20]])
  assert.deepEqual(sidesOf(windowed.node('windowJoin')), [
    [1, 1],
    [1, 2],
  ])
})

test('open windows say which watermark closes them', () => {
  const { push, node } = started(
    "SELECT k, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE l, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end;",
  )
  push('l', [
    ['a', 1, 3],
    ['b', 1, 14],
  ])
  assert.deepEqual(node('windowAggregate').operator?.openWindows, [{ startMs: 10_000, endMs: 20_000, rows: 1, firesAtMs: 19_999 }])
})
