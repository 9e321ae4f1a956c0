// Filters and projections: from expressions to a function over batches.
//
// batch --> predicate, conjunct by conjunct --> selection (rows that survive) --> projections of those rows only --> batch
//
// Invariants
//   1. Kernels are made for the lanes of a batch's columns and for which of them hold NULLs, when such a batch first comes.
//   2. A row whose expression throws is reported and left out; the rows around it are as if it were not there.
//   3. Without a filter and without such rows a projected column is shared with the input, never copied.
import type { Arrays, Batch, Column, Field, SqlType } from '../../data/index.ts'
import { gather, gatherAll, laneOf, newArrays } from '../../data/index.ts'
import { type Expr, stableText } from '../../sql/index.ts'
import { castOf } from './casts.ts'
import type { ColumnShape, FilterKernel, Output, ProjectKernel, SharedCall } from './codegen.ts'
import { KernelBuilder, shapeOf } from './codegen.ts'
import type { EmitContext } from './emit.ts'
import { emit, emitCondition, flatten, isShareable } from './emit.ts'
import { isNarrow, magnitudeOf, usesWideDecimals } from './magnitude.ts'

export interface CompileOptions {
  /** The session's time zone; UTC unless given. */
  timeZone?: string
  /** In [0, 1): for RAND and UUID. The system's unless given; a simulation gives its own. */
  random?: () => number
}
export type RowError = (row: number, error: Error) => void
/** `arrays` is where the memory of the result comes from; its own unless given. */
export type Calc = (batch: Batch, onError: RowError, arrays?: Arrays) => Batch | undefined

