import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from './bufferPool.ts'

test('a buffer that is given back is used again, whatever others were given', () => {
  const pool = new BufferPool()
  // No power of two: not from a pool.
  for (let i = 0; i < 300; i++) pool.give(new Uint8Array(100_000))
  const taken = pool.take(100_000)
  assert.deepEqual([taken.length, taken.buffer.byteLength], [100_000, 131_072])
  pool.give(taken.subarray(10, 20))
  assert.ok(pool.take(120_000).buffer === taken.buffer)
  assert.ok(pool.take(120_000).buffer !== taken.buffer)
})
