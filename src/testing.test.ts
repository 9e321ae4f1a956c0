// `millrace/testing`, as tests of a project use it. That the published package has it is shown by test/compat/package.test.ts.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { testPipeline } from './testing.ts'

const clicks = "CREATE TABLE clicks (k STRING, n BIGINT, d DECIMAL(20, 2), ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND);"
const at = (second: number, k = 'a') => ({ k, n: 1, ts: new Date(Date.UTC(2026, 0, 1, 0, 0, second)) })
const perMinute = `CREATE MATERIALIZED TABLE per_minute (PRIMARY KEY (k, window_start) NOT ENFORCED) AS
  SELECT k, window_start, SUM(n) AS n FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end;`

test('rows of a table, late rows, and a crash', async () => {
  const { rows, late, columns, isAppendOnly } = await testPipeline<{ k: string; window_start: string; n: number }>({
    sql: clicks + perMinute,
    table: 'per_minute',
    inputs: { clicks: [at(1), at(2), at(30, 'b'), '@crash', '@watermark 2026-01-01 00:01:00.000', at(59, 'late')] },
  })
  assert.deepEqual(
    rows.map(({ k, n }) => [k, n]),
    [
      ['a', 2],
      ['b', 1],
    ],
  )
  assert.equal(rows[0].window_start, '2026-01-01 00:00:00.000')
  assert.deepEqual(
    late.map(({ k }) => k),
    ['late'],
  )
  assert.deepEqual(columns.at(-1), { name: 'n', type: 'BIGINT' })
  assert.equal(isAppendOnly, true)
})

test('a table holds the last row of each key; changes say how it came; numbers are exact', async () => {
  const { rows, changes } = await testPipeline({
    sql: `${clicks} CREATE MATERIALIZED TABLE newest (PRIMARY KEY (k) NOT ENFORCED) AS SELECT k, SUM(n) AS n, MAX(d) AS d FROM clicks GROUP BY k;
          CREATE MATERIALIZED TABLE above AS SELECT k, n FROM newest WHERE n > 5;`,
    table: 'newest',
    inputs: { clicks: [{ ...at(1), n: 9007199254740993n, d: '123456789012345678.25' }, at(2), { k: 'b', ts: '2026-01-01 00:00:03.000' }] },
  })
  assert.deepEqual(rows, [
    { k: 'a', n: 9007199254740994n, d: '123456789012345678.25' },
    { k: 'b', n: null, d: null },
  ])
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['+I', '-U', '+U', '+I'],
  )
})

test('pipelines of a project, by a view of theirs; a table without input holds nothing back', async () => {
  const { rows } = await testPipeline<{ page: string }>({
    use: join(import.meta.dirname, '../demo/pipelines'),
    sql: 'SELECT page, COUNT(*) AS n FROM edits GROUP BY page;',
    inputs: { wiki_edits: [{ time: '2015-09-12 00:00:00.000', channel: 'c', page: 'Otter', user: 'ana' }] },
  })
  assert.deepEqual(rows, [{ page: 'Otter', n: 1 }])
})

test('wrong names and wrong SQL are refused with what to do', async () => {
  const code = (expected: string, text: RegExp) => (error: { code: string; message: string }) =>
    error.code === expected && text.test(error.message)
  await assert.rejects(
    testPipeline({ sql: `${clicks} SELECT * FROM clicks;`, inputs: { click: [] } }),
    code('GOLDEN_FILE_INVALID', /no CREATE TABLE declares "click"; did you mean "clicks"/),
  )
  await assert.rejects(
    testPipeline({ sql: clicks + perMinute, table: 'per_minutes', inputs: {} }),
    code('GOLDEN_FILE_INVALID', /no table or view "per_minutes"; did you mean "per_minute"/),
  )
  await assert.rejects(testPipeline({ sql: `${clicks} SELECT x FROM clicks;`, inputs: {} }), code('SQL_COLUMN_NOT_FOUND', /x/))
  await assert.rejects(testPipeline({ use: 'no/such.sql', inputs: {} }), code('GOLDEN_FILE_INVALID', /no\/such\.sql/))
})

test('a golden file that differs fails with the difference; rows that depend on the order of inputs are found', async (t) => {
  await testPipeline(join(import.meta.dirname, '../demo/tests/windows.test'))
  const { mkdtempSync, rmSync, writeFileSync } = await import('node:fs')
  const { tmpdir } = await import('node:os')
  const folder = mkdtempSync(join(tmpdir(), 'millrace-testing-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(
    join(folder, 'a.test'),
    `--- input clicks\n{"k":"a","n":2,"ts":"2026-01-01 00:00:00.000"}\n--- sql\n${clicks}\nSELECT k, n FROM clicks;\n--- expect\n["a", 3]\n["b", 1]\n`,
  )
  await assert.rejects(testPipeline(join(folder, 'a.test')), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'GOLDEN_DIFFERS')
    assert.match(error.message, /in every mode\n {2}- \["a", 3\]\n {2}\+ \["a", 2\]\n {6}n: expected 3, got 2\n {2}- \["b", 1\]$/)
    return true
  })
  const two = `${clicks} CREATE TABLE more (k STRING, n BIGINT); CREATE MATERIALIZED TABLE last_one (PRIMARY KEY (k) NOT ENFORCED) AS
    SELECT k, n FROM clicks UNION ALL SELECT k, n FROM more;`
  const rows = (n: number) => Array.from({ length: 5 }, () => ({ ...at(1), n }))
  await assert.rejects(
    testPipeline({ sql: two, table: 'last_one', inputs: { clicks: rows(1), more: rows(2) } }),
    (error: { code: string }) => error.code === 'GOLDEN_UNSTABLE',
  )
})

test('an option that does not exist is no expectation that holds', async () => {
  const misnamed = { sql: `${clicks}SELECT k FROM clicks;`, inputs: { clicks: [] }, expect: [['a']] }
  await assert.rejects(testPipeline(misnamed), {
    code: 'GOLDEN_FILE_INVALID',
    message: /no option "expect"; known are use, sql, table and inputs/,
  })
})
