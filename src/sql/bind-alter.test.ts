// ALTER TABLE: what a table is after it, and what it refuses.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStreamError } from '../base/index.ts'
import { formatType } from '../data/index.ts'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'

const declared = `CREATE TABLE t (id INT, k STRING, ts TIMESTAMP(3), late AS ts + INTERVAL '1' HOUR, WATERMARK FOR ts AS ts) WITH ('connector' = 'print', 'print-identifier' = '1');
CREATE TABLE u LIKE t;
CREATE VIEW v AS SELECT k FROM t;`

function altered(sql: string) {
  const bound = bindScript(`${declared}\n${sql}`, new Catalog()).at(-1)!
  assert.equal(bound.type, 'alterTable')
  const { table } = bound as { table: Extract<typeof bound, { type: 'alterTable' }>['table'] }
  return {
    columns: table.columns.map(({ name, type }) => `${name} ${formatType(type)}`),
    key: table.primaryKey?.map((at) => table.columns[at].name),
    watermark: table.watermark && table.columns[table.watermark.column].name,
    options: table.options,
    ddl: table.ddl,
  }
}

test('MODIFY keeps a comment, RENAME the text of what does not name the column', () => {
  const described = (sql: string) => {
    const table = `CREATE TABLE c (a INT COMMENT 'one', b STRING, d AS a + 1, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'print')`
    const bound = bindScript(`${table}; ${sql}; DESCRIBE c`, new Catalog()).at(-1)!
    assert.equal(bound.type, 'text')
    return (bound as { rows: string[][] }).rows
  }
  const [a] = described('ALTER TABLE c MODIFY a BIGINT')
  assert.deepEqual([a[1], a.at(-1)], ['BIGINT', 'one'])
  assert.equal(described("ALTER TABLE c MODIFY a BIGINT COMMENT 'two'")[0].at(-1), 'two')
  const renamed = described('ALTER TABLE c RENAME b TO z')
  assert.deepEqual([renamed[2][4], renamed[3][5]], ['AS a + 1', "ts - INTERVAL '5' SECOND"])
  assert.deepEqual(described('ALTER TABLE c RENAME a TO z')[2][4], 'AS (z + 1)')
})

test('columns are added, changed, moved, renamed and dropped', () => {
  assert.deepEqual(altered('ALTER TABLE t ADD (x DOUBLE FIRST, y INT AFTER id)').columns.slice(0, 4), ['x DOUBLE', 'id INT', 'y INT', 'k VARCHAR(2147483647)'])
  assert.deepEqual(altered('ALTER TABLE t MODIFY (id BIGINT NOT NULL AFTER k)').columns.slice(0, 2), ['k VARCHAR(2147483647)', 'id BIGINT NOT NULL'])
  assert.deepEqual(altered('ALTER TABLE t DROP (id, late)').columns.length, 2)
  const renamed = altered('ALTER TABLE t RENAME ts TO at_time; ALTER TABLE t ADD PRIMARY KEY (id) NOT ENFORCED')
  assert.deepEqual([renamed.watermark, renamed.key, renamed.columns[3]], ['at_time', ['id'], 'late TIMESTAMP(3)'])
  assert.match(renamed.ddl!, /^CREATE TABLE t [^;]*;\nALTER TABLE t RENAME ts TO at_time;\nALTER TABLE t ADD PRIMARY KEY/)
}) // biome-ignore format: one case a line

test('options, watermark and key are set and taken away', () => {
  assert.deepEqual(
    altered("ALTER TABLE t SET ('print-identifier' = '2', 'sink.parallelism' = '3'); ALTER TABLE t RESET ('print-identifier')").options,
    { connector: 'print', 'sink.parallelism': '3' },
  )
  assert.equal(altered('ALTER TABLE t DROP WATERMARK').watermark, undefined)
  assert.equal(altered("ALTER TABLE t MODIFY WATERMARK FOR ts AS ts - INTERVAL '5' SECOND").watermark, 'ts')
  assert.equal(altered('ALTER TABLE t ADD PRIMARY KEY (id) NOT ENFORCED; ALTER TABLE t DROP PRIMARY KEY').key, undefined)
})

