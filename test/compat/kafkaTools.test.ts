// Kafka's own tools, and with them the Java client, against the real process.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { countsSql, makeProject, startServer } from '../harness.ts'
import { kafkaMissing, kafkaTool } from './servers/kafka.ts'

const tools = 'org.apache.kafka.tools.'
const options = { skip: kafkaMissing }

interface Tools {
  folder: string
  /** Runs a tool to its end; asserts that it succeeds; gives what it printed. */
  run(name: string, args: string[], input?: string): Promise<string>
  fails(name: string, args: string[]): Promise<string>
}
async function start(t: TestContext): Promise<Tools> {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const server = await startServer(t, folder, ['--kafka-port', '0'])
  const bootstrap = `127.0.0.1:${(server.ready as unknown as { kafkaPort: number }).kafkaPort}`
  const call = async (name: string, args: string[], input?: string) => {
    const className = name.includes('kafka.') ? name : `${tools}${name}`
    const result = await kafkaTool(className, ['--bootstrap-server', bootstrap, ...args], { input })
    return { ...result, text: `${name} ${args.join(' ')}\n${result.stdout}\n${result.stderr}` }
  }
  return {
    folder,
    async run(name, args, input) {
      const { status, stdout, text } = await call(name, args, input)
      // Some of the tools print an error and end with 0.
      assert.ok(status === 0 && !/^\s*Error:/m.test(stdout), text)
      t.diagnostic(`${name} ${args.join(' ')}`)
      return stdout
    },
    async fails(name, args) {
      const { status, text } = await call(name, args)
      assert.ok(status !== 0 || /^\s*Error:/m.test(text), text)
      return text
    },
  }
}
const lines = (text: string) => text.trim().split('\n')
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `order ${i}`)

test('kafka-topics: create, describe, list, alter, delete, and what it refuses', options, async (t) => {
  const { run, fails } = await start(t)
  await run('TopicCommand', ['--create', '--topic', 'orders', '--partitions', '2', '--config', 'retention.ms=86400000'])
  const described = await run('TopicCommand', ['--describe', '--topic', 'orders'])
  assert.match(described, /PartitionCount: 2.*ReplicationFactor: 1.*retention\.ms=86400000/)
  assert.equal(described.match(/Partition: \d.*Leader: 1.*Replicas: 1.*Isr: 1/g)?.length, 2)
  await run('TopicCommand', ['--create', '--topic', 'orders', '--if-not-exists'])
  assert.match(await fails('TopicCommand', ['--create', '--topic', 'orders']), /TopicExistsException/)
  assert.match(await fails('TopicCommand', ['--create', '--topic', 'r3', '--replication-factor', '3']), /InvalidReplicationFactorException/)
  await run('TopicCommand', ['--alter', '--topic', 'orders', '--partitions', '4'])
  assert.match(await fails('TopicCommand', ['--alter', '--topic', 'orders', '--partitions', '2']), /InvalidPartitionsException/)
  assert.deepEqual(lines(await run('TopicCommand', ['--list', '--exclude-internal'])), ['events', 'orders'])
  await run('TopicCommand', ['--delete', '--topic', 'orders'])
  assert.deepEqual(lines(await run('TopicCommand', ['--list', '--exclude-internal'])), ['events'])
  assert.match(await run('BrokerApiVersionsCommand', []), /Produce\(0\): 0 to \d+.*\n[\s\S]*Fetch\(1\): 4 to \d+/)
})

test('console producer and consumer: keys, headers, every compression; consumers of both group protocols', options, async (t) => {
  const { run } = await start(t)
  const producer = ['ConsoleProducer', ['--topic', 'orders', '--property', 'parse.key=true', '--property', 'parse.headers=true']] as const
  await run('TopicCommand', ['--create', '--topic', 'orders', '--partitions', '2'])
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
  for (const codec of codecs) {
    const input = numbered(40).map((line, i) => `codec:${codec}\tk${i}\t${line}\n`)
    await run(producer[0], [...producer[1], '--command-property', `compression.type=${codec}`], input.join(''))
  }
  const expected = codecs.flatMap((codec) => numbered(40).map((line, i) => `codec:${codec}\tk${i}\t${line}`)).sort()
  for (const protocol of ['classic', 'consumer']) {
    const settings = ['--command-property', `group.protocol=${protocol}`, '--group', protocol]
    const printed = ['--formatter-property', 'print.key=true', '--formatter-property', 'print.headers=true']
    const read = await run('consumer.ConsoleConsumer', [
      '--topic',
      'orders',
      '--from-beginning',
      '--max-messages',
      '200',
      ...printed,
      ...settings,
    ])
    assert.deepEqual(lines(read).sort(), expected, protocol)
    const described = await run('consumer.group.ConsumerGroupCommand', ['--describe', '--group', protocol])
    assert.equal(described.match(/orders +\d +(\d+) +\1 +0 /g)?.length, 2, described)
  }
})

