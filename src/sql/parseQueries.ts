// Queries: WITH, set operations, SELECT with its clauses, VALUES.
import type { Expression, GroupItem, Hint, Query, SelectItem, SelectQuery, Span, Tail } from './ast.ts'
import { groupingSetsOf } from './ast-walk.ts'
import type { Cursor } from './cursor.ts'
import { parseWindowSpec } from './parseCalls.ts'
import { parseExpression, parseOrderItems, starOrExpression } from './parseExpressions.ts'
import { parseTableRef } from './parseTables.ts'

/** Whether a query begins here without a parenthesis; `TABLE(` and `VALUE(` begin other things. */
export function atQuery(p: Cursor): boolean {
  const { key } = p.token
  if (key === 'TABLE') return p.peek().key !== '('
  return p.atAny('SELECT', 'WITH', 'VALUES')
}

const emptyTail = (): Tail => ({ withItems: [], orderBy: [] })

export function parseQuery(p: Cursor): Query {
  return p.nested(() => {
    const { start } = p.token
    const withItems = p.accept('WITH') ? p.list(() => withItem(p)) : []
    let query = tail(p, setOperations(p, operand(p), 0))
    if (withItems.length > 0) {
      if (query.withItems.length > 0) query = wrapped(query)
      query = { ...query, withItems, span: p.from(start) }
    }
    return query
  })
}

/** Goes on after a query in parentheses that turned out to be the left side of a set operation, or to have an ORDER BY behind it. */
export function continueQuery(p: Cursor, left: Query): Query {
  return tail(p, setOperations(p, left, 0))
}

function withItem(p: Cursor): Tail['withItems'][number] {
  if (p.at('RECURSIVE')) throw p.notSupported('WITH RECURSIVE', 'Compute the levels one by one, each in a view of its own.')
  const name = p.name('a name')
  const columns = p.at('(') ? p.names() : []
  p.expect('AS', '(')
  const query = parseQuery(p)
  p.expect(')')
  return { name, columns, query }
}

/** SELECT * FROM (query): for a second ORDER BY, LIMIT or WITH around a query that has one. */
function wrapped(query: Query): Query {
  const { span } = query
  const items: SelectItem[] = [{ expression: { type: 'star', span }, span }]
  return {
    type: 'select',
    hints: [],
    distinct: false,
    items,
    from: { type: 'subquery', query, lateral: false, span },
    windows: [],
    ...emptyTail(),
    span,
  }
}

/** UNION and EXCEPT are on one level, from left to right; INTERSECT binds tighter. */
function setOperations(p: Cursor, first: Query, least: 0 | 1): Query {
  let left = first
  for (;;) {
    const isIntersect = p.at('INTERSECT')
    if (!isIntersect && !(least === 0 && p.atAny('UNION', 'EXCEPT'))) {
      if (p.token.key === 'MINUS') throw p.fail(undefined, 'Flink writes MINUS as EXCEPT.')
      return left
    }
    const operator = p.next().key as 'UNION' | 'INTERSECT' | 'EXCEPT'
    const all = p.accept('ALL')
    if (!all) p.accept('DISTINCT')
    const right = isIntersect ? operand(p) : setOperations(p, operand(p), 1)
    left = { type: 'setOperation', operator, all, left, right, ...emptyTail(), span: p.from(left.span.start) }
  }
}

function operand(p: Cursor): Query {
  const { start } = p.token
  if (p.at('(')) {
    p.next()
    const query = parseQuery(p)
    p.expect(')')
    return query
  }
  if (p.at('SELECT')) return select(p)
  if (p.accept('VALUES')) {
    const rows = p.list(() => valuesRow(p))
    return { type: 'values', rows, ...emptyTail(), span: p.from(start) }
  }
  if (p.accept('TABLE')) {
    const name = p.qualifiedName('a name of a table')
    const query = wrapped({ type: 'values', rows: [], ...emptyTail(), span: name.span }) as SelectQuery & { span: Span }
    return { ...query, from: { type: 'table', name, hints: [], span: name.span }, span: p.from(start) }
  }
  throw p.fail()
}

function valuesRow(p: Cursor): Expression[] {
  const row = parseExpression(p)
  return row.type === 'rowValue' ? row.items : [row]
}

function tail(p: Cursor, inner: Query): Query {
  if (!p.atAny('ORDER', 'LIMIT', 'OFFSET', 'FETCH')) return inner
  const hasTail = inner.orderBy.length > 0 || inner.limit !== undefined || inner.offset !== undefined
  const query = hasTail || inner.withItems.length > 0 ? wrapped(inner) : inner
  const orderBy = p.acceptAll('ORDER', 'BY') ? parseOrderItems(p) : []
  let limit: Expression | undefined
  let offset: Expression | undefined
  for (;;) {
    if (limit === undefined && p.accept('LIMIT')) {
      if (!p.accept('ALL')) limit = rowCount(p)
    } else if (offset === undefined && p.accept('OFFSET')) {
      offset = rowCount(p)
      if (!p.accept('ROWS')) p.accept('ROW')
    } else if (limit === undefined && p.accept('FETCH')) {
      if (!p.accept('NEXT')) p.expect('FIRST')
      limit = rowCount(p)
      if (!p.accept('ROWS')) p.expect('ROW')
      p.expect('ONLY')
    } else break
  }
  return { ...query, orderBy, ...(limit && { limit }), ...(offset && { offset }), span: p.from(query.span.start) }
}

