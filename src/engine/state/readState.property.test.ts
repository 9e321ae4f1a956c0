// What is shown of an operator's state is what it should remember: of each kind of operator, by a slow model over all rows that have come; in memory,
// on the disk, after a restore, and in two subtasks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchOf } from '../../data/index.ts'
import { FakeDisk } from '../../log/fakeDisk.ts'
import { bindScript, Catalog, type Plan, readLeaves } from '../../sql/index.ts'
import { emptyNote, Links, Rounds, shareLinks } from '../exchange/index.ts'
import { Graph } from '../graph.ts'
import { Memory } from '../spill/memory.ts'
import { SpillFiles } from '../spill/spillFiles.ts'
import { savedState } from '../spill/testing.ts'
import type { StateReading, StateTableReading } from './readState.ts'

const DELAY_MS = 3
const DELAYED = "WATERMARK FOR rt AS rt - INTERVAL '0.003' SECOND"
const tables = `
CREATE TABLE a (k BIGINT, g STRING, v BIGINT, rt TIMESTAMP(3), ${DELAYED}) WITH ('connector' = 'nexmark');
CREATE TABLE b (k BIGINT, g STRING, v BIGINT, rt TIMESTAMP(3), ${DELAYED}) WITH ('connector' = 'nexmark');
CREATE VIEW latest AS SELECT k, v, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt DESC) AS r FROM b) WHERE r = 1;
CREATE VIEW newest AS SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY PROCTIME() DESC) AS r FROM b) WHERE r = 1;`
const tumble = (table: string) => `TABLE(TUMBLE(TABLE ${table}, DESCRIPTOR(rt), INTERVAL '0.020' SECOND))`
const last = (table: string) => `(SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt DESC) AS r FROM ${table}) WHERE r = 1`

interface Event {
  table: 'a' | 'b'
  k: number
  g: string
  v: number
  ms: number
}
/** Entries as texts: key, then some values of each row. */
type Shown = Record<string, unknown[][]>
interface Case {
  sql: string
  node: string
  table: string
  /** Columns of its rows that are compared. */
  columns: string[]
  /** By key; times are all different. */
  model(events: Event[], watermarkMs: number): Shown
  settings?: string
  /** All rows meet in one place, or results leave early. */
  staysInMemory?: true
}

const of = (events: Event[], table: 'a' | 'b') => events.filter((one) => one.table === table)
const by = <T>(events: Event[], key: (one: Event) => unknown[], rows: (ofKey: Event[]) => T[][]): Record<string, T[][]> =>
  Object.fromEntries(
    [...Map.groupBy(events, (one) => JSON.stringify(key(one)))]
      .map(([text, ofKey]) => [text, rows(ofKey)] as const)
      .filter(([, one]) => one.length > 0),
  )
const k = ({ k }: Event) => [k]
const g = ({ g }: Event) => [g]
const sum = (events: Event[]) => events.reduce((total, { v }) => total + v, 0)
const windowOf = (ms: number) => Math.floor(ms / 20) * 20
const sliceOf = (ms: number) => Math.floor(ms / 10) * 10
const time = (ms: number) => new Date(ms).toISOString().slice(0, -1).replace('T', ' ')
const isOpen = (watermarkMs: number) => (one: Event) => windowOf(one.ms) + 19 > watermarkMs
const newest = (events: Event[]) => events.toSorted((x, y) => x.ms - y.ms).at(-1) as Event
/** Of equal times the last arrival. */
const lastOf = (events: Event[]) => events.reduce((kept, one) => (one.ms >= kept.ms ? one : kept))
const firstOf = (events: Event[]) => events.reduce((kept, one) => (one.ms < kept.ms ? one : kept))
const ranked = (events: Event[], n: number) => events.toSorted((x, y) => y.v - x.v || x.ms - y.ms).slice(0, n)

