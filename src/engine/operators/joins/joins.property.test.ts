// Joins against nested loops over all rows. The histories interleave both inputs; small domains make NULLs, duplicates and ties common.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchMemory, batchOf, type ChangeKind, DELETE, type Field, t } from '../../../data/index.ts'
import { type Expr, inputsOf, type Plan } from '../../../sql/index.ts'
import { buildOperator } from '../index.ts'
import { inputPlan, type PlayOptions, play, rowText, type Step } from '../testing.ts'

type Row = unknown[]
type Kind = (Plan & { node: 'join' })['kind']
const kinds: Kind[] = ['INNER', 'LEFT', 'RIGHT', 'FULL', 'SEMI', 'ANTI']

const sideFields = (name: string): Field[] => [
  { name: `${name}ts`, type: t.timestamp(3), timeAttribute: 'event' },
  { name: `${name}k`, type: t.string() },
  { name: `${name}v`, type: t.int() },
]
const left = sideFields('l')
const right = sideFields('r')
const column = (index: number): Expr => ({ kind: 'column', index, type: [...left, ...right][index].type })
/** left v < right v */
const less: Expr = { kind: 'call', fn: 'LESS', args: [column(2), column(5)], type: t.boolean() }
const fieldsOf = (kind: Kind): Field[] => (kind === 'SEMI' || kind === 'ANTI' ? left : [...left, ...right])

const rowArb = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.constantFrom('a', 'b', null), fc.constantFrom(1, 2, null))
const inputArb = fc.constantFrom(0, 1)
const rowStep = fc.tuple(rowArb, inputArb).map(([row, input]): Step => ({ row, input }))
const watermarkStep = fc.tuple(fc.integer({ min: 0, max: 40 }), inputArb).map(([watermarkMs, input]): Step => ({ watermarkMs, input }))
const cuts = fc.record<PlayOptions>({
  batchRowCountMax: fc.integer({ min: 1, max: 9 }),
  restoreAt: fc.oneof(fc.nat(10), fc.constant('all' as const)),
})

/** Outer join of any kind, of rows for which `matches` says who meets whom. */
function nestedLoops(kind: Kind, lefts: Row[], rights: Row[], matches: (l: number, r: number) => boolean): string[] {
  const out: Row[] = []
  const rightMet = rights.map(() => false)
  lefts.forEach((l, i) => {
    let met = false
    rights.forEach((r, j) => {
      if (!matches(i, j)) return
      met = rightMet[j] = true
      if (kind !== 'SEMI' && kind !== 'ANTI') out.push([...l, ...r])
    })
    if (kind === 'SEMI' ? met : kind === 'ANTI' && !met) out.push(l)
    if ((kind === 'LEFT' || kind === 'FULL') && !met) out.push([...l, null, null, null])
  })
  if (kind === 'RIGHT' || kind === 'FULL')
    rights.forEach((r, j) => {
      if (!rightMet[j]) out.push([null, null, null, ...r])
    })
  return out.map(rowText).sort()
}

/** Rows of each input; now and then an earlier row is taken back. */
const changes = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.tuple(
          rowArb.map(([, k, v]) => [0, k, v]),
          inputArb,
        ),
      },
      { weight: 1, arbitrary: fc.nat(20) },
    ),
    { maxLength: 30 },
  )
  .map((choices) => {
    const present: Step[] = []
    const history = choices.flatMap((choice): Step[] => {
      if (Array.isArray(choice)) {
        const step: Step = { row: choice[0] as Row, input: choice[1] }
        present.push(step)
        return [step]
      }
      if (present.length === 0) return []
      const [taken] = present.splice(choice % present.length, 1)
      return [{ ...(taken as Step & { row: Row }), kind: 3 }]
    })
    const rowsOf = (input: number) => present.flatMap((step) => ('row' in step && step.input === input ? [step.row] : []))
    return { history, lefts: rowsOf(0), rights: rowsOf(1) }
  })

for (const kind of kinds)
  test(`regular ${kind} join: the changelog is that of the join of what is left`, () => {
    fc.assert(
      fc.property(changes, fc.boolean(), fc.boolean(), cuts, ({ history, lefts, rights }, withCondition, nullSafe, options) => {
        const plan: Plan = {
          node: 'join',
          kind,
          left: inputPlan(left, 'retract'),
          right: inputPlan(right, 'retract'),
          leftKeys: [1],
          rightKeys: [1],
          ...(nullSafe && { nullSafe: [true] }),
          ...(withCondition && { condition: less }),
          fields: fieldsOf(kind),
          changelog: 'retract',
        }
        const { table } = play(plan, [left, right], history, options)
        const matches = (l: number, r: number): boolean => {
          const [, lk, lv] = lefts[l]
          const [, rk, rv] = rights[r]
          if (lk !== rk || (lk === null && !nullSafe)) return false
          return !withCondition || (lv !== null && rv !== null && (lv as number) < (rv as number))
        }
        assert.deepEqual(table, nestedLoops(kind, lefts, rights, matches))
      }),
      { numRuns: 200 },
    )
  })

