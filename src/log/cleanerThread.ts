// The cleaner thread: does one compaction after another, and tells of each segment that it has written.
//
// It stands back for appends: its thread has the lowest priority where the system lets it (Linux), and it rests as long as it works.
import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { ErrorBody } from '../base/index.ts'
import { type CompactedSegment, type CompactionJob, type CompactionOutcome, compact } from './compaction.ts'
import { ignoreFailure, realDisk } from './disk.ts'
import { writeError } from './errors.ts'

/** Work between two rests, at least, and the longest rest, ms. */
const WORK_MS_MIN = 5
const REST_MS_MAX = 200

export type FromCleaner =
  | { kind: 'segment'; segment: CompactedSegment }
  | { kind: 'done'; outcome: CompactionOutcome }
  | { kind: 'failed'; error: ErrorBody }

const send = (message: FromCleaner) => parentPort!.postMessage(message)

// "<process>/task/<thread>": on Linux a priority is one of a thread.
ignoreFailure(() => setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), constants.priority.PRIORITY_LOW))

const nobody = new Int32Array(new SharedArrayBuffer(4))
let workStartMs = 0
function rest(): void {
  const workedMs = performance.now() - workStartMs
  if (workedMs < WORK_MS_MIN) return
  Atomics.wait(nobody, 0, 0, Math.min(REST_MS_MAX, workedMs))
  workStartMs = performance.now()
}

parentPort!.on('message', (job: CompactionJob) => {
  workStartMs = performance.now()
  try {
    send({ kind: 'done', outcome: compact(realDisk, job, (segment) => send({ kind: 'segment', segment }), rest) })
  } catch (error) {
    send({ kind: 'failed', error: writeError(error, job.topic.partitions[job.partition].folder).toJSON() })
  }
})
