import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readRecords, recompressed } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { fetchApi } from './messages/fetch.ts'
import { produceApi } from './messages/produce.ts'
import { batchOf, startTestBroker, type TestClient } from './testClient.ts'

const LARGE = 'x'.repeat(100_000)
/** 8 MB of records. */
const large = (codec: number, name: string) => recompressed(batchOf([name, ...Array<string>(80).fill(LARGE)]), codec)

const send = async (client: TestClient, topic: string, records: Uint8Array) => {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  const { responses } = await client.call(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData })
  return responses[0].partitionResponses[0]
}
const make = (client: TestClient, name: string, configs: Record<string, string> = {}) =>
  client.call(createTopicsApi, 5, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, configs: Object.entries(configs).map(([name, value]) => ({ name, value })) }],
    timeoutMs: 1_000,
  })
const threads = (): string[] =>
  readdirSync('/proc/self/task').map((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim()
    } catch {
      return ''
    }
  })

test('batches that grow large are looked at in a thread beside; those of one connection stay in their order', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await make(one, 't')
  const isBeside = () => process.platform !== 'linux' || threads().includes('log-batches')
  assert.equal((await send(one, 't', recompressed(batchOf(['small']), 3))).baseOffset, 0)
  if (process.platform === 'linux') assert.ok(!isBeside())
  const batches = [1, 2, 3, 4].flatMap((codec) => [large(codec, `large ${codec}`), batchOf([`behind ${codec}`])])
  const answers = await Promise.all(batches.map((batch) => send(one, 't', batch)))
  assert.ok(isBeside())
  assert.deepEqual(
    answers.map(({ errorCode, baseOffset }) => [errorCode, baseOffset]),
    batches.map((_, i) => [0, 1 + (i >> 1) * 82 + (i & 1) * 81]),
  )
  const seen: string[] = []
  for (let offset = 0; offset < 1 + 4 * 82; ) {
    const { responses } = await one.call(fetchApi, 11, {
      maxWaitMs: 1_000,
      minBytes: 1,
      maxBytes: 1 << 20,
      topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 }] }],
    })
    const { records } = responses[0].partitions[0]
    for (const record of readRecords(records!, 0, records!.length, offset)) {
      assert.equal(record.offset, offset++)
      const text = Buffer.from(record.value!).toString()
      if (text.length < 100) seen.push(text)
      else assert.equal(text, LARGE)
    }
  }
  assert.deepEqual(seen, ['small', ...[1, 2, 3, 4].flatMap((codec) => [`large ${codec}`, `behind ${codec}`])])
})

test('a large batch is refused as a small one is, and what is behind it is taken', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await make(one, 'keyed', { 'cleanup.policy': 'compact' })
  await make(one, 'new', { 'message.timestamp.before.max.ms': '1000' })
  await make(one, 'plain')
  const flipped = large(4, 'flipped').slice()
  flipped[flipped.length - 3] ^= 1
  for (const [topic, batch, code] of [
    ['keyed', large(3, 'without a key'), ERROR.INVALID_RECORD],
    ['new', large(1, 'old'), ERROR.INVALID_TIMESTAMP],
    ['plain', flipped, ERROR.CORRUPT_MESSAGE],
  ] as const) {
    const [refused, behind] = await Promise.all([send(one, topic, batch), send(one, topic, topic === 'plain' ? batchOf(['taken']) : batch)])
    assert.deepEqual([refused.errorCode, refused.recordErrors], [code, []], topic)
    assert.equal(behind.errorCode, topic === 'plain' ? 0 : code)
  }
})
