// Starts a platform, says where it is, and stops it on SIGINT or SIGTERM.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { type ApplyReport, hasUnendedThreads } from '../../jobs/index.ts'
import type { Config } from '../config.ts'
import { logStream } from '../logLines.ts'
import { errorText } from '../output.ts'
import { type Platform, startPlatform } from '../platform.ts'

/** A stop that takes longer is ended: everything acknowledged is on disk already. */
const STOP_MS_MAX = 4_500

/** Also where a thread does not end, for which `process.exit` would wait. */
function exit(code: number): void {
  if (hasUnendedThreads()) process.kill(process.pid, 'SIGKILL')
  else process.exit(code)
}

export interface ServeOptions {
  /** Take up edits of the project. */
  watch: boolean
  /** Begin with empty topics. */
  fresh?: boolean
  /** Begin from this savepoint. */
  savepoint?: string
  /** State of changed queries that fits nowhere may be dropped. */
  allowsDroppedState?: boolean
  /** Runs beside the platform until `signal` is aborted. */
  beside?: (platform: Platform, signal: AbortSignal) => Promise<void>
}

export async function serve(config: Config, options: ServeOptions): Promise<void> {
  const startedMs = performance.now()
  process.on('uncaughtException', (err) => {
    pino(logStream(config.json)).fatal({ code: 'INTERNAL', err }, 'the process ends')
    exit(1)
  })
  const platform = await startPlatform(config, options)
  const stopping = new AbortController()
  const stop = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(130)
    stopping.abort()
    if (!config.json && signal === 'SIGINT') console.log('\nstopping …')
    setTimeout(() => exit(1), STOP_MS_MAX).unref()
    void platform.close().then(() => exit(0))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  // Before it says that it is ready: who reads that may edit at once.
  if (options.watch)
    platform.watch(
      (change) => printReload('edited', change, config),
      (change) => printReload('changed over the API', change, config),
    )
  const { url, host, port, kafkaPort, kafkaError, report } = platform
  if (config.json) {
    const errors = report.errors.map(({ file, error }) => ({ file, ...error.toJSON() }))
    const { started: queries, restored, notices } = report
    console.log(
      JSON.stringify({ url, host, port, kafkaPort, pid: process.pid, data: config.dataFolder, queries, restored, notices, errors }),
    )
  } else {
    console.log(`Millrace is ready after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s\n`)
    console.log(`  console   ${url}`)
    console.log(`  API       ${url}/v1/openapi.json`)
    if (kafkaPort !== undefined) console.log(`  Kafka     ${host}:${kafkaPort}`)
    if (kafkaError) console.log(`  Kafka     none: ${kafkaError.message}; name a port with --kafka-port`)
    console.log(`  data      ${config.dataFolder}`)
    console.log(`  queries   ${report.started.join(', ') || 'none'}`)
    if (report.restored.length > 0) console.log(`  state     ${report.restored.length} of them went on from their checkpoint`)
    console.log()
    for (const notice of report.notices) console.error(`note: ${notice}\n`)
    printErrors(report, config.folder)
    console.log('Ctrl-C stops it.')
  }
  if (options.beside) await options.beside(platform, stopping.signal)
}

function printErrors({ errors }: ApplyReport, folder: string): void {
  for (const { file, error } of errors) {
    const path = join(folder, file)
    const text = existsSync(path) && statSync(path).isFile() ? readFileSync(path, 'utf8') : undefined
    console.error(`error: ${errorText(error, { file, text })}\n`)
  }
}

function printReload(what: string, report: ApplyReport, { json, folder }: Config): void {
  const { started, kept, stopped, errors, restored, notices } = report
  if (json) {
    console.log(
      JSON.stringify({
        reloaded: { started, kept, stopped, restored, notices, errors: errors.map(({ file, error }) => ({ file, ...error.toJSON() })) },
      }),
    )
    return
  }
  const parts = [
    started.length > 0 ? `started ${started.join(', ')}` : '',
    stopped.length > 0 ? `stopped ${stopped.join(', ')}` : '',
    `${kept.length} unchanged`,
  ]
  console.log(`${new Date().toISOString().slice(11, 19)} ${what}: ${parts.filter(Boolean).join('; ')}`)
  for (const notice of notices) console.error(`note: ${notice}`)
  printErrors(report, folder)
}
