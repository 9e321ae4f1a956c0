import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '../base/index.ts'
import { type Disk, realDisk } from './disk.ts'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { decodeBlock, encodeBlock } from './journalBlock.ts'
import { openLog } from './log.ts'
import { Append } from './partition.ts'
import { LogStore } from './store.ts'
import { TestBackground } from './testBackground.ts'
import { makeBatch, readTexts } from './testRecords.ts'

const TOPIC_ID = '00000000-0000-4000-8000-000000000001'
const folderOf = () => mkdtempSync(join(tmpdir(), 'millrace-journal-'))
const fakeDisk = () => {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  disk.syncFolder('/')
  return disk
}

interface Background {
  /** Lets what the background does happen. */
  plan?: (act: () => void) => void
  syncBytes?: number
}

/** A store whose journal is there after the first group, and whose files the background never syncs unless `syncBytes` says so. */
function openJournaled(disk: Disk, folder: string, { plan = (act) => act(), syncBytes = 1e9 }: Background = {}) {
  const store = LogStore.open(
    {
      disk,
      folder,
      durability: 'fsync',
      journal: {
        sizeBytes: 1 << 16,
        groupBytesMax: 1 << 14,
        groupsBefore: 0,
        syncBytes,
        background: new TestBackground(disk, plan),
        newId: () => 5,
      },
    },
    0,
  )
  const topic = store.topics.get('t') ?? store.createTopic('t', TOPIC_ID, { partitionCount: 2 }, 0)
  const commit = (...texts: [string, string]) => {
    const appends = texts.map((text, i) => ({ partition: topic.partitions[i], append: new Append(makeBatch([text])) }))
    store.commit(appends, 0)
    return appends.map(({ append }) => append.error?.code)
  }
  return { store, commit, topic }
}

const textsOf = (disk: Disk, { topics }: LogStore, partition: number) => {
  const { partitions, id } = topics.get('t')!
  const described = partitions.map(({ folder, state }, i) => ({ partition: i, folder, state: state.shared }))
  return readTexts({ topic: 't', id, partitions: described }, partition, disk).map(([, text]) => text)
}

test('a bit of the journal flips, and the files have nothing: what was acknowledged is there, or it is told', () => {
  const disk = fakeDisk()
  const { commit, store } = openJournaled(disk, '/data')
  for (let i = 0; i < 12; i++) commit(`a${i}`, `b${i}`)
  assert.equal(store.journal?.blockCount, 11)
  const random = seededRandom(3)
  const whole = openJournaled(disk.crashed({ keep: 0, random }), '/data').store
  assert.deepEqual(whole.recovery, [])
  let toldCount = 0
  const blockBits = 11 * 4096 * 8
  for (let i = 0; i < 250; i++) {
    const damaged = disk.crashed({ keep: 0, random })
    // The header and what is behind it, of one block.
    const bit = Math.floor((Math.floor(random() * 11) * 4096 + random() * 420) * 8) + Math.floor(random() * 8)
    assert.ok(bit < blockBits)
    damaged.flip('/data/journal', bit)
    const { store } = openJournaled(damaged, '/data')
    const isTold = store.recovery.length > 0
    if (isTold) toldCount++
    for (const [partition, letter] of ['a', 'b'].entries()) {
      const texts = textsOf(damaged, store, partition)
      for (const [at, text] of texts.entries()) assert.equal(text, `${letter}${at}`, `bit ${bit}`)
      if (!isTold) assert.equal(texts.length, 12, `bit ${bit} takes records, and nobody says so`)
    }
    store.close()
  }
  assert.ok(toldCount > 120)
})

test('a block of large and small batches is read as it was written', () => {
  const batches = [makeBatch(['small']), makeBatch(['large'.repeat(2_000)]), makeBatch(['x', 'y'.repeat(5_000)])]
  const path = `topics/${TOPIC_ID}/0/${'0'.repeat(20)}.log`
  const entries = [batches.slice(0, 1), batches.slice(1)].map((buffers, i) => {
    return { path, position: i * 100, buffers, sizeBytes: buffers.reduce((sum, { length }) => sum + length, 0) }
  })
  const target = new Uint8Array(1 << 16).fill(7)
  const block = decodeBlock(encodeBlock(target, { id: 5, sequence: 8, neededSequence: 6 }, entries), 0)
  const expected = entries.map(({ buffers, position }) => ({ path, position, bytes: new Uint8Array(Buffer.concat(buffers)) }))
  assert.deepEqual(
    block?.entries.map((entry) => ({ ...entry, bytes: new Uint8Array(entry.bytes) })),
    expected,
  )
  assert.deepEqual([block.id, block.sequence, block.neededSequence], [5, 8, 6])
})

