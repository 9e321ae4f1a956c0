// Runs one Nexmark query, or one of its parallel subtasks, over generated events: bound from its SQL, events made and pushed batch by batch.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Batch, type Column, INSERT, isRetraction, rowAt } from '../../src/data/index.ts'
import { emptyNote, Graph, type GraphHooks, type Links, type RoundNote, Rounds } from '../../src/engine/index.ts'
import { bindScript, Catalog, type Plan, readLeaves } from '../../src/sql/index.ts'
import { NexmarkGenerator, type NexmarkOptions } from './generator.ts'
import { type ExpectedRun, MODEL_BATCH_EVENTS, modelProcessingTime } from './model.ts'
import { ResultHash } from './resultHash.ts'

/** All but q6, which no engine runs. */
export const queryNames = Array.from({ length: 23 }, (_, i) => `q${i}`).filter((name) => name !== 'q6')

export const BATCH_ROWS = 4096
const SIDE_ROWS = 10_000

const sqlOf = (file: string): string => readFileSync(join(import.meta.dirname, 'queries', `${file}.sql`), 'utf8')

/** The plan of a query's INSERT. @throws StreamError what binding throws */
export function planOf(name: string): Plan {
  const bound = bindScript(`${sqlOf('tables')}\n${sqlOf(name)}`, new Catalog()).at(-1)
  if (bound?.type !== 'insert') throw new Error(`${name}: the last statement is no INSERT`)
  return readLeaves(bound.query)
}

export interface RunOptions extends NexmarkOptions {
  batchRows?: number
  /** Processing time of a batch, epoch ms, by the number of its first event; the clock unless given. */
  processingTimeOf?: (event: number) => number
}

export interface RunResult {
  wallMs: number
  cpuMs: number
  rowsOut: number
}

/**
 * Events through the query into `sink`. Rows that fail end the run; late rows are counted.
 *
 * @param links  where this is one of several subtasks: each makes its part of the events and exchanges rows with the others
 */
export function runQuery(plan: Plan, options: RunOptions, sink: (batch: Batch) => void, links?: Links): RunResult & { lateRows: number } {
  const part = links === undefined ? {} : { parallelism: links.parallelism, index: links.subtask }
  const generator = new NexmarkGenerator({ ...options, ...part })
  const now = options.processingTimeOf ?? (() => Date.now())
  let rowsOut = 0
  let lateRows = 0
  const hooks: GraphHooks = {
    count: () => {},
    late: (_batch, rows) => {
      lateRows += rows.length
    },
    rowFailed: (_batch, _row, error) => {
      throw error
    },
  }
  const counted = (batch: Batch): void => {
    rowsOut += batch.rowCount
    sink(batch)
  }
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const rounds = links && new Rounds(links, (table) => table === 'side_input')
  const graph = new Graph(plan, { timeZone: 'UTC', hooks, sink: counted, rounds })
  graph.start(now(0))
  // Events are made once, with the columns that any scan reads.
  const scans = graph.sources.flatMap((source, index) => (source.table.name === 'datagen' ? [{ index, source }] : []))
  const leaves = [...new Set(scans.flatMap(({ source }) => source.fields.map(({ name }) => name)))]
  const taps = scans.map(({ index, source }) => ({ index, pick: source.fields.map(({ name }) => leaves.indexOf(name)) }))
  graph.sources.forEach((source, index) => {
    if (source.table.name !== 'side_input') return
    const side = sideInput(now(0))
    graph.push(index, 0, { ...side, columns: source.columns.map((column) => side.columns[column]) })
  })
  const push = (processingTimeMs: number, batch: Batch): void => {
    graph.tick(processingTimeMs, rounds && 0)
    for (const { index, pick } of taps) graph.push(index, 0, { ...batch, columns: pick.map((at) => batch.columns[at]) })
  }
  // Windows on processing time close, too, when all have ended.
  const end = (nowMs: number): void => graph.tick(nowMs + 20_000, rounds && 0)
  let isEnd = false
  const next = (): void => {
    const processingTimeMs = now(generator.position)
    const batch = generator.next(options.batchRows ?? BATCH_ROWS, leaves, processingTimeMs)
    if (batch !== undefined) push(processingTimeMs, batch)
    else if (!isEnd) {
      isEnd = true
      graph.finish()
    }
  }
  if (rounds === undefined) {
    while (!isEnd) next()
    end(now(generator.position))
  } else {
    const note = () => ({ ...emptyNote, nowMs: now(generator.position), isTick: true, isEnd })
    turn(rounds, graph, () => rounds.isEnded, next, note)
    // Rounds that were begun before may be under way still: the end is behind one that the first subtask names, as a checkpoint is.
    const endMs = now(generator.position)
    let barrier = rounds.subtask === 0 ? { round: rounds.nextBarrierRound, checkpointId: 0, isLast: true } : undefined
    const endNote = (): RoundNote => {
      const said: RoundNote = { ...note(), nowMs: endMs + 20_000, ...(barrier && { barrier }) }
      barrier = undefined
      return said
    }
    turn(
      rounds,
      graph,
      () => rounds.takeBarrier() !== undefined,
      () => end(endMs),
      endNote,
    )
  }
  const { user, system } = process.cpuUsage(cpu)
  return { wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1000, rowsOut, lateRows }
}

/** Works on rounds, and begins its own, until they have come to an end. Blocks the thread while there is nothing to do. */
export function turn(rounds: Rounds, graph: Graph, isOver: () => boolean, begin: () => void, note: () => RoundNote): void {
  for (let bell = rounds.bell; !isOver(); bell = rounds.bell) {
    const pumped = rounds.pump()
    if (rounds.deliver((stage, said) => graph.deliver(stage, said))) continue
    if (rounds.canBegin) rounds.begin(begin, note)
    else if (!pumped) rounds.wait(bell)
  }
  for (let bell = rounds.bell; rounds.isBlocked; bell = rounds.bell) if (!rounds.pump()) rounds.wait(bell)
}

/** Rows (i, 'i') for i below 10,000. */
function sideInput(processingTimeMs: number): Batch {
  const data = BigInt64Array.from({ length: SIDE_ROWS }, (_, i) => BigInt(i))
  const columns: Column[] = [
    { lane: 'i64', data },
    { lane: 'any', data: Array.from({ length: SIDE_ROWS }, (_, i) => String(i)) },
  ]
  return { rowCount: SIDE_ROWS, columns, watermarkAfter: -Infinity, processingTimeMs }
}

/** The rows of a result, or of one subtask's part of it, in a hash. */
export function hashQuery(plan: Plan, run: Omit<ExpectedRun, 'results'>, links?: Links): ResultHash {
  const hash = new ResultHash()
  const options = { ...run, batchRows: MODEL_BATCH_EVENTS, processingTimeOf: modelProcessingTime(run.parallelism) }
  const { lateRows } = runQuery(
    plan,
    options,
    (batch) => {
      for (let row = 0; row < batch.rowCount; row++) hash.add(rowAt(batch, row), isRetraction(batch.kinds?.[row] ?? INSERT) ? -1 : 1)
    },
    links,
  )
  if (lateRows > 0) throw new Error(`${lateRows} rows were late`)
  return hash
}
