// What all clients of the broker have: one connection, answers in the order of the requests, a time-out after which nobody knows.
import type { EventsAnswer, EventsRequest } from '../../src/ingest/door.ts'
import type { Model } from './model.ts'
import type { ClientSocket, FakeSocket, Network } from './network.ts'
import { Frames, type In, type Out, request } from './wire.ts'
import { Violation, type World } from './world.ts'

/** The process as clients reach it. */
export interface Endpoint {
  accept(): ((socket: FakeSocket) => void) | undefined
  /** The front door; undefined while it is down. The promise may never settle. */
  post(request: EventsRequest): Promise<EventsAnswer> | undefined
}

export interface ClientDeps {
  world: World
  network: Network
  endpoint: Endpoint
  model: Model
  /** What a client's clock says, epoch ms. */
  clock: () => number
}

export const TIMEOUT_MS = 400
export const ERROR_FENCED = new Set([47, 90])
/** Errors that a client of Kafka retries: storage, time-out, not enough replicas, out of order (what was before it failed), coordinator,
 * an end of a transaction that is being written. */
export const ERROR_RETRIABLE = new Set([7, 14, 15, 16, 19, 20, 45, 51, 56])

interface Call {
  correlationId: number
  answer: (body: In | undefined) => void
}

export class KafkaClient {
  protected readonly deps: ClientDeps
  readonly name: string
  private socket: ClientSocket | undefined
  private calls: Call[] = []
  private correlationId = 0
  private connection = 0

  constructor(name: string, deps: ClientDeps) {
    this.name = name
    this.deps = deps
  }

  /** @param answer  undefined: nobody knows what became of it */
  protected call(api: number, body: Out, answer: Call['answer']): void {
    const socket = this.socket ?? this.open()
    const correlationId = ++this.correlationId
    const { connection } = this
    this.calls.push({ correlationId, answer })
    socket.send(request(api, correlationId, this.name, body))
    this.deps.world.after(TIMEOUT_MS, () => {
      if (connection === this.connection && this.calls.some((call) => call.correlationId === correlationId)) this.drop()
    })
  }

  protected drop(): void {
    this.socket?.close()
    this.socket = undefined
    this.connection++
    for (const { answer } of this.calls.splice(0)) answer(undefined)
  }

  private open(): ClientSocket {
    const { network, endpoint } = this.deps
    const frames = new Frames()
    const mine = ++this.connection
    this.socket = network.connect(
      endpoint.accept(),
      (bytes) => {
        for (const frame of frames.take(bytes)) {
          // An answer may make it leave the connection: those behind it in the same write are for nobody.
          if (mine !== this.connection) return
          const call = this.calls.shift()
          const correlationId = frame.int32()
          if (call?.correlationId !== correlationId)
            throw new Violation(`${this.name} got answer ${correlationId} instead of ${call?.correlationId}`)
          call.answer(frame)
        }
      },
      () => mine === this.connection && this.drop(),
    )
    return this.socket
  }
}
