// A time to live of Top-N, deduplication, OVER, upserts made whole and set operations against recounts by the clock, however batched and
// wherever restored; and what a state without times does when it gets one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchMemory, batchOf, type ChangeKind, type Field, rowAt, t } from '../../data/index.ts'
import type { AggregateCall, OverFrame, Plan } from '../../sql/index.ts'
import { buildOperator } from './index.ts'
import { inputPlan, type PlayOptions, play, rowText, type Step } from './testing.ts'

type Row = [ts: number, k: string, v: number]
const ttlMs = 10
const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'k', type: t.string() },
  { name: 'v', type: t.int() },
]
const rank: Field = { name: 'rn', type: t.bigint(false) }
type Event = { row: Row } | { byMs: number } | { toMs: number } | { removes: number }
const rowArb = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 4 })) as fc.Arbitrary<Row>
const rows = { weight: 4, arbitrary: rowArb.map((row): Event => ({ row })) }
const clock = { weight: 2, arbitrary: fc.integer({ min: 1, max: 12 }).map((byMs): Event => ({ byMs })) }
const watermarks = { weight: 2, arbitrary: fc.integer({ min: 0, max: 25 }).map((toMs): Event => ({ toMs })) }
const removals = { weight: 1, arbitrary: fc.nat(20).map((removes): Event => ({ removes })) }
const cuts = fc.record<PlayOptions>({
  batchRowCountMax: fc.integer({ min: 1, max: 5 }),
  restoreAt: fc.oneof(fc.nat(10), fc.constant('all' as const)),
})

/** The steps of a history; rows that are taken away are some of those that are there. */
function stepsOf(history: readonly Event[]): Step[] {
  let nowMs = 0
  const there: Row[] = []
  return history.flatMap((event): Step[] => {
    if ('byMs' in event) return [{ tickMs: (nowMs += event.byMs) }]
    if ('toMs' in event) return [{ watermarkMs: event.toMs }]
    if ('row' in event) {
      there.push(event.row)
      return [{ row: event.row }]
    }
    if (there.length === 0) return []
    const text = rowText(there[event.removes % there.length])
    const at = there.findIndex((row) => rowText(row) === text)
    return [{ row: there.splice(at, 1)[0], kind: 3 as ChangeKind }]
  })
}
/** Changes one by one, as `+I [row]`, with no batch of more than a row. */
const changesOf = ({ rows, kinds }: { rows: unknown[][]; kinds: string[] }): string[] => rows.map((row, i) => `${kinds[i]} ${rowText(row)}`)
const byOne = (options: PlayOptions): PlayOptions => ({ ...options, batchRowCountMax: 1, finish: false })

const topNPlan = (rankColumn: boolean, retracts: boolean): Plan => ({
  node: 'topN',
  input: inputPlan(fields, retracts ? 'retract' : 'append'),
  partitionKeys: [1],
  orderBy: [{ column: 2, descending: true, nullsFirst: false }],
  from: 1,
  to: 2,
  rankColumn,
  ttlMs,
  fields: rankColumn ? [...fields, rank] : fields,
  changelog: 'retract',
})

/** Keeps all rows with the time of their place, looks anew at each step: what it forgets it says nothing of. */
function topNRecount(steps: readonly Step[], retracts: boolean): string[] {
  let nowMs = 0
  const out: string[] = []
  let kept: { row: Row; writtenMs: number }[] = []
  const top = (k: string): string[] =>
    kept
      .filter(({ row }) => row[1] === k)
      .sort((a, b) => b.row[2] - a.row[2])
      .slice(0, 2)
      .map(({ row }) => rowText(row))
  for (const step of steps) {
    if ('tickMs' in step) nowMs = step.tickMs
    if (!('row' in step)) continue
    const [, k, v] = step.row as Row
    kept = kept.filter(({ writtenMs }) => writtenMs + ttlMs > nowMs)
    const before = top(k)
    const text = rowText(step.row)
    const place = () => kept.filter(({ row }) => row[1] === k && row[2] === v)
    const old = place().find(({ row }) => rowText(row) === text)
    if (step.kind === 3) kept = kept.filter((one) => one !== old)
    else kept.push({ row: step.row as Row, writtenMs: nowMs })
    // An input that only inserts need not remember, and so not write, what is not among the best.
    if (!retracts) kept = [...kept].sort((a, b) => b.row[2] - a.row[2]).filter((one, i, all) => all.slice(0, i).filter(({ row }) => row[1] === one.row[1]).length < 2) // biome-ignore format: one thought
    if (retracts || kept.some(({ row }) => row === step.row)) for (const one of place()) one.writtenMs = nowMs
    const after = top(k)
    const gone = [...before]
    const come = after.filter((one) => {
      const at = gone.indexOf(one)
      if (at >= 0) gone.splice(at, 1)
      return at < 0
    })
    out.push(...gone.map((one) => `-D ${one}`), ...come.map((one) => `+I ${one}`))
  }
  return out
}

