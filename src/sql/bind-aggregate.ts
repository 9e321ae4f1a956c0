// GROUP BY: keys, grouping sets, aggregates, and the old window functions TUMBLE, HOP and SESSION in GROUP BY.
//
//   rows ──calc──> keys and arguments ──[expand]──> one row per grouping set ──groupAggregate──> keys, [set id], aggregates
//
// Whether this is a window aggregate (keys hold window_start and window_end) is decided in `optimize-windows.ts`.
import type { Field } from '../data/index.ts'
import { t, withNullable } from '../data/index.ts'
import type { Expression, FunctionCall, GroupItem, SelectQuery, Span } from './ast.ts'
import { groupingSetsOf, walk, windowParts } from './ast-walk.ts'
import { bindAggregateCall, isAggregateCall } from './bind-aggregate-call.ts'
import { bindExpression, functionName } from './bind-expression.ts'
import { LegacyWindow } from './bind-legacy-window.ts'
import { ColumnCollector, project } from './bind-plan.ts'
import type { BindContext } from './bind-scope.ts'
import { bindColumn } from './bind-scope.ts'
import type { Stage } from './bind-subquery.ts'
import { stageOf } from './bind-subquery.ts'
import { sqlErrors } from './errors.ts'
import { columnExpr, exprKey, literalExpr } from './expr.ts'
import { resolveCall } from './functions/index.ts'
import { windowsOf } from './optimize-windows.ts'
import type { AggregateCall, Expr, Plan } from './plan.ts'
import { stateTtlHints } from './state-ttl.ts'

type CallNode = Expression & FunctionCall & { span: Span }
const GROUPING_FUNCTIONS = ['GROUPING', 'GROUPING_ID', 'GROUP_ID']

/** Calls of aggregates in an expression, but for those with OVER, whose arguments may hold some. */
function aggregateCalls(nodes: readonly Expression[], context: BindContext): CallNode[] {
  const calls: CallNode[] = []
  for (const node of nodes) {
    walk(node, (part) => {
      if (part.type !== 'call' || part.over !== undefined || !isAggregateCall(part, context)) return true
      calls.push(part)
      return false
    })
  }
  return calls
}

/** What a query computes after GROUP BY: where aggregates may stand. */
const outputsOf = (query: SelectQuery): Expression[] => [
  ...query.items.map((item) => item.expression),
  ...query.orderBy.map((item) => item.expression),
  ...query.windows.flatMap(({ spec }) => windowParts(spec)),
  ...(query.having ? [query.having] : []),
  ...(query.qualify ? [query.qualify] : []),
]

/**
 * The stage behind GROUP BY; the stage itself where the query neither groups nor aggregates.
 *
 * @throws StreamError  SQL_COLUMN_NOT_GROUPED, SQL_AGGREGATE_ARGUMENTS, SQL_DISTINCT_UNSUPPORTED and others
 */
export function bindGroupBy(stage: Stage, query: SelectQuery & { span: Span }): Stage {
  const outputs = outputsOf(query)
  const calls = aggregateCalls(outputs, stage.env.context)
  if (query.groupBy === undefined && query.having === undefined && calls.length === 0) return stage
  return new Grouping(stage, query, calls, outputs).stage()
}

class Grouping {
  private readonly input: Stage
  private readonly query: SelectQuery & { span: Span }
  private readonly calls: readonly CallNode[]
  private readonly collector = new ColumnCollector(exprKey)
  /** exprKey of a key to its ordinal among the keys. */
  private readonly keyOrdinals = new Map<string, number>()
  private readonly keys: Expr[] = []
  private readonly sets: number[][]
  private readonly aggregates: AggregateCall[] = []
  private readonly aggregateOrdinals = new Map<string, number>()
  private readonly ordinalOfCall = new Map<Expression, number>()
  private readonly window: LegacyWindow | undefined
  private keyFields: Field[] = []

  constructor(input: Stage, query: SelectQuery & { span: Span }, calls: readonly CallNode[], outputs: readonly Expression[]) {
    this.input = input
    this.query = query
    this.calls = calls
    const items = query.groupBy ?? []
    const windowItem = items.find((item) => item.type === 'expression' && LegacyWindow.isWindow(item.expression))
    this.window = windowItem?.type === 'expression' ? new LegacyWindow(windowItem.expression as CallNode, input, outputs) : undefined
    this.sets = this.groupingSets(items.filter((item) => item !== windowItem))
    if (this.window !== undefined && this.sets.length > 1) {
      throw sqlErrors('SQL_NOT_SUPPORTED', {
        what: 'a window function in GROUP BY together with grouping sets',
        instead: 'Use TABLE(TUMBLE(…)) in FROM and group by window_start and window_end.',
        span: query.span,
      })
    }
  }

