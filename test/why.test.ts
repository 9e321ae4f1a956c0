// "No silence" on the real process: for each way in which a query puts out nothing, `why` names it; late rows go to their topic, once.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { ApiError, QueryWhy } from '../src/serve/contract.ts'
import { makeProject, run, type Server, startServer, until } from './harness.ts'

const source = (name: string, more = '') => `
CREATE TABLE ${name} (
  k STRING NOT NULL, v STRING, ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'kafka', 'topic' = '${name}', 'key.fields' = 'k'${more});`
const live = (name: string, key: string, query: string, options = '') =>
  `CREATE MATERIALIZED TABLE ${name} (PRIMARY KEY (${key}) NOT ENFORCED) ${options} FRESHNESS = INTERVAL '1' SECOND AS ${query};`
const windows = (table: string) =>
  `SELECT window_start, k, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE ${table}, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, k`

const at = (time: string, k = 'a', v = '1') => ({ k, v, ts: `2026-01-01 ${time}` })
const atMs = (time: string) => Date.parse(`2026-01-01T${time}Z`)

async function whyOf(server: Server, query: string, isReady: (why: QueryWhy) => unknown): Promise<QueryWhy> {
  let why: QueryWhy | undefined
  await until(
    async () => isReady((why = await server.get<QueryWhy>(`/v1/queries/${query}/why`))),
    () => `why ${query} says ${JSON.stringify(why?.findings)} ${JSON.stringify(why?.nodes)}`,
  )
  return why!
}
const codes = ({ findings }: QueryWhy) => findings.map(({ code }) => code)
const has =
  (...wanted: string[]) =>
  (why: QueryWhy) =>
    wanted.every((code) => codes(why).includes(code))

async function accepted(server: Server, topic: string, events: object[]): Promise<void> {
  const { status, body } = await server.post(topic, events)
  assert.equal(status, 202, JSON.stringify(body))
}

/** The command's output, after it has ended well. */
async function command(t: TestContext, args: string[]): Promise<string> {
  const running = run(t, args)
  assert.equal((await running.exited).code, 0, running.output)
  return running.stdout
}

const pipelines = [
  source('nothing'),
  live('of_empty', 'k', 'SELECT k, COUNT(*) AS n FROM nothing GROUP BY k'),
  source('refused'),
  live('of_refused', 'k', 'SELECT k, COUNT(*) AS n FROM refused GROUP BY k'),
  source('clicks'),
  live('per_minute', 'window_start, k', windows('clicks')),
  live('filtered', 'k', "SELECT k, COUNT(*) AS n FROM clicks WHERE v = 'nothing has this' GROUP BY k"),
  live('busy', 'k', 'SELECT k, COUNT(*) AS n FROM clicks GROUP BY k'),
  source('split', ", 'millrace.partitions' = '2'"),
  live('half_silent', 'window_start, k', windows('split')),
  source('resting', ", 'millrace.partitions' = '2', 'scan.watermark.idle-timeout' = '200 ms'"),
  live('half_idle', 'window_start, k', windows('resting')),
  source('others'),
  live('joined', 'k', 'SELECT c.k, c.v, o.v AS other FROM clicks c JOIN others o ON c.k = o.k'),
  source('wrong'),
  live('numbers', 'k', 'SELECT k, SUM(CAST(v AS INT)) AS n FROM wrong GROUP BY k'),
  source('strict', ", 'millrace.on-error' = 'fail'"),
  live('ended', 'k', 'SELECT k, SUM(CAST(v AS INT)) AS n FROM strict GROUP BY k'),
].join('\n')

