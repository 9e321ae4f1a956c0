// What flows through a query's nodes now: the difference between two looks at it.
import { useRef } from 'react'
import type { QueryWhy } from '../../../../src/serve/contract.ts'

export interface Flow {
  rowsInPerSecond: number
  rowsOutPerSecond: number
  /** Of one core. */
  busyShare: number
}

/** By node id; nothing is known at the first look, nor of a query that began anew in between. */
function flowsBetween(before: QueryWhy | undefined, now: QueryWhy): Map<number, Flow> {
  const seconds = before ? (now.atMs - before.atMs) / 1_000 : 0
  return new Map(
    now.nodes.flatMap(({ id, rowsIn, rowsOut, busyMs }) => {
      const last = before?.nodes.find((node) => node.id === id)
      if (!last || seconds <= 0 || last.rowsIn > rowsIn) return []
      const flow: Flow = {
        rowsInPerSecond: (rowsIn - last.rowsIn) / seconds,
        rowsOutPerSecond: (rowsOut - last.rowsOut) / seconds,
        busyShare: (busyMs - last.busyMs) / 1_000 / seconds,
      }
      return [[id, flow] as const]
    }),
  )
}

export function useFlows(why: QueryWhy): Map<number, Flow> {
  const memory = useRef<{ now: QueryWhy; flows: Map<number, Flow> } | null>(null)
  if (memory.current?.now !== why) memory.current = { now: why, flows: flowsBetween(memory.current?.now, why) }
  return memory.current.flows
}
