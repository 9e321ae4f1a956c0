// What the files sink leaves when a query goes back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeDisk } from '../log/fakeDisk.ts'
import type { QueryState } from './checkpoints/manifest.ts'
import { mergeCheckpoints } from './checkpoints/merge.ts'
import { setAside } from './fileSink.ts'

test('back at an older checkpoint of two subtasks, the later files of each are hidden, and no earlier one', () => {
  const disk = new FakeDisk()
  disk.makeFolder('/out')
  const write = (file: number) => disk.close(disk.open(`/out/part-q-${file}.json`, 'create'))
  // The first takes even numbers and is at 8, the second odd ones and is at 3.
  for (const file of [0, 2, 4, 6, 1]) write(file)
  const cut = (nextFile: number) => ({
    checkpointId: 1,
    updates: [],
    queries: [
      {
        id: 'q',
        inputs: [],
        operators: [],
        counters: { rowsIn: 0, rowsOut: 0, lateRows: 0, failedRows: 0 },
        sink: { kind: 'files', folder: '/out', nextFile, pending: [] },
      } as unknown as QueryState,
    ],
  })
  const [{ sink }] = mergeCheckpoints([cut(8), cut(3)]).queries
  assert.ok(sink.kind === 'files')
  for (const file of [8, 3, 5]) write(file)
  assert.deepEqual(setAside(disk, 'q', sink).sort(), ['part-q-3.json', 'part-q-5.json', 'part-q-8.json'])
  assert.deepEqual(
    disk.list('/out').filter((name) => !name.startsWith('.')).sort(), // biome-ignore format: short
    [0, 1, 2, 4, 6].map((file) => `part-q-${file}.json`),
  )
})
