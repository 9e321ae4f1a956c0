import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CompletionCatalog, completions } from './completions.ts'
import { lex } from './lexer.ts'
import { sqlName } from './names.ts'
import { parseScript } from './parse.ts'
import { knownTypes } from './parseTypes.ts'
import { checkSetting, settingKeys, settingValues } from './settings.ts'
import { optionKeys, optionValues, requireKnownOptions } from './table-options.ts'

const catalog: CompletionCatalog = {
  tables: [
    { name: 'bids', kind: 'table', columns: ['auction', 'price', 'ts'] },
    { name: 'people', kind: 'table', columns: ['id', 'name'], connector: 'upsert-kafka' },
    { name: 'dear', kind: 'view', columns: ['auction', 'price'] },
    { name: 'totals', kind: 'materialized table', columns: ['auction', 'total'] },
    { name: 'shop.orders', kind: 'table', columns: ['amount'] },
  ],
  functions: ['ABS', 'PARSE_URL', 'TAX'],
  userFunctions: ['TAX'],
  databases: ['shop'],
}
/** `|` is where the cursor stands. */
const offered = (sql: string) => completions(sql.replace('|', ''), sql.indexOf('|'), catalog)
const at = (sql: string): string[] => offered(sql).items.map(({ label, kind }) => `${kind} ${label}`)
const ofKind = (kind: string, sql: string): string =>
  offered(sql)
    .items.flatMap((item) => (item.kind === kind ? [item.label] : []))
    .join(' ')
const columns = (sql: string): string => ofKind('column', sql)
const tables = (sql: string): string => ofKind('table', sql)

test('what the grammar takes is offered', () => {
  assert.deepEqual(at('SELECT p| FROM bids'), ['column price', 'function PARSE_URL'])
  assert.deepEqual(at('SELECT * FROM p|'), ['table people'])
  assert.equal(ofKind('keyword', 'SELECT * FROM |'), 'LATERAL UNNEST TABLE')
  assert.deepEqual(at('SELECT 1; INSERT INTO pe|'), ['table people'])
  assert.deepEqual(at('SELECT b.| FROM bids AS b JOIN people p ON b.auction = p.id; SELECT 1'), [
    'column auction',
    'column price',
    'column ts',
  ])
  assert.deepEqual(at('SELECT p.n| FROM bids b, people p'), ['column name'])
  assert.deepEqual(at('SELECT price FROM bids GR|'), ['keyword GROUP'])
  assert.deepEqual(at('CRE|'), ['keyword CREATE'])
  assert.deepEqual(at('CREATE T|'), ['keyword TEMPORARY', 'keyword TABLE'])
  assert.ok(at('SELECT price FROM bids WHERE price > 1 |').includes('keyword GROUP'))
})

test('a name that the parser would not take bare is offered in backquotes', () => {
  const odd = { name: 'odd.name `x', kind: 'table' as const, columns: ['a b', 'order', 'größe', 'ok'] }
  const inOdd = (text: string, offset: number) => completions(text, offset, { ...catalog, tables: [odd], functions: [] }).items
  assert.deepEqual(
    inOdd('SELECT  FROM `odd.name ``x`', 7).flatMap(({ label, kind }) => (kind === 'column' ? [label] : [])),
    ['`a b`', '`order`', sqlName('größe'), 'ok'],
  )
  assert.deepEqual(inOdd('SELECT 1 FROM o', 15)[0], { label: '`odd.name ``x`', kind: 'table' })
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }), (name) => {
      const [token, end] = lex(sqlName(name))
      assert.deepEqual([token.text, token.reserved, end.kind], [name, false, 'end'])
    }),
  )
})

test('nothing is offered in a text or a comment, or behind what cannot be read', () => {
  assert.deepEqual(at("SELECT 'p|' FROM bids"), [])
  assert.deepEqual(at('SELECT price -- FROM b|'), [])
  assert.deepEqual(at('SELECT /* p| */ price FROM bids'), [])
  assert.deepEqual(at('SELECT price price price | FROM bids'), [])
  assert.deepEqual(at('SELECT price\n-- all\nFR|'), ['keyword FROM'])
})

