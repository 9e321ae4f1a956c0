// Nexmark events with the distribution of the suite's own generator, as columns: one leaf column for each field of person, auction and bid.
//
// Invariants
//   1. The same options give the same events, in whatever batches they are taken and whichever leaves are asked for: every value of
//      every event is made, in one order of draws.
//   2. Event ids start at 2; of 50 events the first (id divisible by 50) is a person, the next 3 are auctions, 46 are bids.
//   3. A batch that was handed on is never written to again; columns that nobody asked for are made into memory of the generator's own.
//   4. Event time never falls.
// What leaves the distribution as it is but differs from the suite: the numbers come from a seeded generator, prices have 2^24 steps,
// and event time starts at a constant.
import type { Batch, Column } from '../../src/data/index.ts'

export interface NexmarkOptions {
  seed?: number
  /** Number of events in all. */
  events: number
  /** Events per second of event time. */
  rate: number
  /** Event time of the beginning, epoch ms. */
  baseTimeMs?: number
  /** Generators that share one timeline, as parallel sources do; this is the one numbered `index`. */
  parallelism?: number
  index?: number
}

export const DEFAULT_BASE_TIME_MS = Date.UTC(2026, 0, 1, 12)

export const leafNames = [
  'event_type',
  ...['id', 'name', 'emailAddress', 'creditCard', 'city', 'state', 'dateTime', 'extra'].map((name) => `person.${name}`),
  ...['id', 'itemName', 'description', 'initialBid', 'reserve', 'dateTime', 'expires', 'seller', 'category', 'extra'].map(
    (name) => `auction.${name}`,
  ),
  ...['auction', 'bidder', 'price', 'channel', 'url', 'dateTime', 'extra'].map((name) => `bid.${name}`),
]

const EXTRA_BYTES = 1 << 20
const FIRST_ID = 1000
const HOT_BATCH = 100
const ACTIVE_PEOPLE = 1000
const IN_FLIGHT_AUCTIONS = 100
const ID_LEAD = 10
const CHANNELS = 10_000
const firstNames = 'Peter,Paul,Luke,John,Saul,Vicky,Kate,Julie,Sarah,Deiter,Walter'.split(',')
const lastNames = 'Shultz,Abrams,Spencer,White,Bartels,Walton,Smith,Jones,Noris'.split(',')
const cities = 'Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne'.split(',')
const states = 'AZ,CA,ID,OR,WA,WY'.split(',')
const hotChannels = ['Google', 'Facebook', 'Baidu', 'Apple']

/** Texts that are chosen by number, one after the other in `bytes`. */
class Texts {
  readonly bytes: Uint8Array
  readonly offsets: Int32Array
  constructor(texts: readonly string[]) {
    this.bytes = Buffer.from(texts.join(''), 'latin1')
    this.offsets = new Int32Array(texts.length + 1)
    texts.forEach((text, i) => {
      this.offsets[i + 1] = this.offsets[i] + text.length
    })
  }
}

/** A column in the making. */
interface Numbers {
  data: Float64Array
  words: Int32Array
  longs: BigInt64Array
}
interface Slices {
  starts: Int32Array
  ends: Int32Array
}

/** 10^(6 u), u in 24 bits, as a product of two tables. */
const highPowers = Float64Array.from({ length: 4096 }, (_, i) => 10 ** ((6 * i) / 4096) * 100)
const lowPowers = Float64Array.from({ length: 4096 }, (_, i) => 10 ** ((6 * i) / (4096 * 4096)))

// mulberry32: the state grows by STEP, a draw is its mix.
const STEP = 0x6d2b79f5
const PER_WORD = 2 ** -32
function mixed(x: number): number {
  let y = Math.imul(x ^ (x >>> 15), 1 | x)
  y = (y + Math.imul(y ^ (y >>> 7), 61 | y)) ^ y
  return y ^ (y >>> 14)
}
/** One of 13 characters is special, the others are letters. */
const LETTERS = 13 * 26
const lettersWith = (special: number): Uint8Array => Uint8Array.from({ length: LETTERS }, (_, i) => (i < 26 ? special : 97 + (i % 26)))
const spaced = lettersWith(32)
const underscored = lettersWith(95)
/** A bid is 32 bytes without its payload, which brings it to 100, 20 % more or less: 54 to 81 bytes. */
const BID_EXTRA_MIN = 54
const BID_EXTRA_SPREAD = 28

