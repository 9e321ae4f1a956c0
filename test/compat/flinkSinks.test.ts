// What INSERTs leave in the topics of a real Kafka, written by Flink and by the real process from the same input of two partitions: statement sets,
// columns left out and in another order, NOT NULL, an upsert sink whose key is not the query's, joins and unions of one source with itself.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { makeProject, startServer, until } from '../harness.ts'
import { flinkMissing, startFlink } from './servers/flink.ts'
import { kafkaMissing, kafkaTool, startRealKafka } from './servers/kafka.ts'

const hasKcat = spawnSync('kcat', ['-V']).status === 0
const WRITTEN_MS_MAX = 120_000

/** Key and value of the record. Rows of one id are in one partition; the second row of id 2 takes it to another group, and back. */
const input: [key: string, value: object][] = [
  ['1', { id: 1, grp: 'a', v: 10, note: 'first', ts: '2026-01-01 00:00:01.000' }],
  ['2', { id: 2, grp: 'b', v: 20, note: null, ts: '2026-01-01 00:00:02.000' }],
  ['1', { id: 1, grp: 'a', v: 11, note: 'longer than eight', ts: '2026-01-01 00:00:03.000' }],
  ['3', { id: 3, grp: 'c', v: 30, note: 'é', ts: '2026-01-01 00:00:04.000' }],
  ['2', { id: 2, grp: 'a', v: 21, note: 'moved', ts: '2026-01-01 00:00:05.000' }],
  ['4', { id: 4, grp: 'b', v: 40, note: null, ts: '2026-01-01 00:00:06.000' }],
  ['2', { id: 2, grp: 'b', v: 22, note: 'back', ts: '2026-01-01 00:00:07.000' }],
  ['1', { id: 1, grp: 'c', v: 12, note: 'last', ts: '2026-01-01 00:00:08.000' }],
]

/** In one partition, as their order counts. */
const moves = [
  [1, 'x', 1],
  [2, 'x', 2],
  [3, 'z', 3],
  [3, 'x', 4],
  [2, 'y', 5],
  [3, 'y', 6],
  [4, 'z', 7],
  [4, 'w', 8],
].map(([id, grp, v]) => ({ id, grp, v, ts: `2026-01-01 00:00:0${v}.000` }))

interface Sink {
  columns: string
  /** Columns of the key: upsert-kafka. */
  key?: string
  query: string
  /** The target's columns, where not all in their order. */
  into?: string
}
const sinks: Record<string, Sink> = {
  appended: { columns: 'id INT, twice INT, grp STRING', query: 'SELECT id, v * 2, grp FROM src' },
  part: { columns: 'a STRING, b INT, c STRING, d BIGINT', into: '(d, a)', query: 'SELECT id, grp FROM src WHERE v > 10' },
  strict: { columns: 'note STRING NOT NULL, id INT NOT NULL', query: 'SELECT note, id FROM src' },
  cut: { columns: 'id INT, note VARCHAR(8), v DECIMAL(6, 1)', query: 'SELECT id, note, v FROM src' },
  counts: { columns: 'grp STRING, n BIGINT, total INT', key: 'grp', query: 'SELECT grp, COUNT(*), SUM(v) FROM src GROUP BY grp' },
  latest: {
    columns: 'id INT, grp STRING, v INT',
    key: 'id',
    query: 'SELECT id, grp, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY ts DESC) AS rn FROM src) WHERE rn = 1',
  },
  // The key of the query is id, that of the sink grp: where the newest of a group's rows leaves, the one before it comes back.
  other_key: {
    columns: 'grp STRING, id INT, v INT',
    key: 'grp',
    query: 'SELECT grp, id, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY ts DESC) AS rn FROM moves) WHERE rn = 1',
  },
  paired: {
    columns: 'id INT, earlier INT, later INT',
    query: "SELECT a.id, a.v, b.v FROM src AS a JOIN src AS b ON a.id = b.id AND b.ts > a.ts AND b.ts <= a.ts + INTERVAL '4' SECOND",
  },
  united: { columns: 'id INT, v INT', query: "SELECT id, v FROM src WHERE grp = 'a' UNION ALL SELECT id, -v FROM src" },
}

