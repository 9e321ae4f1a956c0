import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { RING_BATCH_BYTES_MAX, RING_BYTES } from './appendRing.ts'
import type { RecordInput } from './contract.ts'
import { lockFolder } from './folderLock.ts'
import { openLog } from './log.ts'
import { openPartitionReader } from './reader.ts'
import { recompressed } from './recompress.ts'
import { BatchBuilder, batchHeaderOf, noHeaders } from './recordBatch.ts'
import { makeBatch, readTexts } from './testRecords.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-log-'))
after(() => rmSync(root, { recursive: true, force: true }))
let folderCount = 0
const newFolder = () => join(root, `data-${folderCount++}`)
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const record = (text: string, timestampMs = 0): RecordInput => ({ key: null, value: new TextEncoder().encode(text), timestampMs })
const textOf = ({ value }: { value: Uint8Array | null }) => value && new TextDecoder().decode(value)

test('appends, reads back by offset, time and newest, and after a restart', async () => {
  const folder = newFolder()
  const log = await openLog({ folder })
  await log.createTopic('t', { partitionCount: 2 })
  const key = new TextEncoder().encode('k')
  const first = { ...record('one', 10), key, headers: [['h', key]] as [string, Uint8Array][] }
  assert.deepEqual(await log.appendRecords('t', 0, [first, record('two', 20)]), { partition: 0, first: 0, last: 1 })
  assert.deepEqual(await log.appendRecords('t', 1, [record('three', 15)]), { partition: 1, first: 0, last: 0 })
  const check = async (opened: typeof log) => {
    assert.deepEqual((await opened.readMessages('t')).map(textOf), ['one', 'three', 'two'])
    assert.deepEqual((await opened.readMessages('t', { limit: 1 })).map(textOf), ['two'])
    assert.deepEqual((await opened.readMessages('t', { fromOffset: 1, partition: 0 })).map(textOf), ['two'])
    assert.deepEqual((await opened.readMessages('t', { fromTimeMs: 11 })).map(textOf), ['three', 'two'])
    assert.deepEqual(await opened.readMessages('t', { limit: 0 }), [])
    const [one] = await opened.readMessages('t', { partition: 0 })
    assert.deepEqual([one.offset, one.timestampMs, one.key && Uint8Array.from(one.key), one.headers[0][0]], [0, 10, key, 'h'])
    assert.deepEqual(
      opened.topic('t')?.partitions.map(({ endOffset }) => endOffset),
      [2, 1],
    )
  }
  await check(log)
  await log.close()
  await log.close()
  await assert.rejects(log.appendRecords('t', 0, [record('x')]), { code: 'LOG_CLOSED' })
  const reopened = await openLog({ folder })
  assert.deepEqual(reopened.stats().recovery, [])
  await check(reopened)
  await reopened.close()
})

