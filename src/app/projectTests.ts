// A project's golden files as the console has them: listed, played, written, and drafted from records that are in the log.
//
// Invariants
//   1. A file is only replaced by one who has seen it (`version`), and is there whole or not at all; no name leaves the folder `tests`.
//   2. Tests are played in a process of their own, and drafts in a thread, each one after the other, and are ended after a while or with the server:
//      what runs here is not held up.
//   3. A draft is the statement, the records that it was drafted from, and the rows that the engine gives for them now: whoever saves it reviews it.
//      No statement can bring sections of its own into it: `--- use` reads files.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { isStreamError, reviveError } from '../base/index.ts'
import { parseGoldenFile, sectionLineOf } from '../engine/golden/index.ts'
import {
  adhocSlices,
  bindProject,
  changesOf,
  type JobManager,
  jobErrors,
  prepareAdhoc,
  projectFolder,
  readProjectFiles,
  rowText,
  type SliceOptions,
  scannedTables,
} from '../jobs/index.ts'
import type { Log } from '../log/index.ts'
import type { ProjectTest, ProjectTests, TestRun } from '../serve/index.ts'
import { bindStatement, type Plan, parseStatement } from '../sql/index.ts'
import { jsonOf } from '../views/index.ts'
import type { DraftOrder, FromDraft } from './draftThread.ts'
import { appErrors } from './errors.ts'
import { removeUnfinished, writeWhole } from './wholeFile.ts'

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.test$/
const RUN_MS_MAX = 120_000
const DRAFT_MS_MAX = 30_000
const INPUT_ROWS_MAX = 200
const MATERIALIZED = 'materialized-table'
const versionOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

export function projectTests(folder: string, jobs: JobManager, log: Pick<Log, 'topic' | 'readMessages'>): ProjectTests & { close(): void } {
  const tests = join(folder, 'tests')
  removeUnfinished(tests)
  const pathOf = (name: string): string => {
    if (!namePattern.test(name)) throw appErrors('PROJECT_TEST_NAME', { name })
    return join(tests, name)
  }
  const names = (): string[] =>
    globSync('*.test', { cwd: tests, withFileTypes: true })
      .flatMap((entry) => (entry.isDirectory() ? [] : entry.name))
      .sort()
  const list = (): ProjectTest[] => {
    const { queries } = bindProject(readProjectFiles(folder))
    return names().map((name) => {
      const text = readFileSync(join(tests, name), 'utf8')
      const { summary, target } = headOf(name, text)
      return {
        name,
        text,
        version: versionOf(text),
        summary,
        queries: queries.filter((one) => one.target.table.name === target).map(({ id }) => id),
      }
    })
  }
  const checkVersion = (name: string, version: string | null): void => {
    const present = names().includes(name) ? versionOf(readFileSync(pathOf(name), 'utf8')) : null
    if (present !== version) throw appErrors('PROJECT_TEST_CHANGED', { name, version: present ?? 'none' })
  }
  const closing = new AbortController()
  /** One after the other; once it is closed, none. */
  const inTurn = () => {
    let turn: Promise<unknown> = Promise.resolve()
    return <T>(work: () => Promise<T>): Promise<T> => {
      const done = turn.then(() => {
        if (closing.signal.aborted) throw stoppedError(0)
        return work()
      })
      turn = done.catch(() => {})
      return done
    }
  }
  const runs = inTurn()
  const drafts = inTurn()

  return {
    list,
    write(name, text, version) {
      const path = pathOf(name)
      checkVersion(name, version)
      if (text === null) rmSync(path, { force: true })
      else {
        parseGoldenFile(name, text)
        mkdirSync(tests, { recursive: true })
        writeWhole(path, text)
      }
      return list()
    },
    run(name) {
      const path = pathOf(name)
      if (!names().includes(name)) throw appErrors('PROJECT_TEST_CHANGED', { name, version: 'none' })
      return runs(() => played(path, closing.signal))
    },
    async draft(name, subject, slice) {
      const path = pathOf(name)
      const { plan, lines } = 'query' in subject ? ofQuery(jobs, subject.query) : ofStatement(jobs, subject.sql)
      const notes: string[] = []
      const inputs: string[] = []
      for (const table of inputTables(jobs, plan)) {
        const { rows, isCut } = await inputRows(jobs, log, table, slice)
        inputs.push(`--- input ${table}`, ...rows)
        if (isCut) notes.push(`-- Of ${table} only the first ${INPUT_ROWS_MAX} rows that were asked for.`)
      }
      const sub = projectFolder(folder)
      const uses = sub === '.' ? readProjectFiles(folder).map((file) => file.name) : [sub]
      const summary = `-- ${name.replace(/\.test$/, '').replaceAll('_', ' ')}`
      const text = [summary, ...notes, ...inputs, ...uses.map((use) => `--- use ${use}`), ...lines, ''].join('\n')
      return drafts(() => drafted({ path, text }, closing.signal))
    },
    close: () => closing.abort(),
  }
}

