// Look-ups and subscriptions against a model that keeps a plain list of rows and recomputes everything.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import type { StreamError } from '../base/index.ts'
import { batchOf, type Field, t } from '../data/index.ts'
import { parseFilter, parseOrder, rowJson, type SubscribeRequest, ViewStore, type ViewStoreLimits } from './index.ts'

const fields: Field[] = [
  { name: 'k', type: t.string(false) },
  { name: 'g', type: t.int() },
  { name: 'n', type: t.bigint() },
]
const table = { name: 'v', fields }
const storeOf = (limits: Partial<ViewStoreLimits> = {}, primaryKey = [0]): ViewStore => {
  const store = new ViewStore({ limits })
  store.define({ name: 'v', fields, primaryKey })
  return store
}
type TestRow = [k: string, g: number | null, n: bigint | null]

/** The slow model: a list of rows, where each change scans the list. */
class Model {
  rows: TestRow[] = []
  change(kind: number, row: TestRow): void {
    this.rows = this.rows.filter((one) => one[0] !== row[0])
    if (kind === 0 || kind === 2) this.rows.push(row)
  }
}

const row: fc.Arbitrary<TestRow> = fc.tuple(
  fc.constantFrom('a', 'b', 'c', 'd', 'e', ''),
  fc.option(fc.integer({ min: 0, max: 3 })),
  fc.option(fc.bigInt({ min: -3n, max: 3n })),
)
const change = fc.record({ kind: fc.constantFrom(0, 1, 2, 3), row })
const sorted = (rows: unknown[][]): string[] => rows.map(rowJson(fields)).sort()
const code = (expected: string) => (error: unknown) => (error as StreamError).code === expected

test('a view equals a recount, in whatever batches its changelog comes', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 12 }), (batches) => {
      const store = storeOf()
      const model = new Model()
      for (const [epoch, changes] of batches.entries()) {
        const kinds = Uint8Array.from(changes, ({ kind }) => kind)
        store.apply(
          'v',
          batchOf(
            fields,
            changes.map((one) => one.row),
            { kinds },
          ),
          { epoch },
        )
        for (const { kind, row } of changes) model.change(kind, row)
      }
      assert.deepEqual(sorted(store.snapshot('v').rows), sorted(model.rows))
      for (const k of ['a', 'b', ''])
        assert.deepEqual(
          store.get('v', [k]),
          model.rows.find((one) => one[0] === k),
        )
      store.close()
    }),
  )
})

