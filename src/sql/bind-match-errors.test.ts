// What MATCH_RECOGNIZE and FOR SYSTEM_TIME AS OF refuse, at its place in the text; and a twin of each that differs little and is taken.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStreamError } from '../base/index.ts'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'

const tables = `
CREATE TABLE e (ts TIMESTAMP(3), k STRING, v INT, WATERMARK FOR ts AS ts);
CREATE TABLE r (ts TIMESTAMP(3), k STRING, p INT, WATERMARK FOR ts AS ts, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'key.format' = 'json', 'value.format' = 'json');
CREATE VIEW newest AS SELECT ts, k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM e) WHERE rn = 1;
CREATE VIEW present AS SELECT *, PROCTIME() AS pt FROM newest;
CREATE VIEW now AS SELECT *, PROCTIME() AS pt FROM e;
`

function failureOf(sql: string): { code: string; at: string | undefined } | undefined {
  const text = tables + sql
  try {
    bindScript(text, new Catalog())
  } catch (error) {
    if (!isStreamError(error)) throw error
    assert.equal(error.kind, 'user')
    assert.ok(error.hint.length > 0, 'the next step')
    return { code: error.code, at: error.position && text.slice(error.position.start, error.position.end) }
  }
  return undefined
}

type Part = 'partition' | 'order' | 'measures' | 'after' | 'pattern' | 'define'
const plain: Record<Part, string> = {
  partition: 'PARTITION BY k',
  order: 'ORDER BY ts',
  measures: 'MEASURES a.v AS x',
  after: '',
  pattern: 'PATTERN (a b+ c)',
  define: 'DEFINE b AS b.v < 13, c AS c.v >= 13',
}
const query = (part: Part, text: string): string => {
  const { partition, order, measures, after, pattern, define }: Record<Part, string> = { ...plain, [part]: text }
  return `SELECT * FROM e MATCH_RECOGNIZE (${partition} ${order} ${measures} ${after} ${pattern} ${define})`
}

const AS_OF = 'FOR SYSTEM_TIME AS OF'
/** A temporal join, wrong and right. */
const joins: [wrong: string, right: string, code: string, at: string][] = [
  [
    `present AS n JOIN r ${AS_OF} n.pt ON n.k = r.k`,
    `present AS n JOIN r ${AS_OF} n.ts ON n.k = r.k`,
    'SQL_UPDATING_INPUT',
    `r ${AS_OF} n.pt`,
  ],
  [`present AS n JOIN r ${AS_OF} n.pt ON n.k = r.k`, `now AS n JOIN r ${AS_OF} n.pt ON n.k = r.k`, 'SQL_UPDATING_INPUT', `r ${AS_OF} n.pt`],
  [`newest AS n JOIN r ${AS_OF} n.v ON n.k = r.k`, `newest AS n JOIN r ${AS_OF} n.ts ON n.k = r.k`, 'SQL_TEMPORAL_JOIN', 'n.v'],
  [
    `newest AS n RIGHT JOIN r ${AS_OF} n.ts ON n.k = r.k`,
    `newest AS n LEFT JOIN r ${AS_OF} n.ts ON n.k = r.k`,
    'SQL_TEMPORAL_JOIN',
    'n.ts',
  ],
  [
    `newest AS n JOIN r ${AS_OF} n.ts ON n.v = r.p`,
    `newest AS n JOIN r ${AS_OF} n.ts ON n.k = r.k AND n.v = r.p`,
    'SQL_TEMPORAL_JOIN',
    `r ${AS_OF} n.ts`,
  ],
  [
    `newest AS n JOIN e ${AS_OF} n.ts ON n.k = e.k`,
    `e AS n JOIN newest ${AS_OF} n.ts ON n.k = newest.k`,
    'SQL_TEMPORAL_JOIN',
    `e ${AS_OF} n.ts`,
  ],
]
for (const [wrong, right, code, at] of joins)
  test(`FOR SYSTEM_TIME AS OF refuses ${wrong}, not ${right}`, () => {
    assert.deepEqual(failureOf(`SELECT * FROM ${wrong}`), { code, at })
    assert.equal(failureOf(`SELECT * FROM ${right}`), undefined)
  })

