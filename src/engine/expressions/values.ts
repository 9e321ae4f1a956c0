// Values as JSON, as golden files have them, and back.
//
// @source test/golden/README.md: DECIMAL as text, timestamps with 3, 6 or 9 digits, bytes as 0x…, MAP as an object
import { decimalText, type SqlType } from '../../data/index.ts'
import { dateText, floorNsToMs, timestampText, timestampTextNs, timeText } from './calendar.ts'
import { castOf } from './casts.ts'
import { fitDecimal, parseDecimal } from './decimal.ts'
import { expressionErrors, shown } from './errors.ts'
import { doubleText, floatText } from './numbers.ts'

/** A value in the JSON form of golden files. BIGINT stays a bigint, other numbers are numbers. */
export function formatValue(value: unknown, type: SqlType): unknown {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'FLOAT':
    case 'DOUBLE':
      return Number.isFinite(value as number) ? value : String(value)
    case 'DECIMAL':
      return decimalText(value as bigint, type.scale)
    case 'BINARY':
    case 'VARBINARY':
      return `0x${Buffer.from(value as Uint8Array).toString('hex')}`
    case 'DATE':
      return dateText(value as number)
    case 'TIME':
      return timeText(value as number, (value as number) % 1000 === 0 ? 0 : 3).replace(/(\.\d*?)0+$/, '$1')
    case 'TIMESTAMP':
      return instantText(value as number | bigint)
    case 'TIMESTAMP_LTZ':
      return `${instantText(value as number | bigint)}Z`
    case 'INTERVAL_DAY_TIME':
      return durationText(value as number)
    case 'INTERVAL_YEAR_MONTH':
      return value === 0 ? 'P0D' : `P${value}M`
    case 'ARRAY':
      return (value as unknown[]).map((one) => formatValue(one, type.element))
    case 'ROW':
      return (value as unknown[]).map((one, index) => formatValue(one, type.fields[index].type))
    case 'MAP':
      return Object.fromEntries(
        [...(value as Map<unknown, unknown>)].map(([key, item]) => [keyText(key, type.key), formatValue(item, type.value)]),
      )
    case 'MULTISET':
      return Object.fromEntries([...(value as Map<unknown, number>)].map(([key, count]) => [keyText(key, type.element), count]))
    default:
      return value
  }
}

/** A key of an object: text as it is, all else as Java prints it. */
const keyText = (key: unknown, type: SqlType): string => {
  const formatted = formatValue(key, type)
  return typeof formatted === 'string' ? formatted : elementText(key, type)
}

function elementText(value: unknown, type: SqlType): string {
  const formatted = formatValue(value, type)
  if (formatted === null) return 'null'
  switch (type.kind) {
    case 'FLOAT':
    case 'DOUBLE':
      return typeof formatted === 'string' ? JSON.stringify(formatted) : (type.kind === 'FLOAT' ? floatText : doubleText)(value as number)
    case 'ARRAY':
      return `[${(value as unknown[]).map((one) => elementText(one, type.element)).join(', ')}]`
    case 'ROW':
      return `[${(value as unknown[]).map((one, i) => elementText(one, type.fields[i].type)).join(', ')}]`
    case 'MAP':
    case 'MULTISET': {
      const [keys, values] = type.kind === 'MAP' ? [type.key, type.value] : [type.element, { kind: 'INT' } as SqlType]
      const pairs = [...(value as Map<unknown, unknown>)].map(
        ([key, item]) => `${JSON.stringify(keyText(key, keys))}: ${elementText(item, values)}`,
      )
      return `{${pairs.sort().join(', ')}}`
    }
    default:
      return typeof formatted === 'string' ? JSON.stringify(formatted) : String(formatted)
  }
}

/** 3 digits, or 6 or 9 where there is something to show. */
function instantText(value: number | bigint): string {
  if (typeof value === 'number') return timestampText(value, 3)
  const nsOfMs = value - BigInt(floorNsToMs(value)) * 1_000_000n
  return timestampTextNs(value, nsOfMs === 0n ? 3 : nsOfMs % 1000n === 0n ? 6 : 9)
}

