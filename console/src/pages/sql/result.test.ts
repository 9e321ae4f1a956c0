import { expect, test } from 'vitest'
import { type Op, Result } from './result.ts'

const columns = [
  { name: 'k', type: 'VARCHAR(2147483647)' },
  { name: 'n', type: 'BIGINT NOT NULL' },
]
const shown = (result: Result) =>
  result
    .rows()
    .map(({ cells }) => cells.join(' '))
    .sort()

/** A small generator: tests must not differ from run to run. */
function numbers(seed: number): (max: number) => number {
  let state = seed
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % max
  }
}

test('rows equal a recount of the history, with a key and without', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = numbers(seed)
    const keyed = new Result(columns, 'retract', ['k'])
    const bag = new Result(columns, 'retract', [])
    const byKey = new Map<string, number>()
    const counts = new Map<string, number>()
    for (let step = 0; step < 30; step++) {
      const k = 'abc'[next(3)]!
      const before = byKey.get(k)
      const n = next(4)
      const changes: { op: Op; row: unknown[] }[] =
        before === undefined
          ? [{ op: '+I', row: [k, n] }]
          : next(3) === 0
            ? [{ op: '-D', row: [k, before] }]
            : [
                { op: '-U', row: [k, before] },
                { op: '+U', row: [k, n] },
              ]
      for (const { op, row } of changes) {
        const text = row.join(' ')
        const sign = op === '+I' || op === '+U' ? 1 : -1
        counts.set(text, (counts.get(text) ?? 0) + sign)
        if (sign > 0) byKey.set(k, n)
        else byKey.delete(k)
      }
      keyed.apply(changes, 0)
      bag.apply(changes, 0)
    }
    expect(shown(keyed)).toEqual([...byKey].map(([k, n]) => `${k} ${n}`).sort())
    expect(shown(bag)).toEqual([...counts].flatMap(([text, count]) => Array.from({ length: count }, () => text)).sort())
  }
})

test('an upsert changes its row in place and marks the cells that differ', () => {
  const result = new Result(columns, 'upsert', ['k'])
  result.apply([{ op: '+I', row: ['a', 1] }], 1)
  const key = result.rows()[0]?.key
  result.apply([{ op: '+U', row: ['a', 2] }], 2)
  const [row] = result.rows()
  expect([row?.key, [...(row?.changed ?? [])], row?.changedAtMs]).toEqual([key, [1], 2])
})

test('memory is bounded, and it is said', () => {
  const result = new Result(columns, 'append', [], { rows: 10, changes: 5 })
  result.apply(
    Array.from({ length: 25 }, (_, n) => ({ op: '+I' as const, row: ['a', n] })),
    0,
  )
  expect(result.rows().map(({ cells }) => cells[1])).toEqual([15, 16, 17, 18, 19, 20, 21, 22, 23, 24])
  expect([result.isCut, result.changes.length, result.changeCount]).toEqual([true, 5, 25])
})

test('a view stays as it is while the result goes on', () => {
  const result = new Result(columns, 'upsert', ['k'])
  result.apply([{ op: '+I', row: ['a', 1] }], 1)
  const held = result.view()
  result.skipped += 3
  result.apply(
    [
      { op: '+U', row: ['a', 2] },
      { op: '+I', row: ['b', 1] },
    ],
    2,
  )
  expect([held.rows.map(({ cells }) => cells), held.changes.length, held.changeCount]).toEqual([[['a', 1]], 1, 1])
  expect([result.view().rows.length, result.view().changeCount - held.changeCount, result.view().skipped]).toEqual([2, 5, 3])
})
