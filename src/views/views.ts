// All materialized tables of the process, on the main thread: changelogs in, look-ups and live subscriptions out.
//
// Invariants
//   1. Every limit has a number here, a typed error and a gauge or counter in `metrics`.
//   2. A channel stays for CHANNEL_LINGER_MS after its last subscriber, so that a client that comes back can resume.
import { Counter, Gauge } from 'prom-client'
import { metrics, nearestName } from '../base/index.ts'
import type { Batch } from '../data/index.ts'
import { Channel, type ChannelLimits, type Sink } from './channel.ts'
import { viewErrors } from './errors.ts'
import type { Filter } from './filter.ts'
import type { Row } from './keys.ts'
import type { Order } from './order.ts'
import type { EncodeOptions } from './text.ts'
import { type ScanPage, type ScanRequest, View, type ViewDefinition } from './view.ts'

export interface ViewStoreLimits extends ChannelLimits {
  viewsMax: number
  subscriptionsMax: number
  /** Different live queries on one view. */
  channelsMax: number
  /** Rows of one page. */
  scanRowsMax: number
  /** The `limit` of a live query. */
  topRowsMax: number
}
export const viewStoreLimits: ViewStoreLimits = {
  viewsMax: 1_000,
  rowsMax: 5_000_000,
  tombstonesMax: 100_000,
  indexesMax: 8,
  subscribedRowsMax: 200_000,
  bufferedBytesMax: 65_536,
  subscriptionsMax: 20_000,
  channelsMax: 1_000,
  scanRowsMax: 10_000,
  topRowsMax: 10_000,
}
export const INTERVAL_DEFAULT_MS = 5
export const INTERVAL_MAX_MS = 60_000
const CHANNEL_LINGER_MS = 60_000

export interface ChangeMeta {
  epoch: number
  /** Arrival at the front door of the newest input event behind these changes, epoch ms. */
  originMs?: number
}

export interface SubscribeRequest extends EncodeOptions {
  filters?: readonly Filter[]
  order?: Order
  /** Only the first so many rows of the order. */
  limit?: number
  /** Least time between two deltas. */
  intervalMs?: number
  resume?: string
}

export interface ViewStatus extends ViewDefinition {
  rowCount: number
  changeCount: number
  bytesEstimate: number
  epoch: number
  updatedAtMs?: number
  subscriberCount: number
}

/** All that a restart needs of one view; structured-clonable. */
export interface ViewSnapshot {
  epoch: number
  rows: Iterable<Row>
  /** What changed since, oldest first: rows that are there now, and rows that are gone. */
  deltas?: Iterable<{ rows: Row[]; deleted: Row[] }>
}

/** The rows that changed since a version, or `all` of them. */
export interface ViewChanges {
  version: number
  all: boolean
  rows: Row[]
  deleted: Row[]
}

const changesTotal = new Counter({
  name: 'millrace_view_changes_total',
  help: 'Changes applied to materialized tables.',
  labelNames: ['table'],
  registers: [metrics],
})
const refusedTotal = new Counter({
  name: 'millrace_view_refused_total',
  help: 'Changes and subscriptions refused by a limit, by error code.',
  labelNames: ['code'],
  registers: [metrics],
})
const stores = new Set<ViewStore>()
const sumOver = (value: (store: ViewStore) => number): number => [...stores].reduce((sum, store) => sum + value(store), 0)
new Gauge({
  name: 'millrace_view_rows',
  help: 'Rows of each materialized table.',
  labelNames: ['table'],
  registers: [metrics],
  collect() {
    this.reset()
    for (const store of stores) for (const view of store.list()) this.set({ table: view.name }, view.rowCount)
  },
})
new Gauge({
  name: 'millrace_view_subscriptions',
  help: 'Live subscriptions on materialized tables.',
  registers: [metrics],
  collect() {
    this.set(sumOver((store) => store.subscriptionCount))
  },
})

export class ViewStore {
  readonly limits: ViewStoreLimits
  subscriptionCount = 0
  private readonly views = new Map<string, { view: View; channels: Map<string, Channel> }>()
  private readonly onDelivered: (latencyMs: number) => void
  private readonly sweeper: NodeJS.Timeout

