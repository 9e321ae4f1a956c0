// The whole platform in one process: log, engine workers, views and HTTP server, wired. The command line starts it; tests and benchmarks do too.
//
// Threads: this one (HTTP, WebSocket, views), the log's writer with the Kafka port, and the engine's workers.
//
// Start: data folder is locked and the log recovered, then the project is bound and its queries started, then the port is opened.
// Stop:  no new connections, workers end, what is pending in the log becomes durable, the lock is let go.
import { existsSync, type FSWatcher, rmSync, statfsSync, watch } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type Logger, pino } from 'pino'
import { makeHttpServer, registerConsole } from '../base/http/index.ts'
import { isStreamError, metrics, type StreamError, TokenStore, toStreamError } from '../base/index.ts'
import { type Batch, type Field, formatType, rowAt, t } from '../data/index.ts'
import { CheckpointStore, formatValue, type MemoryUse } from '../engine/index.ts'
import { registerIngest, type TopicSchema } from '../ingest/index.ts'
import {
  type ApplyReport,
  adhocSlices,
  bindProject,
  bindRecordQuery,
  bindStatistics,
  diffScript,
  forecastState,
  functionFilesOf,
  JobManager,
  prepareAdhoc,
  readProjectFiles,
  recordShapeOf,
  runBounded,
  type SqlFile,
  savepointInfo,
  sourceParts,
  startPreview,
} from '../jobs/index.ts'
import type { HostedKafka, KafkaServer } from '../kafka/index.ts'
import { type Log, type LogStats, openTransactions, type SinkTransactions } from '../log/index.ts'
import { type ColumnInfo, type Health, lagsOfGroups, registerServe, SavedFilters, StatsCollector } from '../serve/index.ts'
import type { TableDef } from '../sql/index.ts'
import { ViewStore } from '../views/index.ts'
import { Backups } from './backup/backups.ts'
import type { Config } from './config.ts'
import { DeadLetters } from './deadLetters.ts'
import { History } from './history.ts'
import { LateRowTopics } from './lateRows.ts'
import { logStream } from './logLines.ts'
import { logOf } from './logOf.ts'
import { byteText, placedMessage } from './output.ts'
import { processConfig } from './processConfig.ts'
import { projectFiles } from './projectFiles.ts'
import { projectTests } from './projectTests.ts'
import { CrashTests } from './verify/crashTest.ts'
import { version } from './version.ts'

export interface Platform {
  url: string
  port: number
  /** Where Kafka clients connect, if they may. */
  kafkaPort: number | undefined
  /** Why there is no port for them although nobody switched it off. */
  kafkaError: StreamError | undefined
  host: string
  report: ApplyReport
  jobs: JobManager
  /** Reads the project's files again and applies what changed. */
  reload(): Promise<ApplyReport>
  /** Calls back after each reload that an edit of the project caused. Returns what ends it. */
  watch(onReload: (report: ApplyReport) => void, onPromoted?: (report: ApplyReport) => void): () => void
  close(): Promise<void>
}

const consoleFolder = resolve(import.meta.dirname, '../../console/dist')
const POLL_MS = 1_000
/** A log's writer that gives no sign for so long is not well. */
const SILENT_MS = 10_000
/** An editor that saves writes several times: wait until it is done. */
const EDIT_PAUSE_MS = 150

export interface StartOptions {
  /** Instead of the project's own. */
  files?: SqlFile[]
  /** Deletes all topics first, once the data folder is ours. */
  fresh?: boolean
  /** Queries go on from this savepoint. */
  savepoint?: string
  /** State of changed queries that fits nowhere any more may be dropped. */
  allowsDroppedState?: boolean
}

/**
 * @throws       StreamError: DATA_FOLDER_LOCKED, HTTP_PORT_IN_USE, PROJECT_NOT_FOUND and others of the parts
 */
