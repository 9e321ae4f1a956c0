// Plays a history of rows and watermarks through an operator, cut into batches and restored as a test asks. For tests alone.
import { type Batch, BatchMemory, batchOf, type ChangeKind, changeKindTexts, type Field, rowAt, spoilReleased } from '../../data/index.ts'
import type { Plan } from '../../sql/index.ts'
import type { Operator } from '../operator.ts'
import { buildOperator } from './index.ts'

// Rows that an operator keeps without copying them come out wrong.
spoilReleased(true)

/** A row of an input, or a watermark on it. Rows enter input 0 unless told otherwise. */
export type Step = { row: unknown[]; kind?: ChangeKind; input?: number } | { watermarkMs: number; input?: number } | { tickMs: number }

export interface PlayOptions {
  /** Rows of one batch; watermarks between them are carried by the rows. */
  batchRowCountMax?: number
  /** Snapshot, clone and restore into a new operator after this many batches; 'all' after each. */
  restoreAt?: number | 'all'
  /** A last watermark of +Infinity. */
  finish?: boolean
}

export interface Played {
  rows: unknown[][]
  kinds: string[]
  late: unknown[][]
  failed: unknown[][]
  /** Watermark that each output row sees. */
  seenMs: number[]
  /** What is left when the changelog is applied to an empty table, as sorted texts. */
  table: string[]
}

/** Text of a row for comparisons; bigints and -0 stay visible. */
export const rowText = (row: readonly unknown[]): string =>
  JSON.stringify(row, (_, value) =>
    typeof value === 'bigint'
      ? `${value}n`
      : Object.is(value, -0)
        ? '-0'
        : Number.isNaN(value)
          ? 'NaN'
          : value instanceof Map
            ? Array.from(value).sort()
            : value,
  )

export const inputPlan = (fields: Field[], changelog: Plan['changelog'] = 'append'): Plan => ({
  node: 'values',
  rows: [],
  fields,
  changelog,
})

export function play(plan: Plan, inputs: Field[][], history: readonly Step[], options: PlayOptions = {}): Played {
  const { batchRowCountMax = 1, restoreAt = -1, finish = true } = options
  const played: Played = { rows: [], kinds: [], late: [], failed: [], seenMs: [], table: [] }
  const left = new Map<string, number>()
  const take = (batch: Batch) => {
    for (let row = 0; row < batch.rowCount; row++) {
      const values = rowAt(batch, row)
      const kind = batch.kinds?.[row] ?? 0
      played.rows.push(values)
      played.kinds.push(changeKindTexts[kind])
      played.seenMs.push(batch.watermarksBefore?.[row] ?? -Infinity)
      const text = rowText(values)
      left.set(text, (left.get(text) ?? 0) + (kind % 2 === 0 ? 1 : -1))
    }
  }
  const memory = new BatchMemory()
  const make = (): Operator =>
    buildOperator(plan, {
      emit: take,
      memory,
      count: () => {},
      late: (batch, rows) => played.late.push(...rows.map((row) => rowAt(batch, row))),
      rowFailed: (batch, row) => played.failed.push(rowAt(batch, row)),
      inputFields: inputs,
      outputFields: plan.fields,
    })
  let operator = make()
  const watermarks = inputs.map(() => -Infinity)
  let advancedMs = -Infinity
  const lowest = () => Math.min(...watermarks)
  let rows: unknown[][] = []
  let kinds: number[] = []
  let before: number[] = []
  let input = 0
  let batchCount = 0
  let nowMs = 0
  const flush = () => {
    if (rows.length > 0) {
      const batch = batchOf(inputs[input], rows, {
        kinds: kinds.some((kind) => kind !== 0) ? Uint8Array.from(kinds) : undefined,
        watermarksBefore: before.some((ms) => ms !== -Infinity) ? Float64Array.from(before) : undefined,
        watermarkAfter: watermarks[input],
        processingTimeMs: nowMs,
      })
      operator.process(batch, input)
      memory.release(0)
      rows = []
      kinds = []
      before = []
    }
    if (lowest() > advancedMs) {
      advancedMs = lowest()
      operator.advance(advancedMs)
    }
    batchCount++
    if (restoreAt === 'all' || batchCount === restoreAt) {
      const saved = structuredClone(operator.snapshot?.())
      operator = make()
      if (saved !== undefined) operator.restore?.(saved)
    }
  }
  for (const step of history) {
    const to = 'input' in step ? (step.input ?? 0) : 0
    if ('tickMs' in step) {
      flush()
      nowMs = step.tickMs
      operator.tick?.(nowMs)
    } else if ('watermarkMs' in step) {
      if (to !== input) flush()
      input = to
      watermarks[to] = Math.max(watermarks[to], step.watermarkMs)
      if (rows.length === 0) flush()
    } else {
      if (to !== input || rows.length >= batchRowCountMax) flush()
      input = to
      rows.push(step.row)
      kinds.push(step.kind ?? 0)
      before.push(lowest())
    }
  }
  flush()
  if (finish) {
    watermarks.fill(Infinity)
    flush()
  }
  for (const [text, count] of left) {
    // With a time to live a row is taken away, too, that became visible when others were forgotten without a word.
    if (count < 0 && !('ttlMs' in plan && plan.ttlMs)) throw new Error(`a row was taken away that was not there: ${text}`)
    for (let i = 0; i < count; i++) played.table.push(text)
  }
  played.table.sort()
  return played
}
