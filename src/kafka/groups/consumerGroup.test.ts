import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ERROR, type KafkaError } from '../errors.ts'
import { type Assignment, assignors } from './assignors.ts'
import { ConsumerGroup, type HeartbeatAnswer, type TopicsView } from './consumerGroup.ts'
import { recordsOf, SavedConsumerGroups } from './consumerGroupRecords.ts'

const limits = { groupMembers: 100, consumerSessionMs: 1_000_000 }
const heartbeat = {
  instanceId: null,
  rackId: null,
  clientId: 'test',
  clientHost: '127.0.0.1',
  rebalanceTimeoutMs: 1_000_000,
  subscribedTopicNames: null,
  subscribedTopicRegex: null,
  serverAssignor: null,
}
const pairsOf = (assignment: Assignment) =>
  [...assignment].flatMap(([topic, partitions]) => [...partitions].map((p) => `${topic}-${p}`)).sort()

/** A member as a client has it: it owns what it was told, and gives up and takes in two steps. */
class Client {
  epoch = 0
  owned: Assignment = new Map()
  told: Assignment = new Map()
  readonly id: string
  topics: string[]

  constructor(id: string, topics: string[]) {
    this.id = id
    this.topics = topics
  }

  ask(group: ConsumerGroup): HeartbeatAnswer | undefined {
    const owned = this.epoch === 0 ? new Map() : this.owned
    try {
      return group.heartbeat({ ...heartbeat, memberId: this.id, memberEpoch: this.epoch, subscribedTopicNames: this.topics, owned })
    } catch (error) {
      assert.ok(([ERROR.FENCED_MEMBER_EPOCH, ERROR.UNKNOWN_MEMBER_ID] as number[]).includes((error as KafkaError).code), String(error))
      return undefined
    }
  }

  /** First it gives up what it was not told to keep; it takes what is new with the next heartbeat. Refused, it gives up all. */
  hear(answer: HeartbeatAnswer | undefined): void {
    this.epoch = answer?.memberEpoch ?? 0
    if (!answer) this.told = new Map()
    else if (answer.assignment) this.told = new Map([...answer.assignment].map(([topic, partitions]) => [topic, new Set(partitions)]))
    this.owned = this.told
  }
}

/** A group whose changes are durable before anybody hears of them, on a broker that may be killed at any time. */
class Killable {
  group: ConsumerGroup
  private readonly durable: ReturnType<typeof recordsOf> = []
  private readonly topics: TopicsView

  constructor(topics: TopicsView) {
    this.topics = topics
    this.group = new ConsumerGroup('g', limits, topics)
  }
  /** @param recordCount  how many of the records get through */
  save(recordCount = Number.POSITIVE_INFINITY): void {
    this.durable.push(...recordsOf(this.group, this.group.takeUnsaved(), 0).slice(0, recordCount))
  }
  restart(): void {
    this.group.close()
    const saved = new SavedConsumerGroups()
    for (const { key, value } of this.durable) saved.add(key![1], key!, value)
    const [known] = saved.whole()
    this.group = new ConsumerGroup('g', limits, this.topics, undefined, known)
  }
}

const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('join' as const), who: fc.nat(3), topics: fc.subarray(['a', 'b']) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who: fc.nat(3) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('beat' as const), who: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('grow' as const), who: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), who: fc.nat(3), recordCount: fc.nat(12) }) },
)
const idOf = (topic: string) => `00000000-0000-0000-0000-00000000000${topic}`

