// Text functions. Lengths and positions count code points unless Flink counts UTF-16 units (LPAD, RPAD, OVERLAY).
//
// @source golden cases functions/*; Flink's BinaryStringDataUtil and SqlFunctionUtils
import { inJavaOrder, isIntegerKind, isNumericKind } from '../../data/index.ts'
import { utf8Of } from './bytes.ts'
import { expressionErrors } from './errors.ts'
import { parseDouble } from './numbers.ts'
import { javaPattern } from './patterns.ts'
import { printf } from './printf.ts'
import type { CallContext, FunctionTable, RowFunction } from './registry.ts'
import { called, madeFrom, plain, plainMaybe, strict } from './registry.ts'

/** What one function may make out of little: beyond it a row fails instead of the process. */
const TEXT_LENGTH_MAX = 64 * 1024 * 1024

function checkLength(fn: string, length: number): void {
  if (length > TEXT_LENGTH_MAX)
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn, reason: `the result would have ${length} characters` })
}

const surrogates = /[\ud800-\udfff]/
/** True where each UTF-16 unit is a code point, which is nearly always. */
const isSimple = (text: string): boolean => !surrogates.test(text)

export function codePointCount(text: string): number {
  if (isSimple(text)) return text.length
  let count = 0
  for (const _ of text) count++
  return count
}
/** The first code points of a text. */
export function cutCodePoints(text: string, countMax: number): string {
  if (text.length <= countMax) return text
  return isSimple(text) ? text.slice(0, countMax) : [...text].slice(0, countMax).join('')
}
/** As Flink writes what is left of a character that was cut in two. */
export const withoutHalves = (text: string): string => (text.isWellFormed() ? text : text.replace(/\p{Surrogate}/gu, '?'))

function slicePoints(text: string, start: number, end: number): string {
  return isSimple(text) ? text.slice(start, end) : [...text].slice(start, end).join('')
}

/** Position from 1; 0 is like 1, negative counts from the end. */
function substring(text: string, position: number, length = Number.MAX_SAFE_INTEGER): string | null {
  if (length < 0) return null
  const count = codePointCount(text)
  const start = position > 0 ? position - 1 : position < 0 ? count + position : 0
  if (start < 0 || start >= count || length === 0) return ''
  return slicePoints(text, start, start + length)
}

/** Position of a text from 1, in code points; 0 where it does not occur. `from` counts from 1. */
function position(search: string, text: string, from = 1): number {
  if (search === '') return 1
  const startUnit = from <= 1 ? 0 : slicePoints(text, 0, from - 1).length
  const at = text.indexOf(search, startUnit)
  return at < 0 ? 0 : (isSimple(text) ? at : codePointCount(text.slice(0, at))) + 1
}

/** INSTR: a negative start searches backwards from the end; `nth` occurrence. */
function instr(text: string, search: string, start = 1, nth = 1): number {
  if (nth < 1) throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'INSTR', reason: 'the occurrence must be 1 or more' })
  if (start === 0) return 0
  if (start > 0) {
    let at = start - 1
    for (let i = 0; i < nth; i++) {
      at = position(search, text, at + 1)
      if (at === 0) return 0
    }
    return at
  }
  let end = text.length + start
  for (let i = 0; i < nth; i++) {
    if (end < 0) return 0
    const at = text.lastIndexOf(search, end)
    if (at < 0) return 0
    if (i === nth - 1) return codePointCount(text.slice(0, at)) + 1
    end = at - 1
  }
  return 0
}

/** Only ASCII letters and digits make words: each begins with a capital, the rest is lower case. */
function initcap(text: string): string {
  return text.replace(/[0-9A-Za-z]+/g, (word) => word[0].toUpperCase() + word.slice(1).toLowerCase())
}

const trimSides = { BOTH: [true, true], LEADING: [true, false], TRAILING: [false, true] } as const

