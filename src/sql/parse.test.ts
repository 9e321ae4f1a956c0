import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { isStreamError, type StreamError } from '../base/index.ts'
import { NESTING_MAX } from './cursor.ts'
import { reservedWords } from './keywords.ts'
import {
  expressionText,
  parseExpression,
  parseScript,
  parseScriptTolerant,
  parseStatement,
  parseType,
  SQL_LENGTH_MAX,
  splitStatements,
  textPosition,
} from './parse.ts'
import { listed } from './parseTesting.ts'

const errorOf = (part: () => unknown): StreamError => {
  try {
    part()
  } catch (error) {
    assert.ok(isStreamError(error), `not a StreamError: ${error}`)
    return error
  }
  throw new assert.AssertionError({ message: 'no error' })
}

/** Of the golden files, those whose error is the parser's. */
const refused = ['test/golden/errors/rollup_of_a_cube.test']
const goldenScripts = globSync('test/golden/**/*.test', { cwd: new URL('../..', import.meta.url).pathname, exclude: refused }).map(
  (file) => {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    return { file, sql: /^--- sql\n([\s\S]*?)^--- /m.exec(text)![1]! }
  },
)

const nexmark = `
CREATE FUNCTION count_char AS 'com.example.CountChar';
CREATE TABLE datagen (
  event_type INT,
  person ROW<id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR, city VARCHAR, state VARCHAR, dateTime TIMESTAMP(3), extra VARCHAR>,
  auction ROW<id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT, dateTime TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra VARCHAR>,
  bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, dateTime TIMESTAMP(3), extra VARCHAR>,
  dateTime AS CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END,
  WATERMARK FOR dateTime AS dateTime - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'first-event.rate' = '10000000', 'events.num' = '100000000');
CREATE VIEW bid AS SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, dateTime, bid.extra FROM datagen WHERE event_type = 2;
INSERT INTO q0 SELECT auction, bidder, price, dateTime, extra FROM bid;
INSERT INTO q1 SELECT auction, bidder, 0.908 * price AS price, dateTime, extra FROM bid;
INSERT INTO q2 SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0;
INSERT INTO q3 SELECT P.name, P.city, P.state, A.id FROM auction AS A INNER JOIN person AS P ON A.seller = P.id
  WHERE A.category = 10 AND (P.state = 'OR' OR P.state = 'ID' OR P.state = 'CA');
INSERT INTO q4 SELECT Q.category, AVG(Q.final) FROM (
  SELECT MAX(B.price) AS final, A.category FROM auction A, bid B
  WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires GROUP BY A.id, A.category) Q GROUP BY Q.category;
INSERT INTO q5 SELECT AuctionBids.auction, AuctionBids.num FROM (
  SELECT auction, count(*) AS num, window_start AS starttime, window_end AS endtime
  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end
) AS AuctionBids JOIN (
  SELECT max(CountBids.num) AS maxn, CountBids.starttime, CountBids.endtime FROM (
    SELECT count(*) AS num, window_start AS starttime, window_end AS endtime
    FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end
  ) AS CountBids GROUP BY CountBids.starttime, CountBids.endtime
) AS MaxBids ON AuctionBids.starttime = MaxBids.starttime AND AuctionBids.endtime = MaxBids.endtime AND AuctionBids.num >= MaxBids.maxn;
INSERT INTO q6 SELECT Q.seller, AVG(Q.final) OVER (PARTITION BY Q.seller ORDER BY Q.dateTime ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)
  FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id, seller ORDER BY price DESC) AS rownum FROM x) AS Q WHERE Q.rownum <= 1;
INSERT INTO q7 SELECT B.auction, B.price, B.bidder, B.dateTime, B.extra FROM bid B JOIN (
  SELECT MAX(price) AS maxprice, window_end AS dateTime FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '10' SECOND)) GROUP BY window_start, window_end
) B1 ON B.price = B1.maxprice WHERE B.dateTime BETWEEN B1.dateTime - INTERVAL '10' SECOND AND B1.dateTime;
INSERT INTO q10 SELECT auction, bidder, price, dateTime, extra, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), DATE_FORMAT(dateTime, 'HH:mm') FROM bid;
INSERT INTO q11 SELECT B.bidder, count(*) AS bid_count, SESSION_START(B.dateTime, INTERVAL '10' SECOND) AS starttime
  FROM bid B GROUP BY B.bidder, SESSION(B.dateTime, INTERVAL '10' SECOND);
INSERT INTO q12 SELECT bidder, count(*), window_start FROM TABLE(TUMBLE((SELECT *, PROCTIME() AS p_time FROM bid), DESCRIPTOR(p_time), INTERVAL '10' SECOND))
  GROUP BY bidder, window_start, window_end;
INSERT INTO q13 SELECT B.auction, S.\`value\` FROM (SELECT *, PROCTIME() AS p_time FROM bid) B JOIN side_input FOR SYSTEM_TIME AS OF B.p_time AS S ON mod(B.auction, 10000) = S.key;
INSERT INTO q14 SELECT 0.908 * price AS price, CASE WHEN HOUR(dateTime) >= 8 AND HOUR(dateTime) <= 18 THEN 'dayTime' ELSE 'otherTime' END AS bidTimeType,
  count_char(extra, 'c') AS c_counts FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;
INSERT INTO q15 SELECT DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS \`day\`, count(*) AS total_bids, count(*) FILTER (WHERE price < 10000) AS rank1_bids,
  count(distinct bidder) FILTER (WHERE price >= 1000000) AS rank3_bidders FROM bid GROUP BY DATE_FORMAT(dateTime, 'yyyy-MM-dd');
INSERT INTO q19 SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid) WHERE rank_number <= 10;
INSERT INTO q21 SELECT CASE WHEN lower(channel) = 'apple' THEN '0' ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id
  FROM bid WHERE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) IS NOT NULL OR lower(channel) IN ('apple', 'google');
INSERT INTO q22 SELECT SPLIT_INDEX(url, '/', 3) AS dir1, SPLIT_INDEX(url, '/', 4) AS dir2 FROM bid;
`

