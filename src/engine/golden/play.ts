// Plays a golden file through the real stages: text, tree, bound plan, operators, generated kernels, and the real JSON decoder.
//
// The same file is played as written (a row, then its watermark), with a crash before every row, and cut into batches at random;
// the rows that are left must be the same. In several subtasks (`parallelism`) each partition is read by one of them, and rows meet by key.
import { seededRandom, withTimeLimit } from '../../base/index.ts'
import { type Batch, changeKindTexts, type Field, formatType, INSERT, isRetraction, released, rowAt } from '../../data/index.ts'
import { type JsonDecoder, makeJsonDecoder } from '../../formats/index.ts'
import { realDisk } from '../../log/index.ts'
import { joinParts, type StatePart, splitState } from '../checkpoints/stateParts.ts'
import { engineErrors } from '../errors.ts'
import { emptyNote, Links, Rounds, shareLinks } from '../exchange/index.ts'
import { formatValue, loadUserFunctionsNow, mayHoldUp, userFunctionsOf } from '../expressions/index.ts'
import { Graph, type GraphHooks } from '../graph.ts'
import { cutOffFunction } from '../progress.ts'
import { Memory } from '../spill/memory.ts'
import { SpillFiles } from '../spill/spillFiles.ts'
import { type GoldenFile, goldenErrors, type InputStep } from './file.ts'
import { planOf } from './plan.ts'

export type PlayMode = { kind: 'as-written' } | { kind: 'crash-before-every-row' } | { kind: 'batches'; seed: number }

export interface PlayOptions {
  /** How many subtasks. Of several numbers each crash takes the next one: state is dealt out anew. */
  parallelism?: number | readonly number[]
  memory?: PlayMemory
}

export interface PlayResult {
  columns: string
  /** What is left of the changelog, each row in the JSON form of golden files. */
  rows: unknown[][]
  changes: { kind: string; row: unknown[] }[]
  appendOnly: boolean
  late: unknown[][]
  lateFields: Field[]
  fields: Field[]
  /** How many restores started from a checkpoint with at least one row before it. */
  restoreCount: number
  /** State that was on the disk at the end. */
  spilledBytes: number
}

const encoder = new TextEncoder()
const RING_BYTES = 1 << 16
const PROCESSING_TIME_MS = 1_767_225_600_000

type Feed = { input: number; steps: InputStep[] }

/** In which order rows come: input after input, or mixed with random sizes; a crash or watermark line ends a batch. */
function* schedule(file: GoldenFile, mode: PlayMode): Generator<Feed> {
  if (mode.kind !== 'batches') {
    for (const [input, { steps }] of file.inputs.entries()) for (const step of steps) yield { input, steps: [step] }
    return
  }
  const random = seededRandom(mode.seed)
  const at = file.inputs.map(() => 0)
  while (at.some((position, input) => position < file.inputs[input].steps.length)) {
    const input = Math.floor(random() * file.inputs.length)
    const { steps } = file.inputs[input]
    const size = 1 + Math.floor(random() * 6)
    const taken: InputStep[] = []
    while (taken.length < size && at[input] < steps.length) {
      const step = steps[at[input]]
      if (step.kind !== 'row' && taken.length > 0) break
      taken.push(step)
      at[input]++
      if (step.kind !== 'row') break
    }
    if (taken.length > 0) yield { input, steps: taken }
  }
}

/** In play, state may have so much memory; the rest goes to files of a folder, which exists. */
export interface PlayMemory {
  bytes: number
  folder: string
}

/** State divides into so few parts that golden files, which have few rows, put several keys into each. */
const KEY_GROUPS = 3
let playCount = 0
/** For one play of a file that calls what may not return. */
export const PLAY_MS_MAX = 30_000

/** @throws StreamError  of the SQL, or of a row; QUERY_STALLED: a function does not return */
export function play(file: GoldenFile, mode: PlayMode, options: PlayOptions = {}): PlayResult {
  const planned = planOf(file)
  const work = () => playPlan(file, planned, mode, options)
  if (!mayHoldUp(planned.plan)) return work()
  const cutOff = () => engineErrors('QUERY_STALLED', { query: file.summary, seconds: PLAY_MS_MAX / 1_000, fn: cutOffFunction() })
  return withTimeLimit(work, PLAY_MS_MAX, cutOff)
}

