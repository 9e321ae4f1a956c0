// What became of the project's queries: each text that a query has had, each start with where it went on from and who asked
// for it, each failure with its reason.
//
//   applied project, failures --> records of an internal topic (durable, in backups, with checksums) --> the newest of each query, in memory
//
// Invariants
//   1. A version is a query's SQL together with the whole file that it was in: what somebody needs to go back.
//   2. Nothing waits for the history, and it stops nothing: what cannot be written is a line in the process's log.
//   3. Bounded: VERSIONS_MAX and EVENTS_MAX of a query in memory, TOPIC_BYTES_MAX on disk.
import { basename } from 'node:path'
import type { Logger } from 'pino'
import { type ErrorBody, maskedSql } from '../base/index.ts'
import type { ApplyReport, Cause, Project } from '../jobs/index.ts'
import { ensureTopic, HISTORY_TOPIC, type Log } from '../log/index.ts'
import type { Deploy, QueryHistory, QueryVersion } from '../serve/index.ts'

const TOPIC = HISTORY_TOPIC
const VERSIONS_MAX = 50
const EVENTS_MAX = 200
const RECORDS_MAX = 20_000
const TOPIC_BYTES_MAX = 64 * 1024 * 1024

interface VersionRecord extends Omit<QueryVersion, 'isCurrent'> {
  kind: 'version'
  /** The whole file. */
  text: string
}
type EventRecord = QueryHistory['events'][number]
type HistoryRecord = VersionRecord | EventRecord

interface OneQuery {
  versions: VersionRecord[]
  events: EventRecord[]
}

/** Lines that only one of two texts has; a line that moved is in both. */
function lineChanges(before: string, after: string): { linesAdded: number; linesRemoved: number } {
  const left = new Map<string, number>()
  for (const line of before === '' ? [] : before.split('\n')) left.set(line, (left.get(line) ?? 0) + 1)
  let linesAdded = 0
  for (const line of after.split('\n')) {
    const count = left.get(line) ?? 0
    if (count > 0) left.set(line, count - 1)
    else linesAdded++
  }
  return { linesAdded, linesRemoved: [...left.values()].reduce((sum, count) => sum + count, 0) }
}

export class History {
  private readonly log: Log
  private readonly logger: Logger
  private readonly now: () => number
  private readonly queries = new Map<string, OneQuery>()
  /** Of queries that run: the version that does. */
  private readonly current = new Map<string, number>()
  private turn: Promise<void>

  constructor(log: Log, logger: Logger, now: () => number) {
    this.log = log
    this.logger = logger
    this.now = now
    this.turn = this.load()
  }

  applied(report: ApplyReport, project: Project, cause: Cause | undefined): void {
    const atMs = this.now()
    const byOf = (id: string) => (cause && (cause.query ?? id) === id ? { by: cause.by } : {})
    void this.inTurn(() => {
      const records: [string, HistoryRecord][] = report.stopped.map((id) => [id, { kind: 'stopped', atMs, ...byOf(id) }])
      for (const id of report.stopped) this.current.delete(id)
      for (const id of report.started) {
        const query = project.queries.find((one) => one.id === id)
        if (!query) continue
        const { versions } = this.of(id)
        const text = project.files.find(({ name }) => name === query.file)?.text ?? query.sql
        // Back to an older text is a version of its own: the list tells what ran when.
        const last = versions.at(-1)
        const isSame = last?.sql === query.sql
        const version = isSame ? last.version : (last?.version ?? 0) + 1
        this.current.set(id, version)
        if (!isSame) records.push([id, { kind: 'version', version, atMs, ...byOf(id), file: basename(query.file), sql: query.sql, text }])
        const checkpointId = report.restored.find(({ query: restored }) => restored === id)?.checkpointId
        records.push([id, { kind: 'started', atMs, ...byOf(id), version, ...(checkpointId !== undefined && { checkpointId }) }])
      }
      return records
    })
  }

