import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diskError, FakeDisk } from './fakeDisk.ts'
import { LogStore } from './store.ts'
import { defaultTopicConfig, withDefaults, writeTopicMeta } from './topicMeta.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const FOLDER = `/data/topics/${ID}`
const open = (disk: FakeDisk) => LogStore.open({ disk, folder: '/data', durability: 'fsync' }, 0)
function withTopic(): { disk: FakeDisk; store: LogStore } {
  const disk = new FakeDisk()
  disk.makeFolder('/data')
  disk.syncFolder('/')
  const store = open(disk)
  store.createTopic('t', ID, { 'segment.ms': 5 }, 0)
  return { disk, store }
}
const retentionMs = (store: LogStore) => {
  const { config, partitions } = store.topic('t')
  assert.equal(partitions[0].config['retention.ms'], config['retention.ms'])
  return config['retention.ms']
}

test('a data folder of an earlier version: what differs from the defaults of then, or a client has set, is the topic’s own', () => {
  const { disk } = withTopic()
  const { own: _, ...config } = withDefaults('t', defaultTopicConfig, {})
  const before = { ...config, 'retention.ms': 42, clientSettings: { 'segment.bytes': String(config['segment.bytes']), 'flush.ms': '1' } }
  writeTopicMeta(disk, FOLDER, { name: 't', id: ID, config: before })
  const store = open(disk)
  const { own, ...known } = store.topic('t').config
  assert.deepEqual(known, before)
  assert.deepEqual([...own!].sort(), ['retention.ms', 'segment.bytes'])
  store.alterDefaults({ 'retention.ms': 7, 'segment.bytes': 4096, 'max.message.bytes': 1000 })
  const now = { ...before, 'max.message.bytes': 1000, own }
  assert.deepEqual(store.topic('t').config, now)
  // The next start reads it as it is written now.
  store.alterTopic('t', { 'delete.retention.ms': 9 }, 0)
  assert.deepEqual(open(disk).topic('t').config, { ...now, 'delete.retention.ms': 9, own: [...own!, 'delete.retention.ms'] })
})

test('the defaults are those of before or the new ones, whenever the power fails', () => {
  /** Changes them, and fails at a call. Returns whether it was told to be done, and how many calls there were. */
  const alter = (disk: FakeDisk, store: LogStore, failAt: number) => {
    let callCount = 0
    disk.before = () => {
      if (callCount++ >= failAt) throw diskError('EIO')
    }
    try {
      store.alterDefaults({ 'retention.ms': 2_000 })
      return { isDone: true, callCount }
    } catch {
      return { isDone: false, callCount }
    } finally {
      disk.before = () => {}
    }
  }
  const prepared = () => {
    const { disk, store } = withTopic()
    store.alterDefaults({ 'retention.ms': 1_000 })
    return [disk, store] as const
  }
  const { callCount } = alter(...prepared(), Number.POSITIVE_INFINITY)
  assert.ok(callCount > 4)
  const seen = new Set<string>()
  for (let failAt = 0; failAt <= callCount; failAt++) {
    for (const keep of [0, 1]) {
      const [disk, store] = prepared()
      const { isDone } = alter(disk, store, failAt)
      const found = retentionMs(open(disk.crashed({ keep, random: () => 0.5 })))
      seen.add(`${isDone} ${found}`)
    }
  }
  assert.deepEqual([...seen].sort(), ['false 1000', 'false 2000', 'true 2000'])
})

test('defaults that are damaged are made again from their copy; both damaged stop the start', () => {
  const paths = ['defaults.json', 'defaults.copy.json'].map((file) => `/data/topics/${file}`)
  for (const path of paths) {
    const { disk, store } = withTopic()
    store.alterDefaults({ 'retention.ms': 1_000 })
    const good = disk.contentOf(path)
    disk.flip(path, 40)
    const mended = open(disk)
    assert.equal(retentionMs(mended), 1_000)
    assert.deepEqual(
      mended.recovery.map(({ kind }) => kind),
      ['mended'],
    )
    assert.deepEqual(disk.contentOf(path), good)
  }
  const { disk, store } = withTopic()
  store.alterDefaults({ 'retention.ms': 1_000 })
  for (const path of paths) disk.flip(path, 40)
  assert.throws(() => open(disk), { code: 'LOG_METADATA_DAMAGED' })
})

test('wrong defaults change nothing', () => {
  const { store } = withTopic()
  assert.throws(() => store.alterDefaults({ 'retention.ms': 0.5 }), { code: 'LOG_TOPIC_CONFIG_INVALID' })
  assert.equal(retentionMs(store), defaultTopicConfig['retention.ms'])
  assert.equal(store.topic('t').config['segment.ms'], 5)
})
