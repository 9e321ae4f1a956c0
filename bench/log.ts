// The log's figures: records appended with fsync on, and records indexed on read.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchOptions, numberIn } from '../scripts/options.ts'
import { BatchBuilder, encodeHeaders, indexBatch, type Log, openLog, openPartitionReader, RecordIndex } from '../src/log/index.ts'

const values = benchOptions('log', {
  about: 'The log: records appended with a sync, with several topics and codecs, and records indexed on read.',
  takes: 'about a minute',
  options: {
    seconds: { value: 'N', default: '3', doc: 'for each figure' },
    folder: { value: 'FOLDER', doc: 'where the log is (the folder for temporary files unless said)' },
  },
  examples: ['', '--seconds 10', '--folder /mnt/disk'],
})
const seconds = numberIn('seconds', values.seconds, 0.1)
const RECORDS_PER_BATCH = 1000
const VALUE_BYTES = 185

const quantile = (sorted: number[], q: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
const ms = (values: number[], q: number) => `${quantile(values, q).toFixed(2)} ms`
const millions = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} M/s`

/** CPU time of all threads for each record: on a busy machine the steadier figure. */
function cpuNs(before: NodeJS.CpuUsage, recordCount: number): string {
  const { user, system } = process.cpuUsage(before)
  return `CPU ${((user * 1000) / recordCount).toFixed(0)} + ${((system * 1000) / recordCount).toFixed(0)} ns a record (user + system)`
}

const value = Buffer.alloc(VALUE_BYTES * RECORDS_PER_BATCH, '{"user_id":"u-123456","page":"/products/987","ms":120}')
const template = encodeHeaders(
  [
    ['ingested_at', Buffer.from('1767225600000')],
    ['trace_id', Buffer.alloc(16, 1)],
    ['source', Buffer.from('http')],
    ['id', Buffer.alloc(16)],
  ],
  'id',
)

function buildBatch(builder: BatchBuilder, nowMs: number): Uint8Array {
  for (let i = 0; i < RECORDS_PER_BATCH; i++) {
    template.bytes[template.patchEnd - 1] = i
    template.bytes[template.patchEnd - 2] = i >> 8
    builder.appendRecord(null, value, i * VALUE_BYTES, (i + 1) * VALUE_BYTES, template, nowMs)
  }
  return builder.finish()
}

async function produce(log: Log, topic: string, partitionCount: number, producerCount: number): Promise<string> {
  const acksMs: number[] = []
  let batchCount = 0
  let byteCount = 0
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  const producer = async (id: number) => {
    const builder = new BatchBuilder(400 * 1024)
    while (performance.now() < endMs) {
      const batch = buildBatch(builder, Date.now())
      byteCount += batch.length
      const sentMs = performance.now()
      await log.append(topic, id % partitionCount, batch, { recordCount: RECORDS_PER_BATCH })
      acksMs.push(performance.now() - sentMs)
      batchCount++
    }
  }
  await Promise.all(Array.from({ length: producerCount }, (_, id) => producer(id)))
  const tookSeconds = (performance.now() - startMs) / 1000
  const recordCount = batchCount * RECORDS_PER_BATCH
  const cpu = cpuNs(cpuBefore, recordCount)
  acksMs.sort((a, b) => a - b)
  const { syncMsP50, syncMsP99 } = log.stats()
  return (
    `${producerCount} producers, ${partitionCount} partitions: ${millions(recordCount / tookSeconds)} records, ` +
    `${(byteCount / 1e6 / tookSeconds).toFixed(0)} MB/s, ack p50 ${ms(acksMs, 0.5)} p99 ${ms(acksMs, 0.99)}, ` +
    `fdatasync p50 ${syncMsP50.toFixed(2)} ms p99 ${syncMsP99.toFixed(2)} ms, ${cpu}`
  )
}

function readAll(log: Log, topic: string): string {
  const reader = openPartitionReader(log.descriptor(topic), 0, log.topic(topic)!.partitions[0].startOffset)
  const index = new RecordIndex(64 * 1024)
  let recordCount = 0
  let byteCount = 0
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  for (let run = reader.read(); run; run = reader.read()) {
    index.reset()
    for (let at = run.start; at < run.end; ) at = indexBatch(run.bytes, at, index, run.fromOffset)
    recordCount += index.count
    byteCount += run.end - run.start
  }
  const tookSeconds = (performance.now() - startMs) / 1000
  const cpu = cpuNs(cpuBefore, recordCount)
  reader.close()
  const megabytes = (byteCount / 1e6 / tookSeconds).toFixed(0)
  return `read and indexed ${recordCount} records: ${millions(recordCount / tookSeconds)}, ${megabytes} MB/s, ${cpu}`
}

function diskAlone(folder: string): string {
  const path = join(folder, 'sync-probe')
  const file = openSync(path, 'w')
  const batch = Buffer.alloc(280_000, 1)
  const syncs: number[] = []
  for (let i = 0; i < 300; i++) {
    writeSync(file, batch, 0, batch.length, i * batch.length)
    const startMs = performance.now()
    fdatasyncSync(file)
    syncs.push(performance.now() - startMs)
  }
  closeSync(file)
  unlinkSync(path)
  syncs.sort((a, b) => a - b)
  return `the disk alone, 280 kB a sync: fdatasync p50 ${ms(syncs, 0.5)} p99 ${ms(syncs, 0.99)}`
}

const folder = mkdtempSync(join(values.folder ?? tmpdir(), 'millrace-bench-log-'))
try {
  console.log(diskAlone(folder))
  const builder = new BatchBuilder(400 * 1024)
  for (const warm of [true, false]) {
    const startMs = performance.now()
    for (let i = 0; i < 500; i++) buildBatch(builder, 1)
    if (!warm) console.log(`building alone: ${millions(500_000 / ((performance.now() - startMs) / 1000))} records on one thread`)
  }
  for (const [topic, partitionCount, producerCount] of [
    ['one', 1, 1],
    ['eight', 1, 8],
    ['parts8', 8, 8],
    ['parts24', 24, 24],
  ] as const) {
    const log = await openLog({ folder: join(folder, topic) })
    await log.createTopic('events', { partitionCount })
    console.log(await produce(log, 'events', partitionCount, producerCount))
    if (partitionCount === 1 && producerCount === 8) {
      console.log(readAll(log, 'events'))
      console.log(`again: ${readAll(log, 'events')}`)
    }
    await log.close()
    rmSync(join(folder, topic), { recursive: true })
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
