import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GroupItem, Query, TableRef } from './ast.ts'
import { parseStatement } from './parse.ts'
import { listed, plain } from './parseTesting.ts'

const query = (sql: string): Query => {
  const statement = parseStatement(sql)
  assert.equal(statement.type, 'query')
  return (statement as { query: Query }).query
}
const select = (sql: string) => query(sql) as Query & { type: 'select' }
const from = (sql: string): TableRef => select(`SELECT * FROM ${sql}`).from!

/** A query's shape: set operations by sign, SELECTs by their first item, (…)[…] for ORDER BY and LIMIT. */
function shape(q: Query): string {
  const tail = [
    ...q.orderBy.map((item) => listed(item.expression)),
    q.limit && `limit ${listed(q.limit)}`,
    q.offset && `offset ${listed(q.offset)}`,
  ]
  const end = tail.some(Boolean) ? `[${tail.filter(Boolean).join(' ')}]` : ''
  const begin = q.withItems.length > 0 ? `WITH ${q.withItems.map((item) => `${item.name.name}=${shape(item.query)}`).join(',')} ` : ''
  if (q.type === 'setOperation') return `${begin}(${shape(q.left)} ${q.operator}${q.all ? ' ALL' : ''} ${shape(q.right)})${end}`
  if (q.type === 'values') return `${begin}VALUES${q.rows.map((row) => `<${row.map(listed).join(' ')}>`).join('')}${end}`
  const inner = q.from?.type === 'subquery' ? `{${shape(q.from.query)}}` : ''
  return `${begin}${listed(q.items[0]!.expression)}${inner}${end}`
}

/** A FROM clause's shape. */
function joins(ref: TableRef): string {
  const alias = ref.type !== 'join' && ref.alias ? `:${[ref.alias.name, ...ref.alias.columns].map((item) => item.name).join(',')}` : ''
  switch (ref.type) {
    case 'table':
      return `${plain(ref.name)}${ref.systemTime ? `@${listed(ref.systemTime)}` : ''}${alias}`
    case 'subquery':
      return `${ref.lateral ? 'LATERAL ' : ''}{${shape(ref.query)}}${alias}`
    case 'function':
      return `${ref.lateral ? 'LATERAL ' : ''}${ref.unnest ? 'UNNEST ' : ''}${listed(ref.call)}${ref.withOrdinality ? ' ORDINAL' : ''}${alias}`
    case 'match':
      return `MATCH ${joins(ref.input)}${alias}`
    case 'join': {
      const condition = ref.on ? ` ON ${listed(ref.on)}` : ref.using ? ` USING ${ref.using.map((item) => item.name).join(',')}` : ''
      return `(${joins(ref.left)} ${ref.natural ? 'NATURAL ' : ''}${ref.kind} ${joins(ref.right)}${condition})`
    }
  }
}

test('set operations: INTERSECT binds tighter, the others go from left to right', () => {
  for (const [sql, expected] of [
    ['SELECT 1 UNION SELECT 2 INTERSECT SELECT 3 EXCEPT ALL SELECT 4', '((1 UNION (2 INTERSECT 3)) EXCEPT ALL 4)'],
    ['SELECT 1 INTERSECT SELECT 2 UNION ALL SELECT 3', '((1 INTERSECT 2) UNION ALL 3)'],
    ['SELECT 1 UNION (SELECT 2 UNION DISTINCT SELECT 3)', '(1 UNION (2 UNION 3))'],
    ['(SELECT 1 UNION SELECT 2) INTERSECT SELECT 3', '((1 UNION 2) INTERSECT 3)'],
    ['SELECT 1 UNION ALL SELECT 2 ORDER BY a DESC, b LIMIT 3 OFFSET 4', '(1 UNION ALL 2)[a b limit 3 offset 4]'],
    ['(SELECT 1 LIMIT 2) UNION ALL SELECT 3 FETCH FIRST 5 ROWS ONLY', '(1[limit 2] UNION ALL 3)[limit 5]'],
    ['(SELECT 1 LIMIT 2) LIMIT 1', '*{1[limit 2]}[limit 1]'],
    ['SELECT 1 LIMIT ALL', '1'],
    ['SELECT 1 LIMIT 2.7', '1[limit 2]'],
    ['VALUES (1, 2), (3, 4)', 'VALUES<1 2><3 4>'],
    ['VALUES 1, 2', 'VALUES<1><2>'],
    ['WITH a AS (SELECT 1), b (x) AS (VALUES 2) SELECT 3', 'WITH a=1,b=VALUES<2> 3'],
    ['WITH a AS (SELECT 1) (WITH b AS (SELECT 2) SELECT 3)', 'WITH a=1 *{WITH b=2 3}'],
    ['TABLE t', '*'],
  ] as const)
    assert.equal(shape(query(sql)), expected, sql)
})

