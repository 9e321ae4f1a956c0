// OVER against frames cut out of lists, row by row; and its updating form against a recount.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Field, t } from '../../data/index.ts'
import type { AggregateCall, OverFrame, Plan } from '../../sql/index.ts'
import { inputPlan, type PlayOptions, play, rowText, type Step } from './testing.ts'

type Row = [number, string | null, number | null]
const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'k', type: t.string() },
  { name: 'v', type: t.int() },
]
const call = (fn: string, args: number[], type = t.int(), options?: Record<string, unknown>): AggregateCall => ({
  fn,
  args,
  argTypes: args.map((arg) => fields[arg].type),
  distinct: false,
  type,
  ...(options && { options }),
})
const aggregates = [call('COUNT', [], t.bigint()), call('SUM', [2]), call('MAX', [2]), call('FIRST_VALUE', [2])]
const outFields: Field[] = [...fields, ...aggregates.map(({ fn, type }) => ({ name: fn, type }))]

const planOf = (frame: Omit<OverFrame, 'timeOrdered'>, timeOrdered = true): Plan => ({
  node: 'over',
  input: inputPlan(fields, timeOrdered ? 'append' : 'retract'),
  partitionKeys: [1],
  orderBy: [{ column: timeOrdered ? 0 : 2, descending: false, nullsFirst: true }],
  frame: { ...frame, timeOrdered },
  aggregates,
  fields: outFields,
  changelog: timeOrdered ? 'append' : 'retract',
})

const rowArb = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.constantFrom('a', 'b', null), fc.constantFrom(1, 2, 3, null))
const timed = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: rowArb.map((row): Step => ({ row })) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 25 }).map((watermarkMs): Step => ({ watermarkMs })) },
  ),
  { maxLength: 40 },
)
const cuts = fc.record<PlayOptions>({
  batchRowCountMax: fc.integer({ min: 1, max: 9 }),
  restoreAt: fc.oneof(fc.nat(10), fc.constant('all' as const)),
})

function aggregated(frame: Row[]): unknown[] {
  const values = frame.flatMap(([, , v]) => (v === null ? [] : [v]))
  if (values.length === 0) return [BigInt(frame.length), null, null, null]
  return [BigInt(frame.length), values.reduce((a, b) => a + b), Math.max(...values), values[0]]
}

/**
 * Rows worked through when the watermark grows, in order of time; a row's frame is cut out of those of its key.
 * Of a bounded RANGE the rows of a key are gone when a row comes once and a half the frame after the one that set that time; where a later
 * row set another time, the first one still makes rows before it late.
 */
function recount({ unit, preceding }: Omit<OverFrame, 'timeOrdered'>, history: Step[]) {
  let waiting: Row[] = []
  let done: Row[] = []
  const out: unknown[][] = []
  const late: Row[] = []
  const goneAt = new Map<string | null, number>()
  const putOff: { key: string | null; at: number }[] = []
  let watermark = -Infinity
  const fire = (to: number) => {
    if (to <= watermark) return
    watermark = to
    const due = waiting.filter(([ts]) => ts <= to).toSorted((a, b) => a[0] - b[0])
    waiting = waiting.filter(([ts]) => ts > to)
    due.forEach((row, i) => {
      const [ts, k] = row
      const before = [...done, ...due.slice(0, i + 1)].filter((one) => one[1] === k)
      const peers = unit === 'RANGE' ? due.slice(i + 1).filter((one) => one[1] === k && one[0] === ts) : []
      let frame = [...before, ...peers]
      if (preceding !== undefined) frame = unit === 'ROWS' ? frame.slice(-(preceding + 1)) : frame.filter((one) => one[0] >= ts - preceding)
      out.push([...row, ...aggregated(frame)])
    })
    done.push(...due)
  }
  for (const step of history) {
    if ('watermarkMs' in step) fire(step.watermarkMs)
    if (!('row' in step)) continue
    const row = step.row as Row
    const [ts, key] = row
    if ((goneAt.get(key) ?? Infinity) <= watermark) {
      done = done.filter(([, k]) => k !== key)
      goneAt.delete(key)
      for (const one of putOff) if (one.key === key) one.at = -Infinity
    }
    const times = [
      ...done.filter(([, k]) => k === key).map((one) => one[0]),
      ...putOff.filter((one) => one.key === key).map(({ at }) => at),
    ]
    const last = Math.max(-Infinity, ...times.filter((time) => time <= watermark))
    if (row[0] <= (preceding === undefined ? watermark : last)) late.push(row)
    else {
      waiting.push(row)
      const gone = goneAt.get(key)
      if (unit === 'RANGE' && preceding !== undefined && (gone ?? -Infinity) <= ts + preceding) {
        if (gone !== undefined) putOff.push({ key, at: gone })
        goneAt.set(key, ts + Math.floor(preceding * 1.5) + 1)
      }
    }
  }
  fire(Infinity)
  return { out: out.map(rowText).sort(), late: late.map(rowText) }
}

