import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { isStreamError } from '../base/index.ts'
import type { RecordInput } from './contract.ts'
import { crc32c, crc32cTypeScript, joinCrc32c } from './crc32c.ts'
import { murmur2, partitionOf } from './partitioner.ts'
import { BatchBuilder, batchSizeOf, encodeHeaders, noHeaders, verifyBatch } from './recordBatch.ts'
import { findHeader, indexBatch, RecordIndex, readRecords, validateBatch } from './recordIndex.ts'

const text = (value: string) => new TextEncoder().encode(value)

// Made by a program of its own (Python's struct and a bitwise CRC), from Kafka's description of the format.
const threeRecordsHex =
  '0000000000000000000000bf00000000027ab1c48a0000000000020000019b76daa8000000019b7c010400ffffffffffffffffffffffffffff000000' +
  '03580000000c757365722d310e7b2261223a317d041074726163655f69640600ff100c736f7572636508687474709c0100b71702018c01' +
  '78'.repeat(70) +
  '00200080f0b252040001020a6ec3a46d6501'
const transactionalHex =
  '00000000000000000000003900000000027b367f780010000000000000019b76daa8000000019b76daa80000000000fcde41b2000700000063000000' +
  '010e00000001027600'
const baseMs = 1767225600000

test('a batch has the bytes that Kafka’s format demands', () => {
  const builder = new BatchBuilder()
  const traced = encodeHeaders([
    ['trace_id', Uint8Array.of(0, 255, 16)],
    ['source', text('http')],
  ])
  const body = text('..{"a":1}..')
  builder.appendRecord(text('user-1'), body, 2, 9, traced, baseMs)
  builder.appendRecord(null, text('x'.repeat(70)), 0, 70, noHeaders, baseMs - 1500)
  builder.appendRecord(new Uint8Array(0), null, 0, 0, encodeHeaders([['näme', null]]), baseMs + 86_400_000)
  assert.equal(Buffer.from(builder.finish()).toString('hex'), threeRecordsHex)

  builder.appendRecord(null, text('v'), 0, 1, noHeaders, baseMs)
  const options = { producerId: 4242424242, producerEpoch: 7, baseSequence: 99, attributes: 0x10 }
  assert.equal(Buffer.from(builder.finish(options)).toString('hex'), transactionalHex)
})

test('those bytes read back as the records', () => {
  const bytes = Buffer.from(threeRecordsHex, 'hex')
  assert.equal(validateBatch(bytes), 3)
  const records = [...readRecords(bytes)].map((record) => ({
    ...record,
    key: record.key && Buffer.from(record.key).toString(),
    value: record.value && Buffer.from(record.value).toString(),
    headers: record.headers.map(([name, value]) => [name, value && Buffer.from(value).toString('hex')]),
  }))
  assert.deepEqual(records, [
    {
      offset: 0,
      timestampMs: baseMs,
      key: 'user-1',
      value: '{"a":1}',
      headers: [
        ['trace_id', '00ff10'],
        ['source', '68747470'],
      ],
    },
    { offset: 1, timestampMs: baseMs - 1500, key: null, value: 'x'.repeat(70), headers: [] },
    { offset: 2, timestampMs: baseMs + 86_400_000, key: '', value: null, headers: [['näme', null]] },
  ])
})

const bytesOrNull = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null })
const timestamps = fc.oneof(fc.integer({ min: -10, max: 10 }), fc.integer({ min: -(2 ** 50), max: 2 ** 50 }), fc.constant(baseMs))
const recordInput: fc.Arbitrary<Required<RecordInput>> = fc.record({
  key: bytesOrNull,
  value: fc.oneof(bytesOrNull, fc.uint8Array({ minLength: 100, maxLength: 20_000 })),
  headers: fc.array(fc.tuple(fc.string({ maxLength: 4 }), bytesOrNull), { maxLength: 3 }),
  timestampMs: timestamps,
})
const recordInputs = fc.array(recordInput, { minLength: 1, maxLength: 12 })

