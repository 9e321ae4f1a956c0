// Law: what the binder and the optimizer make of a query gives the rows that SQLite gives for the same text and tables.
//
// Plans are run by a small interpreter over whole tables (append-only input, so changelogs play no part). Queries are random compositions of
// filters, projections, joins of all kinds, unions, groups, DISTINCT, IN, EXISTS and scalar sub-queries, over two tables with few values and NULLs.
// Not asked: an aggregate without GROUP BY, of which Flink gives no row for no rows, and arithmetic that SQLite types differently.
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import fc from 'fast-check'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'
import { explainPlan } from './explain.ts'
import type { AggregateCall, Expr, Plan } from './plan.ts'

type Row = unknown[]
type Tables = Record<string, Row[]>

// ---------------------------------------------------------------- the interpreter

const FUNCTIONS: Record<string, (...args: number[]) => unknown> = {
  PLUS: (a, b) => a + b,
  MINUS: (a, b) => a - b,
  EQUALS: (a, b) => a === b,
  NOT_EQUALS: (a, b) => a !== b,
  LESS: (a, b) => a < b,
  LESS_OR_EQUAL: (a, b) => a <= b,
  GREATER: (a, b) => a > b,
  GREATER_OR_EQUAL: (a, b) => a >= b,
  NOT: (a) => !a,
  CAST: (a) => a,
}

function evaluate(expr: Expr, row: Row): unknown {
  if (expr.kind === 'column') return row[expr.index]
  if (expr.kind === 'literal') return typeof expr.value === 'bigint' ? Number(expr.value) : expr.value
  const arg = (i: number): unknown => evaluate(expr.args[i], row)
  switch (expr.fn) {
    case 'AND':
    case 'OR': {
      const decisive = expr.fn === 'OR'
      const values = expr.args.map((one) => evaluate(one, row))
      return values.includes(decisive) ? decisive : values.includes(null) ? null : !decisive
    }
    case 'IS_NULL':
      return arg(0) === null
    case 'IS_NOT_NULL':
      return arg(0) !== null
    case 'IS_NOT_DISTINCT_FROM':
      return arg(0) === arg(1)
    case 'COALESCE':
      return expr.args.map((one) => evaluate(one, row)).find((value) => value !== null) ?? null
    case 'CASE': {
      for (let i = 0; i + 1 < expr.args.length; i += 2) if (arg(i) === true) return arg(i + 1)
      return arg(expr.args.length - 1)
    }
    default: {
      const values = expr.args.map((one) => evaluate(one, row))
      assert.ok(Object.hasOwn(FUNCTIONS, expr.fn), `the interpreter knows ${expr.fn}`)
      return values.includes(null) ? null : FUNCTIONS[expr.fn](...(values as number[]))
    }
  }
}

function aggregate({ fn, args, distinct }: AggregateCall, rows: Row[]): unknown {
  if (args.length === 0) return rows.length
  let values = rows.map((row) => row[args[0]]).filter((value) => value !== null) as number[]
  if (distinct) values = [...new Set(values)]
  if (fn === 'COUNT') return values.length
  if (values.length === 0) return null
  if (fn === 'SUM') return values.reduce((a, b) => a + b)
  assert.ok(fn === 'MAX' || fn === 'MIN')
  return fn === 'MAX' ? Math.max(...values) : Math.min(...values)
}

function run(plan: Plan, tables: Tables): Row[] {
  switch (plan.node) {
    case 'scan':
      return tables[plan.table.name].map((row) => plan.columns.map((column) => row[column]))
    case 'calc':
      return run(plan.input, tables)
        .filter((row) => plan.predicate === undefined || evaluate(plan.predicate, row) === true)
        .map((row) => plan.projections.map((expr) => evaluate(expr, row)))
    case 'union':
      return plan.inputs.flatMap((input) => run(input, tables))
    case 'groupAggregate': {
      const groups = Map.groupBy(run(plan.input, tables), (row) => JSON.stringify(plan.keys.map((key) => row[key])))
      return [...groups.values()].map((rows) => [
        ...plan.keys.map((key) => rows[0][key]),
        ...plan.aggregates.map((one) => aggregate(one, rows)),
      ])
    }
    case 'join':
      return joined(plan, run(plan.left, tables), run(plan.right, tables))
    default:
      assert.fail(`the interpreter knows ${plan.node}`)
  }
}

