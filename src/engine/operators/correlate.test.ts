import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runPipeline } from '../golden/pipeline.ts'

test('UNNEST of many elements leaves in parts, and each row has all of its own and no other', () => {
  const sql = `CREATE TABLE e (k STRING, n INT);
    CREATE MATERIALIZED TABLE t (PRIMARY KEY (k) NOT ENFORCED) AS
    SELECT k, COUNT(*) AS n, COUNT(x) AS xs, COUNT(DISTINCT o) AS os, MAX(o) AS o
    FROM e LEFT JOIN UNNEST(SPLIT(NULLIF(REPEAT('a,', n), ''), ',')) WITH ORDINALITY AS u (x, o) ON TRUE GROUP BY k;
    CREATE MATERIALIZED TABLE unmatched (PRIMARY KEY (k) NOT ENFORCED) AS
    SELECT k, COUNT(*) AS n, COUNT(x) AS xs FROM e LEFT JOIN UNNEST(SPLIT(REPEAT('a,', n), ',')) AS u (x) ON x = 'b' GROUP BY k;`
  const sizes = [0, 3, 8_191, 8_192, 20_000, 0, 1]
  const inputs = { e: sizes.map((n, i) => ({ k: `k${i}`, n })) }
  const { rows } = runPipeline<{ k: string; n: number; xs: number; os: number; o: number | null }>({ sql, table: 't', inputs })
  assert.deepEqual(
    rows.map(({ k, n, xs, os, o }) => [k, n, xs, os, o]),
    sizes.map((n, i) => (n === 0 ? [`k${i}`, 1, 0, 0, null] : [`k${i}`, n + 1, n + 1, n + 1, n + 1])),
  )
  const { rows: padded } = runPipeline<{ k: string; n: number; xs: number }>({ sql, table: 'unmatched', inputs })
  assert.deepEqual(
    padded.map(({ k, n, xs }) => [k, n, xs]),
    sizes.map((_, i) => [`k${i}`, 1, 0]),
  )
})

test('a table function whose generator has no end is an error of its row', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-correlate-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'endless.ts')
  writeFileSync(file, 'export function* endless(n: number) { for (let i = 0; n < 0 || i < n; i++) yield i }')
  const sql = `CREATE FUNCTION endless (n INT) RETURNS TABLE (x INT) LANGUAGE TYPESCRIPT AS '${file}';
    CREATE TABLE e (n INT);
    CREATE MATERIALIZED TABLE t (PRIMARY KEY (n) NOT ENFORCED) AS SELECT n, COUNT(*) AS c FROM e, LATERAL TABLE(endless(n)) AS f (x) GROUP BY n;`
  assert.deepEqual(runPipeline({ sql, table: 't', inputs: { e: [{ n: 3 }] } }).rows, [{ n: 3, c: 3 }])
  assert.throws(() => runPipeline({ sql, table: 't', inputs: { e: [{ n: -1 }] } }), /endless failed: it gave more than 1000000 rows/)
})
