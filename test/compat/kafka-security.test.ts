// Logins, TLS, ACLs and quotas as other people's clients see them: kcat (librdkafka), @platformatic/kafka, and, where servers/kafka.sh has set
// them up, Kafka's own tools.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { Admin, Producer, stringSerializers } from '@platformatic/kafka'
import { metrics } from '../../src/base/index.ts'
import { startTestBroker } from '../../src/kafka/testClient.ts'
import { countsSql, makeProject, type Ready, type Server, startServer } from '../harness.ts'

const hasKcat = spawnSync('kcat', ['-V']).status === 0
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const script = resolve(import.meta.dirname, 'servers/kafka.sh')
const hasTools = spawnSync(script, ['lib']).status === 0
const main = resolve(import.meta.dirname, '../../src/app/main.ts')
const RUN_MS_MAX = 90_000

const brokerOf = (server: Server) => `127.0.0.1:${(server.ready as Ready & { kafkaPort: number }).kafkaPort}`
const start = (t: TestContext, args: string[] = []) =>
  startServer(t, makeProject(t, { 'pipelines/counts.sql': countsSql }), ['--kafka-port', '0', ...args])

/** Runs a program to its end; `isRefused` says which end is expected. */
function run(command: string, args: string[], { input = '', isRefused = false } = {}): string {
  const { status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8', timeout: RUN_MS_MAX, maxBuffer: 64 * 1024 * 1024 })
  assert.equal(status !== 0, isRefused, `${command} ${args.join(' ')}\n${stdout.slice(0, 2_000)}\n${stderr.slice(0, 2_000)}`)
  return stdout + stderr
}
const millrace = (server: Server, args: string[], options?: Parameters<typeof run>[2]) =>
  run(process.execPath, [main, ...args, '--url', server.ready.url], options)
const createUser = (server: Server, name: string, password: string) =>
  millrace(server, ['kafka-user', 'create', name, '--password-stdin', '--json'], { input: `${password}\n` })
const settings = (values: Record<string, string>) => Object.entries(values).flatMap(([key, value]) => ['-X', `${key}=${value}`])
const login = (mechanism: string, user: string, password: string, protocol = 'SASL_PLAINTEXT') => ({
  'security.protocol': protocol,
  'sasl.mechanism': mechanism,
  'sasl.username': user,
  'sasl.password': password,
})

/** A certificate for 127.0.0.1 that signs itself, for two days. */
function makeCertificate(t: TestContext, name = 'localhost'): { cert: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    cert,
    ...names,
  ])
  return { cert, key }
}

test('kcat logs in with PLAIN and both SCRAMs, as a user and with a token; without a login it is refused', {
  skip: !hasKcat && 'no kcat',
}, async (t) => {
  const server = await start(t)
  const kcat = (values: Record<string, string>, args: string[], options?: Parameters<typeof run>[2]) =>
    run('kcat', ['-b', brokerOf(server), '-q', '-m', '10', ...settings(values), ...args], options)
  assert.match(kcat({}, ['-L']), /1 brokers/)
  createUser(server, 'ana', 'open sesame')
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    kcat(login(mechanism, 'ana', 'open sesame'), ['-P', '-t', 'notes'], { input: `${mechanism}\n` })
    kcat(login(mechanism, 'ana', 'shut sesame'), ['-L'], { isRefused: true })
  }
  kcat({}, ['-L'], { isRefused: true })
  const token = JSON.parse(
    run(process.execPath, [main, 'token', 'create', '--role', 'reader', '--name', 'board', '--data', server.ready.data, '--json']),
  ).token
  const read = kcat(login('PLAIN', 'board', token), ['-C', '-t', 'notes', '-e', '-o', 'beginning'])
  assert.deepEqual(read.trim().split('\n'), ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'])
  assert.deepEqual(JSON.parse(millrace(server, ['kafka-user', 'list', '--json'])), {
    name: 'ana',
    mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-512'],
  })
  millrace(server, ['kafka-user', 'delete', 'ana'])
  assert.match(millrace(server, ['kafka-user', 'delete', 'ana'], { isRefused: true }), /KAFKA_USER_NOT_FOUND/)
  // With the last user gone the port is open again.
  assert.match(kcat({}, ['-L']), /1 brokers/)
  assert.ok(!server.running.stderr.includes('sesame'), server.running.stderr)
})

