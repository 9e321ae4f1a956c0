// Dead letters: what was refused for a topic, grouped by the rule that it broke; checked as changed, and sent again through the front door.
//
//   <topic>.invalid --> groups --> a letter, edited --> POST …/check --> POST …/letters/repair --> the front door --> <topic>
//                                                                              '--> a mark in __repairs: this letter is done
//
// Invariants
//   1. A letter is sent again only through the front door: what it refuses is not stored, and the letter stays open.
//   2. A letter that was sent again is marked durably, and is not sent a second time unless the request says so.
//   3. `<topic>.invalid` is never changed.
import type { Static } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { BoundRecordQuery } from '../jobs/index.ts'
import { lettersTopicOf } from '../log/index.ts'
import { auditOf } from './audit.ts'
import type { DeadLetter, DeadLetterGroups as DeadLetterGroupsBody } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { isText, shownText } from './recordText.ts'
import { type ScannedRecord, scanPage } from './scan.ts'
import { IngestResponse, TopicParams } from './schemas.ts'
import { sendJson } from './tables.ts'
import { findTopic, refuseInternal } from './topicNames.ts'
import { CheckRequest, CheckResponse, DeadLetterGroups, LETTERS_MAX, LettersQuery, RepairRequest } from './topicSchemas.ts'

const LETTERS = 1_000
const SHOWN_MAX = 50
/** With a filter so many letters are looked at. */
const SCANNED_MAX = 100_000
/** Marks of letters that were sent again: the key is `<topic>/<partition>/<offset>` of the letter, a later mark of it counts. */
const REPAIRS_TOPIC = '__repairs'

export function registerLetters(app: FastifyInstance, deps: ServeDeps): void {
  const { log, door } = deps
  const topicOf = (request: { params: unknown }): string => (request.params as Static<typeof TopicParams>).topic
  /** Letters that are being sent: a second click does not send a second event. */
  const running = new Set<string>()

  app.get<{ Params: Static<typeof TopicParams>; Querystring: Static<typeof LettersQuery> }>(
    '/v1/topics/:topic/letters',
    {
      schema: {
        summary: 'What was refused for a topic, from its .invalid topic, grouped by the rule that it broke.',
        params: TopicParams,
        querystring: LettersQuery,
        response: { 200: DeadLetterGroups },
      },
    },
    ({ params: { topic }, query: { limit = LETTERS, where } }): Promise<DeadLetterGroupsBody> => {
      const invalidTopic = lettersTopicOf(topic)
      if (!log.topic(invalidTopic)) findTopic(log, topic)
      return letterGroups(log, topic, limit, where === undefined ? undefined : deps.bindRecords(invalidTopic, { where }))
    },
  )

  app.post<{ Body: Static<typeof CheckRequest> }>(
    '/v1/topics/:topic/check',
    {
      config: { role: 'writer' },
      schema: {
        summary: 'What the front door would say of events; nothing is stored.',
        params: TopicParams,
        body: CheckRequest,
        response: { 200: CheckResponse },
      },
    },
    (request) => door.check(topicOf(request), Buffer.from(request.body.value)),
  )

  app.post<{ Body: Static<typeof RepairRequest> }>(
    '/v1/topics/:topic/letters/repair',
    {
      config: { role: 'writer' },
      schema: {
        summary: 'Sends a refused event again, as it should be, through the front door; then the letter is marked as repaired.',
        params: TopicParams,
        body: RepairRequest,
        response: { 202: IngestResponse, 422: IngestResponse },
      },
    },
    async (request, reply) => {
      const topic = topicOf(request)
      refuseInternal(topic)
      const { partition, offset, value, again = false } = request.body
      const invalidTopic = lettersTopicOf(topic)
      const info = log.topic(invalidTopic)?.partitions[partition]
      if (!info || offset < info.startOffset || offset >= info.endOffset)
        throw serveErrors('SERVE_LETTER_NOT_FOUND', { topic: invalidTopic, partition, offset })
      const place = `${partition}/${offset}`
      const id = `${invalidTopic}/${place}`
      const repairedMs = (await repairsOf(log, invalidTopic)).get(place)
      if (running.has(id) || (repairedMs !== undefined && !again)) throw serveErrors('SERVE_LETTER_REPAIRED', { topic, partition, offset })
      running.add(id)
      try {
        const { status, text } = await door.accept(topic, Buffer.from(value), request.ip)
        if (status === 202) {
          if (!log.topic(REPAIRS_TOPIC)) await log.createTopic(REPAIRS_TOPIC, { 'cleanup.policy': 'compact' })
          await log.appendRecords(REPAIRS_TOPIC, 0, [{ key: Buffer.from(id), value: Buffer.from(text), timestampMs: Date.now() }])
          auditOf(deps, request)('dead letter sent again', { topic, partition, offset })
        }
        return sendJson(reply.code(status), text)
      } finally {
        running.delete(id)
      }
    },
  )
}

