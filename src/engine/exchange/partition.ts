// To which subtask each row goes: by the hash of its key.
//
// Not by the bits of the hash that a KeyTable's slots use: there, keys of one subtask would crowd in a part of the slots.
import type { Column, SqlType } from '../../data/index.ts'
import { compileKernel } from '../state/codegen.ts'
import { type KeyInput, keyFormOf, keyInput } from '../state/columns.ts'
import { hashSource, inputSource, loadSource } from '../state/keyTable.ts'

type Partition = (inputs: KeyInput[], rowCount: number, parallelism: number, targets: Uint8Array) => void

/** More subtasks than this are of no use in one process. */
export const PARALLELISM_MAX = 128

/**
 * The subtask of each row: equal keys have the same, NULL is a key like any other.
 *
 * @param targets  (rowCount) 0 … parallelism-1, at most `PARALLELISM_MAX`
 */
export function partitionRows(
  columns: readonly Column[],
  types: readonly SqlType[],
  rowCount: number,
  parallelism: number,
  targets: Uint8Array,
): void {
  const inputs = types.map((type, i) => keyInput(columns[i], type, i, rowCount))
  const forms = types.map((type, i) => keyFormOf(type) + (inputs[i].nulls === undefined ? '' : '?'))
  const each = (source: (form: string, k: number) => string) => forms.map(source).join('\n')
  const kernel = compileKernel<Partition>(`partition ${forms.join()}`, ['inputs', 'rowCount', 'parallelism', 'targets'], () => {
    return `
    ${each(inputSource)}
    for (let row = 0; row < rowCount; row++) {
      ${each(loadSource)}
      let h = 0x2545f491
      ${each(hashSource)}
      h = Math.imul(h ^ (h >>> 13), 0x9e3779b1)
      targets[row] = ((h >>> 16) * parallelism) >>> 16
    }`
  })
  kernel(inputs, rowCount, parallelism, targets)
}
