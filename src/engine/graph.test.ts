// What a graph is to the checkpoints that others wrote.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindScript, Catalog } from '../sql/index.ts'
import { planSignature } from './graph.ts'

// What earlier versions called these: their state is found under it.
const written: [sql: string, signature: string][] = [
  [
    "SELECT k, TUMBLE_START(ts, INTERVAL '10' SECOND) AS s, SUM(v) AS n FROM e GROUP BY k, TUMBLE(ts, INTERVAL '10' SECOND)",
    'f5db061d50ad9aba',
  ],
  ['SELECT FIRST_VALUE(s) AS f, COUNT(*) AS n FROM (SELECT k, SUM(v) AS s FROM e GROUP BY k)', 'ec70ff226da4ca91'],
  [
    'SELECT FIRST_VALUE(k) AS f FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS r FROM e) WHERE r <= 2',
    'a715ab5b7e315a3b',
  ],
]
test('state that an earlier version wrote is found under its signature', () => {
  for (const [sql, signature] of written) {
    const table = 'CREATE TABLE e (ts TIMESTAMP(3), k STRING, v INT, WATERMARK FOR ts AS ts);'
    const bound = bindScript(`${table}${sql}`, new Catalog()).at(-1)
    assert.ok(bound?.type === 'query')
    assert.equal(planSignature(bound.query), signature, sql)
  }
})
