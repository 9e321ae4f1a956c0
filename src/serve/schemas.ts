// The API's shapes, once: fastify checks requests against them, openapi.json shows them, and the compiler holds them to contract.ts.
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { INTERVAL_MAX_MS, viewStoreLimits } from '../views/index.ts'
import type * as contract from './contract.ts'

/** A compile error where a schema and its type in contract.ts differ. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never
export const same = <A, B>(_: Same<A, B>): void => {}

export const count = (description?: string) => Type.Integer({ minimum: 0, ...(description && { description }) })
export const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)

export const Position = Type.Object({ line: Type.Integer(), column: Type.Integer(), start: Type.Integer(), end: Type.Integer() })
export const ErrorInfo = Type.Object({
  code: Type.String({ description: 'Look at this, never at the text.' }),
  message: Type.String(),
  hint: Type.String({ description: 'What to do next.' }),
  params: optional(Type.Record(Type.String(), Type.Unknown())),
  position: optional(Position),
})
export const ApiError = Type.Object({ error: ErrorInfo })
export const ColumnInfo = Type.Object({
  name: Type.String(),
  type: Type.String({ description: "Flink's serializable type text, NOT NULL included." }),
})
export const TableSummary = Type.Object({
  name: Type.String(),
  comment: optional(Type.String()),
  columns: Type.Array(ColumnInfo),
  primaryKey: Type.Array(Type.String()),
  rowCount: count(),
  changeCount: count('Changes applied since start.'),
  updatedAtMs: optional(Type.Number()),
  subscriberCount: count(),
})
const Row = Type.Array(Type.Unknown(), {
  description: 'Values in column order. BIGINT and DECIMAL are exact numerals, or text with numbers=string.',
})
export const TablePage = Type.Object({
  columns: Type.Array(ColumnInfo),
  rows: Type.Array(Row),
  next: Type.Union([Type.String(), Type.Null()], { description: 'Cursor of the next page, null at the end.' }),
  epoch: Type.Integer(),
})
export const ErrorFrame = Type.Object({ type: Type.Literal('error'), error: ErrorInfo })
export const PingFrame = Type.Object({ type: Type.Literal('ping'), atMs: Type.Number() })
export const LiveFrame = Type.Union([
  Type.Object({
    type: Type.Literal('snapshot'),
    columns: Type.Array(ColumnInfo),
    primaryKey: Type.Array(Type.String()),
    rows: Type.Array(Row),
    resume: Type.String(),
    epoch: Type.Integer(),
  }),
  Type.Object({
    type: Type.Literal('delta'),
    changes: Type.Array(
      Type.Object({ op: Type.Union([Type.Literal('+I'), Type.Literal('-U'), Type.Literal('+U'), Type.Literal('-D')]), row: Row }),
    ),
    resume: Type.String(),
    epoch: Type.Integer(),
    atMs: Type.Number(),
  }),
  Type.Object({ type: Type.Literal('reset'), reason: Type.String() }),
  PingFrame,
  ErrorFrame,
])
export const TopicSummary = Type.Object({
  name: Type.String(),
  partitionCount: count(),
  recordCount: count(),
  sizeBytes: count(),
  columns: Type.Array(ColumnInfo),
  format: Type.Optional(Type.Union([Type.Literal('json'), Type.Literal('csv'), Type.Literal('raw')])),
  config: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()])),
  readers: Type.Object({
    queries: count(),
    groups: count(),
    lag: count('Records that the consumer group furthest behind has still to read.'),
  }),
})
export const Access = Type.Object({
  isTokenNeeded: Type.Boolean(),
  role: Type.Union([Type.Literal('reader'), Type.Literal('writer'), Type.Literal('admin'), Type.Null()], {
    description: 'admin where no token is needed; null for none, or one that is unknown.',
  }),
  name: optional(Type.String()),
})
export const Health = Type.Object({
  ready: Type.Boolean(),
  live: Type.Boolean(),
  version: Type.String(),
  uptimeSeconds: Type.Number(),
  parts: Type.Record(
    Type.String(),
    Type.Object({
      state: Type.Union([Type.Literal('ok'), Type.Literal('starting'), Type.Literal('degraded'), Type.Literal('failed')]),
      detail: optional(Type.String()),
    }),
  ),
})
const Rate = Type.Object({ total: Type.Number(), perSecond: Type.Number() })
export const QuerySummary = Type.Object({
  id: Type.String(),
  name: Type.String(),
  state: Type.Union([
    Type.Literal('starting'),
    Type.Literal('running'),
    Type.Literal('failed'),
    Type.Literal('stopped'),
    Type.Literal('finished'),
  ]),
  error: optional(ErrorInfo),
  rowsIn: count(),
  rowsOut: count(),
  rowsInPerSecond: Type.Number(),
  rowsOutPerSecond: Type.Number(),
  lateRows: count(),
  failedRows: count(),
  watermarkMs: optional(Type.Number()),
  parallelism: count(),
  stateBytes: count(),
  spentMs: Type.Object({ busy: Type.Number(), backPressured: Type.Number(), idle: Type.Number() }),
  restarts: count(),
  checkpointMs: optional(Type.Number()),
  parityMarks: count('What Flink would refuse or do otherwise of its statement and the tables that it reads: see its parity.'),
  target: Type.Object({
    kind: Type.Union([Type.Literal('table'), Type.Literal('topic'), Type.Literal('files'), Type.Literal('other')]),
    name: Type.String(),
  }),
  droppedTables: Type.Array(Type.String()),
  heldUp: optional(
    Type.Object(
      { seconds: Type.Number(), query: optional(Type.String()), function: optional(Type.String()) },
      { description: 'Its engine thread does not get on: for how long, and where that is known, by which query and in which function.' },
    ),
  ),
  sql: Type.String(),
})
export const Stats = Type.Object({
  atMs: Type.Number(),
  uptimeSeconds: Type.Number(),
  rssBytes: count(),
  heapBytes: count(),
  cpuShare: Type.Number({ description: 'Of one core, over the last 10 s: 2 is two cores busy.' }),
  version: Type.String(),
  nodeVersion: Type.String(),
  dataBytes: count(),
  diskFreeBytes: optional(count('Of the disk of the data folder.')),
  memory: Type.Object(
    { limitBytes: count(), stateBytes: count(), otherBytes: count(), spilledBytes: count() },
    { description: 'The budget for state, live tables and buffers, and what is in it; state beyond it is on the disk.' },
  ),
  eventsIn: Rate,
  rejected: Rate,
  rowsOut: Rate,
  latency: Type.Object({ p50Ms: Type.Number(), p95Ms: Type.Number(), p99Ms: Type.Number(), count: count() }),
  queries: Type.Array(QuerySummary),
  topics: Type.Array(Type.Object({ name: Type.String(), recordCount: count(), perSecond: Type.Number() })),
})
const Op = Type.Union([Type.Literal('+I'), Type.Literal('-U'), Type.Literal('+U'), Type.Literal('-D')])
const values = Type.Array(Type.Unknown())
export const QueryWhy = Type.Object({
  query: Type.String(),
  state: QuerySummary.properties.state,
  atMs: Type.Number(),
  isHealthy: Type.Boolean({ description: 'Rows come out as they should.' }),
  verdict: Type.String({ description: 'One sentence: the first finding.' }),
  next: Type.String({ description: 'What to do next.' }),
  findings: Type.Array(Type.Object({ code: Type.String(), fact: Type.String(), next: Type.String() })),
  error: optional(ErrorInfo),
  rowsIn: count(),
  rowsOut: count(),
  lateRows: count(),
  failedRows: count(),
  lastInMs: optional(Type.Number()),
  lastOutMs: optional(Type.Number()),
  watermarkMs: optional(Type.Number()),
  sources: Type.Array(
    Type.Object({
      table: Type.String(),
      topic: Type.String(),
      recordCount: count(),
      behind: count('Records that the query has still to read.'),
      undecided: count('Records behind those, which wait for a transaction to be committed or aborted.'),
      newestMs: optional(Type.Number()),
      undecodedRows: count(),
      invalidCount: count('Records in `<topic>.invalid`.'),
      lastInvalid: optional(Type.Object({ rule: Type.String(), path: Type.String(), message: Type.String() })),
      partitions: Type.Array(
        Type.Object({
          partition: count(),
          offset: count(),
          endOffset: count(),
          newestMs: optional(Type.Number()),
          watermarkMs: optional(Type.Number()),
          isIdle: Type.Boolean(),
          holdsBack: Type.Boolean(),
        }),
      ),
    }),
  ),
  windows: Type.Array(
    Type.Object({
      node: count(),
      startMs: Type.Number(),
      endMs: Type.Number(),
      rows: count(),
      clock: Type.Union([Type.Literal('event'), Type.Literal('processing')]),
      firesAtMs: Type.Number(),
      missingMs: optional(Type.Number()),
    }),
  ),
  nodes: Type.Array(
    Type.Object({
      id: count(),
      node: Type.String(),
      label: Type.String(),
      table: optional(Type.String()),
      predicate: optional(Type.String()),
      columns: Type.Array(Type.String()),
      inputs: Type.Array(count()),
      rowsIn: count(),
      rowsOut: count(),
      lateRows: count(),
      failedRows: count(),
      busyMs: Type.Number({ description: 'Since the start of the query: time spent in this node alone.' }),
      watermarkMs: optional(Type.Number()),
      stateRows: optional(count()),
      stateBytes: optional(count()),
      spilledBytes: optional(count()),
      waitingRows: optional(count()),
      samples: Type.Array(Type.Object({ op: Op, row: values })),
      lateSamples: Type.Array(
        Type.Object({
          op: Op,
          row: values,
          watermarkMs: optional(Type.Number()),
          window: optional(Type.Object({ startMs: Type.Number(), endMs: Type.Number() })),
        }),
      ),
      sides: optional(Type.Array(Type.Object({ rows: count(), unmatched: count(), samples: Type.Array(values) }))),
    }),
  ),
  parallelism: Type.Object({ subtasks: count(), reason: optional(Type.String()) }),
  subtasks: Type.Array(
    Type.Object({
      subtask: count(),
      rowsIn: count(),
      rowsOut: count(),
      lateRows: count(),
      watermarkMs: optional(Type.Number()),
      stateRows: count(),
      stateBytes: count(),
      busyMs: Type.Number(),
      backPressuredMs: Type.Number(),
      idleMs: Type.Number(),
    }),
  ),
})
export const IngestResponse = Type.Object({
  accepted: count(),
  offsets: Type.Array(Type.Object({ partition: count(), first: count(), last: count() })),
  rejected: Type.Array(Type.Object({ index: count(), rule: Type.String(), path: Type.String(), message: Type.String() }), {
    description: 'The first 1,000 of them.',
  }),
  rejectedCount: count(),
})

same<Static<typeof ApiError>, contract.ApiError>(true)
same<Static<typeof TableSummary>, contract.TableSummary>(true)
same<Static<typeof TablePage>, contract.TablePage>(true)
same<Static<typeof LiveFrame>, contract.LiveFrame>(true)
same<Static<typeof Access>, contract.Access>(true)
same<Static<typeof TopicSummary>, contract.TopicSummary>(true)
same<Static<typeof Health>, contract.Health>(true)
same<Static<typeof QuerySummary>, contract.QuerySummary>(true)
same<Static<typeof Stats>, contract.Stats>(true)
same<Static<typeof QueryWhy>, contract.QueryWhy>(true)
same<Static<typeof IngestResponse>, contract.IngestResponse>(true)

/** Filters: any other parameter, once or more often. */
const filters = {
  additionalProperties: Type.Unsafe<string | string[]>({
    type: ['string', 'array'],
    items: { type: 'string' },
    description:
      'Filter `column=value` or `column.op=value`; op is eq, ne, gt, gte, lt, lte, in (values split by commas), like (%, _), contains or null.',
  }),
}
const numbers = optional(Type.Literal('string', { description: 'BIGINT and DECIMAL as text, for readers whose numbers are doubles.' }))
const order = optional(
  Type.String({ description: 'Columns, `-` before a descending one: `-edits,page`. The primary key always comes last.' }),
)

