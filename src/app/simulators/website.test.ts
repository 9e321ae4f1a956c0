import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { type Anomaly, type TruthLine, Website, type WebsiteOptions, websiteDefaults } from './website.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const monday = Date.UTC(2026, 2, 2)
const LINES = 150_000
/** Makes them a day. */
const RATE = 1.8

interface Event {
  event_id: string
  event_time: string
  event_type: string
  session_id: string
  user_id: string
  device: string
  country: string
  status: number
  duration_ms: number
  url: string
  amount?: number
}

const optionsOf = (options: Partial<WebsiteOptions> = {}): WebsiteOptions => ({
  ...websiteDefaults,
  seed: 5,
  startMs: monday,
  anomaliesPerDay: 0,
  ...options,
})

const utf8 = new TextDecoder('utf-8', { fatal: true })
/** What a server that checks id, status and encoding would accept. */
function parse(line: Buffer): Event | undefined {
  try {
    const event = JSON.parse(utf8.decode(line)) as Event
    return typeof event.event_id === 'string' && typeof event.status === 'number' ? event : undefined
  } catch {
    return undefined
  }
}

interface Run {
  lines: { arrivalMs: number; line: Buffer; event?: Event }[]
  truth: TruthLine[]
}
function play(options: WebsiteOptions, goesOn: (count: number, nextMs: number) => boolean, planned: Anomaly[] = []): Run {
  const site = new Website(options, planned)
  const lines: Run['lines'] = []
  while (goesOn(lines.length, site.nextMs)) {
    const { arrivalMs, line } = site.next()
    lines.push({ arrivalMs, line, event: parse(line) })
  }
  site.finish()
  return { lines, truth: site.takeTruth() }
}
/** A line of the truth, of any kind. */
type Line = Record<'event_id' | 'event_time' | 'session_id' | 'problem' | 'sha256' | 'id' | 'type' | 'start' | 'end' | 'at', string> &
  Record<'events' | 'rejected' | 'purchases' | 'duplicates' | 'late' | 'malformed' | 'robot_events' | 'sessions' | 'delay_ms', number> &
  Record<'is_bot' | 'is_open' | 'is_accepted', boolean> & { keys: string[] }
const of = (truth: TruthLine[], kind: TruthLine['kind']): Line[] => truth.filter((line) => line.kind === kind) as unknown as Line[]
const within = (value: number, low: number, high: number, what: string) =>
  assert.ok(low <= value && value <= high, `${what}: ${value}, expected ${low} to ${high}`)
const quantile = (values: number[], q: number): number => values.sort((a, b) => a - b)[Math.floor(q * values.length)]

test('the same seed gives the same lines and the same truth; another seed gives others', () => {
  const digest = (seed: number) => {
    const { lines, truth } = play(optionsOf({ seed, anomaliesPerDay: 20, eventsPerSecond: 2 }), (count) => count < 5_000)
    const hash = createHash('sha256')
    for (const { arrivalMs, line } of lines) hash.update(`${arrivalMs} `).update(line)
    return hash.update(JSON.stringify(truth)).digest('hex')
  }
  assert.equal(digest(1), digest(1))
  assert.notEqual(digest(1), digest(2))
})

