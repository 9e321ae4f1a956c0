// Stateful operators: `buildOperator` makes the one for a node of a plan. Watermarks, calc, scans and VALUES are the runtime's.
import type { Plan } from '../../sql/index.ts'
import { engineErrors } from '../errors.ts'
import { requirementsOf } from '../exchange/distribution.ts'
import { dividedBy, type Operator, type OperatorContext } from '../operator.ts'
import { NormalizeOperator, SetOperationOperator } from './changelogs.ts'
import { CorrelateOperator } from './correlate.ts'
import { DeduplicateOperator } from './deduplicate.ts'
import { EmittingWindowOperator } from './emittingWindow.ts'
import { GroupAggregateOperator } from './groupAggregate.ts'
import { IntervalJoinOperator } from './joins/intervalJoin.ts'
import { PresentJoinOperator } from './joins/presentJoin.ts'
import { RegularJoinOperator } from './joins/regularJoin.ts'
import { TemporalJoinOperator } from './joins/temporalJoin.ts'
import { WindowJoinOperator } from './joins/windowJoin.ts'
import { KeepLastOperator } from './keepLast.ts'
import { hasLocalPhase, isMergeableAggregate, LocalAggregateOperator, localFields, secondPhase } from './localAggregate.ts'
import { MatchOperator } from './match/match.ts'
import { OverOperator } from './over.ts'
import { UpdatingOverOperator } from './overUpdating.ts'
import { withoutRepeats } from './repeats.ts'
import { SessionAggregateOperator, SessionTvfOperator } from './sessionOperators.ts'
import { ExpandOperator, PassOperator } from './simple.ts'
import { SortOperator } from './sort.ts'
import { TopNOperator, type TopNSpec } from './topN.ts'
import { AppendTopNOperator } from './topNAppend.ts'
import { WindowAggregateOperator } from './windowAggregate.ts'
import { WindowTopNOperator } from './windowTopN.ts'
import { WindowTvfOperator } from './windowTvf.ts'

export { hasLocalPhase, isMergeableAggregate, LocalAggregateOperator, localFields, PassOperator, secondPhase }

/**
 * The operator of a node.
 *
 * @param timeZone  the session's, for conditions of joins
 * @param merges    of an aggregation: the second phase, behind a `LocalAggregateOperator`
 * @throws StreamError  OPERATOR_UNSUPPORTED, AGGREGATE_UNKNOWN
 */
export function buildOperator(plan: Plan, context: OperatorContext, timeZone = 'UTC', merges = false): Operator {
  const operator = operatorOf(plan, context, timeZone, merges)
  if (!('everyChange' in plan && plan.everyChange)) return operator
  const keys = plan.node === 'groupAggregate' ? plan.keys : plan.node === 'topN' ? plan.partitionKeys : []
  return withoutRepeats(
    operator,
    keys,
    keys.map((key) => plan.input.fields[key].type),
  )
}

function operatorOf(plan: Plan, context: OperatorContext, timeZone: string, merges: boolean): Operator {
  switch (plan.node) {
    case 'windowTvf':
      return plan.window.kind === 'SESSION' ? new SessionTvfOperator(plan, context) : new WindowTvfOperator(plan, context)
    case 'windowAggregate':
      return buildWindowAggregate(plan, context)
    case 'groupAggregate':
      return new GroupAggregateOperator(plan, context, merges)
    case 'expand':
      return new ExpandOperator(plan, context)
    case 'join':
      return new RegularJoinOperator(plan, context, timeZone)
    case 'intervalJoin':
      return new IntervalJoinOperator(plan, context, timeZone)
    case 'windowJoin':
      return new WindowJoinOperator(plan, context, timeZone)
    case 'temporalJoin':
      return plan.left.fields[plan.leftTime].timeAttribute === 'processing'
        ? new PresentJoinOperator(plan, context, timeZone)
        : new TemporalJoinOperator(plan, context, timeZone)
    case 'correlate':
      return new CorrelateOperator(plan, context, timeZone)
    case 'topN':
      return plan.windowed ? new WindowTopNOperator(plan, plan.windowed, context) : buildTopN(plan, context)
    case 'limit':
      return buildTopN(
        {
          ...plan,
          partitionKeys: [],
          from: plan.offset + 1,
          to: plan.limit === undefined ? Infinity : plan.offset + plan.limit,
          rankColumn: false,
        },
        context,
      )
    case 'deduplicate':
      return plan.keep === 'last' ? new KeepLastOperator(plan, context) : new DeduplicateOperator(plan, context)
    case 'over':
      return plan.frame.timeOrdered ? new OverOperator(plan, context) : new UpdatingOverOperator(plan, context)
    case 'sort':
      return new SortOperator(plan, context)
    case 'setOperation':
      return new SetOperationOperator(plan, context)
    case 'match':
      return new MatchOperator(plan, context, timeZone)
    case 'normalize':
      return new NormalizeOperator(plan, context)
    default:
      throw engineErrors('OPERATOR_UNSUPPORTED', { what: `the node "${plan.node}"` })
  }
}

