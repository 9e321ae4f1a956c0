// Checkpoints on a disk that crashes at any call, tears, refuses and forgets: what is read back is a checkpoint that was written, whole.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isStreamError } from '../../base/index.ts'
import { diskError, FakeDisk } from '../../log/fakeDisk.ts'
import type { Manifest, QueryState } from './manifest.ts'
import { partKey } from './manifest.ts'
import { verifyCheckpoint } from './restore.ts'
import { splitState } from './stateParts.ts'
import { StateTracker } from './stateTracker.ts'
import { CheckpointStore } from './store.ts'

const JOB = 'orders'
const RETAINED = 2

/** State that grows and changes in places, different in each checkpoint. */
const stateOf = (version: number) => ({
  grows: Float64Array.from({ length: 2_000 * version }, (_, i) => i),
  changes: Int32Array.from({ length: 40_000 }, (_, i) => (i < 20_000 ? i : i + version)),
  version,
})

const queryOf = (id: number, parts: { name: string; type: 'value' }[]): QueryState => ({
  id: 'q',
  takenAt: id,
  signature: 's',
  inputs: [],
  operators: [
    {
      signature: 'op',
      node: 'x',
      label: 'x',
      stateRows: 0,
      keyGroups: [0, 127],
      parts,
      watermarkMs: null,
      forwardedMs: null,
      inputWatermarks: [],
      rowsIn: 0,
      rowsOut: 0,
    },
  ],
  sink: { kind: 'none' },
  latePositions: {},
  counters: { rowsIn: 0, rowsOut: 0, lateRows: 0, failedRows: 0 },
})

class Writer {
  readonly store: CheckpointStore
  private readonly tracker = new StateTracker()
  private base: Manifest | undefined
  constructor(disk: FakeDisk) {
    this.store = new CheckpointStore('', disk)
  }
  write(id: number): void {
    const parts = splitState(stateOf(id))
    const updates = parts.map((part) => this.tracker.update(partKey('q', 'op', part.name), part))
    const query = queryOf(
      id,
      parts.map(({ name }) => ({ name, type: 'value' })),
    )
    const folder = this.store.folderOf(JOB)
    try {
      this.base = this.store.write({ folder, id, job: JOB, createdMs: 0, queries: [query], updates, base: this.base })
      this.tracker.settle(true)
    } catch (error) {
      this.tracker.settle(false)
      throw error
    }
    this.store.prune(folder, RETAINED)
  }
}

/** The newest checkpoint that is whole, as a restart looks for it. All its bytes must be those of its version. */
function newestWhole(disk: FakeDisk): number {
  const store = new CheckpointStore('', disk)
  const folder = store.folderOf(JOB)
  for (const id of store.ids(folder).toReversed()) {
    try {
      const manifest = store.read(folder, id)
      verifyCheckpoint(store, folder, manifest)
      const reader = store.openParts(folder, manifest)
      for (const { name, bytes } of splitState(stateOf(id)))
        assert.equal(Buffer.compare(reader.read(partKey('q', 'op', name)), bytes), 0, `${name} of ${id}`)
      reader.close()
      return id
    } catch (error) {
      if (!isStreamError(error) || error.code !== 'CHECKPOINT_DAMAGED') throw error
    }
  }
  return 0
}

function newDisk(): FakeDisk {
  const disk = new FakeDisk()
  return disk
}

test('a crash at any call leaves the last checkpoint that was answered, or the one that was on its way', () => {
  const calls: string[] = []
  const whole = newDisk()
  whole.before = (call) => calls.push(call)
  const plain = new Writer(whole)
  for (let id = 1; id <= 4; id++) plain.write(id)
  assert.ok(calls.includes('rename') && calls.length > 60)
  fc.assert(
    fc.property(
      fc.nat(calls.length - 1),
      fc.constantFrom(0, 0.3, 0.7, 1),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })),
      (crashAt, keep, randoms) => {
        const disk = newDisk()
        let count = 0
        disk.before = () => {
          if (count++ === crashAt) throw new Error('crash')
        }
        const writer = new Writer(disk)
        let answered = 0
        let crashed: FakeDisk | undefined
        for (let id = 1; id <= 4 && !crashed; id++) {
          const stop = disk.before
          disk.before = (call, path) => {
            if (count === crashAt && !crashed) crashed = disk.crashed({ keep, random: () => randoms.next().value })
            stop(call, path)
          }
          try {
            writer.write(id)
            if (!crashed) answered = id
          } catch {
            // The process is gone with the crash.
          }
          disk.before = stop
        }
        const found = newestWhole(crashed ?? disk)
        assert.ok(found === answered || found === answered + 1, `found ${found}, answered ${answered}`)
      },
    ),
    { numRuns: 400 },
  )
})

test('a call that fails fails the checkpoint, which then is not there; the next one succeeds and has everything', () => {
  for (const code of ['ENOSPC', 'EIO']) {
    for (let failAt = 0; failAt < 40; failAt++) {
      const disk = newDisk()
      const writer = new Writer(disk)
      writer.write(1)
      let count = 0
      let uncertain = false
      disk.before = () => {
        if (count++ === failAt) throw diskError(code)
      }
      let failed = false
      try {
        writer.write(2)
      } catch (error) {
        failed = true
        assert.ok(isStreamError(error))
        uncertain = error.code === 'CHECKPOINT_UNCERTAIN'
        if (!uncertain) assert.equal(error.code, 'CHECKPOINT_FAILED')
      }
      disk.before = () => {}
      if (failed && !uncertain) assert.equal(newestWhole(disk), 1)
      if (!uncertain) {
        writer.write(3)
        assert.equal(newestWhole(disk.crashed({ keep: 0, random: () => 0.5 })), 3)
      }
      assert.equal(disk.openFileCount, 0)
    }
  }
})

