// The front door's routes: POST /v1/topics/:topic/events, and the WebSocket /v1/topics/:topic/ws, whose messages are bodies and whose frames
// are their answers, in order.
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { isStreamError, toStreamError } from '../base/index.ts'
import { readBody } from './body.ts'
import type { IngestDeps } from './contract.ts'
import { Door } from './door.ts'
import { traceIdOf } from './enrich.ts'
import { ingestErrors, ingestMetrics } from './errors.ts'
import { mediaTypes } from './forms.ts'

export interface Ingest {
  /** Refuses what comes, and resolves when what is being handled is answered. */
  close(): Promise<void>
  /** What would be said of a body, of the type that the topic takes; nothing is stored. @throws StreamError INGEST_… */
  check(topic: string, body: Uint8Array): ReturnType<Door['check']>
  /** As POST …/events, for events of this process. `text` is the answer. @throws StreamError INGEST_… */
  accept(topic: string, body: Uint8Array, client: string): Promise<{ status: number; text: string }>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Gives back what the request holds of the door's memory. */
    leaveDoor?: () => void
  }
}

interface EventsRoute {
  Params: { topic: string }
  Body: Uint8Array | undefined
}

const gunzipAsync = promisify(gunzip)
const unzstdAsync = promisify(zstdDecompress)

/**
 * Adds the front door to a server. The server's error handler writes what is thrown here.
 *
 * @throws StreamError  the log's errors, if the idempotency keys cannot be read
 */
export async function registerIngest(app: FastifyInstance, deps: IngestDeps): Promise<Ingest> {
  const door = new Door(deps)
  const { limits } = door
  await door.start()
  await app.register(async (scope) => {
    // Also a reservation that is not set yet must be a member of the request's class.
    scope.decorateRequest('leaveDoor', undefined)
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(mediaTypes, (request: FastifyRequest, stream: Readable) => {
      const declared = request.headers['content-length']
      return readBody(stream, declared === undefined ? undefined : Number(declared), limits.bodyBytes, door.buffers)
    })
    scope.addHook('onResponse', async (request) => request.leaveDoor?.())
    scope.setErrorHandler((error, request) => {
      throw ownError(door, error, request)
    })
    scope.post<EventsRoute>(
      '/v1/topics/:topic/events',
      {
        bodyLimit: limits.bodyBytes,
        config: { role: 'writer' },
        schema: { summary: 'Stores events: JSON, CSV or raw, as the table of the topic has them. Answers when they are on disk.' },
        onRequest: async (request, reply) => admit(door, request, reply),
      },
      (request, reply) => post(door, request, reply),
    )
    if (scope.hasDecorator('websocketServer') || app.hasDecorator('websocketServer')) {
      scope.get<{ Params: { topic: string } }>(
        '/v1/topics/:topic/ws',
        {
          websocket: true,
          config: { role: 'writer' },
          schema: {
            summary: 'Stores events: each message is a body as POST takes it (of a raw topic one record), each frame its answer, in order.',
          },
        },
        (socket, request) => produce(door, socket, request),
      )
    }
  })
  return {
    close: () => door.close(),
    check: (topic, body) => door.check(topic, body),
    async accept(topic, body, client) {
      const leave = door.admit(topic, body.length)
      try {
        return await door.accept({ topic, body, form: door.formOf(topic), traceId: traceIdOf(undefined), source: 'repair', client })
      } finally {
        leave()
      }
    },
  }
}

function admit(door: Door, request: FastifyRequest, reply: FastifyReply): void {
  const { bodyBytes } = door.limits
  const declared = Number(request.headers['content-length'])
  if (declared > bodyBytes) {
    ingestMetrics.tooLarge.inc()
    throw ingestErrors('INGEST_BODY_TOO_LARGE', { limitBytes: bodyBytes })
  }
  encodingOf(request)
  const { topic } = request.params as EventsRoute['Params']
  door.formOf(topic, request.headers['content-type'] ?? '')
  const isKnown = Number.isInteger(declared) && request.headers['content-encoding'] === undefined
  const leave = door.admit(topic, isKnown ? declared : bodyBytes)
  let isThere = true
  const leaveOnce = () => {
    if (isThere) leave()
    isThere = false
  }
  request.leaveDoor = leaveOnce
  // Also when the client has gone before its body was there.
  reply.raw.once('close', leaveOnce)
}