function playPlan(
  file: GoldenFile,
  { plan, key, timeZone }: ReturnType<typeof planOf>,
  mode: PlayMode,
  { parallelism = 1, memory }: PlayOptions,
): PlayResult {
  loadUserFunctionsNow(userFunctionsOf(plan))
  const result: PlayResult = {
    columns: plan.fields.map((field) => `${field.name} ${formatType(field.type)}`).join(', '),
    rows: [],
    changes: [],
    appendOnly: true,
    late: [],
    lateFields: [],
    fields: plan.fields,
    restoreCount: 0,
    spilledBytes: 0,
  }
  const sink = (batch: Batch) => {
    for (let row = 0; row < batch.rowCount; row++) {
      const kind = batch.kinds?.[row] ?? INSERT
      const values = rowAt(batch, row).map((value, i) => formatValue(value, plan.fields[i].type))
      if (kind !== INSERT) result.appendOnly = false
      result.changes.push({ kind: changeKindTexts[kind], row: values })
    }
  }
  const hooks: GraphHooks = {
    count: () => {},
    late: (batch, rows, fields) => {
      result.lateFields = fields
      for (const row of rows) result.late.push(rowAt(batch, row).map((value, i) => formatValue(value, fields[i].type)))
    },
    rowFailed: (_batch, _row, error) => {
      throw 'code' in error ? error : engineErrors('ROW_FAILED', { reason: error.message }, { cause: error })
    },
  }
  let files: SpillFiles[] = []
  const parallelisms = typeof parallelism === 'number' ? [parallelism] : parallelism
  let starts = 0
  const make = () => {
    files = []
    return new Subtasks(parallelisms[starts++ % parallelisms.length], (rounds) => {
      const own = memory && new SpillFiles(realDisk, memory.folder, `play-${++playCount}`)
      if (own) files.push(own)
      const spill = memory && own && { memory: new Memory(Memory.budget(memory.bytes, 1)), files: own, keyGroups: KEY_GROUPS }
      return new Graph(plan, { timeZone, hooks, sink, spill, rounds, sinkKey: key })
    })
  }
  let subtasks = make()
  subtasks.round((graph) => graph.start(PROCESSING_TIME_MS))
  const decoders = new Map<string, JsonDecoder>()
  const partitions = file.inputs.map(() => 0)
  let rowCount = 0

  const crash = () => {
    // As a checkpoint keeps it: in parts, and by their bytes.
    const saved = subtasks.graphs.map((graph) =>
      graph.snapshot().map((node) => {
        const parts = splitState(node.state).map((part) => ({ ...part, bytes: part.stored ? bytesOf(part.stored) : part.bytes.slice() }))
        const inputWatermarks = node.inputWatermarks.slice()
        const read = (name: string) => parts.find((part) => part.name === name)!.bytes.slice()
        return {
          ...node,
          inputWatermarks,
          get state() {
            return node.state && joinParts(parts, read)
          },
        }
      }),
    )
    const before = files
    subtasks = make()
    const { length } = subtasks.graphs
    for (const [subtask, graph] of subtasks.graphs.entries()) {
      const { dropped, missing } =
        saved.length === length
          ? graph.restore([saved[subtask]])
          : graph.restore(saved, { subtask, parallelism: length, savedParallelism: saved.length })
      if (dropped.length > 0 || missing.length > 0) throw new Error(`not restored: ${[...dropped, ...missing].join('; ')}`)
    }
    for (const one of before) one.close()
    setPartitions()
    if (rowCount > 0) result.restoreCount++
  }
  const pushRows = (input: number, steps: InputStep[]) => {
    const texts = steps.map((step) => (step as { text: string }).text)
    const bytes = encoder.encode(texts.join('\n'))
    const starts = new Int32Array(texts.length)
    const ends = new Int32Array(texts.length)
    let position = 0
    texts.forEach((text, i) => {
      starts[i] = position
      position += encoder.encode(text).length
      ends[i] = position++
    })
    subtasks.of(partitions[input], (graph) =>
      graph.sources.forEach((source, index) => {
        if (source.table.name !== file.inputs[input].name) return
        const key = `${index}`
        let decoder = decoders.get(key)
        if (!decoder) decoders.set(key, (decoder = makeJsonDecoder(source.fields, {}, true)))
        const { columns, rowCount: decoded } = decoder.decode(bytes, starts, ends, texts.length, (index, error) => {
          const { name } = file.inputs[input]
          throw goldenErrors(
            'GOLDEN_ROW_INVALID',
            { file: file.path, line: steps[index].line, table: name, reason: error.message },
            { cause: error },
          )
        })
        graph.push(index, partitions[input], {
          columns,
          rowCount: decoded,
          watermarkAfter: -Infinity,
          processingTimeMs: PROCESSING_TIME_MS,
        })
      }),
    )
    // As in a job, whose input reads the next records into the same memory.
    released(bytes)
  }

  const setPartitions = () => {
    for (const input of file.inputs.keys()) {
      const used = [...new Set([0, ...file.inputs[input].steps.flatMap((step) => (step.kind === 'partition' ? [step.partition] : []))])]
      for (const [subtask, graph] of subtasks.graphs.entries())
        graph.sources.forEach((source, index) => {
          if (source.table.name !== file.inputs[input].name) return
          const owned = used.filter((partition) => subtasks.ownerOf(partition) === subtask)
          graph.setPartitions(index, owned, PROCESSING_TIME_MS)
        })
    }
  }
  // A table without an input section has no rows: it has ended, and holds nothing back.
  subtasks.round((graph) =>
    graph.sources.forEach((source, index) => {
      if (!file.inputs.some(({ name }) => name === source.table.name)) graph.finish(index)
    }),
  )
  setPartitions()
  for (const { input, steps } of schedule(file, mode)) {
    const [step] = steps
    if (step.kind === 'row') {
      if (mode.kind === 'crash-before-every-row') crash()
      pushRows(input, steps)
      rowCount += steps.length
    } else if (step.kind === 'partition') partitions[input] = step.partition
    else if (step.kind === 'crash') crash()
    else
      subtasks.of(partitions[input], (graph) =>
        graph.sources.forEach((source, index) => {
          if (source.table.name !== file.inputs[input].name) return
          if (step.kind === 'idle') graph.markIdle(index, partitions[input])
          else graph.watermark(index, partitions[input], Date.parse(`${step.text.replace(' ', 'T')}Z`))
        }),
      )
  }
  if (mode.kind === 'crash-before-every-row') crash()
  subtasks.round((graph) => graph.finish())
  const status = subtasks.graphs.flatMap((graph) => graph.status())
  result.spilledBytes = status.reduce((sum, { operator }) => sum + (operator?.spilledBytes ?? 0), 0)
  for (const one of files) one.close()
  result.rows = key ? lastOfKeys(result.changes, key) : remaining(result.changes)
  return result
}

