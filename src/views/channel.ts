// Pushes one live query to all its subscribers. Subscriptions with equal parameters share a channel, and a frame is encoded once for all.
//
//   apply --> schedule --> flush: sync the feed, encode the delta since the last flush once, hand it to each subscriber that is up to date
//                            '--> a subscriber whose socket is full is left where it is; when it has drained it gets everything since, conflated
//
// Invariants
//   1. A subscriber's state is one number, the version it has: no queue, whatever its speed. Nothing is sent while its socket holds more than
//      `bufferedBytesMax`, so a slow client costs bounded memory and never delays another.
//   2. snapshot and then deltas in the order sent give the feed's rows as of the last delta's `resume`.
//   3. A flush does not start before `intervalMs` after the last, nor before as long as the last one took: pushing takes at most half of the
//      main thread, and overload shows as fewer, larger deltas. A long flush gives way to other work every SLICE_MS.
import type { StreamError } from '../base/index.ts'
import { formatType } from '../data/index.ts'
import { viewErrors } from './errors.ts'
import { type Feed, type FeedRequest, openFeed } from './feed.ts'
import type { Row } from './keys.ts'
import { compareOrders, totalOrder } from './order.ts'
import { type EncodeOptions, rowJson } from './text.ts'
import type { View, ViewLimits } from './view.ts'

/** Where frames go: one per subscriber. */
export interface Sink {
  /** A whole frame as JSON; the same Buffer is given to all subscribers and must not be changed. */
  send(frame: Buffer): void
  /** Bytes that were sent and that the socket has not taken yet. */
  bufferedBytes(): number
  /** The subscription is over; nothing is sent after this. */
  end(error: StreamError): void
}

export interface ChannelRequest extends FeedRequest, EncodeOptions {
  intervalMs: number
}

export interface ChannelLimits extends ViewLimits {
  /** Rows that one subscription may cover. */
  subscribedRowsMax: number
  /** A subscriber gets nothing while its socket holds more than this. */
  bufferedBytesMax: number
}

interface Subscriber {
  sink: Sink
  /** Of the feed's rows; -1: needs a snapshot. */
  version: number
}

/** How long a snapshot serves subscribers who come after one another: what changed since follows as a delta. */
const SNAPSHOT_REUSE_MS = 1_000
const SLICE_MS = 5
/** How soon subscribers with full sockets are looked at again. */
const RETRY_MS = 20

export class Channel {
  readonly view: View
  private feed: Feed
  private readonly request: ChannelRequest
  private readonly limits: ChannelLimits
  private readonly onDelivered: (latencyMs: number) => void
  private readonly encodeRow: (row: Row) => string
  private readonly head: string
  private readonly subscribers = new Set<Subscriber>()
  private readonly behind = new Set<Subscriber>()
  private flushedVersion = 0
  private snapshot: { version: number; atMs: number; frame: Buffer } | undefined
  private timer: NodeJS.Timeout | undefined
  private immediate: NodeJS.Immediate | undefined
  private nextFlushMs = 0
  /** A flush that gave way to other work and goes on in the next turn of the event loop. */
  private pass: Generator<void, void> | undefined
  private passMs = 0
  /** The timer is only for subscribers whose sockets were full. */
  private isRetry = false
  /** Changes came since the last flush began. */
  private isDirty = false
  /** Arrival of the oldest event that waits to be pushed. */
  private originMs: number | undefined
  idleSinceMs = 0

  /** @throws StreamError VIEW_INDEXES_LIMIT */
  constructor(view: View, request: ChannelRequest, limits: ChannelLimits, onDelivered: (latencyMs: number) => void) {
    this.view = view
    this.request = request
    this.limits = limits
    this.onDelivered = onDelivered
    this.feed = openFeed(view, request, limits)
    this.flushedVersion = this.feed.rows.version
    const { fields, primaryKey } = view.definition
    this.encodeRow = rowJson(fields, request)
    const columns = fields.map((field) => ({ name: field.name, type: formatType(field.type) }))
    const keyNames = primaryKey.map((column) => fields[column].name)
    this.head = `{"type":"snapshot","columns":${JSON.stringify(columns)},"primaryKey":${JSON.stringify(keyNames)},"rows":`
  }

