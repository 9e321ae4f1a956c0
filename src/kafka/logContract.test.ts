// The log's contract on our own files; clients come through the Kafka port.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { logContract } from '../log/contractSuite.ts'
import { type LocalLog, openLog } from '../log/index.ts'
import { type KafkaServer, startKafka } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-contract-'))
let log: LocalLog
let kafka: KafkaServer
before(async () => {
  log = await openLog({ folder, durability: 'os' })
  kafka = await startKafka({ log, logger: { warn() {}, error() {} } })
})
after(async () => {
  await kafka.close()
  await log.close()
  rmSync(folder, { recursive: true })
})

logContract('own files', () => ({ log, bootstrap: `127.0.0.1:${kafka.port}` }), { hasClients: true, hasTransactions: true })
