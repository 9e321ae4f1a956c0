import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isStreamError, metrics } from '../base/index.ts'
import { t } from '../data/index.ts'
import { type Log, logErrors, openLog } from '../log/index.ts'
import type { IngestAnswer, IngestLimits, TopicSchema } from './contract.ts'
import { Door, type EventsAnswer } from './door.ts'
import { IDEMPOTENCY_TOPIC } from './idempotency.ts'

const root = mkdtempSync(join(tmpdir(), 'idempotency-'))
after(() => rmSync(root, { recursive: true }))
let folderCount = 0
const newFolder = () => join(root, String(folderCount++))

const schema: TopicSchema = {
  fields: [
    { name: 'user', type: t.string(false) },
    { name: 'n', type: t.bigint() },
  ],
  keyFields: ['user'],
}
async function openDoor(log: Log, limits: Partial<IngestLimits> = {}, now?: () => number): Promise<Door> {
  const door = new Door({
    log,
    topicSchema: (topic) => (topic === 'clicks' ? schema : undefined),
    topicNames: () => ['clicks'],
    limits,
    now,
  })
  await door.start()
  return door
}
async function openFresh(folder: string): Promise<Log> {
  const log = await openLog({ folder, durability: 'os' })
  if (!log.topic('clicks')) await log.createTopic('clicks', { partitionCount: 3 })
  return log
}
const post = (door: Door, key: string | undefined, body: string): Promise<EventsAnswer> =>
  door.accept({
    topic: 'clicks',
    body: Buffer.from(body),
    form: 'json',
    traceId: '0',
    source: 'http',
    client: '::1',
    idempotencyKey: key,
  })
const valuesOf = async (log: Log, topic = 'clicks') =>
  (await log.readMessages(topic, { limit: 100_000 })).map(({ value }) => Buffer.from(value!).toString())
const codeOf = async (promise: Promise<unknown>) => {
  try {
    await promise
    return 'none'
  } catch (error) {
    return isStreamError(error) ? error.code : String(error)
  }
}

