// Window aggregation against a recount: for each row and each of its windows, was the window open when the row came?
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Field, t } from '../../data/index.ts'
import type { AggregateCall, Plan, PlanWindow } from '../../sql/index.ts'
import { inputPlan, play, rowText, type Step } from './testing.ts'

const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'k', type: t.string() },
  { name: 'v', type: t.int() },
  { name: 'd', type: t.double() },
]
const call = (fn: string, args: number[], type = t.bigint(), distinct = false): AggregateCall => ({
  fn,
  args,
  distinct,
  type,
  argTypes: args.map((arg) => fields[arg].type),
})
const aggregates = [
  call('COUNT', []),
  call('SUM', [2], t.int()),
  call('MIN', [2], t.int()),
  call('MAX', [3], t.double()),
  call('AVG', [3], t.double()),
  call('COUNT', [2], t.bigint(), true),
  call('COLLECT', [2], t.multiset(t.int())),
]

const planOf = (window: Partial<PlanWindow>, changelog: Plan['changelog'] = 'append'): Plan => ({
  node: 'windowAggregate',
  input: inputPlan(fields, changelog),
  window: { kind: 'TUMBLE', sizeMs: 10, offsetMs: 0, partitionKeys: [1], timeAttribute: 'event', timeZone: 'UTC', ...window },
  timeColumn: 0,
  keys: [1],
  aggregates,
  windowColumns: ['start', 'end', 'time'],
  changelog: 'append',
  fields: [],
})

type Row = [number, string | null, number | null, number | null]
const rowStep = fc
  .tuple(
    fc.integer({ min: -40, max: 40 }),
    fc.constantFrom('ana', 'bo', '', null),
    fc.constantFrom(1, 2, 5, null),
    fc.constantFrom(0.5, 2, -1, null),
  )
  .map((row): Step => ({ row }))
const watermarkStep = fc.integer({ min: -40, max: 60 }).map((watermarkMs): Step => ({ watermarkMs }))
const histories = fc.array(fc.oneof({ weight: 4, arbitrary: rowStep }, { weight: 1, arbitrary: watermarkStep }), { maxLength: 40 })
const cuts = { batchRowCountMax: fc.integer({ min: 1, max: 9 }), restoreAt: fc.oneof(fc.nat(12), fc.constant('all' as const)) }

/** Result row of some input rows. */
function aggregated(rows: Row[]): unknown[] {
  const numbers = rows.flatMap(([, , v]) => (v === null ? [] : [v]))
  const doubles = rows.flatMap(([, , , d]) => (d === null ? [] : [d]))
  const counts = new Map<number, number>()
  for (const v of numbers) counts.set(v, (counts.get(v) ?? 0) + 1)
  return [
    BigInt(rows.length),
    numbers.length === 0 ? null : numbers.reduce((a, b) => a + b),
    numbers.length === 0 ? null : Math.min(...numbers),
    doubles.length === 0 ? null : Math.max(...doubles),
    doubles.length === 0 ? null : doubles.reduce((a, b) => a + b) / doubles.length,
    BigInt(counts.size),
    counts,
  ]
}

/** Ends and starts of all windows that hold a time, found by trying all. */
function windowsOf(window: PlanWindow, time: number): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = []
  const step = window.stepMs ?? window.sizeMs
  for (let start = -200; start < 200; start++) {
    const shifted = start - window.offsetMs
    const unit = window.kind === 'HOP' ? step : window.sizeMs
    if (shifted % unit !== 0) continue
    const ends =
      window.kind === 'CUMULATE' ? Array.from({ length: window.sizeMs / step }, (_, i) => start + (i + 1) * step) : [start + window.sizeMs]
    for (const end of ends) if (start <= time && time < end) found.push({ start, end })
  }
  return found
}

