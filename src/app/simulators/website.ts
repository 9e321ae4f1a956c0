// An endless website: page views, sessions, conversions and custom events, with late, duplicate and malformed ones, and what is true of them.
//
// Two clocks: an event happens (event time), then arrives (later, by a heavy-tailed delay). Lines leave in the order of arrival.
// The parameters come from measured data sets and the literature; each is named where it is used: M measured, L literature, J judgement.
//
// Invariants
//   1. The same options and seed give the same lines and the same truth.
//   2. The truth speaks of lines that have left, and of nothing else: a line for each late, duplicate and malformed event when it leaves,
//      for each session when its last event has left, for each anomaly ahead of it, and hourly totals. After `finish()` they add up.
//   3. Every line of the truth can be found in the stream: by event_id, or, as a malformed line may have lost its own, by SHA-256.
//
//   distinct events = totals.events;  lines = totals.events + totals.duplicates;  acceptable events = totals.events - totals.rejected
import { createHash } from 'node:crypto'
import { Random, Schedule, Zipf } from './random.ts'

export interface WebsiteOptions {
  seed: number
  /** Event time of the first event, epoch ms. */
  startMs: number
  /** Mean of events per second of event time over a weekday, robots included. > 0 */
  eventsPerSecond: number
  /** Shares of events; the defaults are the middle of what was measured. */
  lateShare: number
  duplicateShare: number
  malformedShare: number
  /** Share of requests that robots make. M apache 22.5 %, wiki 39 %; J 15–25 %. */
  botShare: number
  /** Labelled anomalies per simulated day. */
  anomaliesPerDay: number
  /** Wrong clocks may also be a day ahead. One such event moves the watermark by a day: all that follows is late. */
  clocksAhead: boolean
}
export const websiteDefaults: Omit<WebsiteOptions, 'seed' | 'startMs'> = {
  eventsPerSecond: 50,
  lateShare: 0.06,
  duplicateShare: 0.0075,
  malformedShare: 0.002,
  botShare: 0.2,
  anomaliesPerDay: 1.5,
  clocksAhead: false,
}

