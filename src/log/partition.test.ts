import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/index.ts'
import type { Durability, TopicConfig } from './contract.ts'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { Append, Partition } from './partition.ts'
import { openPartitionReader } from './reader.ts'
import { CHUNK_BYTES_MIN, indexPath, listSegments, logPath } from './segmentIndex.ts'
import { descriptorOf, makeBatch, readTexts } from './testRecords.ts'
import { defaultTopicConfig } from './topicMeta.ts'

const folder = '/p'
type Config = Partial<TopicConfig>

function open(disk: FakeDisk, config: Config = {}, durability: Durability = 'fsync', nowMs = 0) {
  const options = { disk, folder, topic: 't', partition: 0, durability }
  return Partition.open(options, { ...defaultTopicConfig, ...config }, nowMs)
}
function fresh(config: Config = {}, durability: Durability = 'fsync') {
  const disk = new FakeDisk()
  disk.makeFolder(folder)
  disk.syncFolder('/')
  Partition.create({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, defaultTopicConfig, 0).close()
  return { disk, partition: open(disk, config, durability).partition }
}
/** One group commit; the texts of each append are one batch. */
function commit(partition: Partition, batches: readonly string[][], { nowMs = 0, timestampMs = 0 } = {}): Append[] {
  const appends = batches.map((values) => new Append(makeBatch(values, timestampMs)))
  partition.write(appends, nowMs)
  partition.sync()
  return appends
}
const codes = (appends: readonly Append[]) => appends.map((append) => append.error?.code ?? [append.first, append.last])
const textsOf = (partition: Partition, disk: FakeDisk, from = 0, maxBytes?: number) =>
  readTexts(descriptorOf(partition), 0, disk, from, maxBytes).map(([, text]) => text)
/** Two of these make a chunk. */
const large = (name: string) => name.padEnd(CHUNK_BYTES_MIN / 2, '.')
/** A segment of four of them. */
const twoChunks = CHUNK_BYTES_MIN * 2 + 1000

test('appends get consecutive offsets, and a group is one write and one sync', () => {
  const { disk, partition } = fresh()
  const calls: string[] = []
  disk.before = (call, path) => path.endsWith('.log') && calls.push(call)
  assert.deepEqual(codes(commit(partition, [['a', 'b'], ['c'], ['d', 'e', 'f']])), [
    [0, 1],
    [2, 2],
    [3, 5],
  ])
  assert.deepEqual(calls, ['write', 'sync'])
  assert.deepEqual(textsOf(partition, disk), ['a', 'b', 'c', 'd', 'e', 'f'])
})

test('a batch whose records were looked at before the topic became a compacted one is looked at again', () => {
  for (const policy of ['delete', 'compact'] as const) {
    const { partition } = fresh({ 'cleanup.policy': policy })
    const checked = { ...partition.rulesAt(0, true), isCompacted: false }
    const append = new Append(makeBatch(['without a key']), true, checked)
    partition.write([append], 0)
    partition.sync()
    assert.deepEqual(codes([append]), policy === 'delete' ? [[0, 0]] : ['LOG_KEY_MISSING'])
  }
})

test('a torn tail is cut at every byte of the last batch, reported, and appending goes on', () => {
  const { disk, partition } = fresh()
  commit(partition, [['one', 'two']])
  const goodBytes = disk.contentOf(logPath(folder, 0)).length
  commit(partition, [['three']])
  partition.close()
  const whole = disk.contentOf(logPath(folder, 0))
  for (let size = goodBytes; size < whole.length; size++) {
    disk.overwrite(logPath(folder, 0), whole.slice(0, size))
    const { partition: reopened, reports } = open(disk)
    assert.deepEqual(textsOf(reopened, disk), ['one', 'two'])
    if (size > goodBytes) {
      const { kind, cutBytes, position, offset } = reports[0]
      assert.deepEqual([kind, cutBytes, position, offset], ['cut', size - goodBytes, goodBytes, 2])
    } else assert.deepEqual(reports, [])
    assert.deepEqual(codes(commit(reopened, [['four']])), [[2, 2]])
    assert.deepEqual(textsOf(reopened, disk), ['one', 'two', 'four'])
    reopened.close()
  }
  assert.equal(disk.openFileCount, 0)
})

test('a changed byte anywhere in the last batch cuts it, and zeros behind it too', () => {
  const { disk, partition } = fresh()
  commit(partition, [['one']])
  const goodBytes = disk.contentOf(logPath(folder, 0)).length
  commit(partition, [['two']])
  partition.close()
  const whole = disk.contentOf(logPath(folder, 0))
  for (let at = goodBytes; at < whole.length; at++) {
    // The leader epoch is covered by no batch's CRC, means nothing here, and is covered by the segment's checksum once it is sealed.
    if (at >= goodBytes + 12 && at < goodBytes + 16) continue
    const bad = whole.slice()
    bad[at] ^= 0x55
    disk.overwrite(logPath(folder, 0), bad)
    const { partition: reopened, reports } = open(disk)
    assert.equal(reports[0]?.position, goodBytes, `byte ${at}`)
    assert.deepEqual(textsOf(reopened, disk), ['one'])
    reopened.close()
  }
  disk.overwrite(logPath(folder, 0), new Uint8Array([...whole, ...new Uint8Array(700)]))
  assert.equal(open(disk).reports[0].cutBytes, 700)
})

test('segments roll by size and by age, and every offset can be read from', () => {
  const { disk, partition } = fresh({ 'segment.bytes': 1024, 'segment.ms': 1000 })
  for (let i = 0; i < 40; i++) commit(partition, [[`v${2 * i}`, `v${2 * i + 1}`.padEnd(30 + i)]])
  const bySize = listSegments(disk, folder).length
  assert.ok(bySize > 4)
  commit(partition, [['v80']], { nowMs: 1000 })
  assert.equal(listSegments(disk, folder).length, bySize + 1)
  for (const maxBytes of [1, 200, 1 << 20]) {
    for (let from = 0; from <= 81; from++) {
      const texts = textsOf(partition, disk, from, maxBytes).map((value) => value.trim())
      assert.deepEqual(
        texts,
        Array.from({ length: 81 - from }, (_, i) => `v${from + i}`),
      )
    }
  }
  assert.throws(() => textsOf(partition, disk, 82), { code: 'LOG_OFFSET_OUT_OF_RANGE' })
})

test('records are found by time, across segments, chunks and out of order', () => {
  const { disk, partition } = fresh({ 'segment.bytes': CHUNK_BYTES_MIN * 3 })
  const random = seededRandom(7)
  const times: number[] = []
  for (let i = 0; i < 30; i++) {
    const timestampMs = i * 10 + Math.floor(random() * 40)
    times.push(timestampMs)
    commit(partition, [[large(`v${i}`)]], { timestampMs })
  }
  const reader = openPartitionReader(descriptorOf(partition), 0, 0, disk)
  for (let timeMs = -5; timeMs < 350; timeMs += 3) {
    const expected = times.findIndex((time) => time >= timeMs)
    assert.equal(reader.seekTime(timeMs), expected < 0 ? 30 : expected)
  }
  reader.close()
})

test('an index that is lost or damaged is made again, equal', () => {
  const { disk, partition } = fresh({ 'segment.bytes': CHUNK_BYTES_MIN * 3 })
  for (let i = 0; i < 9; i++) commit(partition, [[large(`v${i}`)]])
  partition.close()
  const [sealedBase] = listSegments(disk, folder)
  const path = indexPath(folder, sealedBase)
  const good = disk.contentOf(path)
  const withoutSecond = new Uint8Array([...good.slice(0, 32), ...good.slice(64)])
  for (const bad of [new Uint8Array(0), good.slice(0, 40), good.map((byte, i) => (i === 3 ? byte ^ 1 : byte)), withoutSecond]) {
    disk.overwrite(path, bad)
    const { partition: reopened, reports } = open(disk)
    assert.deepEqual(reports, [])
    assert.deepEqual(disk.contentOf(path), good)
    assert.equal(textsOf(reopened, disk).length, 9)
    reopened.close()
  }
  disk.unlink(path)
  open(disk)
  assert.deepEqual(disk.contentOf(path), good)
})

test('a damaged sealed segment is never served, not even its base offsets, and what is around it is', () => {
  const { disk, partition } = fresh({ 'segment.bytes': twoChunks })
  for (let i = 0; i < 12; i++) commit(partition, [[large(`v${i}`)]])
  partition.close()
  const path = logPath(folder, 0)
  const good = disk.contentOf(path)
  const chunkBytes = good.length / 2
  for (const at of [0, 7, 13, 22, 5000, chunkBytes, chunkBytes + 9, good.length - 1]) {
    disk.overwrite(
      path,
      good.map((byte, i) => (i === at ? byte ^ 1 : byte)),
    )
    const { partition: reopened } = open(disk)
    const reader = openPartitionReader(descriptorOf(reopened), 0, 0, disk)
    const readAll = () => {
      const offsets = []
      for (let run = reader.read(); run; run = reader.read()) offsets.push(run.nextOffset)
      return offsets
    }
    const secondChunk = at >= chunkBytes
    if (secondChunk) assert.equal(reader.read()?.nextOffset, 2)
    const damage = { code: 'LOG_SEGMENT_DAMAGED', params: { firstOffset: secondChunk ? 2 : 0, nextOffset: secondChunk ? 4 : 2 } }
    assert.throws(readAll, (error: typeof damage) => {
      assert.deepEqual([error.code, error.params.firstOffset, error.params.nextOffset], Object.values(damage).flatMap(flatten))
      return true
    })
    reader.seek(damage.params.nextOffset)
    assert.equal(readAll().at(-1), 12)
    reader.close()
    reopened.close()
  }
  // Damage of the file's size is found on start.
  disk.overwrite(path, good.slice(0, chunkBytes + 100))
  const { partition: reopened, reports } = open(disk)
  assert.deepEqual([reports[0].kind, reports[0].offset], ['damaged', 2])
  assert.equal(openPartitionReader(descriptorOf(reopened), 0, 4, disk).read()?.fromOffset, 4)
  assert.throws(() => textsOf(reopened, disk), { code: 'LOG_SEGMENT_DAMAGED' })
})
const flatten = (value: string | object): unknown[] => (typeof value === 'string' ? [value] : Object.values(value))

test('damage in a sealed segment whose index is lost too, and a segment that is missing, are found', () => {
  const { disk, partition } = fresh({ 'segment.bytes': twoChunks })
  for (let i = 0; i < 12; i++) commit(partition, [[large(`v${i}`)]])
  partition.close()
  const bases = listSegments(disk, folder)
  const good = disk.contentOf(logPath(folder, bases[1]))
  disk.overwrite(
    logPath(folder, bases[1]),
    good.map((byte, i) => (i === 6 ? 1 : byte)),
  )
  disk.unlink(indexPath(folder, bases[1]))
  const damaged = open(disk)
  assert.deepEqual([damaged.reports[0].kind, damaged.reports[0].offset], ['damaged', bases[1]])
  assert.throws(() => textsOf(damaged.partition, disk), { code: 'LOG_SEGMENT_DAMAGED' })
  assert.equal(textsOf(damaged.partition, disk, bases[2]).length, 12 - bases[2])
  damaged.partition.close()

  disk.unlink(logPath(folder, bases[1]))
  const missing = open(disk)
  assert.match(missing.reports[0].reason, new RegExp(`offsets ${bases[1]} to ${bases[2] - 1} are missing`))
  assert.throws(() => textsOf(missing.partition, disk), { code: 'LOG_SEGMENT_DAMAGED' })
})

test('damage in the active segment is not served either', () => {
  const { disk, partition } = fresh()
  for (let i = 0; i < 6; i++) commit(partition, [[large(`v${i}`)]])
  const path = logPath(folder, 0)
  const good = disk.contentOf(path)
  for (const [at, goodCount] of [
    [100, 0],
    [good.length - 10, 5],
    [Math.floor(good.length / 2) + 20, 3],
  ]) {
    disk.overwrite(
      path,
      good.map((byte, i) => (i === at ? byte ^ 1 : byte)),
    )
    const reader = openPartitionReader(descriptorOf(partition), 0, 0, disk)
    if (goodCount > 0) assert.equal(reader.read()?.nextOffset, goodCount)
    assert.throws(() => reader.read(), { code: 'LOG_SEGMENT_DAMAGED' })
    reader.close()
  }
  disk.overwrite(path, good.slice(0, 1000))
  assert.throws(() => textsOf(partition, disk), { code: 'LOG_SEGMENT_DAMAGED' })
  partition.close()
  assert.equal(open(disk).reports[0].kind, 'damaged')
})

test('a full disk refuses, leaves no trace, and takes appends again when there is space', () => {
  for (const extraBytes of [0, 1, 30, 61, 90, 200]) {
    const { disk, partition } = fresh()
    commit(partition, [['kept']])
    const before = disk.contentOf(logPath(folder, 0))
    disk.capacityBytes = before.length + extraBytes
    assert.deepEqual(codes(commit(partition, [['x'.repeat(100)], ['y'.repeat(100)]])), ['LOG_DISK_FULL', 'LOG_DISK_FULL'])
    assert.deepEqual(disk.contentOf(logPath(folder, 0)), before)
    assert.deepEqual(textsOf(partition, disk), ['kept'])
    disk.capacityBytes = Number.POSITIVE_INFINITY
    assert.deepEqual(codes(commit(partition, [['z']])), [[1, 1]])
    partition.close()
    assert.deepEqual(textsOf(open(disk).partition, disk), ['kept', 'z'])
  }
})

test('a disk that is full while a segment is rolled: refused, then all goes on, at each call of the roll', () => {
  for (let failAt = 0; failAt < 12; failAt++) {
    const { disk, partition } = fresh({ 'segment.bytes': 1024 })
    commit(partition, [['a'.repeat(900)]])
    let call = 0
    disk.before = () => {
      if (call++ === failAt) throw diskError('ENOSPC')
    }
    const [append] = commit(partition, [['b'.repeat(900)]])
    disk.before = () => {}
    // A sync that says ENOSPC is a failed sync: what it did not confirm is refused, and the rest is there.
    const failed = append.error !== undefined
    const [again] = commit(partition, [['c'.repeat(900)]])
    assert.deepEqual(codes([again]), [[failed ? 1 : 2, failed ? 1 : 2]], `call ${failAt}`)
    const expected = failed ? ['a', 'c'] : ['a', 'b', 'c']
    assert.deepEqual(
      textsOf(partition, disk).map((text) => text[0]),
      expected,
    )
    partition.close()
    const reopened = open(disk)
    assert.deepEqual(reopened.reports, [])
    assert.equal(reopened.partition.endOffset, expected.length)
  }
})

test('on a full disk that cannot even make a segment, retention frees space and the next offset is not forgotten', () => {
  const { disk, partition } = fresh({ 'segment.bytes': 1024, 'retention.bytes': 0 })
  for (let i = 0; i < 3; i++) commit(partition, [['a'.repeat(900)]])
  disk.before = (call, path) => {
    if (call === 'open' && path.endsWith('3.log')) throw diskError('ENOSPC')
  }
  assert.deepEqual(codes(commit(partition, [['b'.repeat(900)]])), ['LOG_DISK_FULL'])
  assert.ok(partition.enforceRetention(0) > 1000)
  const rebooted = disk.crashed({ keep: 0, random: seededRandom(1) })
  assert.equal(open(rebooted).partition.endOffset, 3)
  disk.before = () => {}
  assert.deepEqual(codes(commit(partition, [['c']])), [[3, 3]])
})

test('a seal whose first sync failed has all entries of its index on the disk, also over an older seal', () => {
  const config = { 'segment.bytes': 1024 }
  const { disk: first, partition } = fresh(config)
  const failing = (failed: string, suffix: string) => (call: string, path: string) => {
    if (call === failed && path.endsWith(suffix)) throw diskError('EIO')
  }
  commit(partition, [['a'.repeat(800)]])
  first.before = failing('open', '1.log')
  assert.deepEqual(codes(commit(partition, [['b'.repeat(800)]])), ['LOG_WRITE_FAILED'])
  // Sealed, and then it grows again.
  const disk = first.afterKill()
  const again = open(disk, config).partition
  commit(again, [['c']])
  disk.before = failing('sync', '.index')
  assert.deepEqual(codes(commit(again, [['d'.repeat(800)]])), ['LOG_WRITE_FAILED'])
  disk.before = () => {}
  assert.deepEqual(codes(commit(again, [['d'.repeat(800)]])), [[2, 2]])
  const rebooted = disk.crashed({ keep: 0, random: seededRandom(1) })
  const { partition: reopened, reports } = open(rebooted, config)
  assert.deepEqual(reports, [])
  assert.deepEqual(
    textsOf(reopened, rebooted).map((text) => text.slice(0, 1)),
    ['a', 'c', 'd'],
  )
})

test('a failed sync is never confirmed by a later one: refused, cut off, and gone after a power cut', () => {
  const { disk, partition } = fresh()
  commit(partition, [['kept']])
  disk.before = (call) => {
    if (call === 'sync') throw diskError('EIO')
  }
  assert.deepEqual(codes(commit(partition, [['lost']])), ['LOG_SYNC_FAILED'])
  assert.deepEqual(textsOf(partition, disk), ['kept'])
  assert.deepEqual(codes(commit(partition, [['refused']])), ['LOG_PARTITION_FAILED'])
  disk.before = () => {}
  assert.deepEqual(codes(commit(partition, [['after']])), [[1, 1]])
  assert.deepEqual(textsOf(partition, disk), ['kept', 'after'])
  const rebooted = disk.crashed({ keep: 0, random: seededRandom(1) })
  const { partition: reopened, reports } = open(rebooted)
  assert.deepEqual(reports, [])
  assert.deepEqual(textsOf(reopened, rebooted), ['kept', 'after'])
})

test('EIO at a write or at the cut behind it: refused, and nothing half is ever read', () => {
  for (const failing of [['write'], ['write', 'truncate']]) {
    const { disk, partition } = fresh()
    commit(partition, [['kept']])
    disk.before = (call) => {
      if (failing.includes(call)) throw diskError('EIO')
    }
    assert.deepEqual(codes(commit(partition, [['x'.repeat(300)]])), ['LOG_WRITE_FAILED'])
    disk.before = () => {}
    assert.deepEqual(codes(commit(partition, [['after']])), [[1, 1]])
    assert.deepEqual(textsOf(partition, disk), ['kept', 'after'])
    partition.close()
    assert.deepEqual(open(disk).reports, [])
  }
})

test('bad batches are refused one by one, the good ones of the group go through', () => {
  const { disk, partition } = fresh({ 'max.message.bytes': 300 })
  const wrong = makeBatch(['wrong'])
  wrong[70] ^= 1
  const two = new Uint8Array([...makeBatch(['one']), ...makeBatch(['two'])])
  const appends = [makeBatch(['a']), wrong, makeBatch(['x'.repeat(400)]), two, new Uint8Array(5), makeBatch(['b'])].map(
    (b) => new Append(b),
  )
  partition.write(appends, 0)
  partition.sync()
  assert.deepEqual(codes(appends), [[0, 0], 'LOG_BATCH_CHECKSUM', 'LOG_BATCH_TOO_LARGE', 'LOG_BATCH_INVALID', 'LOG_BATCH_INVALID', [1, 1]])
  assert.deepEqual(textsOf(partition, disk), ['a', 'b'])
})

test('retention by time and by size takes whole sealed segments; a reader keeps the one that it has open', () => {
  const { disk, partition } = fresh({ 'segment.bytes': 1024, 'retention.bytes': 3000, 'retention.ms': 5000 })
  for (let i = 0; i < 8; i++) commit(partition, [[`${i}`.padEnd(900)]], { timestampMs: i * 1000 })
  const reader = openPartitionReader(descriptorOf(partition), 0, 0, disk)
  assert.equal(reader.read(1)?.nextOffset, 1)
  const pinned = openPartitionReader(descriptorOf(partition), 0, 0, disk)
  pinned.read(1)
  pinned.seek(0)
  const held = openPartitionReader(descriptorOf(partition), 0, 1, disk)
  held.read(1)

  // 8 segments of about 970 bytes: five go until 3,000 bytes are left or fewer would be.
  const freedBytes = partition.enforceRetention(0)
  assert.ok(freedBytes > 3000)
  const { startOffset, sizeBytes } = partition.state.read()
  assert.ok(sizeBytes >= 3000 && sizeBytes < 4000)
  assert.deepEqual(listSegments(disk, folder)[0], startOffset)
  assert.throws(() => pinned.read(), { code: 'LOG_OFFSET_OUT_OF_RANGE' })
  assert.throws(() => reader.read(), { code: 'LOG_OFFSET_OUT_OF_RANGE' })
  reader.seek(startOffset)
  assert.equal(reader.read(1)?.nextOffset, startOffset + 1)
  partition.close()

  // Time: also the segment that grows is sealed and goes, once its newest record is too old. Offsets go on.
  const { partition: reopened } = open(disk, { 'retention.ms': 5000 })
  assert.equal(reopened.state.read().startOffset, startOffset)
  reopened.enforceRetention(6 * 1000 + 5001)
  assert.deepEqual(reopened.state.read().startOffset, 7)
  reopened.enforceRetention(1e6)
  assert.deepEqual([reopened.state.read().startOffset, reopened.endOffset], [8, 8])
  reopened.close()
  const { partition: empty } = open(disk)
  assert.deepEqual(codes(commit(empty, [['next']])), [[8, 8]])
})

test('records without a time are kept by when they were appended, also after a restart', () => {
  const { disk, partition } = fresh({ 'segment.bytes': 1024, 'retention.ms': 5000 })
  for (let i = 0; i < 3; i++) commit(partition, [[`${i}`.padEnd(900)]], { timestampMs: -1, nowMs: 10_000 })
  partition.enforceRetention(15_000)
  assert.equal(partition.state.read().startOffset, 0)
  partition.close()
  // Of what the process did not write itself the file system knows it.
  disk.nowMs = 10_000
  const { partition: reopened } = open(disk, { 'segment.bytes': 1024, 'retention.ms': 5000 }, 'fsync', 20_000)
  reopened.enforceRetention(15_000)
  assert.equal(reopened.state.read().startOffset, 0)
  reopened.enforceRetention(15_001)
  assert.deepEqual([reopened.state.read().startOffset, reopened.endOffset], [3, 3])
})

test('a reader in the middle of a segment reads it to its end after retention unlinked it', () => {
  const { disk, partition } = fresh({ 'segment.bytes': 2000, 'retention.bytes': 0 })
  for (let i = 0; i < 9; i++) commit(partition, [[`${i}`.padEnd(400)]])
  const reader = openPartitionReader(descriptorOf(partition), 0, 0, disk)
  assert.equal(reader.read(1)?.nextOffset, 1)
  partition.enforceRetention(0)
  assert.ok(partition.state.read().startOffset > 4)
  assert.deepEqual([reader.read(1)?.nextOffset, reader.read(1 << 20)?.nextOffset], [2, 4])
  assert.throws(() => reader.read(), { code: 'LOG_OFFSET_OUT_OF_RANGE' })
})

test('durability os acknowledges without a sync, and trusts nothing on start that was not synced', () => {
  const { disk, partition } = fresh({}, 'os')
  const calls: string[] = []
  disk.before = (call) => calls.push(call)
  for (let i = 0; i < 5; i++) commit(partition, [[large(`v${i}`)]])
  assert.ok(!calls.includes('sync'))
  disk.before = () => {}
  assert.equal(textsOf(partition, disk).length, 5)
  for (let seed = 0; seed < 30; seed++) {
    const rebooted = disk.crashed({ keep: 0.999, random: seededRandom(seed) })
    const { partition: reopened } = open(rebooted, {}, 'os')
    const texts = textsOf(reopened, rebooted)
    assert.deepEqual(
      texts,
      Array.from({ length: texts.length }, (_, i) => large(`v${i}`)),
    )
  }
  partition.close()
  const after = disk.crashed({ keep: 0, random: seededRandom(1) })
  assert.equal(textsOf(open(after).partition, after).length, 5)
})

test('an index that outlived its log does not lead into the wrong place', () => {
  const { disk, partition } = fresh({}, 'os')
  const overheadBytes = makeBatch([large('')]).length - large('').length
  const sized = (sizeBytes: number) => 'x'.repeat(sizeBytes - overheadBytes)
  for (let i = 0; i < 4; i++) commit(partition, [[sized(CHUNK_BYTES_MIN)]])
  disk.overwrite(logPath(folder, 0), new Uint8Array(0))
  const { partition: reopened } = open(disk, {}, 'os')
  // The second of the old entries would now point into the middle of the second batch.
  commit(reopened, [[sized(CHUNK_BYTES_MIN + 600)], [sized(CHUNK_BYTES_MIN - 200), 'a', 'b', 'c']])
  for (let from = 0; from < 5; from++) assert.equal(textsOf(reopened, disk, from).length, 5 - from)
})
