// What is wrong with a query is said by a code, at the place in the text, with the next step.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStreamError } from '../base/index.ts'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'

const tables = `
CREATE TABLE t (k STRING, v INT);
CREATE TABLE e (ts TIMESTAMP(3), k STRING, v INT, r ROW<x INT>, a ARRAY<INT>, WATERMARK FOR ts AS ts);
CREATE TABLE f (ts TIMESTAMP(3), k STRING, w INT NOT NULL, WATERMARK FOR ts AS ts);
CREATE TABLE p (id INT, pt AS PROCTIME());
CREATE TABLE kafka (k STRING, n BIGINT) WITH ('connector' = 'kafka');
`

interface Failure {
  code: string
  /** The text at the position. */
  at: string | undefined
  hint: string
}
function failureOf(sql: string): Failure {
  const text = tables + sql
  try {
    bindScript(text, new Catalog())
  } catch (error) {
    if (!isStreamError(error)) throw error
    assert.equal(error.kind, 'user')
    assert.ok(!('span' in error.params), 'the span became a position')
    const { position } = error
    return { code: error.code, at: position && text.slice(position.start, position.end), hint: error.hint }
  }
  assert.fail('no error')
}

/** SQL, code, the text at the position, and what the hint says. */
const cases: [sql: string, code: string, at: string, hint?: RegExp][] = [
  // names
  ['SELECT kk FROM t', 'SQL_COLUMN_NOT_FOUND', 'kk', /"k"/],
  ['SELECT t.vv FROM t', 'SQL_COLUMN_NOT_FOUND', 'vv', /"v"/],
  ['SELECT tt.v FROM t', 'SQL_COLUMN_NOT_FOUND', 'tt.v', /"t.v"/],
  ['SELECT K FROM t', 'SQL_COLUMN_NOT_FOUND', 'K', /"k"/],
  ['SELECT * FROM tx', 'SQL_TABLE_NOT_FOUND', 'tx', /"t"/],
  ['SELECT k FROM t AS a JOIN t AS b ON a.v = b.v', 'SQL_COLUMN_AMBIGUOUS', 'k', /a\.k/],
  ['SELECT * FROM (SELECT k, v AS k FROM t)', 'SQL_COLUMN_AMBIGUOUS', '*', /AS/],
  ['SELECT k FROM (SELECT *, k FROM t) AS s', 'SQL_COLUMN_AMBIGUOUS', 'k', /AS/],
  ['SELECT r.q FROM e', 'SQL_FIELD_NOT_FOUND', 'q', /x/],
  ['SELECT v.q FROM e', 'SQL_FIELD_NOT_FOUND', 'q'],
  ['SELECT UPER(k) FROM t', 'SQL_FUNCTION_NOT_FOUND', 'UPER', /UPPER/],
  ['SELECT user FROM t', 'SQL_FUNCTION_NOT_FOUND', 'user', /backquotes: `user`/],
  ['WITH w AS (SELECT k FROM t) SELECT v FROM w', 'SQL_COLUMN_NOT_FOUND', 'v'],
  ['SELECT * FROM t AS x (a, b, c)', 'SQL_COLUMN_COUNT', 'a'],
  ['CREATE TABLE x (a INT, PRIMARY KEY (b) NOT ENFORCED)', 'SQL_COLUMN_NOT_FOUND', 'b', /a/],
  ['CREATE TABLE x (a INT PRIMARY KEY NOT ENFORCED, b INT PRIMARY KEY NOT ENFORCED)', 'SQL_KEY_INVALID', 'b'],
  ['CREATE VIEW x AS SELECT k, k FROM t', 'SQL_COLUMN_DUPLICATE', 'k'],
  ["SELECT /*+ STATE_TTL('tt' = '1 h') */ t.v FROM t JOIN f ON t.k = f.k", 'SQL_HINT_TABLE', "STATE_TTL('tt' = '1 h')", /t or f/],
  ['SHOW CREATE VIEW t', 'SQL_OBJECT_KIND', 't', /SHOW CREATE TABLE/],
  ['DROP VIEW t', 'SQL_OBJECT_KIND', 't', /DROP TABLE t/],
  ['DROP TEMPORARY TABLE t', 'SQL_OBJECT_KIND', 't', /DROP TABLE t/],
  ['SELECT TIMESTAMPADD(MICROSECOND, 1, ts) FROM e', 'SQL_ARGUMENTS_INVALID', 'TIMESTAMPADD(MICROSECOND, 1, ts)'],
  ['SHOW CREATE FUNCTION f', 'SQL_NOT_SUPPORTED', 'SHOW CREATE FUNCTION f', /SHOW USER FUNCTIONS/],
  ['SELECT UPPER(k) OVER (ORDER BY ts) FROM e', 'SQL_AGGREGATE_EXPECTED', 'UPPER'],
  ['SELECT NOSUCH(k) OVER (ORDER BY ts) FROM e', 'SQL_FUNCTION_NOT_FOUND', 'NOSUCH'],
  // types
  ["SELECT k LIKE 'a' ESCAPE 'xx' FROM t", 'SQL_LITERAL_UNREADABLE', "k LIKE 'a' ESCAPE 'xx'"],
  ["SELECT v IN (1, '2') FROM t", 'SQL_ARGUMENTS_INVALID', "v IN (1, '2')"],
  ['SELECT v FROM t WHERE v', 'SQL_NOT_BOOLEAN', 'v'],
  ['SELECT k + 1 FROM t', 'SQL_ARGUMENTS_INVALID', 'k + 1'],
  ['SELECT CAST(a AS INT) FROM e', 'SQL_CAST_INVALID', 'CAST(a AS INT)'],
  ["SELECT DATE '2026-02-30'", 'SQL_LITERAL_UNREADABLE', "DATE '2026-02-30'"],
  ['SELECT k FROM t UNION ALL SELECT k, v FROM t', 'SQL_COLUMN_COUNT', 'SELECT k, v FROM t'],
  ['SELECT k FROM t UNION ALL SELECT a FROM e', 'SQL_TYPES_DIFFER', 'SELECT k FROM t UNION ALL SELECT a FROM e'],
  ["VALUES (1, 'a'), (2)", 'SQL_COLUMN_COUNT', '2'],
  ['WITH c AS (SELECT z FROM t) SELECT k FROM t', 'SQL_COLUMN_NOT_FOUND', 'z'],
  // aggregates
  ['SELECT CARDINALITY(COLLECT(v)) FROM t', 'SQL_ARGUMENTS_INVALID', 'CARDINALITY(COLLECT(v))', /ARRAY or a MAP/],
  ["SELECT EXTRACT(EPOCH FROM TIME '00:00:00') FROM t", 'SQL_ARGUMENTS_INVALID', "EXTRACT(EPOCH FROM TIME '00:00:00')"],
  ["SELECT k FROM t ORDER BY MAP['a', v] LIMIT 1", 'SQL_NOT_SUPPORTED', "MAP['a', v]"],
  ['SELECT k, v + 1 AS w FROM t QUALIFY w > 4', 'SQL_NOT_SUPPORTED', 'w > 4', /WHERE/],
  ['SELECT k, v, COUNT(*) FROM t GROUP BY k', 'SQL_COLUMN_NOT_GROUPED', 'v', /MAX\(v\)/],
  ['SELECT * FROM t GROUP BY k', 'SQL_COLUMN_NOT_GROUPED', '*'],
  ['SELECT SUM(k) FROM t', 'SQL_AGGREGATE_ARGUMENTS', 'SUM(k)'],
  ['SELECT SUM(COUNT(*)) FROM t', 'SQL_AGGREGATE_MISPLACED', 'COUNT(*)'],
  ['SELECT v FROM t WHERE COUNT(*) > 1', 'SQL_AGGREGATE_MISPLACED', 'COUNT(*)', /HAVING/],
  ['SELECT COUNT(DISTINCT k, v) FROM t', 'SQL_AGGREGATE_ARGUMENTS', 'COUNT(DISTINCT k, v)'],
  ['SELECT COUNT(DISTINCT r) FROM e', 'SQL_DISTINCT_UNSUPPORTED', 'COUNT(DISTINCT r)'],
  ['SELECT LISTAGG(k, k) FROM t', 'SQL_NOT_CONSTANT', 'k'],
  ['SELECT GROUPING(v) FROM t GROUP BY k', 'SQL_GROUPING_INVALID', 'v'],
  // windows
  ["SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(v), INTERVAL '1' MINUTE))", 'SQL_WINDOW_TIME_ATTRIBUTE', 'v', /WATERMARK FOR v/],
  ["SELECT * FROM TABLE(TUMBEL(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", 'SQL_TABLE_FUNCTION_NOT_FOUND', 'TUMBEL', /TUMBLE/],
  ['SELECT * FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), 10))', 'SQL_WINDOW_ARGUMENTS', '10'],
  ["SELECT * FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MONTH))", 'SQL_WINDOW_ARGUMENTS', "INTERVAL '1' MONTH"],
  [
    "SELECT COUNT(*) FROM TABLE(HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
    'SQL_WINDOW_ARGUMENTS',
    "SELECT COUNT(*) FROM TABLE(HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
  ],
  // A calculation, and a join, make an ordinary timestamp of a time attribute.
  [
    "SELECT * FROM TABLE(TUMBLE((SELECT ts + INTERVAL '1' SECOND AS ts FROM e), DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    'SQL_WINDOW_TIME_ATTRIBUTE',
    'ts',
  ],
  [
    "SELECT window_start FROM TABLE(TUMBLE((SELECT e.ts FROM e JOIN f ON e.k = f.k), DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    'SQL_WINDOW_TIME_ATTRIBUTE',
    'ts',
  ],
  ["SELECT COUNT(*) FROM t GROUP BY TUMBLE(v, INTERVAL '1' MINUTE)", 'SQL_WINDOW_TIME_ATTRIBUTE', 'v'],
  [
    "SELECT TUMBLE_END(ts, INTERVAL '2' MINUTE) FROM e GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
    'SQL_WINDOW_NOT_GROUPED',
    "TUMBLE_END(ts, INTERVAL '2' MINUTE)",
  ],
  ["SELECT TUMBLE_END(ts, INTERVAL '2' MINUTE) FROM e", 'SQL_WINDOW_NOT_GROUPED', "TUMBLE_END(ts, INTERVAL '2' MINUTE)"],
  [
    "SELECT 1 FROM e GROUP BY TUMBLE(ts, INTERVAL '2' MINUTE), HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
    'SQL_WINDOW_ARGUMENTS',
    "HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
  ],
  // options
  ["CREATE TABLE x (k STRING) WITH ('connector' = 'kafka', 'fromat' = 'csv')", 'SQL_OPTION_UNKNOWN', "'fromat' = 'csv'", /'format'/],
  [
    "CREATE TABLE x (k STRING) WITH ('connector' = 'kafka', 'scan.bounded.mode' = 'latest-offset')",
    'SQL_NOT_SUPPORTED',
    "'scan.bounded.mode' = 'latest-offset'",
  ],
  [
    "SELECT * FROM kafka /*+ OPTIONS('scan.startup.mod' = 'latest-offset') */",
    'SQL_OPTION_UNKNOWN',
    "OPTIONS('scan.startup.mod' = 'latest-offset')",
    /'scan.startup.mode'/,
  ],
  // buckets
  ['CREATE TABLE x (k STRING) DISTRIBUTED BY (kk)', 'SQL_COLUMN_NOT_FOUND', 'kk', /"k"/],
  ['CREATE TABLE x (k STRING, c AS k) DISTRIBUTED BY HASH(c)', 'SQL_DISTRIBUTION_INVALID', 'c'],
  ['CREATE TABLE x (k STRING) DISTRIBUTED INTO 0 BUCKETS', 'SQL_DISTRIBUTION_INVALID', 'DISTRIBUTED INTO 0 BUCKETS'],
  ['CREATE TABLE x (k STRING) DISTRIBUTED BY ()', 'SQL_SYNTAX', ')'],
  ['CREATE TABLE x (k STRING) DISTRIBUTED', 'SQL_SYNTAX', ''],
  [
    'CREATE TABLE x (k STRING) DISTRIBUTED BY HASH(k); CREATE TABLE y (v INT) LIKE x; INSERT INTO y SELECT v, k FROM t',
    'SQL_NOT_SUPPORTED',
    'INSERT INTO y SELECT v, k FROM t',
    /partitions/,
  ],
  // what other databases have
  ["SELECT LENGTH('a') FROM t", 'SQL_FUNCTION_NOT_FOUND', 'LENGTH', /CHAR_LENGTH/],
  ['SELECT POW(v, 2) FROM t', 'SQL_FUNCTION_NOT_FOUND', 'POW', /POWER/],
  ["SELECT k RLIKE 'a' FROM t", 'SQL_FUNCTION_NOT_FOUND', "k RLIKE 'a'", /REGEXP/],
  ['SELECT DATEDIFF(ts, ts) FROM e', 'SQL_FUNCTION_NOT_FOUND', 'DATEDIFF', /TIMESTAMPDIFF/],
  ['SELECT STRING_AGG(k) FROM t', 'SQL_FUNCTION_NOT_FOUND', 'STRING_AGG', /LISTAGG/],
  ["SELECT PARSE_JSON('1') FROM t", 'SQL_NOT_SUPPORTED', 'PARSE_JSON', /JSON_VALUE/],
  ["SELECT * FROM (VALUES (1, NULL), (2, 'a')) AS x (a, b)", 'SQL_NULL_UNTYPED', 'NULL'],
  ["VALUES (1, NULL), (2, 'a')", 'SQL_NULL_UNTYPED', 'NULL'],
  ['SELECT ARRAY_AGG(NULL) FROM t', 'SQL_NULL_UNTYPED', 'ARRAY_AGG(NULL)'],
  ["SELECT MAP['a', 1, 'b', NULL] FROM t", 'SQL_ARGUMENTS_INVALID', "MAP['a', 1, 'b', NULL]"],
  ['SELECT JSON_OBJECT(k VALUE v) FROM t', 'SQL_ARGUMENTS_INVALID', 'JSON_OBJECT(k VALUE v)', /NULL/],
  ['SELECT COUNT(t.*) FROM t', 'SQL_EXPRESSION_MISPLACED', 't.*'],
  // OVER, ranks, order
  ['SELECT ROW_NUMBER() FROM t', 'SQL_OVER_MISSING', 'ROW_NUMBER()'],
  ['SELECT SUM(v) OVER w FROM e', 'SQL_WINDOW_NAME_NOT_FOUND', 'w'],
  ['SELECT SUM(v) OVER (PARTITION BY k) FROM e', 'SQL_OVER_UNSUPPORTED', '(PARTITION BY k)'],
  ['SELECT LEAD(v) OVER (ORDER BY ts) FROM e', 'SQL_OVER_UNSUPPORTED', 'LEAD(v) OVER (ORDER BY ts)'],
  ['SELECT ROW_NUMBER() OVER (PARTITION BY k ORDER BY 1) FROM e', 'SQL_OVER_UNSUPPORTED', '(PARTITION BY k ORDER BY 1)'],
  [
    'SELECT SUM(v) OVER a, MAX(v) OVER b FROM e WINDOW a AS (PARTITION BY k ORDER BY ts), b AS (PARTITION BY k ORDER BY ts)',
    'SQL_OVER_UNSUPPORTED',
    'b',
    /Use a for both/,
  ],
  ['SELECT SUM(v) OVER a FROM e WINDOW a AS (ORDER BY ts), a AS (PARTITION BY k ORDER BY ts)', 'SQL_OVER_UNSUPPORTED', 'a', /another name/],
  [
    'SELECT SUM(v) OVER (a ROWS 1 PRECEDING) FROM e WINDOW a AS (ORDER BY ts ROWS 2 PRECEDING)',
    'SQL_OVER_UNSUPPORTED',
    '(a ROWS 1 PRECEDING)',
  ],
  ['SELECT SUM(v) OVER (a PARTITION BY k) FROM e WINDOW a AS (ORDER BY ts)', 'SQL_OVER_UNSUPPORTED', '(a PARTITION BY k)'],
  ['SELECT SUM(v) OVER (a ORDER BY ts) FROM e WINDOW a AS (PARTITION BY k ORDER BY ts)', 'SQL_OVER_UNSUPPORTED', '(a ORDER BY ts)'],
  ['SELECT SUM(v) OVER (ORDER BY ts DESC) FROM e', 'SQL_OVER_UNSUPPORTED', '(ORDER BY ts DESC)'],
  [
    'SELECT SUM(v) OVER (ORDER BY v ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM t',
    'SQL_OVER_UNSUPPORTED',
    '(ORDER BY v ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)',
  ],
  [
    'SELECT SUM(v) OVER (ORDER BY ts), COUNT(*) OVER (PARTITION BY k ORDER BY ts) FROM e',
    'SQL_OVER_WINDOWS_DIFFER',
    'COUNT(*) OVER (PARTITION BY k ORDER BY ts)',
  ],
  ['SELECT k FROM (SELECT k, RANK() OVER (ORDER BY v) AS r FROM t) WHERE r <= 2', 'SQL_RANK_UNSUPPORTED', '(ORDER BY v)', /ROW_NUMBER/],
  [
    'SELECT k FROM (SELECT k, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS r FROM e) WHERE r >= 2',
    'SQL_OVER_UNSUPPORTED',
    '(PARTITION BY k ORDER BY ts)',
    /rn <= N/,
  ],
  ['SELECT k FROM t ORDER BY k', 'SQL_SORT_UNSUPPORTED', 'k', /LIMIT/],
  ['SELECT ts FROM e ORDER BY ts DESC', 'SQL_SORT_UNSUPPORTED', 'ts DESC'],
  // settings
  ["SET 'table.local-time-zone' = 'Nowhere/Land'", 'SQL_SETTING_INVALID', "SET 'table.local-time-zone' = 'Nowhere/Land'", /Europe/],
  ["SET 'table.exec.state.ttl' = 'soon'", 'SQL_SETTING_INVALID', "SET 'table.exec.state.ttl' = 'soon'", /1 h/],
  [
    "SET 'table.exec.mini-batch.enable' = 'true'",
    'SQL_SETTING_UNKNOWN',
    "SET 'table.exec.mini-batch.enable' = 'true'",
    /mini-batch\.enabled'\?/,
  ],
  ["SET 'table.exec.state-ttl' = '1 h'", 'SQL_SETTING_UNKNOWN', "SET 'table.exec.state-ttl' = '1 h'", /table\.exec\.state\.ttl/],
  ["SET 'paralelism.default' = '2'", 'SQL_SETTING_UNKNOWN', "SET 'paralelism.default' = '2'", /parallelism\.default/],
  [
    "SET 'execution.checkpointing.intervall' = '2 s'",
    'SQL_SETTING_UNKNOWN',
    "SET 'execution.checkpointing.intervall' = '2 s'",
    /interval'\?/,
  ],
  ["SET 'execution.checkpointing.interval' = 'often'", 'SQL_SETTING_INVALID', "SET 'execution.checkpointing.interval' = 'often'"],
  ["SET 'execution.runtime-mode' = 'batch'", 'SQL_SETTING_INVALID', "SET 'execution.runtime-mode' = 'batch'", /millrace sql/],
  [
    "SET 'table.exec.legacy-cast-behaviour' = 'enabled'",
    'SQL_SETTING_INVALID',
    "SET 'table.exec.legacy-cast-behaviour' = 'enabled'",
    /TRY_CAST/,
  ],
  // joins and sub-queries
  [
    "SELECT 1 FROM (SELECT * FROM e QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) = 1) AS d JOIN f ON d.k = f.k AND d.ts BETWEEN f.ts AND f.ts + INTERVAL '1' HOUR",
    'SQL_UPDATING_INPUT',
    "(SELECT * FROM e QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) = 1) AS d JOIN f ON d.k = f.k AND d.ts BETWEEN f.ts AND f.ts + INTERVAL '1' HOUR",
  ],
  ['SELECT e.v FROM e JOIN f FOR SYSTEM_TIME AS OF e.ts ON e.k = f.k', 'SQL_TEMPORAL_JOIN', 'f FOR SYSTEM_TIME AS OF e.ts', /PRIMARY KEY/],
  ['SELECT e.v FROM e JOIN t FOR SYSTEM_TIME AS OF e.ts ON e.k = t.k', 'SQL_TEMPORAL_JOIN', 't FOR SYSTEM_TIME AS OF e.ts', /WATERMARK/],
  ['SELECT e.v FROM e JOIN f FOR SYSTEM_TIME AS OF e.k ON e.k = f.k', 'SQL_TEMPORAL_JOIN', 'e.k'],
  ['SELECT (SELECT k, v FROM t) FROM t', 'SQL_COLUMN_COUNT', '(SELECT k, v FROM t)'],
  ['SELECT k FROM t WHERE (v, v) <> ANY (SELECT w, w FROM f)', 'SQL_NOT_SUPPORTED', '(v, v) <> ANY (SELECT w, w FROM f)', /one column/],
  ['SELECT (v, v) > ALL (SELECT w, w FROM f) FROM t', 'SQL_NOT_SUPPORTED', '(v, v) > ALL (SELECT w, w FROM f)', /one column/],
  [
    'SELECT k FROM t WHERE v = (SELECT w FROM f WHERE f.k > t.k LIMIT 1)',
    'SQL_CORRELATION_UNSUPPORTED',
    '(SELECT w FROM f WHERE f.k > t.k LIMIT 1)',
  ],
  ['SELECT * FROM t, UNNEST(v) AS x (a)', 'SQL_ARGUMENTS_INVALID', 'UNNEST(v)'],
  // patterns
  ['SELECT * FROM p MATCH_RECOGNIZE (ORDER BY id MEASURES a.id AS x PATTERN (a b) DEFINE a AS a.id > 1)', 'SQL_MATCH_UNSUPPORTED', 'id'],
  [
    'SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES a.v AS x PATTERN (a b+) DEFINE a AS a.v > 1)',
    'SQL_MATCH_UNSUPPORTED',
    'a b+',
    /\+\?/,
  ],
  [
    'SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES a.v AS x PATTERN (a (b | c)) DEFINE a AS a.v > 1)',
    'SQL_MATCH_UNSUPPORTED',
    'b | c',
  ],
  ['SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES a.v AS x PATTERN (a b) DEFINE c AS a.v > 1)', 'SQL_MATCH_VARIABLE', 'c'],
  [
    'SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES PREV(a.v) AS x PATTERN (a b) DEFINE a AS a.v > 1)',
    'SQL_MATCH_UNSUPPORTED',
    'PREV(a.v)',
    /LAST/,
  ],
  ['SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES LAST(a.v, -1) AS x PATTERN (a b) DEFINE a AS a.v > 1)', 'SQL_NOT_CONSTANT', '-1'],
  [
    'SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES COUNT(a.*) AS x PATTERN (a b) DEFINE a AS a.v > 1)',
    'SQL_MATCH_UNSUPPORTED',
    'a.*',
  ],
  [
    'SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES RUNNING LAST(a.v) AS x PATTERN (a b) DEFINE a AS a.v > 1)',
    'SQL_MATCH_UNSUPPORTED',
    'RUNNING LAST(a.v)',
  ],
  [
    'SELECT * FROM e MATCH_RECOGNIZE (ORDER BY ts MEASURES a.v AS x PATTERN (a b) DEFINE a AS FINAL LAST(a.v) > 1)',
    'SQL_MATCH_UNSUPPORTED',
    'FINAL LAST(a.v)',
  ],
  ["SELECT CURRENT_WATERMARK(ts + INTERVAL '1' SECOND) FROM e", 'SQL_WINDOW_TIME_ATTRIBUTE', "CURRENT_WATERMARK(ts + INTERVAL '1' SECOND)"],
  // declarations and INSERT
  ['CREATE TABLE q (a INT, b AS a + x)', 'SQL_COLUMN_NOT_FOUND', 'x'],
  ['CREATE TABLE q (a INT, a STRING)', 'SQL_COLUMN_DUPLICATE', 'a'],
  ['CREATE TABLE q (b INT, WATERMARK FOR b AS b)', 'SQL_WATERMARK_INVALID', 'b', /TIMESTAMP\(3\)/],
  ['CREATE TABLE q (ts TIMESTAMP(6), WATERMARK FOR ts AS ts)', 'SQL_WATERMARK_INVALID', 'ts'],
  ["CREATE TABLE q (b INT) WITH ('connector' = 'upsert-kafka')", 'SQL_KEY_REQUIRED', 'q'],
  ['CREATE TABLE q (b INT, c AS b + 1, PRIMARY KEY (c) NOT ENFORCED)', 'SQL_KEY_INVALID', 'c'],
  ['CREATE TABLE t (b INT)', 'SQL_NAME_TAKEN', 't', /IF NOT EXISTS/],
  ['CREATE VIEW q (a, b) AS SELECT k FROM t', 'SQL_COLUMN_COUNT', 'a'],
  ['DROP TABLE tz', 'SQL_OBJECT_NOT_FOUND', 'tz', /"t"/],
  ['CREATE MATERIALIZED TABLE q AS SELECT * FROM t', 'SQL_KEY_MISSING', 'q', /PRIMARY KEY \(k\)/],
  ['INSERT INTO t SELECT k FROM t', 'SQL_COLUMN_COUNT', 'SELECT k FROM t'],
  ['INSERT INTO t SELECT v, k FROM t', 'SQL_INSERT_TYPE', 'v', /CAST/],
  ['INSERT INTO f (k) SELECT k FROM t', 'SQL_INSERT_NULL', 'INSERT INTO f (k) SELECT k FROM t'],
  ['INSERT INTO t (vv) SELECT v FROM t', 'SQL_COLUMN_NOT_FOUND', 'vv'],
  [
    'INSERT INTO kafka SELECT k, COUNT(*) FROM t GROUP BY k',
    'SQL_SINK_APPEND_ONLY',
    'SELECT k, COUNT(*) FROM t GROUP BY k',
    /upsert-kafka/,
  ],
]

