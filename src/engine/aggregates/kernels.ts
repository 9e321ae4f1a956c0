// Generated loops over primitive accumulators: one pass over a batch for all of them, and one to merge groups into groups.
//
// Invariants
//   1. A row's value is added as Flink adds it, in order of arrival: integers wrap in their own type, FLOAT is rounded at each step,
//      a SUM starts with the first value (so that -0.0 stays), MIN and MAX keep the first of equal values and any NaN they met first.
//   2. 64-bit integers are added as two 32-bit halves: no BigInt is made, in whatever tier V8 runs the loop.
//   3. NULL checks are made only for columns that have a bitmap in this batch.
import type { Column } from '../../data/index.ts'
import { compileKernel } from '../state/codegen.ts'
import type { AggregateLayout, Primitive } from './layout.ts'
import { boxedOperations } from './values.ts'

/** Fixed cells of all groups, seen as doubles and as 32-bit halves of 64-bit integers; `boxed[k][group]` for the rest. */
export interface Cells {
  floats: Float64Array
  words: Int32Array
  boxed: unknown[][]
}

/** One input column as the loop reads it. */
export interface ArgumentInput {
  data: ArrayLike<unknown>
  words: Int32Array
  nulls: Uint8Array | undefined
}

type UpdateKernel = (
  cells: Cells,
  inputs: (ArgumentInput | undefined)[],
  groups: Int32Array,
  rowCount: number,
  rows: Int32Array | undefined,
  kinds: Uint8Array | undefined,
  operations: typeof boxedOperations,
) => void

type MergeKernel = (
  into: Cells,
  from: Cells,
  fromGroups: Int32Array,
  intoGroups: Int32Array,
  count: number,
  operations: typeof boxedOperations,
) => void

/** Runs the update loop that fits this layout and these columns. */
export function updateCells(
  layout: AggregateLayout,
  cells: Cells,
  inputs: (ArgumentInput | undefined)[],
  batch: { groups: Int32Array; rowCount: number; rows: Int32Array | undefined; kinds: Uint8Array | undefined },
): void {
  if (layout.primitives.length === 0) return
  const nullable = inputs.map((input) => (input?.nulls === undefined ? '' : '?')).join('|')
  const { groups, rowCount, rows, kinds } = batch
  const signature = `update ${layoutSignature(layout)} ${nullable} ${rows !== undefined} ${kinds !== undefined}`
  const kernel = compileKernel<UpdateKernel>(signature, ['cells', 'inputs', 'groups', 'rowCount', 'rows', 'kinds', 'operations'], () =>
    updateSource(layout, inputs, rows !== undefined, kinds !== undefined),
  )
  kernel(cells, inputs, groups, rowCount, rows, kinds, boxedOperations)
}

/** Adds the accumulators of `fromGroups[i]` to those of `intoGroups[i]`. */
export function mergeCells(
  layout: AggregateLayout,
  into: Cells,
  from: Cells,
  groups: { from: Int32Array; into: Int32Array; count: number },
): void {
  if (layout.primitives.length === 0) return
  const kernel = compileKernel<MergeKernel>(
    `merge ${layoutSignature(layout)}`,
    ['into', 'from', 'fromGroups', 'intoGroups', 'count', 'operations'],
    () => mergeSource(layout),
  )
  kernel(into, from, groups.from, groups.into, groups.count, boxedOperations)
}

const signatures = new WeakMap<AggregateLayout, string>()
function layoutSignature(layout: AggregateLayout): string {
  let signature = signatures.get(layout)
  if (signature === undefined) {
    const parts = layout.primitives.map(
      (p) => `${p.op} ${p.arithmetic} ${p.argLane} ${p.arg} ${p.filter} ${p.scaleUp} ${p.at} ${p.countAt}`,
    )
    signature = `${layout.stride} ${layout.retracts} ${parts.join('; ')}`
    signatures.set(layout, signature)
  }
  return signature
}

const groupBy = <T>(values: readonly T[], key: (value: T) => number): Map<number, T[]> => Map.groupBy(values, key)

