// The log's contract on our own files.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { Log } from './contract.ts'
import { logContract } from './contractSuite.ts'
import { openLog } from './log.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-contract-'))
let log: Log
before(async () => {
  log = await openLog({ folder, durability: 'os' })
})
after(async () => {
  await log.close()
  rmSync(folder, { recursive: true })
})

logContract('own files', async () => log)