test('filters, orders and pages equal filtering and sorting everything, with and without an index', () => {
  const filters: [string, string, (row: TestRow) => boolean][] = [
    ['g', '2', (r) => r[1] === 2],
    ['g.ne', '2', (r) => r[1] !== null && r[1] !== 2],
    ['n.gte', '-1', (r) => r[2] !== null && r[2] >= -1n],
    ['n.lt', '2', (r) => r[2] !== null && r[2] < 2n],
    ['n.in', '1,2', (r) => r[2] === 1n || r[2] === 2n],
    ['k.like', '%1_', (r) => /1.$/s.test(r[0])],
    ['k.contains', '3', (r) => r[0].includes('3')],
    ['g.null', 'true', (r) => r[1] === null],
  ]
  const orders: [string, (a: TestRow, b: TestRow) => number][] = [
    ['-n,k', (a, b) => -nullable(a[2], b[2]) || nullable(a[0], b[0])],
    ['g,-k', (a, b) => nullable(a[1], b[1]) || -nullable(a[0], b[0])],
    ['k', (a, b) => nullable(a[0], b[0])],
  ]
  const many = fc.array(fc.tuple(fc.option(fc.integer({ min: 0, max: 3 })), fc.option(fc.bigInt({ min: -3n, max: 3n }))), {
    minLength: 1,
    maxLength: 60,
  })
  // 40 copies of each pattern row take the view over the size from which it keeps an index.
  const check = (copies: number, runCount: number) =>
    fc.assert(
      fc.property(
        many,
        fc.subarray(filters),
        fc.constantFrom(...orders),
        fc.integer({ min: 1, max: 9 }),
        (patterns, chosen, [order, compare], pages) => {
          const rows = Array.from({ length: patterns.length * copies }, (_, i): TestRow => [`${i}`, ...patterns[i % patterns.length]])
          const store = storeOf()
          store.apply('v', batchOf(fields, rows), { epoch: 1 })
          const request = { filters: chosen.map(([name, text]) => parseFilter(table, name, text)), order: parseOrder(table, order) }
          const expected = rows.filter((one) => chosen.every(([, , holds]) => holds(one))).sort(compare)
          const limit = Math.max(1, Math.ceil(expected.length / pages))
          const found: unknown[][] = []
          for (let cursor: string | undefined; ; ) {
            const page = store.scan('v', { ...request, limit, cursor })
            assert.ok(page.rows.length <= limit)
            found.push(...page.rows)
            if (page.next === null) break
            cursor = page.next
          }
          assert.deepEqual(found, expected)
          assert.deepEqual(store.copy('v', request.filters, request.order), expected)
          store.close()
        },
      ),
      { numRuns: runCount },
    )
  check(1, 100)
  check(200, 15)
})
function nullable(a: unknown, b: unknown): number {
  if (a === b) return 0
  return a === null ? -1 : b === null ? 1 : (a as number) < (b as number) ? -1 : 1
}

test('a walk over pages gives each untouched row exactly once while others come, change and go', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(199), fc.boolean()), { minLength: 20, maxLength: 60 }),
      fc.constantFrom('', 'g', '-g'),
      (edits, order) => {
        const store = storeOf()
        const key = (i: number) => String(i).padStart(4, '0')
        const rows = Array.from({ length: 6000 }, (_, i): TestRow => [key(i), i % 7, 0n])
        store.apply('v', batchOf(fields, rows), { epoch: 1 })
        const touched = new Set<string>()
        const seen = new Map<string, number>()
        let cursor: string | undefined
        for (let step = 0; ; step++) {
          const page = store.scan('v', { order: order ? parseOrder(table, order) : [], limit: 500, cursor })
          for (const [k] of page.rows as TestRow[]) seen.set(k, (seen.get(k) ?? 0) + 1)
          if (page.next === null) break
          cursor = page.next
          const [at, isDelete] = edits[step % edits.length]
          const k = key(at * 30)
          touched.add(k)
          store.apply(
            'v',
            batchOf(
              fields,
              [
                [k, 99, 1n],
                [`new${step}`, 3, 1n],
              ],
              { kinds: Uint8Array.of(isDelete ? 3 : 2, 0) },
            ),
            { epoch: 1 },
          )
        }
        for (const [k] of rows) if (!touched.has(k)) assert.equal(seen.get(k), 1, k)
        store.close()
      },
    ),
    { numRuns: 10 },
  )
})

/** A client as a browser would write it: applies frames by key and is strict about what a delta may say. */
class Client {
  rows = new Map<unknown, unknown[]>()
  resume: string | undefined
  buffered = 0
  resets = 0
  frames = 0
  bytes = 0
  error: StreamError | undefined
  sendMs = 0
  close: () => void = () => {}

  connect(store: ViewStore, request: SubscribeRequest): void {
    this.buffered = 0
    this.close = store.subscribe(
      'v',
      { ...request, resume: this.resume },
      {
        send: (frame) => {
          for (const untilMs = performance.now() + this.sendMs; performance.now() < untilMs; );
          this.receive(JSON.parse(frame.toString()), frame.length)
        },
        bufferedBytes: () => this.buffered,
        end: (error) => {
          this.error = error
        },
      },
    )
  }

