// The server on real sockets: who gets in, what is refused and how, and that files and secrets stay where they are.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pino from 'pino'
import { WebSocket } from 'ws'
import { createToken, type Role, TokenStore } from '../auth.ts'
import type { StreamError } from '../errors.ts'
import { type HttpServer, type HttpServerOptions, makeHttpServer, registerConsole } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-http-'))
after(() => rmSync(folder, { recursive: true }))
let storeCount = 0
const newTokens = (): TokenStore => new TokenStore(join(folder, `auth${storeCount++}`, 'tokens.json'))

/** A server with a route of each kind. */
async function serve(options: HttpServerOptions = {}, add: (server: HttpServer) => void = () => {}) {
  const server = await makeHttpServer(options)
  server.app.get('/v1/read', async () => ({ ok: true }))
  server.app.post('/v1/write', { config: { role: 'writer' } }, async (request) => ({ got: request.body }))
  server.app.get('/v1/fail', async () => {
    throw new Error('secret /etc/passwd')
  })
  server.app.get('/v1/live', { websocket: true }, (socket) => {
    socket.on('message', (data) => socket.send(String(data)))
  })
  add(server)
  const { port, url } = await server.listen()
  return { server, port, url, [Symbol.asyncDispose]: () => server.close() }
}

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  code: string | undefined
}
/** fetch() sets Host and refuses to send others: node:http does not. */
function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers: options.headers, agent: false },
      (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => {
          let code: string | undefined
          try {
            code = JSON.parse(text).error?.code
          } catch {}
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, code })
        })
      },
    )
    request.on('error', reject)
    request.end(options.body)
  })
}
/** 'open', or the status and code with which the upgrade was refused. */
function upgrade(
  port: number,
  options: { path?: string; headers?: Record<string, string>; protocols?: string[]; origin?: string } = {},
): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${options.path ?? '/v1/live'}`, options.protocols ?? [], {
      headers: options.headers,
      origin: options.origin,
    })
    socket.on('open', () => {
      resolve(`open ${socket.protocol}`.trim())
      socket.close()
    })
    socket.on('unexpected-response', (_, response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(`${response.statusCode} ${JSON.parse(text).error.code}`))
    })
    socket.on('error', () => {})
  })
}
/** Sends raw bytes and returns all that comes back. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(received))
  })
}
const code = (expected: string) => (error: unknown) => (error as StreamError).code === expected

test('a Host that is no loopback name, address or configured name is refused, for HTTP and WebSockets', async () => {
  await using at = await serve({ hostNames: ['mill.test'] })
  for (const host of ['localhost', `localhost:${at.port}`, '127.0.0.1', '[::1]:80', 'mill.test', 'MILL.test:1', '10.1.2.3'])
    assert.equal((await ask(at.port, '/v1/read', { headers: { host } })).status, 200, host)
  for (const host of ['evil.test', 'localhost.evil.test', '127.0.0.1.evil.test', 'mill.test.evil']) {
    const { status, code } = await ask(at.port, '/v1/read', { headers: { host } })
    assert.deepEqual([status, code], [421, 'HTTP_HOST_UNKNOWN'], host)
    assert.equal(await upgrade(at.port, { headers: { host } }), '421 HTTP_HOST_UNKNOWN')
  }
})

test('a WebSocket is opened where there is one, and nowhere else', async () => {
  await using at = await serve({}, ({ app }) => app.get('/*', { config: { isHidden: true } }, async () => 'a page'))
  assert.equal(await upgrade(at.port), 'open')
  for (const path of ['/v1/read', '/v1/none', '/']) assert.equal(await upgrade(at.port, { path }), '404 HTTP_ROUTE_NOT_FOUND', path)
})

test('a foreign Origin may neither change state nor open a WebSocket, nor read an answer; a configured one may', async () => {
  await using at = await serve({ origins: ['https://shop.test'] })
  const post = (origin?: string) =>
    ask(at.port, '/v1/write', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', ...(origin && { origin }) } })
  for (const origin of ['https://evil.test', 'null', `http://127.0.0.1:${at.port + 1}`, 'http://localhost']) {
    const { status, code } = await post(origin)
    assert.deepEqual([status, code], [403, 'HTTP_ORIGIN_FORBIDDEN'], origin)
    assert.equal(await upgrade(at.port, { origin }), '403 HTTP_ORIGIN_FORBIDDEN')
    assert.equal((await ask(at.port, '/v1/read', { headers: { origin } })).headers['access-control-allow-origin'], undefined)
  }
  for (const origin of [undefined, `http://127.0.0.1:${at.port}`, 'https://shop.test']) {
    assert.equal((await post(origin)).status, 200)
    assert.equal(await upgrade(at.port, { origin }), 'open')
  }
  const preflight = await ask(at.port, '/v1/write', {
    method: 'OPTIONS',
    headers: { origin: 'https://shop.test', 'access-control-request-method': 'POST' },
  })
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin']], [204, 'https://shop.test'])
})

