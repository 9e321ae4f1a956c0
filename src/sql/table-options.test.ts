// Options that Flink 2.1.1 takes are taken, whether they have an effect here or not; others are not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'

/** An option of a format beside its format. */
const formatOf = (option: string): string => {
  const [, part, format] = /^(key\.|value\.|)([a-z-]+)\./.exec(option) ?? []
  return ['json', 'csv', 'parquet', 'avro-confluent'].includes(format) ? `'${part}format' = '${format}', ` : ''
}
const declare = (connector: string, option: string) =>
  bindScript(
    `CREATE TABLE x (k STRING PRIMARY KEY NOT ENFORCED) WITH ('connector' = '${connector}', ${formatOf(option)}'${option}' = 'a')`,
    new Catalog(),
  )

const common = ['property-version', 'scan.watermark.emit.strategy', 'scan.watermark.idle-timeout']
const topics = [
  'properties.group.id',
  'scan.parallelism',
  'sink.delivery-guarantee',
  'value.json.ignore-parse-errors',
  'key.avro-confluent.url',
]
const taken: Record<string, string[]> = {
  kafka: [...topics, 'sink.partitioner', 'sink.transactional-id-prefix'],
  'upsert-kafka': [...topics, 'sink.buffer-flush.max-rows'],
  filesystem: [
    'auto-compaction',
    'compaction.file-size',
    'partition.default-name',
    'partition.time-extractor.timestamp-pattern',
    'sink.partition-commit.policy.kind',
    'sink.partition-commit.trigger',
    'sink.rolling-policy.file-size',
    'sink.rolling-policy.rollover-interval',
    'source.monitor-interval',
    'source.path.regex-pattern',
    'parquet.compression',
    'csv.field-delimiter',
  ],
  print: ['print-identifier', 'standard-error', 'sink.parallelism'],
  blackhole: [],
}

for (const [connector, options] of Object.entries(taken))
  test(`${connector} takes the options of Flink's, and no other`, () => {
    for (const option of [...common, ...options]) declare(connector, option)
    for (const option of ['Format', 'sink.rolling-policy.size', 'json', 'scan.watermark.emit'])
      assert.throws(() => declare(connector, option), { code: 'SQL_OPTION_UNKNOWN' }, option)
  })

const declared = "CREATE TABLE t (k STRING) WITH ('connector' = 'kafka', 'format' = 'csv', 'key.format' = 'raw', 'key.fields' = 'k');"
const bound = (sql: string) => bindScript(`${declared}${sql}`, new Catalog()).at(-1)
test('options of a key are for tables that have one', () => {
  const text = (options: string) =>
    `CREATE TABLE t (k STRING) WITH ('connector' = 'kafka', 'key.json.ignore-parse-errors' = 'true'${options})`
  assert.throws(() => bindScript(text(''), new Catalog()), { code: 'SQL_OPTION_OF_KEY' })
  for (const options of [", 'key.fields' = 'k'", ", 'key.format' = 'json'"]) bindScript(text(options), new Catalog())
})

/** As Flink 2.1.1: what a format's factory does not ask for is unsupported, whether a declaration says it or a hint. */
test('a table has the options of its formats and no others, in a declaration and in hints of reading and writing', () => {
  const options: [text: string, next?: string][] = [
    ["'csv.null-literal' = ''"],
    ["'key.raw.charset' = 'UTF-8'"],
    ["'format' = 'json', 'json.ignore-parse-errors' = 'true'"],
    ["'sink.delivery-guarantee' = 'at-least-once'"],
    ["'json.ignore-parse-errors' = 'true'", "Leave it out, or have 'format' = 'json'."],
    ["'value.csv.null-literal' = ''", "Write 'csv.null-literal'."],
    ["'key.csv.null-literal' = ''", "Leave it out, or have 'key.format' = 'csv'."],
    ["'raw.charset' = 'UTF-8'", "Leave it out, or have 'format' = 'raw'."],
    ["'format' = 'json', 'csv.null-literal' = ''", "Leave it out, or have 'format' = 'csv'."],
  ]
  const places = [
    (text: string) => `INSERT INTO t /*+ OPTIONS(${text}) */ SELECT 'a'`,
    (text: string) => `SELECT * FROM t /*+ OPTIONS(${text}) */`,
    (text: string) => `CREATE TABLE x WITH (${text}) LIKE t`,
  ]
  for (const place of places)
    for (const [text, hint] of options) {
      const sql = place(text)
      if (hint === undefined) bound(sql)
      else assert.throws(() => bound(sql), { code: 'SQL_OPTION_OF_FORMAT', hint }, sql)
    }
})

test('options of an INSERT hold for what it writes; a name that is none has its position', () => {
  const insert = bound("INSERT INTO t /*+ OPTIONS('sink.delivery-guarantee' = 'at-least-once') */ SELECT 'a'")
  assert.ok(insert?.type === 'insert')
  assert.equal(insert.table.options['sink.delivery-guarantee'], 'at-least-once')
  const sql = "INSERT INTO t /*+ OPTIONS('sink.delivery-garantee' = 'x') */ SELECT 'a'"
  assert.throws(
    () => bound(sql),
    (error: { code: string; hint: string; params: { position: { start: number; end: number } } }) => {
      const { start, end } = error.params.position
      assert.equal(`${declared}${sql}`.slice(start, end), "OPTIONS('sink.delivery-garantee' = 'x')")
      return error.code === 'SQL_OPTION_UNKNOWN' && error.hint === "Did you mean 'sink.delivery-guarantee'?"
    },
  )
})
