// Backups of real processes under load, restored onto an empty folder and over what is there; then compared byte by byte, and with a run
// that was never interrupted.
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { finishRestore } from '../src/app/backup/restore.ts'
import type { TopicSummary } from '../src/serve/contract.ts'
import { countsSql, makeProject, run, type Server, startServer, until } from './harness.ts'
import { BATCH_EVENTS, post, resultsOf, sql, start } from './ordersPipeline.ts'

interface Taken {
  id: string
  sizeBytes: number
  copiedBytes: number
  files: number
  damaged: string[]
}
/** A command to its end. */
async function command<T = Taken>(t: TestContext, ...args: string[]): Promise<{ code: number | null; lines: T[]; output: string }> {
  const running = run(t, [...args, '--json'])
  const { code } = await running.exited
  return { code, lines: running.lines<T>(), output: running.output }
}
async function backup(t: TestContext, ...args: string[]): Promise<Taken> {
  const { code, lines, output } = await command(t, 'backup', ...args)
  assert.equal(code, 0, output)
  return lines[0]
}

/** Every file below a folder with its bytes, by path; segments, not what is beside them. */
const segmentsIn = (folder: string): Map<string, Buffer> =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.log'))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(folder.length), readFileSync(path)]),
  )

/** All that clients see: records of all topics with keys, offsets, headers and times, and rows of all tables. */
async function seen(server: Server, tables: string[]): Promise<Record<string, unknown>> {
  const topics = await server.get<TopicSummary[]>('/v1/topics')
  const all: Record<string, unknown> = {}
  for (const { name } of topics) if (!name.startsWith('__')) all[name] = await server.messages(name)
  for (const table of tables) all[`table ${table}`] = (await server.rows(table)).map((row) => JSON.stringify(row)).sort()
  return all
}

test('backups under load: each restores onto an empty folder, and over what is there; the pipeline then goes on exactly once', {
  timeout: 300_000,
}, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql })
  const to = join(folder, 'backups')
  const server = await start(t, folder)
  assert.ok(server)
  // A backup before there is anything, so that the next ones are increments of it.
  const first = await backup(t, to, '--url', server.ready.url)
  let batch = 0
  let isLoading = true
  const load = (async () => {
    while (isLoading && (await post(server, batch))) batch++
  })()
  const taken: { taken: Taken; afterBatch: number }[] = []
  for (let i = 0; i < 3; i++) {
    const before = batch
    await until(
      () => batch >= before + 8,
      () => `no load: ${server.running.stderr}`,
      60_000,
    )
    taken.push({ taken: await backup(t, to, '--url', server.ready.url), afterBatch: batch })
  }
  isLoading = false
  await load
  await server.running.kill('SIGKILL')
  const { lines: listed } = await command<Taken>(t, 'backup', 'list', to)
  assert.deepEqual(
    listed.map(({ id }) => id),
    [first, ...taken.map((one) => one.taken)].map(({ id }) => id),
  )
  const checked = await command<{ problems: string[] }>(t, 'backup', 'verify', to)
  assert.equal(checked.code, 0, checked.output)
  assert.ok(checked.lines.every(({ problems }) => problems.length === 0))
  assert.ok(!existsSync(join(folder, 'data', 'backup-pin')), 'the pin is gone')

  const plain = makeProject(t, { 'pipelines/orders.sql': sql })
  const reference = await start(t, plain)
  assert.ok(reference)
  for (let i = 0; i < batch; i++) await post(reference, i)
  const expected = await resultsOf(reference, plain, batch * BATCH_EVENTS)
  await reference.running.kill('SIGTERM')

  // Onto an empty folder: files that the sink had finished are no part of the data folder, and are brought as they are.
  const elsewhere = makeProject(t, { 'pipelines/orders.sql': sql })
  cpSync(join(folder, 'archive'), join(elsewhere, 'archive'), { recursive: true })
  const ids = [
    { project: elsewhere, id: taken[1].taken.id, args: [] },
    { project: folder, id: taken[0].taken.id, args: ['--force'] },
  ]
  for (const { project, id, args } of ids) {
    const data = join(project, 'data')
    if (args.length > 0) {
      const refused = await command<{ error: { code: string } }>(t, 'restore', to, '--data', data, '--at', id)
      assert.equal(refused.lines[0].error.code, 'RESTORE_NOT_EMPTY')
    }
    const restored = await command(t, 'restore', to, '--data', data, '--at', id, ...args)
    assert.equal(restored.code, 0, restored.output)
    const again = await start(t, project)
    assert.ok(again)
    const { restored: queries, notices } = again.ready as unknown as { restored: string[]; notices: string[] }
    assert.ok(queries.length >= 8, `went on from a checkpoint: ${queries}`)
    const before = await again.messages('orders')
    assert.ok(before.length > 0 && before.length < batch * BATCH_EVENTS, `${before.length} orders were in the backup`)
    // The same requests again: those of which the backup has the key are answered, the others are stored.
    for (let i = 0; i < batch; i++) await post(again, i)
    const results = await resultsOf(again, project, batch * BATCH_EVENTS)
    for (const name of Object.keys(expected)) assert.deepEqual(results[name], expected[name], `${name} of ${id}: ${notices}`)
    await again.running.kill('SIGTERM')
  }
  assert.ok(readdirSync(join(folder, 'data')).some((name) => name.startsWith('before-restore-')))
  t.diagnostic(`${batch * BATCH_EVENTS} events; backups ${JSON.stringify(taken.map((one) => one.taken))}`)
})