for (const retracts of [false, true])
  test(`Top-N of ${retracts ? 'a retracting' : 'an inserting'} input forgets the rows of a place together`, () => {
    const history = fc.array(fc.oneof(rows, clock, ...(retracts ? [removals] : [])), { maxLength: 40 })
    fc.assert(
      fc.property(history, cuts, (events, options) => {
        const steps = stepsOf(events)
        const played = play(topNPlan(false, retracts), [fields], steps, byOne(options))
        assert.deepEqual(changesOf(played), topNRecount(steps, retracts))
      }),
    )
  })

test('ranks close up behind what is forgotten, and batches change nothing in the end', () => {
  const ranked = topNPlan(true, false)
  const steps: Step[] = [
    { row: [0, 'a', 9] },
    { tickMs: 6 },
    { row: [0, 'a', 8] },
    { tickMs: 10 },
    // The row of 9 is over: 8 is the first now, without a word to those who saw it as the second.
    { row: [0, 'a', 7] },
  ]
  const changes = changesOf(play(ranked, [fields], steps, { finish: false, restoreAt: 'all' }))
  assert.deepEqual(changes, ['+I [0,"a",9,"1n"]', '+I [0,"a",8,"2n"]', '+I [0,"a",7,"2n"]'])
})

test('LIMIT without an order is over for all its rows at once, so long after the last that it took', () => {
  const limit: Plan = { node: 'limit', input: inputPlan(fields), orderBy: [], offset: 0, limit: 2, ttlMs, fields, changelog: 'append' }
  const at = (tickMs: number): Step[] => [{ tickMs }, { row: [tickMs, 'a', 1] }]
  const { rows } = play(limit, [fields], [0, 9, 12, 18, 19, 20, 21].flatMap(at), { finish: false, restoreAt: 'all' })
  assert.deepEqual(rows.map(([ts]) => ts), [0, 9, 19, 20]) // biome-ignore format: one thought
})

for (const processingTime of [false, true])
  test(`a key that gave its first row by ${processingTime ? 'processing' : 'event'} time may give another`, () => {
    const plan: Plan = { node: 'deduplicate', input: inputPlan(fields), keys: [1], timeColumn: 0, keep: 'first', processingTime, ttlMs, fields, changelog: 'append' } // biome-ignore format: one thought
    const recount = (steps: readonly Step[]): unknown[] => {
      let [nowMs, watermarkMs] = [0, -Infinity]
      const keys = new Map<string, { outMs?: number; row?: Row }>()
      const out: unknown[] = []
      for (const step of steps) {
        if ('tickMs' in step) nowMs = step.tickMs
        else if ('watermarkMs' in step) {
          if (step.watermarkMs <= watermarkMs) continue
          watermarkMs = step.watermarkMs
        } else {
          const row = step.row as Row
          const key = keys.get(row[1])
          const isRemembered = key?.outMs !== undefined && key.outMs + ttlMs > nowMs
          if (isRemembered || (!processingTime && row[0] < watermarkMs)) continue
          const waiting = key?.row
          if (processingTime) {
            keys.set(row[1], { outMs: nowMs })
            out.push(row)
          } else if (waiting === undefined || row[0] < waiting[0]) keys.set(row[1], { row })
        }
        const due = [...keys].filter(([, { row }]) => row !== undefined && row[0] <= watermarkMs && 'watermarkMs' in step)
        for (const [k, { row }] of due.sort(([, a], [, b]) => a.row![0] - b.row![0])) {
          out.push(row)
          keys.set(k, { outMs: nowMs })
        }
      }
      return out
    }
    fc.assert(
      fc.property(fc.array(fc.oneof(rows, clock, watermarks), { maxLength: 40 }), cuts, (events, options) => {
        const steps = stepsOf(events)
        const played = play(plan, [fields], steps, byOne(options))
        assert.deepEqual(played.rows.map((row) => rowText(row)).sort(), recount(steps).map((row) => rowText(row as Row)).sort()) // biome-ignore format: one thought
      }),
    )
  })

