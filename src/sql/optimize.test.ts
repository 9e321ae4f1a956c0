// The shape of plans: what is read, where filters end up, which operators are chosen. Read these as the documentation of the optimizer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'
import { explainPlan } from './explain.ts'

const tables = `
CREATE TABLE t (k STRING, v INT);
CREATE TABLE e (ts TIMESTAMP(3), k STRING, v INT, d DOUBLE, a ARRAY<INT>, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND);
CREATE TABLE f (ts TIMESTAMP(3), k STRING, w INT, WATERMARK FOR ts AS ts);
CREATE TABLE u (k STRING, w BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-kafka');
CREATE TABLE p (id INT, pt AS PROCTIME(), s STRING);
`
const tumble = (table: string, time = 'ts'): string => `TABLE(TUMBLE(TABLE ${table}, DESCRIPTOR(${time}), INTERVAL '10' SECOND))`

/** What is shown, the query, and its plan. */
const cases: [title: string, sql: string, plan: string][] = [
  [
    'an unread column is not decoded; COUNT(*) reads none',
    'SELECT COUNT(*) AS n FROM t',
    `groupAggregate keys=[] [COUNT(*) AS n]  +I-U+U-D key=()\n└ scan t []  +I`,
  ],
  [
    'a filter goes below projections, but not below the watermark: late rows depend on it',
    'SELECT x FROM (SELECT v + 1 AS x, k FROM e) AS q WHERE x > 3 AND k IS NOT NULL',
    `calc [(v + 1) AS x] where (((v + 1) > 3) AND IS_NOT_NULL(k))  +I
└ watermark ts: (ts - 5000 ms)  +I
  └ scan e [ts, k, v]  +I`,
  ],
  [
    'what differs from call to call is computed once',
    "SELECT r, r AS s FROM (SELECT RAND() AS r, k FROM t) AS q WHERE r > 0.5 AND k = 'a'",
    `calc [r, r AS s] where (r > 0.5)  +I
└ calc [RAND() AS r] where (k = 'a')  +I
  └ scan t [k]  +I`,
  ],
  [
    'filters enter both branches of a union, and casts of literals are done once',
    'SELECT k FROM (SELECT k, v FROM e UNION ALL SELECT k, w FROM f) AS q WHERE v > 1',
    `union  +I
├ calc [k] where (v > 1)  +I
│ └ watermark ts: (ts - 5000 ms)  +I
│   └ scan e [ts, k, v]  +I
└ calc [k] where (w > 1)  +I
  └ watermark ts: ts  +I
    └ scan f [ts, k, w]  +I`,
  ],
  [
    'WHERE over a comma join: each side filtered, equalities as keys',
    'SELECT t.k FROM t, u WHERE t.k = u.k AND t.v > 1 AND u.w < 5',
    `calc [k]  +I-U+U-D
└ join INNER on [k=k]  +I-U+U-D
  ├ calc [k] where (v > 1)  +I
  │ └ scan t [k, v]  +I
  └ calc [k] where (w < 5)  +I-U+U-D key=(k)
    └ normalize keys=[k]  +I-U+U-D key=(k)
      └ scan u [k, w]  +I+U-D key=(k)`,
  ],
  [
    'an outer join whose added rows are rejected is an inner one, and append-only',
    'SELECT a.k, b.v FROM t AS a LEFT JOIN t AS b ON a.k = b.k WHERE b.v > 3',
    `calc [k, v]  +I
└ join INNER on [k=k]  +I
  ├ scan t [k]  +I
  └ calc [k, v] where (v > 3)  +I
    └ scan t [k, v]  +I`,
  ],
  [
    'ON of a left join filters the right side before, the left side only in the join',
    'SELECT a.k, b.v FROM t AS a LEFT JOIN t AS b ON a.k = b.k AND b.v > 3 AND a.v < 2',
    `calc [k, v0 AS v]  +I-U+U-D
└ join LEFT on [k=k] where (v < 2)  +I-U+U-D
  ├ scan t [k, v]  +I
  └ calc [k, v] where (v > 3)  +I
    └ scan t [k, v]  +I`,
  ],
  [
    'keys that are no columns are computed below the join',
    'SELECT a.k FROM t AS a JOIN u ON a.v + 1 = u.w',
    `calc [k]  +I-U+U-D
└ join INNER on [$key0=w]  +I-U+U-D
  ├ calc [k, CAST((v + 1) AS BIGINT) AS $key0]  +I
  │ └ scan t [k, v]  +I
  └ normalize keys=[k]  +I-U+U-D key=(k)
    └ scan u [k, w]  +I+U-D key=(k)`,
  ],
  [
    'a filter on keys goes below the aggregate, HAVING does not',
    "SELECT k, COUNT(*) AS n FROM t GROUP BY k HAVING COUNT(*) > 1 AND k <> 'z'",
    `calc [k, $count0 AS n] where ($count0 > 1)  +I-U+U-D key=(k)
└ groupAggregate keys=[k] [COUNT(*) AS $count0]  +I-U+U-D key=(k)
  └ calc [k] where (k <> 'z')  +I
    └ scan t [k]  +I`,
  ],
  [
    'an aggregate over a window function takes its place; a filter passes the windows',
    `SELECT window_end, k, SUM(v) AS s FROM ${tumble('e')} WHERE d > 1 GROUP BY k, window_start, window_end`,
    `calc [window_end, k, $sum0 AS s]  +I key=(k, window_end)
└ windowAggregate TUMBLE(ts, 10000 ms) keys=[k] [SUM(v) AS $sum0] window=[end]  +I key=(k, window_end)
  └ calc [k, v, ts] where (d > 1)  +I
    └ watermark ts: (ts - 5000 ms)  +I
      └ scan e [ts, k, v, d]  +I`,
  ],
  [
    'a cascade over window_time makes new windows; one over the windows themselves uses those that are there',
    `SELECT window_start, MAX(s) AS m FROM (SELECT window_start, window_end, k, SUM(v) AS s FROM ${tumble('e')} GROUP BY window_start, window_end, k) AS q GROUP BY window_start, window_end`,
    `calc [window_start, $max0 AS m]  +I key=(window_start)
└ windowAggregate attached(window_start, window_end) keys=[] [MAX(s) AS $max0] window=[start]  +I key=(window_start)
  └ windowAggregate TUMBLE(ts, 10000 ms) keys=[k] [SUM(v) AS s] window=[start, end]  +I key=(k, window_start)
    └ watermark ts: (ts - 5000 ms)  +I
      └ scan e [ts, k, v]  +I`,
  ],
  [
    'sessions that are not those of the group stay apart from the aggregate, and a filter stays above them',
    "SELECT window_start, k, COUNT(*) AS n FROM TABLE(SESSION(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECOND)) WHERE v > 1 GROUP BY window_start, window_end, k",
    `calc [window_start, k, $count0 AS n]  +I key=(k, window_start)
└ windowAggregate attached(window_start, window_end) keys=[k] [COUNT(*) AS $count0] window=[start]  +I key=(k, window_start)
  └ calc [window_start, window_end, k] where (v > 1)  +I
    └ windowTvf SESSION(ts, 5000 ms)  +I
      └ watermark ts: (ts - 5000 ms)  +I
        └ scan e [ts, k, v]  +I`,
  ],
  [
    'only window_start in GROUP BY is no window aggregate: it updates',
    `SELECT window_start, COUNT(*) AS n FROM ${tumble('e')} GROUP BY window_start`,
    `groupAggregate keys=[window_start] [COUNT(*) AS n]  +I-U+U-D key=(window_start)
└ windowTvf TUMBLE(ts, 10000 ms)  +I
  └ watermark ts: (ts - 5000 ms)  +I
    └ scan e [ts]  +I`,
  ],
  [
    'a bounded distance between time attributes, also in WHERE, is an interval join',
    "SELECT e.k, f.w FROM e, f WHERE e.k = f.k AND f.ts > e.ts AND f.ts <= e.ts + INTERVAL '1' HOUR AND f.w <> e.v",
    `calc [k, w]  +I
└ intervalJoin INNER on [k=k] ts in ts + [1, 3600000] ms where (w <> v)  +I
  ├ watermark ts: (ts - 5000 ms)  +I
  │ └ scan e [ts, k, v]  +I
  └ watermark ts: ts  +I
    └ scan f [ts, k, w]  +I`,
  ],
  [
    'a distance that is bounded on one side only is a regular join',
    'SELECT e.k FROM e JOIN f ON e.k = f.k AND f.ts > e.ts',
    `calc [k]  +I
└ join INNER on [k=k] where (ts0 > ts)  +I
  ├ watermark ts: (ts - 5000 ms)  +I
  │ └ scan e [ts, k]  +I
  └ watermark ts: ts  +I
    └ scan f [ts, k]  +I`,
  ],
  [
    'equal windows on both sides are a window join',
    `SELECT x.window_start, x.n, y.m FROM (SELECT window_start, window_end, COUNT(*) AS n FROM ${tumble('e')} GROUP BY window_start, window_end) AS x
     JOIN (SELECT window_start, window_end, COUNT(*) AS m FROM ${tumble('f')} GROUP BY window_start, window_end) AS y
     ON x.window_start = y.window_start AND x.window_end = y.window_end`,
    `calc [window_start, n, m]  +I key=(window_start)
└ windowJoin INNER on []  +I key=(window_start)
  ├ calc [window_start, window_end, n]  +I key=(window_start)
  │ └ windowAggregate TUMBLE(ts, 10000 ms) keys=[] [COUNT(*) AS n] window=[start, end]  +I key=(window_start)
  │   └ watermark ts: (ts - 5000 ms)  +I
  │     └ scan e [ts]  +I
  └ calc [window_start, window_end, m]  +I key=(window_start)
    └ windowAggregate TUMBLE(ts, 10000 ms) keys=[] [COUNT(*) AS m] window=[start, end]  +I key=(window_start)
      └ watermark ts: ts  +I
        └ scan f [ts]  +I`,
  ],
  [
    'ROW_NUMBER with a bound is Top-N, the rank only where it is asked for; other conditions stay above',
    'SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM t) AS q WHERE 4 > rn AND v > 2',
    `calc [k, v] where (v > 2)  +I-U+U-D
└ topN 1..3 partition=[k] order=[v DESC]  +I-U+U-D
  └ scan t [k, v]  +I`,
  ],
  [
    'the first row by time is a deduplication, also by QUALIFY; a filter on its key goes below',
    "SELECT k, v FROM e WHERE k <> 'z' QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) = 1",
    `calc [k, v]  +I-U+U-D key=(k)
└ deduplicate keep last keys=[k] by ts  +I-U+U-D key=(k)
  └ calc [ts, k, v] where (k <> 'z')  +I
    └ watermark ts: (ts - 5000 ms)  +I
      └ scan e [ts, k, v]  +I`,
  ],
  [
    'per window the last row wins, of equal times the one that came last',
    `SELECT k, v FROM ${tumble('e')} QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY ts DESC) = 1`,
    `calc [k, v]  +I
└ topN 1..1 partition=[window_start, window_end, k] order=[ts DESC] windowed lastOfTies  +I key=(window_start, window_end, k)
  └ windowTvf TUMBLE(ts, 10000 ms)  +I
    └ watermark ts: (ts - 5000 ms)  +I
      └ scan e [ts, k, v]  +I`,
  ],
  [
    'EXISTS and IN are semi joins on what they compare',
    'SELECT v FROM t WHERE EXISTS (SELECT 1 FROM f WHERE f.k = t.k AND f.w > t.v) AND v IN (SELECT w FROM f)',
    `calc [v]  +I
└ join SEMI on [v=w]  +I
  ├ join SEMI on [k=k] where (w > v)  +I
  │ ├ scan t [k, v]  +I
  │ └ watermark ts: ts  +I
  │   └ scan f [ts, k, w]  +I
  └ calc [w]  +I
    └ watermark ts: ts  +I
      └ scan f [ts, w]  +I`,
  ],
  [
    'a correlated scalar sub-query is an aggregate by what it compares; COUNT of nothing is 0',
    'SELECT k, (SELECT COUNT(*) FROM f WHERE f.k = t.k) AS n FROM t',
    `calc [k, COALESCE($count0, 0) AS n]  +I-U+U-D
└ join LEFT on [k=$key0]  +I-U+U-D
  ├ scan t [k]  +I
  └ groupAggregate keys=[k] [COUNT(*) AS $count0]  +I-U+U-D key=($key0)
    └ watermark ts: ts  +I
      └ scan f [ts, k]  +I`,
  ],
  [
    'a filter passes UNNEST as far as it reads the row only',
    'SELECT k, x FROM e CROSS JOIN UNNEST(a) AS q (x) WHERE x > 3 AND v > 2',
    `calc [k, x] where (x > 3)  +I
└ correlate INNER UNNEST(a) [x]  +I
  └ calc [k, a] where (v > 2)  +I
    └ watermark ts: (ts - 5000 ms)  +I
      └ scan e [ts, k, v, a]  +I`,
  ],
  [
    'a version by processing time needs no event time',
    'SELECT p.id, u.w FROM p JOIN u FOR SYSTEM_TIME AS OF p.pt ON p.s = u.k',
    `calc [id, w]  +I
└ temporalJoin INNER on [s=k] as of pt  +I
  ├ calc [id, PROCTIME() AS pt, s]  +I
  │ └ scan p [id, s]  +I
  └ normalize keys=[k]  +I-U+U-D key=(k)
    └ scan u [k, w]  +I+U-D key=(k)`,
  ],
  [
    'MATCH_RECOGNIZE reads what its conditions and measures name',
    "SELECT * FROM e MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES SUM(x.v * 2) AS s PATTERN (x+ y) WITHIN INTERVAL '1' HOUR DEFINE x AS x.v > 1, y AS y.v < 0)",
    `match partition=[k] order=[ts] (x{1,} y) within 3600000 ms  +I
└ calc [ts, k, v, (v * 2) AS $f5]  +I
  └ watermark ts: (ts - 5000 ms)  +I
    └ scan e [ts, k, v]  +I`,
  ],
  [
    'grouping sets: an argument that is a key, too, keeps its value',
    'SELECT k, SUM(v) AS s FROM t GROUP BY ROLLUP(k, v)',
    `calc [k, $sum0 AS s]  +I-U+U-D
└ groupAggregate keys=[k, v, $expand_id] [SUM(v0) AS $sum0]  +I-U+U-D key=(k, v, $expand_id)
  └ expand 0: -[], 1: -[v], 3: -[k, v]  +I
    └ calc [k, v, v]  +I
      └ scan t [k, v]  +I`,
  ],
]

for (const [title, sql, plan] of cases) {
  test(title, () => {
    const bound = bindScript(tables + sql, new Catalog()).at(-1)!
    assert.ok(bound.type === 'query')
    assert.equal(explainPlan(bound.query), plan)
  })
}
