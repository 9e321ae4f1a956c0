// Records as text: for answers, live frames and exports.
//
// Invariant: a JSON value is passed on as the text that was stored, once it has proved to be JSON: no numeral loses a digit.
import type { Field } from '../data/index.ts'
import { rowJson, textOf } from '../views/index.ts'
import type { Encoding } from './contract.ts'
import type { ScannedRecord } from './scan.ts'

/** `auto`: JSON where it is JSON, else text where it is text, else hexadecimal digits. */
export type Decode = 'auto' | Encoding
export type RecordWriter = (record: ScannedRecord) => string

const strict = new TextDecoder('utf-8', { fatal: true })
const loose = new TextDecoder()
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')

/** One strange character in so many is the most that text may have. */
const STRANGE_SHARE_MAX = 5

/** Undefined where the bytes are no UTF-8. */
function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}
/** Text with a few bytes that are none is still text, with a mark for each of them; undefined for what is not meant to be read. */
function mostlyText(bytes: Uint8Array): string | undefined {
  const text = loose.decode(bytes)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  const strangeCount = text.match(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffd]/g)?.length ?? 0
  return strangeCount * STRANGE_SHARE_MAX <= text.length ? text : undefined
}
/** Text, else hexadecimal digits. */
export const shownText = (bytes: Uint8Array): string => utf8Of(bytes) ?? mostlyText(bytes) ?? hexOf(bytes)
export const isText = (bytes: Uint8Array): boolean => (utf8Of(bytes) ?? mostlyText(bytes)) !== undefined
const headersJson = (headers: ScannedRecord['headers']): string =>
  JSON.stringify(Object.fromEntries(headers.map(([name, value]) => [name, value === null ? '' : shownText(value)])))

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** A value's text and what it is. Asked for as JSON or text, what is neither is shown all the same. */
function decoded(bytes: Uint8Array, decode: Decode): { encoding: Encoding; text: string } {
  if (decode === 'hex') return { encoding: 'hex', text: hexOf(bytes) }
  if (decode === 'text') return { encoding: 'text', text: loose.decode(bytes) }
  const text = utf8Of(bytes)
  if (text === undefined) return isText(bytes) ? { encoding: 'text', text: loose.decode(bytes) } : { encoding: 'hex', text: hexOf(bytes) }
  return { encoding: isJson(text) ? 'json' : 'text', text }
}

const valueJson = ({ encoding, text }: { encoding: Encoding; text: string }): string => (encoding === 'json' ? text : JSON.stringify(text))
const keyJson = (key: Uint8Array | null): string => (key === null ? 'null' : JSON.stringify(shownText(key)))

/**
 * Writes records as the JSON of a `TopicMessage`.
 *
 * @param fields  of the select list; [] without one: then the value is there, else its columns
 */
export function messageWriter(decode: Decode, fields: readonly Field[]): RecordWriter {
  const encodeRow = rowJson(fields)
  return ({ partition, offset, timestampMs, key, value, headers, row }) => {
    const shown = value && decoded(value, decode)
    const sizeBytes = (key?.length ?? 0) + (value?.length ?? 0)
    return (
      `{"partition":${partition},"offset":${offset},"timestampMs":${timestampMs},"key":${keyJson(key)},` +
      `"value":${shown ? valueJson(shown) : 'null'},"encoding":${JSON.stringify(shown?.encoding ?? null)},` +
      `"headers":${headersJson(headers)},"sizeBytes":${sizeBytes}${fields.length > 0 ? `,"row":${encodeRow(row)}` : ''}}`
    )
  }
}

/** RFC 4180; NULL is an empty field, an empty text is `""`. */
export const csvField = (text: string | null): string =>
  text === null ? '' : text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
const csvLine = (cells: readonly (string | null)[]): string => `${cells.map(csvField).join(',')}\r\n`
const csvNames = ['partition', 'offset', 'timestamp', 'key', 'value', 'headers']

/** What an export begins with, and its records: whole ones, or what the select list gives. */
export function exportWriter(
  format: 'ndjson' | 'csv',
  decode: Decode,
  fields: readonly Field[],
): { head: string; type: string; write: RecordWriter } {
  const names = fields.map(({ name }) => name)
  if (format === 'csv') {
    const texts = fields.map(({ type }) => textOf(type))
    const write: RecordWriter =
      fields.length > 0
        ? ({ row }) => csvLine(row.map((value, i) => (value === null ? null : texts[i](value))))
        : ({ partition, offset, timestampMs, key, value, headers }) =>
            csvLine([
              String(partition),
              String(offset),
              timeText(timestampMs),
              key && shownText(key),
              value && decoded(value, decode).text,
              headersJson(headers),
            ])
    return { head: csvLine(fields.length > 0 ? names : csvNames), type: 'text/csv; charset=utf-8', write }
  }
  const whole = messageWriter(decode, [])
  const labels = names.map((name) => `${JSON.stringify(name)}:`)
  const values = fields.map((field) => rowJson([field]))
  const write: RecordWriter =
    fields.length > 0
      ? ({ row }) => `{${row.map((value, i) => labels[i] + values[i]([value]).slice(1, -1)).join(',')}}\n`
      : (record) => `${whole(record)}\n`
  return { head: '', type: 'application/x-ndjson', write }
}

/** ISO 8601; the number itself where no calendar has it. */
const timeText = (ms: number): string => (Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms))