  get subscriberCount(): number {
    return this.subscribers.size
  }

  /**
   * @param resume  token of the last frame that the client has applied
   * @returns       ends the subscription
   * @throws StreamError VIEW_SUBSCRIPTION_TOO_LARGE
   */
  subscribe(sink: Sink, resume: string | undefined): () => void {
    this.feed.sync()
    this.checkSize()
    const { rows } = this.feed
    const subscriber: Subscriber = { sink, version: -1 }
    if (resume !== undefined) {
      const [id, versionText] = resume.split('.')
      const version = Number(versionText)
      if (id === rows.id && Number.isInteger(version) && version >= rows.floorVersion && version <= rows.version)
        subscriber.version = version
      else this.sendReset(subscriber, 'the resume token is of another run, another query or too long ago')
    }
    this.subscribers.add(subscriber)
    // Sent even if nothing changed: the client learns that it is up to date.
    this.catchUp(subscriber, new Map())
    return () => {
      this.subscribers.delete(subscriber)
      this.behind.delete(subscriber)
    }
  }

  /** Something changed in the view. */
  schedule(originMs?: number): void {
    if (this.subscribers.size === 0) return
    if (originMs !== undefined && (this.originMs === undefined || originMs < this.originMs)) this.originMs = originMs
    this.isDirty = true
    if (this.pass || this.immediate || (this.timer && !this.isRetry)) return
    // One who waits for a slow socket must not make the others wait.
    clearTimeout(this.timer)
    this.isRetry = false
    const waitMs = this.nextFlushMs - performance.now()
    if (waitMs > 0.5) this.timer = setTimeout(this.flush, waitMs)
    else this.immediate = setImmediate(this.flush)
  }

  /** The view's rows were replaced: everybody starts again. */
  restart(reason: string): void {
    this.feed.close()
    this.feed = openFeed(this.view, this.request, this.limits)
    this.flushedVersion = this.feed.rows.version
    this.snapshot = undefined
    this.pass = undefined
    this.passMs = 0
    for (const subscriber of this.subscribers) {
      this.sendReset(subscriber, reason)
      this.behind.add(subscriber)
    }
    this.schedule()
  }

  close(error: StreamError): void {
    clearTimeout(this.timer)
    clearImmediate(this.immediate)
    this.feed.close()
    for (const { sink } of this.subscribers) sink.end(error)
    this.subscribers.clear()
    this.behind.clear()
  }

  private readonly flush = (): void => {
    this.timer = undefined
    this.immediate = undefined
    const startMs = performance.now()
    this.pass ??= this.push()
    do {
      if (this.pass.next().done) {
        this.endPass(performance.now() - startMs)
        return
      }
    } while (performance.now() - startMs < SLICE_MS)
    this.passMs += performance.now() - startMs
    this.immediate = setImmediate(this.flush)
  }

  /** Brings all subscribers whose sockets have room up to date; may pause after each. */
  private *push(): Generator<void, void> {
    const { originMs } = this
    this.originMs = undefined
    this.isDirty = false
    this.feed.sync()
    const from = this.flushedVersion
    const to = this.feed.rows.version
    if (to > from) {
      this.flushedVersion = to
      const delta = this.encodeDelta(from)
      for (const subscriber of this.subscribers) {
        if (delta && subscriber.version === from && !this.isFull(subscriber)) {
          subscriber.sink.send(delta)
          subscriber.version = to
        } else if (subscriber.version < to) this.behind.add(subscriber)
        yield
      }
    }
    let deltas = new Map<number, Buffer | undefined>()
    let encodedVersion = this.feed.rows.version
    for (const subscriber of [...this.behind]) {
      if (!this.behind.has(subscriber) || this.isFull(subscriber)) continue
      if (encodedVersion !== this.feed.rows.version) {
        encodedVersion = this.feed.rows.version
        deltas = new Map()
      }
      this.catchUp(subscriber, deltas)
      yield
    }
    if (originMs !== undefined) this.onDelivered(Math.max(0, Date.now() - originMs))
  }

