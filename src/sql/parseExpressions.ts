// Expressions, by precedence climbing. The order of precedence is Calcite's, loosest first:
// OR, AND, NOT, IS …, comparisons, BETWEEN/IN/LIKE/OVERLAPS, + -, * / % ||, sign, and then [ ] and '.'.
import { t } from '../data/index.ts'
import type { BinaryOperator, Expression, Identifier, LiteralValue, OrderItem, Query, TimeUnit, UnaryOperator } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { sqlErrors } from './errors.ts'
import { bareCalls, structuralWords } from './keywords.ts'
import { bytesOfHex, textOfUnicodeEscapes } from './lexer.ts'
import { parseCall, parseSpecialCall } from './parseCalls.ts'
import { atQuery, continueQuery, parseQuery } from './parseQueries.ts'
import { parseType } from './parseTypes.ts'

const OR = 1
const AND = 2
const NOT = 3
const IS = 4
const COMPARISON = 5
/** What the operands of BETWEEN, IN and LIKE are parsed with: anything that binds tighter than these. */
export const ABOVE_RANGE = 7
const RANGE = 6
const SUM = 7
const PRODUCT = 8
const SIGN = 9

const precedences: Record<string, number> = {
  OR,
  AND,
  IS,
  '=': COMPARISON,
  '<>': COMPARISON,
  '<': COMPARISON,
  '<=': COMPARISON,
  '>': COMPARISON,
  '>=': COMPARISON,
  NOT: RANGE,
  BETWEEN: RANGE,
  IN: RANGE,
  LIKE: RANGE,
  RLIKE: RANGE,
  SIMILAR: RANGE,
  OVERLAPS: RANGE,
  '+': SUM,
  '-': SUM,
  '*': PRODUCT,
  '/': PRODUCT,
  '%': PRODUCT,
  '||': PRODUCT,
}

/** @param least the loosest precedence that still belongs to this expression */
export function parseExpression(p: Cursor, least = 0): Expression {
  return p.nested(() => {
    let left = prefix(p)
    for (;;) {
      const { key, kind } = p.token
      const precedence = kind === 'word' || kind === 'symbol' ? precedences[key] : undefined
      if (precedence === undefined || precedence < least) {
        if (key === '!=') throw p.fail(undefined, 'Flink writes "not equal" as <>.')
        p.wanted('an operator')
        return left
      }
      if (key === 'NOT' && !['BETWEEN', 'IN', 'LIKE', 'RLIKE', 'SIMILAR'].includes(p.peek().key)) return left
      left = infix(p, left, key, precedence)
    }
  })
}

function infix(p: Cursor, left: Expression, key: string, precedence: number): Expression {
  switch (precedence) {
    case OR:
    case AND: {
      const terms = [left]
      while (p.accept(key)) terms.push(parseExpression(p, precedence + 1))
      return balanced(key as 'OR' | 'AND', terms, 0, terms.length)
    }
    case IS:
      p.next()
      return isTest(p, left)
    case RANGE:
      return rangeTest(p, left)
    default: {
      p.next()
      const operator = key as BinaryOperator
      if (precedence === COMPARISON && p.atAny('ANY', 'SOME', 'ALL')) return quantified(p, left, operator)
      return { type: 'binary', operator, left, right: parseExpression(p, precedence + 1), span: p.from(left.span.start) }
    }
  }
}

/** AND and OR are associative: a long chain becomes a flat tree, so that nobody who walks it needs a deep stack. Three terms stay as (a AND b) AND c. */
function balanced(operator: 'OR' | 'AND', terms: Expression[], from: number, to: number): Expression {
  if (to - from === 1) return terms[from]!
  const middle = from + Math.ceil((to - from) / 2)
  const left = balanced(operator, terms, from, middle)
  const right = balanced(operator, terms, middle, to)
  return { type: 'binary', operator, left, right, span: { start: left.span.start, end: right.span.end } }
}

