// /v1/stats/history, /v1/queries/:id/stats/history, /v1/forecast, /v1/queries/:id/parity: how figures went, where they lead to, and what of a query Flink
// would do otherwise.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type * as contract from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { timeOf } from './diff.ts'
import { queryNotFound } from './errors.ts'
import { forecastOf, trendOf } from './forecast.ts'
import { NoQuery, optional, Position, QueryParams, same } from './schemas.ts'
import type { StatsCollector } from './stats.ts'

/** Growth is that of the last hour: a day has hours of its own, and minutes are noise. */
const TREND_MS = 3_600_000

export const FiguresRange = Type.Object(
  {
    since: optional(Type.String({ description: '30m, 2h, 1d, a point in time, or earliest; an hour unless said.' })),
    until: optional(Type.String({ description: 'As `since`; now unless said.' })),
  },
  { additionalProperties: false },
)
export const FiguresHistory = Type.Object({
  timesMs: Type.Array(Type.Number(), { description: 'Starts of the steps, ascending, without a gap.' }),
  stepMs: Type.Integer({ description: '5 s of the last half hour, 30 s of 6 hours, 5 min of 2 days, 30 min of a week.' }),
  oldestMs: Type.Number({ description: 'The first moment that there is anything of: the process began then, or a week ago.' }),
  series: Type.Record(Type.String(), Type.Array(Type.Union([Type.Number(), Type.Null()])), {
    description:
      'By figure, whose name ends in its unit: the mean of each step, of latencies the highest; null where nothing was measured.',
  }),
})
const forecast = {
  usedBytes: Type.Number(),
  limitBytes: optional(Type.Number({ description: 'Absent where it is not known.' })),
  bytesPerHour: optional(
    Type.Number({ description: 'Growth over the last `overMs`; 0 where it is steady; absent where it was watched too short to say.' }),
  ),
  overMs: optional(Type.Number()),
  fullAtMs: optional(Type.Number({ description: 'Epoch ms; absent where it does not grow, or not within a year.' })),
}
const Forecasts = Type.Object({
  atMs: Type.Number(),
  memory: Type.Object(forecast, {
    description: 'State, live tables and buffers against the budget: state beyond it goes to the disk, which is slower.',
  }),
  disk: Type.Object(forecast, { description: "The data folder's disk: without space nothing more is taken." }),
  queries: Type.Array(Type.Object({ id: Type.String(), ...forecast }), {
    description: 'State in memory of each query; its limit is what it has and what is free.',
  }),
})
const Parity = Type.Object({
  query: Type.String(),
  marks: Type.Array(
    Type.Object({
      message: Type.String({ description: 'What Flink does.' }),
      hint: Type.String({ description: 'What to write so that both do the same.' }),
      file: Type.String(),
      subject: Type.String({ description: 'What the statement declares.' }),
      position: Position,
    }),
  ),
})
same<Static<typeof FiguresHistory>, contract.StatsHistory>(true)
same<Static<typeof Forecasts>, contract.Forecasts>(true)
same<Static<typeof Parity>, contract.QueryParity>(true)

/** @throws StreamError SERVE_SINCE_INVALID */
export function rangeOf({ since = '1h', until }: Static<typeof FiguresRange>): [fromMs: number, toMs: number] {
  const nowMs = Date.now()
  return [timeOf(since, nowMs), until === undefined ? nowMs : timeOf(until, nowMs)]
}

export function registerFigures(app: FastifyInstance, { stats, queries, parityOf }: ServeDeps): void {
  app.get<{ Querystring: Static<typeof FiguresRange> }>(
    '/v1/stats/history',
    {
      schema: {
        summary: 'Figures of the process over time, since it began and for at most a week.',
        querystring: FiguresRange,
        response: { 200: FiguresHistory },
      },
    },
    ({ query }) => stats.history.ofProcess(...rangeOf(query)),
  )
  app.get<{ Params: Static<typeof QueryParams>; Querystring: Static<typeof FiguresRange> }>(
    '/v1/queries/:id/stats/history',
    {
      schema: {
        summary: 'Figures of a query over time: rows, state, how far its watermark is behind the clock, what its threads did.',
        params: QueryParams,
        querystring: FiguresRange,
        response: { 200: FiguresHistory },
      },
    },
    ({ params: { id }, query }) => {
      const found = queries().find((one) => one.id === id || one.target.name === id)
      if (!found) throw queryNotFound(id, queries())
      return stats.history.ofQuery(found.id, ...rangeOf(query))
    },
  )
  app.get(
    '/v1/forecast',
    {
      schema: {
        summary: 'When memory for state and the disk are full, at the growth of the last hour.',
        querystring: NoQuery,
        response: { 200: Forecasts },
      },
    },
    () => forecastsOf(stats),
  )
  app.get<{ Params: Static<typeof QueryParams> }>(
    '/v1/queries/:id/parity',
    {
      schema: {
        summary: 'What of a query, and of the tables that it reads, Flink would refuse or do otherwise, as far as the texts show it.',
        params: QueryParams,
        querystring: NoQuery,
        response: { 200: Parity },
      },
    },
    ({ params: { id } }) => {
      const found = parityOf(id)
      if (found) return found
      throw queryNotFound(id, queries())
    },
  )
}

/** At the growth of the last hour, or of as much of it as there is. */
export function forecastsOf(stats: Pick<StatsCollector, 'current' | 'history'>): contract.Forecasts {
  const { atMs, memory, diskFreeBytes, dataBytes, queries } = stats.current()
  const { timesMs, series } = stats.history.ofProcess(atMs - TREND_MS, atMs)
  const usedBytes = memory.stateBytes + memory.otherBytes
  const freeBytes = Math.max(0, memory.limitBytes - usedBytes)
  return {
    atMs,
    memory: forecastOf(usedBytes, memory.limitBytes, trendOf(timesMs, series.memoryUsedBytes), atMs),
    disk: forecastOf(
      dataBytes,
      diskFreeBytes === undefined ? undefined : dataBytes + diskFreeBytes,
      trendOf(timesMs, series.dataBytes),
      atMs,
    ),
    queries: queries.map(({ id, stateBytes }) => {
      const own = stats.history.ofQuery(id, atMs - TREND_MS, atMs)
      return { id, ...forecastOf(stateBytes, stateBytes + freeBytes, trendOf(own.timesMs, own.series.stateBytes), atMs) }
    }),
  }
}
