// Which options a table may have. One that no one reads is mostly a mistake in writing: it is an error, as in Flink, and not ignored in silence.
// What values they take is checked by who reads them.
import { nearestName } from '../base/index.ts'
import type { Hint, Span } from './ast.ts'
import { sqlErrors } from './errors.ts'
import type { TableDef } from './plan.ts'

/** Of every connector. */
const COMMON = [
  'connector',
  'property-version',
  'scan.watermark.alignment.group',
  'scan.watermark.alignment.max-drift',
  'scan.watermark.alignment.update-interval',
  'scan.watermark.emit.on-event.gap',
  'scan.watermark.emit.strategy',
  'scan.watermark.idle-timeout',
]
/** Flink's that have no effect here: addresses come from the profile, results are the same without the others. */
const WITHOUT_EFFECT = [
  'scan.parallelism',
  'scan.topic-partition-discovery.interval',
  'sink.buffer-flush.interval',
  'sink.buffer-flush.max-rows',
  'sink.parallelism',
  'sink.partitioner',
  'sink.transaction-naming-strategy',
  'sink.transactional-id-prefix',
]
const OF_TOPICS = [
  'topic',
  'format',
  'value.format',
  'value.fields-include',
  'key.format',
  'key.fields',
  'key.fields-prefix',
  'scan.startup.mode',
  'sink.delivery-guarantee',
  'millrace.ingest',
  'millrace.late-rows.topic',
  'millrace.on-error',
  'millrace.partitions',
  ...WITHOUT_EFFECT,
]
/** Of files; there are no partitions whose folders they would name, finish or fill, and no small files to put together. */
const FILES_WITHOUT_EFFECT = [
  'auto-compaction',
  'compaction.file-size',
  'partition.default-name',
  'partition.time-extractor.class',
  'partition.time-extractor.kind',
  'partition.time-extractor.timestamp-formatter',
  'partition.time-extractor.timestamp-pattern',
  'sink.parallelism',
  'sink.partition-commit.delay',
  'sink.partition-commit.policy.class',
  'sink.partition-commit.policy.class.parameters',
  'sink.partition-commit.policy.kind',
  'sink.partition-commit.success-file.name',
  'sink.partition-commit.trigger',
  'sink.partition-commit.watermark-time-zone',
  'sink.rolling-policy.check-interval',
  'sink.rolling-policy.inactivity-interval',
  'sink.rolling-policy.rollover-interval',
  'sink.shuffle-by-partition.enable',
  'source.monitor-interval',
  'source.path.regex-pattern',
  'source.report-statistics',
]
const OF_FILES = ['path', 'format', 'sink.rolling-policy.file-size', ...FILES_WITHOUT_EFFECT]
/** Flink's that would change what is read. */
const MISSING = new Set([
  'topic-pattern',
  'scan.bounded.mode',
  'scan.bounded.specific-offsets',
  'scan.bounded.timestamp-millis',
  'scan.startup.specific-offsets',
  'scan.startup.timestamp-millis',
])
const OF_CONNECTORS: Readonly<Record<string, readonly string[]>> = {
  kafka: OF_TOPICS,
  'upsert-kafka': OF_TOPICS,
  filesystem: OF_FILES,
  print: ['print-identifier', 'standard-error', 'sink.parallelism'],
  blackhole: [],
}
const OF_FORMATS = [
  'json.decode.json-parser.enabled',
  'json.encode.decimal-as-plain-number',
  'json.encode.ignore-null-fields',
  'json.fail-on-missing-field',
  'json.ignore-parse-errors',
  'json.map-null-key.literal',
  'json.map-null-key.mode',
  'json.timestamp-format.standard',
  'csv.allow-comments',
  'csv.array-element-delimiter',
  'csv.disable-quote-character',
  'csv.escape-character',
  'csv.field-delimiter',
  'csv.ignore-parse-errors',
  'csv.null-literal',
  'csv.quote-character',
  'csv.write-bigdecimal-in-scientific-notation',
  'raw.charset',
  'raw.endianness',
]
/** Options of Kafka's clients, of the parquet format, and of formats that are not here, which those who ask for the format say. */
const FREE =
  /^(?:properties|(?:(?:key|value)\.)?(?:parquet|orc|avro|avro-confluent|debezium-json|debezium-avro-confluent|canal-json|maxwell-json|ogg-json|protobuf))\./

/** An option of a format, of the key or the value alone or of both. */
const OF_FORMAT =
  /^(key\.|value\.|)(json|csv|raw|parquet|orc|avro|avro-confluent|debezium-json|debezium-avro-confluent|canal-json|maxwell-json|ogg-json|protobuf)\./

/**
 * As in Flink, `format` has options such as `csv.null-literal`, `value.format` and `key.format` have `value.csv.null-literal` and
 * `key.csv.null-literal`; and each only those of the format that it names.
 */
function requireOfFormat(key: string, table: Readonly<Record<string, string>>, span: Span): void {
  const [whole, part, format] = OF_FORMAT.exec(key) ?? []
  if (whole === undefined) return
  const isOfKey = part === 'key.'
  const named = isOfKey ? 'key.format' : table.format === undefined && table['value.format'] !== undefined ? 'value.format' : 'format'
  const actual = table[named] ?? 'json'
  const prefix = named.slice(0, -'format'.length)
  const hasKey = table['key.format'] !== undefined || table['key.fields'] !== undefined || table.connector === 'upsert-kafka'
  if (isOfKey && !hasKey) throw sqlErrors('SQL_OPTION_OF_KEY', { option: key, format, span })
  if (format === actual && part === prefix) return
  const instead = format === actual ? `Write '${prefix}${key.slice(part.length)}'.` : `Leave it out, or have '${named}' = '${format}'.`
  throw sqlErrors('SQL_OPTION_OF_FORMAT', { option: key, named, actual, instead, span })
}

