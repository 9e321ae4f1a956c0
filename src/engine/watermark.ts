// Event time of a source: evaluates the watermark expression for each row of each partition.
//
// Invariants
//   1. A row comes before its watermark: `watermarksBefore[row]` holds what earlier rows have caused, never the row itself.
//   2. The source's watermark is the minimum over its partitions and never falls. A partition that has sent nothing holds it at
//      -Infinity, unless it is idle: no row for `idleTimeoutMs` of processing time. An idle one counts again with its next row,
//      or once it has one to be read.
//   3. A row without event time goes to `rowFailed`, not further.
import { type Arrays, type Batch, type BatchMemory, type Column, gather } from '../data/index.ts'
import type { Plan } from '../sql/index.ts'
import { engineErrors } from './errors.ts'
import { compileScalar } from './expressions/index.ts'
import type { Operator, OperatorContext } from './operator.ts'

interface Partition {
  watermarkMs: number
  idle: boolean
  lastRowMs: number
}
export interface WatermarkStatus {
  partition: number
  watermarkMs: number
  idle: boolean
}

export class WatermarkOperator implements Operator {
  private readonly partitions = new Map<number, Partition>()
  private readonly evaluate: (batch: Batch, arrays: Arrays) => Column
  private readonly plan: Plan & { node: 'watermark' }
  private readonly context: OperatorContext
  private readonly partitionOf: () => number
  private readonly memory: BatchMemory
  private hasNone = false
  currentMs = -Infinity

  constructor(plan: Plan & { node: 'watermark' }, context: OperatorContext, partitionOf: () => number, memory: BatchMemory) {
    this.plan = plan
    this.context = context
    this.partitionOf = partitionOf
    this.memory = memory
    this.evaluate = compileScalar(plan.expression, plan.input.fields)
  }

  /** None: another subtask has them. */
  setPartitions(partitions: number[], nowMs: number): void {
    this.hasNone = partitions.length === 0
    for (const id of this.partitions.keys()) if (!partitions.includes(id)) this.partitions.delete(id)
    for (const partition of partitions)
      if (!this.partitions.has(partition)) this.partitions.set(partition, { watermarkMs: -Infinity, idle: false, lastRowMs: nowMs })
  }

  process(input: Batch): void {
    const batch = this.withoutNullTimes(input)
    if (batch.rowCount === 0) return
    const id = this.partitionOf()
    let partition = this.partitions.get(id)
    if (!partition) this.partitions.set(id, (partition = { watermarkMs: -Infinity, idle: false, lastRowMs: 0 }))
    partition.idle = false
    partition.lastRowMs = batch.processingTimeMs
    const limit = this.lowestExcept(partition)
    const { memory } = this
    const mark = memory.mark()
    const column = this.evaluate(batch, memory)
    const timesMs =
      column.lane === 'any' ? column.data.map((ns) => Number((ns as bigint) / 1_000_000n)) : (column as { data: Float64Array }).data
    const watermarksBefore = memory.f64(batch.rowCount)
    let own = partition.watermarkMs
    let current = this.currentMs
    for (let row = 0; row < batch.rowCount; row++) {
      watermarksBefore[row] = current
      if (timesMs[row] > own && !column.nulls?.[row]) {
        own = timesMs[row]
        const lowest = Math.min(own, limit)
        if (lowest > current) current = lowest
      }
    }
    partition.watermarkMs = own
    this.currentMs = current
    this.context.emit({ ...batch, watermarksBefore, watermarkAfter: current })
    memory.release(mark)
  }

  advance(): void {
    this.currentMs = Infinity
  }

  /** Sets one partition's watermark, as a test's `@watermark` does. */
  advancePartition(id: number, watermarkMs: number): void {
    const partition = this.partitions.get(id)
    if (partition) partition.watermarkMs = Math.max(partition.watermarkMs, watermarkMs)
    else this.partitions.set(id, { watermarkMs, idle: false, lastRowMs: 0 })
    this.raise()
  }

  markIdle(id: number): void {
    const partition = this.partitions.get(id)
    if (partition) partition.idle = true
    this.raise()
  }

