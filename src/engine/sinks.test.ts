import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchOf, type Field } from '../data/index.ts'
import { realDisk } from '../log/index.ts'
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
