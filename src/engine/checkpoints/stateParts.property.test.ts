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

test('what the tracker leaves out is what was there before, byte for byte; a checkpoint that failed counts for nothing', () => {
  const size = fc.integer({ min: 0, max: 3 * CHUNK_BYTES + 5 })
  const step = fc.record({
    size,
    changes: fc.array(fc.nat(3 * CHUNK_BYTES), { maxLength: 3 }),
    isDurable: fc.boolean(),
    appends: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
      const tracker = new StateTracker()
      let durable = new Uint8Array(0)
      let bytes = new Uint8Array(0)
      let lineage = 1
      for (const { size, changes, isDurable, appends } of steps) {
        const next = new Uint8Array(appends ? Math.max(size, bytes.length) : size)
        next.set(bytes.subarray(0, next.length))
        if (appends) next.fill(lineage, bytes.length)
        else {
          lineage++
          for (const at of changes) if (at < next.length) next[at] ^= 1 + (at % 7)
        }
        bytes = next
        const { freshIndexes, fresh, sizeBytes } = tracker.update('part', { type: 'Uint8Array', bytes, lineage })
        const rebuilt = new Uint8Array(sizeBytes)
        rebuilt.set(durable.subarray(0, sizeBytes))
        let at = 0
        for (const index of freshIndexes) {
          const chunk = fresh.subarray(at, at + Math.min(CHUNK_BYTES, sizeBytes - index * CHUNK_BYTES))
          rebuilt.set(chunk, index * CHUNK_BYTES)
          at += chunk.length
        }
        assert.equal(Buffer.compare(rebuilt, bytes), 0)
        if (isDurable) durable = rebuilt
        tracker.settle(isDurable)
      }
    }),
    { numRuns: 200 },
  )
})
