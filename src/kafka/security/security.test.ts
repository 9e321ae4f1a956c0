import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { createToken, TokenStore } from '../../base/index.ts'
import { ERROR } from '../errors.ts'
import { alterClientQuotasApi } from '../messages/alterClientQuotas.ts'
import { alterUserScramCredentialsApi } from '../messages/alterUserScramCredentials.ts'
import { apiVersionsApi } from '../messages/apiVersions.ts'
import { createAclsApi } from '../messages/createAcls.ts'
import { createTopicsApi } from '../messages/createTopics.ts'
import { deleteAclsApi } from '../messages/deleteAcls.ts'
import { deleteTopicsApi } from '../messages/deleteTopics.ts'
import { describeAclsApi } from '../messages/describeAcls.ts'
import { describeClientQuotasApi } from '../messages/describeClientQuotas.ts'
import { describeConfigsApi } from '../messages/describeConfigs.ts'
import { describeUserScramCredentialsApi } from '../messages/describeUserScramCredentials.ts'
import { fetchApi } from '../messages/fetch.ts'
import { findCoordinatorApi } from '../messages/findCoordinator.ts'
import { initProducerIdApi } from '../messages/initProducerId.ts'
import { joinGroupApi } from '../messages/joinGroup.ts'
import { listGroupsApi } from '../messages/listGroups.ts'
import { listOffsetsApi } from '../messages/listOffsets.ts'
import { metadataApi } from '../messages/metadata.ts'
import { offsetCommitApi } from '../messages/offsetCommit.ts'
import { offsetFetchApi } from '../messages/offsetFetch.ts'
import { produceApi } from '../messages/produce.ts'
import { saslAuthenticateApi } from '../messages/saslAuthenticate.ts'
import { saslHandshakeApi } from '../messages/saslHandshake.ts'
import { batchOf, startTestBroker, TestClient } from '../testClient.ts'
import { apis } from '../testMessages.ts'
import { type Acl, decide, OPERATION, PATTERN, PERMISSION, RESOURCE } from './acls.ts'
import { guards } from './guards.ts'
import { Quotas } from './quotas.ts'
import { isPassword, newCredential } from './scram.ts'

const ITERATIONS = 4_096
const hashes = { 'SCRAM-SHA-256': ['sha256', 32, 1], 'SCRAM-SHA-512': ['sha512', 64, 2] } as const
type Mechanism = keyof typeof hashes

/** Stores a password as Kafka's tools do. */
async function setPassword(
  client: TestClient,
  name: string,
  password: string,
  mechanism: Mechanism = 'SCRAM-SHA-256',
  iterations = ITERATIONS,
) {
  const [hash, size, number] = hashes[mechanism]
  const salt = Buffer.from('0123456789abcdef')
  const saltedPassword = pbkdf2Sync(password, salt, iterations, size, hash)
  const upsertions = [{ name, mechanism: number, iterations, salt, saltedPassword }]
  return (await client.call(alterUserScramCredentialsApi, 0, { deletions: [], upsertions })).results[0].errorCode
}

