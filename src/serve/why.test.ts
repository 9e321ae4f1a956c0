// What facts mean: situations that a real process shows only after a while. The others are in test/why.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QueryInsight } from '../jobs/index.ts'
import { stallOf } from './attention.ts'
import { explainWhy, type LogReader } from './why.ts'

type Live = NonNullable<QueryInsight['live']>
const nowMs = Date.parse('2026-03-01T12:00:00Z')
const emptyLog: LogReader = { topic: () => undefined, readMessages: async () => [] }
/** A log whose topics all have one record, made this long ago. */
const logWith = (agoMs: number): LogReader => ({
  topic: (name) => (name.endsWith('.invalid') ? undefined : ({ name, id: '', config: {}, partitions: [] } as never)),
  readMessages: async () => [{ partition: 0, offset: 0, timestampMs: nowMs - agoMs, key: null, value: null, headers: [] }],
})

const node = (id: number, kind: string, more: Partial<Live['nodes'][number]> = {}): Live['nodes'][number] => ({
  id,
  node: kind,
  label: `${kind} …`,
  columns: ['k'],
  inputs: id === 0 ? [] : [id - 1],
  rowsIn: 10,
  rowsOut: 10,
  lateRows: 0,
  failedRows: 0,
  busyMs: 0,
  watermarkMs: 50_000,
  isIdle: false,
  isProcessingTime: false,
  samples: [],
  lateSamples: [],
  ...more,
})
const insight = (live: Partial<Live>): QueryInsight => ({
  id: 'q',
  state: 'running',
  changelog: 'append',
  parallelism: { subtasks: 1 },
  lateTopics: [],
  dropped: [],
  live: {
    jobId: 'job-1',
    queryId: 'q',
    state: 'running',
    rowsIn: 10,
    rowsOut: 0,
    lateRows: 0,
    stateBytes: 0,
    spentMs: { busy: 0, backPressured: 0, idle: 0 },
    failedRows: 0,
    watermarkMs: 50_000,
    isIdle: false,
    nodes: [node(0, 'scan', { table: 't' })],
    sources: [source([[10, 10]])],
    subtasks: [],
    ...live,
  },
})
const source = (partitions: [offset: number, endOffset: number][]): Live['sources'][number] => ({
  table: 't',
  topic: 't',
  startup: 'earliest-offset',
  undecodedRows: 0,
  partitions: partitions.map(([offset, endOffset], partition) => ({ partition, offset, startOffset: 0, endOffset })),
})
const codes = async (query: QueryInsight, log = emptyLog) => (await explainWhy(query, log, nowMs)).findings.map(({ code }) => code)

test('behind: by how many records, before anything was read and while it catches up', async () => {
  const why = await explainWhy(
    insight({ rowsIn: 0, nodes: [node(0, 'scan', { table: 't', rowsIn: 0, rowsOut: 0 })], sources: [source([[0, 1_234]])] }),
    emptyLog,
    nowMs,
  )
  assert.equal(why.verdict, 'It is behind by 1,234 records of 1,234 in topic "t".')
  assert.equal(why.sources[0].behind, 1_234)
  assert.deepEqual(await codes(insight({ rowsOut: 5, lastOutMs: nowMs, sources: [source([[1, 5_000]])] })), ['OK', 'BEHIND'])
})

test('records of an open transaction: before anything was read, and when nothing comes any more', async () => {
  const partitions = [{ partition: 0, startOffset: 0, endOffset: 15, lastStableOffset: 10, sizeBytes: 1 }]
  const log = { ...logWith(0), topic: () => ({ name: 't', id: '', config: {}, partitions }) as never }
  const scan = node(0, 'scan', { table: 't', rowsIn: 0, rowsOut: 0 })
  const why = await explainWhy(insight({ rowsIn: 0, nodes: [scan], sources: [source([[10, 10]])] }), log, nowMs)
  assert.equal(why.verdict, '5 records of topic "t" wait for a transaction that is open.')
  assert.equal(why.sources[0].undecided, 5)
  const quiet = insight({ rowsOut: 5, lastOutMs: nowMs - 60_000, sources: [source([[10, 10]])] })
  assert.ok((await codes(quiet, log)).includes('TRANSACTION_OPEN'))
  // Who reads uncommitted records waits for nothing.
  assert.equal((await explainWhy(insight({ sources: [source([[15, 15]])] }), log, nowMs)).sources[0].undecided, 0)
})

