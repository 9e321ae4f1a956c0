// EXPLAIN: a plan as a tree that people, and tests, can read. Columns are shown by name, expressions as SQL-like text.
//
//   groupAggregate keys=[k] [COUNT(*) AS n]  +U key=(k)
//   └ scan t [k]  +I
import type { Field } from '../data/index.ts'
import { decimalText, formatType } from '../data/index.ts'
import { uniqueNames } from './bind-plan.ts'
import type { AggregateCall, Expr, Plan, PlanWindow, SortKey } from './plan.ts'
import { inputsOf } from './plan-tree.ts'

const CHANGELOG = { append: '+I', retract: '+I-U+U-D', upsert: '+I+U-D' } as const

/** The plan as text, one node per line with its changelog mode, inputs below. */
export const explainPlan = (plan: Plan): string => lines(plan, changelogOf, '', '').join('\n')

/** A plan that is not optimized: it knows no changelog modes yet. */
export const explainLogicalPlan = (plan: Plan): string => lines(plan, () => '', '', '').join('\n')

const changelogOf = ({ changelog, upsertKey, fields }: Plan): string =>
  `  ${CHANGELOG[changelog]}${upsertKey ? ` key=(${names(distinctlyNamed(fields), upsertKey)})` : ''}`

function lines(plan: Plan, suffix: (node: Plan) => string, first: string, rest: string): string[] {
  const inputs = inputsOf(plan)
  return [
    `${first}${explainNode(plan)}${suffix(plan)}`,
    ...inputs.flatMap((input, i) => {
      const isLast = i === inputs.length - 1
      return lines(input, suffix, `${rest}${isLast ? '└ ' : '├ '}`, `${rest}${isLast ? '  ' : '│ '}`)
    }),
  ]
}

/** Columns of the same name, as both sides of a join may have, get numbers. */
function distinctlyNamed(fields: readonly Field[]): Field[] {
  const unique = uniqueNames(fields.map((field) => field.name))
  return fields.map((field, i) => ({ ...field, name: unique[i] }))
}
const names = (fields: readonly Field[], ordinals: readonly number[]): string =>
  ordinals.map((ordinal) => fields[ordinal]?.name ?? `?${ordinal}`).join(', ')
const listed = (parts: readonly (string | undefined | false)[]): string => parts.filter(Boolean).join(' ')

const ttlText = ({ ttlMs }: { ttlMs?: number }): string | undefined => (ttlMs === undefined ? undefined : `ttl=${ttlMs} ms`)