function bytesOf({ path, position, sizeBytes }: NonNullable<StatePart['stored']>): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  const file = realDisk.open(path, 'read')
  realDisk.read(file, bytes, 0, sizeBytes, position)
  realDisk.close(file)
  return bytes
}

/** Graphs of one query that run it together in this thread: a round is begun by all, and has gone through all when `round` returns. */
class Subtasks {
  readonly graphs: Graph[]
  private readonly rounds: Rounds[]

  constructor(parallelism: number, make: (rounds?: Rounds) => Graph) {
    const shared = shareLinks(parallelism, RING_BYTES)
    this.rounds = parallelism === 1 ? [] : Array.from({ length: parallelism }, (_, subtask) => new Rounds(new Links(shared, subtask)))
    this.graphs = parallelism === 1 ? [make()] : this.rounds.map(make)
  }

  /** Partitions of each input in turn. */
  ownerOf(partition: number): number {
    return partition % this.graphs.length
  }

  /** Work of the one that reads a partition. */
  of(partition: number, work: (graph: Graph) => void): void {
    this.round((graph, subtask) => {
      if (subtask === this.ownerOf(partition)) work(graph)
    })
  }

  round(work: (graph: Graph, subtask: number) => void): void {
    const { graphs, rounds } = this
    if (rounds.length === 0) {
      work(graphs[0], 0)
      return
    }
    const note = { ...emptyNote, nowMs: PROCESSING_TIME_MS }
    rounds.forEach((one, subtask) => {
      one.begin(
        () => work(graphs[subtask], subtask),
        () => note,
      )
    })
    const deliver = (one: Rounds, subtask: number) => {
      const pumped = one.pump()
      return one.deliver((stage, said) => graphs[subtask].deliver(stage, said)) || pumped
    }
    for (let any = true; any; ) any = rounds.map(deliver).includes(true)
  }
}

/** What a live table holds when the changelog has been applied: the last row of each key. */
function lastOfKeys(changes: PlayResult['changes'], key: readonly number[]): unknown[][] {
  const rows = new Map<string, unknown[]>()
  for (const { kind, row } of changes) {
    const id = rowText(key.map((column) => row[column]))
    if (isRetraction(changeKindTexts.indexOf(kind as '+I'))) rows.delete(id)
    else rows.set(id, row)
  }
  return [...rows.values()]
}

/** The multiset that is left when the changelog has been applied. */
function remaining(changes: PlayResult['changes']): unknown[][] {
  const rows = new Map<string, { row: unknown[]; count: number }>()
  for (const { kind, row } of changes) {
    const key = rowText(row)
    let entry = rows.get(key)
    if (!entry) rows.set(key, (entry = { row, count: 0 }))
    entry.count += isRetraction(changeKindTexts.indexOf(kind as '+I')) ? -1 : 1
  }
  const left: unknown[][] = []
  for (const { row, count } of rows.values()) {
    if (count < 0) throw new Error(`the changelog takes away a row that is not there: ${rowText(row)}`)
    for (let i = 0; i < count; i++) left.push(row)
  }
  return left
}

/** A row as golden files print it; bigints as digits. */
export const rowText = (row: unknown): string => {
  if (typeof row === 'bigint') return String(row)
  if (Array.isArray(row)) return `[${row.map(rowText).join(', ')}]`
  if (row !== null && typeof row === 'object')
    return `{${Object.entries(row)
      .map(([key, value]) => `${JSON.stringify(key)}: ${rowText(value)}`)
      .join(', ')}}`
  return Object.is(row, -0) ? '-0.0' : (JSON.stringify(row) ?? 'null')
}