test("a topic's compression.type: what comes otherwise is compressed again, what cannot be read is refused", async () => {
  const log = await openLog({ folder: newFolder(), durability: 'os' })
  const texts = Array.from({ length: 200 }, (_, i) => `record ${i}`)
  const codecs = { producer: 0, uncompressed: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
  const codecsIn = (topic: string) => {
    const reader = openPartitionReader(log.descriptor(topic), 0, 0)
    const run = reader.read()!
    const found: number[] = []
    for (let at = run.start; at < run.end; at += batchHeaderOf(run.bytes, at).sizeBytes) found.push(batchHeaderOf(run.bytes, at).codec)
    reader.close()
    return found
  }
  const sent = Object.fromEntries([0, 1, 2, 3, 4].map((codec) => [codec, recompressed(makeBatch(texts, 7), codec)]))
  for (const [name, codec] of Object.entries(codecs)) {
    await log.createTopic(name, { 'compression.type': name as keyof typeof codecs })
    for (const [, batch] of Object.entries(sent)) await log.append(name, 0, Uint8Array.from(batch), { isForeign: true, recordCount: 200 })
    assert.deepEqual(codecsIn(name), name === 'producer' ? [0, 1, 2, 3, 4] : Array(5).fill(codec))
    assert.deepEqual(
      readTexts(log.descriptor(name), 0).map(([, text]) => text),
      [...texts, ...texts, ...texts, ...texts, ...texts],
    )
  }
  for (const codec of [0, 1, 3]) {
    const torn = Uint8Array.from(sent[codec])
    torn[torn.length - 20] ^= 1
    await assert.rejects(log.append('zstd', 0, torn, { isForeign: true }), { code: 'LOG_BATCH_CHECKSUM' })
  }
  // As Kafka, what a client sends is measured before and after; what is our own only as it is stored.
  const large = makeBatch(['x'.repeat(2e6)])
  await assert.rejects(log.append('zstd', 0, Uint8Array.from(large), { isForeign: true }), { code: 'LOG_BATCH_TOO_LARGE' })
  await assert.rejects(log.append('uncompressed', 0, recompressed(large, 4), { isForeign: true }), { code: 'LOG_BATCH_TOO_LARGE' })
  assert.equal(log.pendingBytes, 0)
  await log.append('zstd', 0, Uint8Array.from(large))
  await log.alterTopic('zstd', { 'compression.type': 'producer' })
  await log.append('zstd', 0, makeBatch(texts))
  assert.equal(codecsIn('zstd').at(-1), 0)
  await log.close()
})

test('requests that make no sense get typed errors and harm nobody', async () => {
  const log = await openLog({ folder: newFolder() })
  await log.createTopic('t')
  await assert.rejects(log.createTopic('t'), { code: 'LOG_TOPIC_EXISTS', httpStatus: 409, kind: 'user' })
  await assert.rejects(log.createTopic('../t'), { code: 'LOG_TOPIC_NAME_INVALID' })
  await assert.rejects(log.append('u', 0, makeBatch(['x'])), { code: 'LOG_TOPIC_NOT_FOUND' })
  for (const partition of [1, -1, 0.5]) {
    await assert.rejects(log.append('t', partition, makeBatch(['x'])), { code: 'LOG_PARTITION_NOT_FOUND' })
  }
  await assert.rejects(log.append('t', 0, makeBatch(['x']), { recordCount: 2 }), { code: 'LOG_BATCH_INVALID' })
  await assert.rejects(log.append('t', 0, new Uint8Array(0)), { code: 'LOG_BATCH_INVALID' })
  await assert.rejects(log.append('t', 0, new Uint8Array(1000)), { code: 'LOG_BATCH_INVALID' })
  await assert.rejects(log.append('t', 0, makeBatch(['x'.repeat(2e6)])), { code: 'LOG_BATCH_TOO_LARGE', httpStatus: 413 })
  await assert.rejects(log.appendRecords('t', 0, []), { code: 'LOG_BATCH_INVALID' })
  await assert.rejects(log.appendRecords('t', 0, [record('a'), record('x', Number.NaN)]), { code: 'LOG_BATCH_INVALID' })
  assert.throws(() => log.descriptor('u'), { code: 'LOG_TOPIC_NOT_FOUND' })
  assert.throws(() => openPartitionReader(log.descriptor('t'), 3, 0), { code: 'LOG_PARTITION_NOT_FOUND' })
  assert.deepEqual(await log.appendRecords('t', 0, [record('ok')]), { partition: 0, first: 0, last: 0 })
  assert.equal(log.pendingBytes, 0)
  await log.close()
})

test('batches of any size, whatever buffer they are in: more than the ring holds, larger than it takes, in their order', async () => {
  const log = await openLog({ folder: newFolder() })
  await log.createTopic('t', { 'max.message.bytes': 32 * 1024 * 1024 })
  const shared = Buffer.alloc(500)
  shared.set(makeBatch(['part']), 100)
  const part = shared.subarray(100, 100 + makeBatch(['part']).length)
  const sizes = [1, 700_000, 5, RING_BATCH_BYTES_MAX, 3, 2 * RING_BYTES, 0, ...Array.from({ length: 60 }, (_, i) => 500_001 - i)]
  const texts = sizes.map((size, i) => `${i}:`.padEnd(size, 'x'))
  const batches = [part, Buffer.from(makeBatch(['small'])), ...texts.map((text) => makeBatch([text]))]
  // Several turns through the ring; a call sees all that was appended before it, also what was not in the ring yet.
  const appended = batches.map((batch, i) => log.append('t', 0, batch, { isForeign: i % 2 === 0 }))
  const refused = [1, 2, 3].map(() => log.append('t', 0, new Uint8Array(100)).catch(({ code }) => code))
  assert.equal(await log.deleteRecords('t', 0, batches.length), batches.length)
  await log.createTopic('u')
  assert.deepEqual(
    (await Promise.all(appended)).map(({ first }) => first),
    batches.map((_, i) => i),
  )
  assert.deepEqual(await Promise.all(refused), Array(3).fill('LOG_BATCH_INVALID'))
  assert.equal(log.pendingBytes, 0)
  await log.append('t', 0, makeBatch(['last']))
  await log.close()
  const again = await openLog({ folder: log.folder })
  const reader = openPartitionReader({ ...again.descriptor('t') }, 0, batches.length)
  assert.equal(reader.read()?.nextOffset, batches.length + 1)
  reader.close()
  assert.deepEqual(again.stats().recovery, [])
  await again.close()
})

test('what waits is bounded, and many appends share a sync', async () => {
  const log = await openLog({ folder: newFolder(), limits: { pendingBytesMax: 20_000 } })
  await log.createTopic('t')
  const results = await Promise.allSettled(Array.from({ length: 200 }, (_, i) => log.appendRecords('t', 0, [record(`${i}`.padEnd(1000))])))
  const refused = results.filter((result) => result.status === 'rejected')
  assert.ok(refused.length > 100)
  for (const { reason } of refused) assert.deepEqual([reason.code, reason.retry, reason.httpStatus], ['LOG_OVERLOADED', 'later', 503])
  assert.equal(log.pendingBytes, 0)
  const accepted = results.flatMap((result, i) => (result.status === 'fulfilled' ? [[result.value.first, `${i}`]] : []))
  assert.deepEqual(
    (await log.readMessages('t', { limit: 1000 })).map((one) => [one.offset, textOf(one)?.trim()]),
    accepted,
  )
  assert.ok(log.stats().syncCount < accepted.length)
  // A batch above the limit goes through when it is alone.
  await log.appendRecords('t', 0, [record('x'.repeat(50_000))])
  await log.close()
})

test('readers in other threads see every record once and in order while it is written, over many segments', async () => {
  const log = await openLog({ folder: newFolder() })
  await log.createTopic('t', { 'segment.bytes': 100_000 })
  const recordCount = 40_000
  const readers = [100, 50_000, 1 << 20].map((maxBytes) => {
    const worker = new Worker(here('./testReaderThread.ts'), { workerData: { descriptor: log.descriptor('t'), recordCount, maxBytes } })
    return once(worker, 'message')
  })
  const builder = new BatchBuilder()
  const value = new Uint8Array(40)
  const pending: Promise<unknown>[] = []
  for (let offset = 0; offset < recordCount; ) {
    for (let i = 0; i < 1 + (pending.length % 200) && offset < recordCount; i++) {
      value[0] = offset++ % 251
      builder.appendRecord(null, value, 0, value.length, noHeaders, offset)
    }
    pending.push(log.append('t', 0, builder.finish()))
    if (pending.length % 20 === 0) await pending.at(-1)
  }
  await Promise.all(pending)
  for (const [result] of await Promise.all(readers)) assert.equal(result.read, recordCount)
  await log.close()
})

test('a reader waits, wakes at an append, and learns of the end of the topic and of the log', async () => {
  const log = await openLog({ folder: newFolder() })
  await log.createTopic('t')
  await log.createTopic('u')
  const reader = openPartitionReader(log.descriptor('t'), 0, 0)
  assert.equal(await reader.waitForData(20), false)
  const waiting = reader.waitForData(5000)
  await log.appendRecords('t', 0, [record('a')])
  assert.equal(await waiting, true)
  assert.equal(reader.read()?.nextOffset, 1)
  const gone = reader.waitForData(5000)
  await log.deleteTopic('t')
  assert.equal(await gone, true)
  assert.throws(() => reader.read(), { code: 'LOG_TOPIC_DELETED' })
  await assert.rejects(log.appendRecords('t', 0, [record('b')]), { code: 'LOG_TOPIC_NOT_FOUND' })

  const last = openPartitionReader(log.descriptor('u'), 0, 0)
  const ended = last.waitForData(5000)
  const keepAlive = setInterval(() => {}, 1000)
  await log.close()
  assert.equal(await ended, false)
  clearInterval(keepAlive)
})

test('settings change while it runs; retention follows the given clock; what waits at close is written', async () => {
  let nowMs = 1_000_000
  const folder = newFolder()
  const log = await openLog({ folder, clock: () => nowMs })
  await log.createTopic('t', { 'segment.bytes': 1024 })
  for (let i = 0; i < 6; i++) await log.appendRecords('t', 0, [record(`${i}`.padEnd(800), nowMs + i * 1000)])
  assert.equal(await log.enforceRetention(), 0)
  assert.equal((await log.alterTopic('t', { 'retention.ms': 60_000, partitionCount: 3 })).partitions.length, 3)
  nowMs += 62_500
  assert.ok((await log.enforceRetention()) > 800)
  assert.equal(log.topic('t')?.partitions[0].startOffset, 3)
  const pending = [0, 1, 2].map((partition) => log.appendRecords('t', partition, [record('last')]))
  const startMs = performance.now()
  await log.close()
  assert.ok(performance.now() - startMs < 2000)
  await Promise.all(pending)
  const reopened = await openLog({ folder, clock: () => nowMs })
  assert.deepEqual(
    reopened.topic('t')?.partitions.map(({ endOffset }) => endOffset),
    [7, 1, 1],
  )
  await reopened.close()
})

test('if the writer thread dies, nobody waits forever', async () => {
  const log = await openLog({ folder: newFolder() })
  await log.createTopic('t')
  const waiting = Array.from({ length: 50 }, (_, i) => log.appendRecords('t', 0, [record(`${i}`)]))
  const outcomes = Promise.allSettled(waiting)
  await (log as unknown as { worker: Worker }).worker.terminate()
  for (const result of await outcomes) {
    if (result.status === 'rejected') assert.equal(result.reason.code, 'LOG_WRITER_STOPPED')
  }
  await assert.rejects(log.appendRecords('t', 0, [record('x')]), { code: 'LOG_WRITER_STOPPED' })
  await log.close()
})

const runNode = (args: string[], options: { uid?: number } = {}): ChildProcess =>
  spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options })
