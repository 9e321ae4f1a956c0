import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareOrders, SortedRows, sortRows } from './order.ts'

const specials = [null, NaN, -Infinity, Infinity, -0, 0, 1, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 63n)]
const order = [
  { column: 0, descending: true },
  { column: 1, descending: false },
]

test('sorting by copied numbers equals sorting rows, also for NULL, NaN and what doubles cannot tell apart', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...specials), { minLength: 1000, maxLength: 1200 }), fc.boolean(), (values, descending) => {
      const rows = values.map((value, i) => [value, i])
      const by = [{ ...order[0], descending }, order[1]]
      assert.deepEqual(sortRows(rows, by), rows.slice().sort(compareOrders(by)))
    }),
    { numRuns: 20 },
  )
})

test('a sorted collection equals sorting anew after each insert and removal, over many chunks', () => {
  const edit = fc.record({ value: fc.nat(3), id: fc.nat(2500), isInsert: fc.boolean() })
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 300 }), fc.boolean(), (edits, isThinned) => {
      const model = new Map(Array.from({ length: 2500 }, (_, id) => [id, [id % 5, id]]))
      const sorted = new SortedRows(order, [...model.values()])
      const remove = (id: number) => {
        const row = model.get(id)
        if (row) sorted.remove(row)
        model.delete(id)
      }
      // Nearly emptied, so that chunks merge and vanish.
      if (isThinned) for (let id = 0; id < 2500; id++) if (id % 50 !== 0) remove(id)
      for (const { value, id, isInsert } of edits) {
        remove(id)
        if (!isInsert) continue
        model.set(id, [value, id])
        sorted.insert([value, id])
      }
      const found: unknown[][] = []
      sorted.visit((row) => found.push(row) > 0)
      const expected = [...model.values()].sort(compareOrders(order))
      assert.deepEqual(found, expected)
      const fromThree: unknown[][] = []
      sorted.visit(
        (row) => fromThree.push(row) > 0,
        (row) => (row[0] as number) <= 3,
      )
      assert.deepEqual(
        fromThree,
        expected.filter(([value]) => (value as number) <= 3),
      )
    }),
    { numRuns: 40 },
  )
})
