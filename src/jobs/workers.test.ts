import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type FromWorker, Memory } from '../engine/index.ts'
import { openLog } from '../log/index.ts'
import { bindProject } from './project.ts'
import { sourceSpecs } from './tables.ts'
import { EngineWorkers } from './workers.ts'

/** More than a worker sends before some are taken, of each of its two partitions. */
const ROWS = 4_000
const COPIES = 50

test('a job of several subtasks comes to its cut though nobody takes rows: those from behind another cut wait for it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-workers-'))
  const log = await openLog({ folder, durability: 'os' })
  await log.createTopic('numbers', { partitionCount: 2 })
  const records = Array.from({ length: ROWS }, (_, n) => ({ key: null, value: Buffer.from(JSON.stringify({ n })), timestampMs: 1 }))
  for (const partition of [0, 1]) await log.appendRecords('numbers', partition, records)
  const copies = Array.from({ length: COPIES }, (_, i) => i).join()
  const text = `CREATE TABLE numbers (n INT) WITH ('connector' = 'kafka', 'topic' = 'numbers', 'format' = 'json');
    CREATE TABLE copies (n INT, i INT) WITH ('connector' = 'blackhole');
    INSERT INTO copies SELECT n, i FROM numbers CROSS JOIN UNNEST(ARRAY[${copies}]) AS c (i);`
  const { queries } = bindProject([{ name: 'copies.sql', text }])
  const { plan } = queries[0]
  let sent = 0
  const cut = Promise.withResolvers<FromWorker & { type: 'checkpoint' }>()
  const full = Promise.withResolvers<void>()
  const workers = new EngineWorkers(
    2,
    {
      message: (message) => {
        if (message.type === 'checkpoint') cut.resolve(message)
        if (message.type === 'failed') cut.reject(new Error(message.error.message))
        if (message.type !== 'changes') return
        sent += message.batch.rowCount
        if (sent >= 2 * ROWS * COPIES) full.resolve()
        // They are never taken.
        return new Promise<void>(() => {})
      },
      died: (_jobs, { reason }) => cut.reject(new Error(reason)),
    },
    { memory: new Memory(Memory.budget(1 << 30, 2)), folder: join(folder, 'spill') },
  )
  t.after(async () => {
    await workers.close()
    await log.close()
    rmSync(folder, { recursive: true })
  })
  const query = { id: 'copies', name: 'copies', plan, sink: { kind: 'collect' as const } }
  workers.start({ id: 'j', queries: [query], sources: sourceSpecs(log, [plan]), timeZone: 'UTC' }, 2)
  await full.promise
  workers.tell('j', { type: 'checkpoint', jobId: 'j', checkpointId: 1, isLast: false })
  assert.equal((await cut.promise).checkpoint.checkpointId, 1)
})
