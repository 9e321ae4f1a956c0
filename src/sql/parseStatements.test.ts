import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatType } from '../data/index.ts'
import type { Statement } from './ast.ts'
import { parseStatement, parseType } from './parse.ts'
import { listed, plain } from './parseTesting.ts'

const statement = <T extends Statement['type']>(sql: string, type: T) => {
  const found = parseStatement(sql)
  assert.equal(found.type, type, sql)
  return found as Statement & { type: T }
}
const options = (items: { key: string; value: string }[]) => items.map((item) => `${item.key}=${item.value}`)

test('types', () => {
  for (const [sql, expected] of [
    ['STRING', 'VARCHAR(2147483647)'],
    ['VARCHAR', 'VARCHAR(2147483647)'],
    ['CHARACTER VARYING(5) NOT NULL', 'VARCHAR(5) NOT NULL'],
    ['CHAR', 'CHAR(1)'],
    ['BYTES', 'VARBINARY(2147483647)'],
    ['BINARY(4)', 'BINARY(4)'],
    ['INTEGER NULL', 'INT'],
    ['DOUBLE PRECISION', 'DOUBLE'],
    ['DEC', 'DECIMAL(10, 0)'],
    ['NUMERIC(38, 38)', 'DECIMAL(38, 38)'],
    ['TIME', 'TIME(0)'],
    ['TIMESTAMP', 'TIMESTAMP(6)'],
    ['TIMESTAMP(3) WITHOUT TIME ZONE', 'TIMESTAMP(3)'],
    ['TIMESTAMP(9) WITH LOCAL TIME ZONE', 'TIMESTAMP(9) WITH LOCAL TIME ZONE'],
    ['TIMESTAMP_LTZ(3) NOT NULL', 'TIMESTAMP(3) WITH LOCAL TIME ZONE NOT NULL'],
    ['INTERVAL DAY(3) TO SECOND(3)', 'INTERVAL SECOND(3)'],
    ['INTERVAL MONTH', 'INTERVAL MONTH'],
    ['ARRAY<INT NOT NULL>', 'ARRAY<INT NOT NULL>'],
    ['INT NOT NULL ARRAY NOT NULL MULTISET', 'MULTISET<ARRAY<INT NOT NULL> NOT NULL>'],
    ['MAP<STRING, ARRAY<ARRAY<BIGINT>>>', 'MAP<VARCHAR(2147483647), ARRAY<ARRAY<BIGINT>>>'],
    ["ROW<a INT 'note', `b c` ROW(d DATE NOT NULL) NOT NULL>", 'ROW<`a` INT, `b c` ROW<`d` DATE NOT NULL> NOT NULL>'],
  ] as const)
    assert.equal(formatType(parseType(sql)), expected, sql)
  for (const [sql, code] of [
    ['STRIN', 'SQL_TYPE_UNKNOWN'],
    ['DECIMAL(39)', 'SQL_TYPE_INVALID'],
    ['DECIMAL(5, 6)', 'SQL_TYPE_INVALID'],
    ['VARCHAR(0)', 'SQL_TYPE_INVALID'],
    ['ROW<x INT, y INT, x INT>', 'SQL_TYPE_INVALID'],
    ['NULL', 'SQL_TYPE_UNKNOWN'],
    ['TIMESTAMP(10)', 'SQL_LITERAL_INVALID'],
    ["RAW('a', 'b')", 'SQL_NOT_SUPPORTED'],
    ['TIMESTAMP WITH TIME ZONE', 'SQL_NOT_SUPPORTED'],
    ['ROW<>', 'SQL_SYNTAX'],
  ] as const)
    assert.throws(() => parseType(sql), { code }, sql)
})