test('every golden script and the forms of Nexmark are read', (t) => {
  assert.ok(goldenScripts.length > 100)
  let statementCount = 0
  const startMs = performance.now()
  for (const { file, sql } of goldenScripts) {
    const statements = parseScript(sql)
    assert.ok(statements.length > 0, file)
    assert.ok(statements.at(-1)!.type === 'query', file)
    statementCount += statements.length
  }
  statementCount += parseScript(nexmark).length
  t.diagnostic(`${statementCount} statements, ${(((performance.now() - startMs) * 1000) / statementCount).toFixed(1)} µs each, cold`)
})

test('spans: each statement covers its text, and an expression can be cut out again', () => {
  for (const sql of [...goldenScripts.map((script) => script.sql), nexmark]) {
    const parts = splitStatements(sql)
    const statements = parseScript(sql)
    assert.deepEqual(
      statements.map((statement) => statement.span),
      parts.map(({ start, end }) => ({ start, end })),
    )
    for (const part of parts) assert.equal(part.text, sql.slice(part.start, part.end))
  }
  const sql = 'SELECT (a + b) * f( x ), CASE WHEN a THEN b END c FROM t'
  const statement = parseStatement(sql)
  assert.ok(statement.type === 'query' && statement.query.type === 'select')
  assert.deepEqual(
    statement.query.items.map((item) => [expressionText(sql, item.expression.span), expressionText(sql, item.span)]),
    [
      ['a + b) * f( x )', '(a + b) * f( x )'],
      ['CASE WHEN a THEN b END', 'CASE WHEN a THEN b END c'],
    ],
  )
})

