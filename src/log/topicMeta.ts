// What is remembered of a topic: `topics/<uuid>/topic.json`, one line with a checksum of its own, replaced atomically (checkedFile.ts).
//
// Invariants
//   1. `topic.json` is written after the partitions' folders and first segments are durable: a folder without it is a topic whose creation
//      was cut off, and is removed on start.
//   2. A topic is deleted by renaming its folder; on start the removal is finished.
//   3. What a topic was not given itself is not taken from its file but from the log's defaults: `topics/defaults.json`, and before anybody
//      has changed them `defaultTopicConfig`. So one file changes all such topics at once, and it counts without a Kafka port too.
//   4. `topic.copy.json` has the same: a file that cannot be read is made again from the other one. After a crash between the two writes
//      the copy may be the older one; the next start writes it again. `defaults.copy.json` likewise.

import { isDeepStrictEqual } from 'node:util'
import { checkedLine, readLine, replaceFile } from './checkedFile.ts'
import type { TopicConfig, TopicDefaults } from './contract.ts'
import { type Disk, ignoreMissing } from './disk.ts'
import { logErrors } from './errors.ts'

export interface TopicMeta {
  name: string
  id: string
  config: TopicConfig
  /** By partition: records below were deleted on request. What is missing is 0. */
  startOffsets?: number[]
}

const FILE = 'topic.json'
const COPY = 'topic.copy.json'
const DEFAULTS_FILE = 'defaults.json'
const DEFAULTS_COPY = 'defaults.copy.json'
export const TOPIC_FOLDER = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const PARTITION_COUNT_MAX = 1024
const INT32_MAX = 2 ** 31 - 1

/** Kafka's defaults, but for segments of 128 MiB: what is not indexed yet is all that a start must check, and retention takes less at once. */
export const defaultTopicConfig: TopicConfig = {
  partitionCount: 1,
  'retention.ms': 7 * 24 * 3600 * 1000,
  'retention.bytes': -1,
  'segment.bytes': 128 * 1024 * 1024,
  'segment.ms': 7 * 24 * 3600 * 1000,
  'cleanup.policy': 'delete',
  'max.message.bytes': 1_048_588,
  'compression.type': 'producer',
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.before.max.ms': Number.MAX_SAFE_INTEGER,
  'message.timestamp.after.max.ms': 3600 * 1000,
  'delete.retention.ms': 24 * 3600 * 1000,
  'min.compaction.lag.ms': 0,
  'max.compaction.lag.ms': Number.MAX_SAFE_INTEGER,
  'min.cleanable.dirty.ratio': 0.5,
}

