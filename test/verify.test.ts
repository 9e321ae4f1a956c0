// millrace verify exactly-once: a pipeline that holds gets its certificate; the comparison itself can fail.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Certificate, compareRows } from '../src/app/verify/verify.ts'
import { makeProject, run, startServer } from './harness.ts'

const sql = `
CREATE TABLE orders (id STRING NOT NULL, customer STRING NOT NULL, amount INT, ts TIMESTAMP(3), trace STRING METADATA FROM 'trace_id' VIRTUAL, WATERMARK FOR ts AS ts)
WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE sums (customer STRING, window_end TIMESTAMP(3), n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'sums', 'format' = 'json');
CREATE TABLE spenders (customer STRING NOT NULL, total INT NOT NULL, PRIMARY KEY (customer) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = 'spenders', 'key.format' = 'raw', 'value.format' = 'json');
CREATE TABLE cities (customer STRING, city STRING, PRIMARY KEY (customer) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'topic' = 'cities');
CREATE MATERIALIZED TABLE by_city AS SELECT c.city, SUM(o.amount) AS amount FROM orders o JOIN cities c ON o.customer = c.customer GROUP BY c.city;
CREATE TABLE archive (id STRING, amount INT) WITH ('connector' = 'filesystem', 'path' = 'archive', 'format' = 'csv');
CREATE TABLE lake (id STRING, amount INT) WITH ('connector' = 'filesystem', 'path' = 'lake', 'format' = 'parquet');
INSERT INTO lake SELECT id, amount FROM orders WHERE amount < 3;
INSERT INTO sums SELECT customer, window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, customer;
INSERT INTO spenders SELECT customer, SUM(amount) FROM orders GROUP BY customer;
INSERT INTO archive SELECT id, amount FROM orders WHERE amount > 2;
CREATE MATERIALIZED TABLE totals AS SELECT customer, COUNT(*) AS orders, MAX(trace) AS trace FROM orders GROUP BY customer;
`
const events = Array.from({ length: 400 }, (_, n) => ({
  id: `o${n}`,
  customer: `c${(n * n) % 7}`,
  amount: n % 5,
  ts: new Date(1_767_225_600_000 + n * 500).toISOString().slice(0, -1).replace('T', ' '),
}))

async function verify(t: Parameters<typeof run>[0], ...args: string[]) {
  const running = run(t, ['verify', 'exactly-once', ...args, '--json'])
  const { code } = await running.exited
  return {
    code,
    answer: running.lines<Certificate & { file: string; error: { code: string; message: string } }>()[0],
    stderr: running.stderr,
  }
}

test('a pipeline that is killed again and again gets a certificate', { timeout: 300_000 }, async (t) => {
  const folder = makeProject(t, {
    'pipelines/orders.sql': sql,
    'recorded/orders.ndjson': [...events, 'an order', 'by telephone'].map((event) => JSON.stringify(event)).join('\n'),
    'recorded/cities.ndjson': '{"customer":"c1","city":"Oslo"}\n{"customer":"c2","city":"Rom"}\n{"customer":"c1","city":"Bergen"}',
  })
  const { code, answer, stderr } = await verify(t, folder, '--events', join(folder, 'recorded'), '--kills', '4', '--seed', '3')
  assert.equal(code, 0, `${stderr} ${JSON.stringify(answer)}`)
  assert.equal(answer.isExactlyOnce, true)
  assert.equal(answer.kills.length, 4)
  assert.deepEqual([answer.events, answer.refused], [{ cities: 3, orders: 402 }, { orders: 2 }])
  assert.deepEqual(
    answer.results.map(({ name, kind, rows, rowsWithCrashes }) => [name, kind, rows === rowsWithCrashes && rows > 0]).sort(),
    [
      ['archive', 'files', true],
      ['by_city', 'live table', true],
      ['lake', 'files', true],
      ['spenders', 'upsert topic', true],
      ['sums', 'topic', true],
      ['totals', 'live table', true],
    ],
  )
  const { file, ...certificate } = answer
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), certificate)
  assert.deepEqual(readdirSync(folder).sort(), ['certificates', 'pipelines', 'recorded'], 'the project is only read')
})

test('events of a running Millrace; what cannot be checked says why', { timeout: 300_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql })
  assert.equal((await verify(t, folder, '--events', join(folder, 'nowhere'))).answer.error.code, 'VERIFY_NO_FILES')
  const server = await startServer(t, folder)
  const at = ['--url', server.ready.url]
  assert.equal((await verify(t, folder, ...at)).answer.error.code, 'VERIFY_NOTHING')
  await server.post('orders', events.slice(0, 30))
  const { code, answer } = await verify(t, folder, '--kills', '1', '--out', join(folder, 'one.json'), ...at)
  assert.equal(code, 0, JSON.stringify(answer))
  assert.deepEqual([answer.events, answer.kills.length], [{ orders: 30 }, 1])
  writeFileSync(join(folder, 'pipelines/orders.sql'), sql.replace("'path' = 'archive'", "'path' = '/archive'"))
  assert.equal((await verify(t, folder, ...at)).answer.error.code, 'VERIFY_PATH_ABSOLUTE')
  writeFileSync(join(folder, 'pipelines/broken.sql'), 'SELCT 1')
  assert.match((await verify(t, folder, ...at)).answer.error.message, /^pipelines\/broken.sql:1:1: found SELCT/)
})

test('a query that has no one result gets no certificate, and is told apart from one that has', { timeout: 300_000 }, async (t) => {
  const folder = makeProject(t, {
    'pipelines/orders.sql': `${sql.slice(0, sql.indexOf('CREATE TABLE sums'))}
      CREATE TABLE tickets (id STRING, ticket STRING) WITH ('connector' = 'kafka', 'topic' = 'tickets', 'format' = 'json');
      INSERT INTO tickets SELECT id, UUID() FROM orders;
      CREATE MATERIALIZED TABLE totals AS SELECT customer, COUNT(*) AS orders FROM orders GROUP BY customer;`,
    'recorded/orders.ndjson': events.map((event) => JSON.stringify(event)).join('\n'),
  })
  assert.equal((await verify(t, folder, '--at', 'anywhere')).answer.error.code, 'OPTION_INVALID')
  const { code, answer } = await verify(t, folder, '--events', join(folder, 'recorded'), '--kills', '2', '--at', 'cut,durable')
  assert.deepEqual([code, answer.isExactlyOnce], [1, false])
  assert.ok(!answer.kills.some(({ cause }) => cause === 'at random'), JSON.stringify(answer.kills))
  const [tickets, totals] = answer.results.toSorted((a, b) => a.name.localeCompare(b.name))
  assert.deepEqual([tickets.missingCount, tickets.extraCount, tickets.missing.length], [events.length, events.length, 20])
  assert.match(tickets.note ?? '', /without a crash, too/)
  assert.deepEqual([totals.missingCount, totals.extraCount, totals.note], [0, 0, undefined])
})

test('a lost row, a double one and a changed one are seen', () => {
  const expected = ['a', 'b', 'b', 'c']
  const differences = (rows: string[]) => {
    const { missing, extra } = compareRows(expected, rows)
    return { missing, extra }
  }
  assert.deepEqual(differences(['c', 'b', 'a', 'b']), { missing: [], extra: [] })
  assert.deepEqual(differences(['a', 'b', 'c']), { missing: ['b'], extra: [] })
  assert.deepEqual(differences(['a', 'a', 'b', 'b', 'c']), { missing: [], extra: ['a'] })
  assert.deepEqual(differences(['a', 'b', 'b', 'd']), { missing: ['c'], extra: ['d'] })
})
