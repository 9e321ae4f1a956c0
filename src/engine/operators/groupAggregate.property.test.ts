// Updating aggregation against a recount over all rows, with rows taken back; each aggregate with and without FILTER and DISTINCT.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Field, type SqlType, t } from '../../data/index.ts'
import type { AggregateCall, Plan } from '../../sql/index.ts'
import { inputPlan, play, rowText, type Step } from './testing.ts'

const fields: Field[] = [
  { name: 'k', type: t.string() },
  { name: 'j', type: t.double() },
  { name: 'b', type: t.tinyint() },
  { name: 'l', type: t.bigint() },
  { name: 'd', type: t.double() },
  { name: 'm', type: t.decimal(10, 2) },
  { name: 's', type: t.string() },
  { name: 'ok', type: t.boolean() },
  { name: 'w', type: t.decimal(38, 0) },
]
const ordinal = (name: string): number => fields.findIndex((field) => field.name === name)

type Values = unknown[]
/** An aggregate, and what it is of a list of values in order of arrival, NULLs included. */
interface Case {
  call: AggregateCall
  of: (rows: Values[]) => unknown
}
const notNull = (rows: Values[], column: number): unknown[] => rows.map((row) => row[column]).filter((value) => value !== null)
const last = (values: unknown[]): unknown => values.at(-1) ?? null
const wrap8 = (value: number): number => (value << 24) >> 24
const round = (dividend: bigint, divisor: bigint): bigint => {
  const twice = 2n * dividend
  return twice < 0n ? (twice - divisor) / (2n * divisor) : (twice + divisor) / (2n * divisor)
}

function make(fn: string, column: string, type: SqlType, of: (values: unknown[]) => unknown, options: Partial<AggregateCall> = {}): Case[] {
  const at = ordinal(column)
  const call: AggregateCall = { fn, args: [at], argTypes: [fields[at].type], distinct: false, type, ...options }
  const isTrue = (row: Values) => row[ordinal('ok')] === true
  return [
    { call, of: (rows) => of(notNull(rows, at)) },
    { call: { ...call, filter: ordinal('ok') }, of: (rows) => of(notNull(rows.filter(isTrue), at)) },
    { call: { ...call, distinct: true }, of: (rows) => of([...new Set(notNull(rows, at))]) },
    { call: { ...call, distinct: true, filter: ordinal('ok') }, of: (rows) => of([...new Set(notNull(rows.filter(isTrue), at))]) },
  ]
}
const orNull = (values: unknown[], of: () => unknown): unknown => (values.length === 0 ? null : of())
const numbers = (values: unknown[]) => values as number[]
const bigints = (values: unknown[]) => values as bigint[]
const ascending = (values: bigint[]): bigint[] => values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
const sum = (values: bigint[]): bigint => values.reduce((a, b) => a + b, 0n)
const variance = (values: number[]): number => {
  const squares = values.reduce((a, b) => a + b * b, 0)
  const total = values.reduce((a, b) => a + b, 0)
  return (squares - (total * total) / values.length) / values.length
}

