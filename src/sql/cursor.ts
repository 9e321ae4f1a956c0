// The place of the parser in its tokens, and how it fails.
//
// Invariants
//   1. Whatever the parser asked for in vain at the present token is remembered; an error lists exactly that.
//   2. Recursion is counted (`nested`): no text can exhaust the stack.
import type { StreamError, TextPosition } from '../base/index.ts'
import { MASKED, maskedValue, nearestName } from '../base/index.ts'
import type { Identifier, QualifiedName, Span } from './ast.ts'
import { sqlErrors } from './errors.ts'
import type { Token } from './lexer.ts'

/** How deep parentheses, subqueries, types and patterns may lie in one another. */
export const NESTING_MAX = 200

/**
 * Where a span lies in its text.
 *
 * @returns 1-based line and column (in UTF-16 units), and the offsets as given
 */
export function textPosition(text: string, span: Span): TextPosition {
  let line = 1
  let lineStart = 0
  for (let next = text.indexOf('\n'); next >= 0 && next < span.start; next = text.indexOf('\n', next + 1)) {
    line++
    lineStart = next + 1
  }
  return { line, column: span.start - lineStart + 1, start: span.start, end: span.end }
}

const statementWords = [
  'SELECT',
  'INSERT',
  'CREATE',
  'DROP',
  'ALTER',
  'EXPLAIN',
  'DESCRIBE',
  'SHOW',
  'WITH',
  'VALUES',
  'EXECUTE',
  'SET',
  'RESET',
  'USE',
]

/** Words that nobody means as a name. */
const clauseWords = new Set([
  'SELECT',
  'FROM',
  'WHERE',
  'GROUP',
  'HAVING',
  'ORDER',
  'BY',
  'JOIN',
  'ON',
  'AND',
  'OR',
  'AS',
  'IN',
  'UNION',
  'WHEN',
  'THEN',
  'ELSE',
  'WITH',
  'CREATE',
  'INSERT',
  'INTO',
])

export class Cursor {
  readonly text: string
  token: Token
  private readonly tokens: Token[]
  private index = 0
  private depth = 0
  private expected: string[] = []

  /** `tokens` must end with a token of kind 'end'. */
  constructor(text: string, tokens: Token[]) {
    this.text = text
    this.tokens = tokens
    this.token = tokens[0]!
  }

  /** The token after the present one, or further on; the last one is 'end'. */
  peek(distance = 1): Token {
    return this.tokens[Math.min(this.index + distance, this.tokens.length - 1)]!
  }

  private previous(): Token {
    return this.tokens[Math.max(this.index - 1, 0)]!
  }

  next(): Token {
    const { token } = this
    if (token.kind === 'error') throw this.lexicalError(token)
    if (this.index < this.tokens.length - 1) this.index++
    this.token = this.tokens[this.index]!
    if (this.expected.length > 0) this.expected = []
    return token
  }

  /** Whether the present token is this word or symbol; if not, it becomes part of the error message. */
  at(key: string): boolean {
    if (this.token.key === key && this.token.kind !== 'error') return true
    this.expected.push(key)
    return false
  }

  atAny(...keys: string[]): boolean {
    return keys.some((key) => this.at(key))
  }

  accept(key: string): boolean {
    if (!this.at(key)) return false
    this.next()
    return true
  }

  /** Accepts several words in a row, or none of them. */
  acceptAll(...keys: string[]): boolean {
    if (!this.at(keys[0]!)) return false
    const { reserved } = this.token
    for (let i = 1; i < keys.length; i++) {
      if (this.peek(i).key === keys[i]) continue
      if (this.peek(i).kind !== 'end' || !reserved) return false
      // The text ends within them: a reserved word can be nothing else.
      for (let read = 0; read < i; read++) this.next()
      throw this.fail(keys[i])
    }
    for (const _ of keys) this.next()
    return true
  }

  expect(...keys: string[]): void {
    for (const key of keys) if (!this.accept(key)) throw this.fail()
  }

  /** Notes what could also stand here, for the error message. */
  wanted(what: string): void {
    this.expected.push(what)
  }

  from(start: number): Span {
    return { start, end: this.previous().end }
  }

  // ---- names and texts

  atName(): boolean {
    const { kind, reserved } = this.token
    return (kind === 'word' && !reserved) || kind === 'quoted'
  }

  name(what = 'a name'): Identifier {
    if (!this.atName()) throw this.fail(what)
    const token = this.next()
    if (token.kind === 'quoted' && token.text === '') {
      throw sqlErrors('SQL_LITERAL_INVALID', {
        what: 'name',
        text: '``',
        reason: 'Write a name of at least one character.',
        position: this.position(token),
      })
    }
    return { name: token.text, span: { start: token.start, end: token.end } }
  }

