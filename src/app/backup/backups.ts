// Backups of the data folder that this server runs on: one at a time, by order or by the clock.
import { isAbsolute, relative, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Counter, Gauge } from 'prom-client'
import { metrics, reviveError, type StreamError, toStreamError } from '../../base/index.ts'
import type { LocalLog } from '../../log/index.ts'
import type { BackupInfo, BackupRun, BackupStatus, Health } from '../../serve/contract.ts'
import { backupErrors } from './errors.ts'
import { listBackups } from './repository.ts'
import { pinRunning, removePin } from './source.ts'
import type { BackupOrder, FromBackup } from './thread.ts'

/** `backup` of millrace.config.ts. */
export interface BackupSchedule {
  /** Relative to the project; outside of the data folder. */
  folder: string
  /** From one backup to the next, restarts between them or not; absent: only those that somebody asks for. */
  everyMinutes?: number
  /** How many of the newest are kept; absent: all. */
  keep?: number
}

const total = new Counter({
  name: 'millrace_backups_total',
  help: 'Backups of the data folder, by what became of them.',
  labelNames: ['outcome'],
  registers: [metrics],
})
const lastSeconds = new Gauge({
  name: 'millrace_backup_last_success_timestamp_seconds',
  help: 'When the newest backup in the configured folder, or of this run, was taken, epoch seconds; 0: there is none.',
  registers: [metrics],
})

/** A start has other things to do first. */
const FIRST_MS = 10_000
/** One that failed is tried again earlier than the next is due. */
const RETRY_MS = 5 * 60_000
/** What a timer can wait. */
const WAIT_MS_MAX = 2 ** 31 - 1

export class Backups {
  private readonly dataFolder: string
  private readonly log: LocalLog | undefined
  private readonly schedule: BackupSchedule | undefined
  private readonly onFailed: (error: StreamError) => void
  private timer: NodeJS.Timeout | undefined
  private nextMs: number | undefined
  private isClosed = false
  private run: BackupRun | undefined
  private running: Promise<void> | undefined
  private worker: Worker | undefined

  /** @param log  absent: the log is a real Kafka, and not ours to back up */
  constructor(options: {
    dataFolder: string
    log: LocalLog | undefined
    schedule: BackupSchedule | undefined
    onFailed: (error: StreamError) => void
  }) {
    this.dataFolder = options.dataFolder
    this.log = options.log
    this.schedule = options.schedule
    this.onFailed = options.onFailed
    removePin(options.dataFolder)
    const newestMs = this.listed().at(0)?.createdMs
    if (newestMs !== undefined) lastSeconds.set(newestMs / 1_000)
    const everyMs = this.everyMs
    if (everyMs !== undefined) this.plan(Math.max(Date.now() + Math.min(FIRST_MS, everyMs), (newestMs ?? 0) + everyMs))
  }

  private get everyMs(): number | undefined {
    const { everyMinutes } = this.schedule ?? {}
    return everyMinutes === undefined || !this.log ? undefined : everyMinutes * 60_000
  }

  /** The next one by the clock. */
  private plan(atMs: number): void {
    clearTimeout(this.timer)
    if (this.isClosed) return
    this.nextMs = atMs
    this.timer = setTimeout(
      () => {
        if (Date.now() < atMs) return this.plan(atMs)
        try {
          this.start(this.schedule?.folder, this.schedule?.keep)
        } catch (error) {
          this.failed(toStreamError(error))
        }
      },
      Math.min(Math.max(0, atMs - Date.now()), WAIT_MS_MAX),
    )
    this.timer.unref()
  }

  private failed(failure: StreamError): void {
    total.inc({ outcome: 'failed' })
    this.onFailed(failure)
    if (this.everyMs !== undefined) this.plan(Date.now() + Math.min(RETRY_MS, this.everyMs))
  }

  private listed(): BackupInfo[] {
    const { folder } = this.schedule ?? {}
    if (folder === undefined) return []
    try {
      return listBackups(folder)
        .backups.toReversed()
        .map(({ id, createdMs, sizeBytes, copiedBytes, files, damaged }) => ({ id, createdMs, sizeBytes, copiedBytes, files, damaged }))
    } catch {
      // There is none yet.
      return []
    }
  }