  failed(query: string, { code, message, hint, params, position }: ErrorBody): void {
    const error = { code, message, hint, ...(params && { params }), ...(position && { position }) }
    void this.inTurn(() => [[query, { kind: 'failed', atMs: this.now(), error }]])
  }

  /** Newest first; undefined for a name that never ran. */
  async ofQuery(name: string): Promise<QueryHistory | undefined> {
    await this.turn
    const id = this.queries.has(name) ? name : `insert_into_${name}`
    const found = this.queries.get(id)
    if (!found) return undefined
    const versions = found.versions.map(({ version, atMs, by, file, sql }) => ({
      version,
      atMs,
      ...(by !== undefined && { by }),
      file,
      sql: maskedSql(sql),
      isCurrent: this.current.get(id) === version,
    }))
    return { query: id, versions: versions.reverse(), events: found.events.toReversed() }
  }

  /** The file as it was with a version of a query. */
  async fileOf(query: string, version: number): Promise<{ file: string; text: string } | undefined> {
    await this.turn
    const found = this.queries.get(query)?.versions.find((one) => one.version === version)
    return found && { file: found.file, text: found.text }
  }

  /** What was deployed last, over all queries; the newest first. */
  async deploys(countMax: number): Promise<Deploy[]> {
    await this.turn
    return [...this.queries]
      .flatMap(([query, { versions }]) =>
        versions.map(({ version, atMs, by, file, sql }, i) => ({
          query,
          version,
          atMs,
          ...(by !== undefined && { by }),
          file,
          sql,
          before: versions[i - 1]?.sql ?? '',
        })),
      )
      .sort((a, b) => b.atMs - a.atMs || a.query.localeCompare(b.query))
      .slice(0, countMax)
      .map(({ sql, before, ...deploy }) => ({
        ...deploy,
        isCurrent: this.current.get(deploy.query) === deploy.version,
        ...lineChanges(before, sql),
      }))
  }

  /** What was told so far is durable, or given up. */
  close(): Promise<void> {
    return this.turn
  }

  private async load(): Promise<void> {
    if (!this.log.topic(TOPIC)) return
    try {
      const records = await this.log.readMessages(TOPIC, { newest: true, limit: RECORDS_MAX })
      for (const { key, value } of records.toSorted((a, b) => a.offset - b.offset)) {
        if (key === null || value === null) continue
        this.take(Buffer.from(key).toString(), JSON.parse(Buffer.from(value).toString()) as HistoryRecord)
      }
    } catch (error) {
      this.logger.error({ reason: (error as Error).message }, 'the history of queries cannot be read: it begins anew')
    }
  }

  private inTurn(make: () => [string, HistoryRecord][]): Promise<void> {
    this.turn = this.turn.then(async () => {
      const records = make()
      if (records.length === 0) return
      for (const [id, record] of records) this.take(id, record)
      try {
        await ensureTopic(this.log, TOPIC, { 'retention.ms': -1, 'retention.bytes': TOPIC_BYTES_MAX })
        const encode = (value: string) => Buffer.from(value)
        await this.log.appendRecords(
          TOPIC,
          0,
          records.map(([id, record]) => ({ key: encode(id), value: encode(JSON.stringify(record)), timestampMs: record.atMs })),
        )
      } catch (error) {
        this.logger.warn({ reason: (error as Error).message }, 'the history of queries was not kept')
      }
    })
    return this.turn
  }

  private take(id: string, record: HistoryRecord): void {
    const { versions, events } = this.of(id)
    if (record.kind === 'version') versions.push(record)
    else events.push(record)
    if (versions.length > VERSIONS_MAX) versions.shift()
    if (events.length > EVENTS_MAX) events.shift()
  }

  private of(id: string): OneQuery {
    let one = this.queries.get(id)
    if (!one) this.queries.set(id, (one = { versions: [], events: [] }))
    return one
  }
}
