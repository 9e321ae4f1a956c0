import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Column, ColumnBuilder, type SqlType, t, valueAt } from '../../data/index.ts'
import { joinParts, splitState } from '../checkpoints/stateParts.ts'
import { adoptable, adopted } from './growing.ts'
import { fillSlots, KeyTable, type KeyTableSnapshot } from './keyTable.ts'

const columnTypes: { type: SqlType; value: fc.Arbitrary<unknown> }[] = [
  {
    type: t.string(),
    value: fc.constantFrom(null, '', 'a', 'ab', 'abcd', 'abce', 'abcdefg', 'abcdefgh', 'é', '日本', '😀', 'x'.repeat(70)),
  },
  { type: t.int(), value: fc.constantFrom(null, 0, 1, -1, 2_147_483_647) },
  { type: t.bigint(), value: fc.constantFrom(null, 0n, 1n, -1n, 1n << 32n, (1n << 32n) + 1n, -(1n << 63n)) },
  { type: t.double(), value: fc.constantFrom(null, 0, -0, NaN, 1.5, Infinity) },
  { type: t.boolean(), value: fc.constantFrom(null, true, false) },
  { type: t.decimal(38, 2), value: fc.constantFrom(null, 0n, 10n ** 37n) },
  { type: t.array(t.int()), value: fc.constantFrom(null, [], [1], [1, null]) },
]

const valueText = (value: unknown): string =>
  typeof value === 'bigint'
    ? `${value}n`
    : Object.is(value, -0)
      ? '-0'
      : Number.isNaN(value)
        ? 'NaN'
        : `${typeof value}${JSON.stringify(value)}`
const rowText = (row: unknown[]): string => row.map(valueText).join('|')

/** Text as bytes with unused bytes between, as a decoder leaves it. */
function utf8Column(values: unknown[]): Column {
  const parts: Buffer[] = []
  const starts = new Int32Array(values.length)
  const ends = new Int32Array(values.length)
  const nulls = new Uint8Array(values.length)
  let at = 0
  values.forEach((value, row) => {
    if (value === null) nulls[row] = 1
    const text = Buffer.from(`"${value ?? 'null'}"`)
    parts.push(text)
    starts[row] = at + 1
    ends[row] = at + text.length - 1
    at += text.length
  })
  return { lane: 'utf8', bytes: Buffer.concat(parts), starts, ends, nulls: values.includes(null) ? nulls : undefined }
}

function columnOf(type: SqlType, values: unknown[], asBytes: boolean): Column {
  if (asBytes && type.kind === 'VARCHAR') return utf8Column(values)
  const builder = new ColumnBuilder(type)
  for (const value of values) builder.append(value)
  return builder.finish()
}

/** As a checkpoint gives it: in memory that the table takes over. */
function fromCheckpoint(snapshot: KeyTableSnapshot): KeyTableSnapshot {
  const parts = splitState(snapshot)
  return joinParts(parts, (name) => {
    const { bytes } = parts.find((part) => part.name === name)!
    const read = adoptable(bytes.length)
    read.set(bytes)
    return read
  }) as KeyTableSnapshot
}

test('KeyTable numbers keys as a Map does, in any batches, restored and compacted at any time', () => {
  const schema = fc.uniqueArray(fc.nat(columnTypes.length - 1), { minLength: 1, maxLength: 3 })
  const cases = schema.chain((picks) =>
    fc.tuple(
      fc.constant(picks.map((pick) => columnTypes[pick].type)),
      fc.array(fc.tuple(fc.boolean(), fc.array(fc.tuple(...picks.map((pick) => columnTypes[pick].value)), { maxLength: 40 })), {
        maxLength: 5,
      }),
      fc.nat(5),
      fc.boolean(),
    ),
  )
  fc.assert(
    fc.property(cases, ([types, batches, restoreAt, takesOver]) => {
      let table = new KeyTable(types)
      const model = new Map<string, number>()
      batches.forEach(([asBytes, rows], step) => {
        if (step === restoreAt) table = KeyTable.restore(types, (takesOver ? fromCheckpoint : structuredClone)(table.snapshot()))
        const columns = types.map((type, i) =>
          columnOf(
            type,
            rows.map((row) => row[i]),
            asBytes,
          ),
        )
        const found = new Int32Array(rows.length)
        table.find(columns, rows.length, found)
        assert.deepEqual(
          Array.from(found),
          rows.map((row) => model.get(rowText(row)) ?? -1),
        )
        // Odd rows first, by selection, then all.
        const odd = Int32Array.from(rows.keys()).filter((row) => row % 2 === 1)
        for (const selection of [odd, undefined]) {
          const selected = selection === undefined ? rows : Array.from(selection, (row) => rows[row])
          const out = new Int32Array(selected.length)
          table.lookup(columns, selected.length, out, selection)
          const expected = selected.map((row) => {
            const text = rowText(row)
            if (!model.has(text)) model.set(text, model.size)
            return model.get(text)
          })
          assert.deepEqual(Array.from(out), expected)
        }
      })
      assert.equal(table.count, model.size)
      const stored = (from: KeyTable, group: number) => rowText(types.map((_, i) => valueAt(from.column(i), group)))
      assert.deepEqual(
        Array.from({ length: table.count }, (_, group) => stored(table, group)),
        [...model.keys()],
      )
      const keep = Uint8Array.from({ length: table.count }, (_, group) => group % 2)
      const { table: half, newIndex } = table.compacted(keep)
      assert.equal(half.count, table.count >> 1)
      for (let group = 1; group < table.count; group += 2) assert.equal(stored(half, newIndex[group]), stored(table, group))
    }),
    { numRuns: 300 },
  )
})

