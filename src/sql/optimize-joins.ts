// Joins: equality keys out of conditions, and which kind of join a condition makes: by windows, by an interval of time, or a regular one.

import { t } from '../data/index.ts'
import { appendColumns, columnsOfPlan, project, withoutTime } from './bind-plan.ts'
import { sqlErrors } from './errors.ts'
import { andAll, columnExpr, columnsOf, conjuncts, isCall, literalExpr, mapColumns } from './expr.ts'
import { resolveCall, sameType } from './functions/index.ts'
import { annotateNode, takesBack, uniqueKeysOf } from './optimize-traits.ts'
import { windowJoinKeys, withEveryVersion } from './optimize-windows.ts'
import type { Expr, Plan } from './plan.ts'

type Node<N extends Plan['node']> = Extract<Plan, { node: N }>

interface Keyed {
  left: Plan
  right: Plan
  leftKeys: number[]
  rightKeys: number[]
  nullSafe: boolean[]
  /** Over the columns of the new sides. */
  condition?: Expr
}

/**
 * Equalities become keys; what is no plain column is computed below the join, behind the columns of its side.
 *
 * @param takesNulls  the join can have keys of which NULL equals NULL; else IS NOT DISTINCT FROM is a condition like others
 */
function keyed(left: Plan, right: Plan, parts: readonly Expr[], takesNulls: boolean): Keyed {
  const width = left.fields.length
  const sideOf = (expr: Expr): 'left' | 'right' | undefined => {
    const columns = [...columnsOf(expr)]
    if (columns.length === 0) return undefined
    return columns.every((column) => column < width) ? 'left' : columns.every((column) => column >= width) ? 'right' : undefined
  }
  const leftExprs = columnsOfPlan(left)
  const rightExprs = columnsOfPlan(right)
  const columnIn = (exprs: Expr[], expr: Expr): number => (expr.kind === 'column' ? expr.index : exprs.push(expr) - 1)
  const leftKeys: number[] = []
  const rightKeys: number[] = []
  const nullSafe: boolean[] = []
  const rest: Expr[] = []
  for (const part of parts) {
    const isSafe = takesNulls && isCall(part, 'IS_NOT_DISTINCT_FROM')
    const [a, b] = isSafe || isCall(part, 'EQUALS') ? part.args : []
    const sides = a && b ? `${sideOf(a)} ${sideOf(b)}` : ''
    if ((sides !== 'left right' && sides !== 'right left') || !sameType(a.type, b.type)) {
      rest.push(part)
      continue
    }
    const [onLeft, onRight] = sides === 'left right' ? [a, b] : [b, a]
    leftKeys.push(columnIn(leftExprs, onLeft))
    const ofRight = mapColumns(onRight, (column) => ({ ...column, index: column.index - width }))
    rightKeys.push(columnIn(rightExprs, ofRight))
    nullSafe.push(isSafe)
  }
  const widened = (plan: Plan, exprs: Expr[]): Plan =>
    exprs.length === plan.fields.length
      ? plan
      : annotateNode(
          project(plan, exprs, [...plan.fields.map((field) => field.name), ...exprs.slice(plan.fields.length).map((_, i) => `$key${i}`)]),
        )
  const added = leftExprs.length - width
  const condition = andAll(
    rest.map((expr) => mapColumns(expr, (column) => (column.index < width ? column : { ...column, index: column.index + added }))),
  )
  return {
    left: widened(left, leftExprs),
    right: widened(right, rightExprs),
    leftKeys,
    rightKeys,
    nullSafe,
    ...(condition && { condition }),
  }
}

/** The join over widened sides, then the columns that it had before. */
function restored<J extends Node<'join' | 'intervalJoin' | 'windowJoin' | 'temporalJoin'>>(join: J, before: Plan): Plan {
  const { left, right } = before as J
  const extraLeft = join.left.fields.length - left.fields.length
  const extraRight = join.right.fields.length - right.fields.length
  const isSemi = join.kind === 'SEMI' || join.kind === 'ANTI'
  const ofLeft = before.fields.slice(0, left.fields.length)
  const ofRight = before.fields.slice(left.fields.length)
  const fields = isSemi
    ? [...ofLeft, ...join.left.fields.slice(left.fields.length)]
    : [...ofLeft, ...join.left.fields.slice(left.fields.length), ...ofRight, ...join.right.fields.slice(right.fields.length)]
  const plan = annotateNode({ ...join, fields })
  if (extraLeft === 0 && extraRight === 0) return plan
  const columns = before.fields.map((field, i) => columnExpr(i < left.fields.length ? i : i + extraLeft, field.type))
  return annotateNode(
    project(
      plan,
      columns,
      before.fields.map((field) => field.name),
    ),
  )
}

