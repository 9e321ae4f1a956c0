// A golden file as a function call: inputs and SQL in, rows out, for tests written in TypeScript.
import { formatType } from '../../data/index.ts'
import { differingRows } from './compare.ts'
import { type GoldenFile, goldenErrors, inputStep } from './file.ts'
import { type PlayResult, play, rowText } from './play.ts'
import { goldenModes } from './run.ts'

/** A row, or a line that says when things happen, as in golden files. */
export type PipelineInput = Readonly<Record<string, unknown>> | `@watermark ${string}` | `@partition ${number}` | '@idle' | '@crash'

export interface PipelineTest {
  /** SQL files or folders of the project, relative to the working folder: 'pipelines/shop.sql'. */
  use?: string | readonly string[]
  /** SQL of the test: after that of `use`, with a final SELECT unless `table` is given. */
  sql?: string
  /** The materialized table, INSERT target, view or table whose rows are wanted. */
  table?: string
  /** Rows by table, in order of arrival. A Date is a timestamp, a bigint a BIGINT; a field that is missing is NULL. */
  inputs: Readonly<Record<string, readonly PipelineInput[]>>
}

export interface PipelineResult<Row = Record<string, unknown>> {
  /** What is left at the end. BIGINT beyond 2^53 is a bigint, DECIMAL and timestamps are text. */
  rows: Row[]
  columns: { name: string; type: string }[]
  changes: { kind: '+I' | '-U' | '+U' | '-D'; row: Row }[]
  /** Rows that were dropped for being late, as the operator that dropped them had read them. */
  late: Record<string, unknown>[]
  isAppendOnly: boolean
}

/**
 * Plays the inputs as written, then with a crash before every row and in three batchings, which must give the same rows.
 *
 * @throws StreamError of the SQL with its position, GOLDEN_FILE_INVALID for names that do not exist, GOLDEN_UNSTABLE if the rows differ
 */
export function runPipeline<Row>(test: PipelineTest): PipelineResult<Row> {
  const path = 'testPipeline'
  const { use = [], sql = '', table, inputs = {}, ...unknown } = test
  // Plain JavaScript would else believe that something was expected.
  for (const name of Object.keys(unknown)) {
    const problem = `it has no option "${name}"; known are use, sql, table and inputs. Compare the rows that it gives`
    throw goldenErrors('GOLDEN_FILE_INVALID', { file: path, line: 1, problem })
  }
  const file: GoldenFile = {
    path,
    summary: '',
    uses: [use].flat().map((name) => ({ name, line: 1 })),
    sql,
    target: table === undefined ? undefined : { name: table, line: 1 },
    inputs: Object.entries(inputs).map(([name, rows]) => ({
      name,
      line: 1,
      steps: rows.map((row, i) => inputStep(typeof row === 'string' ? row : jsonOf(row), i + 1, path)),
    })),
    expectError: false,
    rows: [],
  }
  const [asWritten, ...others] = goldenModes
  const result = play(file, asWritten.mode)
  const types = result.fields.map(({ type }) => type)
  for (const { name, mode } of others) {
    const { missing, extra } = differingRows(result.rows, play(file, mode).rows, types)
    const lines = [...missing.map((row) => `- ${rowText(row)}`), ...extra.map((row) => `+ ${rowText(row)}`)]
    if (lines.length > 0) throw goldenErrors('GOLDEN_UNSTABLE', { mode: name, report: lines.join('\n') })
  }
  return resultOf(result)
}

function resultOf<Row>({ fields, rows, changes, late, lateFields, appendOnly }: PlayResult): PipelineResult<Row> {
  const object = (row: unknown[], names: readonly { name: string }[]) =>
    Object.fromEntries(row.map((value, i) => [names[i].name, plain(value)]))
  return {
    rows: rows.map((row) => object(row, fields) as Row),
    columns: fields.map(({ name, type }) => ({ name, type: formatType(type) })),
    changes: changes.map(({ kind, row }) => ({ kind: kind as '+I', row: object(row, fields) as Row })),
    late: late.map((row) => object(row, lateFields)),
    isAppendOnly: appendOnly,
  }
}

/** Integers that a double holds exactly are numbers: so they compare with those in a test. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  return value !== null && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plain(v)])) : value
}

const jsonOf = (row: Readonly<Record<string, unknown>>): string => rowText(inputValue(row))

function inputValue(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString().slice(0, -1).replace('T', ' ')
  if (Array.isArray(value)) return value.map(inputValue)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(entries.map(([name, field]) => [name, inputValue(field)]))
}