test('a backup has every byte of every topic and all tables; a second one copies only what is new; a damaged one is refused', {
  timeout: 240_000,
}, async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const to = join(folder, 'backups')
  mkdirSync(join(folder, 'data', 'auth'), { recursive: true })
  await command(t, 'token', 'create', '--role', 'reader', '--data', join(folder, 'data'))
  const server = await startServer(t, folder)
  const { url } = server.ready
  // Segments of 64 KiB, so that most are sealed.
  await server.call('/v1/topics/events', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ config: { 'segment.bytes': 65_536 } }),
  })
  const events = (from: number) =>
    Array.from({ length: 1_000 }, (_, i) => ({ id: `e${from + i}`, page: `/p${i % 7}`, n: i, ts: '2026-01-01 00:00:00.000' }))
  for (let i = 0; i < 10; i++) assert.equal((await server.post('events', events(i * 1_000))).status, 202)
  await until(
    async () => (await server.rows('counts')).reduce((sum, row) => sum + Number(row[1]), 0) === 10_000,
    () => `not counted: ${server.running.stderr}`,
  )
  const first = await backup(t, to, '--url', url)
  assert.ok(first.copiedBytes > first.sizeBytes / 2 && first.damaged.length === 0)
  assert.equal((await server.post('events', events(10_000))).status, 202)
  await until(
    async () => (await server.rows('counts')).reduce((sum, row) => sum + Number(row[1]), 0) === 11_000,
    () => `not counted: ${server.running.stderr}`,
  )
  const expected = await seen(server, ['counts'])
  const second = await backup(t, to, '--url', url)
  assert.ok(second.copiedBytes < first.copiedBytes / 2, JSON.stringify([first, second]))
  const refused = await command<{ error: { code: string } }>(t, 'backup', to, '--data', join(folder, 'data'))
  assert.equal(refused.lines[0].error.code, 'DATA_FOLDER_LOCKED', 'a folder that is in use is backed up by who uses it')
  await server.running.kill('SIGKILL')

  const copy = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const data = join(copy, 'data')
  assert.equal((await command(t, 'restore', to, '--data', data)).code, 0)
  const [was, is] = [segmentsIn(join(folder, 'data')), segmentsIn(data)]
  assert.ok(was.size > 10)
  // Byte for byte: what was appended to the original since (positions of readers, the keys of requests) is behind that.
  assert.deepEqual([...is.keys()].sort(), [...was.keys()].sort())
  for (const [path, bytes] of is) assert.ok(bytes.equals(was.get(path)!.subarray(0, bytes.length)), path)
  assert.deepEqual(readFileSync(join(data, 'auth', 'tokens.json')), readFileSync(join(folder, 'data', 'auth', 'tokens.json')))
  const restored = await startServer(t, copy)
  assert.deepEqual(await seen(restored, ['counts']), expected)
  await restored.running.kill('SIGTERM')

  // A stopped folder, after a kill: with the torn tail that it may have.
  const third = await backup(t, to, '--data', join(folder, 'data'))
  const stopped = makeProject(t, {})
  assert.equal((await command(t, 'restore', to, '--data', join(stopped, 'data'), '--at', third.id)).code, 0)
  assert.deepEqual(segmentsIn(join(stopped, 'data')), segmentsIn(join(folder, 'data')))

  const planned = await command<{ removed: string[]; freedBytes: number }>(t, 'backup', 'prune', to, '--keep', '1', '--dry-run')
  assert.deepEqual(planned.lines[0].removed, [first.id, second.id])
  assert.equal((await command(t, 'backup', 'list', to)).lines.length, 3, 'a dry run removes nothing')
  assert.equal((await command(t, 'backup', 'prune', to, '--keep', '1')).code, 0)
  assert.deepEqual(
    (await command(t, 'backup', 'list', to)).lines.map(({ id }) => id),
    [third.id],
  )
  assert.equal((await command(t, 'backup', 'verify', to)).code, 0)

  // One bit, in the largest file.
  const stored = readdirSync(join(to, 'files'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((a, b) => readFileSync(b).length - readFileSync(a).length)[0]
  const bytes = readFileSync(stored)
  bytes[bytes.length >> 1] ^= 4
  writeFileSync(stored, bytes)
  const checked = await command<{ problems: string[] }>(t, 'backup', 'verify', to)
  assert.equal(checked.code, 1)
  assert.equal(checked.lines[0].problems.length, 1)
  const untouched = makeProject(t, {})
  const answer = await command<{ error: { code: string } }>(t, 'restore', to, '--data', join(untouched, 'data'))
  assert.equal(answer.lines[0].error.code, 'BACKUP_DAMAGED')
  assert.ok(!existsSync(join(untouched, 'data')), 'nothing was touched')
})

