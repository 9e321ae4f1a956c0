// Top-N, window Top-N, deduplication, LIMIT, ORDER BY time, set operations and UNNEST against plain recounts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Field, t } from '../../data/index.ts'
import type { Plan, SortKey } from '../../sql/index.ts'
import { inputPlan, type PlayOptions, play, rowText, type Step } from './testing.ts'

type Row = unknown[]
const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'k', type: t.string() },
  { name: 'v', type: t.int() },
]
const rank: Field = { name: 'rn', type: t.bigint(false) }
const rowArb = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.constantFrom('a', 'b', null), fc.constantFrom(1, 2, 3, null))
const rowStep = rowArb.map((row): Step => ({ row }))
const watermarkStep = fc.integer({ min: 0, max: 25 }).map((watermarkMs): Step => ({ watermarkMs }))
const timed = fc.array(fc.oneof({ weight: 3, arbitrary: rowStep }, { weight: 1, arbitrary: watermarkStep }), { maxLength: 40 })
const cuts = fc.record<PlayOptions>({
  batchRowCountMax: fc.integer({ min: 1, max: 9 }),
  restoreAt: fc.oneof(fc.nat(10), fc.constant('all' as const)),
})
const changes = fc
  .array(fc.oneof({ weight: 3, arbitrary: rowArb }, { weight: 1, arbitrary: fc.nat(20) }), { maxLength: 30 })
  .map((choices) => {
    const left: Row[] = []
    const history = choices.flatMap((choice): Step[] => {
      if (Array.isArray(choice)) {
        left.push(choice)
        return [{ row: choice }]
      }
      if (left.length === 0) return []
      // Of equal rows the first goes.
      const text = rowText(left[choice % left.length])
      const [row] = left.splice(
        left.findIndex((one) => rowText(one) === text),
        1,
      )
      return [{ row, kind: 3 }]
    })
    return { history, left }
  })

const byValue: SortKey[] = [{ column: 2, descending: true, nullsFirst: false }]
/** NULL is the smallest. */
const byValueOrder = (a: Row, b: Row): number => ((b[2] as number | null) ?? -9) - ((a[2] as number | null) ?? -9)

const arrived = (history: Step[]): { row: Row; watermarkMs: number }[] => {
  let watermarkMs = -Infinity
  return history.flatMap((step) => {
    if ('watermarkMs' in step) watermarkMs = Math.max(watermarkMs, step.watermarkMs)
    return 'row' in step ? [{ row: step.row, watermarkMs }] : []
  })
}
const grouped = (rows: Row[], key: (row: Row) => unknown): Row[][] => [...Map.groupBy(rows, (row) => rowText([key(row)])).values()]

const topN = (
  from: number,
  to: number,
  rankColumn: boolean,
  changelog: Plan['changelog'],
  windowed?: { start: number; end: number },
): Plan => ({
  node: 'topN',
  input: inputPlan(windowed ? windowFields : fields, changelog),
  partitionKeys: windowed ? [1, windowed.start, windowed.end] : [1],
  orderBy: byValue,
  from,
  to,
  rankColumn,
  ...(windowed && { windowed }),
  fields: rankColumn ? [...(windowed ? windowFields : fields), rank] : windowed ? windowFields : fields,
  changelog: 'retract',
})
const windowFields: Field[] = [...fields, { name: 's', type: t.timestamp(3) }, { name: 'e', type: t.timestamp(3) }]

for (const retracts of [false, true])
  test(`Top-N of ${retracts ? 'a retracting' : 'an inserting'} input is the ranking of what is left`, () => {
    fc.assert(
      fc.property(changes, fc.constantFrom([1, 2], [2, 3], [1, 1]), fc.boolean(), cuts, (change, [from, to], withRank, options) => {
        const history = retracts ? change.history : change.history.filter((step) => 'row' in step && step.kind !== 3)
        const left = retracts ? change.left : history.map((step) => (step as { row: Row }).row)
        const expected = grouped(left, (row) => row[1]).flatMap((rows) =>
          rows
            .toSorted(byValueOrder)
            .slice(from - 1, to)
            .map((row, i) => rowText(withRank ? [...row, BigInt(from + i)] : row)),
        )
        const { table, rows, kinds } = play(topN(from, to, withRank, retracts ? 'retract' : 'append'), [fields], history, options)
        assert.deepEqual(table, expected.sort())
        kinds.forEach((kind, i) => {
          if (kind === '-U') assert.deepEqual([kinds[i + 1], rows[i + 1][3]], ['+U', rows[i][3]])
        })
      }),
      { numRuns: 400 },
    )
  })