test('TLS: who does not end its handshake is cut off, others get through meanwhile', {
  skip: !hasOpenssl && 'no openssl',
}, async (t) => {
  const { cert: certFile, key: keyFile } = makeCertificate(t)
  const { kafka, lines } = await startTestBroker(t, { tls: { certFile, keyFile }, limits: { tlsHandshakeMs: 500 } })
  const slow = connect(kafka.port, '127.0.0.1')
  t.after(() => slow.destroy())
  slow.on('error', () => {})
  slow.write(Buffer.from([22, 3, 1]))
  const quick = connectTls({ port: kafka.port, host: '127.0.0.1', ca: readFileSync(certFile) })
  t.after(() => quick.destroy())
  await once(quick, 'secureConnect')
  await once(slow, 'close')
  assert.match(lines.join(), /did not get through the TLS handshake/)
})

test('TLS: who has not ended its handshake does not hold up the end of the port', {
  skip: !hasOpenssl && 'no openssl',
}, async (t) => {
  const { cert: certFile, key: keyFile } = makeCertificate(t)
  const { kafka } = await startTestBroker(t, { tls: { certFile, keyFile }, limits: { tlsHandshakeMs: 60_000 } })
  const silent = connect({ port: kafka.port, host: '127.0.0.1' }).on('error', () => {})
  await once(silent, 'connect')
  // Also the server knows of it now.
  const quick = connectTls({ port: kafka.port, host: '127.0.0.1', ca: readFileSync(certFile) }).on('error', () => {})
  await once(quick, 'secureConnect')
  const closed = once(silent, 'close')
  await kafka.close()
  await closed
})