test('regular join of inputs that only insert, by two keys', () => {
  fc.assert(
    fc.property(fc.array(rowStep, { maxLength: 30 }), fc.constantFrom(...kinds), cuts, (history, kind, options) => {
      const plan: Plan = {
        node: 'join',
        kind,
        left: inputPlan(left),
        right: inputPlan(right),
        leftKeys: [1, 2],
        rightKeys: [1, 2],
        fields: fieldsOf(kind),
        changelog: 'retract',
      }
      const rowsOf = (input: number) => history.flatMap((step) => ('row' in step && step.input === input ? [step.row] : []))
      const [lefts, rights] = [rowsOf(0), rowsOf(1)]
      const matches = (l: number, r: number) => [1, 2].every((c) => lefts[l][c] !== null && lefts[l][c] === rights[r][c])
      assert.deepEqual(play(plan, [left, right], history, options).table, nestedLoops(kind, lefts, rights, matches))
    }),
    { numRuns: 200 },
  )
})

test('NOT IN: a pair counts as equal unless its keys surely differ', () => {
  fc.assert(
    fc.property(changes, cuts, fc.constantFrom<number[]>([1], [1, 2]), ({ history, lefts, rights }, options, keys) => {
      const plan: Plan = {
        node: 'join',
        kind: 'ANTI',
        nullAware: true,
        left: inputPlan(left, 'retract'),
        right: inputPlan(right, 'retract'),
        leftKeys: keys,
        rightKeys: keys,
        fields: left,
        changelog: 'retract',
      }
      const matches = (l: number, r: number) =>
        keys.every((c) => lefts[l][c] === null || rights[r][c] === null || lefts[l][c] === rights[r][c])
      assert.deepEqual(play(plan, [left, right], history, options).table, nestedLoops('ANTI', lefts, rights, matches))
    }),
    { numRuns: 300 },
  )
})

test('a row that follows one that was taken back is found', () => {
  const plan: Plan = {
    node: 'join',
    kind: 'INNER',
    left: inputPlan(left, 'retract'),
    right: inputPlan(right, 'retract'),
    leftKeys: [1],
    rightKeys: [1],
    fields: fieldsOf('INNER'),
    changelog: 'retract',
  }
  const row = (v: number, input = 0, kind: 0 | 3 = 0): Step => ({ row: [0, 'a', v], input, kind })
  const { table } = play(plan, [left, right], [row(1), row(2), row(2, 0, 3), row(7, 1), row(3), row(8, 1), row(2), row(9, 1)])
  assert.equal(table.length, 9)
})

test('many rows come and go without staying in memory', () => {
  const plan: Plan = {
    node: 'join',
    kind: 'FULL',
    left: inputPlan(left, 'retract'),
    right: inputPlan(right, 'retract'),
    leftKeys: [1],
    rightKeys: [1],
    fields: fieldsOf('FULL'),
    changelog: 'retract',
  }
  const history = Array.from({ length: 3000 }, (_, i): Step[] => {
    const row = [0, `k${i}`, i]
    return [{ row }, { row: [1, `k${i}`, 1], input: 1 }, { row, kind: 3 }, { row: [1, `k${i}`, 1], input: 1, kind: 3 }]
  }).flat()
  const { table } = play(plan, [left, right], [...history, { row: [0, 'k', 1] }], { batchRowCountMax: 100 })
  assert.deepEqual(table, [rowText([0, 'k', 1, null, null, null])])
})

interface Arrival {
  row: Row
  input: number
  watermarkMs: number
}
/** Rows with the watermark (minimum over both inputs) that was in force. */
function arrivals(history: readonly Step[]): Arrival[] {
  const watermarks = [-Infinity, -Infinity]
  return history.flatMap((step): Arrival[] => {
    if ('tickMs' in step) return []
    const input = step.input ?? 0
    if ('row' in step) return [{ row: step.row, input, watermarkMs: Math.min(...watermarks) }]
    watermarks[input] = Math.max(watermarks[input], step.watermarkMs)
    return []
  })
}
const timed = fc.array(fc.oneof({ weight: 3, arbitrary: rowStep }, { weight: 1, arbitrary: watermarkStep }), { maxLength: 40 })