  stage(): Stage {
    for (const key of this.keys) this.collector.add(key)
    for (const call of this.calls) this.ordinalOfCall.set(call, this.addAggregate(call))
    const plan = this.plan()
    const { env } = this.input
    return stageOf(plan, { ...env, lower: (expr, span) => this.lower(expr, span), intercept: (node) => this.intercept(node) })
  }

  // ---- keys

  private addKey(node: Expression): number {
    const expr = bindExpression(node, this.input.env)
    const key = exprKey(expr)
    let ordinal = this.keyOrdinals.get(key)
    if (ordinal === undefined) {
      ordinal = this.keys.push(expr) - 1
      this.keyOrdinals.set(key, ordinal)
    }
    return ordinal
  }

  /** Every combination of one set from each item; plain keys are in all. */
  private groupingSets(items: readonly GroupItem[]): number[][] {
    let sets: number[][] = [[]]
    for (const item of items) {
      const alternatives = item.type === 'expression' ? [[this.addKey(item.expression)]] : this.expandItem(item)
      sets = sets.flatMap((set) => alternatives.map((other) => [...new Set([...set, ...other])]))
    }
    return sets
  }

  private expandItem({ kind, sets }: Extract<GroupItem, { type: 'sets' }>): number[][] {
    return groupingSetsOf(
      kind,
      sets.map((set) => set.map((node) => this.addKey(node))),
    )
  }

  private get hasSets(): boolean {
    return this.sets.length > 1 || this.sets[0].length < this.keys.length
  }

  // ---- aggregates

  private addAggregate(call: CallNode): number {
    const aggregate = bindAggregateCall(call, {
      env: this.input.env,
      columnOf: (expr) => this.collector.add(expr),
      isNeverEmpty: this.isNeverEmpty,
    })
    const key = JSON.stringify(aggregate)
    let ordinal = this.aggregateOrdinals.get(key)
    if (ordinal === undefined) {
      ordinal = this.aggregates.push(aggregate) - 1
      this.aggregateOrdinals.set(key, ordinal)
    }
    return ordinal
  }

  /** A group has at least one row, but the one group of a query without GROUP BY. */
  private get isNeverEmpty(): boolean {
    return (this.query.groupBy ?? []).some((item) => item.type === 'expression' || item.sets.length !== 1 || item.sets[0].length > 0)
  }

  // ---- plan

  private plan(): Plan {
    const { plan: source } = this.input
    const { keys, aggregates } = this
    if (this.window !== undefined) {
      const timeColumn = this.collector.add(this.window.timeColumn)
      const input = this.projected(source)
      this.keyFields = keys.map((_, i) => ({ name: input.fields[i].name, type: input.fields[i].type }))
      return this.window.plan(input, timeColumn, keys.length, aggregates, [...this.keyFields, ...this.aggregateFields()])
    }
    let input = this.projected(source)
    if (this.hasSets) input = this.expanded(input)
    const windows = windowsOf(input)
    const isWindowed = windows?.start !== undefined && windows.end !== undefined && windows.start < keys.length && windows.end < keys.length
    const keyOrdinals = keys.map((_, i) => i)
    if (this.hasSets) keyOrdinals.push(input.fields.length - 1)
    this.keyFields = keyOrdinals.map((ordinal): Field => {
      const { name, type, timeAttribute } = input.fields[ordinal]
      // Grouped by its window, the time of the window stays a time attribute.
      return isWindowed && windows.time === ordinal ? { name, type, timeAttribute } : { name, type }
    })
    const fields = [...this.keyFields, ...this.aggregateFields()]
    const [ttlMs] = stateTtlHints(this.query.hints).values()
    return {
      node: 'groupAggregate',
      input,
      keys: keyOrdinals,
      aggregates,
      fields,
      changelog: 'append',
      span: this.query.span,
      ...(ttlMs !== undefined && { ttlMs }),
    }
  }

  private projected(source: Plan): Plan {
    const names = this.collector.exprs.map((expr, i) => (expr.kind === 'column' ? source.fields[expr.index].name : `$f${i}`))
    return project(source, this.collector.exprs, names)
  }

  private aggregateFields(): Field[] {
    return this.aggregates.map(({ fn, type }, i) => ({ name: `$${fn.toLowerCase()}${i}`, type }))
  }