/** What a test of a running query expects: the rows of the table that it writes to. */
function ofQuery(jobs: JobManager, id: string): { plan: Plan; lines: string[] } {
  const query = jobs.query(id)
  if (query === undefined) throw appErrors('PROJECT_TEST_NO_QUERY', { query: id })
  return { plan: query.plan, lines: [`--- expect ${query.target.table.name}`] }
}

function ofStatement(jobs: JobManager, sql: string): { plan: Plan; lines: string[] } {
  const bound = bindStatement(parseStatement(sql), sql, jobs.catalog)
  if (bound.type !== 'query') throw jobErrors('ADHOC_READ_ONLY', {})
  const line = sectionLineOf(sql)
  if (line !== undefined) throw appErrors('PROJECT_TEST_SECTION', { line })
  return { plan: bound.query, lines: ['--- sql', `${sql.trim().replace(/;$/, '')};`, '--- expect'] }
}

/** A file that is not (yet) a golden file is listed, too: playing it says what is wrong. */
function headOf(name: string, text: string): { summary: string; target?: string } {
  try {
    const { summary, target } = parseGoldenFile(name, text)
    return { summary, ...(target && { target: target.name }) }
  } catch (error) {
    if (!isStreamError(error)) throw error
    return { summary: error.message }
  }
}

interface PlayedLine {
  passed?: boolean
  problems?: { mode: string; lines: string[] }[]
  error?: TestRun['error']
}

const stoppedError = (seconds: number) => appErrors('PROJECT_TEST_ENDED', { seconds, reason: 'the server is stopping' })
const secondsSince = (startedMs: number): number => Math.round(performance.now() - startedMs) / 1_000

async function played(path: string, signal: AbortSignal): Promise<TestRun> {
  const startedMs = performance.now()
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1], 'test', path, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
    signal,
  })
  // A server that ends at once, as with a second Ctrl-C, leaves no child either.
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (data) => {
    output += data
  })
  child.stderr.setEncoding('utf8').on('data', (data) => {
    errors += data
  })
  await new Promise((resolve, reject) => {
    child.once('error', (error) => reject(signal.aborted ? stoppedError(secondsSince(startedMs)) : error))
    child.once('close', resolve)
  }).finally(() => process.removeListener('exit', end))
  const line = output.split('\n').find((one) => one.startsWith('{"file"'))
  if (line === undefined)
    throw appErrors('PROJECT_TEST_ENDED', { seconds: secondsSince(startedMs), reason: errors.trim().split('\n').at(-1) ?? '' })
  const { passed = false, problems = [], error } = JSON.parse(line) as PlayedLine
  const alike = Map.groupBy(problems, ({ lines }) => lines.join('\n'))
  return {
    passed,
    seconds: secondsSince(startedMs),
    problems: [...alike.values()].map((same) => ({ modes: same.map(({ mode }) => mode), lines: same[0].lines })),
    ...(error && { error }),
  }
}

