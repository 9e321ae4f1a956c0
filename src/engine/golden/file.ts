// Golden files: SQL in, rows out, on one page. The format is described in `docs/golden-files.md`.
import { defineErrors, spec } from '../../base/index.ts'

export const goldenErrors = defineErrors({
  GOLDEN_FILE_INVALID: spec<{ file: string; line: number; problem: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.file}:${p.line}: ${p.problem}`,
    hint: () =>
      'A golden file has the sections "--- input NAME", "--- sql" (or "--- use FILE") and "--- expect": see docs/golden-files.md.',
  }),
  GOLDEN_ROW_INVALID: spec<{ file: string; line: number; table: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.file}:${p.line}: no row of ${p.table}: ${p.reason}`,
    hint: (p) => `Write it as the CREATE TABLE of ${p.table} declares it: docs/golden-files.md says how each type is written.`,
  }),
  GOLDEN_DIFFERS: spec<{ file: string; report: string }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `${p.file} differs from what it expects\n${p.report}`,
    hint: () => 'Mend the SQL, or take the rows as they are with `millrace test --update FILE` and review the difference.',
  }),
  GOLDEN_UNSTABLE: spec<{ mode: string; report: string }>({
    kind: 'internal',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the rows differ when the same input is played ${p.mode}\n${p.report}`,
    hint: () =>
      'Rows must not depend on crashes or on how input is cut: where the SQL asks for an order that events do not have, make it exact; else report it.',
  }),
})

/** One line of an input: a row, or an instruction of ours. */
export type InputStep =
  | { kind: 'row'; text: string; line: number }
  | { kind: 'watermark'; text: string; line: number }
  | { kind: 'partition'; partition: number; line: number }
  | { kind: 'idle'; line: number }
  | { kind: 'crash'; line: number }

export interface GoldenFile {
  path: string
  summary: string
  inputs: { name: string; line: number; steps: InputStep[] }[]
  /** SQL files and folders of the project whose statements come before `sql`. */
  uses: { name: string; line: number }[]
  sql: string
  /** The materialized table, INSERT target, view or table whose rows are expected; absent: those of the final query. */
  target?: { name: string; line: number }
  expectError: boolean
  /** `name TYPE, …` as formatType prints it. */
  columns?: string
  changelog?: 'append-only' | 'updating'
  rows: { text: string; line: number }[]
  /** Rows that must have been late, as the input has them; absent if the file does not say. */
  late?: string[]
  /** The exact changelog of the run as written, each line `+I[…]`; absent if the file does not say. */
  changes?: string[]
}

/** A line that begins a section. */
const sectionHeader = /^--- (input|use|sql|expect|late|changelog)(?: (.*))?$/
/** The first line of a text that would begin a section, were the text part of a golden file. */
export const sectionLineOf = (text: string): string | undefined =>
  text.split('\n').find((line) => sectionHeader.test(line.replace(/\r$/, '')))
const partitionStep = /^@partition (\d+)$/

/** One line of an input. */
export function inputStep(text: string, line: number, path: string): InputStep {
  if (!text.startsWith('@')) return { kind: 'row', text, line }
  if (text.startsWith('@watermark ')) return { kind: 'watermark', text: text.slice('@watermark '.length), line }
  const partition = partitionStep.exec(text)
  if (partition) return { kind: 'partition', partition: Number(partition[1]), line }
  if (text === '@idle') return { kind: 'idle', line }
  if (text === '@crash') return { kind: 'crash', line }
  throw goldenErrors('GOLDEN_FILE_INVALID', {
    file: path,
    line,
    problem: `unknown instruction "${text}"; known are @watermark TIME, @partition N, @idle and @crash`,
  })
}

/** @throws StreamError GOLDEN_FILE_INVALID with the line */
export function parseGoldenFile(path: string, text: string): GoldenFile {
  const file: GoldenFile = { path, summary: '', inputs: [], uses: [], sql: '', expectError: false, rows: [] }
  const sqlLines: string[] = []
  let section = ''
  let hasExpect = false
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1
    const content = raw.replace(/\r$/, '')
    const header = sectionHeader.exec(content)
    if (header) {
      section = header[1]
      const name = (header[2] ?? '').trim()
      if (section === 'input') file.inputs.push({ name, line, steps: [] })
      if (section === 'use') file.uses.push({ name, line })
      if (section === 'expect') {
        hasExpect = true
        file.expectError = name === 'error'
        if (name && !file.expectError) file.target = { name, line }
      }
      if (section === 'late') file.late = []
      if (section === 'changelog') file.changes = []
      continue
    }
    if (section === 'sql') sqlLines.push(content)
    else if (content.trim() === '') continue
    else if (section === '') file.summary ||= content.replace(/^--\s*/, '')
    else if (section === 'use')
      throw goldenErrors('GOLDEN_FILE_INVALID', { file: path, line, problem: 'nothing stands below "--- use FILE"' })
    else if (section === 'input') file.inputs.at(-1)!.steps.push(inputStep(content.trim(), line, path))
    else if (section === 'late') file.late!.push(content.trim())
    else if (section === 'changelog') file.changes!.push(content.trim())
    else if (content.startsWith('-- columns:')) file.columns = content.slice('-- columns:'.length).trim()
    else if (content.startsWith('-- changelog:')) file.changelog = content.slice('-- changelog:'.length).trim() as 'append-only'
    else if (!file.expectError && !content.startsWith('--')) file.rows.push({ text: content.trim(), line })
  }
  if ((sqlLines.length === 0 && file.uses.length === 0) || !hasExpect)
    throw goldenErrors('GOLDEN_FILE_INVALID', {
      file: path,
      line: 1,
      problem: 'it has neither "--- sql" nor "--- use", or no "--- expect" section',
    })
  file.sql = sqlLines.join('\n')
  return file
}