const step = async (client: TestClient, text: string) => {
  const { errorCode, errorMessage, authBytes } = await client.call(saslAuthenticateApi, 2, { authBytes: Buffer.from(text) })
  return { errorCode, errorMessage, text: Buffer.from(authBytes).toString() }
}
async function loginPlain(client: TestClient, user: string, password: string) {
  assert.equal((await client.call(saslHandshakeApi, 1, { mechanism: 'PLAIN' })).errorCode, 0)
  return step(client, `\0${user}\0${password}`)
}
/** The client's side of SCRAM, which shares nothing with ours. Source: RFC 5802. */
async function loginScram(client: TestClient, mechanism: Mechanism, user: string, password: string, spoil = (final: string) => final) {
  const [hash, size] = hashes[mechanism]
  const hmac = (key: Uint8Array, text: string) => createHmac(hash, key).update(text).digest()
  assert.equal((await client.call(saslHandshakeApi, 1, { mechanism })).errorCode, 0)
  const bare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=fyko+d2lbbFgONRv9qkxdawL`
  const first = await step(client, `n,,${bare}`)
  if (first.errorCode !== 0) return first
  const { nonce, salt, rounds } = /^r=(?<nonce>[^,]+),s=(?<salt>[^,]+),i=(?<rounds>\d+)$/.exec(first.text)!.groups!
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(rounds), size, hash)
  const clientKey = hmac(salted, 'Client Key')
  const withoutProof = `c=biws,r=${nonce}`
  const authMessage = `${bare},${first.text},${withoutProof}`
  const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage)
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i])).toString('base64')
  const last = await step(client, spoil(`${withoutProof},p=${proof}`))
  if (last.errorCode === 0)
    assert.equal(last.text, `v=${hmac(hmac(salted, 'Server Key'), authMessage).toString('base64')}`, 'the server knows the password too')
  return last
}

function tokensOf(t: TestContext): TokenStore {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tokens-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return new TokenStore(join(folder, 'tokens.json'))
}

test('every API is in the table of guards', () => {
  for (const { key, name } of apis) assert.ok(guards[key], `${name} (${key})`)
})

test('on loopback the port is open until there is a user; then everybody logs in, by PLAIN or SCRAM', async (t) => {
  const { client, lines } = await startTestBroker(t)
  const open = await client()
  assert.equal(await setPassword(open, 'ana', 'open sesame'), 0)
  await assert.rejects(open.call(metadataApi, 12, { topics: null }), /connection closed/)
  assert.match(lines.join(), /Metadata before a login/)

  const ana = await client()
  const versions = await ana.call(apiVersionsApi, 3, { clientSoftwareName: 'test', clientSoftwareVersion: '1' })
  assert.ok(
    versions.apiKeys.some(({ apiKey }) => apiKey === 36),
    'versions are told before a login',
  )
  assert.equal((await loginPlain(ana, 'ana', 'open sesame')).errorCode, 0)
  assert.equal((await ana.call(metadataApi, 12, { topics: null })).topics.length, 1)
  assert.equal(await setPassword(ana, 'bo', 'b,o=', 'SCRAM-SHA-512'), 0)
  assert.equal((await loginScram(await client(), 'SCRAM-SHA-256', 'ana', 'open sesame')).errorCode, 0)
  assert.equal((await loginScram(await client(), 'SCRAM-SHA-512', 'bo', 'b,o=')).errorCode, 0)
  // bo has no credential for the other hash.
  assert.equal((await loginScram(await client(), 'SCRAM-SHA-256', 'bo', 'b,o=')).errorCode, ERROR.SASL_AUTHENTICATION_FAILED)
  assert.ok(
    lines.every((line) => !line.includes('sesame')),
    'no password in the log',
  )
})

test('a login that fails is answered, ends the connection, and does not tell who exists', async (t) => {
  const { client } = await startTestBroker(t)
  await setPassword(await client(), 'ana', 'right')
  const attempts: ((one: TestClient) => Promise<{ errorCode: number; errorMessage: string | null }>)[] = [
    (one) => loginPlain(one, 'ana', 'wrong'),
    (one) => loginPlain(one, 'nobody', 'wrong'),
    (one) => loginScram(one, 'SCRAM-SHA-256', 'ana', 'wrong'),
    (one) => loginScram(one, 'SCRAM-SHA-256', 'nobody', 'wrong'),
    (one) => loginScram(one, 'SCRAM-SHA-256', 'ana', 'right', (final) => final.replace('c=biws', 'c=eSws')),
    (one) => loginScram(one, 'SCRAM-SHA-256', 'ana', 'right', (final) => final.replace('r=fyko', 'r=oyko')),
  ]
  for (const [i, attempt] of attempts.entries()) {
    const one = await client()
    const { errorCode, errorMessage } = await attempt(one)
    assert.deepEqual(
      [errorCode, errorMessage],
      [ERROR.SASL_AUTHENTICATION_FAILED, 'Authentication failed: invalid user or password'],
      `${i}`,
    )
    await one.closed()
  }
  const strange = await client()
  const { errorCode, mechanisms } = await strange.call(saslHandshakeApi, 1, { mechanism: 'GSSAPI' })
  assert.deepEqual([errorCode, mechanisms], [ERROR.UNSUPPORTED_SASL_MECHANISM, ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']])
  await strange.closed()
  const early = await client()
  assert.equal((await step(early, 'x')).errorCode, ERROR.ILLEGAL_SASL_STATE)
  const large = await client()
  large.socket.write(Buffer.from('00100000000000090000', 'hex'))
  await large.closed()
})

test('a handshake of version 0 is followed by bare tokens, and then by requests', async (t) => {
  const { client, lines } = await startTestBroker(t)
  await setPassword(await client(), 'ana', 'right')
  const bare = (token: string) => {
    const frame = Buffer.alloc(4 + token.length, token)
    frame.writeInt32BE(token.length)
    if (token.length > 0) frame.write(token, 4)
    return frame
  }
  const answered = (one: TestClient) => new Promise<Buffer>((resolve) => one.socket.once('data', resolve))
  const ana = await client()
  assert.equal((await ana.call(saslHandshakeApi, 0, { mechanism: 'PLAIN' })).errorCode, 0)
  const answer = answered(ana)
  // In two pieces, as any frame may come.
  const token = bare('\0ana\0right')
  ana.socket.write(token.subarray(0, 3))
  await sleep(20)
  ana.socket.write(token.subarray(3))
  assert.deepEqual(await answer, bare(''))
  assert.equal((await ana.call(metadataApi, 12, { topics: null })).topics.length, 1)
  assert.equal((await ana.call(saslHandshakeApi, 0, { mechanism: 'PLAIN' })).errorCode, ERROR.ILLEGAL_SASL_STATE)

  const scram = await client()
  assert.equal((await scram.call(saslHandshakeApi, 0, { mechanism: 'SCRAM-SHA-256' })).errorCode, 0)
  const first = answered(scram)
  scram.socket.write(bare('n,,n=ana,r=fyko'))
  assert.match((await first).subarray(4).toString(), /^r=fyko.+,s=.+,i=4096$/)

  for (const wrong of [bare('\0ana\0wrong'), bare(''), Buffer.from('ffffffff', 'hex'), Buffer.from('7fffffff', 'hex')]) {
    const one = await client()
    await one.call(saslHandshakeApi, 0, { mechanism: 'PLAIN' })
    let received = 0
    one.socket.on('data', (chunk) => (received += chunk.length))
    one.socket.write(wrong)
    await one.closed()
    assert.equal(received, 0)
  }
  assert.ok(lines.some((line) => line.includes('its login as "ana" failed (PLAIN: invalid user or password)')))
  assert.ok(lines.some((line) => line.includes('its login failed (PLAIN: not a PLAIN token)')))
  scram.socket.write(bare('c=biws,r=none,p=AAAA'))
  await scram.closed()
  assert.ok(lines.some((line) => line.includes('its login as "ana" failed (SCRAM-SHA-256: ')))
})

test('any bytes as login tokens: a refusal, never a failure of ours', async (t) => {
  const { client, lines } = await startTestBroker(t)
  await setPassword(await client(), 'ana', 'right')
  const token = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.constantFrom('n,,n=ana,r=x', 'n,,n=,r=', 'p=x,,n=ana,r=x', '\0', '\0\0\0', 'c=,r=,p='),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('PLAIN', 'SCRAM-SHA-256'),
      fc.array(token, { minLength: 1, maxLength: 3 }),
      async (mechanism, tokens) => {
        const one = await client()
        await one.call(saslHandshakeApi, 1, { mechanism })
        for (const text of tokens) {
          const answer = await step(one, text).catch(() => undefined)
          if (answer?.errorCode !== 0) break
        }
        one.end()
      },
    ),
    { numRuns: 40 },
  )
  assert.ok(
    lines.every((line) => !line.includes('internal')),
    lines.join('\n'),
  )
})

test('a token is a PLAIN password: its role says what its bearer may do', async (t) => {
  const tokens = tokensOf(t)
  const { client } = await startTestBroker(t, { tokens })
  const reader = createToken(tokens, { role: 'reader', name: 'board' }).token
  const writer = createToken(tokens, { role: 'writer', name: '' })
  const admin = createToken(tokens, { role: 'admin', name: '' }).token
  const as = async (user: string, token: string) => {
    const one = await client()
    const { errorCode } = await loginPlain(one, user, token)
    return errorCode === 0 ? one : errorCode
  }
  const boss = (await as('token', admin)) as TestClient
  assert.equal(await create(boss, 't'), 0)
  const sender = (await as('token', writer.token)) as TestClient
  assert.equal(await send(sender, 't'), 0)
  assert.equal(await fetchCode(sender, 't'), ERROR.TOPIC_AUTHORIZATION_FAILED)
  assert.equal(await create(sender, 'u'), ERROR.TOPIC_AUTHORIZATION_FAILED)
  const board = (await as('board', reader)) as TestClient
  assert.equal(await fetchCode(board, 't'), 0)
  assert.equal(await send(board, 't'), ERROR.TOPIC_AUTHORIZATION_FAILED)
  assert.equal(await as('somebody', reader), ERROR.SASL_AUTHENTICATION_FAILED)
  tokens.revoke(writer.info.id)
  assert.equal(await as('token', writer.token), ERROR.SASL_AUTHENTICATION_FAILED)
})

async function create(client: TestClient, name: string): Promise<number> {
  return (await client.call(createTopicsApi, 7, { topics: [{ name, numPartitions: 1, replicationFactor: 1 }] })).topics[0].errorCode
}
async function send(client: TestClient, topic: string, records = batchOf(['a'])): Promise<number> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  const { responses } = await client.call(produceApi, 9, { transactionalId: null, acks: -1, timeoutMs: 1_000, topicData })
  return responses[0].partitionResponses[0].errorCode
}
async function fetchCode(client: TestClient, topic: string): Promise<number> {
  const topics = [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
  const { responses } = await client.call(fetchApi, 11, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics })
  return responses[0].partitions[0].errorCode
}

const allow = (principal: string, operation: number, resourceType: number, resourceName: string, more: Partial<Acl> = {}) => ({
  resourceType,
  resourceName,
  resourcePatternType: more.patternType ?? PATTERN.literal,
  principal,
  host: more.host ?? '*',
  operation,
  permissionType: more.permissionType ?? PERMISSION.allow,
})
const anything = {
  resourceTypeFilter: RESOURCE.any,
  resourceNameFilter: null,
  patternTypeFilter: PATTERN.any,
  principalFilter: null,
  hostFilter: null,
  operation: OPERATION.any,
  permissionType: PERMISSION.any,
}

async function brokerWithAcls(t: TestContext) {
  const started = await startTestBroker(t, { superUsers: ['root'] })
  const open = await started.client()
  for (const [name, topic] of [
    ['root', 'mine'],
    ['ana', 'ours'],
    ['bo', 'theirs'],
  ]) {
    assert.equal(await create(open, topic), 0)
    if (name !== 'root') continue
  }
  assert.equal(await send(open, 'ours'), 0)
  assert.equal(await setPassword(open, 'root', 'root'), 0)
  const login = async (user: string) => {
    const one = await started.client()
    assert.equal((await loginPlain(one, user, user)).errorCode, 0)
    return one
  }
  const root = await login('root')
  for (const name of ['ana', 'bo']) assert.equal(await setPassword(root, name, name), 0)
  const grant = async (...creations: ReturnType<typeof allow>[]) => {
    const { results } = await root.call(createAclsApi, 3, { creations })
    assert.deepEqual(
      results.map(({ errorCode }) => errorCode),
      creations.map(() => 0),
    )
  }
  return { ...started, root, login, grant }
}

test('ACLs are enforced by each API with its own code; super users are asked nothing', async (t) => {
  const { root, login, grant } = await brokerWithAcls(t)
  const ana = await login('ana')
  assert.equal(await send(ana, 'ours'), 0, 'before there is any entry everybody may do everything')
  await grant(
    allow('User:ana', OPERATION.read, RESOURCE.topic, 'ours'),
    allow('User:ana', OPERATION.read, RESOURCE.group, 'team-', { patternType: PATTERN.prefixed }),
    allow('User:*', OPERATION.describe, RESOURCE.topic, 'mine'),
  )
  const T = ERROR.TOPIC_AUTHORIZATION_FAILED
  const G = ERROR.GROUP_AUTHORIZATION_FAILED
  assert.deepEqual([await fetchCode(ana, 'ours'), await fetchCode(ana, 'theirs'), await fetchCode(ana, 'none')], [0, T, T])
  assert.deepEqual([await send(ana, 'ours'), await create(ana, 'new'), await create(root, 'new')], [T, T, 0])
  const seen = await ana.call(metadataApi, 12, { topics: null })
  assert.deepEqual(seen.topics.map(({ name }) => name).sort(), ['mine', 'ours'])
  const named = await ana.call(metadataApi, 12, { topics: [{ name: 'theirs' }, { name: 'ours' }], allowAutoTopicCreation: true })
  assert.deepEqual(Object.fromEntries(named.topics.map(({ name, errorCode }) => [name, errorCode])), { theirs: T, ours: 0 })
  const [theirs] = (await root.call(metadataApi, 12, { topics: [{ name: 'theirs' }] })).topics
  const byId = await ana.call(metadataApi, 12, { topics: [{ name: null, topicId: theirs.topicId }] })
  assert.deepEqual([byId.topics.length, byId.topics[0].errorCode, byId.topics[0].name], [1, ERROR.UNKNOWN_TOPIC_ID, null])
  const offsets = await ana.call(listOffsetsApi, 7, {
    topics: ['ours', 'theirs'].map((name) => ({ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] })),
  })
  assert.deepEqual(Object.fromEntries(offsets.topics.map(({ name, partitions }) => [name, partitions[0].errorCode])), {
    ours: 0,
    theirs: T,
  })
  const joinAs = async (groupId: string) => {
    const protocols = [{ name: 'range', metadata: Buffer.alloc(4) }]
    const request = { groupId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 1_000, memberId: '', protocolType: 'consumer', protocols }
    return (await ana.call(joinGroupApi, 5, request)).errorCode
  }
  assert.deepEqual([await joinAs('team-a'), await joinAs('other')], [ERROR.MEMBER_ID_REQUIRED, G])
  const commit = async (groupId: string, topic: string) => {
    const topics = [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 1 }] }]
    const answer = await ana.call(offsetCommitApi, 8, { groupId, generationIdOrMemberEpoch: -1, topics })
    return answer.topics[0].partitions[0].errorCode
  }
  assert.deepEqual([await commit('team-a', 'ours'), await commit('team-a', 'theirs'), await commit('other', 'ours')], [0, T, G])
  const committed = await ana.call(offsetFetchApi, 8, {
    groups: [
      {
        groupId: 'team-a',
        topics: [
          { name: 'ours', partitionIndexes: [0] },
          { name: 'theirs', partitionIndexes: [0] },
        ],
      },
      { groupId: 'other', topics: null },
    ],
  })
  assert.deepEqual(
    committed.groups.map(({ groupId, errorCode }) => [groupId, errorCode]),
    [
      ['team-a', 0],
      ['other', G],
    ],
  )
  assert.deepEqual(
    committed.groups[0].topics.map(({ name, partitions }) => [name, partitions[0].errorCode, partitions[0].committedOffset]),
    [
      ['ours', 0, 1],
      ['theirs', T, -1],
    ],
  )
  const found = await ana.call(findCoordinatorApi, 4, { keyType: 0, coordinatorKeys: ['team-a', 'other'] })
  assert.deepEqual(
    found.coordinators.map(({ key, errorCode }) => [key, errorCode]),
    [
      ['team-a', 0],
      ['other', G],
    ],
  )
  assert.deepEqual(
    (await ana.call(listGroupsApi, 4, {})).groups.map(({ groupId }) => groupId),
    ['team-a'],
  )
  const deleted = await ana.call(deleteTopicsApi, 6, { topics: [{ name: 'ours' }, { name: null, topicId: theirs.topicId }] })
  assert.deepEqual(
    deleted.responses.map(({ errorCode }) => errorCode),
    [T, ERROR.UNKNOWN_TOPIC_ID],
  )
  const described = await ana.call(describeConfigsApi, 4, {
    resources: [
      { resourceType: 2, resourceName: 'ours', configurationKeys: null },
      { resourceType: 4, resourceName: '1', configurationKeys: null },
    ],
  })
  assert.deepEqual(
    described.results.map(({ errorCode }) => errorCode),
    [T, ERROR.CLUSTER_AUTHORIZATION_FAILED],
  )
  assert.equal((await ana.call(initProducerIdApi, 4, { transactionalId: null })).errorCode, ERROR.CLUSTER_AUTHORIZATION_FAILED)
  assert.equal((await ana.call(describeAclsApi, 3, anything)).errorCode, ERROR.CLUSTER_AUTHORIZATION_FAILED)
  assert.equal(await setPassword(ana, 'ana', 'other'), ERROR.CLUSTER_AUTHORIZATION_FAILED)
  // Writing to one topic is enough to be an idempotent producer; a denial wins over it.
  await grant(allow('User:ana', OPERATION.write, RESOURCE.topic, 'ours'))
  assert.equal((await ana.call(initProducerIdApi, 4, { transactionalId: null })).errorCode, 0)
  assert.equal(await send(ana, 'ours'), 0)
  await grant(allow('User:ana', OPERATION.all, RESOURCE.topic, '*', { permissionType: PERMISSION.deny }))
  assert.deepEqual([await send(ana, 'ours'), await fetchCode(ana, 'ours'), await fetchCode(root, 'ours')], [T, T, 0])
})

test('nobody but a super user reads what SCRAM stores', async (t) => {
  const { client, login } = await brokerWithAcls(t)
  assert.equal(await fetchCode(await login('ana'), '__millrace_kafka_security'), ERROR.TOPIC_AUTHORIZATION_FAILED)
  assert.equal(await fetchCode(await login('root'), '__millrace_kafka_security'), 0)
  void client
})

test('ACLs are listed and deleted by filter, and survive a restart with users and quotas; the disk has no password', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-security-'))
  t.after(() => rmSync(folder, { recursive: true }))
  await t.test('made', async (t) => {
    const { client } = await startTestBroker(t, { folder, superUsers: ['root'] })
    const one = await client()
    const entity = [{ entityType: 'user', entityName: 'ana' }]
    await one.call(alterClientQuotasApi, 1, {
      entries: [{ entity, ops: [{ key: 'producer_byte_rate', value: 1_000, remove: false }] }],
      validateOnly: false,
    })
    const { results } = await one.call(createAclsApi, 3, {
      creations: [
        allow('User:ana', OPERATION.read, RESOURCE.topic, 'orders'),
        allow('User:ana', OPERATION.write, RESOURCE.topic, 'ord', { patternType: PATTERN.prefixed }),
        allow('User:ana', OPERATION.read, RESOURCE.topic, ''),
        allow('ana', OPERATION.read, RESOURCE.topic, 'orders'),
        allow('User:ana', OPERATION.any, RESOURCE.topic, 'orders'),
        allow('User:root', OPERATION.alter, RESOURCE.cluster, 'kafka-cluster'),
      ],
    })
    assert.deepEqual(
      results.map(({ errorCode }) => errorCode),
      [0, 0, 42, 42, 42, 0],
    )
    assert.equal(
      (await one.call(describeAclsApi, 3, anything)).errorCode,
      ERROR.CLUSTER_AUTHORIZATION_FAILED,
      'now there are entries, and none for us',
    )
  })
  await t.test('after a restart', async (t) => {
    const { client, kafka } = await startTestBroker(t, { folder, superUsers: ['ANONYMOUS', 'root'] })
    void kafka
    // A user is needed to be a super user: ANONYMOUS cannot be one.
    const anonymous = await client()
    assert.equal((await anonymous.call(describeAclsApi, 3, anything)).errorCode, ERROR.CLUSTER_AUTHORIZATION_FAILED)
  })
  await t.test('as root', async (t) => {
    const tokens = tokensOf(t)
    const { token } = createToken(tokens, { role: 'admin', name: '' })
    const { client } = await startTestBroker(t, { folder, tokens })
    const root = await client()
    await loginPlain(root, 'token', token)
    const list = async (more: Partial<typeof anything> | object = {}) => {
      const { errorCode, resources } = await root.call(describeAclsApi, 3, { ...anything, ...more })
      return errorCode || resources.map(({ resourceName, patternType, acls }) => `${resourceName}/${patternType}/${acls.length}`).sort()
    }
    assert.deepEqual(await list(), ['kafka-cluster/3/1', 'ord/4/1', 'orders/3/1'])
    assert.deepEqual(await list({ resourceNameFilter: 'orders', patternTypeFilter: PATTERN.match }), ['ord/4/1', 'orders/3/1'])
    assert.deepEqual(await list({ resourceNameFilter: 'orders', patternTypeFilter: PATTERN.literal }), ['orders/3/1'])
    assert.deepEqual(await list({ operation: OPERATION.write }), ['ord/4/1'])
    assert.equal(await list({ operation: 0 }), ERROR.INVALID_REQUEST)
    const { filterResults } = await root.call(deleteAclsApi, 3, { filters: [{ ...anything, principalFilter: 'User:ana' }] })
    assert.equal(filterResults[0].matchingAcls.length, 2)
    assert.deepEqual(await list(), ['kafka-cluster/3/1'])
    const quotas = await root.call(describeClientQuotasApi, 1, {
      components: [{ entityType: 'user', matchType: 2, match: null }],
      strict: false,
    })
    assert.deepEqual(quotas.entries, [
      { entity: [{ entityType: 'user', entityName: 'ana' }], values: [{ key: 'producer_byte_rate', value: 1_000 }] },
    ])
    assert.equal(await setPassword(root, 'ana', 'a very secret phrase'), 0)
    assert.equal(await setPassword(root, 'ana', 'x', 'SCRAM-SHA-512', 100), ERROR.UNACCEPTABLE_CREDENTIAL)
    const described = await root.call(describeUserScramCredentialsApi, 0, { users: [{ name: 'ana' }, { name: 'nobody' }] })
    assert.deepEqual(
      described.results.map(({ user, errorCode, credentialInfos }) => [user, errorCode, credentialInfos]),
      [
        ['ana', 0, [{ mechanism: 1, iterations: ITERATIONS }]],
        ['nobody', ERROR.RESOURCE_NOT_FOUND, []],
      ],
    )
    const deleted = await root.call(alterUserScramCredentialsApi, 0, { deletions: [{ name: 'ana', mechanism: 2 }], upsertions: [] })
    assert.equal(deleted.results[0].errorCode, ERROR.RESOURCE_NOT_FOUND)
  })
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const { parentPath, name } of files) assert.ok(!readFileSync(join(parentPath, name)).includes('very secret'), name)
})

test('quotas: who uses more is told to wait, and not read from meanwhile', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  await create(one, 't')
  const set = async (key: string, value: number, entity: { entityType: string; entityName: string | null }[], remove = false) => {
    const { entries } = await one.call(alterClientQuotasApi, 1, {
      entries: [{ entity, ops: [{ key, value, remove }] }],
      validateOnly: false,
    })
    return entries[0].errorCode
  }
  const me = [{ entityType: 'client-id', entityName: 'test' }]
  assert.equal(await set('producer_byte_rate', 10_000, me), 0)
  assert.equal(await set('nonsense', 1, me), ERROR.INVALID_REQUEST)
  assert.equal(await set('producer_byte_rate', -1, me), ERROR.INVALID_REQUEST)
  const produce = async (sizeBytes: number) => {
    const topicData = [{ name: 't', partitionData: [{ index: 0, records: batchOf(['x'.repeat(sizeBytes)]) }] }]
    return (await one.call(produceApi, 9, { acks: -1, timeoutMs: 1_000, topicData })).throttleTimeMs
  }
  assert.equal(await produce(5_000), 0)
  const waitMs = await produce(8_000)
  assert.ok(waitMs > 100 && waitMs < 1_000, `${waitMs} ms`)
  const startMs = performance.now()
  await one.call(metadataApi, 12, { topics: [] })
  const waitedMs = performance.now() - startMs
  assert.ok(waitedMs >= waitMs - 150, `answered after ${waitedMs} of ${waitMs} ms`)
  assert.equal(await set('producer_byte_rate', 0, me, true), 0)
  assert.equal(await produce(50_000), 0)
  assert.equal(await set('consumer_byte_rate', 1_000, [{ entityType: 'user', entityName: 'ANONYMOUS' }]), 0)
  const topics = [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }]
  const { throttleTimeMs } = await one.call(fetchApi, 11, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, topics })
  assert.ok(throttleTimeMs > 1_000, `${throttleTimeMs}`)
  one.end()
  await sleep(10)
})

test('changes of the quotas of one user that come at once lose none of each other', async (t) => {
  const { client } = await startTestBroker(t)
  const one = await client()
  const kinds = ['producer_byte_rate', 'consumer_byte_rate', 'request_percentage', 'controller_mutation_rate']
  const entity = [{ entityType: 'user', entityName: 'bo' }]
  const others = await Promise.all(kinds.map(client))
  const changes = others.map((other, i) =>
    other.call(alterClientQuotasApi, 1, { entries: [{ entity, ops: [{ key: kinds[i], value: 5, remove: false }] }] }),
  )
  for (const { entries } of await Promise.all(changes)) assert.equal(entries[0].errorCode, 0)
  const { entries: ofBo } = await one.call(describeClientQuotasApi, 1, { components: [{ entityType: 'user', matchType: 0, match: 'bo' }] })
  assert.deepEqual(ofBo![0].values.map(({ key }) => key).sort(), kinds.toSorted())
})

test('an address has its connections per second; those beyond are closed unanswered, and others are as before', async (t) => {
  const { client, kafka } = await startTestBroker(t)
  const one = await client()
  const set = async (key: string, value: number, names: Record<string, string | null>, remove = false) => {
    const entity = Object.entries(names).map(([entityType, entityName]) => ({ entityType, entityName }))
    const { entries } = await one.call(alterClientQuotasApi, 1, { entries: [{ entity, ops: [{ key, value, remove }] }] })
    return entries[0].errorCode
  }
  const RATE = 'connection_creation_rate'
  const refused = [
    await set(RATE, 1, { user: 'ana' }),
    await set(RATE, 1, { ip: '127.0.0.1', user: 'ana' }),
    await set(RATE, 1, { ip: 'no address' }),
    await set(RATE, 0, { ip: null }),
    await set(RATE, 1.5, { ip: null }),
    await set('producer_byte_rate', 1, { ip: '127.0.0.1' }),
  ]
  assert.deepEqual(new Set(refused), new Set([ERROR.INVALID_REQUEST]))
  assert.deepEqual([await set(RATE, 1_000, { ip: null }), await set(RATE, 1, { ip: '127.0.0.1' })], [0, 0])
  const listed = async (components: object[]) => {
    const { entries } = await one.call(describeClientQuotasApi, 1, { components: components as [], strict: true })
    return entries?.map(({ entity, values }) => [entity[0].entityType, entity[0].entityName, values[0].value])
  }
  assert.deepEqual(await listed([{ entityType: 'ip', matchType: 2, match: null }]), [
    ['ip', null, 1_000],
    ['ip', '127.0.0.1', 1],
  ])
  const mixed = ['ip', 'user'].map((entityType) => ({ entityType, matchType: 2, match: null }))
  assert.equal((await one.call(describeClientQuotasApi, 1, { components: mixed, strict: false })).errorCode, ERROR.INVALID_REQUEST)
  const nobodys = [{ entityType: 'planet', matchType: 2, match: null }]
  assert.equal((await one.call(describeClientQuotasApi, 1, { components: nobodys })).errorCode, ERROR.UNSUPPORTED_VERSION)
  const ask = (asker: TestClient) =>
    asker.call(metadataApi, 12, { topics: [] }).then(
      () => true,
      () => false,
    )
  const [second, third] = [await TestClient.connect(kafka.port), await TestClient.connect(kafka.port)]
  assert.deepEqual([await ask(second), await ask(third), await ask(one)], [true, false, true])
  await third.closed()
  assert.equal(await set(RATE, 0, { ip: '127.0.0.1' }, true), 0)
  const fourth = await TestClient.connect(kafka.port)
  assert.equal(await ask(fourth), true)
  for (const each of [second, fourth]) each.end()
})

test('quotas take the most specific entity, and over time nobody gets more than his rate', () => {
  const stored = new Map<string, { values: { producer_byte_rate: number } }>()
  const put = (entity: object, rate: number) => stored.set(JSON.stringify(entity), { values: { producer_byte_rate: rate } })
  put({ user: null }, 100)
  put({ user: 'ana' }, 200)
  put({ user: 'ana', 'client-id': null }, 300)
  put({ user: 'ana', 'client-id': 'x' }, 400)
  put({ 'client-id': 'y' }, 50)
  const waitOf = (user: string, clientId: string) => new Quotas(stored).take('producer_byte_rate', user, clientId, 1_000, 0)
  assert.deepEqual([waitOf('ana', 'x'), waitOf('ana', 'z'), waitOf('bo', 'y'), waitOf('bo', 'z')], [1_500, 2_334, 9_000, 9_000])
  fc.assert(
    fc.property(fc.array(fc.record({ amount: fc.nat(500), pauseMs: fc.nat(900) }), { minLength: 1, maxLength: 40 }), (requests) => {
      const quotas = new Quotas(stored)
      let nowMs = 0
      let total = 0
      for (const { amount, pauseMs } of requests) {
        nowMs += pauseMs
        total += amount
        // A client that does as it is told.
        nowMs += quotas.take('producer_byte_rate', 'bo', 'q', amount, nowMs)
        assert.ok(total <= 100 * (nowMs / 1_000) + 100 + 1, `${total} bytes after ${nowMs} ms`)
      }
    }),
  )
})

test('decisions equal a plain reading of the rules', () => {
  const name = fc.constantFrom('a', 'ab', 'abc', 'b', '*')
  const acl = fc.record({
    resourceType: fc.constantFrom(2, 3),
    resourceName: name,
    patternType: fc.constantFrom(3, 4),
    principal: fc.constantFrom('User:x', 'User:y', 'User:*'),
    host: fc.constantFrom('*', 'h'),
    operation: fc.constantFrom(2, 3, 4, 7, 8, 10, 11),
    permissionType: fc.constantFrom(2, 3, 3),
  })
  const question = fc.record({
    principal: fc.constantFrom('User:x', 'User:y'),
    host: fc.constantFrom('h', 'i'),
    operation: fc.constantFrom(3, 4, 8, 10),
    resourceType: fc.constantFrom(2, 3),
    resourceName: fc.constantFrom('a', 'ab', 'abc', 'b'),
  })
  fc.assert(
    fc.property(fc.array(acl, { maxLength: 8 }), question, (acls, asked) => {
      const about = acls.filter(
        (one) =>
          one.resourceType === asked.resourceType &&
          ['User:*', asked.principal].includes(one.principal) &&
          ['*', asked.host].includes(one.host) &&
          (one.patternType === 4 ? asked.resourceName.startsWith(one.resourceName) : ['*', asked.resourceName].includes(one.resourceName)),
      )
      const denied = about.some((one) => one.permissionType === 2 && [2, asked.operation].includes(one.operation))
      const grants = { 3: [3], 4: [4], 8: [8, 3, 4, 6, 7], 10: [10, 11] }[asked.operation]!
      const allowed = about.some((one) => one.permissionType === 3 && [2, ...grants].includes(one.operation))
      assert.equal(decide(acls, asked), denied ? false : allowed ? true : undefined)
    }),
    { numRuns: 2_000 },
  )
})

test('users are made and deleted without the protocol too; a password that is not given is made', async (t) => {
  const { client, kafka } = await startTestBroker(t)
  const { users } = kafka
  const { password } = await users.create('ana')
  assert.ok(password.length >= 30)
  assert.deepEqual(await users.list(), [{ name: 'ana', mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-512'] }])
  for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    assert.equal((await loginScram(await client(), mechanism, 'ana', password)).errorCode, 0)
  }
  await users.create('ana', 'another one')
  assert.equal((await loginPlain(await client(), 'ana', password)).errorCode, ERROR.SASL_AUTHENTICATION_FAILED)
  assert.equal((await loginPlain(await client(), 'ana', 'another one')).errorCode, 0)
  for (const [name, given] of [
    ['', 'long enough'],
    ['a b', 'long enough'],
    ['bo', 'short'],
  ]) {
    await assert.rejects(users.create(name, given), { code: 'KAFKA_USER_INVALID' })
  }
  await users.delete('ana')
  await assert.rejects(users.delete('ana'), { code: 'KAFKA_USER_NOT_FOUND' })
  assert.equal((await (await client()).call(metadataApi, 12, { topics: [] })).topics.length, 0, 'open again')
})

test('what is stored of a password proves it and is not it', async () => {
  const credential = await newCredential('SCRAM-SHA-256', 'pencil')
  assert.ok(await isPassword('SCRAM-SHA-256', credential, 'pencil'))
  assert.ok(!(await isPassword('SCRAM-SHA-256', credential, 'Pencil')))
  assert.ok(!JSON.stringify(credential).includes('pencil'))
})