function updateSource(
  layout: AggregateLayout,
  inputs: readonly (ArgumentInput | undefined)[],
  selects: boolean,
  hasKinds: boolean,
): string {
  const used = inputs.flatMap((input, k) => (input === undefined ? [] : [{ input, k }]))
  const names = used.map(
    ({ input, k }) =>
      `const c${k} = inputs[${k}].data, w${k} = inputs[${k}].words${input.nulls === undefined ? '' : `, n${k} = inputs[${k}].nulls`}`,
  )
  const body: string[] = []
  for (const [filter, primitives] of groupBy(layout.primitives, (p) => p.filter)) {
    const lines: string[] = []
    for (const [arg, ofArgument] of groupBy(primitives, (p) => p.arg)) {
      if (arg === -1) {
        for (const p of ofArgument) lines.push(`floats[p + ${p.at}] += ${hasKinds ? 'sign' : '1'}`)
        continue
      }
      const source = argumentSource(layout, ofArgument, hasKinds)
      lines.push(inputs[arg]?.nulls === undefined ? `{ ${source} }` : `if (n${arg}[row] === 0) { ${source} }`)
    }
    const text = lines.join('\n')
    const isTrue = `c${filter}[row] === 1${inputs[filter]?.nulls === undefined ? '' : ` && n${filter}[row] === 0`}`
    body.push(filter === -1 ? text : `if (${isTrue}) { ${text} }`)
  }
  return `
  const { floats, words, boxed } = cells
  ${names.join('\n')}
  ${boxedNames(layout, 'boxed', 'x')}
  for (let i = 0; i < rowCount; i++) {
    const row = ${selects ? 'rows[i]' : 'i'}
    const g = groups[i]
    const p = g * ${layout.stride}
    ${hasKinds ? 'const sign = 1 - ((kinds[row] & 1) << 1)' : ''}
    ${body.join('\n')}
  }`
}

const boxedNames = (layout: AggregateLayout, from: string, prefix: string): string =>
  layout.primitives
    .filter((p) => p.boxed)
    .map((p) => `const ${prefix}${p.at} = ${from}[${p.at}]`)
    .join('\n')

/** Source for all primitives over one argument, which is not NULL. */
function argumentSource(layout: AggregateLayout, primitives: Primitive[], hasKinds: boolean): string {
  const values = primitives.filter((p) => p.op !== 'count')
  const [{ arg }] = primitives
  const countAt = primitives.find((p) => p.op === 'count')?.at
  const sign = hasKinds ? 'sign' : '1'
  const load = `const n = floats[p + ${countAt}]; const x = ${valueSource(primitives[0], arg)}\n`
  // Where rows may be taken away a sum starts at 0, as in Flink; else with the first value.
  const first = values.map((p) => (layout.retracts ? '' : firstSource(p, arg))).join('\n')
  const next = values.map((p) => (layout.retracts ? retractingSource(p, arg, hasKinds) : nextSource(p, arg))).join('\n')
  const update = layout.retracts || first === next ? next : `if (n === 0) { ${first} } else { ${next} }`
  return `${load}${update}\nfloats[p + ${countAt}] = n + ${sign}`
}

/** The value of the row: a number, a bigint or a boxed value; 64-bit integers are read by halves instead. */
const valueSource = (p: Primitive, arg: number): string => (p.argLane === 'i64' ? '0' : `c${arg}[row]`)

const wrap = (p: Primitive, source: string): string => {
  switch (p.arithmetic) {
    case 'i8':
      return `(${source}) << 24 >> 24`
    case 'i16':
      return `(${source}) << 16 >> 16`
    case 'i32':
      return `(${source}) | 0`
    case 'f32':
      return `Math.fround(${source})`
    default:
      return source
  }
}

const squareSource = (p: Primitive): string => {
  switch (p.arithmetic) {
    case 'i8':
    case 'i16':
    case 'i32':
      return wrap(p, 'Math.imul(x, x)')
    case 'f32':
      return 'Math.fround(x * x)'
    default:
      return 'x * x'
  }
}

/** Declares xl and xh, the halves of the argument. */
const halvesSource = (p: Primitive, arg: number): string =>
  p.argLane === 'i64' ? `const xl = w${arg}[2 * row], xh = w${arg}[2 * row + 1]` : 'const xl = x, xh = x >> 31'

