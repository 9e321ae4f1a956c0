import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatType } from '../data/index.ts'
import { bindScript, bindStatement } from './bind.ts'
import { applyStatement, Catalog } from './catalog.ts'
import { explainLogicalPlan, explainPlan } from './explain.ts'
import { parseStatement } from './parse.ts'
import type { BoundStatement, Plan } from './plan.ts'

type Bound<T extends BoundStatement['type']> = Extract<BoundStatement, { type: T }>
function last<T extends BoundStatement['type']>(sql: string, type: T, catalog = new Catalog()): Bound<T> {
  const bound = bindScript(sql, catalog).at(-1)!
  assert.equal(bound.type, type)
  return bound as Bound<T>
}
const columns = (plan: Plan): string => plan.fields.map(({ name, type }) => `${name} ${formatType(type)}`).join(', ')

// ---------------------------------------------------------------- tables

test('CREATE TABLE: every kind of column, key, watermark, options', () => {
  const { table } = last(
    `CREATE TABLE orders (
       id STRING,
       price DECIMAL(10, 2) COMMENT 'in euros',
       amount INT,
       total AS price * amount,
       stamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
       headers MAP<STRING, BYTES> METADATA,
       ts AS TO_TIMESTAMP(id),
       WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
       PRIMARY KEY (id) NOT ENFORCED
     ) COMMENT 'all orders' WITH ('connector' = 'kafka', 'topic' = 'orders')`,
    'createTable',
  )
  assert.deepEqual(
    table.columns.map(({ name, kind, type }) => `${name} ${kind} ${formatType(type)}`),
    [
      'id physical VARCHAR(2147483647) NOT NULL',
      'price physical DECIMAL(10, 2)',
      'amount physical INT',
      'total computed DECIMAL(21, 2)',
      'stamp metadata TIMESTAMP(3) WITH LOCAL TIME ZONE',
      'headers metadata MAP<VARCHAR(2147483647), VARBINARY(2147483647)>',
      'ts computed TIMESTAMP(3)',
    ],
  )
  assert.deepEqual(table.primaryKey, [0])
  assert.deepEqual(table.options, { connector: 'kafka', topic: 'orders' })
  assert.deepEqual([table.comment, table.columns[1].comment], ['all orders', 'in euros'])
  const metadata = table.columns.flatMap((column) => (column.kind === 'metadata' ? [[column.key, column.virtual]] : []))
  assert.deepEqual(metadata, [
    ['timestamp', true],
    ['headers', false],
  ])
  // The watermark is over stored columns: the computed one is substituted.
  assert.equal(table.watermark?.column, 6)
  assert.match(JSON.stringify(table.watermark.expression), /TO_TIMESTAMP/)
})

test('a scan decodes what is needed; the watermark reads the computed column', () => {
  const { query } = last(
    `CREATE TABLE o (id STRING, x INT, y INT, ts AS TO_TIMESTAMP(id), z AS x + y, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('scan.watermark.idle-timeout' = '2 s');
     SELECT z FROM o`,
    'query',
  )
  assert.equal(
    explainPlan(query),
    `calc [z]  +I
└ watermark ts: (ts - 5000 ms) idle after 2000 ms  +I
  └ calc [TO_TIMESTAMP(id) AS ts, (x + y) AS z]  +I
    └ scan o [id, x, y]  +I`,
  )
})

