// Produce and Fetch with whole record batches, on a connection of the client library. Versions that every broker since 2.3 speaks.

import { type Connection, type Reader, Writer } from '@platformatic/kafka'
import type { Isolation } from '../contract.ts'

const PRODUCE = { key: 0, version: 7 }
const FETCH = { key: 1, version: 11 }
const PRODUCE_TIMEOUT_MS = 20_000
const isolationLevels = { read_uncommitted: 0, read_committed: 1 }

export interface Produced {
  errorCode: number
  baseOffset: number
  logStartOffset: number
}

/** Appends one batch, acknowledged by all replicas in sync. @throws the library's errors of the connection */
export function produceBatch(
  connection: Connection,
  topic: string,
  partition: number,
  batch: Uint8Array,
  transactionalId?: string,
): Promise<Produced> {
  const request = () =>
    Writer.create()
      .appendString(transactionalId ?? null, false)
      .appendInt16(-1)
      .appendInt32(PRODUCE_TIMEOUT_MS)
      .appendInt32(1)
      .appendString(topic, false)
      .appendInt32(1)
      .appendInt32(partition)
      .appendBytes(Buffer.from(batch.buffer, batch.byteOffset, batch.length), false)
  const parse = (_id: number, _key: number, _version: number, reader: Reader): Produced => {
    reader.readInt32()
    reader.readString(false)
    reader.readInt32()
    reader.readInt32()
    const errorCode = reader.readInt16()
    const baseOffset = Number(reader.readInt64())
    reader.readInt64()
    return { errorCode, baseOffset, logStartOffset: Number(reader.readInt64()) }
  }
  return send(connection, PRODUCE, request, parse)
}

export interface Fetched {
  errorCode: number
  highWatermark: number
  /** Where `read_committed` readers end. */
  lastStableOffset: number
  logStartOffset: number
  aborted: { producerId: number; firstOffset: number }[]
  /** Batches; the last one may be cut off. In memory of its own. */
  records: Uint8Array
}
export interface FetchOptions {
  isolation: Isolation
  maxWaitMs: number
  maxBytes: number
}

/** Fetches one partition from an offset on. `aborted` is for readers of committed records only. */
export function fetchBatches(
  connection: Connection,
  topic: string,
  partition: number,
  offset: number,
  options: FetchOptions,
): Promise<Fetched> {
  const request = () =>
    Writer.create()
      .appendInt32(-1)
      .appendInt32(options.maxWaitMs)
      .appendInt32(1)
      .appendInt32(options.maxBytes)
      .appendInt8(isolationLevels[options.isolation])
      .appendInt32(0)
      .appendInt32(-1)
      .appendInt32(1)
      .appendString(topic, false)
      .appendInt32(1)
      .appendInt32(partition)
      .appendInt32(-1)
      .appendInt64(BigInt(offset))
      .appendInt64(-1n)
      .appendInt32(options.maxBytes)
      .appendInt32(0)
      .appendString('', false)
  return send(connection, FETCH, request, parseFetched)
}

function parseFetched(_id: number, _key: number, _version: number, reader: Reader): Fetched {
  reader.readInt32()
  const fetched: Fetched = {
    errorCode: reader.readInt16(),
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    aborted: [],
    records: noBytes,
  }
  reader.readInt32()
  if (reader.readInt32() === 0) return fetched
  reader.readString(false)
  reader.readInt32()
  reader.readInt32()
  fetched.errorCode = reader.readInt16()
  fetched.highWatermark = Number(reader.readInt64())
  fetched.lastStableOffset = Number(reader.readInt64())
  fetched.logStartOffset = Number(reader.readInt64())
  for (let rest = reader.readInt32(); rest > 0; rest--) {
    fetched.aborted.push({ producerId: Number(reader.readInt64()), firstOffset: Number(reader.readInt64()) })
  }
  reader.readInt32()
  const sizeBytes = reader.readInt32()
  if (sizeBytes <= 0) return fetched
  const found = reader.buffer.slice(reader.position, reader.position + sizeBytes)
  // The bytes live on in columns: not as a part of whatever the socket read into.
  fetched.records = Buffer.allocUnsafeSlow(sizeBytes)
  fetched.records.set(found)
  reader.skip(sizeBytes)
  return fetched
}
const noBytes: Uint8Array = new Uint8Array(0)

function send<T>(
  connection: Connection,
  { key, version }: { key: number; version: number },
  request: () => Writer,
  parse: (id: number, key: number, version: number, reader: Reader) => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    connection.send<T>(key, version, request, parse, false, false, (error, response) => (error ? reject(error) : resolve(response as T)))
  })
}
