// Test only: answers the console's requests from a recording, without the real server, for screenshots and page tests.
//
//   node console/test/fixtureServer.ts [--port 7070] [--speed 200] [--from-hour 6] [--token SECRET] [--file edits.ndjson.gz]
//
// It keeps the API's contract (types of src/serve/contract.ts), counts with plain maps, and has no durability, SQL or windows logic worth the name.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { extname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ColumnInfo, LiveFrame, QuerySummary, Stats, TableSummary, TopicMessage } from '../../src/serve/contract.ts'

const { values: args } = parseArgs({
  options: {
    port: { type: 'string', default: '7070' },
    speed: { type: 'string', default: '200' },
    'from-hour': { type: 'string', default: '6' },
    token: { type: 'string' },
    file: { type: 'string', default: join(import.meta.dirname, '../../demo/data/wiki-edits.sample.ndjson.gz') },
  },
})

type Event = Record<string, unknown> & {
  time: string
  channel: string
  page: string
  user: string
  delta: number
  added: number
  deleted: number
}
const events = gunzipSync(readFileSync(args.file))
  .toString('utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Event)

// --- tables ---

const column = (name: string, type: string): ColumnInfo => ({ name, type })
const text = 'VARCHAR(2147483647)'
const time = 'TIMESTAMP(3) NOT NULL'
const count = 'BIGINT NOT NULL'

class FixtureTable {
  rows = new Map<string, unknown[]>()
  pending = new Map<string, unknown[]>()
  changeCount = 0
  updatedAtMs = 0
  subscribers = new Map<WebSocket, { order: string; limit: number; sent: Map<string, unknown[]> }>()
  readonly name: string
  readonly comment: string
  readonly columns: ColumnInfo[]
  readonly primaryKey: string[]
  readonly sql: string

  constructor(name: string, comment: string, columns: ColumnInfo[], primaryKey: string[], sql: string) {
    Object.assign(this, { name, comment, columns, primaryKey, sql })
    this.name = name
    this.comment = comment
    this.columns = columns
    this.primaryKey = primaryKey
    this.sql = sql
  }

  put(key: string, row: unknown[]): void {
    this.rows.set(key, row)
    this.changeCount++
    this.updatedAtMs = Date.now()
  }

  top(order: string, limit: number): Map<string, unknown[]> {
    const entries = [...this.rows]
    const index = this.columns.findIndex((one) => one.name === order.replace(/^-/, ''))
    const sign = order.startsWith('-') ? -1 : 1
    if (index >= 0)
      entries.sort(([, a], [, b]) => sign * ((a[index] as number) < (b[index] as number) ? -1 : a[index] === b[index] ? 0 : 1))
    return new Map(entries.slice(0, limit))
  }

  subscribe(socket: WebSocket, order: string, limit: number): void {
    const sent = this.top(order, limit)
    this.subscribers.set(socket, { order, limit, sent })
    socket.on('close', () => this.subscribers.delete(socket))
    const frame: LiveFrame = {
      type: 'snapshot',
      columns: this.columns,
      primaryKey: this.primaryKey,
      rows: [...sent.values()],
      resume: 'x.1',
      epoch: 0,
    }
    socket.send(JSON.stringify(frame))
  }

  push(): number {
    let sum = 0
    for (const [socket, subscription] of this.subscribers) {
      const now = this.top(subscription.order, subscription.limit)
      const changes: Extract<LiveFrame, { type: 'delta' }>['changes'] = []
      for (const [key, row] of subscription.sent) if (!now.has(key)) changes.push({ op: '-D', row })
      for (const [key, row] of now) if (subscription.sent.get(key) !== row) changes.push({ op: '+U', row })
      subscription.sent = now
      if (changes.length === 0) continue
      sum += changes.length
      socket.send(JSON.stringify({ type: 'delta', changes, resume: 'x.2', epoch: 0, atMs: Date.now() } satisfies LiveFrame))
    }
    return sum
  }
}

const sqlOf = (name: string, key: string, select: string): string =>
  `CREATE MATERIALIZED TABLE ${name} (PRIMARY KEY (${key}) NOT ENFORCED)\nFRESHNESS = INTERVAL '1' SECOND AS\n${select};`
const tumble = "FROM TABLE(TUMBLE(TABLE edits, DESCRIPTOR(`time`), INTERVAL '5' MINUTES))"
const channels = new FixtureTable(
  'channel_5min',
  'Five-minute windows by channel',
  [
    column('window_start', time),
    column('window_end', time),
    column('channel', text),
    column('edits', count),
    column('editors', count),
    column('added', 'BIGINT'),
    column('deleted', 'BIGINT'),
    column('robot_edits', count),
  ],
  ['window_start', 'channel'],
  sqlOf(
    'channel_5min',
    'window_start, channel',
    `SELECT window_start, window_end, channel,\n       COUNT(*) AS edits, -- closed windows only\n       COUNT(DISTINCT \`user\`) AS editors,\n       COUNT(*) FILTER (WHERE isRobot) AS robot_edits\n${tumble}\nGROUP BY window_start, window_end, channel`,
  ),
)
const totals = new FixtureTable(
  'totals_5min',
  'Five-minute windows over all channels: robots against people, share of unpatrolled edits',
  [
    column('window_start', time),
    column('window_end', time),
    column('edits', count),
    column('robots', count),
    column('humans', count),
    column('anonymous', count),
    column('unpatrolled', count),
    column('unpatrolled_share', 'DOUBLE'),
    column('added', 'BIGINT'),
    column('deleted', 'BIGINT'),
    column('new_pages', count),
  ],
  ['window_start'],
  sqlOf('totals_5min', 'window_start', `SELECT window_start, window_end, COUNT(*) AS edits\n${tumble}\nGROUP BY window_start, window_end`),
)
const countries = new FixtureTable(
  'country_edits',
  'Anonymous edits by country since the replay began',
  [
    column('country_code', text),
    column('country', text),
    column('edits', count),
    column('added', 'BIGINT'),
    column('last_edit', 'TIMESTAMP(3)'),
  ],
  ['country_code'],
  sqlOf(
    'country_edits',
    'country_code',
    'SELECT countryIsoCode AS country_code, COUNT(*) AS edits\nFROM edits\nWHERE countryIsoCode IS NOT NULL\nGROUP BY countryIsoCode',
  ),
)
const pages = new FixtureTable(
  'top_pages',
  'Edits of each page since the replay began',
  [column('channel', text), column('page', text), column('edits', count), column('editors', count), column('delta', 'BIGINT')],
  ['channel', 'page'],
  sqlOf('top_pages', 'channel, page', 'SELECT channel, page, COUNT(*) AS edits\nFROM edits\nGROUP BY channel, page'),
)
const sessions = new FixtureTable(
  'user_sessions',
  'Sessions by user: edits less than 30 minutes apart; a session appears when it has ended',
  [
    column('user', text),
    column('session_start', time),
    column('session_end', time),
    column('edits', count),
    column('pages', count),
    column('delta', 'BIGINT'),
  ],
  ['user', 'session_start'],
  sqlOf(
    'user_sessions',
    '`user`, session_start',
    "SELECT `user`, COUNT(*) AS edits\nFROM TABLE(SESSION(TABLE edits PARTITION BY `user`, DESCRIPTOR(`time`), INTERVAL '30' MINUTES))\nGROUP BY `user`, window_start, window_end",
  ),
)
const tables = [channels, totals, countries, pages, sessions]

// --- topics ---

interface FixtureTopic {
  messages: TopicMessage[]
  recordCount: number
  sizeBytes: number
  fresh: TopicMessage[]
  second: number
  perSecond: number
}
const topicNames = ['wiki_edits', 'wiki_new_pages', 'wiki_robot_edits', 'wiki_edits.invalid']
const topics = new Map<string, FixtureTopic>(
  topicNames.map((name) => [name, { messages: [], recordCount: 0, sizeBytes: 0, fresh: [], second: 0, perSecond: 0 }]),
)
const tails = new Map<WebSocket, string>()

function append(name: string, value: unknown, headers: Record<string, string> = {}): void {
  const topic = topics.get(name)!
  const key = (value as { user?: string }).user ?? null
  const message: TopicMessage = {
    partition: 0,
    offset: topic.recordCount++,
    timestampMs: Date.now(),
    key,
    value,
    encoding: 'json',
    headers: { id: `01K${topic.recordCount}`, ...headers },
    sizeBytes: 480,
  }
  topic.sizeBytes += 480
  topic.second++
  topic.messages.push(message)
  if (topic.messages.length > 500) topic.messages.shift()
  topic.fresh.push(message)
}

// --- the replay ---

const stampOf = (ms: number): string => new Date(ms).toISOString().slice(0, 23).replace('T', ' ')
const windowMs = 300_000
const open = new Map<
  string,
  {
    edits: number
    users: Set<string>
    added: number
    deleted: number
    robots: number
    anonymous: number
    unpatrolled: number
    newPages: number
  }
>()
let windowStartMs = 0
let watermarkMs = 0
const pageUsers = new Map<string, Set<string>>()
const openSessions = new Map<string, { startMs: number; lastMs: number; edits: number; pages: Set<string>; delta: number }>()

function closeWindow(): void {
  const [start, end] = [stampOf(windowStartMs), stampOf(windowStartMs + windowMs)]
  const sum = { edits: 0, robots: 0, anonymous: 0, unpatrolled: 0, added: 0, deleted: 0, newPages: 0 }
  for (const [channel, one] of open) {
    channels.put(`${start} ${channel}`, [start, end, channel, one.edits, one.users.size, one.added, one.deleted, one.robots])
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += one[name]
  }
  if (sum.edits > 0)
    totals.put(start, [
      start,
      end,
      sum.edits,
      sum.robots,
      sum.edits - sum.robots,
      sum.anonymous,
      sum.unpatrolled,
      sum.unpatrolled / sum.edits,
      sum.added,
      sum.deleted,
      sum.newPages,
    ])
  open.clear()
  for (const [user, one] of openSessions) {
    if (one.lastMs + 1_800_000 > watermarkMs) continue
    sessions.put(`${user} ${one.startMs}`, [
      user,
      stampOf(one.startMs),
      stampOf(one.lastMs + 1_800_000),
      one.edits,
      one.pages.size,
      one.delta,
    ])
    openSessions.delete(user)
  }
}

function take(event: Event): void {
  const ms = Date.parse(event.time)
  watermarkMs = Math.max(watermarkMs, ms - 10_000)
  const start = Math.floor(ms / windowMs) * windowMs
  if (start > windowStartMs) {
    closeWindow()
    windowStartMs = start
  }
  let one = open.get(event.channel)
  if (!one)
    open.set(
      event.channel,
      (one = { edits: 0, users: new Set(), added: 0, deleted: 0, robots: 0, anonymous: 0, unpatrolled: 0, newPages: 0 }),
    )
  one.edits++
  one.users.add(event.user)
  one.added += event.added
  one.deleted += event.deleted
  one.robots += Number(event.isRobot)
  one.anonymous += Number(event.isAnonymous)
  one.unpatrolled += Number(event.isUnpatrolled)
  one.newPages += Number(event.isNew)
  const pageKey = `${event.channel} ${event.page}`
  const users = pageUsers.get(pageKey) ?? new Set()
  pageUsers.set(pageKey, users.add(event.user))
  const old = pages.rows.get(pageKey)
  pages.put(pageKey, [event.channel, event.page, Number(old?.[2] ?? 0) + 1, users.size, Number(old?.[4] ?? 0) + event.delta])
  const code = event.countryIsoCode as string | null
  if (code) {
    const known = countries.rows.get(code)
    countries.put(code, [code, event.countryName, Number(known?.[2] ?? 0) + 1, Number(known?.[3] ?? 0) + event.added, stampOf(ms)])
  }
  let session = openSessions.get(event.user)
  if (!session) openSessions.set(event.user, (session = { startMs: ms, lastMs: ms, edits: 0, pages: new Set(), delta: 0 }))
  session.lastMs = ms
  session.edits++
  session.pages.add(event.page)
  session.delta += event.delta
  append(event.isNew ? 'wiki_new_pages' : event.isRobot ? 'wiki_robot_edits' : 'wiki_edits', event)
}

const startedMs = Date.now()
const firstMs = Date.parse(events[0]!.time)
const skipMs = Number(args['from-hour']) * 3_600_000
let next = 0
let rowsOut = 0
let rowsOutSecond = 0
const tick = (): void => {
  const dueMs = firstMs + skipMs + (Date.now() - startedMs) * Number(args.speed)
  while (next < events.length && Date.parse(events[next]!.time) <= dueMs) take(events[next++]!)
  for (const table of tables) rowsOutSecond += table.push()
  for (const [socket, name] of tails) {
    const fresh = topics.get(name)?.fresh ?? []
    if (fresh.length > 0)
      socket.send(JSON.stringify({ type: 'messages', messages: fresh.slice(-20), skipped: Math.max(0, fresh.length - 20) }))
  }
  for (const topic of topics.values()) topic.fresh = []
}
tick()
append(
  'wiki_edits.invalid',
  { page: 'no time, no channel' },
  { rule: 'not-null', path: '/time', message: 'time is missing and NOT NULL', source: 'http' },
)
setInterval(tick, 100)

function queries(): QuerySummary[] {
  const total = [...topics.values()].reduce((sum, topic) => sum + topic.recordCount, 0)
  const rate = [...topics.values()].reduce((sum, topic) => sum + topic.perSecond, 0)
  return tables.map((table, index) => ({
    id: `q${index + 1}`,
    name: table.name,
    state: 'running',
    rowsIn: total,
    rowsOut: table.changeCount,
    rowsInPerSecond: rate,
    rowsOutPerSecond: rate / 3,
    lateRows: index === 0 ? 3 : 0,
    failedRows: 0,
    watermarkMs,
    parallelism: 1,
    stateBytes: 40_000 * (index + 1),
    spentMs: { busy: 20, backPressured: 0, idle: 980 },
    restarts: 0,
    checkpointMs: Date.now() - 4_000,
    target: { kind: 'table', name: table.name },
    droppedTables: [],
    sql: table.sql,
  }))
}

function stats(): Stats {
  const memory = process.memoryUsage()
  const total = [...topics.values()].reduce((sum, topic) => sum + topic.recordCount, 0)
  const jitter = 0.8 + Math.random() * 0.5
  return {
    atMs: Date.now(),
    uptimeSeconds: process.uptime(),
    rssBytes: memory.rss,
    heapBytes: memory.heapUsed,
    cpuShare: 0.2 * jitter,
    version: '0.1.0',
    nodeVersion: process.version,
    dataBytes: total * 480,
    eventsIn: { total, perSecond: [...topics.values()].reduce((sum, topic) => sum + topic.perSecond, 0) },
    rejected: { total: 1, perSecond: 0 },
    rowsOut: { total: rowsOut, perSecond: rowsOutSecond },
    latency: { p50Ms: 1.8 * jitter, p95Ms: 4.1 * jitter, p99Ms: 7.6 * jitter, count: 3_000 },
    queries: queries(),
    topics: [...topics].map(([name, topic]) => ({ name, recordCount: topic.recordCount, perSecond: topic.perSecond })),
  }
}
const statsSockets = new Set<WebSocket>()
setInterval(() => {
  for (const topic of topics.values()) {
    topic.perSecond = topic.second
    topic.second = 0
  }
  const frame = JSON.stringify(stats())
  for (const socket of statsSockets) socket.send(frame)
  rowsOut += rowsOutSecond
  rowsOutSecond = 0
}, 1_000)

// --- HTTP ---

function answer(path: string, query: URLSearchParams): unknown {
  const [, , area, name, part] = path.split('/')
  if (area === 'stats') return stats()
  if (area === 'queries') return queries()
  if (area === 'health')
    return {
      ready: true,
      live: true,
      version: '0.1.0',
      uptimeSeconds: process.uptime(),
      parts: {
        log: { state: 'ok', detail: 'fsync p99 0.6 ms' },
        engine: { state: 'ok', detail: '5 queries' },
        views: { state: 'ok', detail: '5 tables' },
        serve: { state: 'ok' },
      },
    }
  if (area === 'tables' && !name)
    return tables.map(
      (table): TableSummary => ({
        name: table.name,
        comment: table.comment,
        columns: table.columns,
        primaryKey: table.primaryKey,
        rowCount: table.rows.size,
        changeCount: table.changeCount,
        updatedAtMs: table.updatedAtMs,
        subscriberCount: table.subscribers.size,
      }),
    )
  const table = area === 'tables' ? tables.find((one) => one.name === name) : undefined
  if (table) {
    const rows = [...table.top(query.get('order') ?? '', Number.POSITIVE_INFINITY).values()]
    const from = Number(query.get('cursor') ?? 0)
    const to = from + Number(query.get('limit') ?? 100)
    return { columns: table.columns, rows: rows.slice(from, to), next: to < rows.length ? String(to) : null, epoch: 0 }
  }
  if (area === 'groups' && !name) return { kafkaPort: null, groups: [] }
  if (area === 'access') return { isTokenNeeded: args.token !== undefined, role: 'reader' }
  if (area === 'topics' && !name)
    return [...topics].map(([topic, one]) => ({
      name: topic,
      partitionCount: 1,
      recordCount: one.recordCount,
      sizeBytes: one.sizeBytes,
      columns: topic.endsWith('.invalid')
        ? []
        : [column('time', time), column('channel', `${text} NOT NULL`), column('page', `${text} NOT NULL`), column('delta', 'BIGINT')],
      config: { 'retention.ms': 604_800_000, 'key.fields': 'user' },
      readers: { queries: 1, groups: 0, lag: 0 },
    }))
  const topic = area === 'topics' ? topics.get(decodeURIComponent(name ?? '')) : undefined
  if (topic && part === 'messages') {
    const offset = query.get('offset')
    const limit = Number(query.get('limit') ?? 50)
    const found = offset === null ? [...topic.messages].reverse() : topic.messages.filter((message) => message.offset >= Number(offset))
    const messages = found.slice(0, limit)
    return { messages, scanned: messages.length, remaining: found.length - messages.length, undecoded: 0, failed: 0, next: null }
  }
  return undefined
}

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const mimeTypes: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const dist = resolve(import.meta.dirname, '../dist')
const isAllowed = (request: IncomingMessage): boolean =>
  !args.token ||
  request.headers.authorization === `Bearer ${args.token}` ||
  (request.headers['sec-websocket-protocol'] ?? '').includes(`millrace.token.${args.token}`)

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost')
  if (url.pathname.startsWith('/v1/')) {
    const body = isAllowed(request) ? answer(url.pathname, url.searchParams) : undefined
    const failure = isAllowed(request)
      ? { code: 'NOT_FOUND', message: `${url.pathname} does not exist`, hint: 'See /v1/tables.' }
      : { code: 'TOKEN_MISSING', message: 'A token is needed.', hint: 'Send it as Bearer.' }
    response.writeHead(body ? 200 : isAllowed(request) ? 404 : 401, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body ?? { error: failure }))
    return
  }
  // Not by its dot: a topic's name may have one (/topics/clicks.invalid).
  const isFile = /^\/(assets\/[\w.-]+|theme\.js|favicon\.svg)$/.test(url.pathname)
  const file = join(dist, isFile ? url.pathname : 'index.html')
  try {
    const content = readFileSync(file)
    response.writeHead(200, { 'content-type': mimeTypes[extname(file)] ?? 'application/octet-stream', 'content-security-policy': policy })
    response.end(content)
  } catch {
    response.writeHead(404).end()
  }
})
const sockets = new WebSocketServer({ noServer: true })
server.on('upgrade', (request, socket, head) => {
  if (!isAllowed(request)) return void socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
  sockets.handleUpgrade(request, socket, head, (client) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const [, , area, name] = url.pathname.split('/')
    const table = tables.find((one) => one.name === name)
    if (area === 'stats') {
      statsSockets.add(client)
      client.on('close', () => statsSockets.delete(client))
      client.send(JSON.stringify(stats()))
    } else if (table) table.subscribe(client, url.searchParams.get('order') ?? '', Number(url.searchParams.get('limit') ?? 100_000))
    else {
      tails.set(client, decodeURIComponent(name ?? ''))
      client.on('close', () => tails.delete(client))
    }
  })
})
server.listen(Number(args.port), '127.0.0.1', () => {
  const address = server.address()
  process.stdout.write(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : args.port}\n`)
})