test('CREATE TABLE … LIKE keeps what is not excluded', () => {
  const base = `CREATE TABLE base (a INT, b AS a + 1, m BIGINT METADATA, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (a) NOT ENFORCED) WITH ('topic' = '1', 'format' = '2');`
  const all = last(`${base} CREATE TABLE q (c AS b2, b2 INT) WITH ('format' = '3') LIKE base`, 'createTable').table
  assert.deepEqual(
    all.columns.map((column) => column.name),
    ['a', 'b', 'm', 'ts', 'c', 'b2'],
  )
  assert.deepEqual(all.options, { topic: '1', format: '3' })
  assert.deepEqual([all.primaryKey, all.watermark?.column], [[0], 3])
  const some = last(`${base} CREATE TABLE q (c INT) LIKE base (EXCLUDING ALL)`, 'createTable').table
  assert.deepEqual(
    some.columns.map((column) => column.name),
    ['a', 'ts', 'c'],
  )
  assert.deepEqual([some.options, some.primaryKey, some.watermark], [{}, undefined, undefined])
  const computedTime = 'CREATE TABLE base (a STRING, ts AS TO_TIMESTAMP(a), WATERMARK FOR ts AS ts);'
  const plain = last(`${computedTime} CREATE TABLE q LIKE base (EXCLUDING GENERATED)`, 'createTable').table
  assert.deepEqual([plain.columns.length, plain.watermark], [1, undefined])
})

test('CREATE TABLE … AS takes its columns from the query', () => {
  const bound = last(
    `CREATE TABLE t (k STRING, v INT); CREATE TABLE q WITH ('connector' = 'print') AS SELECT k, COUNT(*) AS n FROM t GROUP BY k`,
    'createTable',
  )
  assert.deepEqual(
    bound.table.columns.map(({ name, type }) => `${name} ${formatType(type)}`),
    ['k VARCHAR(2147483647)', 'n BIGINT NOT NULL'],
  )
  assert.equal(bound.insert?.node, 'groupAggregate')
})

// ---------------------------------------------------------------- catalog

test('binding changes no catalog; applyStatement does', () => {
  const catalog = new Catalog()
  const text = 'CREATE TABLE t (k STRING)'
  const bound = bindStatement(parseStatement(text), text, catalog)
  assert.equal(catalog.get('t'), undefined)
  applyStatement(bound, catalog)
  assert.equal(catalog.get('t')?.kind, 'table')
  bindScript('CREATE TABLE other (k STRING); DROP TABLE t', catalog)
  assert.deepEqual(catalog.names(), ['t'])
  assert.equal(last('CREATE TABLE IF NOT EXISTS t (x INT)', 'done', catalog).message, 'Table t exists')
  assert.equal(last('DROP VIEW IF EXISTS nothing', 'done', catalog).message, 'There is no view nothing')
})

test('DROP TEMPORARY takes nothing that is permanent, and what is temporary is dropped by that name, as in Flink', () => {
  const catalog = new Catalog()
  const declared = `CREATE TABLE t (k INT) WITH ('connector' = 'kafka'); CREATE TEMPORARY TABLE tt (k INT) WITH ('connector' = 'kafka');
    CREATE VIEW v AS SELECT k FROM t; CREATE TEMPORARY VIEW tv AS SELECT k FROM t;`
  const after = (sql: string) => last(`${declared} ${sql}`, 'drop', catalog).name
  assert.deepEqual(['DROP TABLE t', 'DROP VIEW v', 'DROP TEMPORARY TABLE tt', 'DROP TEMPORARY VIEW tv'].map(after), ['t', 'v', 'tt', 'tv'])
  for (const sql of ['DROP TABLE tt', 'DROP VIEW IF EXISTS tv', 'DROP TEMPORARY TABLE t', 'DROP TEMPORARY VIEW v'])
    assert.throws(() => bindScript(`${declared} ${sql}`, catalog), { code: 'SQL_OBJECT_KIND' }, sql)
  assert.equal(last(`${declared} DROP TEMPORARY VIEW IF EXISTS v`, 'done', catalog).message, 'There is no temporary view v')
})

test('names may have the default catalog and database in front', () => {
  const { query } = last(
    'CREATE TABLE default_database.t (k STRING); SELECT default_database.t.k, t.k AS b FROM default_catalog.default_database.t',
    'query',
  )
  assert.equal(columns(query), 'k VARCHAR(2147483647), b VARCHAR(2147483647)')
})