test('CREATE TABLE with everything', () => {
  const table = statement(
    `CREATE TEMPORARY TABLE IF NOT EXISTS c.d.orders (
      id BIGINT NOT NULL COMMENT 'the id',
      item ROW<sku STRING, price DECIMAL(10, 2)>,
      ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
      part INT METADATA,
      total AS item.price * 2 COMMENT 'twice',
      proc AS PROCTIME(),
      WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
      CONSTRAINT pk PRIMARY KEY (id, part) NOT ENFORCED
    ) COMMENT 'all orders' PARTITIONED BY (part) WITH ('connector' = 'kafka', 'topic' = 'it''s')
    LIKE base (INCLUDING ALL OVERWRITING OPTIONS EXCLUDING WATERMARKS)`,
    'createTable',
  )
  assert.equal(plain(table.name), 'c.d.orders')
  assert.deepEqual([table.temporary, table.ifNotExists, table.comment], [true, true, 'all orders'])
  assert.deepEqual(
    table.columns.map((column) => [
      column.kind,
      column.name.name,
      column.kind === 'computed' ? listed(column.expression) : formatType(column.type.type),
      column.comment,
    ]),
    [
      ['physical', 'id', 'BIGINT NOT NULL', 'the id'],
      ['physical', 'item', 'ROW<`sku` VARCHAR(2147483647), `price` DECIMAL(10, 2)>', undefined],
      ['metadata', 'ts', 'TIMESTAMP(3) WITH LOCAL TIME ZONE', undefined],
      ['metadata', 'part', 'INT', undefined],
      ['computed', 'total', '(* item.price 2)', 'twice'],
      ['computed', 'proc', '(PROCTIME)', undefined],
    ],
  )
  assert.deepEqual(
    table.columns.flatMap((column) => (column.kind === 'metadata' ? [[column.from, column.virtual]] : [])),
    [
      ['timestamp', true],
      [undefined, false],
    ],
  )
  assert.equal(plain(table.watermark!.column), 'ts')
  assert.equal(listed(table.watermark!.expression), "(- ts INTERVAL '5' SECOND)")
  assert.deepEqual(plain(table.primaryKey), ['id', 'part'])
  assert.deepEqual(plain(table.partitionedBy), ['part'])
  assert.deepEqual(options(table.options), ['connector=kafka', "topic=it's"])
  assert.deepEqual(plain(table.like), {
    table: 'base',
    options: [
      { mode: 'INCLUDING', what: 'ALL' },
      { mode: 'OVERWRITING', what: 'OPTIONS' },
      { mode: 'EXCLUDING', what: 'WATERMARKS' },
    ],
  })
  const short = statement('CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED, b STRING)', 'createTable')
  assert.deepEqual(
    short.columns.map((column) => column.kind === 'physical' && column.primaryKey),
    [true, false],
  )
  assert.equal(statement("CREATE TABLE t WITH ('connector' = 'print') AS SELECT 1 AS a", 'createTable').query?.type, 'select')
})

test('CREATE of other things', () => {
  const table = statement(
    `CREATE MATERIALIZED TABLE m (PRIMARY KEY (k) NOT ENFORCED) COMMENT 'c' PARTITIONED BY (p) WITH ('a' = 'b')
     FRESHNESS = INTERVAL '1' SECOND REFRESH_MODE = CONTINUOUS AS SELECT k, p FROM t`,
    'createMaterializedTable',
  )
  assert.deepEqual(
    [plain(table.primaryKey), plain(table.partitionedBy), table.comment, table.refreshMode],
    [['k'], ['p'], 'c', 'CONTINUOUS'],
  )
  assert.equal(listed(table.freshness), "INTERVAL '1' SECOND")
  assert.equal(statement('CREATE OR ALTER MATERIALIZED TABLE m AS SELECT 1 AS a', 'createMaterializedTable').name.parts[0].name, 'm')
  assert.deepEqual(plain(statement('CREATE MATERIALIZED TABLE m (a, b) AS SELECT 1, 2', 'createMaterializedTable').columns), ['a', 'b'])
  const view = statement("CREATE TEMPORARY VIEW IF NOT EXISTS v (a, b) COMMENT 'x' AS SELECT 1, 2 UNION SELECT 3, 4", 'createView')
  assert.deepEqual([view.temporary, view.ifNotExists, plain(view.columns), view.query.type], [true, true, ['a', 'b'], 'setOperation'])
  const fn = statement("CREATE TEMPORARY SYSTEM FUNCTION f AS 'udf.js' LANGUAGE PYTHON", 'createFunction')
  assert.deepEqual([fn.target, fn.language], ['udf.js', 'PYTHON'])
  assert.equal(statement("CREATE DATABASE IF NOT EXISTS d COMMENT 'x' WITH ('a' = 'b')", 'createDatabase').comment, 'x')
})