export type TruthLine = { kind: 'session' | 'late' | 'duplicate' | 'malformed' | 'anomaly' | 'totals' } & Record<string, unknown>
export interface Arrival {
  /** Epoch ms on the simulated clock. */
  arrivalMs: number
  /** One event as sent; malformed ones may be no JSON, or no UTF-8. */
  line: Buffer
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** Sessions by hour of the day (UTC), from 815 at 3 h to 2300 at 17 h (M wiki); the trough is deepened to 0.2 of the peak (J, one country). */
const hourWeights = [
  1340, 1144, 960, 815, 860, 930, 1080, 1290, 1480, 1620, 1730, 1820, 1900, 1990, 2070, 2160, 2240, 2300, 2280, 2210, 2080, 1900, 1690,
  1482,
]
const deepened = hourWeights.map((weight) => 0.2 + (0.8 * (weight - 815)) / (2300 - 815))
const meanWeight = deepened.reduce((sum, weight) => sum + weight, 0) / 24
/** Variance of the sessions of a minute by their mean. 2–5 (J). */
const FANO = 3.5

/** Steps of a buyer, and the share of sessions that reach each. L: 1–3 % of an average shop's sessions buy. */
const steps = ['product_view', 'add_to_cart', 'checkout', 'purchase'] as const
const reachShares = [0.45, 0.09, 0.05, 0.025]
const devices = [
  ['mobile', 58],
  ['desktop', 38],
  ['tablet', 4],
] as const // J
const statuses = [
  [200, 91],
  [304, 4.5],
  [404, 2.1],
  [301, 1.6],
  [206, 0.5],
  [500, 0.03],
] as const // M
const countries = [
  ['DE', 55],
  ['AT', 12],
  ['CH', 10],
  ['FR', 7],
  ['NL', 6],
  ['GB', 5],
  ['US', 5],
] as const
const referrers = [
  ['', 45],
  ['https://www.google.com/', 35],
  ['https://news.example.org/', 12],
  ['https://social.example.net/', 8],
] as const
const customNames = ['newsletter_signup', 'video_play', 'share', 'search', 'download'] as const
/** Two robots make most of the robots' requests: heavy keys (M). */
const bots = Array.from({ length: 12 }, (_, i) => [`bot-${i}`, i === 0 ? 35 : i === 1 ? 25 : 4] as const)
/** Mean events of a person's session under these parameters, and of a robot's. website.test.ts holds the rate that follows from them. */
const PERSON_EVENTS_MEAN = 6.8
const BOT_EVENTS_MEAN = 60
const EVENTS_MAX = 300

const anomalyTypes = [
  'traffic_drop',
  'flash_crowd',
  'conversion_collapse',
  'error_storm',
  'latency_step',
  'bot_flood',
  'slow_drift',
  'missing_region',
] as const
type AnomalyType = (typeof anomalyTypes)[number]
const FLASH_RAMP_MS = 2 * MINUTE_MS

export interface Anomaly {
  id: string
  type: AnomalyType
  startMs: number
  endMs: number
  /**
   * traffic_drop: share that comes through; flash_crowd: times the sessions; conversion_collapse: share of purchases left;
   * error_storm: share answered with 503; latency_step: times the duration; bot_flood: its events by the site's mean;
   * slow_drift: growth of the duration in an hour; missing_region: share that comes through.
   */
  factor: number
  /** Countries, or users. */
  keys: string[]
}

interface Session {
  id: string
  user: string
  device: string
  country: string
  isBot: boolean
  referrer: string
  /** Events still to come. */
  left: number
  /** How many of `steps` it reaches, and has taken. */
  reach: number
  step: number
  /** It pauses for 30–45 minutes when so many events are left; 0: never. */
  pauseAtLeft: number
  /** Think times: lognormal. */
  gapMedianMs: number
  gapSigma: number
  product: number
  /** Events under way. */
  pending: number
  /** Of what has left: */
  firstMs: number
  lastMs: number
  events: number
  rejected: number
  purchases: number
}

interface Sent {
  line: Buffer
  session: Session
  eventMs: number
  isDuplicate: boolean
  isPurchase: boolean
  isRejected: boolean
  truth?: TruthLine
}

type Task = { kind: 'session'; opens: boolean } | { kind: 'event'; session: Session } | { kind: 'day' } | { kind: 'hour' }

export class Website {
  private readonly options: WebsiteOptions
  private readonly random: Random
  private readonly tasks = new Schedule<Task>()
  private readonly arrivals = new Schedule<Sent>()
  private readonly pages = new Zipf(2_000, 0.9) // M apache 1.01, L 0.60–1.03
  private readonly products = new Zipf(800, 0.5) // M retail 0.41, wiki pages 0.42
  private readonly sessions = new Set<Session>()
  private truth: TruthLine[] = []
  private anomalies: Anomaly[] = []
  private nowMs: number
  private lastLeftMs: number
  private sessionCount = 0
  private eventCount = 0
  private anomalyCount = 0
  /** Arrival of the newest event that was not delayed: such events keep their order. */
  private onTimeMs = -Infinity
  /** Intensity of the present minute. */
  private mood = { factor: 1, untilMs: -Infinity }
  private readonly totals = { events: 0, sessions: 0, purchases: 0, robot_events: 0, late: 0, duplicates: 0, malformed: 0, rejected: 0 }

  /** @param planned  anomalies beside those that are drawn */
  constructor(options: WebsiteOptions, planned: Anomaly[] = []) {
    this.options = options
    this.random = new Random(options.seed)
    this.nowMs = this.lastLeftMs = options.startMs
    for (const anomaly of planned) this.announce(anomaly)
    this.tasks.push(options.startMs, { kind: 'day' })
    this.tasks.push(options.startMs, { kind: 'session', opens: true })
    this.tasks.push(options.startMs + HOUR_MS, { kind: 'hour' })
  }

