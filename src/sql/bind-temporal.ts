// left JOIN right FOR SYSTEM_TIME AS OF left.ts: each row meets the version of the right side that was valid at its time.
import type { TableRef } from './ast.ts'
import { bindExpression } from './bind-expression.ts'
import type { Source } from './bind-from.ts'
import { bindTableRef } from './bind-from.ts'
import { joinFields } from './bind-plan.ts'
import type { BindContext, Env } from './bind-scope.ts'
import { joinScopes, retyped } from './bind-scope.ts'
import { bindCondition } from './bind-subquery.ts'
import { sqlErrors } from './errors.ts'
import { pastTimeOf } from './optimize-windows.ts'
import type { Plan } from './plan.ts'

type JoinRef = Extract<TableRef, { type: 'join' }>
type TableOnly = Extract<TableRef, { type: 'table' }>

/** @throws StreamError  SQL_TEMPORAL_JOIN; what the right side lacks is found when the plan is optimized */
export function bindTemporalJoin(ref: JoinRef, table: TableOnly, left: Source, context: BindContext, outer: Env | undefined): Source {
  const time = table.systemTime!
  const refuse = (reason: string, instead: string): Error => sqlErrors('SQL_TEMPORAL_JOIN', { reason, instead, span: time.span })
  const { kind } = ref
  if (kind !== 'INNER' && kind !== 'LEFT') throw refuse(`${kind} JOIN has no meaning here`, 'Use JOIN or LEFT JOIN.')
  if (ref.on === undefined) throw refuse('the join has no condition', 'Write ON left.key = right.key.')
  const leftTime = bindExpression(time, { context, scope: left.scope, outer })
  const isEvent = leftTime.kind === 'column' && pastTimeOf(left.plan, leftTime.index) === 'event'
  if (leftTime.kind !== 'column' || (!isEvent && left.plan.fields[leftTime.index].timeAttribute !== 'processing')) {
    throw refuse('the time must be a time attribute of the left side', 'Name the column that its WATERMARK is on, or a PROCTIME() column.')
  }
  const { systemTime: _, ...plain } = table
  const right = bindTableRef(plain, context, outer)
  const rightTime = right.plan.fields.findIndex((_, i) => pastTimeOf(right.plan, i) === 'event')
  if (isEvent && rightTime < 0) {
    throw sqlErrors('SQL_TEMPORAL_JOIN', {
      reason: 'the right side has no event time, so its versions have no order',
      instead: 'Declare a WATERMARK and a PRIMARY KEY on it, or join FOR SYSTEM_TIME AS OF a PROCTIME() column.',
      span: table.span,
    })
  }
  const scope = joinScopes(left.scope, right.scope, left.plan.fields.length)
  const condition = bindCondition(ref.on, { context, scope, outer }, 'the condition of the join')
  const fields = joinFields(kind, left.plan, right.plan)
  const plan: Plan = {
    node: 'temporalJoin',
    kind,
    left: left.plan,
    right: right.plan,
    leftKeys: [],
    rightKeys: [],
    leftTime: leftTime.index,
    rightTime: isEvent ? rightTime : -1,
    condition,
    fields: fields.map((field, i) => (i < left.plan.fields.length ? field : { name: field.name, type: field.type })),
    changelog: 'append',
    span: table.span,
  }
  return { plan, scope: retyped(scope, fields) }
}
