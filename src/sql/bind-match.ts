// MATCH_RECOGNIZE: what Flink can do of it, and a plain word for what it cannot.

import { nearestName } from '../base/index.ts'
import type { Field, SqlType } from '../data/index.ts'
import { t, withNullable } from '../data/index.ts'
import { isAggregateFunction, mayHoldNull } from './aggregates.ts'
import type { Expression, FunctionCall, Identifier, MatchSpec, Pattern, Span, TableRef } from './ast.ts'
import { walk } from './ast-walk.ts'
import { bindAggregateCall } from './bind-aggregate-call.ts'
import { bindExpression, functionName } from './bind-expression.ts'
import type { Source } from './bind-from.ts'
import { columnsOfPlan, project } from './bind-plan.ts'
import { sortKey } from './bind-query.ts'
import type { BindContext, Env, Scope } from './bind-scope.ts'
import { bindCondition } from './bind-subquery.ts'
import { constantIntervalMs } from './bind-window.ts'
import { sqlErrors } from './errors.ts'
import { columnExpr, exprKey } from './expr.ts'
import type { Expr, MatchPlan, MatchStep, MatchValue, Plan, SortKey } from './plan.ts'

type MatchRef = Extract<TableRef, { type: 'match' }>
type CallNode = FunctionCall & { span: Span }

const MATCH_FUNCTIONS: ReadonlySet<string> = new Set(['PREV', 'NEXT', 'MATCH_ROWTIME', 'MATCH_PROCTIME'])

const refuse = (what: string, instead: string, span: Span): Error => sqlErrors('SQL_MATCH_UNSUPPORTED', { what, instead, span })

/** @throws StreamError  SQL_MATCH_UNSUPPORTED, SQL_MATCH_VARIABLE and those of expressions */
export function bindMatch({ spec, span }: MatchRef, context: BindContext, input: Source): Plan {
  const matcher = new Matcher(spec, context, input)
  return matcher.plan(span)
}

class Matcher {
  private readonly spec: MatchSpec
  private readonly env: Env
  private readonly source: Plan
  /** The input's columns, then what conditions and measures compute from one row. */
  private readonly columns: Expr[]
  private readonly columnKeys: Map<string, number>
  private readonly variables: string[] = []
  private readonly pattern: MatchStep[]

  constructor(spec: MatchSpec, context: BindContext, input: Source) {
    this.spec = spec
    this.source = input.plan
    this.env = { context, scope: input.scope }
    this.columns = columnsOfPlan(input.plan)
    this.columnKeys = new Map(this.columns.map((column, i) => [exprKey(column), i]))
    if (spec.subsets.length > 0) throw refuse('SUBSET is not supported', 'Name the variables one by one.', spec.subsets[0].name.span)
    if (spec.rowsPerMatch === 'ALL')
      throw refuse('ALL ROWS PER MATCH is not supported', 'Write ONE ROW PER MATCH, with MEASURES.', spec.span)
    this.pattern = this.steps(spec.pattern)
    this.pattern.forEach(({ min, variable }, i) => {
      const before = this.pattern[i - 1]
      if (min > 0 || !before?.greedy) return
      const [name, other] = [this.variables[variable], this.variables[before.variable]]
      throw refuse(
        `${name} may be empty after the greedy ${other}`,
        `Make ${other} reluctant with a ? behind its quantifier, or ${name} at least one row.`,
        spec.pattern.span,
      )
    })
    const last = this.pattern.at(-1)!
    if (last.greedy) {
      throw refuse(
        'the last variable of the pattern is greedy',
        'End the pattern with a plain variable, or with a reluctant quantifier such as +?.',
        spec.pattern.span,
      )
    }
    if (this.pattern.every(({ min }) => min === 0))
      throw refuse('a match may have no row', 'Let one variable of the pattern take at least one row.', spec.pattern.span)
  }