async function outputOf(child: ChildProcess): Promise<string> {
  let output = ''
  child.stdout?.on('data', (data) => {
    output += data
  })
  await once(child, 'close')
  return output
}

test('kill -9 under load, again and again: every acknowledged record is there after the restart', async () => {
  const folder = newFolder()
  let nextBatch = 0
  const acked = new Map<number, { first: number; count: number }>()
  for (const ackCount of [1, 60, 400]) {
    const child = runNode([here('./testWriterProcess.ts'), folder, String(nextBatch)])
    let lines = 0
    child.stdout?.on('data', (data: Buffer) => {
      for (const byte of data) if (byte === 10 && ++lines === ackCount) child.kill('SIGKILL')
    })
    for (const line of (await outputOf(child)).split('\n').slice(0, -1)) {
      const [batch, first, count] = line.split(' ').map(Number)
      acked.set(batch, { first, count })
    }
    nextBatch = Math.max(...acked.keys()) + 100
    const log = await openLog({ folder })
    assert.ok(log.stats().recovery.every((report) => report.kind === 'cut'))
    const texts = readTexts(log.descriptor('load'), 0)
    assert.equal(texts.length, log.topic('load')?.partitions[0].endOffset)
    for (const [batch, { first, count }] of acked) {
      for (let i = 0; i < count; i++) assert.ok(texts[first + i]?.[1].startsWith(`${batch}/${i} `), `batch ${batch}, record ${i}`)
    }
    await log.close()
  }
  assert.ok(acked.size > 450)
})

