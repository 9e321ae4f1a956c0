// Configuration: flags of the command line, then MILLRACE_* in the environment, then millrace.config.ts, then defaults.
// The one place that reads the environment.
import { existsSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { availableParallelism, totalmem } from 'node:os'
import { basename, extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { nearestName, parseBytes } from '../base/index.ts'
import { PARALLELISM_MAX } from '../engine/index.ts'
import type { ClusterOptions } from '../log/index.ts'
import type { DeclaredFilter, SettingSource } from '../serve/contract.ts'
import { durationMs } from '../sql/index.ts'
import type { BackupSchedule } from './backup/backups.ts'
import { appErrors } from './errors.ts'

/** PEM files, relative to the project. */
export interface KafkaTlsConfig {
  cert: string
  key: string
  /** Who signs the certificates of clients. */
  ca?: string
  /** Whether clients show certificates, as Kafka's ssl.client.auth; required if there is a ca. */
  clientAuth?: 'none' | 'requested' | 'required'
  /** Kafka's ssl.principal.mapping.rules. */
  principalRules?: string
}

/** What a project's `millrace.config.ts` may export by default: `export default defineConfig({ … })`. */
export interface MillraceConfig {
  /** 0 picks a free one. */
  port?: number
  /** Where Kafka clients connect, 9092 unless given (if it is free); 0 picks a free one, 'none' opens none. */
  kafkaPort?: number | 'none'
  /** A real Kafka that is the log, instead of files in the data folder. */
  kafka?: ClusterOptions
  /** With it the Kafka port speaks TLS only. */
  kafkaTls?: KafkaTlsConfig
  /** Users of the Kafka port who may do everything, whatever the ACLs say. Admins' tokens may too. */
  kafkaSuperUsers?: string[]
  /** Settings of the Kafka port under Kafka's names, as in its server.properties: `{ 'num.partitions': 3 }`. docs/kafka.md lists them. */
  kafkaSettings?: Record<string, string | number | boolean>
  host?: string
  /** Relative to the project. */
  dataFolder?: string
  /** fsync: an acknowledgement means on disk. os: in the page cache, as Kafka does. */
  durability?: 'fsync' | 'os'
  workerCount?: number
  /** For state of queries, live tables and buffers together, such as '2gb'; state beyond it goes to the disk. Half of the machine's (or container's) memory unless given. */
  memory?: string
  /** In how many threads each query runs, where its plan can use them; SQL's SET 'parallelism.default' overrides it. */
  parallelism?: number
  /** A query that holds its engine thread up for so long, in a function that does not return, fails: '60 s' unless given. */
  stallTimeout?: string
  timeZone?: string
  /** Further names under which the server is reached, beside loopback's. */
  allowedHosts?: string[]
  /** Further web origins that may call it. */
  allowedOrigins?: string[]
  /** Where backups of the data folder go, and how often one is taken: see docs/backup.md. */
  backup?: BackupSchedule
  /** Filters that the console offers to everybody: of the records of a topic, its dead letters, or the late rows of a query. */
  filters?: DeclaredFilter[]
}
export const defineConfig = (config: MillraceConfig): MillraceConfig => config

export interface Flags {
  port?: string
  kafkaPort?: string
  kafkaBootstrap?: string
  kafkaTlsCert?: string
  kafkaTlsKey?: string
  kafkaTlsCa?: string
  kafkaTlsClientAuth?: string
  host?: string
  data?: string
  workers?: string
  memory?: string
  durability?: string
  insecure?: boolean
  json?: boolean
}
export type Config = Required<Omit<MillraceConfig, 'kafka' | 'kafkaTls' | 'backup' | 'memory' | 'stallTimeout'>> & {
  backup: BackupSchedule | undefined
  memoryBytes: number
  stallTimeoutMs: number | undefined
  kafka: ClusterOptions | undefined
  /** As the Kafka port takes it; said here, because what its types need is nothing that a project that imports `defineConfig` has. */
  kafkaTls:
    | { certFile: string; keyFile: string; clientAuth?: KafkaTlsConfig['clientAuth']; caFile?: string; principalRules?: string }
    | undefined
  folder: string
  insecure: boolean
  json: boolean
  /** Where the value of a setting comes from, by its name in millrace.config.ts: `port`, `kafka.bootstrap`. */
  originOf(name: string): SettingSource
  /** Somebody named it: then it is an error if it cannot be had. */
  isKafkaPortGiven: boolean
  /** For tests: where the process ends itself, such as `disk:17` or `durable:3`; see `jobs/checkpoints.ts`. */
  fault: string | undefined
}

/** Where Kafka's clients look for a broker. */
const KAFKA_PORT = 9092

const whole = (name: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max)
    throw appErrors('OPTION_INVALID', { option: name, value: text, expected: `a whole number from ${min} to ${max}` })
  return value
}

/** Addresses of the command line, with the security that the project's configuration gives. */
function cluster(addresses: string | undefined, configured: ClusterOptions | undefined): ClusterOptions | undefined {
  if (addresses === undefined) return configured
  const bootstrap = addresses.split(',').map((address) => address.trim())
  if (!bootstrap.every((address) => /^.+:\d{1,5}$/.test(address))) {
    throw appErrors('OPTION_INVALID', {
      option: '--kafka-bootstrap',
      value: addresses,
      expected: 'host:port, or several with commas between',
    })
  }
  return { ...configured, bootstrap }
}

function tls(flags: Flags, configured: MillraceConfig['kafkaTls'], root: string): Config['kafkaTls'] {
  const { env } = process
  const fromRoot = (path: string | undefined) => (path === undefined ? undefined : resolve(root, path))
  const fromHere = (path: string | undefined) => (path === undefined ? undefined : resolve(path))
  const cert = fromHere(flags.kafkaTlsCert ?? env.MILLRACE_KAFKA_TLS_CERT) ?? fromRoot(configured?.cert)
  const key = fromHere(flags.kafkaTlsKey ?? env.MILLRACE_KAFKA_TLS_KEY) ?? fromRoot(configured?.key)
  const caFile = fromHere(flags.kafkaTlsCa ?? env.MILLRACE_KAFKA_TLS_CA) ?? fromRoot(configured?.ca)
  const auth = flags.kafkaTlsClientAuth ?? env.MILLRACE_KAFKA_TLS_CLIENT_AUTH ?? configured?.clientAuth
  const clientAuth = clientAuths.find((one) => one === (auth ?? (caFile === undefined ? 'none' : 'required')))
  const fail = (option: string, value: string, expected: string) => appErrors('OPTION_INVALID', { option, value, expected })
  if (clientAuth === undefined) throw fail('--kafka-tls-client-auth', String(auth), clientAuths.join(', '))
  if (clientAuth !== 'none' && caFile === undefined) {
    throw fail('--kafka-tls-ca', '', 'a PEM file of who signs the certificates that clients show')
  }
  if (cert === undefined && key === undefined && caFile === undefined) return undefined
  if (cert === undefined || key === undefined) {
    const option = cert === undefined ? '--kafka-tls-cert' : '--kafka-tls-key'
    throw fail(option, '', 'a PEM file: certificate and key go together')
  }
  const principalRules = env.MILLRACE_KAFKA_TLS_PRINCIPAL_RULES ?? configured?.principalRules
  return { certFile: cert, keyFile: key, caFile, clientAuth, principalRules }
}
const clientAuths = ['none', 'requested', 'required'] as const

/** Less holds no batch. */
const MEMORY_BYTES_MIN = 1 << 20

function memoryOf(text: string | undefined): number {
  if (text === undefined) return Math.floor(Math.min(process.constrainedMemory() || Infinity, totalmem()) / 2)
  const bytes = parseBytes(text)
  if (!(bytes >= MEMORY_BYTES_MIN))
    throw appErrors('OPTION_INVALID', { option: '--memory', value: text, expected: 'a size from 1mb, such as 512mb or 4gb' })
  return bytes
}

/** What else than millrace.config.ts may say a setting; each goes before the next. */
export const otherWays: Readonly<Record<string, { flag?: keyof Flags; variable?: string }>> = {
  port: { flag: 'port', variable: 'MILLRACE_PORT' },
  kafkaPort: { flag: 'kafkaPort', variable: 'MILLRACE_KAFKA_PORT' },
  'kafka.bootstrap': { flag: 'kafkaBootstrap', variable: 'MILLRACE_KAFKA_BOOTSTRAP' },
  'kafkaTls.cert': { flag: 'kafkaTlsCert', variable: 'MILLRACE_KAFKA_TLS_CERT' },
  'kafkaTls.key': { flag: 'kafkaTlsKey', variable: 'MILLRACE_KAFKA_TLS_KEY' },
  'kafkaTls.ca': { flag: 'kafkaTlsCa', variable: 'MILLRACE_KAFKA_TLS_CA' },
  'kafkaTls.clientAuth': { flag: 'kafkaTlsClientAuth', variable: 'MILLRACE_KAFKA_TLS_CLIENT_AUTH' },
  'kafkaTls.principalRules': { variable: 'MILLRACE_KAFKA_TLS_PRINCIPAL_RULES' },
  host: { flag: 'host', variable: 'MILLRACE_HOST' },
  dataFolder: { flag: 'data', variable: 'MILLRACE_DATA' },
  durability: { flag: 'durability', variable: 'MILLRACE_DURABILITY' },
  workerCount: { flag: 'workers', variable: 'MILLRACE_WORKERS' },
  memory: { flag: 'memory', variable: 'MILLRACE_MEMORY' },
  stallTimeout: { variable: 'MILLRACE_STALL_TIMEOUT' },
  insecure: { flag: 'insecure' },
}
/** kafkaPort -> --kafka-port */
export const flagName = (flag: keyof Flags): string => `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

function originOf(name: string, flags: Flags, { path, config }: ConfigFile): SettingSource {
  const { flag, variable } = otherWays[name] ?? {}
  if (flag !== undefined && flags[flag] !== undefined) return { kind: 'flag', name: flagName(flag) }
  if (variable !== undefined && process.env[variable] !== undefined) return { kind: 'environment', name: variable }
  const said = name.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], config)
  return said === undefined || path === undefined ? { kind: 'default' } : { kind: 'config file', file: basename(path) }
}

function stallTimeoutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = durationMs(text)
  if (!(ms >= 1_000))
    throw appErrors('OPTION_INVALID', { option: 'stallTimeout', value: text, expected: 'a time of at least a second, such as 60 s' })
  return ms
}

/**
 * @param isDemo  its data is in a folder of its own below where a project's would be: it begins anew each time
 * @throws StreamError OPTION_INVALID, CONFIG_INVALID
 */
export async function loadConfig(folder: string, flags: Flags, isDemo = false): Promise<Config> {
  const root = resolve(folder)
  const found = await fromFile(root)
  const file = found.config
  const { env } = process
  const port = flags.port ?? env.MILLRACE_PORT
  const kafkaPort = flags.kafkaPort ?? env.MILLRACE_KAFKA_PORT ?? file.kafkaPort
  const workers = flags.workers ?? env.MILLRACE_WORKERS
  const durability = flags.durability ?? env.MILLRACE_DURABILITY ?? file.durability ?? 'fsync'
  if (durability !== 'fsync' && durability !== 'os')
    throw appErrors('OPTION_INVALID', { option: '--durability', value: durability, expected: '"fsync" or "os"' })
  return {
    folder: root,
    port: port === undefined ? (file.port ?? 7070) : whole('--port', port, 0, 65_535),
    kafkaPort: kafkaPort === 'none' ? 'none' : whole('--kafka-port', String(kafkaPort ?? KAFKA_PORT), 0, 65_535),
    isKafkaPortGiven: kafkaPort !== undefined,
    kafka: cluster(flags.kafkaBootstrap ?? env.MILLRACE_KAFKA_BOOTSTRAP, file.kafka),
    kafkaTls: tls(flags, file.kafkaTls, root),
    kafkaSuperUsers: file.kafkaSuperUsers ?? [],
    kafkaSettings: file.kafkaSettings ?? {},
    host: flags.host ?? env.MILLRACE_HOST ?? file.host ?? '127.0.0.1',
    dataFolder: flags.data
      ? resolve(flags.data)
      : env.MILLRACE_DATA
        ? resolve(env.MILLRACE_DATA, isDemo ? 'demo' : '')
        : isDemo
          ? resolve('.millrace/demo')
          : resolve(root, file.dataFolder ?? '.millrace'),
    durability,
    workerCount:
      workers === undefined ? (file.workerCount ?? Math.max(1, availableParallelism() - 1)) : whole('--workers', workers, 1, 256),
    memoryBytes: memoryOf(flags.memory ?? env.MILLRACE_MEMORY ?? file.memory),
    parallelism: whole('parallelism', String(file.parallelism ?? 1), 1, PARALLELISM_MAX),
    stallTimeoutMs: stallTimeoutOf(env.MILLRACE_STALL_TIMEOUT ?? file.stallTimeout),
    timeZone: file.timeZone ?? 'UTC',
    allowedHosts: file.allowedHosts ?? [],
    allowedOrigins: file.allowedOrigins ?? [],
    backup: file.backup && backupOf(file.backup, root),
    filters: filtersOf(file.filters ?? [], root),
    insecure: flags.insecure ?? false,
    json: flags.json ?? false,
    originOf: (name) => originOf(name, flags, found),
    fault: env.MILLRACE_FAULT,
  }
}

/** One of each name, and at most one that applies by itself: of two, which one would be chance. */
function filtersOf(filters: DeclaredFilter[], root: string): DeclaredFilter[] {
  const invalid = (reason: string) => appErrors('CONFIG_INVALID', { path: join(root, 'millrace.config.ts'), reason })
  for (const [index, { on, subject, name, isDefault }] of filters.entries()) {
    const before = filters.slice(0, index).filter((one) => one.on === on && one.subject === subject)
    if (before.some((one) => one.name === name)) throw invalid(`filters has two named "${name}" for ${on} of ${subject}`)
    const other = isDefault && before.find((one) => one.isDefault)
    if (other)
      throw invalid(`of the filters for ${on} of ${subject}, "${other.name}" and "${name}" are both isDefault: one can apply by itself`)
  }
  return filters
}

function backupOf(schedule: BackupSchedule, root: string): BackupSchedule {
  const { folder, everyMinutes, keep } = schedule
  const invalid = (option: string, value: unknown, expected: string) =>
    appErrors('CONFIG_INVALID', {
      path: join(root, 'millrace.config.ts'),
      reason: `backup.${option} is ${JSON.stringify(value)}, expected ${expected}`,
    })
  if (typeof folder !== 'string' || folder === '') throw invalid('folder', folder, 'a folder outside of the data folder')
  if (everyMinutes !== undefined && !(Number.isFinite(everyMinutes) && everyMinutes > 0))
    throw invalid('everyMinutes', everyMinutes, 'a number above 0')
  if (keep !== undefined && !(Number.isInteger(keep) && keep >= 1)) throw invalid('keep', keep, 'a whole number of at least 1')
  return { ...schedule, folder: resolve(root, folder) }
}

interface ConfigFile {
  path?: string
  config: MillraceConfig
}
async function fromFile(folder: string): Promise<ConfigFile> {
  for (const name of ['millrace.config.ts', 'millrace.config.mjs', 'millrace.config.js']) {
    const path = join(folder, name)
    if (!existsSync(path)) continue
    let config: unknown
    try {
      knowOurselves()
      config = ((await import(pathToFileURL(path).href)) as { default?: unknown }).default ?? {}
    } catch (error) {
      throw appErrors('CONFIG_INVALID', { path, reason: (error as Error).message }, { cause: error })
    }
    const reason = problemOf(config)
    if (reason !== undefined) throw appErrors('CONFIG_INVALID', { path, reason })
    return { path, config: config as MillraceConfig }
  }
  return { config: {} }
}

let isKnown = false
/** A project that is in no folder below ours finds this package all the same: `import { defineConfig } from 'millrace'`. Its own copy goes first. */
function knowOurselves(): void {
  if (isKnown) return
  isKnown = true
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context)
      } catch (error) {
        if (specifier !== 'millrace') throw error
        return { url: new URL(`../index${extname(import.meta.filename)}`, import.meta.url).href, shortCircuit: true }
      }
    },
  })
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText)
const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)
const isWhole =
  (min: number, max: number) =>
  (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
const isPort = isWhole(0, 65_535)
const isTimeZone = (value: unknown): boolean => {
  try {
    return typeof value === 'string' && Boolean(new Intl.DateTimeFormat('en', { timeZone: value }))
  } catch {
    return false
  }
}
const isFilter = (value: unknown): boolean => {
  const { on, subject, name, where, isDefault, ...rest } = (isObject(value) ? value : {}) as Partial<DeclaredFilter>
  const isKnown = on === 'messages' || on === 'letters' || on === 'late'
  return (
    isKnown && [subject, name, where].every(isText) && ['undefined', 'boolean'].includes(typeof isDefault) && Object.keys(rest).length === 0
  )
}
const isCluster = (value: unknown): boolean => isObject(value) && isTexts((value as ClusterOptions).bootstrap)
const clusterParts: readonly (keyof ClusterOptions)[] = ['bootstrap', 'tls', 'sasl']
const tlsParts: readonly (keyof KafkaTlsConfig)[] = ['cert', 'key', 'ca', 'clientAuth', 'principalRules']
const backupParts: readonly (keyof BackupSchedule)[] = ['folder', 'everyMinutes', 'keep']
type Setting = [expected: string, fits: (value: unknown) => boolean, parts?: readonly string[]]
const settings: { [K in keyof Required<MillraceConfig>]: Setting } = {
  port: ['a whole number from 0 to 65535', isPort],
  kafkaPort: ["a whole number from 0 to 65535, or 'none'", (value) => value === 'none' || isPort(value)],
  kafka: ["an object such as { bootstrap: ['host:9092'] }", isCluster, clusterParts],
  kafkaTls: ["an object such as { cert: 'server.pem', key: 'server.key' }", isObject, tlsParts],
  kafkaSuperUsers: ['names of users', isTexts],
  kafkaSettings: ["an object such as { 'num.partitions': 3 }", isObject],
  host: ['an address', isText],
  dataFolder: ['a folder', isText],
  durability: ["'fsync' or 'os'", (value) => value === 'fsync' || value === 'os'],
  workerCount: ['a whole number from 1 to 256', isWhole(1, 256)],
  memory: ["a size such as '2gb'", isText],
  stallTimeout: ["a time such as '60 s'", isText],
  parallelism: [`a whole number from 1 to ${PARALLELISM_MAX}`, isWhole(1, PARALLELISM_MAX)],
  timeZone: ["a time zone such as 'Europe/Berlin'", isTimeZone],
  allowedHosts: ['names of hosts', isTexts],
  allowedOrigins: ['origins such as https://shop.test', isTexts],
  filters: [
    "filters such as [{ on: 'messages', subject: 'orders', name: 'large', where: 'amount > 100' }]",
    (value) => Array.isArray(value) && value.every(isFilter),
  ],
  backup: ["an object such as { folder: '/backups/shop', everyMinutes: 60 }", isObject, backupParts],
}

/** What is wrong with what a file exports; a setting that does not exist is no comment. */
function problemOf(config: unknown): string | undefined {
  if (!isObject(config)) return 'it exports no settings by default'
  for (const [name, value] of Object.entries(config as object)) {
    const unknown = unknownOf(name, Object.keys(settings))
    if (unknown !== undefined) return unknown
    const [expected, fits, parts] = settings[name as keyof MillraceConfig]
    if (value === undefined) continue
    if (!fits(value)) return `${name} is ${shown(value)}, expected ${expected}`
    // A part that is mistyped would be as if it were not there: no backup by itself, say.
    const wrong = parts && Object.keys(value as object).flatMap((part) => unknownOf(part, parts, `${name}.`) ?? [])[0]
    if (wrong) return wrong
  }
  return undefined
}

function unknownOf(name: string, known: readonly string[], within = ''): string | undefined {
  if (known.includes(name)) return undefined
  const nearest = nearestName(name, known)
  return `there is no setting "${within}${name}"${nearest ? `; did you mean "${within}${nearest}"?` : ''}`
}

/** JSON has no bigints and functions. */
const shown = (value: unknown): string => (typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value) ?? typeof value))

export const environment = {
  url: process.env.MILLRACE_URL ?? 'http://127.0.0.1:7070',
  token: process.env.MILLRACE_TOKEN,
}
