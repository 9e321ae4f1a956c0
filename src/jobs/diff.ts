// A changed query beside the one that runs: both over the same slice of the log, in a shadow, and what differs in their results.
//
//   log [since … now) --> old plan --> rows by key ─┐
//                    `--> new plan --> rows by key ─┴─> same, changed, only old, only new --> the first input record that makes a difference
//
// Invariants
//   1. Nothing that runs is touched: no topic is written, no live table changes.
//   2. Both see exactly the same records: from the first one at or after `since` up to where the log ended when it began.
//   3. The first divergent record is found by halving the slice: with what is before it the results are the same, with it they are not.
//      Results are those of input that ends there (open windows fire).
//   4. It ends: where the time is over before all results are compared, with DIFF_TOO_LONG, and where they are, without the first divergent record.
import { toStreamError } from '../base/index.ts'
import { type Field, formatType } from '../data/index.ts'
import type { BrowsedRecord, Log } from '../log/index.ts'
import { Catalog, DEFAULT_DATABASE, type Plan, parseScript, parseScriptTolerant, type Statement } from '../sql/index.ts'
import { applyChanges, rowText } from './adhoc.ts'
import { jobErrors } from './errors.ts'
import type { JobManager } from './manager.ts'
import { bindProject, type ProjectQuery } from './project.ts'
import { offsetsAt, type Slice, slicesOf } from './slices.ts'

const ROWS_MAX = 200_000
const SAMPLES_MAX = 100
const COMPARE_MS_MAX = 120_000
/** Records with one timestamp that are looked at one by one. */
const SAME_TIME_MAX = 10_000

/** Who asks: a text can declare functions, whose files run with all rights of the process. */
export interface DraftRights {
  /** Whether functions may be tried that no deployed file declares. */
  mayRunFiles: boolean
}
export interface DiffOptions extends DraftRights {
  /** Epoch ms: records from here on. */
  sinceMs: number
  signal: AbortSignal
  timeMsMax?: number
  /** `share` of the work, 0 to 1. */
  onProgress?(step: string, share: number): void
}
export interface ChangedRow {
  key: unknown[]
  before: unknown[]
  after: unknown[]
}
export interface QueryDiff {
  query: string
  state: 'changed' | 'new' | 'same plan'
  /** Of the new query's rows. */
  fields: Field[]
  oldFields: Field[]
  /** Ordinals into `fields`: what a row is known by; empty where rows are compared as a whole. */
  key: number[]
  counts: { old: number; new: number; same: number; changed: number; onlyOld: number; onlyNew: number }
  /** Up to 100 each. */
  changed: ChangedRow[]
  onlyOld: unknown[][]
  onlyNew: unknown[][]
  /** Absent also where the time was over before it was found. */
  first?: { topic: string; record: BrowsedRecord }
}
export interface ScriptDiff {
  sinceMs: number
  untilMs: number
  records: number
  queries: QueryDiff[]
}

/**
 * Compares the queries that a new text of a file declares with those of the same name that run.
 *
 * @param fileName  whose text it replaces, if the project has it
 * @throws StreamError of the SQL layer with a position; DIFF_NO_QUERY, DIFF_TOO_LARGE, DIFF_TOO_LONG
 */
