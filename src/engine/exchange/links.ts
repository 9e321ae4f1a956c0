// Bytes between the subtasks of a job, which run in threads of their own: one ring of shared memory for each ordered pair of them.
//
// subtask A: write ──> (outbox) ──> ring A→B ──> B: take        one doorbell for each subtask, for everything that it may wait for
//
// Invariants
//   1. Messages of one pair arrive whole and in order; a message may be larger than its ring.
//   2. A ring holds no more than `ringBytes`. What does not fit waits with its writer, who is then blocked, and should make no more.
//   3. No call waits. Who takes what has come while it is blocked lets those who write to it go on.
//   4. What `take` gives is its taker's until it gives it back.
//   1 to 3 are held by links.test.ts.
//
// Why not messages of worker threads: each costs a clone and a turn of the event loop, and nothing bounds how many are under way.

import { released } from '../../data/index.ts'

/** Message lengths are multiples of this, and so are positions: typed arrays can be laid over a message. */
const ALIGN = 8
/** Memory of messages that were worked on is kept for others: this much of it, and none that is larger than a ring usually is. */
const SPARE_COUNT_MAX = 16
const SPARE_BYTES_MAX = 1 << 20
const SPARE_BYTES_MIN = 1 << 10
const HEADER_WORDS = 4
/** Words of a ring's header: bytes written and read since the start, modulo 2^32. */
const WRITTEN = 0
const READ = 1

/** What all subtasks of one job share; structured-clonable. */
export interface SharedLinks {
  parallelism: number
  ringBytes: number
  /** By writer * parallelism + reader. */
  rings: SharedArrayBuffer[]
  bells: SharedArrayBuffer
}

/** @param ringBytes  a power of two from 1 KiB to 1 GiB */
export function shareLinks(parallelism: number, ringBytes = 1 << 22): SharedLinks {
  if (ringBytes < 1024 || ringBytes > 2 ** 30 || (ringBytes & (ringBytes - 1)) !== 0) throw new RangeError(`ring of ${ringBytes} bytes`)
  return {
    parallelism,
    ringBytes,
    rings: Array.from(
      { length: parallelism ** 2 },
      (_, i) =>
        // Nobody writes to itself.
        new SharedArrayBuffer(i % (parallelism + 1) === 0 ? 0 : 4 * HEADER_WORDS + ringBytes),
    ),
    bells: new SharedArrayBuffer(4 * parallelism),
  }
}

/** Memory for messages. */
class Spares {
  private readonly free: ArrayBuffer[] = []

  take(size: number): ArrayBuffer {
    for (let i = this.free.length - 1; i >= 0; i--) {
      const buffer = this.free[i]
      if (buffer.byteLength < size) continue
      this.free[i] = this.free[this.free.length - 1]
      this.free.pop()
      return buffer
    }
    if (size > SPARE_BYTES_MAX) return new ArrayBuffer(size)
    let length = SPARE_BYTES_MIN
    while (length < size) length *= 2
    return new ArrayBuffer(length)
  }

  give(buffer: ArrayBuffer): void {
    released(new Uint8Array(buffer))
    if (buffer.byteLength > SPARE_BYTES_MAX) return
    // Small ones make room for large ones, which fit all.
    if (this.free.length === SPARE_COUNT_MAX) this.free.shift()
    this.free.push(buffer)
  }
}

class Ring {
  private readonly header: Int32Array
  private readonly bytes: Uint8Array
  private readonly mask: number
  /** The message that is arriving. */
  private arriving: Uint8Array<ArrayBuffer> | undefined
  private arrived = 0
  private readonly spares: Spares

  constructor(shared: SharedArrayBuffer, spares: Spares) {
    this.spares = spares
    this.header = new Int32Array(shared, 0, HEADER_WORDS)
    this.bytes = new Uint8Array(shared, 4 * HEADER_WORDS)
    this.mask = this.bytes.length - 1
  }

  /** Writes as much of `from[start … end)` as there is room for; returns how much that was. */
  write(from: Uint8Array, start: number, end: number): number {
    const written = this.header[WRITTEN]
    const used = (written - Atomics.load(this.header, READ)) >>> 0
    const count = Math.min(end - start, this.bytes.length - used)
    if (count === 0) return 0
    const at = written & this.mask
    const first = Math.min(count, this.bytes.length - at)
    this.bytes.set(from.subarray(start, start + first), at)
    if (first < count) this.bytes.set(from.subarray(start + first, start + count), 0)
    Atomics.store(this.header, WRITTEN, (written + count) | 0)
    return count
  }

