// /v1/groups: consumer groups, how far behind they are, and where they go on.
//
// Invariant: a reset or a deletion is refused while the group has members, as Kafka's own tools refuse it; a reset is a dry run unless the
// request says `execute`, and what it says it would do is what it does then, on the offsets of that moment.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { nearestName } from '../base/index.ts'
import { auditOf } from './audit.ts'
import type {
  GroupDetail as GroupDetailBody,
  GroupSummary as GroupSummaryBody,
  ResetRequest as ResetBody,
  ResetPlan as ResetPlanBody,
} from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { FiguresHistory, FiguresRange, rangeOf } from './figures.ts'
import type { ConsumerGroups, GroupState } from './groupsContract.ts'
import { LagLook, lagsOfGroups, totalLag } from './lag.ts'
import { NoQuery } from './schemas.ts'
import { findTopic } from './topicNames.ts'
import { GroupDetail, GroupList, GroupParams, ResetPlan, ResetRequest } from './topicSchemas.ts'
import { offsetOfTime, parseTimeMs } from './topicSeek.ts'

export function registerGroups(app: FastifyInstance, deps: ServeDeps): void {
  const { log } = deps
  const idOf = (request: { params: unknown }): string => (request.params as Static<typeof GroupParams>).group

  /** @throws StreamError SERVE_GROUP_NOT_FOUND */
  const find = async (id: string): Promise<{ registry: ConsumerGroups; group: GroupState }> => {
    const registry = await deps.groups()
    const all = registry?.list() ?? []
    const group = all.find((one) => one.id === id)
    if (registry && group) return { registry, group }
    const nearest = nearestName(
      id,
      all.map((one) => one.id),
    )
    throw serveErrors('SERVE_GROUP_NOT_FOUND', { group: id, nearest, hasKafka: registry !== undefined })
  }

  const detailOf = async (registry: ConsumerGroups, group: GroupState): Promise<GroupDetailBody> => {
    const members = registry
      .members(group.id)
      .map(({ instanceId, ...member }) => ({ ...member, ...(instanceId !== null && { instanceId }) }))
    const ownerOf = new Map(members.flatMap(({ id, assigned }) => assigned.map(({ topic, partition }) => [`${topic}/${partition}`, id])))
    const committed = new Map(registry.offsets(group.id).map((one) => [`${one.topic}/${one.partition}`, one]))
    const places = [...committed.values(), ...members.flatMap(({ assigned }) => assigned)]
    const byPlace = new Map(places.map(({ topic, partition }) => [`${topic}/${partition}`, { topic, partition }]))
    const look = new LagLook(log)
    const partitions = await Promise.all(
      [...byPlace].map(async ([place, { topic, partition }]) => {
        const { startOffset = 0, endOffset = 0 } = log.topic(topic)?.partitions[partition] ?? {}
        const known = committed.get(place)
        const memberId = ownerOf.get(place)
        return {
          topic,
          partition,
          startOffset,
          endOffset,
          ...(known && { offset: known.offset, committedMs: known.committedMs, metadata: known.metadata }),
          ...(memberId !== undefined && { memberId }),
          // Where a member begins that has committed nothing is its own affair: how far behind it is, is not known, and no part of the sum.
          ...(known && (await look.age(topic, partition, known.offset))),
        }
      }),
    )
    partitions.sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition)
    const topics = [...new Set(partitions.map(({ topic }) => topic))]
    return {
      ...group,
      topics,
      ...totalLag(partitions.map(({ lag = 0, lagMs }) => ({ lag, ...(lagMs !== undefined && { lagMs }) }))),
      members,
      partitions,
    }
  }

  app.get(
    '/v1/groups',
    { schema: { summary: 'All consumer groups, with what they have still to read.', querystring: NoQuery, response: { 200: GroupList } } },
    async () => {
      const registry = await deps.groups()
      if (!registry) return { kafkaPort: null, groups: [] }
      const lags = new Map((await lagsOfGroups(log, registry)).map((one) => [one.id, one]))
      const groups = registry.list().map((group): GroupSummaryBody => {
        const assigned = registry.members(group.id).flatMap((member) => member.assigned)
        const topics = [...new Set([...registry.offsets(group.id), ...assigned].map(({ topic }) => topic))].sort()
        return { ...group, topics, ...(lags.get(group.id) ?? { lag: 0 }) }
      })
      return { kafkaPort: registry.port, groups: groups.sort((a, b) => a.id.localeCompare(b.id)) }
    },
  )
  app.get(
    '/v1/groups/:group',
    {
      schema: {
        summary: 'One consumer group: members, and for each partition offset, end and lag in records and in time.',
        params: GroupParams,
        querystring: NoQuery,
        response: { 200: GroupDetail },
      },
    },
    async (request) => {
      const { registry, group } = await find(idOf(request))
      return detailOf(registry, group)
    },
  )
  app.get<{ Querystring: Static<typeof FiguresRange> }>(
    '/v1/groups/:group/stats/history',
    {
      schema: {
        summary: 'How far behind a group was over time, in records and in ms.',
        params: GroupParams,
        querystring: FiguresRange,
        response: { 200: FiguresHistory },
      },
    },
    async (request) => deps.stats.history.ofGroup((await find(idOf(request))).group.id, ...rangeOf(request.query)),
  )
  app.post<{ Body: ResetBody }>(
    '/v1/groups/:group/reset',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Sets where a group goes on. Says what it would do, and does it only with execute.',
        params: GroupParams,
        body: ResetRequest,
        response: { 200: ResetPlan },
      },
    },
    async (request): Promise<ResetPlanBody> => {
      const id = idOf(request)
      const { to, topics, partitions: chosen, execute = false } = request.body
      const registry = await deps.groups()
      // With topics named, a group may begin with this, as with Kafka's tool.
      if (!registry || topics === undefined) await find(id)
      const offsets = registry!.offsets(id)
      const wanted = topics ?? [...new Set(offsets.map(({ topic }) => topic))]
      const partitions: ResetPlanBody['partitions'] = []
      for (const topic of wanted) {
        const info = findTopic(log, topic)
        for (const partition of chosen ?? []) {
          if (!info.partitions[partition])
            throw serveErrors('SERVE_PARTITION_NOT_FOUND', { topic, partition, partitionCount: info.partitions.length })
        }
        for (const { partition, startOffset, endOffset } of info.partitions) {
          if (chosen && !chosen.includes(partition)) continue
          const from = offsets.find((one) => one.topic === topic && one.partition === partition)?.offset
          const target = await targetOf(to, from, { topic, partition, startOffset, endOffset })
          const toOffset = Math.min(Math.max(target, startOffset), endOffset)
          const place = { topic, partition, ...(from !== undefined && { from }), to: toOffset, startOffset, endOffset }
          partitions.push({ ...place, change: toOffset - (from ?? startOffset), isClamped: toOffset !== target })
        }
      }
      if (partitions.length === 0) throw serveErrors('SERVE_RESET_NOTHING', { group: id })
      if (execute) {
        await registry!.commit(
          id,
          partitions.map(({ topic, partition, to: offset }) => ({ topic, partition, offset })),
        )
        const moved = partitions.map(({ topic, partition, from, to: target }) => `${topic}/${partition}: ${from ?? '-'} -> ${target}`)
        auditOf(deps, request)('group reset', { group: id, to, moved })
      }
      return { group: id, executed: execute, partitions }
    },
  )
  app.delete(
    '/v1/groups/:group',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Deletes a group without members, and its committed offsets.',
        params: GroupParams,
        querystring: NoQuery,
        response: { 200: Type.Object({ deleted: Type.String() }) },
      },
    },
    async (request) => {
      const { registry, group } = await find(idOf(request))
      const offsets = registry.offsets(group.id).map(({ topic, partition, offset }) => `${topic}/${partition}: ${offset}`)
      await registry.delete(group.id)
      auditOf(deps, request)('group deleted', { group: group.id, offsets })
      return { deleted: group.id }
    },
  )

  async function targetOf(
    to: ResetBody['to'],
    from: number | undefined,
    { topic, partition, startOffset, endOffset }: { topic: string; partition: number; startOffset: number; endOffset: number },
  ): Promise<number> {
    if (to === 'earliest') return startOffset
    if (to === 'latest') return endOffset
    if ('offset' in to) return to.offset
    if ('shiftBy' in to) return (from ?? startOffset) + to.shiftBy
    return offsetOfTime(log, topic, partition, parseTimeMs(to.time))
  }
}
