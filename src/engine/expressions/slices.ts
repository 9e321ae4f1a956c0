// Text functions on the bytes of a column: parts of a text that stay where they are, comparisons without regard to case, and texts
// that a regular expression cannot match. None of them makes a string.
//
// Invariant: each gives what the function on strings gives; where bytes do not decide (letters beyond ASCII), it is asked.
import { isTextKind, readUtf8 } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import { containsBytes, indexOfBytes, type Needle, needleOf, utf8Of } from './bytes.ts'
import type { Value } from './codegen.ts'
import type { EmitContext } from './emit.ts'
import { emit } from './emit.ts'
import { codePointCount } from './text.ts'

type Call = Extract<Expr, { kind: 'call' }>

/** Where the last part that was found begins and ends. */
const found = new Int32Array(2)

const literalOf = (expr: Expr | undefined): unknown => (expr?.kind === 'literal' ? expr.value : undefined)
/** A text that stands for itself in bytes: U+FFFD may be what damaged bytes are read as. */
const isPlainText = (value: unknown): value is string => typeof value === 'string' && !value.includes('\ufffd')

/**
 * Finds a piece of a text that ends at `end`, cut at `separator`; false where there is none.
 *
 * @param start  where some piece begins; beyond `end` where there is none
 * @param skips  how many pieces after that one it is
 */
function findPiece(bytes: Uint8Array, start: number, end: number, separator: Needle, skips: number): boolean {
  if (start > end) return false
  let from = start
  for (let skipped = 0; skipped < skips; skipped++) {
    const at = indexOfBytes(bytes, from, end, separator)
    if (at < 0) return false
    from = at + separator.bytes.length
  }
  const to = indexOfBytes(bytes, from, end, separator)
  found[0] = from
  found[1] = to < 0 ? end : to
  return true
}

/** SPLIT_INDEX of a column by a literal: a part of the column's bytes; undefined where it is not of that form. */
export function emitSplitIndex(expr: Call, context: EmitContext): Value | undefined {
  const [operand, separatorArg, indexArg] = expr.args
  const separator = literalOf(separatorArg)
  const index = literalOf(indexArg)
  if (operand.kind !== 'column' || !isPlainText(separator) || separator === '' || typeof index !== 'number' || index < 0) return undefined
  const { builder } = context
  const value = emit(operand, context)
  if (value.utf8 === undefined) return undefined
  const i = value.utf8
  const needle = builder.constant(needleOf(separator))
  // The next piece of the same text is looked for from where the last one ended.
  const next = builder.perRow(`split${i}_${needle}`, (name) => `let ${name}_n = 0, ${name}_s = s${i}[row]`)
  const find = `${builder.import(findPiece)}(b${i}, ${next}_s, e${i}[row], ${needle}, ${builder.constant(index)} - ${next}_n)`
  const [start, end, isNull] = [builder.fresh(), builder.fresh(), builder.fresh('n')]
  const place = builder.constant(found)
  const isText = `${value.isNull === 'false' ? '' : `!${value.isNull} && `}s${i}[row] < e${i}[row]`
  builder.line(`let ${start} = 0, ${end} = 0, ${isNull} = true
if (${next}_n > ${builder.constant(index)}) { ${next}_n = 0; ${next}_s = s${i}[row] }
if (${isText} && ${find}) {
${start} = ${place}[0]; ${end} = ${place}[1]; ${isNull} = false
${next}_n = ${builder.constant(index + 1)}; ${next}_s = ${end} + ${builder.constant(utf8Of(separator).length)}
}`)
  const code = `${builder.import(readUtf8)}(b${i}, ${start}, ${end})`
  return { code, isNull, safe: true, rep: 'any', slice: { column: i, start, end } }
}

/** Whether the text equals `literal` once its letters are made small (or capital, with `to` 'UPPER'). */
function equalFolded(bytes: Uint8Array, start: number, end: number, literal: Uint8Array, text: string, first: number, to: string): boolean {
  const isSame = end - start === literal.length
  let same = isSame
  for (let i = start, at = 0; i < end; i++, at++) {
    const byte = bytes[i]
    if (byte > 127) {
      const whole = readUtf8(bytes, start, end)
      return (to === 'LOWER' ? whole.toLowerCase() : whole.toUpperCase()) === text
    }
    // `first` is A or a: letters from there on are turned into the other case.
    if (isSame && (byte >= first && byte < first + 26 ? byte ^ 32 : byte) !== literal[at]) same = false
  }
  return same
}

/** LOWER(column) = literal, and UPPER: code that is true where they are equal; undefined where it is not of that form. */
export function emitFoldedEqual(operand: Expr, literal: unknown, context: EmitContext): Value | undefined {
  if (operand.kind !== 'call' || (operand.fn !== 'LOWER' && operand.fn !== 'UPPER') || !isPlainText(literal)) return undefined
  const [column] = operand.args
  if (column.kind !== 'column') return undefined
  const { builder } = context
  const value = emit(column, context)
  if (value.utf8 === undefined) return undefined
  const i = value.utf8
  const args = [
    builder.constant(utf8Of(literal)),
    builder.constant(literal),
    operand.fn === 'LOWER' ? 65 : 97,
    builder.constant(operand.fn),
  ]
  const code = `${builder.import(equalFolded)}(b${i}, s${i}[row], e${i}[row], ${args.join(', ')})`
  return { code, isNull: value.isNull, safe: true, rep: 'boolean' }
}

