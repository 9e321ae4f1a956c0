// An endless website: page views, sessions, conversions and custom events, with late, duplicate and malformed ones, and what is true of them.
//
// Two clocks: an event happens (event time), then arrives (later, by a heavy-tailed delay). Lines leave in the order of arrival.
// The parameters come from measured data sets and the literature; each is named where it is used: M measured, L literature, J judgement.
//
// Invariants
//   1. The same options and seed give the same lines and the same truth.
//   2. The truth has a line for each session, anomaly, late, duplicate and malformed event, and hourly totals of what was sent.
import { Random, Schedule, Zipf } from './random.ts'

export interface WebsiteOptions {
  seed: number
  /** Event time of the first event, epoch ms. */
  startMs: number
  /** Mean of events per second of event time over a day, before bots. */
  eventsPerSecond: number
  /** Shares of events; the defaults are the middle of what was measured. */
  lateShare: number
  duplicateShare: number
  malformedShare: number
  /** Share of requests that robots make. M apache 22.5 %, wiki 39 %; J 15–25 %. */
  botShare: number
  /** Labelled anomalies per simulated day. */
  anomaliesPerDay: number
}
export const websiteDefaults: Omit<WebsiteOptions, 'seed' | 'startMs'> = {
  eventsPerSecond: 50,
  lateShare: 0.06,
  duplicateShare: 0.0075,
  malformedShare: 0.002,
  botShare: 0.2,
  anomaliesPerDay: 2,
}

export type TruthLine = { kind: 'session' | 'late' | 'duplicate' | 'malformed' | 'anomaly' | 'totals' } & Record<string, unknown>
export interface Arrival {
  /** Epoch ms on the simulated clock. */
  arrivalMs: number
  /** One event as sent; malformed ones may be no JSON, or no UTF-8. */
  line: Buffer
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Sessions by hour of the day (UTC), from 815 at 3 h to 2300 at 17 h (M wiki); the trough is deepened to 0.2 of the peak (J, one country). */
const hourWeights = [
  1340, 1144, 960, 815, 860, 930, 1080, 1290, 1480, 1620, 1730, 1820, 1900, 1990, 2070, 2160, 2240, 2300, 2280, 2210, 2080, 1900, 1690,
  1482,
]
const deepened = hourWeights.map((weight) => 0.2 + (0.8 * (weight - 815)) / (2300 - 815))
const meanWeight = deepened.reduce((sum, weight) => sum + weight, 0) / 24

/** Share of sessions that reach each step. L: 1–3 % of an average shop's sessions buy. */
const funnel = { product: 0.45, cart: 0.09, checkout: 0.05, purchase: 0.025 }
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
const BOT_COUNT = 12
/** Mean events of a session of a person: half bounce, others 1 + lognormal(1.3, 0.9) capped (J from M and L). */
const MEAN_SESSION_EVENTS = 3.9

type AnomalyType = 'traffic_drop' | 'flash_crowd' | 'conversion_collapse' | 'error_storm' | 'latency_step' | 'bot_flood' | 'missing_region'
interface Anomaly {
  id: string
  type: AnomalyType
  startMs: number
  endMs: number
  factor: number
  keys: string[]
}

interface Session {
  id: string
  user: string
  device: string
  country: string
  isBot: boolean
  referrer: string
  left: number
  reach: 'browse' | 'product' | 'cart' | 'checkout' | 'purchase'
  step: number
  startMs: number
  lastMs: number
  sent: number
  purchases: number
  gapMs: number
}

type Task = { kind: 'session' } | { kind: 'event'; session: Session } | { kind: 'day' } | { kind: 'hour' }

export class Website {
  private readonly options: WebsiteOptions
  private readonly random: Random
  private readonly tasks = new Schedule<Task>()
  private readonly arrivals = new Schedule<Buffer>()
  private readonly pages = new Zipf(2_000, 0.9) // M apache 1.01, L 0.60–1.03
  private readonly products = new Zipf(800, 0.5) // M retail 0.41, wiki pages 0.42
  private readonly truth: TruthLine[] = []
  private anomalies: Anomaly[] = []
  private nowMs: number
  private sessionCount = 0
  private eventCount = 0
  /** Gamma-mixed intensity of the present minutes: counts vary more than Poisson's (Fano 2–5, J). */
  private mood = { factor: 1, untilMs: 0 }
  private totals = { events: 0, sessions: 0, purchases: 0, late: 0, duplicates: 0, malformed: 0 }