  /** For people: what became of the last one, and whether the newest is as new as it should be. Undefined: none is configured. */
  health(): Health['parts'][string] | undefined {
    if (this.everyMs === undefined) return undefined
    const { run, nextMs = 0 } = this
    if (run?.state === 'failed') return { state: 'degraded', detail: run.error?.message ?? 'the last one failed' }
    const [newest] = this.listed()
    const next = `the next one at ${new Date(nextMs).toISOString()}`
    return { state: 'ok', detail: newest ? `newest ${newest.id}, ${next}` : next }
  }

  /** The present or last backup of this run; and those in the configured folder. */
  status(): BackupStatus {
    const { folder, everyMinutes, keep } = this.schedule ?? {}
    return {
      dataFolder: this.dataFolder,
      ...(folder !== undefined && { folder }),
      ...(everyMinutes !== undefined && { everyMinutes }),
      ...(keep !== undefined && { keep }),
      ...(this.nextMs !== undefined && { nextMs: this.nextMs }),
      ...(this.run && { run: this.run }),
      backups: this.listed(),
    }
  }

  /**
   * Begins a backup; `status` says what becomes of it.
   *
   * @param folder  default: the configured one
   * @throws        BACKUP_BUSY, BACKUP_FOLDER_RELATIVE, BACKUP_SOURCE_MISSING
   */
  start(folder: string | undefined = this.schedule?.folder, keep?: number): BackupRun {
    const { dataFolder, log } = this
    if (!log) throw backupErrors('BACKUP_SOURCE_MISSING', { folder: dataFolder, reason: 'its topics are in a Kafka cluster' })
    if (folder === undefined || !isAbsolute(folder) || !relative(resolve(dataFolder), folder).startsWith('..'))
      throw backupErrors('BACKUP_FOLDER_RELATIVE', { folder: folder ?? '' })
    if (this.running) throw backupErrors('BACKUP_BUSY', { reason: `one into "${this.run?.folder}" is running` })
    const run: BackupRun = { state: 'running', folder, startedMs: Date.now(), doneBytes: 0, totalBytes: 0 }
    this.run = run
    this.running = this.work(run, log, keep)
      .catch((error) => {
        const failure = toStreamError(error)
        run.state = 'failed'
        run.error = failure.toJSON()
        if (!this.isClosed) this.failed(failure)
      })
      .finally(() => {
        removePin(dataFolder)
        this.running = undefined
      })
    return { ...run }
  }

  private async work(run: BackupRun, log: LocalLog, keep: number | undefined): Promise<void> {
    const source = await pinRunning(this.dataFolder, log)
    const order: BackupOrder = { source, folder: run.folder, ...(keep !== undefined && { keep }) }
    const worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData: order, name: 'backup' })
    this.worker = worker
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (message: FromBackup) => {
        switch (message.type) {
          case 'progress':
            Object.assign(run, message.progress)
            break
          case 'failed':
            reject(reviveError(message.error, message.httpStatus))
            break
          case 'done': {
            const { id, createdMs, sizeBytes, copiedBytes, files, damaged } = message.backup
            const backup = { id, createdMs, sizeBytes, copiedBytes, files, damaged }
            Object.assign(run, { state: 'done', backup, removed: message.removed, doneBytes: sizeBytes, totalBytes: sizeBytes })
            total.inc({ outcome: 'done' })
            lastSeconds.set(createdMs / 1_000)
            if (this.everyMs !== undefined && run.folder === this.schedule?.folder) this.plan(run.startedMs + this.everyMs)
            resolve()
          }
        }
      })
      worker.on('error', reject)
      worker.on('exit', () => reject(backupErrors('BACKUP_FAILED', { folder: run.folder, reason: 'it was ended' })))
    })
  }

  /** Ends a backup that is on its way: nothing of it counts. */
  async close(): Promise<void> {
    this.isClosed = true
    clearTimeout(this.timer)
    await this.worker?.terminate()
    await this.running
  }
}
