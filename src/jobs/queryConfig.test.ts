// Where each setting of a query comes from, over the texts of a project.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maskedSql } from '../base/index.ts'
import { planSignature } from '../engine/index.ts'
import { bindProject } from './project.ts'
import { type ConfigParts, type QueryConfig, queryConfig } from './queryConfig.ts'

const checkpoints = { intervalMs: 10_000, minPauseMs: 0, timeoutMs: 600_000, retained: 3 }
const parts: Omit<ConfigParts, 'query' | 'settings'> = {
  parallelism: { subtasks: 1 },
  checkpoints: { now: checkpoints, byDefault: checkpoints },
  byHand: undefined,
  configured: { parallelism: { value: 1, source: { kind: 'default' } }, timeZone: { value: 'UTC', source: { kind: 'default' } } },
  weakerGuarantee: undefined,
}
function configOf(texts: Record<string, string>, id: string, more: Partial<ConfigParts> = {}): QueryConfig {
  const project = bindProject(Object.entries(texts).map(([name, text]) => ({ name, text })))
  assert.deepEqual(project.errors, [])
  const query = project.queries.find((one) => one.id === id)
  assert.ok(query, `${id} of ${project.queries.map((one) => one.id)}`)
  return queryConfig({ ...parts, query, settings: project.declarations.settings, ...more })
}
/** What a setting is and who says so: `1 d SET a.sql:1:1`. */
function said({ settings }: QueryConfig, name: string, table?: string): string | undefined {
  const found = settings.filter((one) => one.name === name && one.table === table)
  assert.ok(found.length <= 1, `${name} is there ${found.length} times`)
  const place = ({ kind, file, line, column, name: by }: QueryConfig['settings'][number]['source']) =>
    [kind, by ?? (file && `${file}:${line}:${column}`)].filter(Boolean).join(' ')
  return found[0] && `${found[0].value} ${place(found[0].source)}`
}

const orders = `CREATE TABLE orders (k STRING, n INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'kafka', 'topic' = 'o', 'millrace.on-error' = 'fail');`
const totals = 'CREATE MATERIALIZED TABLE totals AS SELECT k, SUM(n) AS n FROM orders GROUP BY k;'

test('SET holds for the statements after it, RESET undoes it; settings of jobs count as they are at the end', () => {
  const sql = `${orders}
CREATE MATERIALIZED TABLE before AS SELECT k, COUNT(*) AS n FROM orders GROUP BY k;
SET 'table.exec.state.ttl' = '1 d';
SET 'parallelism.default' = '2';
${totals}
RESET 'table.exec.state.ttl';
SET 'parallelism.default' = '3';
CREATE MATERIALIZED TABLE after AS SELECT k, MAX(n) AS n FROM orders GROUP BY k;`
  const of = (id: string) => configOf({ 'a.sql': sql }, id)
  assert.equal(said(of('before'), 'table.exec.state.ttl'), '0 default')
  assert.equal(said(of('totals'), 'table.exec.state.ttl'), '1 d SET a.sql:4:1')
  assert.equal(said(of('after'), 'table.exec.state.ttl'), '0 default')
  for (const id of ['before', 'totals', 'after']) assert.equal(said(of(id), 'parallelism.default'), '3 SET a.sql:8:1')
  const reset = configOf({ 'a.sql': `${sql}\nRESET;` }, 'totals')
  assert.equal(said(reset, 'parallelism.default'), '1 default')
  assert.equal(said(reset, 'table.exec.state.ttl'), '1 d SET a.sql:4:1')
})

