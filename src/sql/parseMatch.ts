// MATCH_RECOGNIZE: from its parenthesis to the other.
import type { MatchSpec, Pattern } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { sqlErrors } from './errors.ts'
import { parseExpression, parseOrderItems } from './parseExpressions.ts'

const QUANTIFIER_MAX = 1_000_000

export function parseMatchSpec(p: Cursor): MatchSpec {
  const { start } = p.next()
  p.expect('(')
  const partitionBy = p.acceptAll('PARTITION', 'BY') ? p.list(() => parseExpression(p)) : []
  const orderBy = p.acceptAll('ORDER', 'BY') ? parseOrderItems(p) : []
  const measures = p.accept('MEASURES')
    ? p.list(() => {
        const expression = parseExpression(p)
        p.expect('AS')
        return { expression, alias: p.name('a name') }
      })
    : []
  let rowsPerMatch: 'ONE' | 'ALL' = 'ONE'
  if (p.acceptAll('ALL', 'ROWS', 'PER', 'MATCH')) rowsPerMatch = 'ALL'
  else if (p.accept('ONE')) p.expect('ROW', 'PER', 'MATCH')
  const afterMatch = p.accept('AFTER') ? skip(p) : undefined
  p.expect('PATTERN', '(')
  const pattern = alternation(p)
  p.expect(')')
  const within = p.accept('WITHIN') ? parseExpression(p) : undefined
  const subsets = p.accept('SUBSET')
    ? p.list(() => {
        const name = p.name('a name')
        p.expect('=')
        return { name, variables: p.names() }
      })
    : []
  p.expect('DEFINE')
  const define = p.list(() => {
    const variable = p.name('a name of a pattern variable')
    p.expect('AS')
    return { variable, condition: parseExpression(p) }
  })
  p.expect(')')
  const optional = { ...(afterMatch && { afterMatch }), ...(within && { within }) }
  return { partitionBy, orderBy, measures, rowsPerMatch, ...optional, pattern, subsets, define, span: p.from(start) }
}

function skip(p: Cursor): MatchSpec['afterMatch'] {
  p.expect('MATCH', 'SKIP')
  if (p.acceptAll('PAST', 'LAST', 'ROW')) return { kind: 'PAST LAST ROW' }
  p.expect('TO')
  if (p.acceptAll('NEXT', 'ROW')) return { kind: 'NEXT ROW' }
  // FIRST and LAST may also be variables: `SKIP TO last`.
  const following = p.peek()
  const namesOne = following.kind === 'quoted' || (following.kind === 'word' && !following.reserved)
  const kind = p.atAny('FIRST', 'LAST') && namesOne ? (p.next().key as 'FIRST' | 'LAST') : 'LAST'
  return { kind, variable: p.name('a name of a pattern variable') }
}

function alternation(p: Cursor): Pattern {
  return p.nested(() => {
    const { start } = p.token
    const items = [sequence(p)]
    while (p.accept('|')) items.push(sequence(p))
    return items.length === 1 ? items[0]! : { type: 'alternation', items, span: p.from(start) }
  })
}

function sequence(p: Cursor): Pattern {
  const { start } = p.token
  const items = [quantified(p)]
  while (p.atName() || p.at('(') || p.at('PERMUTE') || p.at('{')) items.push(quantified(p))
  return items.length === 1 ? items[0]! : { type: 'sequence', items, span: p.from(start) }
}

function quantified(p: Cursor): Pattern {
  const { start } = p.token
  const item = patternPrimary(p)
  let bounds: { min: number; max?: number }
  if (p.accept('*')) bounds = { min: 0 }
  else if (p.accept('+')) bounds = { min: 1 }
  else if (p.accept('?')) bounds = { min: 0, max: 1 }
  else if (p.at('{') && p.peek().key !== '-') bounds = braces(p)
  else return item
  const greedy = !p.accept('?')
  return { type: 'quantified', item, ...bounds, greedy, span: p.from(start) }
}

function braces(p: Cursor): { min: number; max?: number } {
  const { start } = p.next()
  const min = p.at(',') ? 0 : p.wholeNumber(QUANTIFIER_MAX)
  let max: number | undefined = min
  if (p.accept(',')) max = p.at('}') ? undefined : p.wholeNumber(QUANTIFIER_MAX)
  p.expect('}')
  if (max !== undefined && (max < min || max === 0)) {
    const span = p.from(start)
    const reason = 'The upper bound is at least 1 and not below the lower one.'
    throw sqlErrors('SQL_LITERAL_INVALID', {
      what: 'quantifier',
      text: p.text.slice(span.start, span.end),
      reason,
      position: p.position(span),
    })
  }
  return { min, ...(max !== undefined && { max }) }
}

function patternPrimary(p: Cursor): Pattern {
  const { start } = p.token
  if (p.accept('(')) {
    const item = alternation(p)
    p.expect(')')
    return item
  }
  if (p.accept('{')) {
    p.expect('-')
    const item = alternation(p)
    p.expect('-', '}')
    return { type: 'exclusion', item, span: p.from(start) }
  }
  if (p.accept('PERMUTE')) {
    p.expect('(')
    const items = p.list(() => alternation(p))
    p.expect(')')
    return { type: 'permute', items, span: p.from(start) }
  }
  if (p.token.key === '^' || p.token.key === '$')
    throw p.notSupported('an anchor in a pattern', 'A stream has no first and no last row: leave the anchor out.')
  const name = p.name('a name of a pattern variable')
  return { type: 'variable', name, span: name.span }
}
