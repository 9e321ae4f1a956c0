// `millrace test` as a user runs it: exit codes, the difference, --update, --json; and the demo's own tests.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeProject, run } from './harness.ts'

const shop = `CREATE TABLE orders (id BIGINT, customer STRING, total DECIMAL(10, 2), ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'orders');
CREATE MATERIALIZED TABLE by_customer (PRIMARY KEY (customer) NOT ENFORCED) AS
SELECT customer, COUNT(*) AS orders, SUM(total) AS total FROM orders GROUP BY customer;`
const golden = (rows: string, use = 'pipelines/shop.sql') => `-- Totals by customer.
--- input orders
{"id":1,"customer":"ana","total":10.50,"ts":"2026-01-01 00:00:01.000"}
{"id":2,"customer":"bo","total":1,"ts":"2026-01-01 00:00:02.000"}
{"id":3,"customer":"ana","total":0.25,"ts":"2026-01-01 00:00:03.000"}
--- use ${use}
--- expect by_customer
${rows}`
const right = '["ana", 2, "10.75"]\n["bo", 1, "1.00"]\n'

async function tested(t: TestContext, args: string[]): Promise<{ code: number | null; output: string }> {
  const running = run(t, ['test', ...args])
  return { code: (await running.exited).code, output: running.output }
}

test('the tests of the demo pass', async (t) => {
  const { code, output } = await tested(t, [resolve(import.meta.dirname, '../demo')])
  assert.equal(code, 0, output)
  assert.match(output, /^2 passed, 0 failed/m)
})

test('USE of a pipeline holds to the end of its file', async (t) => {
  const eu = shop
    .replace('CREATE TABLE', 'CREATE DATABASE eu; USE eu; CREATE TABLE')
    .replace('total DECIMAL(10, 2)', 'total STRING')
    .split(';')
    .slice(0, 3)
  const folder = makeProject(t, {
    'pipelines/shop.sql': shop,
    'pipelines/wide.sql': `${eu.join(';')};`,
    'tests/view.test': golden('["ana"]\n["bo"]\n["ana"]\n', 'pipelines').replace(
      '--- expect by_customer',
      '--- sql\nCREATE VIEW customers AS SELECT customer FROM orders WHERE total > 0.0;\n--- expect customers',
    ),
  })
  const { code, output } = await tested(t, [folder])
  assert.equal(code, 0, output)
})

test('files of a used folder need no order of their names', async (t) => {
  const folder = makeProject(t, {
    'pipelines/a_first.sql': 'CREATE VIEW big AS SELECT customer FROM orders WHERE total > 5.0;',
    'pipelines/shop.sql': shop,
    'tests/big.test': golden('["ana"]\n', 'pipelines').replace('by_customer', 'big'),
    'tests/missing.test': golden('["ana"]\n', 'pipelines').replace('--- expect by_customer', '--- sql\nSELECT * FROM nothing;\n--- expect'),
  })
  const { code, output } = await tested(t, [folder])
  assert.equal(code, 1, output)
  assert.match(output, /✓ .*big\.test/)
  assert.match(output, /missing\.test[\s\S]*"nothing" does not exist/)
})

test('a project: what passes, what differs and by which column, and --update', async (t) => {
  const folder = makeProject(t, {
    'pipelines/shop.sql': shop,
    'tests/right.test': golden(right),
    'tests/wrong.test': golden('["ana", 3, "10.75"]\n["bo", 1, "1.00"]\n'),
  })
  const { code, output } = await tested(t, [folder])
  assert.equal(code, 1, output)
  assert.match(output, /✓ .*right\.test\n/)
  assert.match(output, /✗ .*wrong\.test: Totals by customer\.\n {2}in every mode\n/)
  assert.match(output, /- \["ana", 3, "10\.75"\]\n {4}\+ \["ana", 2, "10\.75"\]\n {8}orders: expected 3, got 2\n/)
  assert.match(output, /1 passed, 1 failed in /)

  const json = await tested(t, [folder, '--json'])
  assert.equal(json.code, 1)
  const lines = json.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    lines.slice(0, 2).map(({ passed }) => passed),
    [true, false],
  )
  assert.deepEqual(lines[2], { passed: 1, failed: 1, unreadable: 0 })

  const updated = await tested(t, [join(folder, 'tests/wrong.test'), '--update'])
  assert.equal(updated.code, 0, updated.output)
  const text = readFileSync(join(folder, 'tests/wrong.test'), 'utf8')
  assert.match(
    text,
    /--- use pipelines\/shop\.sql\n--- expect by_customer\n-- columns: customer VARCHAR.*\n-- changelog: updating\n\["ana", 2, "10\.75"\]\n/,
  )
  assert.equal((await tested(t, [folder])).code, 0)
})