for (const kind of kinds)
  test(`interval ${kind} join: pairs in the interval of which the first was still kept`, () => {
    fc.assert(
      fc.property(timed, fc.boolean(), cuts, (history, withCondition, options) => {
        const [lowerMs, upperMs] = [-3, 5]
        const plan: Plan = {
          node: 'intervalJoin',
          kind,
          left: inputPlan(left),
          right: inputPlan(right),
          leftKeys: [1],
          rightKeys: [1],
          leftTime: 0,
          rightTime: 0,
          lowerMs,
          upperMs,
          ...(withCondition && { condition: less }),
          fields: fieldsOf(kind),
          changelog: 'append',
        }
        const all = arrivals(history).map((arrival, order) => ({ ...arrival, order }))
        const lefts = all.filter(({ input }) => input === 0)
        const rights = all.filter(({ input }) => input === 1)
        const lastPartner = ({ row, input }: Arrival) => (row[0] as number) + (input === 0 ? upperMs : -lowerMs)
        const matches = (l: number, r: number): boolean => {
          const [a, b] = [lefts[l], rights[r]]
          const distance = (b.row[0] as number) - (a.row[0] as number)
          if (a.row[1] === null || a.row[1] !== b.row[1] || distance < lowerMs || distance > upperMs) return false
          if (withCondition && !(a.row[2] !== null && b.row[2] !== null && (a.row[2] as number) < (b.row[2] as number))) return false
          const [first, second] = a.order < b.order ? [a, b] : [b, a]
          return first.watermarkMs < lastPartner(first) && lastPartner(first) >= second.watermarkMs
        }
        const expected = nestedLoops(
          kind,
          lefts.map(({ row }) => row),
          rights.map(({ row }) => row),
          matches,
        )
        const played = play(plan, [left, right], history, options)
        assert.deepEqual(played.rows.map(rowText).sort(), expected)
      }),
      { numRuns: 200 },
    )
  })

for (const kind of kinds)
  test(`window ${kind} join: pairs of one window, without late rows`, () => {
    const withWindow = (fields: Field[]): Field[] => [...fields, { name: 's', type: t.timestamp(3) }, { name: 'e', type: t.timestamp(3) }]
    const windowOf = (row: Row): [number, number] => {
      const start = Math.floor((row[0] as number) / 10) * 10
      return [start, start + 10]
    }
    fc.assert(
      fc.property(timed, cuts, (history, options) => {
        const plan: Plan = {
          node: 'windowJoin',
          kind,
          left: inputPlan(withWindow(left)),
          right: inputPlan(withWindow(right)),
          leftKeys: [1],
          rightKeys: [1],
          leftWindow: { start: 3, end: 4 },
          rightWindow: { start: 3, end: 4 },
          fields: kind === 'SEMI' || kind === 'ANTI' ? withWindow(left) : [...withWindow(left), ...withWindow(right)],
          changelog: 'append',
        }
        const windowed = history.map((step): Step => ('row' in step ? { ...step, row: [...step.row, ...windowOf(step.row)] } : step))
        const inTime = arrivals(history).filter(({ row, watermarkMs }) => windowOf(row)[1] - 1 > watermarkMs)
        const rowsOf = (input: number) => inTime.filter((one) => one.input === input).map(({ row }) => row)
        const [lefts, rights] = [rowsOf(0), rowsOf(1)]
        const matches = (l: number, r: number) => {
          const [a, b] = [lefts[l], rights[r]]
          return a[1] !== null && a[1] === b[1] && windowOf(a)[0] === windowOf(b)[0]
        }
        const played = play(plan, [withWindow(left), withWindow(right)], windowed, options)
        const dropWindows = (row: Row) => row.filter((_, i) => i !== 3 && i !== 4 && i !== 8 && i !== 9)
        assert.deepEqual(played.rows.map((row) => rowText(dropWindows(row))).sort(), nestedLoops(kind, lefts, rights, matches))
        assert.equal(played.late.length, arrivals(history).length - inTime.length)
      }),
      { numRuns: 150 },
    )
  })