  private receive(
    frame: { type: string; rows: unknown[][]; changes: { op: string; row: unknown[] }[]; resume: string },
    size: number,
  ): void {
    this.frames++
    this.bytes += size
    if (frame.type === 'reset') {
      this.resets++
      return
    }
    this.resume = frame.resume
    if (frame.type === 'snapshot') {
      this.rows = new Map(frame.rows.map((one) => [one[0], one]))
      return
    }
    for (const { op, row } of frame.changes) {
      assert.equal(this.rows.has(row[0]), op !== '+I', `${op} ${row}`)
      if (op === '-D') this.rows.delete(row[0])
      else this.rows.set(row[0], row)
    }
  }
}

const requests: [string, SubscribeRequest, (rows: TestRow[]) => TestRow[]][] = [
  ['all', {}, (rows) => rows],
  ['filtered', { filters: [parseFilter(table, 'g.gte', '2')] }, (rows) => rows.filter((r) => r[1] !== null && r[1] >= 2)],
  ['top 2', { order: parseOrder(table, '-n'), limit: 2 }, (rows) => top(rows, 2)],
  [
    'filtered top 1',
    { filters: [parseFilter(table, 'g.lt', '3')], order: parseOrder(table, '-n'), limit: 1 },
    (rows) =>
      top(
        rows.filter((r) => r[1] !== null && r[1] < 3),
        1,
      ),
  ],
]
const top = (rows: TestRow[], count: number): TestRow[] =>
  rows
    .slice()
    .sort((a, b) => -nullable(a[2], b[2]) || nullable(a[0], b[0]))
    .slice(0, count)

test('snapshot and deltas equal the table whenever they settle: disconnects, resumes, stalled sockets, restores, forgotten tombstones', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ changes: fc.array(change, { minLength: 1, maxLength: 5 }) }) },
    { weight: 3, arbitrary: fc.record({ client: fc.nat(3), act: fc.constantFrom('leave', 'join', 'stall', 'drain', 'forget') }) },
    { weight: 2, arbitrary: fc.constant({ settle: true }) },
    { weight: 1, arbitrary: fc.constant({ restore: true }) },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...requests),
      fc.array(step, { maxLength: 40 }),
      fc.constantFrom(1, 2, 1000),
      async ([, request, expectedOf], steps, tombstonesMax) => {
        const store = storeOf({ tombstonesMax })
        const model = new Model()
        const clients = Array.from({ length: 4 }, () => new Client())
        for (const client of clients) client.connect(store, { ...request, intervalMs: 0 })
        const online = new Set(clients)
        const settle = async (all: boolean) => {
          await delay(all && clients.some((client) => client.buffered > 0) ? 1 : 0)
          await new Promise(setImmediate)
          const expected = sorted(expectedOf(model.rows))
          for (const client of online) {
            if (client.buffered > 0) continue
            // A client that has just drained is looked at by the next flush, at most 20 ms later.
            for (let i = 0; i < 100 && clientText(client) !== expected.join(); i++) await delay(1)
            assert.equal(clientText(client), expected.join())
          }
        }
        for (const action of steps) {
          if ('changes' in action) {
            const kinds = Uint8Array.from(action.changes, ({ kind }) => kind)
            store.apply(
              'v',
              batchOf(
                fields,
                action.changes.map((one) => one.row),
                { kinds },
              ),
              { epoch: 1 },
            )
            for (const { kind, row } of action.changes) model.change(kind, row)
          } else if ('settle' in action) await settle(false)
          else if ('restore' in action) store.restore('v', store.snapshot('v'))
          else if ('client' in action) {
            const client = clients[action.client]
            if (action.act === 'stall') client.buffered = 1e9
            else if (action.act === 'drain') client.buffered = 0
            else if (action.act === 'join' && !online.has(client)) {
              client.connect(store, { ...request, intervalMs: 0 })
              online.add(client)
            } else if (action.act !== 'join') {
              client.close()
              online.delete(client)
              if (action.act === 'forget') client.resume = undefined
            }
          }
        }
        for (const client of clients) {
          client.buffered = 0
          if (!online.has(client)) client.connect(store, { ...request, intervalMs: 0 })
          online.add(client)
        }
        await settle(true)
        store.close()
      },
    ),
    { numRuns: 120 },
  )
})
/** A client's rows in the form of `sorted`: JSON turned numerals into doubles, small here. */
const clientText = (client: Client): string =>
  [...client.rows.values()]
    .map((one) => JSON.stringify(one))
    .sort()
    .join()

