// Nexmark events with the distribution of the suite's own generator, as columns: one leaf column for each field of person, auction and bid.
//
// Invariants
//   1. The same options give the same events, in whatever batches they are taken and whichever leaves are asked for: every value of
//      every event is made and written, in one order of draws.
//   2. Event ids start at 2; of 50 events the first (id divisible by 50) is a person, the next 3 are auctions, 46 are bids.
//   3. A batch holds until the next one is made: the memory of columns is used again.
//   4. Event time never falls.
// What leaves the distribution as it is but differs from the suite: the numbers come from a seeded generator, prices have 2^24 steps,
// and event time starts at a constant.
import type { Batch, Column } from '../../src/data/index.ts'
import { mixed, priceOf, Random, spaced, stepped, underscored, uniform } from './random.ts'

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
/** Of 50 events. */
const EPOCH_EVENTS = 50
const AUCTIONS_OF_EPOCH = 3
/** What texts that are written letter by letter take at most. */
const EMAIL_BYTES = 17
const CARD_BYTES = 19
const ITEM_BYTES = 20
const DESCRIPTION_BYTES = 100
const firstNames = 'Peter,Paul,Luke,John,Saul,Vicky,Kate,Julie,Sarah,Deiter,Walter'.split(',')
const lastNames = 'Shultz,Abrams,Spencer,White,Bartels,Walton,Smith,Jones,Noris'.split(',')
const cities = 'Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne'.split(',')
const states = 'AZ,CA,ID,OR,WA,WY'.split(',')
const hotChannels = ['Google', 'Facebook', 'Baidu', 'Apple']
const HOT_CHANNELS = 4

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

/** A bid is 32 bytes without its payload, which brings it to 100, 20 % more or less: 54 to 81 bytes. */
const BID_EXTRA_MIN = 54
const BID_EXTRA_SPREAD = 28

/** What all generators of a seed and number share: texts that are chosen by number, and where the sequence of draws goes on. */
interface Tables {
  /** Payloads are parts of it. */
  extras: Uint8Array
  channels: Texts
  urls: Texts
  word: number
}
const names = new Texts(firstNames.flatMap((first) => lastNames.map((last) => `${first} ${last}`)))
const cityTexts = new Texts(cities)
const stateTexts = new Texts(states)
const tables = new Map<number, Tables>()

function tablesOf(seed: number, index: number): Tables {
  const word = Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)
  let made = tables.get(word)
  if (made === undefined) tables.set(word, (made = makeTables(new Random(word))))
  return made
}

function makeTables(random: Random): Tables {
  const extras = makeExtras(random)
  const channels = new Texts([...hotChannels, ...Array.from({ length: CHANNELS }, (_, i) => `channel-${i}`)])
  const urls = new Texts([
    ...hotChannels.map(() => makeUrl(random)),
    ...Array.from(
      { length: CHANNELS },
      (_, i) => makeUrl(random) + (random.nextInt(10) > 0 ? `&channel_id=${Math.abs(reversedBits(i))}` : ''),
    ),
  ])
  return { extras, channels, urls, word: random.word }
}

/** Six characters of each word, a to z or, where the word is negative, H to a: as the suite's own. */
function makeExtras(random: Random): Uint8Array {
  const bytes = new Uint8Array(EXTRA_BYTES)
  for (let at = 0; at < EXTRA_BYTES; ) {
    let word = random.nextWord()
    for (let i = 0; i < 6 && at < EXTRA_BYTES; i++) {
      bytes[at++] = 97 + (word % 26)
      word = (word / 26) | 0
    }
  }
  return bytes
}

function makeUrl(random: Random): string {
  const bytes = new Uint8Array(6)
  const part = (): string => Buffer.from(bytes.subarray(0, random.text(bytes, 0, 5, underscored))).toString('latin1')
  return `https://www.nexmark.com/${part()}/${part()}/${part()}/item.htm?query=1`
}

/** A column in the making: numbers, of which whole ones are written by their lower halves, or parts of texts. */
class Numbers {
  readonly data: Float64Array
  readonly longs: BigInt64Array
  readonly words: Int32Array
  constructor(rows: number) {
    this.data = new Float64Array(rows)
    this.longs = new BigInt64Array(this.data.buffer)
    this.words = new Int32Array(this.data.buffer)
  }
}
class Slices {
  readonly starts: Int32Array
  readonly ends: Int32Array
  constructor(rows: number) {
    this.starts = new Int32Array(rows)
    this.ends = new Int32Array(rows)
  }
  put(row: number, start: number, end: number): number {
    this.starts[row] = start
    this.ends[row] = end
    return end - start
  }
  /** The text numbered `index`; returns its length. */
  choose(row: number, { offsets }: Texts, index: number): number {
    return this.put(row, offsets[index], offsets[index + 1])
  }
}

