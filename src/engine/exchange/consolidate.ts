// What the changes of one round amount to, where they come from several subtasks and their order among each other says nothing.
//
// Invariants
//   1. Rows that are inserted as often as they are taken away are gone. What is left makes of the rows before the round those after it.
//   2. It comes key by key: what is taken away before what is put in its place.
import { type Batch, DELETE, type Field, gather, INSERT, isRetraction, UPDATE_AFTER, UPDATE_BEFORE } from '../../data/index.ts'
import { KeyTable } from '../state/keyTable.ts'

/**
 * @param batches  a whole changelog: every retraction has the whole old row
 * @param key      ordinals of the columns by which what is left is put in order
 */
export function consolidated(batches: readonly Batch[], fields: readonly Field[], key: readonly number[]): Batch[] {
  if (batches.length === 1 && batches[0].kinds === undefined) return [...batches]
  const types = fields.map(({ type }) => type)
  const rows = new KeyTable(types)
  const counts: number[] = []
  for (const { columns, kinds, rowCount } of batches) {
    const groups = new Int32Array(rowCount)
    rows.lookup(columns, rowCount, groups)
    for (let row = 0; row < rowCount; row++)
      counts[groups[row]] = (counts[groups[row]] ?? 0) + (isRetraction(kinds?.[row] ?? INSERT) ? -1 : 1)
  }
  const columns = types.map((_, i) => rows.column(i))
  const keys = new KeyTable(key.map((column) => types[column]))
  const keyOf = new Int32Array(rows.count)
  keys.lookup(
    key.map((column) => columns[column]),
    rows.count,
    keyOf,
  )
  const byKey = Array.from({ length: keys.count }, () => ({ gone: [] as number[], come: [] as number[] }))
  for (let row = 0; row < rows.count; row++) {
    const { gone, come } = byKey[keyOf[row]]
    for (let n = counts[row]; n < 0; n++) gone.push(row)
    for (let n = counts[row]; n > 0; n--) come.push(row)
  }
  const picked: number[] = []
  const kinds: number[] = []
  for (const { gone, come } of byKey) {
    // One row in place of another: an update.
    const isUpdate = gone.length === 1 && come.length === 1
    for (const row of gone) kinds.push(isUpdate ? UPDATE_BEFORE : DELETE) && picked.push(row)
    for (const row of come) kinds.push(isUpdate ? UPDATE_AFTER : INSERT) && picked.push(row)
  }
  if (picked.length === 0) return []
  const ordinals = Int32Array.from(picked)
  return [
    {
      rowCount: picked.length,
      columns: columns.map((column) => gather(column, ordinals, picked.length)),
      kinds: Uint8Array.from(kinds),
      watermarkAfter: -Infinity,
      processingTimeMs: Math.max(...batches.map(({ processingTimeMs }) => processingTimeMs)),
    },
  ]
}
