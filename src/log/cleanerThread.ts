// The cleaner thread: does one compaction after another, and tells of each segment that it has written.
import { parentPort } from 'node:worker_threads'
import type { ErrorBody } from '../base/index.ts'
import { type CompactedSegment, type CompactionJob, type CompactionOutcome, compact } from './compaction.ts'
import { realDisk } from './disk.ts'
import { writeError } from './errors.ts'

export type FromCleaner =
  | { kind: 'segment'; segment: CompactedSegment }
  | { kind: 'done'; outcome: CompactionOutcome }
  | { kind: 'failed'; error: ErrorBody }

const send = (message: FromCleaner) => parentPort!.postMessage(message)

parentPort!.on('message', (job: CompactionJob) => {
  try {
    send({ kind: 'done', outcome: compact(realDisk, job, (segment) => send({ kind: 'segment', segment })) })
  } catch (error) {
    send({ kind: 'failed', error: writeError(error, job.topic.partitions[job.partition].folder).toJSON() })
  }
})