  constructor(options: WebsiteOptions) {
    this.options = options
    this.random = new Random(options.seed)
    this.nowMs = options.startMs
    this.tasks.push(options.startMs, { kind: 'day' })
    this.tasks.push(options.startMs, { kind: 'session' })
    this.tasks.push(options.startMs + HOUR_MS, { kind: 'hour' })
  }

  /** The next line to arrive. The site never ends. */
  next(): Arrival {
    // What arrives at t can only be known when all that happens before t has happened.
    while (this.arrivals.nextAt >= this.tasks.nextAt) this.advance()
    const arrivalMs = this.arrivals.nextAt
    return { arrivalMs, line: this.arrivals.pop()! }
  }

  /** Truth that has become known since the last call. */
  takeTruth(): TruthLine[] {
    return this.truth.splice(0)
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
        this.truth.push({ kind: 'totals', at: iso(this.nowMs), ...this.totals })
        this.tasks.push(this.nowMs + HOUR_MS, task)
        break
      case 'session':
        this.openSession()
        this.tasks.push(this.nowMs + this.random.exponential(1_000 / this.sessionRate()), task)
        break
      case 'event':
        this.continueSession(task.session)
    }
  }

  /** Sessions per second of event time. */
  private sessionRate(): number {
    const { eventsPerSecond, botShare } = this.options
    const date = new Date(this.nowMs)
    const hour = date.getUTCHours()
    const share = date.getUTCMinutes() / 60
    const weight = deepened[hour] * (1 - share) + deepened[(hour + 1) % 24] * share
    const weekend = date.getUTCDay() % 6 === 0 ? 0.8 : 1 // M shoppers: 23.3 % of sessions on 2 of 7 days
    if (this.nowMs >= this.mood.untilMs) this.mood = { factor: this.random.gamma(8, 1 / 8), untilMs: this.nowMs + 120_000 }
    let rate = ((eventsPerSecond * (1 - botShare)) / MEAN_SESSION_EVENTS) * (weight / meanWeight) * weekend * this.mood.factor
    for (const anomaly of this.active()) if (anomaly.type === 'traffic_drop' || anomaly.type === 'flash_crowd') rate *= anomaly.factor
    const bots = (eventsPerSecond * botShare) / 60 // a robot's burst has about 60 requests
    return Math.max(rate + bots, 1e-3)
  }

  private openSession(): void {
    const { random, options } = this
    const sessionsPerBurst = 60 / MEAN_SESSION_EVENTS
    const isBot = random.chance(options.botShare / (options.botShare + (1 - options.botShare) * sessionsPerBurst))
    const country = random.weighted(countries)
    if (this.active('missing_region').some(({ keys }) => keys.includes(country))) return
    const device = isBot ? 'desktop' : random.weighted(devices)
    const isReturning = random.chance(0.35)
    let boost = (isReturning ? 2 : 1) * (device === 'mobile' ? 0.5 : 1) // J
    for (const { factor } of this.active('conversion_collapse')) boost *= factor
    const u = random.next()
    const reach = isBot
      ? 'browse'
      : u < funnel.purchase * boost
        ? 'purchase'
        : u < funnel.checkout
          ? 'checkout'
          : u < funnel.cart
            ? 'cart'
            : u < funnel.product
              ? 'product'
              : 'browse'
    const deep = reach === 'cart' || reach === 'checkout' || reach === 'purchase'
    const bounces = !deep && random.chance(0.48) // L 30–60 %
    const count = isBot
      ? 20 + Math.floor(random.exponential(40))
      : bounces
        ? 1
        : Math.min(300, 1 + Math.round(random.lognormal(1.3, 0.9))) + (deep ? 4 : 0)
    const flood = this.active('bot_flood')
    const bot = flood.length > 0 && random.chance(0.7) ? 0 : random.int(BOT_COUNT)
    this.sessionCount++
    this.totals.sessions++
    const session: Session = {
      id: `s-${random.hex(12)}`,
      user: isBot ? `bot-${bot}` : isReturning ? `u-${random.int(20_000)}` : `u-n${this.sessionCount}`,
      device,
      country,
      isBot,
      referrer: random.weighted(referrers),
      left: flood.length > 0 && isBot ? count * 4 : count,
      reach,
      step: 0,
      startMs: this.nowMs,
      lastMs: this.nowMs,
      sent: 0,
      purchases: 0,
      gapMs: isBot ? 500 + random.int(2_000) : 0, // robots keep constant gaps (M)
    }
    this.continueSession(session)
  }

