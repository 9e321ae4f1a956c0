import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import pino from 'pino'
import { engineErrors } from '../engine/index.ts'
import { openLog } from '../log/index.ts'
import { DeadLetters } from './deadLetters.ts'

test('letters that come at once while their topic is made are all kept, each once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-letters-'))
  const log = await openLog({ folder, durability: 'os' })
  t.after(async () => {
    await log.close()
    rmSync(folder, { recursive: true })
  })
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
