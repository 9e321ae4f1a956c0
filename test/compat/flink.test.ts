// A Flink job with the Kafka connector that reads from and writes to the real process, exactly once, while that is killed.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeProject, startServer, until } from '../harness.ts'
import { freePort } from './servers/kafka.ts'

const script = resolve(import.meta.dirname, 'servers/flink.sh')
const flinkMissing = spawnSync(script, ['has']).status === 0 ? undefined : 'no Flink: run test/compat/servers/flink.sh setup'
const START_MS_MAX = 180_000
const RESULT_MS_MAX = 180_000
const EVENTS = 3_000

interface Gateway {
  folder: string
  url: string
  rest: string
}
async function startFlink(t: TestContext): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-flink-'))
  const [rest, rpc, gateway] = [await freePort(), await freePort(), await freePort()]
  const child = spawn(script, ['run', folder, ...[rest, rpc, gateway].map(String)], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGTERM')
    await exited
    rmSync(folder, { recursive: true, force: true })
  })
  const flink = { folder, url: `http://127.0.0.1:${gateway}`, rest: `http://127.0.0.1:${rest}` }
  const isUp = async () => {
    const overview = (await (await fetch(`${flink.rest}/overview`)).json()) as { 'slots-available': number }
    return overview['slots-available'] > 0 && (await fetch(`${flink.url}/v2/info`)).ok
  }
  await until(
    () => isUp().catch(() => false),
    () => `Flink is not up: ${logsOf(folder)}`,
    START_MS_MAX,
  )
  return flink
}
const logsOf = (folder: string): string =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .map((name) => `${name}: ${readFileSync(join(folder, name), 'utf8').slice(-2_000)}`)
    .join('\n')

/** Runs statements in one session of the SQL Gateway, each to its end. */
async function submit({ url }: Gateway, statements: string[]): Promise<void> {
  const call = async (path: string, body?: object) => {
    const response = await fetch(`${url}${path}`, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body) })
    const json = (await response.json()) as { errors?: string[]; sessionHandle: string; operationHandle: string; resultType: string }
    if (json.errors) throw new Error(json.errors.join('\n').slice(-3_000))
    return json
  }
  const { sessionHandle } = await call('/v2/sessions', { properties: {} })
  for (const statement of statements) {
    const { operationHandle } = await call(`/v2/sessions/${sessionHandle}/statements`, { statement })
    const path = `/v2/sessions/${sessionHandle}/operations/${operationHandle}/result/0?rowFormat=JSON`
    while ((await call(path)).resultType === 'NOT_READY') await sleep(50)
  }
}

test('a Flink job reads and writes through its Kafka connector exactly once, over kill -9 of the broker', {
  skip: flinkMissing,
}, async (t) => {
  const flink = await startFlink(t)
  const folder = makeProject(t, {
    'pipelines/orders.sql': `
      CREATE TABLE orders (id BIGINT, cents BIGINT) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '2');
      CREATE TABLE doubled (id BIGINT, cents BIGINT) WITH ('connector' = 'kafka', 'topic' = 'doubled', 'format' = 'json', 'properties.isolation.level' = 'read_committed');
      CREATE MATERIALIZED TABLE sums (PRIMARY KEY (k) NOT ENFORCED) AS
      SELECT k, COUNT(*) AS orders, COUNT(DISTINCT id) AS ids, SUM(cents) AS cents FROM (SELECT 1 AS k, id, cents FROM doubled) GROUP BY k;`,
  })
  const port = String(await freePort())
  const start = () => startServer(t, folder, ['--kafka-port', port])
  let server = await start()
  assert.deepEqual(server.ready.errors, [])
  const table = (topic: string, more: string) =>
    `CREATE TABLE ${topic} (id BIGINT, cents BIGINT) WITH ('connector' = 'kafka', 'topic' = '${topic}', 'format' = 'json', 'properties.bootstrap.servers' = '127.0.0.1:${port}'${more})`
  await submit(flink, [
    table(
      'orders',
      ", 'properties.group.id' = 'flink', 'scan.startup.mode' = 'earliest-offset', 'properties.isolation.level' = 'read_committed'",
    ),
    table(
      'doubled',
      ", 'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = 'doubled', 'properties.transaction.timeout.ms' = '60000'",
    ),
    'INSERT INTO doubled SELECT id, cents * 2 FROM orders',
  ])
  const sums = async () => (await server.rows('sums'))[0] ?? [1, 0, 0, 0]
  let sent = 0
  const send = async (count: number) => {
    for (const end = sent + count; sent < end; sent += 100) {
      const events = Array.from({ length: 100 }, (_, i) => ({ id: sent + i, cents: sent + i }))
      assert.equal((await server.post('orders', events)).status, 202)
      await sleep(100)
    }
  }
  await send(EVENTS / 3)
  await until(
    async () => Number((await sums())[1]) > 0,
    () => `nothing came back: ${logsOf(flink.folder)}`,
    RESULT_MS_MAX,
  )
  for (let round = 0; round < 2; round++) {
    await server.running.kill('SIGKILL')
    await sleep(500)
    server = await start()
    await send(EVENTS / 3)
  }
  let last: unknown[] = []
  const total = EVENTS * (EVENTS - 1)
  await until(
    async () => Number((last = await sums())[2]) >= EVENTS,
    () => `${JSON.stringify(last)} of ${EVENTS}: ${logsOf(flink.folder)}`,
    RESULT_MS_MAX,
  )
  // Whatever comes twice would come now.
  await sleep(3_000)
  assert.deepEqual((await sums()).map(Number), [1, EVENTS, EVENTS, total])
})
