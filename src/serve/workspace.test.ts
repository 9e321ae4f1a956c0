// What an editor is told of a script whose declarations run already. The workspace over HTTP is in test/workspace.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyStatement, bindScript, Catalog } from '../sql/index.ts'
import { checkScript } from './workspace.ts'

test('a script may declare again what runs: databases and functions, too', () => {
  const script = `CREATE DATABASE shop; USE shop; CREATE TABLE t (n INT) WITH ('connector' = 'kafka');
    CREATE FUNCTION twice(n INT) RETURNS INT AS 'twice.ts'; CREATE VIEW v AS SELECT twice(n) AS n FROM t;`
  const running = new Catalog()
  for (const bound of bindScript(script, running)) applyStatement(bound, running)
  running.currentDatabase = 'default_database'
  const { errors, statements } = checkScript(script, running)
  assert.deepEqual(errors, [])
  assert.equal(statements.length, 5)
  assert.deepEqual(running.names(), ['shop.t', 'shop.v'])
})