/** Until each client has what `clientText` must be; sockets that were full are looked at again within 20 ms. */
async function settled(clients: Client[], expected: unknown[][]): Promise<void> {
  const text = sorted(expected).join()
  for (let i = 0; i < 200 && clients.some((client) => clientText(client) !== text); i++) await delay(5)
  for (const client of clients) assert.equal(clientText(client), text)
}

test('a push that takes long gives way, and what happens meanwhile reaches everybody', async () => {
  for (const filters of [[], [parseFilter(table, 'g', '1')]]) {
    const store = storeOf()
    const request = { intervalMs: 0, filters }
    const clients = Array.from({ length: 5 }, () => new Client())
    const rows = () => store.scan('v', { filters, limit: 10 }).rows
    const apply = (k: string, n: bigint) => store.apply('v', batchOf(fields, [[k, 1, n]]), { epoch: 1 })
    const turn = () => new Promise(setImmediate)
    for (const client of clients) {
      client.connect(store, request)
      // Longer than a slice: after each send the event loop gets a turn.
      client.sendMs = 6
    }
    /** Until a push has begun: the first client has a frame more, the others not yet. */
    const pushBegins = async (frames: number) => {
      while (clients[0].frames === frames) await turn()
    }
    const before = store.snapshot('v')
    const atStart = clients[0].frames
    apply('a', 1n)
    await pushBegins(atStart)
    apply('b', 2n)
    await settled(clients, rows())

    // Full sockets drain at once, and a change comes while they are being brought up to date.
    for (const client of clients) client.buffered = 1e9
    apply('c', 3n)
    await delay(100)
    const atStall = clients[0].frames
    for (const client of clients) client.buffered = 0
    await pushBegins(atStall)
    apply('d', 4n)
    await settled(clients, rows())

    // A restore, and one who comes right after it, in the middle of a push.
    const atRestore = clients[0].frames
    apply('e', 5n)
    await pushBegins(atRestore)
    store.restore('v', before)
    const late = new Client()
    late.connect(store, request)
    await settled([...clients, late], [])
    store.close()
  }
})

test('who subscribes after a restore in the middle of a push gets nothing of before', async () => {
  const store = storeOf()
  store.apply('v', batchOf(fields, [['a', 1, 1n]]), { epoch: 1 })
  const before = store.snapshot('v')
  const clients = Array.from({ length: 3 }, () => new Client())
  for (const client of clients) {
    client.connect(store, { intervalMs: 0 })
    client.sendMs = 6
  }
  store.apply('v', batchOf(fields, [['b', 1, 1n]]), { epoch: 2 })
  while (clients[0].frames === 1) await new Promise(setImmediate)
  store.restore('v', before)
  const late = new Client()
  late.connect(store, { intervalMs: 0 })
  await settled([...clients, late], before.rows)
  assert.equal(late.frames, 1)
  store.close()
})

test('a filtered client survives more deletes between two pushes than are remembered', async () => {
  const store = storeOf({ tombstonesMax: 1 })
  store.apply(
    'v',
    batchOf(
      fields,
      ['a', 'b', 'c', 'd'].map((k) => [k, 1, 1n]),
    ),
    { epoch: 1 },
  )
  const client = new Client()
  client.connect(store, { filters: [parseFilter(table, 'g', '1')] })
  const changes = [
    ['a', 1, 1n],
    ['b', 1, 1n],
    ['c', 0, 2n],
    ['d', 1, 2n],
    ['e', 1, 1n],
  ]
  store.apply('v', batchOf(fields, changes, { kinds: Uint8Array.of(3, 3, 2, 2, 0) }), { epoch: 2 })
  await settled(
    [client],
    [
      ['d', 1, 2n],
      ['e', 1, 1n],
    ],
  )
  store.close()
})

