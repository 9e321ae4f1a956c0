// Connections between clients and the process: bytes come late, in pieces, or not at all.
//
// Faults: delays; a reset in the middle of a frame; a half-open connection, on which nothing arrives any more and nobody is told; a
// connection that is refused while the process is down.
import { EventEmitter } from 'node:events'
import type { World } from './world.ts'

export interface NetworkFaults {
  /** Chance for each piece. */
  reset: number
  halfOpen: number
  slow: number
}

/** The process's side: as much of `node:net`'s Socket as a connection uses. */
export class FakeSocket extends EventEmitter {
  readonly remoteAddress = '127.0.0.1'
  readonly localAddress = '127.0.0.1'
  readonly localPort = 9092
  readonly writableNeedDrain = false
  destroyed = false
  private isHeld = false
  private held: Buffer[] = []
  private readonly transmit: (bytes: Buffer) => void
  private readonly onDestroy: () => void

  constructor(transmit: (bytes: Buffer) => void, onDestroy: () => void) {
    super()
    this.transmit = transmit
    this.onDestroy = onDestroy
  }

  write(bytes: Uint8Array): boolean {
    if (!this.destroyed) this.transmit(Buffer.from(bytes))
    return true
  }
  cork(): void {}
  uncork(): void {}
  setNoDelay(): void {}
  setTimeout(): void {}
  pause(): void {
    this.isHeld = true
  }
  isPaused(): boolean {
    return this.isHeld
  }
  resume(): void {
    this.isHeld = false
    for (const bytes of this.held.splice(0)) this.emit('data', bytes)
  }
  receive(bytes: Buffer): void {
    if (this.destroyed) return
    if (this.isHeld) this.held.push(bytes)
    else this.emit('data', bytes)
  }
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.onDestroy()
    this.emit('close')
  }
}

/** A client's side. */
export interface ClientSocket {
  send(bytes: Buffer): void
  close(): void
}

export class Network {
  faults: NetworkFaults | undefined
  private readonly world: World

  constructor(world: World, faults: NetworkFaults | undefined) {
    this.world = world
    this.faults = faults
  }

  /** How long a message without a connection takes; undefined: it is lost. */
  delayMs(): number | undefined {
    const { random } = this.world
    const { faults } = this
    if (faults && random.chance(faults.halfOpen)) {
      this.world.hit('net drop')
      return undefined
    }
    if (faults && random.chance(faults.slow)) {
      this.world.hit('net delay')
      return random.int(50, 600)
    }
    return random.int(0, 3) + random.next()
  }

  /** @param accept  undefined while nobody listens */
  connect(accept: ((socket: FakeSocket) => void) | undefined, onData: (bytes: Buffer) => void, onClose: () => void): ClientSocket {
    const { world } = this
    let isOpen = true
    let isDark = false
    const closeBoth = () => {
      if (!isOpen) return
      isOpen = false
      socket.destroy()
      onClose()
    }
    const lane = (deliver: (bytes: Buffer) => void) => {
      let freeMs = 0
      return (bytes: Buffer) => {
        for (let from = 0; from < bytes.length && isOpen; ) {
          const size = world.random.chance(0.6) ? bytes.length - from : world.random.int(1, Math.max(1, Math.min(200, bytes.length - from)))
          const piece = bytes.subarray(from, from + size)
          from += size
          if (this.faults && world.random.chance(this.faults.halfOpen) && !isDark) {
            isDark = true
            world.hit('net half-open')
            world.trace('net half-open')
          }
          const isSlow = this.faults !== undefined && world.random.chance(this.faults.slow)
          if (isSlow) world.hit('net delay')
          freeMs = Math.max(freeMs, world.nowMs + (isSlow ? world.random.int(50, 600) : world.random.next() * 2))
          const isReset = this.faults !== undefined && world.random.chance(this.faults.reset)
          const cut = isReset ? world.random.int(0, piece.length) : piece.length
          world.after(freeMs - world.nowMs, () => {
            if (!isOpen || isDark) return
            deliver(piece.subarray(0, cut))
            if (!isReset) return
            world.hit(cut > 0 && cut < piece.length ? 'net reset in mid-frame' : 'net reset')
            world.trace(`net reset after ${cut} of ${piece.length} bytes`)
            closeBoth()
          })
        }
      }
    }
    const toClient = lane((bytes) => onData(bytes))
    const socket = new FakeSocket(toClient, () => {
      if (!isOpen) return
      // The other side hears of it later, or never.
      const delayMs = this.delayMs()
      if (delayMs !== undefined) world.after(delayMs, closeBoth)
    })
    const toServer = lane((bytes) => socket.receive(bytes))
    if (accept) accept(socket)
    else {
      world.hit('net refused')
      world.after(world.random.next() * 2, closeBoth)
    }
    return {
      send: toServer,
      close: () => {
        if (!isOpen) return
        isOpen = false
        const delayMs = this.delayMs()
        if (delayMs !== undefined) world.after(delayMs, () => socket.destroy())
      },
    }
  }
}
