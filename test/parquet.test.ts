// 'connector' = 'filesystem', 'format' = 'parquet': every type comes back as it was, read by DuckDB; and with the server and the child process
// that writes killed again and again, each row is in the files once.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import { batchOf, type SqlType, t as types } from '../src/data/index.ts'
import { finishParquet, parquetColumns, parquetProblem, stagedLines } from '../src/engine/parquet.ts'
import { realDisk } from '../src/log/index.ts'
import { makeProject, type Server, startServer, until } from './harness.ts'

const filesIn = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.parquet') && !name.startsWith('.')) : []

async function query(sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(sql)).getRows()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

test('types of Parquet files are those of Flink and Iceberg, and no digit is lost', { timeout: 90_000 }, async (t) => {
  const folder = makeProject(t, {
    'pipelines/types.sql': `
SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE source (id BIGINT, amount DECIMAL(38, 18), label STRING) WITH ('connector' = 'kafka', 'topic' = 'source', 'format' = 'json');
CREATE TABLE lake (\`big "int"\` BIGINT, amount DECIMAL(38, 18), small SMALLINT, d DOUBLE, yes BOOLEAN, born DATE, clock TIME(3), at3 TIMESTAMP(3), at9 TIMESTAMP(9),
  utc TIMESTAMP_LTZ(3), bin BYTES, list ARRAY<STRING>, byName MAP<STRING, INT>, pair ROW<a INT, \`b c\` STRING>, label STRING, nothing STRING)
WITH ('connector' = 'filesystem', 'path' = 'lake', 'format' = 'parquet');
INSERT INTO lake SELECT id, amount, CAST(-7 AS SMALLINT), CAST(0.1 AS DOUBLE), TRUE, DATE '1969-12-31', TIME '12:34:56.789', TIMESTAMP '2026-01-01 00:00:00.123',
  CAST(TIMESTAMP '2026-01-01 00:00:00.123456789' AS TIMESTAMP(9)), TO_TIMESTAMP_LTZ(1700000000123, 3), CAST('\u00e9' AS BYTES), ARRAY['x', CAST(NULL AS STRING)],
  MAP['k', 1], CAST(ROW(1, 'it''s') AS ROW<a INT, \`b c\` STRING>), label, CAST(NULL AS STRING) FROM source;`,
  })
  const server = await startServer(t, folder)
  const big = '{"id":9223372036854775807,"amount":12345678901234567890.123456789012345678,"label":"null \\u0000, \\"quote\\" and \u2603"}'
  const posted = await server.post('source', big)
  assert.equal(posted.status, 202, JSON.stringify(posted.body))
  const lake = join(folder, 'lake')
  await until(
    () => filesIn(lake).length > 0,
    () => `no file: ${JSON.stringify(existsSync(lake) && readdirSync(lake))} ${server.running.output}`,
    60_000,
  )
  await server.running.kill('SIGTERM')
  assert.deepEqual(
    readdirSync(lake).filter((name) => name.startsWith('.')),
    [],
    'nothing staged is left',
  )
  const [[row]] = await query(`SELECT to_json(t)::VARCHAR FROM read_parquet('${lake}/*.parquet') t`)
  assert.equal(
    row,
    '{"big \\"int\\"":9223372036854775807,"amount":12345678901234567890.123456789012345678,"small":-7,"d":0.1,"yes":true,"born":"1969-12-31",' +
      '"clock":"12:34:56.789","at3":"2026-01-01 00:00:00.123","at9":"2026-01-01 00:00:00.123456789","utc":"2023-11-14 22:13:20.123+00",' +
      '"bin":"\\\\xC3\\\\xA9","list":["x",null],"byName":{"k":1},"pair":{"a":1,"b c":"it\'s"},"label":"null \\u0000, \\"quote\\" and \u2603","nothing":null}',
  )
  const types = await query(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet('${lake}/*.parquet'))`)
  assert.deepEqual(types.map(String), [
    'big "int",BIGINT',
    'amount,DECIMAL(38,18)',
    'small,SMALLINT',
    'd,DOUBLE',
    'yes,BOOLEAN',
    'born,DATE',
    'clock,TIME',
    'at3,TIMESTAMP',
    'at9,TIMESTAMP_NS',
    'utc,TIMESTAMP WITH TIME ZONE',
    'bin,BLOB',
    'list,VARCHAR[]',
    'byName,MAP(VARCHAR, INTEGER)',
    'pair,STRUCT(a INTEGER, "b c" VARCHAR)',
    'label,VARCHAR',
    'nothing,VARCHAR',
  ])
})

test('what is at the ends of the types can be written, or is refused before it is in a checkpoint', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-parquet-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const values: [type: SqlType, value: unknown, text: string | null][] = [
    [types.tinyint(), -128, '-128'],
    [types.bigint(), -(2n ** 63n), '-9223372036854775808'],
    [types.decimal(38, 0), 10n ** 38n - 1n, '9'.repeat(38)],
    [types.decimal(38, 38), 1n - 10n ** 38n, `-.${'9'.repeat(38)}`],
    [types.double(), Number.NaN, 'nan'],
    [types.double(), Number.NEGATIVE_INFINITY, '-inf'],
    [types.double(), -0, '-0.0'],
    [types.double(), 5e-324, '5e-324'],
    [types.float(), Math.fround(0.1), '0.1'],
    [types.string(), '', ''],
    [types.string(), 'null', 'null'],
    [types.string(), 'a\0b\ud800', 'a\0b\ufffd'],
    [types.date(), -719_162, '0001-01-01'],
    [types.date(), 2_932_897, '10000-01-01'],
    [types.time(3), 86_399_999, '23:59:59.999'],
    [types.timestamp(3), -62_135_596_800_000, '0001-01-01 00:00:00'],
    [types.timestamp(3), 253_402_300_800_000, '10000-01-01 00:00:00'],
    [types.timestamp(6), -1_000n, '1969-12-31 23:59:59.999999'],
    [types.timestamp(9), -1n, '1969-12-31 23:59:59.999999999'],
    [types.timestamp(9), 2n ** 63n - 2n, '2262-04-11 23:47:16.854775806'],
    [types.timestampLtz(6), 1_700_000_000_123_456_000n, '2023-11-14 22:13:20.123456+00'],
    [types.bytes(), new Uint8Array(), ''],
    [types.bytes(), Uint8Array.of(0, 255), '\\x00\\xFF'],
    [types.array(types.timestamp(3)), [], '[]'],
    [types.array(types.array(types.date())), [[0, null], null], '[[1970-01-01, NULL], NULL]'],
    [types.map(types.date(), types.bytes()), new Map(), '{}'],
    [
      types.map(types.int(), types.timestamp(3)),
      new Map([
        [1, 0],
        [2, null],
      ]),
      "{1='1970-01-01 00:00:00', 2=NULL}",
    ],
    [
      types.row([{ name: 'a', type: types.array(types.row([{ name: 'b c', type: types.time(0) }])) }]),
      [[[1000], null]],
      "{'a': [{'b c': '00:00:01'}, NULL]}",
    ],
    [types.row([{ name: 'a', type: types.int() }]), null, null],
  ]
  const fields = values.map(([type], i) => ({ name: `c ${i}`, type }))
  assert.equal(parquetProblem(fields), undefined)
  const batch = batchOf(fields, [values.map(([, value]) => value), values.map(() => null)])
  writeFileSync(join(folder, 'staged'), Buffer.concat(stagedLines(fields)(batch)))
  for (const again of [false, true]) {
    // The second time as after a crash between the rename and the removal of what was staged.
    if (again) writeFileSync(join(folder, 'staged'), 'whatever')
    await finishParquet(realDisk, folder, 'staged', 'file.parquet', parquetColumns(fields))
    assert.deepEqual(readdirSync(folder), ['file.parquet'])
    const columns = fields.map(({ name }) => `"${name}"::VARCHAR`).join(', ')
    const [row, nulls] = await query(`SET TimeZone = 'UTC'; SELECT ${columns} FROM '${folder}/file.parquet'`)
    assert.deepEqual(
      row,
      values.map(([, , text]) => text),
    )
    assert.deepEqual(
      nulls,
      values.map(() => null),
    )
  }
  // What no attempt could ever convert does not get into a staged file.
  const refused: [SqlType, unknown][] = [
    [types.timestamp(9), 2n ** 63n],
    [types.map(types.string(), types.int()), new Map([[null, 1]])],
    [types.string(), 'x'.repeat(17 * 1024 * 1024)],
  ]
  for (const [type, value] of refused)
    assert.throws(() => stagedLines([{ name: 'c', type }])(batchOf([{ name: 'c', type }], [[value]])), { code: 'PARQUET_VALUE' })
  for (const type of [
    types.timestampLtz(9),
    types.multiset(types.int()),
    types.row([
      { name: 'a', type: types.int() },
      { name: 'A', type: types.int() },
    ]),
  ])
    assert.match(parquetProblem([{ name: 'c', type: types.array(type) }])!, /^column "c" has /)
  assert.match(
    parquetProblem([
      { name: 'a', type: types.int() },
      { name: 'A', type: types.int() },
    ])!,
    /differ only/,
  )
  // A file that cannot be converted is said, by its name, and stays.
  writeFileSync(join(folder, 'damaged'), 'no JSON\n')
  await assert.rejects(finishParquet(realDisk, folder, 'damaged', 'other.parquet', parquetColumns(fields)), { code: 'PARQUET_FAILED' })
  assert.deepEqual(
    readdirSync(folder)
      .filter((name) => !name.startsWith('.'))
      .sort(),
    ['damaged', 'file.parquet'],
  )
})

/** Ends the child that writes Parquet files, if there is one. */
function killChild(server: Server): boolean {
  const { pid } = server.running.child
  let isKilled = false
  try {
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)) {
      process.kill(Number(child), 'SIGKILL')
      isKilled = true
    }
  } catch {
    // It has ended by itself.
  }
  return isKilled
}

test('server and writing child killed at random: each row is in the Parquet files once', { timeout: 240_000 }, async (t: TestContext) => {
  const folder = makeProject(t, {
    'pipelines/lake.sql': `
SET 'execution.checkpointing.interval' = '100 ms';
CREATE TABLE orders (id INT, label STRING) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE lake (id INT, label STRING) WITH ('connector' = 'filesystem', 'path' = 'lake', 'format' = 'parquet');
INSERT INTO lake SELECT id, label FROM orders;`,
  })
  const lake = join(folder, 'lake')
  let next = 0
  let childKills = 0
  for (let round = 0; round < 3; round++) {
    const server = await startServer(t, folder)
    for (let batch = 0; batch < 12; batch++) {
      const rows = Array.from({ length: 50 }, (_, i) => ({ id: next + i, label: `row ${next + i}` }))
      const { status } = await server.post('orders', rows, { 'idempotency-key': `b${next}` })
      assert.equal(status, 202)
      next += 50
      await sleep(30 + ((round * 37 + batch * 53) % 90))
      if (batch % 3 === 2 && killChild(server)) childKills++
    }
    await server.running.kill('SIGKILL')
  }
  const last = await startServer(t, folder)
  const ids = async () =>
    filesIn(lake).length === 0 ? [] : (await query(`SELECT id FROM read_parquet('${lake}/*.parquet') ORDER BY id`)).map(([id]) => id)
  await until(
    async () => (await ids()).length >= next,
    () => `rows are missing: ${last.running.stderr}`,
    60_000,
  )
  await last.running.kill('SIGTERM')
  assert.deepEqual(
    await ids(),
    Array.from({ length: next }, (_, i) => i),
  )
  assert.ok(childKills > 3, `the child was killed ${childKills} times`)
  t.diagnostic(`${next} rows in ${filesIn(lake).length} files, ${childKills} kills of the child, 3 of the server`)
})
