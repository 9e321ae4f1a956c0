import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compressionsAlgorithms } from '@platformatic/kafka'
import fc from 'fast-check'
import { Lz4BatchBuilder } from './lz4BatchBuilder.ts'
import { recompressed } from './recompress.ts'
import { BATCH_HEADER_BYTES, BatchBuilder, batchHeaderOf, encodeHeaders, type HeaderTemplate } from './recordBatch.ts'
import { indexBatch, RecordIndex, readRecords, validateBatch } from './recordIndex.ts'

/** The reference implementation, with its checks. */
const decode = (frame: Uint8Array): Buffer => compressionsAlgorithms.lz4.decompressSync(Buffer.from(frame))
const nowMs = 1_700_000_000_000

interface Row {
  key: Uint8Array | null
  value: Uint8Array | null
  /** Which template its headers are of. */
  template: number
  id: Uint8Array
  deltaMs: number
}
const idBytes = [36, 36, 4, 200, 0]
const templatesOf = (): HeaderTemplate[] => [
  encodeHeaders(
    [
      ['id', new Uint8Array(36)],
      ['ingested_at', Buffer.from('1700000000000')],
      ['trace_id', Buffer.alloc(32, 97)],
    ],
    'id',
  ),
  encodeHeaders(
    [
      ['id', new Uint8Array(36)],
      ['a', Buffer.from('0123456')],
    ],
    'id',
  ),
  encodeHeaders(
    [
      ['id', new Uint8Array(4)],
      ['source', Buffer.from('http')],
      ['more', null],
    ],
    'id',
  ),
  encodeHeaders(
    [
      ['id', new Uint8Array(200)],
      ['rest', Buffer.alloc(300, 98)],
    ],
    'id',
  ),
  encodeHeaders([['x', Buffer.alloc(20, 1)]]),
]
function build(builder: BatchBuilder, rows: readonly Row[]): Uint8Array {
  const templates = templatesOf()
  for (const { key, value, template: number, id, deltaMs } of rows) {
    const template = templates[number]
    for (let i = template.patchStart; i < template.patchEnd; i++) template.bytes[i] = id[(i - template.patchStart) % id.length]
    builder.appendRecord(key, value, 0, value?.length ?? 0, template, nowMs + deltaMs)
  }
  return builder.finish()
}

