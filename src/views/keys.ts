// Primary keys as keys of a JavaScript Map.
//
// Invariant: two rows have the same Key exactly if their primary key columns are equal, as SQL's GROUP BY means it (NULL equals NULL).
// One key column, the usual case, costs nothing: its value is the Key, except that a BIGINT becomes a number where a double is exact
// (a Map hashes doubles about three times faster than bigints) and its decimal text beyond.
import type { Field, SqlType } from '../data/index.ts'

export type Key = string | number | boolean | null
export type Row = unknown[]

/** Types whose values can be compared and so can be keys, filters and orders. */
export const isOrderable = (type: SqlType): boolean => !['ARRAY', 'MAP', 'MULTISET', 'ROW', 'NULL'].includes(type.kind)

function keyPart(value: unknown): Key {
  if (typeof value === 'bigint') return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : `${value}`
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  return value as Key
}

/** How a row's Key is made. */
export function keyReader(fields: readonly Field[], primaryKey: readonly number[]): (row: readonly unknown[]) => Key {
  if (primaryKey.length === 1) {
    const [column] = primaryKey
    const kind = fields[column].type.kind
    if (['BIGINT', 'DECIMAL', 'TIMESTAMP', 'TIMESTAMP_LTZ', 'BINARY', 'VARBINARY'].includes(kind)) return (row) => keyPart(row[column])
    return (row) => row[column] as Key
  }
  return (row) => {
    let key = ''
    for (const column of primaryKey) {
      const part = keyPart(row[column])
      // A text says its length first, so that no text can imitate the border between two columns.
      key += typeof part === 'string' ? `${part.length}:${part}` : `${part};`
    }
    return key
  }
}