const cases: Case[] = [
  {
    sql: 'SELECT g, COUNT(*), SUM(v), COUNT(DISTINCT v), MAX(v) FROM a GROUP BY g',
    node: 'groupAggregate',
    table: 'groups',
    columns: ['COUNT(*)', 'SUM(v)', 'COUNT(DISTINCT v)', 'MAX(v)'],
    model: (events) =>
      by(of(events, 'a'), g, (rows) => [
        [rows.length, sum(rows), new Set(rows.map(({ v }) => v)).size, Math.max(...rows.map(({ v }) => v))],
      ]),
  },
  {
    sql: 'SELECT g, COUNT(*), SUM(v) FROM a GROUP BY g',
    node: 'groupAggregate',
    table: 'groups',
    columns: ['COUNT(*)', 'SUM(v)'],
    model: (events) => by(of(events, 'a'), g, (rows) => [[rows.length, sum(rows)]]),
  },
  {
    sql: `SELECT g, COUNT(*) FROM ${tumble('a')} GROUP BY g, window_start, window_end`,
    node: 'windowAggregate',
    table: 'open windows',
    columns: ['window_start', 'window_end', 'COUNT(*)'],
    model: (events, watermarkMs) =>
      by(of(events, 'a').filter(isOpen(watermarkMs)), g, (rows) =>
        [...Map.groupBy(rows, ({ ms }) => windowOf(ms))].map(([start, one]) => [time(start), time(start + 20), one.length]),
      ),
  },
  {
    sql: "SELECT g, SESSION_START(rt, INTERVAL '0.010' SECOND), COUNT(*) FROM a GROUP BY g, SESSION(rt, INTERVAL '0.010' SECOND)",
    node: 'windowAggregate',
    table: 'open sessions',
    columns: ['session_end', 'COUNT(*)'],
    model: (events, watermarkMs) =>
      by(of(events, 'a'), g, (rows) => {
        const sessions: { end: number; count: number }[] = []
        for (const { ms } of rows) {
          const session = sessions.at(-1)
          if (session && ms <= session.end) Object.assign(session, { end: ms + 10, count: session.count + 1 })
          else sessions.push({ end: ms + 10, count: 1 })
        }
        return sessions.filter(({ end }) => end - 1 > watermarkMs).map(({ end, count }) => [time(end), count])
      }),
  },
  {
    sql: 'SELECT x.k, x.v, y.v FROM a x LEFT JOIN b y ON x.k = y.k',
    node: 'join',
    table: 'left rows',
    columns: ['v', 'partners'],
    model: (events) =>
      by(of(events, 'a'), k, (rows) => rows.map((row) => [row.v, of(events, 'b').filter((other) => other.k === row.k).length])),
  },
  {
    sql: 'SELECT x.k, x.v, y.v FROM a x JOIN b y ON x.k = y.k',
    node: 'join',
    table: 'right rows',
    columns: ['v'],
    model: (events) => by(of(events, 'b'), k, (rows) => rows.map(({ v }) => [v])),
  },
  {
    sql: "SELECT x.k, x.v, y.v FROM a x JOIN b y ON x.k = y.k AND y.rt BETWEEN x.rt AND x.rt + INTERVAL '0.015' SECOND",
    node: 'intervalJoin',
    table: 'left rows',
    columns: ['v'],
    model: (events, watermarkMs) =>
      by(
        of(events, 'a').filter(({ ms }) => ms + 15 >= watermarkMs),
        k,
        (rows) => rows.map(({ v }) => [v]),
      ),
  },
  {
    sql: `SELECT x.k, x.v, y.v FROM (SELECT * FROM ${tumble('a')}) x JOIN (SELECT * FROM ${tumble('b')}) y
      ON x.k = y.k AND x.window_start = y.window_start AND x.window_end = y.window_end`,
    node: 'windowJoin',
    table: 'right rows of open windows',
    columns: ['v'],
    model: (events, watermarkMs) => by(of(events, 'b').filter(isOpen(watermarkMs)), k, (rows) => rows.map(({ v }) => [v])),
  },
  {
    sql: 'SELECT a.k, a.v, l.v FROM a JOIN latest FOR SYSTEM_TIME AS OF a.rt AS l ON a.k = l.k',
    node: 'temporalJoin',
    table: 'versions',
    columns: ['v'],
    model: (events, watermarkMs) =>
      by(of(events, 'b'), k, (rows) => {
        // Of one time the later arrival; of those that the watermark has passed the newest.
        const versions = [...Map.groupBy(rows, ({ ms }) => ms).values()].map(lastOf)
        const passed = versions.filter(({ ms }) => ms <= watermarkMs)
        return [...passed.slice(-1), ...versions.filter(({ ms }) => ms > watermarkMs)].map(({ v }) => [v])
      }),
  },
  {
    sql: 'SELECT * FROM (SELECT k, v, rt, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, rt) AS r FROM a) WHERE r <= 2',
    node: 'topN',
    table: 'ranked rows',
    columns: ['rank', 'v'],
    model: (events) => by(of(events, 'a'), k, (rows) => ranked(rows, 2).map(({ v }, i) => [i + 1, v])),
  },
  {
    // Over an input that takes rows back.
    sql: 'SELECT * FROM (SELECT g, k, n, ROW_NUMBER() OVER (PARTITION BY g ORDER BY n DESC, k) AS r FROM (SELECT g, k, COUNT(*) AS n FROM a GROUP BY g, k)) WHERE r <= 1',
    node: 'topN',
    table: 'ranked rows',
    columns: ['k', 'n'],
    model: (events) =>
      by(of(events, 'a'), g, (rows) =>
        [...Map.groupBy(rows, ({ k }) => k)]
          .map(([key, one]) => [key, one.length] as const)
          .sort((x, y) => y[1] - x[1] || x[0] - y[0])
          .map((one) => [...one]),
      ),
  },
  {
    sql: `SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, window_start, window_end ORDER BY v DESC, rt) AS r FROM ${tumble('a')}) WHERE r <= 2`,
    node: 'topN',
    table: 'ranked rows of open windows',
    columns: ['rank', 'v'],
    model: (events, watermarkMs) =>
      by(of(events, 'a').filter(isOpen(watermarkMs)), k, (rows) =>
        [...Map.groupBy(rows, ({ ms }) => windowOf(ms)).values()].flatMap((one) => ranked(one, 2).map(({ v }, i) => [i + 1, v])),
      ),
  },
  {
    sql: `SELECT k, g, v FROM ${last('a')}`,
    node: 'deduplicate',
    table: 'last rows',
    columns: ['g', 'v'],
    model: (events) => by(of(events, 'a'), k, (rows) => [[lastOf(rows).g, lastOf(rows).v]]),
  },
  {
    sql: `SELECT k, g, v FROM ${last('a').replace('DESC', 'ASC')}`,
    node: 'deduplicate',
    table: 'first rows',
    columns: ['is_out', 'v'],
    model: (events, watermarkMs) =>
      by(of(events, 'a'), k, (rows) => {
        const { ms, v } = firstOf(rows)
        return [ms <= watermarkMs ? [true, null] : [false, v]]
      }),
  },
  {
    sql: 'SELECT k, v, SUM(v) OVER (PARTITION BY k ORDER BY rt ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM a',
    node: 'over',
    table: 'rows in the frame',
    columns: ['v'],
    // Frames hold the present row and those before it.
    model: (events, watermarkMs) =>
      by(
        of(events, 'a').filter(({ ms }) => ms <= watermarkMs),
        k,
        (rows) => rows.slice(-3).map(({ v }) => [v]),
      ),
  },
  {
    sql: 'SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY rt ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM a',
    node: 'over',
    table: 'frames',
    columns: ['rows_so_far', 'SUM(v)'],
    model: (events, watermarkMs) =>
      by(
        of(events, 'a').filter(({ ms }) => ms <= watermarkMs),
        k,
        (rows) => [[rows.length, sum(rows)]],
      ),
  },
  {
    sql: '(SELECT k FROM a) EXCEPT ALL (SELECT k FROM b)',
    node: 'setOperation',
    table: 'rows',
    columns: ['left_copies', 'right_copies'],
    model: (events) => by(events, k, (rows) => [[of(rows, 'a').length, of(rows, 'b').length]]),
  },
  {
    sql: `SELECT * FROM a MATCH_RECOGNIZE (PARTITION BY k ORDER BY rt MEASURES X.v AS x, Y.v AS y AFTER MATCH SKIP PAST LAST ROW
      PATTERN (X Y) DEFINE X AS X.v = 1, Y AS Y.v = 2) AS m`,
    node: 'match',
    table: 'partial matches',
    columns: ['began', 'waits_for', 'taken'],
    model: (events, watermarkMs) =>
      by(
        of(events, 'a').filter(({ ms }) => ms <= watermarkMs),
        k,
        (rows) => {
          const { ms, v } = newest(rows)
          return v === 1 ? [[time(ms), 'Y', 'X']] : []
        },
      ),
  },
  {
    sql: "SELECT g, window_end, COUNT(*) FROM TABLE(HOP(TABLE a, DESCRIPTOR(rt), INTERVAL '0.010' SECOND, INTERVAL '0.030' SECOND)) GROUP BY g, window_start, window_end",
    node: 'windowAggregate',
    table: 'slices of open windows',
    columns: ['slice_start', 'last_window_end', 'COUNT(*)'],
    model: (events, watermarkMs) =>
      by(
        of(events, 'a').filter(({ ms }) => sliceOf(ms) + 29 > watermarkMs),
        g,
        (rows) => [...Map.groupBy(rows, ({ ms }) => sliceOf(ms))].map(([start, one]) => [time(start), time(start + 30), one.length]),
      ),
  },
  {
    sql: `SELECT g, COUNT(*) FROM a GROUP BY g, TUMBLE(rt, INTERVAL '0.020' SECOND)`,
    settings: "SET 'table.exec.emit.early-fire.enabled' = 'true'; SET 'table.exec.emit.early-fire.delay' = '1 h';",
    node: 'windowAggregate',
    table: 'open windows',
    columns: ['window_end', 'COUNT(*)'],
    staysInMemory: true,
    model: (events, watermarkMs) =>
      by(of(events, 'a').filter(isOpen(watermarkMs)), g, (rows) =>
        [...Map.groupBy(rows, ({ ms }) => windowOf(ms))].map(([start, one]) => [time(start + 20), one.length]),
      ),
  },
  {
    sql: 'SELECT k, v, n, SUM(v) OVER (PARTITION BY k ORDER BY n) FROM (SELECT k, v, COUNT(*) AS n FROM a GROUP BY k, v)',
    node: 'over',
    table: 'rows with their results',
    columns: ['v', 'n'],
    model: (events) => by(of(events, 'a'), k, (rows) => [...Map.groupBy(rows, ({ v }) => v)].map(([v, one]) => [v, one.length])),
  },
  {
    sql: 'SELECT x.k, x.v, c.v FROM (SELECT *, PROCTIME() AS p FROM a) x JOIN newest FOR SYSTEM_TIME AS OF x.p AS c ON x.k = c.k',
    node: 'temporalJoin',
    table: 'present versions',
    columns: ['v'],
    model: (events) => by(of(events, 'b'), k, (rows) => [[lastOf(rows).v]]),
  },
  {
    sql: 'SELECT k, v FROM a ORDER BY v DESC, rt LIMIT 3',
    node: 'limit',
    table: 'ranked rows',
    columns: ['rank', 'k', 'v'],
    staysInMemory: true,
    model: (events) =>
      by(
        of(events, 'a'),
        () => [],
        (rows) => ranked(rows, 3).map(({ k, v }, i) => [i + 1, k, v]),
      ),
  },
  {
    sql: 'SELECT COUNT(*), SUM(v) FROM a',
    staysInMemory: true,
    node: 'groupAggregate',
    table: 'groups',
    columns: ['COUNT(*)', 'SUM(v)'],
    model: (events) =>
      by(
        of(events, 'a'),
        () => [],
        (rows) => [[rows.length, sum(rows)]],
      ),
  },
  {
    sql: 'SELECT g, v FROM a ORDER BY rt',
    staysInMemory: true,
    node: 'sort',
    table: 'waiting rows',
    columns: ['v'],
    model: (events, watermarkMs) =>
      by(
        of(events, 'a').filter(({ ms }) => ms > watermarkMs),
        () => [],
        (rows) => rows.map(({ v }) => [v]),
      ),
  },
]

