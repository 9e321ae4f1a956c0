// Updating results through a topic: written as upserts and tombstones, read back as the rows that are left. On a real process.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeProject, startServer, until, untilRows } from './harness.ts'

const sql = (keyFormat: string) => `
CREATE TABLE payments (customer STRING NOT NULL, amount INT NOT NULL) WITH ('connector' = 'kafka', 'topic' = 'payments', 'format' = 'json');
CREATE TABLE debtors (customer STRING NOT NULL, payments BIGINT NOT NULL, total INT NOT NULL, PRIMARY KEY (customer) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = 'debtors', 'key.format' = '${keyFormat}', 'value.format' = 'json');
INSERT INTO debtors SELECT customer, COUNT(*) AS payments, SUM(amount) AS total FROM payments GROUP BY customer HAVING SUM(amount) < 0;
CREATE MATERIALIZED TABLE debts AS SELECT customer, total FROM debtors;`

for (const keyFormat of ['json', 'raw'])
  test(`a row that leaves an updating result is deleted behind an upsert-kafka topic (${keyFormat} keys), also after a restart`, async (t) => {
    const folder = makeProject(t, { 'pipelines/debts.sql': sql(keyFormat) })
    const server = await startServer(t, folder)
    const pay = (customer: string, amount: number) => server.post('payments', JSON.stringify({ customer, amount }))
    await pay('ana "A"', -5)
    await pay('bo', -7)
    await untilRows(server, 'debts', [
      ['ana "A"', -5],
      ['bo', -7],
    ])
    await pay('ana "A"', 5)
    await untilRows(server, 'debts', [['bo', -7]])
    await pay('bo', -1)
    await untilRows(server, 'debts', [['bo', -8]])
    await server.running.kill('SIGTERM')
    const again = await startServer(t, folder)
    await untilRows(again, 'debts', [['bo', -8]])
    assert.equal((await again.running.kill('SIGTERM')).code, 0)
  })

test('an event that is posted to an upsert-kafka table gets its PRIMARY KEY as its key, and replaces the row', async (t) => {
  const folder = makeProject(t, {
    'pipelines/sites.sql': `
CREATE TABLE sites (site STRING, storey INT, city STRING, PRIMARY KEY (site, storey) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = 'sites', 'key.format' = 'json', 'value.format' = 'json');
CREATE MATERIALIZED TABLE cities (PRIMARY KEY (site, storey) NOT ENFORCED) AS SELECT site, storey, city FROM sites;`,
  })
  const server = await startServer(t, folder)
  await server.post(
    'sites',
    '{"site":"nord","storey":1,"city":"Oslo"}\n{"site":"süd","storey":1,"city":"Rom"}\n{"site":"nord","storey":1,"city":"Bergen"}',
  )
  await untilRows(server, 'cities', [
    ['nord', 1, 'Bergen'],
    ['süd', 1, 'Rom'],
  ])
  const { body } = await server.call<{ messages: { key: string }[] }>('/v1/topics/sites/messages')
  assert.ok(
    body.messages.some(({ key }) => key === '{"site":"nord","storey":1}'),
    JSON.stringify(body),
  )
})

test('a record of an upsert-kafka table whose value lacks a NOT NULL column, or the key, is a dead letter; a tombstone is not', async (t) => {
  const folder = makeProject(t, {
    'pipelines/stations.sql': `
CREATE TABLE stations (station STRING, name STRING NOT NULL, docks INT, PRIMARY KEY (station) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = 'stations', 'key.format' = 'raw', 'value.format' = 'json');
CREATE MATERIALIZED TABLE docks AS SELECT station, name, docks FROM stations;`,
  })
  const server = await startServer(t, folder)
  const messages = [
    { key: 'a', value: '{"station":"a","name":"Opera","docks":3}' },
    { key: 'b', value: '{"name":"Park","docks":5}' },
    { key: 'c', value: '{"station":"c","docks":7}' },
    { key: 'd', value: '{"station":"d","name":"West"}' },
    { key: 'a', value: null },
  ]
  const { status } = await server.call('/v1/topics/stations/messages', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages }),
  })
  assert.equal(status, 201)
  await untilRows(server, 'docks', [['d', 'West', null]])
  let letters: string[] = []
  await until(
    async () => {
      const { body } = await server.call<{ messages?: { headers: object }[] }>('/v1/topics/stations.invalid/messages?from=oldest')
      letters = (body.messages ?? []).map(({ headers }) => JSON.stringify(headers))
      return letters.length === 2
    },
    () => `letters: ${letters}`,
  )
  assert.match(letters[0], /"station".*EXCEPT_KEY/)
  assert.match(letters[1], /"name".*NOT NULL/)
})
