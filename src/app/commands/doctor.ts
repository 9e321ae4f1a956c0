// millrace doctor: looks at what usually goes wrong, and says what to do about it.
import { closeSync, existsSync, fdatasyncSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { makeFolders, missingFolders } from '../../base/index.ts'
import { bindProject, readProjectFiles } from '../../jobs/index.ts'
import type { Config } from '../config.ts'
import { byteText, countText, errorText } from '../output.ts'

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

function checkPort(host: string, port: number): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(
        finding(
          'port',
          'warning',
          `${host}:${port}: ${error.code}`,
          error.code === 'EADDRINUSE'
            ? 'Another process listens there, perhaps Millrace itself; --port 0 picks a free one.'
            : 'Choose another with --port.',
        ),
      ),
    )
    server.listen(port, host, () =>
      server.close(() => resolve(finding('port', 'ok', port === 0 ? `${host}, any free one` : `${host}:${port} is free`))),
    )
  })
}

function checkProject(folder: string): Finding[] {
  try {
    const project = bindProject(readProjectFiles(folder))
    const good = finding(
      'project',
      project.errors.length > 0 ? 'problem' : 'ok',
      [
        countText(project.files.length, 'SQL file'),
        countText(project.tables.length, 'table'),
        countText(project.queries.length, 'query', 'queries'),
      ].join(', '),
    )
    return [
      good,
      ...project.errors.map(({ file, error }) => finding('project', 'problem', errorText(error, { file }).split('\n')[0], error.hint)),
    ]
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
    await checkPort(config.host, config.port),
    ...checkProject(config.folder),
  ]
}

const marks = { ok: '✓', warning: '!', problem: '✗' }
export const findingText = ({ check, state, detail, next }: Finding): string =>
  `${marks[state]} ${check.padEnd(12)} ${detail}${next ? `\n  ${' '.repeat(12)} ${next}` : ''}`