/** Takes away all of these characters at the ends. */
function trim(text: string, characters: string, leading: boolean, trailing: boolean): string {
  const set = characters === ' ' ? undefined : new Set(characters)
  const isTrimmed = set ? (unit: string) => set.has(unit) : (unit: string) => unit === ' '
  if (set && !(isSimple(text) && isSimple(characters))) {
    const points = [...text]
    let [start, end] = [0, points.length]
    while (leading && start < end && isTrimmed(points[start])) start++
    while (trailing && end > start && isTrimmed(points[end - 1])) end--
    return points.slice(start, end).join('')
  }
  let [start, end] = [0, text.length]
  while (leading && start < end && isTrimmed(text[start])) start++
  while (trailing && end > start && isTrimmed(text[end - 1])) end--
  return text.slice(start, end)
}

function overlay(text: string, replacement: string, start: number, length = replacement.length): string {
  if (start <= 0 || start > text.length) return text
  // With a length below 1 Flink drops the rest.
  return withoutHalves(text.slice(0, start - 1) + replacement + (length > 0 ? text.slice(start - 1 + length) : ''))
}

function translate(text: string | null, from: string | null, to: string | null): string | null {
  if (text === null || from === null) return text
  const targets = [...(to ?? '')]
  const map = new Map<string, string>()
  for (const [index, point] of [...from].entries()) if (!map.has(point)) map.set(point, targets[index] ?? '')
  let result = ''
  for (const point of text) result += map.get(point) ?? point
  return result
}

/** Null for a negative length and for nothing to fill with. */
function pad(fn: 'LPAD' | 'RPAD', text: string, length: number, filler: string): string | null {
  if (length < 0 || filler === '') return null
  checkLength(fn, length)
  if (text.length >= length) return withoutHalves(text.slice(0, length))
  return withoutHalves(fn === 'LPAD' ? text.padStart(length, filler) : text.padEnd(length, filler))
}

function repeat(text: string, count: number): string {
  if (count <= 0) return ''
  checkLength('REPEAT', text.length * count)
  return text.repeat(count)
}

/** The first UTF-8 byte, signed; 0 for no text. */
function ascii(text: string): number {
  if (text === '') return 0
  const first = text.charCodeAt(0)
  return first < 128 ? first : (utf8Of(String.fromCodePoint(text.codePointAt(0)!))[0] << 24) >> 24
}

const chr = (code: bigint): string => (code < 0n ? '' : String.fromCharCode(Number(code & 255n)))

function splitIndex(text: string, separator: string | number, index: number): string | null {
  if (index < 0 || text === '' || separator === 0) return null
  const by = typeof separator === 'number' ? String.fromCharCode(separator) : separator
  if (by === '') return text.split(/\s/)[index] ?? null
  let start = 0
  for (let skipped = 0; skipped < index; skipped++) {
    const at = text.indexOf(by, start)
    if (at < 0) return null
    start = at + by.length
  }
  const end = text.indexOf(by, start)
  return text.slice(start, end < 0 ? undefined : end)
}

function split(text: string, separator: string): string[] {
  if (text === '') return []
  return separator === '' ? [...text] : text.split(separator)
}

