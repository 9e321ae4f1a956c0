// Transactions of clients that others wrote: the Java client and Kafka's tools, and librdkafka in kcat, against the real process.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { countsSql, makeProject, type Server, startServer, untilRows } from '../harness.ts'
import { freePort, kafkaMissing, kafkaTool } from './servers/kafka.ts'

const hasKcat = spawnSync('kcat', ['-V']).status === 0
/** What the client logs would be between the lines that are looked at. */
const quiet = { LVL: 'OFF' }
const options = { skip: kafkaMissing }
const program = resolve(import.meta.dirname, 'servers/kafka/Transactions.java')
const script = resolve(import.meta.dirname, 'servers/kafka.sh')

const bootstrapOf = (server: Server) => `127.0.0.1:${(server.ready as unknown as { kafkaPort: number }).kafkaPort}`
async function start(t: TestContext, port = '0', folder = makeProject(t, { 'pipelines/counts.sql': countsSql })) {
  const server = await startServer(t, folder, ['--kafka-port', port])
  const bootstrap = bootstrapOf(server)
  const run = async (name: string, args: string[], input?: string) => {
    const isProgram = name === program
    const all = isProgram ? [bootstrap, ...args] : ['--bootstrap-server', bootstrap, ...args]
    const { status, stdout, stderr } = await kafkaTool(isProgram ? name : `org.apache.kafka.tools.${name}`, all, { input, env: quiet })
    assert.equal(status, 0, `${name} ${args.join(' ')}\n${stdout}\n${stderr}`)
    t.diagnostic(`${isProgram ? 'Transactions.java' : name} ${args.join(' ')}`)
    return stdout
  }
  return { server, folder, bootstrap, run }
}
type Run = Awaited<ReturnType<typeof start>>['run']

const lines = (text: string) => text.split('\n').filter(Boolean)
/** Values of all records from the beginning; there are some. On a busy machine a group may take longer than the first try lasts. */
async function consume(run: Run, topic: string, isolation: string): Promise<string[]> {
  const args = ['--topic', topic, '--from-beginning', '--isolation-level', isolation, '--timeout-ms']
  const values = lines(await run('consumer.ConsoleConsumer', [...args, '3000']))
  return values.length > 0 ? values : lines(await run('consumer.ConsoleConsumer', [...args, '20000']))
}
const createTopic = (run: Run, topic: string) => run('TopicCommand', ['--create', '--topic', topic, '--partitions', '2'])

test('Java: reads, processes and writes exactly once, with offsets in the transaction and every third one aborted', options, async (t) => {
  const { run } = await start(t)
  await createTopic(run, 'numbers')
  await createTopic(run, 'copies')
  const numbers = Array.from({ length: 60 }, (_, i) => `n${i}`)
  await run('ConsoleProducer', ['--topic', 'numbers'], `${numbers.join('\n')}\n`)
  const printed = lines(await run(program, ['copy', 'numbers', 'copies', 'copiers', 'copier-1', '60']))
  assert.ok(printed.some((line) => line.startsWith('aborted')) && printed.at(-1)?.startsWith('committed'))
  const committed = await consume(run, 'copies', 'read_committed')
  assert.deepEqual(committed.sort(), numbers.map((value) => `${value}!`).sort())
  assert.ok((await consume(run, 'copies', 'read_uncommitted')).length > committed.length)
  const group = await run('consumer.group.ConsumerGroupCommand', ['--describe', '--group', 'copiers'])
  assert.equal(
    [...group.matchAll(/copiers\s+numbers\s+\d+\s+\d+\s+\d+\s+(\d+)/g)].reduce((sum, [, lag]) => sum + Number(lag), 0),
    0,
  )
})

