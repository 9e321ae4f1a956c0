import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseExpression } from './parse.ts'
import { listed } from './parseTesting.ts'

const check = (cases: [sql: string, list: string][]): void => {
  for (const [sql, list] of cases) assert.equal(listed(parseExpression(sql)), list, sql)
}

test('precedence and associativity', () =>
  check([
    ['a + b * c - d', '(- (+ a (* b c)) d)'],
    ['a - b - c', '(- (- a b) c)'],
    ['-a * b', '(* (- a) b)'],
    ['a || b + c', '(+ (|| a b) c)'],
    ['a * b || c % d', '(% (|| (* a b) c) d)'],
    ['NOT a = b AND c OR d', '(OR (AND (NOT (= a b)) c) d)'],
    ['a OR b AND c OR d', '(OR a (AND b c) d)'],
    ['NOT NOT a', '(NOT (NOT a))'],
    ['NOT a IS NULL', '(NOT (IS NULL a))'],
    ['a = b IS NULL', '(IS NULL (= a b))'],
    ['a = b IN (1, 2)', '(= a (IN b 1 2))'],
    ['a < b = c', '(= (< a b) c)'],
    ['a + 1 IS DISTINCT FROM b * 2 AND c', '(AND (IS DISTINCT FROM (+ a 1) (* b 2)) c)'],
    ['a IS NOT DISTINCT FROM NULL', '(IS NOT DISTINCT FROM a NULL)'],
    ['a BETWEEN 1 AND 2 AND b', '(AND (BETWEEN a 1 2) b)'],
    ['a NOT BETWEEN SYMMETRIC b + 1 AND c OR d', '(OR (NOT BETWEEN SYMMETRIC a (+ b 1) c) d)'],
    ["a || b LIKE 'x' || c", "(LIKE (|| a b) (|| 'x' c))"],
    ["a NOT LIKE 'x!%' ESCAPE '!' AND b", "(AND (NOT LIKE a 'x!%' '!') b)"],
    ["a SIMILAR TO 'x|y' OR a NOT SIMILAR TO 'z'", "(OR (SIMILAR TO a 'x|y') (NOT SIMILAR TO a 'z'))"],
    ["a RLIKE 'x'", "(RLIKE a 'x')"],
    [
      'a IS TRUE AND b IS NOT FALSE AND c IS UNKNOWN AND d IS NOT NULL',
      '(AND (IS TRUE a) (IS NOT FALSE b) (IS UNKNOWN c) (IS NOT NULL d))',
    ],
    ['- -1 + +2', '(+ (- (- 1)) (+ 2))'],
    ['a[1].b[c + 1]', '([] (. ([] a 1) b) (+ c 1))'],
    ['-a.b.c', '(- a.b.c)'],
    ['(f(x)).y.z', '(. (. (F x) y) z)'],
    ['(a, b) IN ((1, 2), (3, 4))', '(IN (TUPLE a b) (TUPLE 1 2) (TUPLE 3 4))'],
    ['(a, b) OVERLAPS (c, d) AND e', '(AND (OVERLAPS (TUPLE a b) (TUPLE c d)) e)'],
  ]))

test('literals', () =>
  check([
    ["'it''s'", "'it's'"],
    ["'a'\n  'b' /* c */\n'c'", "'abc'"],
    ["U&'\\00e9!'", "'é!'"],
    ["U&'!00e9' UESCAPE '!'", "'é'"],
    ["x'0aFF'", "X'0aff'"],
    ["DATE '2026-01-31'", "DATE '2026-01-31'"],
    ["TIME '12:30:00.5'", "TIME '12:30:00.5'"],
    ["TIMESTAMP '2026-01-31 12:30:00.123'", "TIMESTAMP '2026-01-31 12:30:00.123'"],
    ["INTERVAL '5' SECOND", "INTERVAL '5' SECOND"],
    ["INTERVAL -'1-2' YEAR TO MONTH", "INTERVAL -'1-2' YEAR TO MONTH"],
    ["INTERVAL '1 02:03:04.5' DAY(3) TO SECOND(3)", "INTERVAL '1 02:03:04.5' DAY(3) TO SECOND"],
    ['TRUE AND FALSE OR NULL', '(OR (AND TRUE FALSE) NULL)'],
    ['UNKNOWN', '(CAST NULL BOOLEAN)'],
    ['1.50 + .5 + 1e3 + 1.', '(+ (+ (+ 1.50 .5) 1e3) 1.)'],
  ]))

