import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../base/index.ts'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { makeMarker } from './marker.ts'
import { Append, Partition } from './partition.ts'
import { openPartitionReader } from './reader.ts'
import { BatchBuilder, noHeaders, TRANSACTIONAL_FLAG } from './recordBatch.ts'
import { readRecords } from './recordIndex.ts'
import { descriptorOf } from './testRecords.ts'
import { defaultTopicConfig } from './topicMeta.ts'

const folder = '/p'
const config = { ...defaultTopicConfig, 'segment.bytes': 1_024, 'retention.ms': -1 }
const open = (disk: FakeDisk, startOffset = 0): Partition =>
  Partition.open({ disk, folder, topic: 't', partition: 0, durability: 'fsync', startOffset }, config, 0).partition

const PRODUCERS = 3
const step = fc.oneof(
  // A record of a producer's transaction, or one beside all transactions (3).
  { weight: 8, arbitrary: fc.record({ send: fc.nat(PRODUCERS), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 5, arbitrary: fc.record({ end: fc.nat(PRODUCERS - 1), isCommit: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constantFrom('restart', 'crash', 'lose snapshots', 'lose index', 'fail log', 'fail index') },
  { weight: 1, arbitrary: fc.record({ deleteBefore: fc.double({ min: 0, max: 1, noNaN: true }) }) },
)

interface Written {
  offset: number
  text: string
  producer: number
  fate: 'open' | 'committed' | 'aborted'
}

// The model knows only its own list of what was acknowledged: each record's offset and what became of its transaction.
test('read_committed gives what a slow model gives, from every offset, whatever was written, lost, cut off, deleted and restarted', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(), (steps, seed) => {
      const random = seededRandom(seed)
      let disk = new FakeDisk()
      disk.makeFolder(folder)
      disk.syncFolder('/')
      Partition.create({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, defaultTopicConfig, 0).close()
      let partition = open(disk)
      const written: Written[] = []
      const sequences = new Map<number, number>()
      let endOffset = 0
      let startOffset = 0
      let isIndexLate = false
      /** One batch; whether it was acknowledged. */
      const append = (bytes: Uint8Array): boolean => {
        const one = new Append(bytes)
        partition.write([one], 0)
        partition.sync()
        if (one.error) return false
        assert.equal(one.first, endOffset)
        endOffset = one.last + 1
        return true
      }
      let textCount = 0
      const send = (producer: number, count: number): boolean => {
        const builder = new BatchBuilder()
        const texts = Array.from({ length: count }, () => `v${textCount++}`)
        for (const text of texts) builder.appendRecord(null, Buffer.from(text), 0, text.length, noHeaders, 0)
        const baseSequence = sequences.get(producer) ?? 0
        const isPlain = producer === PRODUCERS
        const options = { producerId: producer, producerEpoch: 0, baseSequence, attributes: TRANSACTIONAL_FLAG }
        const first = endOffset
        if (!append(builder.finish(isPlain ? {} : options))) return false
        sequences.set(producer, baseSequence + count)
        for (const [i, text] of texts.entries()) written.push({ offset: first + i, text, producer, fate: isPlain ? 'committed' : 'open' })
        return true
      }
      const reopen = () => {
        partition = open(disk, startOffset)
        isIndexLate = false
      }
      const check = () => {
        const openOffsets = written.filter(({ fate }) => fate === 'open').map(({ offset }) => offset)
        const stableOffset = Math.max(startOffset, Math.min(endOffset, ...openOffsets))
        const { lastStableOffset } = partition.state.read()
        // While the index cannot be written it may only be lower.
        if (isIndexLate) assert.ok(lastStableOffset <= stableOffset)
        else assert.equal(lastStableOffset, stableOffset)
        const reader = openPartitionReader(descriptorOf(partition), 0, startOffset, disk, 'read_committed')
        for (const from of [startOffset, Math.floor((startOffset + endOffset) / 2), lastStableOffset, endOffset]) {
          for (const maxBytes of [1, 1 << 20]) {
            const found: [number, string][] = []
            reader.seek(from)
            for (let run = reader.read(maxBytes); run; run = reader.read(maxBytes)) {
              for (const { offset, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset))
                found.push([offset, String(value)])
            }
            const expected = written.filter(({ offset, fate }) => fate === 'committed' && offset >= from && offset < lastStableOffset)
            assert.deepEqual(
              found,
              expected.map(({ offset, text }) => [offset, text]),
            )
            assert.equal(reader.nextOffset, Math.max(from, lastStableOffset))
          }
        }
        reader.close()
        assert.equal(reader.range.endOffset, lastStableOffset)
      }
      for (const one of steps) {
        if (one === 'restart') {
          partition.close()
          reopen()
        } else if (one === 'crash') {
          disk = disk.crashed({ keep: 0.5, random })
          reopen()
        } else if (one === 'lose snapshots' || one === 'lose index') {
          // Only where nobody has them open: as somebody does who cleans up a stopped server.
          partition.close()
          const suffix = one === 'lose index' ? '.txnindex' : '.producers'
          for (const name of disk.list(folder)) if (name.endsWith(suffix)) disk.unlink(`${folder}/${name}`)
          reopen()
        } else if (one === 'fail log' || one === 'fail index') {
          const suffix = one === 'fail log' ? '.log' : '.txnindex'
          disk.before = (call, path) => {
            if (path.endsWith(suffix) && (call === 'write' || call === 'sync')) throw diskError('EIO')
          }
          // Something open is aborted while that fails; the log's failure refuses it, the index's only holds readers back.
          const producer = written.findLast(({ fate }) => fate === 'open')?.producer ?? 0
          const isDone = append(makeMarker({ producerId: producer, producerEpoch: 0, isCommit: false, coordinatorEpoch: 0 }, 0))
          assert.equal(isDone, one === 'fail index')
          if (isDone) {
            for (const record of written) if (record.producer === producer && record.fate === 'open') record.fate = 'aborted'
            isIndexLate = true
          }
          disk.before = () => {}
          if (isDone) check()
          // What failed is cut off by the next append, and the index catches up.
          assert.ok(send(PRODUCERS, 1))
          isIndexLate = false
        } else if ('send' in one) assert.ok(send(one.send, one.count))
        else if ('end' in one) {
          assert.ok(append(makeMarker({ producerId: one.end, producerEpoch: 0, isCommit: one.isCommit, coordinatorEpoch: 0 }, 0)))
          for (const record of written) {
            if (record.producer === one.end && record.fate === 'open') record.fate = one.isCommit ? 'committed' : 'aborted'
          }
        } else {
          startOffset = Math.max(startOffset, Math.floor(endOffset * one.deleteBefore))
          partition.deleteRecords(startOffset)
          partition.enforceRetention(0)
        }
        check()
      }
      partition.close()
      assert.equal(disk.openFileCount, 0)
    }),
    { numRuns: 400 },
  )
})
