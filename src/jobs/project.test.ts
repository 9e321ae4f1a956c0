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
