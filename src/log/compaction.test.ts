import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../base/index.ts'
import { compact } from './compaction.ts'
import { compress } from './compress.ts'
import type { LogRecord, TopicConfig } from './contract.ts'
import { crc32c } from './crc32c.ts'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { makeMarker } from './marker.ts'
import { Append, Partition } from './partition.ts'
import { openPartitionReader } from './reader.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_PREFIX_BYTES,
  BatchBuilder,
  type BatchOptions,
  CRC_AT,
  encodeHeaders,
  TRANSACTIONAL_FLAG,
  writeInt32,
} from './recordBatch.ts'
import { readRecords } from './recordIndex.ts'
import { indexPath, listAllSegmentFiles, listSegmentFiles, logPath } from './segmentIndex.ts'
import { descriptorOf } from './testRecords.ts'
import { defaultTopicConfig } from './topicMeta.ts'

const folder = '/p'
const DELETE_RETENTION_MS = 1_000
const config: TopicConfig = {
  ...defaultTopicConfig,
  'cleanup.policy': 'compact',
  'segment.bytes': 1024,
  'delete.retention.ms': DELETE_RETENTION_MS,
  'min.cleanable.dirty.ratio': 0,
}
type Row = [key: string, value: string | null]

const openPartition = (disk: FakeDisk, changes: Partial<TopicConfig> = {}) =>
  Partition.open({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, { ...config, ...changes }, 0)
function fresh(changes: Partial<TopicConfig> = {}) {
  const disk = new FakeDisk()
  disk.makeFolder(folder)
  disk.syncFolder('/')
  Partition.create({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, defaultTopicConfig, 0).close()
  return { disk, partition: openPartition(disk, changes).partition }
}

function batchOf(rows: readonly Row[], timestampMs: number, { codec = 0, ...options }: BatchOptions & { codec?: number } = {}): Uint8Array {
  const builder = new BatchBuilder()
  const encoder = new TextEncoder()
  rows.forEach(([key, text], i) => {
    const value = text === null ? null : encoder.encode(text)
    builder.appendRecord(encoder.encode(key), value, 0, value?.length ?? 0, encodeHeaders([['n', Uint8Array.of(i)]]), timestampMs + i)
  })
  const batch = builder.finish(options)
  if (codec === 0) return batch
  const records = compress(batch.subarray(BATCH_HEADER_BYTES), codec)
  const compressed = new Uint8Array([...batch.subarray(0, BATCH_HEADER_BYTES), ...records])
  compressed[ATTRIBUTES_AT + 1] |= codec
  writeInt32(compressed, BATCH_LENGTH_AT, compressed.length - BATCH_PREFIX_BYTES)
  writeInt32(compressed, CRC_AT, crc32c(compressed.subarray(ATTRIBUTES_AT)))
  return compressed
}

/** A record with its texts, so that two can be compared. */
const shown = ({ offset, key, value, headers, timestampMs }: LogRecord) => ({
  offset,
  key: key && Buffer.from(key).toString(),
  value: value && Buffer.from(value).toString(),
  headers: headers.map(([name, bytes]) => `${name}=${bytes && Buffer.from(bytes).toString('hex')}`).join(),
  timestampMs,
})
type Shown = ReturnType<typeof shown>

function readAll(partition: Partition, disk: FakeDisk, from = partition.state.read().startOffset): Shown[] {
  const reader = openPartitionReader(descriptorOf(partition), 0, from, disk)
  const found: Shown[] = []
  try {
    for (let run = reader.read(300); run; run = reader.read(300)) {
      for (const record of readRecords(run.bytes, run.start, run.end, run.fromOffset)) found.push(shown(record))
    }
    assert.equal(reader.nextOffset, partition.endOffset, 'a reader gets to the end, also over a gap')
    return found
  } finally {
    reader.close()
  }
}

function readCommitted(partition: Partition, disk: FakeDisk): Shown[] {
  const reader = openPartitionReader(descriptorOf(partition), 0, 0, disk, 'read_committed')
  const found: Shown[] = []
  for (let run = reader.read(); run; run = reader.read())
    found.push(...[...readRecords(run.bytes, run.start, run.end, run.fromOffset)].map(shown))
  reader.close()
  return found
}

/** Compacts while there is something to do. */
function compactAll(disk: FakeDisk, partition: Partition, nowMs: number, keysMax = 1_000): void {
  for (let round = 0; round < 100; round++) {
    const job = partition.compactionJob(descriptorOf(partition), nowMs, keysMax)
    if (!job) return
    const outcome = compact(disk, job, (segment) => void partition.replaceSegments(segment))
    partition.finishCompaction(outcome)
    if (outcome.endOffset === job.firstDirtyOffset) return
  }
  assert.fail('compaction comes to no end')
}

/** Appends that are in the log, with what they were. */
class Model {
  readonly written: Map<number, Shown>

  constructor(written: Iterable<[number, Shown]> = []) {
    this.written = new Map(written)
  }

  append(partition: Partition, batch: Uint8Array, nowMs: number): Append {
    const before = [...readRecords(batch)].map(shown)
    const append = new Append(batch)
    partition.write([append], nowMs)
    partition.sync()
    if (!append.error)
      for (const [i, record] of before.entries()) this.written.set(append.first + i, { ...record, offset: append.first + i })
    return append
  }

  /** What every log must be, compacted or not. `mayMiss`: offsets of deletions whose time is over. */
  check(found: readonly Shown[], startOffset: number, mayMiss: (record: Shown) => boolean, what = ''): void {
    for (const [i, record] of found.entries()) {
      assert.ok(i === 0 || found[i - 1].offset < record.offset, `${what}: order`)
      const original = this.written.get(record.offset)
      if (original) assert.deepEqual(record, original, what)
    }
    const newest = new Map<string, Shown>()
    for (const record of this.written.values()) if (record.key !== null) newest.set(record.key, record)
    const offsets = new Set(found.map(({ offset }) => offset))
    for (const record of newest.values()) {
      if (record.offset < startOffset || offsets.has(record.offset)) continue
      // After a crash there may be more than was acknowledged.
      if (found.some(({ key, offset }) => key === record.key && offset > record.offset)) continue
      assert.ok(record.value === null && mayMiss(record), `${what}: the newest record of ${record.key} is gone`)
    }
  }
}

const rowOf = fc.tuple(
  fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  fc.oneof(
    fc.constant(null),
    fc.nat({ max: 300 }).map((size) => 'v'.repeat(size)),
  ),
) as fc.Arbitrary<Row>
const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ rows: fc.array(rowOf, { minLength: 1, maxLength: 6 }), codec: fc.nat({ max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ compact: fc.constantFrom(2, 5, 1_000) }) },
    { weight: 2, arbitrary: fc.record({ waitMs: fc.nat({ max: 900 }) }) },
    { weight: 1, arbitrary: fc.record({ deleteBelow: fc.nat({ max: 60 }) }) },
    { weight: 1, arbitrary: fc.constant({ restart: true }) },
  ),
  { minLength: 5, maxLength: 60 },
)

