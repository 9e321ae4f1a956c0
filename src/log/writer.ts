// The log's one writer: takes what has queued, writes and syncs it as one group, publishes, answers all at once.
//
// It has a thread to itself (`run`), or shares one with who is hosted in it (`runInTurns`): then groups are made in turns of the event loop.
//
//   ring of the main side --.                                            .--> ring: answers
//                            :--> group --> (wait for more) --> write, sync
//   appends of this thread --'                                           `--> settle
//
// Invariants
//   1. Alone, the thread sleeps until it is signalled. It syncs synchronously: what arrives meanwhile waits in the ring, or in the sockets of who is
//      hosted, and is the next group. A group is synced at once, unless those who were just answered are likely to send again within less than a
//      sync takes (groupPace.ts).
//   2. Everything of the ring is done in the order of its posting: a call sees all that was appended before it.
//   3. Every append is answered once, in order, with offsets or an error.
//   4. Who is hosted calls `breathe` between any two pieces of longer work: what came through the ring is committed there and then.
//   5. Changes of topics are made one after the other, in turns of STEP_MS: between them what was appended is committed.
//   6. What fails in the writer itself ends the thread, whoever has called it; what fails in who is hosted is not the writer's to know.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { type ErrorBody, type StreamError, toStreamError } from '../base/index.ts'
import { RingWriter } from './appendRing.ts'
import type { HostPort, RecoveryReport } from './contract.ts'
import { type Disk, realDisk } from './disk.ts'
import { logErrors } from './errors.ts'
import { GroupPace } from './groupPace.ts'
import { journalOptions } from './journalWorker.ts'
import { Append, type Partition } from './partition.ts'
import { inOneStep, LogStore, type RoutedAppend, type Steps, type StoredTopic } from './store.ts'
import type { FromWriter, TopicHandle, ToWriter, WriterOptions } from './writerMessages.ts'

/** Opens the log's files in the thread that `openLog` has made for it; undefined, and said to the main side, if they cannot be opened. */
export function openWriter(): Writer | undefined {
  const options = workerData as WriterOptions
  const ring = new RingWriter(options.ring)
  /** The real disk, with a clock on its syncs. */
  const timedDisk: Disk = {
    ...realDisk,
    sync(file) {
      const startMs = performance.now()
      realDisk.sync(file)
      ring.noteSync(performance.now() - startMs)
    },
    writeSynced(file, bytes, position) {
      const startMs = performance.now()
      realDisk.writeSynced(file, bytes, position)
      ring.noteSync(performance.now() - startMs)
    },
  }
  let store: LogStore
  try {
    const { folder, durability, nowMs } = options
    store = LogStore.open({ disk: timedDisk, folder, durability, journal: journalOptions() }, nowMs)
  } catch (error) {
    send({ kind: 'failed', error: toStreamError(error).toJSON() })
    return undefined
  }
  const writer = new Writer(store, ring, options)
  send({ kind: 'ready', topics: [...store.topics.values()].map((topic) => writer.handleOf(topic)), recovery: store.recovery })
  return writer
}

const send = (message: FromWriter) => parentPort!.postMessage(message)

/** Does work of the writer itself. Where that fails, nobody knows what of a group was written: nothing more is. */
function orEnd<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    send({ kind: 'failed', error: toStreamError(error).toJSON() })
    process.exit(1)
  }
}

type Call = ToWriter & { kind: 'call' }

/** How long a change of a topic goes on before what else waits for the thread has its turn. */
const STEP_MS = 2

/** Steps until the time is over; undefined: there are more. */
function step<T>(steps: Pick<Steps<T>, 'next'>): { value: T } | undefined {
  for (const untilMs = performance.now() + STEP_MS; ; ) {
    const { done, value } = steps.next()
    if (done) return { value }
    if (performance.now() >= untilMs) return undefined
  }
}

/** An append of this thread. */
export interface OwnAppend extends RoutedAppend {
  topic: string
  index: number
  settle: () => void
}

function* inSteps<T, R>(steps: Steps<T>, made: (value: T) => R): Steps<R> {
  return made(yield* steps)
}

