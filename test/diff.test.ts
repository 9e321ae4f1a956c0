// millrace diff and promote on the real process: a changed query beside the one that runs.
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../src/app/config.ts'
import { startPlatform } from '../src/app/platform.ts'
import { diffScript } from '../src/jobs/index.ts'
import type { ApiError, DeployReport, ScriptDiff } from '../src/serve/contract.ts'
import { makeProject, run, startServer, untilRows } from './harness.ts'

const source = `CREATE TABLE orders (
  at_time  TIMESTAMP(3) NOT NULL,
  customer STRING NOT NULL,
  amount   BIGINT,
  WATERMARK FOR at_time AS at_time
) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '2', 'key.fields' = 'customer');`
const totals = (amount: string, more = '') =>
  `CREATE MATERIALIZED TABLE totals (PRIMARY KEY (customer) NOT ENFORCED) AS SELECT customer, ${amount} AS total${more} FROM orders GROUP BY customer;`
const windows = (size: string) =>
  `CREATE MATERIALIZED TABLE windows (PRIMARY KEY (window_start) NOT ENFORCED) AS
   SELECT window_start, COUNT(*) AS orders FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at_time), INTERVAL ${size})) GROUP BY window_start, window_end;`

async function millrace(t: Parameters<typeof run>[0], ...args: string[]) {
  const running = run(t, args)
  const { code } = await running.exited
  return { code, stdout: running.stdout, stderr: running.stderr, json: running.lines()[0] }
}