test('joins', () => {
  for (const [sql, expected] of [
    ['a JOIN b ON x LEFT OUTER JOIN c USING (k, l)', '((a INNER b ON x) LEFT c USING k,l)'],
    ['a, b CROSS JOIN c, d', '((a CROSS (b CROSS c)) CROSS d)'],
    ['a NATURAL FULL JOIN b AS x (c, d)', '(a NATURAL FULL b:x,c,d)'],
    ['a RIGHT JOIN (b JOIN c ON y) ON x', '(a RIGHT (b INNER c ON y) ON x)'],
    ['((SELECT 1) x JOIN b ON y) JOIN c ON z', '(({1}:x INNER b ON y) INNER c ON z)'],
    ['((SELECT 1) UNION (SELECT 2)) AS t', '{(1 UNION 2)}:t'],
    ['(((SELECT 1))) t', '{1}:t'],
    ['o JOIN r FOR SYSTEM_TIME AS OF o.ts AS r2 ON o.c = r2.c', '(o INNER r@o.ts:r2 ON (= o.c r2.c))'],
    ['t CROSS JOIN UNNEST(a.b) WITH ORDINALITY AS u (x, n)', '(t CROSS UNNEST (UNNEST a.b) ORDINAL:u,x,n)'],
    ['t LEFT JOIN LATERAL TABLE(split(s)) AS w (x) ON TRUE', '(t LEFT LATERAL (SPLIT s):w,x ON TRUE)'],
    ['t, LATERAL (SELECT 1) AS x', '(t CROSS LATERAL {1}:x)'],
    ["TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", "(TUMBLE (TABLE t) (DESCRIPTOR ts) INTERVAL '1' MINUTE)"],
    ["hop(TABLE db.t, DESCRIPTOR(ts), INTERVAL '1' HOUR) h", "(HOP (TABLE db.t) (DESCRIPTOR ts) INTERVAL '1' HOUR):h"],
    [
      "TABLE(TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' MINUTE))",
      "(TUMBLE (=> DATA (TABLE t)) (=> TIMECOL (DESCRIPTOR ts)) (=> SIZE INTERVAL '1' MINUTE))",
    ],
    [
      "TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
      "(SESSION (TABLE t by k) (DESCRIPTOR ts) INTERVAL '1' MINUTE)",
    ],
    [
      "SESSION(DATA => TABLE t PARTITION BY (k, j), GAP => INTERVAL '1' MINUTE)",
      "(SESSION (=> DATA (TABLE t by k by j)) (=> GAP INTERVAL '1' MINUTE))",
    ],
    ['f(TABLE t PARTITION BY a, b.c, d => 1)', '(F (TABLE t by a by b.c) (=> d 1))'],
  ] as const)
    assert.equal(joins(from(sql)), expected, sql)
})

test('the clauses of SELECT', () => {
  const q = select(
    'SELECT DISTINCT a AS x, b y, t.*, * FROM t WHERE c GROUP BY d HAVING e WINDOW w AS (PARTITION BY p ORDER BY o), v AS (w ROWS 2 PRECEDING) QUALIFY f',
  )
  assert.deepEqual(
    q.items.map((item) => `${listed(item.expression)}${item.alias ? ` ${item.alias.name}` : ''}`),
    ['a x', 'b y', 't.*', '*'],
  )
  assert.equal(q.distinct, true)
  assert.deepEqual([q.where, q.having, q.qualify].map(listed), ['c', 'e', 'f'])
  assert.deepEqual(
    q.windows.map((item) => [item.name.name, item.spec.base?.name, item.spec.partitionBy.map(listed), item.spec.frame?.start.kind]),
    [
      ['w', undefined, ['p'], undefined],
      ['v', 'w', [], 'PRECEDING'],
    ],
  )
})

test('grouping', () => {
  const shown = (item: GroupItem): string =>
    item.type === 'expression'
      ? listed(item.expression)
      : `${item.kind} ${item.sets.map((set) => `<${set.map(listed).join(' ')}>`).join('')}`
  const groups = (sql: string) => select(`SELECT 1 FROM t GROUP BY ${sql}`).groupBy!.map(shown)
  assert.deepEqual(groups('a, ROLLUP (b, (c, d)), CUBE (e)'), ['a', 'ROLLUP <b><c d>', 'CUBE <e>'])
  assert.deepEqual(groups('GROUPING SETS ((a, b), a, ())'), ['GROUPING SETS <a b><a><>'])
  assert.deepEqual(groups('GROUPING SETS (ROLLUP (a, b), CUBE (c), (d, e))'), ['GROUPING SETS <a b><a><><c><><d e>'])
  assert.deepEqual(groups('()'), ['GROUPING SETS <>'])
  assert.deepEqual(groups('(a, b), (c)'), ['GROUPING SETS <a b>', 'c'])
  assert.deepEqual(groups("k, TUMBLE(ts, INTERVAL '1' MINUTE)"), ['k', "(TUMBLE ts INTERVAL '1' MINUTE)"])
})