/** One node as a line of EXPLAIN, without its inputs. */
export function explainNode(plan: Plan): string {
  const inputFields = distinctlyNamed(inputsOf(plan).flatMap((input) => input.fields))
  const text = (expr: Expr): string => explainExpr(expr, inputFields)
  const condition = (expr: Expr | undefined): string | undefined => expr && `where ${text(expr)}`
  const keys = (ordinals: readonly number[]): string => `keys=[${names(inputFields, ordinals)}]`
  const order = (orderBy: readonly SortKey[]): string | undefined =>
    orderBy.length > 0 ? `order=[${orderBy.map((key) => sortText(key, inputFields)).join(', ')}]` : undefined
  switch (plan.node) {
    case 'scan':
      return `scan ${plan.table.name} [${names(plan.fields, [...plan.fields.keys()])}]`
    case 'values':
      return `values ${plan.rows.length} ${plan.rows.length === 1 ? 'row' : 'rows'} [${names(plan.fields, [...plan.fields.keys()])}]`
    case 'calc': {
      const outputs = plan.projections.map((expr, i) => {
        const shown = text(expr)
        return shown === plan.fields[i].name ? shown : `${shown} AS ${plan.fields[i].name}`
      })
      return listed(['calc', `[${outputs.join(', ')}]`, condition(plan.predicate)])
    }
    case 'watermark':
      return listed([
        'watermark',
        `${names(inputFields, [plan.timeColumn])}: ${text(plan.expression)}`,
        plan.idleTimeoutMs !== undefined && `idle after ${plan.idleTimeoutMs} ms`,
      ])
    case 'windowTvf':
      return `windowTvf ${windowText(plan.window, names(inputFields, [plan.timeColumn]), inputFields)}`
    case 'windowAggregate':
      return listed([
        'windowAggregate',
        plan.attached
          ? `attached(${names(inputFields, [plan.attached.start, plan.attached.end])})`
          : windowText(plan.window, names(inputFields, [plan.timeColumn]), inputFields),
        keys(plan.keys),
        aggregatesText(plan.aggregates, inputFields, plan.fields.slice(plan.keys.length)),
        plan.windowColumns.length > 0 && `window=[${plan.windowColumns.join(', ')}]`,
        plan.emit?.earlyMs !== undefined && `early after ${plan.emit.earlyMs} ms`,
        plan.emit && plan.emit.latenessMs > 0 && `late after ${plan.emit.lateMs ?? 0} ms, for ${plan.emit.latenessMs} ms`,
      ])
    case 'groupAggregate':
      return listed([
        'groupAggregate',
        keys(plan.keys),
        plan.aggregates.length > 0 && aggregatesText(plan.aggregates, inputFields, plan.fields.slice(plan.keys.length)),
        ttlText(plan),
      ])
    case 'expand':
      return `expand ${plan.sets.map((set) => `${set.id}: -[${names(inputFields, set.nulled)}]`).join(', ')}`
    case 'union':
      return 'union'
    case 'join':
    case 'intervalJoin':
    case 'windowJoin':
    case 'temporalJoin': {
      const pairs = plan.leftKeys.map((key, i) => {
        const isSafe = 'nullSafe' in plan && plan.nullSafe?.[i]
        return `${plan.left.fields[key].name}${isSafe ? '<=>' : '='}${plan.right.fields[plan.rightKeys[i]].name}`
      })
      const time =
        plan.node === 'intervalJoin'
          ? `${plan.right.fields[plan.rightTime].name} in ${plan.left.fields[plan.leftTime].name} + [${plan.lowerMs}, ${plan.upperMs}] ms`
          : plan.node === 'temporalJoin' && `as of ${plan.left.fields[plan.leftTime].name}`
      return listed([
        plan.node,
        plan.kind,
        plan.node === 'join' && plan.nullAware && 'nullAware',
        `on [${pairs.join(', ')}]`,
        time,
        condition(plan.condition),
        plan.node === 'join' && plan.ttlMs && `ttl=[${plan.ttlMs.map((ms) => (ms > 0 ? `${ms} ms` : 'none')).join(', ')}]`,
      ])
    }
    case 'correlate':
      return listed([
        'correlate',
        plan.kind,
        `${plan.fn}(${plan.args.map(text).join(', ')})`,
        `[${plan.outputFields.map((field) => field.name).join(', ')}]`,
        plan.condition && `where ${explainExpr(plan.condition, plan.fields)}`,
      ])
    case 'over':
      return listed([
        'over',
        `partition=[${names(inputFields, plan.partitionKeys)}]`,
        order(plan.orderBy),
        `${plan.frame.unit} ${plan.frame.preceding === undefined ? 'UNBOUNDED' : plan.frame.preceding} PRECEDING`,
        aggregatesText(plan.aggregates, inputFields, plan.fields.slice(inputFields.length)),
        ttlText(plan),
      ])
    case 'topN':
      return listed([
        'topN',
        `${plan.from}..${plan.to}`,
        `partition=[${names(inputFields, plan.partitionKeys)}]`,
        order(plan.orderBy),
        plan.windowed && 'windowed',
        plan.lastOfTies && 'lastOfTies',
        plan.rankColumn && 'with rank',
        ttlText(plan),
      ])
    case 'deduplicate':
      return listed([
        `deduplicate keep ${plan.keep} ${keys(plan.keys)} by ${names(inputFields, [plan.timeColumn])}`,
        plan.processingTime && '(processing time)',
        ttlText(plan),
      ])
    case 'normalize':
      return listed(['normalize', keys(plan.keys), ttlText(plan)])
    case 'sort':
      return listed(['sort', order(plan.orderBy)])
    case 'limit':
      return listed([
        'limit',
        plan.limit === undefined ? 'all' : String(plan.limit),
        plan.offset > 0 && `offset ${plan.offset}`,
        order(plan.orderBy),
        ttlText(plan),
      ])
    case 'match': {
      const { variables, pattern, partitionKeys, orderBy, withinMs } = plan.spec
      const steps = pattern.map(({ variable, min, max, greedy }) => {
        const name = variables[variable]
        return min === 1 && max === 1 ? name : `${name}{${min},${max ?? ''}}${greedy ? '' : '?'}`
      })
      return listed([
        'match',
        `partition=[${names(inputFields, partitionKeys)}]`,
        order(orderBy),
        `(${steps.join(' ')})`,
        withinMs !== undefined && `within ${withinMs} ms`,
      ])
    }
    case 'setOperation':
      return listed([plan.operator, plan.all && 'ALL', ttlText(plan)])
  }
}

