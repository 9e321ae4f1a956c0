// The log's contract on a real Kafka.
import { after, before, test } from 'node:test'
import { logContract } from '../../src/log/contractSuite.ts'
import { type Log, openKafkaLog } from '../../src/log/index.ts'
import { kafkaMissing, type RealKafka, startRealKafka } from './servers/kafka.ts'

if (kafkaMissing) test('the log in a real Kafka', { skip: kafkaMissing }, () => {})
else {
  let kafka: RealKafka
  let log: Log
  before(async () => {
    kafka = await startRealKafka({ 'log.retention.check.interval.ms': 500, 'log.initial.task.delay.ms': 500 })
    log = await openKafkaLog({ bootstrap: [kafka.bootstrap] })
  })
  after(async () => {
    await log.close()
    await kafka.stop()
  })
  logContract('real Kafka', async () => log)
}