for (const [sql, code, place] of [
  ['ALTER TABLE nope ADD x INT', 'SQL_TABLE_NOT_FOUND', 'nope'],
  ['ALTER TABLE v ADD x INT', 'SQL_ALTER_INVALID', 'ALTER TABLE v ADD x INT'],
  ['ALTER TABLE t ADD id INT', 'SQL_COLUMN_DUPLICATE', 'id'],
  ['ALTER TABLE t MODIFY idd INT', 'SQL_COLUMN_NOT_FOUND', 'idd'],
  ['ALTER TABLE t DROP ts', 'SQL_ALTER_INVALID', 'ALTER TABLE t DROP ts'],
  ['ALTER TABLE t RENAME id TO k', 'SQL_COLUMN_DUPLICATE', 'k'],
  ['ALTER TABLE t RENAME TO u', 'SQL_NAME_TAKEN', 'u'],
  ["ALTER TABLE t RESET ('connector')", 'SQL_ALTER_INVALID', "ALTER TABLE t RESET ('connector')"],
  ['ALTER TABLE t DROP PRIMARY KEY', 'SQL_ALTER_INVALID', 'ALTER TABLE t DROP PRIMARY KEY'],
  ['ALTER TABLE t ADD WATERMARK FOR ts AS ts', 'SQL_ALTER_INVALID', 'ALTER TABLE t ADD WATERMARK FOR ts AS ts'],
] as const)
  test(`${code}: ${sql}`, () => {
    const script = `${declared}\n${sql}`
    assert.throws(
      () => bindScript(script, new Catalog()),
      (error) => isStreamError(error) && error.code === code && script.slice(error.position!.start, error.position!.end) === place,
    )
  })

test('what LIKE took over is the table as it was, in the database where it was; it can be altered as well', () => {
  const script = (alter: string) => `CREATE DATABASE shop; USE shop;
CREATE TABLE a (id INT, k STRING, ts TIMESTAMP(3), late AS ts + INTERVAL '1' HOUR, WATERMARK FOR ts AS ts, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'print', 'print-identifier' = '1');
CREATE TABLE b (own STRING) LIKE a;
ALTER TABLE a ADD later INT; DROP TABLE a; USE default_database;
CREATE TABLE a (other STRING) WITH ('connector' = 'print');
${alter}`
  const altered = (alter: string) => {
    const bound = bindScript(script(alter), new Catalog()).at(-1)!
    assert.ok(bound.type === 'alterTable')
    const { columns, primaryKey, watermark, options } = bound.table
    return { names: columns.map(({ name }) => name).join(), key: primaryKey, watermark: watermark && columns[watermark.column].name, options }
  }
  const options = { connector: 'print', 'print-identifier': '1' }
  const same = { names: 'id,k,ts,late,own', key: [0], watermark: 'ts', options }
  assert.deepEqual(altered("ALTER TABLE shop.b SET ('sink.parallelism' = '2')"), { ...same, options: { ...options, 'sink.parallelism': '2' } })
  assert.deepEqual(altered("ALTER TABLE shop.b SET ('sink.parallelism' = '2'); ALTER TABLE shop.b RESET ('print-identifier', 'sink.parallelism')"), { ...same, options: { connector: 'print' } })
  assert.deepEqual(altered('ALTER TABLE shop.b DROP (k, late); ALTER TABLE shop.b ADD (n INT AFTER own)'), { ...same, names: 'id,ts,own,n' })
  assert.deepEqual(altered('ALTER TABLE shop.b RENAME ts TO at_time; ALTER TABLE shop.b DROP k'), { ...same, names: 'id,at_time,late,own', watermark: 'at_time' })
  assert.deepEqual(altered('ALTER TABLE shop.b DROP WATERMARK; ALTER TABLE shop.b DROP PRIMARY KEY'), { ...same, key: undefined, watermark: undefined })
  for (const [alter, reason] of [
    ['DROP ts', /watermark is on "ts"/],
    ['DROP id', /part of its primary key/],
    ['MODIFY k INT', /"k" comes from "shop.a" by LIKE/],
    ['ADD n INT FIRST', /come first/],
    ['ADD n INT AFTER k', /"k" comes from/],
    ['ADD WATERMARK FOR ts AS ts', /already/],
    ['ADD PRIMARY KEY (k) NOT ENFORCED', /already/],
    ['DROP WATERMARK; ALTER TABLE shop.b DROP ts', /computed from "ts"/],
  ] as const)
    assert.throws(() => altered(`ALTER TABLE shop.b ${alter}`), reason, alter)
}) // biome-ignore format: one case a line
