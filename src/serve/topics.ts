// /v1/topics: what is in the log, its partitions, settings and consumers; topics made, changed and deleted.
//
// Invariants
//   1. A topic is deleted only if the request says its name twice, and, where the project depends on it, `force`.
//   2. Whatever destroys or changes leaves an audit line: what, who, from where.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { defaultTopicConfig, listPartitionSegments, type TopicConfig, type TopicDefaults, type TopicInfo } from '../log/index.ts'
import { auditOf } from './audit.ts'
import type {
  NewTopic as NewTopicBody,
  TopicChange as TopicChangeBody,
  TopicSetting as TopicSettingBody,
  TopicSummary,
} from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { ageOfOffset, groupsBehind, groupsOfTopic, timeOfOffset, totalLag } from './lag.ts'
import { NoQuery, TopicParams, TopicSummary as TopicSummarySchema } from './schemas.ts'
import { findTopic, refuseInternal } from './topicNames.ts'
import { DeleteTopicQuery, NewTopic, TopicChange, TopicConsumers, TopicPartition, TopicSetting } from './topicSchemas.ts'

type Setting = keyof TopicDefaults

/** What a setting means, in one line. One without a line is shown all the same. */
const descriptions: Record<string, string> = {
  'retention.ms': 'Records older than this by their own timestamps may be deleted, a whole segment at a time; -1 keeps them for ever.',
  'retention.bytes': 'Bytes of a partition above which its oldest segments are deleted; -1 is no limit.',
  'segment.bytes': 'Size at which a new file begins. Retention deletes whole files.',
  'segment.ms': 'Age at which a new file begins, even if it is small.',
  'cleanup.policy': 'delete: by retention. compact: the newest record of each key is kept. compact,delete: both.',
  'max.message.bytes': 'The largest batch of records that is taken.',
  'compression.type': 'producer: batches stay as they were sent. Any other: the server compresses all that comes otherwise.',
  'message.timestamp.type': "CreateTime: the producer's clock. LogAppendTime: this machine's, when the record is stored.",
  'message.timestamp.before.max.ms': 'How far in the past the timestamp of a Kafka record may be.',
  'message.timestamp.after.max.ms': 'How far in the future the timestamp of a Kafka record may be.',
  'delete.retention.ms': 'How long a tombstone stays readable after the older records of its key are gone.',
  'min.compaction.lag.ms': 'A record is not compacted away before this age.',
  'max.compaction.lag.ms': 'Compaction does not wait longer than this.',
  'min.cleanable.dirty.ratio': 'Compaction begins when this share of the bytes was not compacted yet.',
}

const settingNames = (config: TopicConfig): Setting[] =>
  (Object.keys(config) as Setting[]).filter((name) => !['partitionCount', 'clientSettings', 'own'].includes(name))

/** Without what is told in other ways. */
function numbersAndTexts({ clientSettings: _, own: __, ...config }: TopicConfig): TopicSummary['config'] {
  return config
}

/** Text where a number is expected is read as one; null is the default. What is left wrong, the log refuses. */
function configOf(changes: Readonly<Record<string, string | number | null>>): Partial<TopicConfig> {
  const config: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(changes)) {
    const standard = defaultTopicConfig[name as Setting]
    if (name === 'partitionCount')
      throw serveErrors('SERVE_PARAMETER_UNKNOWN', { parameter: 'config.partitionCount', nearest: 'partitionCount' })
    if (value === null) config[name] = standard ?? null
    else
      config[name] =
        typeof standard === 'number' && typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value
  }
  return config as Partial<TopicConfig>
}

/** The settings that are a topic's own after a change; what went back to the default follows it again. Undefined where a real Kafka knows. */
function ownAfter(own: readonly string[] | undefined, changes: Readonly<Record<string, string | number | null>>): string[] | undefined {
  const given = Object.keys(changes).filter((name) => changes[name] !== null)
  return own && [...new Set([...own.filter((name) => changes[name] !== null), ...given])]
}