export async function startPlatform(
  config: Config,
  { files, fresh = false, savepoint, allowsDroppedState = false }: StartOptions = {},
): Promise<Platform> {
  // With --json what comes as data anyway, such as notices, is not said twice; what failed always leaves a line.
  const stream = logStream(config.json)
  const logger: Logger = pino({ level: config.json ? 'error' : 'warn' }, stream)
  // Who did what that cannot be taken back is said whatever else is not.
  const auditLogger: Logger = pino({ level: 'info' }, stream)
  const startedMs = Date.now()
  let filesSeen: SqlFile[] = []
  let onApiChange: ((report: ApplyReport) => void) | undefined
  const readFiles = () => (filesSeen = files ?? readProjectFiles(config.folder))
  const project = bindProject(readFiles(), config.timeZone)
  let functionFiles = functionFilesOf(project)
  const { log, local, hosted, close: closeLog } = await logOf(config, fresh)
  // What is open so far, newest last: a start that fails half way leaves nothing behind.
  const transactions: SinkTransactions | undefined = hosted ?? (local && openTransactions(local))
  const closers: (() => Promise<void> | void)[] = [closeLog, () => transactions?.close()]
  const closeAll = async () => {
    for (const close of closers.toReversed()) await close()
  }
  try {
    const store = new CheckpointStore(config.dataFolder)
    if (fresh) for (const folder of [store.checkpointsFolder, store.savepointsFolder]) rmSync(folder, { recursive: true, force: true })
    const tokens = new TokenStore(join(config.dataFolder, 'auth', 'tokens.json'))
    const views = new ViewStore({ onDelivered: (latencyMs) => stats.recordLatency(latencyMs) })
    closers.push(() => views.close())
    const deadLetters = new DeadLetters(log, logger)
    let isClosed = false
    const lateRows = new LateRowTopics(log, logger, () => isClosed)
    const history = new History(log, logger, Date.now)
    closers.push(() => history.close())
    const totals = { accepted: 0, rejected: 0 }
    const jobs = new JobManager({
      log,
      tables: views,
      dataFolder: config.dataFolder,
      projectFolder: config.folder,
      store,
      transactions,
      savepoint,
      allowsDroppedState,
      fault: config.fault,
      workerCount: config.workerCount,
      memoryBytes: config.memoryBytes,
      stallTimeoutMs: config.stallTimeoutMs,
      parallelism: config.parallelism,
      timeZone: config.timeZone,
      origins: { parallelism: config.originOf('parallelism'), timeZone: config.originOf('timeZone') },
      now: Date.now,
      onDeadLetters: (letters) => void deadLetters.keep(letters),
      onLateRows: (query, run, topic, rows, fromOffset) => lateRows.keep(query, run, topic, rows, fromOffset),
      latePosition: (topic) => lateRows.position(topic),
      onPrint: (table, batch, fields) => print(table, batch, fields),
      onCheckpointDamaged: (error) => logger.error({ error: error.toJSON() }, `${error.message}: an older one is used`),
      onCheckpointFailed: (job, error) => logger.error({ job, error: error.toJSON() }, `checkpoint of ${job}: ${error.message}`),
      onApplied: (report, applied, cause) => history.applied(report, applied, cause),
      onQueryFailed: (query, error) => {
        logger.error({ query, error }, `query ${query} failed: ${error.message}`)
        history.failed(query, error)
      },
    })
    closers.push(() => jobs.close())
    let kafka: KafkaPort = {}
    const stats = new StatsCollector({
      version,
      eventsIn: () => totals.accepted,
      rejected: () => totals.rejected,
      rowsOut: () => jobs.queries().reduce((sum, { rowsOut }) => sum + rowsOut, 0),
      dataBytes: () => log.stats().sizeBytes,
      diskFreeBytes: () => freeBytes(config.dataFolder),
      memory: () => {
        // An operator accounts for its state after many rows: what small ones hold, their queries know.
        const held = jobs.queries().reduce((sum, { stateBytes }) => sum + stateBytes, 0)
        const use = jobs.memory.use
        return { ...use, stateBytes: Math.max(use.stateBytes, held) }
      },
      queries: () => jobs.queries(),
      topics: () => log.topics(),
      groupLags: async () => (kafka.server ? lagsOfGroups(log, await kafka.server.groups()) : []),
    })
    closers.push(() => stats.close())
    const http = await makeHttpServer({
      host: config.host,
      port: config.port,
      hostNames: config.allowedHosts,
      origins: config.allowedOrigins,
      insecure: config.insecure,
      tokens,
      logger,
    })
    closers.push(() => http.close())
    let isReady = false
    const crashTests = new CrashTests(config.folder, log)
    closers.push(() => crashTests.close())
    const tests = projectTests(config.folder, jobs, log)
    closers.push(() => tests.close())
    const backups = new Backups({
      dataFolder: config.dataFolder,
      log: local,
      schedule: config.backup,
      onFailed: (error) => logger.error({ error: error.toJSON() }, `backup: ${error.message}`),
    })
    closers.push(() => backups.close())
    const ingest = await registerIngest(http.app, {
      log,
      topicSchema: (topic) => schemaOf(jobs.tableOfTopic(topic)),
      topicNames: () => jobs.declaredTopics(),
    })
    registerServe(http.app, {
      views,
      log,
      topicColumns: (topic) => columnsOf(jobs.tableOfTopic(topic)),
      topicFormat: (topic) => schemaOf(jobs.tableOfTopic(topic))?.valueFormat,
      queries: () => jobs.queries(),
      topicUsers: (topic) => jobs.usersOf(topic),
      bindRecords: (topic, query) => bindRecordQuery(topic, jobs.tableOfTopic(topic), query, jobs.timeZone),
      bindStatistics: (topic) => bindStatistics(topic, jobs.tableOfTopic(topic), jobs.timeZone),
      groups: async () => kafka.server?.groups(),
      kafkaUsers: () => kafka.server?.users,
      door: ingest,
      audit: (line) => auditLogger.info(line),
      droppedIn: (name) => jobs.droppedIn(name),
      sourcesOf: () => jobs.sources(),
      inspectQuery: (name) => jobs.inspect(name),
      readState: (id, request) => jobs.readState(id, request),
      parityOf: (name) => jobs.parityOf(name),
      configOf: (name) => jobs.configOf(name),
      processConfig: () => processConfig(config),
      control: {
        stop: (name, by) => jobs.stopQuery(name, by),
        start: (name, withoutState, by) => jobs.startQuery(name, withoutState, by),
        rescale: (name, parallelism, by) => jobs.rescaleQuery(name, parallelism, by),
      },
      checkpoints: {
        ofQuery: (name) => jobs.checkpointsOf(name),
        createSavepoint: (name) => jobs.createSavepoint(name),
        savepoints: () => store.savepoints().map((name) => savepointInfo(store, name)),
        deleteSavepoint: async (name) => store.deleteSavepoint(name),
        atNextCheckpoint: (table, read) => jobs.atNextCheckpoint(table, read),
      },
      history,
      filters: new SavedFilters(log, config.filters, Date.now),
      ...(local && { backups }),
      health: () => healthOf({ isReady, startedMs, log, jobs, kafka, backups: backups.health() }),
      stats,
      version,
      ...(files === undefined && { crashTests, projectTests: tests }),
      diffScript: (file, sql, options) => diffScript(jobs, log, file, sql, options),
      forecastState: (file, sql, options) => forecastState(jobs, log, file, sql, options),
      workspace: {
        catalog: () => jobs.catalog,
        topicOf: (name) => jobs.topicOfTable(name),
        preview: (sql, options) => startPreview(jobs, log, sql, options, (table) => views.copy(table, [], [])),
        files: files === undefined ? projectFiles(config.folder, jobs, config.timeZone, (done) => onApiChange?.(done)) : undefined,
      },
      runSql: async (sql, { rowsMax, signal, slice, shown }) => {
        await log.refresh()
        const statement = prepareAdhoc(jobs, sql, (table) => views.copy(table, [], []))
        if (statement.kind === 'query') {
          const slices = slice && (await adhocSlices(jobs, log, statement.plan, slice))
          return { fields: statement.fields, rows: await runBounded(jobs, statement.plan, { rowsMax, signal, slices }) }
        }
        return { fields: statement.columns.map((name) => ({ name, type: t.string() })), rows: statement.rows.map((row) => row.map(shown)) }
      },
    })
    if (existsSync(consoleFolder)) registerConsole(http.app, consoleFolder)
    const report = await jobs.apply(project, 'the start of the process')
    const address = await http.listen()
    if (hosted) kafka = await openKafkaPort(config, hosted, logger, tokens)
    closers.push(() => kafka.server?.close())
    isReady = true
    for (const report of log.stats().recovery)
      logger.warn({ report }, `${report.topic} ${report.partition} ${report.kind} at offset ${report.offset}: ${report.reason}`)
    const poll = async () => {
      totals.accepted = await counterTotal('millrace_ingest_events_accepted_total')
      totals.rejected = await counterTotal('millrace_ingest_events_rejected_total')
      jobs.memory.otherBytes = views.list().reduce((sum, { bytesEstimate }) => sum + bytesEstimate, log.stats().pendingBytes)
      await jobs.poll()
    }
    const timer = setInterval(() => void poll(), POLL_MS)
    closers.push(
      () => clearInterval(timer),
      () => ingest.close(),
      () => {
        isClosed = true
      },
    )
    void poll()
    const platform: Platform = {
      ...address,
      kafkaPort: kafka.server?.port,
      kafkaError: kafka.error,
      report,
      jobs,
      reload: async () => {
        await log.refresh()
        const next = bindProject(readFiles(), config.timeZone)
        functionFiles = functionFilesOf(next)
        return jobs.apply(next, 'an edit of the files')
      },
      watch: (onReload, onPromoted) => {
        onApiChange = onPromoted
        const reload = async () => onReload(await platform.reload().catch(failedReload))
        // An edit after the files were read, and before this, is one that nobody saw.
        const isBehind = () => {
          try {
            return !isDeepStrictEqual(filesSeen, files ?? readProjectFiles(config.folder))
          } catch {
            return true // the reload tells why they cannot be read
          }
        }
        return watchFolder(config.folder, () => functionFiles, reload, isBehind)
      },
      close: closeAll,
    }
    return platform
  } catch (error) {
    await closeAll()
    throw error
  }
}

