// Quotas: how many bytes per second, and what share of the process's time, users and client ids may use. Who uses more is answered, told how
// long to wait (throttle_time_ms), and not read from until then. And how many connections per second may come from an address: those beyond
// are closed, unanswered, when there is room for the next one.
//
// Invariants
//   1. Of the quotas that fit a client the most specific one counts, in Kafka's order; who shares a quota shares its budget.
//   2. Over time nobody gets more than the quota and a second's worth of it at once.
//   3. Buckets that were idle for a minute are forgotten: memory is bounded by the clients of a minute.
// Source: Kafka's documentation, "Quotas"; KIP-124, KIP-546.

export const quotaKeys = ['producer_byte_rate', 'consumer_byte_rate', 'request_percentage', 'controller_mutation_rate'] as const
/** The one of addresses. */
export const CONNECTION_RATE = 'connection_creation_rate'
export type QuotaKey = (typeof quotaKeys)[number] | typeof CONNECTION_RATE
export type QuotaValues = Partial<Record<QuotaKey, number>>
/** A name is null for the default of its kind; a kind that is absent does not matter. */
export interface QuotaEntity {
  user?: string | null
  'client-id'?: string | null
  /** With none of the others. */
  ip?: string | null
}
export type QuotaEntityType = keyof QuotaEntity
export const quotaEntityTypes = ['user', 'client-id', 'ip'] as const

/** The same text for the same entity. */
export const entityKey = (entity: QuotaEntity): string =>
  JSON.stringify(Object.fromEntries(quotaEntityTypes.flatMap((type) => (entity[type] === undefined ? [] : [[type, entity[type]]]))))

const BURST_S = 1
const IDLE_MS = 60_000
const BUCKETS_LOOKED_AT_MAX = 10_000
/** Answers of Fetch are no larger than so many seconds of the quota. */
const FETCH_S_MAX = 10

/** A share of the process's time is counted in ms of each second. */
const perSecond = (key: QuotaKey, value: number): number => (key === 'request_percentage' ? value * 10 : value)

export class Quotas {
  private readonly stored: ReadonlyMap<string, { values: QuotaValues }>
  private readonly buckets = new Map<string, { level: number; atMs: number }>()

  /** @param stored  by `entityKey` */
  constructor(stored: ReadonlyMap<string, { values: QuotaValues }>) {
    this.stored = stored
  }

  get isEmpty(): boolean {
    return this.stored.size === 0
  }

  /**
   * Takes an amount from a client's budget: bytes, or ms.
   *
   * @returns  how long the client has to wait, ms
   */
  take(key: QuotaKey, user: string, clientId: string, amount: number, nowMs: number): number {
    if (this.isEmpty || amount === 0) return 0
    const found = this.find(key, user, clientId)
    if (!found) return 0
    const rate = perSecond(key, found.value)
    const level = this.level(`${key} ${found.bucket}`, rate, nowMs) - amount
    this.keep(`${key} ${found.bucket}`, level, nowMs)
    return level >= 0 ? 0 : Math.ceil((-level / rate) * 1_000)
  }

  /**
   * A connection comes from an address; one that may not stay takes nothing from the budget.
   *
   * @returns  0 if it may stay, else after which time the next one may, ms
   */
  connect(ip: string, nowMs: number): number {
    if (this.isEmpty) return 0
    const rate = (this.stored.get(entityKey({ ip })) ?? this.stored.get(entityKey({ ip: null })))?.values[CONNECTION_RATE]
    if (rate === undefined) return 0
    const key = `${CONNECTION_RATE} ${ip}`
    const level = this.level(key, rate, nowMs)
    this.keep(key, level < 1 ? level : level - 1, nowMs)
    return level < 1 ? Math.ceil(((1 - level) / rate) * 1_000) : 0
  }

  /** How many bytes one Fetch of the client may have at most. */
  fetchBytesMax(user: string, clientId: string): number {
    const found = this.isEmpty ? undefined : this.find('consumer_byte_rate', user, clientId)
    return found ? Math.ceil(found.value * FETCH_S_MAX) : Number.POSITIVE_INFINITY
  }

  private level(key: string, rate: number, nowMs: number): number {
    const bucket = this.buckets.get(key)
    return bucket ? Math.min(rate * BURST_S, bucket.level + ((nowMs - bucket.atMs) / 1_000) * rate) : rate * BURST_S
  }
  private keep(key: string, level: number, nowMs: number): void {
    // Newest last, so that idle ones are found at the front.
    this.buckets.delete(key)
    this.buckets.set(key, { level, atMs: nowMs })
    if (this.buckets.size > BUCKETS_LOOKED_AT_MAX) this.forgetIdle(nowMs)
  }

  private find(key: QuotaKey, user: string, clientId: string): { value: number; bucket: string } | undefined {
    // Kafka's order of precedence. Who is meant by a default has a budget of his own.
    const candidates: [entity: QuotaEntity, bucket: QuotaEntity][] = [
      [
        { user, 'client-id': clientId },
        { user, 'client-id': clientId },
      ],
      [
        { user, 'client-id': null },
        { user, 'client-id': clientId },
      ],
      [{ user }, { user }],
      [
        { user: null, 'client-id': clientId },
        { user, 'client-id': clientId },
      ],
      [
        { user: null, 'client-id': null },
        { user, 'client-id': clientId },
      ],
      [{ user: null }, { user }],
      [{ 'client-id': clientId }, { 'client-id': clientId }],
      [{ 'client-id': null }, { 'client-id': clientId }],
    ]
    for (const [entity, bucket] of candidates) {
      const value = this.stored.get(entityKey(entity))?.values[key]
      if (value !== undefined) return { value, bucket: entityKey(bucket) }
    }
    return undefined
  }

  private forgetIdle(nowMs: number): void {
    for (const [key, { level, atMs }] of this.buckets) {
      if (nowMs - atMs < IDLE_MS) return
      if (level >= 0) this.buckets.delete(key)
    }
  }
}
