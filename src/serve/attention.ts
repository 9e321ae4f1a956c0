// GET /v1/attention: what a person should look at, each with its cause and the next step, the most urgent first.
//
//   queries, why, checkpoints, dead letters, consumer groups, forecasts, health --> items
//
// Invariants
//   1. Nothing here decides anew what is wrong: a query is stalled where `why` says so, a part where `health` does.
//   2. However many ask, it is looked up once in KEPT_MS, and looks closely at most at LOOKED_MAX queries, groups and topics.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { lettersTopicOf } from '../log/index.ts'
import type { AttentionItem, Forecast, QueryWhy, WhyFinding } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { forecastsOf } from './figures.ts'
import { ageOfOffset, totalLag } from './lag.ts'
import { letterGroups } from './letters.ts'
import { NoQuery, same } from './schemas.ts'
import { explainWhy } from './why.ts'
import { durationText, held } from './whyFindings.ts'

const KEPT_MS = 5_000
const LOOKED_MAX = 50
const LETTERS_LOOKED = 1_000
/** A query whose rows come in and do not go out for so long is looked at. */
const QUIET_MS = 60_000
const GROUP_BEHIND_MS = 60_000
const FULL_AHEAD_MS = 24 * 3_600_000
const FULL_SHARE = 0.9
/** What `why` finds of a query that stands still, and that neither time nor the next event heals: where nothing is produced, nothing is wrong. */
const stalls: readonly string[] = [
  'NOT_ANSWERING',
  'ROWS_FAILED',
  'ALL_REJECTED',
  'PREDICATE_DROPS',
  'ROWS_LATE',
  'JOIN_UNMATCHED',
  'PARTITION_SILENT',
  'PARTITION_BEHIND',
  'TRANSACTION_OPEN',
  'ROWS_STOP',
]

const Item = Type.Object({
  code: Type.String({ description: 'Look at this, never at the text.' }),
  tone: Type.Union([Type.Literal('bad'), Type.Literal('warn')]),
  subject: Type.Object({
    kind: Type.Union([Type.Literal('query'), Type.Literal('topic'), Type.Literal('group'), Type.Literal('part')]),
    name: Type.String(),
  }),
  fact: Type.String(),
  next: Type.String({ description: 'What to do.' }),
})
same<Static<typeof Item>, AttentionItem>(true)

export function registerAttention(app: FastifyInstance, deps: ServeDeps): void {
  let newest: { atMs: number; items: Promise<AttentionItem[]> } | undefined
  app.get(
    '/v1/attention',
    {
      schema: {
        summary:
          'What a person should look at: failed and stalled queries, checkpoints, dead letters, groups that are behind, memory and disk.',
        querystring: NoQuery,
        response: { 200: Type.Array(Item) },
      },
    },
    () => {
      const nowMs = Date.now()
      if (!newest || nowMs - newest.atMs > KEPT_MS || nowMs < newest.atMs) newest = { atMs: nowMs, items: attention(deps, nowMs) }
      return newest.items
    },
  )
}

async function attention(deps: ServeDeps, nowMs: number): Promise<AttentionItem[]> {
  const parts = await Promise.all([queryItems(deps, nowMs), letterItems(deps), groupItems(deps)])
  const items = [...partItems(deps), ...parts.flat(), ...fullItems(deps, nowMs)]
  return items.sort((a, b) => Number(b.tone === 'bad') - Number(a.tone === 'bad'))
}

/** What health says and queries do not: those are told one by one. */
function partItems({ health }: ServeDeps): AttentionItem[] {
  return Object.entries(health().parts).flatMap(([name, { state, detail }]) =>
    name === 'engine' || (state !== 'failed' && state !== 'degraded')
      ? []
      : {
          code: 'PART_FAILED',
          tone: state === 'failed' ? 'bad' : 'warn',
          subject: { kind: 'part', name },
          fact: `${name} is ${state}${detail ? `: ${detail}` : ''}`,
          next: name === 'project' ? 'Mend the file, under SQL or in your editor.' : '`millrace doctor` says more.',
        },
  )
}

