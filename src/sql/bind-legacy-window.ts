// The older window functions: GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), with TUMBLE_START, TUMBLE_END, TUMBLE_ROWTIME, TUMBLE_PROCTIME.
import type { Field, SqlType } from '../data/index.ts'
import { t } from '../data/index.ts'
import type { Expression, FunctionCall, Span } from './ast.ts'
import { walk } from './ast-walk.ts'
import { bindExpression, functionName } from './bind-expression.ts'
import type { Env } from './bind-scope.ts'
import type { Stage } from './bind-subquery.ts'
import { constantIntervalMs, planWindow, requireTimeAttribute, windowTimeType } from './bind-window.ts'
import { sqlErrors } from './errors.ts'
import { columnExpr, exprKey } from './expr.ts'
import { pastTimeOf } from './optimize-windows.ts'
import type { AggregateCall, Expr, Plan, PlanWindow, WindowEmit } from './plan.ts'
import { windowEmit } from './window-emit.ts'

type CallNode = FunctionCall & { span: Span }
type WindowColumn = 'start' | 'end' | 'time' | 'proctime'

const KINDS = ['TUMBLE', 'HOP', 'SESSION'] as const
const EXPECTED: Record<string, string> = {
  TUMBLE: 'TUMBLE(time attribute, size)',
  HOP: 'HOP(time attribute, slide, size)',
  SESSION: 'SESSION(time attribute, gap)',
}
const AUXILIARY = /^(TUMBLE|HOP|SESSION)_(START|END|ROWTIME|PROCTIME)$/
const COLUMN: Record<string, WindowColumn> = { START: 'start', END: 'end', ROWTIME: 'time', PROCTIME: 'proctime' }

export class LegacyWindow {
  readonly timeColumn: Expr
  private readonly kind: string
  private readonly window: PlanWindow
  private readonly time: Field
  private readonly argKeys: string
  private readonly span: Span
  private readonly emit: WindowEmit | undefined
  /** Those that the query asks for, in the order of the plan's fields. */
  private readonly columns: WindowColumn[]

  static isWindow(node: Expression): boolean {
    return node.type === 'call' && KINDS.some((kind) => kind === functionName(node))
  }
  static isAuxiliary(name: string): boolean {
    return AUXILIARY.test(name)
  }

  /** @throws StreamError  SQL_WINDOW_ARGUMENTS, SQL_WINDOW_TIME_ATTRIBUTE */
  constructor(call: CallNode, { plan, env }: Stage, outputs: readonly Expression[]) {
    this.kind = functionName(call)
    const refuse = (reason: string, span: Span = call.span): Error =>
      sqlErrors('SQL_WINDOW_ARGUMENTS', { fn: this.kind, reason, expected: EXPECTED[this.kind], span })
    const [time, ...intervals] = call.args
    if (intervals.length !== (this.kind === 'HOP' ? 2 : 1)) throw refuse(`it takes ${this.kind === 'HOP' ? 3 : 2} arguments`)
    this.timeColumn = bindExpression(time, env)
    if (this.timeColumn.kind !== 'column') throw refuse('its first argument must be a column', time.span)
    const { index } = this.timeColumn
    this.time = { ...plan.fields[index], timeAttribute: pastTimeOf(plan, index) }
    requireTimeAttribute(this.kind, this.time, time.span)
    const sizesMs = intervals.map((interval) => constantIntervalMs(interval, env.context, refuse))
    this.window = planWindow(this.kind as PlanWindow['kind'], this.time, env.context, {
      sizeMs: sizesMs.at(-1)!,
      stepMs: this.kind === 'HOP' ? sizesMs[0] : undefined,
      offsetMs: 0,
      partitionKeys: [],
      refuse,
    })
    this.argKeys = argKeys(call, env)
    this.span = time.span
    this.emit = windowEmit(env.context.catalog.settings)
    if (this.emit && this.kind === 'SESSION')
      throw sqlErrors('SQL_NOT_SUPPORTED', {
        what: 'table.exec.emit.* with SESSION',
        instead: 'RESET these settings, or use TUMBLE or HOP.',
        span: call.span,
      })
    const asked = new Set<WindowColumn>()
    for (const output of outputs) {
      walk(output, (node) => {
        const match = node.type === 'call' ? AUXILIARY.exec(functionName(node)) : null
        if (match?.[1] === this.kind) asked.add(COLUMN[match[2]])
        return true
      })
    }
    this.columns = (['start', 'end', 'time', 'proctime'] as const).filter((column) => asked.has(column))
  }

  plan(input: Plan, timeColumn: number, keyCount: number, aggregates: AggregateCall[], fields: Field[]): Plan {
    const keys = [...Array(keyCount).keys()]
    const window = this.kind === 'SESSION' ? { ...this.window, partitionKeys: keys } : this.window
    const windowFields = this.columns.map((column): Field => {
      const type = this.typeOf(column)
      const name = `$window_${column}`
      return column === 'start' || column === 'end'
        ? { name, type }
        : { name, type, timeAttribute: column === 'time' ? 'event' : 'processing' }
    })
    return {
      node: 'windowAggregate',
      input,
      window,
      timeColumn,
      keys,
      aggregates,
      windowColumns: this.columns,
      groupWindow: true,
      ...(this.emit && { emit: this.emit }),
      fields: [...fields, ...windowFields],
      changelog: this.emit ? 'retract' : 'append',
      span: this.span,
    }
  }

  /** @returns the column for TUMBLE_START(…) and its like; undefined for other functions */
  auxiliary(name: string, call: CallNode, env: Env, firstColumn: number): Expr | undefined {
    const match = AUXILIARY.exec(name)
    if (match === null) return undefined
    const column = COLUMN[match[2]]
    const fits = match[1] === this.kind && argKeys(call, env) === this.argKeys && (column !== 'time' || this.time.timeAttribute === 'event')
    if (!fits) throw sqlErrors('SQL_WINDOW_NOT_GROUPED', { fn: name, window: match[1], span: call.span })
    return columnExpr(firstColumn + this.columns.indexOf(column), this.typeOf(column))
  }

  private typeOf(column: WindowColumn): SqlType {
    if (column === 'start' || column === 'end') return t.timestamp(3, false)
    return column === 'proctime' ? t.timestampLtz(3, false) : windowTimeType(this.time, this.time.type.nullable)
  }
}

const argKeys = (call: CallNode, env: Env): string => call.args.map((arg) => exprKey(bindExpression(arg, env))).join()