test('tokens: roles, Bearer and subprotocol, revocation; none is asked for on loopback unless required', async () => {
  const tokens = newTokens()
  const of = Object.fromEntries(
    (['reader', 'writer', 'admin'] as const).map((role) => [role, createToken(tokens, { role, name: role })]),
  ) as unknown as Record<Role, { token: string; info: { id: string } }>
  await using free = await serve({ tokens })
  assert.equal((await ask(free.port, '/v1/read')).status, 200)
  assert.equal((await ask(free.port, '/v1/read', { headers: { authorization: 'Bearer mr_wrong' } })).code, 'HTTP_TOKEN_INVALID')

  await using at = await serve({ tokens, auth: 'required' })
  const read = (authorization?: string) => ask(at.port, '/v1/read', { headers: authorization ? { authorization } : {} })
  const write = (token: string) =>
    ask(at.port, '/v1/write', {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    })
  const missing = await read()
  assert.deepEqual([missing.status, missing.code, missing.headers['www-authenticate']], [401, 'HTTP_TOKEN_MISSING', 'Bearer'])
  assert.equal((await read(`Bearer ${of.reader.token}`)).status, 200)
  assert.equal((await read(`Basic ${of.reader.token}`)).code, 'HTTP_TOKEN_INVALID')
  assert.equal(
    (await read(`Bearer ${of.reader.token.slice(0, -1)}${of.reader.token.endsWith('A') ? 'B' : 'A'}`)).code,
    'HTTP_TOKEN_INVALID',
  )
  assert.equal((await read(`Bearer ${of.writer.token}`)).code, 'HTTP_ROLE_FORBIDDEN')
  assert.equal((await write(of.reader.token)).code, 'HTTP_ROLE_FORBIDDEN')
  assert.deepEqual([(await write(of.writer.token)).status, (await write(of.admin.token)).status], [200, 200])

  assert.equal(await upgrade(at.port), '401 HTTP_TOKEN_MISSING')
  assert.equal(await upgrade(at.port, { protocols: ['millrace', 'millrace.token.mr_wrong'] }), '401 HTTP_TOKEN_INVALID')
  assert.equal(await upgrade(at.port, { protocols: ['millrace', `millrace.token.${of.reader.token}`] }), 'open millrace')
  assert.equal(await upgrade(at.port, { headers: { authorization: `Bearer ${of.reader.token}` } }), 'open')

  tokens.revoke(of.reader.info.id)
  assert.equal((await read(`Bearer ${of.reader.token}`)).code, 'HTTP_TOKEN_INVALID')
})

test('tokens are stored as hashes, readable by the owner alone; another process sees them; a broken file is an error', async () => {
  const tokens = newTokens()
  const { token, info } = createToken(tokens, { role: 'admin', name: 'ci' })
  const text = readFileSync(tokens.file, 'utf8')
  assert.ok(!text.includes(token.split('_').slice(2).join('_')))
  assert.equal(statSync(tokens.file).mode & 0o777, 0o600)
  assert.deepEqual(new TokenStore(tokens.file).verify(token)?.id, info.id)
  const other = createToken(new TokenStore(tokens.file), { role: 'reader', name: 'other' })
  assert.equal(tokens.list().length, 2)
  assert.ok(tokens.verify(other.token))
  assert.throws(() => tokens.revoke('000000000000'), code('AUTH_TOKEN_NOT_FOUND'))
  assert.throws(() => createToken(tokens, { role: 'root' as Role, name: '' }), code('AUTH_ROLE_INVALID'))
  writeFileSync(tokens.file, '{"tokens":[{"id":"x"}]}')
  assert.throws(() => new TokenStore(tokens.file), code('AUTH_FILE_INVALID'))
})

test('an address that others can reach needs a token, or to be told that it is insecure', async () => {
  await assert.rejects(makeHttpServer({ host: '0.0.0.0' }), code('HTTP_TOKENS_MISSING'))
  await assert.rejects(makeHttpServer({ host: '0.0.0.0', tokens: newTokens() }), code('HTTP_TOKENS_MISSING'))
  await assert.rejects(makeHttpServer({ auth: 'required' }), code('HTTP_TOKENS_MISSING'))
  const lines: string[] = []
  const logger = pino({}, { write: (line: string) => lines.push(line) })
  await (await makeHttpServer({ host: '0.0.0.0', insecure: true, logger })).close()
  assert.match(lines.join(), /INSECURE/)
  const tokens = newTokens()
  createToken(tokens, { role: 'admin', name: '' })
  await (await makeHttpServer({ host: '0.0.0.0', tokens })).close()
})

