import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type StreamError, toStreamError } from '../../src/base/index.ts'
import { FakeDisk } from '../../src/log/fakeDisk.ts'
import { openPartitionReader, readRecords } from '../../src/log/index.ts'
import { Append } from '../../src/log/partition.ts'
import { LogStore } from '../../src/log/store.ts'
import { makeBatch } from '../../src/log/testRecords.ts'
import { Random } from './random.ts'

const FLIPS = 10_000
const open = (disk: FakeDisk) => LogStore.open({ disk, folder: '/data', durability: 'fsync' }, 0)
const idOf = (i: number) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`

/** Two topics with sealed and growing segments, their indexes and snapshots; and what is in them. */
function makeLog(): { disk: FakeDisk; known: Map<string, string[]> } {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  disk.syncFolder('/')
  const store = open(disk)
  const known = new Map<string, string[]>()
  for (const [i, name] of ['a', 'b'].entries()) {
    const topic = store.createTopic(name, idOf(i), { partitionCount: 2, 'segment.bytes': 1024 }, 0)
    for (let n = 0; n < 24; n++) {
      const values = [`${name}${n}`.padEnd(50 + n, '.'), `${name}${n}'`]
      const partition = n % 2
      const append = new Append(makeBatch(values))
      store.commit([{ partition: topic.partitions[partition], append }], 0)
      known.set(`${name} ${partition}`, [...(known.get(`${name} ${partition}`) ?? []), ...values])
    }
  }
  store.close()
  return { disk, known }
}

/** Opens the log and reads everything. @returns whether the damage was told; wrong data is an assertion that fails */
function readAll(disk: FakeDisk, known: ReadonlyMap<string, string[]>, what: string): boolean {
  let store: LogStore
  try {
    store = open(disk)
  } catch (error) {
    assert.equal((error as StreamError).code, 'LOG_METADATA_DAMAGED', `${what}: ${error}`)
    return true
  }
  let isTold = store.recovery.length > 0
  for (const [place, values] of known) {
    const [name, index] = place.split(' ')
    const partition = Number(index)
    const topic = store.topics.get(name)
    assert.ok(topic, `${what}: topic ${name} is gone`)
    const descriptor = {
      topic: name,
      id: topic.id,
      partitions: topic.partitions.map(({ folder, state }, i) => ({ partition: i, folder, state: state.shared })),
    }
    const reader = openPartitionReader(descriptor, partition, 0, disk)
    const { endOffset } = reader.range
    let count = 0
    while (reader.nextOffset < endOffset) {
      try {
        const run = reader.read()
        if (!run) break
        for (const { offset, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
          assert.equal(Buffer.from(value!).toString(), values[offset], `${what}: ${place} offset ${offset}`)
          count++
        }
      } catch (error) {
        const { code, params } = toStreamError(error) as StreamError & { params: { nextOffset: number } }
        if (code !== 'LOG_SEGMENT_DAMAGED') throw error
        isTold = true
        assert.ok(params.nextOffset > reader.nextOffset, `${what}: it does not say where to go on`)
        reader.seek(params.nextOffset)
      }
    }
    reader.close()
    if (count < values.length) assert.ok(isTold, `${what}: ${values.length - count} records of ${place} are missing, and nobody says so`)
  }
  store.close()
  return isTold
}

test(`${FLIPS} flipped bits in segments, indexes, snapshots and metadata: each is told or harmless, never wrong data`, () => {
  const { disk, known } = makeLog()
  const random = new Random(1)
  const files = disk.files().filter((path) => disk.contentOf(path).length > 0)
  const told = new Map<string, number>()
  for (let i = 0; i < FLIPS; i++) {
    const path = random.pick(files)
    const bit = random.int(0, disk.contentOf(path).length * 8 - 1)
    const damaged = disk.crashed({ keep: 1, random: random.next })
    damaged.flip(path, bit)
    const kind = path.slice(path.lastIndexOf('.') + 1)
    const isTold = readAll(damaged, known, `bit ${bit} of ${path}`)
    if (isTold) told.set(kind, (told.get(kind) ?? 0) + 1)
  }
  // Segments and metadata cannot be made again: what is not told there would be a leader epoch, which means nothing.
  assert.ok((told.get('log') ?? 0) > 0 && (told.get('json') ?? 0) > 0, JSON.stringify([...told]))
})