async function queryItems({ queries, checkpoints, inspectQuery, log, stats }: ServeDeps, nowMs: number): Promise<AttentionItem[]> {
  const items: AttentionItem[] = []
  let looked = 0
  for (const { id, name, state, error, rowsIn, heldUp } of queries()) {
    const subject = { kind: 'query', name: id } as const
    if (state === 'failed') {
      const fact = `${name} failed: ${error?.message ?? 'no reason was given'}`
      items.push({ code: 'QUERY_FAILED', tone: 'bad', subject, fact, next: error?.hint ?? 'See the log of the process.' })
      continue
    }
    if (state !== 'running') continue
    if (heldUp) {
      const { fact, next } = held(id, heldUp)
      items.push({ code: 'QUERY_STALLED', tone: 'bad', subject, fact: `${name}: ${fact}`, next })
      continue
    }
    const [last] = (checkpoints.ofQuery(id)?.checkpoints ?? []).filter((one) => one.state !== 'running')
    if (last?.state === 'failed')
      items.push({
        code: 'CHECKPOINT_FAILED',
        tone: 'bad',
        subject,
        fact: `The last checkpoint of ${name} failed: ${last.error?.message ?? 'no reason was given'}`,
        next: last.error?.hint ?? 'Until one completes, a restart goes on from the one before.',
      })
    const { series } = stats.history.ofQuery(id, nowMs - QUIET_MS, nowMs)
    const isQuiet = rowsIn > 0 && series.rowsOutPerSecond.every((rate) => rate === null || rate === 0)
    if (!isQuiet || ++looked > LOOKED_MAX) continue
    const insight = await inspectQuery(id)
    const why = insight && (await explainWhy(insight, log, nowMs))
    const finding = why && stallOf(why)
    if (finding) items.push({ code: 'QUERY_STALLED', tone: 'warn', subject, fact: `${name}: ${finding.fact}`, next: finding.next })
  }
  return items
}

/** What of a query's explanation somebody has to look at. */
export const stallOf = ({ isHealthy, findings }: Pick<QueryWhy, 'isHealthy' | 'findings'>): WhyFinding | undefined =>
  isHealthy ? undefined : findings.find(({ code }) => stalls.includes(code))

async function letterItems({ log }: ServeDeps): Promise<AttentionItem[]> {
  const refused = log
    .topics()
    .filter(({ name }) => log.topic(lettersTopicOf(name))?.partitions.some(({ startOffset, endOffset }) => endOffset > startOffset))
  const items: AttentionItem[] = []
  for (const { name: topic } of refused.slice(0, LOOKED_MAX)) {
    const { groups, looked, total } = await letterGroups(log, topic, LETTERS_LOOKED)
    const open = groups.reduce((sum, { openCount }) => sum + openCount, 0)
    const [worst] = groups
    if (open === 0) continue
    const events = `${open}${total > looked ? ' or more' : ''} ${open === 1 && total === looked ? 'event' : 'events'}`
    items.push({
      code: 'LETTERS_OPEN',
      tone: 'warn',
      subject: { kind: 'topic', name: lettersTopicOf(topic) },
      fact: `Refused for ${topic}: ${events}, ${worst.openCount === open ? '' : 'most often '}by ${worst.rule}${worst.path ? ` at ${worst.path}` : ''} (${worst.letters[0].message})`,
      next: 'Mend them and send them again, or change the columns of the table.',
    })
  }
  return items
}

async function groupItems({ groups, log }: ServeDeps): Promise<AttentionItem[]> {
  const registry = await groups()
  const items: AttentionItem[] = []
  for (const { id, memberCount } of (registry?.list() ?? []).slice(0, LOOKED_MAX)) {
    const offsets = registry?.offsets(id).slice(0, LOOKED_MAX) ?? []
    const { lag, lagMs = 0 } = totalLag(await Promise.all(offsets.map((one) => ageOfOffset(log, one.topic, one.partition, one.offset))))
    if (lagMs < GROUP_BEHIND_MS) continue
    items.push({
      code: 'GROUP_BEHIND',
      tone: 'warn',
      subject: { kind: 'group', name: id },
      fact: `${id} is ${lag.toLocaleString('en-US')} record${lag === 1 ? '' : 's'} and ${durationText(lagMs)} behind${memberCount === 0 ? ': no consumer of it is connected' : ''}`,
      next: memberCount === 0 ? 'Start its consumers, or delete the group.' : 'See which partition its members do not get through.',
    })
  }
  return items
}

function fullItems({ stats }: ServeDeps, nowMs: number): AttentionItem[] {
  const { memory, disk } = forecastsOf(stats)
  const item = (code: string, part: string, what: string, { usedBytes, limitBytes, fullAtMs }: Forecast, next: string): AttentionItem[] => {
    const share = limitBytes === undefined ? 0 : usedBytes / limitBytes
    const isSoon = fullAtMs !== undefined && fullAtMs - nowMs < FULL_AHEAD_MS
    if (share < FULL_SHARE && !isSoon) return []
    const when = isSoon ? `, and at the growth of the last hour it is full in ${durationText(fullAtMs - nowMs)}` : ''
    return [
      { code, tone: 'warn', subject: { kind: 'part', name: part }, fact: `${what} is ${Math.round(share * 100)} % full${when}`, next },
    ]
  }
  return [
    ...item(
      'MEMORY_NEAR',
      'memory',
      'Memory for state and live tables',
      memory,
      'State beyond it goes to the disk, which is slower: give --memory more, or state a time to live.',
    ),
    ...item(
      'DISK_NEAR',
      'disk',
      'The disk of the data folder',
      disk,
      'Keep records for a shorter time (retention.ms), or make room: a full disk takes nothing.',
    ),
  ]
}