/** One object for each table: the door keeps what it has made of it. */
const schemas = new WeakMap<TableDef, TopicSchema>()
function schemaOf(table: TableDef | undefined): TopicSchema | undefined {
  if (!table) return undefined
  let schema = schemas.get(table)
  if (!schema) {
    const fields = table.columns.filter((column) => column.kind === 'physical').map(({ name, type }) => ({ name, type }))
    const { valueFormat, compression } = recordShapeOf(table)
    const { key, formatOptions } = sourceParts(table)
    schema = {
      fields,
      ...doorKey(table),
      valueFormat,
      ...(valueFormat !== 'json' && { formatOptions }),
      ...(key && { isKeyApart: true }),
      ...(compression !== undefined && { compression }),
    }
    schemas.set(table, schema)
  }
  return schema
}

/** How the door makes keys: as the table says that they are read. */
function doorKey(table: TableDef): Pick<TopicSchema, 'keyFields' | 'keyNames' | 'keyFormat'> {
  const { keyColumns, keyNames, keyFormat, isKeyInValue } = recordShapeOf(table)
  if (keyColumns.length === 0) return { keyFields: [] }
  const isUpsert = table.options.connector === 'upsert-kafka'
  const isSaid = isUpsert || table.options['key.format'] !== undefined || !isKeyInValue
  return {
    keyFields: keyColumns.map((ordinal) => table.columns[ordinal].name),
    keyNames,
    ...(isSaid && keyFormat !== 'csv' && { keyFormat }),
  }
}

