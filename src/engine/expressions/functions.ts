// Every scalar function that is not inlined, by the id of its signature. A test holds this list against the signatures.
import { collectionFunctions } from './collections.ts'
import { encodingFunctions } from './encoding.ts'
import { expressionErrors } from './errors.ts'
import { jsonFunctions } from './json.ts'
import { mathFunctions } from './math.ts'
import { patternFunctions } from './patterns.ts'
import { type CallContext, called, type FunctionTable, type RowFunction } from './registry.ts'
import { temporalFunctions } from './temporal.ts'
import { textFunctions } from './text.ts'
import { userFunction } from './userFunctions.ts'

export const implementations: FunctionTable = {
  ...mathFunctions,
  ...textFunctions,
  ...patternFunctions,
  ...encodingFunctions,
  ...temporalFunctions,
  ...collectionFunctions,
  ...jsonFunctions,
  USER: called(userFunction),
  REQUIRE_NOT_NULL: called(requireNotNull),
}

/** A condition of INSERT: TRUE, or an error of the row. */
function requireNotNull({ options: { column } }: CallContext): RowFunction {
  return (value) => {
    if (value === null) throw expressionErrors('EXPRESSION_NULL_REFUSED', { column: String(column) })
    return true
  }
}
