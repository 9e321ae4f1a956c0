// Topics and consumer groups: reads that are polled, and a scan through a topic that goes on until it has enough.
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useCallback, useEffect, useRef, useState } from 'react'
import type {
  Access,
  DeadLetterGroups,
  GroupDetail,
  GroupList,
  MessagesPage,
  TopicConsumers,
  TopicMessage,
  TopicPartition,
  TopicSetting,
  TopicStatistics,
  TopicSummary,
} from '../../../src/serve/contract.ts'
import { apiGet, groupPath, topicPath } from './client.ts'

const POLL_MS = 2_000
/** A list of many is some megabytes: it is asked for less often. */
const pollMs = (list: readonly unknown[] | undefined): number => (list && list.length > 500 ? 5 * POLL_MS : POLL_MS)
const read =
  <T>(path: string) =>
  ({ signal }: { signal: AbortSignal }): Promise<T> =>
    apiGet<T>(path, signal)

/** What a body is that holds one event, by the format of the topic. */
export const contentTypes = { json: 'application/json', csv: 'text/csv', raw: 'application/octet-stream' }

/** Sends an event to the topic; for a POSIX shell. */
export const curlEvent = ({ name, columns, format = 'json' }: TopicSummary): string => {
  const body = format === 'json' ? `[{"${columns[0]?.name ?? '…'}": …}]` : '…'
  return `curl ${location.origin}/v1/topics/${encodeURIComponent(name)}/events -H 'content-type: ${contentTypes[format]}' --data-binary '${body}'`
}

export const usePartitions = (topic: string) =>
  useQuery({ queryKey: ['partitions', topic], queryFn: read<TopicPartition[]>(`${topicPath(topic)}/partitions`), refetchInterval: POLL_MS })
export const useSettings = (topic: string) =>
  useQuery({ queryKey: ['settings', topic], queryFn: read<TopicSetting[]>(`${topicPath(topic)}/settings`) })
export const useConsumers = (topic: string) =>
  useQuery({
    queryKey: ['consumers', topic],
    queryFn: read<TopicConsumers>(`${topicPath(topic)}/consumers`),
    refetchInterval: ({ state }) => pollMs(state.data?.groups),
  })
/** @param where  a condition in SQL over the letters; all of them without it */
export const useLetters = (topic: string, where?: string) =>
  useQuery({
    queryKey: ['letters', topic, where],
    queryFn: read<DeadLetterGroups>(`${topicPath(topic)}/letters${where === undefined ? '' : `?${new URLSearchParams({ where })}`}`),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  })
export const useStatistics = (topic: string, sample: number) =>
  useQuery({
    queryKey: ['statistics', topic, sample],
    queryFn: read<TopicStatistics>(`${topicPath(topic)}/statistics?sample=${sample}`),
    refetchOnWindowFocus: false,
    staleTime: Number.POSITIVE_INFINITY,
  })
export const useGroups = () =>
  useQuery({ queryKey: ['groups'], queryFn: read<GroupList>('/v1/groups'), refetchInterval: ({ state }) => pollMs(state.data?.groups) })
export const useGroup = (id: string) =>
  useQuery({ queryKey: ['group', id], queryFn: read<GroupDetail>(groupPath(id)), refetchInterval: POLL_MS })

/** Why this tab's token may not do something; undefined if it may. The server decides: this only says so before one tries. */
export function useReason(needed: 'writer' | 'admin'): string | undefined {
  const { data } = useQuery({ queryKey: ['access'], queryFn: read<Access>('/v1/access'), staleTime: 60_000 })
  if (!data || data.role === 'admin' || data.role === needed) return undefined
  return `Needs a token of role ${needed}; this one is ${data.role ?? 'unknown'}.`
}

export interface ScanView {
  messages: readonly TopicMessage[]
  /** Records looked at, of all between the beginning and the end. */
  scanned: number
  total: number
  undecoded: number
  failed: number
  isRunning: boolean
  hasMore: boolean
  error: unknown
}
const nothing: ScanView = { messages: [], scanned: 0, total: 0, undecoded: 0, failed: 0, isRunning: true, hasMore: false, error: null }
const PAGE = 200

/**
 * Records of a topic, page after page, until `PAGE` were found or the end is reached; a filter that finds little goes on by itself.
 *
 * @param query  parameters of the API; null reads nothing
 */
export function useScan(topic: string, query: string | null): ScanView & { more: () => void; stop: () => void } {
  const [view, setView] = useState<ScanView>(nothing)
  const cursor = useRef<string | null>(null)
  const running = useRef<AbortController | null>(null)

  const run = useCallback(
    async (start: string, had: ScanView): Promise<void> => {
      running.current?.abort()
      const control = new AbortController()
      running.current = control
      let now: ScanView = { ...had, isRunning: true, error: null }
      const wanted = had.messages.length + PAGE
      let next: string | null = start
      setView(now)
      try {
        do {
          const limit = Math.max(1, wanted - now.messages.length)
          const page: MessagesPage = await apiGet<MessagesPage>(
            `${topicPath(topic)}/messages?${query}&limit=${Math.min(1_000, limit)}${next ? `&cursor=${next}` : ''}`,
            control.signal,
          )
          const scanned = now.scanned + page.scanned
          next = page.next
          now = {
            messages: [...now.messages, ...page.messages],
            scanned,
            total: scanned + page.remaining,
            undecoded: now.undecoded + page.undecoded,
            failed: now.failed + page.failed,
            isRunning: next !== null && now.messages.length + page.messages.length < wanted,
            hasMore: next !== null,
            error: null,
          }
          cursor.current = next
          setView(now)
        } while (now.isRunning)
      } catch (error) {
        if (running.current === control)
          setView({ ...now, isRunning: false, hasMore: next !== null && next !== '', error: control.signal.aborted ? null : error })
      }
    },
    [topic, query],
  )
  useEffect(() => {
    cursor.current = null
    if (query === null) setView({ ...nothing, isRunning: false })
    else void run('', nothing)
    return () => running.current?.abort()
  }, [query, run])

  return {
    ...view,
    more: () => cursor.current !== null && void run(cursor.current, view),
    stop: () => running.current?.abort(),
  }
}