test('compaction keeps the newest record of each key as it was, in whatever order things happen', () => {
  fc.assert(
    fc.property(steps, (history) => {
      let { disk, partition } = fresh()
      const model = new Model()
      let nowMs = 0
      let isCompactedSince = 0
      for (const step of history) {
        if ('rows' in step) model.append(partition, batchOf(step.rows, nowMs, { codec: step.codec }), nowMs)
        else if ('compact' in step) {
          compactAll(disk, partition, nowMs, step.compact)
          isCompactedSince = nowMs
        } else if ('waitMs' in step) nowMs += step.waitMs
        else if ('deleteBelow' in step) partition.deleteRecords(Math.min(step.deleteBelow, partition.endOffset))
        else {
          partition.close()
          const { startOffset } = partition.state.read()
          const reopened = openPartition(disk)
          assert.deepEqual(reopened.reports, [])
          partition = reopened.partition
          partition.deleteRecords(startOffset)
        }
        const { startOffset } = partition.state.read()
        const found = readAll(partition, disk)
        // A deletion may go once it was compacted, and its time after that is over.
        model.check(found, startOffset, ({ timestampMs }) => isCompactedSince >= timestampMs - 5 + DELETE_RETENTION_MS)
      }
      // In what is sealed, no key is twice.
      compactAll(disk, partition, nowMs)
      const sealedEnd = partition.state.read().activeBaseOffset
      const keys = readAll(partition, disk)
        .filter(({ offset }) => offset < sealedEnd)
        .map(({ key }) => key)
      assert.equal(new Set(keys).size, keys.length, 'each key once')
      partition.close()
      assert.equal(disk.openFileCount, 0)
      assert.ok(disk.list(folder).every((name) => !name.includes('compacting')))
    }),
    { numRuns: 150 },
  )
})