const count: AggregateCall = { fn: 'COUNT', args: [], argTypes: [], distinct: false, type: t.bigint(false) }
const overPlan = (frame: Omit<OverFrame, 'timeOrdered'>, timeOrdered = true): Plan => ({
  node: 'over',
  input: inputPlan(fields, timeOrdered ? 'append' : 'retract'),
  partitionKeys: [1],
  orderBy: [{ column: timeOrdered ? 0 : 2, descending: false, nullsFirst: true }],
  frame: { ...frame, timeOrdered },
  aggregates: [count],
  fields: [...fields, { name: 'n', type: t.bigint(false) }],
  changelog: timeOrdered ? 'append' : 'retract',
  ttlMs,
})

/** Flink's clean-up of a key: once and a half the time to live behind a row, moved only when less than the time to live is left. */
function overRecount({ unit, preceding = Infinity }: Omit<OverFrame, 'timeOrdered'>, steps: readonly Step[]): string[] {
  let [nowMs, watermarkMs] = [0, -Infinity]
  const keys = new Map<string, { waiting: Row[]; done: Row[]; lastMs: number; cleanupMs: number }>()
  const out: string[] = []
  for (const step of steps) {
    if ('tickMs' in step) {
      nowMs = step.tickMs
      for (const [k, state] of keys) {
        if (state.cleanupMs > nowMs) continue
        if (state.waiting.length === 0) keys.delete(k)
        else state.cleanupMs = nowMs + 1.5 * ttlMs
      }
    } else if ('row' in step) {
      const row = step.row as Row
      const state = keys.get(row[1]) ?? { waiting: [], done: [], lastMs: -Infinity, cleanupMs: -Infinity }
      keys.set(row[1], state)
      if (nowMs + ttlMs > state.cleanupMs) state.cleanupMs = nowMs + 1.5 * ttlMs
      if (row[0] > (preceding === Infinity ? watermarkMs : state.lastMs)) state.waiting.push(row)
    } else if (step.watermarkMs > watermarkMs) {
      watermarkMs = step.watermarkMs
      for (const state of keys.values())
        for (const time of [...new Set(state.waiting.map(([ts]) => ts))].sort((a, b) => a - b)) {
          if (time > watermarkMs) continue
          const peers = state.waiting.filter(([ts]) => ts === time)
          state.waiting = state.waiting.filter(([ts]) => ts !== time)
          peers.forEach((row, i) => {
            const place = state.done.length + (unit === 'RANGE' ? peers.length : i + 1)
            out.push(rowText([...row, BigInt(Math.min(place, preceding + 1))]))
          })
          state.done.push(...peers)
          state.lastMs = time
        }
    }
  }
  return out.sort()
}

for (const frame of [{ unit: 'ROWS' }, { unit: 'RANGE' }, { unit: 'ROWS', preceding: 1 }] as const)
  test(`OVER forgets a key when Flink's clean-up does: ${JSON.stringify(frame)}`, () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(rows, clock, watermarks), { maxLength: 50 }), cuts, (events, options) => {
        const steps = stepsOf(events)
        const played = play(overPlan(frame), [fields], steps, byOne(options))
        assert.deepEqual(played.rows.map((row) => rowText(row)).sort(), overRecount(frame, steps)) // biome-ignore format: one thought
      }),
    )
  })

