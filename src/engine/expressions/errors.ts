// Errors of a row: its expression cannot be computed. The job decides whether the row becomes a dead letter or the job fails.
import { defineErrors, spec } from '../../base/index.ts'

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