/** Memory for the columns of a batch. */
class Lanes {
  readonly rows: number
  readonly types: Int32Array
  readonly noPerson: Uint8Array
  readonly noAuction: Uint8Array
  readonly noBid: Uint8Array
  readonly person
  readonly auction
  readonly bid
  /** Texts that are written letter by letter. */
  readonly letters: Uint8Array
  /** Types of the events of an epoch and of those behind it. */
  private readonly typePattern: Int32Array

  constructor(rows: number) {
    const numbers = () => new Numbers(rows)
    const slices = () => new Slices(rows)
    this.rows = rows
    this.typePattern = Int32Array.from({ length: rows + EPOCH_EVENTS }, (_, i) =>
      Math.min(2, Math.ceil((i % EPOCH_EVENTS) / AUCTIONS_OF_EPOCH)),
    )
    this.types = new Int32Array(rows)
    this.noPerson = new Uint8Array(rows)
    this.noAuction = new Uint8Array(rows)
    this.noBid = new Uint8Array(rows)
    this.person = {
      ...{ id: numbers(), name: slices(), emailAddress: slices(), creditCard: slices(), city: slices(), state: slices() },
      ...{ dateTime: numbers(), extra: slices() },
    }
    this.auction = {
      ...{ id: numbers(), itemName: slices(), description: slices(), initialBid: numbers(), reserve: numbers() },
      ...{ dateTime: numbers(), expires: numbers(), seller: numbers(), category: numbers(), extra: slices() },
    }
    this.bid = {
      ...{ auction: numbers(), bidder: numbers(), price: numbers(), channel: slices(), url: slices() },
      ...{ dateTime: numbers(), extra: slices() },
    }
    this.letters = new Uint8Array((Math.floor(rows / 50) + 1) * (EMAIL_BYTES + CARD_BYTES + 3 * (ITEM_BYTES + DESCRIPTION_BYTES)) + 256)
  }

  /** What the events are, and which of their rows are NULL. @param rest  where in its epoch the first one is */
  setTypes(rows: number, rest: number): void {
    this.types.set(this.typePattern.subarray(rest, rest + rows))
    const { types, noPerson, noAuction, noBid } = this
    for (let row = 0; row < rows; row++) {
      const type = types[row]
      noPerson[row] = type === 0 ? 0 : 1
      noAuction[row] = type === 1 ? 0 : 1
      noBid[row] = type === 2 ? 0 : 1
    }
  }
}

export class NexmarkGenerator {
  /** Event number of the next event, from 0. */
  position = 0
  readonly count: number
  private readonly firstEventId: number
  private readonly delayUs: number
  private readonly baseTimeMs: number
  private readonly tables: Tables
  private readonly random: Random
  private lanes = new Lanes(0)
  /** Bytes of `lanes.letters` that are written. */
  private lettersAt = 0
  /** Time stands still for a run of events: it is computed again at the first that may be later. */
  private timeMs = 0
  private sameTimeUntil = -1

  constructor({ seed = 42, events, rate, baseTimeMs = DEFAULT_BASE_TIME_MS, parallelism = 1, index = 0 }: NexmarkOptions) {
    const share = Math.floor(events / parallelism)
    this.count = index === parallelism - 1 ? events - share * index : share
    this.firstEventId = 1 + index * share
    this.delayUs = (1e6 / rate) * parallelism
    this.baseTimeMs = baseTimeMs
    this.tables = tablesOf(seed, index)
    this.random = new Random(this.tables.word)
  }

  private timeOf(number: number): number {
    return this.baseTimeMs + Math.floor(Math.floor(number * this.delayUs) / 1000)
  }

  /** Brings `timeMs` to the event numbered `number`. */
  private turnTo(number: number): void {
    this.timeMs = this.timeOf(number)
    this.sameTimeUntil = Math.max(number + 1, Math.floor(((this.timeMs - this.baseTimeMs + 1) * 1000) / this.delayUs) - 1)
  }

  private activePerson(lastPerson: number): number {
    const active = Math.min(lastPerson + 1, ACTIVE_PEOPLE)
    return lastPerson + 1 - active + this.random.nextInt(active + ID_LEAD)
  }