/** NOT IN as a plain anti join: a NULL on either side may be equal to anything. */
function withNullsCompared({ nullAware: _, ...join }: Node<'join'>): Node<'join'> {
  const pairs = join.leftKeys.map((key, i) => {
    const a = columnExpr(key, join.left.fields[key].type)
    const b = columnExpr(join.left.fields.length + join.rightKeys[i], join.right.fields[join.rightKeys[i]].type)
    const isNull = [a, b].filter(({ type }) => type.nullable).map((side) => resolveCall('IS_NULL', [side]))
    return isNull.reduce((any, one) => resolveCall('OR', [any, one]), resolveCall('EQUALS', [a, b]))
  })
  return { ...join, leftKeys: [], rightKeys: [], condition: andAll([...conjuncts(join.condition), ...pairs]) }
}

/** What a condition makes of a join. */
export function physicalJoin(join: Node<'join'>): Plan {
  if (join.nullAware)
    return windowJoinKeys(join) === undefined
      ? annotateNode({ ...join, fields: join.fields.map(withoutTime) })
      : physicalJoin(withNullsCompared(join))
  const parts = conjuncts(join.condition)
  const { left, right, kind } = join
  const at = join.span && { span: join.span }
  const base = { kind, changelog: 'append' as const, fields: join.fields, ...at }
  const windows = windowJoinKeys(join)
  if (windows !== undefined) {
    const width = left.fields.length
    const isWindowPair = (part: Expr): boolean =>
      isCall(part, 'EQUALS') &&
      [windows.left.start, windows.left.end].some((a, i) => {
        const b = width + [windows.right.start, windows.right.end][i]
        const indices = part.args.map((arg) => (arg.kind === 'column' ? arg.index : -1))
        return indices.includes(a) && indices.includes(b)
      })
    const { nullSafe: _, ...keys } = keyed(
      left,
      right,
      parts.filter((part) => !isWindowPair(part)),
      false,
    )
    return restored({ ...base, ...keys, node: 'windowJoin', leftWindow: windows.left, rightWindow: windows.right }, join)
  }
  const interval = intervalOf(parts, left, right)
  if (interval !== undefined) {
    const { nullSafe: _, ...keys } = keyed(left, right, interval.rest, false)
    const { leftTime, rightTime, lowerMs, upperMs } = interval
    return restored({ ...base, ...keys, node: 'intervalJoin', leftTime, rightTime, lowerMs, upperMs }, join)
  }
  const { nullSafe, ...keys } = keyed(left, right, parts, true)
  const plain = { ...join, fields: join.fields.map(withoutTime) }
  return restored(
    {
      ...base,
      ...keys,
      ...(join.ttlMs && { ttlMs: join.ttlMs }),
      fields: plain.fields,
      node: 'join',
      ...(nullSafe.includes(true) && { nullSafe }),
    },
    plain,
  )
}

/** @throws StreamError  SQL_TEMPORAL_JOIN where the right side has no key, or the condition does not compare it */
export function physicalTemporalJoin(join: Node<'temporalJoin'>): Plan {
  const { nullSafe, ...keys } = keyed(withEveryVersion(join.left), withEveryVersion(join.right), conjuncts(join.condition), true)
  const { condition: _, ...rest } = join
  const isEvent = join.rightTime >= 0
  const rightUnique = uniqueKeysOf(join.right)
  const refuse = (reason: string, instead: string): Error => sqlErrors('SQL_TEMPORAL_JOIN', { reason, instead, span: join.span })
  if (isEvent && rightUnique.length === 0)
    throw refuse(
      'the right side has no primary key',
      'Declare PRIMARY KEY (…) NOT ENFORCED on it, or keep the last row of each key in a view.',
    )
  if (keys.rightKeys.length === 0 || (isEvent && !rightUnique.some((key) => key.every((column) => keys.rightKeys.includes(column))))) {
    throw refuse(
      'the condition must compare the key of the right side with =',
      'Write ON left.key = right.key for each column of its primary key.',
    )
  }
  const physical = { ...rest, ...keys, ...(nullSafe.includes(true) && { nullSafe }) }
  return restored(isEvent && staysInParts(keys.left) ? markedJoin(physical) : physical, join)
}

/** A union of which some inputs take rows back, and others do not. */
function staysInParts(plan: Plan): boolean {
  if (plan.node === 'calc') return staysInParts(plan.input)
  return plan.node === 'union' && plan.inputs.some(takesBack) && plan.inputs.some((input) => !takesBack(input) || staysInParts(input))
}