test('rows that differ by key, the record with which they begin to, and the change at last', { timeout: 240_000 }, async (t) => {
  const folder = makeProject(t, {
    'pipelines/orders.sql': source,
    'pipelines/totals.sql': totals('SUM(amount)'),
    'pipelines/windows.sql': windows("'1' MINUTE"),
  })
  const server = await startServer(t, folder)
  const at = ['--url', server.ready.url]
  // The ninth order is the first of more than 100.
  const orders = Array.from({ length: 20 }, (_, i) => ({
    at_time: `2026-01-01 12:0${Math.floor(i / 4)}:${10 + i}`,
    customer: `customer ${i % 3}`,
    amount: i === 8 ? 9_007_199_254_740_993n : i,
  }))
  for (const { at_time, customer, amount } of orders)
    assert.equal((await server.post('orders', `{"at_time":"${at_time}","customer":"${customer}","amount":${amount}}`)).status, 202)
  await untilRows(server, 'totals', [
    ['customer 0', 63],
    ['customer 1', 70],
    ['customer 2', Number(9_007_199_254_740_993n + 49n)],
  ])
  const draft = join(folder, 'drafts')
  mkdirSync(draft)
  const write = (name: string, text: string) => {
    writeFileSync(join(draft, name), text)
    return join(draft, name)
  }

  // The same rows by another text.
  const same = await millrace(t, 'diff', write('totals.sql', totals('SUM(amount + 0)')), '--json', ...at)
  assert.equal(same.code, 0, same.stderr)
  const [unchanged] = (same.json as unknown as ScriptDiff).queries
  assert.deepEqual(unchanged.counts, { old: 3, new: 3, same: 3, changed: 0, onlyOld: 0, onlyNew: 0 })
  assert.equal(unchanged.first, undefined)

  // Only one order of the twenty makes a difference: it is found, with its digits.
  const capped = totals('SUM(CASE WHEN amount > 100 THEN 100 ELSE amount END)')
  const path = write('totals.sql', capped)
  const changed = await millrace(t, 'diff', path, '--json', ...at)
  assert.equal(changed.code, 1, changed.stderr)
  const { queries, records } = changed.json as unknown as ScriptDiff
  assert.equal(records, 20)
  assert.deepEqual(queries[0].counts, { old: 3, new: 3, same: 2, changed: 1, onlyOld: 0, onlyNew: 0 })
  assert.deepEqual(queries[0].key, ['customer'])
  assert.deepEqual(queries[0].changed, [{ key: ['customer 2'], before: ['customer 2', '9007199254741042'], after: ['customer 2', '149'] }])
  assert.equal(queries[0].first?.topic, 'orders')
  assert.match(queries[0].first?.value ?? '', /"amount":9007199254740993/)
  const text = await millrace(t, 'diff', path, ...at)
  assert.match(text.stdout, /totals: 2 rows the same, 1 changed, 0 only before, 0 only after/)
  assert.match(text.stdout, /the first record that makes a difference: orders \d\/\d+ .*\n.*9007199254740993/)
  assert.match(text.stdout, /Next: millrace promote/)
  assert.match((await millrace(t, 'diff', path, '--since', 'earliest', ...at)).stdout, /^20 records, from the oldest to 20/)

  // Other windows: rows that only one of them has. Another column: the key still tells rows apart.
  const other = (await millrace(t, 'diff', write('windows.sql', windows("'2' MINUTE")), '--json', ...at)).json as unknown as ScriptDiff
  const { counts } = other.queries[0]
  assert.deepEqual([counts.old, counts.new, counts.onlyOld], [5, 3, 2])
  const wider = (await millrace(t, 'diff', write('totals.sql', totals('SUM(amount)', ', COUNT(*) AS orders')), '--json', ...at))
    .json as unknown as ScriptDiff
  assert.deepEqual([wider.queries[0].counts.changed, wider.queries[0].columns.length, wider.queries[0].oldColumns.length], [3, 3, 2])

  // A query in a file of another name takes the place of the one it names; a new one has nothing to be compared with.
  const renamed = (await millrace(t, 'diff', write('draft.sql', totals('SUM(amount)')), '--json', ...at)).json as unknown as ScriptDiff
  assert.equal(renamed.queries[0].state, 'same plan')
  const fresh = (
    await millrace(t, 'diff', write('fresh.sql', totals('SUM(amount)').replace('TABLE totals', 'TABLE fresh')), '--json', ...at)
  ).json as unknown as ScriptDiff
  assert.deepEqual([fresh.queries[0].state, fresh.queries[0].counts.new], ['new', 3])

  // A table of the same name in another database is another one.
  const elsewhere = `CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT) WITH ('connector' = 'kafka');
    CREATE MATERIALIZED TABLE totals (PRIMARY KEY (customer) NOT ENFORCED) AS SELECT customer, COUNT(*) AS n FROM default_database.orders GROUP BY customer;`
  const shop = (await millrace(t, 'diff', write('shop.sql', elsewhere), '--json', ...at)).json as unknown as ScriptDiff
  assert.deepEqual(shop.queries.map(({ query, state, counts }) => [query, state, counts.new]), [['shop.totals', 'new', 3]]) // biome-ignore format: one thought

  // Only what came since; and what is wrong.
  const none = (await millrace(t, 'diff', path, '--since', '2100-01-01T00:00:00Z', '--json', ...at)).json as unknown as ScriptDiff
  assert.deepEqual([none.records, none.queries[0].counts.old], [0, 0])
  for (const [file, since, code] of [
    [path, 'yesterday', 'SERVE_SINCE_INVALID'],
    [write('wrong.sql', totals('SUM(amuont)')), '1h', 'SQL_COLUMN_NOT_FOUND'],
    [write('empty.sql', '-- nothing'), '1h', 'DIFF_NO_QUERY'],
  ]) {
    const refused = await millrace(t, 'diff', file, '--since', since, '--json', ...at)
    assert.equal((refused.json as unknown as ApiError).error.code, code)
    assert.equal(refused.code, 2)
  }
  for (const [code, ...args] of [
    [2, join(draft, 'nowhere.sql'), ...at],
    [2, path, '--url', 'http://127.0.0.1:1'],
    [2, path, '--sinse', '1h'],
    [2],
    [0, '--help'],
  ] as const)
    assert.equal((await millrace(t, 'diff', ...args)).code, code, `diff ${args.join(' ')}`)

  // Nothing of all that has changed anything.
  assert.match(readFileSync(join(folder, 'pipelines/totals.sql'), 'utf8'), /SUM\(amount\)/)
  write('totals.sql', capped)
  const dry = (await millrace(t, 'promote', path, '--dry-run', '--json', ...at)).json as unknown as DeployReport
  assert.deepEqual([dry.started, dry.kept.sort()], [['totals'], ['windows']])
  // A file that is wrong does not get into the project.
  for (const [name, text] of [
    ['totals.sql', totals('SUM(amuont)')],
    ['another.sql', 'SELCT 1'],
  ]) {
    const refused = await millrace(t, 'promote', write(name, text), ...at)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, new RegExp(`^error: pipelines/${name}:\\d+:\\d+: [^]*Nothing was written`))
  }
  assert.deepEqual(readdirSync(join(folder, 'pipelines')).sort(), ['orders.sql', 'totals.sql', 'windows.sql'])
  assert.match(readFileSync(join(folder, 'pipelines/totals.sql'), 'utf8'), /SUM\(amount\)/)
  write('totals.sql', capped)
  const done = await millrace(t, 'promote', path, ...at)
  assert.match(done.stdout, /^started: totals\nunchanged: windows\n/)
  await untilRows(server, 'totals', [
    ['customer 0', 63],
    ['customer 1', 70],
    ['customer 2', 149],
  ])
})

test('a comparison that takes too long ends with an error that says so', { timeout: 240_000 }, async (t) => {
  const folder = makeProject(t, { 'pipelines/orders.sql': source, 'pipelines/totals.sql': totals('SUM(amount)') })
  const platform = await startPlatform(await loadConfig(folder, { port: '0', kafkaPort: 'none', json: true, data: join(folder, 'data') }))
  t.after(() => platform.close())
  const partition = (index: number) => ({ partition: index, startOffset: 0, endOffset: 0, lastStableOffset: 0, sizeBytes: 0 })
  const log = {
    topic: () => ({ name: 'orders', id: '', config: {} as never, partitions: [0, 1].map(partition) }),
    readMessages: async () => [],
  }
  const options = { sinceMs: 0, signal: new AbortController().signal, mayRunFiles: true, timeMsMax: 1 }
  const comparing = diffScript(platform.jobs, log, 'totals.sql', totals('MAX(amount)'), options)
  await assert.rejects(comparing, { code: 'DIFF_TOO_LONG', httpStatus: 400 })
})