function isTest(p: Cursor, operand: Expression): Expression {
  const { start } = operand.span
  const negated = p.accept('NOT')
  if (p.accept('DISTINCT')) {
    p.expect('FROM')
    const right = parseExpression(p, COMPARISON + 1)
    return { type: 'binary', operator: negated ? 'IS NOT DISTINCT FROM' : 'IS DISTINCT FROM', left: operand, right, span: p.from(start) }
  }
  if (p.accept('JSON')) {
    const kind = ['VALUE', 'OBJECT', 'ARRAY', 'SCALAR'].find((word) => p.accept(word)) ?? 'VALUE'
    const span = p.from(start)
    const call: Expression = {
      type: 'call',
      name: { parts: [{ name: `IS JSON ${kind}`, span }], span },
      args: [operand],
      distinct: false,
      span,
    }
    return negated ? { type: 'unary', operator: 'NOT', operand: call, span } : call
  }
  const test = ['NULL', 'TRUE', 'FALSE', 'UNKNOWN'].find((word) => p.accept(word))
  if (!test) throw p.fail()
  return { type: 'unary', operator: `IS ${negated ? 'NOT ' : ''}${test}` as UnaryOperator, operand, span: p.from(start) }
}

function rangeTest(p: Cursor, left: Expression): Expression {
  const { start } = left.span
  if (p.accept('OVERLAPS'))
    return { type: 'binary', operator: 'OVERLAPS', left, right: parseExpression(p, ABOVE_RANGE), span: p.from(start) }
  const negated = p.accept('NOT')
  if (p.accept('BETWEEN')) {
    const symmetric = p.accept('SYMMETRIC')
    if (!symmetric) p.accept('ASYMMETRIC')
    const low = parseExpression(p, ABOVE_RANGE)
    p.expect('AND')
    const high = parseExpression(p, ABOVE_RANGE)
    return { type: 'between', operand: left, low, high, negated, symmetric, span: p.from(start) }
  }
  if (p.accept('IN')) {
    const among = queryOrList(p)
    return { type: 'in', left, ...among, negated, span: p.from(start) }
  }
  let operator: 'LIKE' | 'RLIKE' | 'SIMILAR TO'
  if (p.accept('SIMILAR')) {
    p.expect('TO')
    operator = 'SIMILAR TO'
  } else operator = p.next().key as 'LIKE' | 'RLIKE'
  const pattern = parseExpression(p, ABOVE_RANGE)
  const escapeSign = operator !== 'RLIKE' && p.accept('ESCAPE') ? parseExpression(p, ABOVE_RANGE) : undefined
  return { type: 'like', operator, operand: left, pattern, ...(escapeSign && { escape: escapeSign }), negated, span: p.from(start) }
}

function quantified(p: Cursor, left: Expression, operator: BinaryOperator): Expression {
  const quantifier = p.next().key === 'ALL' ? 'ALL' : 'ANY'
  const among = queryOrList(p)
  const span = p.from(left.span.start)
  if ('query' in among) return { type: 'quantified', operator, quantifier, left, query: among.query, span }
  // Over a list it is a chain of comparisons.
  const terms = among.list.map((right): Expression => ({ type: 'binary', operator, left, right, span }))
  return balanced(quantifier === 'ALL' ? 'AND' : 'OR', terms, 0, terms.length)
}

/** What stands in parentheses: a query or expressions. `((SELECT …) UNION (SELECT …))` begins like an expression, and is a query; so is `((SELECT …))`. */
function queryOrList(p: Cursor): { query: Query } | { list: Expression[] } {
  p.expect('(')
  if (atQuery(p)) {
    const query = parseQuery(p)
    p.expect(')')
    return { query }
  }
  const list = p.list(() => parseExpression(p))
  const [first] = list
  const among = list.length === 1 && first.type === 'subquery' ? { query: continueQuery(p, first.query) } : { list }
  p.expect(')')
  return among
}

function prefix(p: Cursor): Expression {
  const { key, start } = p.token
  if (p.token.kind === 'symbol' && (key === '-' || key === '+')) {
    p.next()
    return { type: 'unary', operator: key, operand: parseExpression(p, SIGN), span: p.from(start) }
  }
  if (key === 'NOT') {
    p.next()
    return { type: 'unary', operator: 'NOT', operand: parseExpression(p, NOT), span: p.from(start) }
  }
  if (key === 'EXISTS') {
    p.next()
    p.expect('(')
    const query = parseQuery(p)
    p.expect(')')
    return { type: 'exists', query, span: p.from(start) }
  }
  return postfix(p, primary(p))
}

function postfix(p: Cursor, operand: Expression): Expression {
  const { start } = operand.span
  let result = operand
  for (;;) {
    if (p.token.key === '[') {
      p.next()
      const index = parseExpression(p)
      p.expect(']')
      result = { type: 'element', operand: result, index, span: p.from(start) }
    } else if (p.token.key === '.') {
      p.next()
      const name = p.name('a name of a field')
      result = { type: 'field', operand: result, name, span: p.from(start) }
    } else return result
  }
}