/** As Java prints a Duration: hours, minutes and seconds, each with the sign. @example durationText(-10_710_000) // 'PT-2H-58M-30S' */
function durationText(totalMs: number): string {
  if (totalMs === 0) return 'PT0S'
  const whole = Math.trunc(totalMs / 1000)
  const hours = Math.trunc(whole / 3600)
  const minutes = Math.trunc((whole % 3600) / 60)
  const seconds = (totalMs - (hours * 3600 + minutes * 60) * 1000) / 1000
  return `PT${hours ? `${hours}H` : ''}${minutes ? `${minutes}M` : ''}${seconds ? `${seconds}S` : ''}`
}

const durationPattern = /^PT(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?[\d.]+)S)?$/
const periodPattern = /^P(?:(-?\d+)M|0D)$/
function intervalOf(json: unknown, type: SqlType): number {
  if (typeof json === 'number') return json
  const match = (type.kind === 'INTERVAL_DAY_TIME' ? durationPattern : periodPattern).exec(String(json))
  if (match === null) throw invalid(json, type)
  const [first, minutes, seconds] = match.slice(1, 4).map((part) => Number(part ?? 0))
  return type.kind === 'INTERVAL_DAY_TIME' ? first * 3_600_000 + minutes * 60_000 + Math.round(seconds * 1000) : first
}

const invalid = (json: unknown, type: SqlType) =>
  expressionErrors('EXPRESSION_CAST_FAILED', { value: shown(typeof json === 'object' ? JSON.stringify(json) : json), to: type.kind })

/**
 * The value of a JSON value in the form of golden files; also accepts what JSON inputs have: numbers for DECIMAL, objects for ROW.
 *
 * @param json  a parsed value; integers beyond 2^53 as bigint
 * @throws StreamError EXPRESSION_CAST_FAILED
 */
export function parseValue(json: unknown, type: SqlType): unknown {
  if (json === null || json === undefined) return null
  switch (type.kind) {
    case 'BOOLEAN':
      if (typeof json !== 'boolean') throw invalid(json, type)
      return json
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
      return Number(wholeNumber(json, type))
    case 'BIGINT':
      return wholeNumber(json, type)
    case 'INTERVAL_DAY_TIME':
    case 'INTERVAL_YEAR_MONTH':
      return intervalOf(json, type)
    case 'FLOAT':
    case 'DOUBLE': {
      const number = Number(json)
      if (Number.isNaN(number) && json !== 'NaN') throw invalid(json, type)
      return type.kind === 'FLOAT' ? Math.fround(number) : number
    }
    case 'DECIMAL': {
      const parsed = parseDecimal(String(json))
      if (parsed === undefined) throw invalid(json, type)
      return fitDecimal(parsed.scale, type)(parsed.value)
    }
    case 'CHAR':
    case 'VARCHAR':
      return typeof json === 'string' ? json : JSON.stringify(json)
    case 'BINARY':
    case 'VARBINARY': {
      const text = String(json)
      return new Uint8Array(text.startsWith('0x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text, 'base64'))
    }
    case 'DATE':
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const text = String(json).replace('T', ' ').replace(/Z$/, '')
      return castOf({ kind: 'VARCHAR', length: 2_147_483_647, nullable: true }, type, false, 'UTC').fn(text)
    }
    case 'ARRAY':
      if (!Array.isArray(json)) throw invalid(json, type)
      return json.map((one) => parseValue(one, type.element))
    case 'ROW':
      if (Array.isArray(json)) return type.fields.map((field, index) => parseValue(json[index], field.type))
      if (typeof json !== 'object') throw invalid(json, type)
      return type.fields.map((field) => parseValue((json as Record<string, unknown>)[field.name], field.type))
    case 'MAP':
      if (typeof json !== 'object') throw invalid(json, type)
      return new Map(Object.entries(json).map(([key, item]) => [parseValue(key, type.key), parseValue(item, type.value)]))
    case 'MULTISET':
      if (typeof json !== 'object') throw invalid(json, type)
      return new Map(Object.entries(json).map(([key, count]) => [parseValue(key, type.element), Number(count)]))
    default:
      return json
  }
}

function wholeNumber(json: unknown, type: SqlType): bigint {
  const parsed = typeof json === 'bigint' ? json : typeof json === 'number' && Number.isInteger(json) ? BigInt(json) : undefined
  if (parsed !== undefined) return parsed
  if (typeof json === 'string' && /^[+-]?\d+$/.test(json)) return BigInt(json)
  throw invalid(json, type)
}
