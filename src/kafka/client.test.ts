// A client that somebody else wrote: @platformatic/kafka.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import { startTestBroker } from './testClient.ts'

for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
  test(`@platformatic/kafka produces with ${compression}, consumes in a group, commits and goes on`, async (t) => {
    const { kafka, log } = await startTestBroker(t)
    const common = { clientId: 'judge', bootstrapBrokers: [`127.0.0.1:${kafka.port}`] }
    const admin = new Admin(common)
    await admin.createTopics({ topics: ['orders'], partitions: 2, replicas: 1 })
    await admin.close()
    const producer = new Producer({ ...common, serializers: stringSerializers, compression, idempotent: true })
    const messages = Array.from({ length: 40 }, (_, i) => ({ topic: 'orders', key: `k${i}`, value: `value ${i}`, headers: { n: `${i}` } }))
    await producer.send({ messages, acks: -1 })
    await producer.close()
    const read = async (count: number) => {
      const consumer = new Consumer({ ...common, groupId: 'shop', deserializers: stringDeserializers })
      const stream = await consumer.consume({
        topics: ['orders'],
        mode: 'committed',
        fallbackMode: 'earliest',
        autocommit: false,
        maxWaitTime: 100,
      })
      const values: string[] = []
      for await (const message of stream) {
        values.push(message.value!)
        await message.commit()
        if (values.length === count) break
      }
      await stream.close()
      await consumer.close(true)
      return values
    }
    const expected = messages.map(({ value }) => value).sort()
    const first = await read(15)
    assert.deepEqual([...first, ...(await read(25))].sort(), expected)
    const records = await log.readMessages('orders', { limit: 100 })
    assert.deepEqual(records.map(({ value }) => Buffer.from(value!).toString()).sort(), expected)
    assert.equal(String(records[0].headers[0][0]), 'n')
  })
}