test('any flipped bit is found, and an older checkpoint is there', () => {
  const disk = newDisk()
  const writer = new Writer(disk)
  for (let id = 1; id <= 3; id++) writer.write(id)
  const folder = writer.store.folderOf(JOB)
  let older = 0
  for (const name of disk.list(folder)) {
    const path = `${folder}/${name}`
    const content = disk.contentOf(path).slice()
    for (let flip = 0; flip < 40; flip++) {
      const damaged = content.slice()
      damaged[(flip * 7919) % damaged.length] ^= 1 << (flip % 8)
      disk.overwrite(path, damaged)
      const found = newestWhole(disk)
      if (found < 3) older++
    }
    disk.overwrite(path, content)
  }
  assert.equal(newestWhole(disk), 3)
  assert.ok(older > 40)
})

test('a savepoint needs no other file, is there at once or not at all, and goes away whole', () => {
  const disk = newDisk()
  const writer = new Writer(disk)
  for (let id = 1; id <= 3; id++) writer.write(id)
  const { store } = writer
  const folder = store.folderOf(JOB)
  const manifest = store.read(folder, 3)
  let calls = 0
  disk.before = () => {
    calls++
  }
  store.writeSavepoint('before-upgrade', [{ folder, manifest }])
  const total = calls
  assert.throws(() => store.writeSavepoint('before-upgrade', []), { code: 'SAVEPOINT_EXISTS' })
  assert.throws(() => store.writeSavepoint('../x', []), { code: 'SAVEPOINT_NAME_INVALID' })
  disk.before = () => {}
  store.remove(folder)
  const copy = `${store.savepointsFolder}/before-upgrade/${JOB}`
  verifyCheckpoint(store, copy, store.read(copy, 3))
  store.deleteSavepoint('before-upgrade')
  assert.deepEqual(store.savepoints(), [])
  for (let failAt = 0; failAt < total; failAt++) {
    const other = newDisk()
    const again = new Writer(other)
    again.write(1)
    let count = 0
    let crashed: FakeDisk | undefined
    other.before = () => {
      if (count++ === failAt) crashed = other.crashed({ keep: 0.5, random: () => ((count * 7919 + failAt) % 97) / 97 })
    }
    again.store.writeSavepoint('s', [{ folder, manifest: again.store.read(folder, 1) }])
    const found = new CheckpointStore('', crashed ?? other)
    for (const name of found.savepoints()) {
      const where = `${found.savepointsFolder}/${name}/${JOB}`
      verifyCheckpoint(found, where, found.read(where, 1))
    }
  }
})

test('a folder that a killed process has made, or that the disk refused to sync, is made durable before a checkpoint in it counts', () => {
  for (const isKilled of [true, false]) {
    const disk = new FakeDisk()
    const writer = new Writer(disk)
    disk.before = (call, path) => {
      if (call === 'syncFolder' && path.endsWith('/checkpoints')) throw diskError('EIO')
    }
    assert.throws(() => writer.write(1), { code: 'CHECKPOINT_FAILED' })
    const next = isKilled ? disk.afterKill() : disk
    next.before = () => {}
    const again = isKilled ? new Writer(next) : writer
    again.write(2)
    const cut = new CheckpointStore('', next.crashed({ keep: 0, random: () => 0.5 }))
    assert.deepEqual(cut.ids(cut.folderOf(JOB)), [2])
  }
})

test('a checkpoint whose writer was killed before its name was durable is there after a power cut, if a start has confirmed it', () => {
  const disk = new FakeDisk()
  const writer = new Writer(disk)
  const folder = writer.store.folderOf(JOB)
  writer.write(1)
  let killed: FakeDisk | undefined
  let isRenamed = false
  disk.before = (call) => {
    if (isRenamed) {
      killed ??= disk.afterKill()
      throw diskError('EIO')
    }
    isRenamed = call === 'rename'
  }
  assert.throws(() => writer.write(2), { code: 'CHECKPOINT_UNCERTAIN' })
  const idsAfter = (isConfirmed: boolean): number[] => {
    const store = new CheckpointStore('', killed)
    assert.deepEqual(store.ids(folder), [1, 2])
    if (isConfirmed) store.confirm(folder)
    return new CheckpointStore('', killed?.crashed({ keep: 0, random: () => 0.5 })).ids(folder)
  }
  assert.deepEqual(idsAfter(false), [1])
  assert.deepEqual(idsAfter(true), [1, 2])
})

test('a read that the disk refuses now and then, or that the system has no handle for, is no damage', () => {
  const disk = new FakeDisk()
  const writer = new Writer(disk)
  writer.write(1)
  const folder = writer.store.folderOf(JOB)
  const readWith = (code: string, refusals: number) => {
    let left = refusals
    disk.before = (call) => {
      if (call === 'read' && left-- > 0) throw diskError(code)
    }
    try {
      verifyCheckpoint(writer.store, folder, writer.store.read(folder, 1))
    } finally {
      disk.before = () => {}
    }
  }
  readWith('EIO', 2)
  assert.throws(() => readWith('EIO', 3), { code: 'CHECKPOINT_DAMAGED' })
  assert.throws(() => readWith('EMFILE', 1), { code: 'CHECKPOINT_UNREADABLE' })
  readWith('EIO', 0)
})
