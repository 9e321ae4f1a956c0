import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Column, ColumnBuilder, t } from '../../data/index.ts'
import { bindScript, Catalog, inputsOf, type Plan, readLeaves } from '../../sql/index.ts'
import { type Distribution, distributionOf, exchangesOf } from './distribution.ts'
import { partitionRows } from './partition.ts'

const tables = `
CREATE TABLE a (k BIGINT, g STRING, v INT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt) WITH ('connector' = 'nexmark');
CREATE TABLE b (k BIGINT, w INT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt) WITH ('connector' = 'nexmark');
`
/** Exchanges of a query from the inputs on, as 'node input: distribution'. */
function exchangesIn(sql: string): string[] {
  const bound = bindScript(`${tables}${sql}`, new Catalog()).at(-1)
  assert.ok(bound?.type === 'query')
  const found: string[] = []
  const visit = (plan: Plan): Distribution => {
    const have = inputsOf(plan).map(visit)
    const wanted = exchangesOf(plan, have)
    wanted.forEach((distribution, i) => {
      if (distribution === undefined) return
      const columns = distribution.kind === 'hash' ? distribution.columns.map((column) => inputsOf(plan)[i].fields[column].name) : []
      found.push(`${plan.node} ${i}: ${distribution.kind} ${columns.join()}`.trim())
    })
    return distributionOf(
      plan,
      have.map((one, i) => wanted[i] ?? one),
      () => false,
    )
  }
  visit(readLeaves(bound.query))
  return found
}

test('rows move only where they must', () => {
  const cases: [string, string[]][] = [
    ['SELECT k + 1 FROM a WHERE v > 3', []],
    ['SELECT k, COUNT(*) FROM a GROUP BY k', ['groupAggregate 0: hash k']],
    ['SELECT COUNT(*) FROM a', ['groupAggregate 0: single']],
    // The second grouping has its rows where the first has left them.
    ['SELECT k, MAX(n) FROM (SELECT k, g, COUNT(*) AS n FROM a GROUP BY k, g) GROUP BY k', ['groupAggregate 0: hash k,g', 'groupAggregate 0: hash k']], // biome-ignore format: one case
    ['SELECT k, g, MAX(n) FROM (SELECT k, COUNT(*) AS n, MAX(g) AS g FROM a GROUP BY k) GROUP BY k, g', ['groupAggregate 0: hash k']],
    ['SELECT a.k, b.w FROM a JOIN b ON a.k = b.k', ['join 0: hash k', 'join 1: hash k']],
    ['SELECT x.k, COUNT(*) FROM (SELECT a.k, b.w FROM a JOIN b ON a.k = b.k) x GROUP BY x.k', ['join 0: hash k', 'join 1: hash k']],
    // Rows that a FULL JOIN pads have no key.
    [
      'SELECT x.k, COUNT(*) FROM (SELECT a.k, b.w FROM a FULL JOIN b ON a.k = b.k) x GROUP BY x.k',
      ['join 0: hash k', 'join 1: hash k', 'groupAggregate 0: hash k'],
    ],
    ['SELECT a.k FROM a JOIN b ON a.v > b.w', ['join 0: single', 'join 1: single']],
    ['SELECT k FROM a WHERE k NOT IN (SELECT k FROM b)', ['join 0: single', 'join 1: single']],
  ]
  for (const [sql, expected] of cases) assert.deepEqual(exchangesIn(sql), expected, sql)
})

test('equal keys go the same way, NULLs too, and keys spread over all subtasks', () => {
  const keys = new ColumnBuilder(t.bigint())
  const texts = new ColumnBuilder(t.string())
  for (let i = 0; i < 4_000; i++) {
    keys.append(i % 10 === 9 ? null : BigInt(i % 1_000))
    texts.append(i % 7 === 6 ? null : `t${i % 1_000}`)
  }
  for (const parallelism of [2, 3, 7]) {
    const targets = new Uint8Array(4_000)
    partitionRows([keys.finish(), texts.finish()] as Column[], [t.bigint(), t.string()], 4_000, parallelism, targets)
    const byKey = new Map<string, number>()
    const counts = new Array<number>(parallelism).fill(0)
    for (let i = 0; i < 4_000; i++) {
      const key = `${i % 10 === 9 ? null : i % 1_000} ${i % 7 === 6 ? null : i % 1_000}`
      assert.equal(byKey.get(key) ?? targets[i], targets[i])
      byKey.set(key, targets[i])
      counts[targets[i]]++
    }
    for (const count of counts) assert.ok(count > 2_000 / parallelism, counts.join())
  }
})
