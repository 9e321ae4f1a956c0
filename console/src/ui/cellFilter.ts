// The filter row of a grid: what a person types under a column.
//
//   text         contains, ignoring case          =text  equals          !text  does not contain
//   numbers and times:  >5  >=5  <5  <=5  =5  5..9 (both included)       null / !null
import { type Cell, type ColumnKind, compareCells, decodeCell, isNumericKind } from '../api/columns.ts'
import { formatCell } from './format.ts'

export type CellTest = (cell: Cell) => boolean

/** The test that a filter text stands for; null for an empty text (everything passes). */
export function parseCellFilter(text: string, kind: ColumnKind): CellTest | null {
  const wanted = text.trim()
  if (wanted === '') return null
  if (/^null$/i.test(wanted)) return (cell) => cell === null || cell === undefined
  if (/^!\s*null$/i.test(wanted)) return (cell) => cell !== null && cell !== undefined
  if (isNumericKind(kind) || kind === 'timestamp' || kind === 'date' || kind === 'time') {
    const range = /^(.+?)\.\.(.+)$/.exec(wanted)
    if (range) {
      const low = bound(range[1]!, kind)
      const high = bound(range[2]!, kind)
      if (low !== null && high !== null) {
        return (cell) => cell !== null && compareCells(cell, low, kind) >= 0 && compareCells(cell, high, kind) <= 0
      }
    }
    const comparison = /^(>=|<=|>|<|=)\s*(.+)$/.exec(wanted)
    const value = comparison ? bound(comparison[2]!, kind) : null
    if (comparison && value !== null) {
      const holds: Record<string, (sign: number) => boolean> = {
        '>=': (sign) => sign >= 0,
        '<=': (sign) => sign <= 0,
        '>': (sign) => sign > 0,
        '<': (sign) => sign < 0,
        '=': (sign) => sign === 0,
      }
      const test = holds[comparison[1]!]!
      return (cell) => cell !== null && cell !== undefined && test(compareCells(cell, value, kind))
    }
  }
  const isNegated = wanted.startsWith('!')
  if (wanted.startsWith('=')) {
    const exact = wanted.slice(1).trim()
    return (cell) => String(cell) === exact
  }
  const needle = (isNegated ? wanted.slice(1).trim() : wanted).toLowerCase()
  return (cell) => {
    const isFound = String(cell).toLowerCase().includes(needle) || formatCell(cell, kind).toLowerCase().includes(needle)
    return isFound !== isNegated
  }
}

/** A typed bound; null if the text is no value of the kind. */
function bound(text: string, kind: ColumnKind): Cell {
  const plain = text.trim().replaceAll(',', '')
  if (kind === 'integer') return /^-?\d+$/.test(plain) ? decodeCell(plain, kind) : /^-?\d+\.\d+$/.test(plain) ? Number(plain) : null
  if (kind === 'decimal') return /^-?\d+(\.\d+)?$/.test(plain) ? plain : null
  if (kind === 'float') return plain !== '' && Number.isFinite(Number(plain)) ? Number(plain) : null
  // Times are ordered as text; a shorter one is the start of its range.
  return /^\d[\d :.T-]*$/.test(text.trim()) ? text.trim() : null
}
