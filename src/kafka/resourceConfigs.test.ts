// Settings of groups, of the broker and of clients' metrics over the wire: kept, told as Kafka tells them, and with their effect.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultTopicConfig, openLog } from '../log/index.ts'
import { ERROR } from './errors.ts'
import { startKafka } from './index.ts'
import { alterConfigsApi } from './messages/alterConfigs.ts'
import { consumerGroupDescribeApi } from './messages/consumerGroupDescribe.ts'
import { consumerGroupHeartbeatApi } from './messages/consumerGroupHeartbeat.ts'
import { createAclsApi } from './messages/createAcls.ts'
import { createTopicsApi } from './messages/createTopics.ts'
import { describeConfigsApi } from './messages/describeConfigs.ts'
import { incrementalAlterConfigsApi } from './messages/incrementalAlterConfigs.ts'
import { listConfigResourcesApi } from './messages/listConfigResources.ts'
import { metadataApi } from './messages/metadata.ts'
import { saslAuthenticateApi } from './messages/saslAuthenticate.ts'
import { saslHandshakeApi } from './messages/saslHandshake.ts'
import { RESOURCE as ACL_RESOURCE, OPERATION, PATTERN, PERMISSION } from './security/acls.ts'
import { startTestBroker, type TestClient } from './testClient.ts'

const [BROKER, METRICS, GROUP] = [4, 16, 32]
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3]
const SESSION = 'consumer.session.timeout.ms'
const HEARTBEAT = 'consumer.heartbeat.interval.ms'
const LEADER_RATE = 'leader.replication.throttled.rate'

/** Null takes back. */
async function change(client: TestClient, type: number, name: string, settings: Record<string, string | null>, operation = SET) {
  const configs = Object.entries(settings).map(([key, value]) => ({
    name: key,
    value,
    configOperation: value === null ? DELETE : operation,
  }))
  const resources = [{ resourceType: type, resourceName: name, configs }]
  return (await client.call(incrementalAlterConfigsApi, 1, { resources })).responses[0].errorCode
}
async function described(client: TestClient, type: number, name: string) {
  const resources = [{ resourceType: type, resourceName: name, configurationKeys: null }]
  return (await client.call(describeConfigsApi, 4, { resources, includeSynonyms: true })).results[0]
}
/** What was set, with where it comes from. */
async function given(client: TestClient, type: number, name: string) {
  const { configs } = await described(client, type, name)
  const [fixed, standard] = [4, 5]
  const set = configs.filter(({ configSource }) => configSource !== fixed && configSource !== standard)
  return Object.fromEntries(set.map((one) => [one.name, [one.value, one.configSource]]))
}
const namesOf = async (client: TestClient, type: number) =>
  (await client.call(listConfigResourcesApi, 1, { resourceTypes: [type] })).configResources.map(({ resourceName }) => resourceName)

test('what was set of groups, brokers and metrics is listed and told over a restart, until it is taken back', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const first = await startTestBroker(t, { folder })
  const one = await first.client()
  assert.equal(await change(one, GROUP, 'g', { [SESSION]: '50000', [HEARTBEAT]: '6000' }), 0)
  assert.equal(await change(one, GROUP, 'h', { [SESSION]: '60000' }), 0)
  assert.equal(await change(one, BROKER, '1', { [LEADER_RATE]: '1000' }), 0)
  assert.equal(await change(one, BROKER, '', { [LEADER_RATE]: '2000', 'num.io.threads': '4' }), 0)
  assert.equal(await change(one, METRICS, 'm', { 'interval.ms': '30000', match: 'client_id=a.*,client_software_name=java' }), 0)
  assert.equal(await change(one, METRICS, 'm', { metrics: 'a.,b.' }, APPEND), 0)
  assert.equal(await change(one, METRICS, 'm', { metrics: 'c.' }, APPEND), 0)
  assert.equal(await change(one, METRICS, 'm', { metrics: 'a.' }, SUBTRACT), 0)
  one.end()
  await first.kafka.close()
  await first.log.close()

  const second = await startTestBroker(t, { folder })
  const two = await second.client()
  assert.deepEqual(await namesOf(two, GROUP), ['g', 'h'])
  assert.deepEqual(await namesOf(two, METRICS), ['m'])
  assert.deepEqual(await given(two, GROUP, 'g'), { [HEARTBEAT]: ['6000', 8], [SESSION]: ['50000', 8] })
  assert.deepEqual(await given(two, BROKER, ''), { [LEADER_RATE]: ['2000', 3], 'num.io.threads': ['4', 3] })
  assert.deepEqual(await given(two, BROKER, '1'), { [LEADER_RATE]: ['1000', 2], 'num.io.threads': ['4', 3] })
  const metrics = { 'interval.ms': ['30000', 7], match: ['client_id=a.*,client_software_name=java', 7], metrics: ['b.,c.', 7] }
  assert.deepEqual(await given(two, METRICS, 'm'), metrics)
  const { configs } = await described(two, BROKER, '1')
  const rate = configs.find(({ name }) => name === LEADER_RATE)!
  assert.deepEqual(
    rate.synonyms.map(({ value, source }) => [value, source]),
    [
      ['1000', 2],
      ['2000', 3],
    ],
  )
  assert.deepEqual(
    configs.find(({ name }) => name === 'num.io.threads')?.synonyms.map(({ value, source }) => [value, source]),
    [
      ['4', 3],
      ['8', 5],
    ],
  )
  // What was never set is taken back as well.
  assert.equal(await change(two, GROUP, 'h', { [SESSION]: null, 'no.such': null }), 0)
  assert.deepEqual(await namesOf(two, GROUP), ['g'])
  const resources = [{ resourceType: GROUP, resourceName: 'g', configs: [{ name: HEARTBEAT, value: '7000' }] }]
  assert.equal((await two.call(alterConfigsApi, 2, { resources })).responses[0].errorCode, 0)
  assert.deepEqual(await given(two, GROUP, 'g'), { [HEARTBEAT]: ['7000', 8] })
})

