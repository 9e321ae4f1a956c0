// One table's topic as an input of a job: reads record batches from the log's files and decodes the columns that its queries need, once.
//
// Invariants
//   1. Rows of a partition come in offset order; `positions` says what has been handed on, so a restart continues there.
//   2. A record that does not decode never stops the others: it is a dead letter, or fails the queries that read it ('fail').
//   3. Unless the table says otherwise, records of a transaction come when it is committed, and those of an aborted one never.
//   4. As one of several subtasks it reads its own partitions only; of the others it knows nothing, and says so (position -1).
//   5. A tombstone (null value) is no row; of an upsert source it is the deletion of its key's row.
import type { StreamError } from '../base/index.ts'
import { type Column, ColumnBuilder, DELETE, type Field, gather, gatherAll, readUtf8, released, t, withNullable } from '../data/index.ts'
import {
  formatOptions,
  jsonDecodeOptions,
  makeCsvDecoder,
  makeJsonDecoder,
  makeRawDecoder,
  type RowDecoder,
  rowError,
} from '../formats/index.ts'
import {
  batchHeaderOf,
  type Disk,
  indexBatch,
  openReader,
  type PartitionReader,
  type ReadResult,
  RecordIndex,
  readHeaders,
  realDisk,
} from '../log/index.ts'
import type { TableDef } from '../sql/index.ts'
import type { InputState } from './checkpoints/manifest.ts'
import { engineErrors, ofRow } from './errors.ts'
import type { DeadLetter, SourceSpec } from './protocol.ts'

/** Rows of one partition, with the columns that `SourceInput.columns` lists. */
export interface SourceRows {
  partition: number
  columns: Column[]
  rowCount: number
  /** Change kinds, where a record deletes. */
  kinds?: Uint8Array
  /** Newest timestamp of the records, epoch ms: when they arrived at the front door. */
  newestMs: number
}

const READ_BYTES = 1 << 20
const KEPT_BYTES_MAX = 4 * READ_BYTES
/** Large enough that a kernel's set-up costs nothing, small enough for the cache. */
const BATCH_ROWS = 4096
/** How long to listen for more in one go, so that a reader that is closed is not held for ever. */
const LISTEN_MS = 5_000

/**
 * A decoder of the columns `fields`, which are some of the table's physical ones.
 *
 * @param isLent  columns are only used until the next ones are decoded
 */
export function decoderOf(
  spec: Pick<SourceSpec, 'format' | 'formatOptions' | 'key'>,
  table: TableDef,
  fields: Field[],
  isLent = false,
): RowDecoder {
  switch (spec.format) {
    case 'json':
      return makeJsonDecoder(fields, jsonDecodeOptions(spec.formatOptions), isLent)
    case 'csv': {
      // A field of a CSV line is known by its place: the decoder needs all columns, also those that nobody reads.
      const all = table.columns.filter((column, ordinal) => column.kind === 'physical' && !spec.key?.columns.includes(ordinal))
      return makeCsvDecoder(
        all,
        spec.formatOptions,
        fields.map(({ name }) => all.findIndex((column) => column.name === name)),
      )
    }
    case 'raw':
      return makeRawDecoder(fields, spec.formatOptions)
  }
}

interface RowPlaces {
  source: Uint8Array
  starts: Int32Array
  ends: Int32Array
  /** The records that are rows, if not all are. */
  kept?: Int32Array
  kinds?: Uint8Array
}
export interface BatchMark {
  firstRecord: number
  isLogAppendTime: boolean
  leaderEpoch: number
}

/** A decoder of columns that are in records' keys. */
function keyDecoderOf(
  { format, formatOptions, columns, names }: NonNullable<SourceSpec['key']>,
  table: TableDef,
  wanted: Field[],
): RowDecoder {
  if (format === 'json') return makeJsonDecoder(wanted, jsonDecodeOptions(formatOptions))
  const all = columns.map((ordinal, i) => ({ name: names[i], type: table.columns[ordinal].type }))
  if (format === 'raw') return makeRawDecoder(all, formatOptions)
  return makeCsvDecoder(
    all,
    formatOptions,
    wanted.map(({ name }) => names.indexOf(name)),
  )
}

