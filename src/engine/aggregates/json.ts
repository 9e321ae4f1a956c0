// Values as JSON text inside JSON_OBJECTAGG and JSON_ARRAYAGG.
import type { SqlType } from '../../data/index.ts'
import { dateText, timestampText, timestampTextNs, timeText } from '../expressions/calendar.ts'
import { decimalText } from '../expressions/decimal.ts'

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
      return `"${dateText(value as number)}"`
    case 'TIME':
      return `"${timeText(value as number, type.precision)}"`
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ': {
      const text = typeof value === 'bigint' ? timestampTextNs(value, type.precision) : timestampText(value as number, type.precision)
      return `"${text.replace(' ', 'T')}${type.kind === 'TIMESTAMP' ? '' : 'Z'}"`
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