test('a port in use is a typed error that says which flag to use', async () => {
  await using at = await serve()
  const second = await makeHttpServer({ port: at.port, portFlag: '--http-port' })
  await assert.rejects(second.listen(), (error: StreamError) => error.code === 'HTTP_PORT_IN_USE' && error.hint.includes('--http-port'))
  await second.close()
  const third = await makeHttpServer({ host: '203.0.113.1', insecure: true, logger: pino({ level: 'silent' }) })
  await assert.rejects(third.listen(), code('HTTP_ADDRESS_UNAVAILABLE'))
  await third.close()
})

test('limits are typed errors and counted', async () => {
  await using at = await serve(
    {
      limits: {
        bodyBytes: 1000,
        urlBytes: 200,
        headerBytes: 2000,
        requestsInFlight: 1,
        webSockets: 2,
        webSocketsPerClient: 1,
        webSocketMessageBytes: 100,
      },
    },
    ({ app }) => app.get('/v1/slow', () => delay(200, { ok: true })),
  )
  const json = { 'content-type': 'application/json' }
  const post = (body: string, headers: Record<string, string> = json) => ask(at.port, '/v1/write', { method: 'POST', body, headers })
  assert.deepEqual((({ status, code }) => [status, code])(await post(JSON.stringify('x'.repeat(2000)))), [413, 'HTTP_BODY_TOO_LARGE'])
  assert.deepEqual((({ status, code }) => [status, code])(await ask(at.port, `/v1/read?x=${'y'.repeat(300)}`)), [414, 'HTTP_URL_TOO_LONG'])
  assert.deepEqual((({ status, code }) => [status, code])(await ask(at.port, '/v1/read', { headers: { x: 'y'.repeat(3000) } })), [
    431,
    'HTTP_HEADERS_TOO_LARGE',
  ])
  const slow = ask(at.port, '/v1/slow')
  await delay(50)
  const busy = await ask(at.port, '/v1/read')
  assert.deepEqual([busy.status, busy.code, busy.headers['retry-after']], [503, 'HTTP_REQUESTS_LIMIT', '1'])
  assert.equal((await slow).status, 200)
  assert.equal((await ask(at.port, '/v1/read')).status, 200)

  const socket = new WebSocket(`ws://127.0.0.1:${at.port}/v1/live`)
  await new Promise((resolve) => socket.on('open', resolve))
  assert.equal(await upgrade(at.port), '429 HTTP_CLIENT_SOCKETS_LIMIT')
  socket.send('x'.repeat(200))
  assert.equal(await new Promise((resolve) => socket.on('close', resolve)), 1009)
  await delay(20)
  assert.equal(await upgrade(at.port), 'open')
  const text = (await ask(at.port, '/metrics')).text
  for (const refused of [
    'HTTP_BODY_TOO_LARGE',
    'HTTP_URL_TOO_LONG',
    'HTTP_HEADERS_TOO_LARGE',
    'HTTP_REQUESTS_LIMIT',
    'HTTP_CLIENT_SOCKETS_LIMIT',
    'HTTP_MESSAGE_TOO_LARGE',
  ])
    assert.match(text, new RegExp(`millrace_http_rejected_total\\{code="${refused}"\\} [1-9]`))
  assert.match(text, /millrace_http_request_duration_seconds_count\{.*route="\/v1\/read"/)
  assert.match(text, /process_resident_memory_bytes/)
})

test('too many connections are told so', async () => {
  await using at = await serve({ limits: { connections: 1 } })
  const first = connect(at.port, '127.0.0.1')
  await delay(30)
  assert.match(await raw(at.port, 'GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n'), /503[\s\S]*HTTP_CONNECTIONS_LIMIT/)
  first.destroy()
})

test('a request that trickles in is cut off', async () => {
  await using at = await serve({ limits: { headersMs: 200, requestMs: 300 } })
  assert.match(await raw(at.port, 'GET /v1/read HTTP/1.1\r\nHost: loc'), /408[\s\S]*HTTP_REQUEST_TIMEOUT/)
})

test('every refusal is an ApiError: unknown routes, broken JSON, wrong types, what is not HTTP, and our own faults without their cause', async () => {
  const lines: string[] = []
  await using at = await serve({ logger: pino({ level: 'trace' }, { write: (line: string) => lines.push(line) }) })
  const json = { 'content-type': 'application/json' }
  const post = (body: string, headers: Record<string, string> = json) => ask(at.port, '/v1/write', { method: 'POST', body, headers })
  for (const [answer, status, code] of [
    [await ask(at.port, '/v1/nothing'), 404, 'HTTP_ROUTE_NOT_FOUND'],
    [await ask(at.port, '/v1/read', { method: 'DELETE' }), 404, 'HTTP_ROUTE_NOT_FOUND'],
    [await post('{"a":'), 400, 'HTTP_JSON_INVALID'],
    [await post(''), 400, 'HTTP_JSON_INVALID'],
    [await post('<a/>', { 'content-type': 'text/xml' }), 415, 'HTTP_MEDIA_TYPE_UNSUPPORTED'],
    [await ask(at.port, '/v1/%zz'), 400, 'HTTP_REQUEST_INVALID'],
    [await ask(at.port, '/v1/fail', { headers: { authorization: 'Bearer mr_x' } }), 401, 'HTTP_TOKEN_INVALID'],
    [await ask(at.port, '/v1/fail?token=geheim'), 500, 'HTTP_INTERNAL'],
  ] as const) {
    assert.deepEqual([answer.status, answer.code], [status, code])
    assert.deepEqual(Object.keys(JSON.parse(answer.text).error).sort(), ['code', 'hint', 'message', 'params'])
    assert.ok(!answer.text.includes('passwd') && !/\n\s+at /.test(answer.text), answer.text)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
  assert.match(await raw(at.port, 'hello\r\n\r\n'), /400[\s\S]*HTTP_REQUEST_INVALID/)
  assert.match(lines.join(), /passwd/)
  assert.ok(!/geheim|mr_x|Bearer/.test(lines.join()))
})

test('the console: pages, hashed files, policy, and nothing outside of its folder', async () => {
  const site = join(folder, 'site')
  mkdirSync(join(site, 'assets'), { recursive: true })
  writeFileSync(join(folder, 'secret.txt'), 'secret')
  writeFileSync(join(site, 'index.html'), '<html>console</html>')
  writeFileSync(join(site, '.env'), 'secret')
  writeFileSync(join(site, 'assets', 'main-abc123.js'), 'run()')
  symlinkSync(join(folder, 'secret.txt'), join(site, 'link.txt'))
  await using at = await serve({}, ({ app }) => registerConsole(app, site))
  const page = await ask(at.port, '/topics/clicks?tab=1')
  assert.deepEqual([page.status, page.text, page.headers['content-type']], [200, '<html>console</html>', 'text/html; charset=utf-8'])
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /script-src 'self';/)
  assert.ok(policy.includes(`ws://127.0.0.1:${at.port}`))
  assert.equal((await ask(at.port, '/', { headers: { 'if-none-match': String(page.headers.etag) } })).status, 304)
  const script = await ask(at.port, '/assets/main-abc123.js')
  assert.deepEqual([script.text, script.headers['content-type']], ['run()', 'text/javascript; charset=utf-8'])
  assert.match(String(script.headers['cache-control']), /immutable/)
  const asPage = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } }
  assert.equal((await ask(at.port, '/topics/clicks.invalid', asPage)).text, '<html>console</html>')
  assert.equal((await ask(at.port, '/old.js')).code, 'HTTP_ROUTE_NOT_FOUND')
  for (const init of [{}, asPage]) assert.equal((await ask(at.port, '/assets/old-1.js', init)).code, 'HTTP_ROUTE_NOT_FOUND')
  assert.equal((await ask(at.port, '/v1/unknown')).code, 'HTTP_ROUTE_NOT_FOUND')
  for (const path of [
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/assets/..%2f..%2fsecret.txt',
    '/link.txt',
    '/.env',
    '/%00',
    '/..%5csecret.txt',
    '//etc/passwd',
    '/assets',
  ]) {
    const { status, text } = await ask(at.port, path)
    assert.ok(status >= 400 || text === '<html>console</html>', path)
  }
  await using bare = await serve({}, ({ app }) => registerConsole(app, join(folder, 'nothing')))
  assert.equal((await ask(bare.port, '/')).code, 'HTTP_CONSOLE_MISSING')
})

test('closing frees the port even if a WebSocket client does not answer, and another has said nothing yet', {
  timeout: 10_000,
}, async () => {
  const { server, port } = await serve()
  const silent = connect(port, '127.0.0.1').on('error', () => {})
  await new Promise((resolve) => silent.once('connect', resolve))
  const socket = connect(port, '127.0.0.1', () =>
    socket.write(
      'GET /v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    ),
  )
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('data', resolve))
  const startMs = performance.now()
  await server.close()
  assert.ok(performance.now() - startMs < 2000)
  socket.destroy()
  silent.destroy()
})
