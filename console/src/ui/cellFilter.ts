// The filter row of a grid: what a person types under a column.
//
//   text        contains (capitals count)      =text  equals       !text  does not contain
//   numbers and times:  5  =5  >5  >=5  <5  <=5  5..9 (both included)      null / !null
//
// Invariant: `parameters` (what the server filters by) let pass every row that `test` lets pass. Where the two are not equal,
// `isPartial` says so, and the rest is done here, over the rows that were loaded.
import { type Cell, type ColumnKind, compareCells, decodeCell, isNumericKind, timestampMs } from '../api/columns.ts'
import { formatCell } from './format.ts'

export interface CellFilter {
  test: (cell: Cell) => boolean
  /** Suffix of the column's name and value: `['.gt', '5']`; the server's form of the same. */
  parameters: [suffix: string, value: string][]
  isPartial: boolean
}

const isNull = (cell: Cell): boolean => cell === null || cell === undefined

const comparisons: Record<string, { suffix: string; holds: (sign: number) => boolean }> = {
  '>=': { suffix: '.gte', holds: (sign) => sign >= 0 },
  '<=': { suffix: '.lte', holds: (sign) => sign <= 0 },
  '>': { suffix: '.gt', holds: (sign) => sign > 0 },
  '<': { suffix: '.lt', holds: (sign) => sign < 0 },
  '=': { suffix: '.eq', holds: (sign) => sign === 0 },
}

/** The filter that a text stands for; null for an empty text (everything passes). */
export function parseCellFilter(text: string, kind: ColumnKind): CellFilter | null {
  const wanted = text.trim()
  if (wanted === '') return null
  if (/^null$/i.test(wanted)) return { test: isNull, parameters: [['.null', 'true']], isPartial: false }
  if (/^!\s*null$/i.test(wanted)) return { test: (cell) => !isNull(cell), parameters: [['.null', 'false']], isPartial: false }
  if (isNumericKind(kind) || kind === 'timestamp') {
    const range = /^(.+?)\.\.(.+)$/.exec(wanted)
    const [low, high] = range ? [comparison('>=', range[1]!, kind), comparison('<=', range[2]!, kind)] : [null, null]
    if (low && high) {
      return { test: (cell) => low.test(cell) && high.test(cell), parameters: [...low.parameters, ...high.parameters], isPartial: false }
    }
    const [, operator, value] = /^(>=|<=|>|<|=)?\s*(.+)$/.exec(wanted) ?? []
    const compared = operator || isNumericKind(kind) ? comparison(operator ?? '=', value ?? '', kind) : null
    if (compared) return compared
  }
  if (kind === 'string') {
    if (wanted.startsWith('=')) {
      const exact = wanted.slice(1).trim()
      return { test: (cell) => cell === exact, parameters: [['.eq', exact]], isPartial: false }
    }
    if (!wanted.startsWith('!')) {
      return { test: (cell) => !isNull(cell) && String(cell).includes(wanted), parameters: [['.contains', wanted]], isPartial: false }
    }
  }
  // What the server has no operator for: the text that is shown.
  const isNegated = wanted.startsWith('!')
  const needle = isNegated ? wanted.slice(1).trim() : wanted
  const test = (cell: Cell): boolean => (String(cell).includes(needle) || formatCell(cell, kind).includes(needle)) !== isNegated
  return { test, parameters: [], isPartial: true }
}

function comparison(operator: string, text: string, kind: ColumnKind): CellFilter | null {
  const { suffix, holds } = comparisons[operator]!
  const value = bound(text, kind)
  if (value === null) return null
  const compare =
    kind === 'timestamp'
      ? (cell: Cell): number => timestampMs(cell) - timestampMs(value)
      : (cell: Cell): number =>
          compareCells(cell, kind === 'integer' ? decodeCell(value, kind) : kind === 'float' ? Number(value) : value, kind)
  return { test: (cell) => !isNull(cell) && holds(compare(cell)), parameters: [[suffix, value]], isPartial: false }
}

/** A typed bound as the server reads it; null if the text is no value of the kind. */
function bound(text: string, kind: ColumnKind): string | null {
  const plain = text.trim().replaceAll(',', '')
  if (kind === 'integer') return /^-?\d{1,19}$/.test(plain) ? plain : null
  if (kind === 'decimal') return /^-?\d+(\.\d+)?$/.test(plain) ? plain : null
  if (kind === 'float') return plain !== '' && Number.isFinite(Number(plain)) ? plain : null
  // A shorter time is the start of its range: `2015-09-12 07` is seven o'clock.
  const [, date, hour = '00', minute = '00', second = '00'] =
    /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d)(?::(\d\d)(?::(\d\d(?:\.\d{1,9})?))?)?)?$/.exec(text.trim()) ?? []
  const full = `${date} ${hour}:${minute}:${second}`
  return date && !Number.isNaN(timestampMs(full)) ? full : null
}
