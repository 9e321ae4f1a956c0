// All topics of a data folder: creation, deletion, group commit. Synchronous; the writer thread owns one, a simulator can own one too.
//
//   <data folder>/journal
//   <data folder>/topics/defaults.json
//   <data folder>/topics/<uuid>/topic.json
//   <data folder>/topics/<uuid>/<partition>/<base offset>.log, .index
//
// Invariants
//   1. One group commit writes all partitions first and then syncs each that was written, or a small one the journal alone: an append waits for
//      one round of syncs.
//   2. What `creation`, `alteration`, `alterDefaults` and `deletion` return is durable.
//   3. Changes of topics are made in steps of one partition, between which groups may be committed, but no other change begins. One that is cut off
//      has left a topic as it was, or only files of a deleted one.
import { isDeepStrictEqual } from 'node:util'
import type { StreamError } from '../base/index.ts'
import type { CompactedSegment, CompactionJob, CompactionOutcome } from './compaction.ts'
import type { Durability, RecoveryReport, TopicConfig, TopicDefaults, TopicDescriptor } from './contract.ts'
import { type Disk, ensureFolder, errorCodeOf, ignoreFailure, ignoreMissing } from './disk.ts'
import { logErrors, readError, writeError } from './errors.ts'
import { Journal, type JournalOptions } from './journal.ts'
import type { JournalEntry } from './journalBlock.ts'
import { redoJournal } from './journalRedo.ts'
import { type Append, Partition } from './partition.ts'
import { type PinnedLog, type PinnedPartition, pinFiles } from './pin.ts'
import {
  checkDefaults,
  checkTopicConfig,
  checkTopicName,
  defaultTopicConfig,
  readDefaults,
  readTopicMeta,
  TOPIC_FOLDER,
  type TopicMeta,
  withDefaults,
  writeDefaults,
  writeTopicMeta,
} from './topicMeta.ts'

const DELETED_SUFFIX = '.deleted'

export interface StoreOptions {
  disk: Disk
  /** The data folder, which exists. */
  folder: string
  durability: Durability
  /** Absent: each group is synced in its files. */
  journal?: JournalOptions
}

/** Work in short steps, with what it gives at its end. */
export type Steps<T> = Generator<undefined, T>

export const inOneStep = <T>(work: () => T): Pick<Steps<T>, 'next'> => ({ next: () => ({ done: true, value: work() }) })

function allOf<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

export interface StoredTopic extends TopicMeta {
  partitions: Partition[]
}

/** What lies below an offset of a partition. */
export interface RecordDeletion {
  partition: number
  beforeOffset: number
}

/** One append and where it goes. */
export interface RoutedAppend {
  partition: Partition
  append: Append
}

export class LogStore {
  readonly topics = new Map<string, StoredTopic>()
  readonly topicsById = new Map<string, StoredTopic>()
  readonly recovery: RecoveryReport[] = []
  readonly journal: Journal | undefined
  /** Blocks of the journal that the start has redone. */
  redoneCount = 0
  /** Folders of topics whose creation failed, and whose removal did too: while one is there, its name may be on the disk. */
  private readonly leftOver = new Set<string>()
  /** Since the last sync. */
  private readonly written = new Set<Partition>()
  private readonly options: StoreOptions
  private readonly disk: Disk
  private readonly folder: string
  private defaults: TopicDefaults = {}

  private constructor(options: StoreOptions) {
    this.options = options
    this.disk = options.disk
    this.folder = `${options.folder}/topics`
    const { disk, folder, durability, journal } = options
    if (journal && durability === 'fsync') this.journal = new Journal(disk, folder, journal, () => this.unconfirmed)
  }

  /** Opens every topic, mends what a crash left half done, and reports what it found in `recovery`. */
  static open(options: StoreOptions, nowMs: number): LogStore {
    const store = new LogStore(options)
    try {
      store.recover(nowMs)
    } catch (error) {
      store.close()
      throw writeError(error, options.folder)
    }
    return store
  }

  /** @throws LOG_TOPIC_NOT_FOUND */
  topic(name: string): StoredTopic {
    const topic = this.topics.get(name)
    if (!topic) throw logErrors('LOG_TOPIC_NOT_FOUND', { topic: name })
    return topic
  }

  /** All steps of `creation`. */
  createTopic(name: string, id: string, changes: Partial<TopicConfig>, nowMs: number): StoredTopic {
    return allOf(this.creation(name, id, changes, nowMs))
  }