export class NexmarkGenerator {
  /** Event number of the next event, from 0. */
  position = 0
  readonly count: number
  private readonly state: Int32Array
  private readonly firstEventId: number
  private readonly delayUs: number
  private readonly baseTimeMs: number
  private readonly extras: Uint8Array
  private readonly names: Texts
  private readonly cityTexts = new Texts(cities)
  private readonly stateTexts = new Texts(states)
  private readonly channels: Texts
  private readonly urls: Texts
  private readonly scratch = new Map<string, Numbers | Slices>()
  private scratchArena = new Uint8Array(0)
  private scratchRows = 0

  constructor({ seed = 42, events, rate, baseTimeMs = DEFAULT_BASE_TIME_MS, parallelism = 1, index = 0 }: NexmarkOptions) {
    const share = Math.floor(events / parallelism)
    this.count = index === parallelism - 1 ? events - share * index : share
    this.firstEventId = 1 + index * share
    this.delayUs = (1e6 / rate) * parallelism
    this.baseTimeMs = baseTimeMs
    this.state = Int32Array.of(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))
    this.extras = this.makeExtras()
    this.names = new Texts(firstNames.flatMap((first) => lastNames.map((last) => `${first} ${last}`)))
    this.channels = new Texts([...hotChannels, ...Array.from({ length: CHANNELS }, (_, i) => `channel-${i}`)])
    this.urls = new Texts([
      ...hotChannels.map(() => this.url()),
      ...Array.from({ length: CHANNELS }, (_, i) => this.url() + (this.nextInt(10) > 0 ? `&channel_id=${Math.abs(reversedBits(i))}` : '')),
    ])
  }

  private nextWord(): number {
    this.state[0] += STEP
    return mixed(this.state[0])
  }
  /** Uniform in [0, n). */
  private nextInt(n: number): number {
    return Math.floor((this.nextWord() >>> 0) * n * PER_WORD)
  }

  /** Six characters of each word, a to z or, where the word is negative, H to a: as the suite's own. */
  private makeExtras(): Uint8Array {
    const bytes = new Uint8Array(EXTRA_BYTES)
    for (let at = 0; at < EXTRA_BYTES; ) {
      let word = this.nextWord()
      for (let i = 0; i < 6 && at < EXTRA_BYTES; i++) {
        bytes[at++] = 97 + (word % 26)
        word = (word / 26) | 0
      }
    }
    return bytes
  }

  private url(): string {
    const bytes = new Uint8Array(5)
    const part = (): string => Buffer.from(bytes.subarray(0, this.writeText(bytes, 0, 5, underscored))).toString('latin1')
    return `https://www.nexmark.com/${part()}/${part()}/${part()}/item.htm?query=1`
  }

  /** Up to `max` letters with a special character here and there, without spaces at both ends; returns the end. A word makes two letters. */
  private writeText(bytes: Uint8Array, at: number, max: number, letters: Uint8Array): number {
    let word = this.state[0]
    let draw = mixed((word = (word + STEP) | 0))
    const length = 3 + Math.floor((draw >>> 0) * (max - 3) * PER_WORD)
    const start = at
    let end = at
    for (let i = 0; i < length; i++) {
      if ((i & 1) === 0) draw = mixed((word = (word + STEP) | 0))
      else draw >>>= 16
      const byte = letters[((draw & 0xffff) * LETTERS) >>> 16]
      if (byte === 32 && end === start) continue
      bytes[end++] = byte
    }
    this.state[0] = word
    while (end > start && bytes[end - 1] === 32) end--
    return end
  }

  /** Log-uniform, 100 to 100,000,000. */
  private price(): number {
    const bits = this.nextWord() >>> 8
    return Math.round(highPowers[bits >>> 12] * lowPowers[bits & 4095])
  }

  /** ms since the beginning. */
  private timeMs(event: number): number {
    return this.baseTimeMs + Math.floor(Math.floor(event * this.delayUs) / 1000)
  }

  private activePerson(lastPerson: number): number {
    const active = Math.min(lastPerson + 1, ACTIVE_PEOPLE)
    return lastPerson + 1 - active + this.nextInt(active + ID_LEAD)
  }

  /** Start of a payload that brings an event of `size` bytes to `average`, 20 % more or less, and its length: (start, length) in `found`. */
  private readonly found = new Int32Array(2)
  private extra(size: number, average: number): void {
    const desired = average - size
    let length = 0
    if (desired > 0) {
      const delta = Math.round(desired * 0.2)
      length = desired - delta + (delta > 0 ? this.nextInt(2 * delta) : 0)
    }
    this.found[0] = this.nextInt(EXTRA_BYTES - length)
    this.found[1] = length
  }

  /**
   * The next events, fewer at the end; undefined when there are no more.
   *
   * @param rowCount  events wanted
   * @param leaves    which leaf columns the batch has, in this order
   */
  next(rowCount: number, leaves: readonly string[], processingTimeMs: number): Batch | undefined {
    const rows = Math.min(rowCount, this.count - this.position)
    if (rows <= 0) return undefined
    if (rows > this.scratchRows) {
      this.scratch.clear()
      this.scratchRows = rows
    }
    const wanted = new Set(leaves)
    const numbers = (leaf: string, isLong: boolean): Numbers => this.laneOf(leaf, wanted, rows, (length) => newNumbers(length, isLong))
    const slices = (leaf: string): Slices =>
      this.laneOf(leaf, wanted, rows, (length) => ({ starts: new Int32Array(length), ends: new Int32Array(length) }))
    const types = new Int32Array(rows)
    const nulls = [new Uint8Array(rows), new Uint8Array(rows), new Uint8Array(rows)]
    const arena = this.arenaFor(wanted, rows)
    const p = {
      id: numbers('person.id', true).words,
      name: slices('person.name'),
      email: slices('person.emailAddress'),
      card: slices('person.creditCard'),
      city: slices('person.city'),
      state: slices('person.state'),
      time: numbers('person.dateTime', false).data,
      extra: slices('person.extra'),
    }
    const a = {
      id: numbers('auction.id', true).words,
      item: slices('auction.itemName'),
      description: slices('auction.description'),
      initial: numbers('auction.initialBid', true).words,
      reserve: numbers('auction.reserve', true).words,
      time: numbers('auction.dateTime', false).data,
      expires: numbers('auction.expires', false).data,
      seller: numbers('auction.seller', true).words,
      category: numbers('auction.category', true).words,
      extra: slices('auction.extra'),
    }
    const b = {
      auction: numbers('bid.auction', true).words,
      bidder: numbers('bid.bidder', true).words,
      price: numbers('bid.price', true).words,
      channel: slices('bid.channel'),
      url: slices('bid.url'),
      time: numbers('bid.dateTime', false).data,
      extra: slices('bid.extra'),
    }
    const { starts: channelStarts, ends: channelEnds } = b.channel
    const { starts: urlStarts, ends: urlEnds } = b.url
    const { starts: extraStarts, ends: extraEnds } = b.extra
    const channelOffsets = this.channels.offsets
    const urlOffsets = this.urls.offsets
    let arenaAt = 0
    let word = this.state[0]
    // Time stands still for a run of events: it is computed again at the first that may be later.
    let time = 0
    let sameTimeUntil = -1
    let number = this.position
    let rest = (this.firstEventId + number) % 50
    let epoch = (this.firstEventId + number - rest) / 50
    const [noPerson, noAuction, noBid] = nulls
    // Of each epoch, as bids see it.
    let lastAuction = 0
    let hotAuction = 0
    let hotBidder = 0
    let bidsOf = -1
    for (let row = 0; row < rows; row++) {
      number++
      if (++rest === 50) {
        rest = 0
        epoch++
      }
      if (number >= sameTimeUntil) {
        time = this.timeMs(number)
        sameTimeUntil = Math.max(number + 1, Math.floor(((time - this.baseTimeMs + 1) * 1000) / this.delayUs) - 1)
      }
      if (rest > 3) {
        types[row] = 2
        noPerson[row] = noAuction[row] = 1
        // The hot path: draws by hand, from a local copy of the state. Nine of ten events are bids.
        let draw: number
        if (bidsOf !== epoch) {
          bidsOf = epoch
          lastAuction = epoch * 3 + 2
          hotAuction = lastAuction - (lastAuction % HOT_BATCH)
          hotBidder = epoch - (epoch % HOT_BATCH) + 1
        }
        let auction = hotAuction
        draw = mixed((word = (word + STEP) | 0))
        if (draw >= 0) {
          const first = Math.max(lastAuction - IN_FLIGHT_AUCTIONS, 0)
          draw = mixed((word = (word + STEP) | 0))
          auction = first + Math.floor((draw >>> 0) * (lastAuction - first + 1 + ID_LEAD) * PER_WORD)
        }
        b.auction[2 * row] = auction + FIRST_ID
        let bidder = hotBidder
        draw = mixed((word = (word + STEP) | 0))
        if (draw >>> 30 === 0) {
          const active = Math.min(epoch + 1, ACTIVE_PEOPLE)
          draw = mixed((word = (word + STEP) | 0))
          bidder = epoch + 1 - active + Math.floor((draw >>> 0) * (active + ID_LEAD) * PER_WORD)
        }
        // Twice: bidders are counted from 2000 in the suite's own generator, too.
        b.bidder[2 * row] = bidder + 2 * FIRST_ID
        draw = mixed((word = (word + STEP) | 0))
        b.price[2 * row] = Math.round(highPowers[draw >>> 20] * lowPowers[(draw >>> 8) & 4095])
        draw = mixed((word = (word + STEP) | 0))
        let channel = (draw >>> 29) & 3
        if (draw >= 0) {
          draw = mixed((word = (word + STEP) | 0))
          channel = hotChannels.length + Math.floor((draw >>> 0) * CHANNELS * PER_WORD)
        }
        channelStarts[row] = channelOffsets[channel]
        channelEnds[row] = channelOffsets[channel + 1]
        urlStarts[row] = urlOffsets[channel]
        urlEnds[row] = urlOffsets[channel + 1]
        b.time[row] = time
        draw = mixed((word = (word + STEP) | 0))
        const length = BID_EXTRA_MIN + Math.floor((draw >>> 0) * BID_EXTRA_SPREAD * PER_WORD)
        draw = mixed((word = (word + STEP) | 0))
        const start = Math.floor((draw >>> 0) * (EXTRA_BYTES - length) * PER_WORD)
        extraStarts[row] = start
        extraEnds[row] = start + length
        continue
      }
      this.state[0] = word
      if (rest === 0) {
        types[row] = 0
        noAuction[row] = noBid[row] = 1
        p.id[2 * row] = epoch + FIRST_ID
        const name = this.nextInt(firstNames.length) * lastNames.length + this.nextInt(lastNames.length)
        let size = 8 + put(p.name, row, this.names.offsets, name)
        p.email.starts[row] = arenaAt
        arenaAt = this.writeText(arena, arenaAt, 7, spaced)
        arena[arenaAt++] = 64
        arenaAt = this.writeText(arena, arenaAt, 5, spaced)
        arena[arenaAt++] = 46
        arena[arenaAt++] = 99
        arena[arenaAt++] = 111
        arena[arenaAt++] = 109
        p.email.ends[row] = arenaAt
        size += arenaAt - p.email.starts[row]
        p.card.starts[row] = arenaAt
        for (let group = 0; group < 4; group++) {
          const digits = this.nextInt(10_000)
          if (group > 0) arena[arenaAt++] = 32
          arena[arenaAt++] = 48 + Math.floor(digits / 1000)
          arena[arenaAt++] = 48 + (Math.floor(digits / 100) % 10)
          arena[arenaAt++] = 48 + (Math.floor(digits / 10) % 10)
          arena[arenaAt++] = 48 + (digits % 10)
        }
        p.card.ends[row] = arenaAt
        size += 19
        size += put(p.city, row, this.cityTexts.offsets, this.nextInt(cities.length))
        size += put(p.state, row, this.stateTexts.offsets, this.nextInt(states.length))
        p.time[row] = time
        this.extra(size, 200)
        p.extra.starts[row] = this.found[0]
        p.extra.ends[row] = this.found[0] + this.found[1]
      } else {
        types[row] = 1
        noPerson[row] = noBid[row] = 1
        a.id[2 * row] = epoch * 3 + rest - 1 + FIRST_ID
        a.item.starts[row] = arenaAt
        arenaAt = this.writeText(arena, arenaAt, 20, spaced)
        a.item.ends[row] = arenaAt
        const itemSize = arenaAt - a.item.starts[row]
        a.description.starts[row] = arenaAt
        arenaAt = this.writeText(arena, arenaAt, 100, spaced)
        a.description.ends[row] = arenaAt
        const initial = this.price()
        a.initial[2 * row] = initial
        a.reserve[2 * row] = initial + this.price()
        a.time[row] = time
        // Long enough for the bids on all auctions in flight.
        const horizonMs = this.timeMs(number + Math.floor((IN_FLIGHT_AUCTIONS * 50) / 3)) - time
        a.expires[row] = time + 1 + this.nextInt(Math.max(2 * horizonMs, 1))
        const seller = this.nextInt(4) > 0 ? Math.floor(epoch / HOT_BATCH) * HOT_BATCH : this.activePerson(epoch)
        a.seller[2 * row] = seller + FIRST_ID
        a.category[2 * row] = 10 + this.nextInt(5)
        this.extra(48 + itemSize + (a.description.ends[row] - a.description.starts[row]), 500)
        a.extra.starts[row] = this.found[0]
        a.extra.ends[row] = this.found[0] + this.found[1]
      }
      word = this.state[0]
    }
    this.state[0] = word
    this.position = number
    const columns = leaves.map((leaf) => this.column(leaf, types, nulls, arena))
    // Next time these columns are made anew: this batch keeps them.
    for (const leaf of leaves) this.scratch.delete(leaf)
    return { rowCount: rows, columns, watermarkAfter: -Infinity, processingTimeMs }
  }

  private laneOf<L extends Numbers | Slices>(leaf: string, wanted: ReadonlySet<string>, rows: number, make: (length: number) => L): L {
    let lane = this.scratch.get(leaf)
    if (lane === undefined) {
      lane = make(wanted.has(leaf) ? rows : this.scratchRows)
      this.scratch.set(leaf, lane)
    }
    return lane as L
  }

  /** Memory for texts that are written letter by letter: kept only if one of their columns is handed on. */
  private arenaFor(wanted: ReadonlySet<string>, rows: number): Uint8Array {
    const size = (Math.floor(rows / 50) + 1) * (16 + 19 + 3 * 120) + 256
    const isKept = ['person.emailAddress', 'person.creditCard', 'auction.itemName', 'auction.description'].some((leaf) => wanted.has(leaf))
    if (isKept) return new Uint8Array(size)
    if (this.scratchArena.length < size) this.scratchArena = new Uint8Array(size)
    return this.scratchArena
  }

  private column(leaf: string, types: Int32Array, nullsOf: Uint8Array[], arena: Uint8Array): Column {
    if (leaf === 'event_type') return { lane: 'i32', data: types }
    const [entity, field] = leaf.split('.')
    const nulls = nullsOf[['person', 'auction', 'bid'].indexOf(entity)]
    const lane = this.scratch.get(leaf)
    if (lane === undefined) throw new Error(`an event has no "${leaf}"; it has ${leafNames.join(', ')}`)
    if (!('starts' in lane)) {
      return field === 'dateTime' || field === 'expires'
        ? { lane: 'f64', data: lane.data, nulls }
        : { lane: 'i64', data: lane.longs, nulls }
    }
    return { lane: 'utf8', bytes: this.bytesOf(field, arena), starts: lane.starts, ends: lane.ends, nulls }
  }

  private bytesOf(field: string, arena: Uint8Array): Uint8Array {
    switch (field) {
      case 'extra':
        return this.extras
      case 'channel':
        return this.channels.bytes
      case 'url':
        return this.urls.bytes
      case 'name':
        return this.names.bytes
      case 'city':
        return this.cityTexts.bytes
      case 'state':
        return this.stateTexts.bytes
      default:
        return arena
    }
  }
}

function newNumbers(length: number, isLong: boolean): Numbers {
  const data = new Float64Array(length)
  const { buffer } = data
  return { data, words: isLong ? new Int32Array(buffer) : noWords, longs: isLong ? new BigInt64Array(buffer) : noLongs }
}
const noWords = new Int32Array(0)
const noLongs = new BigInt64Array(0)

/** The text numbered `index`; returns its length. */
function put(slices: Slices, row: number, offsets: Int32Array, index: number): number {
  slices.starts[row] = offsets[index]
  slices.ends[row] = offsets[index + 1]
  return offsets[index + 1] - offsets[index]
}

/** As Java's Integer.reverse. */
function reversedBits(value: number): number {
  let result = 0
  for (let bit = 0; bit < 32; bit++) if ((value >>> bit) & 1) result |= 1 << (31 - bit)
  return result
}
