// What an editor offers at a place in a script: the parser itself says what it would take there.
import { isStreamError } from '../base/index.ts'
import { Cursor } from './cursor.ts'
import { lex, type Token } from './lexer.ts'
import { sqlName } from './names.ts'
import { parseStatementAt } from './parseStatements.ts'

export interface Completion {
  /** As it is written there: a name that needs them, in backquotes. */
  label: string
  kind: 'keyword' | 'table' | 'column' | 'function'
}
export interface CompletionCatalog {
  tables: { name: string; columns: string[] }[]
  functions: string[]
}

/**
 * Words that may stand at an offset and begin as the word there does.
 *
 * @param offset  UTF-16 units; what is behind it counts only for the tables that the statement names
 * @returns       columns first, then tables, functions and keywords; empty inside a text, a comment's rest or behind an error
 */
export function completions(text: string, offset: number, catalog: CompletionCatalog): Completion[] {
  const before = statementBefore(lex(text.slice(0, offset)))
  const end: Token = { kind: 'end', key: '', text: '', start: offset, end: offset, reserved: false }
  const last = before.at(-1)
  if (last?.kind === 'error') return []
  const typed = last?.kind === 'word' && last.end === offset ? before.pop()!.text.toLowerCase() : ''
  const matching = (labels: Iterable<string>, kind: Completion['kind']): Completion[] =>
    [...new Set(labels)]
      .filter((label) => label.toLowerCase().startsWith(typed))
      .map((label) => ({ label: kind === 'table' || kind === 'column' ? sqlName(label) : label, kind }))

  const mentioned = tablesIn([...before, ...statementAfter(lex(text.slice(offset)))], catalog)
  const qualifier = before.at(-1)?.key === '.' ? before.at(-2)?.text.toLowerCase() : undefined
  if (qualifier !== undefined) {
    const columns = mentioned.filter(({ alias }) => alias.toLowerCase() === qualifier).flatMap(({ columns: names }) => names)
    return matching(columns, 'column')
  }
  const expected = expectedAt([...before, end], text)
  const takesExpression = expected.includes('an expression')
  return [
    ...(takesExpression
      ? matching(
          mentioned.flatMap(({ columns }) => columns),
          'column',
        )
      : []),
    ...(expected.includes('a name of a table')
      ? matching(
          catalog.tables.map(({ name }) => name),
          'table',
        )
      : []),
    ...(takesExpression ? matching(catalog.functions, 'function') : []),
    ...matching(
      expected.filter((item) => /^[A-Z_]+$/.test(item)),
      'keyword',
    ),
  ]
}

const statementBefore = (tokens: Token[]): Token[] => tokens.slice(tokens.findLastIndex((token) => token.key === ';') + 1, -1)

function statementAfter(tokens: Token[]): Token[] {
  const cut = tokens.findIndex((token) => token.key === ';' || token.kind === 'end')
  return tokens.slice(0, cut)
}

/** What the parser asks for behind these tokens; nothing if it fails before their end. */
function expectedAt(tokens: Token[], text: string): string[] {
  const p = new Cursor(text, tokens)
  let error: unknown
  try {
    parseStatementAt(p)
    error = p.fail()
  } catch (thrown) {
    error = thrown
  }
  if (!isStreamError(error)) throw error
  return p.token.kind === 'end' ? ((error.params.expected as string[] | undefined) ?? []) : []
}

/** The catalog's tables that the tokens name, by name and by alias. */
function tablesIn(tokens: Token[], catalog: CompletionCatalog): { alias: string; columns: string[] }[] {
  const found: { alias: string; columns: string[] }[] = []
  tokens.forEach((token, i) => {
    const table = catalog.tables.find(({ name }) => (token.kind === 'word' || token.kind === 'quoted') && name === token.text)
    if (!table || tokens[i + 1]?.key === '.') return
    const alias = tokens[i + 1]?.key === 'AS' ? tokens[i + 2] : tokens[i + 1]
    const hasAlias = alias && (alias.kind === 'quoted' || (alias.kind === 'word' && !alias.reserved))
    found.push({ alias: hasAlias ? alias.text : table.name, columns: table.columns })
  })
  return found
}