  private endPass(lastSliceMs: number): void {
    const costMs = this.passMs + lastSliceMs
    this.pass = undefined
    this.passMs = 0
    const waitMs = Math.max(this.request.intervalMs, costMs)
    this.nextFlushMs = performance.now() + waitMs
    this.isRetry = !this.isDirty
    if (this.isDirty) this.timer = setTimeout(this.flush, waitMs)
    else if (this.behind.size > 0) this.timer = setTimeout(this.flush, Math.max(waitMs, RETRY_MS))
  }

  private isFull({ sink }: Subscriber): boolean {
    return sink.bufferedBytes() > this.limits.bufferedBytesMax
  }

  private catchUp(subscriber: Subscriber, deltas: Map<number, Buffer | undefined>): void {
    const { rows } = this.feed
    this.behind.delete(subscriber)
    if (subscriber.version >= 0) {
      let delta = deltas.get(subscriber.version)
      if (delta === undefined) {
        delta = this.encodeDelta(subscriber.version)
        deltas.set(subscriber.version, delta)
      }
      if (delta) {
        subscriber.sink.send(delta)
        subscriber.version = rows.version
        return
      }
      this.sendReset(subscriber, 'too many keys were deleted since the last frame')
    }
    try {
      this.checkSize()
    } catch (error) {
      this.subscribers.delete(subscriber)
      subscriber.sink.end(error as StreamError)
      return
    }
    const snapshot = this.currentSnapshot()
    subscriber.sink.send(snapshot.frame)
    subscriber.version = snapshot.version
    if (snapshot.version < rows.version) {
      this.behind.add(subscriber)
      this.schedule()
    }
  }

  private sendReset(subscriber: Subscriber, reason: string): void {
    subscriber.version = -1
    subscriber.sink.send(Buffer.from(JSON.stringify({ type: 'reset', reason })))
  }

  private currentSnapshot() {
    const { rows } = this.feed
    const nowMs = performance.now()
    const { snapshot } = this
    if (
      snapshot &&
      (snapshot.version === rows.version || (nowMs - snapshot.atMs < SNAPSHOT_REUSE_MS && snapshot.version >= rows.floorVersion))
    )
      return snapshot
    const all = rows.rows()
    const order = totalOrder(this.request.order, this.view.definition.primaryKey)
    if (this.request.order.length > 0 || this.request.limit !== undefined) all.sort(compareOrders(order))
    const frame = Buffer.from(`${this.head}[${all.map(this.encodeRow).join(',')}],${this.resume()}}`)
    this.snapshot = { version: rows.version, atMs: nowMs, frame }
    return this.snapshot
  }

  private resume(): string {
    const { rows } = this.feed
    return `"resume":"${rows.id}.${rows.version}","epoch":${this.view.epoch}`
  }

  private encodeDelta(from: number): Buffer | undefined {
    const changes = this.feed.rows.changesSince(from)
    if (!changes) return undefined
    const texts = changes.map(({ op, row }) => `{"op":"${op}","row":${this.encodeRow(row)}}`)
    return Buffer.from(`{"type":"delta","changes":[${texts.join(',')}],${this.resume()},"atMs":${Date.now()}}`)
  }

  private checkSize(): void {
    const { rowCount } = this.feed.rows
    const max = this.limits.subscribedRowsMax
    if (rowCount > max) throw viewErrors('VIEW_SUBSCRIPTION_TOO_LARGE', { table: this.view.definition.name, rowCount, max })
  }
}