/** What the disk of a folder has left for this process; undefined where the system does not say. */
function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return undefined
  }
}

/** A counter's value over all its labels. */
async function counterTotal(name: string): Promise<number> {
  const { values } = (await metrics.getSingleMetric(name)?.get()) ?? { values: [] }
  return values.reduce((sum, { value }) => sum + value, 0)
}

const columnsOf = (table: TableDef | undefined): ColumnInfo[] =>
  (table?.columns ?? []).filter((column) => column.kind === 'physical').map(({ name, type }) => ({ name, type: formatType(type) }))

type KafkaPort = { server: KafkaServer; error?: undefined } | { server?: undefined; error?: StreamError }

/** The usual port may be taken by a real Kafka: then there is none, which is said; only a port that somebody named must be there. */
async function openKafkaPort(config: Config, hosted: HostedKafka, logger: Logger, tokens: TokenStore): Promise<KafkaPort> {
  const { kafkaPort: port, isKafkaPortGiven, host, insecure, kafkaTls: tls, kafkaSuperUsers: superUsers, kafkaSettings: settings } = config
  if (port === 'none') return {}
  try {
    return { server: await hosted.open({ host, port, insecure, tls, superUsers, settings }, logger, tokens.file) }
  } catch (error) {
    if (!isStreamError(error)) throw error
    // A port that is taken is no reason to stop. Nor are damaged users and rights, but nobody comes in by them.
    const isBearable = (error.code === 'KAFKA_PORT_IN_USE' && !isKafkaPortGiven) || error.code === 'LOG_SEGMENT_DAMAGED'
    if (!isBearable) throw error
    return { error }
  }
}