  /** A payload that brings an event of `size` bytes to `average`, 20 % more or less. */
  private payload(into: Slices, row: number, size: number, average: number): void {
    const desired = average - size
    let length = 0
    if (desired > 0) {
      const delta = Math.round(desired * 0.2)
      length = desired - delta + (delta > 0 ? this.random.nextInt(2 * delta) : 0)
    }
    const start = this.random.nextInt(EXTRA_BYTES - length)
    into.put(row, start, start + length)
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
    if (rows > this.lanes.rows) this.lanes = new Lanes(rows)
    this.lettersAt = 0
    this.lanes.setTypes(rows, (this.firstEventId + this.position + 1) % EPOCH_EVENTS)
    for (let row = 0; row < rows; ) {
      const number = this.position + row + 1
      const rest = (this.firstEventId + number) % EPOCH_EVENTS
      const epoch = (this.firstEventId + number - rest) / EPOCH_EVENTS
      if (rest > AUCTIONS_OF_EPOCH) {
        const end = Math.min(rows, row + EPOCH_EVENTS - rest)
        this.bids(row, end, number, epoch)
        row = end
      } else {
        if (number >= this.sameTimeUntil) this.turnTo(number)
        if (rest === 0) this.person(row, epoch)
        else this.auction(row, number, epoch, rest)
        row++
      }
    }
    this.position += rows
    return { rowCount: rows, columns: leaves.map((leaf) => this.column(leaf)), watermarkAfter: -Infinity, processingTimeMs }
  }

  private person(row: number, epoch: number): void {
    const { lanes, random } = this
    const { person, letters } = lanes
    person.id.words[2 * row] = epoch + FIRST_ID
    const name = random.nextInt(firstNames.length) * lastNames.length + random.nextInt(lastNames.length)
    let size = 8 + person.name.choose(row, names, name)
    const emailAt = this.lettersAt
    let at = random.text(letters, emailAt, 7, spaced)
    letters[at++] = 64
    at = random.text(letters, at, 5, spaced)
    letters[at++] = 46
    letters[at++] = 99
    letters[at++] = 111
    letters[at++] = 109
    size += person.emailAddress.put(row, emailAt, at)
    const cardAt = at
    for (let group = 0; group < 4; group++) {
      const digits = random.nextInt(10_000)
      if (group > 0) letters[at++] = 32
      letters[at++] = 48 + ((digits / 1000) | 0)
      letters[at++] = 48 + (((digits / 100) | 0) % 10)
      letters[at++] = 48 + (((digits / 10) | 0) % 10)
      letters[at++] = 48 + (digits % 10)
    }
    size += person.creditCard.put(row, cardAt, at)
    this.lettersAt = at
    size += person.city.choose(row, cityTexts, random.nextInt(cities.length))
    size += person.state.choose(row, stateTexts, random.nextInt(states.length))
    person.dateTime.data[row] = this.timeMs
    this.payload(person.extra, row, size, 200)
  }

  private auction(row: number, number: number, epoch: number, rest: number): void {
    const { lanes, random } = this
    const { auction, letters } = lanes
    auction.id.words[2 * row] = epoch * AUCTIONS_OF_EPOCH + rest - 1 + FIRST_ID
    const itemAt = this.lettersAt
    const descriptionAt = random.text(letters, itemAt, ITEM_BYTES, spaced)
    const end = random.text(letters, descriptionAt, DESCRIPTION_BYTES, spaced)
    this.lettersAt = end
    auction.itemName.put(row, itemAt, descriptionAt)
    auction.description.put(row, descriptionAt, end)
    const initial = random.price()
    auction.initialBid.words[2 * row] = initial
    auction.reserve.words[2 * row] = initial + random.price()
    auction.dateTime.data[row] = this.timeMs
    // Long enough for the bids on all auctions in flight.
    const horizonMs = this.timeOf(number + Math.floor((IN_FLIGHT_AUCTIONS * EPOCH_EVENTS) / AUCTIONS_OF_EPOCH)) - this.timeMs
    auction.expires.data[row] = this.timeMs + 1 + random.nextInt(Math.max(2 * horizonMs, 1))
    const seller = random.nextInt(4) > 0 ? epoch - (epoch % HOT_BATCH) : this.activePerson(epoch)
    auction.seller.words[2 * row] = seller + FIRST_ID
    auction.category.words[2 * row] = 10 + random.nextInt(5)
    this.payload(auction.extra, row, 48 + end - itemAt, 500)
  }