  /** @param id  a new UUID */
  *creation(name: string, id: string, changes: Partial<TopicConfig>, nowMs: number): Steps<StoredTopic> {
    checkTopicName(name)
    const config = withDefaults(name, checkTopicConfig(defaultTopicConfig, changes), this.defaults)
    if (this.topics.has(name)) throw logErrors('LOG_TOPIC_EXISTS', { topic: name })
    const folder = `${this.folder}/${id}`
    const topic: StoredTopic = { name, id, config, partitions: [] }
    try {
      for (const old of this.leftOver) this.removeLeftOver(old)
      this.leftOver.add(folder)
      this.disk.makeFolder(folder)
      this.disk.syncFolder(this.folder)
      yield* this.makePartitions(topic, config, topic.partitions, nowMs)
      writeTopicMeta(this.disk, folder, topic)
    } catch (error) {
      for (const partition of topic.partitions) partition.close()
      ignoreFailure(() => this.removeLeftOver(folder))
      throw writeError(error, folder)
    }
    this.leftOver.delete(folder)
    this.topics.set(name, topic)
    this.topicsById.set(id, topic)
    return topic
  }

  private removeLeftOver(folder: string): void {
    ignoreMissing(() => allOf(this.removal(folder)))
    this.leftOver.delete(folder)
  }

  /** All steps of `alteration`. */
  alterTopic(name: string, changes: Partial<TopicConfig>, nowMs: number): StoredTopic {
    return allOf(this.alteration(name, changes, nowMs))
  }

  *alteration(name: string, changes: Partial<TopicConfig>, nowMs: number): Steps<StoredTopic> {
    const topic = this.topic(name)
    const config = withDefaults(name, checkTopicConfig(topic.config, changes), this.defaults)
    const { partitionCount: had } = topic.config
    if (config.partitionCount < had) {
      const reason = `the topic has ${had}, and the number can only grow`
      throw logErrors('LOG_TOPIC_CONFIG_INVALID', { key: 'partitionCount', value: config.partitionCount, reason })
    }
    const folder = `${this.folder}/${topic.id}`
    const made: Partition[] = []
    try {
      yield* this.makePartitions(topic, config, made, nowMs)
      writeTopicMeta(this.disk, folder, { ...topic, config })
    } catch (error) {
      for (const partition of made) partition.close()
      throw writeError(error, folder)
    }
    this.configure(topic, config)
    topic.partitions.push(...made)
    return topic
  }

  /**
   * Sets what topics have that were not given it, also those that are there.
   *
   * @returns  the topics that may have changed
   * @throws   LOG_TOPIC_CONFIG_INVALID; then nothing changed
   */
  alterDefaults(defaults: TopicDefaults): StoredTopic[] {
    checkDefaults(defaults)
    if (isDeepStrictEqual(defaults, this.defaults)) return []
    try {
      writeDefaults(this.disk, this.folder, defaults)
    } catch (error) {
      throw writeError(error, this.folder)
    }
    this.defaults = defaults
    const topics = [...this.topics.values()]
    for (const topic of topics) this.configure(topic, withDefaults(topic.name, topic.config, defaults))
    return topics
  }

  private configure(topic: StoredTopic, config: TopicConfig): void {
    topic.config = config
    for (const partition of topic.partitions) partition.config = config
  }

  /** Moves the start of one partition. Returns it. @throws also what `moveStarts` gives for it */
  deleteRecords(name: string, partition: number, beforeOffset: number): number {
    const [start] = this.moveStarts(name, [{ partition, beforeOffset }])
    if (typeof start !== 'number') throw start
    return start
  }

  /**
   * Moves the starts of partitions of a topic, durably and with one write.
   *
   * @returns  for each where it begins now, or LOG_PARTITION_NOT_FOUND or LOG_OFFSET_OUT_OF_RANGE; the others do not suffer from it
   * @throws   LOG_TOPIC_NOT_FOUND, and what the disk says; then nothing changed
   */
  moveStarts(name: string, wanted: readonly RecordDeletion[]): (number | StreamError)[] {
    const topic = this.topic(name)
    const { partitions } = topic
    const startOffsets = partitions.map((_, i) => topic.startOffsets?.[i] ?? 0)
    const moved = new Map<Partition, number>()
    const starts = wanted.map(({ partition: index, beforeOffset }) => {
      const partition = partitions[index] as Partition | undefined
      if (!partition) return logErrors('LOG_PARTITION_NOT_FOUND', { topic: name, partition: index, partitionCount: partitions.length })
      const { startOffset, endOffset } = partition.range
      if (beforeOffset < 0 || beforeOffset > endOffset)
        return logErrors('LOG_OFFSET_OUT_OF_RANGE', { offset: beforeOffset, startOffset, endOffset })
      const start = Math.max(beforeOffset, moved.get(partition) ?? startOffset)
      if (start > startOffset) moved.set(partition, (startOffsets[index] = start))
      return start
    })
    if (moved.size === 0) return starts
    const folder = `${this.folder}/${topic.id}`
    try {
      writeTopicMeta(this.disk, folder, { ...topic, startOffsets })
    } catch (error) {
      throw writeError(error, folder)
    }
    topic.startOffsets = startOffsets
    for (const [partition, start] of moved) partition.deleteRecords(start)
    return starts
  }

