import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { BatchMemory, spoilReleased } from './memory.ts'

after(() => spoilReleased(false))

test('memory is taken and given back as a stack', () => {
  const memory = new BatchMemory()
  const outer = memory.mark()
  const first = memory.f64(4096)
  const inner = memory.mark()
  const second = memory.i32(100)
  assert.notEqual(first.buffer, second.buffer)
  memory.release(inner)
  assert.equal(memory.u8(100).buffer, second.buffer)
  memory.release(outer)
  assert.equal(memory.i64(10).buffer, first.buffer)
})

test('a slot grows with what is asked of it, and what is very large is not held', () => {
  const memory = new BatchMemory()
  const small = memory.u8(1)
  memory.release(0)
  assert.ok(memory.f64(10_000).length >= 10_000)
  memory.release(0)
  assert.notEqual(memory.u8(1).buffer, small.buffer)
  const mark = memory.mark()
  const large = memory.f64(1_000_001)
  assert.equal(large.length, 1_000_001)
  assert.equal(memory.mark(), mark)
})

test('rows that are kept beyond their batch are spoiled where a test asks for it', () => {
  spoilReleased(true)
  const memory = new BatchMemory()
  const kept = memory.f64(2).fill(7, 0, 2)
  memory.release(0)
  assert.notEqual(kept[0], 7)
})
