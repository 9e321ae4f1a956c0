// Backups of the data folder that this server runs on: one at a time, by order or by the clock.
import { isAbsolute, relative, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Counter, Gauge } from 'prom-client'
import { metrics, reviveError, type StreamError, toStreamError } from '../../base/index.ts'
import type { LocalLog } from '../../log/index.ts'
import type { BackupRun, BackupStatus } from '../../serve/contract.ts'
import { backupErrors } from './errors.ts'
import { listBackups } from './repository.ts'
import { pinRunning, removePin } from './source.ts'
import type { BackupOrder, FromBackup } from './thread.ts'

/** `backup` of millrace.config.ts. */
export interface BackupSchedule {
  /** Relative to the project; outside of the data folder. */
  folder: string
  /** From the start of one backup to the start of the next; absent: only those that somebody asks for. */
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
  help: 'When the newest backup of this run was taken, epoch seconds; 0: none yet.',
  registers: [metrics],
})

export class Backups {
  private readonly dataFolder: string
  private readonly log: LocalLog | undefined
  private readonly schedule: BackupSchedule | undefined
  private readonly onFailed: (error: StreamError) => void
  private readonly timer: NodeJS.Timeout | undefined
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
    const { folder, everyMinutes, keep } = options.schedule ?? {}
    if (folder === undefined || everyMinutes === undefined) return
    this.timer = setInterval(() => {
      try {
        this.start(folder, keep)
      } catch (error) {
        this.onFailed(toStreamError(error))
      }
    }, everyMinutes * 60_000)
    this.timer.unref()
  }

  /** The present or last backup of this run; and those in the configured folder. */
  status(): BackupStatus {
    const { folder, everyMinutes } = this.schedule ?? {}
    const status: BackupStatus = {
      ...(folder !== undefined && { folder }),
      ...(everyMinutes !== undefined && { everyMinutes }),
      backups: [],
    }
    if (this.run) status.run = this.run
    if (folder === undefined) return status
    try {
      status.backups = listBackups(folder)
        .backups.toReversed()
        .map(({ id, createdMs, sizeBytes, copiedBytes, files, damaged }) => ({ id, createdMs, sizeBytes, copiedBytes, files, damaged }))
    } catch {
      // There is none yet.
    }
    return status
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
        total.inc({ outcome: 'failed' })
        this.onFailed(failure)
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
    clearInterval(this.timer)
    await this.worker?.terminate()
    await this.running
  }
}