describe('why', () => {
  test('each way of silence has its name, its facts and its next step', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/all.sql': pipelines }))
    assert.deepEqual(server.ready.errors, [])

    await t.test('an empty topic', async () => {
      const why = await whyOf(server, 'of_empty', has('TOPIC_EMPTY'))
      assert.equal(why.isHealthy, false)
      assert.equal(why.verdict, 'Topic "nothing" is empty: nothing was ever produced to it.')
      assert.match(why.next, /\/v1\/topics\/nothing\/events/)
    })

    await t.test('all events refused at the door', async () => {
      assert.equal((await server.post('refused', [{ v: 'no key', ts: '2026-01-01 00:00:00' }])).status, 422)
      const why = await whyOf(server, 'of_refused', has('ALL_REJECTED'))
      assert.match(why.verdict, /the one event sent to it was refused at the door/)
      assert.equal(why.sources[0].invalidCount, 1)
      assert.match(JSON.stringify(why.sources[0].lastInvalid), /k/)
    })

    await accepted(server, 'clicks', [at('12:00:10'), at('12:00:20', 'b'), at('12:00:40')])

    await t.test('an open window says when it fires', async (t) => {
      const why = await whyOf(server, 'per_minute', (why) => has('WINDOW_OPEN')(why) && why.rowsIn === 3)
      assert.deepEqual(
        why.windows.map(({ node, ...window }) => window),
        [
          {
            startMs: atMs('12:00:00.000'),
            endMs: atMs('12:01:00.000'),
            rows: 2,
            clock: 'event',
            firesAtMs: atMs('12:00:59.999'),
            missingMs: 24_999,
          },
        ],
      )
      assert.equal(why.watermarkMs, atMs('12:00:35.000'))
      const text = await command(t, ['why', 'per_minute', '--url', server.ready.url])
      assert.match(text, /^per_minute \(running\)\n\nOne window is open; the next, 2026-01-01 12:00:00 to 2026-01-01 12:01:00, fires/)
      assert.match(text, /\nNext: Events that are 25 s newer move it on/)
      const json = JSON.parse(await command(t, ['why', 'per_minute', '--url', server.ready.url, '--json'])) as QueryWhy
      assert.equal(json.findings[0].code, 'WINDOW_OPEN')
    })

    await t.test('a condition that no row passes, with such a row', async () => {
      const why = await whyOf(server, 'filtered', has('PREDICATE_DROPS'))
      assert.equal(codes(why)[0], 'PREDICATE_DROPS')
      assert.match(why.verdict, /v = 'nothing has this'.* let none of 3 rows through; for example .*k="a"/)
      const dropping = why.nodes.find(({ predicate }) => predicate)!
      assert.deepEqual([dropping.rowsIn, dropping.rowsOut], [3, 0])
    })

    await t.test('rows that come out', async () => {
      const why = await whyOf(server, 'busy', (why) => why.rowsOut > 0)
      assert.equal(why.isHealthy, true)
      assert.deepEqual(why.nodes.at(-1)?.columns, ['k', 'n'])
      assert.deepEqual(why.nodes.at(-1)?.samples.at(-1), { op: '+I', row: ['b', 1] })
    })

    await t.test('a partition without any row, and with an idle timeout', async () => {
      await accepted(server, 'split', [at('12:00:10'), at('12:05:00')])
      const why = await whyOf(server, 'half_silent', has('WINDOW_OPEN', 'PARTITION_SILENT'))
      const { partitions } = why.sources[0]
      const silent = partitions.find(({ endOffset }) => endOffset === 0)!
      assert.equal(silent.holdsBack, true)
      assert.equal(partitions.find((one) => one !== silent)?.watermarkMs, atMs('12:04:55.000'))
      assert.match(why.verdict, new RegExp(`Partition ${silent.partition} of topic "split" has sent no row yet`))

      await accepted(server, 'resting', [at('12:00:10'), at('12:05:00')])
      const idle = await whyOf(server, 'half_idle', (why) => why.rowsOut > 0)
      assert.equal(idle.sources[0].partitions.find(({ endOffset }) => endOffset === 0)?.isIdle, true)
    })

    await t.test('join sides without a match', async () => {
      assert.equal(codes(await whyOf(server, 'joined', (why) => why.rowsIn === 3))[0], 'TOPIC_EMPTY')
      await accepted(server, 'others', [at('12:00:10', 'A')])
      const why = await whyOf(server, 'joined', has('JOIN_UNMATCHED'))
      const join = why.nodes.find(({ sides }) => sides)!
      assert.deepEqual(
        join.sides!.map(({ rows, unmatched }) => [rows, unmatched]),
        [
          [3, 3],
          [1, 1],
        ],
      )
      assert.match(JSON.stringify(join.sides![1].samples), /"A"/)
      assert.match(why.verdict, /No pair of rows met in .*: 3 rows on the left, 1 row on the right/)
    })

    await t.test('dead letters, and a query that ended', async () => {
      await accepted(server, 'wrong', [at('12:00:00', 'a', 'x')])
      const why = await whyOf(server, 'numbers', has('ROWS_FAILED'))
      assert.equal(why.failedRows, 1)
      assert.match(why.next, /topics read wrong\.invalid/)
      // As of the last poll, about a second old.
      await until(
        async () =>
          /^millrace_query_failed_rows_total\{query="numbers"\} 1$/m.test(await (await fetch(`${server.ready.url}/metrics`)).text()),
        'the metric does not count it',
      )
      await accepted(server, 'strict', [at('12:00:00', 'a', 'x')])
      const ended = await whyOf(server, 'ended', has('QUERY_FAILED'))
      assert.equal(ended.state, 'failed')
      assert.equal(ended.findings.length, 1)
      // The row that it ended at is said.
      assert.match(ended.verdict, /^It ended with an error at the row \{.*"v":"x".*\}: /)
      assert.equal(ended.next, ended.error?.hint)
    })

    await t.test('late rows, with the watermark and the window that they missed', async () => {
      await accepted(server, 'clicks', [at('12:10:00')])
      await whyOf(server, 'per_minute', (why) => why.rowsOut > 0)
      await accepted(server, 'clicks', [at('12:00:30', 'late')])
      const why = await whyOf(server, 'per_minute', has('LATE_ROWS'))
      const [sample] = why.nodes.flatMap(({ lateSamples }) => lateSamples)
      assert.equal(sample.watermarkMs, atMs('12:09:55.000'))
      assert.deepEqual(sample.window, { startMs: atMs('12:00:00.000'), endMs: atMs('12:01:00.000') })
      assert.ok(sample.row.includes('late'))
      assert.match(why.findings.find(({ code }) => code === 'LATE_ROWS')?.next ?? '', /'millrace.late-rows.topic' = /)
    })

    await t.test('a query that does not run is not found, with the nearest name', async () => {
      const { status, body } = await server.call<ApiError>('/v1/queries/buzy/why')
      assert.deepEqual([status, body.error.code, body.error.hint], [404, 'SERVE_QUERY_NOT_FOUND', 'Did you mean "busy"?'])
    })
  })

  test('a file that is wrong is named where its query is asked for', async (t) => {
    const folder = makeProject(t, { 'pipelines/a.sql': source('clicks'), 'pipelines/b.sql': 'CREATE MATERIALIZED TABLE x AS SELEC 1;' })
    const server = await startServer(t, folder)
    const { body } = await server.call<ApiError>('/v1/queries/x/why')
    assert.match(body.error.message, /no query "x" runs, and a file of the project is wrong: pipelines\/b\.sql:\d+:\d+: (?!line)/)
  })
})

