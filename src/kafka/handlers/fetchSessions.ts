// Fetch sessions: a consumer of many partitions names them once; later requests say what changed, and answers leave out what did not.
//
// Invariants
//   1. A session belongs to the connection that opened it, and ends with it; at most `fetchSessions` exist, the least recently used goes.
//   2. A request with the wrong epoch changes nothing: the client is told, and begins again with a full request.
// Source: KIP-227.
import { randomInt } from 'node:crypto'
import type { Broker, RequestContext } from '../broker.ts'
import { ERROR } from '../errors.ts'
import type { fetchApi } from '../messages/fetch.ts'
import { ZERO_UUID } from '../wire.ts'

export interface WantedPartition {
  /** Empty where the request goes by id. */
  topic: string
  topicId: string
  partition: number
  fetchOffset: number
  partitionMaxBytes: number
  currentLeaderEpoch: number
}
interface Answered {
  wanted: WantedPartition
  errorCode: number
  highWatermark: number
  logStartOffset: number
  records: Uint8Array
}
interface OpenFetch {
  /** 0: no session. */
  id: number
  wanted: readonly WantedPartition[]
  /** Which of the fetched partitions are answered. */
  select<A extends Answered>(fetched: readonly A[]): readonly A[]
}

const FINAL_EPOCH = -1
const INITIAL_EPOCH = 0
const EPOCH_MAX = 2 ** 31 - 1
type FetchRequest = ReturnType<ReturnType<(typeof fetchApi)['request']>['decode']>

interface Session {
  id: number
  /** The epoch that the next request must have. */
  epoch: number
  signal: AbortSignal
  /** In the order in which they are looked at: those that gave records go to the end. */
  partitions: Map<string, WantedPartition & { sentHighWatermark: number; sentLogStartOffset: number }>
}

export class FetchSessions {
  private readonly broker: Broker
  /** Least recently used first. */
  private readonly sessions = new Map<number, Session>()
  /** Of connections, however many sessions each begins. */
  private readonly heard = new WeakSet<AbortSignal>()

  constructor(broker: Broker) {
    this.broker = broker
  }

  open(request: FetchRequest, { signal }: RequestContext): OpenFetch | { errorCode: number } {
    const { sessionId, sessionEpoch } = request
    if (sessionEpoch === FINAL_EPOCH || sessionEpoch === INITIAL_EPOCH) {
      this.end(sessionId, signal)
      const wanted = wantedOf(request)
      if (sessionEpoch === FINAL_EPOCH || wanted.length === 0) return { id: 0, wanted, select: (fetched) => fetched }
      const session = this.make(signal)
      for (const one of wanted) session.partitions.set(keyOf(one), { ...one, sentHighWatermark: -1, sentLogStartOffset: -1 })
      // The first answer names every partition.
      return {
        id: session.id,
        wanted,
        select: (fetched) => {
          this.note(session, fetched)
          return fetched
        },
      }
    }
    const session = this.sessions.get(sessionId)
    if (!session || session.signal !== signal) return { errorCode: ERROR.FETCH_SESSION_ID_NOT_FOUND }
    if (session.epoch !== sessionEpoch) return { errorCode: ERROR.INVALID_FETCH_SESSION_EPOCH }
    session.epoch = sessionEpoch === EPOCH_MAX ? 1 : sessionEpoch + 1
    this.sessions.delete(sessionId)
    this.sessions.set(sessionId, session)
    for (const one of wantedOf(request)) {
      const known = session.partitions.get(keyOf(one))
      if (known) Object.assign(known, one)
      else session.partitions.set(keyOf(one), { ...one, sentHighWatermark: -1, sentLogStartOffset: -1 })
    }
    for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
      for (const partition of partitions) session.partitions.delete(keyOf({ topic, topicId, partition }))
    }
    return {
      id: session.id,
      wanted: [...session.partitions.values()],
      select: (fetched) => {
        const news = fetched.filter(({ wanted, errorCode, highWatermark, logStartOffset, records }) => {
          const known = session.partitions.get(keyOf(wanted))
          const isSame = known?.sentHighWatermark === highWatermark && known.sentLogStartOffset === logStartOffset
          return records.length > 0 || errorCode !== 0 || !isSame
        })
        this.note(session, news)
        return news
      },
    }
  }

  private make(signal: AbortSignal): Session {
    let id = 0
    while (id === 0 || this.sessions.has(id)) id = randomInt(1, EPOCH_MAX)
    const session = { id, epoch: 1, signal, partitions: new Map() }
    this.sessions.set(id, session)
    if (!this.heard.has(signal)) {
      this.heard.add(signal)
      signal.addEventListener('abort', () => this.endAll(signal), { once: true })
    }
    if (this.sessions.size > this.broker.limits.fetchSessions) this.sessions.delete(this.sessions.keys().next().value!)
    return session
  }

  private end(sessionId: number, signal: AbortSignal): void {
    if (this.sessions.get(sessionId)?.signal === signal) this.sessions.delete(sessionId)
  }

  private endAll(signal: AbortSignal): void {
    for (const { id, signal: of } of this.sessions.values()) if (of === signal) this.sessions.delete(id)
  }

  /** Remembers what a client has been told, and puts partitions that gave records behind the others. */
  private note(session: Session, answered: readonly Answered[]): void {
    for (const { wanted, errorCode, highWatermark, logStartOffset, records } of answered) {
      const key = keyOf(wanted)
      const known = session.partitions.get(key)
      if (!known) continue
      // An error is told again until it is gone.
      known.sentHighWatermark = errorCode === 0 ? highWatermark : -1
      known.sentLogStartOffset = logStartOffset
      if (records.length === 0) continue
      session.partitions.delete(key)
      session.partitions.set(key, known)
    }
  }
}

const keyOf = ({ topic, topicId, partition }: { topic: string; topicId: string; partition: number }): string =>
  `${topicId === ZERO_UUID ? topic : topicId}:${partition}`

const wantedOf = ({ topics }: FetchRequest): WantedPartition[] =>
  topics.flatMap(({ topic, topicId, partitions }) =>
    partitions.map(({ partition, fetchOffset, partitionMaxBytes, currentLeaderEpoch }) => {
      return { topic, topicId, partition, fetchOffset, partitionMaxBytes, currentLeaderEpoch }
    }),
  )