export async function diffScript(
  manager: JobManager,
  log: Pick<Log, 'topic' | 'readMessages'>,
  fileName: string,
  text: string,
  options: DiffOptions,
): Promise<ScriptDiff> {
  const queries = changedQueries(manager, fileName, text, options)
  const plans = queries.flatMap(({ next, now }) => [next.plan, ...(now ? [now.plan] : [])])
  const untilMs = Date.now()
  const slices = await slicesOf(log, manager.topicsOf(plans), { sinceMs: options.sinceMs })
  const records = [...slices.values()].reduce((sum, { start, stop }) => sum + stop.reduce((all, end, i) => all + end - start[i], 0), 0)
  const { timeMsMax = COMPARE_MS_MAX } = options
  const tooLong = new AbortController()
  const timer = setTimeout(() => tooLong.abort(jobErrors('DIFF_TOO_LONG', { seconds: timeMsMax / 1_000 })), timeMsMax)
  const signal = AbortSignal.any([options.signal, tooLong.signal])
  try {
    const found: { diff: QueryDiff; first(): Promise<QueryDiff['first']> }[] = []
    for (const [i, { next, now }] of queries.entries()) {
      const progress = (step: string, share: number) => options.onProgress?.(`${next.id}: ${step}`, (i + share) / queries.length)
      found.push(await diffQuery(manager, log, next, now, slices, { ...options, signal, onProgress: progress }))
    }
    const diffs: QueryDiff[] = []
    for (const { diff, first } of found) {
      const record = await first().catch((error: unknown) => {
        if (options.signal.aborted || !tooLong.signal.aborted) throw error
        return undefined
      })
      diffs.push({ ...diff, ...(record && { first: record }) })
    }
    return { sinceMs: options.sinceMs, untilMs, records, queries: diffs }
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Queries of the new text, each with the one of its name that runs.
 * @throws StreamError of the SQL layer with a position; DIFF_NO_QUERY, FUNCTION_NOT_DECLARED
 */
export function changedQueries(
  manager: JobManager,
  fileName: string,
  text: string,
  { mayRunFiles }: DraftRights,
): { next: ProjectQuery; now?: ProjectQuery }[] {
  const baseName = (name: string) => name.slice(name.lastIndexOf('/') + 1)
  const statements = parseScript(text)
  if (!mayRunFiles) requireDeclaredFunctions(statements, manager)
  const names = new Set(targetsOf(statements).filter((name) => name !== undefined))
  // What the text declares or writes to is not taken from another file as well.
  const others = manager.files
    .filter((file) => baseName(file.name) !== baseName(fileName))
    .map((file) => ({ ...file, text: withoutTargets(file.text, names) }))
  const project = bindProject([...others, { name: fileName, text, folder: manager.files[0]?.folder }], manager.configuredTimeZone)
  const wrong = project.errors.find(({ file }) => file === fileName)
  if (wrong) throw wrong.error
  const queries = project.queries.filter(({ file }) => file === fileName)
  if (queries.length === 0) throw jobErrors('DIFF_NO_QUERY', { file: fileName })
  return queries.map((next) => ({ next, now: manager.query(next.id) }))
}

/** Before anything is bound: that looks for the files, and whether they are there is nobody's business either. */
function requireDeclaredFunctions(statements: readonly Statement[], { files }: JobManager): void {
  const functionsOf = (all: readonly Statement[]) => all.filter((one) => one.type === 'createFunction')
  const declared = new Set(files.flatMap(({ text }) => functionsOf(parseScriptTolerant(text).statements)).map(({ target }) => target))
  const other = functionsOf(statements).find(({ target }) => !declared.has(target))
  if (other) throw jobErrors('FUNCTION_NOT_DECLARED', { name: other.name.parts.at(-1)!.name })
}

/** What each statement of a script declares, or writes to; undefined for the others. */
function targetsOf(statements: readonly Statement[]): (string | undefined)[] {
  // It resolves names alone: there is nothing in it.
  const catalog = new Catalog()
  return statements.map((statement) => {
    switch (statement.type) {
      case 'use':
        catalog.currentDatabase = statement.catalog ? DEFAULT_DATABASE : statement.name.parts.at(-1)!.name
        return undefined
      case 'createTable':
      case 'createView':
      case 'createMaterializedTable':
        return catalog.nameOf(statement.name)
      case 'insert':
        return catalog.nameOf(statement.table)
      default:
        return undefined
    }
  })
}

/** The text with blanks in place of statements that have one of these targets: every other position stays. A text that is wrong stays as it is. */
function withoutTargets(text: string, names: ReadonlySet<string>): string {
  let rest = text
  const { statements } = parseScriptTolerant(text)
  for (const [i, target] of targetsOf(statements).entries()) {
    if (target === undefined || !names.has(target)) continue
    const { start, end } = statements[i].span
    rest = rest.slice(0, start) + rest.slice(start, end).replace(/[^\n]/g, ' ') + rest.slice(end)
  }
  return rest
}

interface Rows {
  /** By key, or by the whole row where there is none. */
  byKey: Map<string, { row: unknown[]; count: number }>
}

async function diffQuery(
  manager: JobManager,
  log: Pick<Log, 'readMessages'>,
  next: ProjectQuery,
  now: ProjectQuery | undefined,
  slices: Map<string, Slice>,
  options: DiffOptions,
): Promise<{ diff: QueryDiff; first(): Promise<QueryDiff['first']> }> {
  const key = keyOf(next, now)
  const run = (query: ProjectQuery, part: Map<string, Slice>) => runSlice(manager, query.plan, key, part, options.signal)
  options.onProgress?.('the new query', 0)
  const newRows = await run(next, slices)
  options.onProgress?.('the running query', 0.25)
  const oldRows = now ? await run(now, slices) : { byKey: new Map() }
  const compared = compare(oldRows, newRows, key)
  const isSamePlan = now !== undefined && rowText([now.plan]) === rowText([next.plan])
  const diff: QueryDiff = {
    query: next.id,
    state: !now ? 'new' : isSamePlan ? 'same plan' : 'changed',
    fields: next.plan.fields,
    oldFields: now?.plan.fields ?? [],
    key,
    ...compared,
  }
  const { changed, onlyOld, onlyNew } = compared.counts
  if (!now || changed + onlyOld + onlyNew === 0) return { diff, first: async () => undefined }
  const differs = async (part: Map<string, Slice>) => {
    const { counts } = compare(await run(now, part), await run(next, part), key)
    return counts.changed + counts.onlyOld + counts.onlyNew > 0
  }
  const onProgress = (share: number) => options.onProgress?.('the first difference', 0.5 + share / 2)
  return { diff, first: () => firstDivergence(log, slices, differs, onProgress) }
}

/** What a row is known by in both: the declared key, as long as both have its columns. */
function keyOf(next: ProjectQuery, now: ProjectQuery | undefined): number[] {
  const key = next.target.kind === 'materializedTable' ? next.target.table.primaryKey : (next.plan.upsertKey ?? [])
  const isIn = (plan: Plan, ordinal: number) => {
    const field = plan.fields[ordinal]
    const wanted = next.plan.fields[ordinal]
    return field?.name === wanted.name && formatType(field.type) === formatType(wanted.type)
  }
  return now && !key.every((ordinal) => isIn(now.plan, ordinal)) ? [] : [...key]
}

function runSlice(manager: JobManager, plan: Plan, key: number[], slices: Map<string, Slice>, signal: AbortSignal): Promise<Rows> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const result = new Map<string, { row: unknown[]; count: number }>()
    const { stop } = manager.runAdhoc(plan, {
      bounded: true,
      startup: 'earliest-offset',
      slices,
      onChanges: (batch) => {
        applyChanges(result, batch, plan)
        if (result.size <= ROWS_MAX) return
        stop()
        reject(jobErrors('DIFF_TOO_LARGE', { rowsMax: ROWS_MAX }))
      },
      onEnd: (error) => (error ? reject(toStreamError(error)) : resolve({ byKey: rekeyed(result, key) })),
    })
    signal.addEventListener('abort', () => {
      stop()
      reject(signal.reason)
    })
  })
}

