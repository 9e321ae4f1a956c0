// Parquet files of the files sink as others read them: pyarrow, which pyiceberg and pandas read with.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { makeProject, startServer, until } from '../harness.ts'

const script = resolve(import.meta.dirname, 'servers/python.sh')
const pythonMissing = spawnSync(script, ['has']).status === 0 ? undefined : 'no pyarrow: run test/compat/servers/python.sh setup'

test('pyarrow reads the types that SQL has, and the values', { skip: pythonMissing }, async (t) => {
  const folder = makeProject(t, {
    'pipelines/lake.sql': `
SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE source (id BIGINT, amount DECIMAL(38, 18), label STRING) WITH ('connector' = 'kafka', 'topic' = 'source', 'format' = 'json');
CREATE TABLE lake (id BIGINT NOT NULL, tiny TINYINT, small SMALLINT, num INT, f FLOAT, d DOUBLE, yes BOOLEAN, amount DECIMAL(38, 18), price DECIMAL(9, 2),
  born DATE, clock TIME(3), at3 TIMESTAMP(3), at6 TIMESTAMP(6), at9 TIMESTAMP(9), utc TIMESTAMP_LTZ(3), bin BYTES, list ARRAY<DATE>,
  named MAP<STRING, DECIMAL(5, 1)>, pair ROW<a INT, \`b c\` ROW<x STRING>>, code CHAR(3), label STRING, nothing INT)
WITH ('connector' = 'filesystem', 'path' = 'lake', 'format' = 'parquet');
INSERT INTO lake SELECT id, CAST(-7 AS TINYINT), CAST(-300 AS SMALLINT), 70000, CAST(0.5 AS FLOAT), CAST(0.1 AS DOUBLE), FALSE, amount, CAST(amount / 1e18 AS DECIMAL(9, 2)),
  DATE '1969-12-31', TIME '12:34:56.789', TIMESTAMP '2026-01-01 00:00:00.123', CAST(TIMESTAMP '2026-01-01 00:00:00.123456' AS TIMESTAMP(6)),
  CAST(TIMESTAMP '2026-01-01 00:00:00.123456789' AS TIMESTAMP(9)), TO_TIMESTAMP_LTZ(1700000000123, 3), CAST(label AS BYTES),
  ARRAY[DATE '2024-02-29', CAST(NULL AS DATE)], MAP['k', CAST(1.5 AS DECIMAL(5, 1))], CAST(ROW(1, ROW('it''s')) AS ROW<a INT, \`b c\` ROW<x STRING>>),
  CAST('abc' AS CHAR(3)), label, CAST(NULL AS INT) FROM source;`,
  })
  const server = await startServer(t, folder)
  const posted = await server.post(
    'source',
    '{"id":9223372036854775807,"amount":12345678901234567890.123456789012345678,"label":"\u2603 \u00e9"}',
  )
  assert.equal(posted.status, 202, JSON.stringify(posted.body))
  const lake = join(folder, 'lake')
  await until(
    () => existsSync(lake) && readdirSync(lake).some((name) => /^[^.].*\.parquet$/.test(name)),
    () => `no file: ${server.running.output}`,
    60_000,
  )
  await server.running.kill('SIGTERM')
  const { status, stdout, stderr } = spawnSync(script, ['run', resolve(import.meta.dirname, 'servers/python/parquet_test.py'), lake], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  const { codecs, schema, rows } = JSON.parse(stdout.replace('9223372036854775807', '"9223372036854775807"'))
  assert.deepEqual(codecs, ['ZSTD'])
  assert.deepEqual(schema, {
    id: 'int64',
    tiny: 'int8',
    small: 'int16',
    num: 'int32',
    f: 'float',
    d: 'double',
    yes: 'bool',
    amount: 'decimal128(38, 18)',
    price: 'decimal128(9, 2)',
    born: 'date32[day]',
    clock: 'time64[us]',
    at3: 'timestamp[us]',
    at6: 'timestamp[us]',
    at9: 'timestamp[ns]',
    utc: 'timestamp[us, tz=UTC]',
    bin: 'binary',
    list: 'list<element: date32[day]>',
    named: "map<string, decimal128(5, 1) ('named')>",
    pair: 'struct<a: int32, b c: struct<x: string>>',
    code: 'string',
    label: 'string',
    nothing: 'int32',
  })
  assert.deepEqual(rows, [
    {
      id: '9223372036854775807',
      tiny: -7,
      small: -300,
      num: 70_000,
      f: 0.5,
      d: 0.1,
      yes: false,
      amount: '12345678901234567890.123456789012345678',
      price: '12.35',
      born: '1969-12-31',
      clock: '12:34:56.789000',
      at3: '2026-01-01 00:00:00.123000',
      at6: '2026-01-01 00:00:00.123456',
      at9: '2026-01-01 00:00:00.123456789',
      utc: '2023-11-14 22:13:20.123000+00:00',
      bin: 'e2988320c3a9',
      list: ['2024-02-29', null],
      named: [['k', '1.5']],
      pair: { a: 1, 'b c': { x: "it's" } },
      code: 'abc',
      label: '\u2603 \u00e9',
      nothing: null,
    },
  ])
})