function primary(p: Cursor): Expression {
  const { token } = p
  const { start } = token
  switch (token.kind) {
    case 'number':
      p.next()
      return literal(p, start, { kind: 'number', text: token.text })
    case 'string':
      return literal(p, start, { kind: 'string', value: stringValue(p) })
    case 'unicode':
      return unicodeText(p)
    case 'binary': {
      const value = bytesOfHex(token.text)
      p.next()
      if (!value) throw invalid(p, start, 'binary literal', 'Write pairs of hexadecimal digits, as in X’0AFF’.')
      return literal(p, start, { kind: 'binary', value })
    }
    case 'quoted':
      return columnOrCall(p)
    case 'symbol':
      if (token.key === '(') return parenthesized(p)
      break
    case 'word':
      return wordPrimary(p)
    default:
  }
  throw p.fail('an expression')
}

function literal(p: Cursor, start: number, value: LiteralValue): Expression {
  return { type: 'literal', value, span: p.from(start) }
}

const invalid = (p: Cursor, start: number, what: string, reason: string) => {
  const span = p.from(start)
  return sqlErrors('SQL_LITERAL_INVALID', { what, text: p.text.slice(span.start, span.end), reason, position: p.position(span) })
}

/** A text, with its continuations on the lines below it. */
function stringValue(p: Cursor): string {
  let { end } = p.token
  let value = p.string()
  while (p.token.kind === 'string' && p.text.slice(end, p.token.start).includes('\n')) {
    end = p.token.end
    value += p.next().text
  }
  return value
}