  /** All steps of `deletion`. */
  deleteTopic(name: string): void {
    allOf(this.deletion(name))
  }

  /** After the first step the topic is gone, durably. */
  *deletion(name: string): Steps<void> {
    const topic = this.topic(name)
    const folder = `${this.folder}/${topic.id}`
    try {
      this.disk.rename(folder, folder + DELETED_SUFFIX)
      this.disk.syncFolder(this.folder)
    } catch (error) {
      throw writeError(error, folder)
    }
    this.topics.delete(name)
    this.topicsById.delete(topic.id)
    for (const partition of topic.partitions) partition.markDeleted()
    yield
    try {
      yield* this.removal(folder + DELETED_SUFFIX)
    } catch {
      // Files that cannot be removed now go at the next start.
    }
  }

  /** Writes and syncs a group. Afterwards each append has its offsets or its error. */
  commit(appends: readonly RoutedAppend[], nowMs: number): void {
    this.write(appends, nowMs)
    this.sync()
  }

  /** Writes the beginning of a group, or more of it: `sync` ends it. */
  write(appends: readonly RoutedAppend[], nowMs: number): void {
    const groups = new Map<Partition, Append[]>()
    for (const { partition, append } of appends) {
      const group = groups.get(partition)
      if (group) group.push(append)
      else groups.set(partition, [append])
    }
    for (const [partition, group] of groups) {
      this.written.add(partition)
      partition.write(group, nowMs)
    }
  }

  private get unconfirmed(): JournalEntry[] {
    return [...this.written].flatMap((partition) => partition.unconfirmed ?? [])
  }

  /** Makes durable what was written. Afterwards each append has its offsets or its error. */
  sync(): void {
    const { written, journal } = this
    const isJournaled = journal?.write(this.unconfirmed) ?? false
    for (const partition of written) partition.sync(isJournaled)
    written.clear()
  }