test('a client that stalls gets the newest value of each key once, not the history', async () => {
  const store = storeOf()
  const client = new Client()
  client.connect(store, { intervalMs: 0 })
  client.buffered = 1e9
  for (let i = 0; i < 2000; i++) {
    store.apply('v', batchOf(fields, [[`k${i % 3}`, 1, BigInt(i)]]), { epoch: i })
    if (i % 100 === 0) await new Promise(setImmediate)
  }
  assert.equal(client.frames, 1)
  client.buffered = 0
  await delay(60)
  assert.equal(client.frames, 2)
  assert.ok(client.bytes < 1000)
  assert.deepEqual([...client.rows.values()].map((one) => one[2]).sort(), [1997, 1998, 1999])
  store.close()
})

test('a resume token gives what changed since and nothing else; one of another run gives reset and a snapshot', async () => {
  const store = storeOf()
  store.apply(
    'v',
    batchOf(fields, [
      ['a', 1, 1n],
      ['b', 1, 1n],
    ]),
    { epoch: 1 },
  )
  const client = new Client()
  client.connect(store, {})
  client.close()
  store.apply('v', batchOf(fields, [['b', 2, 2n]]), { epoch: 2 })
  client.bytes = 0
  client.connect(store, {})
  await delay(10)
  assert.deepEqual([client.resets, client.frames, client.rows.get('b')], [0, 2, ['b', 2, 2]])
  assert.ok(client.bytes < 130)
  client.close()
  client.resume = 'other.1'
  client.connect(store, {})
  assert.equal(client.resets, 1)
  store.close()
})

test('a client that missed more deletes than are remembered gets reset and a snapshot', async () => {
  const store = storeOf({ tombstonesMax: 2 })
  const keys = ['a', 'b', 'c', 'd']
  const rows = batchOf(
    fields,
    keys.map((k) => [k, 1, 1n]),
  )
  store.apply('v', rows, { epoch: 1 })
  const client = new Client()
  client.connect(store, {})
  client.buffered = 1e9
  for (const k of keys.slice(0, 3)) store.apply('v', batchOf(fields, [[k, 1, 1n]], { kinds: Uint8Array.of(3) }), { epoch: 1 })
  await delay(10)
  client.buffered = 0
  await delay(50)
  assert.deepEqual([client.resets, [...client.rows.keys()]], [1, ['d']])
  store.close()
})