test('what cannot be set is refused with the code of Kafka, and changes nothing', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  const { INVALID_CONFIG, INVALID_REQUEST } = ERROR
  const wrong: [type: number, name: string, setting: string, value: string, code: number][] = [
    [GROUP, 'g', SESSION, '44999', INVALID_CONFIG],
    [GROUP, 'g', SESSION, '60001', INVALID_CONFIG],
    [GROUP, 'g', SESSION, 'long', INVALID_CONFIG],
    [GROUP, 'g', HEARTBEAT, '4999', INVALID_CONFIG],
    [GROUP, 'g', 'share.isolation.level', 'read_committed', INVALID_CONFIG],
    [GROUP, '', SESSION, '50000', INVALID_REQUEST],
    [BROKER, '1', LEADER_RATE, '-1', INVALID_REQUEST],
    [BROKER, '1', 'log.retention.ms', 'long', INVALID_REQUEST],
    [BROKER, '1', 'log.retention.hours', '1', INVALID_REQUEST],
    [BROKER, '', 'num.partitions', '2', INVALID_REQUEST],
    [BROKER, '', 'log.cleanup.policy', 'forget', INVALID_REQUEST],
    [BROKER, '', 'min.insync.replicas', '2', INVALID_REQUEST],
    [BROKER, '', 'log.cleaner.max.compaction.lag.ms', '0', INVALID_REQUEST],
    [BROKER, '5', LEADER_RATE, '1000', INVALID_REQUEST],
    [METRICS, 'm', 'interval.ms', '99', INVALID_REQUEST],
    [METRICS, 'm', 'match', 'client_name=a', INVALID_CONFIG],
    [METRICS, 'm', 'match', 'client_id=[', INVALID_CONFIG],
    [8, '1', 'root', 'DEBUG', INVALID_REQUEST],
  ]
  for (const [type, name, setting, value, code] of wrong) {
    assert.equal(await change(one, type, name, { [setting]: value }), code, `${type} ${name}: ${setting}=${value}`)
  }
  assert.deepEqual([await namesOf(one, GROUP), await namesOf(one, METRICS), await given(one, BROKER, '1')], [[], [], {}])
})

test('of the broker is told under which address it is, and what topics have by default', async (t) => {
  const { client, kafka } = await startTestBroker(t)
  const { configs } = await described(await client(), BROKER, '1')
  const found = new Map(configs.map(({ name, value, readOnly }) => [name, [value, readOnly]]))
  assert.equal(found.size, configs.length, 'each once')
  assert.deepEqual(found.get('advertised.listeners'), [`PLAINTEXT://127.0.0.1:${kafka.port}`, true])
  assert.deepEqual(found.get('log.cleanup.policy'), ['delete', false])
  assert.deepEqual(found.get('message.max.bytes'), ['1048588', false])
  // Kafka's default is told in hours.
  assert.deepEqual(found.get('log.retention.ms'), [null, false])
})

