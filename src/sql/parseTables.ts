// What stands in FROM: tables, subqueries, table functions, joins, MATCH_RECOGNIZE.
import type { Expression, Query, TableAlias, TableRef } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { parseCall } from './parseCalls.ts'
import { parseExpression } from './parseExpressions.ts'
import { parseMatchSpec } from './parseMatch.ts'
import { atQuery, continueQuery, parseHints, parseQuery } from './parseQueries.ts'

/** The whole FROM clause; a comma is a CROSS JOIN that binds weaker than JOIN. */
export function parseTableRef(p: Cursor): TableRef {
  const { start } = p.token
  let left = joined(p, undefined)
  while (p.accept(',')) {
    const right = joined(p, undefined)
    left = { type: 'join', kind: 'CROSS', natural: false, left, right, span: p.from(start) }
  }
  return left
}

/** Joins from left to right; `first` if the left side is read already. */
function joined(p: Cursor, first: TableRef | undefined): TableRef {
  let left = first ?? tablePrimary(p)
  for (;;) {
    if (p.at('NATURAL') || p.at('CROSS') || p.at('INNER') || p.at('LEFT') || p.at('RIGHT') || p.at('FULL') || p.at('JOIN'))
      left = join(p, left)
    else return left
  }
}

function join(p: Cursor, left: TableRef): TableRef {
  const { start } = left.span
  if (p.accept('CROSS')) {
    p.expect('JOIN')
    return { type: 'join', kind: 'CROSS', natural: false, left, right: tablePrimary(p), span: p.from(start) }
  }
  const natural = p.accept('NATURAL')
  let kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' = 'INNER'
  if (p.atAny('LEFT', 'RIGHT', 'FULL')) {
    kind = p.next().key as typeof kind
    p.accept('OUTER')
  } else p.accept('INNER')
  p.expect('JOIN')
  const right = tablePrimary(p)
  if (!natural && p.accept('ON')) return { type: 'join', kind, natural, left, right, on: parseExpression(p), span: p.from(start) }
  if (!natural && p.accept('USING'))
    return { type: 'join', kind, natural, left, right, using: p.names('a name of a column'), span: p.from(start) }
  // `JOIN LATERAL TABLE(f(x)) ON TRUE` may drop the condition only when natural.
  if (!natural) throw p.fail()
  return { type: 'join', kind, natural, left, right, span: p.from(start) }
}

function tablePrimary(p: Cursor): TableRef {
  const { start } = p.token
  const lateral = p.accept('LATERAL')
  if (p.at('(')) {
    const inner = p.nested(() => parenthesized(p))
    if (!('query' in inner)) {
      if (lateral) throw p.fail('a query')
      return matched(p, inner.table)
    }
    return withAlias(p, matched(p, { type: 'subquery', query: inner.query, lateral, span: p.from(start) }))
  }
  if (p.at('UNNEST') && p.peek().key === '(') {
    const call = callOf(p)
    const withOrdinality = p.acceptAll('WITH', 'ORDINALITY')
    return withAlias(p, { type: 'function', call, lateral, withOrdinality, unnest: true, span: p.from(start) })
  }
  if (p.at('TABLE')) {
    p.next()
    p.expect('(')
    const call = callOf(p)
    p.expect(')')
    return withAlias(p, matched(p, functionRef(call, lateral, p, start)))
  }
  const name = p.qualifiedName('a name of a table')
  if (p.token.key === '(' && p.token.kind === 'symbol') {
    const only = name.parts[0]!
    if (name.parts.length === 1 && p.text[only.span.start] !== '`') only.name = only.name.toUpperCase()
    return withAlias(p, matched(p, functionRef(parseCall(p, name), lateral, p, start)))
  }
  if (lateral) throw p.fail('(')
  const hints = parseHints(p)
  const systemTime = p.accept('FOR') ? systemTimeOf(p) : undefined
  return withAlias(p, matched(p, { type: 'table', name, hints, ...(systemTime && { systemTime }), span: p.from(start) }))
}

const functionRef = (call: Expression, lateral: boolean, p: Cursor, start: number): TableRef => ({
  type: 'function',
  call,
  lateral,
  withOrdinality: false,
  unnest: false,
  span: p.from(start),
})

/** A call with its name, as UNNEST(a) or db.f(x). */
function callOf(p: Cursor): Expression {
  const { token } = p
  if (token.kind === 'word' && token.reserved) {
    if (p.peek().key !== '(') throw p.fail('a name of a function')
    p.next()
    const span = { start: token.start, end: token.end }
    return parseCall(p, { parts: [{ name: token.key, span }], span })
  }
  const name = p.qualifiedName('a name of a function')
  if (name.parts.length === 1 && token.kind === 'word') name.parts[0]!.name = token.key
  return parseCall(p, name)
}

function systemTimeOf(p: Cursor): Expression {
  p.expect('SYSTEM_TIME', 'AS', 'OF')
  return parseExpression(p)
}

/** What stands in parentheses may be a query or a join: which one shows only when what is inside has been read. */
function parenthesized(p: Cursor): { query: Query } | { table: TableRef } {
  const { start } = p.token
  p.expect('(')
  if (atQuery(p)) {
    const query = parseQuery(p)
    p.expect(')')
    return { query }
  }
  let table: TableRef
  if (p.at('(')) {
    const inner = p.nested(() => parenthesized(p))
    if ('query' in inner) {
      const query = continueQuery(p, inner.query)
      if (p.accept(')')) return { query }
      table = withAlias(p, matched(p, { type: 'subquery', query, lateral: false, span: p.from(start + 1) }))
    } else table = inner.table
    table = joined(p, table)
  } else table = joined(p, undefined)
  while (p.accept(','))
    table = { type: 'join', kind: 'CROSS', natural: false, left: table, right: joined(p, undefined), span: p.from(start) }
  p.expect(')')
  return { table }
}

function matched(p: Cursor, input: TableRef): TableRef {
  if (!p.at('MATCH_RECOGNIZE')) return input
  return { type: 'match', input, spec: parseMatchSpec(p), span: p.from(input.span.start) }
}

function withAlias(p: Cursor, table: TableRef): TableRef {
  if (p.atAny('PIVOT', 'UNPIVOT') && p.peek().key === '(')
    throw p.notSupported(
      p.token.key,
      p.at('PIVOT')
        ? "Write one aggregate for each column: SUM(x) FILTER (WHERE y = 'p') AS p, with GROUP BY."
        : 'Write one SELECT for each column, and UNION ALL.',
    )
  const hasAlias = p.accept('AS') || p.atName()
  if (!hasAlias || table.type === 'join') return table
  const name = p.name('a name')
  const columns = p.at('(') ? p.names() : []
  const alias: TableAlias = { name, columns }
  return { ...table, alias, span: p.from(table.span.start) }
}