/** Rows by the key that they are compared by; rows that share it are told apart by their whole text. */
function rekeyed(rows: Map<string, { row: unknown[]; count: number }>, key: number[]): Rows['byKey'] {
  if (key.length === 0) return new Map([...rows.values()].map(({ row, count }) => [rowText(row), { row, count }]))
  const byKey: Rows['byKey'] = new Map()
  for (const { row, count } of rows.values()) {
    const text = rowText(key.map((ordinal) => row[ordinal]))
    byKey.set(byKey.has(text) ? `${text} ${rowText(row)}` : text, { row, count })
  }
  return byKey
}

function compare(old: Rows, next: Rows, key: number[]): Pick<QueryDiff, 'counts' | 'changed' | 'onlyOld' | 'onlyNew'> {
  const counts = { old: 0, new: 0, same: 0, changed: 0, onlyOld: 0, onlyNew: 0 }
  const changed: ChangedRow[] = []
  const onlyOld: unknown[][] = []
  const onlyNew: unknown[][] = []
  for (const { count } of old.byKey.values()) counts.old += count
  for (const [text, { row, count }] of next.byKey) {
    counts.new += count
    const before = old.byKey.get(text)
    const both = Math.min(before?.count ?? 0, count)
    if (before && rowText(before.row) !== rowText(row)) {
      counts.changed += both
      if (changed.length < SAMPLES_MAX) changed.push({ key: key.map((ordinal) => row[ordinal]), before: before.row, after: row })
    } else counts.same += both
    counts.onlyNew += count - both
    if (count > both && onlyNew.length < SAMPLES_MAX) onlyNew.push(row)
  }
  for (const [text, { row, count }] of old.byKey) {
    const missing = Math.max(0, count - (next.byKey.get(text)?.count ?? 0))
    counts.onlyOld += missing
    if (missing > 0 && onlyOld.length < SAMPLES_MAX) onlyOld.push(row)
  }
  return { counts, changed, onlyOld, onlyNew }
}

