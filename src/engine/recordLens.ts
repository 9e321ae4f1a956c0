// Looks at the records of a topic one by one with SQL: which pass a condition, and what expressions over them give. For people who browse.
//
//   indexed records --> decode the columns that are read --> filter and projections as kernels --> rows, each with its record
//
// Beside the columns of the table that declares the topic, an expression may use what every record has (`recordFields`). Their names begin with
// `_`, so that no column hides them and none of them is a reserved word.
//
// Invariants
//   1. A record that does not decode is looked at too: its columns are NULL, so `_value LIKE …` finds it. So is a tombstone.
//   2. A record for which an expression fails is left out and counted; those around it are as if it were not there.
import { withTimeLimit } from '../base/index.ts'
import { type Batch, type Column, ColumnBuilder, type Field, t, withNullable } from '../data/index.ts'
import type { RowDecoder } from '../formats/index.ts'
import { type RecordIndex, readHeaders } from '../log/index.ts'
import { columnsOf, type Expr, mapColumns, type TableDef } from '../sql/index.ts'
import { engineErrors } from './errors.ts'
import { type Calc, compileCalc, mayHoldUp, userFunctionsOf } from './expressions/index.ts'
import { cutOffFunction } from './progress.ts'
import type { SourceSpec } from './protocol.ts'
import { decoderOf, type MetadataKey, metadataColumn } from './source.ts'

/** What every record has, whoever wrote it. */
export const recordFields = [
  { name: '_key', type: t.string() },
  { name: '_value', type: t.string() },
  { name: '_headers', type: t.map(t.string(false), t.string(), false) },
  { name: '_partition', type: t.int(false) },
  { name: '_offset', type: t.bigint(false) },
  { name: '_timestamp', type: t.timestampLtz(3, false) },
  { name: '_size', type: t.int(false) },
] as const satisfies Field[]

/** The table that declares a topic, and how its records are read. */
export interface LensTable extends Pick<SourceSpec, 'format' | 'formatOptions'> {
  table: TableDef
}

/** The fields that expressions over the records of a topic may use: the table's columns, all nullable, then `recordFields`. */
export const lensFields = (table: TableDef | undefined): Field[] => [
  ...(table?.columns ?? []).map(({ name, type }) => ({ name, type: withNullable(type, true) })),
  ...recordFields,
]

/** Rows and the records that they are of. */
export interface LensRows {
  /** (rowCount) ordinals into the index. */
  records: Int32Array
  /** False: their values could not be decoded, or are null; what is read of them is NULL. */
  isDecoded: boolean
  batch: Batch
}
export interface LensResult {
  /** What passed, in no order among the parts. */
  parts: LensRows[]
  /** Records whose value the table's format cannot read; 0 where no expression reads the value's columns. */
  undecodedCount: number
  /** Records for which an expression failed. */
  failedCount: number
}

export class RecordLens {
  private readonly topic: string
  private readonly table: TableDef | undefined
  private readonly fieldCount: number
  private readonly fields: Field[]
  /** Ordinals of the fields that are read. */
  private readonly read: number[]
  private readonly physical: number[]
  private readonly decoder: RowDecoder | undefined
  private readonly calc: Calc

  /**
   * @param where    over `lensFields(table)`
   * @param exprs    what is computed for the records that pass
   * @throws StreamError of a format's options; RECORDS_OWN_FUNCTION
   */
  constructor(
    topic: string,
    source: LensTable | undefined,
    { where, exprs, timeZone }: { where?: Expr; exprs: readonly Expr[]; timeZone: string },
  ) {
    const table = source?.table
    this.topic = topic
    this.table = table
    this.fields = lensFields(table)
    this.fieldCount = this.fields.length
    const stored = (expr: Expr): Expr =>
      mapColumns(expr, (column) => {
        const declared = table?.columns[column.index]
        return declared?.kind === 'computed' ? declared.expression : column
      })
    const predicate = where && stored(where)
    const projections = exprs.map(stored)
    // What they do is anything, and this is the main thread.
    const [own] = userFunctionsOf([predicate, projections])
    if (own) throw engineErrors('RECORDS_OWN_FUNCTION', { name: own.name })
    const used = new Set<number>()
    for (const expr of predicate ? [predicate, ...projections] : projections) columnsOf(expr, used)
    this.read = [...used].sort((a, b) => a - b)
    this.physical = this.read.filter((ordinal) => table?.columns[ordinal]?.kind === 'physical')
    if (source && this.physical.length > 0)
      this.decoder = decoderOf(
        source,
        source.table,
        this.physical.map((ordinal) => this.fields[ordinal]),
      )
    // The record's own ordinal comes along, to know which ones passed.
    const ordinal: Expr = { kind: 'column', index: this.fieldCount, type: t.int(false) }
    const input = [...this.fields, { name: 'ordinal', type: ordinal.type }]
    // It runs in the main thread: what may not return is given a short time.
    const isLimited = mayHoldUp([predicate, projections])
    const limited = <T>(work: () => T): T => (isLimited ? withTimeLimit(work, LOOK_MS_MAX, cutOff) : work())
    const calc = limited(() => compileCalc({ predicate, projections: [...projections, ordinal] }, input, { timeZone }))
    this.calc = (batch, onError) => limited(() => calc(batch, onError))
  }

