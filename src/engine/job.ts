// A job: queries that read their topics together. Synchronous and thread-agnostic: a worker steps it, a simulator can too.
//
//   topic --> SourceInput (read, decode once) --> graph of query 1 --> sink
//                                            `--> graph of query 2 --> sink
//
// Invariants
//   1. A query that fails is taken out, with its reason told; the others go on.
//   2. `step` does a bounded amount of work and never waits.
import { type StreamError, toStreamError } from '../base/index.ts'
import { type Batch, changeKindTexts, type Field, valueAt } from '../data/index.ts'
import { engineErrors } from './errors.ts'
import { formatValue } from './expressions/index.ts'
import { Graph } from './graph.ts'
import type { DeadLetter, JobSpec, QuerySpec, QueryStatus } from './protocol.ts'
import { openSink, type Sink, type SinkPort } from './sinks.ts'
import { SourceInput } from './source.ts'

const LATE_SAMPLES_MAX = 20
const encoder = new TextEncoder()

export interface JobPort extends SinkPort {
  deadLetters(letters: DeadLetter[]): void
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
  lateSamples: unknown[][]
  error?: StreamError
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
  private readonly queries = new Map<string, RunningQuery>()
  private readonly inputs: { input: SourceInput; taps: Tap[] }[] = []
  private letters: DeadLetter[] = []
  private turn = 0
  private nowMs: number
  /** Newest arrival among the records behind what is being emitted. */
  private originMs: number | undefined

  constructor(spec: JobSpec, port: JobPort, nowMs: number) {
    this.spec = spec
    this.port = port
    this.nowMs = nowMs
    for (const query of spec.queries) this.open(query)
    this.openInputs()
    for (const query of [...this.queries.values()]) this.guarded(query, () => query.graph.start(nowMs))
  }

  private open(spec: QuerySpec): void {
    try {
      const query: RunningQuery = {
        spec,
        graph: undefined as unknown as Graph,
        sink: openSink(spec, this.port),
        rowsIn: 0,
        rowsOut: 0,
        lateRows: 0,
        failedRows: 0,
        lateSamples: [],
      }
      query.graph = new Graph(spec.plan, {
        timeZone: this.spec.timeZone,
        sink: (batch) => {
          query.rowsOut += batch.rowCount
          query.sink.write(batch, this.originMs)
        },
        hooks: {
          count: () => {},
          late: (batch, rows, fields) => this.late(query, batch, rows, fields),
          rowFailed: (batch, row, error, fields) => this.rowFailed(query, batch, row, error, fields),
        },
      })
      this.queries.set(spec.id, query)
    } catch (error) {
      this.port.failed(spec.id, toStreamError(error))
    }
  }

  /** One input for each table, with the columns that any of its scans needs. */
  private openInputs(): void {
    const scans = [...this.queries.values()].flatMap((query) => query.graph.sources.map((scan, source) => ({ query, source, scan })))
    for (const table of new Set(scans.map(({ scan }) => scan.table.name))) {
      const mine = scans.filter(({ scan }) => scan.table.name === table)
      const columns = [...new Set(mine.flatMap(({ scan }) => scan.columns))].sort((a, b) => a - b)
      const spec = this.spec.sources.find((source) => source.table === table)
      try {
        if (!spec) throw engineErrors('CONNECTOR_UNKNOWN', { connector: 'none', table })
        const input = new SourceInput(spec, mine[0].scan.table, columns)
        const taps = mine.map(({ query, source, scan }) => ({ query, source, pick: scan.columns.map((column) => columns.indexOf(column)) }))
        this.inputs.push({ input, taps })
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
      try {
        rows = input.read(this.letters)
      } catch (error) {
        for (const { query } of taps) this.fail(query, toStreamError(error))
        continue
      }
      if (!rows) continue
      this.originMs = rows.newestMs === -Infinity ? undefined : rows.newestMs
      for (const tap of taps) {
        if (tap.query.error || rows.rowCount === 0) continue
        tap.query.rowsIn += rows.rowCount
        const batch: Batch = {
          rowCount: rows.rowCount,
          columns: tap.pick.map((at) => rows.columns[at]),
          watermarkAfter: -Infinity,
          processingTimeMs: nowMs,
        }
        this.guarded(tap.query, () => tap.query.graph.push(tap.source, rows.partition, batch))
      }
      for (const { query } of taps) if (!query.error) this.guarded(query, () => query.sink.flush(this.originMs))
      this.originMs = undefined
      this.sendLetters()
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
      this.guarded(query, () => {
        query.graph.tick(nowMs)
        query.sink.flush(undefined)
      })
    }
    this.sendLetters()
  }

  /** Resolves when there may be more to read, or after `timeoutMs`. */
  wait(timeoutMs: number): Promise<unknown> {
    return Promise.race(this.inputs.map(({ input }) => input.wait(timeoutMs)))
  }

  get isIdle(): boolean {
    return this.inputs.length === 0
  }

  removeQuery(queryId: string): void {
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
      nodes: query.graph.status(),
      lateSamples: query.lateSamples,
    }))
  }

  positions() {
    return this.inputs.flatMap(({ input }) =>
      input.positions.map((offset, partition) => ({
        jobId: this.spec.id,
        topic: input.spec.topic,
        partition,
        offset,
        endOffset: input.endOffset(partition),
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
    this.port.failed(query.spec.id, error)
  }

  private late(query: RunningQuery, batch: Batch, rows: number[], fields: Field[]): void {
    query.lateRows += rows.length
    for (const row of rows) query.lateSamples.push(fields.map(({ type }, i) => formatValue(valueAt(batch.columns[i], row), type)))
    if (query.lateSamples.length > LATE_SAMPLES_MAX) query.lateSamples.splice(0, query.lateSamples.length - LATE_SAMPLES_MAX)
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

  private sendLetters(): void {
    if (this.letters.length === 0) return
    this.port.deadLetters(this.letters)
    this.letters = []
  }
}
