// What holds for every random case without Flink: a crash before every row, other batches, other numbers of subtasks and state on the disk
// change nothing in what is left.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isStreamError } from '../../src/base/index.ts'
import {
  differingRows,
  goldenModes,
  type PlayMode,
  type PlayOptions,
  type PlayResult,
  parseGoldenFile,
  play,
  rowText,
} from '../../src/engine/golden/index.ts'
import { type RandomCase, randomCase } from './cases.ts'
import { isSmaller, smaller } from './choices.ts'

const spill = mkdtempSync(join(tmpdir(), 'millrace-random-'))
process.on('exit', () => rmSync(spill, { recursive: true, force: true }))

const crashes: PlayMode = { kind: 'crash-before-every-row' }
const memory = { bytes: 0, folder: spill }
const modes: { name: string; mode: PlayMode; options?: PlayOptions }[] = [
  ...goldenModes.slice(1),
  { name: 'in 4 subtasks', mode: { kind: 'as-written' }, options: { parallelism: 4 } },
  { name: 'in 2 subtasks, in batches', mode: { kind: 'batches', seed: 5 }, options: { parallelism: 2 } },
  { name: 'in 3 subtasks, in batches', mode: { kind: 'batches', seed: 6 }, options: { parallelism: 3 } },
  { name: 'in another number of subtasks after each crash', mode: crashes, options: { parallelism: [1, 2, 3, 1, 4, 2] } },
  { name: 'with its state on the disk', mode: { kind: 'as-written' }, options: { memory } },
  { name: 'with its state on the disk, in batches', mode: { kind: 'batches', seed: 4 }, options: { memory } },
  { name: 'with its state on the disk, with a crash before every row', mode: crashes, options: { memory } },
  { name: 'with its state on the disk, in 3 subtasks', mode: { kind: 'as-written' }, options: { memory, parallelism: 3 } },
  {
    name: 'with its state on the disk, in 2 subtasks, in batches',
    mode: { kind: 'batches', seed: 7 },
    options: { memory, parallelism: 2 },
  },
]

/** @returns the mode in which the rows differ and how; 'rejected' where the query cannot run at all; nothing if all is well */
export function brokenLaw({ name, text, byOrderOfKeys }: RandomCase): { mode: string; lines: string[] } | 'rejected' | undefined {
  const file = parseGoldenFile(name, `${text}--- expect\n`)
  let written: PlayResult
  try {
    written = play(file, { kind: 'as-written' })
  } catch (error) {
    if (isStreamError(error)) return 'rejected'
    return { mode: 'as written', lines: [String((error as Error).stack)] }
  }
  const types = written.fields.map(({ type }) => type)
  for (const { name: mode, mode: how, options } of modes) {
    if (byOrderOfKeys && options) continue
    try {
      const { missing, extra } = differingRows(written.rows, play(file, how, options).rows, types)
      const lines = [...missing.map((row) => `- ${rowText(row)}`), ...extra.map((row) => `+ ${rowText(row)}`)]
      if (lines.length > 0) return { mode, lines }
    } catch (error) {
      return { mode, lines: [String((error as Error).stack)] }
    }
  }
  return undefined
}

/** The smallest case found that breaks a law as well. */
export function smallestBreaking(random: RandomCase, tries = 2000): RandomCase {
  let best = random
  for (let tried = 0; tried < tries; ) {
    const next = smaller(best.choices).find((choices) => {
      const candidate = randomCase(random.name, choices)
      if (tried++ >= tries || !isSmaller(candidate.choices.taken, best.choices.taken)) return false
      if (typeof brokenLaw(candidate) !== 'object') return false
      best = candidate
      return true
    })
    if (!next) break
  }
  return best
}
