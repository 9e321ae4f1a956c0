// A job: queries that read their topics together. Synchronous and thread-agnostic: a worker steps it, a simulator can too.
//
//   topic --> SourceInput (read, decode once) --> graph of query 1 --> sink
//                                            `--> graph of query 2 --> sink
//
// Invariants
//   1. A query that fails is taken out, with its reason told; the others go on.
//   2. `step` does a bounded amount of work and never waits.
//   3. `checkpoint` between two steps has everything that the steps before have done, and nothing else: what they put out has left before it.
import { threadId } from 'node:worker_threads'
import { type StreamError, toStreamError } from '../base/index.ts'
import { type Batch, changeKindTexts, type Field, gather, valueAt } from '../data/index.ts'
import { makeJsonEncoder } from '../formats/index.ts'
import { type Disk, realDisk } from '../log/index.ts'
import { checkpointErrors } from './checkpoints/errors.ts'
import { type InputState, jsonMs, KEY_GROUP_COUNT, type OperatorState, partKey, type QueryState } from './checkpoints/manifest.ts'
import { splitState } from './checkpoints/stateParts.ts'
import { type PartUpdate, StateTracker } from './checkpoints/stateTracker.ts'
import type { Lateness } from './diagnosis.ts'
import { engineErrors } from './errors.ts'
import { formatValue } from './expressions/index.ts'
import { Graph, type NodeSnapshot } from './graph.ts'
import type { DeadLetter, JobSpec, LateRecord, QueryInspection, QuerySpec, QueryStatus, SourceStatus } from './protocol.ts'
import { openSink, type Sink, type SinkPort } from './sinks.ts'
import { SourceInput } from './source.ts'
import type { Memory } from './spill/memory.ts'
import { SpillFiles } from './spill/spillFiles.ts'
import type { SpillOptions } from './spill/spillingOperator.ts'

const encoder = new TextEncoder()

/** A consistent cut through a job, between two steps. What sinks outside of the engine keep is not in it yet. */
export interface JobCheckpoint {
  checkpointId: number
  queries: QueryState[]
  updates: PartUpdate[]
}

/** What a query goes on from. */
export interface RestoredQuery {
  state: QueryState
  nodes: NodeSnapshot[]
  /** State that fits nowhere may be dropped. */
  allowsDropped: boolean
  /** What is not read yet is not needed any more. */
  close?(): void
}

export interface JobOptions {
  /** Where the topics' files are. */
  disk?: Disk
  /** How much state may be in memory, and where the rest goes; without it all is in memory. */
  spill?: { memory: Memory; folder: string; keyGroups?: number }
  /** State of a query, if it goes on from a checkpoint. Called once for each. */
  load?: (queryId: string) => RestoredQuery | undefined
  /** Parts that the checkpoint has from which the job goes on, if its next one is written beside that. */
  knownParts?: Parameters<StateTracker['seed']>[0]
}

export interface JobPort extends SinkPort {
  deadLetters(letters: DeadLetter[]): void
  late(queryId: string, topic: string, rows: LateRecord[]): void
  failed(queryId: string, error: StreamError): void
}

interface RunningQuery {
  spec: QuerySpec
  graph: Graph
  sink: Sink
  rowsIn: number
  rowsOut: number
  lateRows: number
  failedRows: number
  /** By topic: late rows that have not left yet. */
  lateRecords: Map<string, LateRecord[]>
  lastInMs?: number
  lastOutMs?: number
  error?: StreamError
  isRestored: boolean
}
/** One scan of one query, fed from a shared input. */
interface Tap {
  query: RunningQuery
  source: number
  /** For each column of the scan: its place in the input's columns. */
  pick: number[]
}

export class Job {
  readonly spec: JobSpec
  private readonly port: JobPort
  private readonly disk: Disk
  private readonly queries = new Map<string, RunningQuery>()
  private readonly inputs: { input: SourceInput; taps: Tap[]; undecodedRows: number }[] = []
  private letters: DeadLetter[] = []
  private readonly encoders = new Map<Field[], ReturnType<typeof makeJsonEncoder>>()
  private readonly tracker = new StateTracker()
  /** Something has happened that the last durable checkpoint does not have. */
  hasChanged = true
  private turn = 0
  private nowMs: number
  private readonly spill: SpillOptions | undefined
  /** Newest arrival among the records behind what is being emitted. */
  private originMs: number | undefined

