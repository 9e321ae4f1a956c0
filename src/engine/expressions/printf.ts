// PRINTF: Java's format strings, for the types that SQL has.
//
// %[number$][flags][width][.digits]conversion; flags are - # + blank 0 , (
// @source java.util.Formatter, as Flink's PRINTF calls it: NULL for a format that is wrong or does not fit the arguments
import type { SqlType } from '../../data/index.ts'
import { isApproximateKind, isIntegerKind } from '../../data/index.ts'
import { textOf } from './casts.ts'
import { type CallContext, madeFrom, type RowFunction } from './registry.ts'

/** No text of a format is made longer than this by a width or by digits. */
const WIDTH_MAX = 1_000_000
const INTEGER_BITS: Record<string, bigint> = { TINYINT: 8n, SMALLINT: 16n, INT: 32n, BIGINT: 64n }

interface Item {
  /** Text as it is, where there is no conversion. */
  text: string
  conversion?: string
  flags: string
  width: number
  digits?: number
  /** Ordinal of the argument. */
  argument: number
}

const itemPattern = /%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])|%/g

/** Undefined for a format that is wrong. */
function itemsOf(format: string): Item[] | undefined {
  const items: Item[] = []
  let end = 0
  let next = 0
  const addText = (text: string) => items.push({ text, flags: '', width: 0, argument: -1 })
  for (const match of format.matchAll(itemPattern)) {
    const [whole, number, flags = '', width, digits, conversion] = match
    if (conversion === undefined || !'sSdoxXeEfgGbBcC%n'.includes(conversion)) return undefined
    addText(format.slice(end, match.index))
    end = match.index + whole.length
    if (
      (digits !== undefined && 'doxXcCn%'.includes(conversion)) ||
      Number(width ?? 0) > WIDTH_MAX ||
      Number(digits ?? 0) > WIDTH_MAX ||
      (/[-0]/.test(flags) && width === undefined) ||
      /-.*0|0.*-/.test(flags)
    )
      return undefined
    if (conversion === 'n') addText('\n')
    else if (conversion === '%') items.push({ text: '%', flags, width: Number(width ?? 0), argument: -1 })
    else {
      const argument = number === undefined ? next++ : Number(number) - 1
      items.push({
        text: '',
        conversion,
        flags,
        width: Number(width ?? 0),
        ...(digits !== undefined && { digits: Number(digits) }),
        argument,
      })
    }
  }
  addText(format.slice(end))
  return items
}

const grouped = (whole: string): string => whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',')

/** Sign, groups and zeros of a number that is written without its sign. */
function signed(isNegative: boolean, digits: string, { flags, width }: Item): string {
  const [whole, ...rest] = digits.split('.')
  let text = [flags.includes(',') ? grouped(whole) : whole, ...rest].join('.')
  const [front, back] = isNegative
    ? flags.includes('(')
      ? ['(', ')']
      : ['-', '']
    : [flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '', '']
  if (flags.includes('0')) text = text.padStart(width - front.length - back.length, '0')
  return front + text + back
}

function wholeNumber(value: number | bigint, type: SqlType, item: Item): string {
  const number = BigInt(value)
  if (item.conversion === 'd') return signed(number < 0n, String(number < 0n ? -number : number), item)
  const unsigned = BigInt.asUintN(Number(INTEGER_BITS[type.kind]), number)
  const [radix, prefix] = item.conversion === 'o' ? [8, '0'] : [16, '0x']
  const text = (item.flags.includes('#') ? prefix : '') + unsigned.toString(radix)
  return item.flags.includes('0') ? text.padStart(item.width, '0') : text
}

/** The digits of a number's exact text, rounded half up. */
function fixed(exact: string, digits: number): string {
  const [whole, fraction = ''] = exact.split('.')
  const kept = BigInt(whole + fraction.padEnd(digits, '0').slice(0, digits))
  const all = String(fraction.length > digits && fraction[digits] >= '5' ? kept + 1n : kept).padStart(digits + 1, '0')
  return digits === 0 ? all : `${all.slice(0, -digits)}.${all.slice(-digits)}`
}

/** A double's shortest text without an exponent. */
function plainDigits(value: number): string {
  const [mantissa, exponent] = value.toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const point = Number(exponent) + 1
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`
  return point >= digits.length ? digits.padEnd(point, '0') : `${digits.slice(0, point)}.${digits.slice(point)}`
}

/** As %f where 0.0001 <= size < 10^digits once it is rounded, else as %e: so many digits in all. */
function general(size: number, digits: number): [conversion: string, digits: number] {
  const all = Math.max(digits, 1)
  const rounded = Number(size.toPrecision(Math.min(all, 100)))
  if (rounded !== 0 && (rounded < 1e-4 || rounded >= 10 ** all)) return ['e', all - 1]
  return ['f', rounded === 0 ? all - 1 : all - 1 - Math.floor(Math.log10(rounded))]
}

function realNumber(number: number, given: Item): string {
  const [conversion, digits] =
    given.conversion === 'g' ? general(Math.abs(number), given.digits ?? 6) : [given.conversion, given.digits ?? 6]
  const item = { ...given, conversion }
  if (!Number.isFinite(number))
    return Number.isNaN(number) ? 'NaN' : signed(number < 0, 'Infinity', { ...item, flags: item.flags.replace('0', '') })
  const size = Math.abs(number)
  if (item.conversion === 'f') return signed(number < 0 || Object.is(number, -0), fixed(plainDigits(size), digits), item)
  const text = size.toExponential(Math.min(digits, 100)).replace(/e([+-])(\d)$/, 'e$10$2')
  return signed(number < 0, text, item)
}

/** Undefined where the conversion does not fit the type. */
function converted(value: unknown, type: SqlType, item: Item, text: (value: unknown) => string): string | undefined {
  const conversion = item.conversion!.toLowerCase()
  if (conversion === 'b') return type.kind === 'BOOLEAN' && value !== null ? String(value) : String(value !== null)
  if (value === null) return 'null'
  if (conversion === 's')
    return type.kind === 'BOOLEAN' ? String(value) : type.kind.startsWith('TIMESTAMP') ? text(value).replace(' ', 'T') : text(value)
  if (conversion === 'c') {
    const point = value as number
    return type.kind === 'INT' && point >= 0 && point <= 0x10ffff ? String.fromCodePoint(point) : undefined
  }
  if ('dox'.includes(conversion)) return isIntegerKind(type.kind) ? wholeNumber(value as bigint, type, { ...item, conversion }) : undefined
  return isApproximateKind(type.kind) ? realNumber(value as number, { ...item, conversion }) : undefined
}

export function printf({ argTypes, literals, timeZone }: CallContext): RowFunction {
  const itemsFor = madeFrom(literals[0], itemsOf)
  const texts = argTypes.map((type) => textOf(type, timeZone) as (value: unknown) => string)
  return (format: string | null, ...args: unknown[]) => {
    const items = format === null ? undefined : itemsFor(format)
    if (items === undefined) return null
    let result = ''
    for (const item of items) {
      let part: string | undefined = item.text
      if (item.conversion !== undefined) {
        if (item.argument >= args.length) return null
        part = converted(args[item.argument], argTypes[item.argument + 1], item, texts[item.argument + 1])
        if (part === undefined) return null
        const isText = 'sSbB'.includes(item.conversion) || args[item.argument] === null
        if (item.digits !== undefined && isText) part = part.slice(0, item.digits)
        if (item.conversion !== item.conversion.toLowerCase()) part = part.toUpperCase()
      }
      result += item.flags.includes('-') ? part.padEnd(item.width) : part.padStart(item.width)
    }
    return result
  }
}
