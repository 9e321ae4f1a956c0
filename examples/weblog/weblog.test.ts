// The example as its README says: started, loaded, asked; its tables against a recount that splits the lines by hand.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { makeProject, Running, run, startServer, until, untilRows } from '../../test/harness.ts'

const folder = import.meta.dirname
const sample = join(folder, 'sample.log.gz')

interface Request {
  hour: string
  ip: string
  path: string
  status: number
  sizeBytes: number | null
  /** NULL where the line ends in the middle of the agent. */
  isBot: boolean | null
}

function requestOf(line: string): Request {
  const [head, request, numbers, , , agent, rest] = line.split('"')
  const [day, , clock] = line.slice(line.indexOf('[') + 1, line.indexOf(']')).split('/')
  const [status, size] = numbers.trim().split(' ')
  const robots = ['bot', 'crawl', 'spider', 'slurp', 'feed', 'monitor', 'archiver']
  return {
    hour: `2015-05-${day} ${clock.split(':')[1]}:00:00.000`,
    ip: head.split(' ')[0],
    path: request.split(' ')[1].split('?')[0],
    status: Number(status),
    sizeBytes: size === '-' ? null : Number(size),
    isBot: rest === undefined ? null : robots.some((word) => agent.toLowerCase().includes(word)),
  }
}

function grouped<K>(requests: Request[], key: (request: Request) => K): Map<K, Request[]> {
  return Map.groupBy(requests, key)
}
const visitors = (requests: Request[]): number => new Set(requests.map(({ ip }) => ip)).size
const bots = (requests: Request[]): number => requests.filter(({ isBot }) => isBot).length

test('the access log: hours, status codes and pages are those of a recount', { timeout: 120_000 }, async (t) => {
  const requests = gunzipSync(readFileSync(sample)).toString('utf8').split('\n').filter(Boolean).map(requestOf)
  const server = await startServer(t, folder, ['--data', makeProject(t, {})])
  assert.deepEqual(server.ready.errors, [])

  const load = new Running(process.execPath, [join(folder, 'load.ts'), sample, '--url', server.ready.url])
  assert.equal((await load.exited).code, 0, load.output)
  assert.match(load.stdout, new RegExp(`^${requests.length} of ${requests.length} lines`))
  // Sent again under the same idempotency keys, nothing is counted twice.
  const again = new Running(process.execPath, [join(folder, 'load.ts'), sample, '--url', server.ready.url])
  assert.equal((await again.exited).code, 0, again.output)

  const statusCodes = [...grouped(requests, ({ status }) => status)].map(([status, of]) => [status, of.length, bots(of)])
  await untilRows(server, 'status_codes', statusCodes)

  const read = requests.filter(({ isBot, status }) => isBot === false && status === 200)
  await untilRows(
    server,
    'top_paths',
    [...grouped(read, ({ path }) => path)].map(([path, of]) => [path, of.length, visitors(of)]),
  )

  // The newest hour is open: no event has said yet that it is over.
  const hours = [...grouped(requests, ({ hour }) => hour)].sort(([a], [b]) => (a < b ? -1 : 1))
  const closed = hours.slice(0, -1).map(([hour, of]) => {
    const sizes = of.flatMap(({ sizeBytes }) => sizeBytes ?? [])
    const errors = of.filter(({ status }) => status >= 400).length
    return [hour, of.length, visitors(of), bots(of), errors, sizes.length > 0 ? sizes.reduce((sum, size) => sum + size, 0) : null]
  })
  const withoutEnd = async () => (await server.rows('requests_by_hour')).map(([start, , ...counts]) => [start, ...counts])
  await until(async () => (await withoutEnd()).length === closed.length, 'not all hours are there')
  assert.deepEqual(
    (await withoutEnd()).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    closed,
  )

  const sql = run(t, ['sql', 'SELECT * FROM status_codes ORDER BY requests DESC', '--json', '--url', server.ready.url])
  assert.equal((await sql.exited).code, 0, sql.output)
  const [{ rows }] = sql.lines<{ rows: number[][] }>()
  const byRequests = (a: number[], b: number[]) => b[1] - a[1]
  assert.deepEqual(
    rows.map(([, count]) => count),
    statusCodes.toSorted(byRequests).map(([, count]) => count),
  )
})