test('splitting: texts, comments and statement sets hold their semicolons', () => {
  const texts = (sql: string) => splitStatements(sql).map((part) => part.text)
  assert.deepEqual(texts("a ';' b; -- c;\n /* ; */ `;` ;; \n d"), ["a ';' b", '`;`', 'd'])
  assert.deepEqual(texts('EXECUTE STATEMENT SET BEGIN a CASE x END; b; END; c'), ['EXECUTE STATEMENT SET BEGIN a CASE x END; b; END', 'c'])
  assert.deepEqual(texts('BEGIN STATEMENT SET; a; END; b'), ['BEGIN STATEMENT SET; a; END', 'b'])
  assert.deepEqual(texts(' ; -- nothing\n'), [])
})

test('an error names the place, what was found, what was expected, and the word meant', () => {
  const shown = (sql: string) => {
    const error = errorOf(() => parseScript(sql))
    const { line, column, start, end } = error.position!
    assert.deepEqual(textPosition(sql, { start, end }), error.position)
    return [error.code, `${line}:${column}`, sql.slice(start, end), error.hint]
  }
  assert.deepEqual(shown('SELEC a FROM t'), ['SQL_SYNTAX', '1:1', 'SELEC', 'Did you mean SELECT instead of SELEC?'])
  assert.deepEqual(shown('SELECT 1;\nSELECT a\nFORM t'), ['SQL_SYNTAX', '3:6', 't', 'Did you mean FROM instead of FORM?'])
  assert.deepEqual(shown('SELECT a FROM t GRUOP BY a'), ['SQL_SYNTAX', '1:23', 'BY', 'Did you mean GROUP instead of GRUOP?'])
  assert.deepEqual(shown('CREATE TABEL t (a INT)'), ['SQL_SYNTAX', '1:8', 'TABEL', 'Did you mean TABLE instead of TABEL?'])
  assert.deepEqual(shown('CREATE TABLE t (a STRNG)'), ['SQL_TYPE_UNKNOWN', '1:19', 'STRNG', 'Did you mean STRING?'])
  assert.deepEqual(shown('SELECT EXTRACT(YEER FROM a)').slice(0, 4), ['SQL_SYNTAX', '1:16', 'YEER', 'Did you mean YEAR instead of YEER?'])
  assert.deepEqual(shown('SELECT value FROM t'), [
    'SQL_RESERVED_WORD',
    '1:8',
    'value',
    'If it is meant as a name, write it in backquotes: `value`.',
  ])
  assert.deepEqual(shown('SELECT MAX(value) FROM t').slice(0, 3), ['SQL_RESERVED_WORD', '1:12', 'value'])
  assert.deepEqual(shown('CREATE TABLE t (user INT)').slice(0, 3), ['SQL_RESERVED_WORD', '1:17', 'user'])
  assert.deepEqual(shown("SELECT 'a\nb"), ['SQL_TEXT_UNTERMINATED', '1:8', "'a\nb", "Close it with '."])
  assert.deepEqual(shown('SELECT "a" FROM t'), [
    'SQL_SYNTAX',
    '1:8',
    '"',
    "Names go in backquotes (`name`), texts in single quotes ('text').",
  ])
  assert.deepEqual(shown('SELECT a != b'), ['SQL_SYNTAX', '1:10', '!=', 'Flink writes "not equal" as <>.'])
  assert.deepEqual(shown('SELECT INTERVAL ) SECOND').slice(3), ["Write the number of an interval in quotes: INTERVAL '5' SECOND."])
  assert.deepEqual(shown("SELECT DATE '1.2.2026'").slice(0, 3), ['SQL_LITERAL_INVALID', '1:8', "DATE '1.2.2026'"])
  assert.deepEqual(shown('CREATE TABLE t (a INT, PRIMARY KEY (a))').slice(3), [
    'A key is declared, not checked: write PRIMARY KEY … NOT ENFORCED.',
  ])
  assert.equal(shown("SELECT JSON_VALUE(j, '$' NULL ON ERROR NULL ON EMPTY)")[1], '1:48')
  const error = errorOf(() => parseStatement('SELECT a FROM t WHERE'))
  assert.equal(error.message, 'line 1, column 22: found the end of the statement, expected an expression')
  assert.match(errorOf(() => parseStatement('SELECT f(a b)')).message, /found b, expected (.*", "|.*"\)").*/)
  assert.equal(errorOf(() => parseStatement('SELECT 1; SELECT 2')).position?.start, 10)
  assert.equal(errorOf(() => parseStatement('')).code, 'SQL_SYNTAX')
  assert.equal(errorOf(() => parseExpression('a b')).code, 'SQL_SYNTAX')
})

