// Who may talk to the real process, and what it tells: beside src/base/http, whose tests ask a bare server, this asks the whole one.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { ApiError } from '../src/serve/contract.ts'
import { countsSql, makeProject, run, startServer, until } from './harness.ts'

const files = { 'pipelines/counts.sql': countsSql }
const event = [{ id: 'a', page: '/', n: 1, ts: '2026-03-01 00:00:00.000' }]
const isConsoleBuilt = existsSync(join(import.meta.dirname, '../console/dist/index.html'))

interface Reply {
  status: number
  code: string | undefined
  headers: Record<string, string | string[] | undefined>
}

/** `fetch` sets Host and Origin itself; this sends what it is told. */
function ask(port: number, path: string, headers: Record<string, string> = {}, method = 'GET', body = ''): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = ''
      response.on('data', (data) => {
        text += data
      })
      response.on('end', () => {
        const code = text.startsWith('{') ? (JSON.parse(text) as Partial<ApiError>).error?.code : undefined
        resolve({ status: response.statusCode ?? 0, code, headers: response.headers })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** HTTP status of a refused WebSocket, 101 if it opened and stayed open. */
async function upgrade(port: number, path: string, headers: Record<string, string>, protocols: string[] = []): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers })
  socket.on('error', () => {})
  const status = await Promise.race([
    once(socket, 'unexpected-response').then(([, response]) => (response as { statusCode: number }).statusCode),
    // A refusal may also be a close with 4000 + HTTP status.
    once(socket, 'close').then(([code]) => Number(code) - 4_000),
    once(socket, 'open').then(() => sleep(200, 101)),
  ])
  socket.terminate()
  return status
}

const json = { 'content-type': 'application/json' }
const liveSockets = ['/v1/tables/counts/live', '/v1/topics/events/live', '/v1/stats/live']

test('another host name and pages of other sites are refused, over HTTP and WebSocket, and change nothing', async (t) => {
  const server = await startServer(t, makeProject(t, files))
  const { port } = server.ready
  const evil = { origin: 'http://evil.example' }
  for (const path of ['/', '/v1/tables', '/v1/health', '/metrics'])
    assert.deepEqual([(await ask(port, path, { host: 'evil.example' })).code], ['HTTP_HOST_UNKNOWN'], path)
  const post = await ask(port, '/v1/topics/events/events', { ...json, ...evil }, 'POST', JSON.stringify(event))
  assert.deepEqual([post.status, post.code], [403, 'HTTP_ORIGIN_FORBIDDEN'])
  // A page may send text/plain without asking first.
  const simple = await ask(port, '/v1/topics/events/events', { 'content-type': 'text/plain', ...evil }, 'POST', JSON.stringify(event))
  assert.equal(simple.status, 403)
  const sql = await ask(port, '/v1/sql', { ...json, ...evil }, 'POST', '{"sql":"SHOW TABLES"}')
  assert.equal(sql.status, 403)
  assert.equal((await ask(port, '/v1/tables', evil)).headers['access-control-allow-origin'], undefined)
  for (const path of liveSockets) {
    assert.equal(await upgrade(port, path, evil), 403, path)
    assert.equal(await upgrade(port, path, { host: 'evil.example' }), 421, path)
    assert.equal(await upgrade(port, path, { origin: `http://127.0.0.1:${port}` }), 101, path)
  }
  assert.deepEqual(await server.messages('events'), [])
})

test('beyond loopback: not without a token, unless told; then it warns', async (t) => {
  const folder = makeProject(t, files)
  const args = ['start', folder, '--port', '0', '--workers', '1', '--host', '0.0.0.0', '--data', join(folder, 'data')]
  const refused = run(t, [...args, '--json'])
  assert.equal((await refused.exited).code, 1)
  assert.equal(refused.lines<{ error: { code: string } }>()[0].error.code, 'HTTP_TOKENS_MISSING')
  assert.match(refused.lines<{ error: { hint: string } }>()[0].error.hint, /token create/)

  const open = run(t, [...args, '--insecure'])
  await until(
    () => open.stdout.includes('Ctrl-C') || !open.isRunning,
    () => open.output,
    60_000,
  )
  assert.match(open.stderr, /INSECURE/)
  assert.equal((await open.kill('SIGTERM')).code, 0, open.output)
})

