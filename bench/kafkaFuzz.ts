// Damaged frames against the decoders of the Kafka port, and a share of them against the whole server.
//
// Holds, or the benchmark fails:
//   1. A decoder gives a message or one of its typed errors, whatever the bytes are; it reads nothing outside of them.
//   2. No frame takes long or much memory: what is allocated is bounded by the bytes that are there, not by what they say.
//   3. The server answers another client afterwards, and nothing failed inside.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { isStreamError } from '../src/base/index.ts'
import { KafkaError } from '../src/kafka/errors.ts'
import { startKafka } from '../src/kafka/index.ts'
import { apiVersionsApi } from '../src/kafka/messages/apiVersions.ts'
import type { Api } from '../src/kafka/schema.ts'
import { requestFrame, TestClient } from '../src/kafka/testClient.ts'
import { apis, messageOf } from '../src/kafka/testMessages.ts'
import { WireReader } from '../src/kafka/wire.ts'
import { openLog } from '../src/log/index.ts'

const SEED = 5
const SAMPLES_PER_VERSION = 12
const FRAME_MS_MAX = 250
const SOCKET_SHARE = 20
const FRAMES_PER_CONNECTION = 50

interface Sample {
  api: Api
  version: number
  /** The whole frame; the message begins at `bodyAt`. */
  bytes: Buffer
  bodyAt: number
}

function makeRandom(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** Extreme lengths and counts are where decoders break. */
const extremes = [0, 1, 0x7f, 0x80, 0xff]
function damage(bytes: Buffer, from: number, random: () => number): Buffer {
  const copy = Buffer.from(bytes)
  const kind = random() % 8
  const at = from + (random() % Math.max(1, copy.length - from))
  if (kind === 0) return copy.subarray(0, at)
  if (kind === 1) return Buffer.concat([copy.subarray(0, at), Buffer.alloc(random() % 16, random() & 255), copy.subarray(at)])
  if (kind === 2 && at + 4 <= copy.length) copy.writeInt32BE([0x7fffffff, -1, -2, 0x40000000][random() % 4], at)
  else if (kind === 3) for (let i = at; i < copy.length; i++) copy[i] = random()
  else
    for (let i = 0; i <= kind - 4; i++)
      copy[from + (random() % Math.max(1, copy.length - from))] = random() % 2 ? random() : extremes[random() % 5]
  return copy
}

/** @returns what was done, in one line */
export async function fuzzDecoder(frameCount: number): Promise<string> {
  const random = makeRandom(SEED)
  const samples: Sample[] = []
  for (const api of apis) {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      for (const message of fc.sample(messageOf(api.fields.request, version), { numRuns: SAMPLES_PER_VERSION, seed: SEED })) {
        const bytes = Buffer.concat(requestFrame(api, version, 1, message as never))
        // Length, key, version, correlation id, "test", and the tags of a flexible header.
        samples.push({ api, version, bytes, bodyAt: 4 + 2 + 2 + 4 + 2 + 4 + (version >= api.flexibleFrom ? 1 : 0) })
      }
    }
  }
  const startMs = performance.now()
  let refused = 0
  let slowestMs = 0
  for (let i = 0; i < frameCount; i++) {
    const { api, version, bytes, bodyAt } = samples[random() % samples.length]
    const body = damage(bytes, bodyAt, random).subarray(bodyAt)
    const beganMs = performance.now()
    try {
      const reader = new WireReader(body)
      api.request(version).decode(reader)
    } catch (error) {
      if (!isStreamError(error) && !(error instanceof KafkaError)) {
        throw new Error(`${api.name} v${version}: ${body.toString('hex')}`, { cause: error })
      }
      refused++
    }
    const tookMs = performance.now() - beganMs
    if (tookMs > FRAME_MS_MAX) throw new Error(`${api.name} v${version} took ${tookMs.toFixed(0)} ms: ${body.toString('hex')}`)
    slowestMs = Math.max(slowestMs, tookMs)
  }
  const tookMs = performance.now() - startMs
  const sent = await fuzzServer(samples, Math.floor(frameCount / SOCKET_SHARE), random)
  const memoryMb = process.resourceUsage().maxRSS / 1024
  return (
    `fuzz, seed ${SEED}: ${frameCount.toLocaleString('en')} frames of ${apis.length} APIs decoded in ${(tookMs / 1_000).toFixed(1)} s, ` +
    `${refused.toLocaleString('en')} refused, the slowest ${slowestMs.toFixed(1)} ms; ${sent}; at most ${memoryMb.toFixed(0)} MB resident`
  )
}

async function fuzzServer(samples: Sample[], frameCount: number, random: () => number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-fuzz-'))
  const log = await openLog({ folder, durability: 'os' })
  const failures: unknown[] = []
  const logger = { warn() {}, error: (fields: object, message: string) => failures.push([message, fields]) }
  const kafka = await startKafka({ log, logger, limits: { sessionMinMs: 10, idleMs: 300 } })
  let connectionCount = 0
  try {
    for (let sentCount = 0; sentCount < frameCount; connectionCount++) {
      const socket = connect({ host: '127.0.0.1', port: kafka.port })
      socket.on('error', () => {})
      socket.resume()
      // A connection that the server cut while it was written to ends with an error, and so would the wait.
      const closed = once(socket, 'close').catch(() => {})
      for (let i = 0; i < FRAMES_PER_CONNECTION && !socket.destroyed; i++, sentCount++) {
        const { bytes } = samples[random() % samples.length]
        const frame = random() % 10 === 0 ? damage(bytes, 0, random) : damage(bytes, 8, random)
        // Mostly with a length that is right: a connection that ends at its first frame tests little.
        if (frame.length >= 4 && random() % 10 > 0) frame.writeInt32BE(frame.length - 4, 0)
        socket.write(frame)
      }
      await Promise.race([closed, sleep(20, undefined, { ref: false })])
      socket.destroy()
    }
    const client = await TestClient.connect(kafka.port)
    const { errorCode } = await client.call(apiVersionsApi, 0, {})
    client.end()
    if (errorCode !== 0 || failures.length > 0) throw new Error(`the server failed inside: ${JSON.stringify(failures.slice(0, 3))}`)
  } finally {
    await kafka.close()
    await log.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return `${frameCount.toLocaleString('en')} frames sent over ${connectionCount.toLocaleString('en')} connections`
}
