// Exactly once, checked for a user's own pipeline: the same events through a copy of the project twice, once without a crash and once with
// kills at random and in each phase of a checkpoint. What topics, live tables and files hold at the end must be the same.
//
//   events --> project copy, never killed             --> results ─┐
//        `---> project copy, killed again and again   --> results ─┴─> compared --> certificate
//
// Invariants
//   1. The user's project, its data and its server are only read.
//   2. A batch is sent until it is acknowledged, under its key: what the front door has taken is known, whatever dies in between.
//   3. Both see the same events with the same trace ids, in the same order; `id` and `ingested_at` are the front door's, and differ.
//   4. A result is read when every query has read all of its input, and a checkpoint has committed it.
//   5. Where results differ, a third copy that is never killed says whether they do so without a crash, too.
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { IngestAnswer } from '../../ingest/index.ts'
import { bindProject, type Project, readProjectFiles, topicOf } from '../../jobs/index.ts'
import type { CrashTest, QuerySummary, QueryWhy, TablePage, TopicMessage, TopicSummary } from '../../serve/contract.ts'
import { getJson } from '../client.ts'
import { appErrors } from '../errors.ts'
import { wrongFile } from '../output.ts'
import { version } from '../version.ts'
import { Child } from './child.ts'

export type TopicEvents = ReadonlyMap<string, { text: string; timeMs: number }[]>
export interface VerifyOptions {
  project: string
  events: TopicEvents
  kills: number
  seed: number
  /** Where it is killed, in turn. */
  points: readonly KillPoint[]
  onProgress(text: string): void
}
export type Certificate = NonNullable<CrashTest['certificate']>

const BATCHES = 60
const SAMPLES_MAX = 20
const SETTLE_PAUSE_MS = 700
const SETTLE_MS_MAX = 300_000
const PAGE_ROWS = 1_000
/** Often, so that kills meet checkpoints in all phases. */
const settings = `SET 'execution.checkpointing.interval' = '150 ms';\n`
/** `disk`: at a call of a checkpoint's disk; `cut`: behind its cut; `durable`: before its sinks commit; `settled`: after they have. */
export const killPoints = ['random', 'disk', 'cut', 'durable', 'settled'] as const
export type KillPoint = (typeof killPoints)[number]

type Sink = { name: string; kind: 'live table' | 'topic' | 'upsert topic' | 'files'; path?: string; isAtLeastOnce?: boolean }

const NO_ONE_RESULT =
  'it differs between two runs without a crash, too (a query on processing time, with RAND(), UUID() and the like, or with late rows or an idle timeout over several partitions, which are read in any order): nothing can be said of it'
const AT_LEAST_ONCE = "its table says 'sink.delivery-guarantee' = 'at-least-once': a crash writes rows since the last checkpoint again"

