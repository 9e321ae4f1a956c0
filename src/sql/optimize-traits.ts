// What a node emits: its changelog mode, the keys that identify its rows, and whether its time attributes are still ones.
//
// Invariant: the functions look at one node and at its inputs, which have their traits already.
import { type Field, formatType } from '../data/index.ts'
import { withoutTime } from './bind-plan.ts'
import { sqlErrors } from './errors.ts'
import { pastTimeOf } from './optimize-windows.ts'
import type { Changelog, Expr, Plan, TableDef } from './plan.ts'
import { inputsOf, withInputs } from './plan-tree.ts'

const UPSERT_CONNECTORS = ['upsert-kafka', 'materialized-table']
const CHANGELOG_FORMATS = /^(debezium|canal|maxwell|ogg)-/

/** How the rows of a source change. */
export function changelogOfTable({ options }: TableDef): Changelog {
  if (UPSERT_CONNECTORS.includes(options.connector)) return 'upsert'
  return CHANGELOG_FORMATS.test(options.format ?? options['value.format'] ?? '') ? 'retract' : 'append'
}

function changelogOf(plan: Plan): Changelog {
  const inputs = inputsOf(plan)
  const isAppend = inputs.every((input) => input.changelog === 'append')
  switch (plan.node) {
    case 'scan':
      return changelogOfTable(plan.table)
    case 'windowAggregate':
      return plan.emit ? 'retract' : 'append'
    case 'values':
    case 'match':
    case 'intervalJoin':
    case 'windowJoin':
      return 'append'
    case 'groupAggregate':
    case 'setOperation':
    case 'normalize':
      return 'retract'
    case 'join':
      return isAppend && (plan.kind === 'INNER' || plan.kind === 'SEMI') ? 'append' : 'retract'
    case 'temporalJoin':
      return plan.left.changelog === 'append' ? 'append' : 'retract'
    case 'over':
      return plan.frame.timeOrdered ? 'append' : 'retract'
    case 'topN':
      return plan.windowed ? 'append' : 'retract'
    case 'deduplicate':
      return plan.keep === 'first' ? 'append' : 'retract'
    case 'limit':
      return isAppend && plan.orderBy.length === 0 ? 'append' : 'retract'
    case 'union':
      return isAppend ? 'append' : 'retract'
    default:
      return inputs[0].changelog
  }
}

/**
 * Whether a row that it has given out may leave again. What Flink calls updating need not: DISTINCT of rows that stay gives each once,
 * as do UNION and INTERSECT of them.
 */
export function takesBack(plan: Plan): boolean {
  if (plan.changelog === 'append') return false
  const isDistinct = plan.node === 'groupAggregate' && plan.aggregates.length === 0
  const isIntersection = plan.node === 'setOperation' && plan.operator === 'INTERSECT'
  return isDistinct || isIntersection || staysAsItsInputs.has(plan.node) ? inputsOf(plan).some(takesBack) : true
}
const staysAsItsInputs: ReadonlySet<Plan['node']> = new Set(['calc', 'correlate', 'expand', 'union', 'windowTvf'])

const APPEND_ONLY_INPUT: Partial<Record<Plan['node'], string>> = {
  intervalJoin: 'an interval join',
  windowJoin: 'a window join',
  sort: 'ORDER BY a time attribute',
  match: 'MATCH_RECOGNIZE',
}

/** @throws StreamError  SQL_UPDATING_INPUT */
function checkInputs(plan: Plan): void {
  const needs =
    APPEND_ONLY_INPUT[plan.node] ??
    (plan.node === 'over' && plan.frame.timeOrdered ? 'OVER ordered by time' : undefined) ??
    (plan.node === 'topN' && plan.windowed ? 'Top-N of windows' : undefined)
  // At the present time no version is there any longer that a row would be taken back with.
  const what = plan.node === 'temporalJoin' && plan.rightTime < 0 ? 'the left side of FOR SYSTEM_TIME AS OF a processing time' : needs
  const own = plan.node === 'temporalJoin' ? [plan.left] : inputsOf(plan)
  if (what !== undefined && own.some(({ changelog }) => changelog !== 'append'))
    throw sqlErrors('SQL_UPDATING_INPUT', { what, span: plan.span })
}