  /** When the next line arrives, epoch ms. */
  get nextMs(): number {
    // What arrives at t can only be known when all that happens up to t has happened.
    while (this.arrivals.nextAt >= this.tasks.nextAt) this.advance()
    return this.arrivals.nextAt
  }

  /** The next line to arrive. The site never ends. */
  next(): Arrival {
    const arrivalMs = this.nextMs
    const sent = this.arrivals.pop()!
    this.lastLeftMs = arrivalMs
    this.leave(sent)
    return { arrivalMs, line: sent.line }
  }

  /** Truth that has become known since the last call. */
  takeTruth(): TruthLine[] {
    const taken = this.truth
    this.truth = []
    return taken
  }

  /** No line will be asked for any more: the truth about sessions that are still open, and last totals. */
  finish(): void {
    for (const session of this.sessions) if (session.events > 0) this.closeSession(session, true)
    this.pushTotals(this.lastLeftMs)
  }

  private advance(): void {
    this.nowMs = this.tasks.nextAt
    const task = this.tasks.pop()!
    switch (task.kind) {
      case 'day':
        this.planAnomalies()
        this.tasks.push(this.nowMs + DAY_MS, task)
        break
      case 'hour':
        this.pushTotals(this.nowMs)
        this.tasks.push(this.nowMs + HOUR_MS, task)
        break
      case 'session':
        if (task.opens) this.openSession()
        this.scheduleSession()
        break
      case 'event':
        this.continueSession(task.session)
    }
  }

  // ---- what happens

  /** The rate changes: after a minute without a session the wait is drawn anew, which an exponential one does not notice. */
  private scheduleSession(): void {
    const { people, robots, flood } = this.sessionRates()
    const waitMs = this.random.exponential(1_000 / (people + robots + flood))
    this.tasks.push(this.nowMs + Math.min(waitMs, MINUTE_MS), { kind: 'session', opens: waitMs <= MINUTE_MS })
  }

  /** Sessions per second of event time. */
  private sessionRates(): { people: number; robots: number; flood: number } {
    const { eventsPerSecond, botShare } = this.options
    const date = new Date(this.nowMs)
    const hour = date.getUTCHours()
    const share = date.getUTCMinutes() / 60
    const weight = deepened[hour] * (1 - share) + deepened[(hour + 1) % 24] * share
    const weekend = date.getUTCDay() % 6 === 0 ? 0.8 : 1 // M shoppers: 23.3 % of sessions on 2 of 7 days
    let people = ((eventsPerSecond * (1 - botShare)) / PERSON_EVENTS_MEAN) * (weight / meanWeight) * weekend
    if (this.nowMs >= this.mood.untilMs) {
      // Poisson with a gamma-mixed mean m: variance m + m² / shape.
      const shape = Math.max(0.5, (people * 60) / (FANO - 1))
      this.mood = { factor: this.random.gamma(shape, 1 / shape), untilMs: this.nowMs + MINUTE_MS }
    }
    people *= this.mood.factor
    const crowd = this.active('flash_crowd')
    if (crowd) people *= 1 + (crowd.factor - 1) * Math.min(1, (this.nowMs - crowd.startMs) / FLASH_RAMP_MS)
    const flood = this.active('bot_flood')
    return {
      people,
      robots: (eventsPerSecond * botShare) / BOT_EVENTS_MEAN, // also at night
      flood: flood ? (eventsPerSecond * flood.factor) / BOT_EVENTS_MEAN : 0,
    }
  }

  private openSession(): void {
    const { random } = this
    const { people, robots, flood } = this.sessionRates()
    const u = random.next() * (people + robots + flood)
    const session: Session = {
      id: `s-${(this.sessionCount++).toString(36)}-${random.hex(6)}`,
      user: '',
      device: 'desktop',
      country: random.weighted(countries),
      isBot: u >= people,
      referrer: '',
      left: 0,
      reach: 0,
      step: 0,
      pauseAtLeft: 0,
      gapMedianMs: 30_000,
      gapSigma: 1.3, // M
      product: 0,
      pending: 0,
      firstMs: Infinity,
      lastMs: -Infinity,
      events: 0,
      rejected: 0,
      purchases: 0,
    }
    if (session.isBot) this.makeRobot(session, u >= people + robots)
    else this.makePerson(session)
    this.sessions.add(session)
    this.continueSession(session)
  }