export class Writer {
  readonly store: LogStore
  readonly folder: string
  /** What the main side speaks through with who runs beside the writer. */
  readonly host: HostPort | undefined
  private readonly ring: RingWriter
  private readonly pace = new GroupPace()
  /** By number. */
  private readonly topics: StoredTopic[] = []
  private readonly numbers = new Map<string, number>()
  /** Taken and not written yet. */
  private group: RoutedAppend[] = []
  /** All appends of the ring that were taken and are not answered, in order, also those that have no partition. */
  private appends: { append: Append; partition: Partition | undefined }[] = []
  private readonly calls: Call[] = []
  private readonly largeBatches: Uint8Array[] = []
  /** Of this thread. */
  private own: OwnAppend[] = []
  private ownBytes = 0
  private nowMs = 0
  /** Resolves when the newest change of topics is done. */
  private changes: Promise<unknown> = Promise.resolve()
  private isClosed = false
  private isHosting = false
  private isTurnPlanned = false
  /** Until then the group waits for more; 0: it does not. */
  private waitUntilMs = 0
  /** Ends a wait for what does not come. */
  private deadline: NodeJS.Timeout | undefined
  /** The newest group, until it is known what had arrived when it was answered. */
  private answered: { count: number; startMs: number; endMs: number } | undefined
  /** Where the newest append met trouble of the disk. */
  private readonly refusing = new Set<Partition>()

  constructor(store: LogStore, ring: RingWriter, { folder, host }: WriterOptions) {
    this.store = store
    this.ring = ring
    this.folder = folder
    this.host = host
  }

  handleOf(topic: StoredTopic): TopicHandle {
    const { name, id, config } = topic
    const number = this.numbers.get(id) ?? this.numbers.size
    this.numbers.set(id, number)
    this.topics[number] = topic
    const states = topic.partitions.map((partition) => partition.state.shared)
    return { name, id, number, config, folder: `${this.folder}/topics/${id}`, states }
  }

  /** Until the log is closed; the thread does nothing else. */
  run(): void {
    while (!this.isClosed) {
      this.ring.look()
      this.drain(true)
      if (!this.isClosed) this.ring.wait()
    }
    parentPort!.close()
  }

  /** Until the log is closed, in the thread's event loop, beside what else runs there. */
  async runInTurns(): Promise<void> {
    this.isHosting = true
    // Waiting for a signal does not keep the thread alive.
    const alive = setInterval(() => {}, 2 ** 30)
    while (!this.isClosed) {
      orEnd(() => this.look())
      if (this.appends.length > 0) this.planTurn()
      if (!this.isClosed) await this.ring.untilSignalled()
    }
    clearInterval(alive)
    clearTimeout(this.deadline)
    parentPort!.close()
  }

  /** @throws LOG_CLOSED */
  checkOpen(): void {
    if (this.isClosed) throw logErrors('LOG_CLOSED', { folder: this.folder })
  }

  /** An append of this thread. It goes with what else arrives in this turn of the event loop. @throws LOG_CLOSED */
  append(own: OwnAppend, nowMs: number): void {
    this.checkOpen()
    this.nowMs = nowMs
    this.group.push(own)
    this.own.push(own)
    this.ring.noteOwn((this.ownBytes += own.append.bytes.length))
    this.planTurn()
  }

  /** Between two pieces of longer work: what the main side waits for is done now. */
  breathe(): void {
    if (!this.ring.isSignalled) return
    orEnd(() => this.look())
    this.commit()
  }

  private look(): void {
    this.ring.look()
    this.drain(false)
  }

  /** Changes topics in turns of the event loop; what was appended before is written before. @throws LOG_CLOSED */
  change<T>(work: (store: LogStore) => Pick<Steps<T>, 'next'>): Promise<T> {
    const done = this.changes.then(async () => {
      for (let steps: Pick<Steps<T>, 'next'> | undefined; ; ) {
        await new Promise(setImmediate)
        this.checkOpen()
        if (!steps) this.commit()
        steps ??= work(this.store)
        const last = step(steps)
        if (last) return last.value
      }
    })
    this.changes = done.catch(() => {})
    return done
  }

