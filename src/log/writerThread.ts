// The log's one writer thread: takes what has queued, writes and syncs it as one group, publishes, acknowledges all in one message.
//
// Invariants
//   1. The sync runs here, synchronously: what arrives meanwhile queues at the port and is the next group. Nothing else decides a group's size.
//   2. Messages are handled in their order: a call sees everything that was appended before it.
//   3. Every append is answered once, in order, with offsets or an error.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { toStreamError } from '../base/index.ts'
import { type Disk, realDisk } from './disk.ts'
import { logErrors } from './errors.ts'
import { Append } from './partition.ts'
import { LogStore, type RoutedAppend, type StoredTopic } from './store.ts'
import type { FromWriter, TopicHandle, ToWriter, WriterOptions } from './writerMessages.ts'

const port = parentPort!
const options = workerData as WriterOptions
let syncsMs: number[] = []

/** The real disk, with a clock on its syncs. */
const timedDisk: Disk = {
  ...realDisk,
  sync(file) {
    const startMs = performance.now()
    realDisk.sync(file)
    syncsMs.push(performance.now() - startMs)
  },
}

const send = (message: FromWriter, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

const handleOf = (topic: StoredTopic): TopicHandle => ({
  name: topic.name,
  id: topic.id,
  config: topic.config,
  folder: `${options.folder}/topics/${topic.id}`,
  states: topic.partitions.map((partition) => partition.state.shared),
})

function start(): void {
  let store: LogStore
  try {
    store = LogStore.open({ disk: timedDisk, folder: options.folder, durability: options.durability }, options.nowMs)
  } catch (error) {
    send({ kind: 'failed', error: toStreamError(error).toJSON() })
    port.close()
    return
  }
  const writer = new Writer(store)
  port.on('message', (message: ToWriter) => writer.drain(message))
  send({ kind: 'ready', topics: [...store.topics.values()].map(handleOf), recovery: store.recovery })
}

class Writer {
  private readonly store: LogStore
  private readonly topicsById = new Map<string, StoredTopic>()
  private group: RoutedAppend[] = []
  /** All appends of the waiting messages in order, also those that have no partition. */
  private appends: Append[] = []
  private messageCount = 0
  private nowMs = 0

  constructor(store: LogStore) {
    this.store = store
    for (const topic of store.topics.values()) this.topicsById.set(topic.id, topic)
  }

  /** Handles a message and all that have queued behind it. */
  drain(first: ToWriter): void {
    for (let message: ToWriter | undefined = first; message; message = receiveMessageOnPort(port)?.message) {
      this.nowMs = message.nowMs
      if (message.kind === 'append') this.collect(message)
      else {
        this.commit()
        this.call(message)
      }
    }
    this.commit()
  }

  private collect({ topicIds, partitions, batches, foreign }: ToWriter & { kind: 'append' }): void {
    this.messageCount++
    batches.forEach((bytes, i) => {
      const append = new Append(bytes, foreign[i])
      this.appends.push(append)
      const topic = this.topicsById.get(topicIds[i])
      const partition = topic?.partitions[partitions[i]]
      if (partition) this.group.push({ partition, append })
      else append.error = logErrors('LOG_TOPIC_DELETED', { topic: topic?.name ?? topicIds[i] })
    })
  }

  private commit(): void {
    const { appends, group, messageCount } = this
    if (messageCount === 0) return
    this.appends = []
    this.group = []
    this.messageCount = 0
    this.store.commit(group, this.nowMs)
    const offsets = new Float64Array(appends.length * 3)
    const errors = []
    for (const [i, append] of appends.entries()) {
      offsets[3 * i] = append.error ? Number.NaN : append.first
      offsets[3 * i + 1] = append.error ? errors.push(append.error.toJSON()) - 1 : append.last
      offsets[3 * i + 2] = append.logAppendTimeMs
    }
    send({ kind: 'acks', messageCount, offsets, errors, syncsMs }, [offsets.buffer])
    syncsMs = []
  }

  private call({ id, name, args, nowMs }: ToWriter & { kind: 'call' }): void {
    try {
      send({ kind: 'reply', id, result: this.run(name, args as never[], nowMs) })
    } catch (error) {
      send({ kind: 'reply', id, error: toStreamError(error).toJSON() })
    }
    if (name === 'close') port.close()
  }

  private run(name: string, args: never[], nowMs: number): unknown {
    const { store } = this
    switch (name) {
      case 'createTopic': {
        const topic = store.createTopic(args[0], args[1], args[2], nowMs)
        this.topicsById.set(topic.id, topic)
        return handleOf(topic)
      }
      case 'alterTopic':
        return handleOf(store.alterTopic(args[0], args[1], nowMs))
      case 'deleteTopic': {
        const topic = store.topic(args[0])
        store.deleteTopic(topic.name)
        // Its name stays for appends that are on their way.
        this.topicsById.set(topic.id, { ...topic, partitions: [] })
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