test('a pin syncs what is durable in the journal alone', () => {
  const folder = folderOf()
  const synced: string[] = []
  const names = new Map<number, string>()
  const disk: Disk = {
    ...realDisk,
    open: (path, mode) => {
      const file = realDisk.open(path, mode)
      names.set(file, path)
      return file
    },
    sync: (file) => {
      synced.push(names.get(file)!)
      realDisk.sync(file)
    },
  }
  const { store, commit } = openJournaled(disk, folder)
  for (let i = 0; i < 5; i++) assert.deepEqual(commit(`a${i}`, `b${i}`), [undefined, undefined])
  assert.equal(store.journal?.dirtyPaths.length, 2)
  synced.length = 0
  mkdirSync(join(folder, 'pin'))
  const { files } = store.pin(join(folder, 'pin'))
  assert.ok(!files.some(({ path }) => path.includes('journal')))
  for (const partition of [0, 1]) assert.ok(synced.some((path) => path.includes(`/${partition}/`)))
  assert.deepEqual(store.journal?.dirtyPaths, [])
  store.close()
  assert.ok(!existsSync(join(folder, 'journal')))
  rmSync(folder, { recursive: true })
})

test('a block that could not be written for certain: the files are synced, and the journal is made anew', () => {
  const disk = fakeDisk()
  const { store, commit } = openJournaled(disk, '/data')
  for (let i = 0; i < 3; i++) commit(`a${i}`, `b${i}`)
  assert.equal(store.journal?.blockCount, 2)
  disk.before = (call, path) => {
    if (call === 'sync' && path.endsWith('journal')) throw diskError('EIO')
  }
  assert.deepEqual(commit('a3', 'b3'), [undefined, undefined])
  disk.before = () => {}
  assert.equal(store.journal?.blockCount, 2)
  // Removed with the next group, made with the one after it.
  for (let i = 4; i < 8; i++) commit(`a${i}`, `b${i}`)
  assert.ok(store.journal!.blockCount > 2)
  const crashed = disk.crashed({ keep: 0, random: () => 0.5 })
  assert.equal(textsOf(crashed, openJournaled(crashed, '/data').store, 1).length, 8)
})

/** With a block in the journal, and a sync of its files that the background has not begun. */
function openWithTask() {
  const disk = fakeDisk()
  const waiting: (() => void)[] = []
  const act = () => waiting.shift()?.()
  const { commit, store } = openJournaled(disk, '/data', { plan: (task) => waiting.push(task), syncBytes: 4_096 })
  commit('0', '0')
  act()
  commit('1', '1')
  assert.deepEqual([store.journal?.blockCount, waiting.length], [1, 1])
  return { disk, act, commit, store }
}

/** The background's sync of the file of partition 0 fails. */
function actInVain(disk: FakeDisk, act: () => void): void {
  disk.before = (call, path) => {
    if (call === 'sync' && path.includes('/0/')) throw diskError('EIO')
  }
  act()
  disk.before = () => {}
}

for (const padBytes of [0, 20_000])
  test(`the background loses what a group of ${padBytes ? 'large' : 'small'} batches has just written: it is written again`, () => {
    const { disk, act, commit } = openWithTask()
    disk.before = (call, path) => {
      if (call !== 'write' || !path.includes('/1/')) return
      // The group has written to the file of partition 0 by now.
      actInVain(disk, act)
    }
    const texts = ['0', '1', '2'.padEnd(padBytes, 'x'), '3', '4']
    for (const text of texts.slice(2)) {
      assert.deepEqual(commit(text, text), [undefined, undefined])
      act()
    }
    const crashed = disk.crashed({ keep: 0, random: seededRandom(1) })
    const { store: next } = openJournaled(crashed, '/data')
    for (const partition of [0, 1]) assert.deepEqual(textsOf(crashed, next, partition), texts)
  })