test('frames of OVER', () => {
  const frame = (sql: string) => {
    const call = select(`SELECT SUM(a) OVER (ORDER BY ts ${sql}) FROM t`).items[0]!.expression as unknown as { over: { frame: unknown } }
    return JSON.stringify(plain(call.over.frame))
  }
  assert.equal(
    frame('ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW'),
    '{"unit":"ROWS","start":{"kind":"UNBOUNDED PRECEDING"},"end":{"kind":"CURRENT ROW"}}',
  )
  assert.match(
    frame("RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND 2 FOLLOWING"),
    /"unit":"RANGE","start":{"kind":"PRECEDING".*"end":{"kind":"FOLLOWING"/,
  )
})

test('hints', () => {
  const q = select(
    "SELECT /*+ STATE_TTL('a' = '1d', 'b'='2h'), BROADCAST(t) */ * FROM t /*+ OPTIONS('scan.startup.mode'='latest-offset') */ AS x",
  )
  assert.deepEqual(plain(q.hints), [
    { name: 'STATE_TTL', options: { a: '1d', b: '2h' }, args: [] },
    { name: 'BROADCAST', options: {}, args: ['t'] },
  ])
  assert.deepEqual(plain((q.from as { hints: unknown }).hints), [
    { name: 'OPTIONS', options: { 'scan.startup.mode': 'latest-offset' }, args: [] },
  ])
})

const match = (body: string) => {
  const ref = from(`t MATCH_RECOGNIZE (${body}) AS m`)
  assert.equal(ref.type, 'match')
  return (ref as TableRef & { type: 'match' }).spec
}
const pattern = (sql: string): unknown => plain(match(`PATTERN (${sql}) DEFINE a AS TRUE`).pattern)
const variable = (name: string) => ({ type: 'variable', name })

test('MATCH_RECOGNIZE with every clause', () => {
  const spec = match(`PARTITION BY k, j ORDER BY ts, x DESC MEASURES FIRST(a.v) AS f, FINAL LAST(b.v, 1) AS l ALL ROWS PER MATCH
    AFTER MATCH SKIP TO FIRST b PATTERN (a b) WITHIN INTERVAL '1' HOUR SUBSET s = (a, b) DEFINE a AS a.v > 1, b AS PREV(b.v) < 2`)
  assert.deepEqual(spec.partitionBy.map(listed), ['k', 'j'])
  assert.deepEqual(
    spec.orderBy.map((item) => [listed(item.expression), item.descending]),
    [
      ['ts', false],
      ['x', true],
    ],
  )
  assert.deepEqual(
    spec.measures.map((item) => [listed(item.expression), item.alias.name]),
    [
      ['(FIRST a.v)', 'f'],
      ['(LAST b.v 1 FINAL)', 'l'],
    ],
  )
  assert.equal(spec.rowsPerMatch, 'ALL')
  assert.deepEqual(plain(spec.afterMatch), { kind: 'FIRST', variable: 'b' })
  assert.equal(listed(spec.within), "INTERVAL '1' HOUR")
  assert.deepEqual(plain(spec.subsets), [{ name: 's', variables: ['a', 'b'] }])
  assert.deepEqual(
    spec.define.map((item) => [item.variable.name, listed(item.condition)]),
    [
      ['a', '(> a.v 1)'],
      ['b', '(< (PREV b.v) 2)'],
    ],
  )
  for (const [sql, kind] of [
    ['PAST LAST ROW', 'PAST LAST ROW'],
    ['TO NEXT ROW', 'NEXT ROW'],
    ['TO LAST b', 'LAST'],
    ['TO b', 'LAST'],
    ['TO last', 'LAST'],
  ])
    assert.equal(match(`AFTER MATCH SKIP ${sql} PATTERN (a) DEFINE a AS TRUE`).afterMatch?.kind, kind, sql)
})

test('patterns', () => {
  const [a, b, c] = ['a', 'b', 'c'].map(variable)
  const repeated = (item: unknown, min: number, max: number | undefined, greedy = true) => ({
    type: 'quantified',
    item,
    min,
    ...(max !== undefined && { max }),
    greedy,
  })
  assert.deepEqual(pattern('a+ b*? c?'), {
    type: 'sequence',
    items: [repeated(a, 1, undefined), repeated(b, 0, undefined, false), repeated(c, 0, 1)],
  })
  assert.deepEqual(pattern('a{2} b{2,} c{,3}?'), {
    type: 'sequence',
    items: [repeated(a, 2, 2), repeated(b, 2, undefined), repeated(c, 0, 3, false)],
  })
  assert.deepEqual(pattern('a b | c'), { type: 'alternation', items: [{ type: 'sequence', items: [a, b] }, c] })
  assert.deepEqual(pattern('(a | b)+ c'), { type: 'sequence', items: [repeated({ type: 'alternation', items: [a, b] }, 1, undefined), c] })
  assert.deepEqual(pattern('PERMUTE(a, b c)'), { type: 'permute', items: [a, { type: 'sequence', items: [b, c] }] })
  assert.deepEqual(pattern('a {- b+ -} c'), { type: 'sequence', items: [a, { type: 'exclusion', item: repeated(b, 1, undefined) }, c] })
})

test('a number of rows is a finite number', () => {
  for (const rows of ['1e400', '-1', "'a'"]) assert.throws(() => parseStatement(`SELECT 1 LIMIT ${rows}`), { code: 'SQL_SYNTAX' }, rows)
})