  plan(span: Span): Plan {
    const { spec, env } = this
    const partitionKeys = spec.partitionBy.map((node) => this.columnOf(bindExpression(node, env)))
    const orderBy = this.orderBy()
    const define = this.variables.map((): MatchPlan['define'][number] => undefined)
    for (const { variable, condition } of spec.define) {
      const values = new Values(this, 'condition')
      const ordinal = this.variable(variable)
      if (define[ordinal])
        throw refuse(`the variable ${variable.name} is defined twice`, 'Join the two conditions with AND or OR.', variable.span)
      define[ordinal] = {
        condition: bindCondition(condition, values.env(), `the condition of ${variable.name}`),
        values: values.list,
      }
    }
    const values = new Values(this, 'measure')
    const exprs = spec.measures.map(({ expression }) => bindExpression(expression, values.env()))
    const keyFields = partitionKeys.map(
      (column): Field => ({ name: this.source.fields[column]?.name ?? `$key${column}`, type: this.columns[column].type }),
    )
    const measureFields = spec.measures.map(({ expression, alias }, i): Field => {
      const field: Field = { name: alias.name, type: measureType(exprs[i].type) }
      const name = expression.type === 'call' ? functionName(expression) : ''
      return name === 'MATCH_ROWTIME'
        ? { ...field, timeAttribute: 'event' }
        : name === 'MATCH_PROCTIME'
          ? { ...field, timeAttribute: 'processing' }
          : field
    })
    this.requireNames(keyFields)
    const match: MatchPlan = {
      partitionKeys,
      orderBy,
      variables: this.variables,
      pattern: this.pattern,
      define,
      measures: { values: values.list, exprs },
      afterMatch: this.afterMatch(),
    }
    if (spec.within) {
      const withinMs = constantIntervalMs(spec.within, env.context, (reason, at) =>
        refuse(`WITHIN: ${reason}`, "Write WITHIN INTERVAL '1' HOUR.", at ?? spec.within!.span),
      )
      // As in Flink: no time at all is no limit.
      if (withinMs > 0) match.withinMs = withinMs
    }
    const names = this.columns.map((_, i) => this.source.fields[i]?.name ?? `$f${i}`)
    const input = this.columns.length === this.source.fields.length ? this.source : project(this.source, this.columns, names)
    return { node: 'match', input, spec: match, fields: [...keyFields, ...measureFields], changelog: 'append', span }
  }

  /** Each column of the result has a name of its own, and there are columns beside the keys. */
  private requireNames(keys: readonly Field[]): void {
    const { measures } = this.spec
    if (measures.length === 0)
      throw refuse('it has no MEASURES', 'Say what the row of a match shows: MEASURES a.price AS price.', this.spec.span)
    const taken = new Set<string>()
    keys.forEach(({ name }, i) => {
      if (taken.has(name)) throw refuse(`the key ${name} stands twice`, 'Name each key once.', this.spec.partitionBy[i].span)
      taken.add(name)
    })
    for (const { alias } of measures) {
      if (taken.has(alias.name))
        throw refuse(`two columns of the result are named ${alias.name}`, 'Keys and measures need different names.', alias.span)
      taken.add(alias.name)
    }
  }

  // ---- pattern

  private steps(pattern: Pattern): MatchStep[] {
    switch (pattern.type) {
      case 'sequence':
        return pattern.items.flatMap((item) => this.steps(item))
      case 'variable':
        return [{ variable: this.newVariable(pattern.name), min: 1, max: 1, greedy: false }]
      case 'quantified': {
        if (pattern.item.type !== 'variable')
          throw refuse('a quantifier on a group is not supported', 'Put quantifiers on single variables: a+ b+.', pattern.span)
        const { min, max } = pattern
        const isOptional = min === 0 && max === 1
        if (isOptional && !pattern.greedy) throw refuse('the reluctant ?? is not supported', 'Write ?: both ways are tried.', pattern.span)
        const greedy = pattern.greedy && !isOptional && min !== max
        return [{ variable: this.newVariable(pattern.item.name), min, ...(max !== undefined && { max }), greedy }]
      }
      case 'alternation':
        throw refuse('alternatives (a | b) are not supported', 'Put the alternatives into one condition: DEFINE x AS … OR ….', pattern.span)
      case 'permute':
        throw refuse('PERMUTE is not supported', 'Write one MATCH_RECOGNIZE for each order, and UNION ALL.', pattern.span)
      case 'exclusion':
        throw refuse(
          'exclusion {- … -} is not supported',
          'Leave the variable out of MEASURES: with ONE ROW PER MATCH it is not shown.',
          pattern.span,
        )
    }
  }