  /** Deletes what retention lets go, in all topics. Returns the bytes. */
  enforceRetention(nowMs: number): number {
    let freedBytes = 0
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) freedBytes += partition.enforceRetention(nowMs)
    }
    return freedBytes
  }

  /** The next partition that needs compaction. @param skipped  partitions not to look at, as `<topic id> <partition>` */
  nextCompaction(nowMs: number, keysMax: number, skipped: ReadonlySet<string>): CompactionJob | undefined {
    for (const topic of this.topics.values()) {
      for (const [i, partition] of topic.partitions.entries()) {
        if (skipped.has(`${topic.id} ${i}`)) continue
        const job = partition.compactionJob(descriptorOf(topic), nowMs, keysMax)
        if (job) return job
      }
    }
    return undefined
  }

  /** See `Partition.replaceSegments`; undefined also if the topic is gone. */
  replaceSegments(id: string, partition: number, segment: CompactedSegment): number | undefined {
    return this.topicsById.get(id)?.partitions[partition]?.replaceSegments(segment)
  }

  finishCompaction(id: string, partition: number, outcome: CompactionOutcome): void {
    this.topicsById.get(id)?.partitions[partition]?.finishCompaction(outcome)
  }

  /** Pins all topics in a folder: see pin.ts. Between two commits, so that all partitions are of one moment. */
  pin(target: string): PinnedLog {
    // A copy is of the files alone.
    try {
      this.journal?.syncFiles()
    } catch (error) {
      throw writeError(error, this.folder)
    }
    const limits = new Map<string, number>()
    const partitions: PinnedPartition[] = []
    for (const topic of this.topics.values()) {
      for (const [i, partition] of topic.partitions.entries()) {
        partitions.push({ topic: topic.name, partition: i, ...partition.range })
        const { name, durablePosition } = partition.growing ?? {}
        if (name !== undefined) limits.set(`topics/${topic.id}/${i}/${name}`, durablePosition!)
      }
    }
    return { files: pinFiles(this.options.folder, 'topics', target, limits), partitions }
  }

  close(): void {
    for (const topic of this.topics.values()) for (const partition of topic.partitions) partition.close()
    this.journal?.close()
  }

  private recover(nowMs: number): void {
    const { disk, folder } = this
    const { reports, blockCount } = redoJournal(disk, this.options.folder)
    this.recovery.push(...reports)
    this.redoneCount = blockCount
    ensureFolder(disk, this.options.folder, 'topics')
    disk.syncFolder(folder)
    const names = disk.list(folder)
    const { defaults, problem: ofDefaults } = readDefaults(disk, folder, names)
    this.defaults = defaults
    if (ofDefaults !== undefined) {
      writeDefaults(disk, folder, defaults)
      const about = { topic: 'defaults', partition: -1, path: folder, cutBytes: 0, position: 0, offset: 0 }
      this.recovery.push({ ...about, kind: 'mended', reason: ofDefaults })
    }
    for (const name of names) {
      const path = `${folder}/${name}`
      if (TOPIC_FOLDER.test(name)) {
        const found = readTopicMeta(disk, path, defaults)
        if (found === undefined) this.removeTopicFolder(path)
        else {
          const { meta, problem, isCopyOld } = found
          if (problem !== undefined || isCopyOld) writeTopicMeta(disk, path, meta)
          if (problem !== undefined) {
            const about = { topic: meta.name, partition: -1, path, cutBytes: 0, position: 0, offset: 0 }
            this.recovery.push({ ...about, kind: 'mended', reason: problem })
          }
          // Its name may be of a creation that was cut off before it was durable; from here on it counts.
          disk.syncFolder(path)
          this.openTopic(meta, nowMs)
        }
      } else if (name.endsWith(DELETED_SUFFIX)) allOf(this.removal(path))
    }
  }

  private openTopic(meta: TopicMeta, nowMs: number): StoredTopic {
    if (this.topics.has(meta.name)) {
      const reason = `there is another topic "${meta.name}"`
      throw logErrors('LOG_METADATA_DAMAGED', { path: `${this.folder}/${meta.id}`, reason })
    }
    const topic: StoredTopic = { ...meta, partitions: [] }
    try {
      for (let partition = 0; partition < meta.config.partitionCount; partition++) this.openPartition(topic, partition, nowMs)
    } catch (error) {
      for (const partition of topic.partitions) partition.close()
      throw error
    }
    this.topics.set(meta.name, topic)
    this.topicsById.set(meta.id, topic)
    return topic
  }

  private openPartition(topic: StoredTopic, partition: number, nowMs: number): void {
    const { disk, durability } = this.options
    const folder = `${this.folder}/${topic.id}/${partition}`
    try {
      const startOffset = topic.startOffsets?.[partition] ?? 0
      const { journal } = this
      const opened = Partition.open({ disk, folder, topic: topic.name, partition, durability, startOffset, journal }, topic.config, nowMs)
      topic.partitions.push(opened.partition)
      this.recovery.push(...opened.reports)
    } catch (error) {
      throw readError(error, folder)
    }
  }

  /** Makes the partitions that a topic does not have yet, durably, and adds them to `made`. */
  private *makePartitions(topic: StoredTopic, config: TopicConfig, made: Partition[], nowMs: number): Steps<void> {
    const { disk, durability } = this.options
    const { journal } = this
    const topicFolder = `${this.folder}/${topic.id}`
    for (let partition = topic.partitions.length; partition < config.partitionCount; partition++) {
      const folder = `${topicFolder}/${partition}`
      try {
        disk.makeFolder(folder)
      } catch (error) {
        // Left by an attempt that was cut off; only an empty segment can be in it.
        if (errorCodeOf(error) !== 'EEXIST') throw error
      }
      made.push(Partition.create({ disk, folder, topic: topic.name, partition, durability, journal }, config, nowMs))
      yield
    }
    disk.syncFolder(topicFolder)
  }

  /** Removes a topic's folder without topic.json; one that holds records nevertheless is not ours to throw away. */
  private removeTopicFolder(path: string): void {
    for (const name of this.disk.list(path)) {
      if (!/^\d+$/.test(name)) continue
      for (const fileName of this.disk.list(`${path}/${name}`)) {
        if (!fileName.endsWith('.log')) continue
        const file = this.disk.open(`${path}/${name}/${fileName}`, 'read')
        const sizeBytes = this.disk.size(file)
        this.disk.close(file)
        if (sizeBytes > 0) throw logErrors('LOG_METADATA_DAMAGED', { path, reason: 'topic.json is missing, and there are records' })
      }
    }
    allOf(this.removal(path))
  }

  /** Removes a topic's folder, with or without partitions in it. First and durably what says that it is one: the rest may be cut off. */
  private *removal(path: string): Steps<void> {
    const isPartition = (name: string) => /^\d+$/.test(name)
    const names = this.disk.list(path)
    for (const name of names) if (!isPartition(name)) this.disk.unlink(`${path}/${name}`)
    this.disk.syncFolder(path)
    for (const name of names.filter(isPartition)) {
      const inside = `${path}/${name}`
      for (const fileName of this.disk.list(inside)) this.disk.unlink(`${inside}/${fileName}`)
      ignoreMissing(() => this.disk.removeFolder(inside))
      yield
    }
    this.disk.removeFolder(path)
    this.disk.syncFolder(this.folder)
  }
}

const descriptorOf = ({ name, id, partitions }: StoredTopic): TopicDescriptor => ({
  topic: name,
  id,
  partitions: partitions.map(({ folder, state }, partition) => ({ partition, folder, state: state.shared })),
})