  /** Deletes a topic. @throws LOG_TOPIC_NOT_FOUND, and what the disk says */
  *deletion(name: string): Steps<void> {
    const topic = this.store.topic(name)
    const steps = this.store.deletion(name)
    steps.next()
    // Its name stays for appends that are on their way.
    this.topics[this.numbers.get(topic.id)!] = { ...topic, partitions: [] }
    yield* steps
  }

  /** Tells the main side of a topic that this thread has deleted. */
  tellGone(name: string): void {
    send({ kind: 'topicGone', name })
  }

  /** Tells the main side of a topic that this thread has made or changed. */
  tell(topic: StoredTopic): void {
    send({ kind: 'topic', topic: this.handleOf(topic) })
  }

  /** Tells the main side what was found damaged. */
  noteDamage(report: RecoveryReport): void {
    send({ kind: 'damage', report })
  }

  private get count(): number {
    return this.appends.length + this.own.length
  }

  private planTurn(): void {
    if (this.isTurnPlanned) return
    this.isTurnPlanned = true
    setImmediate(() => {
      this.isTurnPlanned = false
      orEnd(() => this.turn())
    })
  }

  /** All that has arrived in this turn of the event loop is in the group. */
  private turn(): void {
    const { answered, count, pace } = this
    if (answered) {
      this.answered = undefined
      pace.noteAnswered(answered.count, count, answered.startMs, answered.endMs)
    }
    if (count === 0) return
    const nowMs = performance.now()
    if (this.waitUntilMs === 0) {
      const waitMs = pace.waitMs(count)
      if (waitMs === 0) {
        this.commit()
        return
      }
      this.waitUntilMs = nowMs + waitMs
      this.deadline ??= setTimeout(() => orEnd(() => this.endWait()), 1)
      this.deadline.refresh()
    } else if (pace.isComplete(count) || nowMs >= this.waitUntilMs) {
      pace.noteWait(count)
      this.commit()
      return
    }
    // What is there is checked and written meanwhile.
    this.write()
  }

  /** The clock of timers ticks in ms: a wait in vain takes one or two of them, and there are few. */
  private endWait(): void {
    if (this.waitUntilMs === 0) return
    if (performance.now() >= this.waitUntilMs) this.turn()
    else this.deadline!.refresh()
  }

  private drain(isAlone: boolean): void {
    this.receive()
    for (;;) {
      const call = this.calls[0]
      const isTurn = () => call !== undefined && this.ring.takenCount >= call.afterAppends
      while (!isTurn() && this.collect());
      if (!isAlone) {
        if (!call) return
      } else if (!call) this.gather()
      // Also where the call has to wait: the answers make room for what comes before it.
      this.commit()
      if (!isTurn()) return
      this.calls.shift()
      this.call(call)
    }
  }

  private receive(): void {
    for (let message: ToWriter | undefined; (message = receiveMessageOnPort(parentPort!)?.message); ) {
      if (message.kind === 'batch') this.largeBatches.push(message.bytes)
      else this.calls.push(message)
    }
  }

  /** Takes the next entry into the group; false if there is none. */
  private collect(): boolean {
    const posted = this.ring.take()
    if (!posted) return false
    const { topic: number, partition: index, batch, isForeign, isLarge, nowMs } = posted
    // It was sent before its entry was posted.
    if (isLarge && this.largeBatches.length === 0) this.receive()
    const append = new Append(isLarge ? this.largeBatches.shift()! : batch, isForeign)
    this.nowMs = nowMs
    const topic = this.topics[number]
    const partition = topic.partitions[index] as Partition | undefined
    this.appends.push({ append, partition })
    if (partition) this.group.push({ partition, append })
    else append.error = logErrors('LOG_TOPIC_DELETED', { topic: topic.name })
    return true
  }

  /** Waits for more to be synced together with what there is, where that is worth it. */
  private gather(): void {
    const waitMs = this.pace.waitMs(this.appends.length)
    if (waitMs === 0) return
    const untilMs = performance.now() + waitMs
    // What is there is checked and written meanwhile.
    this.write()
    for (let restMs = waitMs; restMs > 0 && !this.pace.isComplete(this.appends.length); restMs = untilMs - performance.now()) {
      if (!this.ring.waitForMore(restMs)) break
      while (this.collect());
      this.write()
    }
    this.pace.noteWait(this.appends.length)
  }

