// The shapes of topics, their records, and consumer groups; see schemas.ts.
import { type Static, Type } from '@sinclair/typebox'
import type * as contract from './contract.ts'
import { ColumnInfo, count, ErrorFrame, IngestResponse, optional, PingFrame, QuerySummary, same } from './schemas.ts'

const closed = { additionalProperties: false } as const
const Setting = Type.Union([Type.String(), Type.Number()])
/** Without types of JSON Schema: the server would turn null into an empty text. What is wrong, the log refuses. */
const SettingChange = Type.Unsafe<string | number | null>({ description: 'Text, a number, or null for the default.' })
const lag = count('Records that are not read yet.')
const lagMs = optional(
  Type.Number({ description: 'How long the oldest of them has been there, in ms; absent where nothing is left to read.' }),
)

export const LIMIT_MAX = 1_000
export const PRODUCE_MAX = 1_000
export const EXPORT_MAX = 1_000_000
export const SAMPLE_MAX = 1_000_000
export const LETTERS_MAX = 10_000

// ---------------------------------------------------------------- topics

export const NewTopic = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 249 }),
    partitionCount: optional(Type.Integer({ minimum: 1, maximum: 1_024 })),
    config: optional(Type.Record(Type.String(), Setting, { description: "Kafka's settings of topics; others have their defaults." })),
  },
  closed,
)
export const TopicChange = Type.Object(
  {
    partitionCount: optional(Type.Integer({ minimum: 1, maximum: 1_024, description: 'Can only grow.' })),
    config: optional(Type.Record(Type.String(), SettingChange, { description: 'null sets the default again.' })),
  },
  closed,
)
export const DeleteTopicQuery = Type.Object(
  {
    confirm: optional(Type.String({ description: "The topic's name once more: without it nothing is deleted." })),
    force: optional(Type.Boolean({ description: 'Also where tables and queries of the project depend on it.' })),
  },
  closed,
)
export const TopicSetting = Type.Object({
  name: Type.String(),
  value: Setting,
  default: Setting,
  isDefault: Type.Boolean(),
  description: Type.String(),
})
export const TopicPartition = Type.Object({
  partition: count(),
  startOffset: count('The first that is kept.'),
  endOffset: count('The next to be given.'),
  sizeBytes: count(),
  segmentCount: count(),
  oldestMs: optional(Type.Number()),
  newestMs: optional(Type.Number()),
})
const ConsumerPartition = Type.Object({ partition: count(), offset: count(), endOffset: count(), lag, lagMs })
export const TopicConsumers = Type.Object({
  tables: Type.Array(Type.String(), { description: 'Tables that declare it.' }),
  writers: Type.Array(Type.String(), { description: 'Queries that write to it.' }),
  queries: Type.Array(
    Type.Object({ id: Type.String(), state: QuerySummary.properties.state, partitions: Type.Array(ConsumerPartition), lag, lagMs }),
  ),
  groups: Type.Array(
    Type.Object({ id: Type.String(), state: Type.String(), memberCount: count(), partitions: Type.Array(ConsumerPartition), lag, lagMs }),
  ),
})

// ---------------------------------------------------------------- records