test('kafka-consumer-groups: list, lag, reset-offsets in each of its ways, delete', options, async (t) => {
  const { run, folder } = await start(t)
  await run('TopicCommand', ['--create', '--topic', 'orders', '--partitions', '1'])
  await run('ConsoleProducer', ['--topic', 'orders'], `${numbered(100).join('\n')}\n`)
  await run('consumer.ConsoleConsumer', ['--topic', 'orders', '--from-beginning', '--max-messages', '100', '--group', 'g'])
  const groups = (args: string[]) => run('consumer.group.ConsumerGroupCommand', args)
  const reset = async (how: string[], mode = '--dry-run') =>
    Number(/g +orders +0 +(\d+)/.exec(await groups(['--group', 'g', '--topic', 'orders', '--reset-offsets', ...how, mode]))?.[1])
  assert.equal(await reset(['--to-earliest']), 0)
  assert.equal(await reset(['--to-latest']), 100)
  assert.equal(await reset(['--shift-by', '-10']), 90)
  assert.equal(await reset(['--to-offset', '42']), 42)
  assert.equal(await reset(['--to-current']), 100)
  assert.equal(await reset(['--to-datetime', '2020-01-01T00:00:00.000']), 0)
  assert.equal(await reset(['--by-duration', 'PT1H']), 0)
  assert.equal(await reset(['--shift-by', '-10'], '--execute'), 90)
  assert.match(await groups(['--describe', '--group', 'g']), /g +orders +0 +90 +100 +10 /)
  const file = join(folder, 'reset.csv')
  writeFileSync(file, 'orders,0,7\n')
  assert.match(await groups(['--group', 'g', '--reset-offsets', '--from-file', file, '--execute']), /orders +0 +7/)
  assert.match(await groups(['--list', '--state']), /g +Empty/)
  assert.match(await groups(['--describe', '--group', 'g', '--state']), /g .*Empty +0/)
  await groups(['--delete-offsets', '--group', 'g', '--topic', 'orders'])
  await groups(['--reset-offsets', '--group', 'g', '--topic', 'orders', '--to-latest', '--execute'])
  await groups(['--delete', '--group', 'g'])
  assert.equal((await groups(['--list'])).trim(), '')
})

test('kafka-configs, kafka-delete-records, kafka-get-offsets, kafka-log-dirs', options, async (t) => {
  const { run, fails, folder } = await start(t)
  const configs = (args: string[]) => run('kafka.admin.ConfigCommand', args)
  const topic = ['--entity-type', 'topics', '--entity-name', 'orders']
  await run('TopicCommand', ['--create', '--topic', 'orders', '--partitions', '1'])
  await configs(['--alter', ...topic, '--add-config', 'retention.ms=3600000,max.message.bytes=20000'])
  assert.match(
    await configs(['--describe', ...topic]),
    /max\.message\.bytes=20000[\s\S]*retention\.ms=3600000|retention\.ms=3600000[\s\S]*max\.message/,
  )
  await configs(['--alter', ...topic, '--delete-config', 'retention.ms'])
  assert.doesNotMatch(await configs(['--describe', ...topic]), /retention\.ms=3600000/)
  assert.match(
    await fails('kafka.admin.ConfigCommand', ['--alter', ...topic, '--add-config', 'retention.ms=soon']),
    /InvalidConfiguration|Invalid value/,
  )
  assert.match(await configs(['--describe', '--entity-type', 'brokers', '--entity-name', '1', '--all']), /log\.dirs=/)
  const group = ['--entity-type', 'groups', '--entity-name', 'g']
  await configs(['--alter', ...group, '--add-config', 'consumer.session.timeout.ms=50000'])
  assert.match(await configs(['--describe', '--entity-type', 'groups']), /group g are:\s+consumer\.session\.timeout\.ms=50000/)
  await run('ConsoleProducer', ['--topic', 'orders'], `${numbered(50).join('\n')}\n`)
  const file = join(folder, 'delete.json')
  writeFileSync(file, JSON.stringify({ partitions: [{ topic: 'orders', partition: 0, offset: 20 }], version: 1 }))
  assert.match(await run('DeleteRecordsCommand', ['--offset-json-file', file]), /low_watermark: 20/)
  for (const [time, offset] of [
    ['earliest', 20],
    ['latest', 50],
    ['max-timestamp', 49],
  ] as const) {
    const got = await run('GetOffsetShell', ['--topic', 'orders', '--time', time])
    if (time === 'max-timestamp') assert.match(got, /orders:0:\d+/)
    else assert.equal(got.trim(), `orders:0:${offset}`)
  }
  assert.match(await run('LogDirsCommand', ['--describe', '--topic-list', 'orders']), /"topic":"orders"|"partition":"orders-0"/)
})

