// Functions of the user: CREATE FUNCTION, and their calls. A call is `USER` with the function in `options.user`.
//
// A table function is a scalar one that gives ARRAY<ROW<…>>, and its rows are UNNESTed.
import { t } from '../data/index.ts'
import type { FunctionCall, Span, Statement } from './ast.ts'
import type { BindContext } from './bind-scope.ts'
import type { Catalog, FunctionDef } from './catalog.ts'
import { functionNameOf } from './catalog.ts'
import { sqlErrors } from './errors.ts'
import { badArguments, coerce } from './functions/index.ts'
import type { BoundStatement, Expr } from './plan.ts'

const LANGUAGES = ['TYPESCRIPT', 'JAVASCRIPT']

export function createFunction(statement: Extract<Statement, { type: 'createFunction' }>, catalog: Catalog): BoundStatement {
  const name = functionNameOf(statement.name)
  const { signature, target, language = signature ? 'TYPESCRIPT' : 'JAVA' } = statement
  if (catalog.getFunction(name) !== undefined) {
    if (statement.ifNotExists) return { type: 'done', message: `Function ${name} exists` }
    throw sqlErrors('SQL_NAME_TAKEN', { name, what: 'function', span: statement.name.span })
  }
  if (!signature) {
    if (LANGUAGES.includes(language)) throw sqlErrors('SQL_FUNCTION_SIGNATURE', { fn: name, span: statement.name.span })
    return { type: 'createFunction', definition: { name, target, language } }
  }
  if (!LANGUAGES.includes(language)) throw sqlErrors('SQL_FUNCTION_LANGUAGE', { fn: name, language, span: statement.span })
  const fields = (list: typeof signature.params) => list.map((one) => ({ name: one.name.name, type: one.type.type }))
  const isTable = 'columns' in signature.returns
  const returns = 'columns' in signature.returns ? t.array(t.row(fields(signature.returns.columns), false)) : signature.returns.type
  const kind = signature.aggregate ? 'aggregate' : isTable ? 'table' : 'scalar'
  return { type: 'createFunction', definition: { name, target, language, signature: { kind, params: fields(signature.params), returns } } }
}

/** The function of the user that a call means, if it is of that kind. */
export function userDefinition(call: FunctionCall, context: BindContext, kind: 'scalar' | 'table' | 'aggregate'): FunctionDef | undefined {
  const definition = context.catalog.getFunction(functionNameOf(call.name))
  return definition?.signature?.kind === kind ? definition : undefined
}

/** Any function of the user by that name, for what it is not: a table function in SELECT, a Java class. */
export function refuseUserFunction(call: FunctionCall, context: BindContext): void {
  const definition = context.catalog.getFunction(functionNameOf(call.name))
  if (definition === undefined) return
  const { signature, name, language } = definition
  throw signature === undefined
    ? sqlErrors('SQL_FUNCTION_LANGUAGE', { fn: name, language, span: call.name.span })
    : sqlErrors('SQL_FUNCTION_MISPLACED', { fn: name, kind: signature.kind, span: call.name.span })
}

/** Arguments brought to the declared types. */
export function userArguments({ name, signature }: FunctionDef, args: Expr[], span: Span): Expr[] {
  const { params } = signature!
  const resolved = args.length === params.length ? args.map((arg, i) => coerce(arg, params[i].type)) : [undefined]
  if (resolved.every((arg) => arg !== undefined)) return resolved as Expr[]
  throw badArguments(name, args, { span }, `${name}(${params.map((param) => param.name).join(', ')})`)
}

export const userOptions = ({ name, target, file, version }: FunctionDef): { user: Record<string, string | undefined> } => {
  const [path, exportName] = target.split('#')
  return { user: { name, file: file ?? path, version: version ?? '', ...(exportName && { exportName }) } }
}

export function userCall(definition: FunctionDef, args: Expr[], span: Span): Expr {
  return {
    kind: 'call',
    fn: 'USER',
    args: userArguments(definition, args, span),
    type: definition.signature!.returns,
    options: userOptions(definition),
    span,
  }
}
