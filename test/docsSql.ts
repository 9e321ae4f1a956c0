// The examples of docs/sql: found in the pages, played through the real stages, printed as the pages print them.
//
// A page is a script. Its fences, in order:
//   json NAME   rows of table NAME, one object a line; lines that begin with `@` as in golden files; a second one adds to the first
//   sql         statements: they are bound, and what they declare is there for the rest of the page; a name may be declared again
//   ts FILE     a file of functions, at that path
//   text        what the sql before it gives: the rows of its last query or SHOW, or the error, which begins with its code
// A table of functions has the header `| Function | Meaning | Example | Result |`; examples and results are code, one result each.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { isStreamError } from '../src/base/index.ts'
import { type Field, formatType, type SqlType, withNullable } from '../src/data/index.ts'
import { type GoldenFile, type PlayMode, parseGoldenFile, play } from '../src/engine/golden/index.ts'
import { explainText } from '../src/engine/index.ts'
import { applyStatement, bindStatement, Catalog, parseScript } from '../src/sql/index.ts'

interface Example {
  /** From 1: of the fence or the table row. */
  line: number
  sql: string
  expected: string
  actual: string
  /** Set for the example of a function. */
  functionColumn?: string
  /** Where the expected text stands: lines of the page, and for a table row the place of the example in it. */
  place: { from: number; to: number; index?: number }
}

interface Fence {
  language: string
  name: string
  from: number
  to: number
  text: string
}