export const NameParams = Type.Object({ name: Type.String() })
export const QueryParams = Type.Object({ id: Type.String({ description: 'Of a query, or the table that it writes to.' }) })
export const TopicParams = Type.Object({ topic: Type.String() })
export const TableQuery = Type.Object(
  {
    order,
    limit: optional(Type.Integer({ minimum: 1, maximum: viewStoreLimits.scanRowsMax, description: 'Rows of a page, 100 unless said.' })),
    cursor: optional(Type.String({ description: '`next` of the page before, with the same order.' })),
    numbers,
    isolation: optional(
      Type.Union([Type.Literal('live'), Type.Literal('committed')], {
        description:
          'live, unless said: ahead of the next checkpoint. committed: waits for it, and gives the rows that no crash takes back.',
      }),
    ),
    format: optional(
      Type.Union([Type.Literal('json'), Type.Literal('ndjson'), Type.Literal('csv')], {
        description: 'ndjson and csv stream all rows as of now; limit and cursor do not apply.',
      }),
    ),
  },
  filters,
)
export const LiveQuery = Type.Object(
  {
    order,
    limit: optional(
      Type.Integer({
        minimum: 1,
        maximum: viewStoreLimits.topRowsMax,
        description: 'Only the first so many rows of the order; deltas are for this set.',
      }),
    ),
    numbers,
    resume: optional(Type.String({ description: '`resume` of the last frame applied: what changed since follows, without a snapshot.' })),
    interval: optional(Type.Integer({ minimum: 0, maximum: INTERVAL_MAX_MS, description: 'Least time between two deltas, in ms.' })),
  },
  filters,
)
export const NoQuery = Type.Object({}, { additionalProperties: false })