interface Kernels {
  filter: FilterKernel | undefined
  project: ProjectKernel | undefined
  /** For each computed value: a decimal that fits into 64 bits in such batches. */
  narrow: boolean[]
  /** For each computed value: the column of whose bytes it is a part. */
  slices: (number | undefined)[]
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
const fullOptions = (options: CompileOptions): Omit<EmitContext, 'builder' | 'narrow' | 'shared'> => ({
  timeZone: options.timeZone ?? 'UTC',
  random: options.random ?? Math.random,
})

/** Operands of a chain of ANDs: each is tested only where those before are TRUE. */
function conjuncts(expr: Expr | undefined): Expr[] {
  if (expr === undefined) return []
  const parts = expr.kind === 'call' && expr.fn === 'AND' ? flatten(expr) : [expr]
  return parts.filter((part) => !(part.kind === 'literal' && part.value === true))
}

/** Columns that expressions read, ascending. */
export function columnsOf(exprs: readonly Expr[]): number[] {
  const found = new Set<number>()
  const open = [...exprs]
  while (open.length > 0) {
    const next = open.pop()!
    if (next.kind === 'column') found.add(next.index)
    else if (next.kind === 'call') open.push(...next.args)
  }
  return [...found].sort((a, b) => a - b)
}

const noShared: ReadonlyMap<string, number> = new Map()

/** Calls that stand in several places: numbered, by their texts. */
function sharedCalls(exprs: readonly Expr[]): ReadonlyMap<string, number> {
  const seen = new Set<string>()
  const shared = new Map<string, number>()
  const open = [...exprs]
  while (open.length > 0) {
    const next = open.pop()!
    if (next.kind !== 'call') continue
    open.push(...next.args)
    if (!isShareable(next)) continue
    const text = stableText(next)
    if (seen.has(text) && !shared.has(text)) shared.set(text, shared.size)
    seen.add(text)
  }
  return shared
}

function makeFilter(parts: readonly Expr[], shapes: ColumnShape[], context: Omit<EmitContext, 'builder'>): FilterKernel {
  const builder = new KernelBuilder(shapes)
  for (const part of parts) builder.line(`if (!${emitCondition(part, { builder, ...context })}) continue`)
  return builder.filter()
}

function makeProject(
  exprs: readonly Expr[],
  selected: boolean,
  shapes: ColumnShape[],
  context: Omit<EmitContext, 'builder'>,
): { kernel: ProjectKernel; slices: (number | undefined)[] } {
  const builder = new KernelBuilder(shapes)
  const values = exprs.map((expr) => emit(expr, { builder, ...context }))
  return { kernel: builder.project(values, selected), slices: values.map(({ slice }) => slice?.column) }
}

/** How computed values of a type are stored: text as JS strings, decimals of any type in 64 bits where they are sure to fit. */
function makeOutput(type: SqlType, rowCount: number, arrays: Arrays, narrow = false): Output & { lane: Column['lane'] } {
  const nulls = arrays.u8(rowCount)
  switch (narrow ? 'i64' : laneOf(type)) {
    case 'u8':
      return { lane: 'u8', data: arrays.u8(rowCount), nulls, hasNulls: false }
    case 'i32':
      return { lane: 'i32', data: arrays.i32(rowCount), nulls, hasNulls: false }
    case 'i64':
      return { lane: 'i64', data: arrays.i64(rowCount), nulls, hasNulls: false }
    case 'f64':
      return { lane: 'f64', data: arrays.f64(rowCount), nulls, hasNulls: false }
    default:
      return { lane: 'any', data: new Array(rowCount), nulls, hasNulls: false }
  }
}
/** Parts of the texts of a column, in its bytes. */
function makeSlices(column: Column, rowCount: number, arrays: Arrays): Output & { lane: Column['lane'] } {
  const limits = { starts: arrays.i32(rowCount), ends: arrays.i32(rowCount) }
  const data = (column as Column & { lane: 'utf8' }).bytes
  return { lane: 'utf8', data, ...limits, nulls: arrays.u8(rowCount), hasNulls: false }
}
function finished({ lane, data, starts, ends, nulls: all, hasNulls }: Output & { lane: Column['lane'] }): Column {
  const nulls = hasNulls ? all : undefined
  return (lane === 'utf8' ? { lane, bytes: data, starts, ends, nulls } : { lane, data, nulls }) as Column
}

/**
 * A filter with a projection.
 *
 * @param node         rows where `predicate` is TRUE, as `projections`
 * @param inputFields  what the columns of its batches are
 * @returns            a function that gives undefined where no row is left; the caller still forwards the watermark.
 *                     `onError` gets the ordinal of a row that failed, and may itself throw
 */
export function compileCalc(
  node: { predicate?: Expr; projections: readonly Expr[] },
  inputFields: readonly Field[],
  options: CompileOptions = {},
): Calc {
  const parts = conjuncts(node.predicate && folded(node.predicate, options))
  const computed = node.projections.filter((expr) => expr.kind !== 'column').map((expr) => folded(expr, options))
  const read = columnsOf([...parts, ...computed])
  const shared = sharedCalls([...parts, ...computed])
  const context = { ...fullOptions(options), shared }
  const sharedValues = Array.from(shared, (): unknown[] => [])
  for (const index of read) if (inputFields[index] === undefined) throw new Error(`column ${index} of ${inputFields.length}`)
  const mayBeNarrow = [...parts, ...computed].some(usesWideDecimals)
  const cache = new Map<string, Kernels>()

  const kernelsFor = (batch: Batch): Kernels => {
    const narrow = mayBeNarrow && isNarrow(batch, read)
    const lanes = read.map((index) => `${batch.columns[index].lane}${batch.columns[index].nulls ? '?' : ''}`)
    const key = `${lanes.join()}${narrow ? ' narrow' : ''}`
    let kernels = cache.get(key)
    if (kernels === undefined) {
      const shapes = batch.columns.map(shapeOf)
      const project = computed.length > 0 ? makeProject(computed, parts.length > 0, shapes, { ...context, narrow }) : undefined
      kernels = {
        slices: project?.slices ?? [],
        filter: parts.length > 0 ? makeFilter(parts, shapes, { ...context, narrow }) : undefined,
        project: project?.kernel,
        narrow: computed.map(
          (expr) => narrow && usesWideDecimals(expr) && expr.type.kind === 'DECIMAL' && magnitudeOf(expr, shapes) !== undefined,
        ),
      }
      cache.set(key, kernels)
    }
    return kernels
  }

  return (batch, onError, arrays = newArrays) => {
    const kernels = kernelsFor(batch)
    let selection: Int32Array | undefined
    let count = batch.rowCount
    const memory = sharedValues.map((values): SharedCall => ({ states: arrays.u8(count).fill(0, 0, count), values }))
    if (kernels.filter !== undefined) {
      selection = arrays.i32(count)
      count = kernels.filter(batch, selection, count, (row, error) => onError(row, asError(error)), memory)
      // Nothing is moved where every row stays, as the projection needs the selection only then.
      if (count === 0) return undefined
    }
    const outputs = computed.map((expr, i) => {
      const sliced = kernels.slices[i]
      return sliced === undefined
        ? makeOutput(expr.type, count, arrays, kernels.narrow[i])
        : makeSlices(batch.columns[sliced], count, arrays)
    })
    if (kernels.project !== undefined) {
      const failed = new Set<number>()
      const rows = selection
      kernels.project(
        batch,
        rows,
        count,
        (position, error) => {
          failed.add(position)
          onError(rows === undefined ? position : rows[position], asError(error))
        },
        memory,
        outputs,
      )
      if (failed.size > 0) {
        selection = withoutFailed(selection, count, failed)
        count -= failed.size
      }
    }
    if (count === 0) return undefined
    let next = 0
    const { projections } = node
    const passed = projections.flatMap((expr) => (expr.kind === 'column' ? [batch.columns[expr.index]] : []))
    const rows = count === batch.rowCount ? undefined : selection
    const kept = rows === undefined ? passed : gatherAll(passed, rows, count, arrays)
    const taken = <C extends Column>(column: C): C => (rows === undefined ? column : (gather(column, rows, count, arrays) as C))
    let nextKept = 0
    const columns = projections.map((expr) => (expr.kind === 'column' ? kept[nextKept++] : finished(outputs[next++])))
    return {
      rowCount: count,
      columns,
      kinds: batch.kinds && taken({ lane: 'u8', data: batch.kinds }).data,
      watermarksBefore: batch.watermarksBefore && taken({ lane: 'f64', data: batch.watermarksBefore }).data,
      watermarkAfter: batch.watermarkAfter,
      arrivals: batch.arrivals && taken({ lane: 'i32', data: batch.arrivals }).data,
      processingTimeMs: batch.processingTimeMs,
    }
  }
}

function withoutFailed(selection: Int32Array | undefined, count: number, failed: ReadonlySet<number>): Int32Array {
  const kept = new Int32Array(count - failed.size)
  let at = 0
  for (let i = 0; i < count; i++) if (!failed.has(i)) kept[at++] = selection === undefined ? i : selection[i]
  return kept
}

/**
 * One expression over all rows of a batch.
 *
 * @returns a function that throws what the first failing row throws
 */
export function compileScalar(
  expr: Expr,
  inputFields: readonly Field[],
  options: CompileOptions = {},
): (batch: Batch, arrays?: Arrays) => Column {
  if (expr.kind === 'column') return (batch) => batch.columns[expr.index]
  const calc = compileCalc({ projections: [expr] }, inputFields, options)
  const fail: RowError = (_, error) => {
    throw error
  }
  return (batch, arrays) => calc(batch, fail, arrays)?.columns[0] ?? finished(makeOutput(expr.type, 0, newArrays))
}

/** What differs from row to row or from batch to batch though it reads no column. */
const changing = new Set(['RAND', 'RAND_INTEGER', 'CURRENT_WATERMARK', 'UUID'])

/** The expression with its constant parts computed; what fails is left, to fail for the rows that reach it. */
function folded(expr: Expr, options: CompileOptions): Expr {
  if (expr.kind !== 'call' || expr.args.length === 0) return expr
  const operands = expr.fn === 'AND' || expr.fn === 'OR' ? flatten(expr) : expr.args
  const args = operands.map((arg) => folded(arg, options))
  const call = { ...expr, args }
  if (changing.has(expr.fn) || !args.every((arg) => arg.kind === 'literal')) return call
  try {
    return { kind: 'literal', value: constantOf(call, options), type: expr.type }
  } catch {
    return call
  }
}

function constantOf(expr: Extract<Expr, { kind: 'call' }>, options: CompileOptions): unknown {
  const [arg] = expr.args
  // The usual case, for which a kernel would be much work.
  if ((expr.fn === 'CAST' || expr.fn === 'TRY_CAST') && arg.kind === 'literal') {
    return arg.value === null ? null : castOf(arg.type, expr.type, expr.fn === 'TRY_CAST', options.timeZone ?? 'UTC').fn(arg.value as never)
  }
  const { kernel } = makeProject([expr], false, [], { ...fullOptions(options), narrow: false, shared: noShared })
  const output = makeOutput(expr.type, 1, newArrays)
  const fail = (_: number, error: Error) => {
    throw error
  }
  kernel({ rowCount: 1, columns: [], watermarkAfter: Number.NEGATIVE_INFINITY, processingTimeMs: 0 }, undefined, 1, fail, [], [output])
  if (output.hasNulls) return null
  return output.lane === 'u8' ? output.data[0] === 1 : output.data[0]
}

/**
 * The value of an expression that reads no column; null for NULL.
 *
 * @throws what the expression throws
 */
export function evaluateConstant(expr: Expr, options: CompileOptions = {}): unknown {
  const constant = expr.kind === 'call' ? { ...expr, args: expr.args.map((arg) => folded(arg, options)) } : expr
  if (constant.kind === 'literal') return constant.value
  if (constant.kind === 'column') throw new Error('a column is no constant')
  return constantOf(constant, options)
}
