// `millrace topics` and `millrace groups` on a running server, with a Kafka client that somebody else wrote beside them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Consumer, stringDeserializers } from '@platformatic/kafka'
import type {
  GroupDetail,
  GroupList,
  GroupSummary,
  ResetPlan,
  TopicConsumers,
  TopicPartition,
  TopicSetting,
  TopicStatistics,
} from '../src/serve/contract.ts'
import { countsSql, makeProject, type Ready, run, Server, startServer, until } from './harness.ts'

// 2^53 + 1: as a JavaScript number it would lose its last digit.
const large = '9007199254740993'
interface Failure {
  error: { code: string; message: string; hint: string }
}

/** Runs a command to its end. */
async function millrace(t: TestContext, args: string[], input?: string) {
  if (input !== undefined) {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', resolve('src/app/main.ts'), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    t.after(() => child.kill('SIGKILL'))
    let stdout = ''
    child.stdout.on('data', (data) => (stdout += data))
    child.stdin.end(input)
    const code = await new Promise((done) => child.once('close', done))
    return {
      code,
      stdout,
      stderr: '',
      json: <T>() =>
        stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as T),
    }
  }
  const running = run(t, args)
  const { code } = await running.exited
  return { code, stdout: running.stdout, stderr: running.stderr, json: <T>() => running.lines<T>() }
}

test('topics: made, described, changed, filled, read, exported, measured, deleted', { timeout: 120_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const server = await startServer(t, folder)
  const topics = (...args: string[]) => millrace(t, ['topics', ...args, '--url', server.ready.url])

  const made = await topics('create', 'orders', '--partitions', '2', '--config', 'retention.ms=3600000')
  assert.equal(made.stdout, 'orders is there, with 2 partitions\n')
  // Dead letters before the first one.
  assert.match((await topics('read', 'orders.invalid')).stderr, /nothing of "orders" has been refused.*SERVE_LETTERS_NONE/)
  assert.equal((await topics('create', 'orders', '--json')).json<Failure>()[0].error.code, 'LOG_TOPIC_EXISTS')
  assert.match((await topics('create', 'x', '--config', 'retention')).stderr, /--config is "retention", expected name=value/)
  await topics('alter', 'orders', '--partitions', '3', '--config', 'segment.ms=60000', '--reset', 'retention.ms')
  assert.match((await topics('describe', 'events')).stdout, /^events: 0 records, .*, 1 partition\n[\s\S]*retention\.ms +604800000 +7 d\n/)
  const names = (await topics('list', '--json')).json<{ name: string }>().map(({ name }) => name)
  assert.deepEqual(names, names.toSorted())
  assert.match((await topics('alter', 'orders')).stderr, /expected --config, --reset or --partitions/)
  const [described] = (await topics('describe', 'orders', '--json')).json<{ partitions: TopicPartition[]; settings: TopicSetting[] }>()
  assert.equal(described.partitions.length, 3)
  assert.deepEqual(
    described.settings.filter(({ isDefault }) => !isDefault).map(({ name, value }) => [name, value]),
    [['segment.ms', 60_000]],
  )

  const sent = await topics('produce', 'orders', `{"id":1,"amount":${large}}`, '--key', 'a', '--header', 'source=shell', '--json')
  assert.equal(sent.json<{ offset: number }>()[0].offset, 0)
  const lines = Array.from({ length: 1_200 }, (_, i) => `k${i % 7}:{"id":${i},"amount":${i % 100}}`).join('\n')
  const many = await millrace(t, ['topics', 'produce', 'orders', '--key-separator', ':', '--json', '--url', server.ready.url], lines)
  assert.deepEqual(many.json(), [{ sent: 1_200 }])

  const read = await topics('read', 'orders', '--where', "_headers['source'] = 'shell'", '--json')
  assert.match(read.stdout, new RegExp(`"key":"a","value":\\{"id":1,"amount":${large}\\}`))
  const filtered = await topics(
    'read',
    'orders',
    '--from',
    'oldest',
    '--where',
    `CAST(JSON_VALUE(_value, '$.amount') AS BIGINT) = 42`,
    '--select',
    "JSON_VALUE(_value, '$.id') AS id",
    '--limit',
    '100',
  )
  assert.deepEqual(
    filtered.stdout
      .match(/id="\d+"/g)!
      .map((text) => Number(text.slice(4, -1)))
      .sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, i) => 100 * i + 42),
  )
  assert.equal((await topics('read', 'orders', '--where', "_key = 'nobody'")).stderr, 'no record passes; looked at 1201\n')
  const wrong = await topics('read', 'orders', '--where', 'amount > 5')
  assert.match(wrong.stderr, /column "amount" does not exist[\s\S]*SQL_COLUMN_NOT_FOUND/)
  assert.match((await topics('read', 'orders', '--from', 'yesterday')).stderr, /"yesterday" is no time/)

  const path = join(folder, 'orders.csv')
  const exported = await topics(
    'export',
    'orders',
    '--format',
    'csv',
    '--select',
    '_key, _offset',
    '--where',
    "_key = 'k3'",
    '--out',
    path,
    '--json',
  )
  assert.equal(exported.code, 0, exported.stderr)
  const rows = readFileSync(path, 'utf8').trim().split('\r\n')
  assert.deepEqual([rows[0], rows.length], ['_key,_offset', 1 + 171])
  const cut = await topics('export', 'orders', '--limit', '10')
  assert.deepEqual(
    [cut.stdout.trim().split('\n').length, cut.stderr],
    [10, '1191 more records are there: raise --limit, or go on with --from\n'],
  )

  const [statistics] = (await topics('stats', 'orders', '--json')).json<TopicStatistics>()
  assert.deepEqual([statistics.sampled, statistics.keys], [1_201, { withKey: 1_201, unique: 8 }])
  assert.match(
    (await topics('stats', 'orders')).stdout,
    /exact over all 1201 records[\s\S]*member found +type +null +share\n[\s\S]*id +number +0 +0\.0 %/,
  )

  const refused = await topics('delete', 'orders', '--json')
  assert.deepEqual([refused.code, refused.json<Failure>()[0].error.code], [1, 'SERVE_DELETE_UNCONFIRMED'])
  assert.match(
    (await topics('delete', 'events', '--confirm', 'events')).stderr,
    /declared by table "events" and used by query "counts"[\s\S]*force/,
  )
  assert.equal((await topics('delete', 'orders', '--confirm', 'orders')).stdout, 'orders is deleted, with its 1201 records\n')
  assert.equal((await topics('describe', 'orders', '--json')).json<Failure>()[0].error.code, 'SERVE_TOPIC_NOT_FOUND')
  const audits = server.running.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { audit?: string; topic?: string; recordCount?: number })
    .filter(({ audit }) => audit)
  assert.deepEqual(
    audits.map(({ audit }) => audit),
    ['topic created', 'topic changed', 'topic deleted'],
  )
  assert.deepEqual([audits[2].topic, audits[2].recordCount], ['orders', 1_201])
})

