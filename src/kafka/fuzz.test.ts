// Requests that are right by their form and absurd by their content, and damaged ones, against the whole server.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { apiVersionsApi } from './messages/apiVersions.ts'
import { requestFrame, startTestBroker } from './testClient.ts'
import { apis, messageOf } from './testMessages.ts'

/** `KAFKA_FUZZ_RUNS=20000` for a long run; each sends up to 50 frames. */
const RUNS = Number(process.env.KAFKA_FUZZ_RUNS ?? 60)

const frame = fc
  .constantFrom(...apis)
  .chain((api) => fc.tuple(fc.constant(api), fc.integer({ min: api.versions[0], max: api.versions[1] })))
  .chain(([api, version]) => messageOf(api.fields.request, version).map((message) => ({ name: api.name, version, message })))
const byName = new Map(apis.map((api) => [api.name, api]))
const damage = fc.oneof(
  { weight: 30, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.record({ at: fc.nat(), value: fc.nat(255), cut: fc.nat(40) }) },
)
const ANSWER_MS = 10_000
const LAST_ID = Buffer.from('7eadbeef', 'hex')
/** Names that exist make requests go further than "no such topic"; times and waits are short. */
const known: Record<string, unknown> = {
  maxWaitMs: 1,
  timeoutMs: 10,
  rebalanceTimeoutMs: 20,
  sessionTimeoutMs: 20,
  numPartitions: 1,
  count: 2,
}
const names = new Set(['name', 'topic', 'groupId', 'memberId', 'resourceName', 'key'])
function tame(value: unknown, name = ''): unknown {
  if (name in known) return known[name]
  if (Array.isArray(value)) return value.map((one) => tame(one, names.has(`${name}`) ? name : ''))
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) {
    return typeof value === 'string' && names.has(name) ? (value.length % 2 === 0 ? 'c' : 'd') : value
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, tame(inner, key)]))
}

test('whatever is sent, only its own connection ends, and nothing fails inside', async (t) => {
  const errors: unknown[] = []
  const logger = { warn() {}, error: (fields: object, message: string) => errors.push([message, fields]) }
  const { kafka, log, client } = await startTestBroker(t, { logger, limits: { sessionMinMs: 10, idleMs: 300 } })
  await log.createTopic('c', { partitionCount: 2 })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(frame, damage), { minLength: 1, maxLength: 50 }), async (frames) => {
      const socket = connect({ host: '127.0.0.1', port: kafka.port })
      socket.on('error', () => {})
      // Also by a reset: who is cut off may still have been sending.
      const closed = new Promise((resolve) => socket.once('close', resolve))
      let received = Buffer.alloc(0)
      const answered = new Promise<void>((resolve) =>
        socket.on('data', (chunk) => {
          received = Buffer.concat([received, chunk])
          if (received.includes(LAST_ID)) resolve()
        }),
      )
      for (const [{ name, version, message }, change] of frames) {
        const bytes = Buffer.concat(requestFrame(byName.get(name)!, version, 1, tame(message) as never))
        if (change) {
          bytes[change.at % bytes.length] = change.value
          socket.write(bytes.subarray(0, bytes.length - (change.cut > 30 ? change.cut % bytes.length : 0)))
        } else socket.write(bytes)
      }
      for (const part of requestFrame(apiVersionsApi, 0, LAST_ID.readInt32BE(), {})) socket.write(part)
      // A damaged frame may ask for a long wait; others are answered soon, or their connection ends.
      const isDamaged = frames.some(([, change]) => change)
      const apisSent = frames.map(([{ name }]) => name)
      const late = sleep(isDamaged ? 30 : ANSWER_MS, undefined, { ref: false }).then(() => assert.ok(isDamaged, `no answer to ${apisSent}`))
      await Promise.race([closed, answered, late])
      socket.destroy()
      assert.deepEqual(errors, [])
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  assert.equal((await (await client()).call(apiVersionsApi, 0, {})).errorCode, 0)
})