const plans = cases.map(({ sql, settings = '' }): Plan => {
  const bound = bindScript(`${tables}${settings}${sql}`, new Catalog()).at(-1)
  assert.ok(bound?.type === 'query')
  return readLeaves(bound.query)
})

function makeGraph(plan: Plan, disk?: FakeDisk, name = 'x', rounds?: Rounds): Graph {
  const fail = () => {
    throw new Error('no row may be late or fail')
  }
  return new Graph(plan, {
    timeZone: 'UTC',
    sink: () => {},
    rounds,
    spill: disk && { memory: new Memory(Memory.budget(0, 1)), files: new SpillFiles(disk, '/data/spill', name), keyGroups: 4 },
    hooks: { count: () => {}, late: fail, rowFailed: fail },
  })
}
function push(graph: Graph, { table, k, g, v, ms }: Event): void {
  const row = [BigInt(k), g, BigInt(v), ms]
  graph.sources.forEach(({ fields, columns, table: { name } }, source) => {
    if (name === table) graph.push(source, 0, batchOf(fields, [columns.map((column) => row[column])], { processingTimeMs: 0 }))
  })
}
function watermark(graph: Graph, watermarkMs: number): void {
  graph.sources.forEach((_, source) => {
    graph.watermark(source, 0, watermarkMs)
  })
}
/** All that waits for state on the disk is worked through. */
const settle = (graph: Graph) => {
  graph.tick(10_000)
  graph.tick(20_000)
}

