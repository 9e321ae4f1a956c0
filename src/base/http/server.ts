// The HTTP and WebSocket server that every part hangs its routes on.
//
// Invariants
//   1. Every answer that is not 2xx or 3xx is an ApiError, also for what Node's parser refuses; a 5xx of ours never shows its cause, the log does.
//   2. Nothing that a client sends is logged but method, route and the request's id: no headers, no query, no body, so no secret.
//   3. Each limit has a number in HttpLimits, a typed error, and a count in millrace_http_rejected_total{code}.
//   4. Every request passes host, origin and token checks (guard.ts) before anything of it is parsed.
import type { Socket } from 'node:net'
import websocket from '@fastify/websocket'
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram } from 'prom-client'
import type { TokenInfo, TokenStore } from '../auth.ts'
import { isStreamError, type StreamError } from '../errors.ts'
import { metrics } from '../metrics.ts'
import { httpErrors } from './errors.ts'
import { isLoopback, makeGuard, PROTOCOL, type RouteRole } from './guard.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may use the route; a route that does not say is for readers if it is a GET, else for admins. */
    role?: RouteRole
    /** Not in openapi.json. */
    isHidden?: boolean
  }
  interface FastifySchema {
    /** One sentence for openapi.json. */
    summary?: string
    description?: string
  }
  interface FastifyRequest {
    /** Who the request's token speaks for; undefined where none is needed. */
    caller?: TokenInfo
  }
  interface FastifyInstance {
    /** All routes so far, for openapi.json. */
    routeList: RouteInfo[]
    /** Whether routes that are not public ask for an access token. */
    isTokenNeeded: boolean
  }
}
export interface RouteInfo {
  method: string
  url: string
  schema: Record<string, unknown>
  isWebSocket: boolean
  role: RouteRole
}

export interface HttpLimits {
  bodyBytes: number
  urlBytes: number
  headerBytes: number
  /** TCP connections, WebSockets included. */
  connections: number
  requestsInFlight: number
  webSockets: number
  /** WebSockets from one address; a WebSocket carries one subscription. */
  webSocketsPerClient: number
  /** One message from a client. */
  webSocketMessageBytes: number
  /** Until a request's headers are there. */
  headersMs: number
  /** Until a request's body is there. */
  requestMs: number
  /** How long an idle connection is kept. */
  keepAliveMs: number
}
export const httpLimits: HttpLimits = {
  bodyBytes: 16 * 1024 * 1024,
  urlBytes: 8_192,
  headerBytes: 16_384,
  connections: 25_000,
  requestsInFlight: 10_000,
  webSockets: 20_000,
  webSocketsPerClient: 20_000,
  webSocketMessageBytes: 1024 * 1024,
  headersMs: 10_000,
  requestMs: 60_000,
  keepAliveMs: 72_000,
}

export interface HttpServerOptions {
  /** Address to listen on; 127.0.0.1 unless said. */
  host?: string
  /** 0 takes a free one. */
  port?: number
  /** What the user would say to get another port, for the error's hint. */
  portFlag?: string
  /** Names, besides localhost and IP addresses, under which the server is reached. */
  hostNames?: readonly string[]
  /** Other origins whose pages may use the API, as https://shop.test */
  origins?: readonly string[]
  /** 'required' asks for a token also on loopback. */
  auth?: 'auto' | 'required'
  /** Lets everybody in who can connect, also from other machines. */
  insecure?: boolean
  tokens?: TokenStore
  limits?: Partial<HttpLimits>
  logger?: FastifyBaseLogger
}

export interface HttpServer {
  app: FastifyInstance
  limits: HttpLimits
  /** @throws StreamError HTTP_PORT_IN_USE, HTTP_ADDRESS_UNAVAILABLE */
  listen(): Promise<{ host: string; port: number; url: string }>
  /** Answers what is in flight, closes WebSockets, and frees the port. */
  close(): Promise<void>
}

const durationSeconds = new Histogram({
  name: 'millrace_http_request_duration_seconds',
  help: 'Time to answer HTTP requests, by method, route and status.',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  registers: [metrics],
})
const rejectedTotal = new Counter({
  name: 'millrace_http_rejected_total',
  help: 'Requests and connections refused, by error code.',
  labelNames: ['code'],
  registers: [metrics],
})
const openGauge = new Gauge({
  name: 'millrace_http_open',
  help: 'Open connections, requests in flight and WebSockets.',
  labelNames: ['what'],
  registers: [metrics],
})
/** How long a client has to end its connection before it is cut. */
const CLOSE_MS = 300