/**
 * @param connector  undefined for a topic; the options of a connector that is not known are not either
 * @param options    those that are written here
 * @param table      all that the table has with them
 * @throws StreamError  SQL_OPTION_UNKNOWN, SQL_OPTION_OF_FORMAT, SQL_NOT_SUPPORTED
 */
export function requireKnownOptions(
  connector = 'kafka',
  options: readonly { key: string; span: Span }[],
  table: Readonly<Record<string, string>>,
): void {
  const own = OF_CONNECTORS[connector]
  if (own === undefined) return
  const hasFormat = own.includes('format')
  const known = [...COMMON, ...own, ...(hasFormat ? OF_FORMATS : [])]
  for (const { key, span } of options) {
    if (MISSING.has(key))
      throw sqlErrors('SQL_NOT_SUPPORTED', {
        what: `the option '${key}'`,
        instead: 'Choose what is read with WHERE, over metadata columns.',
        span,
      })
    const plain = key.replace(/^(?:key|value)\.(?=(?:json|csv|raw)\.)/, '')
    if (known.includes(plain) || (hasFormat && FREE.test(key))) {
      requireOfFormat(key, table, span)
      continue
    }
    throw sqlErrors('SQL_OPTION_UNKNOWN', { option: key, connector, nearest: nearestName(key, known), span })
  }
}

/** What options may say, where that is one of a few; by connector where its own differ. Numbers, names and durations are not here. */
const flags = ['true', 'false']
const VALUES: Readonly<Record<string, readonly string[]>> = {
  connector: Object.keys(OF_CONNECTORS),
  format: ['json', 'csv', 'raw'],
  'filesystem/format': ['json', 'csv', 'parquet'],
  'upsert-kafka/format': ['json'],
  'value.format': ['json', 'csv', 'raw'],
  'upsert-kafka/value.format': ['json'],
  'key.format': ['json', 'csv', 'raw'],
  'upsert-kafka/key.format': ['json', 'raw'],
  'value.fields-include': ['ALL', 'EXCEPT_KEY'],
  'scan.startup.mode': ['earliest-offset', 'latest-offset'],
  'sink.delivery-guarantee': ['exactly-once', 'at-least-once'],
  'millrace.ingest': flags,
  'millrace.on-error': ['dead-letter', 'fail'],
  'properties.isolation.level': ['read_committed', 'read_uncommitted'],
  'properties.compression.type': ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
  'standard-error': flags,
  'json.map-null-key.mode': ['FAIL', 'DROP', 'LITERAL'],
  'json.timestamp-format.standard': ['SQL', 'ISO-8601'],
  'raw.endianness': ['big-endian', 'little-endian'],
}
const FLAGS =
  /^(?:json\..*(?:enabled|number|fields|field|errors)|csv\.(?:allow-comments|disable-quote-character|ignore-parse-errors|write-.*))$/

/** The values that an option takes, where it takes one of a few: for who writes it. */
export function optionValues(connector: string, key: string): readonly string[] {
  const plain = key.replace(/^(?:key|value)\.(?=(?:json|csv|raw)\.)/, '')
  return VALUES[`${connector}/${key}`] ?? VALUES[plain] ?? (FLAGS.test(plain) ? flags : [])
}

/** The options that a table with these may have and that change something, without those that are there. */
export function optionKeys(given: Readonly<Record<string, string>>): string[] {
  const own = OF_CONNECTORS[given.connector ?? 'kafka'] ?? []
  const isOfTopic = own.includes('topic')
  const isKeyed = given.connector === 'upsert-kafka' || given['key.format'] !== undefined || given['key.fields'] !== undefined
  const parts = given.format === undefined && given['value.format'] !== undefined ? ['value.'] : ['']
  if (isKeyed) parts.push('key.')
  const formats = parts.flatMap((part) => {
    const format = given[`${part}format`] ?? 'json'
    return OF_FORMATS.filter((key) => key.startsWith(`${format}.`)).map((key) => part + key)
  })
  const all = [...COMMON, ...own, ...(isOfTopic ? usedProperties : []), ...(own.includes('format') ? formats : [])]
  return all.filter((key) => isOptionUsed(key) && given[key] === undefined)
}

const unused: ReadonlySet<string> = new Set([...WITHOUT_EFFECT, ...FILES_WITHOUT_EFFECT, 'property-version'])
const usedProperties: readonly string[] = ['properties.isolation.level', 'properties.compression.type']

/** Whether an option that a table may have changes anything here; those of Flink that do not are taken so that its declarations run. */
export const isOptionUsed = (key: string): boolean =>
  !unused.has(key) &&
  !/^scan\.watermark\.(?:alignment|emit)\./.test(key) &&
  (!key.startsWith('properties.') || usedProperties.includes(key))

/** The table as its OPTIONS hints, where it is read or written, have it. @throws StreamError  those of `requireKnownOptions` */
export function withHints(table: TableDef, hints: readonly Hint[]): TableDef {
  const given = hints.filter(({ name }) => name === 'OPTIONS')
  if (given.length === 0) return table
  const options: Record<string, string> = Object.assign({}, table.options, ...given.map((hint) => hint.options))
  const hinted = given.flatMap((hint) => Object.keys(hint.options).map((key) => ({ key, span: hint.span })))
  requireKnownOptions(options.connector, hinted, options)
  return { ...table, options }
}