const Encoding = Type.Union([Type.Literal('json'), Type.Literal('text'), Type.Literal('hex')])
export const TopicMessage = Type.Object({
  partition: count(),
  offset: count(),
  timestampMs: Type.Number(),
  key: Type.Union([Type.String(), Type.Null()], { description: 'Text, or hexadecimal digits where it is no UTF-8.' }),
  value: Type.Unknown({ description: 'The JSON as it was sent, where it is JSON; else text; else hexadecimal digits.' }),
  encoding: Type.Union([Encoding, Type.Null()], { description: 'What `value` is; null for a tombstone.' }),
  headers: Type.Record(Type.String(), Type.String()),
  sizeBytes: count('Of key and value.'),
  row: optional(Type.Array(Type.Unknown(), { description: 'With `select`: values of its columns; exact numerals.' })),
})
export const MessagesPage = Type.Object({
  messages: Type.Array(TopicMessage),
  columns: optional(Type.Array(ColumnInfo, { description: 'With `select`.' })),
  scanned: count('Records that this page looked at.'),
  remaining: count('Records that are left: "scanned N of M" is the sum of `scanned` so far, of that and `remaining`.'),
  undecoded: count('Records that the declared columns do not fit: their columns were NULL.'),
  failed: count('Records for which an expression failed: they are left out.'),
  next: Type.Union([Type.String(), Type.Null()], { description: '`cursor` of the next page; null at the end.' }),
})
const recordParameters = {
  partition: optional(Type.Integer({ minimum: 0, description: 'All unless said.' })),
  where: optional(
    Type.String({
      minLength: 1,
      maxLength: 4_096,
      description:
        'A condition in SQL over the columns of the table that declares the topic, and _key, _value, _headers, _partition, _offset, _timestamp, _size: ' +
        "edits > 5 AND _headers['source'] = 'http'. Without such a table: JSON_VALUE(_value, '$.page') = 'Main'.",
    }),
  ),
  select: optional(
    Type.String({ minLength: 1, maxLength: 4_096, description: 'A select list in SQL over the same columns: page, delta * 2 AS twice.' }),
  ),
  decode: optional(
    Type.Union([Type.Literal('auto'), Encoding], {
      description: 'How values are shown; auto takes JSON where it is JSON, else text, else hexadecimal digits.',
    }),
  ),
}
const seekParameters = {
  from: optional(Type.Union([Type.Literal('newest'), Type.Literal('oldest')])),
  offset: optional(Type.Integer({ minimum: 0, description: 'From this offset of each partition, oldest first.' })),
  time: optional(
    Type.String({
      maxLength: 64,
      description: 'From the first record of each partition at or after this time: epoch ms, or ISO 8601 (UTC unless it says its zone).',
    }),
  ),
}
export const MessagesQuery = Type.Object(
  {
    ...seekParameters,
    ...recordParameters,
    limit: optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX, description: '50 unless said.' })),
    scan: optional(
      Type.Integer({
        minimum: 1,
        maximum: 500_000,
        description: 'Records that a page looks at, about: 50,000 unless said. Then it goes on with `next`.',
      }),
    ),
    cursor: optional(Type.String({ maxLength: 65_536, description: '`next` of the page before, with the same other parameters.' })),
  },
  closed,
)
export const ExportQuery = Type.Object(
  {
    ...seekParameters,
    ...recordParameters,
    format: optional(Type.Union([Type.Literal('ndjson'), Type.Literal('csv')], { description: 'ndjson unless said.' })),
    limit: optional(Type.Integer({ minimum: 1, maximum: EXPORT_MAX, description: '100,000 records unless said.' })),
  },
  closed,
)
const { partition, where, select, decode } = recordParameters
export const TopicLiveQuery = Type.Object(
  {
    rate: optional(Type.Integer({ minimum: 1, maximum: 1_000, description: 'Records per second at most, 50 unless said.' })),
    partition,
    where,
    select,
    decode,
  },
  closed,
)
export const TopicFrame = Type.Object({
  type: Type.Literal('messages'),
  messages: Type.Array(TopicMessage),
  skipped: count('Records that were left out, and not looked at, to keep the rate.'),
})
export const TopicLiveFrame = Type.Union([TopicFrame, PingFrame, ErrorFrame])

const VALUE_BYTES = 4 * 1024 * 1024
const Text = (description: string) => Type.String({ maxLength: VALUE_BYTES, description })
/** One schema of two types: of a union, the first would make '' of null. */
const Bytes = (description: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: VALUE_BYTES, description })
export const ProduceRequest = Type.Object(
  {
    messages: Type.Array(
      Type.Object(
        {
          key: optional(Bytes('Null, or not there: a record without a key.')),
          value: Bytes('Stored as it is: JSON is sent as its text. Null: a tombstone.'),
          encoding: optional(
            Type.Union([Type.Literal('text'), Type.Literal('hex'), Type.Literal('base64')], {
              description: 'Of key and value; text unless said.',
            }),
          ),
          headers: optional(Type.Record(Type.String(), Type.String())),
          partition: optional(Type.Integer({ minimum: 0, description: "By the key unless said, as Kafka's producers do." })),
          timestampMs: optional(Type.Integer({ description: 'Now unless said.' })),
        },
        closed,
      ),
      { minItems: 1, maxItems: PRODUCE_MAX },
    ),
  },
  closed,
)
export const ProduceResponse = Type.Object({ offsets: Type.Array(Type.Object({ partition: count(), offset: count() })) })