  /** Takes what has arrived; gives the message that this completes, if one. `true`: something was taken, but nothing is complete. */
  read(): ArrayBuffer | boolean {
    const read = this.header[READ]
    const available = (Atomics.load(this.header, WRITTEN) - read) >>> 0
    if (available === 0) return false
    const at = read & this.mask
    // The first word of a message is its length; a message is written in pieces of whole words.
    if (this.arriving === undefined) {
      const { bytes } = this
      const size = (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
      this.arriving = new Uint8Array(this.spares.take(size), 0, size)
      this.arrived = 0
    }
    const { arriving } = this
    const count = Math.min(available, arriving.length - this.arrived)
    const first = Math.min(count, this.bytes.length - at)
    arriving.set(this.bytes.subarray(at, at + first), this.arrived)
    if (first < count) arriving.set(this.bytes.subarray(0, count - first), this.arrived + first)
    this.arrived += count
    Atomics.store(this.header, READ, (read + count) | 0)
    if (this.arrived < arriving.length) return true
    this.arriving = undefined
    return arriving.buffer
  }
}

export interface Message {
  from: number
  /** The message is its beginning; its first word is the message's length. */
  buffer: ArrayBuffer
}

/** How long a subtask waits before it looks again by itself. */
const WAIT_MS = 1000

/** One subtask's ends of its rings. */
export class Links {
  readonly subtask: number
  readonly parallelism: number
  private readonly bells: Int32Array
  private readonly out: (Ring | undefined)[]
  private readonly in: (Ring | undefined)[]
  /** By peer: what has not found room in its ring. */
  private readonly outbox: { bytes: Uint8Array; at: number }[][]
  private readonly spares = new Spares()
  /** The ring that is looked at first. */
  private turn = 0

  constructor({ parallelism, rings, bells }: SharedLinks, subtask: number) {
    this.subtask = subtask
    this.parallelism = parallelism
    this.bells = new Int32Array(bells)
    const peers = Array.from({ length: parallelism }, (_, peer) => peer)
    this.outbox = peers.map(() => [])
    this.out = peers.map((peer) => (peer === subtask ? undefined : new Ring(rings[subtask * parallelism + peer], this.spares)))
    this.in = peers.map((peer) => (peer === subtask ? undefined : new Ring(rings[peer * parallelism + subtask], this.spares)))
  }

  /** Sends `bytes[0 … length)`, whose first 32-bit word (little endian) is `length`, a multiple of 8; `flush` sends what finds no room now. */
  write(to: number, bytes: Uint8Array, length: number): void {
    if (length % ALIGN !== 0) throw new RangeError(`message of ${length} bytes`)
    const waiting = this.outbox[to]
    const count = waiting.length > 0 ? 0 : (this.out[to] as Ring).write(bytes, 0, length)
    if (count > 0) this.ring(to)
    if (count < length) waiting.push({ bytes: bytes.slice(count, length), at: 0 })
  }

  /** Something waits for room in a ring. */
  get isBlocked(): boolean {
    return this.outbox.some(({ length }) => length > 0)
  }

  /** Sends of what waits as much as there is room for; false if that was nothing. */
  flush(): boolean {
    let any = false
    for (let to = 0; to < this.outbox.length; to++) {
      const waiting = this.outbox[to]
      let sent = 0
      for (; waiting.length > 0; waiting.shift()) {
        const [first] = waiting
        const count = (this.out[to] as Ring).write(first.bytes, first.at, first.bytes.length)
        sent += count
        first.at += count
        if (first.at < first.bytes.length) break
      }
      if (sent === 0) continue
      any = true
      this.ring(to)
    }
    return any
  }

  /** The next message, if one has arrived. */
  take(): Message | undefined {
    for (let i = 0; i < this.in.length; i++) {
      const peer = (this.turn + i) % this.in.length
      const ring = this.in[peer]
      if (ring === undefined) continue
      for (let got = ring.read(); got !== false; got = ring.read()) {
        this.ring(peer)
        if (got === true) continue
        this.turn = peer
        return { from: peer, buffer: got }
      }
    }
    return undefined
  }

  /** A message that was taken is not needed any more: its memory is used again. */
  giveBack(buffer: ArrayBuffer): void {
    this.spares.give(buffer)
  }

  /** A copy of a message that goes nowhere, to be given back as one that was taken. */
  copy(bytes: Uint8Array, length: number): ArrayBuffer {
    const buffer = this.spares.take(length)
    new Uint8Array(buffer).set(bytes.subarray(0, length))
    return buffer
  }

  /** To be read before looking for work, and given to `wait` if there was none: what happens in between is not missed. */
  get bell(): number {
    return Atomics.load(this.bells, this.subtask)
  }

  /** Blocks the thread until a peer has done something since `bell` was read. */
  wait(bell: number): void {
    Atomics.wait(this.bells, this.subtask, bell, WAIT_MS)
  }

  /** As `wait`, without blocking the thread. It does not keep the process alive. */
  waitAsync(bell: number, timeoutMs: number): Promise<unknown> {
    const { async, value } = Atomics.waitAsync(this.bells, this.subtask, bell, timeoutMs)
    return async ? value : Promise.resolve()
  }

  /** Wakes a peer: there is something for it. */
  ring(peer: number): void {
    Atomics.add(this.bells, peer, 1)
    Atomics.notify(this.bells, peer)
  }
}
