import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchOf, type Field } from '../data/index.ts'
import { readRecords, realDisk } from '../log/index.ts'
import type { QuerySpec } from './protocol.ts'
import { openSink } from './sinks.ts'

const fields: Field[] = [{ name: 'v', type: { kind: 'BIGINT', nullable: true } }]

/** Where a record batch has the timestamp of its first record. */
const BASE_TIMESTAMP = 27

test('rows behind which there is no record are as new as the clock: retention would take those of 1970 at once', () => {
  const query = {
    id: 'q',
    sink: {
      kind: 'topic',
      topic: 't',
      upsert: false,
      partitionCount: 1,
      batchBytesMax: 1_048_588,
      value: { format: 'json', formatOptions: {}, columns: [0], fields },
    },
  } as unknown as QuerySpec
  const timestamps: number[] = []
  const port = {
    changes: () => {},
    records: (_id: string, _topic: string, _partition: number, bytes: Uint8Array) => {
      timestamps.push(Number(Buffer.from(bytes).readBigInt64BE(BASE_TIMESTAMP)))
    },
  }
  const sink = openSink(query, port, realDisk)
  for (const originMs of [undefined, 1_000]) {
    sink.write(batchOf(fields, [[1n]], { processingTimeMs: 0 }), originMs, 5_000)
    sink.flush(originMs)
  }
  assert.deepEqual(timestamps, [5_000, 1_000])
})

test('what a step puts out is cut into batches that the topic takes, in order, compressed or not', () => {
  const batchBytesMax = 2_000
  const texts = Array.from({ length: 300 }, (_, i) => `${i} `.padEnd(10 + ((i * 37) % 900), 'x'))
  const textFields: Field[] = [{ name: 'v', type: { kind: 'VARCHAR', length: 2_147_483_647, nullable: true } }]
  for (const codec of [0, 1, 3]) {
    const value = { format: 'json', formatOptions: {}, columns: [0], fields: textFields }
    const sink = { kind: 'topic', topic: 't', upsert: false, partitionCount: 2, batchBytesMax, codec, value }
    const found: string[][] = [[], []]
    let batchCount = 0
    const port = {
      changes: () => {},
      records: (_id: string, _topic: string, partition: number, bytes: Uint8Array, recordCount: number) => {
        batchCount++
        assert.ok(bytes.length <= batchBytesMax, `${bytes.length} bytes`)
        const records = [...readRecords(bytes)]
        assert.equal(records.length, recordCount)
        found[partition].push(...records.map((record) => JSON.parse(Buffer.from(record.value!).toString()).v))
      },
    }
    const opened = openSink({ id: 'q', sink } as unknown as QuerySpec, port, realDisk)
    const rows = batchOf(
      textFields,
      texts.map((text) => [text]),
      { processingTimeMs: 0 },
    )
    opened.write(rows, 1_000, 1_000)
    opened.flush(1_000)
    for (const partition of [0, 1]) {
      assert.deepEqual(
        found[partition],
        texts.filter((_, i) => i % 2 === partition),
      )
    }
    assert.ok(batchCount < 150, `${batchCount} batches`)
  }
})
