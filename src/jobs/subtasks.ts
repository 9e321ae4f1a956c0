// What subtasks say of themselves, as one query: sums, the least watermark, and each of them beside it.
import type { NodeStatus, QueryInspection, QueryStatus, StateReading } from '../engine/index.ts'

/** One for each query of a job. */
export function sumStatus(statuses: readonly QueryStatus[]): QueryStatus[] {
  return [...Map.groupBy(statuses, ({ jobId, queryId }) => `${jobId}/${queryId}`).values()].map(sumOf)
}

function sumOf(parts: readonly QueryStatus[]): QueryStatus {
  const [first] = parts
  const failed = parts.find(({ error }) => error)
  return {
    ...first,
    state: failed ? 'failed' : first.state,
    error: failed?.error,
    rowsIn: sum(parts, ({ rowsIn }) => rowsIn),
    rowsOut: sum(parts, ({ rowsOut }) => rowsOut),
    lateRows: sum(parts, ({ lateRows }) => lateRows),
    failedRows: sum(parts, ({ failedRows }) => failedRows),
    stateBytes: sum(parts, ({ stateBytes }) => stateBytes),
    spentMs: {
      busy: sum(parts, ({ spentMs }) => spentMs.busy),
      backPressured: sum(parts, ({ spentMs }) => spentMs.backPressured),
      idle: sum(parts, ({ spentMs }) => spentMs.idle),
    },
    ...leastWatermark(parts),
  }
}

/** @param parts  in the order of subtasks */
export function sumInspections(parts: readonly QueryInspection[]): QueryInspection | undefined {
  const [first] = parts
  if (parts.length < 2) return first
  return {
    ...first,
    ...sumOf(parts),
    nodes: first.nodes.map((node, i) => sumNodes(parts.map(({ nodes }) => nodes[i] ?? node))),
    sources: first.sources.map((source, i) => ({
      ...source,
      undecodedRows: sum(parts, ({ sources }) => sources[i]?.undecodedRows ?? 0),
      partitions: parts.flatMap(({ sources }) => sources[i]?.partitions ?? []).sort((a, b) => a.partition - b.partition),
    })),
    subtasks: parts.flatMap(({ subtasks }) => subtasks),
    lastInMs: latest(parts.map(({ lastInMs }) => lastInMs)),
    lastOutMs: latest(parts.map(({ lastOutMs }) => lastOutMs)),
  }
}

/** The keys of all, as many of each as of the others while they have some. */
export function sumReadings(parts: readonly StateReading[], limit: number): StateReading {
  const [first] = parts
  if (parts.length < 2) return first
  return {
    isComplete: parts.every(({ isComplete }) => isComplete),
    tables: first.tables.map((table, i) => {
      const own = parts.map(({ tables }) => tables[i])
      const longest = Math.max(...own.map(({ entries }) => entries.length))
      const { keyCount: _, isAbout: __, ...info } = table
      const keyCount = own.every((one) => one.keyCount !== undefined) ? sum(own, (one) => one.keyCount ?? 0) : undefined
      return {
        ...info,
        entries: Array.from({ length: longest }, (_, at) => own.flatMap(({ entries }) => entries[at] ?? []))
          .flat()
          .slice(0, limit),
        ...(keyCount !== undefined && { keyCount }),
        ...(own.some(({ isAbout }) => isAbout) && { isAbout: true as const }),
      }
    }),
  }
}

const SAMPLES = 3

function sumNodes(parts: readonly NodeStatus[]): NodeStatus {
  const [first] = parts
  const windows = Map.groupBy(
    parts.flatMap(({ operator }) => operator?.openWindows ?? []),
    ({ startMs, endMs }) => `${startMs} ${endMs}`,
  )
  return {
    ...first,
    rowsIn: sum(parts, ({ rowsIn }) => rowsIn),
    rowsOut: sum(parts, ({ rowsOut }) => rowsOut),
    lateRows: sum(parts, ({ lateRows }) => lateRows),
    failedRows: sum(parts, ({ failedRows }) => failedRows),
    busyMs: sum(parts, ({ busyMs }) => busyMs),
    ...leastWatermark(parts),
    operator: first.operator && {
      ...first.operator,
      stateRows: sumIfAny(parts.map(({ operator }) => operator?.stateRows)),
      stateBytes: sumIfAny(parts.map(({ operator }) => operator?.stateBytes)),
      spilledBytes: sumIfAny(parts.map(({ operator }) => operator?.spilledBytes)),
      waitingRows: sumIfAny(parts.map(({ operator }) => operator?.waitingRows)),
      openWindows:
        first.operator.openWindows &&
        [...windows.values()].map((same) => ({ ...same[0], rows: sum(same, ({ rows }) => rows) })).sort((a, b) => a.endMs - b.endMs),
    },
    partitions: first.partitions && parts.flatMap(({ partitions }) => partitions ?? []).sort((a, b) => a.partition - b.partition),
    samples: parts.flatMap(({ samples }) => samples).slice(0, SAMPLES),
    lateSamples: parts.flatMap(({ lateSamples }) => lateSamples).slice(0, SAMPLES),
    sides: first.sides?.map((side, i) => ({
      rows: sum(parts, ({ sides }) => sides?.[i].rows ?? 0),
      unmatched: sum(parts, ({ sides }) => sides?.[i].unmatched ?? 0),
      samples: [side, ...parts.slice(1).flatMap(({ sides }) => sides?.[i] ?? [])].flatMap(({ samples }) => samples).slice(0, SAMPLES),
    })),
  }
}

/** Who is idle holds nothing back. */
function leastWatermark(parts: readonly { watermarkMs: number; isIdle: boolean }[]): { watermarkMs: number; isIdle: boolean } {
  const active = parts.filter(({ isIdle }) => !isIdle)
  const counted = active.length > 0 ? active : parts
  return { watermarkMs: Math.min(...counted.map(({ watermarkMs }) => watermarkMs)), isIdle: active.length === 0 }
}

const sum = <T>(parts: readonly T[], of: (part: T) => number): number => parts.reduce((all, part) => all + of(part), 0)
const sumIfAny = (numbers: readonly (number | undefined)[]): number | undefined => {
  const known = numbers.filter((number) => number !== undefined)
  return known.length > 0 ? sum(known, (number) => number) : undefined
}
const latest = (times: readonly (number | undefined)[]): number | undefined => {
  const known = times.filter((time) => time !== undefined)
  return known.length > 0 ? Math.max(...known) : undefined
}