test('memory does not grow with the keys that were: all operators, two rows of each key', () => {
  const setOperation: Plan = { node: 'setOperation', operator: 'EXCEPT', all: false, left: inputPlan(fields), right: inputPlan(fields), ttlMs, fields, changelog: 'retract' } // biome-ignore format: one thought
  const keepsOne = (keep: 'first' | 'last', processingTime: boolean): Plan => ({ node: 'deduplicate', input: inputPlan(fields), keys: [1], timeColumn: 0, keep, processingTime, ttlMs, fields, changelog: keep === 'first' ? 'append' : 'retract' }) // biome-ignore format: one thought
  const plans: Plan[] = [
    topNPlan(false, false),
    topNPlan(true, true),
    keepsOne('first', true),
    keepsOne('first', false),
    keepsOne('last', false),
    overPlan({ unit: 'ROWS' }),
    overPlan({ unit: 'ROWS', preceding: 2 }),
    overPlan({ unit: 'RANGE' }, false),
    { node: 'normalize', input: inputPlan(fields, 'upsert'), keys: [1], ttlMs, fields, changelog: 'retract' },
    setOperation,
  ]
  for (const plan of plans) {
    const memory = new BatchMemory()
    const operator = buildOperator(plan, { emit: () => {}, memory, count: () => {}, late: () => {}, rowFailed: () => {}, inputFields: [fields], outputFields: plan.fields }) // biome-ignore format: one thought
    let most = 0
    for (let ms = 0; ms < 300; ms++) {
      const keys = Array.from({ length: 100 }, (_, i): Row => [ms, `key ${ms * 100 + i}`, 1])
      operator.tick?.(ms)
      operator.process(batchOf(fields, [...keys, ...keys], { processingTimeMs: ms }), 0)
      memory.release(0)
      operator.advance(ms)
      most = Math.max(most, operator.describe?.().stateRows ?? 0)
    }
    // 3,000 of the time to live, with the half of it between two sweeps and, of OVER, its clean-up, and two rows of each.
    assert.ok(most <= 8_000, `${plan.node} holds ${most} rows`)
  }
})

test('what was remembered without a time to live counts from when it is looked at first', () => {
  const without = (plan: Plan): Plan => ({ ...plan, ttlMs: undefined }) as Plan
  const context = (plan: Plan, out: string[]) => ({
    emit: (batch: Parameters<typeof rowAt>[0]) => {
      for (let row = 0; row < batch.rowCount; row++) out.push(rowText(rowAt(batch, row)))
    },
    memory: new BatchMemory(),
    count: () => {},
    late: () => {},
    rowFailed: () => {},
    inputFields: [fields],
    outputFields: plan.fields,
  })
  const first: Plan = { node: 'deduplicate', input: inputPlan(fields), keys: [1], timeColumn: 0, keep: 'first', processingTime: true, ttlMs, fields, changelog: 'append' } // biome-ignore format: one thought
  const normalize: Plan = { node: 'normalize', input: inputPlan(fields, 'upsert'), keys: [1], ttlMs, fields, changelog: 'retract' }
  const cases: [Plan, remembered: number, forgotten: number][] = [
    [topNPlan(false, false), 0, 1],
    [topNPlan(false, true), 0, 1],
    [first, 0, 1],
    // What changes nothing is given out.
    [normalize, 2, 1],
    [overPlan({ unit: 'RANGE' }, false), 5, 1],
  ]
  for (const [plan, remembered, forgotten] of cases) {
    const old = buildOperator(without(plan), context(plan, []))
    old.process(batchOf(fields, [[1, 'a', 5], [1, 'a', 4]], { processingTimeMs: 1_000 }), 0) // biome-ignore format: one thought
    const out: string[] = []
    const operator = buildOperator(plan, context(plan, out))
    operator.restore?.(structuredClone(old.snapshot?.()))
    const row = plan.node === 'normalize' ? [1, 'a', 4] : [1, 'a', 3]
    operator.process(batchOf(fields, [row], { processingTimeMs: 50_000 }), 0)
    assert.equal(out.length, remembered, `${plan.node}: remembered, ${out}`)
    out.length = 0
    operator.process(batchOf(fields, [row], { processingTimeMs: 50_000 + 3 * ttlMs }), 0)
    assert.ok(out.length >= 1 && out.length <= forgotten, `${plan.node}: forgotten, ${out}`)
  }
})