  /** @throws StreamError CHECKPOINT_DAMAGED of `load` */
  constructor(
    spec: JobSpec,
    port: JobPort,
    nowMs: number,
    { disk = realDisk, load = () => undefined, knownParts = [], spill }: JobOptions = {},
  ) {
    this.spill = spill && { ...spill, files: new SpillFiles(disk, spill.folder, `${spec.id}-${threadId}`) }
    this.spec = spec
    this.port = port
    this.nowMs = nowMs
    this.disk = disk
    this.tracker.seed(knownParts)
    for (const query of spec.queries) this.open(query)
    const inputs: InputState[] = []
    for (const query of [...this.queries.values()]) {
      const restored = load(query.spec.id)
      if (restored) this.guarded(query, () => inputs.push(...restoreQuery(query, restored)))
      restored?.close?.()
    }
    this.openInputs(inputs)
    for (const query of [...this.queries.values()]) {
      if (query.error) continue
      if (query.isRestored) query.graph.resumeClock(nowMs)
      else this.guarded(query, () => query.graph.start(nowMs))
    }
  }

  private open(spec: QuerySpec): void {
    try {
      const query: RunningQuery = {
        spec,
        graph: undefined as unknown as Graph,
        sink: openSink(spec, this.port, this.disk),
        rowsIn: 0,
        rowsOut: 0,
        lateRows: 0,
        failedRows: 0,
        lateRecords: new Map(),
        isRestored: false,
      }
      query.graph = new Graph(spec.plan, {
        timeZone: this.spec.timeZone,
        spill: this.spill,
        sink: (batch) => {
          query.rowsOut += batch.rowCount
          query.lastOutMs = this.nowMs
          query.sink.write(batch, this.originMs)
        },
        hooks: {
          count: () => {},
          late: (batch, rows, fields, lateness, tables) => this.late(query, batch, rows, fields, lateness, tables),
          rowFailed: (batch, row, error, fields) => this.rowFailed(query, batch, row, error, fields),
        },
      })
      this.queries.set(spec.id, query)
    } catch (error) {
      this.port.failed(spec.id, toStreamError(error))
    }
  }

  /** One input for each table, with the columns that any of its scans needs. */
  private openInputs(restored: InputState[]): void {
    const scans = [...this.queries.values()].flatMap((query) => query.graph.sources.map((scan, source) => ({ query, source, scan })))
    // Those of a checkpoint in its order: it begins with the one whose turn it was.
    const tables = new Set(scans.map(({ scan }) => scan.table.name))
    for (const table of new Set([...restored.map((input) => input.table).filter((name) => tables.has(name)), ...tables])) {
      const mine = scans.filter(({ scan }) => scan.table.name === table)
      const columns = [...new Set(mine.flatMap(({ scan }) => scan.columns))].sort((a, b) => a - b)
      const spec = this.spec.sources.find((source) => source.table === table)
      try {
        if (!spec) throw engineErrors('CONNECTOR_UNKNOWN', { connector: 'none', table })
        const input = new SourceInput(spec, mine[0].scan.table, columns, this.disk)
        const taps = mine.map(({ query, source, scan }) => ({ query, source, pick: scan.columns.map((column) => columns.indexOf(column)) }))
        const state = restored.find((one) => one.table === table)
        if (state) input.restore(state)
        this.inputs.push({ input, taps, undecodedRows: 0 })
        const partitions = Array.from({ length: input.partitionCount }, (_, partition) => partition)
        for (const { query, source } of taps) query.graph.setPartitions(source, partitions, this.nowMs)
      } catch (error) {
        for (const { query } of mine) this.fail(query, toStreamError(error))
      }
    }
  }

  /** Reads once and lets all consequences happen. False if there was nothing to read. */
  step(nowMs: number): boolean {
    this.nowMs = nowMs
    for (let i = 0; i < this.inputs.length; i++) {
      const entry = this.inputs[this.turn++ % this.inputs.length]
      const { input, taps } = entry
      let rows: ReturnType<SourceInput['read']>
      const letterCount = this.letters.length
      try {
        rows = input.read(this.letters)
        entry.undecodedRows += this.letters.length - letterCount
      } catch (error) {
        for (const { query } of taps) this.fail(query, toStreamError(error))
        continue
      }
      if (!rows) continue
      this.hasChanged = true
      this.originMs = rows.newestMs === -Infinity ? undefined : rows.newestMs
      for (const tap of taps) {
        if (tap.query.error || rows.rowCount === 0) continue
        tap.query.rowsIn += rows.rowCount
        tap.query.lastInMs = nowMs
        const batch: Batch = {
          rowCount: rows.rowCount,
          columns: tap.pick.map((at) => rows.columns[at]),
          watermarkAfter: -Infinity,
          processingTimeMs: nowMs,
          kinds: rows.kinds,
        }
        this.guarded(tap.query, () => tap.query.graph.push(tap.source, rows.partition, batch))
      }
      for (const { query } of taps) if (!query.error) this.guarded(query, () => query.sink.flush(this.originMs))
      this.originMs = undefined
      this.sendAside()
      return true
    }
    return false
  }