function run(graph: Graph, node: string, key?: Record<string, unknown>, limit = 500): StateReading {
  const nodes = graph.status().filter((one) => one.node === node && one.tables?.length)
  const steps = graph.readState({ operator: String(nodes.at(-1)?.id), key, limit }, 'q')
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}
const tableOf = ({ tables }: StateReading, name: string) => tables.find((one) => one.name === name) as StateTableReading

function shown(readings: readonly StateTableReading[], columns: readonly string[]): Shown {
  const all: Shown = {}
  for (const { entries, value } of readings) {
    const at = columns.map((column) => value.findIndex(({ name }) => name === column || name.startsWith(`${column} AS `)))
    assert.ok(!at.includes(-1), `${columns} of ${value.map(({ name }) => name)}`)
    for (const { key, rows, rowCount } of entries) {
      assert.equal(rowCount, rows.length)
      const known = (all[JSON.stringify(key)] ??= [])
      known.push(...rows.map(({ values }) => at.map((column) => values[column])))
    }
  }
  return sorted(all)
}
const sorted = (all: Shown): Shown =>
  Object.fromEntries(
    Object.entries(all)
      .map(([key, rows]) => [key, rows.toSorted((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1))] as const)
      .sort(([x], [y]) => (x < y ? -1 : 1)),
  )

