// MATCH_RECOGNIZE against all ways to lay the pattern over the rows; and that batches and restores change nothing, whatever is skipped.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Field, t } from '../../../data/index.ts'
import type { Expr, MatchPlan, MatchStep, MatchValue, Plan } from '../../../sql/index.ts'
import { inputPlan, type PlayOptions, play, rowText, type Step } from '../testing.ts'
import { withBegin } from './runs.ts'

const fields: Field[] = [
  { name: 'ts', type: t.timestamp(3), timeAttribute: 'event' },
  { name: 'k', type: t.string() },
  { name: 'c', type: t.int() },
]
type Row = [number, string | null, number]

/** Variable i takes rows whose c has bit i. */
const bits = [1, 2, 4]
const fitsSets = bits.map((bit) => [1, 2, 3, 4, 5, 6, 7].filter((value) => (value & bit) !== 0))
const column = (index: number, type = t.int()): Expr => ({ kind: 'column', index, type })
const isOneOf = (values: number[]): Expr =>
  values
    .map(
      (value): Expr => ({
        kind: 'call',
        fn: 'EQUALS',
        args: [column(0), { kind: 'literal', value, type: t.int(false) }],
        type: t.boolean(),
      }),
    )
    .reduce((a, b) => ({ kind: 'call', fn: 'OR', args: [a, b], type: t.boolean() }))
const lastOf = (variables: number[], columnIndex: number): MatchValue => ({
  kind: 'row',
  variables,
  from: 'LAST',
  offset: 0,
  column: columnIndex,
  type: fields[columnIndex].type,
})
const countOf = (variable: number): MatchValue => ({
  kind: 'aggregate',
  variables: [variable],
  call: { fn: 'COUNT', args: [], argTypes: [], distinct: false, type: t.bigint(false) },
})

function planOf(pattern: MatchStep[], afterMatch: MatchPlan['afterMatch'], withinMs?: number): Plan {
  const values: MatchValue[] = [
    { kind: 'row', from: 'FIRST', offset: 0, column: 0, type: fields[0].type },
    { kind: 'row', from: 'LAST', offset: 0, column: 0, type: fields[0].type },
    countOf(0),
    countOf(1),
    countOf(2),
  ]
  const types = [t.timestamp(3), t.timestamp(3), t.bigint(false), t.bigint(false), t.bigint(false)]
  const spec: MatchPlan = {
    partitionKeys: [1],
    orderBy: [{ column: 0, descending: false, nullsFirst: true }],
    variables: ['a', 'b', 'c'],
    pattern,
    define: bits.map((_, i) => ({ values: [lastOf([i], 2)], condition: isOneOf(fitsSets[i]) })),
    measures: { values, exprs: types.map((type, i) => column(i, type)) },
    afterMatch,
    ...(withinMs !== undefined && { withinMs }),
  }
  const outFields = [fields[1], ...types.map((type, i) => ({ name: `m${i}`, type }))]
  return { node: 'match', input: inputPlan(fields), spec, fields: outFields, changelog: 'append' }
}

const stepArb = (variable: number) =>
  fc
    .constantFrom<Omit<MatchStep, 'variable'>>(
      { min: 1, max: 1, greedy: false },
      { min: 0, max: 1, greedy: false },
      { min: 0, greedy: true },
      { min: 1, greedy: true },
      { min: 0, greedy: false },
      { min: 1, greedy: false },
      { min: 1, max: 2, greedy: false },
      { min: 1, max: 2, greedy: true },
      { min: 2, max: 3, greedy: true },
      { min: 2, max: 2, greedy: false },
    )
    .map((step): MatchStep => ({ variable, ...step }))
const patternArb = fc.tuple(
  fc.constant<MatchStep>({ variable: 0, min: 1, max: 1, greedy: false }),
  stepArb(1),
  fc.constantFrom<MatchStep>({ variable: 2, min: 1, max: 1, greedy: false }, { variable: 2, min: 1, greedy: false }),
)
const histories = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom('x', null), fc.integer({ min: 1, max: 7 })) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 6 }) },
    ),
    { maxLength: 16 },
  )
  .map((moves): Step[] => {
    let watermarkMs = 0
    return moves.map((move): Step => {
      if (Array.isArray(move)) return { row: [watermarkMs + move[0], move[1], move[2]] }
      watermarkMs += move
      return { watermarkMs }
    })
  })