/** @throws StreamError  SQL_WINDOW_TIME_ATTRIBUTE where an operation below made the time column an ordinary one */
function checkTime(plan: Plan): void {
  if (plan.node === 'calc')
    for (const expr of plan.predicate ? [...plan.projections, plan.predicate] : plan.projections) checkWatermarkOf(expr, plan.input.fields)
  if (plan.node === 'match') {
    const field = plan.input.fields[plan.spec.orderBy[0].column]
    if (field.timeAttribute !== undefined) return
    throw sqlErrors('SQL_WINDOW_TIME_ATTRIBUTE', {
      fn: 'MATCH_RECOGNIZE',
      column: field.name,
      type: formatType(field.type),
      span: plan.span,
    })
  }
  if (plan.node !== 'windowTvf' && (plan.node !== 'windowAggregate' || plan.attached)) return
  const field = plan.input.fields[plan.timeColumn]
  const isPast = plan.node === 'windowAggregate' && pastTimeOf(plan.input, plan.timeColumn) !== undefined
  if (field.timeAttribute === undefined && !isPast) {
    throw sqlErrors('SQL_WINDOW_TIME_ATTRIBUTE', {
      fn: plan.window.kind,
      column: field.name,
      type: formatType(field.type),
      span: plan.span,
    })
  }
}

/** CURRENT_WATERMARK is that of an event time. */
function checkWatermarkOf(expr: Expr, fields: readonly Field[]): void {
  if (expr.kind !== 'call') return
  for (const arg of expr.args) checkWatermarkOf(arg, fields)
  if (expr.fn !== 'CURRENT_WATERMARK') return
  const [arg] = expr.args
  const field = arg.kind === 'column' ? fields[arg.index] : undefined
  if (field?.timeAttribute === 'event') return
  const column = field?.name ?? 'expression'
  throw sqlErrors('SQL_WINDOW_TIME_ATTRIBUTE', { fn: expr.fn, column, type: formatType(arg.type), span: expr.span })
}

/** Fields that only pass an input's through lose their time attribute where the input lost it. */
function passedFields(plan: Plan): Plan {
  const lost = (index: number): boolean => {
    switch (plan.node) {
      case 'calc': {
        const expr = plan.projections[index]
        return expr.kind === 'column' && plan.input.fields[expr.index].timeAttribute === undefined
      }
      case 'join':
        return true
      case 'union':
        return plan.inputs.some((input) => input.fields[index].timeAttribute === undefined)
      case 'windowTvf':
      case 'over':
      case 'topN':
      case 'deduplicate':
      case 'expand':
      case 'correlate':
      case 'limit':
      case 'sort':
      case 'normalize':
        return index < plan.input.fields.length && plan.input.fields[index].timeAttribute === undefined
      default:
        return false
    }
  }
  if (!plan.fields.some((field, i) => field.timeAttribute !== undefined && lost(i))) return plan
  return { ...plan, fields: plan.fields.map((field, i) => (lost(i) ? withoutTime(field) : field)) }
}

// ---------------------------------------------------------------- keys

const keyCache = new WeakMap<Plan, number[][]>()
/** Sets of columns of which each identifies a row. */
export function uniqueKeysOf(plan: Plan): number[][] {
  let keys = keyCache.get(plan)
  if (keys === undefined) {
    keys = dropWider(computeKeys(plan))
    keyCache.set(plan, keys)
  }
  return keys
}

const KEYS_MAX = 8
/** Without keys that hold a smaller one; smallest first. */
function dropWider(keys: number[][]): number[][] {
  const sorted = keys.map((key) => [...new Set(key)]).sort((a, b) => a.length - b.length)
  return sorted.filter((key, i) => !sorted.slice(0, i).some((other) => other.every((column) => key.includes(column)))).slice(0, KEYS_MAX)
}