test('TLS: a renewed certificate is used without a restart, in whatever order its files come; one that cannot be used changes nothing', {
  skip: !hasOpenssl && 'no openssl',
}, async (t) => {
  const [first, second, third] = ['first', 'second', 'third'].map((name) => makeCertificate(t, name))
  const { cert, key } = makeCertificate(t)
  const put = (from: string, to: string) => copyFileSync(from, to)
  put(first.cert, cert)
  put(first.key, key)
  const { kafka, lines } = await startTestBroker(t, {
    tls: { certFile: cert, keyFile: key, caFile: first.cert, clientAuth: 'requested' },
    limits: { tlsLookMs: 100 },
  })
  const connection = async () => {
    const client = connectTls({ port: kafka.port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => {})
    t.after(() => client.destroy())
    await once(client, 'secureConnect')
    return client
  }
  const subject = async () => {
    const client = await connection()
    const { CN } = client.getPeerCertificate().subject
    client.destroy()
    return CN
  }
  const until = async (isTrue: () => boolean | Promise<boolean>, what: string) => {
    for (let tries = 0; !(await isTrue()); tries++) {
      assert.ok(tries < 500, what)
      await sleep(20)
    }
  }
  const result = async (name: string) => {
    const { values } = await metrics.getSingleMetric('millrace_kafka_tls_renewals_total')!.get()
    return values.find(({ labels }) => labels.result === name)?.value ?? 0
  }
  const expires = async () => (await metrics.getSingleMetric('millrace_tls_certificate_expires_timestamp_seconds')!.get()).values[0]?.value

  assert.equal(await subject(), 'first')
  const old = await connection()
  // A certificate without its key.
  put(second.cert, cert)
  await until(() => kafka.trouble() !== undefined, 'a pair that does not fit is told')
  assert.equal(kafka.trouble()!.code, 'KAFKA_TLS_INVALID')
  assert.equal(await subject(), 'first')
  await sleep(500)
  assert.equal(lines.filter((line) => line.includes('goes on with the certificate from before')).length, 1, lines.join('\n'))
  put(second.key, key)
  await until(() => kafka.trouble() === undefined, 'a pair that is mended is used')
  assert.equal(await subject(), 'second')
  // As a mounted secret is renewed, with a moment in which nothing is there.
  rmSync(key)
  await until(() => kafka.trouble() !== undefined, 'a file that cannot be read is told')
  assert.match(kafka.trouble()!.message, /ENOENT/)
  assert.equal(await subject(), 'second')
  put(third.key, key)
  put(third.cert, cert)
  await until(async () => (await subject()) === 'third', 'a renewed certificate is used')
  await until(async () => (await result('taken')) === 2 && (await result('refused')) === 2, 'renewals are counted')
  assert.equal(await expires(), Date.parse(new X509Certificate(readFileSync(third.cert)).validTo) / 1_000)
  // A CA that holds none would shut out every client.
  writeFileSync(first.cert, '')
  await until(() => kafka.trouble() !== undefined, 'an empty CA is told')
  // Who was connected stays so.
  assert.ok(!old.destroyed && old.writable)
})

test('TLS: kcat and @platformatic/kafka, with and without a login; plain text gets nothing', {
  skip: !(hasKcat && hasOpenssl) && 'no kcat or no openssl',
}, async (t) => {
  const { cert, key } = makeCertificate(t)
  const server = await start(t, ['--kafka-tls-cert', cert, '--kafka-tls-key', key])
  const kcat = (values: Record<string, string>, args: string[], options?: Parameters<typeof run>[2]) =>
    run('kcat', ['-b', brokerOf(server), '-q', '-m', '10', ...settings(values), ...args], options)
  kcat({ 'security.protocol': 'SSL', 'ssl.ca.location': cert }, ['-P', '-t', 'notes'], { input: 'one\n' })
  kcat({}, ['-L'], { isRefused: true })
  createUser(server, 'ana', 'open sesame')
  const secured = { ...login('SCRAM-SHA-512', 'ana', 'open sesame', 'SASL_SSL'), 'ssl.ca.location': cert }
  kcat(secured, ['-P', '-t', 'notes', '-z', 'lz4'], { input: 'two\n' })
  kcat({ 'security.protocol': 'SSL', 'ssl.ca.location': cert }, ['-L'], { isRefused: true })
  const producer = new Producer({
    clientId: 'judge',
    bootstrapBrokers: [brokerOf(server)],
    serializers: stringSerializers,
    tls: { ca: [readFileSync(cert)] },
    sasl: { mechanism: 'SCRAM-SHA-256', username: 'ana', password: 'open sesame' },
  })
  await producer.send({ messages: [{ topic: 'notes', value: 'three' }], acks: -1 })
  await producer.close()
  assert.deepEqual(kcat(secured, ['-C', '-t', 'notes', '-e', '-o', 'beginning']).trim().split('\n'), ['one', 'two', 'three'])
})

/** A certificate of a client, signed by `ca`, and one file with both its key and itself, as the Java client wants it. */
function makeClient(folder: string, ca: { cert: string; key: string }, name: string, subject: string) {
  const [cert, key, both] = ['pem', 'key', 'both.pem'].map((ending) => join(folder, `${name}.${ending}`))
  const request = join(folder, `${name}.csr`)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key]
  run('openssl', ['req', ...newKey, '-out', request, '-utf8', '-subj', subject])
  run('openssl', ['x509', '-req', '-in', request, '-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial', '-days', '2', '-out', cert])
  writeFileSync(both, readFileSync(key, 'utf8') + readFileSync(cert, 'utf8'))
  return { cert, key, both }
}

