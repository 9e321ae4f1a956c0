// What each Nexmark query gives over a list of events: slow, by the definition, with Maps and sorts. Shares no code with the engine.
//
// node bench/nexmark/model.ts writes expected.json: row count and hash of each query's result for the runs listed below.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { valueAt } from '../../src/data/index.ts'
import { leafNames, NexmarkGenerator, type NexmarkOptions } from './generator.ts'
import { ResultHash } from './resultHash.ts'

interface Person {
  id: bigint
  name: string
  city: string
  state: string
  time: number
}
interface Auction {
  id: bigint
  itemName: string
  description: string
  initialBid: bigint
  reserve: bigint
  time: number
  expires: number
  seller: bigint
  category: bigint
  extra: string
}
interface Bid {
  /** Number of the event, from 0. */
  event: number
  auction: bigint
  bidder: bigint
  price: bigint
  channel: string
  url: string
  time: number
  extra: string
}
export interface Events {
  persons: Person[]
  auctions: Auction[]
  bids: Bid[]
  /** Processing time of an event, epoch ms. */
  processingTimeOf: (event: number) => number
}
type Row = unknown[]

/** Of all generators, if there are several. Events are numbered by each for itself. */
export function eventsOf(options: NexmarkOptions, processingTimeOf: (event: number) => number): Events {
  const events: Events = { persons: [], auctions: [], bids: [], processingTimeOf }
  for (let index = 0; index < (options.parallelism ?? 1); index++) addEvents(new NexmarkGenerator({ ...options, index }), events)
  return events
}

function addEvents(generator: NexmarkGenerator, events: Events): void {
  let event = 0
  for (let batch = generator.next(4096, leafNames, 0); batch !== undefined; batch = generator.next(4096, leafNames, 0)) {
    const column = new Map(leafNames.map((leaf, i) => [leaf, batch.columns[i]]))
    for (let row = 0; row < batch.rowCount; row++, event++) {
      const type = valueAt(batch.columns[0], row)
      const kind = type === 0 ? 'person' : type === 1 ? 'auction' : 'bid'
      const entity: Record<string, unknown> = { event }
      for (const leaf of leafNames) {
        const [owner, field] = leaf.split('.')
        const values = column.get(leaf)
        if (owner === kind && values !== undefined) entity[field === 'dateTime' ? 'time' : field] = valueAt(values, row)
      }
      ;(events[`${kind}s`] as unknown[]).push(entity)
    }
  }
}

const groupBy = <T>(items: Iterable<T>, key: (item: T) => unknown): Map<unknown, T[]> => Map.groupBy(items, key)
const textKey = (...parts: unknown[]): string => parts.map(String).join('|')
const bestOf = (values: readonly bigint[], isBetter: (a: bigint, b: bigint) => boolean): bigint =>
  values.reduce((best, value) => (isBetter(value, best) ? value : best))
const maxOf = (values: readonly bigint[]): bigint => bestOf(values, (a, b) => a > b)
const minOf = (values: readonly bigint[]): bigint => bestOf(values, (a, b) => a < b)
const sumOf = (values: readonly bigint[]): bigint => values.reduce((a, b) => a + b, 0n)
const countOf = (items: { length: number }): bigint => BigInt(items.length)
const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10)
const minuteOf = (time: number): string => new Date(time).toISOString().slice(11, 16)
const windowStart = (time: number, size: number): number => Math.floor(time / size) * size
const WINDOW_MS = 10_000

/** Pairs of an auction and a bid on it while it was open. */
function openPairs({ auctions, bids }: Events): { auction: Auction; bid: Bid }[] {
  const byId = new Map(auctions.map((auction) => [auction.id, auction]))
  return bids.flatMap((bid) => {
    const auction = byId.get(bid.auction)
    return auction !== undefined && bid.time >= auction.time && bid.time <= auction.expires ? [{ auction, bid }] : []
  })
}

/** Total, and the three ranks of prices. */
const ranks = (bids: readonly Bid[]): Bid[][] => [
  bids.slice(),
  bids.filter(({ price }) => price < 10_000n),
  bids.filter(({ price }) => price >= 10_000n && price < 1_000_000n),
  bids.filter(({ price }) => price >= 1_000_000n),
]
const counts = (bids: readonly Bid[]): bigint[] => ranks(bids).map(countOf)
const distincts = (bids: readonly Bid[], of: (bid: Bid) => bigint): bigint[] =>
  ranks(bids).map((ranked) => BigInt(new Set(ranked.map(of)).size))

const bidRow = ({ auction, bidder, price, channel, url, time, extra }: Bid): Row => [auction, bidder, price, channel, url, time, extra]