  /** @param options.onDelivered  called after each push (or apply, if nobody subscribes) with the time since the event's arrival */
  constructor(options: { limits?: Partial<ViewStoreLimits>; onDelivered?: (latencyMs: number) => void } = {}) {
    this.limits = { ...viewStoreLimits, ...options.limits }
    this.onDelivered = options.onDelivered ?? (() => {})
    this.sweeper = setInterval(() => this.sweep(Date.now()), CHANNEL_LINGER_MS / 4).unref()
    stores.add(this)
  }

  /** @throws StreamError VIEW_EXISTS, VIEW_KEY_INVALID, VIEW_COUNT_LIMIT */
  define(definition: ViewDefinition): void {
    const { name } = definition
    if (this.views.has(name)) throw viewErrors('VIEW_EXISTS', { table: name })
    if (this.views.size >= this.limits.viewsMax) throw this.refused(viewErrors('VIEW_COUNT_LIMIT', { max: this.limits.viewsMax }))
    this.views.set(name, { view: new View(definition, this.limits), channels: new Map() })
  }

  has(name: string): boolean {
    return this.views.has(name)
  }

  /** Ends its subscriptions with VIEW_DROPPED. @throws StreamError VIEW_NOT_FOUND */
  drop(name: string): void {
    const { channels } = this.find(name)
    this.views.delete(name)
    changesTotal.remove({ table: name })
    for (const channel of channels.values()) channel.close(viewErrors('VIEW_DROPPED', { table: name }))
  }

  /**
   * Takes a batch of a changelog; subscribers are told soon after.
   *
   * @throws StreamError VIEW_NOT_FOUND, VIEW_ROWS_LIMIT (nothing of the batch is applied)
   */
  apply(name: string, batch: Batch, { epoch, originMs }: ChangeMeta): void {
    const { view, channels } = this.find(name)
    const nowMs = Date.now()
    try {
      view.apply(batch, epoch, nowMs)
    } catch (error) {
      throw this.refused(error as Error & { code: string })
    }
    changesTotal.inc({ table: name }, batch.rowCount)
    let subscriberCount = 0
    for (const channel of channels.values()) {
      channel.schedule(originMs)
      subscriberCount += channel.subscriberCount
    }
    if (subscriberCount === 0 && originMs !== undefined) this.onDelivered(Math.max(0, nowMs - originMs))
  }

  /** @throws StreamError VIEW_NOT_FOUND */
  definition(name: string): ViewDefinition {
    return this.find(name).view.definition
  }

  /** The row with this primary key (values as `data/types.ts` holds them). @throws StreamError VIEW_NOT_FOUND */
  get(name: string, key: readonly unknown[]): Row | undefined {
    return this.find(name).view.get(key)
  }

  /** @throws StreamError VIEW_NOT_FOUND, VIEW_LIMIT_INVALID, VIEW_CURSOR_INVALID */
  scan(name: string, request: ScanRequest): ScanPage {
    const { view } = this.find(name)
    checkLimit(request.limit, this.limits.scanRowsMax)
    return view.scan(request)
  }

  /** References to all rows that pass, as of now: for exports. @throws StreamError VIEW_NOT_FOUND */
  copy(name: string, filters: readonly Filter[], order: Order): Row[] {
    return this.find(name).view.copy(filters, order)
  }

  list(): ViewStatus[] {
    return [...this.views.values()].map(({ view, channels }) => ({
      ...view.definition,
      rowCount: view.rows.rowCount,
      changeCount: view.changeCount,
      bytesEstimate: view.bytesEstimate(),
      epoch: view.epoch,
      updatedAtMs: view.updatedAtMs,
      subscriberCount: [...channels.values()].reduce((sum, channel) => sum + channel.subscriberCount, 0),
    }))
  }