/** The statements of one side; its topics begin with the name of the side. */
function statements(side: string, more: string): string[] {
  const create = Object.entries(sinks).map(([name, { columns, key }]) =>
    key
      ? `CREATE TABLE ${name} (${columns}, PRIMARY KEY (${key}) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'topic' = '${side}_${name}', 'key.format' = 'json', 'value.format' = 'json'${more})`
      : `CREATE TABLE ${name} (${columns}) WITH ('connector' = 'kafka', 'topic' = '${side}_${name}', 'format' = 'json'${more})`,
  )
  const inserts = Object.entries(sinks).map(([name, { into = '', query }]) => `INSERT INTO ${name} ${into} ${query};`)
  return [
    "SET 'table.exec.sink.not-null-enforcer' = 'DROP'",
    `CREATE TABLE src (id INT, grp STRING, v INT, note STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '20' SECOND)
      WITH ('connector' = 'kafka', 'topic' = 'src', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset'${more})`,
    `CREATE TABLE moves (id INT, grp STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '20' SECOND)
      WITH ('connector' = 'kafka', 'topic' = 'moves', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset'${more})`,
    ...create,
    `EXECUTE STATEMENT SET BEGIN ${inserts.join('\n')} END`,
  ]
}

test('INSERTs leave in Kafka what Flink leaves there', {
  skip: kafkaMissing ?? flinkMissing ?? (!hasKcat && 'no kcat'),
}, async (t) => {
  const kafka = await startRealKafka()
  t.after(() => kafka.stop())
  const kcat = (args: string[], text = '') => {
    const { status, stdout, stderr } = spawnSync('kcat', ['-b', kafka.bootstrap, '-q', ...args], { input: text, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    return stdout
  }
  const topics = ['src', 'moves', ...['flink', 'mill'].flatMap((side) => Object.keys(sinks).map((name) => `${side}_${name}`))]
  for (const topic of topics) {
    const args = ['--bootstrap-server', kafka.bootstrap, '--create', '--topic', topic, '--partitions', topic === 'src' ? '2' : '1']
    const { status, stderr } = await kafkaTool('org.apache.kafka.tools.TopicCommand', args)
    assert.equal(status, 0, stderr)
  }
  kcat(['-P', '-t', 'src', '-K|'], input.map(([key, value]) => `${key}|${JSON.stringify(value)}\n`).join(''))
  kcat(['-P', '-t', 'moves'], moves.map((row) => `${JSON.stringify(row)}\n`).join(''))

  /** What a consumer is left with: all records, or the last one of each key; without the columns that are NULL in both ways of writing. */
  const left = (side: string, name: string): string[] => {
    const { key } = sinks[name]
    const records = kcat(['-C', '-t', `${side}_${name}`, '-e', '-f', '%k\t%S\t%s\n'])
      .split('\n')
      .filter(Boolean)
    const rows = records.map((line) => line.split('\t'))
    const plain = (text: string) => JSON.stringify(JSON.parse(text))
    if (key === undefined) return rows.map(([, , value]) => plain(value)).sort()
    const last = new Map(rows.map(([of, size, value]) => [plain(of), size === '-1' ? undefined : plain(value)]))
    return [...last.values()].filter((value) => value !== undefined).sort()
  }
  const all = (side: string) => Object.fromEntries(Object.keys(sinks).map((name) => [name, left(side, name)]))
  const settled = async (side: string, tell: () => string) => {
    let before = ''
    let since = performance.now()
    await until(
      () => {
        const now = JSON.stringify(all(side))
        if (now !== before) [before, since] = [now, performance.now()]
        return Object.values(all(side)).every((rows) => rows.length > 0) && performance.now() - since > 3_000
      },
      () => `${before} ${tell()}`,
      WRITTEN_MS_MAX,
    )
  }

  const flink = await startFlink()
  t.after(() => flink.stop())
  const servers = `, 'properties.bootstrap.servers' = '${kafka.bootstrap}', 'properties.group.id' = 'flink'`
  await flink.submit(statements('flink', servers))
  await settled('flink', () => flink.logs())
  const folder = makeProject(t, { 'pipelines/all.sql': `${statements('mill', '').join(';\n')};` })
  const server = await startServer(t, folder, ['--kafka-bootstrap', kafka.bootstrap])
  assert.deepEqual(server.ready.errors, [])
  await settled('mill', () => '')
  assert.deepEqual(all('mill'), all('flink'))
})