function fencesOf(page: string): Fence[] {
  const fences: Fence[] = []
  let open: Fence | undefined
  for (const [i, line] of page.split('\n').entries()) {
    const mark = /^```(\w*) ?(.*)$/.exec(line)
    if (!mark) {
      if (open) open.text += `${line}\n`
    } else if (open) {
      fences.push({ ...open, to: i })
      open = undefined
    } else open = { language: mark[1], name: mark[2].trim(), from: i + 1, to: i, text: '' }
  }
  return fences
}

/** `over`: a table of the page from which the examples, aggregates then, are selected. */
const FUNCTION_HEADER = /^\| (?:Function|Rule) \| Meaning \| Example(?: over `(\w+)`)? \| Result \|$/

/** Cells of a row of a table; `\|` inside of a cell is a bar. */
const cellsOf = (line: string): string[] =>
  line
    .replace(/^\| ?| ?\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'))
const codesOf = (cell: string): string[] => (cell === '' ? [] : cell.split('<br>').map((part) => part.trim()))
const uncoded = (text: string): string => /^(`+) ?(.*?) ?\1$/.exec(text)?.[2] ?? text

export function readExamples(path: string): Example[] {
  const page = readFileSync(path, 'utf8')
  return [...fencedExamples(page), ...functionExamples(page)].sort((a, b) => a.line - b.line)
}

// ---------------------------------------------------------------- fences

const folders: string[] = []
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function fencedExamples(page: string): Example[] {
  const catalog = new Catalog()
  const inputs = new Map<string, string>()
  const folder = mkdtempSync(join(tmpdir(), 'millrace-docs-'))
  folders.push(folder)
  const examples: Example[] = []
  let declared = ''
  const fences = fencesOf(page)
  for (const [i, fence] of fences.entries()) {
    if (fence.language === 'json' && fence.name !== '') inputs.set(fence.name, (inputs.get(fence.name) ?? '') + fence.text)
    if (fence.language === 'ts' && fence.name !== '') {
      mkdirSync(dirname(join(folder, fence.name)), { recursive: true })
      writeFileSync(join(folder, fence.name), fence.text)
    }
    if (fence.language !== 'sql') continue
    const following = fences[i + 1]
    const isShown = following?.language === 'text'
    const { text, sql } = run(fence.text, declared, { catalog, inputs, folder }, isShown && /^op\b/.test(following.text))
    declared = sql
    const place = isShown ? { from: following.from, to: following.to } : { from: fence.to, to: fence.to }
    const expected = isShown ? following.text.trimEnd() : isErrorText(text) ? 'no error' : text
    examples.push({ line: fence.from, sql: fence.text, expected, actual: text, place })
  }
  return examples
}

const declaring: ReadonlySet<string> = new Set(['createTable', 'createView', 'createFunction', 'alterTable', 'alterView'])

/** What the statements of one fence give, and the declarations that are in force after it. */
function run(
  text: string,
  before: string,
  { catalog, inputs, folder }: { catalog: Catalog; inputs: Map<string, string>; folder: string },
  asChanges: boolean,
): { text: string; sql: string } {
  let declared = before
  let shown = ''
  try {
    for (const statement of parseScript(text)) {
      const { span } = statement
      if (
        statement.type.startsWith('create') &&
        'name' in statement &&
        statement.name &&
        !('ifNotExists' in statement && statement.ifNotExists)
      )
        for (const name of [statement.name.parts.map((part) => part.name).join('.')])
          void (catalog.drop(name) || catalog.dropFunction(name))
      const bound = bindStatement(statement, text, catalog)
      applyStatement(bound, catalog)
      const own = text.slice(span!.start, span!.end)
      if (declaring.has(bound.type)) declared += `${own};\n`
      if (bound.type === 'query') shown = resultText(playQuery(`${declared}${own};`, inputs, folder), asChanges)
      else if (bound.type === 'text') shown = tableText(bound.columns, bound.rows)
      else if (bound.type === 'explain') shown = bound.plans.map(explainText).join('\n')
      else if (bound.type === 'done') shown = bound.message
    }
  } catch (error) {
    return { text: errorText(error), sql: declared }
  }
  return { text: shown, sql: declared }
}

const isErrorText = (text: string): boolean => /^[A-Z_]+: /.test(text)

function errorText(error: unknown): string {
  if (!isStreamError(error)) throw error
  const cause = error.code === 'ROW_FAILED' && isStreamError(error.cause) ? error.cause : error
  return `${cause.code}: ${cause.message.replace(/^line \d+, column \d+: /, '')}\n${cause.hint}`
}

type Played = ReturnType<typeof play>

/** The golden file of a query: also the way to compare an example with Flink. */
function goldenText(sql: string, inputs: Map<string, string>): string {
  const sections = [...inputs].filter(([name]) => new RegExp(`\\b${name}\\b`).test(sql)).map(([name, rows]) => `--- input ${name}\n${rows}`)
  return `-- An example of the manual.\n${sections.join('')}--- sql\n${sql}\n--- expect\n`
}

function playQuery(sql: string, inputs: Map<string, string>, folder = '.'): Played {
  const file: GoldenFile = parseGoldenFile(join(folder, 'example'), goldenText(latest(sql), inputs))
  const [written, crashed] = (['as-written', 'crash-before-every-row'] as const).map((kind) => play(file, { kind } as PlayMode))
  if (resultText(written, false) !== resultText(crashed, false)) throw new Error(`a crash changes the result of\n${sql}`)
  return written
}

/** Of two declarations of one name the later. */
function latest(sql: string): string {
  const statements = parseScript(sql).map((statement) => ({
    text: sql.slice(statement.span!.start, statement.span!.end),
    name: statement.type.startsWith('create') && 'name' in statement ? statement.name?.parts.map((part) => part.name).join('.') : undefined,
  }))
  return statements
    .filter(({ name }, i) => name === undefined || !statements.slice(i + 1).some((later) => later.name === name))
    .map(({ text }) => `${text};`)
    .join('\n')
}

// ---------------------------------------------------------------- printing

/** A value in the form of golden files, as the pages print it. `quoted`: text in quotes, as inside of collections. */
function valueText(value: unknown, type: SqlType, quoted: boolean): string {
  if (value === null || value === undefined) return 'NULL'
  const isText = (one: SqlType): boolean => one.kind === 'CHAR' || one.kind === 'VARCHAR'
  const entries = (key: SqlType, item: (one: unknown) => string): string =>
    `{${Object.entries(value)
      .map(([one, other]) => `${isText(key) ? valueText(one, key, true) : one}: ${item(other)}`)
      .join(', ')}}`
  switch (type.kind) {
    case 'CHAR':
    case 'VARCHAR':
      return quoted ? `'${String(value).replaceAll("'", "''")}'` : String(value)
    case 'BOOLEAN':
      return value ? 'TRUE' : 'FALSE'
    case 'BINARY':
    case 'VARBINARY':
      return `x'${String(value).slice(2)}'`
    case 'FLOAT':
    case 'DOUBLE':
      if (typeof value === 'number' && Object.is(value, -0)) return '-0.0'
      return Number.isInteger(value) && Math.abs(value as number) < 1e16 ? (value as number).toFixed(1) : String(value)
    case 'ARRAY':
      return `[${(value as unknown[]).map((one) => valueText(one, type.element, true)).join(', ')}]`
    case 'ROW':
      return `(${(value as unknown[]).map((one, i) => valueText(one, type.fields[i].type, true)).join(', ')})`
    case 'MAP':
      return entries(type.key, (one) => valueText(one, type.value, true))
    case 'MULTISET':
      return entries(type.element, String)
    default:
      return String(value)
  }
}

const isNumeric = ({ kind }: SqlType): boolean => ['TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'FLOAT', 'DOUBLE', 'DECIMAL'].includes(kind)

function resultText({ rows, changes, fields }: Played, asChanges: boolean): string {
  const texts = (row: unknown[]): string[] => row.map((value, i) => valueText(value, fields[i].type, false))
  const numeric = fields.map((field) => isNumeric(field.type))
  const names = fields.map((field) => field.name)
  if (asChanges)
    return tableText(
      ['op', ...names],
      changes.map(({ kind, row }) => [kind, ...texts(row)]),
      [false, ...numeric],
    )
  return tableText(names, rows.map(texts), numeric)
}

function tableText(columns: readonly string[], rows: readonly (readonly string[])[], numeric: readonly boolean[] = []): string {
  if (rows.length === 1 && rows[0].length === 1 && rows[0][0].includes('\n')) return rows[0][0]
  const widths = columns.map((name, i) => rows.reduce((width, row) => Math.max(width, row[i].length), name.length))
  const line = (row: readonly string[]): string =>
    row
      .map((text, i) => (numeric[i] ? text.padStart(widths[i]) : text.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(columns), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

const typeText = (type: SqlType): string =>
  formatType(withNullable(type, true))
    .replaceAll('VARCHAR(2147483647)', 'STRING')
    .replaceAll('VARBINARY(2147483647)', 'BYTES')
    .replace(/TIMESTAMP(\(\d\)) WITH LOCAL TIME ZONE/g, 'TIMESTAMP_LTZ$1')

// ---------------------------------------------------------------- tables of functions

function functionExamples(page: string): Example[] {
  const examples: Example[] = []
  const fences = fencesOf(page)
  const inputs = new Map(fences.flatMap(({ language, name, text }) => (language === 'json' && name !== '' ? [[name, text] as const] : [])))
  const declared = fences.map(({ language, text }) => (language === 'sql' && /^CREATE TABLE[^;]*;\n$/.test(text) ? text : '')).join('')
  let isTable = false
  let from = ''
  for (const [i, line] of page.split('\n').entries()) {
    const header = FUNCTION_HEADER.exec(line)
    if (header) {
      isTable = true
      from = header[1] === undefined ? '' : ` FROM ${header[1]}`
    } else if (!line.startsWith('|')) isTable = false
    else if (isTable && !/^\|[-| ]+$/.test(line)) {
      const [functionColumn, , example, result] = cellsOf(line)
      const results = codesOf(result ?? '')
      for (const [index, code] of codesOf(example ?? '').entries()) {
        const sql = uncoded(code)
        examples.push({
          line: i + 1,
          sql,
          expected: results[index] ?? '',
          actual: expressionText(sql, from, declared, inputs),
          functionColumn,
          place: { from: i, to: i, index },
        })
      }
    }
  }
  return examples
}

/** The expression's value as code, its type behind it where the value alone does not tell; or the error's code. */
function expressionText(expression: string, from: string, declared: string, inputs: Map<string, string>): string {
  try {
    const { rows, fields } = playQuery(from === '' ? `SELECT ${expression} AS v;` : `${declared}SELECT ${expression} AS v${from};`, inputs)
    const [{ type }] = fields as [Field]
    const text = valueText(rows[0][0], type, true)
    const told = ['INT', 'BOOLEAN', 'CHAR', 'VARCHAR', 'VARBINARY'].includes(type.kind) && text !== 'NULL'
    const mark = text.includes('`') ? '``' : '`'
    return `${mark}${text}${mark}${told ? '' : ` ${typeText(type)}`}`
  } catch (error) {
    return `error ${errorText(error).split(':')[0]}`
  }
}

// ---------------------------------------------------------------- writing results into a page

/** The page with today's results in place of the expected ones. */
export function updatedPage(path: string): string {
  const lines = readFileSync(path, 'utf8').split('\n')
  for (const { place, actual, expected } of readExamples(path).reverse()) {
    if (actual === expected) continue
    if (place.index === undefined) {
      if (place.from < place.to || lines[place.from - 1]?.startsWith('```text'))
        lines.splice(place.from, place.to - place.from, ...actual.split('\n'))
      continue
    }
    const cells = lines[place.from].replace(/^\| ?| ?\|$/g, '').split(/(?<!\\)\|/)
    const results = codesOf(cells[3] ?? '')
    results[place.index] = actual.replaceAll('|', '\\|')
    cells[3] = ` ${[...results].map((one) => one ?? '').join('<br>')}`
    lines[place.from] = `| ${cells.map((cell) => cell.trim()).join(' | ')} |`
  }
  return lines.join('\n')
}