const transactionSteps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ rows: fc.array(rowOf, { minLength: 1, maxLength: 3 }), producer: fc.integer({ min: -1, max: 2 }) }),
    },
    { weight: 4, arbitrary: fc.record({ end: fc.integer({ min: 0, max: 2 }), isCommit: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ compact: fc.constantFrom(2, 1_000) }) },
    { weight: 1, arbitrary: fc.record({ waitMs: fc.nat({ max: 900 }) }) },
    { weight: 1, arbitrary: fc.record({ restart: fc.boolean() }) },
  ),
  { minLength: 10, maxLength: 80 },
)

test('transactions: what was aborted goes and counts for nothing, what is open stays, committed readers see the newest of each key', () => {
  fc.assert(
    fc.property(transactionSteps, (history) => {
      let { disk, partition } = fresh()
      const model = new Model()
      let nowMs = 0
      let compactedMs = Number.NEGATIVE_INFINITY
      const sequences = [0, 0, 0]
      /** Offsets of records of open transactions, by producer. */
      const open: number[][] = [[], [], []]
      const aborted = new Set<number>()
      for (const step of history) {
        if ('rows' in step) {
          const { producer, rows } = step
          const options = { producerId: producer, producerEpoch: 0, baseSequence: sequences[producer], attributes: TRANSACTIONAL_FLAG }
          const append = model.append(partition, batchOf(rows, nowMs, producer < 0 ? {} : options), nowMs)
          assert.equal(append.error, undefined)
          if (producer < 0) continue
          sequences[producer] += rows.length
          open[producer].push(...rows.map((_, i) => append.first + i))
        } else if ('end' in step) {
          if (open[step.end].length === 0) continue
          const marker = makeMarker({ producerId: step.end, producerEpoch: 0, isCommit: step.isCommit, coordinatorEpoch: 0 }, nowMs)
          const append = new Append(marker)
          partition.write([append], nowMs)
          partition.sync()
          assert.equal(append.error, undefined)
          if (!step.isCommit) {
            for (const offset of open[step.end]) {
              model.written.delete(offset)
              aborted.add(offset)
            }
          }
          open[step.end] = []
        } else if ('compact' in step) {
          compactAll(disk, partition, nowMs, step.compact)
          compactedMs = nowMs
        } else if ('waitMs' in step) nowMs += step.waitMs
        else {
          partition.close()
          // With or without what is remembered of the producers: the log itself is enough.
          if (step.restart) for (const name of disk.list(folder)) if (/producers|txnindex/.test(name)) disk.unlink(`${folder}/${name}`)
          partition = openPartition(disk).partition
        }
        const found = readAll(partition, disk).filter(({ offset }) => !aborted.has(offset))
        const offsets = new Set(found.map(({ offset }) => offset))
        const undecided = new Set(open.flat())
        for (const offset of undecided) assert.ok(offsets.has(offset), `${offset} of an open transaction is gone`)
        const decided = new Model([...model.written].filter(([offset]) => !undecided.has(offset)))
        const mayMiss = ({ timestampMs }: Shown) => compactedMs >= timestampMs - 5 + DELETE_RETENTION_MS
        decided.check(found, 0, mayMiss)
        const stableOffset = Math.min(partition.endOffset, ...undecided)
        const stable = new Model([...decided.written].filter(([offset]) => offset < stableOffset))
        const committed = readCommitted(partition, disk)
        assert.ok(committed.every(({ offset }) => !aborted.has(offset) && offset < stableOffset))
        // Above the last stable offset there may be a newer record already, by which compaction does not go.
        stable.check(committed, 0, mayMiss, 'committed')
      }
      partition.close()
      assert.equal(disk.openFileCount, 0)
    }),
    { numRuns: 150 },
  )
})

test('a deletion stays readable for delete.retention.ms after it was compacted, then it goes', () => {
  const { disk, partition } = fresh()
  const model = new Model()
  model.append(
    partition,
    batchOf(
      [
        ['a', 'x'.repeat(400)],
        ['b', 'kept'],
      ],
      0,
    ),
    0,
  )
  model.append(partition, batchOf([['a', null]], 10), 10)
  model.append(partition, batchOf([['c', 'y'.repeat(900)]], 20), 20)
  const keysAt = (nowMs: number) => {
    compactAll(disk, partition, nowMs)
    return readAll(partition, disk).map(({ key, value }) => `${key}${value === null ? '-' : ''}`)
  }
  assert.deepEqual(keysAt(5_000), ['b', 'a-', 'c'])
  assert.deepEqual(keysAt(5_000 + DELETE_RETENTION_MS - 1), ['b', 'a-', 'c'])
  // Also when nothing new has come: the time alone makes it due.
  assert.deepEqual(keysAt(5_000 + DELETE_RETENTION_MS), ['b', 'c'])
})