test('one process per data folder: typed error with its id, and a stale lock is taken over by one of many', async () => {
  const folder = newFolder()
  const log = await openLog({ folder })
  await assert.rejects(openLog({ folder }), { code: 'DATA_FOLDER_LOCKED', params: { folder, pid: process.pid } })
  await log.close()
  assert.ok(!existsSync(join(folder, 'lock')))

  for (const stale of ['', '{"pid":1}', JSON.stringify({ pid: process.pid, started: 'another boot 1', token: 'a'.repeat(36) })]) {
    writeFileSync(join(folder, 'lock'), stale)
    lockFolder(folder)()
  }
  writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: 2 ** 22 + 1, started: '', token: 'b'.repeat(36) }))
  const script =
    `import { lockFolder } from ${JSON.stringify(here('./folderLock.ts'))}\n` +
    `try { lockFolder(${JSON.stringify(folder)}); console.log('mine') } catch (error) { console.log(error.code) }\n` +
    // Until all have tried: the lock of one that ended is stale again.
    'setInterval(() => {}, 1000)'
  const children = Array.from({ length: 4 }, () => runNode(['--input-type=module-typescript', '-e', script]))
  const outputs = (await Promise.all(children.map(async ({ stdout }) => `${(await once(stdout!, 'data'))[0]}`.trim()))).sort()
  for (const child of children) child.kill('SIGKILL')
  assert.deepEqual(outputs, ['DATA_FOLDER_LOCKED', 'DATA_FOLDER_LOCKED', 'DATA_FOLDER_LOCKED', 'mine'])
})

