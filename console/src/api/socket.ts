// A WebSocket that comes back.
//
//   connecting --open--> live --close or silence--> reconnecting --wait--> connecting
//
// Invariants
//   1. After close() nothing is called any more.
//   2. Waits double from 0.5 s to 15 s with jitter, and start over after a connection that lived for 5 s.
//   3. A refusal (an error frame, then a close with 4000 + HTTP status) is reported; asking again waits the longest time, for a table that
//      does not exist may exist later. 401 opens the token prompt. A table that was dropped is usually there again at once, as when its query is
//      rescaled or changed: that is a lost connection first, and a refusal if it stays away.
//   4. Where one comes back, the server is there: all that wait for it try at once, so that no page is live with old rows.
//   5. A connection on which nothing arrives for `silenceMs` counts as lost (the server pings or reports well within it).
import type { ApiError } from '../../../src/serve/contract.ts'
import { access, apiGet, openWebSocket } from './client.ts'
import { parseExact } from './json.ts'

export type LinkState = 'connecting' | 'live' | 'reconnecting'

export interface LiveSocketOptions {
  /** Path with query; asked before each connection, so that it can carry the newest resume token. */
  path: () => string
  onFrame: (frame: unknown) => void
  onState: (state: LinkState, retryAtMs: number | null) => void
  onRefusal: (error: ApiError['error']) => void
  silenceMs?: number
}

const waitMsMax = 15_000
/** Lost, and not yet tried again. */
const lost = new Set<LiveSocket>()

export class LiveSocket {
  #options: LiveSocketOptions
  #socket: WebSocket | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #silenceTimer: ReturnType<typeof setTimeout> | undefined
  #failureCount = 0
  #openedAtMs = 0
  #isClosed = false
  #stopAccess: () => void

  constructor(options: LiveSocketOptions) {
    this.#options = options
    this.#stopAccess = access.subscribe(() => !access.isWanted && this.restart())
    addEventListener('online', this.restart)
    this.#connect('connecting')
  }

  /** Connects again at once, from the newest resume token. */
  restart = (): void => {
    if (this.#isClosed) return
    this.#drop()
    this.#failureCount = 0
    this.#connect('reconnecting')
  }

  close(): void {
    this.#isClosed = true
    this.#stopAccess()
    removeEventListener('online', this.restart)
    this.#drop()
  }

  #connect(state: LinkState): void {
    clearTimeout(this.#timer)
    lost.delete(this)
    this.#options.onState(state, null)
    let socket: WebSocket
    try {
      socket = openWebSocket(this.#options.path())
    } catch {
      // Only a token with characters that no header can hold gets here.
      access.demand()
      return
    }
    this.#socket = socket
    let isDropped = false
    socket.onopen = () => {
      this.#openedAtMs = Date.now()
      this.#options.onState('live', null)
      this.#watch()
      for (const other of lost) other.#connect('reconnecting')
    }
    socket.onmessage = (event) => {
      this.#watch()
      if (typeof event.data !== 'string') return
      const frame = parseExact(event.data) as { type?: string; error?: ApiError['error'] }
      if (frame.type === 'error' && frame.error?.code === 'VIEW_DROPPED') isDropped = true
      else if (frame.type === 'error' && frame.error) this.#options.onRefusal(frame.error)
      else this.#options.onFrame(frame)
    }
    socket.onclose = (event) => {
      if (event.code === 4401) access.demand()
      this.#lost(!isDropped && event.code >= 4400 && event.code < 4500)
    }
  }

  #watch(): void {
    clearTimeout(this.#silenceTimer)
    this.#silenceTimer = setTimeout(() => this.#lost(), this.#options.silenceMs ?? 60_000)
  }

  #lost(isRefused = false): void {
    const wasOpen = this.#openedAtMs > 0
    if (wasOpen && Date.now() - this.#openedAtMs > 5_000) this.#failureCount = 0
    this.#drop()
    if (this.#isClosed) return
    // A browser does not tell why a handshake failed. An HTTP read does: 401 opens the token prompt.
    if (!wasOpen) apiGet('/v1/stats').catch(() => undefined)
    const patientMs = isRefused ? waitMsMax : Math.min(waitMsMax, 500 * 2 ** this.#failureCount++)
    const waitMs = patientMs * (0.75 + Math.random() / 2)
    this.#options.onState('reconnecting', Date.now() + waitMs)
    if (!isRefused) lost.add(this)
    this.#timer = setTimeout(() => this.#connect('reconnecting'), waitMs)
  }

  #drop(): void {
    clearTimeout(this.#timer)
    lost.delete(this)
    clearTimeout(this.#silenceTimer)
    this.#openedAtMs = 0
    const socket = this.#socket
    this.#socket = null
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close()
  }
}
