import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import pino from 'pino'
import { engineErrors } from '../engine/index.ts'
import { openLog } from '../log/index.ts'
import { DeadLetters } from './deadLetters.ts'
import { LateRowTopics } from './lateRows.ts'

async function logFor(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-letters-'))
  const log = await openLog({ folder, durability: 'os' })
  t.after(async () => {
    await log.close()
    rmSync(folder, { recursive: true })
  })
  return log
}

test('letters that come at once while their topic is made are all kept, each once', async (t) => {
  const log = await logFor(t)
  const letters = new DeadLetters(log, pino({ level: 'silent' }))
  const letter = (offset: number) => ({
    topic: 'orders',
    partition: 0,
    offset,
    raw: Buffer.from(`${offset}`),
    error: engineErrors('ROW_FAILED', { reason: 'a test' }).toJSON(),
  })
  // Several queries meet the same rows.
  await Promise.all([0, 1, 2, 1, 2, 3].map((offset) => letters.keep([letter(offset)])))
  const kept = await log.readMessages('orders.invalid', { newest: true, limit: 10 })
  assert.deepEqual(kept.map(({ value }) => String(value)).sort(), ['0', '1', '2', '3'])
})

test('letters do not come in the order of their records, nor do two queries: all are kept, each once, also after a restart', async (t) => {
  const log = await logFor(t)
  const silent = pino({ level: 'silent' })
  const error = engineErrors('ROW_FAILED', { reason: 'a test' }).toJSON()
  const of = (offset: number, partition = 0) => ({ topic: 'orders', partition, offset, raw: Buffer.from(`${partition}/${offset}`), error })
  const letters = new DeadLetters(log, silent)
  await letters.keep([of(4), of(3), of(9, 1)])
  await letters.keep([of(1), of(3), of(2, 1)])
  const again = new DeadLetters(log, silent)
  await again.keep([of(1), of(3), of(4), of(2, 1), of(9, 1), of(2)])
  const kept = await log.readMessages('orders.invalid', { partition: 0, fromOffset: 0, limit: 20 })
  assert.deepEqual(
    kept.map(({ value }) => String(value)),
    ['0/4', '0/3', '1/9', '0/1', '1/2', '0/2'],
  )
})

test('of very many letters the newest are known, and those before them are not kept again', async (t) => {
  const log = await logFor(t)
  const error = engineErrors('ROW_FAILED', { reason: 'a test' }).toJSON()
  const of = (offset: number) => ({ topic: 'orders', partition: 0, offset, raw: Buffer.from('x'), error })
  const keep = (from: number, count: number, letters: DeadLetters) => letters.keep(Array.from({ length: count }, (_, i) => of(from + i)))
  const letters = new DeadLetters(log, pino({ level: 'silent' }))
  for (const from of [0, 10_000, 20_000]) await keep(from, 10_000, letters)
  for (const one of [letters, new DeadLetters(log, pino({ level: 'silent' }))]) {
    for (const from of [0, 10_000, 20_000]) await keep(from, 10_000, one)
    assert.equal(log.topic('orders.invalid')?.partitions[0].endOffset, 30_000)
  }
  await keep(30_000, 1, letters)
  assert.equal(log.topic('orders.invalid')?.partitions[0].endOffset, 30_001)
})

test('letters and late rows that come at once are more than a topic takes as one batch: all are kept, in their order', async (t) => {
  const log = await logFor(t)
  const silent = pino({ level: 'silent' })
  const error = engineErrors('ROW_FAILED', { reason: 'a test' }).toJSON()
  const raws = Array.from({ length: 60 }, (_, i) => Buffer.from(`${i} `.padEnd(50_000, 'x')))
  await new DeadLetters(log, silent).keep(raws.map((raw, offset) => ({ topic: 'orders', partition: 0, offset, raw, error })))
  const late = raws.map((value) => ({ value, op: '+I' as const, watermarkMs: 0, window: undefined }))
  await new LateRowTopics(log, silent, () => false).keep('q', 'run', 'orders.late', late, 0)
  for (const topic of ['orders.invalid', 'orders.late']) {
    const kept = await log.readMessages(topic, { partition: 0, fromOffset: 0, limit: 100 })
    assert.deepEqual(
      kept.map(({ value }) => Number.parseInt(Buffer.from(value!).toString('utf8', 0, 5), 10)),
      raws.map((_, i) => i),
      topic,
    )
  }
})
