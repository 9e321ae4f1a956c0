// millrace history and rollback: texts that a query has had, what became of it, and the way back to one of them.
import type { ProjectFile, QueryHistory } from '../../serve/contract.ts'
import { getJson, type Target } from '../client.ts'
import { appErrors } from '../errors.ts'
import { plainText, tableText, timeText } from '../output.ts'
import { putFile } from './diff.ts'

const EVENTS_SHOWN = 20

const historyOf = (target: Target, query: string): Promise<QueryHistory> =>
  getJson<QueryHistory>(target, `/v1/queries/${encodeURIComponent(query)}/history`)

export async function printHistory(target: Target, query: string, json: boolean): Promise<void> {
  const history = await historyOf(target, query)
  console.log(json ? JSON.stringify(history) : historyText(history))
}

function historyText({ query, versions, events }: QueryHistory): string {
  const known = tableText(
    ['version', 'since', 'file', 'by', ''],
    versions.map(({ version, atMs, file, by = '', isCurrent }) => [version, timeText(atMs), file, by, isCurrent ? 'runs' : '']),
  )
  const happened = tableText(
    ['when', 'what', 'by', ''],
    events.slice(0, EVENTS_SHOWN).map((event) => [timeText(event.atMs), event.kind, ('by' in event && event.by) || '', factOf(event)]),
  )
  const older = versions.find(({ isCurrent }) => !isCurrent)
  const next = older ? [`Next: millrace rollback ${query} --to ${older.version} --dry-run`] : []
  return [query, known, happened, ...next].join('\n\n')
}

function factOf(event: QueryHistory['events'][number]): string {
  switch (event.kind) {
    case 'started':
      return `version ${event.version}, from ${event.checkpointId === undefined ? 'the start of its topics' : `checkpoint ${event.checkpointId}`}`
    case 'failed':
      return plainText(`${event.error.message} [${event.error.code}]`)
    default:
      return ''
  }
}

/** The file in which a query had that version takes the place of today's. */
export async function rollBack(
  target: Target,
  name: string,
  { to, dryRun, json }: { to: string; dryRun: boolean; json: boolean },
): Promise<void> {
  const { query, versions } = await historyOf(target, name)
  if (!versions.some(({ version }) => String(version) === to))
    throw appErrors('VERSION_UNKNOWN', { query, version: to, known: versions.map(({ version }) => version) })
  const { file, text } = await getJson<{ file: string; text: string }>(target, `/v1/queries/${encodeURIComponent(query)}/history/${to}`)
  const others = (await getJson<ProjectFile[]>(target, '/v1/project/files'))
    .find((one) => one.name === file)
    ?.queries.filter((id) => id !== query)
  if (!json && others && others.length > 0) console.log(`${file} as a whole goes back: it also has ${others.join(', ')}`)
  await putFile(target, file, text, { dryRun, json })
  const now = versions.find(({ isCurrent }) => isCurrent)
  if (!json && now)
    console.log(dryRun ? `Next: millrace rollback ${query} --to ${to}` : `Undo: millrace rollback ${query} --to ${now.version}`)
}