  /** Rows `row … end` of one epoch. Nine of ten events are bids, so they are drawn by hand, from a local copy of the sequence's state. */
  private bids(row: number, end: number, first: number, epoch: number): void {
    const { bid } = this.lanes
    const { words: auctions } = bid.auction
    const { words: bidders } = bid.bidder
    const { words: prices } = bid.price
    const { data: times } = bid.dateTime
    const { starts: channelStarts, ends: channelEnds } = bid.channel
    const { starts: urlStarts, ends: urlEnds } = bid.url
    const { starts: extraStarts, ends: extraEnds } = bid.extra
    const { offsets: channelOffsets } = this.tables.channels
    const { offsets: urlOffsets } = this.tables.urls
    const lastAuction = epoch * AUCTIONS_OF_EPOCH + AUCTIONS_OF_EPOCH - 1
    const hotAuction = lastAuction - (lastAuction % HOT_BATCH)
    const firstAuction = Math.max(lastAuction - IN_FLIGHT_AUCTIONS, 0)
    const auctionCount = lastAuction - firstAuction + 1 + ID_LEAD
    const hotBidder = epoch - (epoch % HOT_BATCH) + 1
    const active = Math.min(epoch + 1, ACTIVE_PEOPLE)
    const firstBidder = epoch + 1 - active
    const bidderCount = active + ID_LEAD
    let { timeMs } = this
    let { word } = this.random
    for (let number = first; row < end; row++, number++) {
      if (number >= this.sameTimeUntil) {
        this.turnTo(number)
        timeMs = this.timeMs
      }
      // One word decides all that is decided by a few bits. Hot or cold is a toss that no processor foresees, so the cold value is
      // drawn in any case, and taken where `cold` has all bits.
      const toss = mixed((word = stepped(word)))
      let cold = toss >> 31
      const auction = firstAuction + uniform(mixed((word = stepped(word))), auctionCount)
      auctions[2 * row] = hotAuction + ((auction - hotAuction) & cold) + FIRST_ID
      cold = (((toss >>> 29) & 3) - 1) >> 31
      const bidder = firstBidder + uniform(mixed((word = stepped(word))), bidderCount)
      // Twice: bidders are counted from 2000 in the suite's own generator, too.
      bidders[2 * row] = hotBidder + ((bidder - hotBidder) & cold) + 2 * FIRST_ID
      prices[2 * row] = priceOf(mixed((word = stepped(word))))
      cold = (toss << 3) >> 31
      const hotChannel = (toss >>> 26) & 3
      const coldChannel = HOT_CHANNELS + uniform(mixed((word = stepped(word))), CHANNELS)
      const channel = hotChannel + ((coldChannel - hotChannel) & cold)
      channelStarts[row] = channelOffsets[channel]
      channelEnds[row] = channelOffsets[channel + 1]
      urlStarts[row] = urlOffsets[channel]
      urlEnds[row] = urlOffsets[channel + 1]
      times[row] = timeMs
      const length = BID_EXTRA_MIN + (((toss & 0xffff) * BID_EXTRA_SPREAD) >>> 16)
      const start = uniform(mixed((word = stepped(word))), EXTRA_BYTES - length)
      extraStarts[row] = start
      extraEnds[row] = start + length
    }
    this.random.word = word
  }

  private column(leaf: string): Column {
    const { lanes } = this
    if (leaf === 'event_type') return { lane: 'i32', data: lanes.types }
    const [entity, field] = leaf.split('.')
    const [owner, nulls] =
      entity === 'person'
        ? [lanes.person, lanes.noPerson]
        : entity === 'auction'
          ? [lanes.auction, lanes.noAuction]
          : [lanes.bid, lanes.noBid]
    const lane = (owner as Record<string, Numbers | Slices>)[field]
    if (lane === undefined) throw new Error(`an event has no "${leaf}"; it has ${leafNames.join(', ')}`)
    if (lane instanceof Slices) return { lane: 'utf8', bytes: this.bytesOf(field), starts: lane.starts, ends: lane.ends, nulls }
    const isTime = field === 'dateTime' || field === 'expires'
    return isTime ? { lane: 'f64', data: lane.data, nulls } : { lane: 'i64', data: lane.longs, nulls }
  }

  private bytesOf(field: string): Uint8Array {
    switch (field) {
      case 'extra':
        return this.tables.extras
      case 'channel':
        return this.tables.channels.bytes
      case 'url':
        return this.tables.urls.bytes
      case 'name':
        return names.bytes
      case 'city':
        return cityTexts.bytes
      case 'state':
        return stateTexts.bytes
      default:
        return this.lanes.letters
    }
  }
}

/** As Java's Integer.reverse. */
function reversedBits(value: number): number {
  let result = 0
  for (let bit = 0; bit < 32; bit++) if ((value >>> bit) & 1) result |= 1 << (31 - bit)
  return result
}