test('INSERT and statement sets', () => {
  const insert = statement("INSERT INTO t /*+ OPTIONS('a'='b') */ (x, y) SELECT 1, 2", 'insert')
  assert.deepEqual([plain(insert.columns), insert.hints[0]?.name, insert.overwrite], [['x', 'y'], 'OPTIONS', false])
  assert.equal(statement('INSERT OVERWRITE t (SELECT 1)', 'insert').columns.length, 0)
  assert.equal(statement('INSERT INTO t VALUES (1, 2), (3, 4)', 'insert').query.type, 'values')
  const body = 'INSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t; INSERT INTO b SELECT 2; END'
  for (const sql of [`EXECUTE STATEMENT SET BEGIN ${body};`, `BEGIN STATEMENT SET; ${body}`])
    assert.equal(statement(sql, 'statementSet').inserts.length, 2, sql)
  const explained = statement(`EXPLAIN STATEMENT SET BEGIN ${body}`, 'explain')
  assert.equal(explained.statement.type, 'statementSet')
  assert.equal(statement('EXECUTE INSERT INTO a SELECT 1', 'insert').type, 'insert')
})

test('no detail of EXPLAIN comes twice', () => {
  assert.throws(() => parseStatement('EXPLAIN CHANGELOG_MODE, ESTIMATED_COST, CHANGELOG_MODE SELECT 1'), { code: 'SQL_SYNTAX' })
})

test('the small statements', () => {
  const shapes: [sql: string, expected: Record<string, unknown>][] = [
    ['EXPLAIN PLAN FOR SELECT 1', { details: [] }],
    ['EXPLAIN ESTIMATED_COST, CHANGELOG_MODE INSERT INTO t SELECT 1', { details: ['ESTIMATED_COST', 'CHANGELOG_MODE'] }],
    ['DESCRIBE EXTENDED a.b', { type: 'describe', name: 'a.b', extended: true }],
    ['DESC t', { type: 'describe', name: 't', extended: false }],
    ["SHOW TABLES FROM d NOT LIKE 'a%'", { type: 'show', what: 'TABLES', name: 'd', like: 'a%', notLike: true }],
    ["SHOW COLUMNS IN t LIKE 'a'", { type: 'show', what: 'COLUMNS', name: 't', like: 'a' }],
    ['SHOW CREATE MATERIALIZED TABLE t', { type: 'show', what: 'CREATE MATERIALIZED TABLE', name: 't' }],
    ['SHOW CREATE VIEW v', { type: 'show', what: 'CREATE VIEW', name: 'v' }],
    ['SHOW CURRENT DATABASE', { type: 'show', what: 'CURRENT DATABASE' }],
    ['SHOW JOBS', { type: 'show', what: 'JOBS' }],
    ["SET 'a.b' = 'c'", { type: 'set', key: 'a.b', value: 'c' }],
    ['SET', { type: 'set' }],
    ["RESET 'a'", { type: 'reset', key: 'a' }],
    ['RESET', { type: 'reset' }],
    ['USE a.b', { type: 'use', name: 'a.b' }],
    ['USE CATALOG c', { type: 'use', name: 'c', catalog: true }],
    ['DROP TEMPORARY VIEW IF EXISTS v', { type: 'drop', what: 'VIEW', temporary: true, ifExists: true, name: 'v' }],
    ['DROP MATERIALIZED TABLE m', { what: 'MATERIALIZED TABLE', name: 'm' }],
    ['DROP DATABASE d CASCADE', { what: 'DATABASE', cascade: true }],
  ]
  for (const [sql, expected] of shapes) {
    const found = plain(parseStatement(sql)) as Record<string, unknown>
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(found[key], value, `${sql}: ${key}`)
  }
})