export type MetadataKey =
  | 'timestamp'
  | 'timestamp-type'
  | 'leader-epoch'
  | 'offset'
  | 'partition'
  | 'topic'
  | 'headers'
  | 'id'
  | 'ingested_at'
  | 'trace_id'
  | 'source'

const isHeader = (key: MetadataKey): boolean =>
  key === 'headers' || key === 'id' || key === 'ingested_at' || key === 'trace_id' || key === 'source'

/** Why a row of an upsert source is refused that has no value in this column. */
function missingIn({ columns, primaryKey = [] }: TableDef, name: string): string {
  const isKey = primaryKey.some((ordinal) => columns[ordinal].name === name)
  return isKey
    ? "the value has no such field, and a PRIMARY KEY is NOT NULL; if the record's key alone has it, declare 'value.fields-include' = 'EXCEPT_KEY'"
    : 'the field is missing or null, and it is NOT NULL'
}

/** The subtask that reads a partition: as in Flink's Kafka source, in turn, from one on that the topic's name says. */
export function ownerOf(topic: string, partition: number, parallelism: number): number {
  let hash = 0
  for (let i = 0; i < topic.length; i++) hash = (Math.imul(hash, 31) + topic.charCodeAt(i)) | 0
  return (((hash * 31) & 0x7fffffff) + partition) % parallelism
}

export class SourceInput {
  readonly spec: SourceSpec
  /** Ordinals into the table's columns. */
  readonly columns: number[]
  /** By partition; absent for those that other subtasks read. */
  private readonly readers: (PartitionReader | undefined)[]
  private readonly listening = new Set<PartitionReader>()
  /** Partitions that are read here. */
  readonly owned: number[]
  private readonly decoder: RowDecoder
  private readonly metadata: { key: MetadataKey; field: Field }[]
  /** For each of `columns`: where it comes from. */
  private readonly origins: { from: 'metadata' | 'key' | 'value'; index: number }[] = []
  /** Of an upsert source: which decoded columns are NOT NULL, and what is said of a row without a value there. */
  private readonly required: { at: number; name: string; message: string }[] = []
  /** Of columns that are in records' keys. */
  private readonly keyDecoder: RowDecoder | undefined
  /** Where each batch of the indexed records begins, and what its header says. */
  private batches: BatchMark[] = []
  private readonly index: RecordIndex
  /** What is read into: all rows of a read have gone through the graph before the next one. */
  private memory: Uint8Array = new Uint8Array(0)
  /** Bytes read but not yet decoded, of one partition at a time. */
  private pending: (ReadResult & { partition: number; at: number }) | undefined
  private turn = 0
  readonly positions: number[]
  private readonly stopOffsets: number[]

  constructor(spec: SourceSpec, table: TableDef, columns: number[], disk: Disk = realDisk, subtask = 0, parallelism = 1) {
    this.spec = spec
    this.owned = spec.descriptor.partitions.map((_, partition) => partition).filter((p) => ownerOf(spec.topic, p, parallelism) === subtask)
    this.columns = columns
    const physical: Field[] = []
    const inKey: Field[] = []
    this.metadata = []
    for (const ordinal of columns) {
      const column = table.columns[ordinal]
      const field = { name: column.name, type: column.type }
      if (column.kind === 'metadata') {
        this.origins.push({ from: 'metadata', index: this.metadata.length })
        this.metadata.push({ key: column.key as MetadataKey, field })
      } else if (spec.key?.columns.includes(ordinal)) {
        this.origins.push({ from: 'key', index: inKey.length })
        inKey.push({ ...field, name: spec.key.names[spec.key.columns.indexOf(ordinal)] })
      } else {
        this.origins.push({ from: 'value', index: physical.length })
        physical.push(field)
      }
    }
    this.index = new RecordIndex(
      1024,
      true,
      this.metadata.some(({ key }) => isHeader(key)),
    )
    // The row of a tombstone has nothing but its key: withoutMissing looks for the values that others must have.
    if (spec.upsert)
      this.required = physical.flatMap(({ name, type }, at) => (type.nullable ? [] : [{ at, name, message: missingIn(table, name) }]))
    this.decoder = decoderOf(
      spec,
      table,
      spec.upsert ? physical.map((field) => ({ ...field, type: withNullable(field.type, true) })) : physical,
      true,
    )
    this.keyDecoder = spec.key && inKey.length > 0 ? keyDecoderOf(spec.key, table, inKey) : undefined
    this.readers = spec.descriptor.partitions.map((_, partition) =>
      this.owned.includes(partition) ? this.openReader(partition, disk) : undefined,
    )
    this.positions = this.readers.map((reader) => reader?.nextOffset ?? -1)
    this.stopOffsets = this.readers.map((reader, partition) => spec.slice?.stop[partition] ?? reader?.range.endOffset ?? -1)
  }

