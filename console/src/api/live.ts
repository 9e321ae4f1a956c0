// Live stores: one WebSocket for each subject, shared by everybody on the page who looks at it.
//
// Invariants
//   1. A store connects when its first reader comes and closes `lingerMs` after its last one left, so moving between pages keeps it.
//   2. Readers hear of changes at most every `notifyMs` (faster, an eye cannot follow); frames themselves are applied at once.
//   3. getSnapshot() returns the same object until something changed (what useSyncExternalStore needs).
import { useCallback, useMemo, useState, useSyncExternalStore } from 'react'
import type { ApiError, ColumnInfo, LiveFrame, Stats, TopicFrame, TopicMessage } from '../../../src/serve/contract.ts'
import { apiGet, tablePath, topicPath } from './client.ts'
import type { ColumnKind } from './columns.ts'
import { type LiveRow, LiveTable, parseOrder } from './liveTable.ts'
import { type LinkState, LiveSocket } from './socket.ts'

const lingerMs = 3_000

abstract class LiveStore<Snapshot> {
  #listeners = new Set<() => void>()
  #socket: LiveSocket | null = null
  #lingerTimer: ReturnType<typeof setTimeout> | undefined
  #notifyTimer: ReturnType<typeof setTimeout> | undefined
  #snapshot: Snapshot | null = null
  protected link: LinkState = 'connecting'
  protected retryAtMs: number | null = null
  /** Why the server refused; null once it gives data. */
  protected refusal: ApiError['error'] | null = null

  protected abstract path(): string
  protected abstract receive(frame: unknown): void
  protected abstract build(): Snapshot
  protected onOpen(): void {}
  /** Nobody looks any more. */
  protected onIdle(): void {}
  protected readonly silenceMs: number = 60_000
  protected readonly notifyMs: number = 250

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    clearTimeout(this.#lingerTimer)
    if (!this.#socket) {
      this.#socket = new LiveSocket({
        path: () => this.path(),
        onFrame: (frame) => {
          this.refusal = null
          this.receive(frame)
        },
        onRefusal: (error) => {
          this.refusal = error
          this.changed(true)
        },
        onState: (state, retryAtMs) => {
          this.link = state
          this.retryAtMs = retryAtMs
          if (state === 'live') this.onOpen()
          this.changed(true)
        },
        silenceMs: this.silenceMs,
      })
    }
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      this.#lingerTimer = setTimeout(() => {
        this.#socket?.close()
        this.#socket = null
        this.onIdle()
      }, lingerMs)
    }
  }

  getSnapshot = (): Snapshot => (this.#snapshot ??= this.build())

  restart(): void {
    this.#socket?.restart()
  }

  protected changed(isUrgent = false): void {
    if (isUrgent) {
      clearTimeout(this.#notifyTimer)
      this.#notifyTimer = undefined
      this.#notify()
    } else {
      this.#notifyTimer ??= setTimeout(() => {
        this.#notifyTimer = undefined
        this.#notify()
      }, this.notifyMs)
    }
  }

  #notify(): void {
    this.#snapshot = null
    for (const listener of this.#listeners) listener()
  }
}

// --- statistics of the process -----------------------------------------------------------------------------------------------

const statsHistoryCount = 180
/** Of thousands of topics and queries fewer seconds are kept. */
const statsEntriesMax = 100_000

export interface StatsView {
  link: LinkState
  retryAtMs: number | null
  latest: Stats | null
  /** Oldest first, about one a second. */
  history: readonly Stats[]
}

class StatsStore extends LiveStore<StatsView> {
  #history: Stats[] = []
  protected override readonly silenceMs = 10_000

  protected path(): string {
    return '/v1/stats/live'
  }

  protected receive(frame: unknown): void {
    const stats = frame as Stats
    if (typeof stats?.atMs !== 'number' || !stats.eventsIn) return
    // A smaller uptime is another process: its rates have nothing to do with the old ones.
    const last = this.#history.at(-1)
    if (last && stats.uptimeSeconds < last.uptimeSeconds) this.#history = []
    const count = Math.min(statsHistoryCount, Math.max(10, Math.floor(statsEntriesMax / (stats.topics.length + stats.queries.length + 1))))
    this.#history = [...this.#history.slice(1 - count), stats]
    this.changed(true)
  }