const NOT_ASCII = 0x80808080
/** Words of which each byte may be counted up by one before it overflows. */
const COUNTED_WORDS_MAX = 255

/** Whether all bytes are below 128, four at a time. */
function isAscii(view: DataView, start: number, end: number): boolean {
  let seen = 0
  let at = start
  for (; at + 4 <= end; at += 4) seen |= view.getInt32(at)
  for (; at < end; at++) seen |= view.getUint8(at)
  return (seen & NOT_ASCII) === 0
}

/** How often a byte below 128 is there, four at a time; -1 where a byte is not ASCII. */
function countOf(view: DataView, start: number, end: number, byte: number): number {
  const pattern = Math.imul(byte, 0x01010101)
  let seen = 0
  let count = 0
  let at = start
  while (at + 4 <= end) {
    const first = at
    const stop = Math.min(end - 3, at + 4 * COUNTED_WORDS_MAX)
    let others = 0
    for (; at < stop; at += 4) {
      const word = view.getInt32(at)
      seen |= word
      // Of bytes below 128, those that differ get their highest bit.
      others = (others + ((((word ^ pattern) + 0x7f7f7f7f) >>> 7) & 0x01010101)) | 0
    }
    count += at - first - (others & 255) - ((others >>> 8) & 255) - ((others >>> 16) & 255) - (others >>> 24)
  }
  for (; at < end; at++) {
    const one = view.getUint8(at)
    seen |= one
    if (one === byte) count++
  }
  return (seen & NOT_ASCII) === 0 ? count : -1
}

/** Code points of a text. */
function lengthOf(bytes: Uint8Array, view: DataView, start: number, end: number): number {
  return isAscii(view, start, end) ? end - start : codePointCount(readUtf8(bytes, start, end))
}

/** Code points of a text in which each `needle` is replaced by a text that has `growth` more of them. */
function lengthReplaced(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  needle: Needle,
  search: string,
  growth: number,
): number {
  const [first] = needle.bytes
  if (needle.bytes.length === 1) {
    const count = countOf(view, start, end, first)
    if (count >= 0) return end - start + growth * count
  } else if (isAscii(view, start, end)) {
    let length = end - start
    for (let at = indexOfBytes(bytes, start, end, needle); at >= 0; at = indexOfBytes(bytes, at + needle.bytes.length, end, needle))
      length += growth
    return length
  }
  const text = readUtf8(bytes, start, end)
  return codePointCount(text) + growth * (text.split(search).length - 1)
}

/** CHAR_LENGTH of a column, or of REPLACE of a column with literals: a number from bytes; undefined where it is not of that form. */
export function emitCharLength(expr: Call, context: EmitContext): Value | undefined {
  const { builder } = context
  const [operand] = expr.args
  const [column, search, replacement] = operand.kind === 'call' && operand.fn === 'REPLACE' ? operand.args : [operand]
  if (column.kind !== 'column' || !isTextKind(column.type.kind)) return undefined
  const value = emit(column, context)
  if (value.utf8 === undefined) return undefined
  const place = `b${value.utf8}, ${builder.bytesView(value.utf8)}, s${value.utf8}[row], e${value.utf8}[row]`
  const number = (code: string): Value => ({ code, isNull: value.isNull, safe: true, rep: 'number' })
  if (search === undefined) return number(`${builder.import(lengthOf)}(${place})`)
  const [from, to] = [literalOf(search), literalOf(replacement)]
  // An empty text is found between all characters; a lone surrogate is a part of others.
  if (!isPlainText(from) || from === '' || !from.isWellFormed() || typeof to !== 'string' || !to.isWellFormed()) return undefined
  const args = [needleOf(from), from, codePointCount(to) - codePointCount(from)].map((arg) => builder.constant(arg))
  return number(`${builder.import(lengthReplaced)}(${place}, ${args.join(', ')})`)
}

/** Shorter ones are in too many texts to be worth looking for. */
const REQUIRED_LENGTH_MIN = 4

/**
 * A text that is in every match of a pattern: a run of letters, digits, _ and = outside of all groups, classes and alternatives, with no
 * quantifier behind it. Undefined where none is sure.
 */
export function requiredText(pattern: string): string | undefined {
  if (/^\(\?|\\/.test(pattern)) return undefined
  // Groups and classes, from the innermost out, give way to a character that is not part of a run.
  let rest = pattern.replace(/\[\^?\]?[^\]]*\]/g, '.').replace(/\{[^}]*\}/g, '*')
  for (let before = ''; before !== rest; ) {
    before = rest
    rest = rest.replace(/\([^()]*\)/g, '.')
  }
  if (/[|()[\]]/.test(rest)) return undefined
  const runs = [...rest.matchAll(/([\w=]+)([*?{+]?)/g)].map(([, run, quantifier]) => (quantifier === '' ? run : run.slice(0, -1)))
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '')
  return longest.length >= REQUIRED_LENGTH_MIN ? longest : undefined
}

/** Code that is false where a column's text surely does not match a literal pattern; undefined where nothing is known before. */
export function emitMayMatch(operand: Expr, pattern: unknown, context: EmitContext): string | undefined {
  if (operand.kind !== 'column' || typeof pattern !== 'string') return undefined
  const required = requiredText(pattern)
  if (required === undefined) return undefined
  const { builder } = context
  const value = emit(operand, context)
  if (value.utf8 === undefined) return undefined
  const i = value.utf8
  return `${builder.import(containsBytes)}(b${i}, s${i}[row], e${i}[row], ${builder.constant(needleOf(required))})`
}
