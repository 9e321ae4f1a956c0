// Which columns are in a record's key and value, and options that do not fit. test/formats.test.ts has the records themselves.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TableDef } from '../sql/index.ts'
import { bindProject } from './project.ts'
import { recordShapeOf, sinkParts } from './recordShape.ts'

const columns = '`id` BIGINT, k_a STRING, k_b STRING, v BIGINT'
function tableOf(options: string, declared = columns): TableDef {
  const sql = `CREATE TABLE t (${declared}) WITH ('connector' = 'kafka', 'topic' = 't', ${options});`
  const { tables, errors } = bindProject([{ name: 't.sql', text: sql }])
  assert.deepEqual(errors, [])
  return tables[0]
}

test('keys and values have the columns that the options say', () => {
  const all = recordShapeOf(tableOf("'format' = 'json', 'key.fields' = 'k_b;k_a'"))
  assert.deepEqual([all.keyColumns, all.keyNames, all.valueColumns, all.keyFormat], [[2, 1], ['k_b', 'k_a'], [0, 1, 2, 3], 'json'])
  const prefix =
    "'key.fields' = 'k_a;k_b', 'key.fields-prefix' = 'k_', 'value.fields-include' = 'EXCEPT_KEY', 'key.format' = 'csv', 'value.format' = 'csv'"
  const apart = recordShapeOf(tableOf(prefix))
  assert.deepEqual([apart.keyNames, apart.valueColumns, apart.keyFormat, apart.valueFormat], [['a', 'b'], [0, 3], 'csv', 'csv'])
})

test('what a sink writes: columns by their place in the query, its own timestamp and headers', () => {
  const declared =
    "ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', v BIGINT, o BIGINT METADATA FROM 'offset' VIRTUAL, k STRING, headers MAP<STRING, BYTES> METADATA"
  const parts = sinkParts(
    tableOf("'format' = 'json', 'key.fields' = 'k', 'key.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY'", declared),
  )
  assert.deepEqual([parts.timestampColumn, parts.headersColumn, parts.value.columns, parts.key?.columns], [0, 3, [1], [2]])
})

test('options that do not fit are refused with what is expected', () => {
  const cases: [options: string, code: string, text: RegExp, declared?: string][] = [
    ["'format' = 'xml'", 'TABLE_OPTION_INVALID', /'json', 'csv' or 'raw'/],
    ["'format' = 'json', 'key.fields' = 'nope'", 'TABLE_OPTION_INVALID', /"nope" is none/],
    ["'format' = 'json', 'key.fields' = 'k_a', 'key.fields-prefix' = 'k_'", 'TABLE_OPTION_INVALID', /EXCEPT_KEY/],
    [
      "'format' = 'json', 'key.fields' = 'id', 'key.fields-prefix' = 'k_', 'value.fields-include' = 'EXCEPT_KEY'",
      'TABLE_OPTION_INVALID',
      /prefix of every column/,
    ],
    ["'format' = 'json', 'value.fields-include' = 'SOME'", 'TABLE_OPTION_INVALID', /'ALL' or 'EXCEPT_KEY'/],
    ["'format' = 'json', 'key.fields' = 'k_a;k_b', 'key.format' = 'raw'", 'TABLE_OPTION_INVALID', /raw holds one column/],
    ["'format' = 'raw'", 'TABLE_OPTION_INVALID', /raw writes one/],
    ["'format' = 'json'", 'SINK_METADATA_READ_ONLY', /METADATA VIRTUAL/, "id BIGINT, o BIGINT METADATA FROM 'offset'"],
  ]
  for (const [options, code, text, declared] of cases) {
    assert.throws(
      () => sinkParts(tableOf(options, declared)),
      (error: { code: string; message: string; hint: string }) => error.code === code && text.test(`${error.message} ${error.hint}`),
      options,
    )
  }
})