  /** A bounded job has read all that was in its topics when it began: closes what is open. */
  finishIfDone(): boolean {
    if (!this.spec.bounded || !this.inputs.every(({ input }) => input.isAtStopOffsets)) return false
    for (const query of this.queries.values())
      if (!query.error)
        this.guarded(query, () => {
          query.graph.finish()
          query.sink.flush(undefined)
        })
    return true
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs
    for (const query of this.queries.values()) {
      if (query.error) continue
      const { rowsOut } = query
      const { watermarkMs } = query.graph
      this.guarded(query, () => {
        query.graph.tick(nowMs)
        query.sink.flush(undefined)
      })
      if (query.rowsOut !== rowsOut || query.graph.watermarkMs !== watermarkMs) this.hasChanged = true
    }
    this.sendAside()
  }

  /** The state between this step and the next. Queries that failed are not in it. `settle` says later what became of it. */
  checkpoint(checkpointId: number): JobCheckpoint {
    const updates: PartUpdate[] = []
    const queries: QueryState[] = []
    this.hasChanged = false
    this.spill?.files.hold()
    for (const query of this.queries.values()) if (!query.error) this.guarded(query, () => query.sink.flush(undefined))
    this.sendAside()
    for (const query of this.queries.values()) {
      if (query.error) continue
      this.guarded(query, () => queries.push(this.checkpointQuery(query, checkpointId, updates)))
    }
    return { checkpointId, queries, updates }
  }

  private checkpointQuery(query: RunningQuery, takenAt: number, updates: PartUpdate[]): QueryState {
    const { id } = query.spec
    const operators = query.graph.snapshot().map(({ state, ...node }): OperatorState => {
      const parts = state === undefined ? [] : splitState(state)
      for (const part of parts) updates.push(this.tracker.update(partKey(id, node.signature, part.name), part))
      return {
        ...node,
        stateRows: query.graph.stateRowsOf(node.signature),
        keyGroups: [0, KEY_GROUP_COUNT - 1],
        parts: parts.map(({ name, type }) => ({ name, type })),
        watermarkMs: jsonMs(node.watermarkMs),
        forwardedMs: jsonMs(node.forwardedMs),
        inputWatermarks: node.inputWatermarks.map(jsonMs),
      }
    })
    const next = this.inputs.length === 0 ? 0 : this.turn % this.inputs.length
    const inputs = [...this.inputs.slice(next), ...this.inputs.slice(0, next)].filter(({ taps }) => taps.some((tap) => tap.query === query))
    const { rowsIn, rowsOut, lateRows, failedRows } = query
    return {
      id,
      takenAt,
      signature: query.graph.signature,
      inputs: inputs.map(({ input }) => input.snapshot()),
      operators,
      sink: query.sink.checkpoint?.(takenAt) ?? { kind: 'none' },
      latePositions: {},
      counters: { rowsIn, rowsOut, lateRows, failedRows },
    }
  }

  /** The checkpoint that was taken last is durable, or it failed. */
  settle(isDurable: boolean): void {
    this.tracker.settle(isDurable)
    this.spill?.files.settle()
    for (const query of this.queries.values()) query.sink.settle?.(isDurable)
    if (!isDurable) this.hasChanged = true
  }

  /** Resolves when there may be more to read, or after `timeoutMs`. */
  wait(timeoutMs: number): Promise<unknown> {
    return Promise.race(this.inputs.map(({ input }) => input.wait(timeoutMs)))
  }

  get isIdle(): boolean {
    return this.inputs.length === 0
  }

  removeQuery(queryId: string): void {
    const query = this.queries.get(queryId)
    query?.graph.close()
    query?.sink.close?.()
    this.queries.delete(queryId)
    for (const entry of [...this.inputs]) {
      entry.taps = entry.taps.filter(({ query }) => query.spec.id !== queryId)
      if (entry.taps.length > 0) continue
      entry.input.close()
      this.inputs.splice(this.inputs.indexOf(entry), 1)
    }
  }

  close(): void {
    for (const { input } of this.inputs) input.close()
    for (const { graph, sink } of this.queries.values()) {
      graph.close()
      sink.close?.()
    }
    this.spill?.files.close()
  }

  status(): QueryStatus[] {
    return [...this.queries.values()].map((query) => ({
      jobId: this.spec.id,
      queryId: query.spec.id,
      state: query.error ? 'failed' : 'running',
      error: query.error?.toJSON(),
      rowsIn: query.rowsIn,
      rowsOut: query.rowsOut,
      lateRows: query.lateRows,
      failedRows: query.failedRows,
      watermarkMs: query.graph.watermarkMs,
    }))
  }