  private continueSession(session: Session): void {
    const { random } = this
    session.lastMs = this.nowMs
    this.send(session)
    session.left--
    if (session.left <= 0) {
      this.truth.push({
        kind: 'session',
        session_id: session.id,
        user_id: session.user,
        start: iso(session.startMs),
        end: iso(session.lastMs),
        events: session.sent,
        purchases: session.purchases,
        is_bot: session.isBot,
      })
      return
    }
    // Think time: lognormal, median 30 s, sigma 1.3 (M); some come back just after the usual gap of 30 minutes (J).
    const think = random.chance(0.05 / 10)
      ? HOUR_MS / 2 + random.int(15 * 60_000)
      : Math.min(random.lognormal(Math.log(30_000), 1.3), 29 * 60_000)
    this.tasks.push(this.nowMs + (session.isBot ? session.gapMs : think), { kind: 'event', session })
  }

  /** What this step of the session is, by how far it will come. */
  private stepOf(session: Session): string {
    const order = {
      browse: [],
      product: ['product_view'],
      cart: ['product_view', 'add_to_cart'],
      checkout: ['product_view', 'add_to_cart', 'checkout'],
      purchase: ['product_view', 'add_to_cart', 'checkout', 'purchase'],
    }
    const steps = order[session.reach]
    const remaining = steps.length - session.step
    if (remaining > 0 && (session.left <= remaining || this.random.chance(0.4))) return steps[session.step++]
    return !session.isBot && this.random.chance(0.06) ? 'custom' : 'page_view'
  }

  private send(session: Session): void {
    const { random, options } = this
    let type = this.stepOf(session)
    if (type === 'purchase' && random.chance(0.03)) type = 'payment_failed' // J
    if (type === 'purchase') {
      session.purchases++
      this.totals.purchases++
    }
    const product = this.products.sample(random)
    const storm = this.active('error_storm')
    const status = storm.length > 0 && random.chance(storm[0].factor) ? 503 : random.weighted(statuses)
    const slow = this.active('latency_step')
    const path =
      type === 'page_view' || type === 'custom'
        ? `/page/${this.pages.sample(random)}`
        : type === 'product_view' || type === 'add_to_cart'
          ? `/product/${product}`
          : `/${type}`
    const event: Record<string, unknown> = {
      event_id: `e-${(this.eventCount++).toString(36)}-${random.hex(6)}`,
      event_time: iso(this.nowMs),
      event_type: type,
      session_id: session.id,
      user_id: session.user,
      url: `https://shop.example.com${path}`,
      referrer: session.sent === 0 ? session.referrer : '',
      device: session.device,
      country: session.country,
      status,
      duration_ms: Math.round(random.lognormal(Math.log(120), 0.6) * (slow.length > 0 ? slow[0].factor : 1)),
    }
    if (type === 'purchase') event.amount = Math.round(random.lognormal(Math.log(60), 0.9) * 100) / 100
    if (type === 'product_view' || type === 'add_to_cart') event.product_id = `p-${product}`
    if (type === 'custom') event.name = random.pick(customNames)
    session.sent++
    this.totals.events++

    const delayMs = this.delay()
    const arrivalMs = this.nowMs + delayMs
    if (delayMs >= 1_000) {
      this.totals.late++
      this.truth.push({ kind: 'late', event_id: event.event_id, event_time: event.event_time, delay_ms: Math.round(delayMs) })
    }
    if (random.chance(options.malformedShare)) {
      this.sendMalformed(event, arrivalMs)
      return
    }
    const line = Buffer.from(JSON.stringify(event))
    this.arrivals.push(arrivalMs, line)
    if (random.chance(options.duplicateShare)) {
      this.totals.duplicates++
      this.arrivals.push(arrivalMs + 1_000 + random.next() * 29_000, line) // a retry, the same id, 1–30 s later
      this.truth.push({ kind: 'duplicate', event_id: event.event_id, event_time: event.event_time })
    }
  }