/** All of a graph's state as a text. */
const bytesOf = (graph: Graph, disk: FakeDisk): string =>
  JSON.stringify(savedState(graph, disk), (name, value) => {
    // A number that each KeyTable has: the snapshot itself makes new ones.
    if (name === 'lineage') return undefined
    if (typeof value === 'bigint') return `${value}n`
    if (value instanceof Map) return [...value]
    if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
    const { parts, read } = (value ?? {}) as { parts?: { name: string }[]; read?: (name: string) => Uint8Array }
    return read && parts ? parts.map(({ name }) => [name, Buffer.from(read(name)).toString('hex')]) : value
  })

const events = fc
  .array(
    fc.tuple(
      fc.constantFrom('a' as const, 'b' as const),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom('x', 'y', ''),
      fc.nat(3),
      fc.nat(6),
    ),
    {
      minLength: 1,
      maxLength: 30,
    },
  )
  .map((rows) => {
    let nowMs = 100
    return rows.map(([table, k, g, v, step]): Event => ({ table, k, g, v, ms: (nowMs += step) }))
  })

/** Rows of a key are shown up to five in a listing: then the look-up shows them. */
function check(read: (key?: Record<string, unknown>) => StateTableReading[], one: Case, expected: Shown, where: string): void {
  const what = `${where}: ${one.sql}`
  const listed = read()
  const few = Object.fromEntries(Object.entries(expected).filter(([, rows]) => rows.length <= 5))
  const entries = listed.map((reading) => ({
    ...reading,
    entries: reading.entries.filter(({ key }) => Object.hasOwn(few, JSON.stringify(key)) || !Object.hasOwn(expected, JSON.stringify(key))),
  }))
  assert.deepEqual(shown(entries, one.columns), sorted(few), what)
  const counts = listed.map(({ keyCount }) => keyCount)
  // Where windows have a table each, or rows wait one by one, keys of several count several times.
  if (!counts.includes(undefined))
    assert.equal(
      counts.reduce((all = 0, count) => all + (count ?? 0), 0),
      listed.reduce((all, { entries }) => all + entries.length, 0),
      what,
    )
  const names = listed[0].key.map(({ name }) => name)
  if (names.length === 0) return
  const keys = Object.keys(expected)
  for (const text of [
    ...keys.slice(0, 2),
    ...keys.slice(-1),
    JSON.stringify(names.map((_, i) => (i === 0 && names[0] === 'k' ? 99 : 'none'))),
  ]) {
    const key = Object.fromEntries(names.map((name, i) => [name, JSON.parse(text)[i]]))
    assert.deepEqual(
      shown(read(key), one.columns),
      sorted(Object.hasOwn(expected, text) ? { [text]: expected[text] } : {}),
      `${what} ${text}`,
    )
  }
}

