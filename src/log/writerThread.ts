// The log's one writer thread: takes what has queued, writes and syncs it as one group, publishes, answers all at once.
//
// Invariants
//   1. The thread sleeps until it is signalled, and syncs synchronously: what arrives meanwhile waits in the ring and is the next group. A group
//      is synced at once, unless those who were just answered are likely to send again within less than a sync takes (groupPace.ts).
//   2. Everything is done in the order of its posting: a call sees all that was appended before it.
//   3. Every append is answered once, in order, with offsets or an error.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { type ErrorBody, toStreamError } from '../base/index.ts'
import { RingWriter } from './appendRing.ts'
import { type Disk, realDisk } from './disk.ts'
import { logErrors } from './errors.ts'
import { GroupPace } from './groupPace.ts'
import { journalOptions } from './journalWorker.ts'
import { Append } from './partition.ts'
import { LogStore, type RoutedAppend, type StoredTopic } from './store.ts'
import type { FromWriter, TopicHandle, ToWriter, WriterOptions } from './writerMessages.ts'

const port = parentPort!
const options = workerData as WriterOptions
const ring = new RingWriter(options.ring)
const pace = new GroupPace()

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

const send = (message: FromWriter) => port.postMessage(message)

function start(): void {
  let store: LogStore
  try {
    const { folder, durability, nowMs } = options
    store = LogStore.open({ disk: timedDisk, folder, durability, journal: journalOptions() }, nowMs)
  } catch (error) {
    send({ kind: 'failed', error: toStreamError(error).toJSON() })
    return
  }
  const writer = new Writer(store)
  send({ kind: 'ready', topics: [...store.topics.values()].map((topic) => writer.handleOf(topic)), recovery: store.recovery })
  writer.run()
}

type Call = ToWriter & { kind: 'call' }

class Writer {
  private readonly store: LogStore
  /** By number. */
  private readonly topics: StoredTopic[] = []
  private readonly numbers = new Map<string, number>()
  /** Taken and not written yet. */
  private group: RoutedAppend[] = []
  /** All appends that were taken and are not answered, in order, also those that have no partition. */
  private appends: Append[] = []
  private readonly calls: Call[] = []
  private readonly largeBatches: Uint8Array[] = []
  private nowMs = 0
  private isClosed = false

  constructor(store: LogStore) {
    this.store = store
  }

  handleOf(topic: StoredTopic): TopicHandle {
    const { name, id, config } = topic
    const number = this.numbers.get(id) ?? this.numbers.size
    this.numbers.set(id, number)
    this.topics[number] = topic
    const states = topic.partitions.map((partition) => partition.state.shared)
    return { name, id, number, config, folder: `${options.folder}/topics/${id}`, states }
  }

  /** Until the log is closed. */
  run(): void {
    while (!this.isClosed) {
      ring.look()
      this.drain()
      if (!this.isClosed) ring.wait()
    }
    port.close()
  }

  private drain(): void {
    this.receive()
    for (;;) {
      const call = this.calls[0]
      const isTurn = () => call !== undefined && ring.takenCount >= call.afterAppends
      while (!isTurn() && this.collect());
      if (!call) this.gather()
      // Also where the call has to wait: the answers make room for what comes before it.
      this.commit()
      if (!isTurn()) return
      this.calls.shift()
      this.call(call)
    }
  }

  private receive(): void {
    for (let message: ToWriter | undefined; (message = receiveMessageOnPort(port)?.message); ) {
      if (message.kind === 'batch') this.largeBatches.push(message.bytes)
      else this.calls.push(message)
    }
  }

  /** Takes the next entry into the group; false if there is none. */
  private collect(): boolean {
    const posted = ring.take()
    if (!posted) return false
    const { topic: number, partition: index, batch, isForeign, isLarge, nowMs } = posted
    // It was sent before its entry was posted.
    if (isLarge && this.largeBatches.length === 0) this.receive()
    const append = new Append(isLarge ? this.largeBatches.shift()! : batch, isForeign)
    this.nowMs = nowMs
    this.appends.push(append)
    const topic = this.topics[number]
    const partition = topic.partitions[index]
    if (partition) this.group.push({ partition, append })
    else append.error = logErrors('LOG_TOPIC_DELETED', { topic: topic.name })
    return true
  }

  /** Waits for more to be synced together with what there is, where that is worth it. */
  private gather(): void {
    const waitMs = pace.waitMs(this.appends.length)
    if (waitMs === 0) return
    const untilMs = performance.now() + waitMs
    // What is there is checked and written meanwhile.
    this.write()
    for (let restMs = waitMs; restMs > 0 && !pace.isComplete(this.appends.length); restMs = untilMs - performance.now()) {
      if (!ring.waitForMore(restMs)) break
      while (this.collect());
      this.write()
    }
    pace.noteWait(this.appends.length)
  }

  private write(): void {
    this.store.write(this.group, this.nowMs)
    this.group = []
  }

  private commit(): void {
    const { appends } = this
    if (appends.length === 0) return
    this.appends = []
    const startMs = performance.now()
    this.write()
    this.store.sync()
    const errors: ErrorBody[] = []
    for (const { error } of appends) if (error) errors.push(error.toJSON())
    if (errors.length > 0) send({ kind: 'errors', errors })
    ring.answer(appends.map(({ error, first, last, logAppendTimeMs }) => ({ first: error ? Number.NaN : first, last, logAppendTimeMs })))
    pace.noteAnswered(appends.length, ring.waitingCount, performance.now() - startMs)
  }

  private call({ id, name, args, nowMs }: Call): void {
    try {
      send({ kind: 'reply', id, result: this.answerTo(name, args as never[], nowMs) })
    } catch (error) {
      send({ kind: 'reply', id, error: toStreamError(error).toJSON() })
    }
    if (name === 'close') this.isClosed = true
  }

  private answerTo(name: string, args: never[], nowMs: number): unknown {
    const { store } = this
    switch (name) {
      case 'createTopic':
        return this.handleOf(store.createTopic(args[0], args[1], args[2], nowMs))
      case 'alterTopic':
        return this.handleOf(store.alterTopic(args[0], args[1], nowMs))
      case 'alterDefaults':
        return store.alterDefaults(args[0]).map((topic) => this.handleOf(topic))
      case 'deleteTopic': {
        const topic = store.topic(args[0])
        store.deleteTopic(topic.name)
        // Its name stays for appends that are on their way.
        this.topics[this.numbers.get(topic.id)!] = { ...topic, partitions: [] }
        return undefined
      }
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
      default:
        store.close()
    }
  }
}

start()
