// Where a query's changes go: to a view on the main thread, to a topic as record batches, to a caller, or nowhere.
//
// Small results of one step are gathered and leave together in `flush`, so that a step costs one message for each query.
import { type Batch, DELETE, INSERT, isRetraction, UPDATE_BEFORE } from '../data/index.ts'
import { makeJsonEncoder } from '../formats/index.ts'
import { BatchBuilder, noHeaders, partitionOf } from '../log/index.ts'
import type { QuerySpec, SinkSpec } from './protocol.ts'
import { compactColumn } from './source.ts'

export interface SinkPort {
  changes(queryId: string, batch: Batch, originMs: number | undefined): void
  records(queryId: string, topic: string, partition: number, bytes: Uint8Array, recordCount: number): void
}

export interface Sink {
  write(batch: Batch, originMs: number | undefined): void
  flush(originMs: number | undefined): void
}

export function openSink(query: QuerySpec, port: SinkPort): Sink {
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
    case 'topic':
      return new TopicSink(query, query.sink, port)
  }
}

class TopicSink implements Sink {
  private readonly query: QuerySpec
  private readonly spec: SinkSpec & { kind: 'topic' }
  private readonly port: SinkPort
  private readonly encode: ReturnType<typeof makeJsonEncoder>
  private readonly encodeKey: ReturnType<typeof makeJsonEncoder>
  private readonly builders = new Map<number, BatchBuilder>()
  private readonly skip: number[]
  private rowCount = 0

  constructor(query: QuerySpec, spec: SinkSpec & { kind: 'topic' }, port: SinkPort) {
    this.query = query
    this.spec = spec
    this.port = port
    this.skip = [...spec.skip]
    const { fields } = query.plan
    this.encode = makeJsonEncoder(fields)
    this.encodeKey = makeJsonEncoder(spec.keyColumns.map((column) => fields[column]))
  }

  write(batch: Batch, originMs: number | undefined): void {
    const { keyColumns, upsert, partitionCount } = this.spec
    const values = this.encode(batch)
    const keys =
      keyColumns.length > 0 ? this.encodeKey({ ...batch, columns: keyColumns.map((column) => batch.columns[column]) }) : undefined
    const timestampMs = originMs ?? batch.processingTimeMs
    for (let row = 0; row < batch.rowCount; row++) {
      const kind = batch.kinds?.[row] ?? INSERT
      if (kind === UPDATE_BEFORE || (isRetraction(kind) && !upsert)) continue
      const key = keys ? keys.bytes.subarray(keys.starts[row], keys.ends[row]) : null
      const partition = key ? partitionOf(key, partitionCount) : this.rowCount++ % partitionCount
      if (this.skip[partition] > 0) {
        this.skip[partition]--
        continue
      }
      let builder = this.builders.get(partition)
      if (!builder) this.builders.set(partition, (builder = new BatchBuilder()))
      if (kind === DELETE) builder.appendRecord(key, null, 0, 0, noHeaders, timestampMs)
      else builder.appendRecord(key, values.bytes, values.starts[row], values.ends[row], noHeaders, timestampMs)
    }
  }

  flush(): void {
    if (this.builders.size === 0) return
    for (const [partition, { builder, recordCount }] of this.builders)
      this.port.records(this.query.id, this.spec.topic, partition, builder.finish(), recordCount)
    this.builders.clear()
  }
}