/** The log, but `append` goes through `hook`, which may refuse or never answer. */
function hooked(log: Log, hook: (topic: string, append: () => Promise<unknown>) => Promise<unknown>): Log {
  return new Proxy(log, {
    get(target, name) {
      if (name === 'append') return (...args: Parameters<Log['append']>) => hook(args[0], () => target.append(...args))
      if (name === 'appendRecords') return (...args: Parameters<Log['appendRecords']>) => hook(args[0], () => target.appendRecords(...args))
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

// Users of all three partitions, and rejected events.
const body = `${Array.from({ length: 30 }, (_, i) => `{"user":"u${i}","n":${i}}`).join('\n')}\n{"n":1}\n{"user":"x","n":"y"}`

test('the same key and body: stored once, answered the same, also when sent at once and after a restart', async () => {
  const folder = newFolder()
  let log = await openFresh(folder)
  let door = await openDoor(log)
  const answers = await Promise.all([post(door, 'k1', body), post(door, 'k1', body), post(door, 'k1', body)])
  assert.deepEqual(
    answers.map(({ isReplayed }) => isReplayed),
    [false, true, true],
  )
  const again = await post(door, 'k1', body)
  assert.deepEqual(again, { status: 202, text: answers[0].text, isReplayed: true })
  const answer = JSON.parse(again.text) as IngestAnswer
  assert.equal(answer.accepted, 30)
  assert.equal(answer.rejectedCount, 2)
  assert.equal((await valuesOf(log)).length, 30)
  assert.equal((await valuesOf(log, 'clicks.invalid')).length, 2)
  assert.equal(await codeOf(post(door, 'k1', '{"user":"other"}')), 'INGEST_KEY_REUSED')
  // A request that stored nothing leaves its key free; one whose events were all rejected does not.
  assert.equal(await codeOf(post(door, 'k2', '[]')), 'INGEST_BODY_EMPTY')
  assert.equal((await post(door, 'k2', '{"n":1}')).status, 422)
  assert.equal((await post(door, 'k2', '{"n":1}')).isReplayed, true)
  await door.close()
  await log.close()
  log = await openFresh(folder)
  door = await openDoor(log)
  assert.deepEqual(await post(door, 'k1', body), again)
  assert.deepEqual((await post(door, 'k2', '{"n":1}')).status, 422)
  assert.equal(await codeOf(post(door, 'k1', '{"user":"other"}')), 'INGEST_KEY_REUSED')
  assert.equal((await valuesOf(log)).length, 30)
  // Without a key, twice is twice.
  await post(door, undefined, '{"user":"twice"}')
  await post(door, undefined, '{"user":"twice"}')
  assert.equal((await valuesOf(log)).length, 32)
  await log.close()
})

test('a crash after any of the appends: the retry stores what is missing and nothing twice', async () => {
  // The appends of a request, in order: begin, one batch for each of three partitions, the rejected events, end.
  for (let survivorCount = 0; survivorCount <= 5; survivorCount++) {
    const folder = newFolder()
    let log = await openFresh(folder)
    await post(await openDoor(log), undefined, '{"user":"before"}')
    let appendCount = 0
    const lost = new Promise<never>(() => {})
    const crashing = hooked(log, async (_, append) => (appendCount++ < survivorCount ? append() : lost))
    const door = await openDoor(crashing)
    void post(door, 'key', body).catch(() => {})
    // The first append that is lost has been asked for: those before it are in the log, or on their way there.
    while (appendCount <= survivorCount) await sleep(2)
    await log.close()
    log = await openFresh(folder)
    await post(await openDoor(log), undefined, '{"user":"between"}')
    const restarted = await openDoor(log)
    const answer = await post(restarted, 'key', body)
    assert.equal(answer.isReplayed, survivorCount > 0, `${survivorCount}`)
    const { accepted, offsets, rejectedCount } = JSON.parse(answer.text) as IngestAnswer
    assert.deepEqual([accepted, rejectedCount], [30, 2])
    const values = await valuesOf(log)
    assert.deepEqual(values.filter((value) => value.includes('"n"')).sort(), body.split('\n').slice(0, 30).sort())
    assert.equal(values.length, 32)
    assert.equal((await valuesOf(log, 'clicks.invalid')).length, 2)
    // The offsets of the answer are those of the records.
    const found = (await log.readMessages('clicks', { limit: 1000 })).filter(({ value }) => Buffer.from(value!).includes('"n"'))
    assert.ok(
      found.every(({ partition, offset }) =>
        offsets.some((range) => range.partition === partition && range.first <= offset && offset <= range.last),
      ),
    )
    assert.equal(
      offsets.reduce((sum, { first, last }) => sum + last - first + 1, 0),
      30,
    )
    assert.equal((await post(restarted, 'key', body)).isReplayed, true)
    await log.close()
  }
})

test('a disk that is full for some partitions: 507 or partly stored; the retry completes it', async () => {
  const log = await openFresh(newFolder())
  let refusing = 0
  const full = hooked(log, (topic, append) => {
    if (topic !== IDEMPOTENCY_TOPIC && refusing-- > 0) return Promise.reject(logErrors('LOG_DISK_FULL', { path: '/data' }))
    return append()
  })
  const door = await openDoor(full)
  refusing = 4
  assert.equal(await codeOf(post(door, 'k', body)), 'LOG_DISK_FULL')
  assert.equal((await valuesOf(log)).length, 0)
  refusing = 2
  assert.equal(await codeOf(post(door, 'k', body)), 'INGEST_PARTLY_STORED')
  refusing = 0
  const answer = await post(door, 'k', body)
  assert.equal(answer.status, 202)
  assert.deepEqual((await valuesOf(log)).sort(), body.split('\n').slice(0, 30).sort())
  refusing = 1
  assert.equal(await codeOf(post(door, undefined, '{"user":"a"}')), 'LOG_DISK_FULL')
  await log.close()
})

test('keys are forgotten after their time, and the oldest when there are too many', async () => {
  const folder = newFolder()
  let nowMs = 1_800_000_000_000
  let log = await openFresh(folder)
  const event = '{"user":"a"}'
  let door = await openDoor(log, { idempotencyKeys: 3 }, () => nowMs)
  for (const key of ['a', 'b', 'c', 'd']) await post(door, key, event)
  assert.equal((await metrics.getSingleMetric('millrace_ingest_idempotency_forgotten_total')!.get()).values[0].value, 1)
  assert.equal((await post(door, 'd', event)).isReplayed, true)
  assert.equal((await post(door, 'a', event)).isReplayed, false)
  nowMs += 24 * 3600 * 1000 - 1
  assert.equal((await post(door, 'd', event)).isReplayed, true)
  await log.close()
  log = await openFresh(folder)
  door = await openDoor(log, {}, () => nowMs)
  assert.equal((await post(door, 'd', event)).isReplayed, true)
  nowMs += 2
  assert.equal((await post(door, 'd', event)).isReplayed, false)
  await log.close()
})

test('kill -9 at any moment: every event whose request was repeated until answered is there once', { timeout: 60_000 }, async () => {
  const folder = newFolder()
  const script = join(root, 'server.ts')
  const from = (path: string) => JSON.stringify(resolve(import.meta.dirname, path))
  writeFileSync(
    script,
    `import { openLog } from ${from('../log/index.ts')}
import { makeHttpServer } from ${from('../base/http/index.ts')}
import { registerIngest } from ${from('./index.ts')}
const log = await openLog({ folder: process.argv[2] })
if (!log.topic('clicks')) await log.createTopic('clicks', { partitionCount: 3 })
const schema = ${JSON.stringify(schema)}
const server = await makeHttpServer()
await registerIngest(server.app, { log, topicSchema: () => schema, topicNames: () => [] })
process.send((await server.listen()).port)
`,
  )
  const start = async (): Promise<[ChildProcess, number]> => {
    const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const [port] = await once(child, 'message')
    return [child, port as number]
  }
  let [child, port] = await start()
  const expected: string[] = []
  let replayCount = 0
  let killCount = 0
  for (let request = 0; killCount < 6; request++) {
    const lines = Array.from({ length: 20 }, (_, i) => `{"user":"u${i % 7}","n":${request * 100 + i}}`)
    expected.push(...lines)
    const send = () =>
      fetch(`http://127.0.0.1:${port}/v1/topics/clicks/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': `request-${request}` },
        body: lines.join('\n'),
      })
    const isKilled = request % 4 === 3
    if (isKilled) {
      killCount++
      const answer = send().catch(() => undefined)
      await sleep(Math.random() * 12)
      child.kill('SIGKILL')
      await once(child, 'exit')
      await answer
      ;[child, port] = await start()
    }
    const answer = await send()
    assert.equal(answer.status, 202)
    if (answer.headers.get('idempotency-replayed')) replayCount++
  }
  child.kill('SIGKILL')
  await once(child, 'exit')
  const log = await openLog({ folder, durability: 'os' })
  assert.deepEqual((await valuesOf(log)).sort(), expected.sort())
  assert.ok(replayCount <= killCount)
  await log.close()
})