  /** Robots: many requests at constant gaps (M), no purchases. */
  private makeRobot(session: Session, isFlood: boolean): void {
    const { random } = this
    session.user = (isFlood && this.active('bot_flood')?.keys[0]) || random.weighted(bots)
    session.left = 20 + Math.round(random.exponential(BOT_EVENTS_MEAN - 20))
    session.gapMedianMs = 500 + random.int(2_000)
    session.gapSigma = 0
  }

  private makePerson(session: Session): void {
    const { random } = this
    const isReturning = random.chance(0.35)
    session.user = isReturning ? `u-${random.int(20_000)}` : `u-n${this.sessionCount}`
    session.device = random.weighted(devices)
    session.referrer = random.weighted(referrers)
    session.product = this.products.sample(random)
    const boost = (isReturning ? 2 : 1) * (session.device === 'mobile' ? 0.5 : 1) // J
    const u = random.next()
    session.reach = u < reachShares[3] * boost ? 4 : reachShares.filter((share, i) => i < 3 && u < share).length
    if (session.reach >= 2) {
      // Those who shop (M UCI): pages lognormal(2.88, 1.24), seconds lognormal(6.47, 1.38), so by page lognormal(6.47 - 2.88, 0.61).
      session.left = clamp(Math.round(random.lognormal(2.88, 1.24)), session.reach + 1, EVENTS_MAX)
      session.gapSigma = 0.8
      session.gapMedianMs = (1_000 * random.lognormal(6.47 - 2.88, 0.61)) / Math.exp(session.gapSigma ** 2 / 2)
    } else {
      const bounces = random.chance(0.5) // L 30–60 %, by kind of site
      session.left = bounces ? 1 : Math.min(EVENTS_MAX, 1 + Math.max(1, Math.round(random.lognormal(1.3, 0.9))))
    }
    // 5 % come back just after the usual gap of 30 minutes (J).
    if (random.chance(0.05)) {
      session.pauseAtLeft = 1 + random.int(3)
      session.left += session.pauseAtLeft
    }
  }

  private continueSession(session: Session): void {
    const { random } = this
    session.left--
    this.send(session)
    if (session.left === 0) {
      if (session.pending === 0) this.closeSession(session, false)
      return
    }
    const gapMs =
      session.left === session.pauseAtLeft
        ? 30 * MINUTE_MS + 1 + random.int(15 * MINUTE_MS)
        : Math.min(session.gapMedianMs * random.lognormal(0, session.gapSigma), 29 * MINUTE_MS)
    this.tasks.push(this.nowMs + gapMs, { kind: 'event', session })
  }

  /** What the session does next, by how far it will come. */
  private typeOf(session: Session): string {
    const { random } = this
    const remaining = session.reach - session.step
    if (remaining > 0 && (session.left < remaining || random.chance(0.4))) {
      const step = steps[session.step++]
      const collapse = step === 'purchase' ? this.active('conversion_collapse') : undefined
      if (collapse && !random.chance(collapse.factor)) return 'page_view'
      if (step === 'purchase' && random.chance(0.03)) return 'payment_failed' // J
      return step
    }
    if (session.isBot) return 'page_view'
    if (random.chance(0.06)) return 'custom'
    return session.step > 0 && random.chance(0.4) ? 'product_view' : 'page_view'
  }