test('what is shown is what the operator should remember: in memory, on the disk, restored', () => {
  const spilled = new Set<string>()
  fc.assert(
    fc.property(events, fc.nat(30), (rows, at) => {
      const watermarkMs = rows[rows.length - 1].ms - DELAY_MS
      for (const [i, one] of cases.entries()) {
        const read = (graph: Graph) => (key?: Record<string, unknown>) => [tableOf(run(graph, one.node, key), one.table)]
        const expected = one.model(rows, watermarkMs)
        const disk = new FakeDisk()
        disk.makeFolder('/data')
        const memory = makeGraph(plans[i])
        let divided = makeGraph(plans[i], disk)
        rows.forEach((row, n) => {
          for (const graph of [memory, divided]) {
            push(graph, row)
            watermark(graph, row.ms - DELAY_MS)
          }
          if (n !== at) return
          const saved = savedState(divided, disk)
          divided.close()
          divided = makeGraph(plans[i], disk, 'y')
          divided.restore([saved])
        })
        settle(divided)
        check(read(memory), one, expected, 'in memory')
        const before = bytesOf(divided, disk)
        check(read(divided), one, expected, 'on the disk')
        assert.equal(bytesOf(divided, disk), before, `reading changes nothing: ${one.sql}`)
        if (divided.status().some(({ operator }) => (operator?.spilledBytes ?? 0) > 0)) spilled.add(one.sql)
        const restored = makeGraph(plans[i])
        restored.restore([savedState(memory, disk)])
        check(read(restored), one, expected, 'restored')
        divided.close()
      }
    }),
    { numRuns: 25 },
  )
  const never = cases.filter(({ sql, staysInMemory }) => !spilled.has(sql) && !staysInMemory)
  assert.deepEqual(never, [], 'each kind that can has been on the disk')
})

test('in two subtasks each shows its keys, and together all', () => {
  fc.assert(
    fc.property(events, (rows) => {
      const watermarkMs = rows[rows.length - 1].ms - DELAY_MS
      for (const [i, one] of cases.entries()) {
        const shared = shareLinks(2, 1 << 12)
        const subtasks = [0, 1].map((subtask) => {
          const rounds = new Rounds(new Links(shared, subtask))
          return { rounds, graph: makeGraph(plans[i], undefined, 'x', rounds) }
        })
        const deliver = ({ rounds, graph }: (typeof subtasks)[number]) => {
          const pumped = rounds.pump()
          return rounds.deliver((stage, note) => graph.deliver(stage, note)) || pumped
        }
        // A round for each row, which both subtasks come to: so event time behind exchanges is that of all rows.
        const round = (work: (graph: Graph, subtask: number) => void) => {
          subtasks.forEach(({ rounds, graph }, subtask) => {
            rounds.begin(
              () => work(graph, subtask),
              () => emptyNote,
            )
          })
          for (let any = true; any; ) any = subtasks.map(deliver).includes(true)
        }
        rows.forEach((row, n) => {
          round((graph, subtask) => {
            if (n % 2 === subtask) push(graph, row)
          })
          round((graph) => watermark(graph, row.ms - DELAY_MS))
        })
        round((graph) => watermark(graph, watermarkMs))
        const read = (key?: Record<string, unknown>) => subtasks.map(({ graph }) => tableOf(run(graph, one.node, key), one.table))
        check(read, one, one.model(rows, watermarkMs), 'two subtasks')
      }
    }),
    { numRuns: 25 },
  )
})