test('limits are typed errors, and a refused batch changes nothing', () => {
  const store = storeOf({ rowsMax: 3, subscriptionsMax: 2, channelsMax: 1, viewsMax: 1, subscribedRowsMax: 2, indexesMax: 0 })
  const rows = (...keys: string[]) =>
    batchOf(
      fields,
      keys.map((k) => [k, 1, 1n]),
    )
  store.apply('v', rows('a', 'b'), { epoch: 1 })
  store.apply('v', rows('a', 'b', 'a'), { epoch: 1 })
  assert.throws(() => store.apply('v', rows('c', 'd'), { epoch: 1 }), code('VIEW_ROWS_LIMIT'))
  assert.equal(store.snapshot('v').rows.length, 2)
  const sink = () => ({ send: () => {}, bufferedBytes: () => 0, end: () => {} })
  assert.throws(() => store.subscribe('v', { limit: 1 }, sink()), code('VIEW_INDEXES_LIMIT'))
  const close = store.subscribe('v', {}, sink())
  assert.throws(() => store.subscribe('v', { intervalMs: 7 }, sink()), code('VIEW_CHANNELS_LIMIT'))
  store.subscribe('v', {}, sink())
  assert.throws(() => store.subscribe('v', {}, sink()), code('VIEW_SUBSCRIPTIONS_LIMIT'))
  close()
  close()
  assert.equal(store.subscriptionCount, 1)
  store.apply('v', rows('c'), { epoch: 1 })
  assert.throws(() => store.subscribe('v', {}, sink()), code('VIEW_SUBSCRIPTION_TOO_LARGE'))
  assert.equal(store.subscriptionCount, 1)
  assert.throws(() => store.subscribe('v', { limit: 0 }, sink()), code('VIEW_LIMIT_INVALID'))
  assert.throws(() => store.subscribe('v', { intervalMs: -1 }, sink()), code('VIEW_INTERVAL_INVALID'))
  assert.throws(() => store.define({ name: 'w', fields, primaryKey: [0] }), code('VIEW_COUNT_LIMIT'))
  assert.throws(() => store.define({ name: 'v', fields, primaryKey: [0] }), code('VIEW_EXISTS'))
  assert.throws(() => store.get('w', ['a']), code('VIEW_NOT_FOUND'))
  store.close()
})

test('dropping a view ends its subscriptions with a typed error', () => {
  const store = storeOf()
  const client = new Client()
  client.connect(store, {})
  store.drop('v')
  assert.equal(client.error?.code, 'VIEW_DROPPED')
  assert.equal(store.subscriptionCount, 0)
  store.close()
})

test('wrong filters say the column, the nearest name and what to write', () => {
  for (const [parameter, text, expected, hint] of [
    ['kk', 'x', 'VIEW_COLUMN_NOT_FOUND', /"k"/],
    ['n.gtee', '5', 'VIEW_FILTER_INVALID', /"n\.gte"/],
    ['n', 'five', 'VIEW_VALUE_INVALID', /64 bits/],
    ['n', '9223372036854775808', 'VIEW_VALUE_INVALID', /64 bits/],
    ['g.like', '%', 'VIEW_OPERATOR_UNSUPPORTED', /text/],
  ] as const)
    assert.throws(
      () => parseFilter(table, parameter, text),
      (error: StreamError) => error.code === expected && hint.test(error.hint),
    )
  assert.throws(() => parseOrder(table, '-m'), code('VIEW_COLUMN_NOT_FOUND'))
})

test('keys of several columns cannot imitate each other; a global aggregate has one row', () => {
  const two: Field[] = [
    { name: 'a', type: t.string() },
    { name: 'b', type: t.string() },
    { name: 'c', type: t.bigint() },
  ]
  const store = new ViewStore()
  store.define({ name: 'two', fields: two, primaryKey: [0, 1] })
  store.define({ name: 'one', fields: two, primaryKey: [] })
  const rows = [
    ['x', 'yz', 1n],
    ['xy', 'z', 2n],
    [null, 'null', 3n],
    ['null', null, 4n],
    ['1:', '', 5n],
    ['', '1:', 6n],
  ]
  for (const name of ['two', 'one']) store.apply(name, batchOf(two, rows), { epoch: 1 })
  assert.equal(store.snapshot('two').rows.length, rows.length)
  assert.deepEqual(store.get('two', [null, 'null']), rows[2])
  assert.deepEqual(store.scan('one', { limit: 10 }).rows, [rows[5]])
  store.define({ name: 'big', fields: two, primaryKey: [2] })
  store.apply(
    'big',
    batchOf(two, [
      ['a', '', 9007199254740992n],
      ['b', '', 9007199254740993n],
    ]),
    { epoch: 1 },
  )
  assert.equal(store.get('big', [9007199254740993n])?.[0], 'b')
  assert.throws(
    () => store.define({ name: 'bad', fields: [{ name: 'a', type: t.array(t.int()) }], primaryKey: [0] }),
    code('VIEW_KEY_INVALID'),
  )
  store.close()
})
