import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { claimedBytes, growsLarge } from './claimedBytes.ts'
import { compress } from './compress.ts'
import { recompressed } from './recompress.ts'
import { otherCodecs } from './testCodecs.ts'
import { makeBatch } from './testRecords.ts'

const codecs: typeof otherCodecs = [
  ...otherCodecs,
  ...[1, 2, 3, 4].map((codec): (typeof otherCodecs)[number] => [codec, (bytes) => compress(bytes, codec)]),
]
/** What a block that is not full may take more by its word. */
const SLACK_BYTES = 4 * 1024 * 1024

const plain = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 20_000 })), { minLength: 1, maxLength: 6 })
  .map((runs) => Buffer.concat(runs.map(([bytes, times]) => Buffer.alloc(bytes.length * times, bytes))))

test('what frames say is at least what comes out, and not much more', () => {
  fc.assert(
    fc.property(plain, (bytes) => {
      for (const [codec, compressed] of codecs) {
        if (bytes.length === 0) continue
        const source = compressed(bytes)
        const claimed = claimedBytes(source, codec)
        const least = Math.min(bytes.length + SLACK_BYTES, 255 * source.length + SLACK_BYTES)
        assert.ok(claimed >= bytes.length && claimed <= least, `codec ${codec}: ${claimed} for ${bytes.length}`)
      }
    }),
    { numRuns: 60 },
  )
})

test('a batch is large by what it grows to', () => {
  for (const codec of [1, 2, 3, 4]) {
    const [small, large] = [100_000, 6_000_000].map((size) => recompressed(makeBatch(['x'.repeat(size)]), codec))
    assert.deepEqual([growsLarge(small), growsLarge(large)], [false, true], `codec ${codec}`)
  }
  assert.equal(growsLarge(makeBatch(['x'.repeat(6_000_000)])), false)
  // What cannot be compressed is no larger than it is.
  const random = Array.from({ length: 100 }, (_, i) =>
    Buffer.from(Array.from({ length: 5_000 }, (_, at) => (at * at * (i + 7)) % 251)).toString('latin1'),
  )
  for (const codec of [1, 2, 3, 4]) assert.equal(growsLarge(recompressed(makeBatch(random), codec)), false, `codec ${codec}`)
})

test('bytes of no form at all say little, and fail nowhere', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1, 2, 3, 4), fc.nat(8), (bytes, codec, kept) => {
      const [, compressed] = codecs[codec - 1]
      const source = compressed(Buffer.from('0123456789'.repeat(50))).slice()
      source.set(bytes.subarray(0, Math.max(0, source.length - kept)), kept)
      for (const one of [bytes, source]) assert.ok(claimedBytes(one, codec) >= 0)
    }),
    { numRuns: 2_000 },
  )
})