/** As Flink takes it: of a number that is not whole, the whole part. */
function rowCount(p: Cursor): Expression {
  const { token } = p
  if (token.kind !== 'number' || !Number.isFinite(Number(token.text))) throw p.fail('a number of rows')
  p.next()
  const text = /^\d+$/.test(token.text) ? token.text : BigInt(Math.trunc(Number(token.text))).toString()
  return { type: 'literal', value: { kind: 'number', text }, span: { start: token.start, end: token.end } }
}

// ---------------------------------------------------------------- SELECT

function select(p: Cursor): Query {
  const { start } = p.next()
  const hints = parseHints(p)
  const distinct = p.accept('DISTINCT')
  if (!distinct) p.accept('ALL')
  const items = p.list(() => selectItem(p))
  const query: SelectQuery = { type: 'select', hints, distinct, items, windows: [], ...emptyTail() }
  if (p.accept('FROM')) {
    query.from = parseTableRef(p)
    if (p.accept('WHERE')) query.where = parseExpression(p)
    if (p.acceptAll('GROUP', 'BY')) query.groupBy = p.list(() => groupItem(p))
    if (p.accept('HAVING')) query.having = parseExpression(p)
    if (p.accept('WINDOW')) {
      query.windows = p.list(() => {
        const name = p.name('a name of a window')
        p.expect('AS')
        return { name, spec: parseWindowSpec(p) }
      })
    }
    if (p.accept('QUALIFY')) query.qualify = parseExpression(p)
  }
  return { ...query, span: p.from(start) }
}

export function selectItem(p: Cursor): SelectItem {
  const { start } = p.token
  const expression = starOrExpression(p)
  const hasAlias = p.accept('AS') || (expression.type !== 'star' && p.atName())
  if (!hasAlias) return { expression, span: p.from(start) }
  return { expression, alias: p.name('a name'), span: p.from(start) }
}

function groupItem(p: Cursor): GroupItem {
  const { start } = p.token
  const kind = p.acceptAll('GROUPING', 'SETS') ? 'GROUPING SETS' : p.accept('ROLLUP') ? 'ROLLUP' : p.accept('CUBE') ? 'CUBE' : undefined
  if (kind) {
    p.expect('(')
    const sets = p.list(() => (kind === 'GROUPING SETS' ? nestedSets(p) : [groupingSet(p)])).flat()
    p.expect(')')
    if (kind === 'CUBE' && sets.length > CUBE_COLUMNS_MAX)
      throw p.notSupported(
        `CUBE of more than ${CUBE_COLUMNS_MAX} columns`,
        'Write out the sets that you need: GROUPING SETS ((a, b), (a), ()).',
      )
    return { type: 'sets', kind, sets, span: p.from(start) }
  }
  // GROUP BY (): one group; GROUP BY (a, b): the set of both.
  if (p.at('(') && p.peek().key === ')') return { type: 'sets', kind: 'GROUPING SETS', sets: [groupingSet(p)], span: p.from(start) }
  const expression = parseExpression(p)
  const span = p.from(start)
  if (expression.type === 'rowValue' && !expression.explicit) return { type: 'sets', kind: 'GROUPING SETS', sets: [expression.items], span }
  return { type: 'expression', expression, span }
}

/** It makes two to that power of sets. */
const CUBE_COLUMNS_MAX = 12

const atGrouping = (p: Cursor): boolean =>
  (p.at('ROLLUP') || p.at('CUBE') || p.at('GROUPING')) && (p.peek().key === '(' || p.peek().key === 'SETS')

/** One set of GROUPING SETS, or all those of a grouping in its place. */
function nestedSets(p: Cursor): Expression[][] {
  if (!atGrouping(p)) return [groupingSet(p)]
  const item = p.nested(() => groupItem(p))
  return item.type === 'sets' ? groupingSetsOf(item.kind, item.sets) : [[item.expression]]
}

function groupingSet(p: Cursor): Expression[] {
  if (atGrouping(p)) {
    throw p.notSupported('a grouping inside a grouping', 'Write out the sets: GROUPING SETS ((a, b), (a), ()).')
  }
  if (p.at('(') && p.peek().key === ')') {
    p.next()
    p.next()
    return []
  }
  const expression = parseExpression(p)
  return expression.type === 'rowValue' && !expression.explicit ? expression.items : [expression]
}

// ---------------------------------------------------------------- hints

/** Reads hints if they follow: OPTIONS('k' = 'v'), STATE_TTL('a' = '1d'), BROADCAST(t), LOOKUP('table' = 'x', …). */
export function parseHints(p: Cursor): Hint[] {
  if (!p.accept('/*+')) return []
  const hints = p.list(() => hint(p))
  p.expect('*/')
  return hints
}

function hint(p: Cursor): Hint {
  const { start } = p.token
  const name = p.name('a name of a hint').name.toUpperCase()
  const options: [string, string][] = []
  const args: string[] = []
  if (p.accept('(')) {
    if (!p.at(')')) {
      p.list(() => {
        const key = hintWord(p)
        if (p.accept('=')) options.push([key, hintWord(p)])
        else args.push(key)
      })
    }
    p.expect(')')
  }
  return { name, options: Object.fromEntries(options), args, span: p.from(start) }
}

function hintWord(p: Cursor): string {
  if (p.token.kind === 'string' || p.token.kind === 'number') return p.next().text
  return p
    .qualifiedName('a text or a name')
    .parts.map((part) => part.name)
    .join('.')
}