/**
 * The record with which the results first differ: first its time is found by halving, then the record among those of that time.
 * In the order of time; records of one time in the order of topic, partition and offset.
 */
async function firstDivergence(
  log: Pick<Log, 'readMessages'>,
  whole: Map<string, Slice>,
  differs: (part: Map<string, Slice>) => Promise<boolean>,
  onProgress: (share: number) => void,
): Promise<QueryDiff['first']> {
  /** All records before a time. */
  const before = async (timeMs: number): Promise<Map<string, Slice>> => {
    const part = new Map<string, Slice>()
    for (const [topic, { start, stop }] of whole) {
      const at = await offsetsAt(log, topic, timeMs, stop)
      part.set(topic, { start, stop: at.map((offset, partition) => Math.max(offset, start[partition])) })
    }
    return part
  }
  let [lowMs, highMs] = await timesOf(log, whole)
  const spanMs = Math.max(1, highMs - lowMs)
  // Invariant: the same with all before `lowMs`, different with all before `highMs`.
  while (highMs - lowMs > 1) {
    onProgress(1 - Math.log2(highMs - lowMs) / Math.max(1, Math.log2(spanMs)))
    const middleMs = Math.floor((lowMs + highMs) / 2)
    if (await differs(await before(middleMs))) highMs = middleMs
    else lowMs = middleMs
  }
  const base = await before(lowMs)
  const candidates: { topic: string; record: BrowsedRecord }[] = []
  for (const [topic, { stop }] of await before(highMs))
    for (const [partition, end] of stop.entries()) {
      const from = base.get(topic)!.stop[partition]
      const limit = Math.min(end - from, SAME_TIME_MAX)
      if (limit > 0)
        for (const record of await log.readMessages(topic, { partition, fromOffset: from, limit })) candidates.push({ topic, record })
    }
  let [low, high] = [0, candidates.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const part = new Map([...base].map(([topic, { start, stop }]) => [topic, { start, stop: [...stop] }]))
    for (const { topic, record } of candidates.slice(0, middle)) part.get(topic)!.stop[record.partition] = record.offset + 1
    if (await differs(part)) high = middle
    else low = middle
  }
  return candidates[low]
}

/** From the first record's time to one behind the last's. */
export async function timesOf(log: Pick<Log, 'readMessages'>, slices: Map<string, Slice>): Promise<[lowMs: number, highMs: number]> {
  let [lowMs, highMs] = [Number.POSITIVE_INFINITY, 0]
  for (const [topic, { start, stop }] of slices)
    for (const [partition, end] of stop.entries()) {
      if (end === start[partition]) continue
      const [first] = await log.readMessages(topic, { partition, fromOffset: start[partition], limit: 1 })
      const [last] = await log.readMessages(topic, { partition, fromOffset: end - 1, limit: 1 })
      lowMs = Math.min(lowMs, first?.timestampMs ?? lowMs)
      highMs = Math.max(highMs, last?.timestampMs ?? highMs)
    }
  return [lowMs, highMs + 1]
}