  private openReader(partition: number, disk: Disk): PartitionReader {
    const { descriptor, startup, isolation, slice } = this.spec
    const reader = openReader(descriptor, partition, 0, disk, isolation)
    const { startOffset, endOffset } = reader.range
    reader.seek(Math.max(startOffset, slice?.start[partition] ?? (startup === 'latest-offset' ? endOffset : startOffset)))
    return reader
  }

  /** What a restart needs: where to go on, and whose turn it is. */
  snapshot(): InputState {
    const { table, topic, descriptor } = this.spec
    const turn = this.pending?.partition ?? this.owned[this.turn % this.owned.length] ?? 0
    return { table, topic, topicId: descriptor.id, positions: [...this.positions], turn }
  }

  /** Called before the first read. Partitions that were added since begin at their start. */
  restore({ positions, turn }: InputState): void {
    positions.forEach((position, partition) => {
      const reader = this.readers[partition]
      // What retention took since is gone.
      reader?.seek(Math.max(position, reader.range.startOffset))
      if (reader) this.positions[partition] = reader.nextOffset
    })
    this.readers.forEach((reader, partition) => {
      if (!reader || partition < positions.length) return
      reader.seek(reader.range.startOffset)
      this.positions[partition] = reader.nextOffset
    })
    this.turn = Math.max(0, this.owned.indexOf(turn))
  }

  /** Offsets that a partition has now. */
  range(partition: number): { startOffset: number; endOffset: number } {
    const { startOffset, endOffset } = (this.readers[partition] as PartitionReader).range
    return { startOffset, endOffset }
  }

  /** Partitions that have records which were not read yet. */
  get unread(): number[] {
    return this.owned.filter((partition) => {
      const { nextOffset, range } = this.readers[partition] as PartitionReader
      return this.pending?.partition === partition || nextOffset < range.endOffset
    })
  }

  /** Whether all that was durable when the input was opened has been handed on: the end of a bounded read. */
  get isAtStopOffsets(): boolean {
    return this.positions.every((position, partition) => position >= this.stopOffsets[partition])
  }

  /** The next rows, taking turns between partitions; undefined if none has any. */
  read(letters: DeadLetter[]): SourceRows | undefined {
    if (!this.pending) {
      for (let i = 0; i < this.owned.length && !this.pending; i++) {
        const partition = this.owned[this.turn++ % this.owned.length]
        const reader = this.readers[partition] as PartitionReader
        if (this.spec.slice && this.positions[partition] >= this.stopOffsets[partition]) continue
        const chunk = reader.read(READ_BYTES, undefined, this.allocate)
        if (chunk) this.pending = { ...chunk, partition, at: chunk.start }
        // Offsets that compaction took at the end of a partition are read too: a bounded read would wait for them.
        else this.positions[partition] = Math.max(this.positions[partition], reader.nextOffset)
      }
      if (!this.pending) return undefined
    }
    const { pending, index } = this
    if (index.lent) released(index.lent)
    index.reset()
    this.batches = []
    while (pending.at < pending.end && index.count < BATCH_ROWS) {
      if (this.metadata.length > 0) this.batches.push({ firstRecord: index.count, ...batchHeaderOf(pending.bytes, pending.at) })
      const next = indexBatch(pending.bytes, pending.at, index, pending.fromOffset)
      if (next === pending.at) break
      pending.at = next
    }
    if (this.spec.slice) this.cut(pending.partition)
    const rows = this.decode(index.bytes, pending.partition, letters)
    if (pending.at < pending.end) {
      if (index.count > 0) this.positions[pending.partition] = index.offsets[index.count - 1] + 1
    } else {
      this.positions[pending.partition] = pending.nextOffset
      this.pending = undefined
    }
    return rows
  }