test('with tokens: each role its own, wrong ones nothing; no token in what the process prints', async (t) => {
  const folder = makeProject(t, files)
  const data = join(folder, 'data')
  const tokens: Record<string, string> = {}
  for (const role of ['reader', 'writer', 'admin']) {
    const made = run(t, ['token', 'create', '--role', role, '--data', data, '--json'])
    await made.exited
    tokens[role] = made.lines<{ token: string }>()[0].token
  }
  // Not --json, which logs nothing.
  const running = run(t, ['start', folder, '--port', '0', '--workers', '1', '--host', '0.0.0.0', '--data', data])
  await until(
    () => running.stdout.includes('Ctrl-C') || !running.isRunning,
    () => running.output,
    60_000,
  )
  const port = Number(/http:\/\/0\.0\.0\.0:(\d+)/.exec(running.stdout)?.[1])
  const as = (token: string) => ({ authorization: `Bearer ${token}` })
  const postAs = (headers: Record<string, string>) =>
    ask(port, '/v1/topics/events/events', { ...json, ...headers }, 'POST', JSON.stringify(event))

  assert.deepEqual([(await ask(port, '/v1/tables')).code, (await postAs({})).code], ['HTTP_TOKEN_MISSING', 'HTTP_TOKEN_MISSING'])
  const wrong = `${tokens.reader.slice(0, -4)}AAAA`
  assert.deepEqual([(await ask(port, '/v1/tables', as(wrong))).status, (await postAs(as('mr_nonsense'))).status], [401, 401])
  assert.equal((await ask(port, '/v1/tables', as(tokens.reader))).status, 200)
  assert.deepEqual([(await postAs(as(tokens.reader))).status, (await postAs(as(tokens.reader))).code], [403, 'HTTP_ROLE_FORBIDDEN'])
  assert.equal((await postAs(as(tokens.writer))).status, 202)
  for (const path of ['/v1/tables', '/v1/topics/events/messages', '/v1/queries', '/v1/stats', '/metrics'])
    assert.equal((await ask(port, path, as(tokens.writer))).code, 'HTTP_ROLE_FORBIDDEN', path)
  const sqlAs = (token: string) => ask(port, '/v1/sql', { ...json, ...as(token) }, 'POST', '{"sql":"SELECT * FROM counts"}')
  assert.deepEqual([(await sqlAs(tokens.writer)).status, (await sqlAs(tokens.reader)).status], [403, 200])
  assert.deepEqual([(await ask(port, '/v1/tables', as(tokens.admin))).status, (await postAs(as(tokens.admin))).status], [200, 202])
  // A function's file may do anything: what no deployed file declares is for administrators, whether the file is there or not.
  const draft = (token: string, path: string, target: string) =>
    ask(
      port,
      path,
      { ...json, ...as(token) },
      'POST',
      JSON.stringify({
        file: 'draft.sql',
        sql: `CREATE FUNCTION own(s STRING) RETURNS STRING LANGUAGE JAVASCRIPT AS '${target}'; CREATE MATERIALIZED TABLE d AS SELECT own('a') AS a FROM counts;`,
      }),
    )
  for (const path of ['/v1/queries/forecast', '/v1/queries/diff'])
    for (const target of ['package.json', '/etc/passwd', 'none.ts'])
      assert.deepEqual(
        [(await draft(tokens.reader, path, target)).code, (await draft(tokens.admin, path, 'none.ts')).code],
        ['FUNCTION_NOT_DECLARED', 'FUNCTION_FILE_MISSING'],
        `${path} ${target}`,
      )
  for (const path of liveSockets) {
    assert.equal(await upgrade(port, path, {}), 401, path)
    assert.equal(await upgrade(port, path, {}, ['millrace', `millrace.token.${tokens.writer}`]), 403, path)
    assert.equal(await upgrade(port, path, {}, ['millrace', `millrace.token.${tokens.reader}`]), 101, path)
  }
  // The token as a parameter would stand in logs and histories: it is not taken there.
  assert.equal((await ask(port, `/v1/tables?token=${tokens.reader}`)).status, 401)
  // The page that asks for the token is open to all; what it shows is not.
  if (isConsoleBuilt) assert.equal((await ask(port, '/')).status, 200)

  // A token that is revoked while the process runs.
  const id = /^mr_([0-9a-f]+)_/.exec(tokens.reader)?.[1] ?? ''
  assert.equal((await run(t, ['token', 'revoke', id, '--data', data]).exited).code, 0)
  await until(async () => (await ask(port, '/v1/tables', as(tokens.reader))).code === 'HTTP_TOKEN_INVALID', 'it is still taken', 5_000)

  assert.equal((await running.kill('SIGTERM')).code, 0, running.output)
  for (const [role, token] of Object.entries(tokens))
    assert.ok(!running.output.includes(token.slice(20)), `the ${role}'s token was printed`)
})

test('headers: pages run only their own scripts and are framed by nobody; data is not sniffed', {
  skip: !isConsoleBuilt && 'the console is not built',
}, async (t) => {
  const server = await startServer(t, makeProject(t, files))
  const { port } = server.ready
  const page = await fetch(server.ready.url)
  const script = /src="(\/assets\/[^"]+\.js)"/.exec(await page.text())?.[1] ?? ''
  const policy = page.headers.get('content-security-policy') ?? ''
  for (const part of ["default-src 'self'", "script-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"])
    assert.ok(policy.includes(part), `${part} is missing in ${policy}`)
  for (const path of ['/', '/tables/counts', script, '/v1/health', '/v1/nothing']) {
    const { headers } = await ask(port, path)
    assert.equal(headers['x-content-type-options'], 'nosniff', path)
    assert.ok(headers['content-security-policy'] || path === script, `${path} has no policy`)
    assert.equal(headers['referrer-policy'], 'no-referrer', path)
    assert.equal(headers['x-powered-by'], undefined, path)
  }
})
