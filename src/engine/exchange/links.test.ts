import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Links, shareLinks } from './links.ts'
import { makeMessage, type Received, verified } from './testMessages.ts'

/** All subtasks send to all others at once. */
async function exchange(parallelism: number, ringBytes: number, sizes: number[]): Promise<number[][]> {
  const shared = shareLinks(parallelism, ringBytes)
  return Promise.all(
    Array.from(
      { length: parallelism },
      (_, subtask) =>
        new Promise<number[]>((resolve, reject) => {
          const worker = new Worker(new URL('./testLinksThread.ts', import.meta.url), { workerData: { shared, subtask, sizes } })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
}

test('messages arrive whole and in order through rings smaller than they are, all writing to all', async () => {
  // Fixed, so that a failure comes again: from one word pair to four rings.
  const sizes = Array.from({ length: 400 }, (_, i) => 8 * (1 + ((i * 7919) % (i % 10 === 0 ? 512 : 40))))
  for (const parallelism of [2, 3]) {
    const counts = await exchange(parallelism, 1024, sizes)
    counts.forEach((received, subtask) => {
      assert.deepEqual(
        received,
        received.map((_, from) => (from === subtask ? 0 : sizes.length)),
      )
    })
  }
})

test('a ring is read and written across the wrap of its positions', () => {
  const shared = shareLinks(2, 1024)
  // As after 2^31 - 512 bytes, and as after 2^32 - 512.
  for (const position of [2 ** 31 - 512, -512]) {
    new Int32Array(shared.rings[1], 0, 2).fill(position | 0)
    const [writer, reader] = [new Links(shared, 0), new Links(shared, 1)]
    const received: Received = { count: 0 }
    for (let number = 0; number < 10; number++) {
      writer.write(1, makeMessage(0, number, 504), 504)
      const message = reader.take()
      assert.ok(message)
      verified(message, received)
    }
    assert.equal(reader.take(), undefined)
  }
})

test('a message that is not a multiple of 8 bytes, or a ring that is no power of two, is refused', () => {
  assert.throws(() => shareLinks(2, 1000), RangeError)
  assert.throws(() => new Links(shareLinks(2, 1024), 0).write(1, new Uint8Array(12), 12), RangeError)
})
