// What the command line prints: tables for people, JSON for programs, errors with their next step.
import { maskedSql, StreamError, type TextPosition, toStreamError } from '../base/index.ts'
import type { ApiError } from '../serve/contract.ts'
import { appErrors } from './errors.ts'

/** A longer cell is cut: one long text would make every line of a table as long. */
const CELL_LENGTH_MAX = 80

/** Text for a terminal: what would steer it is shown, not sent. */
export const plainText = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

const cell = (value: unknown): string => {
  if (value === null || value === undefined) return '—'
  const text = plainText(typeof value === 'object' ? JSON.stringify(value) : String(value))
  return text.length > CELL_LENGTH_MAX ? `${text.slice(0, CELL_LENGTH_MAX - 1)}…` : text
}

const isNumber = (value: unknown): boolean => value === null || typeof value === 'number' || typeof value === 'bigint'

/**
 * A table of text, numbers to the right.
 *
 * @param numeric  which columns hold numbers, where those are texts so that no digit is lost
 */
export function tableText(columns: readonly string[], rows: readonly (readonly unknown[])[], numeric: readonly boolean[] = []): string {
  const texts = rows.map((row) => row.map(cell))
  const widths = columns.map((name, i) => texts.reduce((width, row) => Math.max(width, row[i].length), name.length))
  const isRight = columns.map((_, i) => rows.length > 0 && (numeric[i] || rows.every((row) => isNumber(row[i]))))
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => (isRight[i] ? text.padStart(widths[i]) : text.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(columns), line(widths.map((width) => '─'.repeat(width))), ...texts.map(line)].join('\n')
}

/** The line of `text` at `position` with carets under it. */
function excerpt(text: string, { line, column, start, end }: TextPosition): string {
  const shown = maskedSql(text, true).split('\n')[line - 1]?.replaceAll('\t', ' ') ?? ''
  const carets = '^'.repeat(Math.max(1, Math.min(end - start, shown.length - column + 1)))
  return `  ${line} | ${shown}\n  ${' '.repeat(String(line).length)} | ${' '.repeat(column - 1)}${carets}\n`
}

export interface ErrorSource {
  file?: string
  /** The text that the error's position is in. */
  text?: string
}

type PlacedError = Omit<ApiError['error'], 'params'>

/** An error for a terminal: fact and code, the line that it is about, the next step. */
export function errorText(error: PlacedError, { file, text }: ErrorSource = {}): string {
  const { position } = error
  return `${placedMessage(error, file, text === undefined)} [${error.code}]\n${position && text !== undefined ? excerpt(text, position) : ''}  ${error.hint}`
}

/** `pipelines/orders.sql:3:8: what is wrong`: the place once, though some messages begin with the position themselves, and others with the file. */
export function placedMessage({ message, position }: Pick<PlacedError, 'message' | 'position'>, file?: string, isPlaced = true): string {
  const place = [file, position && `${position.line}:${position.column}`].filter(Boolean).join(':')
  const where = file || (position && isPlaced) ? `${place}: ` : ''
  return where + message.replace(/^line \d+, column \d+: /, '').replace(file ? `${file}: ` : '', '')
}

/** Why a command does not begin: a file of the project is wrong. */
export const wrongFile = ({ file, error }: { file: string; error: PlacedError }, more = ''): StreamError =>
  appErrors('PROJECT_FILE_WRONG', { file, problem: `${placedMessage(error, file)} [${error.code}]`, next: `${error.hint}${more}` })

/** A failure of the file system is the user's to mend, not a bug. */
export function failureOf(error: unknown): StreamError {
  const { syscall, path, code } = error as NodeJS.ErrnoException
  if (error instanceof StreamError || syscall === undefined || path === undefined) return toStreamError(error)
  return appErrors('FILE_UNUSABLE', { path, reason: code ?? (error as Error).message }, { cause: error })
}

/** Prints an error and sets the exit code. */
export function reportError(error: unknown, json: boolean, source?: ErrorSource, exitCode = 1): void {
  const failure = failureOf(error)
  if (json) console.log(JSON.stringify({ error: failure.toJSON() }))
  else console.error(`error: ${errorText(failure, source)}`)
  if (failure.code === 'INTERNAL' && failure.cause instanceof Error && !json) console.error(failure.cause.stack)
  process.exitCode = exitCode
}

/** `1 record`, `2 records` */
export const countText = (count: number, what: string, several = `${what}s`): string => `${count} ${count === 1 ? what : several}`

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

/** A point in event time; the end of bounded input is after all times. */
export const timeText = (ms: number | undefined): string =>
  ms === undefined ? '—' : Math.abs(ms) > 8.64e15 ? 'the end' : new Date(ms).toISOString().slice(0, -1).replace('T', ' ')

export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = Math.round(ms / 100) / 10
  if (seconds < 120) return `${seconds} s`
  const minutes = seconds / 60
  if (minutes < 120) return `${Math.round(minutes)} min`
  return minutes < 2_880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1_440)} d`
}

export const shareText = (part: number, whole: number): string => (whole === 0 ? '—' : `${((100 * part) / whole).toFixed(1)} %`)

/** How far long work is: one line on a terminal's standard error, gone when there is something to read. */
export class Progress {
  private readonly isOn: boolean
  private shownMs = 0

  constructor(isWanted: boolean) {
    this.isOn = isWanted && process.stderr.isTTY === true
  }

  show(text: string): void {
    const nowMs = performance.now()
    if (!this.isOn || nowMs - this.shownMs < 100) return
    this.shownMs = nowMs
    process.stderr.write(`\r\x1b[K${text}`)
  }

  clear(): void {
    if (this.isOn && this.shownMs > 0) process.stderr.write('\r\x1b[K')
  }
}
