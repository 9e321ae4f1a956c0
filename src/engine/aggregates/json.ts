// Values as JSON text inside JSON_OBJECTAGG and JSON_ARRAYAGG.
import type { SqlType } from '../../data/index.ts'

const padded = (value: number, width: number): string => String(value).padStart(width, '0')

/** An unscaled decimal as a numeral with all digits of its scale. */
export function decimalText(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const sign = value < 0n ? '-' : ''
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function timestampText(epochMs: number, fraction: string): string {
  const date = new Date(epochMs)
  return `${date.toISOString().slice(0, 19)}${fraction === '' ? '' : `.${fraction}`}`
}

/**
 * JSON text of one value.
 *
 * @source Flink's SqlJsonUtils: numbers as numerals, DECIMAL with its digits, timestamps as ISO text
 */
export function jsonText(value: unknown, type: SqlType): string {
  if (value === null || value === undefined) return 'null'
  switch (type.kind) {
    case 'DECIMAL':
      return decimalText(value as bigint, type.scale)
    case 'BIGINT':
      return String(value)
    case 'FLOAT':
    case 'DOUBLE': {
      const number = value as number
      if (!Number.isFinite(number)) return `"${number}"`
      return Number.isInteger(number) ? number.toFixed(1) : String(number)
    }
    case 'DATE':
      return `"${new Date((value as number) * 86_400_000).toISOString().slice(0, 10)}"`
    case 'TIME': {
      const ms = value as number
      return `"${padded(Math.floor(ms / 3_600_000), 2)}:${padded(Math.floor(ms / 60_000) % 60, 2)}:${padded(Math.floor(ms / 1000) % 60, 2)}"`
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const end = type.kind === 'TIMESTAMP' ? '' : 'Z'
      const ns = typeof value === 'bigint' ? value : BigInt(value as number) * 1_000_000n
      const ms = Number(ns / 1_000_000n) - (ns % 1_000_000n < 0n ? 1 : 0)
      const rest = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
      const fraction = padded(Number(rest), 9).slice(0, type.precision)
      return `"${timestampText(ms, fraction.replace(/0+$/, ''))}${end}"`
    }
    case 'ARRAY':
      return `[${(value as unknown[]).map((element) => jsonText(element, type.element)).join(',')}]`
    case 'ROW':
      return `{${type.fields.map((field, i) => `${JSON.stringify(field.name)}:${jsonText((value as unknown[])[i], field.type)}`).join(',')}}`
    case 'MAP':
      return `{${Array.from(value as Map<unknown, unknown>, ([key, entry]) => `${JSON.stringify(String(key))}:${jsonText(entry, type.value)}`).join(',')}}`
    case 'BINARY':
    case 'VARBINARY':
      return JSON.stringify(Buffer.from(value as Uint8Array).toString('base64'))
    default:
      return JSON.stringify(value)
  }
}