test('a restore that is cut off anywhere behind its rename is completed by the next start; what was there is aside', (t) => {
  const names = ['auth', 'checkpoints', 'topics']
  // The moves of a restore, in their order: 2 of old entries, 3 of new ones.
  for (let done = 0; done <= 5; done++) {
    const folder = makeProject(t, { 'topics/old': '', 'savepoints/old': '', lock: '' })
    const restored = join(folder, 'restored-x')
    mkdirSync(restored)
    writeFileSync(join(restored, 'names'), JSON.stringify(names))
    for (const name of names) mkdirSync(join(restored, 'data', name), { recursive: true })
    for (const name of names) writeFileSync(join(restored, 'data', name, 'new'), '')
    mkdirSync(join(folder, 'before-restore-x'))
    const moves = [
      ...['savepoints', 'topics'].map((name) => [join(folder, name), join(folder, 'before-restore-x', name)]),
      ...names.map((name) => [join(restored, 'data', name), join(folder, name)]),
    ]
    for (const [from, target] of moves.slice(0, done)) renameSync(from, target)
    finishRestore(folder)
    assert.deepEqual(readdirSync(folder).sort(), ['auth', 'before-restore-x', 'checkpoints', 'lock', 'topics'], `after ${done} moves`)
    for (const name of names) assert.deepEqual(readdirSync(join(folder, name)), ['new'])
    for (const name of ['savepoints', 'topics']) assert.deepEqual(readdirSync(join(folder, 'before-restore-x', name)), ['old'])
  }
})