  /** One query looked at closely: each node and each source. */
  inspect(queryId: string): QueryInspection | undefined {
    const query = this.queries.get(queryId)
    const status = this.status().find((one) => one.queryId === queryId)
    if (!query || !status) return undefined
    const sources = this.inputs
      .filter(({ taps }) => taps.some((tap) => tap.query === query))
      .map(({ input, undecodedRows }): SourceStatus => {
        const { table, topic, startup } = input.spec
        return {
          table,
          topic,
          startup,
          undecodedRows,
          partitions: input.positions.map((offset, partition) => ({ partition, offset, ...input.range(partition) })),
        }
      })
    const { lastInMs, lastOutMs } = query
    return { ...status, nodes: query.graph.status(), sources, lastInMs, lastOutMs }
  }

  positions() {
    return this.inputs.flatMap(({ input }) =>
      input.positions.map((offset, partition) => ({
        jobId: this.spec.id,
        topic: input.spec.topic,
        partition,
        offset,
        endOffset: input.range(partition).endOffset,
      })),
    )
  }

  private guarded(query: RunningQuery, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail(query, toStreamError(error))
    }
  }

  private fail(query: RunningQuery, error: StreamError): void {
    if (query.error) return
    query.error = error
    query.graph.close()
    this.port.failed(query.spec.id, error)
  }

  private late(query: RunningQuery, batch: Batch, rows: number[], fields: Field[], lateness: Lateness[], tables: string[]): void {
    query.lateRows += rows.length
    // Where a row may come from several tables, the first that says where counts.
    const topic = tables.map((table) => query.spec.lateTopics?.[table]).find(Boolean)
    if (topic === undefined) return
    const ordinals = Int32Array.from(rows)
    const columns = batch.columns.map((column) => gather(column, ordinals, rows.length))
    let encode = this.encoders.get(fields)
    if (!encode) this.encoders.set(fields, (encode = makeJsonEncoder(fields)))
    const { bytes, starts, ends } = encode({ columns, rowCount: rows.length })
    const records = rows.map((row, i) => ({
      ...lateness[i],
      value: bytes.slice(starts[i], ends[i]),
      op: changeKindTexts[(batch.kinds?.[row] ?? 0) as 0],
    }))
    query.lateRecords.set(topic, [...(query.lateRecords.get(topic) ?? []), ...records])
  }

  /** In mode 'fail' the query ends, as Flink's does; else the row is kept aside, once for each query that could not compute it. */
  private rowFailed(query: RunningQuery, batch: Batch, row: number, error: Error, fields: Field[]): void {
    const failure = 'code' in error ? (error as StreamError) : engineErrors('ROW_FAILED', { reason: error.message }, { cause: error })
    const spec = this.spec.sources.find((source) => source.table === query.graph.sources[0]?.table.name)
    if (!spec || spec.onError === 'fail') throw failure
    query.failedRows++
    const values = fields.map(({ type }, i) => formatValue(valueAt(batch.columns[i], row), type))
    const kind = batch.kinds ? { '@op': changeKindTexts[batch.kinds[row] as 0] } : {}
    const object = Object.fromEntries(fields.map((field, i) => [field.name, values[i]]))
    const text = JSON.stringify({ ...object, ...kind }, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
    this.letters.push({ topic: spec.topic, partition: -1, offset: -1, raw: encoder.encode(text), error: failure.toJSON() })
  }

  /** What was put aside: late rows for their topics, and rows that failed. */
  private sendAside(): void {
    for (const { spec, lateRecords } of this.queries.values()) {
      for (const [topic, rows] of lateRecords) this.port.late(spec.id, topic, rows)
      lateRecords.clear()
    }
    if (this.letters.length === 0) return
    this.port.deadLetters(this.letters)
    this.letters = []
  }
}

/** Gives a query its state. Returns where its inputs go on. */
function restoreQuery(query: RunningQuery, { state, nodes, allowsDropped }: RestoredQuery): InputState[] {
  const { dropped, missing } = query.graph.restore(nodes)
  const lost = [...dropped.map((label) => `${label}: dropped`), ...missing.map((label) => `${label}: begins empty`)]
  if (lost.length > 0 && !allowsDropped) throw checkpointErrors('STATE_NOT_RESTORED', { query: query.spec.id, dropped: lost })
  query.sink.restore?.(state.sink)
  Object.assign(query, state.counters)
  query.isRestored = true
  return state.inputs
}
