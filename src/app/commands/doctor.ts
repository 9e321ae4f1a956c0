// millrace doctor: looks at what usually goes wrong, and says what to do about it.
import { closeSync, existsSync, fdatasyncSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { makeFolders, missingFolders } from '../../base/index.ts'
import { bindProject, readProjectFiles, tableErrors } from '../../jobs/index.ts'
import type { Health } from '../../serve/contract.ts'
import type { Config } from '../config.ts'
import { byteText, countText, durationText, errorText } from '../output.ts'

export interface Finding {
  check: string
  state: 'ok' | 'warning' | 'problem'
  detail: string
  /** What to do; empty where there is nothing to do. */
  next: string
}

const finding = (check: string, state: Finding['state'], detail: string, next = ''): Finding => ({ check, state, detail, next })

function checkNode(): Finding {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const fits = major > 24 || (major === 24 && minor >= 6)
  return finding(
    'Node',
    fits ? 'ok' : 'problem',
    process.versions.node,
    fits ? '' : 'Install Node 24.6 or newer, or run `npm install` in the repository: it brings one.',
  )
}

function checkMachine(budgetBytes: number): Finding {
  const memoryBytes = totalmem()
  const small = memoryBytes < 1 << 30
  return finding(
    'machine',
    small || budgetBytes > memoryBytes * 0.8 ? 'warning' : 'ok',
    `${availableParallelism()} cores, ${byteText(memoryBytes)} memory, of which ${byteText(budgetBytes)} for state, live tables and buffers`,
    budgetBytes > memoryBytes * 0.8
      ? 'The process needs memory beside its budget: give --memory less than 80 % of what there is.'
      : small
        ? 'Millrace wants 1 GiB for more than a demo.'
        : '',
  )
}

function checkFolder(folder: string): Finding[] {
  const probe = join(folder, `.doctor-${process.pid}`)
  // What it makes to look at the disk is gone afterwards: a look leaves nothing behind.
  const [made] = missingFolders(folder)
  try {
    makeFolders(folder)
    const file = openSync(probe, 'w')
    const block = Buffer.alloc(16 * 1024, 7)
    const timesMs: number[] = []
    for (let i = 0; i < 50; i++) {
      writeSync(file, block)
      const startedMs = performance.now()
      fdatasyncSync(file)
      timesMs.push(performance.now() - startedMs)
    }
    closeSync(file)
    timesMs.sort((a, b) => a - b)
    const [p50, p99] = [timesMs[25], timesMs[49]]
    const { bavail, bsize } = statfsSync(folder)
    const freeBytes = bavail * bsize
    const slow = p99 > 50
    return [
      finding('data folder', 'ok', folder),
      finding(
        'disk sync',
        slow ? 'warning' : 'ok',
        `fdatasync p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
        slow ? 'Acknowledgements wait for it: use a faster disk, larger batches, or --durability os.' : '',
      ),
      finding(
        'disk space',
        freeBytes < 1 << 30 ? 'warning' : 'ok',
        `${byteText(freeBytes)} free`,
        freeBytes < 1 << 30 ? 'Free some, or lower retention.ms and retention.bytes of large topics.' : '',
      ),
    ]
  } catch (error) {
    return [
      finding(
        'data folder',
        'problem',
        (error as Error).message,
        (error as NodeJS.ErrnoException).code === 'ENOSPC'
          ? 'Free some space, or lower retention.ms and retention.bytes of large topics: until then nothing is acknowledged.'
          : 'Choose a folder that this user may write with --data, or mend its permissions.',
      ),
    ]
  } finally {
    rmSync(probe, { force: true })
    if (made !== undefined) removeEmpty(folder, made)
  }
}

/** Takes away `path` and the folders above it up to `upTo`, as long as they are empty: a server may have begun to use them meanwhile. */
function removeEmpty(path: string, upTo: string): void {
  try {
    if (existsSync(path)) rmdirSync(path)
  } catch {
    return
  }
  if (path !== upTo) removeEmpty(dirname(path), upTo)
}

/** Whether one can listen there, and if not, whether that is because Millrace does. */
function checkPort(check: string, flag: string, host: string, port: number): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(
        finding(
          check,
          'warning',
          `${host}:${port}: ${error.code}`,
          error.code === 'EADDRINUSE'
            ? `Another process listens there, perhaps Millrace itself; ${flag} 0 picks a free one.`
            : `Choose another with ${flag}.`,
        ),
      ),
    )
    server.listen(port, host, () =>
      server.close(() => resolve(finding(check, 'ok', port === 0 ? `${host}, any free one` : `${host}:${port} is free`))),
    )
  })
}

/** The ports; of a Millrace that runs, how it does instead. */
async function checkPorts({ host, port, kafkaPort }: Config): Promise<Finding[]> {
  const running = port === 0 ? undefined : await healthAt(host, port)
  if (running === undefined)
    return [
      await checkPort('port', '--port', host, port),
      ...(kafkaPort === 'none' ? [] : [await checkPort('Kafka port', '--kafka-port', host, kafkaPort)]),
    ]
  const bad = Object.entries(running.parts).filter(([, { state }]) => state !== 'ok')
  return [
    finding('port', 'ok', `${host}:${port}: Millrace ${running.version} has run there for ${durationText(running.uptimeSeconds * 1_000)}`),
    ...bad.map(([part, { state, detail }]) =>
      finding(
        part,
        state === 'failed' ? 'problem' : 'warning',
        [state, detail].filter(Boolean).join(': '),
        'The console’s first page says what to do.',
      ),
    ),
  ]
}

async function healthAt(host: string, port: number): Promise<Health | undefined> {
  try {
    const address = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
    const response = await fetch(`http://${address.includes(':') ? `[${address}]` : address}:${port}/v1/health`, {
      signal: AbortSignal.timeout(2_000),
    })
    const health = (await response.json()) as Partial<Health>
    return health.parts && health.version !== undefined ? (health as Health) : undefined
  } catch {
    return undefined
  }
}

function checkProject(folder: string): Finding[] {
  try {
    const project = bindProject(readProjectFiles(folder))
    const errors = [...project.errors, ...tableErrors(project)]
    const good = finding(
      'project',
      errors.length > 0 ? 'problem' : 'ok',
      [
        countText(project.files.length, 'SQL file'),
        countText(project.tables.length, 'table'),
        countText(project.queries.length, 'query', 'queries'),
      ].join(', '),
    )
    return [good, ...errors.map(({ file, error }) => finding('project', 'problem', errorText(error, { file }).split('\n')[0], error.hint))]
  } catch (error) {
    return [
      finding(
        'project',
        'warning',
        (error as Error).message,
        '`millrace init FOLDER` makes one; nothing to do if you only want to look at the machine.',
      ),
    ]
  }
}

export async function runDoctor(config: Config): Promise<Finding[]> {
  return [
    checkNode(),
    checkMachine(config.memoryBytes),
    ...checkFolder(config.dataFolder),
    ...(await checkPorts(config)),
    ...checkProject(config.folder),
  ]
}

const marks = { ok: '✓', warning: '!', problem: '✗' }
export const findingText = ({ check, state, detail, next }: Finding): string =>
  `${marks[state]} ${check.padEnd(12)} ${detail}${next ? `\n  ${' '.repeat(12)} ${next}` : ''}`
