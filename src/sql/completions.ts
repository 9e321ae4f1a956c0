// What an editor offers at a place in a script: the parser itself says what it would take there, `completionScope.ts` what the names in reach are.
import { isStreamError } from '../base/index.ts'
import { type Relation, type Scope, scopeAt } from './completionScope.ts'
import { Cursor } from './cursor.ts'
import { lex, type Token } from './lexer.ts'
import { sqlName } from './names.ts'
import { parseStatementAt } from './parseStatements.ts'
import { knownTypes } from './parseTypes.ts'
import { settingKeys, settingValues } from './settings.ts'
import { optionKeys, optionValues } from './table-options.ts'

export interface Completion {
  /** As it is written there: a name that needs them, in backquotes; keys and values in quotes. */
  label: string
  kind: 'keyword' | 'table' | 'column' | 'function' | 'type' | 'option' | 'value'
}
export interface Completions {
  /** Where what they stand for begins: a word, or the quote before it. UTF-16 units. */
  start: number
  items: Completion[]
}
export interface CompletionCatalog {
  /** Names as the catalog has them: with the database, if that is not the present one. */
  tables: { name: string; kind: 'table' | 'view' | 'materialized table'; columns: string[]; connector?: string }[]
  functions: string[]
  /** Those of the user among them. */
  userFunctions: string[]
  databases: string[]
}
type Kind = Completion['kind']

/**
 * What may stand at an offset and begins as the word or text there does.
 *
 * @param offset  UTF-16 units; what is behind it counts only for what the query names
 * @returns       columns first, then tables, functions, types and keywords; empty in other texts, in comments and where the parser cannot get to
 */