const ranges = {
  partitionCount: [1, PARTITION_COUNT_MAX],
  'retention.ms': [-1, Number.MAX_SAFE_INTEGER],
  'retention.bytes': [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  'segment.bytes': [1024, INT32_MAX],
  'segment.ms': [1, Number.MAX_SAFE_INTEGER],
  'max.message.bytes': [128, INT32_MAX],
  'message.timestamp.before.max.ms': [0, Number.MAX_SAFE_INTEGER],
  'message.timestamp.after.max.ms': [0, Number.MAX_SAFE_INTEGER],
  'delete.retention.ms': [0, Number.MAX_SAFE_INTEGER],
  'min.compaction.lag.ms': [0, Number.MAX_SAFE_INTEGER],
  'max.compaction.lag.ms': [1, Number.MAX_SAFE_INTEGER],
} as const
const choices: Record<string, readonly string[]> = {
  'compression.type': ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'],
  'cleanup.policy': ['delete', 'compact', 'compact,delete'],
  'message.timestamp.type': ['CreateTime', 'LogAppendTime'],
}

/** @throws LOG_TOPIC_NAME_INVALID */
export function checkTopicName(topic: string): void {
  const fail = (reason: string) => logErrors('LOG_TOPIC_NAME_INVALID', { topic, reason })
  if (typeof topic !== 'string' || topic === '') throw fail('it is empty')
  if (topic.length > 249) throw fail(`it has ${topic.length} characters`)
  if (topic === '.' || topic === '..') throw fail('it means a folder')
  const bad = /[^a-zA-Z0-9._-]/.exec(topic)
  if (bad) throw fail(`it has the character ${JSON.stringify(bad[0])}`)
}

/** The base settings with changes, all checked: what is named is the topic's own from now on, or as `own` says. @throws LOG_TOPIC_CONFIG_INVALID */
export function checkTopicConfig(base: TopicConfig, changes: Partial<TopicConfig>): TopicConfig {
  const config: Record<string, unknown> = { ...base }
  const own = new Set(base.own)
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || key === 'own') continue
    const fail = (reason: string) => logErrors('LOG_TOPIC_CONFIG_INVALID', { key, value, reason })
    if (key === 'clientSettings' && typeof value === 'object' && value !== null) {
      // Checked by the Kafka port, whose names they are.
    } else if (Object.hasOwn(choices, key)) {
      if (!choices[key].includes(value as string)) throw fail(`it is none of ${choices[key].map((one) => `'${one}'`).join(', ')}`)
    } else if (key === 'min.cleanable.dirty.ratio') {
      if (typeof value !== 'number' || !(value >= 0 && value <= 1)) throw fail('it must be a number from 0 to 1')
    } else {
      if (!Object.hasOwn(ranges, key)) throw fail('there is no such setting')
      const [min, max] = ranges[key as keyof typeof ranges]
      if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
        throw fail(`it must be a whole number from ${min} to ${max}`)
      }
    }
    config[key] = value
    if (key !== 'partitionCount' && key !== 'clientSettings') own.add(key)
  }
  config.own = changes.own ?? [...own]
  const [min, max] = [config['min.compaction.lag.ms'], config['max.compaction.lag.ms']] as number[]
  if (min > max) {
    const reason = `it is above max.compaction.lag.ms, which is ${max}`
    throw logErrors('LOG_TOPIC_CONFIG_INVALID', { key: 'min.compaction.lag.ms', value: min, reason })
  }
  return config as unknown as TopicConfig
}

/** Topics of the product's own bookkeeping are what they are, whatever topics have by default. */
export const followsDefaults = (topic: string): boolean => !topic.startsWith('__')

/** The settings of a topic with these defaults of the log. */
export function withDefaults(topic: string, config: TopicConfig, defaults: TopicDefaults): TopicConfig {
  const { partitionCount: _, ...all } = followsDefaults(topic) ? { ...defaultTopicConfig, ...defaults } : defaultTopicConfig
  const own = new Set(config.own)
  return { ...config, ...Object.fromEntries(Object.entries(all).filter(([key]) => !own.has(key))) }
}

/** Checks what topics are to have by default. @throws LOG_TOPIC_CONFIG_INVALID */
export function checkDefaults(defaults: TopicDefaults): void {
  checkTopicConfig(defaultTopicConfig, defaults)
}

export function writeDefaults(disk: Disk, folder: string, defaults: TopicDefaults): void {
  for (const file of [DEFAULTS_FILE, DEFAULTS_COPY]) replaceFile(disk, folder, file, checkedLine(defaults))
}

/**
 * @param names  of the files in the folder
 * @returns      `problem`: why one of the two is to be made again
 * @throws       LOG_METADATA_DAMAGED: neither can be used. Guessing could let retention delete what was to stay
 */
export function readDefaults(disk: Disk, folder: string, names: readonly string[]): { defaults: TopicDefaults; problem?: string } {
  if (!names.includes(DEFAULTS_FILE) && !names.includes(DEFAULTS_COPY)) return { defaults: {} }
  const read = (file: string): TopicDefaults => {
    if (!names.includes(file)) throw logErrors('LOG_METADATA_DAMAGED', { path: `${folder}/${file}`, reason: 'it is missing' })
    const defaults = readLine<TopicDefaults>(disk, `${folder}/${file}`)
    checkDefaults(defaults)
    return defaults
  }
  let defaults: TopicDefaults
  try {
    defaults = read(DEFAULTS_FILE)
  } catch (error) {
    return { defaults: read(DEFAULTS_COPY), problem: (error as Error).message }
  }
  try {
    // After a crash between the two the copy is the older one.
    const isSame = isDeepStrictEqual(read(DEFAULTS_COPY), defaults)
    return { defaults, problem: isSame ? undefined : `${folder}/${DEFAULTS_COPY} is older` }
  } catch (error) {
    return { defaults, problem: (error as Error).message }
  }
}

