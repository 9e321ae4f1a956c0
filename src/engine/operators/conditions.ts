// Join conditions over pairs of rows, evaluated in bulk by the compiled calc.
import { type Batch, BatchMemory, type Column, type Field, t } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import { columnsOf, compileCalc } from '../expressions/index.ts'
import { beat } from '../progress.ts'
import { ordinals } from './emission.ts'

/** Which of the pairs satisfy the condition: 1 for TRUE; FALSE, NULL and failed ones are 0. */
export interface Condition {
  (columns: Column[], pairCount: number, processingTimeMs: number): Uint8Array
  /** The columns that it looks at, ascending: others may hold anything. */
  reads: readonly number[]
}

/**
 * Compiles a condition over the columns of left and right side by side.
 *
 * @param onError  called for a pair whose evaluation failed, with the batch of pairs
 */
export function compileCondition(
  expression: Expr | undefined,
  fields: readonly Field[],
  timeZone: string,
  onError: (pairs: Batch, row: number, error: Error) => void,
): Condition | undefined {
  if (expression === undefined) return undefined
  // The ordinal of each pair passes through the filter and says which passed.
  const ordinalField: Field = { name: 'ordinal', type: t.int(false) }
  const projections: Expr[] = [{ kind: 'column', index: fields.length, type: ordinalField.type }]
  const run = compileCalc({ predicate: expression, projections }, [...fields, ordinalField], { timeZone })
  const memory = new BatchMemory()
  const condition: Condition = (columns, pairCount, processingTimeMs) => {
    beat()
    const passed = new Uint8Array(pairCount)
    const pairs: Batch = {
      rowCount: pairCount,
      columns: [...columns, { lane: 'i32', data: ordinals(pairCount) }],
      watermarkAfter: -Infinity,
      processingTimeMs,
    }
    const out = run(pairs, (row, error) => onError(pairs, row, error), memory)
    if (out !== undefined) {
      const { data } = out.columns[0] as Column & { lane: 'i32' }
      for (let i = 0; i < out.rowCount; i++) passed[data[i]] = 1
    }
    memory.release(0)
    return passed
  }
  condition.reads = columnsOf([expression])
  return condition
}