  private send(session: Session): void {
    const { random, options, nowMs } = this
    let type = this.typeOf(session)
    const isRequest = type === 'page_view' || type === 'product_view'
    const storm = this.active('error_storm')
    const status = storm && random.chance(storm.factor) ? 503 : isRequest ? random.weighted(statuses) : 200
    if (type === 'purchase' && status !== 200) type = 'payment_failed'
    if (type === 'product_view') session.product = this.products.sample(random)
    const hasProduct = type === 'product_view' || type === 'add_to_cart' || type === 'purchase'
    const path =
      type === 'page_view' || type === 'custom'
        ? `/page/${this.pages.sample(random)}`
        : type === 'product_view' || type === 'add_to_cart'
          ? `/product/${session.product}`
          : `/${type}`
    const event: Record<string, unknown> = {
      event_id: `e-${(this.eventCount++).toString(36)}-${random.hex(6)}`,
      event_time: iso(nowMs),
      event_type: type,
      session_id: session.id,
      user_id: session.user,
      url: `https://shop.example.com${path}`,
      referrer: session.events + session.pending === 0 ? session.referrer : '',
      device: session.device,
      country: session.country,
      status,
      duration_ms: Math.round(random.lognormal(Math.log(120), 0.6) * this.slowness()),
    }
    if (type === 'purchase') event.amount = Math.round(random.lognormal(Math.log(60), 0.9) * 100) / 100
    if (hasProduct) event.product_id = `p-${session.product}`
    if (type === 'custom') event.name = random.pick(customNames)

    const drop = this.active('traffic_drop')
    if (drop && !random.chance(drop.factor)) return
    if (this.active('missing_region')?.keys.includes(session.country)) return

    const isPurchase = type === 'purchase'
    const delayMs = this.delayMs()
    const arrivalMs = nowMs + delayMs
    session.pending++
    const { event_id, event_time } = event
    if (random.chance(options.malformedShare)) {
      const [problem, line] = this.malformed(event)
      const isRejected = problem !== 'clock'
      const sha256 = createHash('sha256').update(line).digest('hex')
      const truth: TruthLine = {
        kind: 'malformed',
        problem,
        event_id,
        event_time,
        session_id: session.id,
        is_accepted: !isRejected,
        sha256,
      }
      this.arrivals.push(arrivalMs, { line, session, eventMs: nowMs, isDuplicate: false, isPurchase, isRejected, truth })
      return
    }
    const line = Buffer.from(JSON.stringify(event))
    const late: TruthLine | undefined = delayMs >= 1_000 ? { kind: 'late', event_id, event_time, delay_ms: Math.round(delayMs) } : undefined
    const sent: Sent = { line, session, eventMs: nowMs, isDuplicate: false, isPurchase, isRejected: false, truth: late }
    this.arrivals.push(arrivalMs, sent)
    if (random.chance(options.duplicateShare)) {
      const againMs = arrivalMs + 1_000 + random.next() * 29_000 // a retry, the same id, 1–30 s later
      this.arrivals.push(againMs, { ...sent, isDuplicate: true, truth: { kind: 'duplicate', event_id, event_time } })
    }
  }

  private slowness(): number {
    const step = this.active('latency_step')
    const drift = this.active('slow_drift')
    return (step ? step.factor : 1) * (drift ? (1 + drift.factor) ** ((this.nowMs - drift.startMs) / HOUR_MS) : 1)
  }

  /**
   * J, with M apache ≤ 59 s: of the late ones 75 % exp(5 s), 23 % exp(60 s), 2 % minutes to 24 h (a phone that was offline).
   * The others keep their order, so that what is out of order is what is late (3–6 %).
   */
  private delayMs(): number {
    const { random, options, nowMs } = this
    if (!random.chance(options.lateShare)) {
      this.onTimeMs = Math.max(this.onTimeMs, nowMs + Math.min(20 + random.exponential(40), 900))
      return this.onTimeMs - nowMs
    }
    const u = random.next()
    if (u < 0.75) return 1_000 + random.exponential(5_000)
    if (u < 0.98) return 1_000 + random.exponential(60_000)
    return MINUTE_MS * Math.exp(random.next() * Math.log(24 * 60))
  }

