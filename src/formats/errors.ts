// Errors of the formats layer. An error of one event is reported for that event; it never stops a batch.
import { defineErrors, spec } from '../base/index.ts'

/** What a row failed: the front door answers it, `<topic>.invalid` keeps it. */
export type RowRule = 'json' | 'csv' | 'utf8' | 'depth' | 'type' | 'range' | 'required' | 'size'

/** Why one event is not a row of its table. `path` is the field, as in `items[2].price`; empty for the event as a whole. */
export interface RowFailure {
  rule: RowRule
  path: string
  message: string
}

const at = (p: RowFailure): string => (p.path === '' ? p.message : `${p.path}: ${p.message}`)
const row = (hint: string) =>
  spec<RowFailure & { format: string }>({ kind: 'user', httpStatus: 422, retry: 'never', message: at, hint: () => hint })

export const formatErrors = defineErrors({
  FORMAT_SYNTAX: row('Send well-formed events: one JSON object each, with text in double quotes.'),
  FORMAT_UTF8: row('Encode the event as UTF-8; escapes of surrogates must come in pairs.'),
  FORMAT_DEPTH: row('Flatten the event, or send the deep part as text.'),
  FORMAT_TYPE: row('Send a value of the declared type, or change the column’s type.'),
  FORMAT_RANGE: row('Send a smaller number, or declare a wider type.'),
  FORMAT_REQUIRED: row('Send the field, or declare the column without NOT NULL.'),
  FORMAT_SIZE: row('Send smaller events.'),
  FORMAT_OPTION: spec<{ option: string; value: string; expected: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `option '${p.option}' cannot be '${p.value}'`,
    hint: (p) => `Use ${p.expected}.`,
  }),
  FORMAT_MAP_KEY: spec<Record<never, never>>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: () => 'a MAP has a NULL key, and its table says that such a row must not be written',
    hint: () => "Set 'json.map-null-key.mode' to 'LITERAL' or 'DROP', or filter such rows.",
  }),
  FORMAT_COLUMNS: spec<{ format: string; message: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `format '${p.format}': ${p.message}`,
    hint: () => 'Change the columns, or use the format json.',
  }),
})

const codeOfRule = {
  json: 'FORMAT_SYNTAX',
  csv: 'FORMAT_SYNTAX',
  utf8: 'FORMAT_UTF8',
  depth: 'FORMAT_DEPTH',
  type: 'FORMAT_TYPE',
  range: 'FORMAT_RANGE',
  required: 'FORMAT_REQUIRED',
  size: 'FORMAT_SIZE',
} as const

/** The failure of a row as a typed error. */
export const rowError = (format: string, failure: RowFailure) => formatErrors(codeOfRule[failure.rule], { ...failure, format })