  private readonly allocate = (sizeBytes: number): Uint8Array => {
    released(this.memory)
    // Those of a huge batch are not kept.
    if (sizeBytes > KEPT_BYTES_MAX) return Buffer.allocUnsafeSlow(sizeBytes)
    if (sizeBytes > this.memory.length) this.memory = Buffer.allocUnsafeSlow(Math.max(sizeBytes, 2 * this.memory.length))
    return this.memory.subarray(0, sizeBytes)
  }

  /** Leaves out what is indexed but behind the end of the slice. */
  private cut(partition: number): void {
    const { index } = this
    const stop = this.stopOffsets[partition]
    while (index.count > 0 && index.offsets[index.count - 1] >= stop) index.count--
  }

  /** Calls `onNews` when a partition may have more, once for each that did not listen already; or after LISTEN_MS. */
  listen(onNews: () => void): void {
    for (const reader of this.readers) {
      if (reader === undefined || this.listening.has(reader)) continue
      this.listening.add(reader)
      void reader.waitForData(LISTEN_MS).then(() => {
        this.listening.delete(reader)
        onNews()
      })
    }
  }

  close(): void {
    for (const reader of this.readers) reader?.close()
  }

  private decode(bytes: Uint8Array, partition: number, letters: DeadLetter[]): SourceRows {
    const { index } = this
    let newestMs = -Infinity
    for (let i = 0; i < index.count; i++) if (index.timestampsMs[i] > newestMs) newestMs = index.timestampsMs[i]
    const rows = this.withKeys(this.rowsIn(bytes), bytes, partition, letters)
    const { kept, starts, ends, kinds, source } = rows
    const onError = (row: number, error: StreamError) => this.failed(bytes, partition, kept ? kept[row] : row, error, letters)
    const decoded = this.withoutMissing(this.decoder.decode(source, starts, ends, kept?.length ?? index.count, onError), kinds, onError)
    const recordOf = (row: number) => {
      const at = decoded.rows ? decoded.rows[row] : row
      return kept ? kept[at] : at
    }
    const place = { index, topic: this.spec.topic, partition, batches: this.batches }
    const metadata = this.metadata.map(({ key, field }) => metadataColumn(key, field, place, decoded.rowCount, recordOf))
    const keyColumn = (column: Column) => (decoded.rows ? gather(column, decoded.rows, decoded.rowCount) : column)
    const columns = this.origins.map(({ from, index }) => {
      if (from === 'metadata') return metadata[index]
      return from === 'value' ? decoded.columns[index] : keyColumn(rows.keyColumns![index])
    })
    const rowKinds = kinds && decoded.rows ? Uint8Array.from(decoded.rows.subarray(0, decoded.rowCount), (row) => kinds[row]) : kinds
    return { partition, columns, rowCount: decoded.rowCount, kinds: rowKinds, newestMs }
  }

  /** Leaves out rows that have no value in a column that is NOT NULL: of an upsert source the decoder takes them, as a tombstone has its key alone. */
  private withoutMissing(
    decoded: ReturnType<RowDecoder['decode']>,
    kinds: Uint8Array | undefined,
    onError: (row: number, error: StreamError) => void,
  ): ReturnType<RowDecoder['decode']> {
    const required = this.required.filter(({ at }) => decoded.columns[at].nulls)
    if (required.length === 0) return decoded
    const rowOf = (row: number) => (decoded.rows ? decoded.rows[row] : row)
    const good = Int32Array.from({ length: decoded.rowCount }, (_, row) => row).filter((row) => {
      if (kinds?.[rowOf(row)] === DELETE) return true
      const missing = required.find(({ at }) => decoded.columns[at].nulls?.[row])
      if (missing) onError(rowOf(row), rowError(this.spec.format, { rule: 'required', path: missing.name, message: missing.message }))
      return !missing
    })
    if (good.length === decoded.rowCount) return decoded
    return { columns: gatherAll(decoded.columns, good, good.length), rowCount: good.length, rows: good.map(rowOf) }
  }