test('a clause behind one that is wrong, or not written yet, counts alone', () => {
  assert.equal(columns('SELECT FROM bids WHERE p|'), 'price')
  assert.equal(columns('SELECT price,, FROM bids WHERE auction = 1 AND p|'), 'price')
  assert.equal(columns('SELECT a b c FROM bids b JOIN people p ON b.|'), 'auction price ts')
  assert.equal(tables('SELECT a b c FROM pe|'), 'people')
  assert.equal(columns('SELECT SUM( FROM bids WHERE pr|'), 'price')
  assert.equal(columns('SELECT p| FROM bids WHERE WHERE ((('), 'price')
})

test('types where a type stands', () => {
  assert.equal(ofKind('type', 'SELECT CAST(price AS | FROM bids'), knownTypes.join(' '))
  assert.equal(ofKind('type', 'SELECT TRY_CAST(price AS B|) FROM bids'), 'BOOLEAN BIGINT BYTES BINARY')
  assert.equal(ofKind('type', 'CREATE TABLE t (a ROW<b MAP<STRING, DEC|'), 'DECIMAL DEC')
  assert.equal(ofKind('type', 'SELECT price AS |'), '')
})

test('options of WITH by connector and format, and what each may say', () => {
  const options = (sql: string): string => ofKind('option', sql)
  assert.deepEqual(at("CREATE TABLE t (a INT) WITH ('conn|'"), ["option 'connector'"])
  assert.equal(offered("CREATE TABLE t (a INT) WITH ('conn|')").start, 29)
  assert.equal(
    ofKind('value', "CREATE TABLE t (a INT) WITH ('connector' = '|')"),
    "'kafka' 'upsert-kafka' 'filesystem' 'print' 'blackhole'",
  )
  assert.equal(
    options("CREATE TABLE t (a INT) WITH ('connector' = 'print', |)"),
    "'scan.watermark.idle-timeout' 'print-identifier' 'standard-error'",
  )
  // The connector may stand behind the place, and what stands there is not offered again.
  assert.equal(
    options("CREATE TABLE t (a INT) WITH ('sink.|', 'connector' = 'filesystem', 'path' = 'x')"),
    "'sink.rolling-policy.file-size'",
  )
  assert.equal(options("CREATE TABLE t (a INT) WITH ('format' = 'csv', 'csv.null|"), "'csv.null-literal'")
  assert.equal(options("CREATE TABLE t (a INT) WITH ('format' = 'csv', 'json|"), '')
  assert.equal(
    options("CREATE TABLE t (a INT) WITH ('value.format' = 'json', 'key.format' = 'raw', 'key.raw|"),
    "'key.raw.charset' 'key.raw.endianness'",
  )
  assert.equal(ofKind('value', "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'scan.startup.mode' = 'l|"), "'latest-offset'")
  assert.equal(ofKind('value', "CREATE TABLE t (a INT) WITH ('connector' = 'upsert-kafka', 'key.format' = |)"), "'json' 'raw'")
  assert.equal(ofKind('value', "CREATE TABLE t (a INT) WITH ('json.ignore-parse-errors' = '|"), "'true' 'false'")
  assert.deepEqual(at("CREATE TABLE t (a INT) WITH ('topic' = '|'"), [])
  assert.equal(ofKind('value', "ALTER TABLE people SET ('key.format' = '|')"), "'json' 'raw'")
  // Wrong text before it.
  assert.deepEqual(at("CREATE TABLE t (a INT b) WITH ('connector' = 'kafka', 'topi|'); SELECT 'x'"), ["option 'topic'"])
  assert.deepEqual(at("CREATE DATABASE d WITH ('|"), [])
})

test('every option and setting that is offered is one that is taken', () => {
  const span = { start: 0, end: 0 }
  for (const connector of optionValues('kafka', 'connector')) {
    const isKeyed = connector === 'kafka' || connector === 'upsert-kafka'
    const given: Record<string, string>[] = [{ connector }, ...(isKeyed ? [{ connector, format: 'csv', 'key.format': 'raw' }] : [])]
    for (const options of given) {
      const keys = optionKeys(options)
      assert.ok(keys.length > 0)
      const written = keys.map((key) => ({ key, span }))
      requireKnownOptions(connector, written, options)
    }
  }
  for (const key of settingKeys) for (const value of settingValues(key)) checkSetting(key, value, { start: 0, end: 0 })
})