/** Adds the 64-bit integer in halves `lo`, `hi` to cell `at`. */
const addLong = (at: number, lo: string, hi: string, p = 'p'): string => `
  const at = 2 * (${p} + ${at}), sl = words[at], s = (sl + ${lo}) | 0
  words[at] = s
  words[at + 1] = words[at + 1] + ${hi} + (((sl & ${lo}) | ((sl | ${lo}) & ~s)) >>> 31)`

const decimalSource = (p: Primitive, arg: number): string => {
  const value = p.scaleUp === 0 ? `c${arg}[row]` : `c${arg}[row] * ${10n ** BigInt(p.scaleUp)}n`
  return p.op === 'square' ? `((${value}) * (${value}))` : `${value}`
}

function firstSource(p: Primitive, arg: number): string {
  if (p.boxed || (p.arithmetic === 'i64' && p.op === 'sum')) return nextSource(p, arg)
  if (p.arithmetic === 'i64') return `words[2 * (p + ${p.at})] = w${arg}[2 * row]; words[2 * (p + ${p.at}) + 1] = w${arg}[2 * row + 1]`
  return `floats[p + ${p.at}] = ${p.op === 'square' ? squareSource(p) : 'x'}`
}

function nextSource(p: Primitive, arg: number): string {
  const cell = `floats[p + ${p.at}]`
  switch (p.op) {
    case 'min':
    case 'max': {
      const beats = p.op === 'min' ? '<' : '>'
      if (p.boxed) return `x${p.at}[g] = operations.${p.op}(x${p.at}[g], c${arg}[row])`
      if (p.arithmetic !== 'i64') return `if (x ${beats} ${cell}) ${cell} = x`
      return `{
        const at = 2 * (p + ${p.at}), xl = w${arg}[2 * row], xh = w${arg}[2 * row + 1], h = words[at + 1]
        if (xh ${beats} h || (xh === h && (xl >>> 0) ${beats} (words[at] >>> 0))) { words[at] = xl; words[at + 1] = xh }
      }`
    }
    case 'sum':
    case 'square':
      if (p.boxed) return boxedSumSource(p, arg, '1', false)
      if (p.arithmetic === 'i64') return `{ ${halvesSource(p, arg)}; ${addLong(p.at, 'xl', 'xh')} }`
      return `${cell} = ${wrap(p, `${cell} + ${p.op === 'square' ? squareSource(p) : 'x'}`)}`
    default:
      return ''
  }
}

function boxedSumSource(p: Primitive, arg: number, sign: string, retracts: boolean): string {
  const cell = `x${p.at}[g]`
  if (p.arithmetic === 'i64') return `${cell} = operations.sumSquareLong(${cell}, c${arg}[row], ${sign})`
  if (p.op === 'square' || p.scaleUp > 0) return `${cell} = operations.sumBig(${cell}, ${decimalSource(p, arg)}, ${sign})`
  return retracts
    ? `${cell} = operations.sumDecimalRetracting(${cell}, c${arg}[row], ${sign})`
    : `${cell} = operations.sumDecimal(${cell}, c${arg}[row])`
}

function retractingSource(p: Primitive, arg: number, hasKinds: boolean): string {
  const sign = hasKinds ? 'sign' : '1'
  if (p.boxed) return boxedSumSource(p, arg, sign, true)
  if (p.arithmetic === 'i64') {
    if (!hasKinds) return `{ ${halvesSource(p, arg)}; ${addLong(p.at, 'xl', 'xh')} }`
    return `{
      ${halvesSource(p, arg)}
      const yl = sign < 0 ? -xl | 0 : xl, yh = sign < 0 ? ~xh + (xl === 0 ? 1 : 0) : xh
      ${addLong(p.at, 'yl', 'yh')}
    }`
  }
  const cell = `floats[p + ${p.at}]`
  return `${cell} = ${wrap(p, `${cell} + ${hasKinds ? 'sign * ' : ''}${p.op === 'square' ? squareSource(p) : 'x'}`)}`
}