  /** Reads the keys of these rows, where columns are in them. A row whose key cannot be read is left out, and is a dead letter. */
  private withKeys(rows: RowPlaces, bytes: Uint8Array, partition: number, letters: DeadLetter[]): RowPlaces & { keyColumns?: Column[] } {
    const { keyDecoder, index } = this
    if (!keyDecoder) return rows
    const recordAt = (row: number) => (rows.kept ? rows.kept[row] : row)
    const all = Int32Array.from({ length: rows.kept?.length ?? index.count }, (_, row) => row)
    const noKey = engineErrors('ROW_FAILED', { reason: 'the record has no key, and columns of the table are in it' })
    const keyed = all.filter((row) => {
      const has = index.keyStarts[recordAt(row)] >= 0
      if (!has) this.failed(bytes, partition, recordAt(row), noKey, letters)
      return has
    })
    const starts = keyed.map((row) => index.keyStarts[recordAt(row)])
    const ends = keyed.map((row) => index.keyEnds[recordAt(row)])
    const decoded = keyDecoder.decode(bytes, starts, ends, keyed.length, (row, error) =>
      this.failed(bytes, partition, recordAt(keyed[row]), error, letters),
    )
    const good = decoded.rows ? Int32Array.from(decoded.rows.subarray(0, decoded.rowCount), (row) => keyed[row]) : keyed
    return {
      source: rows.source,
      starts: good.map((row) => rows.starts[row]),
      ends: good.map((row) => rows.ends[row]),
      kept: good.map(recordAt),
      kinds: rows.kinds && Uint8Array.from(good, (row) => rows.kinds![row]),
      keyColumns: decoded.columns,
    }
  }

  /** Where the rows of the indexed records are: `kept` are the records that are rows, if not all are. */
  private rowsIn(bytes: Uint8Array): RowPlaces {
    const { index } = this
    let tombstoneCount = 0
    for (let i = 0; i < index.count; i++) if (index.valueStarts[i] < 0) tombstoneCount++
    if (tombstoneCount === 0) return { source: bytes, starts: index.valueStarts, ends: index.valueEnds }
    if (this.spec.upsert) return this.deletions(bytes, this.spec.upsert)
    const kept = new Int32Array(index.count - tombstoneCount)
    for (let i = 0, at = 0; i < index.count; i++) if (index.valueStarts[i] >= 0) kept[at++] = i
    return { source: bytes, starts: kept.map((i) => index.valueStarts[i]), ends: kept.map((i) => index.valueEnds[i]), kept }
  }

  /** A tombstone's row is read from its key: all other columns are NULL. */
  private deletions(bytes: Uint8Array, { keyFormat, keyColumn }: NonNullable<SourceSpec['upsert']>): RowPlaces {
    const { index } = this
    const starts = index.valueStarts.slice(0, index.count)
    const ends = index.valueEnds.slice(0, index.count)
    const kinds = new Uint8Array(index.count)
    const texts: Buffer[] = [Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)]
    let at = bytes.length
    for (let i = 0; i < index.count; i++) {
      if (starts[i] >= 0) continue
      kinds[i] = DELETE
      starts[i] = index.keyStarts[i]
      ends[i] = index.keyEnds[i]
      if (keyFormat === 'json' && starts[i] >= 0 && !this.spec.key) continue
      // A raw key, or none at all: written as JSON behind the records, so that one decoder reads all rows.
      const key = starts[i] < 0 ? null : readUtf8(bytes, starts[i], ends[i])
      const text = Buffer.from(JSON.stringify({ [keyColumn]: key }))
      texts.push(text)
      starts[i] = at
      ends[i] = at += text.length
    }
    return { source: texts.length > 1 ? Buffer.concat(texts) : bytes, starts, ends, kinds }
  }

  private failed(bytes: Uint8Array, partition: number, record: number, error: StreamError, letters: DeadLetter[]): void {
    if (formatOptions('json', this.spec.formatOptions).flag('ignore-parse-errors')) return
    const { index, spec } = this
    // A copy: the memory is used again.
    const raw = new Uint8Array(bytes.subarray(index.valueStarts[record], index.valueEnds[record]))
    const place = { topic: spec.topic, partition, offset: index.offsets[record] }
    if (spec.onError === 'fail') throw ofRow(error, readUtf8(raw, 0, raw.length), place)
    letters.push({ ...place, raw, error: error.toJSON() })
  }
}