function build(records: readonly Required<RecordInput>[]): Uint8Array {
  const builder = new BatchBuilder(256)
  for (const { key, value, headers, timestampMs } of records) {
    builder.appendRecord(key, value, 0, value?.length ?? 0, encodeHeaders(headers), timestampMs)
  }
  const { sizeBytes } = builder
  const batch = builder.finish()
  assert.equal(batch.length, sizeBytes)
  return batch
}

/** A slow writer that shares no code: numbers as BigInt, parts as arrays. Its CRC is the bitwise definition. */
function buildSlowly(records: readonly Required<RecordInput>[]): Uint8Array {
  const varint = (value: number | bigint): number[] => {
    let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
    const out = []
    for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128)
    return [...out, Number(rest)]
  }
  const sized = (bytes: Uint8Array | null) => (bytes === null ? varint(-1) : [...varint(bytes.length), ...bytes])
  const base = BigInt(records[0].timestampMs)
  const body = records.flatMap(({ key, value, headers, timestampMs }, i) => {
    const head = headers.flatMap(([name, header]) => [...sized(text(name)), ...sized(header)])
    const fields = [
      0,
      ...varint(BigInt(timestampMs) - base),
      ...varint(i),
      ...sized(key),
      ...sized(value),
      ...varint(headers.length),
      ...head,
    ]
    return [...varint(fields.length), ...fields]
  })
  const batch = Buffer.alloc(61 + body.length)
  batch.writeInt32BE(batch.length - 12, 8)
  batch[16] = 2
  batch.writeInt32BE(records.length - 1, 23)
  batch.writeBigInt64BE(base, 27)
  batch.writeBigInt64BE(BigInt(Math.max(...records.map((record) => record.timestampMs))), 35)
  batch.fill(255, 43, 57)
  batch.writeInt32BE(records.length, 57)
  batch.set(body, 61)
  let crc = 0xffffffff
  for (const byte of batch.subarray(21)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  batch.writeUInt32BE(~crc >>> 0, 17)
  return batch
}

test('the builder equals a slow writer, byte for byte, and what it wrote reads back', () => {
  fc.assert(
    fc.property(recordInputs, (records) => {
      const batch = build(records)
      assert.deepEqual(Buffer.from(batch), Buffer.from(buildSlowly(records)))
      assert.equal(validateBatch(batch), records.length)
      const expected = records.map((record, offset) => ({ offset, ...record }))
      const plain = [...readRecords(batch)].map((record) => ({
        ...record,
        key: record.key && Uint8Array.from(record.key),
        value: record.value && Uint8Array.from(record.value),
        headers: record.headers.map(([name, value]) => [name, value && Uint8Array.from(value)]),
      }))
      assert.deepEqual(plain, expected)
    }),
    { numRuns: 60 },
  )
})

/** Makes the checksum right again, so that the checks behind it are reached. */
function fixChecksum(batch: Uint8Array): Uint8Array {
  new DataView(batch.buffer, batch.byteOffset).setUint32(17, crc32c(batch.subarray(21)))
  return batch
}

test('damaged batches give typed errors and nothing outside the batch is read', () => {
  const damage = fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
  let refusedCount = 0
  fc.assert(
    fc.property(recordInputs, damage, fc.boolean(), fc.option(fc.nat(400)), (records, changes, rightChecksum, cutTo) => {
      let batch = build(records).slice()
      for (const [at, byte] of changes) batch[at % batch.length] = byte
      if (cutTo !== null) batch = batch.slice(0, cutTo)
      if (rightChecksum && batch.length > 61) fixChecksum(batch)
      // In a larger buffer of 0xff, a length that is believed too early would find bytes.
      const padded = new Uint8Array(batch.length + 64).fill(255)
      padded.set(batch)
      const index = new RecordIndex(4)
      for (const attempt of [() => validateBatch(batch), () => indexBatch(batch, 0, index), () => indexBatch(padded, 0, index)]) {
        try {
          attempt()
        } catch (error) {
          refusedCount++
          assert.ok(isStreamError(error), String(error))
          assert.match(error.code, /^LOG_(BATCH_INVALID|BATCH_CHECKSUM|COMPRESSION_UNSUPPORTED|TIMESTAMP_TOO_FAR)$/)
        }
        for (let row = 0; row < index.count; row++) {
          const isOwn = index.bytes === batch || index.bytes === padded
          assert.ok(index.headersEnds[row] <= (isOwn ? batchSizeOf(index.bytes, 0) : index.bytes.length))
          assert.ok(index.valueEnds[row] <= index.headersStarts[row])
        }
        index.reset()
      }
    }),
    { numRuns: 400 },
  )
  assert.ok(refusedCount > 400)
})