describe('a day and its truth', () => {
  let lines: Run['lines']
  let truth: TruthLine[]
  let events: Event[]
  let totals: Line
  before(() => {
    const run = play(optionsOf({ eventsPerSecond: RATE }), (count) => count < LINES)
    lines = run.lines
    truth = run.truth
    const seen = new Set<string>()
    events = lines.flatMap(({ event }) => (event && !seen.has(event.event_id) && seen.add(event.event_id) ? [event] : []))
    totals = of(truth, 'totals').at(-1)!
  })

  test('lines leave in the order of arrival; 3–7 % are out of order by event time', () => {
    let newestMs = -Infinity
    let outOfOrder = 0
    for (const [i, { arrivalMs, event }] of lines.entries()) {
      assert.ok(i === 0 || arrivalMs >= lines[i - 1].arrivalMs, `line ${i} arrives before its predecessor`)
      const timeMs = event ? Date.parse(event.event_time) : Number.NaN
      if (timeMs < newestMs) outOfOrder++
      else if (timeMs <= arrivalMs) newestMs = timeMs
    }
    within(outOfOrder / LINES, 0.03, 0.07, 'out of order')
  })

  test('shares are those of the parameters', () => {
    within(totals.late / LINES, 0.057, 0.063, 'late')
    within(totals.duplicates / LINES, 0.0065, 0.0085, 'duplicates')
    within(totals.malformed / LINES, 0.0016, 0.0024, 'malformed')
    within(totals.robot_events / LINES, 0.17, 0.23, 'robots')
    const delays = of(truth, 'late').map(({ delay_ms }) => delay_ms)
    within(delays.filter((ms) => ms > 30_000).length / delays.length, 0.12, 0.19, 'late by more than 30 s')
    within(delays.filter((ms) => ms > 20 * MINUTE_MS).length / delays.length, 0.006, 0.018, 'late by more than 20 min')
    assert.ok(delays.every((ms) => ms >= 1_000 && ms <= 24 * HOUR_MS))
    const requests = events.filter(({ event_type }) => event_type === 'page_view')
    const share = (status: number) => requests.filter((event) => event.status === status).length / requests.length
    within(share(200), 0.9, 0.92, 'status 200')
    within(share(304), 0.042, 0.048, 'status 304')
    within(share(404), 0.018, 0.024, 'status 404')
    within(share(500), 0, 0.001, 'status 500')
  })

  test('rate: the mean that was asked for, four times more at the peak than in the trough', () => {
    const hours = new Float64Array(24)
    for (const { event_time, user_id } of events) if (!user_id.startsWith('bot-')) hours[new Date(event_time).getUTCHours()]++
    const spanSeconds = (lines.at(-1)!.arrivalMs - monday) / 1_000
    within(LINES / spanSeconds / RATE, 0.9, 1.1, 'rate by what was asked for')
    within((hours[17] + hours[18]) / (hours[3] + hours[4]), 3, 6.5, 'peak by trough')
    const weekend = play(optionsOf({ eventsPerSecond: 12, startMs: monday - 24 * HOUR_MS }), (_, nextMs) => nextMs < monday - 23 * HOUR_MS)
    const weekday = play(optionsOf({ eventsPerSecond: 12 }), (_, nextMs) => nextMs < monday + HOUR_MS)
    const people = (run: Run) => run.lines.filter(({ event }) => event?.user_id.startsWith('u-')).length
    within(people(weekend) / people(weekday), 0.65, 0.95, 'Sunday by Monday')
  })

  test('sessions: sizes, think times, pauses, conversion, robots', () => {
    const people = of(truth, 'session').filter(({ is_bot, is_open }) => !is_bot && !is_open)
    const robots = of(truth, 'session').filter(({ is_bot }) => is_bot)
    const sizes = people.map(({ events: count }) => count)
    within(sizes.reduce((sum, size) => sum + size, 0) / sizes.length, 6.3, 7.3, 'mean of events')
    within(sizes.filter((size) => size === 1).length / sizes.length, 0.4, 0.5, 'single')
    within(quantile(sizes, 0.9), 8, 18, 'p90 of events')
    assert.ok(sizes.every((size) => size <= 304))
    within(people.filter(({ purchases }) => purchases > 0).length / people.length, 0.019, 0.027, 'conversion')
    assert.ok(robots.every(({ purchases }) => purchases === 0))
    const bySession = Map.groupBy(
      events.filter(({ event_time }) => Date.parse(event_time) >= monday),
      ({ session_id }) => session_id,
    )
    const gapsOf = (id: string) => {
      const times = (bySession.get(id) ?? []).map(({ event_time }) => Date.parse(event_time)).sort((a, b) => a - b)
      return times.slice(1).map((time, i) => time - times[i])
    }
    const gaps = people.map(({ session_id }) => gapsOf(session_id))
    within(quantile(gaps.flat(), 0.5), 20_000, 45_000, 'median think time')
    const pausing = gaps.filter((ofSession) => ofSession.some((gap) => gap > 30 * MINUTE_MS)).length
    within(pausing / people.length, 0.04, 0.06, 'sessions that pause over 30 minutes')
    assert.ok(gaps.flat().every((gap) => gap <= 75 * MINUTE_MS + 1))
    const steady = robots.filter(({ session_id, events: count }) => {
      const [shortest = 0] = gapsOf(session_id).sort((a, b) => a - b)
      return count > 10 && gapsOf(session_id).every((gap) => gap % shortest <= count || shortest - (gap % shortest) <= count)
    })
    within(steady.length / robots.length, 0.95, 1, 'robots with constant gaps')
    const heaviest = events.filter(({ user_id }) => user_id === 'bot-0').length
    within(heaviest / totals.robot_events, 0.28, 0.42, "the heaviest robot's share of robots' events")
    const reached = (type: string) => new Set(events.filter((event) => event.event_type === type).map((event) => event.session_id)).size
    within(reached('product_view') / people.length, 0.42, 0.48, 'sessions with a product')
    within(reached('add_to_cart') / people.length, 0.08, 0.1, 'with a cart')
    within(reached('checkout') / people.length, 0.042, 0.058, 'with a checkout')
    const devices = Map.groupBy(people, ({ session_id }) => bySession.get(session_id)?.[0].device)
    within((devices.get('mobile')?.length ?? 0) / people.length, 0.56, 0.6, 'mobile')
  })

  test('pages follow Zipf: the first of 2,000 has its share', () => {
    const pages = events.filter(({ url }) => url.includes('/page/'))
    const weights = Array.from({ length: 2_000 }, (_, rank) => (rank + 1) ** -0.9)
    const expected = 1 / weights.reduce((sum, weight) => sum + weight, 0)
    within(pages.filter(({ url }) => url.endsWith('/page/0')).length / pages.length / expected, 0.94, 1.06, 'first page')
  })

  test('truth: late and duplicate events are in the stream, as often and as late as it says', () => {
    const arrivals = Map.groupBy(
      lines.filter(({ event }) => event),
      ({ event }) => event!.event_id,
    )
    for (const { event_id, delay_ms } of of(truth, 'late')) {
      const [first] = arrivals.get(event_id) ?? []
      assert.ok(first, `${event_id} is late and not in the stream`)
      within(first.arrivalMs - Date.parse(first.event!.event_time) - delay_ms, -1.5, 1.5, 'delay against the truth')
    }
    const duplicates = new Set(of(truth, 'duplicate').map(({ event_id }) => event_id))
    for (const [id, copies] of arrivals) assert.equal(copies.length, duplicates.has(id) ? 2 : 1, id)
    for (const id of duplicates) {
      const [first, second] = arrivals.get(id) ?? []
      within(second.arrivalMs - first.arrivalMs, 1_000, 30_000, 'duplicate after its first')
      assert.ok(first.line.equals(second.line))
    }
  })

  test('truth: malformed lines are in the stream; all lines that cannot be read are in the truth', () => {
    const unread = new Set(lines.filter(({ event }) => !event).map(({ line }) => createHash('sha256').update(line).digest('hex')))
    const byId = new Map(lines.map(({ event }) => [event?.event_id, event]))
    const problems = new Set<string>()
    for (const { problem, sha256, is_accepted, event_id, event_time } of of(truth, 'malformed')) {
      problems.add(problem)
      if (is_accepted) assert.ok(Math.abs(Date.parse(byId.get(event_id)!.event_time) - Date.parse(event_time)) >= 24 * HOUR_MS)
      else assert.ok(unread.delete(sha256), `${problem} ${event_id} is not in the stream`)
    }
    assert.equal(unread.size, 0)
    assert.deepEqual([...problems].sort(), ['bad_utf8', 'clock', 'cut', 'missing_id', 'wrong_type'])
  })

  test('truth: sessions have the events that were sent, and totals add up', () => {
    const counts = new Map<string, { events: number; purchases: number }>()
    for (const { session_id, event_type } of events) {
      const count = counts.get(session_id) ?? { events: 0, purchases: 0 }
      count.events++
      if (event_type === 'purchase') count.purchases++
      counts.set(session_id, count)
    }
    const sessions = of(truth, 'session')
    for (const { session_id, events: sent, rejected, purchases } of sessions) {
      const count = counts.get(session_id) ?? { events: 0, purchases: 0 }
      assert.ok(count.events === sent - rejected && count.purchases === purchases, session_id)
      counts.delete(session_id)
    }
    assert.equal(counts.size, 0, 'sessions that the truth does not know')
    const sum = (name: 'events' | 'rejected' | 'purchases') => sessions.reduce((total, session) => total + session[name], 0)
    assert.equal(totals.events + totals.duplicates, LINES)
    assert.equal(totals.events - totals.rejected, events.length)
    assert.equal(sum('events'), totals.events)
    assert.equal(sum('rejected'), totals.rejected)
    assert.equal(sum('purchases'), totals.purchases)
    assert.equal(sessions.length, totals.sessions)
    for (const kind of ['late', 'duplicate', 'malformed'] as const)
      assert.equal(of(truth, kind).length, totals[kind === 'duplicate' ? 'duplicates' : kind])
    let arrived = 0
    for (const hour of of(truth, 'totals').slice(0, -1)) {
      while (lines[arrived].arrivalMs < Date.parse(hour.at)) arrived++
      assert.equal(hour.events + hour.duplicates, arrived, hour.at)
    }
  })
})

