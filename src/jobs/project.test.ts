import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bindProject, dropNotices, tableErrors } from './project.ts'
import { bindRecordQuery } from './records.ts'

const source = "CREATE TABLE t (k STRING, n INT) WITH ('connector' = 'kafka');"
const live = (name: string, from: string) => `CREATE MATERIALIZED TABLE ${name} AS SELECT k, COUNT(*) AS c FROM ${from} GROUP BY k;`
const bind = (texts: Record<string, string>) => bindProject(Object.entries(texts).map(([name, text]) => ({ name, text })))

test('files may be in any order: a table may be declared in a later one, also across several', () => {
  const project = bind({
    'a.sql': live('a', 'v'),
    'b.sql': `CREATE VIEW v AS SELECT k FROM t WHERE n > 0; ${live('b', 't')}`,
    'c.sql': source,
  })
  assert.deepEqual(project.errors, [])
  assert.deepEqual(project.queries.map(({ id }) => id).sort(), ['a', 'b'])
})

test('what is nowhere is said for its file, with the place; what stands before it, and other files, go on', () => {
  const project = bind({ 'a.sql': `${source}\n${live('a', 't')}\n${live('wrong', 'nowhere')}`, 'b.sql': live('b', 't'), 'c.sql': 'SELECT' })
  assert.deepEqual(
    project.errors.map(({ file, error }) => [file, error.code, error.position?.line]),
    [
      ['a.sql', 'SQL_TABLE_NOT_FOUND', 3],
      ['c.sql', 'SQL_SYNTAX', 1],
    ],
  )
  assert.deepEqual(project.queries.map(({ id }) => id).sort(), ['a', 'b'])
})

test('a topic with a format that is not here is said for its file, whether or not a query reads it; all else goes on', () => {
  const project = bind({
    'a.sql': source,
    'b.sql': `CREATE TABLE o (k STRING) WITH ('connector' = 'kafka', 'format' = 'avro-confluent', 'avro-confluent.url' = 'http://127.0.0.1:8081');
      CREATE TABLE p (k STRING) WITH ('connector' = 'kafka', 'key.fields' = 'x'); CREATE TABLE q (k STRING) WITH ('connector' = 'filesystem', 'path' = 'q', 'format' = 'orc');
      ${live('b', 't')}`,
    'c.sql':
      "CREATE TABLE r LIKE o; CREATE TABLE s LIKE o; ALTER TABLE s SET ('format' = 'json'); ALTER TABLE s RESET ('avro-confluent.url');",
  })
  assert.deepEqual(project.errors, [])
  assert.deepEqual(
    tableErrors(project).map(({ file, error }) => [file, error.code, error.params.table, error.params.value]),
    [
      ['b.sql', 'TABLE_OPTION_INVALID', 'o', 'avro-confluent'],
      ['b.sql', 'TABLE_OPTION_INVALID', 'p', 'x'],
      ['c.sql', 'TABLE_OPTION_INVALID', 'r', 'avro-confluent'],
    ],
  )
  assert.deepEqual(
    project.queries.map(({ id }) => id),
    ['b'],
  )
})

test('two files that wait for one another, and a table that is declared twice', () => {
  const circle = bind({ 'a.sql': 'CREATE VIEW a AS SELECT * FROM b;', 'b.sql': 'CREATE VIEW b AS SELECT * FROM a;' })
  assert.deepEqual(
    circle.errors.map(({ error }) => error.code),
    ['SQL_TABLE_NOT_FOUND', 'SQL_TABLE_NOT_FOUND'],
  )
  const twice = bind({ 'a.sql': `${source}\n${live('a', 't')}`, 'b.sql': live('a', 't') })
  assert.equal(twice.errors.length, 1)
  assert.equal(twice.errors[0].file, 'b.sql')
})

test('windows are in the configured time zone, unless the SQL sets another', () => {
  const sql = `CREATE TABLE t (rt TIMESTAMP_LTZ(3), WATERMARK FOR rt AS rt);
    CREATE MATERIALIZED TABLE days AS
    SELECT window_start, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(rt), INTERVAL '1' DAY)) GROUP BY window_start, window_end;`
  const zoneOf = (texts: string[]) => {
    const files = texts.map((text, index) => ({ name: `${index}.sql`, text }))
    return /"timeZone":"([^"]*)"/.exec(JSON.stringify(bindProject(files, 'Europe/Berlin').queries[0].plan))?.[1]
  }
  assert.equal(zoneOf([sql]), 'Europe/Berlin')
  assert.equal(zoneOf([`SET 'table.local-time-zone' = 'Asia/Tokyo'; ${sql}`]), 'Asia/Tokyo')
  assert.equal(zoneOf([`SET 'table.local-time-zone' = 'default'; ${sql}`]), 'Europe/Berlin')
})

test('CREATE TABLE AS runs its query; CREATE OR REPLACE TABLE AS takes the place of a table', () => {
  const project = bind({
    'a.sql': `${source} CREATE TABLE copy (note STRING) AS SELECT k, n FROM t; CREATE OR REPLACE TABLE copy AS SELECT n FROM t;`,
  })
  assert.deepEqual(project.errors, [])
  assert.deepEqual(
    project.queries.map(({ id, plan }) => [id, plan.fields.map(({ name }) => name)]),
    [
      ['insert_into_copy', ['note', 'k', 'n']],
      ['insert_into_copy_2', ['n']],
    ],
  )
  assert.deepEqual(
    project.tables.map(({ name, columns }) => [name, columns.length]),
    [
      ['t', 2],
      ['copy', 1],
    ],
  )
})