test('a partition behind the others holds them back; an idle one does not', async () => {
  const partitions = (idle: boolean) => [
    { partition: 0, watermarkMs: 100_000, idle: false },
    { partition: 1, watermarkMs: 50_000, idle },
  ]
  const nodes = (idle: boolean) => [
    node(0, 'scan', { table: 't' }),
    node(1, 'watermark', { partitions: partitions(idle), watermarkMs: idle ? 100_000 : 50_000 }),
    node(2, 'windowAggregate', {
      rowsOut: 0,
      operator: { openWindows: [{ startMs: 60_000, endMs: 120_000, rows: 1, firesAtMs: 119_999 }] },
    }),
  ]
  const query = (idle: boolean) =>
    insight({
      nodes: nodes(idle),
      sources: [
        source([
          [5, 5],
          [5, 5],
        ]),
      ],
    })
  assert.deepEqual(await codes(query(false)), ['PARTITION_BEHIND', 'WINDOW_OPEN'])
  assert.match((await explainWhy(query(false), emptyLog, nowMs)).verdict, /Partition 1 of topic "t" holds event time back/)
  const idle = await explainWhy(query(true), emptyLog, nowMs)
  assert.deepEqual([idle.findings[0].code, idle.windows[0].missingMs], ['WINDOW_OPEN', 19_999])
  assert.deepEqual(
    idle.sources[0].partitions.map(({ isIdle, holdsBack }) => [isIdle, holdsBack]),
    [
      [false, false],
      [true, false],
    ],
  )
})

test('an open window where nothing is produced is nobody to look at; one that a silent partition holds open is', async () => {
  const query = (idle: boolean) =>
    insight({
      nodes: [
        node(0, 'scan', { table: 't' }),
        node(1, 'watermark', {
          partitions: [0, 1].map((partition) => ({ partition, watermarkMs: idle || partition === 0 ? 50_000 : -Infinity, idle })),
        }),
        node(2, 'windowAggregate', {
          rowsOut: 0,
          operator: { openWindows: [{ startMs: 0, endMs: 60_000, rows: 1, firesAtMs: 59_999 }] },
        }),
      ],
      sources: [source([[5, 5], [5, 5]])], // biome-ignore format: one thought
    })
  const [idle, silent] = await Promise.all([true, false].map((isIdle) => explainWhy(query(isIdle), emptyLog, nowMs)))
  assert.deepEqual([idle.findings.map(({ code }) => code), stallOf(idle)], [['WINDOW_OPEN', 'ALL_IDLE'], undefined])
  assert.equal(stallOf(silent)?.code, 'PARTITION_SILENT')
})

test('silence after output: the source is quiet since, a worker that does not answer, all rows late', async () => {
  const quiet = insight({ rowsOut: 3, lastInMs: nowMs - 60_000, lastOutMs: nowMs - 60_000 })
  assert.deepEqual(await codes(quiet, logWith(60_000)), ['SOURCE_QUIET'])
  assert.match(
    (await explainWhy(quiet, logWith(60_000), nowMs)).verdict,
    /put out 3 rows, the last 60 s ago\. All is read, and nothing was produced since 2026-03-01 11:59:00/,
  )
  const restarted = insight({ rowsOut: 3 })
  assert.deepEqual(await codes(restarted, logWith(60_000)), ['SOURCE_QUIET'], 'nothing has come in since the restart')
  assert.deepEqual(await codes(restarted, logWith(1_000)), ['QUIET'])
  const lateBefore = { ...insight({ rowsOut: 3, lateRows: 2 }), lateTopics: ['t_late'] }
  const { findings } = await explainWhy(lateBefore, logWith(60_000), nowMs)
  assert.match(findings[1]?.fact ?? '', /^2 rows were dropped for being late before the last start, and kept in "t_late"\.$/)
  assert.deepEqual(await codes({ ...quiet, live: undefined }), ['NOT_ANSWERING'])
  const late = insight({ nodes: [node(0, 'scan', { table: 't' }), node(1, 'windowAggregate', { lateRows: 10, rowsOut: 0 })] })
  assert.deepEqual(await codes(late), ['ROWS_LATE'])
})

test('a window by the clock of the machine needs no events', async () => {
  const operator = { openWindows: [{ startMs: nowMs - 5_000, endMs: nowMs + 5_000, rows: 1, firesAtMs: nowMs + 4_999 }] }
  const why = await explainWhy(
    insight({ nodes: [node(0, 'scan', { table: 't' }), node(1, 'windowAggregate', { rowsOut: 0, isProcessingTime: true, operator })] }),
    emptyLog,
    nowMs,
  )
  assert.deepEqual([why.findings.length, why.windows[0].clock, why.windows[0].missingMs], [1, 'processing', 4_999])
})