export const model: Record<string, (events: Events) => Row[]> = {
  q0: ({ bids }) => bids.map(({ auction, bidder, price, time, extra }) => [auction, bidder, price, time, extra]),
  // DECIMAL(23, 3) by its thousandths.
  q1: ({ bids }) => bids.map(({ auction, bidder, price, time, extra }) => [auction, bidder, price * 908n, time, extra]),
  q2: ({ bids }) => bids.filter(({ auction }) => auction % 123n === 0n).map(({ auction, price }) => [auction, price]),
  q3: ({ persons, auctions }) => {
    const byId = new Map(persons.filter(({ state }) => ['OR', 'ID', 'CA'].includes(state)).map((person) => [person.id, person]))
    return auctions.flatMap(({ id, seller, category }) => {
      const person = byId.get(seller)
      return category === 10n && person !== undefined ? [[person.name, person.city, person.state, id]] : []
    })
  },
  q4: (events) => {
    const finals = [...groupBy(openPairs(events), ({ auction }) => auction.id).values()].map((pairs) => ({
      category: pairs[0].auction.category,
      final: maxOf(pairs.map(({ bid }) => bid.price)),
    }))
    return [...groupBy(finals, ({ category }) => category)].map(([category, all]) => [
      category,
      sumOf(all.map(({ final }) => final)) / countOf(all),
    ])
  },
  q5: ({ bids }) => {
    const windows = new Map<number, Map<bigint, bigint>>()
    for (const { auction, time } of bids)
      for (let start = windowStart(time, 2000); start > time - WINDOW_MS; start -= 2000) {
        const perAuction = windows.get(start) ?? new Map<bigint, bigint>()
        windows.set(start, perAuction.set(auction, (perAuction.get(auction) ?? 0n) + 1n))
      }
    return [...windows.values()].flatMap((perAuction) => {
      const max = maxOf([...perAuction.values()])
      return [...perAuction].filter(([, count]) => count >= max)
    })
  },
  q7: ({ bids }) => {
    const windows = [...groupBy(bids, ({ time }) => windowStart(time, WINDOW_MS))].map(([start, inWindow]) => ({
      end: (start as number) + WINDOW_MS,
      max: maxOf(inWindow.map(({ price }) => price)),
    }))
    return bids.flatMap(({ auction, bidder, price, time, extra }) =>
      windows
        .filter(({ end, max }) => price === max && time >= end - WINDOW_MS && time <= end)
        .map(() => [auction, price, bidder, time, extra]),
    )
  },
  q8: ({ persons, auctions }) => {
    const sellers = new Set(auctions.map(({ seller, time }) => textKey(seller, windowStart(time, WINDOW_MS))))
    const seen = new Map<string, Row>()
    for (const { id, name, time } of persons) {
      const start = windowStart(time, WINDOW_MS)
      if (sellers.has(textKey(id, start))) seen.set(textKey(id, name, start), [id, name, start])
    }
    return [...seen.values()]
  },
  q9: (events) =>
    [...groupBy(openPairs(events), ({ auction }) => auction.id).values()].map((pairs) => {
      const [{ auction: a, bid }] = pairs.sort(
        (x, y) => Number(y.bid.price - x.bid.price) || x.bid.time - y.bid.time || x.bid.event - y.bid.event,
      )
      const own = [a.id, a.itemName, a.description, a.initialBid, a.reserve, a.time, a.expires, a.seller, a.category, a.extra]
      return [...own, bid.auction, bid.bidder, bid.price, bid.time, bid.extra]
    }),
  q10: ({ bids }) =>
    bids.map(({ auction, bidder, price, time, extra }) => [auction, bidder, price, time, extra, dayOf(time), minuteOf(time)]),
  q11: ({ bids }) =>
    [...groupBy(bids, ({ bidder }) => bidder)].flatMap(([bidder, all]) => {
      const sessions: { count: bigint; first: number; last: number }[] = []
      for (const { time } of all.toSorted((a, b) => a.time - b.time)) {
        const open = sessions.at(-1)
        if (open !== undefined && time - open.last <= WINDOW_MS) Object.assign(open, { count: open.count + 1n, last: time })
        else sessions.push({ count: 1n, first: time, last: time })
      }
      return sessions.map(({ count, first, last }) => [bidder, count, first, last + WINDOW_MS])
    }),
  q12: ({ bids, processingTimeOf }) =>
    [...groupBy(bids, ({ bidder, event }) => textKey(bidder, windowStart(processingTimeOf(event), WINDOW_MS))).values()].map((all) => {
      const start = windowStart(processingTimeOf(all[0].event), WINDOW_MS)
      return [all[0].bidder, countOf(all), start, start + WINDOW_MS]
    }),
  q13: ({ bids }) => bids.map(({ auction, bidder, price, time }) => [auction, bidder, price, time, auction % 10_000n]),
  q14: ({ bids }) =>
    bids
      .filter(({ price }) => price * 908n > 1_000_000_000n && price * 908n < 50_000_000_000n)
      .map(({ auction, bidder, price, time, extra }) => {
        const hour = new Date(time).getUTCHours()
        const type = hour >= 8 && hour <= 18 ? 'dayTime' : hour <= 6 || hour >= 20 ? 'nightTime' : 'otherTime'
        return [auction, bidder, price * 908n, type, time, extra, BigInt(extra.split('c').length - 1)]
      }),
  q15: ({ bids }) =>
    [...groupBy(bids, ({ time }) => dayOf(time))].map(([day, all]) => [
      day,
      ...counts(all),
      ...distincts(all, ({ bidder }) => bidder),
      ...distincts(all, ({ auction }) => auction),
    ]),
  q16: ({ bids }) =>
    [...groupBy(bids, ({ channel, time }) => textKey(channel, dayOf(time))).values()].map((all) => [
      all[0].channel,
      dayOf(all[0].time),
      all
        .map(({ time }) => minuteOf(time))
        .sort()
        .at(-1),
      ...counts(all),
      ...distincts(all, ({ bidder }) => bidder),
      ...distincts(all, ({ auction }) => auction),
    ]),
  q17: ({ bids }) =>
    [...groupBy(bids, ({ auction, time }) => textKey(auction, dayOf(time))).values()].map((all) => {
      const prices = all.map(({ price }) => price)
      const sum = sumOf(prices)
      return [all[0].auction, dayOf(all[0].time), ...counts(all), minOf(prices), maxOf(prices), sum / countOf(prices), sum]
    }),
  q18: ({ bids }) => [
    ...bids
      .toSorted((a, b) => a.time - b.time || a.event - b.event)
      .reduce((last, bid) => last.set(textKey(bid.bidder, bid.auction), bidRow(bid)), new Map<string, Row>())
      .values(),
  ],
  q19: ({ bids }) =>
    [...groupBy(bids, ({ auction }) => auction).values()].flatMap((all) =>
      all
        .sort((a, b) => Number(b.price - a.price) || a.event - b.event)
        .slice(0, 10)
        .map((bid, i) => [...bidRow(bid), i + 1]),
    ),
  q20: ({ auctions, bids }) => {
    const byId = new Map(auctions.filter(({ category }) => category === 10n).map((auction) => [auction.id, auction]))
    return bids.flatMap((bid) => {
      const a = byId.get(bid.auction)
      if (a === undefined) return []
      const { itemName, description, initialBid, reserve, time, expires, seller, category, extra } = a
      return [[...bidRow(bid), itemName, description, initialBid, reserve, time, expires, seller, category, extra]]
    })
  },
  q21: ({ bids }) =>
    bids.flatMap(({ auction, bidder, price, channel, url }) => {
      const known = ['apple', 'google', 'facebook', 'baidu'].indexOf(channel.toLowerCase())
      const id = known >= 0 ? String(known) : (/(&|^)channel_id=([^&]*)/.exec(url)?.[2] ?? null)
      return id === null ? [] : [[auction, bidder, price, channel, id]]
    }),
  q22: ({ bids }) =>
    bids.map(({ auction, bidder, price, channel, url }) => [auction, bidder, price, channel, ...url.split('/').slice(3, 6)]),
}

