// millrace diff and promote: what a changed file would give, beside what runs; and the change itself.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { DeployReport, ProjectFile, QueryDiff, ScriptDiff } from '../../serve/contract.ts'
import { call, getJson, type Target } from '../client.ts'
import { countText, errorText, plainText, tableText, timeText, wrongFile } from '../output.ts'

const ROWS_SHOWN = 10
const HEADERS = { 'content-type': 'application/json' }

export interface DiffFlags {
  since: string
  json: boolean
}

/** The exit code is 1 if a query differs, as with `diff`; 2, where it throws, is of the caller. */
export async function diffFile(target: Target, path: string, { since, json }: DiffFlags): Promise<void> {
  const sql = readFileSync(path, 'utf8')
  if (!json)
    process.stderr.write(
      `comparing ${basename(path)} with what runs, over ${since === 'earliest' ? 'all records' : `the records since ${since}`} …\n`,
    )
  const body = JSON.stringify({ file: basename(path), sql, since, numbers: 'string' })
  const answer = await call(target, '/v1/queries/diff', { method: 'POST', body, headers: HEADERS })
  const diff = (await answer.json()) as ScriptDiff
  console.log(json ? JSON.stringify(diff) : scriptText(diff, path))
  if (diff.queries.some(differs)) process.exitCode = 1
}

const differs = ({ state, counts: { changed, onlyOld, onlyNew } }: QueryDiff): boolean => state !== 'new' && changed + onlyOld + onlyNew > 0

function scriptText(diff: ScriptDiff, path: string): string {
  const parts = [
    `${countText(diff.records, 'record')}, from ${diff.sinceMs > 0 ? timeText(diff.sinceMs) : 'the oldest'} to ${timeText(diff.untilMs)}`,
    ...diff.queries.map(queryText),
    diff.queries.some(differs) ? `Next: millrace promote ${path} puts it in the place of what runs.` : 'Nothing would be different.',
  ]
  return parts.join('\n\n')
}

function queryText(diff: QueryDiff): string {
  const { query, state, columns, key, counts, changed, onlyOld, onlyNew, first, oldColumns } = diff
  const names = columns.map(({ name }) => name)
  const oldNames = oldColumns.map(({ name }) => name)
  const head = `${query}: ${state === 'new' ? `new, ${counts.new} rows` : `${counts.same} rows the same, ${counts.changed} changed, ${counts.onlyOld} only before, ${counts.onlyNew} only after`}${state === 'same plan' ? ' (the plan is the same)' : ''}`
  const rows: unknown[][] = [
    ...changed.flatMap(({ before, after }) => [
      ['-', ...names.map((name) => before[oldNames.indexOf(name)])],
      ['+', ...after],
    ]),
    ...onlyOld.map((row) => ['-', ...names.map((name) => row[oldNames.indexOf(name)])]),
    ...(state === 'new' ? [] : onlyNew.map((row) => ['+', ...row])),
  ]
  const gone = oldNames.filter((name) => !names.includes(name))
  const parts = [
    head,
    gone.length > 0 ? `columns that are gone: ${gone.join(', ')}` : '',
    rows.length > 0 ? tableText(['', ...names], rows.slice(0, ROWS_SHOWN)) : '',
    rows.length > ROWS_SHOWN ? `… and more: --json has up to 100 of each kind` : '',
    key.length === 0 && rows.length > 0 ? 'rows are compared as a whole: there is no key that both have' : '',
    first
      ? `the first record that makes a difference: ${first.topic} ${first.partition}/${first.offset} of ${timeText(first.timestampMs)}\n  ${plainText(`${first.key ?? '—'} ${first.value ?? '—'}`)}`
      : '',
  ]
  return parts.filter(Boolean).join('\n')
}

/** Puts a file in the place of the project's, and says what started, stayed and stopped. @throws StreamError PROJECT_FILE_WRONG: nothing was written */
export const promoteFile = (target: Target, path: string, options: { dryRun: boolean; json: boolean }): Promise<void> =>
  putFile(target, basename(path), readFileSync(path, 'utf8'), options)

export async function putFile(
  target: Target,
  name: string,
  text: string,
  { dryRun, json }: { dryRun: boolean; json: boolean },
): Promise<void> {
  const known = (await getJson<ProjectFile[]>(target, '/v1/project/files')).find((file) => file.name === name)
  const body = JSON.stringify({ text, version: known?.version ?? null })
  const path = `/v1/project/files/${encodeURIComponent(name)}`
  const put = async (query: string) =>
    (await (await call(target, `${path}${query}`, { method: 'PUT', body, headers: HEADERS })).json()) as DeployReport
  let report = await put('?dryRun=true')
  if (!dryRun) {
    const problem = report.errors.find(({ file }) => basename(file) === name)
    if (problem) throw wrongFile(problem, '\n  Nothing was written.')
    report = await put('')
  }
  if (json) console.log(JSON.stringify(report))
  else {
    const verbs = dryRun ? ['would start anew', 'would stay', 'would stop'] : ['started', 'unchanged', 'stopped']
    for (const [i, ids] of [report.started, report.kept, report.stopped].entries())
      if (ids.length > 0) console.log(`${verbs[i]}: ${ids.join(', ')}`)
    if (report.restored.length > 0) console.log(`go on from their state: ${report.restored.map(({ query }) => query).join(', ')}`)
    for (const notice of report.notices) console.log(notice)
    for (const { file, error } of report.errors) console.error(`error: ${errorText(error, { file })}`)
  }
  if (report.errors.length > 0) process.exitCode = 1
}