  /**
   * Sends a snapshot (or, with a good resume token, what changed since) to the sink, then deltas.
   *
   * @returns ends the subscription
   * @throws StreamError VIEW_NOT_FOUND, VIEW_LIMIT_INVALID, VIEW_INTERVAL_INVALID, VIEW_SUBSCRIPTIONS_LIMIT, VIEW_CHANNELS_LIMIT, VIEW_INDEXES_LIMIT, VIEW_SUBSCRIPTION_TOO_LARGE
   */
  subscribe(name: string, request: SubscribeRequest, sink: Sink): () => void {
    const { view, channels } = this.find(name)
    const { filters = [], order = [], limit, intervalMs = INTERVAL_DEFAULT_MS, numbersAsText = false } = request
    if (limit !== undefined) checkLimit(limit, this.limits.topRowsMax)
    if (!Number.isInteger(intervalMs) || intervalMs < 0 || intervalMs > INTERVAL_MAX_MS)
      throw viewErrors('VIEW_INTERVAL_INVALID', { interval: String(intervalMs), max: INTERVAL_MAX_MS })
    const { subscriptionsMax, channelsMax } = this.limits
    if (this.subscriptionCount >= subscriptionsMax) throw this.refused(viewErrors('VIEW_SUBSCRIPTIONS_LIMIT', { max: subscriptionsMax }))
    const channelKey = requestText({ filters, order, limit, intervalMs, numbersAsText })
    let channel = channels.get(channelKey)
    if (!channel) {
      if (channels.size >= channelsMax) this.sweep(Infinity)
      if (channels.size >= channelsMax) throw this.refused(viewErrors('VIEW_CHANNELS_LIMIT', { table: name, max: channelsMax }))
      channel = new Channel(view, { filters, order, limit, intervalMs, numbersAsText }, this.limits, this.onDelivered)
      channels.set(channelKey, channel)
    }
    const live = channel
    live.idleSinceMs = Date.now()
    let isOpen = true
    const close = () => {
      if (!isOpen) return
      isOpen = false
      this.subscriptionCount--
      live.idleSinceMs = Date.now()
      unsubscribe?.()
    }
    this.subscriptionCount++
    let unsubscribe: (() => void) | undefined
    try {
      unsubscribe = live.subscribe(
        {
          send: (frame) => sink.send(frame),
          bufferedBytes: () => sink.bufferedBytes(),
          end: (error) => {
            close()
            sink.end(error)
          },
        },
        request.resume,
      )
    } catch (error) {
      close()
      throw this.refused(error as Error & { code: string })
    }
    return close
  }

  /** @throws StreamError VIEW_NOT_FOUND */
  snapshot(name: string): ViewSnapshot & { rows: Row[] } {
    const { view } = this.find(name)
    return { epoch: view.epoch, rows: view.rows.rows() }
  }

  /** @throws StreamError VIEW_NOT_FOUND */
  epochOf(name: string): number {
    return this.find(name).view.epoch
  }

  /**
   * What changed since a version that an earlier call gave; rows are never changed in place, so the answer holds.
   * All rows without such a version, or where the store does not know that far back any more.
   *
   * @throws StreamError VIEW_NOT_FOUND
   */
  changesSince(name: string, version: number | undefined): ViewChanges {
    const { rows } = this.find(name).view
    const changes = version === undefined ? undefined : rows.changesSince(version)
    if (changes === undefined) return { version: rows.version, all: true, rows: rows.rows(), deleted: [] }
    return {
      version: rows.version,
      all: false,
      rows: changes.filter(({ op }) => op !== '-D').map(({ row }) => row),
      deleted: changes.filter(({ op }) => op === '-D').map(({ row }) => row),
    }
  }

  /** Replaces all rows; subscribers get `reset` and a new snapshot. @throws StreamError VIEW_NOT_FOUND */
  restore(name: string, snapshot: ViewSnapshot, reason = 'restored from a checkpoint'): void {
    const { view, channels } = this.find(name)
    view.restore(snapshot)
    for (const channel of channels.values()) channel.restart(reason)
  }

  close(): void {
    clearInterval(this.sweeper)
    for (const name of [...this.views.keys()]) this.drop(name)
    stores.delete(this)
  }

  /** Forgets channels that nobody has used since `nowMs - CHANNEL_LINGER_MS`. */
  private sweep(nowMs: number): void {
    for (const { view, channels } of this.views.values())
      for (const [key, channel] of channels) {
        if (channel.subscriberCount > 0 || nowMs - channel.idleSinceMs < CHANNEL_LINGER_MS) continue
        channel.close(viewErrors('VIEW_DROPPED', { table: view.definition.name }))
        channels.delete(key)
      }
  }

  private find(name: string) {
    const found = this.views.get(name)
    if (!found) throw viewErrors('VIEW_NOT_FOUND', { table: name, nearest: nearestName(name, this.views.keys()) })
    return found
  }

  private refused<E extends Error & { code: string }>(error: E): E {
    refusedTotal.inc({ code: error.code })
    return error
  }
}

function checkLimit(limit: number, max: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > max) throw viewErrors('VIEW_LIMIT_INVALID', { limit: String(limit), max })
}

/** Equal texts mean equal queries. */
const requestText = (request: object): string =>
  JSON.stringify(request, (_, value) => {
    if (typeof value === 'bigint') return `${value}n`
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
  })
