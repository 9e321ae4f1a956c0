// What may go wrong around a running platform: port, folder, lock, disk, SQL, kill and stop. The real process each time.
//
// After each fault: a typed error that says what to do, the process alive where it can be, and nothing acknowledged lost.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { loadConfig } from '../src/app/config.ts'
import { startPlatform } from '../src/app/platform.ts'
import type { ApplyReport } from '../src/jobs/index.ts'
import type { Health, QuerySummary } from '../src/serve/contract.ts'
import { countsSql, makeProject, type Ready, run, Server, startServer, until, untilRows } from './harness.ts'

const STOP_MS_MAX = 5_000
const project = (t: TestContext, more: Record<string, string> = {}) => makeProject(t, { 'pipelines/counts.sql': countsSql, ...more })
const event = (id: string, page = '/', n = 1) => ({ id, page, n, ts: '2026-03-01 00:00:00.000' })

/** Runs a command that fails, and gives its error. */
async function failure(
  t: TestContext,
  args: string[],
): Promise<{ code: string; message: string; hint: string; params: Record<string, unknown> }> {
  const running = run(t, [...args, '--json'])
  const exit = await running.exited
  assert.equal(exit.code, 1, running.output)
  assert.equal(running.stderr, '')
  const [line] = running.lines<{ error: { code: string; message: string; hint: string; params: Record<string, unknown> } }>()
  assert.ok(line?.error.hint, running.output)
  return line.error
}

test('port in use: said with the flag that helps; the data folder is let go', async (t) => {
  const folder = project(t)
  const holder = createServer().listen(0, '127.0.0.1')
  t.after(() => holder.close())
  await once(holder, 'listening')
  const { port } = holder.address() as AddressInfo
  const error = await failure(t, ['start', folder, '--port', String(port), '--data', join(folder, 'data')])
  assert.equal(error.code, 'HTTP_PORT_IN_USE')
  assert.match(error.hint, /--port/)
  const server = await startServer(t, folder)
  assert.equal((await server.post('events', [event('a')])).status, 202)
})