/** The text with the rows that come now. */
async function drafted(order: DraftOrder, signal: AbortSignal): Promise<string> {
  const startedMs = performance.now()
  const worker = new Worker(new URL('./draftThread.ts', import.meta.url), { workerData: order, name: 'draft' })
  const end = () => void worker.terminate()
  const timer = setTimeout(end, DRAFT_MS_MAX)
  signal.addEventListener('abort', end)
  try {
    return await new Promise<string>((resolve, reject) => {
      worker.once('message', (message: FromDraft) =>
        'text' in message ? resolve(message.text) : reject(reviveError(message.error, message.httpStatus)),
      )
      worker.once('error', reject)
      worker.once('exit', () => {
        const seconds = secondsSince(startedMs)
        reject(signal.aborted ? stoppedError(seconds) : appErrors('PROJECT_TEST_ENDED', { seconds, reason: '' }))
      })
    })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}

/** Tables that topics hold, of which a plan is made; a live table is made of those of its query. */
function inputTables(jobs: JobManager, plan: Plan): string[] {
  const names = scannedTables(plan).flatMap(({ name, options }) => {
    if (options.connector !== MATERIALIZED) return [name]
    const query = jobs.query(name)
    return query ? inputTables(jobs, query.plan) : []
  })
  return [...new Set(names)]
}

/** A table's records, those of each partition under its number where there are several. */
async function inputRows(
  jobs: JobManager,
  log: Pick<Log, 'topic' | 'readMessages'>,
  table: string,
  slice: SliceOptions,
): Promise<{ rows: string[]; isCut: boolean }> {
  const topic = jobs.topicOfTable(table)
  const count = (topic !== undefined && log.topic(topic)?.partitions.length) || 1
  const partitions = slice.partition === undefined ? Array.from({ length: count }, (_, i) => i) : [slice.partition]
  const parts: { partition: number; rows: string[]; isCut: boolean }[] = []
  const rowsMax = Math.ceil(INPUT_ROWS_MAX / partitions.length)
  for (const partition of partitions) {
    const part = await partitionRows(jobs, log, table, { ...slice, partition }, rowsMax)
    if (part.rows.length > 0) parts.push({ partition, ...part })
  }
  return {
    rows: parts.length === 1 ? parts[0].rows : parts.flatMap(({ partition, rows }) => [`@partition ${partition}`, ...rows]),
    isCut: parts.some(({ isCut }) => isCut),
  }
}

/**
 * The records of one partition in order of arrival, as the lines of an input. Of a table that is updated, an update is its new row, and of keys that are deleted
 * there are no rows: an input cannot say that one goes.
 */
async function partitionRows(
  jobs: JobManager,
  log: Pick<Log, 'topic' | 'readMessages'>,
  table: string,
  slice: SliceOptions,
  rowsMax: number,
): Promise<{ rows: string[]; isCut: boolean }> {
  const entry = jobs.catalog.get(table)
  const declared = entry?.kind === 'table' ? entry.table : undefined
  const columns = declared?.columns.filter(({ kind }) => kind === 'physical') ?? []
  const sql = `SELECT ${columns.map(({ name }) => `\`${name.replaceAll('`', '``')}\``).join(', ')} FROM ${table.replace(/[^.]+/g, (part) => `\`${part}\``)}`
  const statement = prepareAdhoc(jobs, sql, () => [])
  if (statement.kind !== 'query') return { rows: [], isCut: false }
  const slices = await adhocSlices(jobs, log, statement.plan, slice)
  const encoders = columns.map(({ type }) => jsonOf(type))
  const isKey = columns.map((column) => declared?.primaryKey?.some((index) => declared.columns[index] === column) ?? false)
  let rows: { key: string; text: string }[] = []
  const add = ({ op, row }: { op: string; row: unknown[] }): void => {
    if (op === '-U') return
    const key = rowText(isKey.includes(true) ? row.filter((_, i) => isKey[i]) : row)
    if (op === '-D') rows = rows.filter((one) => one.key !== key)
    else
      rows.push({
        key,
        text: `{${row.flatMap((value, i) => (value === null ? [] : `${JSON.stringify(columns[i].name)}:${encoders[i](value)}`)).join(',')}}`,
      })
  }
  await new Promise<void>((resolve, reject) => {
    const { stop } = jobs.runAdhoc(statement.plan, {
      bounded: true,
      startup: 'earliest-offset',
      slices,
      onChanges: (batch) => {
        for (const change of changesOf(batch)) add(change)
        if (rows.length <= rowsMax) return
        stop()
        resolve()
      },
      onEnd: (error) => (error ? reject(reviveError(error, 400)) : resolve()),
    })
  })
  return { rows: rows.slice(0, rowsMax).map(({ text }) => text), isCut: rows.length > rowsMax }
}
