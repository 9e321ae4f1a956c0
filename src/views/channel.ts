// Pushes one live query to all its subscribers. Subscriptions with equal parameters share a channel, and a frame is encoded once for all.
//
//   apply --> schedule --> flush: sync the feed, encode the delta since the last flush once, hand it to each subscriber that is up to date
//                            '--> a subscriber whose socket is full is left where it is; when it has drained it gets everything since, conflated
//
// Invariants
//   1. A subscriber's state is one number, the version it has: no queue, whatever its speed. Nothing is sent while its socket holds more than
//      `bufferedBytesMax`, so a slow client costs bounded memory and never delays another.
//   2. snapshot and then deltas in the order sent give the feed's rows as of the last delta's `resume`.
//   3. A flush does not start before `intervalMs` after the last, nor before three times what the last one took: pushing takes at most a
//      quarter of the main thread, and overload shows as fewer, larger deltas.
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
    if (this.timer || this.immediate) return
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
    this.feed.sync()
    const { rows } = this.feed
    const from = this.flushedVersion
    if (rows.version > from) {
      this.flushedVersion = rows.version
      const delta = this.encodeDelta(from)
      for (const subscriber of this.subscribers) {
        if (delta && subscriber.version === from && !this.isFull(subscriber)) {
          subscriber.sink.send(delta)
          subscriber.version = rows.version
        } else if (subscriber.version < rows.version) this.behind.add(subscriber)
      }
    }
    const deltas = new Map<number, Buffer | undefined>()
    for (const subscriber of this.behind) if (!this.isFull(subscriber)) this.catchUp(subscriber, deltas)
    if (this.originMs !== undefined) {
      this.onDelivered(Math.max(0, Date.now() - this.originMs))
      this.originMs = undefined
    }
    const endMs = performance.now()
    this.nextFlushMs = endMs + Math.max(this.request.intervalMs, 3 * (endMs - startMs))
    if (this.behind.size > 0) this.timer = setTimeout(this.flush, Math.max(this.nextFlushMs - endMs, RETRY_MS))
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