test('the Kafka port: taken, it ends the start if it was named, else the platform goes on without one and says so', async (t) => {
  const folder = project(t)
  // Somebody else may have Kafka's own port now: just as well, but it must stay taken.
  let usual = createServer()
  t.after(() => usual.close())
  await until(async () => {
    usual = createServer().listen(9092, '127.0.0.1')
    return once(usual, 'listening').then(
      () => true,
      () => false,
    )
  }, 'another process keeps the port 9092')
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.after(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const data = join(folder, 'data')
  const error = await failure(t, ['start', folder, '--port', '0', '--kafka-port', String(port), '--data', data])
  assert.equal(error.code, 'KAFKA_PORT_IN_USE')
  const running = run(t, ['start', folder, '--port', '0', '--data', data, '--workers', '1', '--json'])
  const server = new Server(running, await running.firstLine<Ready>())
  assert.equal((await server.health()).ready, true)
  assert.match((await server.health()).parts.kafka.detail ?? '', /9092 of 127\.0\.0\.1 is in use/)
  const { kafkaPort } = (await startServer(t, project(t), ['--kafka-port', '0'])).ready as Ready & { kafkaPort: number }
  assert.ok(kafkaPort > 0)
  const off = await startServer(t, project(t), ['--kafka-port', 'none'])
  assert.equal((await off.health()).parts.kafka.detail, 'off')
})

test('a data folder that cannot be written', async (t) => {
  const folder = project(t)
  writeFileSync(join(folder, 'file'), '')
  for (const data of [join(folder, 'file/data'), '/proc/millrace']) {
    const error = await failure(t, ['start', folder, '--port', '0', '--data', data])
    assert.equal(error.code, 'DATA_FOLDER_NOT_WRITABLE', error.message)
    assert.ok(error.message.includes(data))
  }
})

test('a data folder in use: the second says who has it, the first goes on; a lock of a dead process is taken over', async (t) => {
  const folder = project(t)
  const first = await startServer(t, folder)
  const error = await failure(t, ['start', folder, '--port', '0', '--data', first.ready.data])
  assert.equal(error.code, 'DATA_FOLDER_LOCKED')
  assert.equal(error.params.pid, first.ready.pid)
  assert.equal((await first.post('events', [event('a')])).status, 202)
  await first.running.kill('SIGKILL')
  const second = await startServer(t, folder)
  await untilRows(second, 'counts', [['/', 1, 1]])
})

test('a project, config or flag that is wrong', async (t) => {
  const empty = makeProject(t, { 'readme.txt': '' })
  const data = ['--data', join(empty, 'data')]
  assert.equal((await failure(t, ['start', empty, '--port', '0', ...data])).code, 'PROJECT_NOT_FOUND')
  assert.equal((await failure(t, ['start', join(empty, 'nowhere'), '--port', '0', ...data])).code, 'PROJECT_NOT_FOUND')
  assert.equal((await failure(t, ['start', project(t), '--port', '77777', ...data])).code, 'OPTION_INVALID')
  const broken = project(t, { 'millrace.config.ts': 'export default { port: ' })
  assert.equal((await failure(t, ['start', broken, '--port', '0', ...data])).code, 'CONFIG_INVALID')
})

/** A disk of its own, if we may mount one. */
function smallDisk(t: TestContext, megabytes: number): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-disk-'))
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]).status === 0
  t.after(() => {
    if (isMounted) spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  if (!isMounted) return undefined
  return folder
}
/** Takes all space that is left. */
function fill(path: string): void {
  const file = openSync(path, 'a')
  const { bavail, bsize } = statfsSync(path)
  const zeros = Buffer.alloc(64 * 1024)
  try {
    for (let left = bavail * bsize + zeros.length; left > 0; left -= zeros.length) writeSync(file, zeros)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
  closeSync(file)
}

test('a full disk: no acknowledgement, a typed error, reads go on; with space again writing resumes by itself', async (t) => {
  const disk = smallDisk(t, 24)
  if (disk === undefined) return t.skip('mounting a tmpfs needs root')
  const folder = project(t, { 'pipelines/0.sql': "SET 'execution.checkpointing.interval' = '200 ms';" })
  const data = join(disk, 'data')
  const server = await startServer(t, folder, ['--data', data])
  const filler = join(disk, 'filler')
  let accepted = 0
  const postSome = async () => {
    const { status, body } = await server.post(
      'events',
      Array.from({ length: 100 }, (_, i) => ({ ...event(`${accepted + i}`), pad: 'x'.repeat(200) })),
    )
    if (status === 202) accepted += body.accepted
    return { status, error: body.error }
  }
  for (let round = 0; round < 2; round++) {
    assert.equal((await postSome()).status, 202)
    fill(filler)
    // What the file system has set aside for the open segment may take a few more.
    let answer = await postSome()
    for (let i = 0; i < 50 && answer.status === 202; i++) {
      fill(filler)
      answer = await postSome()
    }
    assert.equal(answer.status, 507)
    assert.equal(answer.error.code, 'LOG_DISK_FULL')
    await untilRows(server, 'counts', [['/', accepted, accepted]])
    assert.ok((await server.messages('events')).length === accepted)
    const { live, parts } = await server.health()
    assert.equal(live, true)
    assert.equal(parts.log.state, 'degraded')
    assert.match(parts.log.detail!, /^events\/0: no space left/)
    fill(filler)
    const checkpoints = async () => (await server.health()).parts.checkpoints
    const isFailing = async () => (await postSome()).status === 507 && (await checkpoints()).state === 'degraded'
    await until(isFailing, 'health does not say that checkpoints fail')
    assert.match((await checkpoints()).detail!, /could not be written/)
    rmSync(filler)
    await until(async () => (await postSome()).status === 202, 'writing does not resume')
    assert.equal((await server.health()).parts.log.state, 'ok')
    await until(async () => (await checkpoints()).state === 'ok', 'health does not say that checkpoints succeed again')
  }
  await untilRows(server, 'counts', [['/', accepted, accepted]])
  await server.running.kill('SIGKILL')
  const again = await startServer(t, folder, ['--data', data])
  await untilRows(again, 'counts', [['/', accepted, accepted]])
  assert.deepEqual((await again.post('events', [event('end')])).body.offsets, [{ partition: 0, first: accepted, last: accepted }])
})

const brokenSql = `-- the error is in line 3
CREATE MATERIALIZED TABLE broken AS
SELECT pagge, COUNT(*) AS c FROM events GROUP BY page;
`

test('a broken SQL file beside a good one: the good one runs, the error is shown with file, line and column', async (t) => {
  const folder = project(t, { 'pipelines/z-broken.sql': brokenSql })
  const server = await startServer(t, folder)
  const [error] = server.ready.errors
  assert.equal(server.ready.errors.length, 1)
  assert.match(error.file, /z-broken\.sql$/)
  assert.deepEqual([error.position?.line, error.position?.column], [3, 8])
  const { parts } = await server.health()
  assert.equal(parts.project.state, 'degraded')
  assert.match(parts.project.detail ?? '', /pipelines\/z-broken\.sql:3:8: .*pagge/)
  assert.equal((await server.post('events', [event('a')])).status, 202)
  await untilRows(server, 'counts', [['/', 1, 1]])

  const forPeople = run(t, ['start', folder, '--port', '0', '--data', join(folder, 'data2')])
  await until(
    () => /z-broken\.sql:3:8: .*pagge.*\[\w+\]\n +\S/.test(forPeople.stderr) && /Ctrl-C/.test(forPeople.stdout),
    () => `the terminal shows: ${forPeople.output}`,
  )
})

test('a SQL file that breaks while `millrace dev` runs, and is mended', async (t) => {
  const folder = project(t, {
    'pipelines/more.sql': 'CREATE MATERIALIZED TABLE pages AS SELECT page, COUNT(*) AS c FROM events GROUP BY page;',
  })
  const file = join(folder, 'pipelines/more.sql')
  const server = await startServer(t, folder, [], 'dev')
  await server.post('events', [event('a', 'x')])
  await untilRows(server, 'pages', [['x', 1]])

  writeFileSync(file, brokenSql)
  await until(async () => (await server.health()).parts.project.state === 'degraded', 'the error is not in /v1/health')
  assert.match((await server.health()).parts.project.detail ?? '', /more\.sql:3:8/)
  await until(
    () => server.running.lines<{ reloaded?: { errors: unknown[] } }>().some(({ reloaded }) => reloaded && reloaded.errors.length > 0),
    'the error is not on the terminal',
  )
  await server.post('events', [event('b', 'x')])
  await untilRows(server, 'counts', [['x', 2, 2]])

  writeFileSync(file, 'CREATE MATERIALIZED TABLE pages AS SELECT page, COUNT(*) AS c, MAX(n) AS m FROM events GROUP BY page;')
  await until(async () => (await server.health()).parts.project.state === 'ok', 'the mended file is not taken up')
  await server.post('events', [event('c', 'x', 5)])
  await untilRows(server, 'counts', [['x', 3, 7]])
  await untilRows(server, 'pages', [['x', 3, 5]])
})

test('an edit between reading the project and watching it is not lost', async (t) => {
  const folder = project(t)
  const platform = await startPlatform(await loadConfig(folder, { port: '0', kafkaPort: 'none', json: true, data: join(folder, 'data') }))
  t.after(() => platform.close())
  writeFileSync(
    join(folder, 'pipelines/more.sql'),
    'CREATE MATERIALIZED TABLE pages AS SELECT page, COUNT(*) AS c FROM events GROUP BY page;',
  )
  const report = await new Promise<ApplyReport>((resolve) => t.after(platform.watch(resolve)))
  assert.deepEqual(report.started, ['pages'])
})

test('no SQL that a user can write ends `millrace dev`', async (t) => {
  const folder = project(t)
  const file = join(folder, 'pipelines/more.sql')
  writeFileSync(file, '')
  const server = await startServer(t, folder, [], 'dev')
  const nested = `CREATE MATERIALIZED TABLE deep AS SELECT ${'('.repeat(5_000)}1${')'.repeat(5_000)} AS one FROM events;`
  for (const text of ["SELECT 'open", '\u0000\uffff;;;', nested, 'CREATE TABLE events (a INT);', 'SELECT 1;', '/* open']) {
    const seen = server.running.lines().length
    writeFileSync(file, text)
    await until(() => server.running.lines().length > seen, `no answer to ${text.slice(0, 40)}`)
    assert.ok(server.running.isRunning)
    assert.equal((await server.health()).parts.project.state, 'degraded', text.slice(0, 40))
  }
  rmSync(file)
  await until(async () => (await server.health()).parts.project.state === 'ok', 'the removed file is still in error')
  await server.post('events', [event('a')])
  await untilRows(server, 'counts', [['/', 1, 1]])
})

/** Clients that post batches without end; each batch that was not answered is sent again, under its key, to the next server. */
class Load {
  readonly sent: { key: string; events: ReturnType<typeof event>[] }[] = []
  readonly acknowledged = new Set<string>()
  private server: Server
  private isStopped = false
  private readonly clients: Promise<void>[]

  constructor(server: Server, clientCount: number) {
    this.server = server
    this.clients = Array.from({ length: clientCount }, (_, client) => this.client(client))
  }

  moveTo(server: Server): void {
    this.server = server
  }

  private async client(client: number): Promise<void> {
    for (let batch = 0; !this.isStopped; batch++) {
      const key = `client-${client}-batch-${batch}`
      const events = Array.from({ length: 20 }, (_, i) => event(`${client}-${batch}-${i}`, `page-${(batch * 20 + i) % 7}`, batch % 10))
      this.sent.push({ key, events })
      for (;;) {
        const answer = await this.server.post('events', events, { 'idempotency-key': key }).catch(() => undefined)
        if (answer?.status === 202) {
          assert.equal(answer.body.accepted, events.length)
          for (const { id } of events) this.acknowledged.add(id)
          break
        }
        if (answer) assert.ok(answer.status === 503 || answer.status === 429, `HTTP ${answer.status}: ${JSON.stringify(answer.body)}`)
        await sleep(20)
      }
    }
  }

  async finish(): Promise<void> {
    this.isStopped = true
    await Promise.all(this.clients)
  }

  /** What the table should hold, counted another way. */
  recount(): unknown[][] {
    const pages = Map.groupBy(
      this.sent.flatMap(({ events }) => events),
      ({ page }) => page,
    )
    return [...pages].map(([page, events]) => [page, events.length, events.reduce((sum, { n }) => sum + n, 0)])
  }
}

test('kill -9 under load, again and again: every acknowledged event is there once, and the table equals a recount', async (t) => {
  const folder = project(t)
  let server = await startServer(t, folder)
  const load = new Load(server, 4)
  for (let round = 0; round < 3; round++) {
    const before = load.acknowledged.size
    await until(() => load.acknowledged.size > before + 400, 'the load does not get on')
    const acknowledged = new Set(load.acknowledged)
    await server.running.kill('SIGKILL')
    for (const id of load.acknowledged) acknowledged.add(id)
    server = await startServer(t, folder)
    const stored = new Set((await server.messages('events')).map(({ value }) => (value as { id: string }).id))
    for (const id of acknowledged) assert.ok(stored.has(id), `${id} was acknowledged and is gone`)
    load.moveTo(server)
  }
  await load.finish()
  const ids = (await server.messages('events')).map(({ value }) => (value as { id: string }).id)
  assert.equal(new Set(ids).size, ids.length, 'events are in the log twice')
  assert.equal(ids.length, load.sent.length * 20)
  await untilRows(server, 'counts', load.recount(), 30_000)
})

test('SIGTERM under load: a clean stop in time, exit code 0, and nothing acknowledged is lost', async (t) => {
  const folder = project(t)
  let server = await startServer(t, folder)
  const socket = new WebSocket(`${server.ready.url.replace('http', 'ws')}/v1/tables/counts/live`)
  await once(socket, 'open')
  const load = new Load(server, 4)
  await until(() => load.acknowledged.size > 1_000, 'the load does not get on')
  const { code, afterMs } = await server.running.kill('SIGTERM')
  assert.equal(code, 0, server.running.output)
  assert.ok(afterMs < STOP_MS_MAX, `stopped after ${Math.round(afterMs)} ms`)
  assert.equal(server.running.stderr, '')
  const acknowledged = new Set(load.acknowledged)
  server = await startServer(t, folder)
  const stored = new Set((await server.messages('events')).map(({ value }) => (value as { id: string }).id))
  for (const id of acknowledged) assert.ok(stored.has(id), `${id} was acknowledged and is gone`)
  load.moveTo(server)
  await load.finish()
  await untilRows(server, 'counts', load.recount(), 30_000)
})

test('a query that fails stops alone, and says why', async (t) => {
  const folder = project(t, {
    'pipelines/ratio.sql': 'CREATE MATERIALIZED TABLE ratio (PRIMARY KEY (id) NOT ENFORCED) AS SELECT id, 100 / n AS r FROM events;',
  })
  const server = await startServer(t, folder)
  assert.deepEqual(server.ready.errors, [])
  const { status } = await server.post('events', [event('a', '/', 4), event('b', '/', 0), event('c', '/', 5)])
  assert.equal(status, 202)
  await untilRows(server, 'counts', [['/', 3, 9]])
  // A row that cannot be computed goes to <topic>.invalid; the others are there.
  await untilRows(server, 'ratio', [
    ['a', 25],
    ['c', 20],
  ])
  await until(async () => (await server.messages('events.invalid').catch(() => [])).length === 1, 'the row is not in events.invalid')
  const queries = await server.get<QuerySummary[]>('/v1/queries')
  assert.deepEqual(queries.map(({ name, state }) => [name, state]).sort(), [
    ['counts', 'running'],
    ['ratio', 'running'],
  ])
})

test('an engine worker that dies, again and again: its queries say so, start anew with pauses, and are whole again', async (t) => {
  const folder = project(t)
  const flags = { port: '0', workers: '1', json: true, data: join(folder, 'data') }
  const platform = await startPlatform(await loadConfig(folder, flags))
  t.after(() => platform.close())
  const server = new Server(undefined as never, { url: platform.url } as never)
  const stateOf = () => platform.jobs.queries().map(({ state, error }) => `${state} ${error?.code ?? ''}`.trim())
  // Nothing that a user can write is known to kill a worker: a hand from outside does.
  const { slots } = (platform.jobs as unknown as { workers: { slots: { worker?: Worker }[] } }).workers
  for (let round = 1; round <= 3; round++) {
    assert.equal((await server.post('events', [event(`${round}`)])).status, 202)
    await untilRows(server, 'counts', [['/', round, round]])
    await slots[0].worker?.terminate()
    await until(() => stateOf()[0] === 'failed JOB_WORKER_DIED', 'the death is not seen')
    assert.equal((await server.health()).parts.engine.state, 'degraded')
    assert.equal(slots[0].worker, undefined)
    await until(() => slots[0].worker !== undefined, 'the worker does not come back')
  }
  await untilRows(server, 'counts', [['/', 3, 3]])
  assert.deepEqual(stateOf(), ['running'])
})

test("the thread of the log's writer dies: the Kafka port in it is closed, and health says both", async (t) => {
  const folder = project(t)
  const flags = { port: '0', kafkaPort: '0', workers: '1', json: true, data: join(folder, 'data') }
  const platform = await startPlatform(await loadConfig(folder, flags))
  t.after(() => platform.close())
  const server = new Server(undefined as never, { url: platform.url } as never)
  const port = platform.kafkaPort!
  const reach = async () => {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return 'open'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    } finally {
      socket.destroy()
    }
  }
  assert.deepEqual([(await server.health()).parts.kafka, await reach()], [{ state: 'ok', detail: `port ${port}` }, 'open'])
  // Nothing that a user can do is known to end it: a hand from outside does.
  const { log } = (platform.jobs as unknown as { options: { log: { worker: Worker } } }).options
  await log.worker.terminate()
  const { status, body } = await server.call<Health>('/v1/health')
  assert.deepEqual([status, body.ready, body.live], [503, false, false])
  assert.deepEqual(body.parts.kafka, { state: 'degraded', detail: `port ${port} is closed: the thread of the log's writer has ended` })
  assert.equal(body.parts.log.state, 'degraded')
  assert.equal(await reach(), 'ECONNREFUSED')
  const refused = await server.post('events', [event('1')])
  assert.deepEqual([refused.status, (refused.body as { error?: { code: string } }).error?.code], [503, 'LOG_WRITER_STOPPED'])
})