type SomeLog = Pick<ServeDeps['log'], 'topic' | 'descriptor'>

/**
 * The newest letters of a topic by the rule that they broke, those with the most to mend first.
 *
 * @param limit  how many are looked at
 * @param query  a filter; others do not count
 */
export async function letterGroups(log: SomeLog, topic: string, limit: number, query?: BoundRecordQuery): Promise<DeadLetterGroupsBody> {
  const invalidTopic = lettersTopicOf(topic)
  const repairs = await repairsOf(log, invalidTopic)
  const letters = (await newest(log, invalidTopic, limit, query)).map((record) => letterOf(record, repairs))
  const groups = [...Map.groupBy(letters, ({ rule, path }) => JSON.stringify([rule, path])).values()].map((group) => ({
    rule: group[0].rule,
    path: group[0].path,
    count: group.length,
    openCount: group.filter(({ repairedMs }) => repairedMs === undefined).length,
    firstMs: group.at(-1)!.timestampMs,
    lastMs: group[0].timestampMs,
    letters: group.slice(0, SHOWN_MAX),
  }))
  groups.sort((a, b) => b.openCount - a.openCount || b.lastMs - a.lastMs)
  const total = (log.topic(invalidTopic)?.partitions ?? []).reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0)
  return { topic, looked: letters.length, total, groups }
}

/** When letters of a topic were sent again, by `partition/offset`. */
async function repairsOf(log: SomeLog, invalidTopic: string): Promise<Map<string, number>> {
  const repairs = new Map<string, number>()
  if (!log.topic(REPAIRS_TOPIC)) return repairs
  for (const { key, timestampMs } of await newest(log, REPAIRS_TOPIC, LETTERS_MAX)) {
    const place = shownText(key ?? new Uint8Array())
    const id = place.slice(invalidTopic.length + 1)
    if (place.startsWith(`${invalidTopic}/`) && !repairs.has(id)) repairs.set(id, timestampMs)
  }
  return repairs
}

/** The newest records of a topic, as many as `limit`; of those that pass the filter, if there is one, among the newest SCANNED_MAX. */
async function newest(log: SomeLog, topic: string, limit: number, query?: BoundRecordQuery): Promise<ScannedRecord[]> {
  const records: ScannedRecord[] = []
  let ranges = (log.topic(topic)?.partitions ?? []).map(({ partition, startOffset, endOffset }) => ({
    partition,
    start: startOffset,
    end: endOffset,
  }))
  for (let left = query ? SCANNED_MAX : limit; records.length < limit && ranges.length > 0 && left > 0; ) {
    const page = await scanPage({
      descriptor: log.descriptor(topic),
      ranges,
      direction: 'backward',
      query,
      limit: limit - records.length,
      scanMax: left,
    })
    records.push(...page.records)
    ranges = page.rest
    left -= Math.max(1, page.scannedCount)
  }
  return records
}

function letterOf({ partition, offset, timestampMs, value, headers }: ScannedRecord, repairs: ReadonlyMap<string, number>): DeadLetter {
  const texts = new Map(headers.map(([name, bytes]) => [name, bytes === null ? '' : shownText(bytes)]))
  const bytes = value ?? new Uint8Array()
  const repairedMs = repairs.get(`${partition}/${offset}`)
  return {
    partition,
    offset,
    timestampMs,
    rule: texts.get('rule') ?? 'unknown',
    path: texts.get('path') ?? '',
    message: texts.get('message') ?? '',
    source: texts.get('source') ?? '',
    value: shownText(bytes),
    encoding: isText(bytes) ? 'text' : 'hex',
    length: Number(texts.get('length') ?? bytes.length) || bytes.length,
    ...(repairedMs !== undefined && { repairedMs }),
  }
}
