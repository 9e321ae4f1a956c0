// What a process is set to, for people: each setting as a text, with its default and where it comes from.
import { maskedValue } from '../base/index.ts'
import type { ProcessSetting } from '../serve/contract.ts'
import { type Config, flagName, otherWays } from './config.ts'
import { byteText } from './output.ts'

/** In the order in which people look for them. */
const described: readonly [name: string, description: string, otherwise?: string][] = [
  ['port', 'HTTP, WebSocket and the console; 0 is a free one', '7070'],
  ['host', 'address that it listens on', '127.0.0.1'],
  ['dataFolder', 'log, checkpoints, tokens', '.millrace in the project'],
  ['durability', 'fsync: an acknowledgement means on disk; os: in the page cache', 'fsync'],
  ['memory', 'for state of queries, live tables and buffers; state beyond it goes to the disk', 'half of what there is'],
  ['workerCount', 'engine threads', 'one less than there are cores'],
  ['stallTimeout', 'a query that holds its engine thread up for so long fails', '60 s'],
  ['parallelism', "in how many threads a query runs, unless SET 'parallelism.default' says it", '1'],
  ['timeZone', "of queries, unless SET 'table.local-time-zone' says it", 'UTC'],
  ['kafkaPort', 'where Kafka clients connect', '9092, if it is free'],
  ['kafka.bootstrap', 'a real Kafka that is the log', 'none: the log is in the data folder'],
  ['kafka.tls', 'whether that is spoken to over TLS'],
  ['kafka.sasl.mechanism', 'how to log in there'],
  ['kafka.sasl.username', 'as whom'],
  ['kafka.sasl.password', 'with what'],
  ['kafkaTls.cert', 'certificate of the Kafka port', 'none: it speaks no TLS'],
  ['kafkaTls.key', 'the file of its private key'],
  ['kafkaTls.ca', 'who signs the certificates of clients'],
  ['kafkaTls.clientAuth', 'whether clients show one'],
  ['kafkaTls.principalRules', 'which user a certificate is'],
  ['kafkaSuperUsers', 'users of the Kafka port who may do everything', 'none'],
  ['kafkaSettings', "the Kafka port's own, as in a server.properties", 'none'],
  ['allowedHosts', "names under which it is reached, beside loopback's", 'none'],
  ['allowedOrigins', 'web origins that may call it', 'none'],
  ['insecure', 'listens beyond loopback without tokens', 'false'],
  ['backup.folder', 'where backups go', 'none'],
  ['backup.everyMinutes', 'from one to the next'],
  ['backup.keep', 'how many are kept', 'all'],
  ['filters', 'for everybody, by name', 'none'],
]
/** What it is called once it is resolved. */
const resolved: Readonly<Record<string, string>> = { 'kafkaTls.cert': 'certFile', 'kafkaTls.key': 'keyFile', 'kafkaTls.ca': 'caFile' }

export function processConfig(config: Config): ProcessSetting[] {
  return described.flatMap(([name, description, otherwise]): ProcessSetting[] => {
    const value = settingOf(config, name)
    if (value === undefined && otherwise === undefined) return []
    const { flag, variable } = otherWays[name] ?? {}
    return [
      {
        name,
        value: maskedValue(name, value ?? otherwise ?? ''),
        ...(otherwise !== undefined && { default: otherwise }),
        source: config.originOf(name),
        ...(flag && { flag: flagName(flag) }),
        ...(variable !== undefined && { variable }),
        description,
      },
    ]
  })
}

/** Undefined where there is nothing. */
function settingOf(config: Config, name: string): string | undefined {
  if (name === 'memory') return byteText(config.memoryBytes)
  if (name === 'stallTimeout') return config.stallTimeoutMs === undefined ? undefined : `${config.stallTimeoutMs / 1_000} s`
  if (name === 'kafkaSettings')
    return (
      Object.entries(config.kafkaSettings)
        .map((entry) => entry.join('='))
        .join(', ') || undefined
    )
  if (name === 'filters') return config.filters.map((filter) => filter.name).join(', ') || undefined
  const [first, ...rest] = name.split('.') as [keyof Config, ...string[]]
  const last = resolved[name] ? [resolved[name]] : rest
  const value = last.reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], config[first])
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return undefined
  return String(value)
}