test('DROP: a materialized table ends with its query, queries over a table go on; what is declared again is there again', () => {
  const declared = `${source} CREATE TABLE copies (k STRING) WITH ('connector' = 'kafka');
    INSERT INTO copies SELECT k FROM t; ${live('a', 't')} ${live('b', 'a')}`
  const drops = bind({ 'a.sql': declared, 'b.sql': 'DROP TABLE t; DROP TABLE copies; DROP MATERIALIZED TABLE a;' })
  assert.deepEqual(drops.errors, [])
  assert.deepEqual(
    drops.queries.map(({ id }) => id),
    ['insert_into_copies', 'b'],
  )
  assert.deepEqual(drops.tables, [])
  assert.deepEqual(dropNotices(drops), [
    'b.sql drops the table t: insert_into_copies, b go on with it as it was, and its topic stays, without a front door',
    'b.sql drops the table copies: insert_into_copies goes on with it as it was, and its topic stays, without a front door',
    'b.sql drops the materialized table a: its query does not run',
  ])
  const again = bind({ 'a.sql': `${declared} DROP TABLE t; ${source} DROP MATERIALIZED TABLE a; ${live('a', 't')}` })
  assert.deepEqual([again.errors, dropNotices(again), again.tables.length, again.queries.length], [[], [], 2, 3])
  const database = bind({ 'a.sql': `CREATE DATABASE d; CREATE TABLE d.t (k STRING); ${live('a', 'd.t')} DROP DATABASE d CASCADE;` })
  assert.deepEqual(dropNotices(database), [
    'a.sql drops the table d.t: a goes on with it as it was, and its topic stays, without a front door',
  ])
})

const orders = "CREATE TABLE orders (k STRING) WITH ('connector' = 'kafka');"
const letters = 'CREATE DATABASE orders; CREATE TABLE orders.invalid (k STRING);'
const readsLetters = "CREATE TABLE bad (v STRING) WITH ('topic' = 'orders.invalid', 'format' = 'raw');"
const lateSource = "CREATE TABLE s (k STRING) WITH ('millrace.late-rows.topic' = 'late');"
for (const [what, sql, table] of [
  ['by its name, after', `${orders} ${letters}`, 'orders.invalid'],
  ['by its name, before', `${letters} ${orders.replaceAll('orders', '`default_catalog`.`default_database`.orders')}`, 'orders.invalid'],
  ['renamed', `${orders} CREATE TABLE x (k STRING); ALTER TABLE x RENAME TO \`orders.invalid\`;`, 'orders.invalid'],
  ['topic set', "CREATE TABLE `x.invalid` (k STRING); CREATE TABLE y (k STRING) WITH ('topic' = 'x');", 'x.invalid'],
  ['written to', `${orders} ${source} ${readsLetters} INSERT INTO bad SELECT k FROM t;`, 'bad'],
  ['written to, before', `${source} ${readsLetters} INSERT INTO bad SELECT k FROM t; ${orders}`, 'bad'],
  ['late rows among letters', `${orders} ${lateSource.replace("'late'", "'orders.invalid'")}`, 's'],
  ['late rows among letters, before', `${lateSource.replace("'late'", "'orders.invalid'")} ${orders}`, 's'],
  ['late rows among output', `${source} ${lateSource} CREATE TABLE late (k STRING); INSERT INTO late SELECT k FROM t;`, 'late'],
  ['late rows of a materialized table among letters', `${orders} ${source} CREATE MATERIALIZED TABLE m WITH ('millrace.late-rows.topic' = 'orders.invalid') AS SELECT k, COUNT(*) AS c FROM t GROUP BY k;`, 'm'],
  ["the server's own", "CREATE TABLE x (v STRING) WITH ('topic' = '__transaction_state', 'format' = 'raw');", 'x'],
  ["late rows among the server's own", "CREATE TABLE x (v STRING) WITH ('millrace.late-rows.topic' = '__late');", 'x'],
] as const) // biome-ignore format: one case a line
  test(`no table takes the topic of another's dead letters or late rows: ${what}`, () => {
    const { errors } = bind({ 'a.sql': sql })
    assert.deepEqual(
      errors.map(({ error }) => [error.code, error.params.table]),
      [['TOPIC_TAKEN', table]],
    )
    assert.equal(errors[0].error.position?.line, 1)
  })

test('dead letters and late rows can be read as tables; a name is free where nothing else needs it', () => {
  const reads = `${orders} ${readsLetters} ${lateSource} CREATE TABLE late (k STRING); ${live('a', 'late')}`
  assert.deepEqual(bind({ 'a.sql': reads }).errors, [])
  assert.deepEqual(bind({ 'a.sql': letters }).errors, [])
})

test('a look at records runs no function of the project: it would run in the thread that serves everybody', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-project-'))
  try {
    writeFileSync(join(folder, 'own.ts'), 'export const own = (text: string) => text')
    const text = `CREATE FUNCTION own (text STRING) RETURNS STRING LANGUAGE TYPESCRIPT AS 'own.ts';
CREATE TABLE e (k STRING, o AS own(k)) WITH ('connector' = 'kafka', 'topic' = 'e', 'format' = 'json');`
    const { tables, errors } = bindProject([{ name: 'e.sql', text, folder }])
    assert.deepEqual(errors, [])
    assert.throws(() => bindRecordQuery('e', tables[0], { where: "o = 'a'" }, 'UTC'), { code: 'RECORDS_OWN_FUNCTION', httpStatus: 400 })
    bindRecordQuery('e', tables[0], { where: "k = 'a'" }, 'UTC')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
