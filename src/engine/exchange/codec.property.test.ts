import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Batch, batchOf, type Column, type Field, rowAt, t } from '../../data/index.ts'
import { decodeMessage, MessageEncoder } from './codec.ts'

const fields: Field[] = [
  { name: 'b', type: t.boolean() },
  { name: 'i', type: t.int() },
  { name: 'l', type: t.bigint() },
  { name: 'd', type: t.double() },
  { name: 's', type: t.string() },
  { name: 'u', type: t.string() },
  { name: 'n', type: t.decimal(38, 2) },
  { name: 'a', type: t.array(t.int()) },
]
const text = fc.constantFrom(null, '', 'a', 'é', '日本語', '😀', 'x'.repeat(5_000))
const row = fc.tuple(
  fc.constantFrom(null, true, false),
  fc.constantFrom(null, 0, -1, 2_147_483_647),
  fc.constantFrom(null, 0n, -1n, 1n << 62n),
  fc.constantFrom(null, -0, NaN, 1.5, Infinity),
  text,
  text,
  fc.constantFrom(null, 0n, -(10n ** 37n)),
  fc.constantFrom(null, [], [1, null]),
)

/** Text as a decoder leaves it, with other bytes between. */
function asUtf8(column: Column & { lane: 'any' }, rowCount: number): Column {
  const parts = Array.from({ length: rowCount }, (_, i) => Buffer.from(`"${column.data[i] ?? 'null'}"`))
  const ends = new Int32Array(rowCount)
  parts.forEach((part, i) => {
    ends[i] = (i === 0 ? 0 : ends[i - 1] + 1) + part.length - 1
  })
  return {
    lane: 'utf8',
    bytes: Buffer.concat(parts),
    starts: ends.map((end, i) => end - parts[i].length + 2),
    ends,
    nulls: Uint8Array.from({ length: rowCount }, (_, i) => (column.data[i] === null ? 1 : 0)),
  }
}

test('what is decoded is what was encoded, with any selection of rows', () => {
  const encoder = new MessageEncoder()
  const check = (rows: unknown[][], picks: number[], watermarks: number[], withKinds: boolean) => {
    const rowCount = rows.length
    const batch: Batch = batchOf(fields, rows, { processingTimeMs: 7, watermarkAfter: 99 })
    batch.columns[5] = asUtf8(batch.columns[5] as Column & { lane: 'any' }, rowCount)
    const sorted = watermarks.slice(0, rowCount).sort((a, b) => a - b)
    if (sorted.length === rowCount) batch.watermarksBefore = Float64Array.from(sorted)
    if (withKinds) batch.kinds = Uint8Array.from(rows, (_, i) => i % 4)
    const selected = Int32Array.from(picks.map((pick) => pick % rowCount)).sort()
    const length = encoder.batch(3, batch, fields, selected, selected.length)
    const out = decodeMessage(encoder.bytes.slice(0, length).buffer, fields)
    assert.equal(new Int32Array(encoder.bytes.buffer, 0, 3)[2], 3)
    assert.deepEqual([out.rowCount, out.processingTimeMs, out.watermarkAfter], [selected.length, 7, 99])
    selected.forEach((from, i) => {
      assert.deepEqual(rowAt(out, i), rowAt(batch, from))
      assert.equal(out.kinds?.[i], batch.kinds?.[from])
      assert.equal(out.watermarksBefore?.[i] ?? -Infinity, batch.watermarksBefore?.[from] ?? -Infinity)
    })
  }
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 60 }),
      fc.array(fc.constantFrom(-Infinity, 0, 5, 1e12), { maxLength: 40 }),
      fc.boolean(),
      check,
    ),
  )
})

test('what operators keep of a message is their own: its memory is used again', () => {
  const kept: Field[] = [
    { name: 'x', type: t.bytes() },
    { name: 'm', type: t.map(t.string(), t.bytes()) },
  ]
  const rows = [[Uint8Array.of(1, 2, 3), new Map([['h', Uint8Array.of(4)]])]]
  const encoder = new MessageEncoder()
  const length = encoder.batch(3, batchOf(kept, rows), kept, Int32Array.of(0), 1)
  const message = encoder.bytes.slice(0, length)
  const row = rowAt(decodeMessage(message.buffer, kept), 0)
  message.fill(0xaa)
  assert.deepEqual(row, rows[0])
})
