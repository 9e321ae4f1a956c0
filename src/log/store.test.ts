import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/index.ts'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { HostedLog } from './hostedLog.ts'
import { Append } from './partition.ts'
import { LogStore, type StoredTopic } from './store.ts'
import { makeBatch, readTexts } from './testRecords.ts'
import type { Writer } from './writer.ts'

const idOf = (i: number) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`
const newDisk = () => {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  disk.syncFolder('/')
  return disk
}
const openStore = (disk: FakeDisk) => LogStore.open({ disk, folder: '/data', durability: 'fsync' }, 0)
const textsOf = (disk: FakeDisk, topic: StoredTopic, partition: number, from = topic.partitions[partition].state.read().startOffset) => {
  const partitions = topic.partitions.map(({ folder, state }, i) => ({ partition: i, folder, state: state.shared }))
  return readTexts({ topic: topic.name, id: topic.id, partitions }, partition, disk, from)
}

/** What the workload did: what it was told is there, and what may be there. */
interface History {
  acked: { topic: string; partition: number; first: number; values: string[] }[]
  tried: Map<string, string[][]>
  created: Set<string>
  deleteTried: Set<string>
  deletedIds: Set<string>
  store: LogStore | undefined
}

/** Creates, appends over segments, deletes, grows: with an error at any call, each step is refused or done. */
function runWorkload(disk: FakeDisk): History {
  const history: History = {
    acked: [],
    tried: new Map(),
    created: new Set(),
    deleteTried: new Set(),
    deletedIds: new Set(),
    store: undefined,
  }
  const attempt = (step: () => void) => {
    try {
      step()
    } catch (error) {
      assert.ok(typeof (error as { code?: unknown }).code === 'string', String(error))
    }
  }
  attempt(() => {
    history.store = openStore(disk)
  })
  const { store } = history
  if (!store) return history
  const create = (name: string, i: number) =>
    attempt(() => {
      store.createTopic(name, idOf(i), { partitionCount: 2, 'segment.bytes': 1024, 'retention.bytes': 1500 }, 0)
      history.created.add(name)
    })
  let next = 0
  const commit = (...targets: [topic: string, partition: number][]) => {
    const routed = targets.flatMap(([name, partition]) => {
      const target = store.topics.get(name)?.partitions[partition]
      if (!target) return []
      const values = [`${next++}`.padEnd(60), `${next++}`.padEnd(60 + (next % 7) * 40)]
      const key = `${name} ${partition}`
      history.tried.set(key, [...(history.tried.get(key) ?? []), values])
      return [{ partition: target, append: new Append(makeBatch(values)), name, index: partition, values }]
    })
    store.commit(routed, 0)
    for (const { append, name, index, values } of routed) {
      if (!append.error) history.acked.push({ topic: name, partition: index, first: append.first, values })
    }
  }
  create('a', 1)
  for (let i = 0; i < 5; i++) commit(['a', 0], ['a', 1], ['a', 0])
  create('b', 2)
  for (let i = 0; i < 3; i++) commit(['a', 0], ['b', 1])
  attempt(() => store.enforceRetention(0))
  commit(['a', 0], ['a', 1], ['b', 0])
  attempt(() => void store.alterTopic('a', { partitionCount: 3 }, 0))
  commit(['a', 2], ['a', 0])
  history.deleteTried.add('b')
  attempt(() => {
    store.deleteTopic('b')
    history.deletedIds.add(idOf(2))
  })
  commit(['a', 2], ['a', 1])
  create('b', 3)
  return history
}

function checkAfterCrash(disk: FakeDisk, history: History, what: string): void {
  const store = openStore(disk)
  assert.deepEqual(
    store.recovery.filter((report) => report.kind === 'damaged'),
    [],
    what,
  )
  for (const name of history.created) {
    if (!history.deleteTried.has(name)) assert.ok(store.topics.has(name), `${what}: topic ${name} is gone`)
  }
  for (const topic of store.topics.values()) {
    assert.ok(!history.deletedIds.has(topic.id), `${what}: a deleted topic is back`)
    topic.partitions.forEach((partition, i) => {
      const { startOffset, endOffset } = partition.state.read()
      const read = textsOf(disk, topic, i)
      assert.deepEqual([read.length, read[0]?.[0] ?? startOffset], [endOffset - startOffset, startOffset], what)
      // Everything is a batch that was tried, whole, in the order in which it was tried.
      const tried = (history.tried.get(`${topic.name} ${i}`) ?? []).map((values) => values.join())
      let at = -1
      for (let k = 0; k < read.length; k += 2) {
        const pair = `${read[k][1]},${read[k + 1]?.[1]}`
        const found = tried.indexOf(pair, at + 1)
        assert.ok(found > at, `${what}: ${pair} in ${topic.name} ${i}`)
        at = found
      }
      if (history.deleteTried.has(topic.name)) return
      const mayStart = history.store?.topics.get(topic.name)?.partitions[i]?.state.read().startOffset ?? 0
      assert.ok(startOffset <= mayStart, `${what}: retention took ${startOffset}, asked for ${mayStart}`)
      for (const { topic: name, partition: index, first, values } of history.acked) {
        if (name !== topic.name || index !== i || first < startOffset) continue
        const there = [read[first - startOffset]?.[1], read[first - startOffset + 1]?.[1]]
        assert.deepEqual(there, values, `${what}: acknowledged at ${topic.name} ${i} ${first}`)
      }
    })
  }
  // It goes on, and what it acknowledges now survives the worst crash.
  if (!store.topics.has('c')) store.createTopic('c', idOf(9), {}, 0)
  const topic = store.topic('c')
  const append = new Append(makeBatch(['more']))
  store.commit([{ partition: topic.partitions[0], append }], 0)
  assert.equal(append.error, undefined, what)
  const again = disk.crashed({ keep: 0, random: () => 0.5 })
  assert.deepEqual(textsOf(again, openStore(again).topic('c'), 0), [[append.first, 'more']], what)
}

test('a power cut at every call of a workload: what was acknowledged is there, nothing is corrupt', (t) => {
  const counting = newDisk()
  let callCount = 0
  counting.before = () => void callCount++
  const whole = runWorkload(counting)
  assert.ok(callCount > 200 && whole.acked.length === 28, `${callCount} calls, ${whole.acked.length} acknowledged`)
  let states = 0
  for (let cutAt = 0; cutAt <= callCount; cutAt++) {
    const disk = newDisk()
    let call = 0
    disk.before = () => {
      if (call++ >= cutAt) throw diskError('EIO')
    }
    const history = runWorkload(disk)
    disk.before = () => {}
    for (const keep of [0, 1, 0.9, 0.8, 0.7, 0.5, 0.5, 0.3, 0.1]) {
      checkAfterCrash(disk.crashed({ keep, random: seededRandom(cutAt) }), history, `cut at call ${cutAt}, keep ${keep}`)
      states++
    }
  }
  assert.ok(states >= 2_000)
  t.diagnostic(`${states} crash states`)
})

test('one failing call anywhere: it is refused or done, the rest goes on, and a power cut at the end loses nothing', () => {
  const counting = newDisk()
  let callCount = 0
  counting.before = () => void callCount++
  runWorkload(counting)
  for (const code of ['ENOSPC', 'EIO']) {
    for (let failAt = 0; failAt < callCount; failAt++) {
      const disk = newDisk()
      let call = 0
      disk.before = () => {
        if (call++ === failAt) throw diskError(code)
      }
      const history = runWorkload(disk)
      disk.before = () => {}
      checkAfterCrash(disk.crashed({ keep: 0, random: seededRandom(failAt) }), history, `${code} at call ${failAt}`)
      // One failing call refuses at most the group that it hit (and, at the start, what needs the store or the topic).
      if (failAt > 60) assert.ok(history.acked.length >= 28 - 8, `${code} at call ${failAt}: ${history.acked.length}`)
    }
  }
})

test('topics: names, settings, and what is damaged or half made', () => {
  const disk = newDisk()
  const store = openStore(disk)
  for (const name of ['', '.', '..', 'a/b', 'a b', 'ä', 'x'.repeat(250)]) {
    assert.throws(() => store.createTopic(name, idOf(1), {}, 0), { code: 'LOG_TOPIC_NAME_INVALID' })
  }
  const badConfigs = [{ partitionCount: 0 }, { 'segment.bytes': 1.5 }, { 'retention.ms': -2 }, { 'cleanup.policy': 'x' }, { nonsense: 1 }]
  for (const config of badConfigs)
    assert.throws(() => store.createTopic('a', idOf(1), config as never, 0), { code: 'LOG_TOPIC_CONFIG_INVALID' })
  store.createTopic('a.b_c-D9', idOf(1), { partitionCount: 2 }, 0)
  assert.throws(() => store.createTopic('a.b_c-D9', idOf(2), {}, 0), { code: 'LOG_TOPIC_EXISTS' })
  assert.throws(() => store.alterTopic('a.b_c-D9', { partitionCount: 1 }, 0), { code: 'LOG_TOPIC_CONFIG_INVALID' })
  assert.throws(() => store.deleteTopic('nothing'), { code: 'LOG_TOPIC_NOT_FOUND' })
  const older = disk.contentOf(`/data/topics/${idOf(1)}/topic.copy.json`)
  store.alterTopic('a.b_c-D9', { 'retention.ms': 5 }, 0)
  store.commit([{ partition: store.topic('a.b_c-D9').partitions[1], append: new Append(makeBatch(['x'])) }], 0)
  store.close()
  assert.equal(openStore(disk).topic('a.b_c-D9').config['retention.ms'], 5)

  const paths = ['topic.json', 'topic.copy.json'].map((name) => `/data/topics/${idOf(1)}/${name}`)
  const good = disk.contentOf(paths[0])
  // A crash came between the two.
  disk.overwrite(paths[1], older)
  const same = openStore(disk)
  assert.deepEqual(same.recovery, [])
  same.close()
  assert.deepEqual(disk.contentOf(paths[1]), good)
  const damaged = (at: number) => good.map((byte, i) => (i === at ? byte ^ 4 : byte))
  for (let at = 0; at < good.length; at++) {
    for (const path of paths) {
      disk.overwrite(path, damaged(at))
      const mended = openStore(disk)
      assert.deepEqual(
        mended.recovery.map(({ kind, topic }) => [kind, topic]),
        [['mended', 'a.b_c-D9']],
      )
      mended.close()
      assert.deepEqual(disk.contentOf(path), good)
    }
    for (const path of paths) disk.overwrite(path, damaged(at))
    assert.throws(() => openStore(disk), { code: 'LOG_METADATA_DAMAGED' })
    for (const path of paths) disk.overwrite(path, good)
  }
  disk.unlink(paths[0])
  openStore(disk).close()
  assert.deepEqual(disk.contentOf(paths[0]), good)
  for (const path of paths) disk.unlink(path)
  assert.throws(() => openStore(disk), { code: 'LOG_METADATA_DAMAGED' }, 'a folder with records is not thrown away')
})

test('a topic whose name was never synced counts only once it is: a power cut after it was used loses nothing', () => {
  const disk = newDisk()
  const store = openStore(disk)
  let isNamed = false
  disk.before = (call) => {
    isNamed ||= call === 'rename'
    if (isNamed) throw diskError('EIO')
  }
  disk.rename = ((rename) => (from: string, to: string) => {
    const { before } = disk
    disk.before = () => {}
    rename(from, to)
    disk.before = before
    isNamed = true
  })(disk.rename.bind(disk))
  assert.throws(() => store.createTopic('a', idOf(1), {}, 0), { code: 'LOG_WRITE_FAILED' })
  const killed = disk.afterKill()
  const next = openStore(killed)
  const append = new Append(makeBatch(['x']))
  next.commit([{ partition: next.topic('a').partitions[0], append }], 0)
  const cut = killed.crashed({ keep: 0, random: () => 0.5 })
  assert.deepEqual(textsOf(cut, openStore(cut).topic('a'), 0), [[0, 'x']])
})

test('what a killed process left unsynced counts only once it is synced: a power cut afterwards loses nothing that was seen', () => {
  const disk = newDisk()
  const store = openStore(disk)
  store.createTopic('a', idOf(1), {}, 0)
  const append = new Append(makeBatch(['x']))
  disk.before = (call, path) => {
    if (call !== 'open' && path.endsWith('.log') && call !== 'write') throw diskError('EIO')
  }
  store.commit([{ partition: store.topic('a').partitions[0], append }], 0)
  assert.equal(append.error?.code, 'LOG_SYNC_FAILED')
  const killed = disk.afterKill()
  const seen = textsOf(killed, openStore(killed).topic('a'), 0)
  const cut = killed.crashed({ keep: 0, random: () => 0.5 })
  assert.deepEqual(textsOf(cut, openStore(cut).topic('a'), 0), seen)
})

test('a creation that fails after its name is written leaves either a topic or nothing, and the name can be used again', () => {
  for (const failing of ['open', 'list', 'unlink', 'syncFolder', 'removeFolder'] as const) {
    const disk = newDisk()
    const store = openStore(disk)
    // The copy of its metadata cannot be made, and what is there not be removed.
    const failures = ['open', failing]
    let isNamed = false
    disk.before = (call) => {
      isNamed ||= call === 'rename'
      if (!isNamed || call !== failures[0]) return
      failures.shift()
      throw diskError('EIO')
    }
    assert.throws(() => store.createTopic('a', idOf(1), { partitionCount: 2 }, 0), { code: 'LOG_WRITE_FAILED' })
    disk.before = () => {}
    for (const keep of [0, 1]) openStore(disk.crashed({ keep, random: () => 0.5 }))
    store.createTopic('a', idOf(2), {}, 0)
    assert.deepEqual(
      [...openStore(disk.afterKill()).topics.values()].map(({ id }) => id),
      [idOf(2)],
    )
  }
})

test('a change of a topic that is cut off after any of its steps leaves what was there, and can be made again', () => {
  for (let stepCount = 0; stepCount <= 3; stepCount++) {
    for (const keep of [0, 1]) {
      const disk = newDisk()
      const store = openStore(disk)
      store.createTopic('a', idOf(1), {}, 0)
      store.createTopic('old', idOf(2), { partitionCount: 3 }, 0)
      const changes = [
        store.creation('b', idOf(3), { partitionCount: 3 }, 0),
        store.alteration('a', { partitionCount: 4 }, 0),
        store.deletion('old'),
      ]
      for (const change of changes) for (let done = 0; done < stepCount; done++) assert.equal(change.next().done, false)
      const append = new Append(makeBatch(['x']))
      store.commit([{ partition: store.topic('a').partitions[0], append }], 0)
      const next = openStore(disk.crashed({ keep, random: () => 0.5 }))
      assert.deepEqual(next.recovery, [])
      const counts = [...next.topics.values()].map(({ name, partitions }) => [name, partitions.length])
      assert.deepEqual(
        counts.sort(),
        stepCount === 0
          ? [
              ['a', 1],
              ['old', 3],
            ]
          : [['a', 1]],
      )
      assert.equal(next.topic('a').partitions[0].endOffset, 1)
      next.createTopic('b', idOf(4), { partitionCount: 2 }, 0)
      assert.equal(next.alterTopic('a', { partitionCount: 2 }, 0).partitions.length, 2)
    }
  }
})

test('too many open files: refused, and nothing stays open', () => {
  const disk = newDisk()
  const store = openStore(disk)
  store.createTopic('a', idOf(1), { partitionCount: 2 }, 0)
  const openBefore = disk.openFileCount
  for (let spare = 0; spare < 4; spare++) {
    disk.openFilesMax = openBefore + spare
    try {
      store.createTopic('b', idOf(2), {}, 0)
      store.deleteTopic('b')
    } catch (error) {
      assert.equal((error as { code: string }).code, 'LOG_WRITE_FAILED')
    }
    assert.equal(disk.openFileCount, openBefore)
  }
  disk.openFilesMax = Number.POSITIVE_INFINITY
  store.close()
  assert.equal(disk.openFileCount, 0)
})

test('records of many partitions are deleted with one write; what is wrong with some of them hurts no other', async () => {
  const disk = newDisk()
  const store = openStore(disk)
  const { partitions } = store.createTopic('t', idOf(1), { partitionCount: 3 }, 0)
  store.commit(
    partitions.map((partition) => ({ partition, append: new Append(makeBatch(['a', 'b'])) })),
    0,
  )
  const writes: string[] = []
  disk.before = (call, path) => {
    if (call === 'rename') writes.push(path)
  }
  const change: Writer['change'] = async (work) => {
    await new Promise(setImmediate)
    const { value } = work(store).next()
    return value as never
  }
  const log = new HostedLog({ folder: '/data', store, change } as Writer)
  const wanted: [partition: number, beforeOffset: number][] = [
    [0, 2],
    [1, 3],
    [2, 1],
    [3, 1],
    [2, 2],
    [1, 0],
  ]
  const answers = await Promise.all(
    wanted.map(([partition, beforeOffset]) => log.deleteRecords('t', partition, beforeOffset).catch(({ code }) => code)),
  )
  assert.deepEqual(answers, [2, 'LOG_OFFSET_OUT_OF_RANGE', 1, 'LOG_PARTITION_NOT_FOUND', 2, 0])
  const one = writes.length
  assert.equal(await log.deleteRecords('t', 1, 1), 1)
  assert.equal(writes.length, 2 * one)
  const starts = () => store.topic('t').partitions.map(({ range }) => range.startOffset)
  assert.deepEqual(starts(), [2, 1, 2])
  disk.before = (call) => {
    if (call === 'rename') throw diskError('EIO')
  }
  await assert.rejects(log.deleteRecords('t', 1, 2), { code: 'LOG_WRITE_FAILED' })
  assert.deepEqual(starts(), [2, 1, 2])
  disk.before = () => {}
  store.close()
  const { partitions: found } = openStore(disk).topic('t')
  assert.deepEqual(
    found.map(({ range }) => range.startOffset),
    [2, 1, 2],
  )
})