test('min.compaction.lag.ms protects what is young, max.compaction.lag.ms does not wait for the ratio', () => {
  const { disk, partition } = fresh({ 'min.compaction.lag.ms': 500 })
  const model = new Model()
  for (let i = 0; i < 6; i++) model.append(partition, batchOf([['a', `${i}`.padEnd(700)]], i * 100), i * 100)
  compactAll(disk, partition, 700)
  assert.deepEqual(
    readAll(partition, disk).map(({ offset }) => offset),
    [2, 3, 4, 5],
  )
  const lazy = fresh({ 'min.cleanable.dirty.ratio': 1, 'max.compaction.lag.ms': 1_000 })
  for (let i = 0; i < 3; i++) model.append(lazy.partition, batchOf([['a', `${i}`.padEnd(700)]], 0), 0)
  compactAll(lazy.disk, lazy.partition, 999)
  assert.equal(readAll(lazy.partition, lazy.disk).length, 3)
  // The segment that grows is sealed too.
  compactAll(lazy.disk, lazy.partition, 1_001)
  assert.equal(readAll(lazy.partition, lazy.disk).length, 1)
})

test('readers that were in the middle of replaced segments go on', () => {
  const { disk, partition } = fresh()
  const model = new Model()
  for (let i = 0; i < 30; i++) model.append(partition, batchOf([[`k${i % 4}`, `${i}`.padEnd(300)]], 0), 0)
  const readers = Array.from({ length: 30 }, (_, from) => {
    const reader = openPartitionReader(descriptorOf(partition), 0, from, disk)
    // Half of them have a file open.
    if (from % 2 === 0) reader.read(1)
    return reader
  })
  compactAll(disk, partition, 0)
  const left = readAll(partition, disk).map(({ offset }) => offset)
  assert.ok(left.length < 10)
  for (const reader of readers) {
    const from = reader.nextOffset
    const offsets: number[] = []
    for (let run = reader.read(1); run; run = reader.read(1)) {
      for (const { offset } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) offsets.push(offset)
    }
    for (const offset of left) assert.ok(offset < from || offsets.includes(offset), `from ${from}: ${offset} is missing`)
    reader.close()
  }
})

test('records without a key are refused by a compacted topic', () => {
  const { disk, partition } = fresh()
  const builder = new BatchBuilder()
  builder.appendRecord(null, Uint8Array.of(1), 0, 1, encodeHeaders([]), 0)
  const append = new Append(builder.finish())
  partition.write([append], 0)
  assert.equal(append.error?.code, 'LOG_KEY_MISSING')
  assert.deepEqual(readAll(partition, disk), [])
})

test('the last batches of a producer stay without their records: after a restart each can still be sent again', () => {
  const { disk, partition } = fresh()
  const model = new Model()
  const sent = (i: number) => batchOf([['a', `${i}`.padEnd(600)]], 0, { producerId: 7, producerEpoch: 0, baseSequence: i })
  for (let i = 0; i < 5; i++) assert.equal(model.append(partition, sent(i), 0).first, i)
  for (let i = 5; i < 10; i++) model.append(partition, batchOf([['a', `${i}`.padEnd(600)]], 0), 0)
  compactAll(disk, partition, 0)
  assert.deepEqual(
    readAll(partition, disk).map(({ offset }) => offset),
    [8, 9],
  )
  partition.close()
  for (const name of disk.list(folder)) if (name.endsWith('.producers')) disk.unlink(`${folder}/${name}`)
  const { partition: reopened } = openPartition(disk)
  for (let i = 0; i < 5; i++) assert.equal(model.append(reopened, sent(i), 0).first, i, 'sent again: it has its old offset')
  const next = batchOf([['b', 'x']], 0, { producerId: 7, producerEpoch: 0, baseSequence: 5 })
  assert.equal(model.append(reopened, next, 0).error, undefined)
})

test('damage ends a compaction: nothing is replaced, and the damage is still reported', () => {
  const { disk, partition } = fresh()
  const model = new Model()
  for (let i = 0; i < 8; i++) model.append(partition, batchOf([['a', `${i}`.padEnd(600)]], 0), 0)
  const [, second] = listSegmentFiles(disk, folder)
  const path = logPath(folder, second)
  disk.overwrite(
    path,
    disk.contentOf(path).map((byte, i) => (i === 300 ? byte ^ 1 : byte)),
  )
  assert.throws(() => compactAll(disk, partition, 0), { code: 'LOG_SEGMENT_DAMAGED' })
  assert.throws(() => readAll(partition, disk), { code: 'LOG_SEGMENT_DAMAGED' })
})

