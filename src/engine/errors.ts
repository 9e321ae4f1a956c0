// Errors of running plans.
import { defineErrors, type StreamError, spec } from '../base/index.ts'

/** Characters of a row that an error carries. */
const ROW_TEXT_MAX = 1_000

/** The error of a query that ends at a row, with that row in its `params`, and where it lies in its topic if that is known. */
export function ofRow(error: StreamError, row: string, place?: { topic: string; partition: number; offset: number }): StreamError {
  const text = row.length > ROW_TEXT_MAX ? `${row.slice(0, ROW_TEXT_MAX)}…` : row
  Object.assign(error.params, { row: text, ...place })
  return error
}

export const engineErrors = defineErrors({
  PARQUET_FAILED: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'later',
    message: (p) => `${p.path} could not be written: ${p.reason}`,
    hint: () => 'Its rows are kept beside it, and it is tried again. Is there space on the disk, and memory for a child process (256 MB)?',
  }),
  PARQUET_VALUE: spec<{ column: string; reason: string }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `${p.column} cannot be written to a Parquet file: ${p.reason}`,
    hint: () => 'CAST the column to another type, or leave such rows out with WHERE.',
  }),
  ROWTIME_NULL: spec<{ column: string; table: string }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `event time column "${p.column}" of "${p.table}" is NULL`,
    hint: () =>
      "Every row needs an event time: declare the column NOT NULL, or set 'millrace.on-error' = 'dead-letter' to keep such rows aside.",
  }),
  ROW_FAILED: spec<{ reason: string; row?: unknown }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `a row could not be computed: ${p.reason}`,
    hint: () => "Use TRY_CAST for text that may not fit, or set 'millrace.on-error' = 'dead-letter' to keep such rows aside and go on.",
  }),
  SUBQUERY_ROWS: spec<{ rowCount: number }>({
    kind: 'user',
    httpStatus: 422,
    retry: 'never',
    message: (p) => `a sub-query that stands for one value gave ${p.rowCount} rows`,
    hint: () => 'Take one with MAX(…) or MIN(…), or compare with IN (SELECT …).',
  }),
  CONNECTOR_UNKNOWN: spec<{ connector: string; table: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `table "${p.table}" uses the connector "${p.connector}", which is not known here`,
    hint: () => "Known connectors are 'kafka', 'upsert-kafka', 'print' and 'blackhole'.",
  }),
  FORMAT_COLUMNS_UNWRITABLE: spec<{ format: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the columns of the table cannot be written as ${p.format}: ${p.reason}`,
    hint: () => "Use 'json', or write one column of a simple type.",
  }),
  STATE_OPERATOR_UNKNOWN: spec<{ operator: string; query: string; known: string[] }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) =>
      p.known.length === 0
        ? `no operator of "${p.query}" remembers anything`
        : `"${p.operator}" is no operator of "${p.query}" that remembers anything`,
    hint: (p) =>
      p.known.length === 0 ? 'It looks at one row at a time: there is nothing to read.' : `Those that do: ${p.known.join(', ')}.`,
  }),
  STATE_KEY_COLUMNS: spec<{ given: string[]; columns: string[] }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.given.join(', ') || 'nothing'} is not the key of this operator`,
    hint: (p) =>
      p.columns.every((one) => one === '')
        ? 'It has no key: all rows meet in one place. Leave the key out.'
        : `Its key is ${[...new Set(p.columns.filter(Boolean))].map((one) => `(${one})`).join(' or ')}: give all of its columns.`,
  }),
  STATE_KEY_VALUE: spec<{ column: string; type: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the value of key column ${p.column} is no ${p.type}: ${p.reason}`,
    hint: () => 'Write it as the listing without a key shows it.',
  }),
  AGGREGATE_UNKNOWN: spec<{ fn: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `there is no aggregate function "${p.fn}"`,
    hint: () =>
      'Known ones are COUNT, SUM, AVG, MIN, MAX, STDDEV and VAR, FIRST_VALUE, LAST_VALUE, LISTAGG, COLLECT, ARRAY_AGG and the JSON ones.',
  }),
  OPERATOR_UNSUPPORTED: spec<{ what: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.what} cannot be run here yet`,
    hint: () => 'Write the query without it, or run it on a Flink cluster.',
  }),
  RECORDS_OWN_FUNCTION: spec<{ name: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `a look at records calls no functions of the project, and a column of this table is computed with ${p.name}`,
    hint: () => 'Use the other columns, or run a query, which has a thread of its own: `millrace sql "SELECT …"`.',
  }),
  QUERY_STALLED: spec<{ query: string; seconds: number; fn?: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) =>
      p.fn === undefined
        ? `"${p.query}" has held its engine thread up for ${p.seconds} s`
        : `function ${p.fn} in "${p.query}" has not returned for ${p.seconds} s`,
    hint: (p) =>
      p.fn === undefined
        ? 'It begins again from its checkpoint a few times. If it stays so, take a part of the query away, or report it.'
        : 'Mend the function, or the pattern that it is given; an edit of a file lets the query begin again, and so does `millrace queries start`.',
  }),
  JOB_WORKER_DIED: spec<{ job: string; reason: string }>({
    kind: 'internal',
    httpStatus: 500,
    retry: 'later',
    message: (p) => `the worker of "${p.job}" ended: ${p.reason}`,
    hint: () =>
      "It is started again by itself. If it happens repeatedly, lower the query's memory or report it with the log lines around it.",
  }),
})