test('views keep their columns when the tables below are known', () => {
  const { query } = last(
    `CREATE TABLE t (k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts);
     CREATE VIEW v (a, b) AS WITH w AS (SELECT k, ts FROM t) SELECT * FROM w;
     CREATE VIEW v2 AS SELECT a, b FROM v;
     SELECT window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE v2, DESCRIPTOR(b), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end`,
    'query',
  )
  assert.equal(columns(query), 'window_end TIMESTAMP(3) NOT NULL, n BIGINT NOT NULL')
})

test('settings: SET and RESET; the time zone reaches the windows', () => {
  const catalog = new Catalog()
  bindScript(
    "SET 'table.local-time-zone' = 'GMT-08:00'; SET 'table.local-time-zone' = 'default'; SET 'table.exec.state.ttl' = '1 h'",
    catalog,
  )
  for (const bound of bindScript("SET 'table.local-time-zone' = 'Europe/Berlin'; SET 'a' = 'b'; RESET 'a'", catalog))
    applyStatement(bound, catalog)
  assert.deepEqual([...catalog.settings], [['table.local-time-zone', 'Europe/Berlin']])
  const sql = (type: string) =>
    `CREATE TABLE t (ts ${type}, WATERMARK FOR ts AS ts); SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY))`
  const zone = (type: string) => {
    const { query } = last(sql(type), 'query', catalog)
    return query.node === 'windowTvf' ? query.window.timeZone : undefined
  }
  assert.equal(zone('TIMESTAMP_LTZ(3)'), 'Europe/Berlin')
  assert.equal(zone('TIMESTAMP(3)'), 'UTC')
})