// ---------------------------------------------------------------- statistics, dead letters

const SizeSummary = Type.Object({
  min: Type.Number(),
  p50: Type.Number(),
  p90: Type.Number(),
  p99: Type.Number(),
  max: Type.Number(),
  mean: Type.Number(),
  total: Type.Number(),
})
export const StatisticsQuery = Type.Object(
  {
    sample: optional(
      Type.Integer({ minimum: 1, maximum: SAMPLE_MAX, description: 'How many of the newest records are looked at: 100,000 unless said.' }),
    ),
  },
  closed,
)
export const TopicStatistics = Type.Object({
  atMs: Type.Number(),
  sampled: count('Records that all figures are exact for: the newest ones.'),
  total: count('Records of the topic.'),
  tombstones: count(),
  firstMs: optional(Type.Number()),
  lastMs: optional(Type.Number()),
  keys: Type.Object({ withKey: count(), unique: count() }),
  sizeBytes: SizeSummary,
  columnsFrom: Type.Union([Type.Literal('declared'), Type.Literal('found')]),
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String(), nulls: count() })),
  undecoded: count(),
  lateness: optional(
    Type.Object({
      column: Type.String(),
      behindWatermark: optional(count('Records that the declared watermark had passed.')),
      maxMs: Type.Number(),
      buckets: Type.Array(Type.Object({ upToMs: Type.Union([Type.Number(), Type.Null()]), count: count() })),
      without: count(),
    }),
  ),
})
const DeadLetter = Type.Object({
  partition: count(),
  offset: count(),
  timestampMs: Type.Number(),
  rule: Type.String(),
  path: Type.String(),
  message: Type.String(),
  source: Type.String(),
  value: Type.String(),
  encoding: Type.Union([Type.Literal('text'), Type.Literal('hex')]),
  length: count(),
  repairedMs: optional(Type.Number()),
})
export const LettersQuery = Type.Object(
  {
    limit: optional(
      Type.Integer({ minimum: 1, maximum: LETTERS_MAX, description: 'How many of the newest letters are looked at: 1,000 unless said.' }),
    ),
    where: optional(Type.String({ maxLength: 10_000, description: "A condition in SQL over the letters: `_headers['rule'] = 'type'`." })),
  },
  closed,
)
export const DeadLetterGroups = Type.Object({
  topic: Type.String(),
  looked: count(),
  total: count(),
  groups: Type.Array(
    Type.Object({
      rule: Type.String(),
      path: Type.String(),
      count: count(),
      openCount: count('Of them not sent again yet.'),
      firstMs: Type.Number(),
      lastMs: Type.Number(),
      letters: Type.Array(DeadLetter, { description: 'The newest of them, 50 at most.' }),
    }),
  ),
})
export const CheckRequest = Type.Object({ value: Text('An event, or several: what POST …/events takes.') }, closed)
const { accepted, rejected, rejectedCount } = IngestResponse.properties
export const CheckResponse = Type.Object({ accepted, rejected, rejectedCount })
export const RepairRequest = Type.Object(
  {
    partition: count(),
    offset: count('Of the letter in `<topic>.invalid`.'),
    value: Text('The event as it should be.'),
    again: optional(Type.Boolean({ description: 'Also if the letter was sent again already.' })),
  },
  closed,
)

// ---------------------------------------------------------------- consumer groups