test('an option is of WITH, of the table that LIKE takes it from, of ALTER TABLE, of a hint, or a default', () => {
  const config = configOf(
    {
      'a.sql': orders,
      'b.sql': `CREATE TABLE more WITH ('topic' = 'm') LIKE orders;
ALTER TABLE more SET ('scan.watermark.idle-timeout' = '5 s', 'millrace.late-rows.topic' = 'late');
ALTER TABLE more RESET ('millrace.late-rows.topic');
CREATE MATERIALIZED TABLE hinted (PRIMARY KEY (k) NOT ENFORCED) AS SELECT k FROM more /*+ OPTIONS('scan.startup.mode' = 'latest-offset') */;`,
    },
    'hinted',
  )
  assert.equal(said(config, 'topic', 'more'), 'm WITH b.sql:1:25')
  assert.equal(said(config, 'millrace.on-error', 'more'), 'fail WITH a.sql:2:45')
  assert.equal(said(config, 'scan.watermark.idle-timeout', 'more'), '5 s ALTER TABLE b.sql:2:23')
  assert.equal(said(config, 'scan.startup.mode', 'more'), 'latest-offset hint b.sql:4:91')
  assert.equal(said(config, 'properties.isolation.level', 'more'), 'read_committed default')
  assert.equal(said(config, 'millrace.late-rows.topic', 'more'), undefined)
})

test('what a query uses is found through views, in sub-queries, and with a common table of the same name left out', () => {
  const config = configOf(
    {
      'views.sql': `${orders}
CREATE VIEW big AS SELECT k, LOWER(k) AS name FROM orders /*+ OPTIONS('millrace.on-error' = 'dead-letter') */ WHERE n > 10;
CREATE VIEW unused AS SELECT k FROM orders;
CREATE VIEW biggest AS SELECT k FROM (SELECT k FROM big WHERE k IN (SELECT k FROM big));`,
      'z.sql':
        "SET 'table.exec.mini-batch.enabled' = 'true';\n\n  CREATE MATERIALIZED TABLE t (PRIMARY KEY (k) NOT ENFORCED) AS WITH unused AS (SELECT k FROM biggest) SELECT UPPER(k) AS k FROM unused;",
    },
    't',
  )
  assert.deepEqual([config.file, config.line, config.column], ['z.sql', 3, 3])
  assert.deepEqual(
    config.declared.map(({ kind, name, file, line }) => [kind, name, file, line]),
    [
      ['table', 'orders', 'views.sql', 1],
      ['materialized table', 't', 'z.sql', 3],
      ['view', 'biggest', 'views.sql', 5],
      ['view', 'big', 'views.sql', 3],
    ],
  )
  assert.match(config.declared[3].sql, /^CREATE VIEW big AS .* n > 10$/)
  assert.deepEqual(config.builtIns, ['LOWER', 'UPPER'])
  assert.equal(said(config, 'millrace.on-error', 'orders'), 'dead-letter hint views.sql:3:63')
  const { change, note } = config.settings.find(({ name }) => name === 'table.exec.mini-batch.enabled')!
  assert.deepEqual([change, note], ['nothing', 'no effect here: rows are always taken in batches, as they come'])
})

test('each INSERT of a statement set has its own; the hint of its target, and what was told by hand, go before', () => {
  const sql = `${orders}
CREATE TABLE sent (k STRING) WITH ('connector' = 'kafka', 'topic' = 'sent', 'sink.parallelism' = '2');
EXECUTE STATEMENT SET BEGIN
INSERT INTO sent SELECT k FROM orders;
INSERT INTO sent /*+ OPTIONS('sink.delivery-guarantee' = 'at-least-once') */ SELECT UPPER(k) FROM orders;
END;`
  const [first, second] = ['insert_into_sent', 'insert_into_sent_2'].map((id) => configOf({ 'a.sql': sql }, id, { byHand: 4 }))
  assert.deepEqual([first.line, second.line], [5, 6])
  assert.deepEqual([first.builtIns, second.builtIns], [[], ['UPPER']])
  assert.equal(said(first, 'sink.delivery-guarantee', 'sent'), 'exactly-once default')
  assert.equal(said(second, 'sink.delivery-guarantee', 'sent'), 'at-least-once hint a.sql:6:22')
  assert.equal(said(first, 'parallelism.default'), '4 by hand millrace queries rescale')
  assert.equal(
    first.settings.find(({ name }) => name === 'sink.parallelism')?.note,
    "no effect here: taken so that Flink's declarations run",
  )
})