test('certificates of clients: kcat and the Java client are who their subject says, by rules, and ACLs hold for them', {
  skip: !(hasKcat && hasOpenssl && hasTools) && 'no kcat, no openssl or no Kafka tools',
}, async (t) => {
  const { cert, key } = makeCertificate(t)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-mtls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const ca = { cert, key }
  const ana = makeClient(folder, ca, 'ana', '/C=US/O=Acme, Inc./OU=Sales/CN=Ana')
  const bo = makeClient(folder, ca, 'bo', '/O=Acme, Inc./OU=Ops/CN=bo')
  const self = makeCertificate(t)
  const config = {
    kafkaSuperUsers: ['CN=bo,OU=Ops,O=Acme\\, Inc.'],
    kafkaTls: { cert, key, ca: cert, principalRules: 'RULE:^CN=(.*?),OU=Sales,.*$/$1/L,DEFAULT' },
  }
  const project = makeProject(t, {
    'pipelines/counts.sql': countsSql,
    'millrace.config.ts': `export default ${JSON.stringify(config)}\n`,
  })
  const server = await startServer(t, project, ['--kafka-port', '0'])
  const kcat = (client: { cert: string; key: string } | undefined, args: string[], options?: Parameters<typeof run>[2]) => {
    const shown: Record<string, string> = client ? { 'ssl.certificate.location': client.cert, 'ssl.key.location': client.key } : {}
    const values = { 'security.protocol': 'SSL', 'ssl.ca.location': cert, ...shown }
    return run('kcat', ['-b', brokerOf(server), '-q', '-m', '10', ...settings(values), ...args], options)
  }
  kcat(bo, ['-P', '-t', 'notes'], { input: 'one\n' })
  kcat(undefined, ['-L'], { isRefused: true })
  kcat(self, ['-L'], { isRefused: true })
  const java = join(folder, 'bo.properties')
  const pem = ['security.protocol=SSL', 'ssl.keystore.type=PEM', 'ssl.truststore.type=PEM']
  writeFileSync(java, [...pem, `ssl.keystore.location=${bo.both}`, `ssl.truststore.location=${cert}`, ''].join('\n'))
  const acls = (args: string[]) =>
    run(script, ['tool', 'org.apache.kafka.tools.AclCommand', '--bootstrap-server', brokerOf(server), '--command-config', java, ...args])
  acls(['--add', '--allow-principal', 'User:ana', '--operation', 'Read', '--operation', 'Describe', '--topic', 'notes'])
  assert.match(acls(['--list']), /principal=User:ana, host=\*, operation=READ/)
  assert.equal(kcat(ana, ['-C', '-t', 'notes', '-e', '-o', 'beginning']), 'one\n')
  kcat(ana, ['-P', '-t', 'notes'], { input: 'two\n', isRefused: true })
})

test('@platformatic/kafka logs in with every mechanism, and is refused with a wrong password', async (t) => {
  const server = await start(t)
  createUser(server, 'ana', 'open sesame')
  const topicsAs = async (mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512', password: string) => {
    const sasl = { mechanism, username: 'ana', password }
    const admin = new Admin({ clientId: 'judge', bootstrapBrokers: [brokerOf(server)], sasl, retries: 0 })
    try {
      return await admin.listTopics()
    } finally {
      await admin.close()
    }
  }
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    assert.ok(Array.isArray(await topicsAs(mechanism, 'open sesame')), mechanism)
    await assert.rejects(topicsAs(mechanism, 'shut sesame'), mechanism)
  }
})