/**
 * Makes the server; routes are then added to `app`, and `listen` starts it.
 *
 * @throws StreamError HTTP_TOKENS_MISSING if it would be open to other machines without a token
 */
export async function makeHttpServer(options: HttpServerOptions = {}): Promise<HttpServer> {
  const {
    host = '127.0.0.1',
    port = 0,
    portFlag = '--port',
    hostNames = [],
    origins = [],
    auth = 'auto',
    insecure = false,
    tokens,
    logger,
  } = options
  const limits = { ...httpLimits, ...options.limits }
  const isOpen = !isLoopback(host)
  const isTokenNeeded = auth === 'required' || (isOpen && !insecure)
  if (isTokenNeeded && (tokens?.list().length ?? 0) === 0) throw httpErrors('HTTP_TOKENS_MISSING', { host })
  if (isOpen && !isTokenNeeded)
    warn(
      logger,
      `INSECURE: everybody who can reach ${host} may read and change everything, because of --insecure and no access token is asked for`,
    )

  if (!metrics.getSingleMetric('process_cpu_user_seconds_total')) collectDefaultMetrics({ register: metrics })
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 1024 },
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
    },
    // A parameter that a route does not know is an error, never dropped in silence.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allowUnionTypes: true, allErrors: false } },
    clientErrorHandler: (error, socket) => refuseSocket(socket, error as Error & { code?: string }, limits),
    frameworkErrors: (error, request, reply) => sendError(reply, asHttpError(error, request, limits), request),
  }) as unknown as FastifyInstance
  // Schemas check and document; they do not choose which members of an answer are written.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))

  const webSocketsOfClient = new Map<string, number>()
  let webSocketCount = 0
  await app.register(websocket, {
    options: {
      maxPayload: limits.webSocketMessageBytes,
      // Frames are written once for all subscribers; compressing would be per socket.
      perMessageDeflate: false,
      handleProtocols: (protocols) => (protocols.has(PROTOCOL) ? PROTOCOL : false),
    },
    errorHandler: (error, socket, request) => {
      if ((error as NodeJS.ErrnoException).code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
        rejectedTotal.inc({ code: 'HTTP_MESSAGE_TOO_LARGE' })
      else if (!(error as NodeJS.ErrnoException).code?.match(/^(WS_ERR|E[A-Z]+$)/))
        request.log.error({ code: 'HTTP_INTERNAL', requestId: request.id, err: error }, 'WebSocket failed')
      socket.terminate()
    },
    preClose(done) {
      const { clients } = this.websocketServer
      for (const client of clients) client.close(1001, 'the server is stopping')
      setTimeout(() => {
        for (const client of clients) client.terminate()
      }, CLOSE_MS).unref()
      this.websocketServer.close(() => done())
    },
  })
  // Also what is not set yet must be a member of the request's class.
  app.decorateRequest('caller', undefined)
  app.decorate('routeList', [])
  app.decorate('isTokenNeeded', isTokenNeeded)
  const webSocketPaths = new Set<string | undefined>()
  app.addHook('onRoute', (route) => {
    const isWebSocket = route.wsHandler !== undefined || route.websocket === true
    if (isWebSocket) webSocketPaths.add(route.url)
    if (route.method === 'HEAD' || route.config?.isHidden) return
    const methods = Array.isArray(route.method) ? route.method : [route.method]
    for (const method of methods)
      app.routeList.push({
        method,
        url: route.url,
        schema: (route.schema ?? {}) as Record<string, unknown>,
        isWebSocket,
        role: roleOf(method, route.config?.role),
      })
  })

  let requestCount = 0
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    app.server.getConnections((_, count) => {
      openGauge.set({ what: 'connections' }, count)
      if (count > limits.connections) writeRefusal(socket, httpErrors('HTTP_CONNECTIONS_LIMIT', { max: limits.connections }))
    })
  })

  const guard = makeGuard({ hostNames: isIpOrEmpty(host) ? hostNames : [host, ...hostNames], origins, isTokenNeeded, tokens })
  app.addHook('onRequest', async (request, reply) => {
    setHeaders(reply)
    if (request.ws) {
      const client = request.ip
      const ofClient = webSocketsOfClient.get(client) ?? 0
      if (webSocketCount >= limits.webSockets) throw httpErrors('HTTP_WEBSOCKETS_LIMIT', { max: limits.webSockets })
      if (ofClient >= limits.webSocketsPerClient) throw httpErrors('HTTP_CLIENT_SOCKETS_LIMIT', { max: limits.webSocketsPerClient })
      webSocketsOfClient.set(client, ofClient + 1)
      openGauge.set({ what: 'webSockets' }, ++webSocketCount)
      request.raw.socket.once('close', () => {
        openGauge.set({ what: 'webSockets' }, --webSocketCount)
        const left = (webSocketsOfClient.get(client) ?? 1) - 1
        if (left === 0) webSocketsOfClient.delete(client)
        else webSocketsOfClient.set(client, left)
      })
    } else {
      openGauge.set({ what: 'requests' }, ++requestCount)
      reply.raw.once('close', () => openGauge.set({ what: 'requests' }, --requestCount))
      if (requestCount > limits.requestsInFlight) throw httpErrors('HTTP_REQUESTS_LIMIT', { max: limits.requestsInFlight })
    }
    if ((request.raw.url ?? '').length > limits.urlBytes) throw httpErrors('HTTP_URL_TOO_LONG', { maxBytes: limits.urlBytes })
    guard.checkHost(request)
    const foreignOrigin = guard.checkOrigin(request)
    if (foreignOrigin !== undefined) {
      reply
        .header('access-control-allow-origin', foreignOrigin)
        .header('vary', 'Origin')
        .header('cross-origin-resource-policy', 'cross-origin')
      if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined)
        return reply
          .code(204)
          .header('access-control-allow-methods', 'GET, POST, PUT, PATCH, DELETE')
          .header('access-control-allow-headers', 'authorization, content-type, idempotency-key')
          .header('access-control-max-age', '600')
          .send()
    }
    request.caller = guard.checkToken(request, roleOf(request.method, request.routeOptions.config?.role))
    // Else it would be opened, and closed without a word.
    if (request.ws && !webSocketPaths.has(request.routeOptions.url)) throw routeNotFound(request)
  })
  app.addHook('onResponse', async (request, reply) => {
    const labels = { method: request.method, route: request.routeOptions.url ?? 'unknown', status: String(reply.statusCode) }
    durationSeconds.observe(labels, reply.elapsedTime / 1000)
  })
  app.setErrorHandler((error, request, reply) => sendError(reply, asHttpError(error, request, limits), request))
  app.setNotFoundHandler((request, reply) => sendError(reply, routeNotFound(request), request))
  app.get('/metrics', { config: { role: 'reader' }, schema: { summary: 'Metrics in Prometheus text format.' } }, async (_, reply) => {
    reply.header('content-type', metrics.contentType)
    return metrics.metrics()
  })

  return {
    app,
    limits,
    async listen() {
      try {
        await app.listen({ host, port })
      } catch (error) {
        throw listenError(error as NodeJS.ErrnoException, host, port, portFlag)
      }
      const address = app.server.address()
      const actualPort = typeof address === 'object' && address ? address.port : port
      const shown = host.includes(':') ? `[${host}]` : host
      return { host, port: actualPort, url: `http://${shown}:${actualPort}` }
    },
    async close() {
      // Node waits for connections that have asked nothing yet (browsers connect in advance) and for upgrades that were broken off.
      const timer = setInterval(() => {
        if (requestCount === 0) for (const socket of sockets) socket.destroy()
      }, CLOSE_MS)
      try {
        await app.close()
      } finally {
        clearInterval(timer)
      }
    },
  }
}