test(
  'kafka-leader-election, kafka-reassign-partitions, kafka-features: one broker leads everything, and nothing moves',
  options,
  async (t) => {
    const { run, fails, folder } = await start(t)
    await run('TopicCommand', ['--create', '--topic', 'orders', '--partitions', '2'])
    const elect = ['--election-type', 'preferred', '--partition', '0', '--topic']
    assert.match(await run('LeaderElectionCommand', [...elect, 'orders']), /Valid replica already elected for partitions orders-0/)
    assert.match(await fails('LeaderElectionCommand', [...elect, 'none']), /UnknownTopicOrPartitionException/)
    await run('LeaderElectionCommand', ['--election-type', 'preferred', '--all-topic-partitions'])
    const reassign = 'reassign.ReassignPartitionsCommand'
    const file = join(folder, 'reassign.json')
    const write = (replicas: number[]) =>
      writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic: 'orders', partition: 0, replicas }] }))
    write([1])
    const executed = await run(reassign, ['--reassignment-json-file', file, '--execute', '--throttle', '1000000'])
    assert.match(executed, /throttle limit was set to 1000000 B\/s\s+Successfully started partition reassignment for orders-0/)
    assert.match(await run(reassign, ['--reassignment-json-file', file, '--verify']), /Clearing broker-level throttles on broker 1/)
    // What it was before, with the folder, as the tool says one should keep it.
    writeFileSync(file, /^\{.*"log_dirs".*$/m.exec(executed)![0])
    assert.match(
      await run(reassign, ['--reassignment-json-file', file, '--execute']),
      /Successfully started moving log directory to .* for replica orders-0 /,
    )
    assert.match(await run(reassign, ['--list']), /No partition reassignments found/)
    write([1, 2])
    assert.match(await fails(reassign, ['--reassignment-json-file', file, '--execute']), /broker|replica/i)
    assert.match(
      await run('FeatureCommand', ['describe']),
      /group\.version .*FinalizedVersionLevel: 1[\s\S]*transaction\.version .*FinalizedVersionLevel: 2/,
    )
  },
)

test('kafka-verifiable-producer, groups of KIP-848, auto.offset.reset=by_duration, a message over the limit', options, async (t) => {
  const { run, fails } = await start(t)
  await run('TopicCommand', ['--create', '--topic', 'orders', '--partitions', '2'])
  assert.match(await run('VerifiableProducer', ['--topic', 'orders', '--max-messages', '20', '--acks', '-1']), /"sent":20,"acked":20/)
  const perf = ['--topic', 'orders', '--num-records', '20', '--timeout', '30000', '--command-property', 'group.protocol=consumer']
  assert.match(await run('ConsumerPerformance', [...perf, '--group', 'perf']), /, 20, /)
  assert.match(await run('GroupsCommand', ['--list']), /perf +Consumer/)
  const console = ['--topic', 'orders', '--timeout-ms', '20000', '--max-messages', '20', '--command-property']
  assert.equal(lines(await run('consumer.ConsoleConsumer', [...console, 'auto.offset.reset=by_duration:PT1H'])).length, 20)
  // From a moment that is still to come, so to speak: nothing is new enough.
  const none = ['--topic', 'orders', '--timeout-ms', '4000', '--command-property', 'auto.offset.reset=by_duration:PT0S']
  assert.doesNotMatch(await run('consumer.ConsoleConsumer', none), /^\d+$/m)
  assert.match(
    await fails('consumer.group.ConsumerGroupCommand', ['--describe', '--group', 'none']),
    /GroupIdNotFoundException: Group none not found/,
  )
  // The tool prints what the broker said, and ends with 0.
  const large = ['--topic', 'orders', '--command-property', 'max.request.size=5000000']
  await run('ConsoleProducer', large, `${'x'.repeat(1_500_000)}\n`)
  assert.equal(
    lines(await run('GetOffsetShell', ['--topic', 'orders'])).reduce((sum, line) => sum + Number(line.split(':')[2]), 0),
    20,
  )
})

test('producer and consumer perf tests', options, async (t) => {
  const { run } = await start(t)
  const producer = (compression: string) => [
    '--topic',
    'perf',
    '--num-records',
    '20000',
    '--record-size',
    '100',
    '--throughput',
    '-1',
    '--command-property',
    `compression.type=${compression}`,
  ]
  for (const compression of ['none', 'lz4']) assert.match(await run('ProducerPerformance', producer(compression)), /20000 records sent/)
  const consumed = await run('ConsumerPerformance', ['--topic', 'perf', '--num-records', '40000', '--timeout', '30000'])
  // Of the last line, the fifth column is the number of messages.
  assert.ok(Number(lines(consumed).at(-1)?.split(',')[4]) >= 40_000, consumed)
})
