import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindProject } from './project.ts'

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
