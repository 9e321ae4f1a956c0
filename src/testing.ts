// What tests of a project import: `import { testPipeline } from 'millrace/testing'`, for vitest, node:test and others.
import { goldenErrors, type PipelineResult, type PipelineTest, reportOf, runGoldenFile, runPipeline } from './engine/golden/index.ts'

export type { PipelineInput, PipelineResult, PipelineTest } from './engine/golden/index.ts'

/**
 * Plays a golden file, `tests/sessions.test`, in every mode.
 *
 * @throws StreamError GOLDEN_DIFFERS with what differs, GOLDEN_FILE_INVALID, or the file system's error
 */
export function testPipeline(file: string): Promise<undefined>
/**
 * Plays events through SQL and returns the rows that are left: as written, and with the same rows after a crash before every row and
 * in other batchings, or it throws GOLDEN_UNSTABLE.
 *
 * @example
 * const { rows } = await testPipeline<{ k: string; n: number }>({
 *   use: 'pipelines/shop.sql',
 *   table: 'orders_5min',
 *   inputs: { orders: [{ k: 'a', ts: '2026-01-01 00:00:01.000' }, '@crash', { k: 'a', ts: '2026-01-01 00:00:02.000' }] },
 * })
 * @throws StreamError of the SQL with its position, GOLDEN_FILE_INVALID for names that do not exist
 */
export function testPipeline<Row = Record<string, unknown>>(test: PipelineTest): Promise<PipelineResult<Row>>
export async function testPipeline<Row>(test: string | PipelineTest): Promise<PipelineResult<Row> | undefined> {
  if (typeof test !== 'string') return runPipeline<Row>(test)
  const outcome = runGoldenFile(test)
  if (!outcome.passed) throw goldenErrors('GOLDEN_DIFFERS', { file: test, report: reportOf(outcome) })
  return undefined
}
