// Window table functions: TUMBLE, HOP, CUMULATE and SESSION over a table, and the intervals that windows are made of.

import { nearestName } from '../base/index.ts'
import type { Field, SqlType } from '../data/index.ts'
import { formatType, t } from '../data/index.ts'
import type { Expression, FunctionCall, Identifier, QualifiedName, Query, Span } from './ast.ts'
import { bindExpression, functionName } from './bind-expression.ts'
import { uniqueNames } from './bind-plan.ts'
import type { BindContext, Env } from './bind-scope.ts'
import { emptyScope, scopeOf } from './bind-scope.ts'
import { ordinalOf } from './bind-table.ts'
import { sqlErrors } from './errors.ts'
import type { Plan, PlanWindow } from './plan.ts'

type WindowKind = PlanWindow['kind']

/** Names of the arguments behind the table and the time column, in order; the last may be missing where there is an offset. */
const INTERVALS: Record<WindowKind, readonly string[]> = {
  TUMBLE: ['SIZE', 'OFFSET'],
  HOP: ['SLIDE', 'SIZE', 'OFFSET'],
  CUMULATE: ['STEP', 'SIZE', 'OFFSET'],
  SESSION: ['GAP'],
}
const EXPECTED: Record<WindowKind, string> = {
  TUMBLE: 'TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset])',
  HOP: 'HOP(TABLE t, DESCRIPTOR(ts), slide, size [, offset])',
  CUMULATE: 'CUMULATE(TABLE t, DESCRIPTOR(ts), step, max size [, offset])',
  SESSION: 'SESSION(TABLE t [PARTITION BY k], DESCRIPTOR(ts), gap)',
}
const isWindowFunction = (name: string): name is WindowKind => Object.hasOwn(INTERVALS, name)

/**
 * TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) and its like, with positions or names for the arguments.
 *
 * @param bindTable  binds the table or query that is the first argument
 * @throws StreamError  SQL_WINDOW_ARGUMENTS, SQL_WINDOW_TIME_ATTRIBUTE, SQL_TABLE_FUNCTION_NOT_FOUND
 */
export function bindWindowFunction(
  call: FunctionCall & { span: Span },
  context: BindContext,
  bindTable: (source: QualifiedName | Query) => Plan,
): Plan {
  const fn = functionName(call)
  if (!isWindowFunction(fn)) {
    throw sqlErrors('SQL_TABLE_FUNCTION_NOT_FOUND', {
      fn,
      nearest: nearestName(fn, [...Object.keys(INTERVALS), 'UNNEST']),
      span: call.name.span,
    })
  }
  const refuse = (reason: string, span: Span = call.span) => sqlErrors('SQL_WINDOW_ARGUMENTS', { fn, reason, expected: EXPECTED[fn], span })
  const args = namedArguments(call, ['DATA', 'TIMECOL', ...INTERVALS[fn]], refuse)
  const data = args.get('DATA')
  const source =
    data?.type === 'subquery' ? { source: data.query, partitionBy: [], span: data.span } : data?.type === 'tableArgument' ? data : undefined
  if (source === undefined) throw refuse('its first argument must be a table', data?.span)
  const input = bindTable(source.source)
  const timeArgument = args.get('TIMECOL')
  if (timeArgument?.type !== 'descriptor' || timeArgument.columns.length !== 1)
    throw refuse('its second argument must name the time column', timeArgument?.span)
  if (source.partitionBy.length > 0 && fn !== 'SESSION') throw refuse('only SESSION takes PARTITION BY', source.span)
  const timeColumn = timeColumnOf(fn, timeArgument.columns[0], input)
  const intervalMs = (name: string): number => constantIntervalMs(args.get(name)!, context, refuse)
  const missing = INTERVALS[fn].find((name) => name !== 'OFFSET' && !args.has(name))
  if (missing !== undefined) throw refuse(`the argument ${missing} is missing`)
  const env: Env = { context, scope: scopeOf(input) }
  const window = planWindow(fn, input.fields[timeColumn], context, {
    sizeMs: intervalMs(fn === 'SESSION' ? 'GAP' : 'SIZE'),
    stepMs: fn === 'HOP' ? intervalMs('SLIDE') : fn === 'CUMULATE' ? intervalMs('STEP') : undefined,
    offsetMs: args.has('OFFSET') ? intervalMs('OFFSET') : 0,
    partitionKeys: source.partitionBy.map((key) => {
      const expr = bindExpression(key, env)
      if (expr.kind !== 'column') throw refuse('PARTITION BY takes columns', key.span)
      return expr.index
    }),
    refuse,
  })
  return {
    node: 'windowTvf',
    input,
    window,
    timeColumn,
    fields: windowFields(input, timeColumn),
    changelog: 'append',
    span: timeArgument.columns[0].span,
  }
}

