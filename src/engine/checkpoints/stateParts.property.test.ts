import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { joinParts, splitState } from './stateParts.ts'
import { CHUNK_BYTES, StateTracker } from './stateTracker.ts'

const typedArray = fc.oneof(
  fc.array(fc.double(), { maxLength: 80 }).map((values) => Float64Array.from(values)),
  fc.array(fc.integer(), { maxLength: 200 }).map((values) => Int32Array.from(values)),
  fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 60 }).map((values) => BigInt64Array.from(values)),
  fc.uint8Array({ maxLength: 600 }),
)
const leaf = fc.oneof(typedArray, fc.bigInt(), fc.double(), fc.string(), fc.constantFrom(null, undefined, true, Infinity, Number.NaN))
const { state } = fc.letrec<{ state: unknown }>((tie) => ({
  state: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('state'), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ maxLength: 4 }).filter((key) => key !== '__proto__' && key !== 'lineage'),
      tie('state'),
      { maxKeys: 4, noNullPrototype: true },
    ),
    fc
      .array(fc.record({ id: fc.nat(5), rows: tie('state') }), { maxLength: 3 })
      .map((list) => list.filter(({ id }, i) => list.findIndex((one) => one.id === id) === i)),
    fc.array(fc.tuple(fc.string(), tie('state')), { maxLength: 3 }).map((entries) => new Map(entries)),
  ),
}))

test('a state comes back from its parts as structuredClone gives it', () => {
  fc.assert(
    fc.property(state, (value) => {
      const parts = splitState(value).map((part) => ({ ...part, bytes: part.bytes.slice() }))
      assert.equal(new Set(parts.map(({ name }) => name)).size, parts.length, 'names are unique')
      assert.deepEqual(
        joinParts(parts, (name) => parts.find((part) => part.name === name)!.bytes),
        structuredClone(value),
      )
    }),
    { numRuns: 300 },
  )
})

test('what the tracker leaves out is what was there before, byte for byte; what it gives stays until it has settled', () => {
  const MAX = 3 * CHUNK_BYTES + 5
  const step = fc.record({
    sizeBytes: fc.integer({ min: 0, max: MAX }),
    changes: fc.array(fc.nat(MAX), { maxLength: 3 }),
    isDurable: fc.boolean(),
    appends: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
      const tracker = new StateTracker()
      let durable = new Uint8Array(0)
      // As operators hold it: part of a buffer with room to grow, that is written on while the checkpoint is on its way.
      let memory = new Uint8Array(new SharedArrayBuffer(MAX))
      let bytes = memory.subarray(0, 0)
      let lineage = 1
      for (const { sizeBytes, changes, isDurable, appends } of steps) {
        if (appends) {
          const before = bytes.length
          bytes = memory.subarray(0, Math.max(sizeBytes, before)).fill(lineage, before)
        } else {
          lineage++
          memory = new Uint8Array(new SharedArrayBuffer(MAX))
          memory.set(bytes)
          bytes = memory.subarray(0, sizeBytes)
          for (const at of changes) if (at < sizeBytes) bytes[at] ^= 1 + (at % 7)
        }
        const mutable = bytes.slice()
        const then = mutable.slice()
        const updates = [
          tracker.update('appended', { type: 'Uint8Array', bytes, lineage }),
          tracker.update('changed', { type: 'Uint8Array', bytes: mutable }),
        ]
        memory.fill(99, bytes.length)
        mutable.fill(99)
        for (const { from, bytes } of updates) {
          const rebuilt = new Uint8Array(from + bytes.length)
          rebuilt.set(durable.subarray(0, from))
          rebuilt.set(bytes, from)
          assert.equal(Buffer.compare(rebuilt, then), 0)
        }
        memory.fill(0, bytes.length)
        if (isDurable) durable = then
        tracker.settle(isDurable)
      }
    }),
    { numRuns: 200 },
  )
})

test('memory of copies is used again, as far as it is needed and may be held', () => {
  const tracker = new StateTracker()
  const copyOf = (sizeBytes: number) => tracker.update('part', { type: 'Uint8Array', bytes: new Uint8Array(sizeBytes) }).bytes.buffer
  const first = copyOf(8 << 20)
  tracker.settle(true)
  assert.equal(copyOf(7 << 20), first)
  assert.equal(
    tracker.update('other', { type: 'Uint8Array', bytes: new Uint8Array(8 << 20) }).bytes.buffer,
    first,
    'it grows where it lies',
  )
  tracker.settle(true)
  assert.equal(copyOf(1 << 20), first)
  tracker.settle(true)
  const second = copyOf(2 << 20)
  assert.notEqual(second, first, 'much more than was needed is not held')
  tracker.settle(true, 1 << 20)
  assert.notEqual(copyOf(2 << 20), second, 'nor more than may be')
})