export const GroupParams = Type.Object({ group: Type.String({ minLength: 1 }) })
export const GroupSummary = Type.Object({
  id: Type.String(),
  state: Type.String({ description: "Kafka's names: Empty, Stable, PreparingRebalance …" }),
  type: Type.Union([Type.Literal('classic'), Type.Literal('consumer')]),
  protocolType: Type.String(),
  memberCount: count(),
  topics: Type.Array(Type.String()),
  lag,
  lagMs,
})
export const GroupList = Type.Object({
  kafkaPort: Type.Union([Type.Integer(), Type.Null()], { description: 'Where Kafka clients connect; null: they cannot.' }),
  groups: Type.Array(GroupSummary),
})
export const GroupDetail = Type.Object({
  ...GroupSummary.properties,
  members: Type.Array(
    Type.Object({
      id: Type.String(),
      instanceId: optional(Type.String()),
      clientId: Type.String(),
      host: Type.String(),
      assigned: Type.Array(Type.Object({ topic: Type.String(), partition: count() })),
    }),
  ),
  partitions: Type.Array(
    Type.Object({
      topic: Type.String(),
      partition: count(),
      offset: optional(count('The next record to be read; absent before the first commit.')),
      startOffset: count(),
      endOffset: count(),
      lag: optional(count('Records that are not read yet; absent before the first commit.')),
      lagMs,
      committedMs: optional(Type.Number()),
      metadata: optional(Type.String()),
      memberId: optional(Type.String()),
    }),
  ),
})
export const ResetRequest = Type.Object(
  {
    to: Type.Union(
      [
        Type.Literal('earliest'),
        Type.Literal('latest'),
        Type.Object({ offset: count() }, closed),
        Type.Object({ time: Type.String({ maxLength: 64 }) }, closed),
        Type.Object({ shiftBy: Type.Integer() }, closed),
      ],
      {
        description:
          'time: the first record at or after it, as epoch ms or ISO 8601. shiftBy counts from the committed offset, back if negative.',
      },
    ),
    topics: optional(Type.Array(Type.String(), { minItems: 1, description: 'All with committed offsets unless said.' })),
    partitions: optional(Type.Array(count(), { minItems: 1 })),
    execute: optional(Type.Boolean({ description: 'Without it the answer says what would be done. Needs a group without members.' })),
  },
  closed,
)
export const ResetPlan = Type.Object({
  group: Type.String(),
  executed: Type.Boolean(),
  partitions: Type.Array(
    Type.Object({
      topic: Type.String(),
      partition: count(),
      from: optional(count()),
      to: count(),
      startOffset: count(),
      endOffset: count(),
      change: Type.Integer({ description: 'Records that are skipped, or read again if negative.' }),
      isClamped: Type.Boolean({ description: 'The target was outside of what the partition holds.' }),
    }),
  ),
})

same<Static<typeof NewTopic>, contract.NewTopic>(true)
same<Static<typeof TopicChange>, contract.TopicChange>(true)
same<Static<typeof TopicSetting>, contract.TopicSetting>(true)
same<Static<typeof TopicPartition>, contract.TopicPartition>(true)
same<Static<typeof TopicConsumers>, contract.TopicConsumers>(true)
same<Static<typeof TopicMessage>, contract.TopicMessage>(true)
same<Static<typeof MessagesPage>, contract.MessagesPage>(true)
same<Static<typeof TopicFrame>, contract.TopicFrame>(true)
same<Static<typeof ProduceRequest>, contract.ProduceRequest>(true)
same<Static<typeof ProduceResponse>, contract.ProduceResponse>(true)
same<Static<typeof TopicStatistics>, contract.TopicStatistics>(true)
same<Static<typeof DeadLetterGroups>, contract.DeadLetterGroups>(true)
same<Static<typeof CheckResponse>, contract.CheckResponse>(true)
same<Static<typeof GroupList>, contract.GroupList>(true)
same<Static<typeof GroupDetail>, contract.GroupDetail>(true)
same<Static<typeof ResetRequest>, contract.ResetRequest>(true)
same<Static<typeof ResetPlan>, contract.ResetPlan>(true)