  private malformed(event: Record<string, unknown>): [problem: string, line: Buffer] {
    const { random } = this
    const text = JSON.stringify(event)
    switch (random.int(5)) {
      case 0:
        return ['cut', Buffer.from(text.slice(0, Math.floor(text.length * 0.6)))]
      case 1:
        return ['wrong_type', Buffer.from(JSON.stringify({ ...event, status: 'ok' }))]
      case 2:
        return ['missing_id', Buffer.from(JSON.stringify({ ...event, event_id: undefined }))]
      case 3:
        return ['bad_utf8', Buffer.concat([Buffer.from(`${text.slice(0, -1)},"note":"`), Buffer.of(0xc3, 0x28), Buffer.from('"}')])]
      default: {
        const wrong = [0, this.nowMs - DAY_MS, ...(this.options.clocksAhead ? [this.nowMs + DAY_MS] : [])]
        return ['clock', Buffer.from(JSON.stringify({ ...event, event_time: iso(random.pick(wrong)) }))]
      }
    }
  }

  // ---- what is true

  private leave({ session, eventMs, isDuplicate, isPurchase, isRejected, truth }: Sent): void {
    const { totals } = this
    if (truth) this.truth.push(truth)
    if (isDuplicate) {
      totals.duplicates++
      return
    }
    totals.events++
    if (session.isBot) totals.robot_events++
    if (truth?.kind === 'late') totals.late++
    if (truth?.kind === 'malformed') totals.malformed++
    if (session.events++ === 0) totals.sessions++
    if (isRejected) {
      totals.rejected++
      session.rejected++
    } else if (isPurchase) {
      totals.purchases++
      session.purchases++
    }
    session.firstMs = Math.min(session.firstMs, eventMs)
    session.lastMs = Math.max(session.lastMs, eventMs)
    session.pending--
    if (session.left === 0 && session.pending === 0) this.closeSession(session, false)
  }

  private closeSession(session: Session, isOpen: boolean): void {
    this.sessions.delete(session)
    if (session.events === 0) return
    this.truth.push({
      kind: 'session',
      session_id: session.id,
      user_id: session.user,
      start: iso(session.firstMs),
      end: iso(session.lastMs),
      events: session.events,
      rejected: session.rejected,
      purchases: session.purchases,
      is_bot: session.isBot,
      is_open: isOpen,
    })
  }

  private pushTotals(atMs: number): void {
    this.truth.push({ kind: 'totals', at: iso(atMs), ...this.totals })
  }

  // ---- anomalies

  private active(type: AnomalyType): Anomaly | undefined {
    for (const anomaly of this.anomalies)
      if (anomaly.type === type && anomaly.startMs <= this.nowMs && this.nowMs < anomaly.endMs) return anomaly
    return undefined
  }

  private planAnomalies(): void {
    const { random } = this
    this.anomalies = this.anomalies.filter(({ endMs }) => endMs > this.nowMs)
    const count = Math.floor(this.options.anomaliesPerDay + random.next())
    for (let i = 0; i < count; i++) {
      const type = random.pick(anomalyTypes)
      const startMs = Math.floor(this.nowMs + random.next() * DAY_MS)
      const minutes = type === 'slow_drift' ? 12 * 60 + random.int(12 * 60) : 5 + random.int(56)
      const factor = {
        traffic_drop: 0.1 + 0.3 * random.next(),
        flash_crowd: 3 + 7 * random.next(),
        conversion_collapse: 0.2,
        error_storm: 0.05 + 0.15 * random.next(),
        latency_step: 3,
        bot_flood: 0.5 + random.next(),
        slow_drift: 0.01,
        missing_region: 0,
      }[type]
      const id = `a-${this.anomalyCount++}-${random.hex(6)}`
      const keys = type === 'missing_region' ? [random.weighted(countries)] : type === 'bot_flood' ? [`bot-${random.hex(6)}`] : []
      this.announce({ id, type, startMs, endMs: startMs + minutes * MINUTE_MS, factor, keys })
    }
  }

  private announce(anomaly: Anomaly): void {
    const { id, type, startMs, endMs, factor, keys } = anomaly
    this.anomalies.push(anomaly)
    this.truth.push({ kind: 'anomaly', id, type, start: iso(startMs), end: iso(endMs), factor, keys })
  }
}

const clamp = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value))
const iso = (ms: number): string => new Date(ms).toISOString()
