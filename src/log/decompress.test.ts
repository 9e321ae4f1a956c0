import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { compressionsAlgorithms } from '@platformatic/kafka'
import fc from 'fast-check'
import { compress } from './compress.ts'
import { decompress } from './decompress.ts'
import { otherCodecs } from './testCodecs.ts'

const BYTES_MAX = 512 * 1024
const { lz4, snappy } = compressionsAlgorithms
/** snappy-java's framing: Kafka's Java producer cuts its records into blocks. */
const xerial = (bytes: Uint8Array): Uint8Array => {
  const parts: Uint8Array[] = [Buffer.from('82534e41505059000000000100000001', 'hex')]
  for (let at = 0; at < bytes.length; at += 1000) {
    const block = snappy.compressSync(Buffer.from(bytes.subarray(at, at + 1000)))
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

const run = fc.tuple(fc.uint8Array({ maxLength: 90 }), fc.integer({ min: 1, max: 400 }))
const repetitive = fc.array(run, { maxLength: 12 }).map((runs) => {
  const parts = runs.flatMap(([bytes, times]) => Array<Uint8Array>(times).fill(bytes))
  return Buffer.from(Buffer.concat(parts))
})

test('what another implementation compressed is read back', () => {
  fc.assert(
    fc.property(repetitive, (plain) => {
      for (const [codec, compress] of otherCodecs) {
        if (plain.length > 0) assert.deepEqual(Buffer.from(decompress(compress(plain), codec, BYTES_MAX)), plain, `codec ${codec}`)
      }
      assert.deepEqual(Buffer.from(decompress(xerial(plain), 2, BYTES_MAX)), plain)
    }),
    { numRuns: 60 },
  )
})

test('damaged bytes are an error or other bytes, never more than the limit', () => {
  const plain = Buffer.from('{"user":"ana","page":"/start"}\n'.repeat(2_000))
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.constantFrom(...otherCodecs), damage, fc.nat(), ([codec, compress], changes, cut) => {
      const bytes = Uint8Array.from(compress(plain))
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      try {
        assert.ok(decompress(bytes.subarray(0, cut % 3 === 0 ? cut % bytes.length : bytes.length), codec, BYTES_MAX).length <= BYTES_MAX)
      } catch (error) {
        assert.ok(error instanceof Error && error.name !== 'AssertionError')
      }
    }),
    { numRuns: 500 },
  )
})

test('a bomb is an error', () => {
  const bomb = Buffer.alloc(4 * BYTES_MAX)
  for (const [codec, compress] of otherCodecs) assert.throws(() => decompress(compress(bomb), codec, BYTES_MAX), `codec ${codec}`)
})

test('what we compress is read back by us and by another implementation', () => {
  const others: [codec: number, decompress: (bytes: Uint8Array) => Uint8Array][] = [
    [1, (bytes) => gunzipSync(bytes)],
    [2, (bytes) => snappy.decompressSync(Buffer.from(bytes))],
    [3, (bytes) => lz4.decompressSync(Buffer.from(bytes))],
    [4, (bytes) => zstdDecompressSync(bytes)],
  ]
  fc.assert(
    fc.property(repetitive, (plain) => {
      for (const [codec, other] of others) {
        const compressed = compress(plain, codec)
        assert.deepEqual(Buffer.from(decompress(compressed, codec, BYTES_MAX)), plain, `codec ${codec}`)
        if (plain.length > 0) assert.deepEqual(Buffer.from(other(compressed)), plain, `another's codec ${codec}`)
      }
    }),
  )
  const compressible = Buffer.from('{"user":"ana","page":"/home"}\n'.repeat(5_000))
  for (const [codec] of others) assert.ok(compress(compressible, codec).length < compressible.length / 10, `codec ${codec}`)
})