test('calls with a syntax of their own become arguments', () =>
  check([
    ['EXTRACT(YEAR FROM ts)', '(EXTRACT :YEAR ts)'],
    ['FLOOR(ts TO DAY) + FLOOR(x)', '(+ (FLOOR ts :DAY) (FLOOR x))'],
    ['CEIL(ts TO MONTH)', '(CEIL ts :MONTH)'],
    ["TRIM(LEADING 'x' FROM s)", "(TRIM :LEADING 'x' s)"],
    ['TRIM(BOTH FROM s)', "(TRIM :BOTH ' ' s)"],
    ["TRIM('x' FROM s)", "(TRIM :BOTH 'x' s)"],
    ['TRIM(s)', '(TRIM s)'],
    ['SUBSTRING(s FROM 2 FOR 3)', '(SUBSTRING s 2 3)'],
    ['SUBSTRING(s, 2)', '(SUBSTRING s 2)'],
    ["POSITION('a' || 'b' IN s)", "(POSITION (|| 'a' 'b') s)"],
    ["OVERLAY(s PLACING 'z' FROM 2 FOR 1)", "(OVERLAY s 'z' 2 1)"],
    ['TIMESTAMPDIFF(SECOND, a, b)', '(TIMESTAMPDIFF :SECOND a b)'],
    ['TIMESTAMPADD(SQL_TSI_DAY, 1, a)', '(TIMESTAMPADD :DAY 1 a)'],
    ['CURRENT_DATE', '(CURRENT_DATE)'],
    ['LOCALTIMESTAMP - ts', '(- (LOCALTIMESTAMP) ts)'],
    ['LEFT(s, 1) || mod(a, 2) || `Mod`(a)', '(|| (|| (LEFT s 1) (MOD a 2)) (Mod a))'],
    ['db.fn(a)', '(db.fn a)'],
    ['CASE WHEN a THEN 1 ELSE 2 END', '(CASE (a 1) 2)'],
    ['CASE a WHEN 1, 2 THEN b END', '(CASE a (1 b) (2 b))'],
    ['CAST(a AS STRING) || TRY_CAST(b AS INT ARRAY)', '(|| (CAST a VARCHAR) (TRY_CAST b ARRAY))'],
    ['ROW(a, 1).x', '(. (ROW a 1) x)'],
    ["ARRAY[a, 2][1] + CARDINALITY(MAP['k', 1, 'l', 2])", "(+ ([] (ARRAY a 2) 1) (CARDINALITY (MAP 'k' 1 'l' 2)))"],
    ['EXISTS (SELECT 1) AND a > ALL (SELECT 1) AND b = SOME (SELECT 2)', '(AND (EXISTS <query>) (> ALL a <query>) (= ANY b <query>))'],
    ['a NOT IN (SELECT b FROM t)', '(NOT IN a <query>)'],
    ['((SELECT 1) UNION (SELECT 2) ORDER BY 1 LIMIT 1) + 1', '(+ <query> 1)'],
    ['((SELECT 1) + 2)', '(+ <query> 2)'],
  ]))

test('aggregates and windows', () =>
  check([
    ['COUNT(*)', '(COUNT *)'],
    ['COUNT(DISTINCT a) FILTER (WHERE b > 1)', '(COUNT a DISTINCT filter:(> b 1))'],
    ["LISTAGG(a, ',') WITHIN GROUP (ORDER BY b DESC, c)", "(LISTAGG a ',' order:b,c)"],
    ['ARRAY_AGG(a ORDER BY b)', '(ARRAY_AGG a order:b)'],
    ['FIRST_VALUE(a) IGNORE NULLS OVER (PARTITION BY b ORDER BY c)', '(FIRST_VALUE a IGNORE NULLS over)'],
    ['SUM(a) OVER w', '(SUM a over)'],
    ['FINAL LAST(a.v) - RUNNING SUM(b.v) + final', '(+ (- (LAST a.v FINAL) (SUM b.v RUNNING)) final)'],
  ]))

test('JSON clauses', () =>
  check([
    ['j IS JSON AND j IS NOT JSON SCALAR', '(AND (IS JSON VALUE j) (NOT (IS JSON SCALAR j)))'],
    ["JSON_EXISTS(j, '$.a' TRUE ON ERROR)", `(JSON_EXISTS j '$.a' {"onError":{"kind":"TRUE"}})`],
    [
      "JSON_VALUE(j, '$.a' RETURNING STRING NULL ON EMPTY ERROR ON ERROR)",
      `(JSON_VALUE j '$.a' {"returning":{"type":{"kind":"VARCHAR","length":2147483647,"nullable":true}},"onEmpty":{"kind":"NULL"},"onError":{"kind":"ERROR"}})`,
    ],
    [
      "JSON_VALUE(j, '$.a' DEFAULT -1 ON ERROR)",
      `(JSON_VALUE j '$.a' {"onError":{"kind":"DEFAULT","value":{"type":"unary","operator":"-","operand":{"type":"literal","value":{"kind":"number","text":"1"}}}}})`,
    ],
    [
      "JSON_QUERY(j, '$.a' RETURNING ARRAY<STRING> WITH CONDITIONAL ARRAY WRAPPER EMPTY ARRAY ON EMPTY EMPTY OBJECT ON ERROR)",
      `(JSON_QUERY j '$.a' {"returning":{"type":{"kind":"ARRAY","element":{"kind":"VARCHAR","length":2147483647,"nullable":true},"nullable":true}},"wrapper":"CONDITIONAL","onEmpty":{"kind":"EMPTY ARRAY"},"onError":{"kind":"EMPTY OBJECT"}})`,
    ],
    ["JSON_OBJECT(KEY 'a' VALUE b, c VALUE d, 'e' : f ABSENT ON NULL)", `(JSON_OBJECT 'a' b c d 'e' f {"onNull":"ABSENT"})`],
    ['JSON_OBJECT(key VALUE value_ NULL ON NULL)', '(JSON_OBJECT key value_ {"onNull":"NULL"})'],
    ['JSON_OBJECT()', '(JSON_OBJECT)'],
    ['JSON_ARRAY(a, NULL NULL ON NULL)', '(JSON_ARRAY a NULL {"onNull":"NULL"})'],
    ['JSON_ARRAY(NULL ON NULL)', '(JSON_ARRAY {"onNull":"NULL"})'],
    ['JSON_OBJECTAGG(KEY k VALUE v WITH UNIQUE KEYS)', '(JSON_OBJECTAGG k v {"unique":true})'],
    ['JSON_ARRAYAGG(v ORDER BY w ABSENT ON NULL) FILTER (WHERE a)', '(JSON_ARRAYAGG v order:w filter:a {"onNull":"ABSENT"})'],
  ]))