test('no partition ever has two owners, also where the broker is killed, and when all is quiet each has one and the loads are even', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const counts: Record<string, number> = { a: 3, b: 2 }
      const topics = {
        names: () => Object.keys(counts),
        topic: (name: string) => (name in counts ? { id: idOf(name), partitionCount: counts[name] } : undefined),
      }
      const broker = new Killable(topics)
      const clients = new Map<number, Client>()
      const check = () => {
        const owned = [...clients.values()].flatMap((client) => pairsOf(client.owned))
        assert.equal(new Set(owned).size, owned.length, `two owners: ${owned}`)
      }
      const beat = (client: Client) => {
        const answer = client.ask(broker.group)
        broker.save()
        client.hear(answer)
      }
      for (const one of steps) {
        const client = clients.get(one.who)
        if (one.do === 'grow') counts[one.who === 0 ? 'a' : 'b']++
        else if (one.do === 'join' && !client && one.topics.length > 0) clients.set(one.who, new Client(`m${one.who}`, one.topics))
        else if (one.do === 'join' && client && one.topics.length > 0) client.topics = one.topics
        else if (one.do === 'beat' && client) beat(client)
        else if (one.do === 'kill') {
          // Its answer never comes.
          client?.ask(broker.group)
          broker.save(one.recordCount)
          broker.restart()
        } else if (one.do === 'leave' && client) {
          clients.delete(one.who)
          const isKnown = broker.group.members.has(client.id)
          if (isKnown)
            broker.group.heartbeat({ ...heartbeat, memberId: client.id, memberEpoch: -1, subscribedTopicNames: null, owned: null })
          broker.save()
        }
        check()
      }
      for (let round = 0; round < 6; round++) {
        for (const client of clients.values()) {
          beat(client)
          check()
        }
        if (round === 4) broker.restart()
      }
      const { group } = broker
      const wanted = new Set([...clients.values()].flatMap((client) => client.topics))
      const all = [...wanted].flatMap((topic) => Array.from({ length: counts[topic] }, (_, i) => `${idOf(topic)}-${i}`)).sort()
      assert.deepEqual([...clients.values()].flatMap((client) => pairsOf(client.owned)).sort(), all)
      assert.equal(group.state, clients.size === 0 ? 'Empty' : 'Stable')
      const isEven = [...clients.values()].every((client) => client.topics.length === 2)
      const loads = [...clients.values()].map((client) => pairsOf(client.owned).length)
      if (isEven && loads.length > 0) assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `loads ${loads}`)
      group.close()
    }),
    { numRuns: 1_000 },
  )
})

test('epochs of the past and future are fenced, a lost answer is given again', () => {
  const topics = { names: () => ['a'], topic: () => ({ id: 'a', partitionCount: 2 }) }
  const group = new ConsumerGroup('g', limits, topics)
  const beat = (memberId: string, memberEpoch: number, owned: Assignment | null = null, more: object = {}) =>
    group.heartbeat({ ...heartbeat, memberId, memberEpoch, subscribedTopicNames: memberEpoch === 0 ? ['a'] : null, owned, ...more })
  const codeOf = (call: () => unknown) => {
    try {
      call()
    } catch (error) {
      return (error as KafkaError).code
    }
    return ERROR.NONE
  }
  assert.equal(beat('x', 0, new Map()).memberEpoch, 1)
  assert.equal(
    codeOf(() => beat('x', 2)),
    ERROR.FENCED_MEMBER_EPOCH,
  )
  assert.equal(
    codeOf(() => beat('y', 1)),
    ERROR.UNKNOWN_MEMBER_ID,
  )
  beat('y', 0, new Map())
  // x has to give up one of two; its answer is lost.
  const first = beat('x', 1, new Map([['a', new Set([0, 1])]]))
  assert.deepEqual([first.memberEpoch, pairsOf(first.assignment!).length], [1, 1])
  const confirmed = beat('x', 1, first.assignment)
  assert.equal(confirmed.memberEpoch, 2)
  assert.equal(
    codeOf(() => beat('x', 1)),
    ERROR.FENCED_MEMBER_EPOCH,
  )
  assert.equal(beat('x', 1, first.assignment).memberEpoch, 2)
  assert.equal(
    codeOf(() => beat('x', 2, null, { serverAssignor: 'best' })),
    ERROR.UNSUPPORTED_ASSIGNOR,
  )
  assert.equal(
    codeOf(() => beat('x', 2, null, { subscribedTopicRegex: 'a(' })),
    ERROR.INVALID_REGULAR_EXPRESSION,
  )
  assert.equal(
    codeOf(() => group.checkEpoch('x', 1)),
    ERROR.STALE_MEMBER_EPOCH,
  )
  group.checkEpoch('x', 2)
  group.close()
})