test('a process that was killed holds no folder, even if nobody has asked after it', { skip: !existsSync('/proc/self/stat') }, async () => {
  const folder = newFolder()
  mkdirSync(folder)
  // The shell becomes a program that does not know of its child, before that ends.
  const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = Number((await once(parent.stdout, 'data'))[0])
  while (!/^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) await sleep(10)
  writeFileSync(join(folder, 'lock'), JSON.stringify({ pid, started: '', token: 'c'.repeat(36) }))
  lockFolder(folder)()
  parent.kill('SIGKILL')
})

test('a data folder without the right to write is a typed error', async () => {
  const parent = newFolder()
  mkdirSync(parent)
  chmodSync(root, 0o755)
  chmodSync(parent, 0o555)
  const isRoot = process.getuid?.() === 0
  const script =
    `import { lockFolder } from ${JSON.stringify(here('./folderLock.ts'))}\n` +
    // The right to write means nothing to root; given up only now, because the sources may lie where nobody else may read.
    (isRoot ? 'process.setuid(65534)\n' : '') +
    `for (const folder of ${JSON.stringify([parent, join(parent, 'inside')])}) try { lockFolder(folder) } catch (error) { console.log(error.code) }`
  const output = await outputOf(runNode(['--input-type=module-typescript', '-e', script]))
  assert.deepEqual(output.trim().split('\n'), ['DATA_FOLDER_NOT_WRITABLE', 'DATA_FOLDER_NOT_WRITABLE'])
})