function recount(window: PlanWindow, history: Step[]) {
  const groups = new Map<string, { start: number; end: number; key: string | null; rows: Row[] }>()
  const late: Row[] = []
  let watermark = -Infinity
  for (const step of history) {
    if ('watermarkMs' in step) watermark = Math.max(watermark, step.watermarkMs)
    if (!('row' in step)) continue
    const row = step.row as Row
    const open = windowsOf(window, row[0]).filter(({ end }) => end - 1 > watermark)
    if (open.length === 0) late.push(row)
    for (const { start, end } of open) {
      const id = rowText([start, end, row[1]])
      const group = groups.get(id) ?? { start, end, key: row[1], rows: [] }
      groups.set(id, group)
      group.rows.push(row)
    }
  }
  const rows = Array.from(groups.values(), ({ start, end, key, rows: input }) => [key, ...aggregated(input), start, end, end - 1])
  return { rows: rows.map(rowText).sort(), late: late.map(rowText) }
}

const shapes: Record<string, Partial<PlanWindow>> = {
  TUMBLE: { kind: 'TUMBLE', sizeMs: 10 },
  'TUMBLE with an offset': { kind: 'TUMBLE', sizeMs: 10, offsetMs: 3 },
  HOP: { kind: 'HOP', sizeMs: 15, stepMs: 5 },
  'HOP with slices smaller than the slide': { kind: 'HOP', sizeMs: 10, stepMs: 4, offsetMs: -1 },
  CUMULATE: { kind: 'CUMULATE', sizeMs: 15, stepMs: 5 },
  'CUMULATE with an offset': { kind: 'CUMULATE', sizeMs: 12, stepMs: 4, offsetMs: 5 },
}

for (const [name, shape] of Object.entries(shapes))
  test(`${name} equals a recount, however batched and wherever restored`, () => {
    const plan = planOf(shape) as Plan & { node: 'windowAggregate' }
    fc.assert(
      fc.property(histories, cuts.batchRowCountMax, cuts.restoreAt, (history, batchRowCountMax, restoreAt) => {
        const played = play(plan, [fields], history, { batchRowCountMax, restoreAt })
        const expected = recount(plan.window, history)
        assert.deepEqual(played.rows.map(rowText).sort(), expected.rows)
        assert.deepEqual(played.late.map(rowText), expected.late)
        const ends = played.rows.map((row) => row[9] as number)
        assert.deepEqual(
          ends,
          ends.toSorted((a, b) => a - b),
        )
        played.rows.forEach((row, i) => {
          assert.ok(played.seenMs[i] < (row[10] as number), 'an output row is never late for its own window')
        })
      }),
      { numRuns: 250 },
    )
  })

/** Sessions row by row: a row joins the open sessions that it touches. */
function recountSessions(gap: number, history: Step[]) {
  let sessions: { key: string | null; start: number; end: number; rows: Row[] }[] = []
  const closed: typeof sessions = []
  const late: Row[] = []
  let watermark = -Infinity
  const close = () => {
    closed.push(...sessions.filter(({ end }) => end - 1 <= watermark))
    sessions = sessions.filter(({ end }) => end - 1 > watermark)
  }
  for (const step of [...history, { watermarkMs: Infinity }]) {
    if ('watermarkMs' in step) {
      watermark = Math.max(watermark, step.watermarkMs)
      close()
    }
    if (!('row' in step)) continue
    const row = step.row as Row
    const touches = sessions.filter(({ key, start, end }) => key === row[1] && start <= row[0] + gap && row[0] <= end)
    if (touches.length === 0 && row[0] + gap - 1 <= watermark) {
      late.push(row)
      continue
    }
    const merged = {
      key: row[1],
      start: Math.min(row[0], ...touches.map(({ start }) => start)),
      end: Math.max(row[0] + gap, ...touches.map(({ end }) => end)),
      rows: [...touches.flatMap(({ rows }) => rows), row],
    }
    sessions = [...sessions.filter((session) => !touches.includes(session)), merged]
  }
  return { closed, late: late.map(rowText) }
}