const setPlan = (operator: 'INTERSECT' | 'EXCEPT', all: boolean): Plan => ({
  node: 'setOperation',
  operator,
  all,
  left: inputPlan(fields, 'retract'),
  right: inputPlan(fields, 'retract'),
  ttlMs,
  fields,
  changelog: 'retract',
})
/** Row `a` comes (`+`) to a side or goes (`-`) from it, at a time. */
const setSteps = (text: string): Step[] =>
  text.split(' ').flatMap((one): Step[] => {
    const [, kind, side, at] = /^([+-])([lr])@(\d+)$/.exec(one) as RegExpExecArray
    return [{ tickMs: Number(at) }, { row: [0, 'a', 1], kind: (kind === '+' ? 0 : 3) as ChangeKind, input: side === 'l' ? 0 : 1 }]
  })

test('what set operations have forgotten is taken back by nobody, and what it hid comes out with the next row', () => {
  const cases: [operator: 'INTERSECT' | 'EXCEPT', all: boolean, steps: string, changes: string][] = [
    // A deletion of what is forgotten: no count falls below nothing.
    ['INTERSECT', true, '+l@0 +r@1 -l@20 +r@21 +l@22', '+I +I'],
    ['EXCEPT', true, '+l@0 -r@20 +l@21', '+I +I'],
    ['EXCEPT', false, '+l@0 +r@1 -r@20 +l@21', '+I -D +I'],
    // The right side's row is over, the left one's is not.
    ['EXCEPT', false, '+l@0 +r@1 +l@8 +l@12', '+I -D +I'],
    ['EXCEPT', false, '+r@0 +l@1 +l@9 -l@12 -l@13', '+I -D'],
    // With ALL both sides are one state, written by either.
    ['INTERSECT', true, '+l@0 +r@9 +r@18 +l@19', '+I +I'],
  ]
  for (const [operator, all, text, changes] of cases)
    for (const restoreAt of [undefined, 'all'] as const) {
      const { kinds } = play(setPlan(operator, all), [fields, fields], setSteps(text), { finish: false, restoreAt })
      assert.equal(kinds.join(' '), changes, `${operator}${all ? ' ALL' : ''} ${text}`)
    }
})

test('a row that changes nothing is given out where there is a time to live, so that those behind remember theirs', () => {
  const max: AggregateCall = { fn: 'MAX', args: [2], argTypes: [t.int()], distinct: false, type: t.int() }
  const keepLast = (processingTime: boolean): Plan => ({ node: 'deduplicate', input: inputPlan(fields), keys: [1], timeColumn: 0, keep: 'last', processingTime, ttlMs, fields, changelog: 'retract' }) // biome-ignore format: one thought
  const grouped: Field[] = [fields[1], { name: 'most', type: t.int() }]
  const plans: Plan[] = [
    { node: 'groupAggregate', input: inputPlan(fields), keys: [1], aggregates: [max], ttlMs, fields: grouped, changelog: 'retract' },
    keepLast(true),
    keepLast(false),
    { node: 'normalize', input: inputPlan(fields, 'upsert'), keys: [1], ttlMs, fields, changelog: 'retract' },
  ]
  const twice: Step[] = [{ row: [1, 'a', 1] }, { row: [1, 'a', 1] }]
  for (const plan of plans) {
    assert.equal(play(plan, [fields], twice, { finish: false }).kinds.join(' '), '+I -U +U', plan.node)
    assert.equal(play({ ...plan, ttlMs: undefined } as Plan, [fields], twice, { finish: false }).kinds.join(' '), '+I', plan.node)
  }
})

test('an older row than the one that is kept does not keep its key', () => {
  const plan: Plan = { node: 'deduplicate', input: inputPlan(fields), keys: [1], timeColumn: 0, keep: 'last', processingTime: false, ttlMs, fields, changelog: 'retract' } // biome-ignore format: one thought
  const steps: Step[] = [{ row: [5, 'a', 1] }, { tickMs: 9 }, { row: [4, 'a', 2] }, { tickMs: 11 }, { row: [6, 'a', 3] }]
  assert.deepEqual(play(plan, [fields], steps, { finish: false, restoreAt: 'all' }).kinds, ['+I', '+I'])
})