test('tolerant parsing returns what is right and one error for each statement that is not', () => {
  const { statements, errors } = parseScriptTolerant(
    "SELECT 1; SELEC 2; CREATE TABLE t (a INT); SELECT FROM; SELECT 3; SELECT 'x; SELECT 4",
  )
  assert.deepEqual(
    statements.map((statement) => statement.type),
    ['query', 'createTable', 'query'],
  )
  assert.deepEqual(
    errors.map((error) => [error.code, error.position?.start]),
    [
      ['SQL_SYNTAX', 10],
      ['SQL_SYNTAX', 50],
      ['SQL_TEXT_UNTERMINATED', 73],
    ],
  )
  assert.equal(parseScriptTolerant('x;'.repeat(300_000)).errors.length, 100)
  assert.equal(parseScriptTolerant(' '.repeat(SQL_LENGTH_MAX + 1)).errors[0]?.code, 'SQL_TOO_LONG')
})

test('reserved words are names in backquotes only; other keywords are names as they are', () => {
  for (const word of reservedWords) {
    assert.equal(listed(parseExpression(`t.\`${word}\``)), `t.${word}`)
    assert.ok(isStreamError(errorOf(() => parseExpression(`t.${word}`))), word)
  }
  const free =
    'a year_ data first last key name type source options session hop tumble map level plan state version week json catalog next_ if virtual metadata model'
  for (const word of free.split(' ')) assert.equal(listed(parseExpression(`${word} + t.${word}`)), `(+ ${word} t.${word})`)
})

const levels = 10_000
const deep: Record<string, string> = {
  parentheses: `SELECT ${'('.repeat(levels)}a${')'.repeat(levels)}`,
  openParentheses: `SELECT ${'('.repeat(levels)}`,
  subqueries: `SELECT * FROM ${'(SELECT * FROM '.repeat(levels)}t${')'.repeat(levels)}`,
  scalarQueries: `SELECT ${'(SELECT '.repeat(levels)}1${')'.repeat(levels)}`,
  joins: `SELECT * FROM ${'('.repeat(levels)}a JOIN b ON c${')'.repeat(levels)}`,
  calls: `SELECT ${'f('.repeat(levels)}a${')'.repeat(levels)}`,
  cases: `SELECT ${'CASE WHEN a THEN '.repeat(levels)}a${' END'.repeat(levels)}`,
  nots: `SELECT ${'NOT '.repeat(levels)}a`,
  signs: `SELECT ${'- '.repeat(levels)}a`,
  elements: `SELECT a${'[b'.repeat(levels)}`,
  elementChain: `SELECT a${'[1]'.repeat(levels)}`,
  types: `SELECT CAST(a AS ${'ARRAY<'.repeat(levels)}INT${'>'.repeat(levels)})`,
  typeChain: `SELECT CAST(a AS INT${' ARRAY'.repeat(levels)})`,
  rowTypes: `CREATE TABLE t (a ${'ROW<a '.repeat(levels)}INT`,
  patterns: `SELECT * FROM t MATCH_RECOGNIZE (PATTERN ${'('.repeat(levels)}`,
  queryParentheses: `${'('.repeat(levels)}SELECT 1${')'.repeat(levels)}`,
  withs: `${'WITH a AS ('.repeat(levels)}SELECT 1`,
  sums: `SELECT ${'a + '.repeat(levels)}a`,
  unions: `${'SELECT 1 UNION ALL '.repeat(levels)}SELECT 1`,
  joinChain: `SELECT * FROM a${' JOIN b ON c'.repeat(levels)}`,
  commas: `SELECT * FROM a${', b'.repeat(levels)}`,
  isChain: `SELECT a${' IS NULL'.repeat(levels)}`,
  arguments: `SELECT ${'f(x => '.repeat(levels)}1`,
}
for (const [name, sql] of Object.entries(deep))
  test(`depth without end is a typed error: ${name}`, () => {
    assert.match(errorOf(() => parseStatement(sql)).code, /^SQL_TOO_DEEP$/)
  })