function joined(plan: Extract<Plan, { node: 'join' }>, left: Row[], right: Row[]): Row[] {
  const matches = (a: Row, b: Row): boolean =>
    plan.leftKeys.every((key, i) => {
      const [x, y] = [a[key], b[plan.rightKeys[i]]]
      return x === null || y === null ? plan.nullAware === true || (plan.nullSafe?.[i] === true && x === y) : x === y
    }) &&
    (plan.condition === undefined || evaluate(plan.condition, [...a, ...b]) === true)
  if (plan.kind === 'SEMI' || plan.kind === 'ANTI') return left.filter((a) => right.some((b) => matches(a, b)) === (plan.kind === 'SEMI'))
  const rows = left.flatMap((a) => right.filter((b) => matches(a, b)).map((b) => [...a, ...b]))
  const missing = (count: number): Row => Array(count).fill(null)
  if (plan.kind === 'LEFT' || plan.kind === 'FULL') {
    rows.push(...left.filter((a) => !right.some((b) => matches(a, b))).map((a) => [...a, ...missing(plan.right.fields.length)]))
  }
  if (plan.kind === 'RIGHT' || plan.kind === 'FULL') {
    rows.push(...right.filter((b) => !left.some((a) => matches(a, b))).map((b) => [...missing(plan.left.fields.length), ...b]))
  }
  return rows
}

// ---------------------------------------------------------------- random queries: every relation has the columns x and y

const value = (names: string[]) => fc.oneof(fc.constantFrom(...names), fc.constantFrom(...names), fc.constantFrom('0', '1', '2'))
const expression = (names: string[]) =>
  fc.oneof(
    value(names),
    fc.tuple(value(names), fc.constantFrom('+', '-'), value(names)).map((parts) => `(${parts.join(' ')})`),
  )
const atom = (names: string[]) =>
  fc.oneof(
    fc.tuple(expression(names), fc.constantFrom('=', '<>', '<', '>='), expression(names)).map((parts) => parts.join(' ')),
    fc.tuple(value(names), fc.constantFrom('IS NULL', 'IS NOT NULL')).map((parts) => parts.join(' ')),
    fc.tuple(value(names), value(names)).map(([a, b]) => `COALESCE(${a}, 1) = ${b}`),
  )
const condition = (names: string[]) =>
  fc.oneof(
    atom(names),
    fc.tuple(atom(names), fc.constantFrom('AND', 'OR'), atom(names)).map((parts) => `(${parts.join(' ')})`),
    atom(names).map((one) => `NOT (${one})`),
  )
const own = ['x', 'y']
const both = ['l.x', 'l.y', 'r.x', 'r.y']
const joinCondition = fc.oneof(
  fc
    .tuple(fc.constantFrom('l.x', 'l.y'), fc.constantFrom('=', 'IS NOT DISTINCT FROM', '<'), fc.constantFrom('r.x', 'r.y'))
    .map((parts) => parts.join(' ')),
  fc.tuple(fc.constantFrom('l.x = r.x', 'l.x + 1 = r.y'), condition(both)).map(([a, b]) => `${a} AND ${b}`),
)

