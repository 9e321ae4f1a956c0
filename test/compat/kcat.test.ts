// kcat (Debian's librdkafka) against the real process.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { countsSql, makeProject, type Ready, type Server, startServer, untilRows } from '../harness.ts'
import { freePort } from './servers/kafka.ts'

const hasKcat = spawnSync('kcat', ['-V']).status === 0
const RUN_MS_MAX = 60_000

const brokerOf = (server: Server) => `127.0.0.1:${(server.ready as Ready & { kafkaPort: number }).kafkaPort}`
const start = (t: TestContext, folder: string, port = '0') => startServer(t, folder, ['--kafka-port', port])

/** Runs a client to its end and gives what it printed. */
function client(command: string, args: string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8', timeout: RUN_MS_MAX, maxBuffer: 64 * 1024 * 1024 })
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`)
  return stdout
}
const kcat = (server: Server, args: string[], input?: string) => client('kcat', ['-b', brokerOf(server), '-q', ...args], input)

test('kcat: every compression is stored as sent and read by SQL; what HTTP posts, kcat reads', {
  skip: !hasKcat && 'no kcat',
}, async (t) => {
  const server = await start(t, makeProject(t, { 'pipelines/counts.sql': countsSql }))
  const ts = '2026-01-01 12:00:00.000'
  for (const [i, codec] of ['none', 'gzip', 'snappy', 'lz4', 'zstd'].entries()) {
    const events = Array.from({ length: 50 }, (_, n) => JSON.stringify({ id: `${i}-${n}`, page: '/a', n, ts }))
    kcat(server, ['-P', '-t', 'events', '-z', codec], `${events.join('\n')}\n`)
  }
  await untilRows(
    server,
    'counts',
    [['/a', '250', String(5 * 1_225)]].map(([page, n, total]) => [page, Number(n), Number(total)]),
  )
  assert.equal((await server.post('events', [{ id: 'http', page: '/b', n: 1, ts }])).status, 202)
  const lines = kcat(server, ['-C', '-t', 'events', '-e', '-o', '-1', '-f', '%o %s %h\n']).trim()
  assert.match(lines, /^250 \{"id":"http","page":"\/b","n":1,"ts":".*"\} .*trace_id=/)
  assert.equal(kcat(server, ['-C', '-t', 'events', '-e', '-o', 'beginning']).trim().split('\n').length, 251)
  assert.match(kcat(server, ['-Q', '-t', 'events:0:-1']), /offset 251/)
  // Enough of them to be one batch in LZ4, whose headers are repeats.
  const many = Array.from({ length: 2_000 }, (_, n) => ({ id: `many-${n % 3 === 0 ? n : 0}`, page: '/c', n, ts }))
  assert.equal((await server.post('events', many)).status, 202)
  const read = kcat(server, ['-C', '-t', 'events', '-e', '-o', '251', '-f', '%s %h\n']).trim().split('\n')
  assert.equal(read.length, many.length)
  for (const [i, line] of read.entries()) {
    assert.ok(line.startsWith(`${JSON.stringify(many[i])} id=${many[i].id},ingested_at=`), line)
    assert.match(line, /,trace_id=[0-9a-f]{32},source=http$/)
  }
  assert.match(kcat(server, ['-L']), /1 brokers:[\s\S]*topic "events" with 1 partitions/)
})

test('kcat in a group goes on where it stopped', { skip: !hasKcat && 'no kcat' }, async (t) => {
  const server = await start(t, makeProject(t, { 'pipelines/counts.sql': countsSql }))
  const numbers = Array.from({ length: 30 }, (_, i) => `${i}`)
  kcat(server, ['-P', '-t', 'numbers'], `${numbers.join('\n')}\n`)
  const read = () => kcat(server, ['-G', 'readers', '-e', '-X', 'auto.offset.reset=earliest', 'numbers']).trim().split('\n').filter(Boolean)
  assert.deepEqual(read(), numbers)
  kcat(server, ['-P', '-t', 'numbers'], 'one more\n')
  assert.deepEqual(read(), ['one more'])
})

test('kill -9 under load: an idempotent producer that goes on has each record in the log once, in order', {
  skip: !hasKcat && 'no kcat',
}, async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const port = String(await freePort())
  let server = await start(t, folder, port)
  const settings = ['enable.idempotence=true', 'acks=all', 'linger.ms=1', 'batch.num.messages=50', 'reconnect.backoff.max.ms=300']
  // kcat gives up when every broker is gone: one more is there, and silent.
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => silent.close())
  const brokers = `${brokerOf(server)},127.0.0.1:${(silent.address() as AddressInfo).port}`
  const producer = spawn('kcat', ['-b', brokers, '-P', '-q', '-t', 'load', ...settings.flatMap((one) => ['-X', one])])
  let stderr = ''
  producer.stderr.on('data', (chunk) => (stderr += chunk))
  const ended = once(producer, 'close')
  t.after(() => producer.kill())
  let count = 0
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 200; i++) producer.stdin.write(`${count++}\n`)
    if (round % 20 === 10) {
      await server.running.kill('SIGKILL')
      server = await start(t, folder, port)
    }
    await sleep(20)
  }
  producer.stdin.end()
  const [code] = await ended
  assert.equal(code, 0, stderr)
  const records = kcat(server, ['-C', '-t', 'load', '-e', '-o', 'beginning']).trim().split('\n')
  assert.deepEqual(
    records,
    Array.from({ length: count }, (_, i) => `${i}`),
  )
})
