// Entry points of the parser: scripts, statements, expressions and types from text.
//
// Invariants
//   1. Pure and bounded: linear in the length of the text, which is limited; no text exhausts the stack or runs on.
//   2. A tree has at most TREE_LEVELS_MAX levels, so that whoever walks it by recursion is safe, too.
//   3. Only StreamErrors are thrown, each with its place in the text.
import { isStreamError, type StreamError } from '../base/index.ts'
import type { Expression, SelectItem, Span, Statement } from './ast.ts'
import { Cursor } from './cursor.ts'
import { sqlErrors } from './errors.ts'
import { lex, type Token } from './lexer.ts'
import { parseExpression as expressionAt } from './parseExpressions.ts'
import { selectItem } from './parseQueries.ts'
import { parseStatementAt } from './parseStatements.ts'
import { parseType as typeAt } from './parseTypes.ts'

export { textPosition } from './cursor.ts'

/** UTF-16 units of a script. */
export const SQL_LENGTH_MAX = 4 * 1024 * 1024
const TREE_LEVELS_MAX = 500
/** An editor shows no more; each costs a search through the text. */
const ERRORS_MAX = 100

/** Every statement of a script. @throws StreamError of the first one that is wrong */
export function parseScript(text: string): Statement[] {
  return statementTokens(text).map((tokens) => statementOf(text, tokens))
}

/** The one statement of a text, with or without its ';'. */
export function parseStatement(text: string): Statement {
  const all = statementTokens(text)
  if (all.length <= 1) return statementOf(text, all[0] ?? lex(text))
  const second = all[1]![0]!
  throw new Cursor(text, [second]).fail('the end of the text')
}

/** For editors and hot reload: what can be read, and an error for each statement that cannot (it stops at the hundredth). */
export function parseScriptTolerant(text: string): { statements: Statement[]; errors: StreamError[] } {
  const statements: Statement[] = []
  const errors: StreamError[] = []
  const attempt = (part: () => void): void => {
    try {
      part()
    } catch (error) {
      if (!isStreamError(error)) throw error
      errors.push(error)
    }
  }
  attempt(() => {
    for (const tokens of statementTokens(text)) {
      attempt(() => statements.push(statementOf(text, tokens)))
      if (errors.length === ERRORS_MAX) return
    }
  })
  return { statements, errors }
}

export function parseExpression(text: string): Expression {
  return whole(text, tokensOf(text), (p) => expressionAt(p))
}

/** What stands between SELECT and FROM. */
export function parseSelectItems(text: string): SelectItem[] {
  return whole(text, tokensOf(text), (p) => p.list(() => selectItem(p)))
}

/** A type with its NOT NULL, as 'ROW<a INT NOT NULL>'. */
export function parseType(text: string) {
  return whole(text, tokensOf(text), (p) => typeAt(p)).type
}

/** The statements' texts without ';', comments around them left out; empty statements are none. @throws StreamError SQL_TOO_LONG, and nothing for wrong SQL */
export function splitStatements(text: string): { text: string; start: number; end: number }[] {
  return statementTokens(text).map((tokens) => {
    const { start } = tokens[0]!
    const { end } = tokens.at(-2)!
    return { text: text.slice(start, end), start, end }
  })
}

/** The text a node came from. */
export const expressionText = (text: string, span: Span): string => text.slice(span.start, span.end)

function tokensOf(text: string): Token[] {
  if (text.length > SQL_LENGTH_MAX) throw sqlErrors('SQL_TOO_LONG', { length: text.length, lengthMax: SQL_LENGTH_MAX })
  return lex(text)
}

/** Cuts at each ';' outside of a statement set; each part ends with a token of kind 'end'. */
export function statementTokens(text: string): Token[][] {
  const statements: Token[][] = []
  let current: Token[] = []
  let isInSet = false
  let openCases = 0
  for (const token of tokensOf(text)) {
    const isCut = token.kind === 'end' || (token.key === ';' && !isInSet)
    if (isCut) {
      if (current.length > 0) statements.push([...current, { ...token, kind: 'end', key: '', end: token.start }])
      current = []
      isInSet = false
      openCases = 0
      continue
    }
    current.push(token)
    if (isInSet) {
      if (token.key === 'CASE') openCases++
      else if (token.key === 'END' && openCases > 0) openCases--
      else if (token.key === 'END') isInSet = false
    } else isInSet = beginsSet(current)
  }
  return statements
}

/** STATEMENT SET BEGIN, or BEGIN STATEMENT SET at the start. */
function beginsSet(tokens: Token[]): boolean {
  const last = tokens.at(-1)!.key
  if (last === 'BEGIN') return tokens.at(-2)?.key === 'SET' && tokens.at(-3)?.key === 'STATEMENT'
  return last === 'SET' && tokens.length === 3 && tokens[0]!.key === 'BEGIN' && tokens[1]!.key === 'STATEMENT'
}

const statementOf = (text: string, tokens: Token[]): Statement => whole(text, tokens, parseStatementAt)

function whole<T extends object>(text: string, tokens: Token[], part: (p: Cursor) => T): T {
  const p = new Cursor(text, tokens)
  const result = part(p)
  if (p.token.kind !== 'end') throw p.fail('the end of the statement')
  // A token makes three levels at most, so few statements need a look.
  if (tokens.length * 3 > TREE_LEVELS_MAX) checkLevels(p, result)
  return result
}

/** Chains like a + b + c … grow to the left without any recursion here, but not for those who walk the tree. */
function checkLevels(p: Cursor, root: object): void {
  const open: { node: object; level: number; span: Span }[] = [{ node: root, level: 1, span: p.from(0) }]
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const { node } = entry
    // Types have no span, but levels.
    const level = 'span' in node || 'nullable' in node ? entry.level + 1 : entry.level
    const span = 'span' in node ? (node.span as Span) : entry.span
    if (level > TREE_LEVELS_MAX) throw sqlErrors('SQL_TOO_DEEP', { levelsMax: TREE_LEVELS_MAX, position: p.position(span) })
    for (const value of Object.values(node)) {
      if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) open.push({ node: value as object, level, span })
    }
  }
}
