// Reads what an operator remembers: the first keys of each of its tables, or one key; for people, and while the operator works.
//
//   request --> key as values --> part by part (key groups; those on the disk one at a time) --> entries, as JSON has them
//
// Invariants
//   1. It is done in steps of bounded work: at most STEP_PLACES places, or one look-up, or one key group that is fetched from the disk.
//   2. What it gives is bounded: `limit` keys of each table, ROWS_OF_KEY rows of each, or `limit` rows of the key that was asked for.
//   3. Nothing changes by it (stateTable.ts).
import { formatType } from '../../data/index.ts'
import { plainRow } from '../diagnosis.ts'
import { engineErrors } from '../errors.ts'
import { parseValue } from '../expressions/index.ts'
import type { Operator } from '../operator.ts'
import { canonicalText } from './columns.ts'
import type { Kept, StateEntry, StatePart, StateTable } from './stateTable.ts'

export interface StateRequest {
  /** Its node's id, or kind where the query has one of it. */
  operator: string
  /** Values by the name of the key's column, as JSON has them, or as text. */
  key?: Record<string, unknown>
  limit: number
}

export interface StateTableInfo {
  name: string
  kept: Kept
  key: { name: string; type: string }[]
  value: { name: string; type: string }[]
}
export interface StateTableReading extends StateTableInfo {
  /** How many keys it has; absent where that would take a walk through all, or one key was asked for. `isAbout`: some of them may hold nothing. */
  keyCount?: number
  isAbout?: true
  entries: { key: unknown[]; rows: { values: unknown[]; untilMs?: number }[]; rowCount?: number }[]
}
export interface StateReading {
  tables: StateTableReading[]
  /** False: nothing indexes the key, and there was more to look through than `SCANNED_PLACES_MAX`. */
  isComplete: boolean
}

const STEP_PLACES = 256
const ROWS_OF_KEY = 5
const COUNTED_PLACES_MAX = 65_536
const SCANNED_PLACES_MAX = 5_000_000

export const tableInfo = ({ name, kept, key, value }: StateTable): StateTableInfo => {
  const columns = (fields: StateTable['key']) => fields.map(({ name, type }) => ({ name, type: formatType(type) }))
  return { name, kept, key: columns(key), value: columns(value) }
}

/** @throws StreamError STATE_KEY_COLUMNS, STATE_KEY_VALUE; its steps throw SPILL_DAMAGED */
export function readOperator(operator: Operator, { key, limit }: StateRequest): Generator<void, StateReading> {
  const tables = operator.stateTables?.() ?? []
  const parts = operator.stateParts?.() ?? [{ tables: () => operator.stateTables?.() ?? [] }]
  return key === undefined ? first(tables, parts, limit) : look(tables, parts, wantedKeys(tables, key), limit)
}

/** By table: the values of its key, undefined for one that has another key. */
function wantedKeys(tables: readonly StateTable[], given: Record<string, unknown>): (unknown[] | undefined)[] {
  const names = Object.keys(given)
  const matches = (fields: StateTable['key']) => fields.length === names.length && fields.every(({ name }) => Object.hasOwn(given, name))
  const wanted = tables.map(({ key, keyAlias }) => {
    const named = matches(key) ? key : keyAlias && matches(keyAlias) ? keyAlias : undefined
    return named && key.map(({ type }, i) => keyValue(given[named[i].name], named[i].name, type))
  })
  if (wanted.every((values) => values === undefined)) {
    const columns = tables.flatMap(({ key }) => key.map(({ name }) => name).join(', '))
    throw engineErrors('STATE_KEY_COLUMNS', { given: names, columns })
  }
  return wanted
}

function keyValue(json: unknown, column: string, type: StateTable['key'][number]['type']): unknown {
  try {
    if (type.kind === 'BOOLEAN' && typeof json === 'string' && /^(true|false)$/i.test(json)) return json.toLowerCase() === 'true'
    return parseValue(json, type)
  } catch (error) {
    throw engineErrors('STATE_KEY_VALUE', { column, type: formatType(type), reason: (error as Error).message }, { cause: error })
  }
}

const plainEntry = ({ key, rows, rowCount }: StateEntry, table: StateTable): StateTableReading['entries'][number] => ({
  key: plainRow(key, table.key),
  rows: rows.map(({ values, untilMs }) => ({ values: plainRow(values, table.value), ...(untilMs !== undefined && { untilMs }) })),
  ...(rowCount !== undefined && { rowCount }),
})

function* first(tables: readonly StateTable[], parts: readonly StatePart[], limit: number): Generator<void, StateReading> {
  const readings: StateTableReading[] = tables.map((table) => ({ ...tableInfo(table), entries: [] }))
  const counts = readings.map(() => ({ keys: 0, isKnown: true, isAbout: false }))
  for (const part of parts) {
    // Who has enough looks at no more key groups, and does not know how many keys are there.
    if (parts.length > 1 && readings.every(({ entries }) => entries.length >= limit)) {
      for (const count of counts) count.isKnown = false
      break
    }
    for (const [i, table] of part.tables().entries()) {
      const { entries } = readings[i]
      const counts_ = counts[i]
      const counted = table.keyCount ?? (table.placeCount <= COUNTED_PLACES_MAX ? undefined : table.placeCount)
      if (table.keyCount === undefined && counted !== undefined) counts_.isAbout = true
      let keys = 0
      let places = 0
      for (const entry of table.entries(ROWS_OF_KEY)) {
        if (++places % STEP_PLACES === 0) yield
        if (entry === undefined) continue
        keys++
        if (entries.length < limit) entries.push(plainEntry(entry, table))
        else if (counted !== undefined) break
      }
      counts_.keys += counted ?? keys
      yield
    }
  }
  counts.forEach(({ keys, isKnown, isAbout }, i) => {
    if (isKnown) Object.assign(readings[i], { keyCount: keys, ...(isAbout && { isAbout }) })
  })
  return { tables: readings, isComplete: true }
}

function* look(
  tables: readonly StateTable[],
  parts: readonly StatePart[],
  wanted: readonly (unknown[] | undefined)[],
  limit: number,
): Generator<void, StateReading> {
  const readings = tables.flatMap((table, i) =>
    wanted[i] === undefined ? [] : [{ ...tableInfo(table), i, entries: [] as StateTableReading['entries'] }],
  )
  const [divided] = wanted
  let places = 0
  for (const part of parts) {
    if (divided !== undefined && part.mayHold?.(divided) === false) continue
    const here = part.tables()
    for (const { i, entries } of readings) {
      const table = here[i]
      const key = wanted[i]
      if (table === undefined || key === undefined) continue
      if (table.find !== undefined) for (const entry of table.find(key, limit)) entries.push(plainEntry(entry, table))
      else {
        const text = canonicalText(key)
        for (const entry of table.entries(limit)) {
          if (places >= SCANNED_PLACES_MAX || entries.length >= limit) break
          if (++places % STEP_PLACES === 0) yield
          if (entry !== undefined && canonicalText(entry.key) === text) entries.push(plainEntry(entry, table))
        }
      }
      yield
    }
  }
  return { tables: readings.map(({ i: _, ...reading }) => reading), isComplete: places < SCANNED_PLACES_MAX }
}
