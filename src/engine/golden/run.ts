// Runs golden files in every mode and tells what differs.
import { readFileSync } from 'node:fs'
import { isStreamError, type StreamError } from '../../base/index.ts'
import { type Differences, differences, withResult } from './compare.ts'
import { type GoldenFile, parseGoldenFile } from './file.ts'
import { planOf } from './plan.ts'
import { type PlayMemory, type PlayMode, play } from './play.ts'

export const goldenModes: { name: string; mode: PlayMode }[] = [
  { name: 'as written', mode: { kind: 'as-written' } },
  { name: 'with a crash before every row', mode: { kind: 'crash-before-every-row' } },
  ...[1, 2, 3].map((seed) => ({ name: `in batches, seed ${seed}`, mode: { kind: 'batches', seed } as const })),
]

export interface GoldenOutcome {
  path: string
  summary: string
  passed: boolean
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

/** @throws the file system's error if the file cannot be read, StreamError GOLDEN_FILE_INVALID if it is no golden file */
export function runGoldenFile(path: string, memory?: PlayMemory): GoldenOutcome {
  const file = parseGoldenFile(path, readFileSync(path, 'utf8'))
  // Rows of different keys come in another order then.
  if (memory) file.changes = undefined
  if (file.expectError) {
    const problems = runError(file)
    return { path, summary: file.summary, passed: problems.length === 0, problems }
  }
  const problems: GoldenOutcome['problems'] = []
  for (const { name, mode } of goldenModes) {
    try {
      const { lines, rows } = differences(file, play(file, mode, memory), mode)
      if (lines.length > 0) problems.push({ mode: name, lines, rows })
    } catch (error) {
      if (isInvalid(error)) throw error
      problems.push({ mode: name, lines: [errorLine(error)] })
      if (mode.kind === 'as-written') break
    }
  }
  return { path, summary: file.summary, passed: problems.length === 0, problems }
}

/**
 * The text of the file with today's result as its expectation. One whose query is rejected, as it expects, stays as it is.
 *
 * @throws StreamError of the SQL where rows are expected
 */
export function updatedGoldenFile(path: string): string {
  const text = readFileSync(path, 'utf8')
  const file = parseGoldenFile(path, text)
  try {
    return withResult(file, text, play(file, { kind: 'as-written' }))
  } catch (error) {
    if (file.expectError && isStreamError(error)) return text
    throw error
  }
}