test('what topics were not given follows the broker, by name before all of them, over a restart, until it is taken back', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const first = await startTestBroker(t, { folder })
  const one = await first.client()
  const TOPIC = 2
  const create = async (client: TestClient, name: string, settings: Record<string, string> = {}) => {
    const configs = Object.entries(settings).map(([key, value]) => ({ name: key, value }))
    const [made] = (await client.call(createTopicsApi, 7, { topics: [{ name, numPartitions: -1, replicationFactor: -1, configs }] })).topics
    assert.equal(made.errorCode, 0)
    return Object.fromEntries(made.configs!.map(({ name: key, value, configSource }) => [key, [value, configSource]]))
  }
  const told = async (client: TestClient, topic: string, setting: string) => {
    const { configs } = await described(client, TOPIC, topic)
    const { value, configSource, synonyms } = configs.find(({ name }) => name === setting)!
    assert.equal(synonyms[0]?.source ?? 5, configSource)
    return [value, ...synonyms.map((synonym) => `${synonym.source} ${synonym.name}=${synonym.value}`)]
  }
  await create(one, 'before')
  await create(one, 'own', { 'retention.ms': '604800000', 'flush.ms': '7' })
  await first.log.createTopic('ofOurs', { 'retention.ms': 604_800_000 })
  await first.log.createTopic('__millrace_internal')
  assert.deepEqual(await told(one, 'before', 'retention.ms'), ['604800000'])
  assert.equal(await change(one, BROKER, '', { 'log.retention.ms': '1000', 'message.max.bytes': '3000', 'log.flush.interval.ms': '5' }), 0)
  assert.equal(await change(one, BROKER, '1', { 'message.max.bytes': '2000', 'log.cleanup.policy': 'compact' }), 0)
  assert.equal(await change(one, BROKER, '1', { 'log.cleanup.policy': 'delete' }, APPEND), 0)
  const made = await create(one, 'after')
  assert.deepEqual(
    [made['retention.ms'], made['max.message.bytes'], made['segment.ms']],
    [
      ['1000', 3],
      ['2000', 2],
      ['604800000', 5],
    ],
  )
  // Internal topics are what they are.
  const internal = first.log.topic('__millrace_internal')!.config
  assert.deepEqual([internal['retention.ms'], internal['max.message.bytes']], [604_800_000, 1_048_588])

  const follow = async (broker: typeof first, client: TestClient) => {
    for (const topic of ['before', 'after']) {
      const { config } = broker.log.topic(topic)!
      assert.deepEqual([config['retention.ms'], config['max.message.bytes'], config['cleanup.policy']], [1_000, 2_000, 'compact,delete'])
      assert.deepEqual(await told(client, topic, 'retention.ms'), ['1000', '3 log.retention.ms=1000', '5 log.retention.hours=168'])
      const inBytes = ['2000', '2 message.max.bytes=2000', '3 message.max.bytes=3000', '5 message.max.bytes=1048588']
      assert.deepEqual(await told(client, topic, 'max.message.bytes'), inBytes)
      assert.deepEqual((await told(client, topic, 'flush.ms'))[0], '5')
    }
    for (const topic of ['own', 'ofOurs']) assert.equal(broker.log.topic(topic)!.config['retention.ms'], 604_800_000)
    const inMs = ['604800000', '1 retention.ms=604800000', '3 log.retention.ms=1000', '5 log.retention.hours=168']
    assert.deepEqual(await told(client, 'own', 'retention.ms'), inMs)
    assert.deepEqual((await told(client, 'own', 'flush.ms')).slice(0, 3), ['7', '1 flush.ms=7', '3 log.flush.interval.ms=5'])
  }
  await follow(first, one)
  one.end()
  await first.kafka.close()
  await first.log.close()

  // The log knows it without a Kafka port.
  const log = await openLog({ folder, durability: 'os' })
  assert.equal(log.topic('before')!.config['retention.ms'], 1_000)
  await log.close()
  const second = await startTestBroker(t, { folder })
  const two = await second.client()
  await follow(second, two)
  // A topic that is told to follow again does; and what nobody sets any more is what it was.
  assert.equal(await change(two, TOPIC, 'own', { 'retention.ms': null }), 0)
  assert.equal(second.log.topic('own')!.config['retention.ms'], 1_000)
  assert.equal(await change(two, BROKER, '1', { 'message.max.bytes': null, 'log.cleanup.policy': null }), 0)
  assert.equal(second.log.topic('after')!.config['max.message.bytes'], 3_000)
  assert.equal(await change(two, BROKER, '', { 'message.max.bytes': null, 'log.retention.ms': null, 'log.flush.interval.ms': null }), 0)
  const { own: _, clientSettings: __, ...config } = second.log.topic('own')!.config
  assert.deepEqual(config, defaultTopicConfig)
  assert.deepEqual(await told(two, 'own', 'retention.ms'), ['604800000'])
})

