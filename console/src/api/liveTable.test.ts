import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LiveFrame } from '../../../src/serve/contract.ts'
import { LiveTable, parseOrder } from './liveTable.ts'

const columns = [
  { name: 'page', type: 'VARCHAR(2147483647) NOT NULL' },
  { name: 'channel', type: 'VARCHAR(2147483647) NOT NULL' },
  { name: 'edits', type: 'BIGINT NOT NULL' },
]
const primaryKey = ['channel', 'page']
const snapshot = (rows: unknown[][], resume = 's'): LiveFrame => ({ type: 'snapshot', columns, primaryKey, rows, resume, epoch: 0 })
const delta = (changes: Extract<LiveFrame, { type: 'delta' }>['changes'], resume = 'd'): LiveFrame => ({
  type: 'delta',
  changes,
  resume,
  epoch: 0,
  atMs: 0,
})

const row = fc.tuple(fc.constantFrom('a', 'b', ''), fc.constantFrom('x', 'y'), fc.integer({ min: 0, max: 3 }))
const change = fc.record({ op: fc.constantFrom('+I', '-U', '+U', '-D' as const), row })
const frame = fc.oneof(
  { weight: 5, arbitrary: fc.array(change, { maxLength: 4 }).map((changes) => delta(changes as never)) },
  { weight: 1, arbitrary: fc.uniqueArray(row, { selector: ([page, channel]) => `${page}/${channel}` }).map((rows) => snapshot(rows)) },
  { weight: 1, arbitrary: fc.constant<LiveFrame>({ type: 'reset', reason: 'crash' }) },
  { weight: 1, arbitrary: fc.constant<LiveFrame>({ type: 'ping', atMs: 0 }) },
)

/** Slow and plainly right: the whole history again, over a list. */
function model(frames: readonly LiveFrame[]): unknown[][] {
  let rows: unknown[][] = []
  let isLive = false
  const isSame = (left: unknown[], right: unknown[]): boolean => left[0] === right[0] && left[1] === right[1]
  for (const one of frames) {
    if (one.type === 'snapshot') {
      rows = [...one.rows]
      isLive = true
    } else if (one.type === 'reset') isLive = false
    else if (one.type === 'delta' && isLive) {
      for (const { op, row: changed } of one.changes) {
        rows = rows.filter((old) => !isSame(old, changed))
        if (op === '+I' || op === '+U') rows.push(changed)
      }
    }
  }
  return rows
}

const sortedText = (rows: readonly unknown[][]): string[] => rows.map((one) => JSON.stringify(one)).sort()

describe('LiveTable', () => {
  test('has the rows of the last snapshot with the later deltas, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
        const table = new LiveTable()
        for (const one of frames) table.apply(one, 1)
        expect(sortedText(table.sorted(null).map((one) => one.cells))).toEqual(sortedText(model(frames)))
      }),
      { numRuns: 500 },
    )
  })

  test('its order is that of a stable sort by column, then key; limited to the first', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.boolean(), fc.integer({ min: 0, max: 7 }), (frames, isDescending, limit) => {
        const table = new LiveTable()
        for (const one of frames) table.apply(one, 1)
        const sign = isDescending ? -1 : 1
        const text = (one: unknown[]): string => `${one[1]}/${one[0]}`
        const expected = model(frames)
          .sort((left, right) => sign * (Number(left[2]) - Number(right[2])) || (text(left) < text(right) ? -1 : 1))
          .slice(0, limit)
        const order = parseOrder(isDescending ? '-edits' : 'edits')
        expect(table.sorted(order, limit).map((one) => one.cells)).toEqual(expected)
      }),
    )
  })

  test('a row that did not change is the same object; one that did says which cells', () => {
    const table = new LiveTable()
    table.apply(
      snapshot([
        ['a', 'x', 1],
        ['b', 'x', 1],
      ]),
      1,
    )
    const before = table.sorted(null)
    expect(before[0]?.changed.size).toBe(0)
    table.apply(
      delta([
        { op: '-U', row: ['a', 'x', 1] },
        { op: '+U', row: ['a', 'x', 2] },
        { op: '+U', row: ['b', 'x', 1] },
      ]),
      7,
    )
    const after = table.sorted(null)
    expect(after[0]?.changed).toEqual(new Set([2]))
    expect(after[0]?.changedAtMs).toBe(7)
    expect(after[1]).toBe(before[1])
  })

  test('goes on from the newest token, and asks for a snapshot after a reset', () => {
    const table = new LiveTable()
    expect(table.resume).toBeNull()
    expect(table.apply(delta([{ op: '+I', row: ['a', 'x', 1] }]), 1)).toBe(false)
    table.apply(snapshot([['a', 'x', 1]], 't1'), 1)
    table.apply(delta([{ op: '-D', row: ['a', 'x', 1] }], 't2'), 1)
    expect(table.resume).toBe('t2')
    // A connection that was resumed begins with a delta.
    table.apply(delta([{ op: '+I', row: ['b', 'y', 5] }], 't3'), 1)
    expect(table.sorted(null).map((one) => one.cells)).toEqual([['b', 'y', 5]])
    table.apply({ type: 'reset', reason: 'crash' }, 1)
    expect([table.resume, table.isStale, table.rowCount]).toEqual([null, true, 1])
    table.apply(snapshot([], 't4'), 1)
    expect([table.resume, table.isStale, table.rowCount]).toEqual(['t4', false, 0])
  })

  test('a table without a key has one row', () => {
    const table = new LiveTable()
    table.apply({ ...snapshot([['a', 'x', 1]]), primaryKey: [] } as LiveFrame, 1)
    table.apply(delta([{ op: '+U', row: ['a', 'x', 2] }]), 1)
    expect(table.sorted(null).map((one) => one.cells)).toEqual([['a', 'x', 2]])
  })

  test('keys that look alike are different', () => {
    const table = new LiveTable()
    const rows = [
      ['b', 'a', 1],
      ['ab', '', 2],
      ['', 'ab', 3],
      ['b"', 'a', 4],
      ['"b', 'a', 5],
    ]
    table.apply(snapshot(rows), 1)
    expect(table.rowCount).toBe(rows.length)
  })
})