test('a listing is cut with its total, and a wrong key says which is right', () => {
  const graph = makeGraph(plans[1])
  for (let i = 0; i < 1_000; i++) push(graph, { table: 'a', k: 1, g: `g${i}`, v: i, ms: 100 + i })
  const [groups] = run(graph, 'groupAggregate', undefined, 10).tables
  assert.deepEqual([groups.entries.length, groups.keyCount, groups.kept.by], [10, 1_000, 'query'])
  assert.deepEqual(groups.entries[3], { key: ['g3'], rows: [{ values: [1, 3] }], rowCount: 1 })
  assert.deepEqual(groups.key, [{ name: 'g', type: 'VARCHAR(2147483647)' }])
  assert.throws(() => run(graph, 'groupAggregate', { user: 1 }), { code: 'STATE_KEY_COLUMNS', message: /user/, hint: /\(g\)/ })
  assert.throws(() => graph.readState({ operator: '77', limit: 1 }, 'q'), { code: 'STATE_OPERATOR_UNKNOWN', hint: /groupAggregate/ })
  const joined = makeGraph(plans[4])
  push(joined, { table: 'a', k: 7, g: 'x', v: 1, ms: 100 })
  assert.throws(() => run(joined, 'join', { k: 'seven' }), { code: 'STATE_KEY_VALUE', message: /BIGINT/ })
  assert.equal(tableOf(run(joined, 'join', { k: '7' }), 'left rows').entries.length, 1)
})

test('with a time to live each row says until when it is kept; a window and a partial match by event time', () => {
  const ofSql = (sql: string) => {
    const bound = bindScript(`${tables}${sql}`, new Catalog()).at(-1)
    assert.ok(bound?.type === 'query')
    return makeGraph(readLeaves(bound.query))
  }
  const at = (graph: Graph, event: Event, processingTimeMs: number) => {
    const row = [BigInt(event.k), event.g, BigInt(event.v), event.ms]
    graph.sources.forEach(({ fields, columns, table }, source) => {
      if (table.name === event.table) graph.push(source, 0, batchOf(fields, [columns.map((column) => row[column])], { processingTimeMs }))
    })
  }
  const one: Event = { table: 'a', k: 1, g: 'x', v: 1, ms: 100 }
  for (const [sql, node, table, untilMs] of [
    ['SELECT g, COUNT(*) FROM a GROUP BY g', 'groupAggregate', 'groups', 5_000 + 60_000],
    ['SELECT x.k, y.v FROM a x JOIN b y ON x.k = y.k', 'join', 'left rows', 5_000 + 60_000],
    [`SELECT k, v FROM ${last('a')}`, 'deduplicate', 'last rows', 5_000 + 60_000],
    [
      'SELECT * FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS r FROM a) WHERE r <= 2',
      'topN',
      'ranked rows',
      5_000 + 60_000,
    ],
    [`SELECT g, COUNT(*) FROM ${tumble('a')} GROUP BY g, window_start, window_end`, 'windowAggregate', 'open windows', 119],
    [
      `SELECT * FROM a MATCH_RECOGNIZE (PARTITION BY k ORDER BY rt MEASURES X.v AS x PATTERN (X Y) WITHIN INTERVAL '1' SECOND DEFINE Y AS Y.v = 2) AS m`,
      'match',
      'partial matches',
      1_100,
    ],
  ] as const) {
    const graph = ofSql(`SET 'table.exec.state.ttl' = '1 min';${sql}`)
    at(graph, one, 5_000)
    watermark(graph, 101)
    const { entries, kept } = tableOf(run(graph, node), table)
    assert.equal(entries[0]?.rows[0].untilMs, untilMs, sql)
    assert.equal(kept.by, untilMs > 60_000 ? 'ttl' : 'eventTime')
  }
})
