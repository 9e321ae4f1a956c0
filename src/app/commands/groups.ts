// millrace groups: consumer groups, their lag, and where they go on.
import type { GroupDetail, GroupList, ResetPlan, ResetRequest } from '../../serve/contract.ts'
import { call, getJson, sendJson, type Target } from '../client.ts'
import { durationText, tableText, timeText } from '../output.ts'

const pathOf = (id: string): string => `/v1/groups/${encodeURIComponent(id)}`
const lagTime = (lagMs: number | undefined): string => (lagMs === undefined ? '' : durationText(lagMs))

export async function listGroups(target: Target, json: boolean): Promise<void> {
  const { groups, kafkaPort } = await getJson<GroupList>(target, '/v1/groups')
  if (json) for (const group of groups) console.log(JSON.stringify(group))
  else if (groups.length > 0)
    console.log(
      tableText(
        ['group', 'state', 'members', 'lag', 'for', 'topics'],
        groups.map(({ id, state, memberCount, lag, lagMs, topics }) => [id, state, memberCount, lag, lagTime(lagMs), topics.join(', ')]),
      ),
    )
  else if (kafkaPort === null) console.error('no Kafka client can connect: start with --kafka-port 9092')
  else console.error(`no consumer group yet: one begins with the first consumer that names it, on port ${kafkaPort}`)
}

export async function describeGroup(target: Target, id: string, json: boolean): Promise<void> {
  const group = await getJson<GroupDetail>(target, pathOf(id))
  if (json) {
    console.log(JSON.stringify(group))
    return
  }
  const { state, type, members, partitions, lag, lagMs } = group
  const parts = [
    `${id}: ${state}, ${type}; ${lag} records behind${lagMs === undefined ? '' : `, the oldest for ${durationText(lagMs)}`}`,
    members.length > 0
      ? tableText(
          ['member', 'client', 'host', 'reads'],
          members.map(({ id: member, clientId, host, assigned }) => [
            member,
            clientId,
            host,
            assigned.map(({ topic, partition }) => `${topic}/${partition}`).join(' '),
          ]),
        )
      : 'no members',
    tableText(
      ['topic', 'partition', 'offset', 'end', 'lag', 'for', 'committed'],
      partitions.map(({ topic, partition, offset, endOffset, lag: behind, lagMs: behindMs, committedMs }) => [
        topic,
        partition,
        offset ?? null,
        endOffset,
        behind ?? null,
        lagTime(behindMs),
        timeText(committedMs),
      ]),
    ),
  ]
  console.log(parts.join('\n\n'))
}

export async function resetGroup(target: Target, id: string, request: ResetRequest, json: boolean): Promise<void> {
  const plan = await sendJson<ResetPlan>(target, 'POST', `${pathOf(id)}/reset`, request)
  if (json) {
    console.log(JSON.stringify(plan))
    return
  }
  console.log(
    tableText(
      ['topic', 'partition', 'from', 'to', 'end', '', ''],
      plan.partitions.map(({ topic, partition, from, to, endOffset, change, isClamped }) => [
        topic,
        partition,
        from ?? null,
        to,
        endOffset,
        from === undefined ? 'begins there' : change === 0 ? 'stays' : change < 0 ? `reads ${-change} again` : `skips ${change}`,
        isClamped ? 'as far as there are records' : '',
      ]),
    ),
  )
  console.log(plan.executed ? `\n${id} goes on there` : '\nNothing was changed: this was a dry run. Add --execute to do it.')
}

export async function deleteGroup(target: Target, id: string, json: boolean): Promise<void> {
  await call(target, pathOf(id), { method: 'DELETE' })
  console.log(json ? JSON.stringify({ deleted: id }) : `${id} is deleted, with its committed offsets`)
}