test('producer perf test in transactions; kafka-transactions lists, describes and aborts one that was left open', options, async (t) => {
  const { run } = await start(t)
  await createTopic(run, 'perf')
  const settings = ['--record-size', '100', '--throughput', '-1', '--topic', 'perf', '--num-records', '20000']
  await run('ProducerPerformance', [...settings, '--transactional-id', 'perf', '--transaction-duration-ms', '50'])
  assert.equal((await consume(run, 'perf', 'read_committed')).length, 20_000)

  // By its id, as somebody who takes over; and by its place in a partition, as one of which nobody knows any more.
  await run(program, ['open', 'perf', 'fenced'])
  await run('TransactionsCommand', ['forceTerminateTransaction', '--transactionalId', 'fenced'])
  const fenced = await run('TransactionsCommand', ['describe', '--transactional-id', 'fenced'])
  assert.match(fenced, /fenced\s+\d+\s+\d+\s+Empty/)
  await run(program, ['open', 'perf', 'hanging'])
  const list = await run('TransactionsCommand', ['list'])
  assert.match(list, /hanging\s+\d+\s+\d+\s+Ongoing/)
  assert.match(list, /perf\s+\d+\s+\d+\s+CompleteCommit/)
  const described = await run('TransactionsCommand', ['describe', '--transactional-id', 'hanging'])
  assert.match(described, /hanging\s+\d+\s+\d+\s+Ongoing\s+60000\s+\S+\s+\d+\s+perf-0/)
  const producers = await run('TransactionsCommand', ['describe-producers', '--topic', 'perf', '--partition', '0'])
  const open = /^(\d+)\s+(\d+)\s+-?\d+\s+\d+\s+\d+\s+(\d+)\s*$/m.exec(producers)
  assert.ok(open, producers)
  assert.match(await run('TransactionsCommand', ['find-hanging', '--broker-id', '1', '--max-transaction-timeout', '0']), /^Topic/m)
  assert.equal((await consume(run, 'perf', 'read_uncommitted')).filter((value) => value === 'left open').length, 2)
  await run('TransactionsCommand', ['abort', '--topic', 'perf', '--partition', '0', '--start-offset', open[3]])
  const after = await run('TransactionsCommand', ['describe-producers', '--topic', 'perf', '--partition', '0'])
  assert.ok(!/\s\d+\s*$/m.test(after.split('\n').slice(1).join('\n')), after)
  assert.equal((await consume(run, 'perf', 'read_committed')).length, 20_000)
})

test('kcat produces in a transaction, reads committed records, and SQL sees them when they are committed', {
  skip: !hasKcat && 'no kcat',
}, async (t) => {
  const { server, bootstrap } = await start(t)
  const ts = '2026-01-01 12:00:00.000'
  const event = (id: number) => `${JSON.stringify({ id: `e${id}`, page: '/a', n: id, ts })}\n`
  const args = ['-b', bootstrap, '-q', '-P', '-t', 'events', '-X', 'transactional.id=kcat-1', '-X', 'linger.ms=1']
  const child = spawn('kcat', args, { stdio: ['pipe', 'inherit', 'inherit'] })
  const exited = once(child, 'exit')
  for (let id = 0; id < 20; id++) child.stdin.write(event(id))
  const read = (isolation: string) =>
    lines(spawnSync('kcat', ['-b', bootstrap, '-q', '-C', '-t', 'events', '-e', '-X', `isolation.level=${isolation}`]).stdout.toString())
  for (let i = 0; i < 100 && read('read_uncommitted').length === 0; i++) await sleep(100)
  assert.ok(read('read_uncommitted').length > 0)
  assert.deepEqual(read('read_committed'), [])
  assert.deepEqual(await server.rows('counts'), [])
  const why = await server.get<{ verdict: string }>('/v1/queries/counts/why')
  assert.match(why.verdict, /^\d+ records? of topic "events" waits? for a transaction that is open\.$/)
  // kcat commits at the end of its input.
  child.stdin.end(event(20))
  assert.deepEqual(await exited, [0, null])
  assert.equal(read('read_committed').length, 21)
  await untilRows(server, 'counts', [['/a', 21, 210]])
})

test('kill -9 under load: what was committed is there once, what was aborted is never seen', options, async (t) => {
  const port = String(await freePort())
  const { server: first, folder, bootstrap, run: create } = await start(t, port)
  await createTopic(create, 'load')
  const count = 120
  const child = spawn(script, ['tool', program, bootstrap, 'load', 'load', 'loader', String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const printed: string[] = []
  createInterface(child.stdout).on('line', (line) => {
    if (/^(committed|aborted) \d+$/.test(line)) printed.push(line)
  })
  let server = first
  for (const done of [20, 45, 70, 95]) {
    while (printed.length < done && child.exitCode === null) await sleep(5)
    await server.running.kill('SIGKILL')
    ;({ server } = await start(t, port, folder))
  }
  assert.deepEqual(await exited, [0, null])
  const numbersOf = (word: string) => printed.filter((line) => line.startsWith(word)).map((line) => Number(line.split(' ')[1]))
  const committed = numbersOf('committed')
  t.diagnostic(`${committed.length} transactions committed, ${numbersOf('aborted').length} aborted, 4 times killed`)
  assert.equal(printed.length, count)
  const expected = committed.flatMap((number) => Array.from({ length: 10 }, (_, i) => `${number}-${i}`))
  assert.deepEqual((await consume(create, 'load', 'read_committed')).sort(), expected.sort())
})