test('LIMIT and OFFSET with an order', () => {
  fc.assert(
    fc.property(changes, fc.nat(3), fc.integer({ min: 1, max: 4 }), cuts, ({ history, left }, offset, limit, options) => {
      const plan: Plan = {
        node: 'limit',
        input: inputPlan(fields, 'retract'),
        orderBy: byValue,
        offset,
        limit,
        fields,
        changelog: 'retract',
      }
      const expected = left.toSorted(byValueOrder).slice(offset, offset + limit)
      assert.deepEqual(play(plan, [fields], history, options).table, expected.map(rowText).sort())
    }),
    { numRuns: 200 },
  )
})

test('window Top-N ranks the rows that were in time, once', () => {
  fc.assert(
    fc.property(timed, fc.boolean(), cuts, (history, lastOfTies, options) => {
      const windowOf = (row: Row) => Math.floor((row[0] as number) / 10) * 10
      const windowed = history.map(
        (step): Step => ('row' in step ? { row: [...step.row, windowOf(step.row), windowOf(step.row) + 10] } : step),
      )
      const inTime = arrived(windowed).filter(({ row, watermarkMs }) => (row[4] as number) - 1 > watermarkMs)
      const expected = grouped(
        inTime.map(({ row }) => row),
        (row) => [row[1], row[3]],
      ).flatMap((rows) =>
        (lastOfTies ? rows.toReversed() : rows)
          .toSorted(byValueOrder)
          .slice(0, 2)
          .map((row, i) => rowText([...row, BigInt(i + 1)])),
      )
      const plan = { ...topN(1, 2, true, 'append', { start: 3, end: 4 }), lastOfTies } as Plan
      const played = play(plan, [windowFields], windowed, options)
      assert.deepEqual(played.rows.map(rowText).sort(), expected.sort())
      assert.equal(played.late.length, arrived(windowed).length - inTime.length)
    }),
    { numRuns: 300 },
  )
})

const dedup = (keep: 'first' | 'last', processingTime = false): Plan => ({
  node: 'deduplicate',
  input: inputPlan(fields),
  keys: [1],
  timeColumn: 0,
  keep,
  processingTime,
  fields,
  changelog: keep === 'first' ? 'append' : 'retract',
})

test('keep-first waits for the watermark: the smallest time that was not late', () => {
  fc.assert(
    fc.property(timed, cuts, (history, options) => {
      // Row by row: what the watermark reaches is final.
      const kept = new Map<unknown, Row>()
      const late: Row[] = []
      for (const { row, watermarkMs } of arrived(history)) {
        const old = kept.get(row[1])
        if ((row[0] as number) < watermarkMs) late.push(row)
        else if (old === undefined || ((old[0] as number) > watermarkMs && (row[0] as number) < (old[0] as number))) kept.set(row[1], row)
      }
      const played = play(dedup('first'), [fields], history, options)
      assert.deepEqual(played.rows.map(rowText).sort(), [...kept.values()].map(rowText).sort())
      assert.deepEqual(played.late.map(rowText), late.map(rowText))
      played.rows.forEach((row, i) => {
        assert.ok(played.seenMs[i] <= (row[0] as number))
      })
    }),
    { numRuns: 400 },
  )
})

test('keep-last: the greatest time, of equals the last; processing time: the first and last arrival', () => {
  fc.assert(
    fc.property(timed, cuts, (history, options) => {
      const rows = arrived(history).map(({ row }) => row)
      const expected = grouped(rows, (row) => row[1]).map((ofKey) =>
        ofKey.reduce((kept, row) => ((row[0] as number) >= (kept[0] as number) ? row : kept)),
      )
      assert.deepEqual(play(dedup('last'), [fields], history, options).table, expected.map(rowText).sort())
      const first = play(dedup('first', true), [fields], history, options)
      assert.deepEqual(
        first.rows.map(rowText),
        grouped(rows, (row) => row[1]).map(([row]) => rowText(row)),
      )
      const last = grouped(rows, (row) => row[1]).map((ofKey) => ofKey.at(-1) as Row)
      assert.deepEqual(play(dedup('last', true), [fields], history, options).table, last.map(rowText).sort())
    }),
    { numRuns: 300 },
  )
})

test('ORDER BY time: in order, and late only what is not later than the last row out', () => {
  const plan: Plan = {
    node: 'sort',
    input: inputPlan(fields),
    orderBy: [{ column: 0, descending: false, nullsFirst: true }, byValue[0]],
    fields,
    changelog: 'append',
  }
  fc.assert(
    fc.property(timed, cuts, (history, options) => {
      let waiting: Row[] = []
      const out: Row[] = []
      const late: Row[] = []
      let known = -Infinity
      const fire = (watermarkMs: number) => {
        if (watermarkMs <= known) return
        known = watermarkMs
        const due = waiting.filter((row) => (row[0] as number) <= watermarkMs)
        waiting = waiting.filter((row) => (row[0] as number) > watermarkMs)
        out.push(...due.toSorted((a, b) => (a[0] as number) - (b[0] as number) || byValueOrder(a, b)))
      }
      for (const step of history) {
        if ('watermarkMs' in step) fire(step.watermarkMs)
        else if ('row' in step) {
          const last = out.at(-1)?.[0] as number | undefined
          if (last !== undefined && (step.row[0] as number) <= last) late.push(step.row)
          else waiting.push(step.row)
        }
      }
      fire(Infinity)
      const played = play(plan, [fields], history, options)
      assert.deepEqual(played.rows, out)
      assert.deepEqual(played.late, late)
    }),
    { numRuns: 300 },
  )
})