function mergeSource(layout: AggregateLayout): string {
  const body: string[] = []
  for (const [countAt, primitives] of groupBy(layout.primitives, (p) => (p.op === 'count' ? p.at : p.countAt))) {
    const values = primitives.filter((p) => p.op !== 'count')
    const moved = values.map(movedSource).join('\n')
    const added = values.map((p) => addedSource(p, layout.retracts)).join('\n')
    body.push(`{
      const m = fromFloats[q + ${countAt}], n = floats[p + ${countAt}]
      ${values.length === 0 ? '' : layout.retracts ? added : `if (m !== 0) { if (n === 0) { ${moved} } else { ${added} } }`}
      floats[p + ${countAt}] = n + m
    }`)
  }
  return `
  const { floats, words, boxed } = into
  const fromFloats = from.floats, fromWords = from.words
  ${boxedNames(layout, 'boxed', 'x')}
  ${boxedNames(layout, 'from.boxed', 'y')}
  for (let i = 0; i < count; i++) {
    const g = intoGroups[i], h = fromGroups[i]
    const p = g * ${layout.stride}, q = h * ${layout.stride}
    ${body.join('\n')}
  }`
}

const movedSource = (p: Primitive): string =>
  p.boxed
    ? `x${p.at}[g] = y${p.at}[h]`
    : p.arithmetic === 'i64'
      ? `words[2 * (p + ${p.at})] = fromWords[2 * (q + ${p.at})]; words[2 * (p + ${p.at}) + 1] = fromWords[2 * (q + ${p.at}) + 1]`
      : `floats[p + ${p.at}] = fromFloats[q + ${p.at}]`

function addedSource(p: Primitive, retracts: boolean): string {
  const cell = `floats[p + ${p.at}]`
  if (p.op === 'min' || p.op === 'max') {
    const beats = p.op === 'min' ? '<' : '>'
    if (p.boxed) return `if (y${p.at}[h] !== undefined) x${p.at}[g] = operations.${p.op}(x${p.at}[g], y${p.at}[h])`
    if (p.arithmetic !== 'i64') return `if (fromFloats[q + ${p.at}] ${beats} ${cell}) ${cell} = fromFloats[q + ${p.at}]`
    return `{
      const at = 2 * (p + ${p.at}), xl = fromWords[2 * (q + ${p.at})], xh = fromWords[2 * (q + ${p.at}) + 1], high = words[at + 1]
      if (xh ${beats} high || (xh === high && (xl >>> 0) ${beats} (words[at] >>> 0))) { words[at] = xl; words[at + 1] = xh }
    }`
  }
  if (p.boxed) {
    const target = `x${p.at}[g]`
    const value = `y${p.at}[h]`
    if (p.arithmetic === 'i64') return `${target} = BigInt.asIntN(64, (${target} ?? 0n) + (${value} ?? 0n))`
    if (p.op === 'square' || p.scaleUp > 0) return `${target} = operations.sumBig(${target}, ${value} ?? 0n, 1)`
    return retracts
      ? `${target} = ${value} === null ? null : operations.sumDecimalRetracting(${target}, ${value} ?? 0n, 1)`
      : `if (${value} !== undefined) ${target} = operations.sumDecimal(${target}, ${value})`
  }
  if (p.arithmetic === 'i64')
    return `{ const xl = fromWords[2 * (q + ${p.at})], xh = fromWords[2 * (q + ${p.at}) + 1]; ${addLong(p.at, 'xl', 'xh')} }`
  return `${cell} = ${wrap(p, `${cell} + fromFloats[q + ${p.at}]`)}`
}

/** A column as the loop reads it; boxed and 64-bit arguments need no copy. */
export function argumentInput(column: Column, boxedText: (column: Column & { lane: 'utf8' }) => ArrayLike<unknown>): ArgumentInput {
  const { nulls } = column
  switch (column.lane) {
    case 'utf8':
      return { data: boxedText(column), words: noWords, nulls }
    case 'i64':
      return { data: column.data, words: new Int32Array(column.data.buffer, column.data.byteOffset, column.data.length * 2), nulls }
    default:
      return { data: column.data, words: noWords, nulls }
  }
}
const noWords = new Int32Array(0)