describe('anomalies can be seen where the truth says', () => {
  const startMs = monday + 12 * HOUR_MS
  const from = startMs + 40 * MINUTE_MS
  const to = from + 20 * MINUTE_MS
  const options = optionsOf({ startMs, eventsPerSecond: 4 })
  /** Events of people and robots by event time: 20 minutes before the anomaly, and those of it. */
  function around(type: Anomaly['type'], factor: number, keys: string[] = [], span = { startMs: from, endMs: to }) {
    const anomaly = { id: 'a-test', type, factor, keys, ...span }
    const { lines, truth } = play(options, (_, nextMs) => nextMs < to + 2 * MINUTE_MS, [anomaly])
    assert.deepEqual(
      of(truth, 'anomaly').map(({ id, type: found, start, end }) => ({ id, found, start, end })),
      [{ id: 'a-test', found: type, start: new Date(span.startMs).toISOString(), end: new Date(span.endMs).toISOString() }],
    )
    const events = lines.flatMap(({ event }) => event ?? [])
    const between = (low: number, high: number) =>
      events.filter(({ event_time }) => Date.parse(event_time) >= low && Date.parse(event_time) < high)
    return { calm: between(from - 20 * MINUTE_MS, from), odd: between(from, to), between }
  }
  const ratio = ({ calm, odd }: { calm: Event[]; odd: Event[] }, of: (event: Event) => boolean) =>
    odd.filter(of).length / calm.filter(of).length

  test('traffic drop', () => {
    const { calm, odd } = around('traffic_drop', 0.2)
    within(odd.length / calm.length, 0.13, 0.28, 'events by those before')
  })
  test('flash crowd, with a ramp of two minutes', () => {
    const { calm, odd, between } = around('flash_crowd', 6)
    within(
      ratio({ calm, odd }, ({ user_id }) => user_id.startsWith('u-')),
      2.5,
      8,
      "people's events by those before",
    )
    assert.ok(between(from, from + MINUTE_MS).length < between(from + 4 * MINUTE_MS, from + 5 * MINUTE_MS).length)
  })
  test('conversion collapse', () => {
    const isPurchase = ({ event_type }: Event) => event_type === 'purchase'
    const span = { startMs: startMs, endMs: to }
    const collapsed = around('conversion_collapse', 0, [], span).between(startMs, to)
    const normal = around('latency_step', 1, [], span).between(startMs, to)
    assert.equal(collapsed.filter(isPurchase).length, 0)
    within(normal.filter(isPurchase).length, 15, 150, 'purchases of an hour without')
    assert.ok(collapsed.some(({ event_type }) => event_type === 'checkout'))
  })
  test('error storm', () => {
    const { calm, odd } = around('error_storm', 0.15)
    const share = (events: Event[]) => events.filter(({ status }) => status >= 500).length / events.length
    within(share(calm), 0, 0.002, 'errors before')
    within(share(odd), 0.12, 0.18, 'errors')
  })
  test('latency step and slow drift', () => {
    const median = (events: Event[]) =>
      quantile(
        events.map(({ duration_ms }) => duration_ms),
        0.5,
      )
    const step = around('latency_step', 3)
    within(median(step.odd) / median(step.calm), 2.7, 3.3, 'median duration')
    const drift = around('slow_drift', 0.5, [], { startMs, endMs: to })
    within(median(drift.odd) / median(drift.between(startMs, startMs + 20 * MINUTE_MS)), 1.25, 1.38, 'median duration after 40 minutes')
  })
  test('bot flood on one key', () => {
    const { calm, odd } = around('bot_flood', 1, ['bot-x'])
    const isFlood = ({ user_id }: Event) => user_id === 'bot-x'
    assert.equal(calm.filter(isFlood).length, 0)
    within(odd.filter(isFlood).length / (4 * 20 * 60), 0.6, 1.4, "the flood by the site's mean")
  })
  test('missing region', () => {
    const { calm, odd } = around('missing_region', 0, ['DE'])
    within(calm.filter(({ country }) => country === 'DE').length / calm.length, 0.4, 0.7, 'events of the region before')
    assert.equal(odd.filter(({ country }) => country === 'DE').length, 0)
  })
})

