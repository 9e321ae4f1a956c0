// The replay against a server that refuses, fails, dies and loses its answers; and what the sample may not hold.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { readEdits, replayWiki, topicOf } from './replay.ts'

const DAY_MS = 86_400_000
const firstMs = Date.parse('2015-09-12T01:00:00.000Z')

interface Edit {
  time: string
  n: number
  isNew: boolean
  isRobot: boolean
  page: string
}
const edits: Edit[] = Array.from({ length: 300 }, (_, n) => ({
  time: new Date(firstMs + n * 100 + (n % 3)).toISOString(),
  n,
  isNew: n % 10 === 0,
  isRobot: n % 4 === 0,
  page: n % 7 === 0 ? 'Zürich "北京" \\ 🌊' : `page ${n}`,
}))

/** A front door with the real one's memory of idempotency keys, and a fault for each request that `faultOf` names. */
class FrontDoor {
  readonly events: { topic: string; event: Edit }[] = []
  readonly keys = new Map<string, string>()
  readonly faults = { refused: 0, failed: 0, cut: 0, answerLost: 0, known: 0 }
  private requestCount = 0
  readonly server = createServer((request, response) => void this.answer(request, response))

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const count = this.requestCount++
    const fault = count % 9
    if (fault === 2) {
      this.faults.cut++
      return void request.socket.destroy()
    }
    const body = await text(request)
    if (fault === 4) {
      this.faults.refused++
      return void response.writeHead(429, count % 2 === 0 ? { 'retry-after': '0' } : {}).end('{"error":{"code":"TOO_FAST"}}')
    }
    if (fault === 6) {
      this.faults.failed++
      return void response.writeHead(500).end()
    }
    const key = String(request.headers['idempotency-key'])
    const topic = /^\/v1\/topics\/(\w+)\/events$/.exec(request.url ?? '')?.[1]
    assert.ok(topic)
    assert.equal(request.headers['content-type'], 'application/x-ndjson')
    assert.equal(request.headers.authorization, 'Bearer secret')
    if (this.keys.has(key)) {
      this.faults.known++
      assert.equal(this.keys.get(key), body, 'the same key with another body')
    } else {
      this.keys.set(key, body)
      for (const line of body.trimEnd().split('\n')) this.events.push({ topic, event: JSON.parse(line) as Edit })
    }
    if (fault === 8) {
      this.faults.answerLost++
      return void request.socket.destroy()
    }
    response.writeHead(202).end('{"accepted":1,"rejected":[]}')
  }
}

test('all events arrive once and in order, however the server fails; the next round is a day later', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-replay-'))
  const file = join(folder, 'edits.ndjson.gz')
  writeFileSync(file, gzipSync(edits.map((edit) => `${JSON.stringify(edit)}\n`).join('')))
  const door = new FrontDoor()
  door.server.listen(0, '127.0.0.1')
  await once(door.server, 'listening')
  const { port } = door.server.address() as AddressInfo
  const stop = new AbortController()
  const afterMs = firstMs + DAY_MS / 2
  const lines: string[] = []
  const done = replayWiki({
    url: `http://127.0.0.1:${port}`,
    speed: 60,
    token: 'secret',
    afterMs,
    file,
    signal: stop.signal,
    log: (line) => lines.push(line),
  })
  try {
    const deadlineMs = Date.now() + 20_000
    let diedAt = 0
    while (door.events.length < 2 * edits.length) {
      assert.ok(Date.now() < deadlineMs, `only ${door.events.length} events after 20 s`)
      if (diedAt === 0 && door.events.length > 40) {
        // The whole server goes away for a while, and comes back at its address.
        diedAt = door.events.length
        door.server.close()
        door.server.closeAllConnections()
        await new Promise((resolve) => setTimeout(resolve, 250))
        door.server.listen(port, '127.0.0.1')
        await once(door.server, 'listening')
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  } finally {
    stop.abort()
    await done
    door.server.close()
    door.server.closeAllConnections()
    rmSync(folder, { recursive: true })
  }
  for (const [fault, count] of Object.entries(door.faults)) assert.ok(count > 0, `no request was ${fault}`)
  for (const round of [0, 1]) {
    const shiftMs = (round + 1) * DAY_MS // the first round starts after `afterMs`
    const inRound = door.events.filter(
      ({ event }) => Date.parse(event.time) >= firstMs + shiftMs && Date.parse(event.time) < firstMs + shiftMs + DAY_MS,
    )
    const byTopic = Map.groupBy(inRound, ({ topic }) => topic)
    assert.deepEqual([...byTopic.keys()].sort(), ['wiki_edits', 'wiki_new_pages', 'wiki_robot_edits'])
    for (const [topic, got] of byTopic) {
      const sent = edits.filter((edit) => topicOf(edit) === topic)
      assert.deepEqual(
        got.map(({ event }) => event),
        sent.map((edit) => ({ ...edit, time: new Date(Date.parse(edit.time) + shiftMs).toISOString() })),
        `${topic} in round ${round}`,
      )
    }
  }
  assert.match(lines[0], /300 real edits/)
})

test('a refusal that sending again would not change ends the replay and says why', async () => {
  const server = createServer((request, response) => void request.resume().on('end', () => response.writeHead(404).end('no such topic')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const replay = replayWiki({ url, speed: 1e9, signal: AbortSignal.timeout(10_000), log: () => {} })
  await assert.rejects(replay, /\/v1\/topics\/wiki_\w+\/events answered 404: no such topic/).finally(() => {
    server.close()
    server.closeAllConnections()
  })
})

test('the sample: sorted, three kinds, and no IP address, name of a user or comment', () => {
  const { edits: sample, isSample } = readEdits(join(import.meta.dirname, 'data/wiki-edits.sample.ndjson.gz'))
  assert.ok(isSample && sample.length > 3_000)
  assert.deepEqual([...new Set(sample.map(({ topic }) => topic))].sort(), ['wiki_edits', 'wiki_new_pages', 'wiki_robot_edits'])
  let lastMs = 0
  const users = new Set<string>()
  for (const { timeMs, tail } of sample) {
    assert.ok(timeMs >= lastMs)
    lastMs = timeMs
    const event = JSON.parse(`{"time":"${new Date(timeMs).toISOString()}${tail}`)
    assert.match(event.user, /^(User|Guest|Robot)-\d+$/)
    assert.equal(event.user.startsWith('Guest'), event.isAnonymous && !event.isRobot)
    assert.equal(event.namespace, 'Main')
    assert.deepEqual(Object.keys(event).sort(), [
      ...['added', 'channel', 'cityName', 'countryIsoCode', 'countryName', 'deleted', 'delta', 'isAnonymous', 'isMinor', 'isNew'],
      ...['isRobot', 'isUnpatrolled', 'metroCode', 'namespace', 'page', 'regionIsoCode', 'regionName', 'time', 'user'],
    ])
    const texts = Object.values(event).filter((value) => typeof value === 'string')
    for (const value of texts) {
      assert.doesNotMatch(value, /\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b/, 'IPv4')
      assert.doesNotMatch(value.replace(event.time, ''), /\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){4,7}\b/i, 'IPv6')
    }
    users.add(event.user)
  }
  // The same user keeps its pseudonym: far fewer users than edits, and some with many.
  assert.ok(users.size > 100 && users.size < sample.length / 1.5)
})