test('settings of the start are those of the broker, and what is set later counts before them', async (t) => {
  const settings = { 'num.partitions': 3, 'log.retention.ms': 5_000, 'offsets.retention.minutes': 60, 'auto.create.topics.enable': false }
  const { client, log } = await startTestBroker(t, { settings })
  const one = await client()
  const topics = [{ name: 't', numPartitions: -1, replicationFactor: -1, configs: [] }]
  const [made] = (await one.call(createTopicsApi, 7, { topics })).topics
  assert.equal(made.numPartitions, 3)
  assert.deepEqual([log.topic('t')!.partitions.length, log.topic('t')!.config['retention.ms']], [3, 5_000])
  const told = async (name: string) => (await described(one, BROKER, '1')).configs.find((config) => config.name === name)!
  assert.deepEqual([(await told('num.partitions')).value, (await told('offsets.retention.minutes')).value], ['3', '60'])
  assert.deepEqual([(await told('log.retention.ms')).value, (await told('log.retention.ms')).configSource], ['5000', 4])
  await one.call(metadataApi, 12, { topics: [{ name: 'asked' }], allowAutoTopicCreation: true })
  assert.equal(log.topic('asked'), undefined)
  assert.equal(await change(one, BROKER, '', { 'log.retention.ms': '7000' }), 0)
  assert.equal(log.topic('t')!.config['retention.ms'], 7_000)

  const asked = await startTestBroker(t, { settings: { 'num.partitions': '2' } })
  await (await asked.client()).call(metadataApi, 12, { topics: [{ name: 'asked' }], allowAutoTopicCreation: true })
  assert.equal(asked.log.topic('asked')!.partitions.length, 2)
  for (const [name, value] of [
    ['num.partitions', 0],
    ['no.such', 1],
    ['log.cleanup.policy', 'x'],
    ['auto.create.topics.enable', 'perhaps'],
  ] as const) {
    const started = startKafka({ log, logger: { warn() {}, error() {} }, settings: { [name]: value } })
    await assert.rejects(started, { code: 'KAFKA_SETTING_INVALID' })
  }
})

test('a group has the times that were set for it', async (t) => {
  const { client } = await startTestBroker(t, { limits: { consumerSessionMs: 50 } })
  const one = await client()
  assert.equal(await change(one, GROUP, 'patient', { [SESSION]: '45000', [HEARTBEAT]: '15000' }), 0)
  const beat = (groupId: string, memberEpoch: number) =>
    one.call(consumerGroupHeartbeatApi, 1, {
      groupId,
      memberId: 'm',
      memberEpoch,
      rebalanceTimeoutMs: 1_000,
      subscribedTopicNames: ['t'],
      topicPartitions: [],
    })
  assert.deepEqual([(await beat('patient', 0)).heartbeatIntervalMs, (await beat('hasty', 0)).heartbeatIntervalMs], [15_000, 5_000])
  const stateOf = async (groupId: string) => (await one.call(consumerGroupDescribeApi, 1, { groupIds: [groupId] })).groups[0].groupState
  while ((await stateOf('hasty')) !== 'Empty');
  assert.equal(await stateOf('patient'), 'Stable')
  // Also of members that are there already, with their next heartbeat.
  assert.equal(await change(one, GROUP, 'patient', { [SESSION]: null }), 0)
  assert.equal((await beat('patient', 1)).errorCode, 0)
  while ((await stateOf('patient')) !== 'Empty');
})

test('settings of a group need an entry for the group, those of a broker one for the cluster', async (t) => {
  const { client, kafka } = await startTestBroker(t, { superUsers: ['root'] })
  const login = async (user: string) => {
    await kafka.users.create(user, `${user} password`)
    const one = await client()
    await one.call(saslHandshakeApi, 1, { mechanism: 'PLAIN' })
    assert.equal((await one.call(saslAuthenticateApi, 2, { authBytes: Buffer.from(`\0${user}\0${user} password`) })).errorCode, 0)
    return one
  }
  const root = await login('root')
  const app = await login('app')
  for (const operation of [OPERATION.alterConfigs, OPERATION.describeConfigs]) {
    const what = { resourceType: ACL_RESOURCE.group, resourceName: 'mine', resourcePatternType: PATTERN.literal }
    const creation = { ...what, principal: 'User:app', host: '*', operation, permissionType: PERMISSION.allow }
    assert.equal((await root.call(createAclsApi, 3, { creations: [creation] })).results[0].errorCode, 0)
  }
  assert.equal(await change(app, GROUP, 'mine', { [SESSION]: '50000' }), 0)
  assert.equal(await change(app, GROUP, 'other', { [SESSION]: '50000' }), ERROR.GROUP_AUTHORIZATION_FAILED)
  assert.equal(await change(app, BROKER, '1', { [LEADER_RATE]: '1' }), ERROR.CLUSTER_AUTHORIZATION_FAILED)
  assert.deepEqual(await given(app, GROUP, 'mine'), { [SESSION]: ['50000', 8] })
  assert.equal((await described(app, GROUP, 'other')).errorCode, ERROR.GROUP_AUTHORIZATION_FAILED)
})