test('LogAppendTime: the log writes its clock into the batch, under its CRC, and readers see it', async () => {
  let nowMs = 5_000
  const log = await openLog({ folder: newFolder(), clock: () => nowMs })
  await log.createTopic('t', { 'message.timestamp.type': 'LogAppendTime' })
  const { logAppendTimeMs } = await log.append('t', 0, makeBatch(['a', 'b'], 77), { isForeign: true })
  assert.equal(logAppendTimeMs, 5_000)
  nowMs = 6_000
  await log.append('t', 0, makeBatch(['c'], 1))
  assert.deepEqual(
    (await log.readMessages('t')).map(({ timestampMs }) => timestampMs),
    [5_000, 5_000, 6_000],
  )
  assert.deepEqual((await log.readMessages('t', { fromTimeMs: 5_001 })).map(textOf), ['c'])
  await log.alterTopic('t', { 'message.timestamp.type': 'CreateTime' })
  assert.equal((await log.append('t', 0, makeBatch(['d'], 7))).logAppendTimeMs, undefined)
  assert.equal((await log.readMessages('t')).at(-1)?.timestampMs, 7)
  await log.close()
})

test('timestamps of foreign records must be near the clock, as far as the topic says', async () => {
  const log = await openLog({ folder: newFolder(), clock: () => 10_000_000 })
  await log.createTopic('t', { 'message.timestamp.before.max.ms': 1_000 })
  const send = (timestampMs: number) => log.append('t', 0, makeBatch(['x'], timestampMs), { isForeign: true })
  await assert.rejects(send(10_000_000 - 1_001), { code: 'LOG_TIMESTAMP_INVALID' })
  await assert.rejects(send(10_000_000 + 3_600_001), { code: 'LOG_TIMESTAMP_INVALID' })
  for (const good of [10_000_000 - 1_000, 10_000_000 + 3_600_000, -1]) await send(good)
  assert.equal(log.topic('t')?.partitions[0].endOffset, 3)
  await log.close()
})

test('compaction runs in its own thread while appends and readers go on', async () => {
  const folder = newFolder()
  const log = await openLog({ folder, durability: 'os' })
  await log.createTopic('t', { 'cleanup.policy': 'compact', 'segment.bytes': 64 * 1024, 'min.cleanable.dirty.ratio': 0.1 })
  const keyed = (i: number) => ({ ...record(`${i}`.padEnd(500), Date.now()), key: new TextEncoder().encode(`k${i % 50}`) })
  const rows = (from: number) => Array.from({ length: 20 }, (_, i) => keyed(from + i))
  for (let i = 0; i < 2_000; i += 20) await log.appendRecords('t', 0, rows(i))
  const before = log.stats().sizeBytes
  let isDone = false
  const compacting = log.compact().finally(() => (isDone = true))
  let next = 2_000
  while (!isDone) {
    await log.appendRecords('t', 0, rows(next))
    next += 20
    assert.equal(textOf((await log.readMessages('t', { limit: 1 }))[0])?.trim(), `${next - 1}`)
  }
  assert.ok((await compacting) > before / 2, `${await compacting} of ${before} bytes`)
  const newest = new Map(
    (await log.readMessages('t', { fromOffset: 0, limit: 100_000 })).map((one) => [Buffer.from(one.key!).toString(), textOf(one)?.trim()]),
  )
  await log.compact()
  for (let i = next - 50; i < next; i++) assert.equal(newest.get(Buffer.from(keyed(i).key).toString()), `${i}`)
  await log.close()
  const reopened = await openLog({ folder })
  assert.deepEqual(reopened.stats().recovery, [])
  assert.equal(await reopened.compact(), 0, 'what was compacted is remembered')
  await reopened.close()
})

test('an append that is under way when the log is closed is answered, however busy the process is', async () => {
  const folder = newFolder()
  const busy = Array.from({ length: 3 }, () => new Worker('for (;;);', { eval: true }))
  try {
    for (let i = 0; i < 12; i++) {
      const log = await openLog({ folder })
      if (i === 0) await log.createTopic('t')
      const appended = log.appendRecords('t', 0, [record('x')])
      const closed = log.close()
      for (let turn = 0; turn < 4; turn++) await undefined
      // Both are on their way; their answers and the end of the writer are then there at once.
      for (const endMs = performance.now() + 40; performance.now() < endMs; );
      await closed
      assert.equal((await appended).first, i)
    }
  } finally {
    await Promise.all(busy.map((worker) => worker.terminate()))
  }
})