  qualifiedName(what = 'a name'): QualifiedName {
    const { start } = this.token
    const parts = [this.name(what)]
    while (this.accept('.')) parts.push(this.name(what))
    return { parts, span: this.from(start) }
  }

  names(what?: string): Identifier[] {
    this.expect('(')
    const items = this.list(() => this.name(what))
    this.expect(')')
    return items
  }

  string(what = 'a text in single quotes'): string {
    if (this.token.kind !== 'string') throw this.fail(what)
    return this.next().text
  }

  wholeNumber(max: number): number {
    const { token } = this
    if (token.kind !== 'number' || !/^\d+$/.test(token.text)) throw this.fail('a whole number')
    if (Number(token.text) > max) {
      throw sqlErrors('SQL_LITERAL_INVALID', {
        what: 'number here',
        text: token.text,
        reason: `The largest is ${max}.`,
        position: this.position(token),
      })
    }
    this.next()
    return Number(token.text)
  }

  list<T>(item: () => T): T[] {
    const items = [item()]
    while (this.accept(',')) items.push(item())
    return items
  }

  /** Runs a part of the grammar that can contain itself. */
  nested<T>(part: () => T): T {
    if (this.depth >= NESTING_MAX) throw sqlErrors('SQL_TOO_DEEP', { levelsMax: NESTING_MAX, position: this.position(this.token) })
    this.depth++
    const result = part()
    this.depth--
    return result
  }

  // ---- errors

  position(span: Span): TextPosition {
    return textPosition(this.text, span)
  }

  notSupported(what: string, instead: string, span: Span = this.token): StreamError {
    return sqlErrors('SQL_NOT_SUPPORTED', { what, instead, position: this.position(span) })
  }

  /** The error that the present token does not fit; `what` adds to what was asked for. */
  fail(what?: string, advice?: string): StreamError {
    const { token } = this
    if (token.kind === 'error') return this.lexicalError(token)
    if (what) this.expected.unshift(what)
    const expected = this.expectedItems()
    const position = this.position(token)
    const takesName = expected.some((item) => item.startsWith('a name') || item.startsWith('an expression'))
    const near = this.nearestKeyword(expected)
    // `MAX(value)` is a column, not VALUES with a letter too few.
    const isNear = near && !(near.written === token.text && expected.includes('an expression'))
    if (takesName && token.reserved && !isNear && !clauseWords.has(token.key))
      return sqlErrors('SQL_RESERVED_WORD', { word: token.text, expected, position })
    return sqlErrors('SQL_SYNTAX', { found: this.describe(token), expected, ...near, ...(advice && { advice }), position })
  }

  /** What was asked for at the present token, each once; symbols in quotes. */
  private expectedItems(): string[] {
    return [...new Set(this.expected)].map((item) => (/[a-z]/i.test(item) ? item : `"${item}"`))
  }

  private nearestKeyword(expected: string[]): { nearest: string; written: string } | undefined {
    const keywords = expected.filter((item) => /^[A-Z_]+$/.test(item))
    const found = this.token
    const before = this.previous()
    // `SELECT a FORM t`: FORM was read as an alias, and the error shows only at t.
    for (const token of [found, before]) {
      if (token.kind !== 'word' || token.text.length < 2 || (token === before && token.reserved)) continue
      const nearest =
        nearestName(token.key, keywords) ?? (token === found && this.index === 0 ? nearestName(token.key, statementWords) : undefined)
      if (nearest) return { nearest, written: token.text }
    }
    return undefined
  }

  private describe(token: Token): string {
    if (token.kind === 'end') return 'the end of the statement'
    const raw = this.text.slice(token.start, token.end)
    if (this.isSecret(token)) return MASKED
    return raw.length > 40 ? `${raw.slice(0, 40)}…` : raw
  }

  /** It stands where the value of a secret option would: `'password' 'x'`. */
  private isSecret(token: Token): boolean {
    const at = this.tokens.indexOf(token)
    const [before, option] = [this.tokens[at - 1], this.tokens[at - 2]]
    const name = before?.key === '=' ? option : before
    return name?.kind === 'string' && maskedValue(name.text, 'x') === MASKED && /string|word|number|quoted/.test(token.kind)
  }

  private lexicalError(token: Token): StreamError {
    const position = this.position(token)
    if (token.text !== 'character') return sqlErrors('SQL_TEXT_UNTERMINATED', { what: token.text, closing: token.key, position })
    const found = this.text.slice(token.start, token.end)
    const isQuote = /^["\u2018\u2019\u201c\u201d\u00b4]$/.test(found)
    const advice = isQuote ? "Names go in backquotes (`name`), texts in single quotes ('text')." : undefined
    return sqlErrors('SQL_SYNTAX', { found, expected: this.expectedItems(), ...(advice && { advice }), position })
  }
}
