// A process that appends until it is killed, for log.test.ts and test/compat: prints a line for each acknowledged batch, at once.
// Arguments: data folder, number of the first batch.
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCodeOf } from './disk.ts'
import { openLog } from './log.ts'
import { makeBatch } from './testRecords.ts'

const [folder, firstBatch] = process.argv.slice(2)
const log = await openLog({ folder })
if (!log.topic('load')) await log.createTopic('load', { 'segment.bytes': 200_000 })
let batch = Number(firstBatch)
/** Waits where the reader is slower than the log: its pipe does not block. A line is too short to be written by half. */
const say = async (line: string) => {
  for (;;) {
    try {
      writeSync(1, line)
      return
    } catch (error) {
      if (errorCodeOf(error) !== 'EAGAIN') throw error
      await sleep(1)
    }
  }
}
const produce = async () => {
  for (;;) {
    const name = batch++
    const values = Array.from({ length: 1 + (name % 7) }, (_, i) => `${name}/${i} ${'x'.repeat(name % 300)}`)
    const { first } = await log.append('load', 0, makeBatch(values, name))
    await say(`${name} ${first} ${values.length}\n`)
  }
}
await Promise.all(Array.from({ length: 4 }, produce))
