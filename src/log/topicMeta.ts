// What is remembered of a topic: `topics/<uuid>/topic.json`, one line with a checksum of its own, replaced atomically.
//
// Invariants
//   1. `topic.json` is written after the partitions' folders and first segments are durable: a folder without it is a topic whose creation
//      was cut off, and is removed on start.
//   2. A topic is deleted by renaming its folder; on start the removal is finished.

import type { TopicConfig } from './contract.ts'
import { crc32c } from './crc32c.ts'
import type { Disk } from './disk.ts'
import { logErrors } from './errors.ts'

export interface TopicMeta {
  name: string
  id: string
  config: TopicConfig
  /** By partition: records below were deleted on request. What is missing is 0. */
  startOffsets?: number[]
}

const FILE = 'topic.json'
const PARTITION_COUNT_MAX = 1024
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
}

const ranges = {
  partitionCount: [1, PARTITION_COUNT_MAX],
  'retention.ms': [-1, Number.MAX_SAFE_INTEGER],
  'retention.bytes': [-1, Number.MAX_SAFE_INTEGER],
  'segment.bytes': [1024, INT32_MAX],
  'segment.ms': [1, Number.MAX_SAFE_INTEGER],
  'max.message.bytes': [128, 512 * 1024 * 1024],
} as const

/** @throws LOG_TOPIC_NAME_INVALID */
export function checkTopicName(topic: string): void {
  const fail = (reason: string) => logErrors('LOG_TOPIC_NAME_INVALID', { topic, reason })
  if (typeof topic !== 'string' || topic === '') throw fail('it is empty')
  if (topic.length > 249) throw fail(`it has ${topic.length} characters`)
  if (topic === '.' || topic === '..') throw fail('it means a folder')
  const bad = /[^a-zA-Z0-9._-]/.exec(topic)
  if (bad) throw fail(`it has the character ${JSON.stringify(bad[0])}`)
}

/** The base settings with changes, all checked. @throws LOG_TOPIC_CONFIG_INVALID */
export function checkTopicConfig(base: TopicConfig, changes: Partial<TopicConfig>): TopicConfig {
  const config: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) continue
    const fail = (reason: string) => logErrors('LOG_TOPIC_CONFIG_INVALID', { key, value, reason })
    if (key === 'cleanup.policy') {
      if (value !== 'delete' && value !== 'compact') throw fail("it is neither 'delete' nor 'compact'")
    } else {
      if (!Object.hasOwn(ranges, key)) throw fail('there is no such setting')
      const [min, max] = ranges[key as keyof typeof ranges]
      if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
        throw fail(`it must be a whole number from ${min} to ${max}`)
      }
    }
    config[key] = value
  }
  return config as unknown as TopicConfig
}

/** Writes the metadata so that after a crash either the old or the new is there, whole. */
export function writeTopicMeta(disk: Disk, folder: string, meta: TopicMeta): void {
  const text = JSON.stringify({ name: meta.name, id: meta.id, config: meta.config, startOffsets: meta.startOffsets })
  const bytes = new TextEncoder().encode(text)
  const line = `${crc32c(bytes).toString(16).padStart(8, '0')} ${text}\n`
  const temporary = `${folder}/${FILE}.new`
  const file = disk.open(temporary, 'create')
  try {
    disk.truncate(file, 0)
    disk.write(file, [new TextEncoder().encode(line)], 0)
    disk.sync(file)
  } finally {
    disk.close(file)
  }
  disk.rename(temporary, `${folder}/${FILE}`)
  disk.syncFolder(folder)
}

/** The metadata in a topic's folder; undefined if there is none. @throws LOG_METADATA_DAMAGED */
export function readTopicMeta(disk: Disk, folder: string): TopicMeta | undefined {
  if (!disk.list(folder).includes(FILE)) return undefined
  const path = `${folder}/${FILE}`
  const fail = (reason: string) => logErrors('LOG_METADATA_DAMAGED', { path, reason })
  const file = disk.open(path, 'read')
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(disk.size(file))
    disk.read(file, bytes, 0, bytes.length, 0)
  } finally {
    disk.close(file)
  }
  if (bytes.length < 10 || bytes[8] !== 0x20 || bytes.at(-1) !== 0x0a) throw fail('it is not one line with a checksum')
  const body = bytes.subarray(9, -1)
  const expected = new TextDecoder().decode(bytes.subarray(0, 8))
  const actual = crc32c(body).toString(16).padStart(8, '0')
  if (actual !== expected) throw fail(`its checksum is ${actual}, not ${expected}`)
  const meta = JSON.parse(new TextDecoder().decode(body)) as TopicMeta
  return { ...meta, config: checkTopicConfig(defaultTopicConfig, meta.config) }
}