/** In a file of an earlier version, which does not tell: what is not the default, and what a client has set. */
function ownOf(config: TopicConfig): readonly string[] {
  if (config.own) return config.own
  const { partitionCount: _, ...standard } = defaultTopicConfig
  const isOwn = ([key, value]: [string, unknown]) =>
    config[key as keyof TopicConfig] !== value || Object.hasOwn(config.clientSettings ?? {}, key)
  return Object.entries(standard)
    .filter(isOwn)
    .map(([key]) => key)
}

/** Writes the metadata so that after a crash either the old or the new is there, whole; then its copy. */
export function writeTopicMeta(disk: Disk, folder: string, { name, id, config, startOffsets }: TopicMeta): void {
  for (const file of [FILE, COPY]) replaceFile(disk, folder, file, checkedLine({ name, id, config, startOffsets }))
}

/**
 * The metadata in a topic's folder; undefined if there is none.
 *
 * @param defaults  of the log
 * @returns  `problem`: why it was the copy that was read, or why there is none; `isCopyOld`: a crash came between the two
 * @throws   LOG_METADATA_DAMAGED: neither can be used
 */
export function readTopicMeta(
  disk: Disk,
  folder: string,
  defaults: TopicDefaults = {},
): { meta: TopicMeta; problem?: string; isCopyOld?: boolean } | undefined {
  const names = disk.list(folder)
  const read = (file: string): TopicMeta => {
    if (!names.includes(file)) throw logErrors('LOG_METADATA_DAMAGED', { path: `${folder}/${file}`, reason: 'it is missing' })
    const meta = readLine<TopicMeta>(disk, `${folder}/${file}`)
    const config = checkTopicConfig(defaultTopicConfig, { ...meta.config, own: ownOf({ ...defaultTopicConfig, ...meta.config }) })
    return { ...meta, config: withDefaults(meta.name, config, defaults) }
  }
  if (!names.includes(FILE) && !names.includes(COPY)) return undefined
  try {
    const meta = read(FILE)
    try {
      return { meta, isCopyOld: !isDeepStrictEqual(read(COPY), meta) }
    } catch (error) {
      return { meta, problem: (error as Error).message }
    }
  } catch (error) {
    try {
      return { meta: read(COPY), problem: (error as Error).message }
    } catch {
      throw error
    }
  }
}

/** Metadata in a data folder that cannot be read: paths below it. */
export function damagedTopics(disk: Disk, dataFolder: string): { path: string; reason: string; hasCopy: boolean }[] {
  const found: { path: string; reason: string; hasCopy: boolean }[] = []
  for (const name of disk.list(`${dataFolder}/topics`)) {
    if (!TOPIC_FOLDER.test(name)) continue
    const path = `topics/${name}/${FILE}`
    try {
      const problem = readTopicMeta(disk, `${dataFolder}/topics/${name}`)?.problem
      if (problem !== undefined) found.push({ path, reason: problem, hasCopy: true })
    } catch (error) {
      found.push({ path, reason: (error as Error).message, hasCopy: false })
    }
  }
  return found
}

/** Topics of a data folder whose metadata can be read, whether or not somebody runs on it. */
export function listTopicMetas(disk: Disk, dataFolder: string): TopicMeta[] {
  const metas: TopicMeta[] = []
  ignoreMissing(() => {
    for (const name of disk.list(`${dataFolder}/topics`)) {
      if (!TOPIC_FOLDER.test(name)) continue
      try {
        const found = readTopicMeta(disk, `${dataFolder}/topics/${name}`)
        if (found) metas.push(found.meta)
      } catch {
        // The start says so.
      }
    }
  })
  return metas
}
