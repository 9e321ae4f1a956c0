import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseScript } from './parse.ts'
import { portabilityMarks } from './portability.ts'

const marked = (text: string): string[] =>
  portabilityMarks(parseScript(text), text).map(({ message, position }) => `${text.slice(position.start, position.end)}: ${message}`)

test('what Flink refuses or does otherwise is marked where it stands', () => {
  assert.deepEqual(marked('CREATE TABLE t (a INT)'), ['t: Flink refuses a table without a connector; here it is a topic.'])
  assert.deepEqual(
    marked("CREATE TABLE t (a INT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'kafka', 'millrace.partitions' = '3')"),
    [
      "t: Flink's 'kafka' takes no PRIMARY KEY.",
      "'connector' = 'kafka': Flink begins to read at the group's offsets, Millrace at the earliest record.",
      "'millrace.partitions' = '3': Flink refuses the option 'millrace.partitions'.",
    ],
  )
  assert.deepEqual(marked('CREATE MATERIALIZED TABLE m AS SELECT a FROM t'), [
    'm: Flink wants to be told how fresh a materialized table is.',
  ])
})

test('a setting without an effect is marked', () => {
  assert.deepEqual(marked("SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.state.ttl' = '1 h'; SET"), [
    "SET 'table.exec.mini-batch.enabled' = 'true': SET 'table.exec.mini-batch.enabled' has no effect here: rows are always taken in batches, as they come",
  ])
})

test('what both take is not', () => {
  const text = `CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'scan.startup.mode' = 'earliest-offset');
CREATE TABLE u (a INT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'upsert-kafka');
CREATE MATERIALIZED TABLE m FRESHNESS = INTERVAL '1' SECOND AS SELECT a FROM t;
CREATE VIEW v AS SELECT a FROM t; INSERT INTO u SELECT a FROM t; SELECT 1`
  assert.deepEqual(marked(text), [])
})
