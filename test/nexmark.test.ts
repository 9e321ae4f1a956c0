// Every Nexmark query against the slow model: row count and hash of its result over 50,000 events that cross midnight and many windows.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { leafNames, NexmarkGenerator } from '../bench/nexmark/generator.ts'
import type { ExpectedRun } from '../bench/nexmark/model.ts'
import { hashQuery, planOf, queryNames } from '../bench/nexmark/run.ts'
import { Subtasks } from '../bench/nexmark/subtasks.ts'
import { type Batch, spoilReleased, valueAt } from '../src/data/index.ts'

// Rows that an operator keeps without copying them come out wrong.
spoilReleased(true)

const expected = JSON.parse(readFileSync(join(import.meta.dirname, '../bench/nexmark/expected.json'), 'utf8')) as ExpectedRun[]
const [{ results, ...run }, { results: parallelResults, ...parallelRun }] = expected

for (const name of queryNames) test(`nexmark ${name}`, () => assert.deepEqual(hashQuery(planOf(name), run).result, results[name]))

test('nexmark in two threads', async (t) => {
  const subtasks = new Subtasks(2)
  t.after(() => subtasks.close())
  for (const name of queryNames)
    await t.test(name, async () => assert.deepEqual(await subtasks.check(name, parallelRun), parallelResults[name]))
})

test('nexmark q6 is an error with a position, as in every engine', () => {
  assert.throws(
    () => planOf('q6'),
    (error: Error & { code?: string }) => {
      assert.match(error.code ?? '', /^SQL_/)
      return true
    },
  )
})

function* batches(events: number, batchRows: number, leaves: readonly string[]): Generator<Batch> {
  const generator = new NexmarkGenerator({ events, rate: 100_000, seed: 3 })
  for (let batch = generator.next(batchRows, leaves, 0); batch !== undefined; batch = generator.next(batchRows, leaves, 0)) yield batch
}
const values = (events: number, batchRows: number, leaf: string, leaves: readonly string[]): unknown[] =>
  // One after the other: a batch holds until the next one is made.
  Array.from(batches(events, batchRows, leaves), (batch) =>
    Array.from({ length: batch.rowCount }, (_, row) => valueAt(batch.columns[leaves.indexOf(leaf)], row)),
  ).flat()

test('events do not depend on batches or on the columns asked for', () => {
  for (const leaf of ['auction.description', 'bid.price', 'person.creditCard', 'bid.extra'])
    assert.deepEqual(values(3_000, 777, leaf, [leaf]), values(3_000, 3_000, leaf, leafNames))
})

test('events have the distribution of the suite', () => {
  const sums: Record<string, number> = {}
  const add = (name: string, value: number): void => {
    sums[name] = (sums[name] ?? 0) + value
  }
  for (const { rowCount, columns } of batches(200_000, 4096, leafNames)) {
    const at = (leaf: string, row: number) => valueAt(columns[leafNames.indexOf(leaf)], row)
    for (let row = 0; row < rowCount; row++) {
      add(`type ${at('event_type', row)}`, 1)
      if (at('event_type', row) === 2) {
        add('bid length', (at('bid.extra', row) as string).length)
        add('channel length', (at('bid.channel', row) as string).length)
        add('url length', (at('bid.url', row) as string).length)
        add('log price', Math.log10(Number(at('bid.price', row))))
        add('q2', (at('bid.auction', row) as bigint) % 123n === 0n ? 1 : 0)
        add('hot bidder', (at('bid.bidder', row) as bigint) % 100n === 1n ? 1 : 0)
      } else if (at('event_type', row) === 1) {
        add('item length', (at('auction.itemName', row) as string).length)
        add('description length', (at('auction.description', row) as string).length)
        add('auction length', (at('auction.extra', row) as string).length)
        add('hot seller', (at('auction.seller', row) as bigint) % 100n === 0n ? 1 : 0)
      } else add('person length', (at('person.extra', row) as string).length + (at('person.emailAddress', row) as string).length)
    }
  }
  const [persons, auctions, bids] = [sums['type 0'], sums['type 1'], sums['type 2']]
  assert.deepEqual([persons, auctions, bids], [4_000, 12_000, 184_000])
  const near = (name: string, of: number, expectedMean: number, tolerance: number) =>
    assert.ok(Math.abs(sums[name] / of - expectedMean) <= tolerance, `${name}: ${sums[name] / of}, not ${expectedMean}`)
  near('bid length', bids, 67.5, 0.2)
  near('channel length', bids, 8.9, 0.1)
  near('url length', bids, 63.4, 0.5)
  near('log price', bids, 5, 0.02)
  near('hot bidder', bids, 0.752, 0.005)
  near('item length', auctions, 10.8, 0.2)
  near('description length', auctions, 50.9, 1)
  near('auction length', auctions, 389.8, 3)
  near('hot seller', auctions, 0.753, 0.013)
  near('person length', persons, 138.9 + 12.7, 1.5)
})