/** The part that differs, wrong and right; the code, and the text at its position. */
const cases: [part: Part, wrong: string, right: string, code: string, at: string][] = [
  ['partition', 'PARTITION BY k, k', 'PARTITION BY k, v', 'SQL_MATCH_UNSUPPORTED', 'k'],
  ['order', 'ORDER BY v', 'ORDER BY ts, v', 'SQL_MATCH_UNSUPPORTED', 'v'],
  ['order', 'ORDER BY ts DESC', 'ORDER BY ts, v DESC', 'SQL_MATCH_UNSUPPORTED', 'ts DESC'],
  ['measures', 'MEASURES x.v AS p', 'MEASURES b.v AS p', 'SQL_COLUMN_NOT_FOUND', 'x.v'],
  ['measures', 'MEASURES a.w AS p', 'MEASURES a.v AS p', 'SQL_COLUMN_NOT_FOUND', 'w'],
  ['measures', 'MEASURES a.v AS k', 'MEASURES a.v AS kk', 'SQL_MATCH_UNSUPPORTED', 'k'],
  ['measures', 'MEASURES PREV(b.v) AS p', 'MEASURES LAST(b.v, 1) AS p', 'SQL_MATCH_UNSUPPORTED', 'PREV(b.v)'],
  ['measures', 'MEASURES LAST(b.v + a.v) AS p', 'MEASURES LAST(b.v) + a.v AS p', 'SQL_MATCH_UNSUPPORTED', 'b.v + a.v'],
  ['measures', 'MEASURES LAST(LAST(b.v)) AS p', 'MEASURES LAST(b.v) AS p', 'SQL_MATCH_UNSUPPORTED', 'LAST(b.v)'],
  ['measures', 'MEASURES LAST(PREV(b.v)) AS p', 'MEASURES LAST(b.v, 1) AS p', 'SQL_MATCH_UNSUPPORTED', 'PREV(b.v)'],
  ['measures', 'MEASURES FIRST(SUM(b.v)) AS p', 'MEASURES SUM(FIRST(b.v)) AS p', 'SQL_MATCH_UNSUPPORTED', 'SUM(b.v)'],
  ['measures', 'MEASURES SUM(SUM(b.v)) AS p', 'MEASURES SUM(LAST(b.v)) AS p', 'SQL_MATCH_UNSUPPORTED', 'SUM(b.v)'],
  ['measures', 'MEASURES SUM(LAST(LAST(b.v))) AS p', 'MEASURES SUM(LAST(b.v, 1)) AS p', 'SQL_MATCH_UNSUPPORTED', 'LAST(b.v)'],
  ['measures', 'MEASURES SUM(LAST(a.v) + b.v) AS p', 'MEASURES SUM(LAST(b.v) + b.v) AS p', 'SQL_MATCH_UNSUPPORTED', 'LAST(a.v) + b.v'],
  ['measures', 'MEASURES SUM(PREV(b.v)) AS p', 'MEASURES SUM(LAST(b.v, 1)) AS p', 'SQL_MATCH_UNSUPPORTED', 'PREV(b.v)'],
  ['measures', 'MEASURES MAX(MATCH_ROWTIME()) AS p', 'MEASURES MAX(b.ts) AS p', 'SQL_MATCH_UNSUPPORTED', 'MATCH_ROWTIME()'],
  ['measures', 'MEASURES LAST(b.v, 1 + 1) AS p', 'MEASURES LAST(b.v, 2) AS p', 'SQL_NOT_CONSTANT', '1 + 1'],
  ['measures', 'MEASURES LAST(b.v, 1, 2) AS p', 'MEASURES LAST(b.v, 1) AS p', 'SQL_MATCH_UNSUPPORTED', 'LAST(b.v, 1, 2)'],
  ['measures', 'MEASURES LAST() AS p', 'MEASURES LAST(b.v) AS p', 'SQL_MATCH_UNSUPPORTED', 'LAST()'],
  ['measures', 'MEASURES COUNT(DISTINCT b.v) AS p', 'MEASURES COUNT(b.v) AS p', 'SQL_MATCH_UNSUPPORTED', 'COUNT(DISTINCT b.v)'],
  ['measures', 'MEASURES MATCH_ROWTIME(v) AS p', 'MEASURES MATCH_ROWTIME(ts) AS p', 'SQL_MATCH_UNSUPPORTED', 'v'],
  ['measures', 'MEASURES MATCH_ROWTIME(ts, ts) AS p', 'MEASURES MATCH_ROWTIME(a.ts) AS p', 'SQL_MATCH_UNSUPPORTED', 'ts'],
  ['measures', 'MEASURES MATCH_PROCTIME(ts) AS p', 'MEASURES MATCH_PROCTIME() AS p', 'SQL_MATCH_UNSUPPORTED', 'ts'],
  ['measures', 'MEASURES CLASSIFIER() AS p', 'MEASURES COUNT(*) AS p', 'SQL_FUNCTION_NOT_FOUND', 'CLASSIFIER'],
  ['define', 'DEFINE b AS b.v', 'DEFINE b AS b.v > 0', 'SQL_NOT_BOOLEAN', 'b.v'],
  ['define', 'DEFINE b AS SUM(b.v)', 'DEFINE b AS SUM(b.v) < 40', 'SQL_NOT_BOOLEAN', 'SUM(b.v)'],
  ['define', 'DEFINE b AS SUM(SUM(b.v)) < 40', 'DEFINE b AS SUM(LAST(b.v)) < 40', 'SQL_MATCH_UNSUPPORTED', 'SUM(b.v)'],
  ['define', 'DEFINE b AS PREV(b.v) > b.v', 'DEFINE b AS LAST(b.v, 1) > b.v', 'SQL_MATCH_UNSUPPORTED', 'PREV(b.v)'],
  ['define', 'DEFINE b AS MATCH_ROWTIME(ts) > a.ts', 'DEFINE b AS MATCH_ROWTIME() > a.ts', 'SQL_MATCH_UNSUPPORTED', 'ts'],
  ['define', 'DEFINE b AS LAST(MATCH_ROWTIME()) > a.ts', 'DEFINE b AS LAST(b.ts) > a.ts', 'SQL_MATCH_UNSUPPORTED', 'MATCH_ROWTIME()'],
  ['define', 'DEFINE x AS v < 13', 'DEFINE b AS v < 13', 'SQL_MATCH_VARIABLE', 'x'],
  ['define', 'DEFINE b AS b.v < 13, b AS b.v > 1', 'DEFINE b AS b.v < 13, c AS c.v > 1', 'SQL_MATCH_UNSUPPORTED', 'b'],
  ['after', 'AFTER MATCH SKIP TO FIRST x', 'AFTER MATCH SKIP TO FIRST b', 'SQL_MATCH_VARIABLE', 'x'],
  ['after', 'AFTER MATCH SKIP TO LAST a', 'AFTER MATCH SKIP TO LAST b', 'SQL_MATCH_UNSUPPORTED', 'a'],
  ['pattern', 'PATTERN (a b c+)', 'PATTERN (a b c+?)', 'SQL_MATCH_UNSUPPORTED', 'a b c+'],
  ['pattern', 'PATTERN (a b* c? d)', 'PATTERN (a b*? c? d)', 'SQL_MATCH_UNSUPPORTED', 'a b* c? d'],
  ['pattern', 'PATTERN ((a b)+ c)', 'PATTERN ((a b) c)', 'SQL_MATCH_UNSUPPORTED', '(a b)+'],
  ['pattern', 'PATTERN (a {- b -} c)', 'PATTERN (a b c)', 'SQL_MATCH_UNSUPPORTED', '{- b -}'],
  ['pattern', 'PATTERN (a (b | c))', 'PATTERN (a (b c))', 'SQL_MATCH_UNSUPPORTED', 'b | c'],
  ['pattern', 'PATTERN (a b a c)', 'PATTERN (a b d c)', 'SQL_MATCH_UNSUPPORTED', 'a'],
  ['pattern', 'PATTERN (a b?? c)', 'PATTERN (a b? c)', 'SQL_MATCH_UNSUPPORTED', 'b??'],
  ['pattern', 'PATTERN (a? b?)', 'PATTERN (a? b? c)', 'SQL_MATCH_UNSUPPORTED', 'a? b?'],
  ['pattern', 'PATTERN (a b{0} c)', 'PATTERN (a b{1} c)', 'SQL_LITERAL_INVALID', '{0}'],
  ['pattern', 'PATTERN (a b{3,2} c)', 'PATTERN (a b{2,3} c)', 'SQL_LITERAL_INVALID', '{3,2}'],
  [
    'pattern',
    "PATTERN (a b c) WITHIN INTERVAL '1' MONTH",
    "PATTERN (a b c) WITHIN INTERVAL '30' DAY",
    'SQL_MATCH_UNSUPPORTED',
    "INTERVAL '1' MONTH",
  ],
]
for (const [part, wrong, right, code, at] of cases)
  test(`MATCH_RECOGNIZE refuses ${wrong}, not ${right}`, () => {
    assert.deepEqual(failureOf(query(part, wrong)), { code, at })
    assert.equal(failureOf(query(part, right)), undefined)
  })