  private write(): void {
    this.store.write(this.group, this.nowMs)
    this.group = []
  }

  /** Writes and answers all that was taken. */
  commit(): void {
    orEnd(() => this.commitGroup())
  }

  private commitGroup(): void {
    const { appends, own } = this
    const count = appends.length + own.length
    if (count === 0) return
    this.appends = []
    this.own = []
    this.waitUntilMs = 0
    const startMs = performance.now()
    this.write()
    this.store.sync()
    if (appends.length > 0) {
      const errors: ErrorBody[] = []
      for (const { append, partition } of appends) {
        if (append.error) errors.push(append.error.toJSON())
        // The main side knows it by the answer.
        if (partition) this.noteTrouble(partition, append.error)
      }
      if (errors.length > 0) send({ kind: 'errors', errors })
      this.ring.answer(
        appends.map(({ append: { error, first, last, logAppendTimeMs } }) => ({
          first: error ? Number.NaN : first,
          last,
          logAppendTimeMs,
        })),
      )
    }
    for (const { partition, append, topic, index, settle } of own) {
      const { error } = append
      if (this.noteTrouble(partition, error)) send({ kind: 'refusing', topic, partition: index, error: error?.toJSON() })
      settle()
    }
    if (own.length > 0) this.ring.noteOwn((this.ownBytes = 0))
    const endMs = performance.now()
    if (this.isHosting) {
      this.answered = { count, startMs, endMs }
      this.planTurn()
    } else this.pace.noteAnswered(count, this.ring.waitingCount, startMs, endMs)
  }

  /** Whether what was known of the disk under a partition changed. */
  private noteTrouble(partition: Partition, error: StreamError | undefined): boolean {
    if (error?.kind === 'external') this.refusing.add(partition)
    else return error === undefined && this.refusing.delete(partition)
    return true
  }

  private call({ id, name, args, nowMs }: Call): void {
    const change = this.changeOf(name, args as never[], nowMs)
    if (change && this.isHosting) {
      this.change(() => change).then(
        (result) => send({ kind: 'reply', id, result }),
        (error) => send({ kind: 'reply', id, error: toStreamError(error).toJSON() }),
      )
      return
    }
    try {
      send({ kind: 'reply', id, result: change ? this.changeAlone(change) : this.answerTo(name, args as never[], nowMs) })
    } catch (error) {
      send({ kind: 'reply', id, error: toStreamError(error).toJSON() })
    }
    if (name === 'close') this.isClosed = true
  }

  private changeAlone<T>(change: Pick<Steps<T>, 'next'>): T {
    for (;;) {
      const last = step(change)
      if (last) return last.value
      while (this.collect());
      this.commit()
    }
  }

  private changeOf(name: string, args: never[], nowMs: number): Pick<Steps<unknown>, 'next'> | undefined {
    const { store } = this
    const handleOf = (topic: StoredTopic) => this.handleOf(topic)
    switch (name) {
      case 'createTopic':
        return inSteps(store.creation(args[0], args[1], args[2], nowMs), handleOf)
      case 'alterTopic':
        return inSteps(store.alteration(args[0], args[1], nowMs), handleOf)
      case 'alterDefaults':
        return inOneStep(() => store.alterDefaults(args[0]).map(handleOf))
      case 'deleteTopic':
        return this.deletion(args[0])
      default:
        return undefined
    }
  }

  private answerTo(name: string, args: never[], nowMs: number): unknown {
    const { store } = this
    switch (name) {
      case 'deleteRecords':
        return store.deleteRecords(args[0], args[1], args[2])
      case 'describeProducers':
        return store.topic(args[0]).partitions[args[1]].describeProducers()
      case 'enforceRetention':
        return store.enforceRetention(nowMs)
      case 'nextCompaction':
        return store.nextCompaction(nowMs, args[0], args[1])
      case 'replaceSegments':
        return store.replaceSegments(args[0], args[1], args[2])
      case 'finishCompaction':
        return store.finishCompaction(args[0], args[1], args[2])
      case 'pin':
        return store.pin(args[0])
      case 'beat':
        return undefined
      default:
        store.close()
    }
  }
}
