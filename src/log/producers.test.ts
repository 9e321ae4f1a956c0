import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { Append, Partition } from './partition.ts'
import { BatchBuilder, noHeaders } from './recordBatch.ts'
import { descriptorOf, readTexts } from './testRecords.ts'
import { defaultTopicConfig } from './topicMeta.ts'

const folder = '/p'
const open = (disk: FakeDisk): Partition =>
  Partition.open({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, { ...defaultTopicConfig, 'segment.bytes': 1024 }, 0)
    .partition
function fresh() {
  const disk = new FakeDisk()
  disk.makeFolder(folder)
  disk.syncFolder('/')
  Partition.create({ disk, folder, topic: 't', partition: 0, durability: 'fsync' }, defaultTopicConfig, 0).close()
  return { disk, partition: open(disk) }
}
function batch(producerId: number, producerEpoch: number, baseSequence: number, texts: readonly string[]): Uint8Array {
  const builder = new BatchBuilder()
  for (const text of texts) builder.appendRecord(null, Buffer.from(text), 0, text.length, noHeaders, 0)
  return builder.finish({ producerId, producerEpoch, baseSequence })
}
function send(partition: Partition, ...batches: Uint8Array[]) {
  const appends = batches.map((bytes) => new Append(bytes))
  partition.write(appends, 0)
  partition.sync()
  return appends.map(({ error, first, last }) => error?.code ?? [first, last])
}

test('a batch sent again gets its old offsets, a gap and an old epoch are refused, sequences wrap', () => {
  const { disk, partition } = fresh()
  assert.deepEqual(send(partition, batch(7, 0, 0, ['a', 'b']), batch(7, 0, 2, ['c'])), [
    [0, 1],
    [2, 2],
  ])
  assert.deepEqual(send(partition, batch(7, 0, 0, ['a', 'b']), batch(7, 0, 2, ['c']), batch(7, 0, 4, ['e'])), [
    [0, 1],
    [2, 2],
    'LOG_PRODUCER_SEQUENCE',
  ])
  assert.deepEqual(send(partition, batch(7, 1, 3, ['d'])), ['LOG_PRODUCER_SEQUENCE'])
  assert.deepEqual(send(partition, batch(7, 1, 0, ['d']), batch(7, 0, 3, ['d'])), [[3, 3], 'LOG_PRODUCER_FENCED'])
  // Within one group too; and without a producer id nothing is compared.
  assert.deepEqual(send(partition, batch(7, 1, 1, ['e']), batch(7, 1, 1, ['e']), batch(-1, -1, -1, ['x']), batch(-1, -1, -1, ['x'])), [
    [4, 4],
    [4, 4],
    [5, 5],
    [6, 6],
  ])
  const max = 2 ** 31 - 1
  assert.deepEqual(send(partition, batch(8, 0, max - 1, ['u', 'v', 'w']), batch(8, 0, 1, ['y']), batch(8, 0, max - 1, ['u', 'v', 'w'])), [
    [7, 9],
    [10, 10],
    [7, 9],
  ])
  assert.equal(
    readTexts(descriptorOf(partition), 0, disk)
      .map(([, text]) => text)
      .join(''),
    'abcdexxuvwy',
  )
})

test('of five batches each can be sent again, of a sixth the sequence is old', () => {
  const { partition } = fresh()
  for (let i = 0; i < 6; i++) send(partition, batch(1, 0, i, [`${i}`]))
  assert.deepEqual(send(partition, batch(1, 0, 0, ['0']), batch(1, 0, 1, ['1']), batch(1, 0, 5, ['5'])), [
    'LOG_PRODUCER_SEQUENCE',
    [1, 1],
    [5, 5],
  ])
})

test('what retention takes can still be sent again, also after a power cut', () => {
  const { disk, partition } = fresh()
  partition.config = { ...defaultTopicConfig, 'segment.bytes': 1024, 'retention.bytes': 1 }
  for (let i = 0; i < 4; i++) send(partition, batch(7, 0, i, ['x'.repeat(600)]))
  assert.ok(partition.enforceRetention(0) > 0)
  const cut = disk.crashed({ keep: 0, random: () => 0.5 })
  const again = open(cut)
  assert.ok(again.range.startOffset > 1)
  assert.deepEqual(send(again, batch(7, 0, 1, ['x'.repeat(600)]), batch(7, 0, 4, ['y'])), [
    [1, 1],
    [4, 4],
  ])
})

test('on a full disk retention takes nothing whose producers could not be told afterwards; an older snapshot makes room for a new one', () => {
  const { disk, partition } = fresh()
  partition.config = { ...defaultTopicConfig, 'segment.bytes': 1024, 'retention.bytes': 1 }
  for (let i = 0; i < 4; i++) send(partition, batch(7, 0, i, ['x'.repeat(600)]))
  disk.before = (call, path) => {
    if (call === 'write' && path.endsWith('.producers')) throw diskError('ENOSPC')
  }
  assert.equal(partition.enforceRetention(0), 0)
  disk.before = () => {}
  assert.ok(partition.enforceRetention(0) > 0)
  for (let i = 4; i < 8; i++) send(partition, batch(7, 0, i, ['x'.repeat(600)]))
  assert.ok(partition.enforceRetention(0) > 0)
  for (let i = 8; i < 12; i++) send(partition, batch(7, 0, i, ['x'.repeat(600)]))
  disk.capacityBytes = disk.files().reduce((sum, path) => sum + disk.contentOf(path).length, 0) + 120
  assert.ok(partition.enforceRetention(0) > 0, 'less is free than a snapshot needs, but for what the oldest one gives back')
  const again = open(disk.crashed({ keep: 0, random: () => 0.5 }))
  assert.deepEqual(send(again, batch(7, 0, 9, ['x'.repeat(600)]), batch(7, 0, 12, ['y'])), [
    [9, 9],
    [12, 12],
  ])
})

test('a start that may not read what retention left of the producers tries again, and fails rather than forget them', () => {
  const { disk, partition } = fresh()
  partition.config = { ...defaultTopicConfig, 'segment.bytes': 1024, 'retention.bytes': 1 }
  for (let i = 0; i < 4; i++) send(partition, batch(7, 0, i, ['x'.repeat(600)]))
  assert.ok(partition.enforceRetention(0) > 0)
  const refuse = (code: string, times: number) => {
    let left = times
    disk.before = (call, path) => {
      if (call === 'open' && path.endsWith('.producers') && left-- > 0) throw diskError(code)
    }
  }
  for (const code of ['EMFILE', 'EACCES', 'ENOMEM']) {
    refuse(code, 1)
    assert.throws(() => open(disk), { code: 'LOG_READ_FAILED' }, code)
  }
  refuse('EIO', 2)
  assert.deepEqual(send(open(disk), batch(7, 0, 1, ['x'.repeat(600)]), batch(7, 0, 4, ['y'])), [
    [1, 1],
    [4, 4],
  ])
})

test('a clock that is set forward by a day forgets no producer', () => {
  const { partition } = fresh()
  send(partition, batch(1, 0, 0, ['a']))
  partition.enforceRetention(25 * 3_600_000)
  assert.deepEqual(send(partition, batch(1, 0, 0, ['a'])), [[0, 0]])
})

test('behind a first batch that the disk refused nothing of its producer comes before it is there', () => {
  const { disk, partition } = fresh()
  disk.before = (call) => {
    if (call === 'write') throw diskError('ENOSPC')
  }
  assert.deepEqual(send(partition, batch(1, 0, 0, ['a']), batch(1, 0, 1, ['b'])), ['LOG_DISK_FULL', 'LOG_DISK_FULL'])
  disk.before = () => {}
  assert.deepEqual(send(partition, batch(1, 0, 1, ['b'])), ['LOG_PRODUCER_SEQUENCE'])
  assert.deepEqual(send(partition, batch(1, 0, 0, ['a']), batch(1, 0, 1, ['b'])), [
    [0, 0],
    [1, 1],
  ])
})

const sending = fc.record({ producer: fc.nat(1), epoch: fc.nat(1), sequence: fc.nat(6), count: fc.integer({ min: 1, max: 2 }) })
const event = fc.oneof(
  { weight: 8, arbitrary: fc.array(sending, { minLength: 1, maxLength: 3 }) },
  fc.constantFrom('restart', 'crash', 'lose snapshots', 'write fails', 'sync fails'),
)

// The model reads nothing but its own list of what was acknowledged.
test('restarts, crashes and failing disks change nothing of what a producer may send', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), fc.nat(), (events, seed) => {
      let { disk, partition } = fresh()
      let random = seed
      /** Of producers that are not known: the first batch that was refused, epoch and sequence; those behind it may not come before. */
      let refused = new Map<number, { epoch: number; sequence: number }>()
      const acknowledged: { producer: number; epoch: number; sequence: number; count: number; first: number }[] = []
      let endOffset = 0
      let failing = ''
      for (const one of events) {
        if (one === 'restart' || one === 'crash') {
          if (one === 'restart') partition.close()
          refused = new Map()
          disk = disk.crashed({ keep: 0.5, random: () => (random = (random * 1103515245 + 12345) % 2 ** 31) / 2 ** 31 })
          partition = open(disk)
        } else if (one === 'lose snapshots') {
          for (const name of disk.list(folder)) if (name.endsWith('.producers')) disk.unlink(`${folder}/${name}`)
        } else if (typeof one === 'string') failing = one
        else {
          disk.before = (call, path) => {
            if (path.endsWith('.log') && failing.startsWith(call)) throw diskError('EIO')
          }
          const results = send(
            partition,
            ...one.map((each) => batch(each.producer, each.epoch, each.sequence, Array(each.count).fill('x'))),
          )
          disk.before = () => {}
          const isFailing = failing !== ''
          failing = ''
          for (const [i, each] of one.entries()) {
            const mine = acknowledged.filter(({ producer }) => producer === each.producer)
            const awaited = mine.length === 0 ? refused.get(each.producer) : undefined
            const epoch = awaited?.epoch ?? Math.max(-1, ...mine.map((had) => had.epoch))
            const newest = mine.filter((had) => had.epoch === epoch)
            const expected = newest.length > 0 ? newest.at(-1)!.sequence + newest.at(-1)!.count : (awaited?.sequence ?? 0)
            const isKnown = mine.length > 0 || awaited !== undefined
            const same = newest.slice(-5).find((had) => had.sequence === each.sequence && had.count === each.count)
            if (isKnown && each.epoch < epoch) assert.equal(results[i], 'LOG_PRODUCER_FENCED')
            else if (each.epoch === epoch && same) assert.deepEqual(results[i], [same.first, same.first + same.count - 1])
            else if (isKnown && each.sequence !== (each.epoch === epoch ? expected : 0)) assert.equal(results[i], 'LOG_PRODUCER_SEQUENCE')
            else if (isFailing) {
              // Of the rest of the group nothing may be acknowledged but what was there before.
              assert.equal(typeof results[i], 'string')
              for (const { producer, epoch, sequence } of one.slice(i)) {
                const isNew = !refused.has(producer) && !acknowledged.some((had) => had.producer === producer)
                if (isNew) refused.set(producer, { epoch, sequence })
              }
              break
            } else {
              assert.deepEqual(results[i], [endOffset, endOffset + each.count - 1])
              acknowledged.push({ ...each, first: endOffset })
              endOffset += each.count
            }
          }
          // What failed is cut off by the next append; before that, a restart might find it whole.
          if (isFailing) assert.deepEqual(send(partition, batch(-1, -1, -1, ['mended'])), [[endOffset, endOffset++]])
        }
      }
      partition.close()
      assert.equal(readTexts(descriptorOf(open(disk)), 0, disk).length, endOffset)
    }),
    { numRuns: 300 },
  )
})
