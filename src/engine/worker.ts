// An engine worker: steps its jobs in turn, and answers the main thread in between.
//
// Back-pressure: rows sent to the main thread and not yet taken are counted; above the limit nothing is read.
import { parentPort, workerData } from 'node:worker_threads'
import { toStreamError } from '../base/index.ts'
import type { Batch } from '../data/index.ts'
import { restoreOptions } from './checkpoints/restore.ts'
import { loadUserFunctions, userFunctionsOf } from './expressions/index.ts'
import { Job } from './job.ts'
import type { FromWorker, JobSpec, ToWorker, WorkerSpill } from './protocol.ts'
import { Memory } from './spill/memory.ts'

const UNTAKEN_ROWS_MAX = 100_000
const TICK_MS = 100
/** How long to work before looking at messages. */
const SLICE_MS = 10

if (!parentPort) throw new Error('worker.ts runs in a worker thread')
const port = parentPort
const jobs = new Map<string, Job>()
const spillData = (workerData as { spill?: WorkerSpill } | null)?.spill
const spill = spillData && { memory: new Memory(spillData.memory, spillData.thread), folder: spillData.folder }
/** Jobs whose functions are being loaded. */
const starting = new Set<string>()
let untakenRows = 0
let running = false
let wake: () => void = () => {}

const send = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

/** The buffers of a batch that nobody else holds: they move instead of being copied. */
function buffersOf(batch: Batch): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  const add = (array: { buffer: ArrayBufferLike } | undefined) => array && buffers.add(array.buffer as ArrayBuffer)
  for (const column of batch.columns) {
    add(column.nulls)
    if (column.lane === 'utf8') for (const array of [column.bytes, column.starts, column.ends]) add(array)
    else if (column.lane !== 'any') add(column.data)
  }
  add(batch.kinds)
  return [...buffers]
}

async function start(spec: JobSpec): Promise<void> {
  const jobId = spec.id
  try {
    const functions = spec.queries.flatMap(({ plan }) => userFunctionsOf(plan))
    if (functions.length > 0) {
      starting.add(jobId)
      await loadUserFunctions(functions)
      // Stopped while its functions were loaded.
      if (!starting.delete(jobId)) return
    }
    const job = new Job(
      spec,
      {
        changes: (queryId, batch, originMs) => {
          untakenRows += batch.rowCount
          send({ type: 'changes', jobId, queryId, batch, originMs }, buffersOf(batch))
        },
        records: (queryId, topic, partition, bytes, recordCount) => {
          untakenRows += recordCount
          send({ type: 'records', jobId, queryId, topic, partition, bytes, recordCount })
        },
        late: (queryId, topic, rows) => {
          untakenRows += rows.length
          send({ type: 'late', jobId, queryId, topic, rows })
        },
        deadLetters: (letters) => send({ type: 'deadLetters', jobId, letters }),
        failed: (queryId, error) => send({ type: 'failed', jobId, queryId, error: error.toJSON() }),
      },
      Date.now(),
      { ...(spec.restore && restoreOptions(spec.restore)), spill },
    )
    jobs.set(jobId, job)
    if (spec.restore) send({ type: 'restored', jobId })
  } catch (error) {
    const failure = toStreamError(error)
    if (failure.code.startsWith('CHECKPOINT_')) send({ type: 'restored', jobId, error: failure.toJSON() })
    else for (const query of spec.queries) send({ type: 'failed', jobId, queryId: query.id, error: toStreamError(error).toJSON() })
  }
}

/** Takes a checkpoint: synchronous, so between two steps. */
function checkpoint({ jobId, checkpointId, isLast }: ToWorker & { type: 'checkpoint' }): void {
  const job = jobs.get(jobId)
  if (isLast) jobs.delete(jobId)
  if (!job?.hasChanged) {
    send({ type: 'checkpointUnneeded', jobId, checkpointId })
    return
  }
  const startedMs = performance.now()
  const taken = job.checkpoint(checkpointId)
  const buffers = taken.updates.map(({ fresh }) => fresh.buffer as ArrayBuffer)
  send({ type: 'checkpoint', jobId, checkpoint: taken, tookMs: performance.now() - startedMs }, [
    ...new Set(buffers.filter(({ byteLength }) => byteLength > 0)),
  ])
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'start':
      void start(message.job).then(work)
      return
    case 'stop':
      starting.delete(message.jobId)
      jobs.get(message.jobId)?.close()
      jobs.delete(message.jobId)
      break
    case 'removeQuery':
      jobs.get(message.jobId)?.removeQuery(message.queryId)
      break
    case 'checkpoint':
      checkpoint(message)
      break
    case 'checkpointSettled':
      jobs.get(message.jobId)?.settle(message.isDurable)
      break
    case 'taken':
      untakenRows -= message.rows
      break
    case 'status':
      send({
        type: 'status',
        requestId: message.requestId,
        queries: [...jobs.values()].flatMap((job) => job.status()),
        positions: [...jobs.values()].flatMap((job) => job.positions()),
      })
      break
    case 'inspect':
      send({ type: 'inspection', requestId: message.requestId, query: jobs.get(message.jobId)?.inspect(message.queryId) })
      break
  }
  work()
})

function work(): void {
  wake()
  if (!running) void run()
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

async function run(): Promise<void> {
  running = true
  let tickedMs = 0
  while (jobs.size > 0) {
    const startedMs = Date.now()
    let worked = false
    while (untakenRows < UNTAKEN_ROWS_MAX) {
      let any = false
      for (const [jobId, job] of jobs) {
        if (job.finishIfDone()) {
          job.close()
          jobs.delete(jobId)
          send({ type: 'finished', jobId })
        } else any = job.step(Date.now()) || any
      }
      worked ||= any
      if (!any || Date.now() - startedMs >= SLICE_MS) break
    }
    const nowMs = Date.now()
    if (nowMs - tickedMs >= TICK_MS) {
      tickedMs = nowMs
      for (const job of jobs.values()) job.tick(nowMs)
    }
    if (worked) await nextTurn()
    else {
      const message = new Promise<void>((resolve) => {
        wake = resolve
      })
      const waits = untakenRows < UNTAKEN_ROWS_MAX ? [...jobs.values()].filter((job) => !job.isIdle).map((job) => job.wait(TICK_MS)) : []
      await Promise.race([message, ...waits, new Promise((resolve) => setTimeout(resolve, TICK_MS))])
    }
  }
  running = false
}

send({ type: 'ready' })
