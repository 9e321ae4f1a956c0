// Compares what a golden file expects with what came, exactly as its README says.
import { formatType, isApproximateKind, isIntegerKind, type SqlType } from '../../data/index.ts'
import { formatValue, parseValue } from '../expressions/index.ts'
import type { GoldenFile } from './file.ts'
import { type PlayMode, type PlayResult, rowText } from './play.ts'

/** JSON whose integers beyond 2^53 are bigints: a planted ± 1 must differ. */
export function parseExactJson(text: string): unknown {
  type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown
  const exact: Reviver = (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source) && !Number.isSafeInteger(value) ? BigInt(source) : value
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown)
}

const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'

function sameValue(expected: unknown, actual: unknown, type: SqlType): boolean {
  if (expected === null || actual === null) return expected === actual
  if (isApproximateKind(type.kind) && isNumber(expected) && isNumber(actual)) {
    const [a, b] = [Number(expected), Number(actual)]
    const tolerance = type.kind === 'FLOAT' ? 1e-6 : 1e-9
    return a === b || Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b))
  }
  if (isIntegerKind(type.kind)) return isNumber(expected) && isNumber(actual) && BigInt(expected) === BigInt(actual)
  if (type.kind === 'ARRAY' && Array.isArray(expected) && Array.isArray(actual))
    return expected.length === actual.length && expected.every((item, i) => sameValue(item, actual[i], type.element))
  if (type.kind === 'ROW' && Array.isArray(expected) && Array.isArray(actual))
    return expected.length === actual.length && expected.every((item, i) => sameValue(item, actual[i], type.fields[i].type))
  if (type.kind === 'MAP' && typeof expected === 'object' && typeof actual === 'object') {
    const [a, b] = [expected as Record<string, unknown>, actual as Record<string, unknown>]
    return (
      Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((key) => key in b && sameValue(a[key], b[key], type.value))
    )
  }
  if (type.kind === 'MULTISET') {
    const [a, b] = [expected as Record<string, unknown>, actual as Record<string, unknown>]
    return Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((key) => Number(a[key]) === Number(b[key]))
  }
  return expected === actual
}

/** A value as an input may write it, as results have it: 100 of a DECIMAL(10, 2) is "100.00", a time without milliseconds has them. */
const inputValue = (value: unknown, type: SqlType): unknown => formatValue(parseValue(value, type), type)

const sameRow = (expected: unknown[], actual: unknown[], types: SqlType[]): boolean =>
  expected.length === actual.length && types.every((type, i) => sameValue(expected[i], actual[i], type))

/** Rows as multisets: what is missing, and what is too much. */
export function differingRows(expected: unknown[][], actual: unknown[][], types: SqlType[]): { missing: unknown[][]; extra: unknown[][] } {
  const extra = [...actual]
  const missing = expected.filter((row) => {
    const at = extra.findIndex((other) => sameRow(row, other, types))
    if (at >= 0) extra.splice(at, 1)
    return at < 0
  })
  return { missing, extra }
}

export interface Differences {
  /** What differs, a line each; empty if all is as expected. */
  lines: string[]
  /** Of the rows expected and of those that came, the ones without a like on the other side. */
  rows: { columns: string[]; missing: unknown[][]; extra: unknown[][] }
}

/** Golden files have no backquotes, and Flink's planner knows only TIME(0), whose values may have milliseconds. */
const comparableColumns = (columns: string): string => columns.replaceAll('`', '').replace(/\bTIME\(\d\)/g, 'TIME(0)')

export function differences(file: GoldenFile, result: PlayResult, mode: PlayMode): Differences {
  const lines: string[] = []
  if (file.columns !== undefined && comparableColumns(file.columns) !== comparableColumns(result.columns))
    lines.push(`columns expected: ${file.columns}`, `columns:          ${result.columns}`)
  if (file.changelog === 'append-only' && !result.appendOnly) lines.push('expected only inserts, but an update or delete was emitted')
  const types = result.fields.map((field) => field.type)
  const expected = file.rows.map(({ text }) => parseExactJson(text) as unknown[])
  const { missing, extra } = differingRows(expected, result.rows, types)
  for (const row of missing) lines.push(`- ${rowText(row)}`)
  for (const row of extra) lines.push(`+ ${rowText(row)}`)
  if (file.late) {
    const late = file.late.map((text) => {
      const row = parseExactJson(text) as Record<string, unknown>
      return result.lateFields.map(({ name, type }) => inputValue(row[name] ?? null, type))
    })
    const lateDifference = differingRows(
      late,
      result.late,
      result.lateFields.map((field) => field.type),
    )
    for (const row of lateDifference.missing) lines.push(`late - ${rowText(row)}`)
    for (const row of lateDifference.extra) lines.push(`late + ${rowText(row)}`)
  }
  if (file.changes && mode.kind === 'as-written') {
    const changes = result.changes.map(({ kind, row }) => `${kind}${rowText(row)}`)
    const at = file.changes.findIndex((line, i) => line !== changes[i])
    if (at >= 0 || changes.length !== file.changes.length)
      lines.push(`changelog differs at line ${(at < 0 ? file.changes.length : at) + 1}`, ...changes.map((line) => `  ${line}`))
  }
  return { lines, rows: { columns: result.fields.map(({ name }) => name), missing, extra } }
}

/** The file's text with what came as its expectation, for `--update`: also late rows and changes, where the file has such sections. */
export function withResult(file: GoldenFile, text: string, result: PlayResult): string {
  const header = /^--- expect.*$/m.exec(text)!
  const columns = result.fields.map((field) => `${field.name} ${formatType(field.type)}`).join(', ')
  const lines = [
    file.expectError ? '--- expect' : header[0],
    `-- columns: ${columns}`,
    `-- changelog: ${result.appendOnly ? 'append-only' : 'updating'}`,
    ...result.rows.map(rowText).sort(),
  ]
  if (file.late)
    lines.push(
      '--- late',
      ...result.late.map((row) => rowText(Object.fromEntries(row.map((value, i) => [result.lateFields[i].name, value])))),
    )
  if (file.changes) lines.push('--- changelog', ...result.changes.map(({ kind, row }) => `${kind}${rowText(row)}`))
  return `${text.slice(0, header.index)}${lines.join('\n')}\n`
}
