import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../base/index.ts'
import { diskError, FakeDisk } from './fakeDisk.ts'
import type { JournalOptions } from './journal.ts'
import { Append } from './partition.ts'
import { LogStore } from './store.ts'
import { TestBackground } from './testBackground.ts'
import { makeBatch, readTexts } from './testRecords.ts'

const PARTITIONS = 3
const TOPIC_ID = '00000000-0000-4000-8000-000000000001'

const step = fc.oneof(
  // A group: for each batch its partition and how large it is.
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(fc.nat(PARTITIONS - 1), fc.constantFrom(0, 0, 10, 900, 3_000)), { minLength: 1, maxLength: 4 }),
  },
  { weight: 3, arbitrary: fc.constant('background' as const) },
  { weight: 1, arbitrary: fc.constantFrom('retention' as const, 'full' as const, 'freed' as const) },
)
interface Failure {
  first: number
  count: number
  isHalf: boolean
}
/** One process: it ends with the disk's call number `crashAfter`, or when its steps are done, in a clean way or none. */
const lives = fc.record({
  steps: fc.array(step, { maxLength: 40 }),
  pages: fc.integer({ min: 3, max: 8 }),
  groupPages: fc.nat(2),
  groupsBefore: fc.nat(2),
  syncBytes: fc.constantFrom(4_096, 8_192, 1e9),
  crashAfter: fc.oneof({ weight: 2, arbitrary: fc.nat(400) }, { weight: 1, arbitrary: fc.constant(1e9) }),
  /** What the end leaves of what was not synced. */
  keep: fc.constantFrom('kill' as const, 0, 0.5, 0.9, 1),
  isClosed: fc.boolean(),
  /** Calls that fail: the number of the first, how many on end, and whether writes among them do half of their work or nothing. */
  failing: fc.oneof(
    fc.constant<Failure[]>([]),
    fc.array(fc.record({ first: fc.nat(300), count: fc.integer({ min: 1, max: 6 }), isHalf: fc.boolean() }), { maxLength: 6 }),
  ),
  /** With which chance the background acts beside a call, and a sync of its own fails. */
  besideChance: fc.constantFrom(0, 0.1, 0.5),
  lossChance: fc.constantFrom(0, 0.5),
  seed: fc.nat(),
})
type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never

interface Sent {
  text: string
  outcome: 'acked' | 'refused' | 'unknown'
  first: number
}
class Crash extends Error {}

/** What was seen of the journal, in all. */
const seen = { blocks: 0, laps: 0, redone: 0 }

function begin(disk: FakeDisk, { pages, groupPages, groupsBefore, syncBytes }: Life): { store: LogStore; waiting: (() => void)[] } {
  const waiting: (() => void)[] = []
  const journal: JournalOptions = {
    sizeBytes: pages * 4_096,
    groupBytesMax: groupPages * 4_096,
    groupsBefore,
    syncBytes,
    background: new TestBackground(disk, (act) => waiting.push(act)),
    newId: () => 77,
  }
  return { store: LogStore.open({ disk, folder: '/data', durability: 'fsync', journal }, 0), waiting }
}

/** All that was acknowledged is there, in its place; nothing that was refused is; the rest is as it was sent. */
function check(disk: FakeDisk, store: LogStore, sent: Sent[][], ends: number[]): void {
  assert.deepEqual(
    store.recovery.filter(({ kind }) => kind === 'damaged'),
    [],
  )
  const topic = store.topics.get('t')
  if (!topic) {
    assert.ok(sent.every((all) => all.every(({ outcome }) => outcome !== 'acked')))
    return
  }
  const partitions = topic.partitions.map(({ folder, state }, partition) => ({ partition, folder, state: state.shared }))
  for (const [partition, all] of sent.entries()) {
    const { startOffset, endOffset } = topic.partitions[partition].state.read()
    assert.ok(endOffset >= ends[partition], `the end of ${partition} falls from ${ends[partition]} to ${endOffset}`)
    ends[partition] = endOffset
    const texts = new Map(readTexts({ topic: 't', id: TOPIC_ID, partitions }, partition, disk, startOffset))
    assert.equal(texts.size, endOffset - startOffset)
    const refused = new Set(all.filter(({ outcome }) => outcome === 'refused').map(({ text }) => text))
    for (const [offset, text] of texts) assert.ok(!refused.has(text), `${text} was refused, and is at ${partition} ${offset}`)
    for (const { text, outcome, first } of all)
      if (outcome === 'acked' && first >= startOffset) assert.equal(texts.get(first), text, `acknowledged at ${partition} ${first}`)
  }
}

