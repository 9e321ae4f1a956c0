// Replays real edits of Wikipedia through the HTTP front door, in a loop, at an adjustable speed.
//
// Invariants
//   1. Events leave in the order of their times; each goes to the topic of its kind.
//   2. Each round shifts all times by 24 h, so that nothing is late that was not. Between rounds there is no pause.
//   3. A batch that is refused for being too fast (429) or because the server is away is sent again under the same idempotency key:
//      nothing is lost or doubled.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'

const DAY_MS = 86_400_000
const TICK_MS = 50
/** At a high speed a tick has many edits: no request is larger than a server takes. */
const BATCH_EDITS_MAX = 5_000

export interface ReplayOptions {
  /** Base address of the server, such as http://127.0.0.1:7070 */
  url: string
  /** Seconds of event time for each second. */
  speed: number
  token?: string
  /** Event times are after this one, epoch ms: the first round is shifted by as many days as that takes. */
  afterMs?: number
  /** Another recording than the usual one: gzip of NDJSON, sorted by time. */
  file?: string
  signal: AbortSignal
  log: (line: string) => void
}

interface Edit {
  timeMs: number
  topic: string
  /** The event's text behind its time; bytes, because as strings the recording would take three times the memory. */
  tail: Buffer
}

const root = resolve(import.meta.dirname, '..')
const sharedFile = join(root, '../shared/data/wiki-edits/wikiticker-2015-09-12.h00-15.ndjson.gz')
const sampleFile = join(import.meta.dirname, 'data/wiki-edits.sample.ndjson.gz')

/** The whole recording where it is at hand, else the sample that comes with the repository. */
export function readEdits(file = existsSync(sharedFile) ? sharedFile : sampleFile): { edits: Edit[]; isSample: boolean } {
  const text = gunzipSync(readFileSync(file)).toString('utf8')
  return { edits: text.trimEnd().split('\n').map(editOf), isSample: file !== sharedFile }
}

/** Which topic an edit belongs to: a new page, a robot's edit, or a person's. */
export const topicOf = (edit: { isNew: boolean; isRobot: boolean }): string =>
  edit.isNew ? 'wiki_new_pages' : edit.isRobot ? 'wiki_robot_edits' : 'wiki_edits'

function editOf(line: string): Edit {
  const event = JSON.parse(line) as { time: string; isNew: boolean; isRobot: boolean }
  const { time, ...rest } = event
  return { timeMs: Date.parse(time), topic: topicOf(event), tail: Buffer.from(`",${JSON.stringify(rest).slice(1)}\n`) }
}

/** Until `signal` is aborted. */
export async function replayWiki({ url, speed, token, afterMs = -Infinity, file, signal, log }: ReplayOptions): Promise<void> {
  const { edits, isSample } = readEdits(file)
  log(
    `replaying ${edits.length.toLocaleString('en')} real edits of Wikipedia of 2015-09-12${isSample ? ' (sample)' : ''} at ${speed} times their speed`,
  )
  const run = `wiki-${Date.now().toString(36)}`
  const firstRound = Math.max(0, Math.ceil((afterMs - edits[0].timeMs) / DAY_MS))
  for (let round = firstRound; !signal.aborted; round++) {
    const shiftMs = round * DAY_MS
    const firstMs = edits[0].timeMs
    const startedMs = performance.now()
    for (let next = 0, batch = 0; next < edits.length && !signal.aborted; batch++) {
      const dueMs = firstMs + (performance.now() - startedMs) * speed
      const bodies = new Map<string, Buffer[]>()
      const end = Math.min(edits.length, next + BATCH_EDITS_MAX)
      for (; next < end && edits[next].timeMs <= dueMs; next++) {
        const { timeMs, topic, tail } = edits[next]
        const parts = bodies.get(topic) ?? []
        parts.push(Buffer.from(`{"time":"${new Date(timeMs + shiftMs).toISOString()}`), tail)
        bodies.set(topic, parts)
      }
      await Promise.all(
        [...bodies].map(([topic, parts]) =>
          post(`${url}/v1/topics/${topic}/events`, Buffer.concat(parts), `${run}-${round}-${batch}-${topic}`),
        ),
      )
      if (next < end) await sleep(TICK_MS, undefined, { signal }).catch(() => {})
    }
  }

  async function post(address: string, body: Buffer<ArrayBuffer>, idempotencyKey: string): Promise<void> {
    const headers = {
      'content-type': 'application/x-ndjson',
      'idempotency-key': idempotencyKey,
      ...(token && { authorization: `Bearer ${token}` }),
    }
    for (let attempt = 0; !signal.aborted; attempt++) {
      let waitMs = Math.min(5_000, 100 * 2 ** attempt)
      try {
        const response = await fetch(address, { method: 'POST', headers, body, signal })
        const answer = await response.text()
        if (response.status === 422) log(`${address} took none of a batch: ${answer.slice(0, 500)}`)
        if (response.status === 202 || response.status === 422) return
        if (response.status !== 429 && response.status < 500) throw new ReplayRefused(`${address} answered ${response.status}: ${answer}`)
        waitMs = Number(response.headers.get('retry-after') ?? 0) * 1_000 || waitMs
      } catch (error) {
        if (error instanceof ReplayRefused) throw error
      }
      await sleep(waitMs, undefined, { signal }).catch(() => {})
    }
  }
}

/** The server understood and said no: sending it again changes nothing. */
class ReplayRefused extends Error {}