test('every single changed byte behind the leader epoch is noticed', () => {
  const good = Buffer.from(threeRecordsHex, 'hex')
  for (let at = 16; at < good.length; at++) {
    const bad = Uint8Array.from(good)
    bad[at] ^= 0x41
    assert.throws(() => verifyBatch(bad, 0, bad.length), isStreamError)
  }
  for (let cutTo = 0; cutTo < good.length; cutTo++) assert.throws(() => verifyBatch(good.subarray(0, cutTo), 0, cutTo), isStreamError)
})

function compressed(codec: number, compress: (records: Uint8Array) => Uint8Array): Uint8Array {
  const plain = Buffer.from(threeRecordsHex, 'hex')
  const batch = Buffer.concat([plain.subarray(0, 61), compress(plain.subarray(61))])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE(codec, 21)
  return fixChecksum(batch)
}

test('gzip and zstd batches are read, others refused, and one that grows without end too', () => {
  const expected = [...readRecords(Buffer.from(threeRecordsHex, 'hex'))]
  for (const batch of [compressed(1, gzipSync), compressed(4, zstdCompressSync)]) {
    assert.equal(validateBatch(batch), 3)
    assert.deepEqual([...readRecords(batch)], expected)
  }
  assert.throws(() => validateBatch(compressed(5, (records) => records)), { code: 'LOG_COMPRESSION_UNSUPPORTED' })
  assert.throws(() => validateBatch(compressed(1, (records) => records)), { code: 'LOG_BATCH_INVALID' })
  const bomb = gzipSync(Buffer.alloc(160 * 1024 * 1024))
  assert.throws(() => validateBatch(compressed(1, () => bomb)), { code: 'LOG_BATCH_INVALID' })
})

test('an index takes several batches of one buffer, and a compressed one alone', () => {
  const plain = Buffer.from(threeRecordsHex, 'hex')
  const zipped = compressed(4, zstdCompressSync)
  const run = Buffer.concat([plain, plain, zipped, plain])
  const index = new RecordIndex(1)
  const second = indexBatch(run, 0, index)
  const third = indexBatch(run, second, index)
  assert.equal(index.count, 6)
  assert.equal(indexBatch(run, third, index), third)
  index.reset()
  const fourth = indexBatch(run, third, index, 2)
  assert.deepEqual([index.count, index.offsets[0]], [1, 2])
  assert.notEqual(index.bytes, run)
  assert.equal(indexBatch(run, fourth, index), fourth)
})

/** An LZ4 frame of one block that is not compressed. @param flags  0x10: a checksum behind the block, 0x08: the size in the header, 0x04: a checksum at the end */
function storedFrame(records: Uint8Array, flags: number): Uint8Array {
  const head = [0x04, 0x22, 0x4d, 0x18, 0x60 | flags, 0x40, ...Array<number>(flags & 8 ? 9 : 1).fill(1)]
  const word = Buffer.alloc(4)
  word.writeUInt32LE((records.length | 0x80000000) >>> 0)
  return Buffer.concat([Buffer.from(head), word, records, Buffer.alloc((flags & 0x10 ? 4 : 0) + 4 + (flags & 4 ? 4 : 0))])
}