for (const operator of ['INTERSECT', 'EXCEPT'] as const)
  for (const all of [false, true])
    test(`${operator}${all ? ' ALL' : ''} counts rows on both sides`, () => {
      fc.assert(
        fc.property(changes, changes, cuts, (one, other, options) => {
          const plan: Plan = {
            node: 'setOperation',
            operator,
            all,
            left: inputPlan(fields, 'retract'),
            right: inputPlan(fields, 'retract'),
            fields,
            changelog: 'retract',
          }
          const toRight = other.history.map((step): Step => ({ ...step, input: 1 }) as Step)
          const history = [...one.history, ...toRight].toSorted((a, b) => rowText([a]).localeCompare(rowText([b])) * 0)
          const rights = other.left.map(rowText)
          const expected = new Map<string, number>()
          for (const text of one.left.map(rowText)) expected.set(text, (expected.get(text) ?? 0) + 1)
          const texts = Array.from(expected).flatMap(([text, count]) => {
            const onRight = rights.filter((right) => right === text).length
            const result =
              operator === 'INTERSECT' ? Math.min(count, onRight) : all ? Math.max(count - onRight, 0) : onRight > 0 ? 0 : count
            return new Array<string>(all ? result : Math.min(result, 1)).fill(text)
          })
          assert.deepEqual(play(plan, [fields, fields], history, options).table, texts.sort())
        }),
        { numRuns: 150 },
      )
    })

test('upserts become a whole changelog', () => {
  const plan: Plan = { node: 'normalize', input: inputPlan(fields, 'upsert'), keys: [1], fields, changelog: 'retract' }
  fc.assert(
    fc.property(fc.array(fc.tuple(rowArb, fc.constantFrom(0, 2, 3)), { maxLength: 20 }), cuts, (upserts, options) => {
      const last = new Map<unknown, Row>()
      const history = upserts.map(([row, kind]): Step => {
        if (kind === 3) last.delete(row[1])
        else last.set(row[1], row)
        return { row, kind: kind as 0 | 2 | 3 }
      })
      assert.deepEqual(play(plan, [fields], history, options).table, [...last.values()].map(rowText).sort())
    }),
    { numRuns: 200 },
  )
})

test('UNNEST of arrays, maps and multisets; LEFT keeps rows without elements', () => {
  const unnest = (type: Field['type'], outputFields: Field[], fn = 'UNNEST', kind: 'INNER' | 'LEFT' = 'INNER'): Plan => ({
    node: 'correlate',
    kind,
    input: inputPlan([{ name: 'c', type }]),
    fn,
    args: [{ kind: 'column', index: 0, type }],
    outputFields,
    fields: [{ name: 'c', type }, ...outputFields],
    changelog: 'append',
  })
  const elements = (plan: Plan, type: Field['type'], values: unknown[]) =>
    play(
      plan,
      [[{ name: 'c', type }]],
      values.map((value): Step => ({ row: [value] })),
      { batchRowCountMax: 5 },
    ).rows.map((row) => row.slice(1))
  const ints = t.array(t.int())
  const x: Field = { name: 'x', type: t.int() }
  const n: Field = { name: 'n', type: t.int() }
  assert.deepEqual(elements(unnest(ints, [x]), ints, [[1, null], [], null, [2]]), [[1], [null], [2]])
  assert.deepEqual(elements(unnest(ints, [x, n], 'UNNEST_WITH_ORDINALITY', 'LEFT'), ints, [[1, null], [], null]), [
    [1, 1],
    [null, 2],
    [null, null],
    [null, null],
  ])
  const nested = t.array(ints)
  assert.deepEqual(elements(unnest(nested, [{ name: 'x', type: ints }]), nested, [[[1], null]]), [[[1]], [null]])
  const rows = t.array(t.row([x, n]))
  // An element that is no row gives none: golden case join/unnest_null_rows.
  assert.deepEqual(elements(unnest(rows, [x, n]), rows, [[[1, 2], null]]), [[1, 2]])
  assert.deepEqual(elements(unnest(rows, [x, n], 'UNNEST', 'LEFT'), rows, [[null]]), [[null, null]])
  const map = t.map(t.int(), t.int())
  assert.deepEqual(elements(unnest(map, [x, n]), map, [new Map([[1, 2]])]), [[1, 2]])
  const bag = t.multiset(t.int())
  assert.deepEqual(elements(unnest(bag, [x]), bag, [new Map([[7, 2]])]), [[7], [7]])
})