test('values of secrets are shown nowhere', () => {
  const sql = `CREATE TABLE a (k STRING) WITH ('connector' = 'kafka', 'properties.sasl.jaas.config' = 'password=it''s mine');
CREATE MATERIALIZED TABLE t (PRIMARY KEY (k) NOT ENFORCED) AS SELECT k FROM a;`
  const config = configOf({ 'a.sql': sql }, 't')
  assert.doesNotMatch(JSON.stringify(config), /mine/)
  assert.match(said(config, 'properties.sasl.jaas.config', 'a') ?? '', /^••••••/)
})

test('nor are those that a hint or an ALTER TABLE says, in the text of the query, of a view, or in the name of a table read in two ways', () => {
  const sql = `-- It's a comment.
CREATE TABLE a (k STRING) WITH ('connector' = 'kafka', 'properties.ssl.key.password' /* of 'a' */ = 'mine1');
ALTER TABLE a SET ('properties.ssl.key.password' = 'mine2', 'properties.ssl.keystore.key' = 'mine3');
CREATE VIEW v AS SELECT k FROM a /*+ OPTIONS('properties.sasl.jaas.config' = 'mine4') */;
CREATE MATERIALIZED TABLE t (PRIMARY KEY (k) NOT ENFORCED) AS
  SELECT v.k FROM v JOIN a /*+ OPTIONS('properties.ssl.key.password' = 'mine5', 'scan.startup.mode' = 'latest-offset') */ ON v.k = a.k;`
  const config = configOf({ 'a.sql': sql }, 't')
  assert.doesNotMatch(JSON.stringify(config), /mine/)
  assert.match(config.sql, /OPTIONS\('properties.ssl.key.password' = '••••••', 'scan.startup.mode' = 'latest-offset'\)/)
  const userInfo = 'avro-confluent.basic-auth.user-info'
  assert.equal(maskedSql(`SET '${userInfo}' = 'me:mine'`), `SET '${userInfo}' = '••••••'`)
  assert.equal(maskedSql("SELECT 'a' FROM t WHERE b = 'c'"), "SELECT 'a' FROM t WHERE b = 'c'")
})

test('a time to live is a new plan where what was remembered counts on it, and nothing where nothing is remembered', () => {
  const changeOf = (query: string) => {
    const sql = `SET 'table.exec.state.ttl' = '1 d'; ${orders} CREATE MATERIALIZED TABLE t ${query};`
    return configOf({ 'a.sql': sql }, 't').settings.find(({ name }) => name === 'table.exec.state.ttl')?.change
  }
  assert.equal(changeOf('AS SELECT k, COUNT(*) AS n FROM orders GROUP BY k'), 'new plan')
  const ranked = 'SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY n) AS r FROM orders'
  assert.equal(changeOf(`AS SELECT k, r, n FROM (${ranked}) WHERE r <= 3`), 'restart')
  assert.equal(changeOf('(PRIMARY KEY (k) NOT ENFORCED) AS SELECT k FROM orders'), 'nothing')
})

test('options that say which bytes of a record are which column are a new plan, and change what the plan is told by', () => {
  const planOf = (options: string) => {
    const sql = `CREATE TABLE s (k STRING, n INT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-kafka'${options});
      CREATE MATERIALIZED TABLE t AS SELECT k, n FROM s;`
    const [query] = bindProject([{ name: 'a.sql', text: sql }]).queries
    const changes = configOf({ 'a.sql': sql }, 't').settings.filter(({ change }) => change === 'new plan')
    return { signature: planSignature(query.plan), ofPlan: changes.map(({ name }) => name) }
  }
  const raw = ", 'key.format' = 'raw'"
  const plain = planOf('')
  assert.equal(planOf(raw).signature, plain.signature)
  assert.ok(!planOf(raw).ofPlan.includes('key.format'))
  assert.equal(planOf(", 'value.format' = 'json'").signature, plain.signature)
  const inKey = planOf(", 'value.fields-include' = 'EXCEPT_KEY'")
  assert.notEqual(inKey.signature, plain.signature)
  const inRawKey = planOf(`, 'value.fields-include' = 'EXCEPT_KEY'${raw}`)
  assert.notEqual(inRawKey.signature, inKey.signature)
  assert.ok(inRawKey.ofPlan.includes('key.format') && inRawKey.ofPlan.includes('value.fields-include'))
})
