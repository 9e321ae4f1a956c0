// State of a query that ran in another number of subtasks, dealt out anew: each subtask reads what all of them had, and keeps what falls to it.
//
//   of old subtask 0 --.                                    .--> keys of this subtask --.
//   of old subtask 1 --+--> divided by key group, where not +                           +--> one operator
//   of old subtask 2 --'    all of it falls here            '--> keys of others: left   '
//
// As in Flink: a key belongs to one of 128 key groups, each subtask has a run of these, and a row finds the state of its key by the same hash
// (exchange/partition.ts). So the format of state knows nothing of it.
//
// Invariants
//   1. Each key of the state comes into one new subtask, which is the one that gets the key's rows.
//   2. Where all rows meet in one subtask, that is the first one, before and after.
//   1 and 2 are held by rescale.property.test.ts.
import type { Plan } from '../../sql/index.ts'
import { type Distribution, requirementsOf } from '../exchange/distribution.ts'
import { KEY_GROUP_COUNT, keyGroupsOf } from '../exchange/partition.ts'
import { type Division, dividedBy, type Operator } from '../operator.ts'
import { divisionInto } from './division.ts'

/** What of the state of one old subtask falls to a new one. */
export interface Share {
  /** Everything: nothing is to be left. */
  isWhole: boolean
  /** Else it is this part. */
  division: Division
  part: number
  /** Where state divides by just the columns by which rows are exchanged: the key groups that fall here. */
  keyGroups?: [first: number, last: number]
}

export interface Rescaling {
  subtask: number
  parallelism: number
  /** Of the job that took the checkpoint. */
  savedParallelism: number
}

/**
 * The share of the operator of a plan's node; undefined for nothing.
 *
 * @param distribution  where rows of its first input are, in new and old subtasks
 * @param from          the old subtask
 */
export function shareOf(
  plan: Plan,
  distribution: Distribution,
  from: number,
  { subtask, parallelism, savedParallelism }: Rescaling,
): Share | undefined {
  if (distribution.kind !== 'hash') return subtask === 0 ? { isWhole: true, division: divisionInto(1), part: 0 } : undefined
  const [wanted] = requirementsOf(plan)
  const keys = wanted?.kind === 'hash' ? wanted.columns : []
  const places = distribution.columns.map((column) => keys.indexOf(column))
  const [savedFirst, savedLast] = keyGroupsOf(from, savedParallelism)
  const [ownFirst, ownLast] = keyGroupsOf(subtask, parallelism)
  const keyGroups: Share['keyGroups'] = [Math.max(savedFirst, ownFirst), Math.min(savedLast, ownLast)]
  if (keyGroups[0] > keyGroups[1]) return undefined
  return {
    isWhole: keyGroups[0] === savedFirst && keyGroups[1] === savedLast,
    division: dividedBy(divisionInto(parallelism), places),
    part: subtask,
    ...(places.length === keys.length && places.every((place, i) => place === i) && { keyGroups }),
  }
}

/** The share of a state, as `snapshot` would give it. */
export function sharedOut(state: unknown, { isWhole, division, part }: Share, build: () => Operator): unknown {
  if (isWhole) return state
  const operator = build()
  operator.restore?.(state)
  return operator.divide?.(division)(part)
}

/** Whether a key group of divided state may have something of the share; where it has, all of it is. */
export const isInShare = ({ keyGroups }: Share, keyGroup: number, keyGroupCount: number): boolean =>
  keyGroups === undefined || keyGroupCount !== KEY_GROUP_COUNT || (keyGroups[0] <= keyGroup && keyGroup <= keyGroups[1])