  /** J, with M apache ≤ 59 s: of the late ones 75 % exp(5 s), 23 % exp(60 s), 2 % minutes to 24 h (a phone that was offline). */
  private delay(): number {
    const { random, options } = this
    if (!random.chance(options.lateShare)) return random.next() * 900
    const u = random.next()
    if (u < 0.75) return 1_000 + random.exponential(5_000)
    if (u < 0.98) return 1_000 + random.exponential(60_000)
    return 60_000 * Math.exp(random.next() * Math.log(24 * 60))
  }

  private sendMalformed(event: Record<string, unknown>, arrivalMs: number): void {
    const text = JSON.stringify(event)
    const [problem, line] = this.random.pick<() => [string, Buffer]>([
      () => ['cut', Buffer.from(text.slice(0, Math.floor(text.length * 0.6)))],
      () => ['wrong_type', Buffer.from(JSON.stringify({ ...event, status: 'ok' }))],
      () => ['missing_id', Buffer.from(JSON.stringify({ ...event, event_id: undefined }))],
      () => [
        'bad_utf8',
        Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from(',"note":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
      ],
      () => ['clock', Buffer.from(JSON.stringify({ ...event, event_time: iso(this.random.chance(0.5) ? 0 : this.nowMs + DAY_MS) }))],
    ])()
    this.totals.malformed++
    this.arrivals.push(arrivalMs, line)
    this.truth.push({
      kind: 'malformed',
      problem,
      event_id: event.event_id,
      event_time: event.event_time,
      is_accepted: problem === 'clock',
    })
  }

  private active(type?: AnomalyType): Anomaly[] {
    return this.anomalies.filter(
      (anomaly) => anomaly.startMs <= this.nowMs && this.nowMs < anomaly.endMs && (type === undefined || anomaly.type === type),
    )
  }

  private planAnomalies(): void {
    const { random } = this
    this.anomalies = this.anomalies.filter(({ endMs }) => endMs > this.nowMs)
    const count = Math.floor(this.options.anomaliesPerDay + random.next())
    for (let i = 0; i < count; i++) {
      const type = random.pick<AnomalyType>([
        'traffic_drop',
        'flash_crowd',
        'conversion_collapse',
        'error_storm',
        'latency_step',
        'bot_flood',
        'missing_region',
      ])
      const startMs = this.nowMs + random.next() * DAY_MS
      const endMs = startMs + (5 + random.int(56)) * 60_000
      const factor = {
        traffic_drop: 0.1 + 0.3 * random.next(),
        flash_crowd: 3 + 7 * random.next(),
        conversion_collapse: 0.2,
        error_storm: 0.05 + 0.15 * random.next(),
        latency_step: 3,
        bot_flood: 1,
        missing_region: 1,
      }[type]
      const keys = type === 'missing_region' ? [random.weighted(countries)] : type === 'bot_flood' ? ['bot-0'] : []
      const anomaly = { id: `a-${random.hex(6)}`, type, startMs, endMs, factor, keys }
      this.anomalies.push(anomaly)
      this.truth.push({ kind: 'anomaly', id: anomaly.id, type, start: iso(startMs), end: iso(endMs), factor, keys })
    }
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()