const few = fc.uint8Array({ minLength: 1, maxLength: 40 })
const bytes = fc.oneof(
  { weight: 8, arbitrary: few },
  { weight: 1, arbitrary: fc.tuple(few, fc.integer({ min: 1, max: 700 })).map(([one, times]) => Buffer.concat(Array(times).fill(one))) },
)
const row = fc.record({
  key: fc.oneof(fc.constant(null), few),
  value: fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 9, arbitrary: bytes }),
  template: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.integer({ min: 0, max: idBytes.length - 1 }) }),
  id: fc.uint8Array({ minLength: 3, maxLength: 3, max: 2 }),
  deltaMs: fc.constantFrom(0, 0, 0, 7, -3, 70_000),
})
const batches = fc.array(fc.array(row, { minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 3 })

test('a batch in LZ4 has the records, byte for byte, that a batch without compression has', () => {
  const lz4 = new Lz4BatchBuilder(256)
  fc.assert(
    fc.property(batches, (all) => {
      for (const rows of all) {
        const plain = build(new BatchBuilder(), rows)
        const batch = build(lz4, rows)
        assert.equal(batchHeaderOf(batch, 0).codec, 3)
        assert.deepEqual(decode(batch.subarray(BATCH_HEADER_BYTES)), Buffer.from(plain.subarray(BATCH_HEADER_BYTES)))
        assert.equal(validateBatch(batch), rows.length)
        assert.ok(batch.length <= plain.length + (plain.length >> 7) + 64, `${plain.length} bytes became ${batch.length}`)
      }
    }),
    { numRuns: 150 },
  )
})

/** The format: a block ends with five literals, and no repeat begins in its last twelve bytes. Decoders that are not strict do not see it. */
function checkTail(block: Uint8Array, blockBytes: number): void {
  let at = 0
  const length = (first: number) => {
    let size = first
    if (first === 15) for (let byte = 255; byte === 255; size += byte) byte = block[at++]
    return size
  }
  let repeatAt = Number.NEGATIVE_INFINITY
  for (let decoded = 0; ; ) {
    const token = block[at++]
    const literals = length(token >> 4)
    at += literals
    decoded += literals
    if (at >= block.length) {
      assert.ok(literals >= 5 && repeatAt <= blockBytes - 12, `${literals} literals, the last repeat at ${repeatAt} of ${blockBytes}`)
      return
    }
    repeatAt = decoded
    at += 2
    decoded += length(token & 15) + 4
  }
}

test('batches of several blocks: no block is larger than 64 KiB, and none refers to another', () => {
  fc.assert(
    fc.property(fc.array(row, { minLength: 20, maxLength: 40 }), fc.integer({ min: 20, max: 80 }), (rows, times) => {
      const many = Array.from({ length: times }, () => rows).flat()
      const plain = build(new BatchBuilder(), many)
      const batch = build(new Lz4BatchBuilder(), many)
      const view = new DataView(batch.buffer, batch.byteOffset)
      const decoded: Buffer[] = []
      let at = BATCH_HEADER_BYTES + 7
      for (let size = view.getUint32(at, true); size > 0; size = view.getUint32(at, true)) {
        assert.ok(size <= 64 * 1024)
        // Alone in a frame: what refers to another block cannot be decoded, or differs.
        const alone = decode(
          Buffer.concat([batch.subarray(BATCH_HEADER_BYTES, BATCH_HEADER_BYTES + 7), batch.subarray(at, at + 4 + size), Buffer.alloc(4)]),
        )
        assert.ok(alone.length <= 64 * 1024)
        checkTail(batch.subarray(at + 4, at + 4 + size), alone.length)
        decoded.push(alone)
        at += 4 + size
      }
      assert.equal(at + 4, batch.length)
      assert.deepEqual(Buffer.concat(decoded), Buffer.from(plain.subarray(BATCH_HEADER_BYTES)))
    }),
    { numRuns: 20 },
  )
})

test("the door's headers are repeats: a record takes less than half", () => {
  const rows: Row[] = Array.from({ length: 1000 }, (_, i) => ({
    key: null,
    value: Buffer.from(`{"ts":1700000000000,"user_id":"u${i}","cents":${i * 7}}`),
    template: 0,
    id: Buffer.from(`0192f0c1-7a2b-7${(i >> 8).toString(16)}-${i.toString(16).padStart(4, '8')}`),
    deltaMs: 0,
  }))
  const plain = build(new BatchBuilder(), rows)
  const batch = build(new Lz4BatchBuilder(), rows)
  assert.ok(batch.length < plain.length * 0.55, `${plain.length} bytes became ${batch.length}`)
})

test('a batch is read where it lies, if nobody looks at headers: the same keys and values as decompressed', () => {
  let inPlaceCount = 0
  fc.assert(
    fc.property(batches, fc.integer({ min: 0, max: 50 }), fc.boolean(), (all, fromOffset, isSearched) => {
      for (const rows of all) {
        // The compressor that searches repeats whatever it finds.
        const batch = isSearched ? recompressed(build(new BatchBuilder(), rows), 3) : build(new Lz4BatchBuilder(), rows)
        const [index, expected] = [new RecordIndex(1, true, false), new RecordIndex()]
        assert.equal(indexBatch(batch, 0, index, fromOffset), batch.length)
        indexBatch(batch, 0, expected, fromOffset)
        if (index.bytes === batch) inPlaceCount++
        const recordsOf = (one: RecordIndex) => {
          const view = (from: number, to: number) => (from < 0 ? null : Buffer.from(one.bytes.subarray(from, to)))
          return Array.from({ length: one.count }, (_, i) => [
            one.offsets[i],
            one.timestampsMs[i],
            view(one.keyStarts[i], one.keyEnds[i]),
            view(one.valueStarts[i], one.valueEnds[i]),
          ])
        }
        assert.deepEqual(recordsOf(index), recordsOf(expected))
      }
    }),
    { numRuns: 250 },
  )
  assert.ok(inPlaceCount > 100, `${inPlaceCount} were`)
})

test('an index with lent bytes takes several compressed batches, one behind the other, and uses the bytes again', () => {
  const index = new RecordIndex(4, true)
  fc.assert(
    fc.property(batches, (all) => {
      const run = Buffer.concat(all.map((rows) => build(new Lz4BatchBuilder(), rows)))
      const expected = all.flatMap((rows) =>
        [...readRecords(build(new BatchBuilder(), rows))].map(({ key, value }) => [key && Buffer.from(key), value && Buffer.from(value)]),
      )
      index.reset()
      for (let at = 0; at < run.length; ) {
        const next = indexBatch(run, at, index)
        assert.ok(next > at, 'it takes the next one too')
        at = next
      }
      const view = (from: number, to: number) => (from < 0 ? null : Buffer.from(index.bytes.subarray(from, to)))
      const found = Array.from({ length: index.count }, (_, i) => [
        view(index.keyStarts[i], index.keyEnds[i]),
        view(index.valueStarts[i], index.valueEnds[i]),
      ])
      assert.deepEqual(found, expected)
    }),
    { numRuns: 60 },
  )
})
