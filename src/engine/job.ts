// A job: queries that read their topics together. Synchronous and thread-agnostic: a worker steps it, a simulator can too.
//
//   topic --> SourceInput (read, decode once) --> graph of query 1 --> sink
//                                            `--> graph of query 2 --> sink
// or one of several subtasks that do it together: then a step is a round's reading, or one stage of a round (exchange/rounds.ts).
//
// Invariants
//   1. A query that fails is taken out, with its reason told; the others go on.
//   2. `step` does a bounded amount of work and never waits.
//   3. `checkpoint` between two steps has everything that the steps before have done, and nothing else: what they put out has left before it.
//
// Longer than other files because a step, a round, a cut and a failure all touch the same queries and inputs.
import { type StreamError, toStreamError } from '../base/index.ts'
import { type Batch, changeKindTexts, type Field, gather, valueAt } from '../data/index.ts'
import { makeJsonEncoder } from '../formats/index.ts'
import { type Disk, realDisk } from '../log/index.ts'
import { checkpointErrors } from './checkpoints/errors.ts'
import { type InputState, jsonMs, type OperatorState, partKey, type QueryState } from './checkpoints/manifest.ts'
import { splitState } from './checkpoints/stateParts.ts'
import { type PartUpdate, StateTracker } from './checkpoints/stateTracker.ts'
import type { Lateness } from './diagnosis.ts'
import { engineErrors, ofRow } from './errors.ts'
import { type Barrier, keyGroupsOf, Links, type RoundNote, Rounds } from './exchange/index.ts'
import { checkUserFunctions, formatValue } from './expressions/index.ts'
import { EDGES_MAX, Graph } from './graph.ts'
import type { NodeSnapshot } from './graphNodes.ts'
import { atQuery } from './progress.ts'
import type { DeadLetter, JobSpec, LateRecord, QueryInspection, QuerySpec, QueryStatus, SourceStatus, SubtaskStatus } from './protocol.ts'
import { openSink, type Sink, type SinkPort } from './sinks.ts'
import { SourceInput, type SourceRows } from './source.ts'
import type { Memory } from './spill/memory.ts'
import type { Rescaling } from './spill/share.ts'
import { SpillFiles } from './spill/spillFiles.ts'
import type { SpillOptions } from './spill/spillingOperator.ts'
import type { StateReading, StateRequest } from './state/readState.ts'

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
  /** Of this subtask, or of all that there were if there were another number of them. */
  parts: NodeSnapshot[][]
  rescaling?: Rescaling
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
/** How a subtask spends its time, as Flink names it. Who is back-pressured could work, and waits for others to take what it has made. */
type Activity = 'busy' | 'backPressured' | 'idle'

/** One scan of one query, fed from a shared input. */
interface Tap {
  query: RunningQuery
  source: number
  /** For each column of the scan: its place in the input's columns. */
  pick: number[]
}

interface JobInput {
  input: SourceInput
  taps: Tap[]
  /** Those whose partitions can become idle by themselves. */
  idling: Tap[]
  undecodedRows: number
}

export class Job {
  readonly spec: JobSpec
  private readonly port: JobPort
  private readonly disk: Disk
  private readonly queries = new Map<string, RunningQuery>()
  private readonly inputs: JobInput[] = []
  private readonly rounds: Rounds | undefined
  /** A checkpoint that all subtasks will be told of with the next round. */
  private announced: { checkpointId: number; isLast: boolean } | undefined
  private isTickDue = false
  private readonly spentMs: Record<Activity, number> = { busy: 0, backPressured: 0, idle: 0 }
  private activity: Activity = 'idle'
  private sinceMs = performance.now()
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

  /** @throws StreamError CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE of `load`, or of what it gave when it is read */
  constructor(spec: JobSpec, port: JobPort, nowMs: number, { disk = realDisk, load = () => undefined, spill }: JobOptions = {}) {
    this.spill = spill && { ...spill, files: new SpillFiles(disk, spill.folder, `${spec.id}-${spec.parallel?.subtask ?? 0}`) }
    this.spec = spec
    this.port = port
    this.nowMs = nowMs
    this.disk = disk
    if (spec.parallel) this.rounds = new Rounds(new Links(spec.parallel.links, spec.parallel.subtask))
    spec.queries.forEach((query, i) => {
      this.open(query, i)
    })
    const inputs: InputState[] = []
    for (const query of [...this.queries.values()]) {
      const restored = load(query.spec.id)
      try {
        if (restored) this.guarded(query, () => inputs.push(...restoreQuery(query, restored, this.subtask)), isOfCheckpoint)
      } catch (error) {
        this.close()
        throw error
      } finally {
        restored?.close?.()
      }
    }
    this.openInputs(inputs)
    for (const query of [...this.queries.values()]) {
      if (query.error) continue
      if (query.isRestored) query.graph.resumeClock(nowMs)
      else this.guarded(query, () => query.graph.start(nowMs))
    }
  }