test('SESSION equals sessions made row by row, however batched and wherever restored', () => {
  const plan = planOf({ kind: 'SESSION', sizeMs: 5 })
  fc.assert(
    fc.property(histories, cuts.batchRowCountMax, cuts.restoreAt, (history, batchRowCountMax, restoreAt) => {
      const played = play(plan, [fields], history, { batchRowCountMax, restoreAt })
      const { closed, late } = recountSessions(5, history)
      const expected = closed.map(({ key, start, end, rows }) => rowText([key, ...aggregated(rows), start, end, end - 1]))
      assert.deepEqual(played.rows.map(rowText).sort(), expected.sort())
      assert.deepEqual(played.late.map(rowText), late)
      played.rows.forEach((row, i) => {
        assert.ok(played.seenMs[i] < (row[10] as number))
      })
    }),
    { numRuns: 400 },
  )
})

test('SESSION over all keys, grouped by key afterwards, and as a table function', () => {
  const plan = planOf({ kind: 'SESSION', sizeMs: 5, partitionKeys: [] })
  const tvf: Plan = {
    node: 'windowTvf',
    input: inputPlan(fields),
    window: (plan as Plan & { node: 'windowAggregate' }).window,
    timeColumn: 0,
    changelog: 'append',
    fields: [...fields, ...['window_start', 'window_end', 'window_time'].map((name) => ({ name, type: t.timestamp(3, false) }))],
  }
  fc.assert(
    fc.property(histories, cuts.batchRowCountMax, cuts.restoreAt, (history, batchRowCountMax, restoreAt) => {
      const keyless = history.map((step): Step => ('row' in step ? { row: [step.row[0], null, step.row[2], step.row[3]] } : step))
      const { closed } = recountSessions(5, keyless)
      const rowsOf = play(tvf, [fields], keyless, { batchRowCountMax, restoreAt }).rows.map(rowText)
      const expectedRows = closed.flatMap(({ start, end, rows }) => rows.map((row) => rowText([...row, start, end, end - 1])))
      assert.deepEqual(rowsOf.sort(), expectedRows.sort())
      const grouped = play(plan, [fields], keyless, { batchRowCountMax, restoreAt }).rows.map(rowText)
      const expected = closed.map(({ start, end, rows }) => rowText([null, ...aggregated(rows), start, end, end - 1]))
      assert.deepEqual(grouped.sort(), expected.sort())
    }),
    { numRuns: 200 },
  )
})

test('windows over a retracting input count what is left when they close', () => {
  const plan = planOf({ kind: 'HOP', sizeMs: 10, stepMs: 5 }, 'retract') as Plan & { node: 'windowAggregate' }
  const session = planOf({ kind: 'SESSION', sizeMs: 5 }, 'retract')
  fc.assert(
    fc.property(fc.array(rowStep, { maxLength: 20 }), fc.array(fc.nat(19)), cuts.batchRowCountMax, (rows, takenBack, batchRowCountMax) => {
      const taken = new Set(takenBack.filter((i) => i < rows.length))
      const back = Array.from(taken, (i): Step => ({ ...(rows[i] as Step & { row: unknown[] }), kind: 3 }))
      const left = rows.filter((_, i) => !taken.has(i))
      const played = play(plan, [fields], [...rows, ...back], { batchRowCountMax, restoreAt: 'all' })
      assert.deepEqual(played.rows.map(rowText).sort(), recount(plan.window, left).rows)
      const sessions = play(session, [fields], [...rows, ...back], { batchRowCountMax, restoreAt: 'all' })
      const limits = recountSessions(5, rows).closed.map(({ key, start, end }) => rowText([key, start, end]))
      for (const row of sessions.rows) assert.ok(limits.includes(rowText([row[0], row[8], row[9]])))
      const total = sessions.rows.reduce((sum, row) => sum + (row[1] as bigint), 0n)
      assert.equal(total, BigInt(left.length))
    }),
    { numRuns: 200 },
  )
})