// The model: a printer that knows only how tight each operator binds, and adds a pair of parentheses where it must, or at random.
const tightness: Record<string, number> = {
  OR: 1,
  AND: 2,
  NOT: 3,
  IS: 4,
  '=': 5,
  '<': 5,
  '<>': 5,
  IN: 6,
  BETWEEN: 6,
  '+': 7,
  '-': 7,
  '*': 8,
  '||': 8,
  '%': 8,
}
interface Printed {
  sql: string
  list: string
  tight: number
}
const wrap = (item: Printed, least: number, always: boolean): string => (item.tight < least || always ? `(${item.sql})` : item.sql)

const { tree } = fc.letrec<{
  tree: Printed
  leaf: Printed
  binary: Printed
  not: Printed
  isNull: Printed
  between: Printed
  inList: Printed
}>((tie) => ({
  leaf: fc.constantFrom('a', 'b', 't.c', '1', '2.5').map((text) => ({ sql: text, list: text, tight: 99 })),
  binary: fc
    .tuple(tie('tree'), fc.constantFrom('OR', 'AND', '=', '<', '<>', '+', '-', '*', '||', '%'), tie('tree'), fc.boolean(), fc.boolean())
    .map(([left, operator, right, wrapsLeft, wrapsRight]) => {
      const tight = tightness[operator]!
      const isChain = operator === 'AND' || operator === 'OR'
      const inner = (item: Printed): string =>
        isChain && item.list.startsWith(`(${operator} `) ? item.list.slice(operator.length + 2, -1) : item.list
      return {
        sql: `${wrap(left, tight, wrapsLeft)} ${operator} ${wrap(right, tight + 1, wrapsRight)}`,
        list: `(${operator} ${inner(left)} ${inner(right)})`,
        tight,
      }
    }),
  not: fc
    .tuple(tie('tree'), fc.boolean())
    .map(([item, wraps]) => ({ sql: `NOT ${wrap(item, 3, wraps)}`, list: `(NOT ${item.list})`, tight: 3 })),
  isNull: fc
    .tuple(tie('tree'), fc.boolean())
    .map(([item, wraps]) => ({ sql: `${wrap(item, 4, wraps)} IS NULL`, list: `(IS NULL ${item.list})`, tight: 4 })),
  between: fc.tuple(tie('tree'), tie('tree'), tie('tree')).map(([a, b, c]) => ({
    sql: `${wrap(a, 6, false)} BETWEEN ${wrap(b, 7, false)} AND ${wrap(c, 7, false)}`,
    list: `(BETWEEN ${a.list} ${b.list} ${c.list})`,
    tight: 6,
  })),
  inList: fc.tuple(tie('tree'), fc.array(tie('tree'), { minLength: 1, maxLength: 3 })).map(([a, items]) => ({
    sql: `${wrap(a, 6, false)} IN (${items.map((item) => item.sql).join(', ')})`,
    list: `(IN ${[a, ...items].map((item) => item.list).join(' ')})`,
    tight: 6,
  })),
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    tie('leaf'),
    tie('binary'),
    tie('not'),
    tie('isNull'),
    tie('between'),
    tie('inList'),
  ),
}))

test('an expression printed with no more parentheses than it needs is read as itself', () => {
  fc.assert(
    fc.property(tree, ({ sql, list }) => assert.equal(listed(parseExpression(sql)), list)),
    { numRuns: 500 },
  )
})

test('the unit of an interval may be in the plural', () => {
  const withoutSpan = (text: string) => JSON.stringify(parseExpression(text)).replace(/"span":\{[^}]*\}/g, '')
  assert.equal(withoutSpan("INTERVAL '10' MINUTES"), withoutSpan("INTERVAL '10' MINUTE"))
})
