// Where a query's changes go: to a view on the main thread, to a topic as record batches, to a caller, or nowhere.
//
// Small results of one step are gathered and leave together in `flush`, so that a step costs one message for each query.
import { type Batch, INSERT, isRetraction, UPDATE_AFTER, UPDATE_BEFORE, valueAt } from '../data/index.ts'
import { makeJsonEncoder } from '../formats/index.ts'
import { BatchBuilder, type Disk, noHeaders, partitionOf } from '../log/index.ts'
import type { SinkState } from './checkpoints/manifest.ts'
import { formatValue } from './expressions/index.ts'
import { FilesSink } from './fileSink.ts'
import type { QuerySpec, SinkSpec } from './protocol.ts'
import { compactColumn } from './source.ts'

export interface SinkPort {
  changes(queryId: string, batch: Batch, originMs: number | undefined): void
  records(queryId: string, topic: string, partition: number, bytes: Uint8Array, recordCount: number): void
}

export interface Sink {
  write(batch: Batch, originMs: number | undefined): void
  flush(originMs: number | undefined): void
  /** What the sink itself keeps, after a flush. A sink whose other half is on the main thread has its state there. */
  checkpoint?(checkpointId: number): SinkState
  restore?(state: SinkState): void
  /** The checkpoint of the last cut is durable, or it failed. */
  settle?(isDurable: boolean): void
}

export function openSink(query: QuerySpec, port: SinkPort, disk: Disk): Sink {
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
      return new FilesSink(query, query.sink, disk)
    case 'topic':
      return new TopicSink(query, query.sink, port)
  }
}

class TopicSink implements Sink {
  private readonly query: QuerySpec
  private readonly spec: SinkSpec & { kind: 'topic' }
  private readonly port: SinkPort
  private readonly encode: ReturnType<typeof makeJsonEncoder>
  private readonly encodeKey: (batch: Batch) => (row: number) => Uint8Array | null
  private readonly builders = new Map<number, BatchBuilder>()
  private rowCount = 0

  constructor(query: QuerySpec, spec: SinkSpec & { kind: 'topic' }, port: SinkPort) {
    this.query = query
    this.spec = spec
    this.port = port
    this.encode = makeJsonEncoder(spec.fields)
    this.encodeKey = keyEncoder(spec)
  }

  write(batch: Batch, originMs: number | undefined): void {
    const { upsert, partitionCount } = this.spec
    const values = this.encode(batch)
    const keyOf = this.encodeKey(batch)
    const timestampMs = originMs ?? batch.processingTimeMs
    for (let row = 0; row < batch.rowCount; row++) {
      const kind = batch.kinds?.[row] ?? INSERT
      if (isRetraction(kind) && !upsert) continue
      const key = keyOf(row)
      // An update is one record. A -U whose +U a filter took away is a deletion, as in Flink's upsert-kafka.
      if (kind === UPDATE_BEFORE && batch.kinds?.[row + 1] === UPDATE_AFTER && row + 1 < batch.rowCount && sameBytes(key, keyOf(row + 1)))
        continue
      const partition = key ? partitionOf(key, partitionCount) : this.rowCount++ % partitionCount
      let builder = this.builders.get(partition)
      if (!builder) this.builders.set(partition, (builder = new BatchBuilder()))
      if (isRetraction(kind)) builder.appendRecord(key, null, 0, 0, noHeaders, timestampMs)
      else builder.appendRecord(key, values.bytes, values.starts[row], values.ends[row], noHeaders, timestampMs)
    }
  }

  flush(): void {
    if (this.builders.size === 0) return
    for (const [partition, builder] of this.builders) {
      const { recordCount } = builder
      this.port.records(this.query.id, this.spec.topic, partition, builder.finish(), recordCount)
    }
    this.builders.clear()
  }
}

const sameBytes = (a: Uint8Array | null, b: Uint8Array | null): boolean => a !== null && b !== null && Buffer.compare(a, b) === 0
const textEncoder = new TextEncoder()

/** A record's key: the key columns as a JSON object, or with 'key.format' = 'raw' the text of the one column. */
function keyEncoder({ keyColumns, keyFormat, fields }: SinkSpec & { kind: 'topic' }): (batch: Batch) => (row: number) => Uint8Array | null {
  if (keyColumns.length === 0) return () => () => null
  if (keyFormat === 'raw') {
    const [column] = keyColumns
    return (batch) => (row) => {
      const value = formatValue(valueAt(batch.columns[column], row), fields[column].type)
      return value === null ? null : textEncoder.encode(String(value))
    }
  }
  const encode = makeJsonEncoder(keyColumns.map((column) => fields[column]))
  return ({ columns, rowCount }) => {
    const { bytes, starts, ends } = encode({ columns: keyColumns.map((column) => columns[column]), rowCount })
    return (row) => bytes.subarray(starts[row], ends[row])
  }
}