test("Kafka's own tools: users, ACLs and quotas are set, listed, enforced and removed", {
  skip: !hasTools && 'run test/compat/servers/kafka.sh setup',
}, async (t) => {
  const project = makeProject(t, {
    'pipelines/counts.sql': countsSql,
    'millrace.config.ts': "export default { kafkaSuperUsers: ['root'] }",
  })
  const server = await startServer(t, project, ['--kafka-port', '0'])
  const tool = (name: string, args: string[], config?: string, options?: Parameters<typeof run>[2]) =>
    run(script, ['tool', name, '--bootstrap-server', brokerOf(server), ...(config ? ['--command-config', config] : []), ...args], options)
  const configOf = (user: string, password: string, mechanism = 'SCRAM-SHA-512') => {
    const path = join(project, `${user}.properties`)
    const module = mechanism === 'PLAIN' ? 'plain.PlainLoginModule' : 'scram.ScramLoginModule'
    writeFileSync(
      path,
      `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=${mechanism}\nsasl.jaas.config=org.apache.kafka.common.security.${module} required username="${user}" password="${password}";\n`,
    )
    return path
  }
  const alter = (config: string | undefined, kind: string, name: string, change: string[]) =>
    tool('kafka.admin.ConfigCommand', ['--alter', '--entity-type', kind, '--entity-name', name, ...change], config)
  // The first user makes the port ask for a login; the tool that makes it is still let in.
  alter(undefined, 'users', 'root', [
    '--add-config',
    'SCRAM-SHA-512=[password=root-secret],SCRAM-SHA-256=[iterations=8192,password=root-secret]',
  ])
  const root = configOf('root', 'root-secret')
  alter(root, 'users', 'ana', ['--add-config', 'SCRAM-SHA-512=[password=ana-secret]'])
  const described = tool('kafka.admin.ConfigCommand', ['--describe', '--entity-type', 'users'], root)
  assert.match(described, /user-principal 'ana' are SCRAM-SHA-512=iterations=4096/)
  assert.match(described, /user-principal 'root' are .*SCRAM-SHA-256=iterations=8192/)
  const topics = (config: string, args: string[], options?: Parameters<typeof run>[2]) =>
    tool('org.apache.kafka.tools.TopicCommand', args, config, options)
  topics(root, ['--create', '--topic', 'orders'])
  topics(root, ['--create', '--topic', 'secrets'])
  const acls = (args: string[]) => tool('org.apache.kafka.tools.AclCommand', args, root)
  assert.match(
    acls([
      '--add',
      '--allow-principal',
      'User:ana',
      '--operation',
      'Read',
      '--operation',
      'Describe',
      '--topic',
      'ord',
      '--resource-pattern-type',
      'prefixed',
    ]),
    /Adding ACLs/,
  )
  acls(['--add', '--allow-principal', 'User:ana', '--operation', 'Read', '--group', '*'])
  assert.match(acls(['--list', '--topic', 'orders', '--resource-pattern-type', 'match']), /ord.*PREFIXED[\s\S]*User:ana.*READ.*ALLOW/)
  const ana = configOf('ana', 'ana-secret')
  assert.deepEqual(topics(ana, ['--list']).trim().split('\n'), ['orders'])
  assert.match(topics(ana, ['--create', '--topic', 'more'], { isRefused: true }), /authoriz/i)
  const anaPlain = configOf('ana', 'ana-secret', 'PLAIN')
  assert.deepEqual(topics(anaPlain, ['--list']).trim().split('\n'), ['orders'])
  // What the refusal of a record looks like to a producer.
  const produce = (config: string, topic: string) =>
    run(
      script,
      [
        'tool',
        'org.apache.kafka.tools.ConsoleProducer',
        '--bootstrap-server',
        brokerOf(server),
        '--command-config',
        config,
        '--topic',
        topic,
        '--command-property',
        'enable.idempotence=false',
        '--command-property',
        'delivery.timeout.ms=8000',
        '--command-property',
        'request.timeout.ms=4000',
      ],
      { input: 'hello\n' },
    )
  assert.match(produce(ana, 'orders'), /TopicAuthorizationException/)
  assert.doesNotMatch(produce(root, 'orders'), /Exception/)
  const consumed = tool(
    'org.apache.kafka.tools.consumer.ConsoleConsumer',
    ['--topic', 'orders', '--from-beginning', '--max-messages', '1', '--group', 'readers', '--timeout-ms', '30000'],
    ana,
  )
  assert.match(consumed, /^hello/m)
  acls([
    '--remove',
    '--force',
    '--allow-principal',
    'User:ana',
    '--operation',
    'Read',
    '--operation',
    'Describe',
    '--topic',
    'ord',
    '--resource-pattern-type',
    'prefixed',
  ])
  assert.equal(topics(ana, ['--list']).trim(), '')
  alter(root, 'users', 'ana', ['--add-config', 'producer_byte_rate=1024,consumer_byte_rate=2048'])
  const quotas = tool('kafka.admin.ConfigCommand', ['--describe', '--entity-type', 'users', '--entity-name', 'ana'], root)
  assert.match(
    quotas,
    /consumer_byte_rate=2048(\.0)?, producer_byte_rate=1024(\.0)?|producer_byte_rate=1024(\.0)?, consumer_byte_rate=2048(\.0)?/,
  )
  alter(root, 'users', 'ana', ['--delete-config', 'producer_byte_rate,consumer_byte_rate'])
  alter(root, 'users', 'ana', ['--delete-config', 'SCRAM-SHA-512'])
  assert.match(topics(ana, ['--list'], { isRefused: true }), /Authentication failed/)
})

