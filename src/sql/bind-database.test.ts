// Databases: what plain and qualified names mean, what a view's names mean, and what may be dropped.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStreamError } from '../base/index.ts'
import { bindScript } from './bind.ts'
import { applyStatement, Catalog } from './catalog.ts'
import { explainPlan } from './explain.ts'

const columns = "(id INT) WITH ('connector' = 'kafka')"
function catalogOf(...scripts: string[]): Catalog {
  const catalog = new Catalog()
  for (const script of scripts) for (const bound of bindScript(script, catalog)) applyStatement(bound, catalog)
  return catalog
}
const scanned = (catalog: Catalog, sql: string): string[] => {
  const bound = bindScript(sql, catalog).at(-1)!
  assert.equal(bound.type, 'query')
  return [...explainPlan((bound as { query: Parameters<typeof explainPlan>[0] }).query).matchAll(/scan (\S+)/g)].map(([, name]) => name)
}
const shown = (catalog: Catalog, sql: string): string[] => {
  const bound = bindScript(sql, catalog).at(-1)!
  return bound.type === 'text' ? bound.rows.map(([name]) => name) : []
}
const codeOf = (catalog: Catalog, sql: string): string => {
  try {
    bindScript(sql, catalog)
  } catch (error) {
    if (isStreamError(error)) return error.code
    throw error
  }
  return 'none'
}
const shop = () =>
  catalogOf(
    `CREATE TABLE t ${columns}; CREATE DATABASE shop COMMENT 'orders'; CREATE TABLE shop.t ${columns}; USE shop; CREATE TABLE own ${columns};
     CREATE VIEW both_of AS SELECT own.id FROM own JOIN t ON own.id = t.id; USE default_database;`,
  )

test('plain names are of the current database, qualified ones of theirs', () => {
  const catalog = shop()
  for (const name of ['t', 'default_database.t', 'default_catalog.default_database.t']) assert.deepEqual(scanned(catalog, `SELECT * FROM ${name};`), ['t']) // biome-ignore format: one thought
  for (const name of ['shop.t', 'default_catalog.shop.t']) assert.deepEqual(scanned(catalog, `SELECT * FROM ${name};`), ['shop.t'])
  assert.deepEqual(scanned(catalog, 'USE default_catalog.shop; SELECT * FROM t, default_database.t AS u;'), ['shop.t', 't'])
  assert.deepEqual(scanned(catalog, 'USE shop; USE CATALOG default_catalog; SELECT * FROM t;'), ['shop.t'])
  assert.deepEqual(scanned(catalog, 'WITH t AS (SELECT * FROM shop.t) SELECT t.id FROM t;'), ['shop.t'])
  assert.equal(codeOf(catalog, 'SELECT * FROM own;'), 'SQL_TABLE_NOT_FOUND')
  assert.equal(codeOf(catalog, 'SELECT * FROM other_catalog.shop.t;'), 'SQL_TABLE_NOT_FOUND')
})

test('names in a view are those of where it was made', () => {
  assert.deepEqual(scanned(shop(), 'SELECT * FROM shop.both_of;').sort(), ['shop.own', 'shop.t'])
})

test('SHOW lists what is in a database', () => {
  const catalog = shop()
  assert.deepEqual(shown(catalog, 'SHOW TABLES;'), ['t'])
  assert.deepEqual(shown(catalog, 'SHOW TABLES FROM shop;'), ['both_of', 'own', 't'])
  assert.deepEqual(shown(catalog, "SHOW VIEWS IN shop LIKE 'b%';"), ['both_of'])
  assert.deepEqual(shown(catalog, 'SHOW DATABASES;'), ['default_database', 'shop'])
  assert.deepEqual(shown(catalog, 'USE shop; SHOW CURRENT DATABASE;'), ['shop'])
  assert.equal(codeOf(catalog, 'SHOW TABLES FROM shopp;'), 'SQL_DATABASE_NOT_FOUND')
})

test('a database with something in it, the current and the default one are not dropped by the way', () => {
  const catalog = shop()
  const codes: [string, string][] = [
    ['DROP DATABASE shop;', 'SQL_DATABASE_IN_USE'],
    ['DROP DATABASE shop RESTRICT;', 'SQL_DATABASE_IN_USE'],
    ['USE shop; DROP DATABASE shop CASCADE;', 'SQL_DATABASE_IN_USE'],
    ['DROP DATABASE default_database CASCADE;', 'SQL_DATABASE_IN_USE'],
    ['DROP DATABASE nothing;', 'SQL_DATABASE_NOT_FOUND'],
    ['DROP DATABASE IF EXISTS nothing;', 'none'],
    ['CREATE DATABASE shop;', 'SQL_NAME_TAKEN'],
    ['CREATE DATABASE IF NOT EXISTS shop;', 'none'],
    ['CREATE DATABASE other_catalog.shop;', 'SQL_OBJECT_NOT_FOUND'],
    [`CREATE TABLE nothing.t ${columns};`, 'SQL_DATABASE_NOT_FOUND'],
    [`CREATE TABLE shop.t ${columns};`, 'SQL_NAME_TAKEN'],
    ['USE nothing;', 'SQL_DATABASE_NOT_FOUND'],
    ['ALTER TABLE shop.own RENAME TO shop.t;', 'SQL_NAME_TAKEN'],
  ]
  for (const [sql, code] of codes) assert.equal(codeOf(catalog, sql), code, sql)
  for (const bound of bindScript('DROP DATABASE shop CASCADE;', catalog)) applyStatement(bound, catalog)
  assert.deepEqual(catalog.names(), ['t'])
  assert.deepEqual(catalog.databaseNames(), ['default_database'])
})