function live(disk: FakeDisk, life: Life, sent: Sent[][], ends: number[], count: { sent: number }): FakeDisk {
  let calls = 0
  let keptCount = 0
  let journalFailures = 0
  let isBeside = false
  let takesNothing = false
  let waiting: (() => void)[] = []
  const random = seededRandom(life.seed)
  const background = () => {
    if (isBeside) return
    isBeside = true
    waiting.shift()?.()
    isBeside = false
  }
  disk.before = (call, path) => {
    if (calls++ >= life.crashAfter) throw new Crash()
    const number = calls
    if (isBeside && call === 'sync' && random() < life.lossChance) throw diskError('EIO')
    if (waiting.length > 0 && random() < life.besideChance) background()
    const failure = life.failing.find(({ first, count }) => number >= first && number < first + count)
    if (!failure || call === 'list') return
    // A disk that refuses bytes and to take them away again keeps what nobody was told is there.
    if (path === '/data/journal' && !isBeside) journalFailures++
    if (call === 'truncate' || journalFailures > 1) keptCount++
    if (call === 'write' && !failure.isHalf) takesNothing = true
    else throw diskError('EIO')
  }
  disk.portion = (_call, sizeBytes) => {
    const takenBytes = takesNothing ? 0 : sizeBytes
    takesNothing = false
    return takenBytes
  }
  try {
    const begun = begin(disk, life)
    const { store } = begun
    waiting = begun.waiting
    seen.redone += store.redoneCount
    check(disk, store, sent, ends)
    if (!store.topics.has('t'))
      store.createTopic('t', TOPIC_ID, { partitionCount: PARTITIONS, 'segment.bytes': 6_000, 'retention.bytes': 12_000 }, 0)
    const { partitions } = store.topic('t')
    for (const what of life.steps) {
      if (what === 'background') background()
      else if (what === 'retention') store.enforceRetention(0)
      else if (what === 'full')
        disk.capacityBytes = disk.files().reduce((sum, path) => sum + disk.contentOf(path).length, 0) + Math.floor(random() * 2_000)
      else if (what === 'freed') disk.capacityBytes = Number.POSITIVE_INFINITY
      else {
        const group = what.map(([partition, padBytes]) => {
          const one: Sent = { text: `${count.sent++} `.padEnd(padBytes, 'x'), outcome: 'unknown', first: -1 }
          sent[partition].push(one)
          return { one, routed: { partition: partitions[partition], append: new Append(makeBatch([one.text])) } }
        })
        const keptBefore = keptCount
        journalFailures = 0
        store.commit(
          group.map(({ routed }) => routed),
          0,
        )
        // Nobody was answered.
        if (calls > life.crashAfter) throw new Crash()
        for (const { one, routed } of group) {
          if (!routed.append.error) one.outcome = 'acked'
          else if (keptCount === keptBefore) one.outcome = 'refused'
          one.first = routed.append.first
          if (one.outcome === 'acked') assert.ok(routed.partition.endOffset > one.first)
        }
      }
      if (calls > life.crashAfter) throw new Crash()
    }
    if (life.isClosed) {
      store.close()
      if (calls <= life.crashAfter && life.failing.length === 0)
        assert.deepEqual([disk.openFiles, disk.files().includes('/data/journal')], [[], false])
    }
    seen.blocks += store.journal!.blockCount
    seen.laps += store.journal!.lapCount
  } catch (error) {
    // The disk refuses: then the next start is tried. What is wrong is an assertion.
    if (error instanceof assert.AssertionError) throw error
  }
  disk.before = () => {}
  disk.portion = (_call, sizeBytes) => sizeBytes
  const next = life.keep === 'kill' ? undefined : disk.crashed({ keep: life.keep, random })
  return next ?? disk.afterKill()
}

test('what is acknowledged survives any crash, with groups that are durable in the journal alone, and what is refused stays away', () => {
  fc.assert(
    fc.property(fc.array(lives, { minLength: 1, maxLength: 5 }), (all) => {
      let disk = new FakeDisk()
      disk.makeFolder('/data')
      disk.syncFolder('/')
      const sent: Sent[][] = Array.from({ length: PARTITIONS }, () => [])
      const ends = sent.map(() => 0)
      const count = { sent: 0 }
      for (const one of all) disk = live(disk, one, sent, ends, count)
      const { store } = begin(disk, all[0])
      check(disk, store, sent, ends)
      store.close()
      assert.deepEqual([disk.openFiles, disk.files().includes('/data/journal')], [[], false])
    }),
    { numRuns: Number(process.env.RUNS ?? 400) },
  )
  assert.ok(seen.blocks > 100 && seen.laps > 3 && seen.redone > 20, JSON.stringify(seen))
})