/** Rows of the left side say whether they stay: of those that do, the join keeps nothing. */
function markedJoin(join: Node<'temporalJoin'>): Node<'temporalJoin'> {
  const width = join.left.fields.length
  const moved =
    join.condition && mapColumns(join.condition, (column) => (column.index < width ? column : { ...column, index: column.index + 1 }))
  return { ...join, left: marked(join.left), leftStays: width, ...(moved && { condition: moved }) }
}

/** With one more column, TRUE in rows that are never taken back. */
function marked(plan: Plan): Plan {
  if (!staysInParts(plan)) return annotateNode(appendColumns(plan, [literalExpr(!takesBack(plan), t.boolean(false))], () => '$stays'))
  if (plan.node === 'union') {
    const inputs = plan.inputs.map(marked)
    return annotateNode({ ...plan, inputs, fields: [...plan.fields, inputs[0].fields[plan.fields.length]] })
  }
  const { input, fields, projections } = plan as Node<'calc'>
  const own = marked(input)
  const field = own.fields[own.fields.length - 1]
  return annotateNode({
    ...(plan as Node<'calc'>),
    input: own,
    projections: [...projections, columnExpr(own.fields.length - 1, field.type)],
    fields: [...fields, field],
  })
}

// ---------------------------------------------------------------- intervals

interface Interval {
  leftTime: number
  rightTime: number
  lowerMs: number
  upperMs: number
  rest: Expr[]
}
interface Bound {
  leftTime: number
  rightTime: number
  /** right time >= left time + lowerMs, and <= left time + upperMs, where given. */
  lowerMs?: number
  upperMs?: number
}

/** Bounds on the distance between a time attribute of each side; both a lower and an upper one are needed. */
function intervalOf(parts: readonly Expr[], left: Plan, right: Plan): Interval | undefined {
  const bounds = parts.map((part) => boundOf(part, left, right))
  for (const first of bounds) {
    if (first === undefined) continue
    const isSame = (bound: Bound | undefined): bound is Bound => bound?.leftTime === first.leftTime && bound.rightTime === first.rightTime
    const same = bounds.filter(isSame)
    const lowerMs = Math.max(...same.flatMap((bound) => bound.lowerMs ?? []))
    const upperMs = Math.min(...same.flatMap((bound) => bound.upperMs ?? []))
    if (!Number.isFinite(lowerMs) || !Number.isFinite(upperMs)) continue
    return { leftTime: first.leftTime, rightTime: first.rightTime, lowerMs, upperMs, rest: parts.filter((_, i) => !isSame(bounds[i])) }
  }
  return undefined
}

const COMPARISONS = { GREATER: 1, GREATER_OR_EQUAL: 1, LESS: -1, LESS_OR_EQUAL: -1, EQUALS: 0 } as const

function boundOf(part: Expr, left: Plan, right: Plan): Bound | undefined {
  if (part.kind !== 'call' || !Object.hasOwn(COMPARISONS, part.fn)) return undefined
  const [a, b] = part.args.map(shiftedColumn)
  if (a === undefined || b === undefined) return undefined
  const width = left.fields.length
  const isLeft = [a, b].map(({ column }) => column < width)
  if (isLeft[0] === isLeft[1]) return undefined
  const [onLeft, onRight] = isLeft[0] ? [a, b] : [b, a]
  const leftField = left.fields[onLeft.column]
  const rightField = right.fields[onRight.column - width]
  if (leftField.timeAttribute === undefined || leftField.timeAttribute !== rightField.timeAttribute) return undefined
  // `a op b` with a on the left is `b reversed-op a`: sign is that of the right side's comparison.
  const sign = COMPARISONS[part.fn as keyof typeof COMPARISONS] * (isLeft[0] ? -1 : 1)
  const strictMs = part.fn === 'GREATER' || part.fn === 'LESS' ? 1 : 0
  const distanceMs = onLeft.offsetMs - onRight.offsetMs
  const bound: Bound = { leftTime: onLeft.column, rightTime: onRight.column - width }
  if (sign >= 0) bound.lowerMs = distanceMs + strictMs
  if (sign <= 0) bound.upperMs = distanceMs - strictMs
  return bound
}

/** A column plus or minus constant intervals. */
function shiftedColumn(expr: Expr): { column: number; offsetMs: number } | undefined {
  if (expr.kind === 'column') return { column: expr.index, offsetMs: 0 }
  if (!isCall(expr, 'PLUS_INTERVAL') && !isCall(expr, 'MINUS_INTERVAL')) return undefined
  const [base, interval] = expr.args
  const inner = shiftedColumn(base)
  if (inner === undefined || interval.kind !== 'literal' || interval.type.kind !== 'INTERVAL_DAY_TIME') return undefined
  const sign = expr.fn === 'PLUS_INTERVAL' ? 1 : -1
  return { column: inner.column, offsetMs: inner.offsetMs + sign * (interval.value as number) }
}
