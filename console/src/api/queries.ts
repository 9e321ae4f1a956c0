// Reads that are polled: catalog-like things that change seldom. Whatever moves each second is in live.ts.
import { QueryClient, useQuery } from '@tanstack/react-query'
import { useRef } from 'react'
import type { Health, QuerySummary, QueryWhy, TableSummary, TopicSummary } from '../../../src/serve/contract.ts'
import { ApiFailure, access, apiGet } from './client.ts'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failureCount, error) => !(error instanceof ApiFailure && error.status >= 400 && error.status < 500) && failureCount < 2,
      refetchOnWindowFocus: true,
    },
  },
})
// A token that was just accepted makes every earlier refusal stale.
access.subscribe(() => !access.isWanted && void queryClient.invalidateQueries())

/** A list of thousands is some megabytes: it is asked for less often. */
const LONG_LIST = 500
const unlessLong =
  (intervalMs: number) =>
  ({ state }: { state: { data: unknown } }): number =>
    Array.isArray(state.data) && state.data.length > LONG_LIST ? Math.max(intervalMs, 10_000) : intervalMs

const read =
  <T>(path: string) =>
  ({ signal }: { signal: AbortSignal }): Promise<T> =>
    apiGet<T>(path, signal)

export const useTables = (refetchInterval = 2_000) =>
  useQuery({ queryKey: ['tables'], queryFn: read<TableSummary[]>('/v1/tables'), refetchInterval: unlessLong(refetchInterval) })

/** Topics in which the server keeps what it needs for itself. */
export const isInternalTopic = (name: string): boolean => name.startsWith('__')
/** Topics with what was refused at the door. */
export const isInvalidTopic = (name: string): boolean => name.endsWith('.invalid')

export const useTopics = (refetchInterval = 2_000) =>
  useQuery({ queryKey: ['topics'], queryFn: read<TopicSummary[]>('/v1/topics'), refetchInterval: unlessLong(refetchInterval) })

/** Definitions and state; rates of the second are in the statistics. */
export const useQueries = (refetchInterval = 5_000) =>
  useQuery({ queryKey: ['queries'], queryFn: read<QuerySummary[]>('/v1/queries'), refetchInterval: unlessLong(refetchInterval) })

/** Why a query puts out nothing; asked again every two seconds, while somebody looks. */
export const useWhy = (id: string) =>
  useQuery({ queryKey: ['why', id], queryFn: read<QueryWhy>(`/v1/queries/${encodeURIComponent(id)}/why`), refetchInterval: 2_000 })

export const useHealth = () =>
  useQuery({
    queryKey: ['health'],
    // 503 while not ready, with the same body.
    queryFn: ({ signal }) => apiGet<Health>('/v1/health', signal, 503),
    refetchInterval: 5_000,
    retry: false,
  })

/** Changes per second of each table, from the last two lists. */
export function useChangeRates(tables: TableSummary[] | undefined): Map<string, number> {
  const memory = useRef({ atMs: 0, tables: undefined as TableSummary[] | undefined, rates: new Map<string, number>() })
  const last = memory.current
  if (tables && tables !== last.tables) {
    const nowMs = performance.now()
    const seconds = (nowMs - last.atMs) / 1_000
    const before = new Map(last.tables?.map((table) => [table.name, table.changeCount]))
    const rates = new Map<string, number>()
    for (const table of tables) {
      const count = before.get(table.name)
      if (count !== undefined && seconds > 0) rates.set(table.name, Math.max(0, (table.changeCount - count) / seconds))
    }
    memory.current = { atMs: nowMs, tables, rates }
  }
  return memory.current.rates
}

/** The query that keeps a table: the one of its name, else the one whose text names it as its result. */
export function queryOfTable(queries: QuerySummary[] | undefined, table: string): QuerySummary | undefined {
  const quoted = table.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const target = new RegExp(`(?:MATERIALIZED\\s+TABLE|INSERT\\s+INTO)\\s+(?:IF\\s+NOT\\s+EXISTS\\s+)?\`?${quoted}\`?(?![\\w])`, 'i')
  return queries?.find((query) => query.name === table || query.id === table) ?? queries?.find((query) => target.test(query.sql))
}