/** @param isStopped  whether the log's writer is, in whose thread the port was */
function kafkaHealth({ server, error }: KafkaPort, isStopped: boolean): Health['parts'][string] {
  if (server && isStopped) return { state: 'degraded', detail: `port ${server.port} is closed: the thread of the log's writer has ended` }
  const trouble = server?.trouble()
  if (server && trouble)
    return {
      state: 'degraded',
      detail: `port ${server.port} goes on with the certificate from before: ${trouble.message}. ${trouble.hint}`,
    }
  if (server) return { state: 'ok', detail: `port ${server.port}` }
  if (error?.code === 'LOG_SEGMENT_DAMAGED') return { state: 'degraded', detail: `none: ${error.message}. ${error.hint}` }
  return { state: 'ok', detail: error ? `none: ${error.message}` : 'off' }
}

function logHealth({ pendingBytes, recovery, refusing, writer }: LogStats): Health['parts'][string] {
  const degraded = (detail: string) => ({ state: 'degraded' as const, detail })
  if (writer?.stopped) return degraded(`${writer.stopped.message}. ${writer.stopped.hint}`)
  if (writer && writer.silentMs > SILENT_MS)
    return degraded(`the thread that writes has not answered for ${Math.round(writer.silentMs / 1_000)} s: nothing is acknowledged`)
  const damaged = recovery.filter(({ kind }) => kind === 'damaged').map(({ path, reason }) => `${path}: ${reason}`)
  if (damaged.length > 0)
    return degraded(`${damaged.length} damaged segments, \`millrace doctor --repair\` says what is lost: ${damaged.join('; ')}`)
  if (refusing.length > 0)
    return degraded(refusing.map(({ topic, partition, error }) => `${topic}/${partition}: ${error.message}. ${error.hint}`).join('; '))
  return { state: 'ok', detail: `${byteText(pendingBytes)} pending` }
}

interface HealthOptions {
  isReady: boolean
  startedMs: number
  log: Log
  jobs: JobManager
  kafka: KafkaPort
  backups: Health['parts'][string] | undefined
}
function memoryText({ limitBytes, stateBytes, spilledBytes, otherBytes }: MemoryUse): string {
  const onDisk = spilledBytes > 0 ? `, ${byteText(spilledBytes)} of state on the disk` : ''
  return `${byteText(stateBytes + otherBytes)} of ${byteText(limitBytes)} of memory${onDisk}`
}