test('expressions are those of RE2, match whole names, and follow topics that are made later', () => {
  const names = ['orders-eu', 'orders.us', 'clicks', 'audit', 'audit-2']
  const topics = { names: () => names, topic: (name: string) => ({ id: name, partitionCount: 1 }) }
  const subscribed = (subscribedTopicRegex: string) => {
    const group = new ConsumerGroup('g', limits, topics)
    try {
      const { assignment } = group.heartbeat({ ...heartbeat, memberId: 'x', memberEpoch: 0, subscribedTopicRegex, owned: new Map() })
      return [...assignment!.keys()].sort()
    } finally {
      group.close()
    }
  }
  assert.deepEqual(subscribed('orders-.*|click.*|aud.+t'), ['audit', 'clicks', 'orders-eu'])
  assert.deepEqual(subscribed('(?i)ORDERS[-.](eu|us)'), ['orders-eu', 'orders.us'])
  assert.deepEqual(subscribed('orders\\-eu'), ['orders-eu'])
  assert.deepEqual(subscribed('\\Qorders.us\\E'), ['orders.us'])
  assert.deepEqual(subscribed('(.*)*(.*)*(.*)*z'), [])
  for (const wrong of ['a(', '(?=a)b', 'a{1000}'.repeat(10), 'x'.repeat(3_000)]) {
    assert.throws(
      () => subscribed(wrong),
      (error: KafkaError) => error.code === ERROR.INVALID_REGULAR_EXPRESSION,
    )
  }

  const group = new ConsumerGroup('g', limits, topics)
  const beat = (memberEpoch: number, more: object) => group.heartbeat({ ...heartbeat, memberId: 'x', memberEpoch, owned: null, ...more })
  const { memberEpoch } = beat(0, { subscribedTopicRegex: 'audit.*', owned: new Map() })
  names.push('audit-3')
  assert.deepEqual([...beat(memberEpoch, {}).assignment!.keys()].sort(), ['audit', 'audit-2', 'audit-3'])
  assert.deepEqual([...beat(memberEpoch + 1, { subscribedTopicRegex: 'audit-3' }).assignment!.keys()], ['audit-3'])
  group.close()
})

test('a member whose expression or assignor is refused is none, and one that was away keeps its place', () => {
  const topics = { names: () => ['a'], topic: (name: string) => ({ id: name, partitionCount: 1 }) }
  const group = new ConsumerGroup('g', limits, topics)
  const beat = (memberId: string, more: object) =>
    group.heartbeat({ ...heartbeat, memberId, memberEpoch: 0, subscribedTopicNames: ['a'], owned: new Map(), ...more })
  const refused = (memberId: string, more: object) => {
    const code = 'serverAssignor' in more ? ERROR.UNSUPPORTED_ASSIGNOR : ERROR.INVALID_REGULAR_EXPRESSION
    assert.throws(
      () => beat(memberId, more),
      (error: KafkaError) => error.code === code,
    )
  }
  for (const more of [{ subscribedTopicRegex: 'a(' }, { serverAssignor: 'none' }]) {
    refused('x', more)
    assert.ok(group.isEmpty)
  }
  const { memberEpoch } = beat('first', { instanceId: 'i' })
  group.heartbeat({ ...heartbeat, memberId: 'first', instanceId: 'i', memberEpoch: -2, owned: null })
  refused('second', { instanceId: 'i', subscribedTopicRegex: 'a(' })
  assert.deepEqual([...group.members.keys()], ['first'])
  refused('first', { instanceId: 'i', serverAssignor: 'none' })
  assert.equal(group.members.get('first')?.epoch, memberEpoch)
  const back = beat('second', { instanceId: 'i' })
  assert.deepEqual([back.memberEpoch, [...back.assignment!.keys()]], [memberEpoch, ['a']])
  group.close()
})

test('range gives the same partition of all topics to the same member', () => {
  const member = (id: string) => ({ id, topicIds: new Set(['a', 'b']), current: new Map() })
  const assigned = assignors.range(
    [member('y'), member('x')],
    new Map([
      ['a', 3],
      ['b', 3],
    ]),
  )
  assert.deepEqual(pairsOf(assigned.get('x')!), ['a-0', 'a-1', 'b-0', 'b-1'])
  assert.deepEqual(pairsOf(assigned.get('y')!), ['a-2', 'b-2'])
})
