// Flink-dialect SQL: text to tree to bound plan. Pure functions, no I/O.
export type * from './ast.ts'
export { type BindOptions, bindScript, bindStatement } from './bind.ts'
export { bindCondition, bindSelectList } from './bind-fields.ts'
export { functionNames } from './bind-show.ts'
export { applyStatement, Catalog, type CatalogEntry, DEFAULT_DATABASE, type FunctionDef, functionNameOf } from './catalog.ts'
export { type CompletionCatalog, completions } from './completions.ts'
export { sqlErrors } from './errors.ts'
export { explainAggregate, explainExpr, explainLogicalPlan, explainNode, explainPlan } from './explain.ts'
export { columnsOf, isCall, isStable, mapColumns, someExpr, stableText } from './expr.ts'
export { formatScript } from './format.ts'
export * from './functions/index.ts'
export { sqlName } from './names.ts'
export { isOrderly } from './optimize.ts'
export { readLeaves } from './optimize-leaves.ts'
export { changelogOfTable, takesBack } from './optimize-traits.ts'
export {
  expressionText,
  parseExpression,
  parseScript,
  parseScriptTolerant,
  parseStatement,
  parseType,
  SQL_LENGTH_MAX,
  splitStatements,
  textPosition,
} from './parse.ts'
export type * from './plan.ts'
export { exprsOf, inputsOf, somePlan, withInputs } from './plan-tree.ts'
export { type PortabilityMark, portabilityMarks } from './portability.ts'
export { settingNotices, whyWithoutEffect } from './settings.ts'
export { durationMs, withStateTtl } from './state-ttl.ts'
export { isOptionUsed } from './table-options.ts'
