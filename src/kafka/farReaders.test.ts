import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLog } from '../log/index.ts'
import { ReaderThread } from './farReaders.ts'
import type { KafkaLimits } from './limits.ts'
import { fetchApi } from './messages/fetch.ts'
import type { FarReaders } from './readerPool.ts'
import { startKafka } from './server.ts'
import { batchOf, requestFrame } from './testClient.ts'

const BATCH_BYTES = 100_000
const BATCHES = 60
const MB = 1024 * 1024

/** A port over a log of 6 MB in batches of 100 KB, and what it asks of the thread that reads. */
async function start(t: TestContext, limits: Partial<KafkaLimits>) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-far-'))
  const log = await openLog({ folder, durability: 'os' })
  await log.createTopic('t')
  for (let i = 0; i < BATCHES; i++) await log.append('t', 0, batchOf(['x'.repeat(BATCH_BYTES)]))
  const thread = new ReaderThread()
  await until(() => thread.isReady)
  const seen = { asked: [] as number[], runs: 0, released: 0 }
  const far: FarReaders = {
    async readAll(reads, maxBytes) {
      seen.asked.push(maxBytes)
      const outcomes = await thread.readAll(reads, maxBytes)
      for (const one of outcomes) if (one && 'records' in one) seen.runs++
      return outcomes
    },
    findTime: (question) => thread.findTime(question),
    isReady: true,
    release(records) {
      const isLent = thread.release(records)
      if (isLent) {
        seen.released++
        assert.equal(thread.release(records), false, 'it is given back once')
      }
      return isLent
    },
  }
  const logger = { warn() {}, error: (fields: object, message: string) => assert.fail(`${message} ${JSON.stringify(fields)}`) }
  const kafka = await startKafka({ log, logger, far, limits })
  t.after(async () => {
    await kafka.close()
    await thread.close()
    await log.close()
    rmSync(folder, { recursive: true })
  })
  const request = (minBytes: number) => {
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 16 * MB }]
    return Buffer.concat(
      requestFrame(fetchApi, 11, 1, { maxWaitMs: 200, minBytes, maxBytes: 16 * MB, topics: [{ topic: 't', partitions }] }),
    )
  }
  const ask = (minBytes = 1) => {
    const socket = connect({ host: '127.0.0.1', port: kafka.port })
    socket.on('error', () => {})
    socket.pause()
    socket.write(request(minBytes))
    return socket
  }
  return { seen, ask }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 500, 'it does not come to be so')
    await sleep(20)
  }
}

test('who asks while much is being read for others, or is left unread by them, gets less', async (t) => {
  const limits = { fetchBytes: 16 * MB, responseBytes: 32 * MB }
  const { seen, ask } = await start(t, limits)
  const clients = Array.from({ length: 50 }, () => ask())
  await until(() => seen.runs === clients.length)
  const asked = seen.asked.reduce((sum, bytes) => sum + bytes, 0)
  // What the system has taken counts no more.
  assert.ok(asked < 2 * limits.responseBytes, `${asked} bytes were asked for`)
  for (const client of clients) client.destroy()
  await until(() => seen.released === seen.runs)
  // All of it counts no more.
  const before = seen.asked.length
  const last = ask()
  await until(() => seen.asked.length > before)
  assert.equal(seen.asked.at(-1), limits.responseBytes / 4)
  last.destroy()
})

test('memory of what was read comes back, whatever became of the client', async (t) => {
  const { seen, ask } = await start(t, {})
  for (let i = 0; i < 40; i++) {
    const socket = ask(i % 4 === 0 ? 100 * MB : 1)
    if (i % 3 === 0) socket.resume()
    await sleep(i % 7)
    if (i % 2 === 0) socket.destroy()
    else socket.once('data', () => socket.destroy())
    socket.resume()
  }
  // Also those that wait for more until their time is over.
  await sleep(500)
  await until(() => seen.runs >= 10 && seen.released === seen.runs)
})
