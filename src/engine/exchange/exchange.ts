// One exchange of a plan, in one subtask: rows and watermarks of this subtask's input go to all, those of all come out here.
//
// input --> split by key --> own rows out at once, others to their subtask        (and what other subtasks send here) --> out
//
// Invariants
//   1. Rows of equal keys come out in one subtask; rows of one subtask come out in the order in which they went in, and before the
//      watermark that they cause.
//   2. The watermark that comes out is the minimum over all subtasks. A row sees its own subtask's watermark, but no more than the
//      slowest other one has reached: no row is late that was in time where it came from.
//   2 makes the result of an event-time query independent of how subtasks interleave.
import { type Batch, type BatchMemory, type Column, type Field, gather, gatherAll } from '../../data/index.ts'
import type { Operator } from '../operator.ts'
import type { Distribution } from './distribution.ts'
import { partitionRows } from './partition.ts'
import type { Peers } from './peers.ts'

export class ExchangeOperator implements Operator {
  readonly edge: number
  readonly fields: readonly Field[]
  readonly distribution: Distribution
  private readonly peers: Peers
  private readonly memory: BatchMemory
  private readonly emit: (batch: Batch) => void
  private readonly forward: (watermarkMs: number) => void
  /** What each subtask has said last. */
  private readonly watermarks: Float64Array
  private targets = new Uint8Array(0)
  /** This subtask's clock: rows of others arrive by it, so processing time never falls. */
  private nowMs = -Infinity

  constructor(
    edge: number,
    fields: readonly Field[],
    distribution: Distribution,
    peers: Peers,
    memory: BatchMemory,
    out: { emit(batch: Batch): void; forward(watermarkMs: number): void },
  ) {
    this.edge = edge
    this.fields = fields
    this.distribution = distribution
    this.peers = peers
    this.memory = memory
    this.emit = out.emit
    this.forward = out.forward
    this.watermarks = new Float64Array(peers.parallelism).fill(-Infinity)
  }

  process(batch: Batch): void {
    const { peers, edge, fields, memory } = this
    const mark = memory.mark()
    const { parallelism, subtask } = peers
    const { rowCount } = batch
    const counts = this.countTargets(batch)
    const ends = new Int32Array(parallelism)
    for (let target = 1; target < parallelism; target++) ends[target] = ends[target - 1] + counts[target - 1]
    const firsts = ends.slice()
    const rows = memory.i32(rowCount)
    const { targets } = this
    for (let row = 0; row < rowCount; row++) rows[ends[targets[row]]++] = row
    for (let target = 0; target < parallelism; target++)
      if (target !== subtask && counts[target] > 0)
        peers.sendBatch(target, edge, batch, fields, rows.subarray(firsts[target], ends[target]), counts[target])
    const own = counts[subtask]
    if (own === rowCount) this.receive(subtask, batch)
    else if (own > 0) this.receive(subtask, rowsOf(batch, rows.subarray(firsts[subtask], ends[subtask]), own, memory))
    memory.release(mark)
  }

  /** Number of rows for each subtask; `targets` says which those are. */
  private countTargets(batch: Batch): Int32Array {
    const { rowCount } = batch
    const { parallelism } = this.peers
    const counts = new Int32Array(parallelism)
    if (this.targets.length < rowCount) this.targets = new Uint8Array(rowCount)
    if (this.distribution.kind !== 'hash') {
      this.targets.fill(0)
      counts[0] = rowCount
      return counts
    }
    const { columns } = this.distribution
    const { targets } = this
    partitionRows(
      columns.map((column) => batch.columns[column]),
      columns.map((column) => this.fields[column].type),
      rowCount,
      parallelism,
      targets,
    )
    for (let row = 0; row < rowCount; row++) counts[targets[row]]++
    return counts
  }

  /** The watermark of this subtask's input. */
  advance(watermarkMs: number): void {
    const { parallelism, subtask } = this.peers
    for (let target = 0; target < parallelism; target++) if (target !== subtask) this.peers.sendWatermark(target, this.edge, watermarkMs)
    this.receiveWatermark(subtask, watermarkMs)
  }

  receive(from: number, batch: Batch): void {
    const before = batch.watermarksBefore
    const processingTimeMs = Math.max(batch.processingTimeMs, this.nowMs)
    if (before === undefined) {
      this.emit({ ...batch, processingTimeMs })
      return
    }
    const last = before[batch.rowCount - 1]
    const limit = this.lowest(from)
    const mark = this.memory.mark()
    const watermarksBefore = last <= limit ? before : limited(before, batch.rowCount, limit, this.memory)
    this.emit({ ...batch, watermarksBefore, processingTimeMs })
    this.memory.release(mark)
    // Its own watermark follows, but rows of others may come first: they see no less.
    this.receiveWatermark(from, last)
  }

  receiveWatermark(from: number, watermarkMs: number): void {
    if (!(watermarkMs > this.watermarks[from])) return
    this.watermarks[from] = watermarkMs
    this.forward(this.lowest(-1))
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs
  }

  private lowest(except: number): number {
    let lowest = Infinity
    for (let from = 0; from < this.watermarks.length; from++)
      if (from !== except && this.watermarks[from] < lowest) lowest = this.watermarks[from]
    return lowest
  }

  /** All subtasks have said that nothing more comes. */
  get isFinished(): boolean {
    return this.lowest(-1) === Infinity
  }

  snapshot(): unknown {
    return this.watermarks.slice()
  }
  restore(state: unknown): void {
    this.watermarks.set(state as Float64Array)
  }
}

function rowsOf(batch: Batch, rows: Int32Array, count: number, memory: BatchMemory): Batch {
  const { kinds, watermarksBefore } = batch
  const taken = <C extends Column>(column: C): C => gather(column, rows, count, memory) as C
  return {
    ...batch,
    rowCount: count,
    columns: gatherAll(batch.columns, rows, count, memory),
    kinds: kinds && taken({ lane: 'u8', data: kinds }).data,
    watermarksBefore: watermarksBefore && taken({ lane: 'f64', data: watermarksBefore }).data,
  }
}

/** Watermarks that rows may see, none above `limitMs`. */
export function limited(watermarksBefore: Float64Array, rowCount: number, limitMs: number, memory: BatchMemory): Float64Array {
  const result = memory.f64(rowCount)
  for (let row = 0; row < rowCount; row++) result[row] = Math.min(watermarksBefore[row], limitMs)
  return result
}