test('a compacted segment whose index is lost is read by its batches, and its index made again', () => {
  const { disk, partition } = fresh()
  const model = new Model()
  for (let i = 0; i < 12; i++)
    model.append(
      partition,
      batchOf(
        [
          [`k${i % 3}`, `${i}`.padEnd(300)],
          ['z', 'x'],
        ],
        0,
      ),
      0,
    )
  compactAll(disk, partition, 0)
  const before = readAll(partition, disk)
  const file = listSegmentFiles(disk, folder).find(({ generation }) => generation > 0)!
  const index = disk.contentOf(indexPath(folder, file))
  disk.unlink(indexPath(folder, file))
  assert.deepEqual(readAll(partition, disk), before)
  partition.close()
  const reopened = openPartition(disk)
  assert.deepEqual(reopened.reports, [])
  assert.deepEqual(disk.contentOf(indexPath(folder, file)), index)
  // A segment that is missing is no gap.
  disk.unlink(logPath(folder, file))
  reopened.partition.close()
  assert.throws(() => readAll(openPartition(disk).partition, disk, 0))
})

/** Appends, compacts twice, and goes on. */
function runWorkload(disk: FakeDisk): { model: Model; partition: Partition | undefined; isCompacted: boolean } {
  const model = new Model()
  let partition: Partition | undefined
  let isCompacted = false
  const attempt = (step: () => void) => {
    try {
      step()
    } catch (error) {
      assert.ok((error as { code?: unknown }).code, String(error))
    }
  }
  attempt(() => {
    partition = openPartition(disk).partition
  })
  if (!partition) return { model, partition, isCompacted }
  const opened: Partition = partition
  const append = (i: number) =>
    attempt(
      () =>
        void model.append(
          opened,
          batchOf(
            [
              [`k${i % 3}`, i % 5 === 0 ? null : `${i}`.padEnd(260)],
              [`l${i % 2}`, 'x'],
            ],
            i,
            { codec: i % 3 },
          ),
          i,
        ),
    )
  for (let i = 0; i < 14; i++) append(i)
  attempt(() => compactAll(disk, opened, 10))
  for (let i = 14; i < 24; i++) append(i)
  attempt(() => {
    compactAll(disk, opened, 20)
    isCompacted = true
  })
  append(24)
  return { model, partition, isCompacted }
}

function freshDisk(): FakeDisk {
  const disk = new FakeDisk()
  disk.makeFolder(folder)
  disk.syncFolder('/')
  Partition.create({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, defaultTopicConfig, 0).close()
  return disk
}

function checkAfterCrash(disk: FakeDisk, before: Model, what: string): void {
  const model = new Model(before.written)
  const { partition, reports } = openPartition(disk)
  assert.deepEqual(
    reports.filter(({ kind }) => kind === 'damaged'),
    [],
    what,
  )
  model.check(readAll(partition, disk), 0, () => false, what)
  const names = listAllSegmentFiles(disk, folder).length
  assert.equal(names, listSegmentFiles(disk, folder).length, `${what}: replaced segments are still there`)
  assert.ok(
    disk.list(folder).every((name) => !name.includes('compacting')),
    what,
  )
  // It goes on, and compacts what it could not.
  assert.equal(model.append(partition, batchOf([['k0', 'more']], 30), 30).error, undefined, what)
  compactAll(disk, partition, 30)
  model.check(readAll(partition, disk), 0, () => false, what)
}

test('a power cut, or one failing call, at every step of appends and compactions: old or new, and no newest record is lost', () => {
  const counting = freshDisk()
  let callCount = 0
  counting.before = () => void callCount++
  assert.ok(runWorkload(counting).isCompacted)
  assert.ok(callCount > 150, `${callCount} calls`)
  for (const isCut of [true, false]) {
    for (let at = 0; at < callCount; at++) {
      const disk = freshDisk()
      let call = 0
      disk.before = () => {
        const now = call++
        if (isCut ? now >= at : now === at) throw diskError(isCut ? 'EIO' : 'ENOSPC')
      }
      const { model } = runWorkload(disk)
      disk.before = () => {}
      for (const keep of [0, 1, 0.5]) {
        checkAfterCrash(disk.crashed({ keep, random: seededRandom(at) }), model, `${isCut ? 'cut' : 'failure'} at call ${at}, keep ${keep}`)
      }
    }
  }
})
