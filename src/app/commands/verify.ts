// millrace verify exactly-once: runs the check, shows how far it is, and writes the certificate.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { bindProject, readProjectFiles, recordShapeOf, topicOf } from '../../jobs/index.ts'
import type { TableDef } from '../../sql/index.ts'
import type { Target } from '../client.ts'
import { appErrors } from '../errors.ts'
import { plainText, tableText } from '../output.ts'
import {
  type Certificate,
  type KillPoint,
  killPoints,
  readTopic,
  sourceTopics,
  type TopicEvents,
  verifyExactlyOnce,
} from '../verify/verify.ts'

export interface VerifyFlags {
  kills: string
  seed: string
  at?: string
  max: string
  events?: string
  out?: string
  json: boolean
}

const whole = (option: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max)
    throw appErrors('OPTION_INVALID', { option, value: text, expected: `a whole number from ${min} to ${max}` })
  return value
}

/** @throws StreamError OPTION_INVALID */
function pointsOf(text: string): KillPoint[] {
  const known = (name: string): name is KillPoint => (killPoints as readonly string[]).includes(name)
  const names = text.split(',').map((name) => name.trim())
  if (!names.every(known)) throw appErrors('OPTION_INVALID', { option: '--at', value: text, expected: `of ${killPoints.join(',')}` })
  return names
}

/** The exit code is 1 if a row is lost or double. */
export async function verifyCommand(folder: string, target: Target, flags: VerifyFlags): Promise<void> {
  const kills = whole('--kills', flags.kills, 1, 10_000)
  const seed = whole('--seed', flags.seed, 0, 2 ** 32 - 1)
  const points = flags.at === undefined ? killPoints : pointsOf(flags.at)
  const project = resolve(folder)
  const bound = bindProject(readProjectFiles(project))
  const topics = sourceTopics(bound)
  const max = whole('--max', flags.max, 1, 1_000_000)
  const events = flags.events === undefined ? await recordedEvents(target, topics, bound.tables, max) : eventFiles(flags.events, topics)
  const onProgress = (text: string) => {
    if (!flags.json) process.stderr.write(`${text} …\n`)
  }
  const certificate = await verifyExactlyOnce({ project, events, kills, seed, points, onProgress })
  const path = resolve(
    flags.out ?? join(project, 'certificates', `exactly-once-${certificate.startedAt.slice(0, 19).replace(/[:T]/g, '-')}.json`),
  )
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(certificate, null, 2)}\n`)
  console.log(flags.json ? JSON.stringify({ ...certificate, file: path }) : certificateText(certificate, path))
  if (!certificate.isExactlyOnce) process.exitCode = 1
}

/** What a running Millrace holds in these topics. */
async function recordedEvents({ url, token }: Target, topics: string[], tables: TableDef[], max: number): Promise<TopicEvents> {
  const events = new Map<string, { text: string; timeMs: number }[]>()
  for (const topic of topics) {
    const records = await readTopic(url, topic, max, token)
    const table = tables.find((one) => topicOf(one) === topic && one.options['value.fields-include'] === 'EXCEPT_KEY')
    const list = records
      .filter(({ value }) => value !== null && typeof value === 'object')
      .map(({ key, value, timestampMs }) => ({
        text: JSON.stringify({ ...(table && keyFields(table, key)), ...(value as object) }),
        timeMs: timestampMs,
      }))
    if (list.length > 0) events.set(topic, list)
  }
  return events
}

/** Columns that are in a record's key alone: an event that is posted has them beside the others. */
function keyFields(table: TableDef, key: string | null): object {
  const { keyFormat, keyColumns, keyNames } = recordShapeOf(table)
  const names = keyColumns.map((ordinal) => table.columns[ordinal].name)
  if (key === null) return {}
  if (keyFormat === 'raw') return { [names[0]]: key }
  if (keyFormat !== 'json') return {}
  const values = JSON.parse(key) as Record<string, unknown>
  return Object.fromEntries(names.map((name, i) => [name, values[keyNames[i]]]))
}

/** `<topic>.ndjson` in a folder; the lines of several are taken in turn. @throws StreamError VERIFY_NO_FILES */
function eventFiles(folder: string, topics: string[]): TopicEvents {
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => topics.includes(basename(name, '.ndjson')) && name.endsWith('.ndjson'))
    : []
  if (files.length === 0) throw appErrors('VERIFY_NO_FILES', { folder, topics })
  return new Map(
    files.map((name) => {
      const lines = readFileSync(join(folder, name), 'utf8')
        .split('\n')
        .filter((line) => line.trim() !== '')
      return [basename(name, '.ndjson'), lines.map((text, i) => ({ text, timeMs: i }))]
    }),
  )
}

function certificateText({ isExactlyOnce, kills, results, seconds, events, refused }: Certificate, path: string): string {
  const causes = new Map<string, number>()
  for (const { cause } of kills) causes.set(cause, (causes.get(cause) ?? 0) + 1)
  const lost = results.flatMap(({ name, missing, extra, note }) => [
    ...missing.map((row) => `lost from ${name}: ${plainText(row)}`),
    ...extra.map((row) => `too much in ${name}: ${plainText(row)}`),
    ...(note === undefined ? [] : [`${name}: ${note}`]),
  ])
  const empty = results.flatMap(({ name, rows, rowsWithCrashes }) => (rows + rowsWithCrashes === 0 ? [name] : []))
  return [
    isExactlyOnce ? 'Exactly once: every result is what it is without a crash.' : 'NOT exactly once: results differ.',
    `${Object.entries(events)
      .map(
        ([topic, count]) =>
          `${count} events of ${topic}${refused[topic] ? `, ${refused[topic]} of them refused and kept as dead letters` : ''}`,
      )
      .join(
        '; ',
      )}; ${kills.length} kills (${[...causes].map(([cause, count]) => `${count} ${cause}`).join(', ')}), ${kills.filter(({ restored }) => restored).length} starts from a checkpoint; ${seconds} s`,
    tableText(
      ['result', 'kind', 'rows', 'with crashes', 'lost', 'too much'],
      results.map(({ name, kind, rows, rowsWithCrashes, missingCount, extraCount }) => [
        name,
        kind,
        rows,
        rowsWithCrashes,
        missingCount,
        extraCount,
      ]),
    ),
    lost.join('\n'),
    empty.length > 0
      ? `Without a row in either run, so with nothing to compare: ${empty.join(', ')}. \`millrace why ${empty[0]}\` says why; --max takes more events.`
      : '',
    `certificate: ${path}`,
  ]
    .filter(Boolean)
    .join('\n\n')
}