async function post(door: Door, request: FastifyRequest<EventsRoute>, reply: FastifyReply): Promise<FastifyReply> {
  const received = request.body
  const { headers } = request
  const { topic } = request.params
  const form = door.formOf(topic, headers['content-type'] ?? '')
  if (received === undefined || received.length === 0 || form === undefined)
    throw ingestErrors('INGEST_BODY_EMPTY', { bodies: door.bodiesOf(topic) })
  const key = headers['idempotency-key']
  try {
    const { status, text, isReplayed } = await door.accept({
      topic,
      body: await decompress(received, encodingOf(request), door.limits.bodyBytes),
      form,
      traceId: traceIdOf(headers.traceparent as string | undefined),
      source: 'http',
      client: request.ip,
      idempotencyKey: Array.isArray(key) ? key.join(',') : key,
    })
    if (isReplayed) reply.header('idempotency-replayed', 'true')
    return reply.code(status).header('content-type', 'application/json; charset=utf-8').send(text)
  } finally {
    // Its events are in the log or refused: nothing looks at it any more.
    door.buffers.give(received)
  }
}

type Encoding = 'identity' | 'gzip' | 'zstd'

/** @throws StreamError INGEST_CONTENT_ENCODING */
function encodingOf(request: FastifyRequest): Encoding {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity' || encoding === 'gzip' || encoding === 'zstd') return encoding
  if (encoding === 'x-gzip') return 'gzip'
  throw ingestErrors('INGEST_CONTENT_ENCODING', { encoding: encoding.slice(0, 100) })
}

/** @throws StreamError INGEST_BODY_TOO_LARGE as soon as the limit is reached, INGEST_COMPRESSION_DAMAGED */
async function decompress(bytes: Uint8Array, encoding: Encoding, limitBytes: number): Promise<Uint8Array> {
  if (encoding === 'identity') return bytes
  try {
    return await (encoding === 'gzip' ? gunzipAsync : unzstdAsync)(bytes, { maxOutputLength: limitBytes })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      ingestMetrics.tooLarge.inc()
      throw ingestErrors('INGEST_BODY_TOO_LARGE', { limitBytes })
    }
    throw ingestErrors('INGEST_COMPRESSION_DAMAGED', { encoding, reason: message })
  }
}

/** Fastify's error as ours, where it says more here; the server's handler does the rest. */
function ownError(door: Door, error: unknown, { headers, params }: FastifyRequest): unknown {
  if ((error as { code?: string }).code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return error
  const bodies = door.bodiesOf((params as EventsRoute['Params']).topic)
  return ingestErrors('INGEST_MEDIA_TYPE', { mediaType: (headers['content-type'] ?? '').slice(0, 200), bodies })
}

/** How long a message waits while the door is full, before it looks again. */
const WAIT_MS = 20
/** Answers that a client has not read yet: above it nothing more is read from it. */
const UNREAD_BYTES_MAX = 1 << 20

/** Handles a WebSocket's messages one after the other; while they wait, or the client does not read its answers, it is not read from. */
function produce(door: Door, socket: WebSocket, request: FastifyRequest<{ Params: { topic: string } }>): void {
  const { topic } = request.params
  const waiting: Buffer[] = []
  let isBusy = false
  let isPaused = false
  const work = async () => {
    isBusy = true
    while (waiting.length > 0 && socket.readyState === socket.OPEN) {
      while (socket.bufferedAmount > UNREAD_BYTES_MAX && socket.readyState === socket.OPEN) await sleep(WAIT_MS)
      const body = waiting.shift()!
      socket.send(await answerOf(body))
      if (isPaused && waiting.length === 0) {
        isPaused = false
        socket.resume()
      }
    }
    isBusy = false
  }
  const answerOf = async (body: Buffer): Promise<string> => {
    let leave: (() => void) | undefined
    try {
      if (body.length === 0) throw ingestErrors('INGEST_BODY_EMPTY', { bodies: door.bodiesOf(topic) })
      leave = await enter(door, topic, body.length, () => socket.readyState === socket.OPEN)
      const traceId = traceIdOf(request.headers.traceparent as string | undefined)
      const { text } = await door.accept({ topic, body, form: door.formOf(topic), traceId, source: 'websocket', client: request.ip })
      return text
    } catch (error) {
      const failure = toStreamError(error)
      if (failure.kind === 'internal')
        request.log.error({ code: failure.code, requestId: request.id, err: error }, 'WebSocket message failed')
      return JSON.stringify({ error: failure })
    } finally {
      leave?.()
    }
  }
  socket.on('message', (data) => {
    waiting.push(Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data))
    if (waiting.length >= door.limits.webSocketMessages && !isPaused) {
      isPaused = true
      socket.pause()
    }
    if (!isBusy) void work()
  })
  socket.on('error', () => socket.terminate())
}

/** A place in the door, waited for: the client is held back by not being read from. */
async function enter(door: Door, topic: string, sizeBytes: number, isOpen: () => boolean): Promise<() => void> {
  for (;;) {
    try {
      return door.admit(topic, sizeBytes)
    } catch (error) {
      if (!isStreamError(error) || error.code !== 'INGEST_OVERLOADED' || !isOpen()) throw error
    }
    await sleep(WAIT_MS)
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