test('KeyTable grows to many keys', () => {
  const table = new KeyTable([t.bigint()])
  const data = BigInt64Array.from({ length: 100_000 }, (_, i) => BigInt(i) * 7n)
  const out = new Int32Array(data.length)
  for (let pass = 0; pass < 2; pass++) {
    table.lookup([{ lane: 'i64', data }], data.length, out)
    assert.equal(table.count, data.length)
    assert.ok(out.every((group, i) => group === i))
  }
  assert.ok(table.byteSize > data.byteLength)
})

test('a large KeyTable goes on as it was in memory that it took over, which is then nobody else’s', () => {
  const types = [t.string(), t.bigint()]
  const keys = (from: number, count: number): Column[] => [
    columnOf(
      types[0],
      Array.from({ length: count }, (_, i) => (i % 1000 === 7 ? null : `key-${(from + i) % 50_000}`)),
      true,
    ),
    { lane: 'i64', data: BigInt64Array.from({ length: count }, (_, i) => BigInt(from + i)) },
  ]
  const table = new KeyTable(types)
  const out = new Int32Array(150_000)
  table.lookup(keys(0, 150_000), 150_000, out)
  const saved = fromCheckpoint(table.snapshot())
  const taken = KeyTable.restore(types, saved)
  const copied = KeyTable.restore(types, saved)
  const cases = [
    { restored: taken, from: 1_000_000 },
    { restored: copied, from: 2_000_000 },
  ]
  for (const { restored, from } of cases) {
    restored.lookup(keys(from, 150_000), 150_000, out)
    assert.ok(out.every((group, i) => group === 150_000 + i))
    restored.lookup(keys(0, 150_000), 150_000, out)
    assert.ok(out.every((group, i) => group === i))
  }
  for (const { restored, from } of cases)
    for (const [first, inputs] of [[0, keys(0, 150_000)] as const, [150_000, keys(from, 150_000)] as const])
      for (let i = 0; i < 150_000; i += 17)
        for (const k of [0, 1]) assert.deepEqual(valueAt(restored.column(k), first + i), valueAt(inputs[k], i))
})

test('what a snapshot shares stays as it was while the table grows, so that another thread may read it', () => {
  const types = [t.string(), t.bigint()]
  const keys = (from: number): Column[] => [
    columnOf(
      types[0],
      Array.from({ length: 140_000 }, (_, i) => (i % 1000 === 7 ? null : `key-${from + i}`)),
      true,
    ),
    { lane: 'i64', data: BigInt64Array.from({ length: 140_000 }, (_, i) => BigInt(from + i)) },
  ]
  const table = new KeyTable(types)
  const out = new Int32Array(140_000)
  table.lookup(keys(0), out.length, out)
  const parts = splitState(table.snapshot()).filter(
    ({ lineage, bytes }) => lineage !== undefined && bytes.buffer instanceof SharedArrayBuffer,
  )
  const names = ['columns.0.column.bytes', 'columns.0.column.ends', 'columns.0.column.starts', 'columns.1.column.data']
  assert.deepEqual(parts.map(({ name }) => name).sort(), names)
  const before = parts.map(({ bytes }) => bytes.slice())
  table.lookup(keys(140_000), out.length, out)
  table.append(keys(280_000), out.length)
  parts.forEach(({ name, bytes }, i) => {
    assert.equal(Buffer.compare(bytes, before[i]), 0, name)
  })
})

test('slots are filled so that each group is found, whatever its hash', () => {
  const bits = 18
  const mask = (1 << bits) - 1
  const half = 1 << (bits - 1)
  const spread = (i: number) => Math.imul(i, 0x9e3779b1)
  const cases: [name: string, count: number, hashOf: (group: number) => number][] = [
    ['spread', half, spread],
    ['all in the last range, and more than it holds', half, (i) => spread(i) | (1 << (bits - 1))],
    ['the last slot, over and over', 500, (i) => (i << bits) | mask],
    ['none', 0, spread],
  ]
  for (const [name, count, hashOf] of cases) {
    const slots = new Int32Array(2 << bits)
    fillSlots(slots, count, (from, to, hashes) => {
      for (let group = from; group < to; group++) hashes[group - from] = hashOf(group)
    })
    let taken = 0
    for (let slot = 0; slot <= mask; slot++) if (slots[2 * slot + 1] !== 0) taken++
    assert.equal(taken, count, name)
    for (let group = 0; group < count; group++) {
      const hash = hashOf(group) | 0
      let slot = hash & mask
      while (slots[2 * slot + 1] !== 0 && slots[2 * slot + 1] !== group + 1) slot = (slot + 1) & mask
      assert.equal(slots[2 * slot + 1], group + 1, name)
      assert.equal(slots[2 * slot], hash, name)
    }
  }
})

test('a small array that lies amid others in memory read at once is not taken over with it', () => {
  for (const sizeBytes of [4_096, 2 << 20]) {
    const memory = adoptable(sizeBytes).fill(7)
    const small = new Uint8Array(memory.buffer, 64, 16).fill(9)
    assert.deepEqual([...adopted(small, 32).subarray(0, 16)], new Array(16).fill(9))
  }
})
