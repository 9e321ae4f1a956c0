// Random golden cases: what `npm run golden:random` writes and compares, and what test/randomGolden.test.ts holds against itself.
import { randomCases } from '../randomCases.ts'
import { Choices } from './choices.ts'
import { Relations } from './relations.ts'

export interface RandomCase {
  name: string
  /** A golden file up to its expectation. */
  text: string
  choices: Choices
  /** What comes out depends on which key comes first: only one subtask with its state in memory has that order. */
  byOrderOfKeys?: boolean
}

/** The case of one seed, or of choices that were made before. */
export function randomCase(name: string, source: number | readonly number[]): RandomCase {
  const choices = new Choices(source)
  return { name, text: new Relations(choices).text(`Random case ${name}.`), choices }
}

/** Case i of a run is that of seed `seed + i`. */
export const composedCases = (seed: number, count: number): RandomCase[] =>
  Array.from({ length: count }, (_, i) => randomCase(`random_${seed + i}`, seed + i))

/** Cases of fixed shapes, one kind of query after the other; there is nothing to make small. */
export const shapedCases = (seed: number, count: number): RandomCase[] =>
  randomCases(seed, count).map((one) => ({ ...one, choices: new Choices([]), byOrderOfKeys: true }))