test("Kafka's own tools: settings of a topic, and a compacted topic read back by the Java client", {
  skip: !hasTools && 'run test/compat/servers/kafka.sh setup',
}, async (t) => {
  const server = await start(t)
  const tool = (name: string, args: string[], options?: Parameters<typeof run>[2]) =>
    run(script, ['tool', name, '--bootstrap-server', brokerOf(server), ...args], options)
  const config = (args: string[], options?: Parameters<typeof run>[2]) =>
    tool('kafka.admin.ConfigCommand', ['--entity-type', 'topics', '--entity-name', 'state', ...args], options)
  tool('org.apache.kafka.tools.TopicCommand', [
    '--create',
    '--topic',
    'state',
    '--config',
    'cleanup.policy=compact',
    '--config',
    'segment.bytes=1048576',
    '--config',
    'min.cleanable.dirty.ratio=0.01',
    '--config',
    'delete.retention.ms=100',
  ])
  assert.match(config(['--describe']), /cleanup\.policy=compact/)
  config(['--alter', '--add-config', 'cleanup.policy=[compact,delete],message.timestamp.type=LogAppendTime'])
  assert.match(config(['--describe']), /cleanup\.policy=compact,delete/)
  assert.match(config(['--alter', '--add-config', 'cleanup.policy=shred'], { isRefused: true }), /InvalidConfiguration|InvalidRequest/)
  config(['--alter', '--delete-config', 'message.timestamp.type'])
  config(['--alter', '--add-config', 'cleanup.policy=compact'])
  const produce = (lines: string[], codec: string) =>
    tool(
      'org.apache.kafka.tools.ConsoleProducer',
      [
        '--topic',
        'state',
        '--reader-property',
        'parse.key=true',
        '--reader-property',
        'key.separator==',
        '--command-property',
        `compression.type=${codec}`,
        '--command-property',
        'batch.size=60000',
      ],
      { input: `${lines.join('\n')}\n` },
    )
  // Codecs cannot do much with it: the segments, of which the last is not compacted, fill up.
  const noise = () => randomBytes(6_000).toString('base64')
  for (const codec of ['lz4', 'snappy', 'zstd', 'gzip', 'none']) {
    produce(
      Array.from({ length: 200 }, (_, i) => `k${i % 7}=${codec} ${i} ${noise()}`),
      codec,
    )
  }
  const formatted = [
    '--formatter-property',
    'print.key=true',
    '--formatter-property',
    'print.offset=true',
    '--isolation-level',
    'read_committed',
  ]
  const read = (): string[] =>
    tool('org.apache.kafka.tools.consumer.ConsoleConsumer', ['--topic', 'state', '--from-beginning', '--timeout-ms', '6000', ...formatted])
      .split('\n')
      .filter((line) => line.startsWith('Offset:'))
  const untilCompacted = Date.now() + 60_000
  let lines = read()
  // The cleaner looks every 15 s.
  while (lines.length > 500 && Date.now() < untilCompacted) lines = read()
  assert.ok(lines.length < 500, `${lines.length} of 1,000 records are left`)
  const newest = new Map(lines.map((line) => line.split('\t').slice(1, 3) as [string, string]))
  for (let i = 193; i < 200; i++) assert.match(newest.get(`k${i % 7}`) ?? '', new RegExp(`^none ${i} `))
})