const { relation } = fc.letrec<{ relation: string }>((tie) => {
  const input = tie('relation')
  return {
    relation: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { weight: 3, arbitrary: fc.constantFrom('SELECT k AS x, v AS y FROM a', 'SELECT w AS x, k AS y FROM b') },
      { weight: 2, arbitrary: fc.tuple(input, condition(own)).map(([r, c]) => `SELECT x, y FROM (${r}) AS q WHERE ${c}`) },
      {
        weight: 2,
        arbitrary: fc.tuple(input, expression(own), expression(own)).map(([r, a, b]) => `SELECT ${a} AS x, ${b} AS y FROM (${r}) AS q`),
      },
      {
        weight: 4,
        arbitrary: fc
          .tuple(
            input,
            fc.constantFrom('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'),
            input,
            joinCondition,
            expression(both),
            expression(both),
            fc.option(condition(both)),
          )
          .map(
            ([l, kind, r, on, a, b, where]) =>
              `SELECT ${a} AS x, ${b} AS y FROM (${l}) AS l ${kind} (${r}) AS r ON ${on}${where ? ` WHERE ${where}` : ''}`,
          ),
      },
      {
        weight: 1,
        arbitrary: fc.tuple(input, input).map(([l, r]) => `SELECT x, y FROM (${l}) AS q UNION ALL SELECT x, y FROM (${r}) AS q`),
      },
      { weight: 1, arbitrary: input.map((r) => `SELECT DISTINCT x, y FROM (${r}) AS q`) },
      {
        weight: 2,
        arbitrary: fc
          .tuple(
            input,
            fc.constantFrom('SUM(y)', 'MAX(y)', 'MIN(x + y)', 'COUNT(*)', 'COUNT(DISTINCT y)'),
            fc.constantFrom('', ' HAVING COUNT(*) > 1', ' HAVING x > 0'),
          )
          .map(([r, f, having]) => `SELECT x, CAST(${f} AS INT) AS y FROM (${r}) AS q GROUP BY x${having}`),
      },
      {
        weight: 2,
        arbitrary: fc
          .tuple(input, fc.constantFrom('IN', 'NOT IN'), input, fc.constantFrom('', ' WHERE s.x = q.y', ' WHERE s.x < q.y'))
          .map(([r, word, s, where]) => `SELECT x, y FROM (${r}) AS q WHERE q.x ${word} (SELECT s.y FROM (${s}) AS s${where})`),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(input, fc.constantFrom('EXISTS', 'NOT EXISTS'), input, atom(['q.x', 's.y']))
          .map(([r, word, s, c]) => `SELECT x, y FROM (${r}) AS q WHERE ${word} (SELECT 1 FROM (${s}) AS s WHERE ${c})`),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(input, input, condition(own))
          .map(([r, s, c]) => `SELECT x, y FROM (${r}) AS q WHERE x IN (SELECT x FROM (${s}) AS s) OR ${c}`),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(input, input, fc.constantFrom('MAX(y)', 'CAST(COUNT(*) AS INT)'))
          .map(([r, s, f]) => `SELECT x, (SELECT ${f} FROM (${s}) AS s WHERE s.x = q.x) AS y FROM (${r}) AS q`),
      },
      {
        weight: 1,
        arbitrary: fc.tuple(input, input).map(([r, s]) => `SELECT x, y FROM (${r}) AS q WHERE y < (SELECT MAX(x) FROM (${s}) AS s)`),
      },
    ),
  }
})

const cell = fc.constantFrom(null, 0, 1, 2)
const rows = fc.array(fc.tuple(cell, cell), { maxLength: 5 })
const sorted = (all: Row[]): string[] => all.map((row) => JSON.stringify(row)).sort()

/** What SQLite says; integers only. */
function model(sql: string, tables: Tables): Row[] {
  using database = new DatabaseSync(':memory:')
  database.exec('CREATE TABLE a (k INT, v INT); CREATE TABLE b (k INT, w INT)')
  for (const [name, all] of Object.entries(tables))
    for (const row of all) database.prepare(`INSERT INTO ${name} VALUES (?, ?)`).run(...(row as (number | null)[]))
  return database
    .prepare(sql)
    .all()
    .map((row) => [row.x, row.y])
}

test('a planned query gives the rows that SQLite gives', () => {
  fc.assert(
    fc.property(relation, rows, rows, (sql, a, b) => {
      const bound = bindScript(`CREATE TABLE a (k INT, v INT); CREATE TABLE b (k INT, w INT); ${sql}`, new Catalog()).at(-1)!
      assert.ok(bound.type === 'query')
      const tables = { a, b }
      assert.deepEqual(sorted(run(bound.query, tables)), sorted(model(sql, tables)), explainPlan(bound.query))
    }),
    { numRuns: 1500 },
  )
})
