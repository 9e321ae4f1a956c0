// An engine worker: steps its jobs in turn, and answers the main thread in between.
//
// Back-pressure: rows sent to the main thread and not yet taken are counted; above the limit nothing is read. What other subtasks of a job wait
// for still leaves, and a job of several subtasks goes on to its cut: rows from behind a cut are not taken before all have made theirs, so two
// threads that are full of such rows would wait for each other. Nothing here blocks the thread: several jobs share it, and their subtasks wait
// for each other across threads.
import { parentPort, workerData } from 'node:worker_threads'
import { reviveError, toStreamError } from '../base/index.ts'
import type { Batch } from '../data/index.ts'
import { restoreOptions } from './checkpoints/restore.ts'
import { loadUserFunctions, userFunctionsOf } from './expressions/index.ts'
import { Job } from './job.ts'
import { atQuery, beat, loadingFor, shareProgress } from './progress.ts'
import type { EngineWorkerData, FromWorker, JobSpec, ToWorker } from './protocol.ts'
import { Memory } from './spill/memory.ts'
import type { StateReading } from './state/readState.ts'

const UNTAKEN_ROWS_MAX = 100_000
const TICK_MS = 100
/** How often a thread that has nothing to do shows that it could. */
const BEAT_MS = 250
/** How long to work before looking at messages. */
const SLICE_MS = 10
/** How long state is read at once. */
const READ_MS = 2

if (!parentPort) throw new Error('worker.ts runs in a worker thread')
const port = parentPort
const jobs = new Map<string, Job>()
const { spill: spillData, progress } = workerData as EngineWorkerData
const spill = { memory: new Memory(spillData.memory, spillData.thread), folder: spillData.folder }
shareProgress(progress)
/** Jobs that have ended and have something for other subtasks still. */
const draining = new Set<Job>()
/** Jobs whose functions are being loaded. */
const starting = new Set<string>()
let untakenRows = 0
let running = false
let wake: () => void = () => {}
const news = (): void => wake()

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
      loadingFor(spec.queries[0].number ?? 0)
      await loadUserFunctions(functions).finally(() => loadingFor(0))
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
      {
        ...(spec.restore && restoreOptions(spec.restore, undefined, spec.parallel?.subtask, spec.parallel?.links.parallelism)),
        spill,
      },
    )
    jobs.set(jobId, job)
    if (spec.restore) send({ type: 'restored', jobId })
  } catch (error) {
    const failure = toStreamError(error)
    if (failure.code.startsWith('CHECKPOINT_')) send({ type: 'restored', jobId, error: failure.toJSON() })
    else for (const query of spec.queries) send({ type: 'failed', jobId, queryId: query.id, error: toStreamError(error).toJSON() })
  }
}

/** Asked for a checkpoint: a job in one thread takes it now, between two steps; of several subtasks the first tells the others. */
function checkpoint({ jobId, checkpointId, isLast }: ToWorker & { type: 'checkpoint' }): void {
  const job = jobs.get(jobId)
  const { parallel } = job?.spec ?? {}
  if (parallel && parallel.subtask > 0) return
  if (job && parallel ? job.announceCheckpoint(checkpointId, isLast) : job?.hasChanged) {
    if (job && !parallel) cut(jobId, job, checkpointId, isLast)
    return
  }
  if (isLast) jobs.delete(jobId)
  send({ type: 'checkpointUnneeded', jobId, checkpointId })
}

function inspect({ jobId, queryId }: ToWorker & { type: 'inspect' }) {
  const job = jobs.get(jobId)
  atQuery(job?.spec.queries.find(({ id }) => id === queryId)?.number ?? 0)
  return job?.inspect(queryId)
}

/** Synchronous, so between two steps. */
function cut(jobId: string, job: Job, checkpointId: number, isLast: boolean): void {
  if (isLast) {
    jobs.delete(jobId)
    draining.add(job)
  }
  const startedMs = performance.now()
  const taken = job.checkpoint(checkpointId)
  send({ type: 'checkpoint', jobId, checkpoint: taken, tookMs: performance.now() - startedMs })
}