  /** Looks at all records of an index, which are of one partition. */
  look(index: RecordIndex, partition: number): LensResult {
    const result: LensResult = { parts: [], undecodedCount: 0, failedCount: 0 }
    if (!this.decoder) {
      const records = Int32Array.from({ length: index.count }, (_, i) => i)
      this.apply(index, partition, records, undefined, result)
      return result
    }
    const withValue: number[] = []
    const without: number[] = []
    for (let i = 0; i < index.count; i++) (index.valueStarts[i] < 0 ? without : withValue).push(i)
    const starts = Int32Array.from(withValue, (i) => index.valueStarts[i])
    const ends = Int32Array.from(withValue, (i) => index.valueEnds[i])
    const decoded = this.decoder.decode(index.bytes, starts, ends, withValue.length, (row) => {
      result.undecodedCount++
      without.push(withValue[row])
    })
    const { rows } = decoded
    const records = Int32Array.from({ length: decoded.rowCount }, (_, i) => withValue[rows ? rows[i] : i])
    this.apply(index, partition, records, decoded.columns, result)
    this.apply(index, partition, Int32Array.from(without), undefined, result)
    return result
  }

  private apply(index: RecordIndex, partition: number, records: Int32Array, decoded: Column[] | undefined, result: LensResult): void {
    const rowCount = records.length
    if (rowCount === 0) return
    const columns: Column[] = new Array(this.fieldCount).fill(unread)
    for (const ordinal of this.read) {
      const at = this.physical.indexOf(ordinal)
      if (at >= 0) columns[ordinal] = decoded ? decoded[at] : nullColumn(this.fields[ordinal], rowCount)
      else columns[ordinal] = this.recordColumn(ordinal, index, partition, records)
    }
    columns.push({ lane: 'i32', data: records })
    const batch = this.calc({ rowCount, columns, watermarkAfter: Number.NEGATIVE_INFINITY, processingTimeMs: Date.now() }, () => {
      result.failedCount++
    })
    if (!batch) return
    const passed = batch.columns.at(-1) as Extract<Column, { lane: 'i32' }>
    result.parts.push({
      records: passed.data,
      isDecoded: decoded !== undefined || !this.decoder,
      batch: { ...batch, columns: batch.columns.slice(0, -1) },
    })
  }

  private recordColumn(ordinal: number, index: RecordIndex, partition: number, records: Int32Array): Column {
    const field = this.fields[ordinal]
    const declared = this.table?.columns[ordinal]
    const place = { index, topic: this.topic, partition }
    if (declared?.kind === 'metadata') {
      return metadataColumn(declared.key as MetadataKey, field, place, records.length, (row) => records[row])
    }
    const metadata = (key: MetadataKey) => metadataColumn(key, field, place, records.length, (row) => records[row])
    switch (field.name as (typeof recordFields)[number]['name']) {
      case '_key':
        return textColumn(index, index.keyStarts, index.keyEnds, records)
      case '_value':
        return textColumn(index, index.valueStarts, index.valueEnds, records)
      case '_partition':
        return metadata('partition')
      case '_offset':
        return metadata('offset')
      case '_timestamp':
        return metadata('timestamp')
      case '_size':
        return { lane: 'i32', data: records.map((i) => sizeOf(index, i)) }
      case '_headers': {
        const headersOf = (i: number) => readHeaders(index.bytes, index.headersStarts[i], index.headersEnds[i])
        const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('utf8'))
        return { lane: 'any', data: Array.from(records, (i) => new Map(headersOf(i).map(([name, value]) => [name, text(value)]))) }
      }
    }
  }
}

/** Bytes of a record's key and value. */
export const sizeOf = ({ keyStarts, keyEnds, valueStarts, valueEnds }: RecordIndex, i: number): number =>
  keyEnds[i] - keyStarts[i] + valueEnds[i] - valueStarts[i]

/** For the records of one look, which are a few thousand. */
const LOOK_MS_MAX = 1_000
const cutOff = () => engineErrors('QUERY_STALLED', { query: 'the filter', seconds: LOOK_MS_MAX / 1_000, fn: cutOffFunction() })

const unread: Column = { lane: 'any', data: [] }

function nullColumn({ type }: Field, rowCount: number): Column {
  const builder = new ColumnBuilder(type, rowCount)
  for (let row = 0; row < rowCount; row++) builder.append(null)
  return builder.finish()
}

function textColumn({ bytes }: RecordIndex, starts: Int32Array, ends: Int32Array, records: Int32Array): Column {
  const nulls = Uint8Array.from(records, (i) => Number(starts[i] < 0))
  return {
    lane: 'utf8',
    bytes,
    starts: records.map((i) => starts[i]),
    ends: records.map((i) => ends[i]),
    nulls: nulls.includes(1) ? nulls : undefined,
  }
}