describe('late rows', () => {
  const late = [at('12:00:30', 'b'), at('12:00:31', 'b'), at('12:00:30', 'b')]
  const files = (options: { table?: string; view?: string }) => ({
    'pipelines/all.sql': `${source('clicks', options.table)}\n${live('per_minute', 'window_start, k', windows('clicks'), options.view)}`,
  })
  const option = "'millrace.late-rows.topic' = 'clicks_late'"

  test('go to their topic with headers, and are not doubled by a crash and a restart', async (t) => {
    const folder = makeProject(t, files({ view: `WITH (${option})` }))
    const first = await startServer(t, folder)
    await accepted(first, 'clicks', [at('12:00:10'), at('12:10:00'), ...late])
    const topic = async (server: Server, count: number) => {
      await until(
        async () => (await server.call(`/v1/topics/clicks_late`)).status !== 404 && (await server.messages('clicks_late')).length >= count,
        `fewer than ${count} late rows`,
      )
      return server.messages('clicks_late')
    }
    const messages = await topic(first, 3)
    assert.deepEqual(
      messages.map(({ value }) => value),
      late.map(({ k, ts }) => ({ k, ts: `${ts}.000` })).map((row) => ({ ...(messages[0].value as object), ...row })),
    )
    assert.deepEqual(messages[0].headers, {
      query: 'per_minute',
      watermark: '2026-01-01 12:09:55.000',
      window_start: '2026-01-01 12:00:00.000',
      window_end: '2026-01-01 12:01:00.000',
    })
    await first.running.kill('SIGKILL')

    const second = await startServer(t, folder)
    const why = await whyOf(second, 'per_minute', ({ lateRows }) => lateRows === 3)
    assert.match(why.findings.find(({ code }) => code === 'LATE_ROWS')?.next ?? '', /topics read clicks_late/)
    // One that is new comes behind those that were met again: when it is there, the others would be too.
    await accepted(second, 'clicks', [at('12:00:59', 'c')])
    const after = await topic(second, 4)
    assert.equal(after.length, 4)
    assert.equal((after[3].value as { k: string }).k, 'c')
  })

  test('the option may stand at the source table', async (t) => {
    const server = await startServer(t, makeProject(t, files({ table: `, ${option}` })))
    await accepted(server, 'clicks', [at('12:00:10'), at('12:10:00'), ...late])
    await until(
      async () => (await server.call('/v1/topics/clicks_late')).status === 200 && (await server.messages('clicks_late')).length === 3,
      'late rows of a source table',
    )
  })

  test('a topic that the query itself reads, and a name that no topic can have, are refused', async (t) => {
    const own = await startServer(t, makeProject(t, files({ view: "WITH ('millrace.late-rows.topic' = 'clicks')" })))
    assert.equal(own.ready.errors[0]?.code, 'LATE_TOPIC_READ')
    const folder = makeProject(t, files({ view: "WITH ('millrace.late-rows.topic' = 'not a name')" }))
    const server = await startServer(t, folder, ['--data', join(folder, 'other')])
    await accepted(server, 'clicks', [at('12:00:10'), at('12:10:00'), ...late])
    const why = await whyOf(server, 'per_minute', (why) => why.state === 'failed')
    assert.match(why.verdict, /not a name/)
  })
})