  /** Each row once per set. Bits of the id, from the first key down: 1 where the key is not in the set; equal sets differ above these. */
  private expanded(input: Plan): Plan {
    const { keys, sets } = this
    const plans = sets.map((set, i) => {
      const nulled = keys.flatMap((_, key) => (set.includes(key) ? [] : [key]))
      const bits = nulled.reduce((sum, key) => sum | (1n << BigInt(keys.length - 1 - key)), 0n)
      const repeats = sets.slice(0, i).filter((other) => sameSet(other, set)).length
      return { nulled, id: bits + (BigInt(repeats) << BigInt(keys.length)) }
    })
    const isNulled = (key: number): boolean => plans.some(({ nulled }) => nulled.includes(key))
    const fields = input.fields.map((field, i) => (isNulled(i) ? { ...field, type: withNullable(field.type, true) } : field))
    // An argument that is a key, too, must not become NULL with it: it gets a column of its own.
    const own = new Set(
      this.aggregates.flatMap(({ args, filter }) => [...args, ...(filter === undefined ? [] : [filter])]).filter(isNulled),
    )
    let source = input
    if (own.size > 0) {
      const moved = new Map([...own].map((ordinal, i) => [ordinal, input.fields.length + i]))
      const all = [...input.fields.map((_, i) => i), ...own]
      source = project(
        input,
        all.map((ordinal) => columnExpr(ordinal, input.fields[ordinal].type)),
        all.map((ordinal) => input.fields[ordinal].name),
      )
      for (const ordinal of own) fields.push(input.fields[ordinal])
      for (const aggregate of this.aggregates) {
        aggregate.args = aggregate.args.map((arg) => moved.get(arg) ?? arg)
        if (aggregate.filter !== undefined) aggregate.filter = moved.get(aggregate.filter) ?? aggregate.filter
      }
    }
    return {
      node: 'expand',
      input: source,
      sets: plans,
      fields: [...fields, { name: '$expand_id', type: t.bigint(false) }],
      changelog: 'append',
    }
  }

  // ---- expressions behind GROUP BY

  /** A column of the input as one of the keys. */
  private lower(expr: Expr, span: Span): Expr {
    const key = this.keyOf(expr)
    if (key !== undefined) return key
    if (expr.kind === 'call' && expr.fn === 'FIELD')
      return resolveCall('FIELD', [this.lower(expr.args[0], span)], { span, options: expr.options })
    const column = expr.kind === 'column' ? this.input.plan.fields[expr.index].name : 'expression'
    throw sqlErrors('SQL_COLUMN_NOT_GROUPED', { column, span })
  }

  private keyOf(expr: Expr): Expr | undefined {
    const ordinal = this.keyOrdinals.get(exprKey(expr))
    return ordinal === undefined ? undefined : columnExpr(ordinal, this.keyFields[ordinal].type)
  }

  private intercept(node: Expression): Expr | undefined {
    const aggregate = this.ordinalOfCall.get(node)
    if (aggregate !== undefined) return columnExpr(this.keyFields.length + aggregate, this.aggregates[aggregate].type)
    if (node.type === 'call') {
      const name = functionName(node)
      if (GROUPING_FUNCTIONS.includes(name)) return this.groupingId(name, node)
      const column = this.window?.auxiliary(name, node, this.input.env, this.keyFields.length + this.aggregates.length)
      if (column !== undefined) return column
    }
    const isComplexKey = this.keys.some((key) => key.kind === 'call') && this.isPlain(node)
    return isComplexKey ? this.keyOf(bindExpression(node, this.input.env)) : undefined
  }

  /** No aggregates, sub-queries or OVER below: it could be a key as a whole. */
  private isPlain(node: Expression): boolean {
    let plain = node.type !== 'literal'
    walk(node, (part) => {
      if (
        part.type === 'subquery' ||
        part.type === 'exists' ||
        part.type === 'quantified' ||
        part.type === 'star' ||
        (part.type === 'in' && part.query)
      )
        plain = false
      if (part.type === 'call' && (part.over !== undefined || this.ordinalOfCall.has(part) || this.isSpecial(part))) plain = false
      return plain
    })
    return plain
  }
  private isSpecial(call: FunctionCall): boolean {
    const name = functionName(call)
    return GROUPING_FUNCTIONS.includes(name) || LegacyWindow.isAuxiliary(name)
  }

  /** GROUPING(a, b): bits of the set's id, the last argument lowest. */
  private groupingId(name: string, node: CallNode): Expr {
    const keyCount = this.keys.length
    const id = columnExpr(keyCount, t.bigint(false))
    const big = (value: bigint): Expr => literalExpr(value, t.bigint(false))
    const bit = (power: number): Expr => resolveCall('DIVIDE', [id, big(1n << BigInt(power))])
    if (name === 'GROUP_ID') return this.hasSets ? bit(keyCount) : big(0n)
    const ordinals = node.args.map((arg) => {
      const key = this.keyOrdinals.get(
        exprKey(arg.type === 'column' ? bindColumn(arg.name, this.input.env) : bindExpression(arg, this.input.env)),
      )
      if (key === undefined) throw sqlErrors('SQL_GROUPING_INVALID', { name, span: arg.span })
      return key
    })
    if (ordinals.length === 0) throw sqlErrors('SQL_GROUPING_INVALID', { name, span: node.span })
    if (!this.hasSets) return big(0n)
    const bits = ordinals.map((ordinal) => resolveCall('MOD', [bit(keyCount - 1 - ordinal), big(2n)]))
    return bits.reduce((sum, one) => resolveCall('PLUS', [resolveCall('TIMES', [sum, big(2n)]), one]))
  }
}

const sameSet = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((key) => b.includes(key))