test('SHOW and DESCRIBE', () => {
  const declared = `CREATE TABLE t (k STRING NOT NULL, v AS CHAR_LENGTH(k), ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND, PRIMARY KEY (k) NOT ENFORCED);
    CREATE VIEW w AS SELECT k FROM t;`
  assert.deepEqual(last(`${declared} SHOW TABLES`, 'text').rows, [['t'], ['w']])
  assert.deepEqual(last(`${declared} SHOW TABLES LIKE 't%'`, 'text').rows, [['t']])
  assert.deepEqual(last(`${declared} SHOW VIEWS`, 'text').rows, [['w']])
  assert.ok(last('SHOW FUNCTIONS', 'text').rows.some(([name]) => name === 'LISTAGG'))
  assert.match(last(`${declared} SHOW CREATE TABLE t`, 'text').rows[0][0], /^CREATE TABLE t \(k STRING NOT NULL/)
  assert.equal(last(`${declared} SHOW CREATE VIEW w`, 'text').rows[0][0], 'CREATE VIEW `w` (`k`) AS\nSELECT k FROM t')
  assert.deepEqual(last(`${declared} DESCRIBE t`, 'text').rows, [
    ['k', 'STRING', 'FALSE', 'PRI(k)', '', ''],
    ['v', 'INT', 'FALSE', '', 'AS CHAR_LENGTH(k)', ''],
    ['ts', 'TIMESTAMP(3) *ROWTIME*', 'TRUE', '', '', "ts - INTERVAL '1' SECOND"],
  ])
  const commented = last(`CREATE TABLE c (a INT COMMENT 'first', p AS PROCTIME(), b AS a\n  /* c */ + 1); DESCRIBE c`, 'text')
  assert.deepEqual(commented.columns.slice(-2), ['watermark', 'comment'])
  assert.deepEqual(commented.rows.map((row) => [row[1], row[6]]), [['INT', 'first'], ['TIMESTAMP_LTZ(3) *PROCTIME*', ''], ['INT', '']]) // biome-ignore format: short
  assert.equal(commented.rows[2][4], 'AS a + 1')
  assert.deepEqual(last(`${declared} SHOW COLUMNS FROM t ILIKE 'T%'`, 'text').rows.map(([name]) => name), ['ts']) // biome-ignore format: short
  assert.deepEqual(last(`${declared} SHOW TABLES NOT ILIKE 'T%'`, 'text').rows, [['w']])
  assert.deepEqual(last('SHOW MODULES', 'text').rows, [['core']])
  assert.deepEqual(last('SHOW JARS', 'text').rows, [])
  assert.throws(() => last('SHOW DATABASES FROM nowhere', 'text'), { code: 'SQL_OBJECT_NOT_FOUND' })
  assert.throws(() => last(`${declared} SHOW CREATE VIEW t`, 'text'), { code: 'SQL_OBJECT_KIND' })
})

test('a sub-query in the ON of an inner join is one of WHERE', () => {
  const declared = 'CREATE TABLE o (id INT, n INT); CREATE TABLE p (id INT, n INT); CREATE TABLE v (id INT);'
  const planned = (sql: string): string => explainPlan(last(`${declared} ${sql}`, 'query').query)
  for (const asked of ['o.id IN (SELECT id FROM v)', 'NOT EXISTS (SELECT 1 FROM v WHERE v.id = o.id)', 'o.n > (SELECT MAX(id) FROM v)']) {
    const expected = planned(`SELECT o.id, p.n FROM o JOIN p ON o.id = p.id WHERE ${asked}`)
    assert.equal(planned(`SELECT o.id, p.n FROM o JOIN p ON o.id = p.id AND ${asked}`), expected)
    assert.equal(planned(`SELECT o.id, p.n FROM o JOIN p ON ${asked} AND o.id = p.id`), expected)
    assert.throws(() => planned(`SELECT o.id FROM o LEFT JOIN p ON ${asked}`), { code: 'SQL_SUBQUERY_MISPLACED' })
  }
})

// ---------------------------------------------------------------- INSERT, materialized tables

test('INSERT brings columns to the table: order, casts, what is left out', () => {
  const { query } = last(
    `CREATE TABLE t (k STRING, v INT);
     CREATE TABLE sink (a BIGINT, b STRING, m STRING METADATA, g TIMESTAMP(3) METADATA VIRTUAL, d DOUBLE) WITH ('connector' = 'print');
     INSERT INTO sink (d, a) SELECT v, v + 1 FROM t`,
    'insert',
  )
  assert.equal(
    explainPlan(query),
    'calc [CAST((v + 1) AS BIGINT) AS a, NULL AS b, NULL AS m, CAST(v AS DOUBLE) AS d]  +I\n└ scan t [v]  +I',
  )
})

test('a statement set binds all its inserts', () => {
  const { inserts } = last(
    `CREATE TABLE t (k STRING, v INT); CREATE TABLE a (k STRING); CREATE TABLE b (v INT);
     EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT k FROM t; INSERT INTO b SELECT v FROM t; END`,
    'statementSet',
  )
  assert.deepEqual(
    inserts.map(({ table, query }) => [table.name, columns(query)]),
    [
      ['a', 'k VARCHAR(2147483647)'],
      ['b', 'v INT'],
    ],
  )
})

test('a materialized table has the declared key, else that of its query', () => {
  const t = "CREATE TABLE t (ts TIMESTAMP(3), k STRING, v INT, WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka');"
  const ofQuery = last(
    `${t} CREATE MATERIALIZED TABLE m FRESHNESS = INTERVAL '2' SECOND AS
     SELECT k, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end`,
    'createMaterializedTable',
  )
  assert.deepEqual([ofQuery.table.primaryKey, ofQuery.table.freshnessMs], [[0, 1], 2000])
  const declared = last(`${t} CREATE MATERIALIZED TABLE m (PRIMARY KEY (v) NOT ENFORCED) AS SELECT k, v FROM t`, 'createMaterializedTable')
  assert.deepEqual(declared.table.primaryKey, [1])
  assert.deepEqual(
    declared.table.fields.map((field) => formatType(field.type)),
    ['VARCHAR(2147483647)', 'INT NOT NULL'],
  )
  // Read again, its changes are upserts by that key.
  const { query } = last(
    `${t} CREATE MATERIALIZED TABLE m AS SELECT k, COUNT(*) AS n FROM t GROUP BY k; SELECT n, k FROM m WHERE n > 1`,
    'query',
  )
  assert.equal(
    explainPlan(query),
    'calc [n, k] where (n > 1)  +I-U+U-D key=(k)\n└ normalize keys=[k]  +I-U+U-D key=(k)\n  └ scan m [k, n]  +I+U-D key=(k)',
  )
})

test('EXPLAIN gives the plans of what it explains', () => {
  const tables = 'CREATE TABLE t (k STRING, n INT); CREATE TABLE s (k STRING); CREATE TABLE u (n INT);'
  const { plans } = last(
    `${tables} EXPLAIN STATEMENT SET BEGIN INSERT INTO s SELECT k FROM (SELECT * FROM t) WHERE n > 1 + 1; INSERT INTO u SELECT n FROM t; END`,
    'explain',
  )
  assert.deepEqual(
    plans.map(({ target, logical, query }) => [target, explainLogicalPlan(logical), explainPlan(query)]),
    [
      [
        's',
        'calc [k]\n└ calc [k, n] where (n > (1 + 1))\n  └ calc [k, n]\n    └ scan t [k, n]',
        'calc [k] where (n > (1 + 1))  +I\n└ scan t [k, n]  +I',
      ],
      ['u', 'calc [n]\n└ scan t [k, n]', 'scan t [n]  +I'],
    ],
  )
})

// ---------------------------------------------------------------- types that no golden file shows

const types: [sql: string, columns: string][] = [
  ['SELECT k AS a, v AS a, k FROM t', 'a VARCHAR(2147483647), a0 INT, k VARCHAR(2147483647)'],
  ['SELECT v + 1, k, -v FROM t', 'EXPR$0 INT, k VARCHAR(2147483647), EXPR$2 INT'],
  [
    'SELECT * FROM t AS x JOIN t AS y ON x.k = y.k',
    'k VARCHAR(2147483647), v INT, n BIGINT NOT NULL, k0 VARCHAR(2147483647), v0 INT, n0 BIGINT NOT NULL',
  ],
  ['SELECT x.n, y.n FROM t AS x LEFT JOIN t AS y ON x.k = y.k', 'n BIGINT NOT NULL, n0 BIGINT'],
  // A group is never empty, the one group without GROUP BY may be, and so may what FILTER leaves of a group.
  ['SELECT SUM(n), AVG(n), MAX(n) FROM t GROUP BY k', 'EXPR$0 BIGINT NOT NULL, EXPR$1 BIGINT NOT NULL, EXPR$2 BIGINT NOT NULL'],
  ['SELECT SUM(n), AVG(n), MAX(n) FROM t', 'EXPR$0 BIGINT, EXPR$1 BIGINT, EXPR$2 BIGINT'],
  ['SELECT SUM(n) FILTER (WHERE v > 1) FROM t GROUP BY k', 'EXPR$0 BIGINT'],
  ['SELECT n, v, COUNT(*) FROM t GROUP BY n, ROLLUP(v)', 'n BIGINT NOT NULL, v INT, EXPR$2 BIGINT NOT NULL'],
  ['SELECT n FROM t GROUP BY CUBE(n)', 'n BIGINT'],
  ['SELECT GROUPING_ID(k, v), GROUP_ID() FROM t GROUP BY CUBE(k, v)', 'EXPR$0 BIGINT NOT NULL, EXPR$1 BIGINT NOT NULL'],
  ['SELECT (SELECT MAX(n) FROM t) AS m FROM t', 'm BIGINT'],
  ['SELECT v IN (SELECT v FROM t) AS x, EXISTS (SELECT 1 FROM t) AS y FROM t', 'x BOOLEAN, y BOOLEAN NOT NULL'],
  [
    "SELECT 1, 2147483648, 1.50, 1e3, 'ab', DATE '2026-01-31', TIMESTAMP '2026-01-31 01:02:03.45', X'0A'",
    'EXPR$0 INT NOT NULL, EXPR$1 BIGINT NOT NULL, EXPR$2 DECIMAL(3, 2) NOT NULL, EXPR$3 DOUBLE NOT NULL, EXPR$4 CHAR(2) NOT NULL, EXPR$5 DATE NOT NULL, EXPR$6 TIMESTAMP(2) NOT NULL, EXPR$7 BINARY(1) NOT NULL',
  ],
  ['SELECT p FROM (SELECT PROCTIME() AS p FROM t)', 'p TIMESTAMP(3) WITH LOCAL TIME ZONE NOT NULL'],
  ['SELECT * FROM t FULL JOIN t AS u USING (k)', 'k VARCHAR(2147483647), v INT, n BIGINT, v0 INT, n0 BIGINT'],
]
for (const [sql, expected] of types) {
  test(sql, () => {
    const { query } = last(`CREATE TABLE t (k STRING, v INT, n BIGINT NOT NULL); ${sql}`, 'query')
    assert.equal(columns(query), expected)
  })
}

test('CREATE TABLE AS: columns of the query keep their place, others come first; a list of names is their order; by name', () => {
  const columnsOf = (sql: string) => {
    const bound = bindScript(`CREATE TABLE src (id BIGINT, price DOUBLE, quantity INT, at_time TIMESTAMP(3)); ${sql}`, new Catalog()).at(-1)
    assert.ok(bound?.type === 'createTable')
    return [
      bound.table.columns.map(({ name, type }) => `${name} ${type.kind}`).join(', '),
      bound.insert?.fields.map(({ name }) => name).join(),
    ]
  }
  const query = 'AS SELECT id, price, quantity, at_time FROM src'
  assert.deepEqual(
    columnsOf(`CREATE TABLE a (note STRING, quantity DOUBLE, cost AS price * quantity, WATERMARK FOR at_time AS at_time) ${query}`),
    ['note VARCHAR, cost DOUBLE, id BIGINT, price DOUBLE, quantity DOUBLE, at_time TIMESTAMP', 'note,id,price,quantity,at_time'],
  )
  assert.deepEqual(columnsOf(`CREATE TABLE a (at_time, price, quantity, id) ${query}`), [
    'at_time TIMESTAMP, price DOUBLE, quantity INT, id BIGINT',
    'at_time,price,quantity,id',
  ])
  assert.deepEqual(columnsOf('REPLACE TABLE src AS SELECT id FROM src'), ['id BIGINT', 'id'])
  const wrong: [string, string][] = [
    [`CREATE TABLE a (at_time, price) ${query}`, 'SQL_COLUMN_COUNT'],
    [`CREATE TABLE a (at_time, price, quantity, x) ${query}`, 'SQL_COLUMN_NOT_FOUND'],
    [`CREATE TABLE a (price AS 1) ${query}`, 'SQL_COLUMN_DUPLICATE'],
    ['CREATE TABLE a (x, y)', 'SQL_SYNTAX'],
    ['CREATE OR REPLACE TABLE src (a INT)', 'SQL_SYNTAX'],
    ['REPLACE TABLE nothing AS SELECT 1 AS n', 'SQL_TABLE_NOT_FOUND'],
    ['CREATE VIEW v AS SELECT * FROM src; CREATE OR REPLACE TABLE v AS SELECT 1 AS n', 'SQL_NAME_TAKEN'],
  ]
  for (const [sql, code] of wrong) assert.throws(() => columnsOf(sql), { code }, sql)
})

test('a plan calls functions of the user by their names', () => {
  const half = "CREATE FUNCTION half (n INT) RETURNS INT LANGUAGE TYPESCRIPT AS 'half.ts';"
  const most = "CREATE AGGREGATE FUNCTION most (n INT) RETURNS INT LANGUAGE TYPESCRIPT AS 'most.ts#it';"
  const { query } = last(`${half} ${most} CREATE TABLE t (k INT, n INT); SELECT k, most(half(n)) FROM t GROUP BY k`, 'query')
  assert.match(explainPlan(query), /\[most\(.*\) AS .*half\(n\)/s)
})