export function completions(text: string, offset: number, catalog: CompletionCatalog): Completions {
  const before = statementBefore(lex(text.slice(0, offset)))
  const last = before.at(-1)
  const after = statementAfter(lex(text.slice(offset)))
  if (isComment(text.slice(last?.end ?? 0, offset))) return { start: offset, items: [] }
  if (last?.kind === 'error') {
    if (last.key !== "'") return { start: offset, items: [] }
    before.pop()
    const typed = text.slice(last.start + 1, offset).toLowerCase()
    // What is behind the place begins in the text: its quote would open another one.
    const rest = statementAfter(lex(text.slice(offset).replace(/^[^'\n]*'?/, '')))
    const items = texts(before, rest, text, catalog).filter(({ label }) => label.toLowerCase().startsWith(`'${typed}`))
    return { start: last.start, items }
  }
  const typed = last?.kind === 'word' && last.end === offset ? before.pop()!.text.toLowerCase() : ''
  const start = offset - typed.length
  const seen = new Set<string>()
  const items = offers(before, after, text, catalog).filter(({ label, kind }) => {
    const isNew = !seen.has(`${kind} ${label}`)
    seen.add(`${kind} ${label}`)
    return isNew && label.replace(/^[`']/, '').toLowerCase().startsWith(typed)
  })
  return { start, items }
}

const statementBefore = (tokens: Token[]): Token[] => tokens.slice(tokens.findLastIndex((token) => token.key === ';') + 1, -1)

function statementAfter(tokens: Token[]): Token[] {
  const cut = tokens.findIndex((token) => token.key === ';' || token.kind === 'end')
  return tokens.slice(0, cut)
}

/** What stands between two tokens and has no end of line behind it. */
const isComment = (gap: string): boolean => /(?:--|\/\/)[^\n]*$/.test(gap)

const items = (labels: Iterable<string>, kind: Kind): Completion[] => [...labels].map((label) => ({ label, kind }))
const names = (labels: Iterable<string>, kind: Kind): Completion[] => items([...labels].map(sqlName), kind)
const quoted = (labels: Iterable<string>, kind: Kind): Completion[] =>
  [...labels].map((label) => ({ label: `'${label.replaceAll("'", "''")}'`, kind }))

function offers(before: Token[], after: Token[], text: string, catalog: CompletionCatalog): Completion[] {
  const scope = scopeAt([...before, ...after], before.length, new Map(catalog.tables.map(({ name, columns }) => [name, columns])))
  const expected = expectedAt(before, text, scope)
  const qualifier = qualifierOf(before)
  if (qualifier !== '') {
    if (tableKinds(expected, before)) return tables(expected, before, scope, catalog, qualifier)
    return names(columnsBehind(qualifier, scope), 'column')
  }
  const takesExpression = expected.includes('an expression')
  const takesColumn = takesExpression || expected.includes('a name of a column')
  return [
    ...(takesColumn ? names([...scope.relations.flatMap(({ columns }) => columns), ...scope.aliases], 'column') : []),
    ...names(targetColumns(expected, before, catalog), 'column'),
    ...tables(expected, before, scope, catalog, ''),
    ...(takesExpression ? items(catalog.functions, 'function') : []),
    ...(expected.includes('a name of a function') && before[0]?.key === 'DROP' ? names(catalog.userFunctions, 'function') : []),
    ...(expected.includes('a name of a database') ? names(catalog.databases, 'table') : []),
    ...(expected.includes('a type') ? items(knownTypes, 'type') : []),
    ...texts(before, after, text, catalog),
    ...items(
      expected.filter((item) => /^[A-Z_]+$/.test(item)),
      'keyword',
    ),
  ]
}

/** `t.` or `shop.` before the place, without its last dot. */
function qualifierOf(before: Token[]): string {
  const parts: string[] = []
  for (let i = before.length - 1; before[i]?.key === '.' && (before[i - 1]?.kind === 'word' || before[i - 1]?.kind === 'quoted'); i -= 2)
    parts.unshift(before[i - 1]!.text)
  return parts.join('.')
}

function columnsBehind(qualifier: string, { relations, isInPattern }: Scope): string[] {
  // The innermost of a name hides the others.
  const found = relations.find(({ name }) => name.toLowerCase() === qualifier.toLowerCase())
  if (found) return found.columns
  return isInPattern ? relations.flatMap(({ columns }: Relation) => columns) : []
}

type TableKind = CompletionCatalog['tables'][number]['kind']
const tableKindOf: Readonly<Record<string, TableKind>> = {
  'a name of a view': 'view',
  'a name of a materialized table': 'materialized table',
}

/** Which of them may stand here; undefined where none may. */
function tableKinds(expected: readonly string[], before: readonly Token[]): readonly TableKind[] | undefined {
  const kind = expected.map((item) => tableKindOf[item]).find((one) => one !== undefined)
  if (kind) return [kind]
  if (!expected.includes('a name of a table')) return undefined
  const last = before.at(-1)?.key ?? ''
  const isDeclaration = ['ALTER', 'DROP', 'SHOW'].includes(before[0]?.key ?? '') && (last === 'TABLE' || last === 'EXISTS')
  if (isDeclaration || ['INTO', 'OVERWRITE', 'LIKE'].includes(last)) return ['table']
  return ['table', 'view', 'materialized table']
}

/** @param database  that stands before the place; '' for none */
function tables(expected: string[], before: Token[], { withNames }: Scope, catalog: CompletionCatalog, database: string): Completion[] {
  const kinds = tableKinds(expected, before)
  if (!kinds) return []
  const fitting = catalog.tables.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name)
  if (database !== '')
    return names(
      fitting.flatMap((name) => (name.startsWith(`${database}.`) ? [name.slice(database.length + 1)] : [])),
      'table',
    )
  const written = (name: string): string => {
    const own = catalog.databases.find((one) => name.startsWith(`${one}.`))
    return own === undefined ? sqlName(name) : `${sqlName(own)}.${sqlName(name.slice(own.length + 1))}`
  }
  const ofQuery = kinds.length > 1 ? names(withNames, 'table') : []
  return [...ofQuery, ...items(fitting.map(written), 'table')]
}

/** Columns of the table that INSERT INTO t (…) or ALTER TABLE t … names. */
function targetColumns(expected: readonly string[], before: readonly Token[], { tables: known }: CompletionCatalog): string[] {
  if (!expected.includes('a name') && !expected.includes('a name of a column')) return []
  const at = before.findIndex(({ key }) => key === 'INTO' || key === 'OVERWRITE' || key === 'TABLE')
  const isAlter = before[0]?.key === 'ALTER' && !['ADD', 'TO'].includes(before.at(-1)!.key)
  const open = before.findIndex(({ key }, i) => i > at && key === '(')
  const isList = before[0]?.key === 'INSERT' && open > 0 && before.slice(open + 1).every(({ key }, i) => (i % 2 === 1) === (key === ','))
  if (at < 0 || !(isAlter || isList)) return []
  let name = before[at + 1]?.text ?? ''
  for (let i = at + 2; before[i]?.key === '.'; i += 2) name += `.${before[i + 1]?.text}`
  const taken = new Set(isList ? before.slice(open + 1).map(({ text }) => text) : [])
  return (known.find((table) => table.name === name)?.columns ?? []).filter((column) => !taken.has(column))
}

/** Keys and values in quotes: of WITH, of ALTER TABLE … SET and RESET, and of SET. */
function texts(before: Token[], after: Token[], text: string, { tables: known }: CompletionCatalog): Completion[] {
  const options = before.findLastIndex(({ key }, i) => key === 'WITH' && before[i + 1]?.key === '(')
  const declared = (): Token[] => [...lex('CREATE TABLE t').slice(0, -1), ...before.slice(options)]
  const expected = parserAt(before, text) ?? (options > 0 ? parserAt(declared(), text) : undefined) ?? []
  const isSetting = before[0]?.key === 'SET' || before[0]?.key === 'RESET'
  if (expected.includes("a key such as 'table.local-time-zone'")) return quoted(settingKeys, 'option')
  const isValue = expected.includes('a text in single quotes') && before.at(-1)?.key === '=' && before.at(-2)?.kind === 'string'
  const key = before.at(-2)?.text ?? ''
  if (isValue && isSetting) return quoted(settingValues(key), 'value')
  if (!isValue && !expected.includes("a key such as 'connector'")) return []
  // A database and a materialized table have no connector.
  const altered = before[0]?.key === 'ALTER' ? known.find(({ name }) => before.some((token) => token.text === name)) : undefined
  const written = { ...(altered?.connector !== undefined && { connector: altered.connector }), ...optionsIn([...before, ...after]) }
  if (isValue) return quoted(optionValues(written.connector ?? 'kafka', key), 'value')
  if (before[0]?.key === 'CREATE' && before.some(({ key: word }) => word === 'DATABASE')) return []
  if (before.some(({ key: word }) => word === 'MATERIALIZED')) return quoted(['millrace.late-rows.topic'], 'option')
  return quoted(optionKeys(written), 'option')
}

/** 'key' = 'value' pairs. */
function optionsIn(all: readonly Token[]): Record<string, string> {
  const pairs = all.flatMap(({ kind, text }, i) =>
    kind === 'string' && all[i + 1]?.key === '=' && all[i + 2]?.kind === 'string' ? [[text, all[i + 2]!.text] as const] : [],
  )
  return Object.fromEntries(pairs)
}

/** What could stand before a clause, for a parser that could not read what really does. */
const heads: Readonly<Record<string, string>> = { SELECT: '', FROM: 'SELECT 1' }

/** What the parser asks for behind these tokens. If something before the clause is wrong, or not there yet, the clause counts alone. */
function expectedAt(before: Token[], text: string, { clause }: Scope): string[] {
  const whole = parserAt(before, text)
  const [first] = clause
  if (whole || !first) return whole ?? []
  const head = lex(heads[first.key] ?? 'SELECT 1 FROM t').slice(0, -1)
  return parserAt([...head, ...clause], text) ?? []
}

/** undefined if it fails before their end. */
function parserAt(tokens: Token[], text: string): string[] | undefined {
  const place = tokens.at(-1)?.end ?? 0
  const end: Token = { kind: 'end', key: '', text: '', start: place, end: place, reserved: false }
  const p = new Cursor(text, [...tokens, end])
  let error: unknown
  try {
    parseStatementAt(p)
    error = p.fail()
  } catch (thrown) {
    error = thrown
  }
  if (!isStreamError(error)) throw error
  return p.token.kind === 'end' ? ((error.params.expected as string[] | undefined) ?? []) : undefined
}