test('groups: lag in records and in time, a reset that is shown first and done only while nobody reads, deletion', {
  timeout: 120_000,
}, async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const running = run(t, ['start', folder, '--port', '0', '--kafka-port', '0', '--workers', '1', '--json', '--data', join(folder, 'data')])
  const server = new Server(running, await running.firstLine<Ready>())
  const { kafkaPort } = server.ready as Ready & { kafkaPort: number }
  const groups = (...args: string[]) => millrace(t, ['groups', ...args, '--url', server.ready.url])
  const topics = (...args: string[]) => millrace(t, ['topics', ...args, '--url', server.ready.url])
  assert.match((await groups()).stderr, new RegExp(`no consumer group yet.*${kafkaPort}`))

  await topics('create', 'orders', '--partitions', '2')
  const produce = (count: number, partition: number) =>
    server.call('/v1/topics/orders/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: Array.from({ length: count }, (_, i) => ({ value: `${i}`, partition })) }),
    })
  await produce(10, 0)
  await produce(5, 1)
  const consumer = new Consumer({
    clientId: 'biller',
    groupId: 'billing',
    bootstrapBrokers: [`127.0.0.1:${kafkaPort}`],
    deserializers: stringDeserializers,
  })
  const stream = await consumer.consume({
    topics: ['orders'],
    mode: 'committed',
    fallbackMode: 'earliest',
    autocommit: false,
    maxWaitTime: 100,
  })
  let count = 0
  for await (const message of stream) {
    await message.commit()
    if (++count === 15) break
  }
  await produce(4, 0)

  const describe = async () => (await groups('describe', 'billing', '--json')).json<GroupDetail>()[0]
  const active = await describe()
  assert.deepEqual([active.state, active.memberCount, active.members[0].clientId, active.lag], ['Stable', 1, 'biller', 4])
  assert.deepEqual(active.members[0].assigned.map(({ topic, partition }) => `${topic}/${partition}`).sort(), ['orders/0', 'orders/1'])
  assert.deepEqual(
    active.partitions.map(({ partition, offset, endOffset, lag, memberId }) => [
      partition,
      offset,
      endOffset,
      lag,
      memberId === active.members[0].id,
    ]),
    [
      [0, 10, 14, 4, true],
      [1, 5, 5, 0, true],
    ],
  )
  const [behind, upToDate] = active.partitions
  assert.ok(behind.lagMs! >= 0 && behind.lagMs! < 60_000)
  assert.equal(upToDate.lagMs, undefined)
  assert.match((await groups()).stdout, /billing +Stable +1 +4 +.* +orders\n/)
  const { groups: reading } = await server.get<TopicConsumers>('/v1/topics/orders/consumers')
  assert.deepEqual(
    reading.map(({ id, lag }) => [id, lag]),
    [['billing', 4]],
  )

  // A dry run is free; doing it is refused while somebody reads.
  const [dry] = (await groups('reset', 'billing', '--shift-by', '-3', '--json')).json<ResetPlan>()
  assert.deepEqual(
    [dry.executed, dry.partitions.map(({ from, to, change, isClamped }) => [from, to, change, isClamped])],
    [
      false,
      [
        [10, 7, -3, false],
        [5, 2, -3, false],
      ],
    ],
  )
  for (const args of [
    ['reset', 'billing', '--to-earliest', '--execute'],
    ['delete', 'billing'],
  ]) {
    const refused = await groups(...args, '--json')
    assert.deepEqual([refused.code, refused.json<Failure>()[0].error.code], [1, 'KAFKA_GROUP_ACTIVE'], args.join(' '))
  }
  assert.match((await groups('reset', 'billing')).stderr, /expected one of --to-earliest/)
  await stream.close()
  await consumer.close(true)
  await until(async () => (await describe()).state === 'Empty', 'the group is empty')

  const reset = await groups('reset', 'billing', '--to-offset', '99', '--topic', 'orders', '--partition', '0', '--execute')
  assert.match(reset.stdout, /orders +0 +10 +14 +14 +skips 4 +as far as there are records\n\nbilling goes on there\n/)
  const [, second] = (await describe()).partitions
  assert.deepEqual([(await describe()).lag, second.offset], [0, 5])
  await groups('reset', 'billing', '--to-time', '1970-01-01', '--execute')
  assert.deepEqual(
    (await describe()).partitions.map(({ offset, lag }) => [offset, lag]),
    [
      [0, 14],
      [0, 5],
    ],
  )
  // Where a consumer then goes on is what counts.
  const again = new Consumer({
    clientId: 'biller',
    groupId: 'billing',
    bootstrapBrokers: [`127.0.0.1:${kafkaPort}`],
    deserializers: stringDeserializers,
  })
  const replay = await again.consume({ topics: ['orders'], mode: 'committed', fallbackMode: 'latest', autocommit: false, maxWaitTime: 100 })
  let replayed = 0
  for await (const _ of replay) if (++replayed === 19) break
  await replay.close()
  await again.close(true)
  assert.equal(replayed, 19)

  // A deleted topic is forgotten; a group that is deleted is gone, also after a restart.
  await until(async () => (await describe()).memberCount === 0, 'the group is empty')
  assert.equal((await groups('delete', 'billing')).stdout, 'billing is deleted, with its committed offsets\n')
  await groups('reset', 'fresh', '--to-latest', '--topic', 'orders', '--execute')
  const listed = async () => (await server.get<GroupList>('/v1/groups')).groups.map(({ id, lag }: GroupSummary) => [id, lag])
  assert.deepEqual(await listed(), [['fresh', 0]])
  await topics('delete', 'orders', '--confirm', 'orders')
  assert.deepEqual(await listed(), [])
})