const isIpOrEmpty = (host: string): boolean => host === '' || /^[\d.]+$|:/.test(host)
const roleOf = (method: string, role: RouteRole | undefined): RouteRole =>
  role ?? (method === 'GET' || method === 'HEAD' ? 'reader' : 'admin')

function warn(logger: FastifyBaseLogger | undefined, text: string): void {
  if (logger) logger.warn(text)
  else process.emitWarning(text)
}

/** For answers that are data: no page of anybody can run, frame or sniff them. Pages of the console replace the policy. */
function setHeaders(reply: FastifyReply): void {
  reply
    .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    .header('x-content-type-options', 'nosniff')
    .header('x-frame-options', 'DENY')
    .header('referrer-policy', 'no-referrer')
    .header('cross-origin-resource-policy', 'same-origin')
    .header('cross-origin-opener-policy', 'same-origin')
    .header('cache-control', 'no-store')
}

const pathOf = (request: FastifyRequest): string => (request.raw.url ?? '').split('?')[0].slice(0, 200)
export const routeNotFound = (request: FastifyRequest): StreamError =>
  httpErrors('HTTP_ROUTE_NOT_FOUND', { method: request.method, path: pathOf(request) })

interface FastifyLikeError extends Error {
  code?: string
  statusCode?: number
  validation?: { instancePath: string; message?: string; params: Record<string, unknown> }[]
  validationContext?: string
}