/** One metadata column of records that are indexed: `recordOf` says which record row i is of. */
export function metadataColumn(
  key: MetadataKey,
  field: Field,
  { index, topic, partition, batches = [] }: { index: RecordIndex; topic: string; partition: number; batches?: readonly BatchMark[] },
  rowCount: number,
  recordOf: (row: number) => number,
): Column {
  const { bytes } = index
  const builder = new ColumnBuilder(field.type, rowCount)
  const isBigint = field.type.kind === 'BIGINT'
  const headersOf = (record: number) => readHeaders(bytes, index.headersStarts[record], index.headersEnds[record])
  const header = (record: number, name: string) => headersOf(record).find(([n]) => n === name)?.[1] ?? null
  const batchOf = (record: number) => batches.findLast(({ firstRecord }) => firstRecord <= record)
  const text = (value: Uint8Array | null) => (value === null ? null : Buffer.from(value).toString('utf8'))
  for (let row = 0; row < rowCount; row++) {
    const record = recordOf(row)
    switch (key) {
      case 'timestamp':
        builder.append(index.timestampsMs[record])
        break
      case 'timestamp-type':
        builder.append(batchOf(record)?.isLogAppendTime ? 'LogAppendTime' : 'CreateTime')
        break
      case 'leader-epoch':
        builder.append(batchOf(record)?.leaderEpoch ?? null)
        break
      case 'offset':
        builder.append(isBigint ? BigInt(index.offsets[record]) : index.offsets[record])
        break
      case 'partition':
        builder.append(isBigint ? BigInt(partition) : partition)
        break
      case 'topic':
        builder.append(topic)
        break
      case 'headers':
        // Copies: the memory is used again.
        builder.append(new Map(headersOf(record).map(([name, value]) => [name, value && new Uint8Array(value)])))
        break
      case 'ingested_at': {
        const value = text(header(record, key))
        builder.append(value === null ? null : isBigint ? BigInt(value) : Number(value))
        break
      }
      default:
        builder.append(text(header(record, key)))
    }
  }
  return builder.finish()
}

/** Metadata columns that a `kafka` table may declare, with the type each has. */
export const metadataTypes = {
  timestamp: t.timestampLtz(3, false),
  'timestamp-type': t.string(false),
  'leader-epoch': t.int(),
  offset: t.bigint(false),
  partition: t.int(false),
  topic: t.string(false),
  headers: t.map(t.string(false), t.bytes(), false),
  id: t.string(),
  ingested_at: t.timestampLtz(3),
  trace_id: t.string(),
  source: t.string(),
} satisfies Record<MetadataKey, Field['type']>

/** A copy of a column that owns no more than its rows: what may be sent to another thread without its source's buffer. */
export function compactColumn(column: Column, rowCount: number): Column {
  const nulls = column.nulls?.slice(0, rowCount)
  if (column.lane === 'any') return { lane: 'any', data: column.data.slice(0, rowCount), nulls }
  if (column.lane !== 'utf8') return { ...column, data: column.data.slice(0, rowCount), nulls } as Column
  let sizeBytes = 0
  for (let row = 0; row < rowCount; row++) if (!nulls?.[row]) sizeBytes += column.ends[row] - column.starts[row]
  const bytes = new Uint8Array(sizeBytes)
  const starts = new Int32Array(rowCount)
  const ends = new Int32Array(rowCount)
  let at = 0
  for (let row = 0; row < rowCount; row++) {
    starts[row] = at
    if (!nulls?.[row]) for (let i = column.starts[row]; i < column.ends[row]; i++) bytes[at++] = column.bytes[i]
    ends[row] = at
  }
  return { lane: 'utf8', bytes, starts, ends, nulls }
}