  protected build(): StatsView {
    return { link: this.link, retryAtMs: this.retryAtMs, latest: this.#history.at(-1) ?? null, history: this.#history }
  }
}

const statsStore = new StatsStore()

/** The newest statistics, their history of about three minutes, and the state of the connection. */
export const useStats = (): StatsView => useSyncExternalStore(statsStore.subscribe, statsStore.getSnapshot)

/** Tries again at once. */
export const reconnectNow = (): void => statsStore.restart()

// --- tables ----------------------------------------------------------------------------------------------------------------

export interface LiveTableView {
  link: LinkState
  columns: ColumnInfo[]
  kinds: ColumnKind[]
  primaryKey: string[]
  /** In the asked order, at most `limit`. */
  rows: readonly LiveRow[]
  /** No snapshot yet, or the server said `reset` and its new snapshot is not here. */
  isStale: boolean
  hasData: boolean
  /** Changes received while this page looked. */
  changeCount: number
  /** By this machine's clock. */
  changedAtMs: number | null
  refusal: ApiError['error'] | null
}

export interface LiveTableOptions {
  order?: string | undefined
  limit?: number
  /** Parameters that the server filters by: `['edits.gt', '5']`. */
  filters?: readonly (readonly [parameter: string, value: string])[]
}

const resetPatienceMs = 5_000

class LiveTableStore extends LiveStore<LiveTableView> {
  #table = new LiveTable()
  #name: string
  #options: LiveTableOptions
  #changeCount = 0
  #changedAtMs: number | null = null
  #resetTimer: ReturnType<typeof setTimeout> | undefined

  constructor(name: string, options: LiveTableOptions) {
    super()
    this.#name = name
    this.#options = options
  }