function healthOf({ isReady, startedMs, log, jobs, kafka, backups }: HealthOptions): Health {
  const failed = jobs.queries().filter(({ state }) => state === 'failed')
  const stats = log.stats()
  const isStopped = stats.writer?.stopped !== undefined
  const fileErrors = jobs.errors
  const passedOver = jobs.damagedCheckpoints()
  const unwritten = jobs.failingCheckpoints()
  return {
    ready: isReady && !isStopped,
    live: !isStopped,
    version,
    uptimeSeconds: Math.round((Date.now() - startedMs) / 1_000),
    parts: {
      log: logHealth(stats),
      checkpoints:
        passedOver.length > 0
          ? { state: 'degraded', detail: `older ones are used: ${passedOver.map(({ message }) => message).join('; ')}` }
          : unwritten.length > 0
            ? { state: 'degraded', detail: unwritten.map(({ message }) => message).join('; ') }
            : { state: 'ok' },
      engine:
        failed.length > 0
          ? { state: 'degraded', detail: failed.map(({ name, error }) => `${name}: ${error?.message ?? 'failed'}`).join('; ') }
          : {
              state: 'ok',
              detail: `${jobs.queries().length === 1 ? 'one query' : `${jobs.queries().length} queries`}; ${memoryText(jobs.memory.use)}`,
            },
      project:
        fileErrors.length > 0
          ? {
              state: 'degraded',
              detail: fileErrors.map(({ file, error }) => placedMessage(error, file)).join('; '),
            }
          : { state: 'ok' },
      http: { state: isReady ? 'ok' : 'starting' },
      kafka: kafkaHealth(kafka, isStopped),
      ...(backups && { backups }),
    },
  }
}

/** 'connector' = 'print': rows as JSON lines on standard output. */
function print(table: string, batch: Batch, fields: Field[]): void {
  for (let row = 0; row < batch.rowCount; row++) {
    const values = rowAt(batch, row).map((value, i) => formatValue(value, fields[i].type))
    console.log(JSON.stringify({ table, row: values }, (_key, value) => (typeof value === 'bigint' ? String(value) : value)))
  }
}

/** Nothing changed, because the project could not be read. */
const failedReload = (error: unknown): ApplyReport => ({
  started: [],
  kept: [],
  stopped: [],
  errors: [{ file: '', error: toStreamError(error) }],
  restored: [],
  notices: [],
})

/** @param others  files elsewhere whose change counts too; asked again after each change */
function watchFolder(folder: string, others: () => string[], onChange: () => Promise<void>, isBehind: () => boolean): () => void {
  let timer: NodeJS.Timeout | undefined
  let turn = Promise.resolve()
  const plan = () => {
    clearTimeout(timer)
    timer = setTimeout(() => (turn = turn.then(onChange).then(watchOthers)), EDIT_PAUSE_MS)
  }
  const watchers = [folder, join(folder, 'pipelines')]
    .filter((path) => existsSync(path))
    .map((path) =>
      watch(path, (_event, name) => {
        if (name === null || name.endsWith('.sql')) plan()
      }),
    )
  const otherWatchers = new Map<string, FSWatcher>()
  const watchOthers = () => {
    const folders = new Set(others().map((file) => dirname(file)))
    for (const path of folders) {
      if (otherWatchers.has(path) || !existsSync(path)) continue
      otherWatchers.set(
        path,
        watch(path, (_event, name) => {
          if (name === null || others().includes(join(path, name))) plan()
        }),
      )
    }
    for (const [path, watcher] of otherWatchers) {
      if (folders.has(path)) continue
      watcher.close()
      otherWatchers.delete(path)
    }
  }
  watchOthers()
  if (isBehind()) plan()
  return () => {
    clearTimeout(timer)
    for (const watcher of [...watchers, ...otherWatchers.values()]) watcher.close()
  }
}
