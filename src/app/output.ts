// What the command line prints: tables for people, JSON for programs, errors with their next step.
import { type StreamError, toStreamError } from '../base/index.ts'

const cell = (value: unknown): string => {
  if (value === null || value === undefined) return '—'
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

/** A table of text, numbers to the right. */
export function tableText(columns: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const texts = rows.map((row) => row.map(cell))
  const widths = columns.map((name, i) => Math.max(name.length, ...texts.map((row) => row[i].length)))
  const isRight = columns.map(
    (_, i) => rows.length > 0 && rows.every((row) => row[i] === null || typeof row[i] === 'number' || typeof row[i] === 'bigint'),
  )
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => (isRight[i] ? text.padStart(widths[i]) : text.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(columns), line(widths.map((width) => '─'.repeat(width))), ...texts.map(line)].join('\n')
}

export function errorText(error: StreamError, file?: string): string {
  const { position } = error
  const where = position ? `${file ?? 'line'}${file ? ':' : ' '}${position.line}:${position.column}: ` : file ? `${file}: ` : ''
  return `${where}${error.message} [${error.code}]\n  ${error.hint}`
}

/** Prints an error and sets the exit code. */
export function reportError(error: unknown, json: boolean): void {
  const failure = toStreamError(error)
  if (json) console.log(JSON.stringify({ error: failure.toJSON() }))
  else console.error(`error: ${errorText(failure)}`)
  if (failure.code === 'INTERNAL' && failure.cause instanceof Error && !json) console.error(failure.cause.stack)
  process.exitCode = 1
}

export const byteText = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}
