// Where a query's changes go: to a view on the main thread, to a topic as record batches, to a caller, or nowhere.
//
// Small results of one step are gathered and leave together in `flush`, so that a step costs one message for each query.
import { type Batch, INSERT, isRetraction, UPDATE_AFTER, UPDATE_BEFORE, valueAt } from '../data/index.ts'
import type { EncodedRows } from '../formats/index.ts'
import {
  BatchBuilder,
  type Disk,
  encodeHeaders,
  type HeaderTemplate,
  noHeaders,
  partitionOf,
  RECORD_OVERHEAD_BYTES_MAX,
  recompressed,
} from '../log/index.ts'
import type { SinkState } from './checkpoints/manifest.ts'
import { FilesSink } from './fileSink.ts'
import type { QuerySpec, RecordPart, SinkSpec } from './protocol.ts'
import { makeRecordEncoder } from './recordEncoder.ts'
import { compactColumn } from './source.ts'

export interface SinkPort {
  changes(queryId: string, batch: Batch, originMs: number | undefined): void
  records(queryId: string, topic: string, partition: number, bytes: Uint8Array, recordCount: number): void
}

export interface Sink {
  /** @param nowMs  processing time: the arrival of rows behind which there is no record, as when time alone has closed a window */
  write(batch: Batch, originMs: number | undefined, nowMs: number): void
  flush(originMs: number | undefined): void
  /** What the sink itself keeps, after a flush. A sink whose other half is on the main thread has its state there. */
  checkpoint?(checkpointId: number): SinkState
  restore?(state: SinkState): void
  /** The checkpoint of the last cut is durable, or it failed. */
  settle?(isDurable: boolean): void
  /** Lets go of what it holds open; what it has begun stays as it is. */
  close?(): void
}

export function openSink(query: QuerySpec, port: SinkPort, disk: Disk, subtask = 0, parallelism = 1): Sink {
  switch (query.sink.kind) {
    case 'view':
    case 'collect':
      return {
        write: (batch, originMs) => {
          const columns = batch.columns.map((column) => compactColumn(column, batch.rowCount))
          const kinds = batch.kinds?.slice(0, batch.rowCount)
          port.changes(
            query.id,
            { rowCount: batch.rowCount, columns, kinds, watermarkAfter: batch.watermarkAfter, processingTimeMs: batch.processingTimeMs },
            originMs,
          )
        },
        flush: () => {},
      }
    case 'blackhole':
      return { write: () => {}, flush: () => {} }
    case 'files':
      return new FilesSink(query, query.sink, disk, subtask, parallelism)
    case 'topic':
      return new TopicSink(query, query.sink, port)
  }
}

class TopicSink implements Sink {
  private readonly query: QuerySpec
  private readonly spec: SinkSpec & { kind: 'topic' }
  private readonly port: SinkPort
  private readonly encodeValue: (batch: Batch) => EncodedRows
  private readonly encodeKey: ((batch: Batch) => EncodedRows) | undefined
  private readonly builders = new Map<number, BatchBuilder>()
  private rowCount = 0

  constructor(query: QuerySpec, spec: SinkSpec & { kind: 'topic' }, port: SinkPort) {
    this.query = query
    this.spec = spec
    this.port = port
    this.encodeValue = partEncoder(spec.value)
    this.encodeKey = spec.key && partEncoder(spec.key)
  }

  write(batch: Batch, originMs: number | undefined, nowMs: number): void {
    const { upsert, partitionCount, batchBytesMax, timestampColumn, headersColumn } = this.spec
    const values = this.encodeValue(batch)
    const keys = this.encodeKey?.(batch)
    const keyOf = (row: number) => (!keys || keys.starts[row] < 0 ? null : keys.bytes.subarray(keys.starts[row], keys.ends[row]))
    const arrivedMs = originMs ?? nowMs
    for (let row = 0; row < batch.rowCount; row++) {
      const kind = batch.kinds?.[row] ?? INSERT
      if (isRetraction(kind) && !upsert) continue
      const key = keyOf(row)
      // An update is one record. A -U whose +U a filter took away is a deletion, as in Flink's upsert-kafka.
      if (kind === UPDATE_BEFORE && batch.kinds?.[row + 1] === UPDATE_AFTER && row + 1 < batch.rowCount && sameBytes(key, keyOf(row + 1)))
        continue
      const partition = key ? partitionOf(key, partitionCount) : this.rowCount++ % partitionCount
      const ownMs = timestampColumn === undefined ? null : valueAt(batch.columns[timestampColumn], row)
      const timestampMs = typeof ownMs === 'number' ? ownMs : arrivedMs
      const headers = headersColumn === undefined ? noHeaders : headersOf(valueAt(batch.columns[headersColumn], row))
      const hasValue = !isRetraction(kind) && values.starts[row] >= 0
      const valueBytes = hasValue ? values.ends[row] - values.starts[row] : 0
      const recordBytesMax = RECORD_OVERHEAD_BYTES_MAX + (key?.length ?? 0) + valueBytes + headers.bytes.length
      let builder = this.builders.get(partition)
      if (!builder) this.builders.set(partition, (builder = new BatchBuilder()))
      else if (builder.recordCount > 0 && !builder.hasRoom(recordBytesMax, batchBytesMax)) this.send(partition, builder)
      if (hasValue) builder.appendRecord(key, values.bytes, values.starts[row], values.ends[row], headers, timestampMs)
      else builder.appendRecord(key, null, 0, 0, headers, timestampMs)
    }
  }

  flush(): void {
    if (this.builders.size === 0) return
    for (const [partition, builder] of this.builders) this.send(partition, builder)
    this.builders.clear()
  }

  private send(partition: number, builder: BatchBuilder): void {
    const { recordCount } = builder
    const batch = builder.finish()
    const compressed = recompressed(batch, this.spec.codec)
    // Larger, it might be too large for the topic.
    const bytes = compressed.length < batch.length ? compressed : batch
    this.port.records(this.query.id, this.spec.topic, partition, bytes, recordCount)
  }
}

const sameBytes = (a: Uint8Array | null, b: Uint8Array | null): boolean => a !== null && b !== null && Buffer.compare(a, b) === 0

/** A part of each row's record; null where it has none. */
function partEncoder({ format, formatOptions, columns, fields }: RecordPart): (batch: Batch) => EncodedRows {
  const encode = makeRecordEncoder(format, fields, formatOptions)
  return (batch) => encode({ columns: columns.map((column) => batch.columns[column]), rowCount: batch.rowCount })
}

function headersOf(value: unknown): HeaderTemplate {
  if (!(value instanceof Map) || value.size === 0) return noHeaders
  return encodeHeaders([...value].map(([name, bytes]) => [String(name), bytes as Uint8Array | null] as const))
}
