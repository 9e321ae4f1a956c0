// Live WebSockets: frames written once for many sockets, dead peers found, errors that a browser can read.
//
// Invariants
//   1. A frame's WebSocket bytes are made once, however many sockets get it. They are written to the TCP socket as one piece; ws itself writes
//      whole frames at once as compression is off, so the two never interleave within a frame.
//   2. A socket that has neither answered a ping nor taken a byte for two beats is cut off.
//   3. A refusal after the upgrade is an error frame and then a close with code 4000 + HTTP status: a browser hides the answer to a failed upgrade.
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { asHttpError } from '../base/http/index.ts'
import type { StreamError } from '../base/index.ts'
import type { Sink } from '../views/index.ts'

const BEAT_MS = 15_000

const framed = new WeakMap<Buffer, Buffer>()
/** A text as one unmasked WebSocket frame (RFC 6455, 5.2). */
function framedBytes(text: Buffer): Buffer {
  let bytes = framed.get(text)
  if (!bytes) {
    const { length } = text
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
    head[0] = 0x81
    head[1] = length < 126 ? length : length < 65_536 ? 126 : 127
    if (head.length === 4) head.writeUInt16BE(length, 2)
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
    bytes = Buffer.concat([head, text])
    framed.set(text, bytes)
  }
  return bytes
}

export class LiveSocket implements Sink {
  private readonly webSocket: WebSocket
  private readonly tcp: Socket
  private readonly request: FastifyRequest
  private isAlive = true
  private takenBytes = 0

  constructor(webSocket: WebSocket, request: FastifyRequest) {
    this.webSocket = webSocket
    this.tcp = request.raw.socket
    this.request = request
    webSocket.on('pong', () => {
      this.isAlive = true
    })
  }

  send(frame: Buffer): void {
    if (this.webSocket.readyState === this.webSocket.OPEN) this.tcp.write(framedBytes(frame))
  }

  bufferedBytes(): number {
    return this.tcp.writableLength
  }

  end(error: StreamError): void {
    const { log, id: requestId } = this.request
    if (error.code === 'INTERNAL') log.error({ code: error.code, requestId, err: error.cause ?? error }, 'WebSocket failed')
    this.send(Buffer.from(JSON.stringify({ type: 'error', error })))
    this.webSocket.close(4000 + error.httpStatus, error.code)
  }

  onClose(listener: () => void): void {
    this.webSocket.on('close', listener)
  }

  /** Asks for a sign of life; cuts the connection if the last question had none. */
  beat(ping: Buffer): void {
    // A client that is still taking a large snapshot cannot answer yet, but is there.
    const takenBytes = this.tcp.bytesWritten - this.tcp.writableLength
    if (!this.isAlive && takenBytes === this.takenBytes) {
      this.webSocket.terminate()
      return
    }
    this.isAlive = false
    if (this.bufferedBytes() === 0) {
      this.send(ping)
      this.webSocket.ping()
    }
    this.takenBytes = this.tcp.bytesWritten - this.tcp.writableLength
  }
}

export class LiveSockets {
  private readonly sockets = new Set<LiveSocket>()
  private readonly timer: NodeJS.Timeout

  constructor(beatMs = BEAT_MS) {
    this.timer = setInterval(() => {
      const ping = Buffer.from(JSON.stringify({ type: 'ping', atMs: Date.now() }))
      for (const socket of this.sockets) socket.beat(ping)
    }, beatMs).unref()
  }

  /**
   * Runs a live route's handler, which returns what ends it; what it throws becomes an error frame.
   * The route has `attachValidation`, so that wrong parameters come here too.
   */
  open(webSocket: WebSocket, request: FastifyRequest, start: (socket: LiveSocket) => () => void): void {
    const socket = new LiveSocket(webSocket, request)
    try {
      if (request.validationError) throw request.validationError
      const stop = start(socket)
      this.sockets.add(socket)
      socket.onClose(() => {
        this.sockets.delete(socket)
        stop()
      })
    } catch (error) {
      socket.end(asHttpError(error, request))
    }
  }

  close(): void {
    clearInterval(this.timer)
  }
}