for (const [sql, code, at, hint] of cases) {
  test(`${code}: ${sql}`, () => {
    const failure = failureOf(sql)
    assert.deepEqual({ code: failure.code, at: failure.at }, { code, at })
    assert.ok(failure.hint.length > 0)
    if (hint !== undefined) assert.match(failure.hint, hint)
  })
}

test('an error of a view that lost its table points into the view', () => {
  const catalog = new Catalog()
  const bound = bindScript('CREATE TABLE a (k INT); CREATE VIEW w AS SELECT k FROM a; SELECT * FROM w', catalog)
  assert.equal(bound.length, 3)
  assert.throws(
    () => bindScript('CREATE TABLE a (k INT); CREATE VIEW w AS SELECT k FROM a; DROP TABLE a; SELECT * FROM w', catalog),
    (error) => isStreamError(error) && error.code === 'SQL_TABLE_NOT_FOUND' && error.position?.start === 'SELECT k FROM '.length,
  )
})

test('rows that a view numbers get their bound where it is used; without one the error points at the view', () => {
  const view = 'CREATE TABLE a (k INT, v INT); CREATE VIEW w AS SELECT k, ROW_NUMBER() OVER (ORDER BY v DESC) AS n FROM a; '
  bindScript(`${view}SELECT k FROM w WHERE n <= 2`, new Catalog())
  assert.throws(
    () => bindScript(`${view}SELECT n FROM w`, new Catalog()),
    (error) =>
      isStreamError(error) && error.code === 'SQL_OVER_UNSUPPORTED' && error.position?.start === view.length + 'SELECT n FROM '.length,
  )
})

test('a table that is DISTRIBUTED can be read', () => {
  for (const clause of ['BY (k)', 'BY HASH(k)', 'BY RANGE(k, v) INTO 4 BUCKETS', 'BY (k, k) INTO 4 BUCKETS', 'INTO 4 BUCKETS'])
    bindScript(`CREATE TABLE x (k STRING, v INT) COMMENT 'c' DISTRIBUTED ${clause} PARTITIONED BY (v); SELECT * FROM x`, new Catalog())
})