export function registerTopics(app: FastifyInstance, deps: ServeDeps): void {
  const { log, topicColumns, topicFormat, groups, queries, inspectQuery, topicUsers } = deps
  const nameOf = (request: { params: unknown }): string => (request.params as Static<typeof TopicParams>).topic
  const find = (topic: string): TopicInfo => findTopic(log, topic)
  const summaryOf = async (topic: TopicInfo): Promise<TopicSummary> => summaryWith(topic, await behindNow())
  const summaryWith = ({ name, config, partitions }: TopicInfo, behind: ReturnType<typeof groupsBehind>): TopicSummary => ({
    name,
    partitionCount: partitions.length,
    recordCount: partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0),
    sizeBytes: partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    columns: topicColumns(name),
    format: topicFormat(name),
    config: numbersAndTexts(config),
    readers: { queries: topicUsers(name).readers.length, ...(behind.get(name) ?? { groups: 0, lag: 0 }) },
  })
  /** Of all groups at once: they are thousands, and so are the topics. */
  const behindNow = async (): Promise<ReturnType<typeof groupsBehind>> => {
    const registry = await groups()
    return registry ? groupsBehind(log, registry) : new Map()
  }

  app.get(
    '/v1/topics',
    { schema: { summary: 'All topics of the log, by name.', querystring: NoQuery, response: { 200: Type.Array(TopicSummarySchema) } } },
    async () => {
      const behind = await behindNow()
      return log
        .topics()
        .map((topic) => summaryWith(topic, behind))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },
  )
  app.get(
    '/v1/topics/:topic',
    { schema: { summary: 'One topic.', params: TopicParams, querystring: NoQuery, response: { 200: TopicSummarySchema } } },
    (request) => summaryOf(find(nameOf(request))),
  )
  app.post<{ Body: NewTopicBody }>(
    '/v1/topics',
    {
      config: { role: 'admin' },
      schema: { summary: 'Makes a topic.', body: NewTopic, response: { 201: TopicSummarySchema } },
    },
    async (request, reply) => {
      const { name, partitionCount, config = {} } = request.body
      refuseInternal(name)
      const made = { ...(partitionCount !== undefined && { partitionCount }), ...configOf(config), own: ownAfter([], config) }
      const info = await log.createTopic(name, made)
      auditOf(deps, request)('topic created', { topic: name, partitionCount: info.partitions.length, config })
      return reply.code(201).send(await summaryOf(info))
    },
  )
  app.patch<{ Body: TopicChangeBody }>(
    '/v1/topics/:topic',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Changes settings of a topic, or gives it more partitions.',
        params: TopicParams,
        body: TopicChange,
        response: { 200: TopicSummarySchema },
      },
    },
    async (request) => {
      const topic = nameOf(request)
      const before = find(topic)
      refuseInternal(topic)
      const { partitionCount, config = {} } = request.body
      const own = ownAfter(before.config.own, config)
      const change = { ...(partitionCount !== undefined && { partitionCount }), ...configOf(config), own }
      const info = await log.alterTopic(topic, change)
      auditOf(deps, request)('topic changed', { topic, before: before.config, after: info.config })
      return summaryOf(info)
    },
  )
  app.delete<{ Querystring: Static<typeof DeleteTopicQuery> }>(
    '/v1/topics/:topic',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Deletes a topic with all its records. There is no way back.',
        params: TopicParams,
        querystring: DeleteTopicQuery,
        response: { 200: TopicSummarySchema },
      },
    },
    async (request) => {
      const topic = nameOf(request)
      const summary = await summaryOf(find(topic))
      refuseInternal(topic)
      const { confirm, force = false } = request.query
      if (confirm !== topic) throw serveErrors('SERVE_DELETE_UNCONFIRMED', { topic, recordCount: summary.recordCount })
      const { tables, readers, writers } = topicUsers(topic)
      if (!force && tables.length > 0) throw serveErrors('SERVE_TOPIC_IN_USE', { topic, tables, queries: [...readers, ...writers] })
      await log.deleteTopic(topic)
      await (await groups())?.forgetTopic(topic)
      auditOf(deps, request)('topic deleted', { topic, recordCount: summary.recordCount, sizeBytes: summary.sizeBytes, force })
      return summary
    },
  )
  app.get(
    '/v1/topics/:topic/settings',
    {
      schema: {
        summary: 'The settings of a topic, their defaults, and what they mean.',
        params: TopicParams,
        querystring: NoQuery,
        response: { 200: Type.Array(TopicSetting) },
      },
    },
    (request) => {
      const { config } = find(nameOf(request))
      return settingNames(config).map((name): TopicSettingBody => {
        const value = config[name]
        const isDefault = config.own ? !config.own.includes(name) : value === defaultTopicConfig[name]
        return { name, value, default: isDefault ? value : defaultTopicConfig[name], isDefault, description: descriptions[name] ?? '' }
      })
    },
  )
  app.get(
    '/v1/topics/:topic/partitions',
    {
      schema: {
        summary: 'The partitions of a topic: offsets, sizes, and when their oldest and newest records were made.',
        params: TopicParams,
        querystring: NoQuery,
        response: { 200: Type.Array(TopicPartition) },
      },
    },
    async (request) => {
      const topic = nameOf(request)
      const { partitions } = find(topic)
      return Promise.all(
        partitions.map(async (info) => {
          const { partition, startOffset, endOffset } = info
          const [oldestMs, newestMs] = await Promise.all([
            timeOfOffset(log, topic, partition, startOffset, endOffset),
            timeOfOffset(log, topic, partition, endOffset - 1, endOffset),
          ])
          return { ...info, segmentCount: listPartitionSegments(log.descriptor(topic), partition).length, oldestMs, newestMs }
        }),
      )
    },
  )
  app.get(
    '/v1/topics/:topic/consumers',
    {
      schema: {
        summary: 'Who depends on a topic: tables and queries of the project, and consumer groups, with what they have still to read.',
        params: TopicParams,
        querystring: NoQuery,
        response: { 200: TopicConsumers },
      },
    },
    async (request) => {
      const topic = nameOf(request)
      find(topic)
      const { tables, readers, writers } = topicUsers(topic)
      const states = new Map(queries().map(({ id, state }) => [id, state]))
      const reading = await Promise.all(
        readers.map(async (id) => {
          const insight = await inspectQuery(id)
          const source = insight?.live?.sources.find((one) => one.topic === topic)
          const partitions = await Promise.all(
            (source?.partitions ?? []).map(async ({ partition, offset, endOffset }) => ({
              partition,
              offset,
              endOffset,
              ...(await ageOfOffset(log, topic, partition, offset)),
            })),
          )
          return { id, state: states.get(id) ?? 'stopped', partitions, ...totalLag(partitions) }
        }),
      )
      const registry = await groups()
      return { tables, writers, queries: reading, groups: registry ? await groupsOfTopic(log, registry, topic) : [] }
    },
  )
}
