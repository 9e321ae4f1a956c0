// Figures over time, where they lead to, and what needs attention: asked again as often as there is something new.
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import type { AttentionItem, Forecasts, QueryParity, StatsHistory } from '../../../src/serve/contract.ts'
import { apiGet, groupPath } from './client.ts'
import { defaultRange, useRange } from './range.ts'

/** The server takes a sample so often. */
const SAMPLE_MS = 5_000
const queryPath = (id: string): string => `/v1/queries/${encodeURIComponent(id)}`

function useHistory(path: string, isWanted = true) {
  const { text, range } = useRange()
  const { since, until } = range
  return useQuery({
    queryKey: ['stats-history', path, text],
    queryFn: ({ signal }) =>
      apiGet<StatsHistory>(`${path}?${new URLSearchParams({ since, ...(until !== undefined && { until }) })}`, signal),
    enabled: isWanted,
    // A range that stands still is read once.
    refetchInterval: range.fixed ? false : SAMPLE_MS,
    placeholderData: keepPreviousData,
  })
}

/** Of the process, in the range that is chosen. */
export const useProcessHistory = () => useHistory('/v1/stats/history')
/** Of the process, where another range than the last minutes was chosen: those come live. */
export function useChosenHistory(): StatsHistory | undefined {
  const isChosen = useRange().text !== defaultRange
  const { data } = useHistory('/v1/stats/history', isChosen)
  return isChosen ? data : undefined
}
export const useQueryHistory = (id: string) => useHistory(`${queryPath(id)}/stats/history`)
export const useGroupHistory = (id: string) => useHistory(`${groupPath(id)}/stats/history`)

export const useForecasts = () =>
  useQuery({ queryKey: ['forecast'], queryFn: ({ signal }) => apiGet<Forecasts>('/v1/forecast', signal), refetchInterval: SAMPLE_MS })
export const useAttention = () =>
  useQuery({
    queryKey: ['attention'],
    queryFn: ({ signal }) => apiGet<AttentionItem[]>('/v1/attention', signal),
    refetchInterval: SAMPLE_MS,
  })
export const useParity = (id: string) =>
  useQuery({ queryKey: ['parity', id], queryFn: ({ signal }) => apiGet<QueryParity>(`${queryPath(id)}/parity`, signal) })
