// The process's log on standard error: JSON lines for who collects them; on a terminal, lines for people.
import type { DestinationStream } from 'pino'
import { pino } from 'pino'
import type { ErrorBody } from '../base/index.ts'
import { plainText } from './output.ts'

interface LogLine {
  level: number
  time: number
  msg?: string
  error?: Partial<ErrorBody>
  /** Of what is ours to mend. */
  err?: { stack?: string }
  /** Of an audit line: what was done, by whom. */
  audit?: string
  by?: string | { name: string; id: string }
}
/** What pino adds to each line, and what is in it in words. */
const SHOWN = ['level', 'time', 'pid', 'hostname', 'msg', 'error', 'audit', 'by', 'request']
const levels: readonly [level: number, word: string][] = [
  [50, 'error'],
  [40, 'warning'],
]

/** `07:25:27 error: query totals failed: … [CODE]`, and the next step below it. */
export function readableLine(text: string): string {
  const line = JSON.parse(text) as LogLine
  const { level, time, msg, error, err, audit, by } = line
  const at = new Date(time).toISOString().slice(11, 19)
  if (audit !== undefined) {
    const who = typeof by === 'string' ? by : by?.name || by?.id
    const details = Object.entries(line).flatMap(([key, value]) =>
      SHOWN.includes(key) ? [] : [`${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`],
    )
    return plainText(`${at} audit: ${audit} by ${who}: ${details.join(', ')}`)
  }
  const word = levels.find(([min]) => level >= min)?.[1] ?? 'note'
  const code = error?.code === undefined ? '' : ` [${error.code}]`
  const next = error?.hint ? `\n  ${plainText(error.hint)}` : ''
  const stack = (err?.stack ?? '')
    .split('\n')
    .filter(Boolean)
    .map((part) => `\n  ${plainText(part)}`)
    .join('')
  return `${plainText(`${at} ${word}: ${msg ?? error?.message ?? ''}${code}`)}${next}${stack}`
}

/** @param isJson  also where somebody reads it as it comes, on a terminal */
export const logStream = (isJson: boolean): DestinationStream =>
  process.stderr.isTTY && !isJson ? { write: (line) => void process.stderr.write(`${readableLine(line)}\n`) } : pino.destination(2)