const sortText = ({ column, descending, nullsFirst }: SortKey, fields: readonly Field[]): string =>
  `${names(fields, [column])}${descending ? ' DESC' : ''}${nullsFirst === descending ? ` NULLS ${nullsFirst ? 'FIRST' : 'LAST'}` : ''}`

function windowText(window: PlanWindow, time: string, fields: readonly Field[]): string {
  const parts = [time, ...(window.stepMs === undefined ? [] : [`${window.stepMs} ms`]), `${window.sizeMs} ms`]
  if (window.offsetMs !== 0) parts.push(`offset ${window.offsetMs} ms`)
  if (window.partitionKeys.length > 0) parts.push(`partition by ${names(fields, window.partitionKeys)}`)
  if (window.timeZone !== 'UTC') parts.push(window.timeZone)
  return `${window.kind}(${parts.join(', ')})`
}

function aggregatesText(aggregates: readonly AggregateCall[], inputFields: readonly Field[], outputs: readonly Field[]): string {
  return `[${aggregates.map((call, i) => `${explainAggregate(call, inputFields)} AS ${outputs[i].name}`).join(', ')}]`
}

/** A call as SQL-like text: `COUNT(DISTINCT user)`. */
export function explainAggregate({ fn, args, distinct, filter, options }: AggregateCall, inputFields: readonly Field[]): string {
  const inner = fn === 'COUNT' && args.length === 0 ? '*' : names(inputFields, args)
  return `${nameOf({ fn, options })}(${distinct ? 'DISTINCT ' : ''}${inner})${filter === undefined ? '' : ` FILTER ${names(inputFields, [filter])}`}`
}

const OPERATORS: Record<string, string> = {
  PLUS: '+',
  MINUS: '-',
  TIMES: '*',
  DIVIDE: '/',
  PLUS_INTERVAL: '+',
  MINUS_INTERVAL: '-',
  EQUALS: '=',
  NOT_EQUALS: '<>',
  LESS: '<',
  LESS_OR_EQUAL: '<=',
  GREATER: '>',
  GREATER_OR_EQUAL: '>=',
  AND: 'AND',
  OR: 'OR',
}

/** What a call is called: a function of the user by its own name. */
const nameOf = ({ fn, options }: Pick<AggregateCall, 'fn' | 'options'>): string =>
  fn === 'USER' ? (options as { user: { name: string } }).user.name : fn

/** An expression as text, over the columns of these fields. */
export function explainExpr(expr: Expr, fields: readonly Field[]): string {
  switch (expr.kind) {
    case 'column':
      return names(fields, [expr.index])
    case 'literal':
      return literalText(expr)
    case 'call': {
      const args = expr.args.map((arg) => explainExpr(arg, fields))
      if (Object.hasOwn(OPERATORS, expr.fn) && args.length === 2) return `(${args[0]} ${OPERATORS[expr.fn]} ${args[1]})`
      if (expr.fn === 'CAST' || expr.fn === 'TRY_CAST') return `${expr.fn}(${args[0]} AS ${formatType({ ...expr.type, nullable: true })})`
      if (expr.fn === 'FIELD') {
        const [row] = expr.args
        const index = expr.options?.index as number
        return `${args[0]}.${row.type.kind === 'ROW' ? row.type.fields[index].name : index}`
      }
      const unit = expr.options?.unit
      return `${nameOf(expr)}(${(typeof unit === 'string' ? [unit, ...args] : args).join(', ')})`
    }
  }
}

function literalText({ value, type }: Extract<Expr, { kind: 'literal' }>): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (type.kind === 'INTERVAL_DAY_TIME') return `${value} ms`
  if (type.kind === 'DECIMAL') return decimalText(value as bigint, type.scale)
  return value instanceof Uint8Array ? `X'${Buffer.from(value).toString('hex')}'` : String(value)
}
