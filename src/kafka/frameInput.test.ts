// The laws of frameInput.ts: however bytes arrive and frames are released, each frame reads as it was sent until it is released.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BufferPool } from '../base/index.ts'
import { type Frame, FrameInput } from './frameInput.ts'

const HEAD_BYTES = 4
const step = fc.record({
  sizeBytes: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 200_000 })),
  readBytesMax: fc.integer({ min: 1, max: 150_000 }),
  /** Which of the frames that are held is let go, if any. */
  release: fc.option(fc.nat(7)),
})

test('frames keep their bytes until they are released, whatever the reads and releases', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), step), { minLength: 1, maxLength: 60 }), (steps) => {
      // Two connections share a pool, as all of a server do.
      const pool = new BufferPool()
      const inputs = [new FrameInput(pool), new FrameInput(pool)]
      const held: { frame: Frame; fill: number; sizeBytes: number }[] = []
      const check = () => {
        for (const { frame, fill, sizeBytes } of held) {
          assert.equal(frame.bytes.length, sizeBytes)
          assert.ok(frame.bytes.every((byte) => byte === fill))
        }
      }
      for (const [i, [which, { sizeBytes, readBytesMax, release }]] of steps.entries()) {
        const input = inputs[which]
        const sent = Buffer.alloc(HEAD_BYTES + sizeBytes, i + 1)
        sent.writeInt32BE(sizeBytes)
        for (let from = 0; from < sent.length; ) {
          const room = input.room()
          assert.ok(room.length > 0)
          const some = sent.subarray(from, from + Math.min(room.length, readBytesMax))
          room.set(some)
          input.received(some.length)
          from += some.length
        }
        assert.equal(input.sizeBytes, sent.length)
        assert.equal(input.int32(0), sizeBytes)
        held.push({ frame: input.take(sent.length, HEAD_BYTES), fill: i + 1, sizeBytes })
        check()
        if (release !== null && held.length > 0) held.splice(release % held.length, 1)[0].frame.release()
        check()
      }
    }),
  )
})

test('what is read and answered in turn takes one block, whatever passes through', () => {
  const input = new FrameInput(new BufferPool())
  const buffers = new Set<ArrayBufferLike>()
  for (let i = 0; i < 1_000; i++) {
    const room = input.room()
    buffers.add(room.buffer)
    input.received(16)
    input.take(16, 4).release()
  }
  assert.equal(buffers.size, 1)
})
