// Scalar expressions: compiled to kernels over columnar batches, and what each function computes.
export type { Calc, CompileOptions, RowError } from './compile.ts'
export { columnsOf, compileCalc, compileScalar, evaluateConstant } from './compile.ts'
export { expressionErrors } from './errors.ts'
export { jsonWriter } from './json.ts'
export type { UserAggregate, UserFunctionRef } from './userFunctions.ts'
export { checkUserFunctions, loadUserFunctions, loadUserFunctionsNow, mayHoldUp, userAggregate, userFunctionsOf } from './userFunctions.ts'
export { formatValue, parseValue } from './values.ts'