test('anomalies are drawn: as many a day as asked for, of all kinds, within the day they are labelled for', () => {
  const { truth } = play(optionsOf({ eventsPerSecond: 0.005, anomaliesPerDay: 1.5 }), (_, nextMs) => nextMs < monday + 40 * 24 * HOUR_MS)
  const anomalies = of(truth, 'anomaly')
  within(anomalies.length / 40, 1.25, 1.8, 'anomalies a day')
  assert.equal(new Set(anomalies.map(({ type }) => type)).size, 8)
  for (const { type, start, end, keys } of anomalies) {
    const minutes = (Date.parse(end) - Date.parse(start)) / MINUTE_MS
    if (type === 'slow_drift') within(minutes, 12 * 60, 24 * 60, type)
    else within(minutes, 5, 60, type)
    assert.equal(keys.length, type === 'missing_region' || type === 'bot_flood' ? 1 : 0)
  }
})

test('clocks ahead only where asked for', () => {
  const ahead = (clocksAhead: boolean) =>
    play(optionsOf({ clocksAhead, malformedShare: 0.1 }), (count) => count < 3_000).lines.filter(
      ({ arrivalMs, event }) => event && Date.parse(event.event_time) > arrivalMs + HOUR_MS,
    ).length
  assert.equal(ahead(false), 0)
  assert.ok(ahead(true) > 5)
})
