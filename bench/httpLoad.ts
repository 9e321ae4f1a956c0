// A load generator that costs little: kept-alive sockets, bodies made once, answers read by their length.
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  body: string
  retryAfterSeconds: number
}

/** One connection; one request at a time. */
export class HttpConnection {
  private readonly socket: Socket
  private buffer: Buffer = Buffer.alloc(0)
  private waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined
  private readonly host: string

  private constructor(socket: Socket, host: string) {
    this.socket = socket
    this.host = host
    socket.setNoDelay(true)
    socket.on('data', (data: Buffer) => this.onData(data))
    socket.on('error', (error) => this.waiting?.reject(error))
    socket.on('close', () => this.waiting?.reject(new Error('the server closed the connection')))
  }

  static open(port: number): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new HttpConnection(socket, `127.0.0.1:${port}`)))
      socket.once('error', reject)
    })
  }

  post(path: string, contentType: string, body: Uint8Array): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject }
      this.socket.cork()
      this.socket.write(
        `POST ${path} HTTP/1.1\r\nhost: ${this.host}\r\ncontent-type: ${contentType}\r\ncontent-length: ${body.length}\r\n\r\n`,
      )
      this.socket.write(body)
      this.socket.uncork()
    })
  }

  close(): void {
    this.waiting = undefined
    this.socket.destroy()
  }

  private onData(data: Buffer): void {
    this.buffer = this.buffer.length === 0 ? data : Buffer.concat([this.buffer, data])
    const headEnd = this.buffer.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = this.buffer.toString('latin1', 0, headEnd)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (this.buffer.length < headEnd + 4 + length) return
    const body = this.buffer.toString('utf8', headEnd + 4, headEnd + 4 + length)
    this.buffer = this.buffer.subarray(headEnd + 4 + length)
    const { waiting } = this
    this.waiting = undefined
    waiting?.resolve({ status: Number(head.slice(9, 12)), body, retryAfterSeconds: Number(/retry-after: (\d+)/i.exec(head)?.[1] ?? 0) })
  }
}