  /** Their records were not read yet: what is read of others meanwhile does not make them late. */
  expectRows(partitions: number[], nowMs: number): void {
    for (const id of partitions) {
      const partition = this.partitions.get(id)
      if (partition) Object.assign(partition, { idle: false, lastRowMs: nowMs })
    }
  }

  tick(nowMs: number): void {
    const { idleTimeoutMs } = this.plan
    if (!idleTimeoutMs) return
    for (const partition of this.partitions.values()) {
      // Where the clock was set back the timeout begins again.
      if (nowMs < partition.lastRowMs) partition.lastRowMs = nowMs
      if (nowMs - partition.lastRowMs >= idleTimeoutMs) partition.idle = true
    }
    this.raise()
  }

  /** While every partition is idle the watermark stays. */
  private raise(): void {
    const lowest = this.lowestExcept(undefined)
    if (lowest !== Infinity) this.currentMs = Math.max(this.currentMs, lowest)
  }

  /** It holds no watermark back: each of its partitions is idle, or it has none. */
  get isIdle(): boolean {
    if (this.partitions.size === 0) return this.hasNone
    for (const { idle } of this.partitions.values()) if (!idle) return false
    return true
  }

  snapshot(): unknown {
    return { currentMs: this.currentMs, partitions: this.partitions }
  }

  restore(state: unknown): void {
    const { currentMs, partitions } = state as { currentMs: number; partitions: Map<number, Partition> }
    this.currentMs = currentMs
    for (const [id, partition] of partitions) this.partitions.set(id, { ...partition })
  }

  /** From several subtasks, whose partitions are dealt out anew: the event time of all of them is that of the slowest that is not idle. */
  restoreAll(states: readonly unknown[]): void {
    const all = states as { currentMs: number; partitions: Map<number, Partition> }[]
    for (const { partitions } of all) for (const [id, partition] of partitions) this.partitions.set(id, { ...partition })
    const reading = all.filter(({ partitions }) => partitions.size > 0)
    const active = reading.filter(({ partitions }) => [...partitions.values()].some(({ idle }) => !idle))
    const counted = active.length > 0 ? active : reading
    if (counted.length > 0) this.currentMs = Math.min(...counted.map(({ currentMs }) => currentMs))
  }

  resumeClock(nowMs: number): void {
    for (const partition of this.partitions.values()) partition.lastRowMs = nowMs
  }

  status(): WatermarkStatus[] {
    return [...this.partitions].map(([partition, { watermarkMs, idle }]) => ({ partition, watermarkMs, idle }))
  }

  /** Infinity if there is no other partition that counts. */
  private lowestExcept(except: Partition | undefined): number {
    let lowest = Infinity
    for (const partition of this.partitions.values())
      if (partition !== except && !partition.idle && partition.watermarkMs < lowest) lowest = partition.watermarkMs
    return lowest
  }

  private withoutNullTimes(batch: Batch): Batch {
    const { nulls } = batch.columns[this.plan.timeColumn]
    if (!nulls?.subarray(0, batch.rowCount).includes(1)) return batch
    const field = this.plan.fields[this.plan.timeColumn]
    const kept = new Int32Array(batch.rowCount)
    let count = 0
    for (let row = 0; row < batch.rowCount; row++) {
      if (nulls[row]) this.context.rowFailed(batch, row, engineErrors('ROWTIME_NULL', { column: field.name, table: tableOf(this.plan) }))
      else kept[count++] = row
    }
    return {
      ...batch,
      rowCount: count,
      columns: batch.columns.map((column) => gather(column, kept, count)),
      kinds: batch.kinds && Uint8Array.from({ length: count }, (_, i) => batch.kinds![kept[i]]),
      arrivals: batch.arrivals && Int32Array.from({ length: count }, (_, i) => batch.arrivals![kept[i]]),
    }
  }
}

function tableOf(plan: Plan): string {
  if (plan.node === 'scan') return plan.table.name
  return 'input' in plan ? tableOf(plan.input) : 'a subquery'
}