test('what cannot be read says where, and the exit code is 2', async (t) => {
  const folder = makeProject(t, {
    'pipelines/shop.sql': shop,
    'pipelines/broken.sql': 'CREATE TABLE x (a INT);\nSELEC 1;',
    'tests/a.test': golden(right, 'pipelines/broken.sql'),
    'tests/b.test': golden(right, 'pipelines/shoop.sql'),
    'tests/c.test': golden(right).replace('--- input orders', '--- input order'),
    'tests/d.test': golden(right),
  })
  const { code, output } = await tested(t, [folder])
  assert.equal(code, 2, output)
  assert.match(output, /broken\.sql:2: .*SELEC/)
  assert.match(output, /"pipelines\/shoop\.sql" is neither beside this file nor in a folder above it/)
  assert.match(output, /no CREATE TABLE declares "order"; did you mean "orders"\?/)
  assert.match(output, /1 passed, 0 failed, 3 unreadable/)
  assert.equal((await tested(t, [makeProject(t, {})])).code, 2)
  assert.equal((await tested(t, [join(folder, 'nowhere.test')])).code, 2)
})

test('late rows are given as the input has them; a row that is none is named by its line', async (t) => {
  const hourly = `${shop.replace(/CREATE MATERIALIZED[\s\S]*/, '')}
CREATE MATERIALIZED TABLE hourly (PRIMARY KEY (window_start) NOT ENFORCED) AS
SELECT window_start, COUNT(*) AS orders, SUM(total) AS total FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY window_start, window_end;`
  const late = '{"id":2,"customer":"bo","total":1,"ts":"2026-01-01 00:59:02"}'
  const file = (row: string) => `-- An hour.
--- input orders
{"id":1,"customer":"ana","total":10.5,"ts":"2026-01-01 02:00:01"}
${row}
--- use pipelines/shop.sql
--- expect hourly
["2026-01-01 02:00:00.000", 1, "10.50"]
--- late
`
  const folder = makeProject(t, {
    'pipelines/shop.sql': hourly,
    'tests/late.test': `${file(late)}${late}\n`,
    'tests/other.test': `${file(late)}${late.replace('59:02', '59:03')}\n`,
    'tests/row.test': file('{"id":2,"ts":"yesterday"}'),
    'tests/step.test': file('@partitoin 1'),
  })
  const { output } = await tested(t, [folder])
  assert.match(output, /✓ .*late\.test/)
  assert.match(
    output,
    /✗ .*other\.test.*\n.*\n +late - \["1.00", "2026-01-01 00:59:03.000"\]\n +late \+ \["1.00", "2026-01-01 00:59:02.000"\]/,
    output,
  )
  assert.match(output, /GOLDEN_ROW_INVALID: .*row\.test:4: no row of orders: ts: 'yesterday' is not a timestamp/, output)
  assert.match(output, /✗ .*step\.test: line 4: unknown instruction "@partitoin 1"; known are @watermark TIME, @partition N/, output)
})

test('a function in a loop that V8 does not end costs its file, and no other', { timeout: 120_000 }, async (t) => {
  const played = (kind: string) =>
    `-- ${kind}\n--- input e\n{"k":"${kind}"}\n--- use pipelines\n--- sql\nSELECT sticky(k) FROM e;\n--- expect\n["${kind}"]\n`
  const folder = makeProject(t, {
    'pipelines/e.sql':
      "CREATE FUNCTION sticky (text STRING) RETURNS STRING LANGUAGE TYPESCRIPT AS 'functions/sticky.ts'; CREATE TABLE e (k STRING);",
    'functions/sticky.ts': "export function sticky(text: string): string {\n  while (text.startsWith('stick'));\n  return text\n}",
    'tests/a.test': played('a'),
    'tests/b.test': played('stick'),
    'tests/c.test': played('c'),
  })
  const { code, output } = await tested(t, [folder])
  assert.equal(code, 2, output)
  assert.match(output, /✓ \S*a\.test[\s\S]*✗ \S*b\.test[\s\S]*TEST_ENDED[\s\S]*✓ \S*c\.test[\s\S]*2 passed, 0 failed, 1 unreadable/)
})