const cases: Case[] = [
  { call: { fn: 'COUNT', args: [], argTypes: [], distinct: false, type: t.bigint(false) }, of: (rows) => BigInt(rows.length) },
  ...make('COUNT', 's', t.bigint(false), (values) => BigInt(values.length)),
  ...make('SUM', 'b', t.tinyint(), (values) => orNull(values, () => wrap8(numbers(values).reduce((a, b) => a + b)))),
  ...make('AVG', 'b', t.tinyint(), (values) => orNull(values, () => Math.trunc(numbers(values).reduce((a, b) => a + b) / values.length))),
  ...make('SUM', 'l', t.bigint(), (values) => orNull(values, () => BigInt.asIntN(64, sum(bigints(values))))),
  ...make('AVG', 'l', t.bigint(), (values) => orNull(values, () => BigInt.asIntN(64, sum(bigints(values))) / BigInt(values.length))),
  ...make('MIN', 'l', t.bigint(), (values) => orNull(values, () => ascending(bigints(values))[0])),
  ...make('MAX', 'l', t.bigint(), (values) => orNull(values, () => ascending(bigints(values)).at(-1))),
  ...make('SUM', 'd', t.double(), (values) => orNull(values, () => numbers(values).reduce((a, b) => a + b))),
  ...make('MIN', 'd', t.double(), (values) => orNull(values, () => Math.min(...numbers(values)))),
  ...make('VAR_POP', 'd', t.double(), (values) => orNull(values, () => variance(numbers(values)))),
  ...make('SUM', 'm', t.decimal(38, 2), (values) => orNull(values, () => sum(bigints(values)))),
  ...make('AVG', 'm', t.decimal(38, 6), (values) => orNull(values, () => round(sum(bigints(values)) * 10_000n, BigInt(values.length)))),
  ...make('MAX', 'm', t.decimal(10, 2), (values) => orNull(values, () => ascending(bigints(values)).at(-1))),
  ...make('SUM', 'w', t.decimal(38, 0), (values) => orNull(values, () => sum(bigints(values)))),
  ...make('MAX', 's', t.string(), (values) =>
    orNull(values, () =>
      Buffer.concat(
        values
          .map((v) => Buffer.from(v as string))
          .sort(Buffer.compare)
          .slice(-1),
      ).toString(),
    ),
  ),
  ...make('LISTAGG', 's', t.string(), (values) => orNull(values, () => values.join(','))).slice(0, 2),
  ...make('FIRST_VALUE', 's', t.string(), (values) => values[0] ?? null).slice(0, 2),
  ...make('LAST_VALUE', 's', t.string(), last).slice(0, 2),
  ...make('COLLECT', 'l', t.multiset(t.bigint()), (values) => {
    const counts = new Map<unknown, number>()
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
    return counts
  }),
]

const keyArb = { k: fc.constantFrom('a', '', null), j: fc.constantFrom(0, -0, NaN) }
const rowArb = fc.tuple(
  keyArb.k,
  keyArb.j,
  fc.constantFrom(null, 1, 100, -128),
  fc.constantFrom(null, 0n, 7n, -1n, (1n << 62n) + 3n, -(1n << 63n)),
  fc.constantFrom(null, 1, 2.5, -4),
  fc.constantFrom(null, 150n, -99n, 0n),
  fc.constantFrom(null, 'x', 'y', '', '\uFFFD', '😀'),
  fc.constantFrom(null, true, false),
  fc.constantFrom(null, 10n ** 20n, -3n),
)
/** Rows, and now and then one of the earlier rows taken back. */
const histories = fc
  .array(fc.oneof({ weight: 3, arbitrary: rowArb }, { weight: 2, arbitrary: fc.nat(30) }), { maxLength: 30 })
  .map((choices): Step[] => {
    const present: unknown[][] = []
    return choices.flatMap((choice): Step[] => {
      if (Array.isArray(choice)) {
        present.push(choice)
        return [{ row: choice }]
      }
      if (present.length === 0) return []
      const [row] = present.splice(choice % present.length, 1)
      return [{ row, kind: 3 }]
    })
  })

/** Rows that are left; of equal rows the first goes. */
function left(history: Step[]): Values[] {
  const rows: Values[] = []
  for (const step of history as { row: Values; kind?: number }[]) {
    if (step.kind !== 3) rows.push(step.row)
    else
      rows.splice(
        rows.findIndex((row) => rowText(row) === rowText(step.row)),
        1,
      )
  }
  return rows
}

const planOf = (chosen: Case[], keys: number[], retracts: boolean): Plan => ({
  node: 'groupAggregate',
  input: inputPlan(fields, retracts ? 'retract' : 'append'),
  keys,
  aggregates: chosen.map(({ call }) => call),
  changelog: 'retract',
  fields: [],
})

// First-in lists are order-sensitive: with values taken back, the history keeps each value's order only per value.
const ordered = new Set(['LISTAGG', 'FIRST_VALUE', 'LAST_VALUE'])