interface Reading {
  requestId: number
  steps: Generator<void, StateReading>
}
/** Of state, by people who look at it: each goes on for a moment between two steps of the jobs. */
const readings: Reading[] = []

function beginReading({ requestId, jobId, queryId, request }: ToWorker & { type: 'readState' }): void {
  try {
    const steps = jobs.get(jobId)?.readState(queryId, request)
    if (steps) readings.push({ requestId, steps })
    else send({ type: 'stateRead', requestId })
  } catch (error) {
    failReading(requestId, error)
  }
}

function failReading(requestId: number, error: unknown): void {
  const failure = toStreamError(error)
  send({ type: 'stateRead', requestId, error: failure.toJSON(), httpStatus: failure.httpStatus })
}

/** The first of them goes on, for about `READ_MS`. */
function read(): void {
  const [reading] = readings
  if (reading === undefined) return
  const startedMs = performance.now()
  try {
    while (performance.now() - startedMs < READ_MS) {
      const { done, value } = reading.steps.next()
      if (!done) continue
      send({ type: 'stateRead', requestId: reading.requestId, reading: value })
      readings.shift()
      return
    }
  } catch (error) {
    failReading(reading.requestId, error)
    readings.shift()
  }
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
    case 'failQuery':
      jobs.get(message.jobId)?.failQuery(message.queryId, reviveError(message.error))
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
    case 'readState':
      beginReading(message)
      break
    case 'inspect':
      send({ type: 'inspection', requestId: message.requestId, query: inspect(message) })
      break
  }
  atQuery(0)
  work()
})

function work(): void {
  wake()
  if (!running) void run()
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** One step of a job; false if it had nothing to do. */
function step(jobId: string, job: Job): boolean {
  if (job.finishIfDone()) {
    job.close()
    jobs.delete(jobId)
    send({ type: 'finished', jobId })
    return false
  }
  const worked = job.step(Date.now())
  const due = job.dueCheckpoint()
  if (due) cut(jobId, job, due.checkpointId, due.isLast)
  return worked || due !== undefined
}

/** Until a message comes, a job may have something to do, or it is time for the next tick. */
function rest(bells: ReadonlyMap<string, number>, isFull: boolean): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, draining.size > 0 ? 1 : TICK_MS)
    wake = () => {
      clearTimeout(timer)
      resolve()
    }
    for (const [jobId, job] of jobs) job.listen(news, TICK_MS, bells.get(jobId) ?? 0, !isFull)
  })
}

async function run(): Promise<void> {
  running = true
  // By a clock that nobody sets: the other one may go back by hours.
  let tickedMs = -Infinity
  while (jobs.size > 0 || draining.size > 0) {
    const startedMs = performance.now()
    const bells = new Map([...jobs].map(([jobId, job]) => [jobId, job.bell]))
    let worked = false
    while (untakenRows < UNTAKEN_ROWS_MAX) {
      let any = false
      for (const [jobId, job] of jobs) any = step(jobId, job) || any
      worked ||= any
      if (!any || performance.now() - startedMs >= SLICE_MS) break
    }
    const isFull = untakenRows >= UNTAKEN_ROWS_MAX
    if (isFull)
      for (const [jobId, job] of jobs)
        if (job.isCutting) worked = step(jobId, job) || worked
        else job.holdBack()
    for (const job of draining) if (job.isDrained) draining.delete(job)
    const atMs = performance.now()
    if (atMs - tickedMs >= TICK_MS) {
      tickedMs = atMs
      for (const job of jobs.values()) {
        job.tick(Date.now())
        // With its next round, which is now.
        worked ||= job.isParallel && !isFull
      }
    }
    read()
    atQuery(0)
    if (worked || readings.length > 0) await nextTurn()
    else await rest(bells, isFull)
  }
  running = false
}

setInterval(beat, BEAT_MS)
send({ type: 'ready' })
