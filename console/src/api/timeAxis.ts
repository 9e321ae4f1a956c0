// By which time a chart of rows is drawn: the events' own, or when each change arrived. One choice for all pages, in the address
// (`?axis=processing`). The switch for it is shown while a chart is on the page that can be drawn by both.
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useSyncExternalStore } from 'react'

export type TimeAxis = 'event' | 'processing'

export function useTimeAxis(): { axis: TimeAxis; choose: (axis: TimeAxis) => void } {
  const { axis = 'event' } = useSearch({ strict: false }) as { axis?: TimeAxis }
  const navigate = useNavigate()
  return {
    axis,
    choose: (next) =>
      void navigate({
        to: '.',
        search: ((old: object) => ({ ...old, axis: next === 'event' ? undefined : next })) as never,
        replace: true,
      }),
  }
}

let chartCount = 0
const listeners = new Set<() => void>()
function count(by: number): void {
  chartCount += by
  for (const listener of listeners) listener()
}
const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Of a chart: whether it can be drawn by both times. */
export function useBothAxes(hasBoth: boolean): void {
  useEffect(() => {
    if (!hasBoth) return
    count(1)
    return () => count(-1)
  }, [hasBoth])
}

export const useHasBothAxes = (): boolean => useSyncExternalStore(subscribe, () => chartCount > 0)