const frames: Record<string, Omit<OverFrame, 'timeOrdered'>> = {
  'ROWS UNBOUNDED PRECEDING': { unit: 'ROWS' },
  'RANGE UNBOUNDED PRECEDING': { unit: 'RANGE' },
  'ROWS 2 PRECEDING': { unit: 'ROWS', preceding: 2 },
  'ROWS CURRENT ROW': { unit: 'ROWS', preceding: 0 },
  'RANGE 5 ms PRECEDING': { unit: 'RANGE', preceding: 5 },
}
for (const [name, frame] of Object.entries(frames))
  test(`OVER with ${name} equals frames cut out of lists, however batched and wherever restored`, () => {
    fc.assert(
      fc.property(timed, cuts, (history, options) => {
        const played = play(planOf(frame), [fields], history, options)
        const expected = recount(frame, history)
        assert.deepEqual(played.rows.map(rowText).sort(), expected.out)
        assert.deepEqual(played.late.map(rowText), expected.late)
      }),
      { numRuns: 300 },
    )
  })

for (const unit of ['ROWS', 'RANGE'] as const)
  test(`OVER ordered by a plain column, ${unit}: results are those over what is left`, () => {
    const changes = fc.array(fc.oneof({ weight: 3, arbitrary: rowArb }, { weight: 1, arbitrary: fc.nat(20) }), { maxLength: 20 })
    fc.assert(
      fc.property(changes, cuts, (choices, options) => {
        const left: Row[] = []
        const history = choices.flatMap((choice, i): Step[] => {
          if (Array.isArray(choice)) {
            // Rows differ, so that the order of equals is that of arrival.
            const row: Row = [i, choice[1], choice[2]]
            left.push(row)
            return [{ row }]
          }
          if (left.length === 0) return []
          return [{ row: left.splice(choice % left.length, 1)[0], kind: 3 }]
        })
        const value = (row: Row) => row[2] ?? -1
        const expected = [...Map.groupBy(left, (row) => row[1]).values()].flatMap((rows) => {
          const sorted = rows.toSorted((a, b) => value(a) - value(b))
          return sorted.map((row, i) => {
            const frame = unit === 'ROWS' ? sorted.slice(0, i + 1) : sorted.filter((one) => value(one) <= value(row))
            return rowText([...row, ...aggregated(frame)])
          })
        })
        assert.deepEqual(play(planOf({ unit }, false), [fields], history, options).table, expected.sort())
      }),
      { numRuns: 300 },
    )
  })

test('ROW_NUMBER and LAG', () => {
  const calls = [call('ROW_NUMBER', [], t.bigint(false)), call('LAG', [2]), call('LAG', [2, 0], t.int(), { offset: 2 })]
  const plan: Plan = {
    ...(planOf({ unit: 'ROWS' }) as Plan & { node: 'over' }),
    aggregates: calls,
    fields: [...fields, ...calls.map(({ fn, type }) => ({ name: fn, type }))],
  }
  const history: Step[] = [
    { row: [3, 'a', 30] },
    { row: [1, 'a', 10] },
    { row: [2, 'b', 20] },
    { watermarkMs: 3 },
    { row: [4, 'a', null] },
    { row: [5, 'a', 50] },
  ]
  for (const batchRowCountMax of [1, 9])
    assert.deepEqual(play(plan, [fields], history, { batchRowCountMax, restoreAt: 'all' }).rows, [
      [1, 'a', 10, 1n, null, 1],
      [2, 'b', 20, 1n, null, 2],
      [3, 'a', 30, 2n, 10, 3],
      [4, 'a', null, 3n, 30, 10],
      [5, 'a', 50, 4n, null, 30],
    ])
})