const buildTopN = (spec: TopNSpec, context: OperatorContext): Operator =>
  spec.input.changelog === 'append' ? new AppendTopNOperator(spec, context) : new TopNOperator(spec, context)

function buildWindowAggregate(plan: Plan & { node: 'windowAggregate' }, context: OperatorContext): Operator {
  if (plan.emit) return new EmittingWindowOperator({ ...plan, emit: plan.emit }, context)
  if (plan.window.kind !== 'SESSION' || plan.attached) return new WindowAggregateOperator(plan, context)
  const { partitionKeys } = plan.window
  if (partitionKeys.length === plan.keys.length && plan.keys.every((key) => partitionKeys.includes(key)))
    return new SessionAggregateOperator(plan, context)
  return sessionsThenGroups(plan, context)
}

/** Sessions of other keys than those of GROUP BY: rows get their session's limits first, and are grouped when it closes. */
function sessionsThenGroups(plan: Plan & { node: 'windowAggregate' }, context: OperatorContext): Operator {
  const { input } = plan
  const width = input.fields.length
  const windowFields = ['window_start', 'window_end', 'window_time'].map((name) => ({
    name,
    type: { kind: 'TIMESTAMP' as const, precision: 3, nullable: false },
  }))
  const fields = [...input.fields, ...windowFields]
  const tvfPlan: Plan & { node: 'windowTvf' } = {
    node: 'windowTvf',
    fields,
    changelog: 'append',
    input,
    window: plan.window,
    timeColumn: plan.timeColumn,
  }
  const groups = new WindowAggregateOperator(
    { ...plan, input: tvfPlan, attached: { start: width, end: width + 1 }, timeColumn: width + 2 },
    { ...context, inputFields: [fields] },
  )
  const sessions = new SessionTvfOperator(tvfPlan, { ...context, emit: (batch) => groups.process(batch), outputFields: fields })
  return {
    process: (batch) => sessions.process(batch),
    advance: (watermarkMs) => {
      sessions.advance(watermarkMs)
      groups.advance(watermarkMs)
    },
    tick: (nowMs) => {
      sessions.tick(nowMs)
      groups.tick(nowMs)
    },
    snapshot: () => [sessions.snapshot(), groups.snapshot()],
    restore: (state, adds) => {
      const [ofSessions, ofGroups] = state as [unknown, unknown]
      sessions.restore(ofSessions, adds)
      groups.restore(ofGroups, adds)
    },
    divide: (division) => {
      const [common = []] = requirementsOf(plan).map((wanted) => (wanted.kind === 'hash' ? wanted.columns : []))
      const by = (keys: readonly number[]) =>
        dividedBy(
          division,
          common.map((key) => keys.indexOf(key)),
        )
      const ofSessions = sessions.divide(by(plan.window.partitionKeys))
      const ofGroups = groups.divide(by(plan.keys))
      return (part) => [ofSessions(part), ofGroups(part)]
    },
    stateTables: () => [...sessions.stateTables(), ...groups.stateTables()],
    describe: () => sessions.describe(),
  }
}
