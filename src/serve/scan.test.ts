// Pages over partitions, against a model that filters and sorts everything at once.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { bindRecordQuery } from '../jobs/index.ts'
import { type Log, openLog } from '../log/index.ts'
import { type Range, type ScannedRecord, scanPage } from './scan.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-scan-'))
let log: Log
let topicCount = 0

before(async () => {
  log = await openLog({ folder })
})
after(async () => {
  await log.close()
  rmSync(folder, { recursive: true })
})

interface Made {
  partition: number
  offset: number
  timestampMs: number
  n: number
}
const idOf = ({ partition, offset }: { partition: number; offset: number }): string => `${partition}/${offset}`

/** A topic with these records, in batches of one to three. */
async function makeTopic(partitionCount: number, records: { partition: number; timestampMs: number; n: number }[]) {
  const topic = `t${topicCount++}`
  await log.createTopic(topic, { partitionCount })
  const made: Made[] = []
  for (let i = 0; i < records.length; ) {
    const batch = records.slice(i, i + 1 + (i % 3)).filter(({ partition }) => partition === records[i].partition)
    const { first } = await log.appendRecords(
      topic,
      records[i].partition,
      batch.map(({ timestampMs, n }) => ({ key: null, value: Buffer.from(JSON.stringify({ n })), timestampMs })),
    )
    made.push(...batch.map((record, k) => ({ ...record, offset: first + k })))
    i += batch.length
  }
  return { topic, made }
}

/** Whole runs of a partition in offset order, merged by time: what pages one after the other must give. */
function model(made: readonly Made[], direction: 'forward' | 'backward', partitionCount: number): string[] {
  const sign = direction === 'forward' ? 1 : -1
  const lanes = Array.from({ length: partitionCount }, (_, partition) =>
    made.filter((one) => one.partition === partition).sort((a, b) => (a.offset - b.offset) * sign),
  )
  const merged: string[] = []
  for (;;) {
    const heads = lanes.filter((lane) => lane.length > 0)
    if (heads.length === 0) return merged
    const first = heads.reduce((best, lane) => ((lane[0].timestampMs - best[0].timestampMs) * sign < 0 ? lane : best))
    merged.push(idOf(first.shift()!))
  }
}

const record = fc.record({
  partition: fc.integer({ min: 0, max: 2 }),
  timestampMs: fc.integer({ min: 0, max: 20 }),
  n: fc.integer({ min: 0, max: 9 }),
})

test('page after page, every record that passes comes once, in the order of time, whatever the limits', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 60 }),
      fc.constantFrom('forward' as const, 'backward' as const),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 200 }),
      fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
      async (records, direction, limit, scanMax, lowest) => {
        const { topic, made } = await makeTopic(3, records)
        const query =
          lowest === undefined
            ? undefined
            : bindRecordQuery(topic, undefined, { where: `CAST(JSON_VALUE(_value, '$.n') AS INT) >= ${lowest}` }, 'UTC')
        const seen: ScannedRecord[] = []
        let ranges: Range[] = log.topic(topic)!.partitions.map(({ partition, endOffset }) => ({ partition, start: 0, end: endOffset }))
        let scanned = 0
        for (let pages = 0; ranges.length > 0; pages++) {
          assert.ok(pages <= 3 * made.length + 3, 'a page does not move on')
          const page = await scanPage({ descriptor: log.descriptor(topic), ranges, direction, query, limit, scanMax })
          assert.ok(page.records.length <= limit)
          scanned += page.scannedCount
          assert.equal(scanned + page.remainingCount, made.length)
          seen.push(...page.records)
          ranges = page.rest
        }
        assert.deepEqual(
          seen.map(idOf),
          model(
            made.filter(({ n }) => n >= (lowest ?? 0)),
            direction,
            3,
          ),
        )
      },
    ),
    { numRuns: 60 },
  )
})

test('a page of large records ends before its memory does, and a filter holds no more than what passes', async () => {
  const topic = `t${topicCount++}`
  await log.createTopic(topic, { 'max.message.bytes': 4 * 1024 * 1024 })
  const value = Buffer.alloc(1024 * 1024, 'x')
  for (let i = 0; i < 20; i++) await log.appendRecords(topic, 0, [{ key: null, value, timestampMs: i }])
  for (const direction of ['forward', 'backward'] as const) {
    let ranges: Range[] = [{ partition: 0, start: 0, end: 20 }]
    const offsets: number[] = []
    while (ranges.length > 0) {
      const page = await scanPage({ descriptor: log.descriptor(topic), ranges, direction, limit: 1_000, scanMax: 50_000 })
      assert.ok(page.records.length <= 10, `${page.records.length} MiB in a page`)
      offsets.push(...page.records.map(({ offset }) => offset))
      ranges = page.rest
    }
    assert.deepEqual(offsets, direction === 'forward' ? [...Array(20).keys()] : [...Array(20).keys()].reverse())
  }
  const query = bindRecordQuery(topic, undefined, { where: '_offset = 3', select: '_offset, CHAR_LENGTH(_value) AS length' }, 'UTC')
  const ranges = [{ partition: 0, start: 0, end: 20 }]
  const page = await scanPage({ descriptor: log.descriptor(topic), ranges, direction: 'forward', query, limit: 10, scanMax: 50_000 })
  assert.deepEqual(
    page.records.map(({ row }) => row),
    [[3n, 1024 * 1024]],
  )
  assert.equal(page.records[0].value!.buffer.byteLength, 1024 * 1024)
})