  private newVariable({ name, span }: Identifier): number {
    if (this.variables.includes(name))
      throw refuse(`the variable ${name} stands twice in the pattern`, 'Give each place a variable of its own.', span)
    return this.variables.push(name) - 1
  }

  variable({ name, span }: Identifier): number {
    const ordinal = this.variables.indexOf(name)
    if (ordinal < 0) throw sqlErrors('SQL_MATCH_VARIABLE', { name, nearest: nearestName(name, this.variables), span })
    return ordinal
  }
  hasVariable(name: string): boolean {
    return this.variables.includes(name)
  }

  private orderBy(): SortKey[] {
    const { spec, env } = this
    const keys = spec.orderBy.map((item) => sortKey(this.columnOf(bindExpression(item.expression, env)), item))
    const first = keys[0] && this.source.fields[keys[0].column]
    if (first?.timeAttribute === undefined || keys[0].descending) {
      throw refuse(
        'ORDER BY must begin with a time attribute, ascending',
        'Write ORDER BY and the column that has the WATERMARK.',
        spec.orderBy[0]?.span ?? spec.span,
      )
    }
    return keys
  }

  private afterMatch(): MatchPlan['afterMatch'] {
    const { afterMatch } = this.spec
    if (afterMatch === undefined) return { kind: 'NEXT ROW' }
    if (!('variable' in afterMatch)) return { kind: afterMatch.kind }
    const variable = this.variable(afterMatch.variable)
    const [first] = this.pattern
    const isFirstRow = first.variable === variable && first.min > 0 && (afterMatch.kind === 'FIRST' || first.max === 1)
    if (isFirstRow)
      throw refuse(
        `AFTER MATCH SKIP TO ${afterMatch.variable.name} goes back to the first row of the match`,
        'Write AFTER MATCH SKIP TO NEXT ROW, or name a variable that comes later.',
        afterMatch.variable.span,
      )
    return { kind: afterMatch.kind, variable }
  }

  // ---- columns

  columnOf(expr: Expr): number {
    const key = exprKey(expr)
    let ordinal = this.columnKeys.get(key)
    if (ordinal === undefined) {
      ordinal = this.columns.push(expr) - 1
      this.columnKeys.set(key, ordinal)
    }
    return ordinal
  }

  get timeColumn(): number {
    return this.columnOf(bindExpression(this.spec.orderBy[0].expression, this.env))
  }

  /** An expression over one row, in which all names have the same variable in front, or none. @param within  the function that reads it */
  overRow(node: Expression, within: string): { expr: Expr; variables?: number[] } {
    const seen = new Set<string | undefined>()
    walk(node, (part) => {
      if (part.type === 'column') seen.add(this.qualifierOf(part))
      if (part.type === 'star' && part.qualifier)
        throw refuse(`${part.qualifier.parts[0].name}.* is not supported`, 'COUNT a column of the variable that is never NULL.', part.span)
      return true
    })
    if (seen.size > 1) throw refuse('one function reads rows of several variables', 'Use one variable in each function.', node.span)
    const [variable] = seen
    const isStar = node.type === 'star'
    const expr = isStar ? columnExpr(0, t.null()) : bindExpression(node, this.rowEnv(variable, within))
    return { expr, ...(variable !== undefined && { variables: [this.variables.indexOf(variable)] }) }
  }

