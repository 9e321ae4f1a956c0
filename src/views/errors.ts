// Errors of materialized tables: naming a view or column wrong, and the limits that keep memory bounded.
import { defineErrors, spec } from '../base/index.ts'

const nearestHint = (nearest: string | undefined, otherwise: string): string => (nearest ? `Did you mean "${nearest}"?` : otherwise)
const user = { kind: 'user', httpStatus: 400, retry: 'never' } as const
const limit = { kind: 'user', httpStatus: 429, retry: 'later' } as const

export const viewErrors = defineErrors({
  VIEW_NOT_FOUND: spec<{ table: string; nearest?: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `table "${p.table}" does not exist`,
    hint: (p) => nearestHint(p.nearest, 'GET /v1/tables lists the tables; CREATE MATERIALIZED TABLE makes one.'),
  }),
  VIEW_EXISTS: spec<{ table: string }>({
    ...user,
    httpStatus: 409,
    message: (p) => `table "${p.table}" exists already`,
    hint: (p) => `Drop "${p.table}" first, or choose another name.`,
  }),
  VIEW_KEY_INVALID: spec<{ table: string; reason: string }>({
    ...user,
    message: (p) => `table "${p.table}" cannot be kept: ${p.reason}`,
    hint: () => 'Declare PRIMARY KEY (…) NOT ENFORCED over columns of simple types (text, numbers, dates, booleans, bytes).',
  }),
  VIEW_COLUMN_NOT_FOUND: spec<{ column: string; table: string; nearest?: string }>({
    ...user,
    message: (p) => `column "${p.column}" does not exist in table "${p.table}"`,
    hint: (p) => nearestHint(p.nearest, `GET /v1/tables lists the columns of "${p.table}".`),
  }),
  VIEW_FILTER_INVALID: spec<{ parameter: string; nearest?: string }>({
    ...user,
    message: (p) => `"${p.parameter}" is not a filter`,
    hint: (p) =>
      nearestHint(p.nearest, 'Filters are column=v and column.op=v with op one of eq, ne, gt, gte, lt, lte, in, like, contains, null.'),
  }),
  VIEW_OPERATOR_UNSUPPORTED: spec<{ column: string; operator: string; type: string }>({
    ...user,
    message: (p) => `column "${p.column}" of type ${p.type} cannot be used with ${p.operator}`,
    hint: () => 'like and contains need text; ARRAY, MAP, MULTISET and ROW columns can only be tested with .null=true or .null=false.',
  }),
  VIEW_VALUE_INVALID: spec<{ column: string; value: string; type: string; expected: string }>({
    ...user,
    message: (p) => `${JSON.stringify(p.value)} is not a value of column "${p.column}" (${p.type})`,
    hint: (p) => `Write ${p.expected}.`,
  }),
  VIEW_CURSOR_INVALID: spec<{ cursor: string }>({
    ...user,
    message: () => 'the cursor does not belong to this query',
    hint: () => 'Send the same order with the `next` of the page before, or leave the cursor out to start again.',
  }),
  VIEW_LIMIT_INVALID: spec<{ limit: string; max: number }>({
    ...user,
    message: (p) => `limit=${p.limit} is not a whole number from 1 to ${p.max}`,
    hint: (p) => `Use limit=${Math.min(100, p.max)} and follow \`next\`, or export with format=ndjson.`,
  }),
  VIEW_INTERVAL_INVALID: spec<{ interval: string; max: number }>({
    ...user,
    message: (p) => `interval=${p.interval} is not a whole number of ms from 0 to ${p.max}`,
    hint: () => 'interval is the least time between two delta frames, in ms; leave it out for the default.',
  }),
  VIEW_ROWS_LIMIT: spec<{ table: string; max: number }>({
    kind: 'user',
    httpStatus: 507,
    retry: 'later',
    message: (p) => `table "${p.table}" would have more than ${p.max} rows`,
    hint: () => 'Make the key coarser, add a window or a WHERE, or raise limits.viewRows in millrace.config.ts.',
  }),
  VIEW_COUNT_LIMIT: spec<{ max: number }>({
    ...limit,
    message: (p) => `there are already ${p.max} materialized tables`,
    hint: () => 'Drop one, or raise limits.views in millrace.config.ts.',
  }),
  VIEW_SUBSCRIPTIONS_LIMIT: spec<{ max: number }>({
    ...limit,
    httpStatus: 503,
    message: (p) => `there are already ${p.max} live subscriptions`,
    hint: () => 'Try again later, or raise limits.subscriptions in millrace.config.ts.',
  }),
  VIEW_CHANNELS_LIMIT: spec<{ table: string; max: number }>({
    ...limit,
    httpStatus: 503,
    message: (p) => `table "${p.table}" already has ${p.max} different live queries`,
    hint: () =>
      'Subscriptions with equal parameters share one: use fewer different filters, or raise limits.channels in millrace.config.ts.',
  }),
  VIEW_INDEXES_LIMIT: spec<{ table: string; max: number }>({
    ...limit,
    httpStatus: 503,
    message: (p) => `table "${p.table}" already has ${p.max} orders in use by live queries`,
    hint: () => 'Use one of the orders in use, or close a subscription.',
  }),
  VIEW_SUBSCRIPTION_TOO_LARGE: spec<{ table: string; rowCount: number; max: number }>({
    ...user,
    httpStatus: 413,
    message: (p) => `the subscription covers ${p.rowCount} rows of "${p.table}", more than ${p.max}`,
    hint: () => 'Add a filter, or order=… with limit=….',
  }),
  VIEW_DROPPED: spec<{ table: string }>({
    ...user,
    httpStatus: 410,
    message: (p) => `table "${p.table}" was dropped`,
    hint: () => 'Subscribe again when it has been created anew.',
  }),
})
