// How partitions are spread over the members of a KIP-848 group.
//
// Invariants
//   1. Every partition of a subscribed topic belongs to exactly one member that subscribes to it.
//   2. uniform: counts differ by one at most where all subscribe to the same; what a member has it keeps where that allows it.
//   3. The result follows from the arguments alone; members are taken in the order of their ids.

/** Partitions by topic id. */
export type Assignment = Map<string, Set<number>>
export interface Subscriber {
  id: string
  topicIds: ReadonlySet<string>
  /** What it has now. */
  current: Assignment
}
export type Assignor = (members: readonly Subscriber[], partitionCounts: ReadonlyMap<string, number>) => Map<string, Assignment>

const place = (assignment: Assignment, topicId: string, partition: number): void => {
  const partitions = assignment.get(topicId)
  if (partitions) partitions.add(partition)
  else assignment.set(topicId, new Set([partition]))
}
const sorted = (members: readonly Subscriber[]) => members.toSorted((a, b) => (a.id < b.id ? -1 : 1))
const empty = (members: readonly Subscriber[]) => new Map(members.map(({ id }) => [id, new Map() as Assignment]))

/** Topic by topic, a run of partitions for each member: partition i of all topics goes to the same member where they have as many. */
const range: Assignor = (members, partitionCounts) => {
  const assigned = empty(members)
  for (const [topicId, count] of partitionCounts) {
    const takers = sorted(members).filter(({ topicIds }) => topicIds.has(topicId))
    let partition = 0
    for (const [i, { id }] of takers.entries()) {
      const end = Math.ceil((count * (i + 1)) / takers.length)
      for (; partition < end; partition++) place(assigned.get(id)!, topicId, partition)
    }
  }
  return assigned
}

const uniform: Assignor = (members, partitionCounts) => {
  const assigned = empty(members)
  const loads = new Map(members.map(({ id }) => [id, 0]))
  const give = (id: string, topicId: string, partition: number) => {
    place(assigned.get(id)!, topicId, partition)
    loads.set(id, loads.get(id)! + 1)
  }
  const takersOf = (topicId: string) => sorted(members).filter(({ topicIds }) => topicIds.has(topicId))
  let total = 0
  for (const [topicId, count] of partitionCounts) if (takersOf(topicId).length > 0) total += count
  // A member keeps no more than its share, and of the shares that are one larger no more than there are.
  const share = Math.floor(total / Math.max(1, members.length))
  let largerLeft = total % Math.max(1, members.length)
  const homeless: [topicId: string, partition: number][] = []
  for (const [topicId, count] of partitionCounts) {
    const takers = takersOf(topicId)
    for (let partition = 0; partition < count; partition++) {
      const owner = takers.find(({ current }) => current.get(topicId)?.has(partition))
      const load = owner ? loads.get(owner.id)! : 0
      if (owner && (load < share || (load === share && largerLeft > 0))) {
        if (load === share) largerLeft--
        give(owner.id, topicId, partition)
      } else if (takers.length > 0) homeless.push([topicId, partition])
    }
  }
  for (const [topicId, partition] of homeless) {
    const least = takersOf(topicId).reduce((a, b) => (loads.get(b.id)! < loads.get(a.id)! ? b : a))
    give(least.id, topicId, partition)
  }
  return assigned
}

export const assignors: Record<string, Assignor> = { uniform, range }