/** @throws StreamError VERIFY_NOTHING, VERIFY_PATH_ABSOLUTE, VERIFY_START_FAILED, VERIFY_NOT_SETTLED, and those of the project */
export async function verifyExactlyOnce(options: VerifyOptions): Promise<Certificate> {
  const startedMs = Date.now()
  const { events, kills: killCount, seed, points, onProgress } = options
  const project = bindProject(readProjectFiles(options.project))
  if (project.errors[0]) throw wrongFile(project.errors[0])
  const sinks = sinksOf(project)
  const eventCount = [...events.values()].reduce((sum, { length }) => sum + length, 0)
  if (sinks.length === 0 || eventCount === 0) throw appErrors('VERIFY_NOTHING', { what: sinks.length === 0 ? 'result' : 'event' })
  const batches = batchesOf(events)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-verify-'))
  try {
    onProgress(`${eventCount} events without a crash`)
    const { results: expected, refused } = await plainRun(copyOf(options.project, join(folder, 'plain')), sinks, batches)
    const { results, kills } = await crashedRun(
      copyOf(options.project, join(folder, 'crashed')),
      sinks,
      batches,
      killCount,
      seed,
      points,
      onProgress,
    )
    const compared: Certificate['results'] = sinks.map(({ name, kind }) => ({
      ...{ name, kind },
      ...compareRows(expected.get(name)!, results.get(name)!),
    }))
    const differing = compared.filter(({ missingCount, extraCount }) => missingCount + extraCount > 0)
    if (differing.length > 0) {
      onProgress('results differ: once more without a crash')
      const { results: again } = await plainRun(copyOf(options.project, join(folder, 'again')), sinks, batches)
      for (const result of differing) {
        const { missingCount, extraCount } = compareRows(expected.get(result.name)!, again.get(result.name)!)
        if (missingCount + extraCount > 0) result.note = NO_ONE_RESULT
        else if (result.missingCount === 0 && sinks.find(({ name }) => name === result.name)?.isAtLeastOnce) result.note = AT_LEAST_ONCE
      }
    }
    return {
      pipeline: options.project,
      isExactlyOnce: differing.length === 0,
      millrace: version,
      node: process.version,
      startedAt: new Date(startedMs).toISOString(),
      seconds: Math.round((Date.now() - startedMs) / 1_000),
      seed,
      events: Object.fromEntries([...events].map(([topic, { length }]) => [topic, length])),
      refused,
      kills,
      results: compared,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Topics that events come into from outside: declared, written by no query, and of JSON, which is what is posted here. */
export function sourceTopics(project: Project): string[] {
  const written = new Set(project.queries.flatMap(({ target }) => (target.kind === 'insert' ? topicOf(target.table) : [])))
  const isPosted = ({ options }: Project['tables'][number]) =>
    ['kafka', 'upsert-kafka', undefined].includes(options.connector) && (options.format ?? options['value.format'] ?? 'json') === 'json'
  const declared = project.tables.filter(isPosted).map(topicOf)
  return [...new Set(declared)].filter((topic) => !written.has(topic))
}

function sinksOf(project: Project): Sink[] {
  const sinks = project.queries.flatMap(({ target }): Sink[] => {
    if (target.kind === 'materializedTable') return [{ name: target.table.name, kind: 'live table' }]
    const { options } = target.table
    switch (options.connector ?? 'kafka') {
      case 'kafka':
        return [{ name: topicOf(target.table), kind: 'topic', isAtLeastOnce: options['sink.delivery-guarantee'] === 'at-least-once' }]
      case 'upsert-kafka':
        return [{ name: topicOf(target.table), kind: 'upsert topic' }]
      case 'filesystem':
        if (isAbsolute(options.path) || options.path.includes('://')) throw appErrors('VERIFY_PATH_ABSOLUTE', { path: options.path })
        return [{ name: target.table.name, kind: 'files', path: options.path }]
      default:
        return []
    }
  })
  return [...new Map(sinks.map((sink) => [sink.name, sink])).values()]
}

/** The SQL and configuration of a project in a folder of its own, with checkpoints that come often. */
function copyOf(project: string, target: string): string {
  mkdirSync(target, { recursive: true })
  for (const { name, text } of readProjectFiles(project)) {
    mkdirSync(join(target, name, '..'), { recursive: true })
    writeFileSync(join(target, name), settings + text)
  }
  for (const name of ['functions', 'millrace.config.ts'])
    if (existsSync(join(project, name))) cpSync(join(project, name), join(target, name), { recursive: true })
  return target
}

interface Batch {
  topic: string
  body: string
}
/** In the order of their times, cut where the topic changes. */
function batchesOf(events: TopicEvents): Batch[] {
  const all = [...events]
    .flatMap(([topic, list]) => list.map((event, i) => ({ ...event, topic, i })))
    .sort((a, b) => a.timeMs - b.timeMs || a.i - b.i)
  const size = Math.max(1, Math.ceil(all.length / BATCHES))
  const batches: { topic: string; lines: string[] }[] = []
  for (const { topic, text } of all) {
    const last = batches.at(-1)
    if (last?.topic === topic && last.lines.length < size) last.lines.push(text)
    else batches.push({ topic, lines: [text] })
  }
  return batches.map(({ topic, lines }) => ({ topic, body: lines.join('\n') }))
}

/** Until it is acknowledged: then how many of its events were refused, and kept as dead letters. Undefined if the process is gone. */
async function post(url: string, child: Child, { topic, body }: Batch, key: string): Promise<number | undefined> {
  while (child.isRunning) {
    try {
      const response = await fetch(new URL(`/v1/topics/${encodeURIComponent(topic)}/events`, url), {
        method: 'POST',
        body,
        // Both runs see the same trace ids.
        headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': key, traceparent: traceParentOf(key) },
        signal: AbortSignal.timeout(30_000),
      })
      const answer = await response.json()
      // 422: all of it was refused, which a retry does not change.
      if (response.status === 202 || response.status === 422) return (answer as IngestAnswer).rejectedCount
    } catch {
      // It may be dying: the loop says so.
    }
    await sleep(5)
  }
  return undefined
}

const traceParentOf = (key: string): string => {
  const digest = createHash('sha256').update(key).digest('hex')
  return `00-${digest.slice(0, 32)}-${digest.slice(32, 48)}-01`
}

type Results = Map<string, string[]>

/** @returns  `refused`: events by topic */
async function plainRun(project: string, sinks: Sink[], batches: Batch[]): Promise<{ results: Results; refused: Record<string, number> }> {
  const child = new Child(project, join(project, '.data'))
  try {
    const ready = await child.ready()
    if (!ready) throw appErrors('VERIFY_START_FAILED', { reason: 'it was killed' })
    const refused: Record<string, number> = {}
    for (const [i, batch] of batches.entries()) {
      const count = (await post(ready.url, child, batch, `batch-${i}`)) ?? 0
      if (count > 0) refused[batch.topic] = (refused[batch.topic] ?? 0) + count
    }
    return { results: await settledResults(ready.url, project, sinks), refused }
  } finally {
    await child.end('SIGKILL')
  }
}

async function crashedRun(
  project: string,
  sinks: Sink[],
  batches: Batch[],
  killCount: number,
  seed: number,
  points: readonly KillPoint[],
  onProgress: VerifyOptions['onProgress'],
): Promise<{ results: Results; kills: Certificate['kills'] }> {
  const random = randomOf(seed)
  const kills: Certificate['kills'] = []
  let sent = 0
  for (let kill = 0; kill < killCount; kill++) {
    const point = points[kill % points.length]
    const phase = point === 'random' ? undefined : point
    const child = new Child(project, join(project, '.data'), phase && `${phase}:${1 + random(phase === 'disk' ? 45 : 3)}`)
    try {
      const ready = await child.ready()
      const untilMs = performance.now() + (phase === undefined ? 250 + random(500) : 4_000)
      // The events last for all kills.
      const sentMax = Math.ceil((batches.length * (kill + 1)) / killCount)
      while (ready && child.isRunning && performance.now() < untilMs) {
        if (sent < sentMax && (await post(ready.url, child, batches[sent], `batch-${sent}`)) !== undefined) sent++
        await sleep(10 + random(40))
      }
      const cause = !child.isRunning && phase ? `in a checkpoint: ${phase}` : 'at random'
      kills.push({ cause, afterBatches: sent, restored: (ready?.restored.length ?? 0) > 0 })
      onProgress(`kill ${kill + 1} of ${killCount}, ${cause}`)
    } finally {
      await child.end('SIGKILL')
    }
  }
  const child = new Child(project, join(project, '.data'))
  try {
    const ready = await child.ready()
    if (!ready) throw appErrors('VERIFY_START_FAILED', { reason: 'it was killed' })
    for (; sent < batches.length; sent++) await post(ready.url, child, batches[sent], `batch-${sent}`)
    onProgress('reading the results')
    return { results: await settledResults(ready.url, project, sinks), kills }
  } finally {
    await child.end('SIGKILL')
  }
}

/** Results when nothing is behind and nothing changes any more. @throws StreamError VERIFY_NOT_SETTLED */
async function settledResults(url: string, project: string, sinks: Sink[]): Promise<Results> {
  const deadlineMs = performance.now() + SETTLE_MS_MAX
  let before = ''
  for (;;) {
    const queries = await getJson<QuerySummary[]>({ url }, '/v1/queries')
    const failed = queries.find(({ state }) => state === 'failed')
    if (failed) throw appErrors('VERIFY_START_FAILED', { reason: `${failed.id}: ${failed.error?.message}` })
    const all = await Promise.all(queries.map(({ id }) => getJson<QueryWhy>({ url }, `/v1/queries/${encodeURIComponent(id)}/why`)))
    const behind = all.reduce((sum, { sources }) => sum + sources.reduce((records, source) => records + source.behind, 0), 0)
    const results: Results = new Map()
    for (const sink of sinks) results.set(sink.name, await rowsOf(url, project, sink))
    const now = JSON.stringify([...results])
    if (behind === 0 && now === before) return results
    if (performance.now() > deadlineMs) throw appErrors('VERIFY_NOT_SETTLED', { seconds: SETTLE_MS_MAX / 1_000, behind })
    before = now
    await sleep(SETTLE_PAUSE_MS)
  }
}

async function rowsOf(url: string, project: string, { name, kind, path }: Sink): Promise<string[]> {
  switch (kind) {
    case 'live table': {
      const rows: string[] = []
      let cursor: string | null = null
      do {
        const query: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''
        const page: TablePage = await getJson({ url }, `/v1/tables/${encodeURIComponent(name)}?numbers=string&limit=${PAGE_ROWS}${query}`)
        rows.push(...page.rows.map((row) => JSON.stringify(row)))
        cursor = page.next
      } while (cursor)
      return rows.sort()
    }
    case 'topic':
      return (await readTopic(url, name)).map(({ partition, key, value }) => JSON.stringify([partition, key, value])).sort()
    case 'upsert topic': {
      // What is left of it: the newest record of each key, and no key whose newest is a deletion.
      const newest = new Map((await readTopic(url, name)).map(({ key, value }) => [key, value]))
      return [...newest]
        .filter(([, value]) => value !== null)
        .map((entry) => JSON.stringify(entry))
        .sort()
    }
    case 'files': {
      const folder = join(project, path!)
      const names = existsSync(folder) ? readdirSync(folder).filter((file) => !file.startsWith('.')) : []
      const isParquet = (file: string) => file.endsWith('.parquet')
      const lines = names
        .filter((file) => !isParquet(file))
        .flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n').filter(Boolean))
      return [...lines, ...(await parquetRows(names.filter(isParquet).map((file) => join(folder, file))))].sort()
    }
  }
}

/** Rows of Parquet files as text. The library is loaded here only: this is no process that serves anybody. */
async function parquetRows(paths: readonly string[]): Promise<string[]> {
  if (paths.length === 0) return []
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const database = await DuckDBInstance.create(':memory:')
  const connection = await database.connect()
  try {
    const list = paths.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ')
    const rows = await connection.runAndReadAll(`SELECT CAST(t AS VARCHAR) FROM read_parquet([${list}]) t`)
    return rows.getRows().map(([row]) => String(row))
  } finally {
    connection.closeSync()
    database.closeSync()
  }
}

/** All records of a topic that readers may see, by partition. */
export async function readTopic(url: string, topic: string, max = Number.POSITIVE_INFINITY, token?: string): Promise<TopicMessage[]> {
  const target = { url, ...(token !== undefined && { token }) }
  const info = (await getJson<TopicSummary[]>(target, '/v1/topics')).find(({ name }) => name === topic)
  const records: TopicMessage[] = []
  for (let partition = 0; partition < (info?.partitionCount ?? 0); partition++) {
    for (let offset = 0; records.length < max; ) {
      const path = `/v1/topics/${encodeURIComponent(topic)}/messages?partition=${partition}&offset=${offset}&limit=${PAGE_ROWS}`
      const { messages } = await getJson<{ messages: TopicMessage[] }>(target, path)
      if (messages.length === 0) break
      records.push(...messages.slice(0, max - records.length))
      offset = messages.at(-1)!.offset + 1
    }
  }
  return records
}

/** Rows as multisets. */
export function compareRows(expected: string[], rows: string[]): Omit<Certificate['results'][number], 'name' | 'kind'> {
  const counts = new Map<string, number>()
  for (const row of expected) counts.set(row, (counts.get(row) ?? 0) + 1)
  const extra: string[] = []
  for (const row of rows) {
    const left = counts.get(row) ?? 0
    if (left === 0) extra.push(row)
    else counts.set(row, left - 1)
  }
  const missing = [...counts].flatMap(([row, count]) => Array.from({ length: count }, () => row))
  const sha256 = createHash('sha256').update(rows.join('\n')).digest('hex')
  return {
    rows: expected.length,
    rowsWithCrashes: rows.length,
    missingCount: missing.length,
    extraCount: extra.length,
    missing: missing.slice(0, SAMPLES_MAX),
    extra: extra.slice(0, SAMPLES_MAX),
    sha256,
  }
}

function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
}
