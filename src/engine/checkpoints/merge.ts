// The cuts of a job's subtasks as one: what the manifest of its checkpoint has.
//
// Invariants
//   1. A query is in it if it is in every part: one that has failed in one subtask has failed.
//   2. Each partition's position is that of the subtask that reads it.
import type { JobCheckpoint } from '../job.ts'
import type { InputState, QueryState, SinkState } from './manifest.ts'

/** @param parts  by subtask, behind the same round */
export function mergeCheckpoints(parts: readonly JobCheckpoint[]): JobCheckpoint {
  const [first, ...others] = parts
  if (others.length === 0) return first
  const queries = first.queries.flatMap((query) => {
    const states = parts.map(({ queries }) => queries.find(({ id }) => id === query.id))
    return states.every((state) => state !== undefined) ? [mergeStates(states)] : []
  })
  return { checkpointId: first.checkpointId, queries, updates: parts.flatMap(({ updates }) => updates) }
}

function mergeStates(states: readonly QueryState[]): QueryState {
  const [first] = states
  const sum = (of: keyof QueryState['counters']) => states.reduce((all, { counters }) => all + counters[of], 0)
  return {
    ...first,
    parallelism: states.length,
    inputs: first.inputs.map((input) => mergeInputs(input.table, states)),
    operators: states.flatMap(({ operators }) => operators),
    sink: mergeSinks(states.map(({ sink }) => sink)),
    counters: { rowsIn: sum('rowsIn'), rowsOut: sum('rowsOut'), lateRows: sum('lateRows'), failedRows: sum('failedRows') },
  }
}

/** A subtask says -1 for a partition that it does not read. */
function mergeInputs(table: string, states: readonly QueryState[]): InputState {
  const inputs = states.flatMap(({ inputs }) => inputs.filter((input) => input.table === table))
  const positions = inputs[0].positions.map((_, partition) => Math.max(...inputs.map((input) => input.positions[partition])))
  return { ...inputs[0], positions, turn: 0 }
}

/** Files of all; what other sinks have is not in the worker. */
function mergeSinks(sinks: readonly SinkState[]): SinkState {
  const files = sinks.filter((sink) => sink.kind === 'files')
  if (files.length === 0) return sinks[0]
  const nextFiles = files.map(({ nextFile }) => nextFile)
  return { ...files[0], nextFile: Math.max(...nextFiles), nextFiles, pending: files.flatMap(({ pending }) => pending) }
}
