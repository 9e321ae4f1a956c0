// Options that Flink 2.1.1 takes are taken, whether they have an effect here or not; others are not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'

const declare = (connector: string, option: string) =>
  bindScript(`CREATE TABLE x (k STRING PRIMARY KEY NOT ENFORCED) WITH ('connector' = '${connector}', '${option}' = 'a')`, new Catalog())

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