test('keys and values of SET', () => {
  assert.equal(ofKind('option', "SET 'table.local|"), "'table.local-time-zone'")
  assert.ok(at('SET |').includes("option 'parallelism.default'"))
  assert.equal(ofKind('option', "RESET 'parallel|'"), "'parallelism.default'")
  assert.equal(ofKind('value', "SET 'table.exec.sink.not-null-enforcer' = '|'; SELECT 1"), "'ERROR' 'DROP'")
  assert.deepEqual(at("SET 'table.exec.state.ttl' = '|"), [])
})

test('of declared things those that fit', () => {
  assert.equal(tables('DROP TABLE |'), 'bids people shop.orders')
  assert.equal(tables('DROP VIEW IF EXISTS |'), 'dear')
  assert.equal(tables('DROP MATERIALIZED TABLE |; SELECT 1'), 'totals')
  assert.equal(ofKind('function', 'DROP FUNCTION |'), 'TAX')
  assert.equal(tables('DROP DATABASE |'), 'shop')
  assert.equal(tables('ALTER TABLE |'), 'bids people shop.orders')
  assert.equal(tables('ALTER MATERIALIZED TABLE |'), 'totals')
  assert.equal(tables('ALTER VIEW |'), 'dear')
  assert.equal(columns('ALTER TABLE bids DROP |'), 'auction price ts')
  assert.equal(tables('DESCRIBE |'), 'bids people dear totals shop.orders')
  assert.equal(tables('SHOW CREATE VIEW |'), 'dear')
  assert.equal(tables('INSERT INTO |'), 'bids people shop.orders')
  assert.equal(tables('EXPLAIN INSERT INTO |'), 'bids people shop.orders')
  assert.equal(columns('INSERT INTO bids (price, |'), 'auction ts')
  assert.equal(tables('CREATE TABLE t LIKE |'), 'bids people shop.orders')
  assert.equal(tables('CREATE TABLE |'), '')
  assert.equal(tables('SELECT * FROM |'), 'bids people dear totals shop.orders')
  assert.equal(tables('SELECT * FROM shop.|'), 'orders')
  assert.equal(columns('SELECT | FROM shop.orders'), 'amount')
})

test('columns of derived tables, of WITH and of views of the query itself', () => {
  assert.equal(
    columns('SELECT t.| FROM (SELECT auction, price * 2 AS twice, COUNT(*) n FROM bids GROUP BY auction) AS t'),
    'auction twice n',
  )
  assert.equal(columns('SELECT * FROM (SELECT b.*, 1 + price FROM bids b) t WHERE t.|'), 'auction price ts')
  assert.equal(columns('SELECT * FROM (SELECT price FROM bids) AS t (x) WHERE |'), 'x')
  assert.equal(columns('WITH a AS (SELECT price AS p FROM bids), b AS (SELECT p + 1 AS q FROM a) SELECT a.| FROM a, b'), 'p')
  assert.equal(columns('WITH a AS (SELECT price AS p FROM bids), b AS (SELECT p + 1 AS q, p FROM a) SELECT | FROM b'), 'q p')
  assert.equal(tables('WITH a AS (SELECT 1 AS p) SELECT * FROM a|'), 'a')
  assert.equal(columns('WITH a (x, y) AS (SELECT auction, price FROM bids) SELECT a.| FROM a'), 'x y')
  assert.equal(columns('SELECT u.| FROM ((SELECT auction FROM bids) UNION ALL SELECT id FROM people) u'), 'auction')
  // Cut off, and with wrong text inside.
  assert.equal(columns('SELECT * FROM (SELECT auction, price FROM bids WHERE) AS t WHERE t.|'), 'auction price')
  assert.equal(columns('SELECT t.| FROM (SELECT auction,, price p FROM bids) t WHERE ('), 'auction p')
  assert.equal(columns('SELECT * FROM bids b JOIN (SELECT id FROM people) p ON b.|'), 'auction price ts')
  assert.equal(columns('INSERT INTO people WITH a AS (SELECT price AS p FROM bids) SELECT a.| FROM a'), 'p')
  assert.equal(columns("CREATE MATERIALIZED TABLE m WITH ('a' = 'b') AS WITH a AS (SELECT price AS p FROM bids) SELECT | FROM a"), 'p')
})