function unicodeText(p: Cursor): Expression {
  const { start, text } = p.next()
  const sign = p.accept('UESCAPE') ? p.string() : '\\'
  const value = sign.length === 1 && !/[0-9a-fA-F+'"\s]/.test(sign) ? textOfUnicodeEscapes(text, sign) : undefined
  if (value === undefined)
    throw invalid(p, start, 'Unicode text', 'An escape is \\XXXX or \\+XXXXXX in hexadecimal digits; UESCAPE names one other character.')
  return literal(p, start, { kind: 'string', value })
}

function wordPrimary(p: Cursor): Expression {
  const { token } = p
  const { start, key } = token
  const following = p.peek()
  switch (key) {
    case 'NULL':
      p.next()
      return literal(p, start, { kind: 'null' })
    case 'TRUE':
    case 'FALSE':
      p.next()
      return literal(p, start, { kind: 'boolean', value: key === 'TRUE' })
    case 'UNKNOWN': {
      p.next()
      const operand = literal(p, start, { kind: 'null' })
      return {
        type: 'cast',
        operand,
        target: { type: { kind: 'BOOLEAN', nullable: true }, span: operand.span },
        safe: false,
        span: operand.span,
      }
    }
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
      if (following.kind === 'string') return timeLiteral(p)
      if (key === 'TIMESTAMP' && following.key === 'WITH') return zonedTimestampLiteral(p)
      break
    case 'INTERVAL':
      return intervalLiteral(p)
    case 'CASE':
      return caseExpression(p)
    case 'CAST':
    case 'TRY_CAST':
      return castExpression(p)
    case 'ROW':
      if (following.key === '(') return explicitRow(p)
      break
    case 'ARRAY':
      if (following.key === '[') return arrayConstructor(p)
      if (following.key === '(') throw p.notSupported('ARRAY(query)', 'Use ARRAY_AGG in an aggregation.')
      break
    case 'MAP':
      if (following.key === '[') return mapConstructor(p)
      break
    case 'MULTISET':
      throw p.notSupported('MULTISET[…]', 'Use ARRAY[…].')
    case 'FINAL':
    case 'RUNNING':
      if (following.kind === 'word' && p.peek(2).key === '(') {
        p.next()
        const call = primary(p)
        if (call.type !== 'call') throw p.fail('a function call')
        return { ...call, matchMode: key, span: p.from(start) }
      }
      break
    default:
  }
  if (following.key === '(' && following.kind === 'symbol' && !structuralWords.has(key)) {
    const special = parseSpecialCall(p)
    if (special) return special
  }
  if (bareCalls.has(key)) {
    const name = p.next()
    const span = { start: name.start, end: name.end }
    const args: Expression[] = []
    if (p.accept('(') && !p.accept(')')) {
      args.push(parseExpression(p))
      p.expect(')')
    }
    return { type: 'call', name: { parts: [{ name: key, span }], span }, args, distinct: false, span: p.from(start) }
  }
  if (token.reserved && (following.key !== '(' || structuralWords.has(key))) throw p.fail('an expression')
  return columnOrCall(p)
}

/** `a`, `t.a`, `t.*`, `f(x)`, `db.f(x)`. */
function columnOrCall(p: Cursor): Expression {
  const { start, text, key, kind, end } = p.token
  // A reserved word gets here only when '(' follows: a function's name.
  const first: Identifier = p.token.reserved ? { name: text, span: { start: p.next().start, end } } : p.name()
  const parts = [first]
  while (p.token.key === '.') {
    if (p.peek().key === '*') {
      const qualifier = { parts, span: p.from(start) }
      p.next()
      p.next()
      return { type: 'star', qualifier, span: p.from(start) }
    }
    p.next()
    parts.push(p.name())
  }
  const name = { parts, span: p.from(start) }
  if (p.token.key !== '(') return { type: 'column', name, span: name.span }
  if (parts.length === 1 && kind === 'word') first.name = key
  return parseCall(p, name)
}

function parenthesized(p: Cursor): Expression {
  const { start } = p.token
  const inside = queryOrList(p)
  if ('query' in inside) return { type: 'subquery', query: inside.query, span: p.from(start) }
  const items = inside.list
  const first = items[0]!
  if (first.type === 'binary' && first.operator === '-' && items.length === 1 && p.atAny(...intervalWords)) {
    // (a - b) DAY: what lies between two points in time.
    const unitStart = p.token.start
    const unit = intervalUnit(p)
    const name = p.accept('TO') ? intervalUnit(p) : unit
    const span = p.from(start)
    const args: Expression[] = [first.left, first.right, { type: 'keyword', name, span: p.from(unitStart) }]
    return { type: 'call', name: { parts: [{ name: 'MINUS DATES', span }], span }, args, distinct: false, span }
  }
  return items.length === 1 ? first : { type: 'rowValue', items, explicit: false, span: p.from(start) }
}

function explicitRow(p: Cursor): Expression {
  const { start } = p.next()
  p.expect('(')
  const items = p.at(')') ? [] : p.list(() => starOrExpression(p))
  p.expect(')')
  return { type: 'rowValue', items, explicit: true, span: p.from(start) }
}

export function starOrExpression(p: Cursor): Expression {
  if (p.token.key !== '*') return parseExpression(p)
  const { start } = p.next()
  return { type: 'star', span: p.from(start) }
}

function arrayConstructor(p: Cursor): Expression {
  const { start } = p.next()
  p.expect('[')
  const items = p.at(']') ? [] : p.list(() => parseExpression(p))
  p.expect(']')
  return { type: 'array', items, span: p.from(start) }
}

function mapConstructor(p: Cursor): Expression {
  const { start } = p.next()
  p.expect('[')
  const entries = p.at(']')
    ? []
    : p.list(() => {
        const key = parseExpression(p)
        p.expect(',')
        return { key, value: parseExpression(p) }
      })
  p.expect(']')
  return { type: 'map', entries, span: p.from(start) }
}

function caseExpression(p: Cursor): Expression {
  const { start } = p.next()
  const operand = p.at('WHEN') ? undefined : parseExpression(p)
  const branches: { when: Expression; then: Expression }[] = []
  while (p.accept('WHEN')) {
    const values = operand ? p.list(() => parseExpression(p)) : [parseExpression(p)]
    p.expect('THEN')
    const then = parseExpression(p)
    for (const when of values) branches.push({ when, then })
  }
  if (branches.length === 0) throw p.fail()
  const otherwise = p.accept('ELSE') ? parseExpression(p) : undefined
  p.expect('END')
  return { type: 'case', ...(operand && { operand }), branches, ...(otherwise && { otherwise }), span: p.from(start) }
}

function castExpression(p: Cursor): Expression {
  const { start, key } = p.next()
  p.expect('(')
  const operand = parseExpression(p)
  p.expect('AS')
  const target = parseType(p)
  p.expect(')')
  return { type: 'cast', operand, target, safe: key === 'TRY_CAST', span: p.from(start) }
}

const timeForms: Record<string, { form: RegExp; example: string }> = {
  DATE: { form: /^\d{4,5}-\d{1,2}-\d{1,2}$/, example: "DATE '2026-01-31'" },
  TIME: { form: /^\d{1,2}:\d{1,2}:\d{1,2}(\.\d{0,9})?$/, example: "TIME '12:30:00'" },
  TIMESTAMP: { form: /^\d{4,5}-\d{1,2}-\d{1,2}( \d{1,2}:\d{1,2}:\d{1,2}(\.\d{0,9})?)?$/, example: "TIMESTAMP '2026-01-31 12:30:00.123'" },
}

function timeLiteral(p: Cursor): Expression {
  const { start, key } = p.next()
  const text = p.string()
  const { form, example } = timeForms[key]!
  if (!form.test(text)) throw invalid(p, start, `${key} literal`, `Write it like ${example}.`)
  return literal(p, start, { kind: key.toLowerCase() as 'date' | 'time' | 'timestamp', text })
}

/** TIMESTAMP WITH LOCAL TIME ZONE '…': the session's local time of an instant. */
function zonedTimestampLiteral(p: Cursor): Expression {
  const { start } = p.token
  const word = p.next()
  if (!p.acceptAll('WITH', 'LOCAL', 'TIME', 'ZONE'))
    throw p.notSupported('TIMESTAMP WITH TIME ZONE', 'Use TIMESTAMP_LTZ, a point in time shown in the session’s time zone.')
  if (p.token.kind !== 'string') throw p.fail("a time like '2026-01-31 12:30:00.123'")
  const operand = timestampText(p, word.start)
  const span = p.from(start)
  const digits = operand.type === 'literal' && operand.value.kind === 'timestamp' ? (operand.value.text.split('.')[1] ?? '').length : 0
  return { type: 'cast', operand, target: { type: t.timestampLtz(digits), span }, safe: false, span }
}

function timestampText(p: Cursor, start: number): Expression {
  const text = p.string()
  const { form, example } = timeForms.TIMESTAMP
  if (!form.test(text)) throw invalid(p, start, 'TIMESTAMP literal', `Write it like ${example}.`)
  return literal(p, start, { kind: 'timestamp', text })
}

const intervalWords = ['YEAR', 'MONTH', 'DAY', 'HOUR', 'MINUTE', 'SECOND']
const intervalUnits = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND']

function intervalLiteral(p: Cursor): Expression {
  const { start } = p.next()
  const negative = p.accept('-')
  if (!negative) p.accept('+')
  if (p.token.kind !== 'string') return computedInterval(p, start, negative)
  const text = p.string()
  const from = intervalUnit(p)
  let precision: number | undefined
  if (p.accept('(')) {
    precision = p.wholeNumber(10)
    if (p.accept(',')) p.wholeNumber(9)
    p.expect(')')
  }
  let to: TimeUnit | undefined
  if (p.accept('TO')) {
    to = intervalUnit(p)
    if (p.accept('(')) {
      p.wholeNumber(9)
      p.expect(')')
    }
  }
  return literal(p, start, { kind: 'interval', text, negative, from, ...(to && { to }), ...(precision !== undefined && { precision }) })
}

/** INTERVAL 5 DAY, INTERVAL minutes MINUTE: so many times the unit. */
function computedInterval(p: Cursor, start: number, negative: boolean): Expression {
  if (!['number', 'word'].includes(p.token.kind) && p.token.key !== '(')
    throw p.fail('a text in single quotes', "Write the number of an interval in quotes: INTERVAL '5' SECOND.")
  const right = parseExpression(p, SIGN)
  const from = intervalUnit(p)
  const left = literal(p, start, { kind: 'interval', text: '1', negative, from })
  return { type: 'binary', operator: '*', left, right, span: p.from(start) }
}

/** Also in the plural, as Flink's own manual writes it: INTERVAL '10' MINUTES. */
function intervalUnit(p: Cursor): TimeUnit {
  const unit = intervalUnits.find((word) => p.accept(word) || p.accept(`${word}S`))
  if (unit) return unit as TimeUnit
  throw p.fail()
}

export function parseOrderItems(p: Cursor): OrderItem[] {
  return p.list(() => {
    const { start } = p.token
    const expression = parseExpression(p)
    const descending = !p.accept('ASC') && p.accept('DESC')
    let nulls: 'FIRST' | 'LAST' | undefined
    if (p.accept('NULLS')) {
      if (!p.atAny('FIRST', 'LAST')) throw p.fail()
      nulls = p.next().key as 'FIRST' | 'LAST'
    }
    return { expression, descending, ...(nulls && { nulls }), span: p.from(start) }
  })
}