test('ALTER', () => {
  const action = (sql: string): Record<string, unknown> => plain(statement(`ALTER ${sql}`, 'alterTable').action) as Record<string, unknown>
  assert.deepEqual(action('TABLE t RENAME TO a.b'), { kind: 'rename', to: 'a.b' })
  assert.deepEqual(action('TABLE IF EXISTS t RENAME a TO b'), { kind: 'renameColumn', from: 'a', to: 'b' })
  assert.deepEqual(action("TABLE t SET ('a' = 'b')"), { kind: 'set', options: [{ key: 'a', value: 'b' }] })
  assert.deepEqual(action("TABLE t RESET ('a', 'b')"), { kind: 'reset', keys: ['a', 'b'] })
  const added = action('TABLE t ADD (a INT FIRST, b AS a + 1 AFTER a, WATERMARK FOR ts AS ts, PRIMARY KEY (a) NOT ENFORCED)')
  assert.deepEqual(
    (added.columns as { place: unknown }[]).map((column) => column.place),
    ['FIRST', { after: 'a' }],
  )
  assert.ok(added.watermark && added.primaryKey)
  assert.equal(action('TABLE t ADD c STRING').kind, 'add')
  assert.equal(action('TABLE t MODIFY WATERMARK FOR ts AS ts').kind, 'modify')
  assert.deepEqual(action('TABLE t DROP (a, b)'), { kind: 'dropColumns', names: ['a', 'b'] })
  assert.deepEqual(action('TABLE t DROP PRIMARY KEY'), { kind: 'dropPrimaryKey' })
  assert.deepEqual(action('TABLE t DROP WATERMARK'), { kind: 'dropWatermark' })
  assert.deepEqual(action('MATERIALIZED TABLE m SUSPEND'), { kind: 'suspend' })
  assert.deepEqual(action("MATERIALIZED TABLE m REFRESH PARTITION (ds = '1')"), { kind: 'refresh', partition: [{ key: 'ds', value: '1' }] })
})

test('what is not supported says so, and what to do', () => {
  for (const sql of [
    'UPDATE t SET a = 1',
    'DELETE FROM t',
    'TRUNCATE TABLE t',
    'CREATE OR REPLACE VIEW v AS SELECT 1',
    'CREATE CATALOG c',
    'CREATE OR ALTER VIEW v AS SELECT 1',
    'DROP CATALOG c',
    'DROP MODEL m',
    'DESCRIBE FUNCTION f',
    "ALTER TABLE t ADD PARTITION (a = 'b')",
    'ALTER TABLE t DROP PARTITION (a = 1)',
    'ALTER TABLE t ADD DISTRIBUTION BY (a)',
    'ALTER TABLE t COMPACT',
    "ALTER VIEW v SET ('a' = 'b')",
    "ALTER MATERIALIZED TABLE m SET FRESHNESS = INTERVAL '1' HOUR",
    "ALTER FUNCTION f AS 'x'",
    'CREATE TABLE t (a INT, UNIQUE (a))',
    'CREATE MATERIALIZED TABLE t DISTRIBUTED BY (a) AS SELECT 1 AS a',
    'WITH RECURSIVE a AS (SELECT 1) SELECT 1',
    'SELECT a FROM t GROUP BY ROLLUP (CUBE (a, b))',
    'SELECT a FROM t GROUP BY CUBE (a, b, c, d, e, f, g, h, i, j, k, l, m)',
    'SELECT ARRAY(SELECT 1)',
    "SELECT * FROM t PIVOT (SUM(a) FOR b IN ('p', 'q'))",
  ])
    assert.throws(() => parseStatement(sql), { code: 'SQL_NOT_SUPPORTED' }, sql)
})

test('SET and RESET without quotes say how it is written', () => {
  for (const sql of ['SET table.exec.state.ttl = 1 h', 'RESET table.exec.state.ttl'])
    assert.throws(() => parseStatement(sql), { code: 'SQL_SYNTAX', hint: /SET 'table\.exec\.state\.ttl' = '1 h'/ }, sql)
})