test('a key of OVER that got rows without a time to live is not forgotten for its time of before', () => {
  for (const timeOrdered of [true, false]) {
    const plan = overPlan({ unit: 'ROWS' }, timeOrdered)
    const out: string[] = []
    const context = { emit: (batch: Parameters<typeof rowAt>[0]) => out.push(rowText(rowAt(batch, batch.rowCount - 1))), memory: new BatchMemory(), count: () => {}, late: () => {}, rowFailed: () => {}, inputFields: [fields], outputFields: plan.fields } // biome-ignore format: one thought
    let state: unknown
    for (const [ts, nowMs, ttl] of [
      [1, 0, ttlMs],
      [2, 100, undefined],
      [3, 101, ttlMs],
    ] as const) {
      const operator = buildOperator({ ...plan, ttlMs: ttl } as Plan, context)
      if (state !== undefined) operator.restore?.(structuredClone(state))
      operator.tick?.(nowMs)
      operator.process(batchOf(fields, [[ts, 'a', ts]], { processingTimeMs: nowMs }), 0)
      operator.advance(ts)
      state = operator.snapshot?.()
    }
    assert.equal(out.at(-1), '[3,"a",3,"3n"]')
  }
})

const temporalPlan = (kind: 'INNER' | 'LEFT'): Plan => ({
  node: 'temporalJoin',
  kind,
  left: inputPlan(fields),
  right: inputPlan(fields, 'upsert'),
  leftKeys: [1],
  rightKeys: [1],
  leftTime: 0,
  rightTime: 0,
  ttlMs,
  fields: [...fields, ...fields],
  changelog: 'append',
})

/** As Flink's operator is written: lists and timers of one key, event time first, one watermark after each row. */
function temporalRecount(steps: readonly Step[], kind: 'INNER' | 'LEFT'): string[] {
  const out: string[] = []
  for (const k of ['a', 'b']) {
    let lefts: Row[] = []
    let rights = new Map<number, Row>()
    let cleanupMs: number | undefined
    let timerMs: number | undefined
    let nowMs = 0
    const watermarks = [-Infinity, -Infinity]
    let watermarkMs = -Infinity
    const registerCleanup = () => {
      if (cleanupMs === undefined || nowMs + ttlMs > cleanupMs) cleanupMs = nowMs + (ttlMs * 3) / 2
    }
    const register = (timeMs: number) => {
      if (timerMs === undefined || timeMs < timerMs) timerMs = timeMs
    }
    const onEventTime = () => {
      timerMs = undefined
      const due = lefts.filter(([ts]) => ts <= watermarkMs)
      lefts = lefts.filter(([ts]) => ts > watermarkMs)
      for (const left of due) {
        const version = [...rights.keys()].filter((ts) => ts <= left[0]).sort((a, b) => b - a)[0]
        if (version !== undefined) out.push(rowText([...left, ...rights.get(version)!]))
        else if (kind === 'LEFT') out.push(rowText([...left, null, null, null]))
      }
      const kept = [...rights.keys()].filter((ts) => ts <= watermarkMs).sort((a, b) => b - a)[0] ?? -Infinity
      rights = new Map([...rights].filter(([ts]) => ts >= kept))
      for (const [ts] of lefts) register(ts)
      if (lefts.length > 0 || rights.size > 0) registerCleanup()
      else cleanupMs = undefined
    }
    for (const step of [...steps, { watermarkMs: Infinity, input: 0 }, { watermarkMs: Infinity, input: 1 }]) {
      if ('tickMs' in step) {
        nowMs = step.tickMs
        if (cleanupMs !== undefined && cleanupMs <= nowMs) {
          lefts = []
          rights.clear()
          cleanupMs = timerMs = undefined
        }
      } else if ('watermarkMs' in step) {
        const { input = 0 } = step
        watermarks[input] = Math.max(watermarks[input], step.watermarkMs)
        watermarkMs = Math.min(...watermarks)
        if (timerMs !== undefined && timerMs <= watermarkMs) onEventTime()
      } else if (step.row[1] === k) {
        const row = step.row as Row
        if (step.input === 1) rights.set(row[0], row)
        else lefts.push(row)
        register(row[0])
        registerCleanup()
      }
    }
  }
  return out.sort()
}

