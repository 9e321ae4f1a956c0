// Running a statement: to the end of what the topics hold, or live until it is stopped.
import { useCallback, useEffect, useRef, useState } from 'react'
import type { ApiError, ColumnInfo, PreviewFrame, SqlSlice } from '../../../../src/serve/contract.ts'
import { apiSend, openWebSocket } from '../../api/client.ts'
import { parseExact } from '../../api/json.ts'
import { Result, type ResultView } from './result.ts'

export type RunMode = 'end' | 'live' | 'latest'
export interface Run {
  mode: RunMode
  sql: string
  /** Which records it reads; all of them if absent. */
  slice?: SqlSlice
  state: 'running' | 'stopped' | 'done' | 'failed'
  startedMs: number
  tookMs?: number
  error?: unknown
  view?: ResultView
}

export function useRun(): { run: Run | null; start: (sql: string, mode: RunMode, slice?: SqlSlice) => void; stop: () => void } {
  const [run, setRun] = useState<Run | null>(null)
  const ending = useRef<() => void>(() => {})

  const stop = useCallback(() => {
    ending.current()
    ending.current = () => {}
    setRun((now) => (now?.state === 'running' ? { ...now, state: 'stopped', tookMs: performance.now() - now.startedMs } : now))
  }, [])
  useEffect(() => () => ending.current(), [])

  const start = useCallback((sql: string, mode: RunMode, slice?: SqlSlice) => {
    ending.current()
    const begun: Run = { mode, sql, ...(slice && { slice }), state: 'running', startedMs: performance.now() }
    setRun(begun)
    /** Of a run that is not the newest, nothing is shown. */
    const update = (change: Partial<Run>) =>
      setRun((now) => (now?.startedMs === begun.startedMs ? { ...now, ...change, tookMs: performance.now() - begun.startedMs } : now))
    ending.current = mode === 'end' ? runToEnd(sql, slice, update) : preview(sql, mode, slice, update)
  }, [])
  return { run, start, stop }
}

function runToEnd(sql: string, slice: SqlSlice | undefined, update: (change: Partial<Run>) => void): () => void {
  const abort = new AbortController()
  apiSend<{ columns: ColumnInfo[]; rows: unknown[][] }>(
    'POST',
    '/v1/sql',
    { sql, rowsMax: 5_000, numbers: 'string', ...(slice && { slice }) },
    { signal: abort.signal },
  ).then(
    ({ columns, rows }) => {
      const result = new Result(columns, 'append', [])
      result.apply(
        rows.map((row) => ({ op: '+I', row })),
        0,
      )
      update({ state: 'done', view: result.view() })
    },
    (error: unknown) => !abort.signal.aborted && update({ state: 'failed', error }),
  )
  return () => abort.abort()
}

function preview(sql: string, mode: 'live' | 'latest', slice: SqlSlice | undefined, update: (change: Partial<Run>) => void): () => void {
  const socket = openWebSocket(`/v1/sql/live?from=${mode === 'latest' ? 'latest' : 'earliest'}&numbers=string`)
  let result: Result | undefined
  let isOver = false
  socket.onopen = () => socket.send(JSON.stringify({ sql, ...(slice && { slice }) }))
  socket.onmessage = ({ data }) => {
    const frame = parseExact(String(data)) as PreviewFrame
    if (frame.type === 'columns') {
      result = new Result(frame.columns, frame.changelog, frame.key)
      update({ view: result.view() })
    }
    if (frame.type === 'changes' && result) {
      result.apply(frame.changes, Date.now())
      result.skipped += frame.skipped
      update({ view: result.view(), ...(frame.isLast && { state: 'done' }) })
    }
    if (frame.type === 'error') {
      isOver = true
      update({ state: 'failed', error: frame.error })
    }
  }
  socket.onclose = () => {
    const error: ApiError['error'] = { code: 'CONNECTION_LOST', message: 'The connection ended.', hint: 'Run it again.' }
    if (!isOver) update({ state: 'failed', error })
  }
  return () => {
    isOver = true
    socket.onclose = null
    socket.onmessage = null
    socket.close()
  }
}
