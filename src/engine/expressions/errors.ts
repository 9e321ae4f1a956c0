// Errors of a row: its expression cannot be computed. The job decides whether the row becomes a dead letter or the job fails.
import { defineErrors, moduleHint, spec } from '../../base/index.ts'

const user = { kind: 'user', httpStatus: 422, retry: 'never' } as const

export const expressionErrors = defineErrors({
  EXPRESSION_CAST_FAILED: spec<{ value: string; to: string }>({
    ...user,
    message: (p) => `cannot cast '${p.value}' to ${p.to}`,
    hint: () => 'TRY_CAST gives NULL instead.',
  }),
  EXPRESSION_DIVISION_BY_ZERO: spec<Record<string, never>>({
    ...user,
    message: () => 'division by zero',
    hint: () => 'Divide by NULLIF(divisor, 0) to get NULL instead.',
  }),
  EXPRESSION_ARGUMENT_INVALID: spec<{ fn: string; reason: string }>({
    ...user,
    message: (p) => `${p.fn}: ${p.reason}`,
    hint: () => 'Correct the argument, or filter such rows out.',
  }),
  EXPRESSION_NULL_REFUSED: spec<{ column: string }>({
    ...user,
    message: (p) => `${p.column}: NULL for a column that is NOT NULL`,
    hint: () =>
      "Leave such rows out with WHERE … IS NOT NULL, give them a value with COALESCE, or SET 'table.exec.sink.not-null-enforcer' = 'DROP'.",
  }),
  FUNCTION_FAILED: spec<{ name: string; reason: string }>({
    ...user,
    message: (p) => `function ${p.name} failed: ${p.reason}`,
    hint: () => 'Handle such a value in the function, or filter such rows out.',
  }),
  FUNCTION_FILE_UNREADABLE: spec<{ name: string; file: string; reason: string }>({
    ...user,
    httpStatus: 400,
    message: (p) => `function ${p.name} cannot be loaded from ${p.file}: ${p.reason}`,
    hint: (p) =>
      moduleHint(p.reason) ?? 'The path is relative to the project; the file is TypeScript that Node runs as it is, or JavaScript.',
  }),
  FUNCTION_EXPORT_MISSING: spec<{ name: string; file: string; export: string; exports: string[]; nearest?: string }>({
    ...user,
    httpStatus: 400,
    message: (p) => `${p.file} has no export "${p.export}" for the function ${p.name}`,
    hint: (p) =>
      p.nearest
        ? `Did you mean "${p.nearest}"? Write AS 'file.ts#${p.nearest}'.`
        : `It exports ${p.exports.join(', ') || 'nothing'}. Export a function of the SQL function's name, or write AS 'file.ts#name'.`,
  }),
  FUNCTION_SHAPE: spec<{ name: string; expected: string }>({
    ...user,
    httpStatus: 400,
    message: (p) => `function ${p.name} has not the form that is needed here: ${p.expected} is missing`,
    hint: () =>
      'A scalar or table function is a function; an aggregate has createAccumulator, accumulate and getValue, retract where its input updates, merge for windows.',
  }),
  FUNCTION_NOT_LOADED: spec<{ name: string }>({
    ...user,
    kind: 'internal',
    httpStatus: 500,
    message: (p) => `function ${p.name} was not loaded`,
    hint: () => 'This is a bug in Millrace. Please report it with the query.',
  }),
  EXPRESSION_FUNCTION_UNKNOWN: spec<{ fn: string }>({
    ...user,
    kind: 'internal',
    httpStatus: 500,
    message: (p) => `the engine has no implementation of ${p.fn}`,
    hint: () => 'This is a bug in Millrace. Please report it with the query.',
  }),
})

export function divisionByZero(): never {
  throw expressionErrors('EXPRESSION_DIVISION_BY_ZERO', {})
}
/** What a text in an error shows at most. */
const SHOWN_LENGTH_MAX = 80
export const shown = (value: unknown): string => {
  const text = String(value)
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text
}