type SideEvent = { row: Row; input: number } | { toMs: number; input: number } | { byMs: number }
const side = fc.constantFrom(0, 1)
const temporalEvents = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ row: rowArb, input: side }) as fc.Arbitrary<SideEvent> },
    { weight: 2, arbitrary: fc.record({ byMs: fc.integer({ min: 1, max: 12 }) }) as fc.Arbitrary<SideEvent> },
    { weight: 3, arbitrary: fc.record({ toMs: fc.integer({ min: 0, max: 25 }), input: side }) as fc.Arbitrary<SideEvent> },
  ),
  { maxLength: 40 },
)
test('a temporal join forgets a key as Flink does: versions, and left rows that wait', () => {
  let forgotten = 0
  fc.assert(
    fc.property(temporalEvents, fc.constantFrom('INNER' as const, 'LEFT' as const), cuts, (events, kind, options) => {
      let nowMs = 0
      const watermarks = [0, 0]
      const steps = events.flatMap((event): Step[] => {
        if ('byMs' in event) return [{ tickMs: (nowMs += event.byMs) }]
        const { input } = event
        if ('toMs' in event) return [{ watermarkMs: (watermarks[input] = Math.max(watermarks[input], event.toMs)), input }]
        // No row is late: in one batch it would come before the watermark that it is late for.
        const [ts, k, v] = event.row
        return [{ row: [Math.max(ts, watermarks[input] + 1), k, v], input }]
      })
      const expected = temporalRecount(steps, kind)
      if (expected.length < steps.filter((step) => 'row' in step && step.input === 0).length) forgotten++
      assert.deepEqual(play(temporalPlan(kind), [fields, fields], steps, options).rows.map(rowText).sort(), expected)
    }),
    { numRuns: 400 },
  )
  assert.ok(forgotten > 50, `only ${forgotten}`)
})

test('a key of a temporal join that comes back is forgotten again, whether it was forgotten or had nothing left', () => {
  const left = (ts: number): Step => ({ row: [ts, 'b', 1], input: 0 })
  const nothingLeft: Step[] = [{ watermarkMs: 1, input: 1 }, left(1), { watermarkMs: 1, input: 0 }, left(2), { tickMs: 15 }]
  const twice: Step[] = [left(1), { tickMs: 15 }, left(2), { tickMs: 30 }, left(3)]
  for (const [steps, given] of [[nothingLeft, 1], [twice, 3]] as const) // biome-ignore format: one thought
    for (const restoreAt of [undefined, 'all'] as const)
      assert.deepEqual(play(temporalPlan('LEFT'), [fields, fields], steps, { restoreAt }).rows, [[given, 'b', 1, null, null, null]])
})

test('a temporal join whose state had no times counts from when it gets a time to live', () => {
  for (const last of [5, 16]) {
    const out: string[] = []
    const plan = temporalPlan('LEFT')
    const context = { emit: (batch: Parameters<typeof rowAt>[0]) => { for (let row = 0; row < batch.rowCount; row++) out.push(rowText(rowAt(batch, row))) }, memory: new BatchMemory(), count: () => {}, late: () => {}, rowFailed: () => {}, inputFields: [fields, fields], outputFields: plan.fields } // biome-ignore format: one thought
    const before = buildOperator({ ...plan, ttlMs: undefined } as Plan, context)
    before.process(batchOf(fields, [[1, 'a', 1]], { processingTimeMs: 0 }), 1)
    before.process(batchOf(fields, [[2, 'b', 1]], { processingTimeMs: 0 }), 0)
    const operator = buildOperator(plan, context)
    operator.restore?.(structuredClone(before.snapshot?.()))
    operator.tick?.(1_000)
    operator.tick?.(1_000 + last)
    operator.process(batchOf(fields, [[3, 'a', 2]], { processingTimeMs: 1_000 + last }), 0)
    operator.advance(10)
    const expected = last === 5 ? ['[2,"b",1,null,null,null]', '[3,"a",2,1,"a",1]'] : ['[3,"a",2,null,null,null]']
    assert.deepEqual(out, expected)
  }
})