test('a sync in the background fails and is not told yet when the file is synced here: what it lost is written again', () => {
  const { disk, act, commit, store } = openWithTask()
  disk.before = (call, path) => {
    if (call !== 'open' || !path.includes('/0/')) return
    actInVain(disk, act)
  }
  store.journal?.syncFiles()
  for (const text of ['2', '3']) {
    commit(text, text)
    act()
  }
  const crashed = disk.crashed({ keep: 0, random: seededRandom(1) })
  assert.deepEqual(textsOf(crashed, openJournaled(crashed, '/data').store, 0), ['0', '1', '2', '3'])
})

for (const isKept of [false, true])
  test(`a block of a refused batch may be there: its partition goes on once the journal is gone${isKept ? ', not before' : ''}`, () => {
    const disk = fakeDisk()
    const { commit } = openJournaled(disk, '/data')
    for (let i = 0; i < 3; i++) commit(`a${i}`, `b${i}`)
    disk.before = (call, path) => {
      if (call !== 'sync' || !(path === '/data/journal' || path.includes('/0/'))) return
      // Nor can zeros be written over the block.
      disk.portion = (call, sizeBytes, path) => (call === 'write' && path === '/data/journal' ? 0 : sizeBytes)
      throw diskError('EIO')
    }
    assert.deepEqual(commit('refused', 'b3'), ['LOG_SYNC_FAILED', undefined])
    disk.before = (call) => {
      if (call === 'unlink' && isKept) throw diskError('EIO')
    }
    // Too much for the journal: in the segment's file alone.
    const large = 'large'.repeat(4_000)
    const [code] = commit(large, 'b4')
    const killed = disk.afterKill()
    const texts = textsOf(killed, openJournaled(killed, '/data').store, 0)
    if (isKept) assert.equal(code, 'LOG_PARTITION_FAILED')
    else assert.deepEqual([code, texts], [undefined, ['a0', 'a1', 'a2', large]])
  })

test('the real disk: a process is killed, its files lose what was not synced, and the start has it from the journal', async () => {
  const folder = folderOf()
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.resolve('./testWriterProcess.ts')), folder, '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const journal = join(folder, 'journal')
  let output = ''
  let limit: { path: string; sizeBytes: number } | undefined
  const segment = () => {
    const topics = join(folder, 'topics')
    const partition = join(topics, readdirSync(topics).find((name) => name.length === 36)!, '0')
    return join(
      partition,
      readdirSync(partition)
        .filter((name) => name.endsWith('.log'))
        .sort()
        .at(-1)!,
    )
  }
  const firstByteOf = (path: string): number => {
    const bytes = new Uint8Array(1)
    const file = realDisk.open(path, 'read')
    realDisk.read(file, bytes, 0, 1, 0)
    realDisk.close(file)
    return bytes[0]
  }
  let isUsed = false
  child.stdout.on('data', (data: Buffer) => (output += data))
  const look = setInterval(() => {
    // Blocks take the place of zeros.
    isUsed ||= existsSync(journal) && firstByteOf(journal) !== 0
    if (!isUsed) return
    const path = segment()
    // A new one: all of it went through the journal. What it has by now may be gone after a power cut.
    if (limit === undefined) limit = { path, sizeBytes: statSync(path).size }
    else if (path !== limit.path) limit = { path, sizeBytes: 0 }
    if (statSync(path).size - limit.sizeBytes > 10_000) child.kill('SIGKILL')
  }, 10)
  await once(child, 'close')
  clearInterval(look)
  assert.ok(limit && statSync(limit.path).size > limit.sizeBytes)
  truncateSync(limit.path, limit.sizeBytes)
  const log = await openLog({ folder })
  assert.ok(!existsSync(journal))
  const texts = new Map(readTexts(log.descriptor('load'), 0))
  for (const line of output.split('\n').slice(0, -1)) {
    const [batch, first, count] = line.split(' ').map(Number)
    for (let i = 0; i < count; i++) assert.ok(texts.get(first + i)?.startsWith(`${batch}/${i} `), `batch ${batch}, record ${i}`)
  }
  await log.close()
  rmSync(folder, { recursive: true })
})
