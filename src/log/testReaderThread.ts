// A reader in a thread of its own, for log.test.ts: reads until `recordCount` records have come and checks each.
import { parentPort, workerData } from 'node:worker_threads'
import type { TopicDescriptor } from './contract.ts'
import { openReader } from './openReader.ts'
import { indexBatch, RecordIndex } from './recordIndex.ts'

const { descriptor, recordCount, maxBytes } = workerData as { descriptor: TopicDescriptor; recordCount: number; maxBytes: number }
// A wait for data does not keep a thread alive; an engine's worker has its port for that.
const keepAlive = setInterval(() => {}, 1000)
const reader = openReader(descriptor, 0, 0)
const index = new RecordIndex()
let expected = 0
let waits = 0
while (expected < recordCount) {
  const run = reader.read(maxBytes)
  if (!run) {
    waits++
    if (!(await reader.waitForData(10_000))) throw new Error(`no data after offset ${expected}`)
    continue
  }
  index.reset()
  for (let at = run.start; at < run.end; ) at = indexBatch(run.bytes, at, index, run.fromOffset)
  for (let row = 0; row < index.count; row++, expected++) {
    if (index.offsets[row] !== expected) throw new Error(`offset ${index.offsets[row]} instead of ${expected}`)
    if (index.bytes[index.valueStarts[row]] !== expected % 251) throw new Error(`wrong bytes at offset ${expected}`)
  }
}
reader.close()
clearInterval(keepAlive)
parentPort?.postMessage({ read: expected, waits })