test('NULL times are failed rows; a window over windows keeps start and end', () => {
  const plan = planOf({})
  const played = play(plan, [fields], [{ row: [null, 'a', 1, 1] }, { row: [3, 'a', 1, 1] }], { batchRowCountMax: 5 })
  assert.equal(played.failed.length, 1)
  assert.equal(played.rows.length, 1)
  const windowed: Field[] = [
    ...fields,
    { name: 's', type: t.timestamp(3) },
    { name: 'e', type: t.timestamp(3) },
    { name: 'w', type: t.timestamp(3) },
  ]
  const attached = {
    ...planOf({ kind: 'CUMULATE', sizeMs: 20, stepMs: 10 }),
    input: inputPlan(windowed),
    attached: { start: 4, end: 5 },
    timeColumn: 6,
  }
  const history: Step[] = [
    { row: [1, 'a', 1, 1, 0, 10, 9] },
    { row: [1, 'a', 2, 1, 0, 20, 19] },
    { watermarkMs: 9 },
    { row: [1, 'b', 3, 1, 0, 10, 9] },
    { row: [1, 'a', 4, 1, 0, 20, 19] },
  ]
  const { rows, late } = play(attached as Plan, [windowed], history, { batchRowCountMax: 9 })
  assert.deepEqual(
    rows.map((row) => [row[0], row[1], row[8], row[9]]),
    [
      ['a', 1n, 0, 10],
      ['a', 2n, 0, 20],
    ],
  )
  assert.equal(late.length, 1)
})

test('processing-time windows fire on ticks', () => {
  const plan = planOf({ timeAttribute: 'processing' })
  const history: Step[] = [
    { tickMs: 3 },
    { row: [null, 'a', 1, 1] },
    { row: [null, 'a', 2, 1] },
    { tickMs: 9 },
    { tickMs: 15 },
    { row: [null, 'b', 4, 1] },
    { tickMs: 40 },
  ]
  const { rows } = play(plan, [fields], history, { finish: false, restoreAt: 'all' })
  assert.deepEqual(
    rows.map((row) => [row[0], row[1], row[8], row[9]]),
    [
      ['a', 2n, 0, 10],
      ['b', 1n, 10, 20],
    ],
  )
  const sessions = play(
    { ...plan, window: { ...(plan as Plan & { node: 'windowAggregate' }).window, kind: 'SESSION', sizeMs: 5 } } as Plan,
    [fields],
    history,
    { finish: false },
  )
  assert.deepEqual(
    sessions.rows.map((row) => [row[0], row[1], row[8], row[9]]),
    [
      ['a', 2n, 3, 8],
      ['b', 1n, 15, 20],
    ],
  )
})

test('TIMESTAMP_LTZ windows are cut in the zone: a day that is 23 hours long', () => {
  const day = 86_400_000
  const plan = planOf({ sizeMs: day, timeZone: 'Europe/Berlin' })
  // 2026-03-29 is the day on which clocks go forward at 01:00 UTC.
  const at = (text: string) => Date.parse(text)
  const history: Step[] = ['2026-03-28T22:59:00Z', '2026-03-28T23:00:00Z', '2026-03-29T21:59:00Z', '2026-03-29T22:00:00Z'].map((text) => ({
    row: [at(text), 'a', 1, 1],
  }))
  const { rows } = play(plan, [fields], history, { batchRowCountMax: 9 })
  assert.deepEqual(
    rows.map((row) => [row[1], new Date(row[8] as number).toISOString().slice(0, 10), new Date(row[10] as number).toISOString()]),
    [
      [1n, '2026-03-28', '2026-03-28T22:59:59.999Z'],
      [2n, '2026-03-29', '2026-03-29T21:59:59.999Z'],
      [1n, '2026-03-30', '2026-03-30T21:59:59.999Z'],
    ],
  )
})
