// Which state goes together when it is divided: by the hash of the key, as an exchange sends rows.
import type { Plan } from '../../sql/index.ts'
import { requirementsOf } from '../exchange/distribution.ts'
import { partitionRows } from '../exchange/partition.ts'
import type { Division } from '../operator.ts'

/** Rows by part, as ranges of `order`. */
export class DividedRows {
  readonly order: Int32Array
  private readonly starts: Int32Array

  constructor(targets: Uint8Array, count: number, parts: number) {
    const starts = new Int32Array(parts + 1)
    for (let row = 0; row < count; row++) starts[targets[row] + 1]++
    for (let part = 0; part < parts; part++) starts[part + 1] += starts[part]
    const next = starts.slice()
    this.order = new Int32Array(count)
    for (let row = 0; row < count; row++) this.order[next[targets[row]]++] = row
    this.starts = starts
  }

  /** The rows of a part, ascending. */
  of(part: number): Int32Array {
    return this.order.subarray(this.starts[part], this.starts[part + 1])
  }
}

export const divisionInto = (parts: number): Division & { parts: number } => ({
  parts,
  rows(columns, types, count) {
    const targets = new Uint8Array(count)
    partitionRows(columns, types, count, parts, targets)
    const rows = new DividedRows(targets, count, parts)
    return (part) => rows.of(part)
  },
})

/** By input, the columns by whose values an operator's state divides; undefined where it needs all rows together. */
export function divisionKeysOf(plan: Plan): number[][] | undefined {
  // Windows without a key divide by their end alone: there are few of them.
  if (plan.node === 'windowAggregate' && plan.keys.length === 0) return undefined
  if (plan.node === 'topN' && plan.partitionKeys.length === 0) return undefined
  if (plan.node === 'windowJoin' && plan.leftKeys.length === 0) return undefined
  const keys = requirementsOf(plan).map((wanted) => (wanted.kind === 'hash' ? wanted.columns : []))
  return keys.length > 0 && keys.every((columns) => columns.length > 0) ? keys : undefined
}
