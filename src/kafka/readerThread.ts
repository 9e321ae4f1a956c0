// The thread that reads what is far from the end of the log: see farReaders.ts. It stands back for others: its priority is lower, where the system
// lets it (Linux). The memory of what it reads goes to who asked, and comes back. It is not shared: V8 does not count shared memory, so that what
// nobody uses any more may stay for long.
import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { isMarkedAsUntransferable, parentPort } from 'node:worker_threads'
import { BufferPool, type ErrorBody, type HelperAnswer, type HelperQuestion, toStreamError } from '../base/index.ts'
import { ignoreFailure, type RecordPlace, realDisk } from '../log/index.ts'
import { findTime, type Read, Readers, type Run, type TimeQuestion } from './readerPool.ts'

export type ToReader =
  | { kind: 'read'; reads: readonly Read[]; maxBytes: number }
  | { kind: 'time'; question: TimeQuestion }
  /** Memory of records that nobody looks at any more. */
  | { kind: 'release'; memory: ArrayBuffer }
export type Failure = { failure: ErrorBody }
export type FromReader = (Run | Failure | undefined)[] | Failure | RecordPlace | undefined

// "<process>/task/<thread>": on Linux a priority is one of a thread.
const thread = () => Number(readlinkSync('/proc/thread-self').split('/').at(-1))
ignoreFailure(() => setPriority(thread(), constants.priority.PRIORITY_BELOW_NORMAL))

const buffers = new BufferPool()
const readers = new Readers(realDisk, buffers)
const failureOf = (error: unknown): Failure => ({ failure: toStreamError(error).toJSON() })

function answerTo(question: ToReader): FromReader {
  if (question.kind === 'release') {
    buffers.give(new Uint8Array(question.memory))
    return undefined
  }
  if (question.kind === 'time') return findTime(question.question, realDisk)
  return readers.readAll(question.reads, question.maxBytes).map((one) => (one && 'error' in one ? failureOf(one.error) : one))
}

function answerOrFailure(question: ToReader): FromReader {
  try {
    return answerTo(question)
  } catch (error) {
    return failureOf(error)
  }
}

/** All but what Node keeps small buffers in, which is copied. */
const memoryOf = (answer: FromReader): ArrayBuffer[] =>
  (Array.isArray(answer) ? answer : [])
    .flatMap((one) => (one && 'records' in one ? [one.records.buffer as ArrayBuffer] : []))
    .filter((memory) => !isMarkedAsUntransferable(memory))

parentPort!.on('message', ({ id, question }: HelperQuestion<ToReader>) => {
  const answer = answerOrFailure(question)
  if (id !== undefined) parentPort!.postMessage({ id, answer } satisfies HelperAnswer<FromReader>, memoryOf(answer))
})