for (const retracts of [false, true])
  test(`groups equal a recount ${retracts ? 'with' : 'without'} retractions, however batched and wherever restored`, () => {
    const chosenArb = fc.uniqueArray(fc.nat(cases.length - 1), { minLength: 0, maxLength: 5 })
    fc.assert(
      fc.property(
        histories,
        chosenArb,
        fc.constantFrom<number[]>([0], [0, 1], []),
        fc.integer({ min: 1, max: 40 }),
        fc.oneof(fc.nat(8), fc.constant('all' as const)),
        (full, picks, keys, batchRowCountMax, restoreAt) => {
          const history = retracts ? full : full.filter((step) => 'row' in step && step.kind !== 3)
          const chosen = picks.map((pick) => cases[pick]).filter(({ call }) => !retracts || !ordered.has(call.fn))
          const played = play(planOf(chosen, keys, retracts), [fields], history, { batchRowCountMax, restoreAt })
          const groups = Map.groupBy(left(history), (row) => rowText(keys.map((key) => row[key])))
          const expected = Array.from(groups.values(), (rows) => [...keys.map((key) => rows[0][key]), ...chosen.map(({ of }) => of(rows))])
          assert.deepEqual(played.table, expected.map(rowText).sort())
          assert.equal(played.kinds.filter((kind) => kind === '-U').length, played.kinds.filter((kind) => kind === '+U').length)
        },
      ),
      { numRuns: 1500 },
    )
  })

test('a batch gives one change per changed group, and none where the result stays', () => {
  const plan = planOf([cases[0], cases[4]], [0], true)
  const row = (k: string, b: number | null): Step => ({ row: [k, 0, b, null, null, null, null, null, null] })
  const history: Step[] = [row('a', 1), row('a', 2), row('b', 1), row('a', 3), row('b', 2), { ...row('b', 2), kind: 1 } as Step]
  const { kinds, rows } = play(plan, [fields], history, { batchRowCountMax: 3 })
  assert.deepEqual(
    kinds.map((kind, i) => `${kind} ${rows[i][0]} ${rows[i][1]}`),
    ['+I a 2', '+I b 1', '-U a 2', '+U a 3'],
  )
})

test('values taken back: FIRST_VALUE moves on, LISTAGG loses the first of equal values, a stray retraction is ignored', () => {
  const of = (fn: string): Case => ({ call: { fn, args: [6], argTypes: [t.string()], distinct: false, type: t.string() }, of: () => null })
  const plan = planOf([of('FIRST_VALUE'), of('LAST_VALUE'), of('LISTAGG'), of('MIN')], [], true)
  const row = (s: string, kind: 0 | 3 = 0): Step => ({ row: ['', 0, null, null, null, null, s, null, null], kind })
  const { table } = play(plan, [fields], [row('q', 3), row('x'), row('y'), row('x'), row('a'), row('x', 3), row('a', 3)])
  assert.deepEqual(table, ['["y","x","y,x","x"]'])
})

test('a group that was gone starts anew, without what rounding left', () => {
  const plan = planOf([cases.find(({ call }) => call.fn === 'SUM' && call.type.kind === 'DOUBLE') as Case], [0], true)
  const row = (d: number, kind: 0 | 3 = 0): Step => ({ row: ['a', 0, null, null, d, null, null, null, null], kind })
  const { table, kinds } = play(plan, [fields], [row(1e16), row(1), row(1e16, 3), row(1, 3), row(5)])
  assert.deepEqual(table, ['["a",5]'])
  assert.deepEqual(kinds.slice(-2), ['-D', '+I'])
})

test('many groups come and go without staying in memory', () => {
  const plan = planOf(cases.slice(0, 8), [0], true)
  const history = Array.from({ length: 6000 }, (_, i): Step[] => {
    const row = [`key ${i}`, 0, 1, 1n, 1, 1n, 's', true, 1n]
    return [{ row }, { row, kind: 3 }]
  }).flat()
  const { table } = play(plan, [fields], [...history, { row: ['end', 0, 1, 1n, 1, 1n, 's', true, 1n] }], {
    batchRowCountMax: 500,
    restoreAt: 20,
  })
  assert.equal(table.length, 1)
})
