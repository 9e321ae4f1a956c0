// Runs golden files in every mode and tells what differs.
import { readFileSync } from 'node:fs'
import { isStreamError, type StreamError } from '../../base/index.ts'
import { inputsOf, type Plan } from '../../sql/index.ts'
import { type Differences, differences, withResult } from './compare.ts'
import { type GoldenFile, parseGoldenFile } from './file.ts'
import { planOf } from './plan.ts'
import { type PlayMode, type PlayOptions, play } from './play.ts'

export const goldenModes: { name: string; mode: PlayMode }[] = [
  { name: 'as written', mode: { kind: 'as-written' } },
  { name: 'with a crash before every row', mode: { kind: 'crash-before-every-row' } },
  ...[1, 2, 3].map((seed) => ({ name: `in batches, seed ${seed}`, mode: { kind: 'batches', seed } as const })),
]

export interface GoldenOutcome {
  path: string
  summary: string
  passed: boolean
  /** Something was not compared: the order of changes, or a result that depends on the order among changes of different keys. */
  isUnordered: boolean
  /** Mode by mode, only those that differ. */
  problems: { mode: string; lines: string[]; rows?: Differences['rows'] }[]
}

const errorLine = (error: unknown): string =>
  isStreamError(error) ? `${error.code}: ${error.message}` : String((error as Error)?.stack ?? error)

/** The file itself is wrong, or what it uses: nothing was played. */
const isInvalid = (error: unknown): error is StreamError => isStreamError(error) && error.code === 'GOLDEN_FILE_INVALID'

function runError(file: GoldenFile): GoldenOutcome['problems'] {
  try {
    planOf(file)
    play(file, { kind: 'as-written' })
  } catch (error) {
    if (isInvalid(error) && error.cause === undefined) throw error
    // Ours and the user's: a typed error. Anything else is a bug, not the rejection that was asked for.
    if (isStreamError(error) && (error as StreamError).kind === 'user') return []
    return [{ mode: 'as written', lines: [`failed with an internal error instead of a typed one: ${errorLine(error)}`] }]
  }
  return [{ mode: 'as written', lines: ['expected an error, but the query ran'] }]
}

/** Aggregates whose result depends on the order of their rows. */
const orderly = /^(FIRST_VALUE|LAST_VALUE|LISTAGG|ARRAY_AGG|JSON_ARRAYAGG)/
const stateless: ReadonlySet<Plan['node']> = new Set(['scan', 'values', 'calc', 'watermark', 'windowTvf', 'correlate'])
/** Which of two partitions is read first in a round says nobody: what depends on that comes in another order than in one subtask. */
function dependsOnOrder(plan: Plan): boolean {
  const isStateful = (node: Plan): boolean => !stateless.has(node.node) || inputsOf(node).some(isStateful)
  const own = 'aggregates' in plan && plan.aggregates.some(({ fn }) => orderly.test(fn)) && inputsOf(plan).some(isStateful)
  return own || inputsOf(plan).some(dependsOnOrder)
}

/** @throws the file system's error if the file cannot be read, StreamError GOLDEN_FILE_INVALID if it is no golden file */
export function runGoldenFile(path: string, options: PlayOptions = {}): GoldenOutcome {
  const file = parseGoldenFile(path, readFileSync(path, 'utf8'))
  // In which order changes of different keys come depends on the number of subtasks, and on what is on the disk.
  const isUnordered = options.parallelism !== undefined && file.changes !== undefined
  if (options.parallelism ?? options.memory) file.changes = undefined
  if (file.expectError) {
    const problems = runError(file)
    return { path, summary: file.summary, isUnordered, passed: problems.length === 0, problems }
  }
  const problems: GoldenOutcome['problems'] = []
  // Row by row a round has one cause.
  const hasPartitions = file.inputs.some(({ steps }) => steps.some(({ kind }) => kind === 'partition'))
  const isRacy = options.parallelism !== undefined && hasPartitions && dependsOnOrder(planOf(file).plan)
  for (const { name, mode } of goldenModes) {
    if (isRacy && mode.kind === 'batches') continue
    try {
      const { lines, rows } = differences(file, play(file, mode, options), mode)
      if (lines.length > 0) problems.push({ mode: name, lines, rows })
    } catch (error) {
      if (isInvalid(error)) throw error
      problems.push({ mode: name, lines: [errorLine(error)] })
      if (mode.kind === 'as-written') break
    }
  }
  return { path, summary: file.summary, isUnordered: isUnordered || isRacy, passed: problems.length === 0, problems }
}

/**
 * The text of the file with today's result as its expectation. One whose query is rejected, as it expects, stays as it is.
 *
 * @throws StreamError of the SQL where rows are expected
 */
export const updatedGoldenFile = (path: string): string => updatedGoldenText(path, readFileSync(path, 'utf8'))

/** As `updatedGoldenFile`, of a text that is not there yet; what it uses is looked for from `path`. */
export function updatedGoldenText(path: string, text: string): string {
  const file = parseGoldenFile(path, text)
  try {
    return withResult(file, text, play(file, { kind: 'as-written' }))
  } catch (error) {
    if (file.expectError && isStreamError(error)) return text
    throw error
  }
}
