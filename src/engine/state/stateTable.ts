// What an operator remembers, as people read it: tables of keys, each key with its rows and when they will be forgotten.
//
//   operator.stateTables() --> tables --> find(key), by the operator's own hash table      one key
//                                    `--> entries(), place by place                        the first ones, or a key that nothing indexes
//
// Operators hold their state in a few containers (KeyTable, KeyedStates, RowStore, JoinSide, Accumulators): these make the tables, and an operator
// says only what its keys and rows are called.
//
// Invariants
//   1. Reading changes nothing: no list is tidied up, nothing expires, nothing is compacted.
//   2. `find`, and one step of `entries`, do a bounded amount of work, however large the state is.
//   3. A table may be read while its operator goes on between two steps: what it gives is then of several moments, and never wrong by more.
import { batchOf, type Field, type SqlType, t, valueAt } from '../../data/index.ts'
import { type AggregateCall, explainAggregate } from '../../sql/index.ts'
import type { KeyTable } from './keyTable.ts'

export interface StateRow {
  values: unknown[]
  /** When it is forgotten if nothing more comes; by which time says the table's `kept`. Absent: nobody knows, or never. */
  untilMs?: number
}
/** Rows of a key: the first of them, and how many there are; absent where they are too many to count. */
export interface Held {
  rows: StateRow[]
  rowCount?: number
}
export interface StateEntry extends Held {
  key: unknown[]
}

/** Why it is still there: a time to live, event time, the machine's clock, or the query itself, which needs it as long as it runs. */
export interface Kept {
  by: 'ttl' | 'eventTime' | 'clock' | 'query'
  text: string
  ttlMs?: number
}

export interface StateSpec {
  /** What it holds: `groups`, `left rows`, `partial matches`. */
  name: string
  /** By what one is found. */
  key: Field[]
  /** What its key is called on the other side of a join. */
  keyAlias?: Field[]
  value: Field[]
  kept: Kept
  /** Keys that hold something, where the operator counts them. */
  keyCount?: number
}

export interface StateTable extends StateSpec {
  /** At least as many as there are keys. */
  placeCount: number
  /** All entries, with `undefined` for each place that holds nothing; of each the first `rowsMax` rows. */
  entries(rowsMax: number): Iterable<StateEntry | undefined>
  /** The entries of a key, given as values of the key's columns. Absent: nothing indexes it. */
  find?(key: readonly unknown[], rowsMax: number): StateEntry[]
}

/** A part of the state that is read by itself: all of it, or one key group. */
export interface StatePart {
  /** Whether a key would be here; all keys may be if absent. @param key  values of the first table's key */
  mayHold?(key: readonly unknown[]): boolean
  isOnDisk?: boolean
  tables(): StateTable[]
}

/** Keys of a KeyTable with what is held for each. */
export interface KeyedPart {
  readonly keys: KeyTable
  held(place: number, rowsMax: number): Held | undefined
}

/** Of a longer list the rest is not counted. */
export const COUNTED_ROWS_MAX = 10_000

/** A table that nothing indexes. */
export const listedTable = (spec: StateSpec, placeCount: number, entries: StateTable['entries']): StateTable => ({
  ...spec,
  placeCount,
  entries,
})

/** Rows that wait for event time, one entry each. */
export const waitingTable = <W extends { row: unknown[]; time: number; isGone?: true }>(
  name: string,
  fields: readonly Field[],
  keys: readonly number[],
  waiting: () => readonly W[],
): StateTable =>
  listedTable(
    {
      name,
      key: fieldsAt(fields, keys),
      value: [...fields],
      kept: { by: 'eventTime', text: 'A row waits until the watermark reaches its time.' },
    },
    waiting().length,
    function* () {
      for (let at = 0; at < waiting().length; at++) {
        const { row, time, isGone } = waiting()[at]
        yield isGone ? undefined : { key: keys.map((key) => row[key]), ...oneRow(row, time) }
      }
    },
  )

/**
 * A table over KeyTables, several where windows have one each. Where a KeyTable's key is longer than the table's own, which is then its
 * beginning, nothing indexes it.
 */
export function keyedTable(spec: StateSpec, parts: () => readonly KeyedPart[]): StateTable {
  const entryAt = ({ keys, held }: KeyedPart, place: number, rowsMax: number): StateEntry | undefined => {
    const found = held(place, rowsMax)
    return found && { key: spec.key.map((_, k) => valueAt(keys.range(k, place, 1), 0)), ...found }
  }
  return {
    ...spec,
    placeCount: parts().reduce((sum, { keys }) => sum + keys.count, 0),
    *entries(rowsMax) {
      // Asked for anew each time: an operator that tidies up has another KeyTable then.
      for (let at = 0; at < parts().length; at++)
        for (let place = 0; place < parts()[at].keys.count; place++) yield entryAt(parts()[at], place, rowsMax)
    },
    ...(parts().every(({ keys }) => keys.types.length === spec.key.length) && {
      find: (key, rowsMax) => {
        const { columns } = batchOf(spec.key, [[...key]])
        const place = new Int32Array(1)
        return parts().flatMap((part) => {
          part.keys.find(columns, 1, place)
          return place[0] < 0 ? [] : (entryAt(part, place[0], rowsMax) ?? [])
        })
      },
    }),
  }
}

export const oneRow = (values: unknown[], untilMs?: number): Held => ({
  rows: [untilMs !== undefined && Number.isFinite(untilMs) ? { values, untilMs } : { values }],
  rowCount: 1,
})

/** The first rows of a list. */
export const heldOf = <T>(list: readonly T[], rowsMax: number, row: (one: T, at: number) => StateRow): Held | undefined =>
  list.length === 0 ? undefined : { rows: list.slice(0, rowsMax).map(row), rowCount: list.length }

export const fieldsAt = (fields: readonly Field[], ordinals: readonly number[]): Field[] => ordinals.map((ordinal) => fields[ordinal])

/** @param outputs  the fields that the aggregates have as columns of the result, if they have names */
export const aggregateFields = (calls: readonly AggregateCall[], input: readonly Field[], outputs: readonly Field[] = []): Field[] =>
  calls.map((call, i) => {
    const text = explainAggregate(call, input)
    const name = outputs[i]?.name ?? text
    return field(name === text || name.includes('$') ? text : `${text} AS ${name}`, call.type)
  })

export const field = (name: string, type: SqlType): Field => ({ name, type })
export const rowTypeOf = (fields: readonly Field[]): SqlType => ({
  kind: 'ROW',
  fields: fields.map(({ name, type }) => ({ name, type })),
  nullable: true,
})
export const timeField = (name: string): Field => field(name, t.timestamp(3))
export const countField = (name: string): Field => field(name, t.bigint(false))

const durationText = (ms: number): string =>
  ms % 86_400_000 === 0
    ? `${ms / 86_400_000} d`
    : ms % 3_600_000 === 0
      ? `${ms / 3_600_000} h`
      : ms % 60_000 === 0
        ? `${ms / 60_000} min`
        : `${ms / 1_000} s`

/** @param ttlMs  below 1, or none: for ever */
export const keptFor = (ttlMs: number | undefined, what = 'A key'): Kept =>
  ttlMs !== undefined && ttlMs > 0
    ? { by: 'ttl', ttlMs, text: `${what} is forgotten ${durationText(ttlMs)} after it was last written (table.exec.state.ttl).` }
    : {
        by: 'query',
        text: `${what} is kept as long as the query runs: it has no time to live (SET 'table.exec.state.ttl', or a STATE_TTL hint).`,
      }