test('a view is renamed, or gets another query, with the columns of that', () => {
  const catalog = shop()
  const alter = (sql: string) => {
    for (const bound of bindScript(sql, catalog)) applyStatement(bound, catalog)
  }
  alter('ALTER VIEW shop.both_of RENAME TO renamed;')
  assert.deepEqual(shown(catalog, 'SHOW VIEWS FROM shop;'), ['renamed'])
  assert.deepEqual(scanned(catalog, 'SELECT * FROM shop.renamed;').sort(), ['shop.own', 'shop.t'])
  alter('ALTER VIEW shop.renamed AS SELECT id AS a, id + 1 AS b FROM t;')
  assert.deepEqual(shown(catalog, 'DESCRIBE shop.renamed;'), ['a', 'b'])
  assert.deepEqual(scanned(catalog, 'SELECT b FROM shop.renamed;'), ['t'])
  const codes: [string, string][] = [
    ['ALTER VIEW t RENAME TO u;', 'SQL_OBJECT_NOT_FOUND'],
    ['ALTER VIEW nothing AS SELECT 1;', 'SQL_OBJECT_NOT_FOUND'],
    ['ALTER VIEW shop.renamed RENAME TO t;', 'SQL_NAME_TAKEN'],
    ['ALTER VIEW shop.renamed AS SELECT nothing FROM t;', 'SQL_COLUMN_NOT_FOUND'],
    ['ALTER VIEW IF EXISTS renamed RENAME TO u;', 'SQL_SYNTAX'],
    ['CREATE OR ALTER VIEW m AS SELECT 1 AS a;', 'SQL_NOT_SUPPORTED'],
    ['ALTER MATERIALIZED TABLE m AS SELECT 1 AS a;', 'SQL_NOT_SUPPORTED'],
  ]
  for (const [sql, code] of codes) assert.equal(codeOf(catalog, sql), code, sql)
})

test('a name has one meaning, whatever dots are in it', () => {
  const catalog = catalogOf(`CREATE DATABASE shop; CREATE TABLE shop.t ${columns}; CREATE TABLE \`other.t\` ${columns};`)
  assert.equal(codeOf(catalog, 'CREATE DATABASE `a.b`;'), 'SQL_NOT_SUPPORTED')
  assert.equal(codeOf(catalog, 'CREATE DATABASE other;'), 'SQL_NAME_TAKEN')
  assert.equal(codeOf(catalog, `CREATE TABLE \`shop.u\` ${columns};`), 'SQL_NAME_TAKEN')
  assert.equal(codeOf(catalog, `CREATE TABLE default_database.\`shop.u\` ${columns};`), 'SQL_NAME_TAKEN')
  assert.equal(codeOf(catalog, `CREATE TABLE shop.\`u.v\` ${columns};`), 'none')
})

test('a table that is renamed stays in its database, a view is shown as it can be made again', () => {
  const catalog = shop()
  for (const bound of bindScript('ALTER TABLE shop.t RENAME TO u;', catalog)) applyStatement(bound, catalog)
  assert.deepEqual(catalog.names().sort(), ['shop.both_of', 'shop.own', 'shop.u', 't'])
  const [shownView] = shown(catalog, 'SHOW CREATE VIEW shop.both_of;')
  assert.match(shownView, /^CREATE VIEW `shop`\.`both_of` \(`id`\) AS\n/)
})

test('a function is in no database, whatever stands before its name', () => {
  const catalog = catalogOf(
    "CREATE DATABASE shop; CREATE FUNCTION shop.twice(n INT) RETURNS INT AS 'twice.ts'; CREATE TABLE t (id INT) WITH ('connector' = 'kafka');",
  )
  assert.equal(codeOf(catalog, 'SELECT twice(id), shop.twice(id) FROM t;'), 'none')
  assert.equal(codeOf(catalog, 'DROP FUNCTION shop.twice;'), 'none')
  assert.equal(codeOf(catalog, 'DROP FUNCTION thrice;'), 'SQL_OBJECT_NOT_FOUND')
})