/** Levels of a tree, by plain recursion, as a walker of the tree would need them. */
const depthOf = (node: unknown): number =>
  typeof node === 'object' && node !== null ? 1 + Math.max(0, ...Object.values(node).map(depthOf)) : 0

test('long lists and chains of AND and OR have no limit but the text’s, and stay flat', () => {
  const count = 50_000
  for (const operator of ['AND', 'OR']) {
    const sql = Array.from({ length: count }, (_, i) => `a = ${i}`).join(` ${operator} `)
    const tree = parseExpression(sql)
    assert.ok(depthOf(tree) < 100)
    assert.deepEqual(tree.span, { start: 0, end: sql.length })
  }
  const numbers = Array.from({ length: count }, (_, i) => i).join(', ')
  assert.ok(depthOf(parseExpression(`a IN (${numbers})`)) < 20)
  assert.ok(depthOf(parseStatement(`INSERT INTO t VALUES (${numbers.replaceAll(', ', '), (')})`)) < 20)
  assert.equal(errorOf(() => parseScript(' '.repeat(SQL_LENGTH_MAX + 1))).code, 'SQL_TOO_LONG')
  const nested = NESTING_MAX - 10
  assert.equal(listed(parseExpression(`${'('.repeat(nested)}a${')'.repeat(nested)}`)), 'a')
})

// ---------------------------------------------------------------- fuzzing

const vocabulary = [...new Set(goldenScripts.flatMap(({ sql }) => sql.match(/\w+|'[^']*'|[^\s\w]/g) ?? []))]
const soup = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...vocabulary, ...reservedWords, '/*+', '*/', '{-', '-}', '=>', '||') },
    fc.string({ unit: 'binary', maxLength: 3 }),
  ),
  {
    maxLength: 60,
  },
)
const slice = fc.tuple(
  fc.nat(),
  fc.nat({ max: 40 }),
  fc.constantFrom('', ' ', '(', ')', "'", '`', ';', ' SELECT ', ',', '[', ' AS ', '*/', '.'),
)
const mutated = fc
  .tuple(fc.constantFrom(...goldenScripts.map((script) => script.sql), nexmark), fc.array(slice, { minLength: 1, maxLength: 4 }))
  .map(([sql, slices]) => {
    let text = sql
    for (const [seed, length, put] of slices) {
      const at = seed % (text.length + 1)
      text = text.slice(0, at) + put + text.slice(at + length)
    }
    return text
  })

/** Whatever the text: trees or StreamErrors with a place in it, soon. */
function survives(text: string): void {
  const startMs = performance.now()
  for (const part of [parseScript, parseExpression, parseType, splitStatements]) {
    try {
      part(text)
    } catch (error) {
      assert.ok(isStreamError(error), `${part.name}: ${error instanceof Error ? error.stack : error}`)
      const position = error.position!
      assert.ok(position.start >= 0 && position.start <= position.end && position.end <= text.length)
      assert.deepEqual(position, textPosition(text, position))
      assert.ok(error.message.length < 2_000 && error.hint.length > 0)
    }
  }
  const { statements, errors } = parseScriptTolerant(text)
  assert.equal(statements.length + errors.length, splitStatements(text).length)
  assert.ok(performance.now() - startMs < 1_000)
}

test('token soup gives only StreamErrors', () => {
  fc.assert(
    fc.property(soup, (pieces) => survives(pieces.join(' '))),
    { numRuns: 3_000 },
  )
})

test('mutated statements give only StreamErrors', () => {
  fc.assert(fc.property(mutated, survives), { numRuns: 3_000 })
})
