// What tools ask of a cluster in which nothing can move, join or leave: answered as by a Kafka with one broker and one folder.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR } from './errors.ts'
import { alterReplicaLogDirsApi } from './messages/alterReplicaLogDirs.ts'
import { apiVersionsApi } from './messages/apiVersions.ts'
import { createAclsApi } from './messages/createAcls.ts'
import { saslAuthenticateApi } from './messages/saslAuthenticate.ts'
import { saslHandshakeApi } from './messages/saslHandshake.ts'
import { unregisterBrokerApi } from './messages/unregisterBroker.ts'
import { updateFeaturesApi } from './messages/updateFeatures.ts'
import { OPERATION, PATTERN, PERMISSION, RESOURCE } from './security/acls.ts'
import { startTestBroker, type TestClient } from './testClient.ts'

async function codesOfMove(client: TestClient, version: number, path: string) {
  const topics = [
    { name: 't', partitions: [0, 7] },
    { name: 'none', partitions: [0] },
  ]
  const { results } = await client.call(alterReplicaLogDirsApi, version, { dirs: [{ path, topics }] })
  return results.flatMap(({ topicName, partitions }) =>
    partitions.map(({ partitionIndex, errorCode }) => [topicName, partitionIndex, errorCode]),
  )
}
const update = (client: TestClient, version: number, levels: Record<string, number>) =>
  client.call(updateFeaturesApi, version, {
    featureUpdates: Object.entries(levels).map(([feature, maxVersionLevel]) => ({ feature, maxVersionLevel })),
  })

test('replicas move to the folder where they are, and to no other', async (t) => {
  const { log, client } = await startTestBroker(t)
  await log.createTopic('t', {})
  const one = await client()
  const [missing, noFolder] = [ERROR.UNKNOWN_TOPIC_OR_PARTITION, ERROR.LOG_DIR_NOT_FOUND]
  for (const version of [1, 2]) {
    const same = [
      ['t', 0, 0],
      ['t', 7, missing],
      ['none', 0, missing],
    ]
    assert.deepEqual(await codesOfMove(one, version, `${log.folder}/`), same)
    assert.deepEqual(
      await codesOfMove(one, version, '/nowhere'),
      same.map(([name, index]) => [name, index, noFolder]),
    )
  }
})

test('features are asked for at the levels that they have; the broker that answers cannot be taken out', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  const { INVALID_UPDATE_VERSION } = ERROR
  for (const version of [0, 1, 2]) {
    assert.equal((await update(one, version, { 'group.version': 1, 'transaction.version': 2 })).errorCode, 0)
    const { errorCode, errorMessage, results } = await update(one, version, { 'group.version': 1, 'transaction.version': 1, other: 1 })
    assert.deepEqual([errorCode, errorMessage], [INVALID_UPDATE_VERSION, 'transaction.version is 2 here, and stays so'])
    const codes = version === 2 ? [] : [0, INVALID_UPDATE_VERSION, INVALID_UPDATE_VERSION]
    assert.deepEqual(
      (results ?? []).map((result) => result.errorCode),
      codes,
    )
  }
  const unregister = async (brokerId: number) => (await one.call(unregisterBrokerApi, 0, { brokerId })).errorCode
  assert.deepEqual([await unregister(2), await unregister(1)], [ERROR.BROKER_ID_NOT_REGISTERED, ERROR.INVALID_REQUEST])
})

test('a feature that begins at 0 is told only to clients that understand it', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  const software = { clientSoftwareName: 'apache-kafka-java', clientSoftwareVersion: '3.3.2' }
  for (const [version, names] of [
    [3, []],
    [4, ['group.version', 'transaction.version']],
  ] as const) {
    const { supportedFeatures, finalizedFeatures } = await one.call(apiVersionsApi, version, software)
    assert.deepEqual(
      supportedFeatures.map(({ name }) => name),
      names,
    )
    assert.deepEqual(
      finalizedFeatures.map(({ name }) => name),
      ['group.version', 'transaction.version'],
    )
  }
})

test('all of it needs ALTER of the cluster', async (t) => {
  const { log, client, kafka } = await startTestBroker(t, { superUsers: ['root'] })
  await log.createTopic('t', {})
  await kafka.users.create('root', 'root password')
  await kafka.users.create('app', 'app password')
  const one = await client()
  await one.call(saslHandshakeApi, 1, { mechanism: 'PLAIN' })
  await one.call(saslAuthenticateApi, 2, { authBytes: Buffer.from('\0app\0app password') })
  // With the first entry not everybody may do everything any more.
  const what = { resourceType: RESOURCE.topic, resourceName: 't', resourcePatternType: PATTERN.literal, principal: 'User:app', host: '*' }
  const creations = [{ ...what, operation: OPERATION.read, permissionType: PERMISSION.allow }]
  assert.equal((await one.call(createAclsApi, 3, { creations })).results[0].errorCode, 0)
  const refused = ERROR.CLUSTER_AUTHORIZATION_FAILED
  assert.ok((await codesOfMove(one, 2, log.folder)).every(([, , code]) => code === refused))
  assert.equal((await update(one, 2, { 'group.version': 1 })).errorCode, refused)
  assert.equal((await one.call(unregisterBrokerApi, 0, { brokerId: 2 })).errorCode, refused)
})