/** The runs whose results are in expected.json. */
export interface ExpectedRun {
  events: number
  rate: number
  seed: number
  baseTimeMs: number
  /** Number of generators, and of the engine's subtasks. */
  parallelism: number
  results: Record<string, { rows: number; hash: string }>
}
/** Processing time moves 3 s with every batch of this many events. With several generators it stands still: nothing says how they interleave. */
export const MODEL_BATCH_EVENTS = 4096
const START_MS = 1_767_225_600_000
export const modelProcessingTime =
  (parallelism: number) =>
  (event: number): number =>
    parallelism > 1 ? START_MS : START_MS + Math.floor(event / MODEL_BATCH_EVENTS) * 3_000

const MIDDAY = Date.UTC(2026, 0, 1, 12)
// The small one crosses midnight and many windows.
const runs = [
  { events: 50_000, rate: 1_000, seed: 7, baseTimeMs: Date.UTC(2026, 0, 1, 23, 59, 40) },
  { events: 1_000_000, rate: 10_000_000, seed: 42, baseTimeMs: MIDDAY },
  { events: 1_000_000, rate: 100_000, seed: 42, baseTimeMs: MIDDAY },
].flatMap((run) => [1, 2].map((parallelism) => ({ ...run, parallelism })))

if (import.meta.main) {
  const expected = runs.map((run): ExpectedRun => {
    const events = eventsOf(run, modelProcessingTime(run.parallelism))
    const results = Object.entries(model).map(([name, of]) => {
      const hash = new ResultHash()
      for (const row of of(events)) hash.add(row)
      return [name, hash.result] as const
    })
    return { ...run, results: Object.fromEntries(results) }
  })
  writeFileSync(join(import.meta.dirname, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`)
}
