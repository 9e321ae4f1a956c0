// Queries of one file to which a table of one name is not the same: each reads it as it was when it was declared, and as its hint says.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { QuerySummary } from '../src/serve/contract.ts'
import { makeProject, startServer, until, untilRows } from './harness.ts'

const table = (name: string, columns: string) => `CREATE TABLE ${name} (${columns}) WITH ('connector' = 'kafka', 'topic' = '${name}');\n`
const counts = (name: string, column: string, from: string) =>
  `CREATE MATERIALIZED TABLE ${name} AS SELECT ${column}, COUNT(*) AS n FROM ${from} GROUP BY ${column};\n`
const latest = "/*+ OPTIONS('scan.startup.mode' = 'latest-offset') */"

test('a table that is altered, or dropped and declared anew, has its own columns before and after, over a restart too', async (t) => {
  const sql = [
    table('altered', 'a INT, b INT'),
    counts('altered_before', 'b', 'altered'),
    'ALTER TABLE altered ADD (z INT FIRST);\n',
    counts('altered_after', 'z', 'altered'),
    table('anew', 'a INT, b INT'),
    counts('anew_before', 'b', 'anew'),
    'DROP TABLE anew;\n',
    table('anew', 'b STRING, c STRING, a INT'),
    counts('anew_after', 'c', 'anew'),
  ]
  const folder = makeProject(t, { 'pipelines/shop.sql': sql.join('') })
  let server = await startServer(t, folder)
  const untilCounted = async (n: number) => {
    await untilRows(server, 'altered_before', [[22, n]])
    await untilRows(server, 'altered_after', [[333, n]])
    await untilRows(server, 'anew_before', [[22, n]])
    await untilRows(server, 'anew_after', [['c33', n]])
  }
  const post = async () => {
    assert.equal((await server.post('altered', [{ a: 1, b: 22, z: 333 }])).status, 202)
    assert.equal((await server.post('anew', [{ a: 1, b: '22', c: 'c33' }])).status, 202)
  }
  await post()
  await untilCounted(1)
  await server.running.kill('SIGTERM')
  server = await startServer(t, folder)
  await post()
  await untilCounted(2)
})

test('a hint holds for the place that has it alone, also where one query reads a table in two ways; it goes on so', async (t) => {
  const folder = makeProject(t, { 'pipelines/shop.sql': table('h', 'a INT') })
  let server = await startServer(t, folder, [], 'dev')
  assert.equal((await server.post('h', [{ a: 1 }])).status, 202)
  const more =
    counts('whole', 'a', 'h') +
    counts('tail', 'a', `h ${latest}`) +
    counts('twice', 'a', `(SELECT a FROM h UNION ALL SELECT a FROM h ${latest})`) +
    counts('joined', 'x.a', `h AS x JOIN h ${latest} AS y ON x.a <= y.a`)
  writeFileSync(join(folder, 'pipelines/shop.sql'), table('h', 'a INT') + more)
  const isRunning = async () => (await server.get<QuerySummary[]>('/v1/queries')).length === 4
  await until(isRunning, 'the four queries run')
  await untilRows(server, 'whole', [[1, 1]])
  const post = async (a: number) => assert.equal((await server.post('h', [{ a }])).status, 202)
  await post(2)
  const rows = async (of: Record<string, [number, number][]>) => {
    for (const [name, expected] of Object.entries(of)) await untilRows(server, name, expected)
  }
  // biome-ignore format: a table
  await rows({ tail: [[2, 1]], whole: [[1, 1], [2, 1]], twice: [[1, 1], [2, 2]], joined: [[1, 1], [2, 1]] })
  const { nodes } = await server.get<{ nodes: { table?: string }[] }>('/v1/queries/twice/why')
  assert.deepEqual(
    nodes.flatMap(({ table = [] }) => table),
    ['h', "h OPTIONS('scan.startup.mode'='latest-offset')"],
  )
  await server.running.kill('SIGTERM')
  server = await startServer(t, folder)
  await post(3)
  // biome-ignore format: a table
  await rows({ tail: [[2, 1], [3, 1]], twice: [[1, 1], [2, 2], [3, 2]], joined: [[1, 2], [2, 2], [3, 1]] })
})

test('a hint of an INSERT has what it writes in another topic, which is made', async (t) => {
  const sql =
    table('h', 'a INT') +
    "INSERT INTO h /*+ OPTIONS('topic' = 'elsewhere') */ SELECT 7;\n" +
    "CREATE TABLE seen (a INT) WITH ('connector' = 'kafka', 'topic' = 'elsewhere');\n" +
    counts('counted', 'a', 'seen')
  const server = await startServer(t, makeProject(t, { 'pipelines/shop.sql': sql }))
  await untilRows(server, 'counted', [[7, 1]])
})