  private get subtask(): number {
    return this.rounds?.subtask ?? 0
  }
  private get parallelism(): number {
    return this.rounds?.parallelism ?? 1
  }

  private open(spec: QuerySpec, index: number): void {
    atQuery(spec.number ?? 0)
    try {
      checkUserFunctions(spec.plan)
      const query: RunningQuery = {
        spec,
        graph: undefined as unknown as Graph,
        sink: openSink(spec, this.port, this.disk, this.subtask, this.parallelism),
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
        rounds: this.rounds,
        firstEdge: index * EDGES_MAX,
        sinkKey: spec.sinkKey,
        sink: (batch) => {
          query.rowsOut += batch.rowCount
          query.lastOutMs = this.nowMs
          query.sink.write(batch, this.originMs, this.nowMs)
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
        const input = new SourceInput(spec, mine[0].scan.table, columns, this.disk, this.subtask, this.parallelism)
        const taps = mine.map(({ query, source, scan }) => ({ query, source, pick: scan.columns.map((column) => columns.indexOf(column)) }))
        const state = restored.find((one) => one.table === table)
        if (state) input.restore(state)
        const idling = taps.filter(({ query, source }) => query.graph.hasIdleTimeout(source))
        this.inputs.push({ input, taps, idling, undecodedRows: 0 })
        for (const { query, source } of taps) query.graph.setPartitions(source, input.owned, this.nowMs)
      } catch (error) {
        for (const { query } of mine) this.fail(query, toStreamError(error))
      }
    }
  }

  /** Reads once and lets all consequences happen, or those of one stage of a round. False if there was nothing to do. */
  step(nowMs: number): boolean {
    this.nowMs = nowMs
    this.spend('idle')
    if (this.rounds) {
      const worked = this.stepRound(this.rounds)
      this.spend(worked ? 'busy' : this.rounds.canBegin ? 'idle' : 'backPressured', worked)
      return worked
    }
    const rows = this.read()
    if (rows) this.handle(rows)
    this.spend(rows ? 'busy' : 'idle', rows !== undefined)
    return rows !== undefined
  }

  /** The main thread has enough to do: nothing new, but others in other threads must not wait for what has been done here. */
  holdBack(): void {
    this.spend('backPressured')
    this.rounds?.pump()
  }

  /** Counts the time since the last call: as work if `worked`, else as what the call before said. */
  private spend(next: Activity, worked = false): void {
    const nowMs = performance.now()
    this.spentMs[worked ? 'busy' : this.activity === 'busy' ? next : this.activity] += nowMs - this.sinceMs
    this.sinceMs = nowMs
    this.activity = next
  }

  private stepRound(rounds: Rounds): boolean {
    const pumped = rounds.pump()
    if (rounds.deliver((stage, note) => this.deliver(stage, note))) return true
    if (!rounds.canBegin) return pumped
    const rows = this.read()
    const leads = this.subtask === 0
    if (!rows && !rounds.isCalled && !(leads && (this.isTickDue || this.announced))) return pumped
    const isTick = this.isTickDue
    this.isTickDue = false
    rounds.begin(
      () => {
        if (isTick) this.tickStage(0)
        if (rows) this.handle(rows)
      },
      () => this.noteOf(rounds, isTick, rows?.rows.newestMs),
    )
    return true
  }

  private noteOf(rounds: Rounds, isTick: boolean, originMs = -Infinity): RoundNote {
    const note: RoundNote = { nowMs: this.nowMs, originMs, isTick, hasChanged: this.hasChanged, isEnd: false }
    if (this.announced && !rounds.barrier) {
      note.barrier = { ...this.announced, round: rounds.nextBarrierRound }
      this.announced = undefined
    }
    return note
  }

  /** A round goes through a stage of all queries. */
  private deliver(stage: number, note: RoundNote): void {
    this.originMs = note.originMs === -Infinity ? undefined : note.originMs
    for (const query of this.queries.values()) if (!query.error) this.watched(query, () => query.graph.deliver(stage, note))
    this.originMs = undefined
    this.sendAside()
  }

  /** Whatever a query puts out, or a watermark that moves, is something that the last checkpoint does not have. */
  private watched(query: RunningQuery, work: () => void): void {
    const { rowsOut } = query
    const { watermarkMs } = query.graph
    this.guarded(query, () => {
      work()
      query.sink.flush(this.originMs)
    })
    if (query.rowsOut !== rowsOut || query.graph.watermarkMs !== watermarkMs) this.hasChanged = true
  }

  private read(): { entry: JobInput; rows: SourceRows } | undefined {
    for (let i = 0; i < this.inputs.length; i++) {
      const entry = this.inputs[this.turn++ % this.inputs.length]
      const { input, taps } = entry
      const letterCount = this.letters.length
      try {
        const rows = input.read(this.letters)
        const undecoded = this.letters.length - letterCount
        entry.undecodedRows += undecoded
        for (const { query } of taps) query.failedRows += undecoded
        if (rows) return { entry, rows }
      } catch (error) {
        for (const { query } of taps) this.fail(query, toStreamError(error))
      }
    }
    return undefined
  }

  /** Of several partitions that were idle one is read first: its event time must not pass the records that wait in the others. */
  private expectRows(): void {
    for (const { input, idling } of this.inputs) {
      if (idling.length === 0) continue
      const { unread } = input
      if (unread.length === 0) continue
      for (const { query, source } of idling)
        if (!query.error) this.guarded(query, () => query.graph.expectRows(source, unread, this.nowMs))
    }
  }

  private handle({ entry: { taps }, rows }: { entry: JobInput; rows: SourceRows }): void {
    this.hasChanged = true
    this.expectRows()
    this.originMs = rows.newestMs === -Infinity ? undefined : rows.newestMs
    for (const tap of taps) {
      if (tap.query.error || rows.rowCount === 0) continue
      tap.query.rowsIn += rows.rowCount
      tap.query.lastInMs = this.nowMs
      const batch: Batch = {
        rowCount: rows.rowCount,
        columns: tap.pick.map((at) => rows.columns[at]),
        watermarkAfter: -Infinity,
        processingTimeMs: this.nowMs,
        kinds: rows.kinds,
      }
      this.guarded(tap.query, () => tap.query.graph.push(tap.source, rows.partition, batch))
    }
    for (const { query } of taps) if (!query.error) this.guarded(query, () => query.sink.flush(this.originMs))
    this.originMs = undefined
    this.sendAside()
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

  /** Processing time has passed. Of several subtasks each lets it pass with its next round, behind exchanges with that of the first. */
  tick(nowMs: number): void {
    this.nowMs = nowMs
    this.isTickDue = true
    if (this.rounds) return
    this.tickStage()
  }

  private tickStage(stage?: number): void {
    this.expectRows()
    for (const query of this.queries.values()) if (!query.error) this.watched(query, () => query.graph.tick(this.nowMs, stage))
    this.sendAside()
  }

  /**
   * Of several subtasks the first tells the others: each makes its cut when `dueCheckpoint` says so. False if nothing has happened anywhere
   * since the last one that is durable.
   */
  announceCheckpoint(checkpointId: number, isLast: boolean): boolean {
    const { rounds } = this
    if (!rounds || (!this.hasChanged && !rounds.isUnderWay && !rounds.lastNotes.some(({ hasChanged }) => hasChanged))) return false
    this.announced = { checkpointId, isLast }
    return true
  }

  /** The checkpoint that is to be taken before the next step, if one is. */
  dueCheckpoint(): Barrier | undefined {
    return this.rounds?.takeBarrier()
  }

  /** Everything that was sent to other subtasks is on its way. */
  get isDrained(): boolean {
    this.rounds?.pump()
    return !this.rounds?.isBlocked
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
    const subtask = this.rounds && this.subtask
    const operators = query.graph.snapshot().map(({ state, ...node }): OperatorState => {
      const parts = state === undefined ? [] : splitState(state)
      for (const part of parts) updates.push(this.tracker.update(partKey(id, node.signature, part.name, subtask), part))
      return {
        ...node,
        stateRows: query.graph.stateRowsOf(node.signature),
        ...(subtask !== undefined && { subtask }),
        keyGroups: keyGroupsOf(this.subtask, this.parallelism),
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
    // What the budget has left over, so that state does not go to the disk for it.
    this.tracker.settle(isDurable, this.spill?.memory.freeBytes)
    this.spill?.files.settle()
    for (const query of this.queries.values()) query.sink.settle?.(isDurable)
    if (!isDurable) this.hasChanged = true
  }

  /**
   * Calls `onNews`, which is the same each time, when there may be more to read (if it `mayRead`) or to do, at the latest after `timeoutMs` for what
   * other subtasks do. `bell` was read before the last step. Whoever listens for rows already goes on to: where there are hundreds of jobs,
   * waiting anew for each partition ten times a second is most of what they cost.
   */
  listen(onNews: () => void, timeoutMs: number, bell: number, mayRead: boolean): void {
    if (mayRead && (!this.rounds || this.rounds.canBegin)) for (const { input } of this.inputs) input.listen(onNews)
    void this.rounds?.waitAsync(bell, timeoutMs).then(onNews)
  }

  /** Moves when another subtask has done something for this one. */
  get bell(): number {
    return this.rounds?.bell ?? 0
  }

  get isParallel(): boolean {
    return this.rounds !== undefined
  }
  /** A cut of all subtasks is due here, a bounded number of rounds ahead. */
  get isCutting(): boolean {
    return this.announced !== undefined || this.rounds?.barrier !== undefined
  }
  /** How many rounds it has begun. */
  get round(): number {
    return this.rounds?.begunHere ?? 0
  }
  /** How many of them have gone through all of its stages. */
  get completedRounds(): number {
    return this.rounds?.completed ?? 0
  }

  /** A query has failed in another subtask. */
  failQuery(queryId: string, error: StreamError): void {
    const query = this.queries.get(queryId)
    if (query) query.error ??= error
  }

  removeQuery(queryId: string): void {
    const query = this.queries.get(queryId)
    query?.graph.close()
    query?.sink.close?.()
    this.queries.delete(queryId)
    for (const entry of [...this.inputs]) {
      entry.taps = entry.taps.filter(({ query }) => query.spec.id !== queryId)
      entry.idling = entry.idling.filter(({ query }) => query.spec.id !== queryId)
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
      isIdle: query.graph.isIdle,
      stateBytes: query.graph.stateBytes,
      spentMs: { ...this.spentMs },
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
          partitions: input.owned.map((partition) => ({ partition, offset: input.positions[partition], ...input.range(partition) })),
        }
      })
    const { lastInMs, lastOutMs } = query
    const nodes = query.graph.status()
    const total = (of: 'stateRows' | 'stateBytes') => nodes.reduce((sum, { operator }) => sum + (operator?.[of] ?? 0), 0)
    const { rowsIn, rowsOut, lateRows, watermarkMs } = status
    const subtask: SubtaskStatus = {
      ...{ subtask: this.subtask, rowsIn, rowsOut, lateRows, watermarkMs },
      stateRows: total('stateRows'),
      stateBytes: total('stateBytes'),
      busyMs: this.spentMs.busy,
      backPressuredMs: this.spentMs.backPressured,
      idleMs: this.spentMs.idle,
    }
    return { ...status, nodes, sources, subtasks: [subtask], lastInMs, lastOutMs }
  }

  /**
   * What an operator of a query remembers: see `Graph.readState`. Undefined for a query that is not here.
   *
   * @throws StreamError those of `Graph.readState`; its steps throw SPILL_DAMAGED
   */
  readState(queryId: string, request: StateRequest): Generator<void, StateReading> | undefined {
    return this.queries.get(queryId)?.graph.readState(request, queryId)
  }

  positions() {
    return this.inputs.flatMap(({ input }) =>
      input.owned.map((partition) => ({
        jobId: this.spec.id,
        topic: input.spec.topic,
        partition,
        offset: input.positions[partition],
        endOffset: input.range(partition).endOffset,
      })),
    )
  }

  /** @param passes  errors that are not the query's */
  private guarded(query: RunningQuery, work: () => void, passes: (error: StreamError) => boolean = () => false): void {
    atQuery(query.spec.number ?? 0)
    try {
      work()
    } catch (error) {
      const failure = toStreamError(error)
      if (passes(failure)) throw failure
      this.fail(query, failure)
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
    const isEnd = !spec || spec.onError === 'fail'
    if (!isEnd) query.failedRows++
    const values = fields.map(({ type }, i) => formatValue(valueAt(batch.columns[i], row), type))
    const kind = batch.kinds ? { '@op': changeKindTexts[batch.kinds[row] as 0] } : {}
    const object = Object.fromEntries(fields.map((field, i) => [field.name, values[i]]))
    const text = JSON.stringify({ ...object, ...kind }, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
    if (isEnd) throw ofRow(failure, text)
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

/** Its bytes are read while queries get their state: an older one may be whole. */
const isOfCheckpoint = ({ code }: StreamError): boolean => code.startsWith('CHECKPOINT_')

/** Gives a query its state. Returns where its inputs go on. */
function restoreQuery(query: RunningQuery, { state, parts, rescaling, allowsDropped }: RestoredQuery, subtask: number): InputState[] {
  const { dropped, missing } = query.graph.restore(parts, rescaling)
  const lost = [...dropped.map((label) => `${label}: dropped`), ...missing.map((label) => `${label}: begins empty`)]
  if (lost.length > 0 && !allowsDropped) throw checkpointErrors('STATE_NOT_RESTORED', { query: query.spec.id, dropped: lost })
  query.sink.restore?.(state.sink)
  // What was counted before counts once.
  if (subtask === 0) Object.assign(query, state.counters)
  query.isRestored = true
  return state.inputs
}
