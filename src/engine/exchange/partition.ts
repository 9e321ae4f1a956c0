// To which subtask each row goes: by the key group of its key, as in Flink, so that state can be dealt out anew among another number of them.
//
//   hash of the key --> murmur --> key group, 0 … 127 --> subtask = group * parallelism / 128       (each subtask has a run of groups)
//
// Not by the bits of the hash that a KeyTable's slots use: there, keys of one subtask would crowd in a part of the slots.
import type { Column, SqlType } from '../../data/index.ts'
import { compileKernel } from '../state/codegen.ts'
import { type KeyInput, keyFormOf, keyInput } from '../state/columns.ts'
import { hashSource, inputSource, loadSource } from '../state/keyTable.ts'

type Partition = (inputs: KeyInput[], rowCount: number, parallelism: number, targets: Uint8Array) => void

/** Flink's default of `pipeline.max-parallelism`. */
export const KEY_GROUP_COUNT = 128
export const PARALLELISM_MAX = KEY_GROUP_COUNT

/** The key groups of a subtask, as in Flink. */
export const keyGroupsOf = (subtask: number, parallelism: number): [first: number, last: number] => [
  Math.ceil((subtask * KEY_GROUP_COUNT) / parallelism),
  Math.ceil(((subtask + 1) * KEY_GROUP_COUNT) / parallelism) - 1,
]

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
      // The finalizer of murmur3.
      h = Math.imul(h ^ (h >>> 16), 0x85ebca6b); h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35); h ^= h >>> 16
      targets[row] = ((h & ${KEY_GROUP_COUNT - 1}) * parallelism) >>> ${Math.log2(KEY_GROUP_COUNT)}
    }`
  })
  kernel(inputs, rowCount, parallelism, targets)
}
