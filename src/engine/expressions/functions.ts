// Every scalar function that is not inlined, by the id of its signature. A test holds this list against the signatures.
import { collectionFunctions } from './collections.ts'
import { encodingFunctions } from './encoding.ts'
import { jsonFunctions } from './json.ts'
import { mathFunctions } from './math.ts'
import { patternFunctions } from './patterns.ts'
import { called, type FunctionTable } from './registry.ts'
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
}
