// MirrorMaker 2, and with it Kafka Connect with its internal topics and its groups, between a real Kafka and the real process, both ways:
// how topics move to Millrace and from there to a cluster.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { countsSql, makeProject, startServer, until } from '../harness.ts'
import { kafkaMissing, kafkaTool, startRealKafka } from './servers/kafka.ts'

const script = resolve(import.meta.dirname, 'servers/kafka.sh')
const hasKcat = spawnSync('kcat', ['-V']).status === 0
const MIRRORED_MS_MAX = 180_000
const RECORDS = 400

test('MirrorMaker 2 copies topics, their settings and offsets of groups from Kafka to Millrace, and topics back', {
  skip: kafkaMissing ?? (!hasKcat && 'no kcat'),
}, async (t) => {
  const kafka = await startRealKafka()
  t.after(() => kafka.stop())
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const server = await startServer(t, folder, ['--kafka-port', '0'])
  const millrace = `127.0.0.1:${(server.ready as unknown as { kafkaPort: number }).kafkaPort}`

  const kcat = (bootstrap: string, args: string[], input = '') => {
    const { status, stdout, stderr } = spawnSync('kcat', ['-b', bootstrap, '-q', ...args], { input, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    return stdout
  }
  const tool = async (bootstrap: string, name: string, args: string[]) => {
    const { status, stdout, stderr } = await kafkaTool(`org.apache.kafka.tools.${name}`, ['--bootstrap-server', bootstrap, ...args])
    assert.equal(status, 0, `${stdout}${stderr}`)
    return stdout
  }
  const settings = [
    '--partitions',
    '2',
    '--config',
    'retention.ms=604800000',
    '--config',
    'flush.ms=5000',
    '--config',
    'cleanup.policy=compact',
  ]
  await tool(kafka.bootstrap, 'TopicCommand', ['--create', '--topic', 'orders', ...settings])
  await tool(millrace, 'TopicCommand', ['--create', '--topic', 'clicks', '--partitions', '3'])
  const rows = Array.from({ length: RECORDS }, (_, i) => `k${i}:v${i}\n`).join('')
  kcat(kafka.bootstrap, ['-P', '-t', 'orders', '-K:', '-z', 'lz4', '-H', 'from=kafka'], rows)
  kcat(millrace, ['-P', '-t', 'clicks', '-K:', '-z', 'zstd', '-H', 'from=millrace'], rows)
  kcat(kafka.bootstrap, ['-G', 'readers', '-X', 'auto.offset.reset=earliest', '-c', '300', 'orders'])

  const name = join(folder, 'mirror.properties')
  const everySecond = ['refresh.topics', 'refresh.groups', 'sync.topic.configs', 'emit.checkpoints', 'sync.group.offsets']
  const one = ['checkpoints.topic', 'heartbeats.topic', 'offset-syncs.topic', 'offset.storage', 'status.storage', 'config.storage']
  const properties: Record<string, string | number> = {
    clusters: 'real, mill',
    'real.bootstrap.servers': kafka.bootstrap,
    'mill.bootstrap.servers': millrace,
    'real->mill.enabled': 'true',
    'real->mill.topics': 'orders',
    'mill->real.enabled': 'true',
    'mill->real.topics': 'clicks',
    groups: 'readers',
    'sync.group.offsets.enabled': 'true',
    'sync.topic.acls.enabled': 'false',
    'offset.lag.max': 0,
    'replication.factor': 1,
    ...Object.fromEntries(everySecond.map((what) => [`${what}.interval.seconds`, 1])),
    ...Object.fromEntries(one.map((what) => [`${what}.replication.factor`, 1])),
  }
  const text = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`)
  writeFileSync(name, text.join(''))
  const mirror = spawn(script, ['tool', 'org.apache.kafka.connect.mirror.MirrorMaker', name], { env: { ...process.env, LVL: 'ERROR' } })
  const ended = once(mirror, 'close')
  let output = ''
  for (const stream of [mirror.stdout, mirror.stderr]) stream.on('data', (data) => (output += data))
  t.after(() => mirror.kill('SIGKILL'))

  const exists = (bootstrap: string, topic: string) => kcat(bootstrap, ['-L', '-J']).includes(`"topic":"${topic}"`)
  const records = (bootstrap: string, topic: string) =>
    exists(bootstrap, topic)
      ? kcat(bootstrap, ['-C', '-t', topic, '-e', '-f', '%p %o %k %s %h %T\n']).split('\n').filter(Boolean).sort()
      : []
  const copied = async (from: [string, string], to: [string, string], count: number) => {
    await until(
      () => records(...to).length >= count || mirror.exitCode !== null,
      () => `${records(...to).length} of ${count} records: ${output.slice(-3_000)}`,
      MIRRORED_MS_MAX,
    )
    assert.deepEqual(records(...to), records(...from))
  }
  await copied([kafka.bootstrap, 'orders'], [millrace, 'real.orders'], RECORDS)
  await copied([millrace, 'clicks'], [kafka.bootstrap, 'mill.clicks'], RECORDS)
  assert.match(
    await tool(millrace, 'TopicCommand', ['--describe', '--topic', 'real.orders']),
    /PartitionCount: 2.*Configs: cleanup\.policy=compact,flush\.ms=5000,retention\.ms=604800000/,
  )
  // Offsets are translated a little too low where records were copied together, never too high.
  const offsets = async (bootstrap: string, topic: string) => {
    const described = await tool(bootstrap, 'consumer.group.ConsumerGroupCommand', ['--describe', '--group', 'readers'])
    return [0, 1].map((partition) => Number(new RegExp(`readers +${topic} +${partition} +(\\d+)`).exec(described)?.[1] ?? 0))
  }
  let translated = [0, 0]
  const groups = () => tool(millrace, 'consumer.group.ConsumerGroupCommand', ['--list'])
  await until(
    async () => (await groups()).includes('readers'),
    () => `no group: ${output.slice(-3_000)}`,
    MIRRORED_MS_MAX,
  )
  await until(
    async () => (translated = await offsets(millrace, 'real\\.orders')).some((offset) => offset > 0),
    () => `no offsets: ${output.slice(-3_000)}`,
    MIRRORED_MS_MAX,
  )
  const committed = await offsets(kafka.bootstrap, 'orders')
  assert.ok(
    translated.some((offset) => offset > 0) && translated.every((offset, i) => offset <= committed[i]),
    `${translated} of ${committed}`,
  )
  // Of what it says while it ends, some is its own clients that were closed before their threads.
  assert.doesNotMatch(output, /ERROR/)
  mirror.kill('SIGTERM')
  await ended
})