/** Whatever was thrown as an error that may be shown; what is ours to mend becomes HTTP_INTERNAL and is logged. */
export function asHttpError(thrown: unknown, request: FastifyRequest, limits: HttpLimits = httpLimits): StreamError {
  if (isStreamError(thrown) && (thrown.kind !== 'internal' || thrown.httpStatus !== 500)) return thrown
  const error = thrown as FastifyLikeError
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return httpErrors('HTTP_BODY_TOO_LARGE', { maxBytes: limits.bodyBytes })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return httpErrors('HTTP_MEDIA_TYPE_UNSUPPORTED', { mediaType: (request.headers['content-type'] ?? '').slice(0, 200) })
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return httpErrors('HTTP_JSON_INVALID', { reason: error.message })
  }
  if (error.validation?.[0]) {
    const [{ instancePath, message = 'is invalid', params }] = error.validation
    const unknownName = params.additionalProperty ?? params.unevaluatedProperty
    const path = `${error.validationContext ?? 'request'}${instancePath.replaceAll('/', '.')}`
    return httpErrors('HTTP_REQUEST_INVALID', {
      path,
      reason: unknownName ? `must not have "${String(unknownName).slice(0, 100)}"` : message,
    })
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return httpErrors('HTTP_REQUEST_INVALID', { reason: error.message })
  const failure = httpErrors('HTTP_INTERNAL', { requestId: request.id })
  const { code, params } = failure
  request.log.error({ code, ...params, method: request.method, path: pathOf(request), err: thrown }, 'request failed')
  return failure
}

function sendError(reply: FastifyReply, error: StreamError, request: FastifyRequest): FastifyReply {
  rejectedTotal.inc({ code: error.code })
  // What the router itself refuses has passed no hook.
  if (!reply.hasHeader('x-content-type-options')) setHeaders(reply)
  request.log.debug({ code: error.code, requestId: request.id, method: request.method, path: pathOf(request) }, 'request refused')
  if (error.httpStatus === 401) reply.header('www-authenticate', 'Bearer')
  if (error.retry === 'later' && error.httpStatus >= 429) reply.header('retry-after', '1')
  return reply.code(error.httpStatus).header('content-type', 'application/json; charset=utf-8').send(errorText(error))
}

const errorText = (error: StreamError): string =>
  JSON.stringify({ error }, (_, value) => (typeof value === 'bigint' ? String(value) : value))

/** What Node's parser refuses before there is a request. */
function refuseSocket(socket: Socket, error: Error & { code?: string }, limits: HttpLimits): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  if (error.code === 'HPE_HEADER_OVERFLOW') writeRefusal(socket, httpErrors('HTTP_HEADERS_TOO_LARGE', { maxBytes: limits.headerBytes }))
  else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') writeRefusal(socket, httpErrors('HTTP_REQUEST_TIMEOUT', { maxMs: limits.headersMs }))
  else writeRefusal(socket, httpErrors('HTTP_REQUEST_INVALID', { reason: 'this is not an HTTP request' }))
}

function writeRefusal(socket: Socket, error: StreamError): void {
  rejectedTotal.inc({ code: error.code })
  const body = errorText(error)
  const head = `HTTP/1.1 ${error.httpStatus} Refused\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`
  socket.on('error', () => {})
  socket.end(head + body, () => socket.destroy())
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number, flag: string): StreamError {
  if (error.code === 'EADDRINUSE') return httpErrors('HTTP_PORT_IN_USE', { host, port, flag }, { cause: error })
  return httpErrors('HTTP_ADDRESS_UNAVAILABLE', { host, port, reason: error.message }, { cause: error })
}