  private rowEnv(variable: string | undefined, within: string): Env {
    const env: Env = {
      ...this.env,
      scope: this.scopeOf(variable),
      intercept: (node) => {
        if (node.type !== 'call' || node.over !== undefined) return undefined
        const name = functionName(node)
        if (name !== 'FIRST' && name !== 'LAST') {
          if (!MATCH_FUNCTIONS.has(name) && !isAggregateFunction(name)) return undefined
          throw refuse(`${name} stands inside of ${within}`, `Give ${within} columns of one variable, such as a.price.`, node.span)
        }
        if (!isAggregateFunction(within))
          throw refuse(`${name} stands inside of ${within}`, `Use one of them, with an offset: ${within}(a.price, 1).`, node.span)
        // An aggregate has each row in hand: as in Flink, the first and the last one are that row.
        this.navigated(name, node)
        return bindExpression(node.args[0], { ...env, intercept: this.rowEnv(variable, name).intercept })
      },
    }
    return env
  }

  /** Rows to go from the first or the last one. */
  navigated(name: string, { args, span }: CallNode): number {
    if (args.length === 0 || args.length > 2)
      throw refuse(`${name} takes a column and perhaps an offset`, `Write ${name}(a.price, 1).`, span)
    if (args.length === 1) return 0
    const bound = bindExpression(args[1], this.env)
    if (bound.kind !== 'literal' || typeof bound.value !== 'number' || bound.value < 0)
      throw sqlErrors('SQL_NOT_CONSTANT', { what: `the offset of ${name}`, expected: 'a number of rows, 0 or more', span: args[1].span })
    return bound.value
  }

  qualifierOf(node: Extract<Expression, { type: 'column' }>): string | undefined {
    const { parts } = node.name
    return parts.length > 1 && this.hasVariable(parts[0].name) ? parts[0].name : undefined
  }

  private scopeOf(variable: string | undefined): Scope {
    const { scope } = this.env
    return variable === undefined
      ? scope
      : { tables: [{ name: variable, columns: scope.tables.flatMap((table) => table.columns) }], common: [] }
  }

  /** How many rows a match has at least: of the variable, or in all. */
  rowCountMin(variables: readonly number[] | undefined): number {
    return this.pattern.reduce((sum, { variable, min }) => (variables?.includes(variable) === false ? sum : sum + min), 0)
  }

  get inputEnv(): Env {
    return this.env
  }
  get variableNames(): readonly string[] {
    return this.variables
  }
  get width(): number {
    return this.source.fields.length
  }
  columnAt(ordinal: number): Expr {
    return this.columns[ordinal]
  }
}

/** A row with a field that may be NULL may be NULL itself: Flink's FINAL, which stands before each measure, makes it so. */
const measureType = (type: SqlType): SqlType => withNullable(type, mayHoldNull(type))

/** What a condition, or all measures, read from the rows of the match. */
class Values {
  readonly list: MatchValue[] = []
  private readonly matcher: Matcher
  private readonly place: 'condition' | 'measure'

  constructor(matcher: Matcher, place: 'condition' | 'measure') {
    this.matcher = matcher
    this.place = place
  }

  env(): Env {
    const { inputEnv } = this.matcher
    // Columns are answered here as well: they stand for values, not for a row.
    return { ...inputEnv, scope: this.scope(), lower: (expr) => this.lowered(expr), intercept: (node) => this.intercept(node) }
  }

  /** All columns once for each variable, behind the plain ones: ordinals tell which is meant. */
  private scope(): Scope {
    const { inputEnv } = this.matcher
    const columns = inputEnv.scope.tables.flatMap((table) => table.columns)
    const width = this.width
    const variables = this.names.map((name, i) => ({
      name,
      columns: columns.map((column) => ({ ...column, index: column.index + (i + 1) * width })),
    }))
    // Qualified names reach variables; plain ones the rows themselves.
    return {
      tables: variables,
      common: columns.map((column) => ({ name: column.name, expr: columnExpr(column.index, column.type), hidden: new Set() })),
    }
  }
  private get names(): readonly string[] {
    return this.matcher.variableNames
  }
  private get width(): number {
    return this.matcher.width
  }