const cuts = fc.record<PlayOptions>({
  batchRowCountMax: fc.integer({ min: 1, max: 9 }),
  restoreAt: fc.oneof(fc.nat(10), fc.constant('all' as const)),
})

/** Every way in which the pattern lies over rows that begin at `start`: how many rows each variable takes. */
function layings(rows: Row[], start: number, pattern: MatchStep[], withinMs: number): number[][] {
  const found: number[][] = []
  const lay = (at: number, step: number, counts: number[]): void => {
    const { variable, min, max = Infinity, greedy } = pattern[step]
    const row = rows[at]
    const inTime = row !== undefined && row[0] - rows[start][0] < withinMs
    const fits = inTime && (row[2] & bits[variable]) !== 0
    if (fits && counts[variable] < max) {
      const next = counts.map((count, i) => (i === variable ? count + 1 : count))
      if (step === pattern.length - 1 && next[variable] >= min) found.push(next)
      lay(at + 1, step, next)
    }
    if (step + 1 < pattern.length && row !== undefined && counts[variable] >= min && !(fits && greedy)) lay(at, step + 1, counts)
  }
  lay(start, 0, [0, 0, 0])
  return found
}

test('without a skip rule every way to lay the pattern is a match', () => {
  fc.assert(
    fc.property(histories, patternArb, fc.constantFrom(undefined, 4), cuts, (history, pattern, withinMs, options) => {
      const rows = history.flatMap((step) => ('row' in step ? [step.row as Row] : []))
      const expected = [...Map.groupBy(rows, (row) => row[1]).values()].flatMap((ofKey) => {
        const sorted = ofKey.toSorted((a, b) => a[0] - b[0])
        return sorted.flatMap((first, start) =>
          layings(sorted, start, pattern, withinMs ?? Infinity).map((counts) => {
            const last = sorted[start + counts.reduce((a, b) => a + b) - 1]
            return rowText([first[1], first[0], last[0], ...counts.map(BigInt)])
          }),
        )
      })
      const played = play(planOf(pattern, { kind: 'NO SKIP' }, withinMs), [fields], history, options)
      assert.deepEqual(played.rows.map(rowText).sort(), expected.sort())
    }),
    { numRuns: 500 },
  )
})

test('with a skip rule: matches are ways to lay the pattern, do not overlap where they must not, and batches change nothing', () => {
  const rules: MatchPlan['afterMatch'][] = [
    { kind: 'PAST LAST ROW' },
    { kind: 'NEXT ROW' },
    { kind: 'LAST', variable: 2 },
    { kind: 'FIRST', variable: 2 },
  ]
  fc.assert(
    fc.property(
      histories,
      patternArb,
      fc.constantFrom(...rules),
      fc.constantFrom(undefined, 4),
      cuts,
      (history, pattern, rule, withinMs, options) => {
        const plan = planOf(pattern, rule, withinMs)
        const byRow = play(plan, [fields], history)
        const played = play(plan, [fields], history, options)
        const sorted = (rows: unknown[][]) => rows.map(rowText).sort()
        assert.deepEqual(sorted(played.rows), sorted(byRow.rows))
        const all = sorted(play(planOf(pattern, { kind: 'NO SKIP' }, withinMs), [fields], history).rows)
        for (const row of sorted(byRow.rows)) assert.ok(all.includes(row))
        if (rule.kind !== 'PAST LAST ROW') return
        for (const matches of Map.groupBy(byRow.rows, ([k]) => k).values())
          matches.forEach((match, i) => {
            if (i > 0) assert.ok((match[1] as number) >= (matches[i - 1][2] as number))
          })
      },
    ),
    { numRuns: 500 },
  )
})

test('state of before the beginning of a match was a run of its own begins matches again', () => {
  const run = (start: number) => ({ start, startMs: start, taken: [], step: 0, count: 1 })
  const { rowNumber, open, complete } = withBegin({ rowNumber: 4, open: [run(2)], complete: [run(3), run(1)] })
  assert.equal(rowNumber, 4)
  assert.deepEqual(
    open.map(({ start }) => start),
    [2, Infinity],
  )
  assert.equal(complete[0].start, 1)
})