/** Java drops empty pieces at the end. */
function javaSplit(text: string, by: RegExp): string[] {
  const parts = text.split(by)
  while (parts.length > 0 && parts[parts.length - 1] === '') parts.pop()
  return parts
}
const delimiter = (text: string): RegExp => javaPattern(text) ?? new RegExp(text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'), 'g')

function strToMap(text: string, entries: RegExp, keys: RegExp): Map<string, string | null> {
  const map = new Map<string, string | null>()
  if (text === '') return map
  const parts = javaSplit(text, entries)
  for (const entry of parts) {
    keys.lastIndex = 0
    let match = keys.exec(entry)
    // As for Java's split: nothing at the beginning is no delimiter.
    if (match?.index === 0 && match[0] === '') {
      keys.lastIndex = 1
      match = keys.exec(entry)
    }
    if (match === null) map.set(entry, null)
    else map.set(entry.slice(0, match.index), entry.slice(match.index + match[0].length))
  }
  return inJavaOrder(map, parts.length)
}

const startsWith = (value: string | Uint8Array, start: string | Uint8Array): boolean =>
  typeof value === 'string' ? value.startsWith(start as string) : Buffer.compare(value.subarray(0, start.length), start as Uint8Array) === 0
const endsWith = (value: string | Uint8Array, end: string | Uint8Array): boolean =>
  typeof value === 'string'
    ? value.endsWith(end as string)
    : value.length >= end.length && Buffer.compare(value.subarray(value.length - end.length), end as Uint8Array) === 0

function concat({ argTypes }: CallContext): RowFunction {
  if (argTypes[0].kind === 'BINARY' || argTypes[0].kind === 'VARBINARY')
    return (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
  return argTypes.length === 2 ? (a: string, b: string) => a + b : (...parts: string[]) => parts.join('')
}
const concatWs = (separator: string | null, ...parts: (string | null)[]): string | null =>
  separator === null ? null : parts.filter((part) => part !== null).join(separator)

export const textFunctions: FunctionTable = {
  UPPER: plain((text: string) => text.toUpperCase()),
  LOWER: plain((text: string) => text.toLowerCase()),
  INITCAP: plain(initcap),
  CHAR_LENGTH: plain(codePointCount),
  CONCAT: strict(concat),
  CONCAT_WS: called(() => concatWs),
  TRIM: strict(({ options }) => {
    const [leading, trailing] = trimSides[options.trim as 'BOTH']
    return (a: string, b?: string) => (b === undefined ? trim(a, ' ', leading, trailing) : trim(b, a, leading, trailing))
  }),
  LTRIM: plain((text: string, characters = ' ') => trim(text, characters, true, false)),
  RTRIM: plain((text: string, characters = ' ') => trim(text, characters, false, true)),
  BTRIM: plain((text: string, characters = ' ') => trim(text, characters, true, true)),
  SUBSTRING: plainMaybe(substring),
  LEFT: plain((text: string, count: number) => (count <= 0 ? '' : cutCodePoints(text, count))),
  RIGHT: plain((text: string, count: number) => (count <= 0 ? '' : slicePoints(text, Math.max(0, codePointCount(text) - count), codePointCount(text)))), // biome-ignore format: one thought
  POSITION: plain(position),
  LOCATE: plain(position),
  INSTR: plain(instr),
  OVERLAY: plain(overlay),
  REPLACE: plain((text: string, search: string, replacement: string) =>
    // An empty text stands between all characters, not between the halves of one.
    text.replaceAll((search || /(?:)/gu) as string, replacement.includes('$') ? () => replacement : (replacement as never)),
  ),
  TRANSLATE: called(() => translate),
  REPEAT: plain(repeat),
  REVERSE: plain((text: string) => [...text].reverse().join('')),
  LPAD: plainMaybe((text: string, length: number, filler: string) => pad('LPAD', text, length, filler)),
  RPAD: plainMaybe((text: string, length: number, filler: string) => pad('RPAD', text, length, filler)),
  ASCII: plain(ascii),
  CHR: plain(chr),
  PRINTF: called(printf),
  SPLIT_INDEX: plainMaybe(splitIndex),
  SPLIT: plain(split),
  STR_TO_MAP: strict(({ literals }) => {
    const entries = madeFrom(literals[1], delimiter)
    const keys = madeFrom(literals[2], delimiter)
    return (text: string, entryDelimiter = ',', keyDelimiter = '=') => strToMap(text, entries(entryDelimiter), keys(keyDelimiter))
  }),
  STARTSWITH: plain(startsWith),
  ENDSWITH: plain(endsWith),
  // A NULL counts only where it is the one that is asked for.
  ELT: called(
    () =>
      (index: bigint | null, ...parts) =>
        index !== null && index >= 1n && index <= parts.length ? parts[Number(index) - 1] : null,
  ),
  IS_ALPHA: called(() => (value) => typeof value === 'string' && /^\p{L}+$/u.test(value)),
  // Of a number they look at the type alone: a negative INT, and NULL, is "only digits".
  IS_DIGIT: called(({ argTypes: [type] }) =>
    isNumericKind(type.kind) ? () => isIntegerKind(type.kind) : (text) => text !== null && /^\p{Nd}+$/u.test(text),
  ),
  IS_DECIMAL: called(({ argTypes: [type] }) =>
    isNumericKind(type.kind) ? () => type.kind !== 'DECIMAL' : (text) => text !== null && parseDouble(text) !== undefined,
  ),
}
