// Expressions over the fields of single rows, outside of any query: what people filter and project the records of a topic with.
// Sub-queries, aggregates and windows have no meaning there and are refused where they stand.
import type { Field } from '../data/index.ts'
import { formatType } from '../data/index.ts'
import type { Expression } from './ast.ts'
import type { BindOptions } from './bind.ts'
import { bindExpression } from './bind-expression.ts'
import { uniqueNames, valuesPlan } from './bind-plan.ts'
import { type Env, scopeOf } from './bind-scope.ts'
import { bindItem } from './bind-select.ts'
import { Catalog } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { parseExpression, parseSelectItems } from './parse.ts'
import type { Expr } from './plan.ts'
import { placed } from './positions.ts'

export interface FieldOptions extends BindOptions {
  /** Whose fields they are: names may say it, and errors do. */
  table?: string | undefined
}

/**
 * A condition over the fields of a row.
 *
 * @returns  an expression of type BOOLEAN over ordinals of `fields`
 * @throws   StreamError with `position` in `text`: SQL_NOT_BOOLEAN, SQL_COLUMN_NOT_FOUND and others of the parser and the binder
 * @example  bindCondition("edits > 5 AND page LIKE 'A%'", fields)
 */
export function bindCondition(text: string, fields: readonly Field[], options: FieldOptions = {}): Expr {
  return placed(text, () => {
    const node: Expression = parseExpression(text)
    const expr = bindExpression(node, envOf(fields, options))
    if (expr.type.kind !== 'BOOLEAN')
      throw sqlErrors('SQL_NOT_BOOLEAN', { what: 'The filter', type: formatType(expr.type), span: node.span })
    return expr
  })
}

/**
 * A select list over the fields of a row: `page, delta * 2 AS twice`.
 *
 * @throws  StreamError with `position` in `text`
 */
export function bindSelectList(text: string, fields: readonly Field[], options: FieldOptions = {}): { fields: Field[]; exprs: Expr[] } {
  return placed(text, () => {
    const env = envOf(fields, options)
    const items = parseSelectItems(text).flatMap((item, i) => bindItem(item, env, i))
    const names = uniqueNames(items.map(({ name }) => name))
    return { fields: items.map(({ expr }, i) => ({ name: names[i], type: expr.type })), exprs: items.map(({ expr }) => expr) }
  })
}

function envOf(fields: readonly Field[], { timeZone = 'UTC', table }: FieldOptions): Env {
  return { context: { catalog: new Catalog(), timeZone, withTables: new Map() }, scope: scopeOf(valuesPlan([...fields], []), table) }
}
