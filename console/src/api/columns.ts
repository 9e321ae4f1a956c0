// Columns and cells: what a SQL type means for reading, ordering and showing a value.
import type { ColumnInfo } from '../../../src/serve/contract.ts'

export type ColumnKind = 'integer' | 'decimal' | 'float' | 'timestamp' | 'date' | 'time' | 'boolean' | 'string' | 'other'
/** A value of a table's cell. BIGINT is a number where a double holds it, else a bigint; DECIMAL is the text of its digits. */
export type Cell = unknown

/** @param type  Flink's serializable type text, such as `BIGINT NOT NULL` or `TIMESTAMP(3)` */
export function columnKind(type: string): ColumnKind {
  const name = /^[A-Z_]+/i.exec(type)?.[0].toUpperCase() ?? ''
  switch (name) {
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'INTEGER':
    case 'BIGINT':
      return 'integer'
    case 'DECIMAL':
    case 'DEC':
    case 'NUMERIC':
      return 'decimal'
    case 'FLOAT':
    case 'DOUBLE':
      return 'float'
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return 'timestamp'
    case 'DATE':
      return 'date'
    case 'TIME':
      return 'time'
    case 'BOOLEAN':
      return 'boolean'
    case 'CHAR':
    case 'VARCHAR':
    case 'STRING':
      return 'string'
    default:
      return 'other'
  }
}

export const isNumericKind = (kind: ColumnKind): boolean => kind === 'integer' || kind === 'decimal' || kind === 'float'

/** The type as a person writes it: `STRING` for `VARCHAR(2147483647)`. */
export const readableType = (type: string): string => type.replace(/VARCHAR\(2147483647\)/g, 'STRING')

/** Reads one cell as it came (numerals or, with `?numbers=string`, text). */
export function decodeCell(value: unknown, kind: ColumnKind): Cell {
  if (kind === 'integer' && typeof value === 'string') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : BigInt(value)
  }
  if (kind === 'decimal' && (typeof value === 'number' || typeof value === 'bigint')) return String(value)
  return value
}

/** Decodes a row in place of its columns. */
export function decodeRow(row: readonly unknown[], kinds: readonly ColumnKind[]): Cell[] {
  return kinds.map((kind, index) => decodeCell(row[index], kind))
}

export const kindsOf = (columns: readonly ColumnInfo[]): ColumnKind[] => columns.map((column) => columnKind(column.type))

/** Order of two cells of one column; NULL is the smallest, as in Flink. */
export function compareCells(left: Cell, right: Cell, kind: ColumnKind): number {
  if (left === right) return 0
  if (left === null || left === undefined) return right === null || right === undefined ? 0 : -1
  if (right === null || right === undefined) return 1
  if (kind === 'decimal') return compareDecimals(String(left), String(right))
  if (typeof left === 'object' || typeof right === 'object') return 0
  // A bigint and a number compare by value in JavaScript.
  return (left as number) < (right as number) ? -1 : (left as number) > (right as number) ? 1 : 0
}

/** Exact order of two decimals in plain notation. */
function compareDecimals(left: string, right: string): number {
  const scale = Math.max(fractionLength(left), fractionLength(right))
  const difference = scaled(left, scale) - scaled(right, scale)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}
const fractionLength = (text: string): number => (text.includes('.') ? text.length - text.indexOf('.') - 1 : 0)
function scaled(text: string, scale: number): bigint {
  const [whole = '0', fraction = ''] = text.split('.')
  return BigInt(whole + fraction.padEnd(scale, '0'))
}

/** Epoch ms of a TIMESTAMP cell (`2015-09-12 07:35:00.000`, read as UTC), or NaN. */
export function timestampMs(cell: Cell): number {
  if (typeof cell === 'number') return cell
  if (typeof cell !== 'string') return Number.NaN
  const iso = cell.replace(' ', 'T')
  return Date.parse(/[Zz]$|[+-]\d\d:?\d\d$/.test(iso) ? iso : iso + 'Z')
}