  private lowered(expr: Expr): Expr {
    if (expr.kind === 'call') return { ...expr, args: expr.args.map((arg) => this.lowered(arg)) }
    if (expr.kind === 'literal') return expr
    const variable = Math.floor(expr.index / this.width) - 1
    return this.rowValue('LAST', 0, columnExpr(expr.index % this.width, expr.type), variable < 0 ? undefined : [variable])
  }

  private add(value: MatchValue, type: Expr['type']): Expr {
    const key = JSON.stringify(value)
    const found = this.list.findIndex((one) => JSON.stringify(one) === key)
    return columnExpr(found >= 0 ? found : this.list.push(value) - 1, type)
  }

  private rowValue(from: 'FIRST' | 'LAST', offset: number, expr: Expr, variables: number[] | undefined): Expr {
    const isThere = this.place === 'measure' && offset < this.matcher.rowCountMin(variables)
    const type = withNullable(expr.type, expr.type.nullable || !isThere)
    return this.add({ kind: 'row', from, offset, column: this.matcher.columnOf(expr), type, ...(variables && { variables }) }, type)
  }

  private intercept(node: Expression): Expr | undefined {
    if (node.type !== 'call') return undefined
    const name = functionName(node)
    if (node.matchMode === 'RUNNING' || (node.matchMode === 'FINAL' && this.place === 'condition'))
      throw refuse(`${node.matchMode} ${this.place === 'condition' ? 'in DEFINE ' : ''}is not supported`, 'Leave the word out.', node.span)
    switch (name) {
      case 'FIRST':
      case 'LAST':
        return this.navigation(name, node)
      case 'PREV':
      case 'NEXT':
        throw refuse(`${name} is not supported`, 'Use LAST(variable.column, offset).', node.span)
      case 'MATCH_ROWTIME':
      case 'MATCH_PROCTIME': {
        const { timeColumn } = this.matcher
        const { type } = this.matcher.columnAt(timeColumn)
        const [column] = node.args
        if (column !== undefined && (name === 'MATCH_PROCTIME' || this.place === 'condition' || node.args.length > 1))
          throw refuse(`${name} has an argument`, `Write ${name}().`, column.span)
        if (name === 'MATCH_PROCTIME') return { kind: 'call', fn: 'PROCTIME', args: [], type: t.timestampLtz(3, false), span: node.span }
        // In a condition it is the time of the row that is tested.
        // As in Flink, without an argument it is a TIMESTAMP: of a TIMESTAMP_LTZ, that of UTC.
        const given = column === undefined ? t.timestamp(3, false) : withNullable(type, false)
        const value =
          this.place === 'measure'
            ? this.add({ kind: 'time', type: given }, given)
            : this.rowValue('LAST', 0, columnExpr(timeColumn, type), undefined)
        if (column === undefined) return { ...value, type: given }
        // As in Flink: of whichever variable, it is the time of the match.
        const { expr } = this.matcher.overRow(column, name)
        if (expr.kind !== 'column' || expr.index !== timeColumn)
          throw refuse(`${name} takes the column of the event time`, `Write ${name}().`, column.span)
        return { ...value, type: withNullable(value.type, true) }
      }
      default:
        return isAggregateFunction(name) && node.over === undefined ? this.aggregate(name, node) : undefined
    }
  }

  private navigation(from: 'FIRST' | 'LAST', node: CallNode): Expr {
    const offset = this.matcher.navigated(from, node)
    const { expr, variables } = this.matcher.overRow(node.args[0], from)
    return this.rowValue(from, offset, expr, variables)
  }

  private aggregate(name: string, node: CallNode): Expr {
    if (node.distinct) throw refuse(`${name}(DISTINCT …) is not supported`, 'Aggregate the rows of the match as they are.', node.span)
    const [first] = node.args
    const variables = first && this.matcher.overRow(first, name).variables
    const { inputEnv: env } = this.matcher
    const call = bindAggregateCall(node, {
      env,
      bindArgument: (arg) => this.matcher.overRow(arg, name).expr,
      columnOf: (expr) => this.matcher.columnOf(expr),
      isNeverEmpty: false,
    })
    return this.add({ kind: 'aggregate', call, ...(variables && { variables }) }, call.type)
  }
}