test('a place sees the tables of its query and of those around it, and no others', () => {
  assert.equal(columns('SELECT * FROM (SELECT | FROM people) t, bids'), 'id name')
  assert.equal(columns('SELECT | FROM (SELECT id FROM people) t'), 'id')
  assert.equal(columns('SELECT * FROM bids WHERE auction IN (SELECT | FROM people)'), 'id name auction price ts')
  assert.equal(columns('SELECT * FROM bids b, LATERAL (SELECT b.| FROM people)'), 'auction price ts')
  assert.equal(columns('SELECT | FROM bids UNION ALL SELECT id FROM people'), 'auction price ts')
  assert.equal(columns('SELECT price FROM bids UNION ALL SELECT | FROM people'), 'id name')
  assert.equal(columns('SELECT t.| FROM bids t WHERE EXISTS (SELECT 1 FROM people t)'), 'auction price ts')
  assert.equal(columns('SELECT x.| FROM UNNEST(ARRAY[1]) AS x (n)'), 'n')
  assert.equal(
    columns("SELECT w| FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"),
    'window_start window_end window_time',
  )
  assert.equal(columns('SELECT 1 FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(t|'), 'ts')
  assert.equal(columns('SELECT p.| FROM bids AS b JOIN people FOR SYSTEM_TIME AS OF b.ts AS p ON TRUE'), 'id name')
  assert.equal(columns('SELECT auction IS DISTINCT FROM price, p| FROM bids'), 'price')
  const match =
    'FROM bids MATCH_RECOGNIZE (PARTITION BY auction ORDER BY ts MEASURES A.price AS first PATTERN (A) DEFINE A AS A.price > 1) m'
  assert.equal(columns(`SELECT m.| ${match}`), 'auction first')
  assert.equal(columns(`SELECT 1 ${match.replace('A.price > 1', 'A.|')}`), 'auction price ts')
})

test('ORDER BY takes what SELECT has named', () => {
  assert.equal(columns('SELECT price * 2 AS twice, auction FROM bids ORDER BY tw|'), 'twice')
  assert.equal(columns('SELECT COUNT(*) AS n FROM bids GROUP BY auction ORDER BY ABS(n|'), 'n')
  assert.equal(columns('SELECT price AS p FROM bids UNION ALL SELECT id FROM people ORDER BY p|'), 'p')
  assert.equal(columns('SELECT price * 2 AS twice FROM bids WHERE tw|'), '')
  assert.equal(columns('SELECT price AS twice, SUM(price) OVER (ORDER BY tw|) FROM bids'), '')
})

test('wherever a script is cut, what comes next in it can be written there', () => {
  const scripts = [
    'SELECT auction FROM bids WHERE price > 1 ORDER BY auction',
    'WITH a AS (SELECT price FROM bids) SELECT price FROM a',
    'SELECT t.total FROM (SELECT auction, total FROM totals) AS t',
    'INSERT INTO people (id, name) SELECT auction, price FROM dear',
  ]
  for (const sql of scripts) {
    parseScript(sql)
    for (const { kind, text, start } of lex(sql)) {
      const names = [...catalog.tables.flatMap((table) => [table.name, ...table.columns]), 'a']
      if (kind !== 'word' || (!names.includes(text) && text !== text.toUpperCase())) continue
      if (/AS $/.test(sql.slice(0, start)) || text === 'a' || text === 't') continue
      assert.ok(
        completions(sql.slice(0, start + 1) + sql.slice(start + text.length), start + 1, catalog).items.some(({ label }) => label === text),
        `${sql.slice(0, start + 1)}| does not offer ${text}`,
      )
    }
  }
})

test('any text and any offset give an answer', () => {
  const words = "SELECT FROM bids . b , ( ) ; ' AS JOIN x /* => [ ] WITH ORDER BY TABLE FOR UNION MATCH_RECOGNIZE WHERE = *"
  const piece = fc.constantFrom(...words.split(' '))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.nat(80), (pieces, offset) => {
      const text = pieces.join(' ')
      assert.ok(Array.isArray(completions(text, Math.min(offset, text.length), catalog).items))
    }),
  )
})