  protected path(): string {
    const query = new URLSearchParams({ numbers: 'string' })
    if (this.#options.order) query.set('order', this.#options.order)
    if (this.#options.limit) query.set('limit', String(this.#options.limit))
    for (const [parameter, value] of this.#options.filters ?? []) query.append(parameter, value)
    if (this.#table.resume) query.set('resume', this.#table.resume)
    return `${tablePath(this.#name)}/live?${query}`
  }

  protected receive(raw: unknown): void {
    const frame = raw as LiveFrame
    clearTimeout(this.#resetTimer)
    // After `reset` a snapshot follows; if it does not, a new connection without a resume token brings one.
    if (frame.type === 'reset') this.#resetTimer = setTimeout(() => this.restart(), resetPatienceMs)
    if (!this.#table.apply(frame, Date.now())) return
    if (frame.type === 'delta') {
      this.#changeCount += frame.changes.length
      this.#changedAtMs = Date.now()
    }
    this.changed(frame.type === 'snapshot')
  }

  protected build(): LiveTableView {
    return {
      link: this.link,
      columns: this.#table.columns,
      kinds: this.#table.kinds,
      primaryKey: this.#table.primaryKey,
      rows: this.#table.sorted(parseOrder(this.#options.order), this.#options.limit),
      isStale: this.#table.isStale,
      hasData: this.#table.columns.length > 0,
      changeCount: this.#changeCount,
      changedAtMs: this.#changedAtMs,
      refusal: this.refusal,
    }
  }

  /** Rows of a filter that nobody looks at are not kept. */
  protected override onIdle(): void {
    for (const [id, store] of tableStores) if (store === this) tableStores.delete(id)
  }
}

const tableStores = new Map<string, LiveTableStore>()

/** One live table; everybody who asks for the same order, limit and filters shares the connection. */
export function useLiveTable(name: string, options: LiveTableOptions = {}): LiveTableView {
  const id = JSON.stringify([name, options])
  const store = useMemo(() => {
    const [storeName, storeOptions] = JSON.parse(id) as [string, LiveTableOptions]
    let found = tableStores.get(id)
    if (!found) tableStores.set(id, (found = new LiveTableStore(storeName, storeOptions)))
    return found
  }, [id])
  return useSyncExternalStore(store.subscribe, store.getSnapshot)
}

// --- topics ----------------------------------------------------------------------------------------------------------------

export interface TopicTailView {
  link: LinkState
  /** Newest first. */
  messages: readonly TopicMessage[]
  /** Records that the server left out to keep its rate. */
  skippedCount: number
  /** All that came, those left out among them. */
  arrivedCount: number
  refusal: ApiError['error'] | null
}

/** What of a topic is followed; parameters of the API, the server does it. */
export interface TailOptions {
  partition?: number | undefined
  where?: string | undefined
  decode?: string | undefined
}

class TopicTailStore extends LiveStore<TopicTailView> {
  protected override readonly notifyMs = 1_000
  #topic: string
  #capacity: number
  #query: string
  #messages: TopicMessage[] = []
  #seen = new Set<string>()
  /** Since the connection opened, until what was there before has come. */
  #arrived: TopicMessage[] | null = null
  #skippedCount = 0
  #arrivedCount = 0

  constructor(topic: string, capacity: number, options: TailOptions) {
    super()
    this.#topic = topic
    this.#capacity = capacity
    const given = Object.entries(options).filter(([, value]) => value !== undefined)
    this.#query = String(new URLSearchParams(given.map(([name, value]) => [name, String(value)])))
  }

  protected path(): string {
    return `${topicPath(this.#topic)}/live?${this.#query}`
  }

  /**
   * What was there before we came (or while we were away); the live frames bring the rest. It takes the place of what is shown: a topic that was
   * made anew meanwhile, or a server that began anew, has other records at the same offsets.
   */
  protected override onOpen(): void {
    const arrived: TopicMessage[] = []
    this.#arrived = arrived
    apiGet<{ messages: TopicMessage[] }>(`${topicPath(this.#topic)}/messages?limit=50&${this.#query}`)
      .then(({ messages }) => {
        if (this.#arrived !== arrived) return
        const known = this.#seen
        this.#messages = []
        this.#seen = new Set()
        this.#add([...arrived, ...messages.filter((message) => !arrived.some((other) => messageId(other) === messageId(message)))], known)
        this.changed(true)
      })
      .catch(() => undefined)
      .finally(() => {
        if (this.#arrived === arrived) this.#arrived = null
      })
  }

  protected receive(raw: unknown): void {
    const frame = raw as TopicFrame
    if (frame.type !== 'messages') return
    this.#skippedCount += frame.skipped
    this.#arrivedCount += frame.skipped
    this.#arrived?.push(...frame.messages)
    this.#add(frame.messages)
  }

  /** @param known  what has been counted */
  #add(messages: TopicMessage[], known = this.#seen): void {
    const fresh = messages.filter((message) => !this.#seen.has(messageId(message)))
    if (fresh.length === 0) return
    this.#arrivedCount += fresh.filter((message) => !known.has(messageId(message))).length
    const all = [...this.#messages, ...fresh]
    all.sort(newestFirst)
    this.#messages = all.slice(0, this.#capacity)
    this.#seen = new Set(this.#messages.map(messageId))
    this.changed()
  }

  protected build(): TopicTailView {
    const { link, refusal } = this
    return { link, messages: this.#messages, skippedCount: this.#skippedCount, arrivedCount: this.#arrivedCount, refusal }
  }

  /** Records of a filter that nobody looks at are not kept. */
  protected override onIdle(): void {
    if (this.#query !== '') for (const [id, store] of tailStores) if (store === this) tailStores.delete(id)
  }
}

const newestFirst = (left: TopicMessage, right: TopicMessage): number =>
  right.timestampMs - left.timestampMs || right.partition - left.partition || right.offset - left.offset

/** Identity of a record within its topic. */
export const messageId = (message: TopicMessage): string => `${message.partition}:${message.offset}`

const tailStores = new Map<string, TopicTailStore>()

function tailStore(topic: string, capacity: number, options: TailOptions): TopicTailStore {
  const id = JSON.stringify([topic, capacity, options])
  let found = tailStores.get(id)
  if (!found) tailStores.set(id, (found = new TopicTailStore(topic, capacity, options)))
  return found
}

/** A record and the topic it is from. */
export interface TailMessage extends TopicMessage {
  topic: string
}

export interface TailsView {
  link: LinkState
  /** Newest first over all topics; at most `capacity`. */
  messages: readonly TailMessage[]
  skippedCount: number
  arrivedCount: number
  refusal: ApiError['error'] | null
}

/** The newest records of some topics as they arrive. */
export function useTopicTails(topics: readonly string[], capacity: number, options: TailOptions = {}): TailsView {
  const id = JSON.stringify([topics, capacity, options])
  const source = useMemo(() => {
    const [names, count, wanted] = JSON.parse(id) as [string[], number, TailOptions]
    const stores = names.map((name) => tailStore(name, count, wanted))
    let parts: TopicTailView[] = []
    let merged: TailsView = { link: 'connecting', messages: [], skippedCount: 0, arrivedCount: 0, refusal: null }
    return {
      subscribe(listener: () => void) {
        const stops = stores.map((store) => store.subscribe(listener))
        return () => {
          for (const stop of stops) stop()
        }
      },
      getSnapshot() {
        const now = stores.map((store) => store.getSnapshot())
        if (now.length === parts.length && now.every((part, index) => part === parts[index])) return merged
        parts = now
        const messages = now.flatMap((part, index) => part.messages.map((message) => ({ ...message, topic: names[index]! })))
        messages.sort(newestFirst)
        merged = {
          link: now.find((part) => part.link !== 'live')?.link ?? 'live',
          messages: messages.slice(0, count),
          skippedCount: now.reduce((sum, part) => sum + part.skippedCount, 0),
          arrivedCount: now.reduce((sum, part) => sum + part.arrivedCount, 0),
          refusal: now.find((part) => part.refusal !== null)?.refusal ?? null,
        }
        return merged
      },
    }
  }, [id])
  return useSyncExternalStore(source.subscribe, source.getSnapshot)
}

// --- pause -----------------------------------------------------------------------------------------------------------------

/** Holds a value still while paused: what was on screen stays, what arrives meanwhile shows on resume. */
export function usePause<T>(value: T): { value: T; isPaused: boolean; setPaused: (isPaused: boolean) => void } {
  const [held, setHeld] = useState<{ value: T } | null>(null)
  const setPaused = useCallback((isPaused: boolean) => setHeld(isPaused ? { value } : null), [value])
  return { value: held ? held.value : value, isPaused: held !== null, setPaused }
}