function computeKeys(plan: Plan): number[][] {
  switch (plan.node) {
    case 'scan': {
      const key = plan.table.primaryKey?.map((column) => plan.columns.indexOf(column))
      return key === undefined || key.includes(-1) ? [] : [key]
    }
    case 'values':
      return plan.rows.length <= 1 ? [[]] : []
    case 'calc': {
      const position = new Map<number, number>()
      plan.projections.forEach((expr, i) => {
        if (expr.kind === 'column' && !position.has(expr.index)) position.set(expr.index, i)
      })
      return uniqueKeysOf(plan.input)
        .filter((key) => key.every((column) => position.has(column)))
        .map((key) => key.map((column) => position.get(column)!))
    }
    case 'windowTvf': {
      const keys = uniqueKeysOf(plan.input)
      const start = plan.input.fields.length
      return plan.window.kind === 'TUMBLE' || plan.window.kind === 'SESSION' ? keys : keys.map((key) => [...key, start + 1])
    }
    case 'windowAggregate': {
      const keys = plan.keys.map((_, i) => i)
      const first = plan.keys.length + plan.aggregates.length
      // Cumulative windows begin together.
      const columns = plan.windowColumns.flatMap((column, i) =>
        column === 'proctime' || (column === 'start' && plan.window.kind === 'CUMULATE') ? [] : [first + i],
      )
      return columns.map((column) => [...keys, column])
    }
    case 'groupAggregate':
      return [plan.keys.map((_, i) => i)]
    case 'join':
    case 'intervalJoin':
    case 'windowJoin':
      return joinKeys(plan)
    case 'temporalJoin':
      return uniqueKeysOf(plan.left)
    case 'topN': {
      const own = plan.from === plan.to ? [plan.partitionKeys] : plan.rankColumn ? [[...plan.partitionKeys, plan.input.fields.length]] : []
      return [...own, ...uniqueKeysOf(plan.input)]
    }
    case 'deduplicate':
      return [plan.keys]
    case 'normalize':
      return [plan.keys]
    case 'limit':
      return plan.limit === 1 ? [[]] : uniqueKeysOf(plan.input)
    case 'setOperation':
      return plan.all ? [] : [plan.fields.map((_, i) => i)]
    case 'watermark':
    case 'over':
    case 'sort':
      return uniqueKeysOf(plan.input)
    default:
      return []
  }
}

function joinKeys(plan: Extract<Plan, { node: 'join' | 'intervalJoin' | 'windowJoin' }>): number[][] {
  const left = uniqueKeysOf(plan.left)
  if (plan.kind === 'SEMI' || plan.kind === 'ANTI') return left
  const width = plan.left.fields.length
  const right = uniqueKeysOf(plan.right).map((key) => key.map((column) => column + width))
  const covers = (keys: number[][], columns: number[]): boolean => keys.some((key) => key.every((column) => columns.includes(column)))
  const result = left.flatMap((a) => right.map((b) => [...a, ...b]))
  const sides = { left: [...plan.leftKeys], right: [...plan.rightKeys] }
  if (plan.node === 'windowJoin') {
    sides.left.push(plan.leftWindow.start, plan.leftWindow.end)
    sides.right.push(plan.rightWindow.start, plan.rightWindow.end)
  }
  const rightColumns = sides.right.map((column) => column + width)
  if (covers(right, rightColumns) && (plan.kind === 'INNER' || plan.kind === 'LEFT')) result.push(...left)
  if (covers(left, sides.left) && (plan.kind === 'INNER' || plan.kind === 'RIGHT')) result.push(...right)
  return result
}

// ---------------------------------------------------------------- all together

/** The node with its traits; its inputs have theirs. */
export function annotateNode(node: Plan): Plan {
  checkInputs(node)
  checkTime(node)
  const plan = passedFields(node)
  const { upsertKey: _, ...rest } = plan
  const annotated: Plan = { ...rest, changelog: changelogOf(plan) }
  const [upsertKey] = uniqueKeysOf(annotated)
  if (upsertKey !== undefined) annotated.upsertKey = upsertKey
  return annotated
}

/** The whole tree with its traits, from the sources up. */
export const annotate = (plan: Plan): Plan => annotateNode(withInputs(plan, inputsOf(plan).map(annotate)))