/** Each side's rows are a little ahead of its watermark, which moves in small steps. */
const histories = (minLength: number, aheadBy: number, moveBy: number) =>
  fc
    .array(
      fc.record({
        input: inputArb,
        by: fc.integer({ min: 1, max: 8 }),
        isRow: fc.boolean(),
        key: fc.constantFrom('a', 'b', null),
        value: fc.nat(3),
      }),
      { minLength, maxLength: 40 },
    )
    .map((moves) => {
      const watermarks = [0, 0]
      return moves.map(({ input, by, isRow, key, value }): Step => {
        if (isRow) return { row: [watermarks[input] + by * aheadBy, key, value], input }
        watermarks[input] += Math.floor(by * moveBy)
        return { watermarkMs: watermarks[input], input }
      })
    })
const inTimeHistories = histories(0, 2, 0.5)

const temporalPlan = (kind: 'INNER' | 'LEFT', changelog: 'append' | 'retract'): Plan => ({
  node: 'temporalJoin',
  kind,
  left: inputPlan(left, changelog),
  right: inputPlan(right, 'upsert'),
  leftKeys: [1],
  rightKeys: [1],
  leftTime: 0,
  rightTime: 0,
  fields: [...left, ...right],
  changelog,
})
/** Each of these left rows with the version of its time, as sorted texts. */
function temporalPairs(lefts: readonly Row[], rights: readonly Row[], kind: 'INNER' | 'LEFT'): string[] {
  const pairs = lefts.flatMap((row) => {
    const versions = rights.filter((one) => one[1] === row[1] && row[1] !== null && (one[0] as number) <= (row[0] as number))
    const latest = Math.max(...versions.map((one) => one[0] as number))
    const version = versions.findLast((one) => one[0] === latest)
    if (version === undefined) return kind === 'LEFT' ? [rowText([...row, null, null, null])] : []
    return [rowText([...row, ...version])]
  })
  return pairs.sort()
}
const rowsOfInput = (history: readonly Step[], input: number): Row[] =>
  arrivals(history).flatMap((one) => (one.input === input ? [one.row] : []))

test('temporal join: the version that was valid at the row’s time', () => {
  fc.assert(
    fc.property(inTimeHistories, fc.constantFrom('INNER' as const, 'LEFT' as const), cuts, (inTime, kind, options) => {
      const expected = temporalPairs(rowsOfInput(inTime, 0), rowsOfInput(inTime, 1), kind)
      const played = play(temporalPlan(kind, 'append'), [left, right], inTime, options)
      assert.deepEqual(played.rows.map(rowText).sort(), expected)
    }),
    { numRuns: 300 },
  )
})

test('temporal join: a row that the left side takes back leaves as it was given out, whether it waits or its version is gone', () => {
  const takesBack = fc.array(fc.option(fc.nat(9), { nil: undefined, freq: 2 }), { minLength: 40, maxLength: 40 })
  // In one batch a row is taken back, and its key let go, before an equal row comes and is given out: that one is taken back as well.
  const again: Step[] = [
    { row: [5, 'a', 0], input: 0 },
    { row: [5, 'a', 0], input: 0 },
  ]
  const letGoInItsBatch: [Step[], (number | undefined)[], 'LEFT', PlayOptions] = [
    [{ watermarkMs: 9, input: 1 }, ...again, { watermarkMs: 6, input: 0 }, { row: [7, 'b', 0], input: 0 }, { watermarkMs: 7, input: 0 }],
    [undefined, 0, undefined, undefined, 0],
    'LEFT',
    { batchRowCountMax: 4, restoreAt: 'all' },
  ]
  let takenAfterwards = 0
  fc.assert(
    fc.property(
      histories(20, 1, 1),
      takesBack,
      fc.constantFrom('INNER' as const, 'LEFT' as const),
      cuts,
      (inTime, removals, kind, options) => {
        const there: Row[] = []
        let watermarkMs = -Infinity
        const steps = inTime.flatMap((step, i): Step[] => {
          if ('watermarkMs' in step && step.input === 0) watermarkMs = step.watermarkMs
          if ('row' in step && step.input === 0) there.push(step.row)
          const removal = removals[i]
          if (removal === undefined || there.length === 0) return [step]
          const [row] = there.splice(removal % there.length, 1)
          if ((row[0] as number) <= watermarkMs) takenAfterwards++
          return [step, { row, kind: DELETE as ChangeKind, input: 0 }]
        })
        const { table } = play(temporalPlan(kind, 'retract'), [left, right], steps, options)
        assert.deepEqual(table, temporalPairs(there, rowsOfInput(inTime, 1), kind))
      },
    ),
    { numRuns: 300, examples: [letGoInItsBatch] },
  )
  assert.ok(takenAfterwards > 100, `only ${takenAfterwards}`)
})