function namedArguments(
  call: FunctionCall,
  names: readonly string[],
  refuse: (reason: string, span?: Span) => Error,
): Map<string, Expression> {
  const args = new Map<string, Expression>()
  call.args.forEach((arg, i) => {
    const name = arg.type === 'namedArgument' ? arg.name.name.toUpperCase() : names[i]
    if (name === undefined) throw refuse('it has too many arguments', arg.span)
    if (!names.includes(name)) throw refuse(`it has no argument ${name}; they are ${names.join(', ')}`, arg.span)
    if (args.has(name)) throw refuse(`the argument ${name} is given twice`, arg.span)
    args.set(name, arg.type === 'namedArgument' ? arg.value : arg)
  })
  return args
}

/** @throws StreamError  SQL_WINDOW_TIME_ATTRIBUTE */
function timeColumnOf(fn: string, column: Identifier, input: Plan): number {
  const ordinal = ordinalOf(
    column,
    input.fields.map((field) => field.name),
  )
  requireTimeAttribute(fn, input.fields[ordinal], column.span)
  return ordinal
}

export function requireTimeAttribute(fn: string, field: Field, span: Span): void {
  if (field.timeAttribute === undefined) {
    throw sqlErrors('SQL_WINDOW_TIME_ATTRIBUTE', { fn, column: field.name, type: formatType(field.type), span })
  }
}

interface WindowSizes {
  sizeMs: number
  stepMs?: number
  offsetMs: number
  partitionKeys: number[]
  refuse: (reason: string) => Error
}

/** @throws StreamError  SQL_WINDOW_ARGUMENTS for sizes that make no windows */
export function planWindow(
  kind: WindowKind,
  time: Field,
  context: BindContext,
  { sizeMs, stepMs, offsetMs, partitionKeys, refuse }: WindowSizes,
): PlanWindow {
  if (sizeMs <= 0 || (stepMs !== undefined && stepMs <= 0)) throw refuse('its intervals must be longer than 0')
  if (kind === 'CUMULATE' && sizeMs % stepMs! !== 0) throw refuse('the size must be a multiple of the step')
  if (kind === 'TUMBLE' && Math.abs(offsetMs) >= sizeMs) throw refuse('the offset must be shorter than the size')
  const isLocal = time.timeAttribute === 'processing' || time.type.kind === 'TIMESTAMP_LTZ'
  return {
    kind,
    sizeMs,
    ...(stepMs !== undefined && { stepMs }),
    offsetMs,
    partitionKeys,
    timeAttribute: time.timeAttribute!,
    timeZone: isLocal ? context.timeZone : 'UTC',
  }
}

/** A constant interval of days to milliseconds. */
export function constantIntervalMs(node: Expression, context: BindContext, refuse: (reason: string, span?: Span) => Error): number {
  const expr = bindExpression(node, { context, scope: emptyScope })
  if (expr.kind !== 'literal' || expr.type.kind !== 'INTERVAL_DAY_TIME' || expr.value === null) {
    throw refuse(
      expr.type.kind === 'INTERVAL_YEAR_MONTH' ? 'months have no fixed length' : "this must be an interval, such as INTERVAL '10' SECOND",
      node.span,
    )
  }
  return expr.value as number
}

/** Type of window_time and of TUMBLE_ROWTIME: the time attribute's, in milliseconds. */
export const windowTimeType = (time: Field, nullable: boolean): SqlType =>
  time.timeAttribute === 'processing' || time.type.kind === 'TIMESTAMP_LTZ' ? t.timestampLtz(3, nullable) : t.timestamp(3, nullable)

function windowFields(input: Plan, timeColumn: number): Field[] {
  const time = input.fields[timeColumn]
  const added: Field[] = [
    { name: 'window_start', type: t.timestamp(3, false) },
    { name: 'window_end', type: t.timestamp(3, false) },
    { name: 'window_time', type: windowTimeType(time, false), timeAttribute: time.timeAttribute },
  ]
  const names = uniqueNames([...input.fields, ...added].map((field) => field.name))
  return [...input.fields, ...added].map((field, i) => ({ ...field, name: names[i] }))
}