test('records that an LZ4 frame has as they were are read where they lie, with what else is in the buffer', () => {
  const plain = Buffer.from(threeRecordsHex, 'hex')
  const expected = [...readRecords(plain)]
  for (const flags of [0, 0x08, 0x10, 0x1c]) {
    const stored = compressed(3, (records) => storedFrame(records, flags))
    assert.equal(validateBatch(stored), 3)
    assert.deepEqual([...readRecords(stored)], expected)
    const run = Buffer.concat([plain, stored, stored])
    const index = new RecordIndex(1, true)
    let at = 0
    while (at < run.length) at = indexBatch(run, at, index)
    assert.deepEqual([index.count, index.bytes === run], [9, true])
    // Cut off behind it, in its head, before its block.
    const whole = stored.length
    for (const sizeBytes of [whole - 1 - (flags & 4 ? 4 : 0), 61 + 12, 61 + 6]) {
      const cut = Buffer.from(stored.subarray(0, sizeBytes))
      cut.writeInt32BE(sizeBytes - 12, 8)
      assert.throws(() => validateBatch(fixChecksum(cut)), { code: 'LOG_BATCH_INVALID' })
    }
  }
  // Two blocks, and one that says that it is longer than the batch.
  const more = compressed(3, (records) => {
    const [first, second] = [storedFrame(records.subarray(0, 50), 0), storedFrame(records.subarray(50), 0)]
    return Buffer.concat([first.subarray(0, -4), second.subarray(7)])
  })
  assert.deepEqual([...readRecords(more)], [...readRecords(Uint8Array.from(plain))])
  const long = compressed(3, (records) => Buffer.concat([storedFrame(records, 0).subarray(0, 7), Buffer.from('ffffffff', 'hex'), records]))
  assert.throws(() => validateBatch(long), { code: 'LOG_BATCH_INVALID' })
})

test('a header is found without objects, and a patched template changes only its header', () => {
  const builder = new BatchBuilder()
  const template = encodeHeaders(
    [
      ['trace_id', text('t-1')],
      ['id', new Uint8Array(3)],
      ['note', null],
    ],
    'id',
  )
  for (const id of ['aaa', 'bbb']) {
    template.bytes.set(text(id), template.patchStart)
    builder.appendRecord(null, text(id), 0, 3, template, 1)
  }
  const index = new RecordIndex()
  indexBatch(builder.finish(), 0, index)
  const found = new Int32Array(2)
  const headerText = (row: number, name: string) => {
    if (!findHeader(index.bytes, index.headersStarts[row], index.headersEnds[row], text(name), found)) return undefined
    return found[0] < 0 ? null : Buffer.from(index.bytes.subarray(found[0], found[1])).toString()
  }
  assert.deepEqual([headerText(0, 'id'), headerText(1, 'id'), headerText(1, 'trace_id')], ['aaa', 'bbb', 't-1'])
  assert.deepEqual([headerText(0, 'note'), headerText(0, 'i')], [null, undefined])
})

test('a record without a sensible time is refused and leaves the batch as it was', () => {
  const builder = new BatchBuilder()
  for (const timestampMs of [Number.NaN, Number.POSITIVE_INFINITY, 1.5, 2 ** 51]) {
    assert.throws(() => builder.appendRecord(null, null, 0, 0, noHeaders, timestampMs), { code: 'LOG_BATCH_INVALID' })
  }
  builder.appendRecord(null, null, 0, 0, noHeaders, 1)
  assert.equal(validateBatch(builder.finish()), 1)
})

test('CRC32C: known values, native equals TypeScript, and parts continue', () => {
  assert.equal(crc32cTypeScript(text('123456789')), 0xe3069283)
  assert.equal(crc32cTypeScript(new Uint8Array(32)), 0x8a9136aa)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, at) => {
      assert.equal(crc32c(bytes), crc32cTypeScript(bytes))
      assert.equal(crc32cTypeScript(bytes.subarray(at), crc32c(bytes.subarray(0, at))), crc32c(bytes))
      const second = bytes.subarray(at)
      assert.equal(joinCrc32c(crc32c(bytes.subarray(0, at)), crc32c(second), second.length), crc32c(bytes))
    }),
  )
})

test('murmur2 and the partition of a key are those of Kafka', () => {
  // From Kafka's own tests (UtilsTest).
  const known: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [key, hash] of known) assert.equal(murmur2(text(key)), hash)
  assert.equal(partitionOf(text('21'), 7), (-973932308 & 0x7fffffff) % 7)
  assert.equal(murmur2(text('..foobar.'), 2, 8), -790332482)
})