/** What a temporal join keeps, in rows, after each of some steps. */
function rowsKept(
  plan: Plan,
  steps: (push: (rows: Row[], input: number, kind?: ChangeKind) => void, advance: (ms: number) => void) => (() => void)[],
) {
  const inputFields = inputsOf(plan).map(({ fields }) => fields)
  const operator = buildOperator(plan, {
    emit: () => {},
    memory: new BatchMemory(),
    count: () => {},
    late: () => {},
    rowFailed: (_batch, _row, error) => assert.ifError(error),
    inputFields,
    outputFields: plan.fields,
  })
  const push = (rows: Row[], input: number, kind: ChangeKind = 0) =>
    operator.process({ ...batchOf(inputFields[input], rows), kinds: new Uint8Array(rows.length).fill(kind) }, input)
  return steps(push, (ms) => operator.advance(ms)).map((step) => {
    step()
    return operator.describe?.().stateRows
  })
}

test('temporal join: rows that wait and may be taken back are counted once, equal ones each', () => {
  const counts = rowsKept(temporalPlan('LEFT', 'retract'), (push, advance) => [
    () => push([[5, 'a', 0], [5, 'a', 0], [6, 'b', 0]], 0), // biome-ignore format: one thought
    () => push([[1, 'a', 7]], 1),
    () => push([[6, 'b', 0]], 0, DELETE),
    () => advance(5),
    () => push([[5, 'a', 0]], 0, DELETE),
  ])
  assert.deepEqual(counts, [3, 4, 3, 3, 2])
})

test('temporal join: of a UNION of rows that stay nothing is kept once it is given out', () => {
  const input = (changelog: 'append' | 'retract'): Plan => {
    const union: Plan = { node: 'union', inputs: [inputPlan(left, 'append'), inputPlan(left, changelog)], fields: left, changelog }
    const distinct: Plan = { node: 'groupAggregate', input: union, keys: [0, 1, 2], aggregates: [], fields: left, changelog: 'retract' }
    return { ...temporalPlan('LEFT', 'retract'), left: distinct } as Plan
  }
  const steps: Parameters<typeof rowsKept>[1] = (push, advance) => [
    () => push([[5, 'a', 0], [5, 'a', 1], [6, 'b', 0]], 0), // biome-ignore format: one thought
    () => push([[1, 'a', 7]], 1),
    () => advance(5),
    () => advance(6),
  ]
  assert.deepEqual(rowsKept(input('append'), steps), [3, 4, 2, 1])
  assert.deepEqual(rowsKept(input('retract'), steps), [3, 4, 4, 4])
})

test('temporal join: of a union nothing is kept of the rows that stay, whatever its other rows do', () => {
  const marked = [...left, { name: 'stays', type: t.boolean(false) }]
  const plan = {
    ...temporalPlan('LEFT', 'retract'),
    left: inputPlan(marked, 'retract'),
    leftStays: 3,
    fields: [...marked, ...right],
  } as Plan
  const counts = rowsKept(plan, (push, advance) => [
    () => push([[5, 'a', 0, true], [5, 'a', 0, false], [6, 'b', 0, true]], 0), // biome-ignore format: one thought
    () => push([[1, 'a', 7]], 1),
    () => advance(5),
    () => advance(6),
    () => push([[5, 'a', 0, false]], 0, DELETE),
  ])
  assert.deepEqual(counts, [3, 4, 3, 2, 1])
})

test('temporal join: a deleted version is none, processing time takes the present one', () => {
  const plan: Plan & { node: 'temporalJoin' } = {
    node: 'temporalJoin',
    kind: 'LEFT',
    left: inputPlan(left),
    right: inputPlan(right, 'upsert'),
    leftKeys: [1],
    rightKeys: [1],
    leftTime: 0,
    rightTime: 0,
    fields: [...left, ...right],
    changelog: 'append',
  }
  const history: Step[] = [
    { row: [1, 'a', 1], input: 1 },
    { row: [5, 'a', 1], input: 1, kind: 3 },
    { row: [4, 'a', 9] },
    { row: [6, 'a', 9] },
  ]
  assert.deepEqual(
    play(plan, [left, right], history, { batchRowCountMax: 5 }).rows.map((row) => row[5]),
    [1, null],
  )
  const processing: Field[] = left.map((field, i) => (i === 0 ? { ...field, timeAttribute: 'processing' as const } : field))
  const now = play(
    { ...plan, left: inputPlan(processing) },
    [processing, right],
    [{ row: [null, 'a', 9] }, { row: [1, 'a', 7], input: 1 }, { row: [null, 'a', 9] }],
  )
  assert.deepEqual(
    now.rows.map((row) => row[5]),
    [null, 7],
  )
})
