// What each API asks for, and how it is refused: one table, so that no handler can forget it and one can read it at a glance.
//
// A guard takes out of a request what the client may not do, before the handler sees it, and puts its error into the answer afterwards. A
// request of which nothing is left is answered by the guard alone.
//
// Invariants
//   1. Every API is in the table, also those that ask for nothing: an API that is missing is refused (and a test says so).
//   2. What was taken out is answered with Kafka's code for the resource: TOPIC_, GROUP_, TRANSACTIONAL_ID_ or CLUSTER_AUTHORIZATION_FAILED.
//   3. Fetch is not here: its sessions name partitions once and fetch them for long, so `fetchOnce` asks for each.
// Source: Kafka's documentation, "Operations and Resources on Protocols".
import { isSecretTopic } from '../../log/index.ts'
import { ERROR } from '../errors.ts'
import { OPERATION, RESOURCE } from './acls.ts'

export interface Access {
  may(operation: number, resourceType: number, name?: string): boolean
  /** To any topic at all. */
  mayWriteAnywhere(): boolean
  /** Of a topic id, as far as it is known. */
  topicNameOf(id: string): string | undefined
  topicIdOf(name: string): string | undefined
  version: number
}

// biome-ignore lint/suspicious/noExplicitAny: requests and answers of any API; each guard knows its own
type Message = any
export interface Guarded {
  /** What is left of the request. */
  request?: Message
  /** The whole answer: the handler is not asked. */
  answer?: Message
  /** Puts what was refused into the handler's answer. */
  finish?: (answer: Message) => Message
}
/** Undefined: nothing to refuse. */
type Guard = (request: Message, access: Access) => Guarded | undefined

const { read, write, create, delete: remove, alter, describe, clusterAction, describeConfigs, alterConfigs, idempotentWrite } = OPERATION
const TOPIC_REFUSED = { errorCode: ERROR.TOPIC_AUTHORIZATION_FAILED, errorMessage: 'Topic authorization failed.' }
const GROUP_REFUSED = { errorCode: ERROR.GROUP_AUTHORIZATION_FAILED, errorMessage: 'Group authorization failed.' }
const TRANSACTION_REFUSED = {
  errorCode: ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
  errorMessage: 'Transactional Id authorization failed.',
}
const CLUSTER_REFUSED = { errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, errorMessage: 'Cluster authorization failed.' }

const free: Guard = () => undefined
const mayTopic = (access: Access, operation: number) => (name: string) => access.may(operation, RESOURCE.topic, name)

/** The whole request or nothing. */
const all =
  (isAllowed: (request: Message, access: Access) => boolean, refused: (request: Message) => Message): Guard =>
  (request, access) =>
    isAllowed(request, access) ? undefined : { answer: refused(request) }

/** Item by item of one list; `refuse` gives the answer's item. */
const each =
  (
    list: string,
    isAllowed: (item: Message, access: Access, request: Message) => boolean,
    refuse: (item: Message) => Message,
    answerList = list,
  ): Guard =>
  (request, access) => {
    const items: Message[] = request[list] ?? []
    const kept = items.filter((item) => isAllowed(item, access, request))
    if (kept.length === items.length) return undefined
    const refused = items.filter((item) => !kept.includes(item)).map(refuse)
    if (kept.length === 0) return { answer: { [answerList]: refused } }
    return {
      request: { ...request, [list]: kept },
      finish: (answer) => ({ ...answer, [answerList]: [...(answer[answerList] ?? []), ...refused] }),
    }
  }

/** The first guard that refuses anything counts. */
const both =
  (first: Guard, second: Guard): Guard =>
  (request, access) => {
    const guarded = first(request, access)
    return guarded ?? second(request, access)
  }

/** How a request and its answer name topics and partitions, where it is not as here. */
interface TopicShape {
  list?: string
  name?: string
  partitions?: string
  index?: string
  answerList?: string
  answerPartitions?: string
  /** What else a refused partition has. */
  more?: object
}
const usual = { list: 'topics', name: 'name', partitions: 'partitions', index: 'partitionIndex' }

/** Topics of a request with their partitions; each refused partition has the code. */
const topicsOf = (operation: number, shape: TopicShape = {}): Guard => {
  const { list = usual.list, name = usual.name, answerList = list } = shape
  return each(
    list,
    (topic, access) => mayTopic(access, operation)(topic[name]),
    (topic) => refuseTopic(topic, TOPIC_REFUSED, shape),
    answerList,
  )
}

function refuseTopic(topic: Message, error: { errorCode: number }, shape: TopicShape): Message {
  const { name, partitions, index, more, answerPartitions = partitions } = { ...usual, ...shape }
  const numbers = topic[partitions].map((one: Message) => (typeof one === 'number' ? one : one[index]))
  return { [name]: topic[name], [answerPartitions]: numbers.map((number: number) => ({ [index]: number, ...error, ...more })) }
}

/** All partitions of all topics refused. */
const refuseAll =
  (error: { errorCode: number }, shape: TopicShape = {}) =>
  (request: Message): Message => {
    const { list = usual.list, answerList = list } = shape
    return { [answerList]: request[list].map((topic: Message) => refuseTopic(topic, error, shape)) }
  }

/**
 * From a version on, topics of a request have ids instead of names: it is read as if it named them, and its answer has the ids again. An id that
 * is not known is answered with UNKNOWN_TOPIC_ID.
 */
const byId =
  (fromVersion: number, guard: Guard, shape: TopicShape = {}): Guard =>
  (request, access) => {
    if (access.version < fromVersion) return guard(request, access)
    const { list = usual.list, answerList = list } = shape
    const ids = new Map<string, string>()
    const refused: Message[] = []
    const known: Message[] = []
    for (const topic of request[list]) {
      const name = access.topicNameOf(topic.topicId)
      if (name === undefined) {
        refused.push({ ...refuseTopic({ ...topic, name: '' }, { errorCode: ERROR.UNKNOWN_TOPIC_ID }, shape), topicId: topic.topicId })
      } else {
        ids.set(name, topic.topicId)
        // The request was decoded for this one answer.
        topic.name = name
        known.push(topic)
      }
    }
    const withIds = (answer: Message) => ({
      ...answer,
      [answerList]: [...answer[answerList].map((topic: Message) => ({ ...topic, topicId: ids.get(topic.name) })), ...refused],
    })
    const named = { ...request, [list]: known }
    const guarded = guard(named, access)
    if (guarded?.answer) return { answer: withIds(guarded.answer) }
    return { request: guarded?.request ?? named, finish: (answer) => withIds(guarded?.finish ? guarded.finish(answer) : answer) }
  }

const mayGroup = (operation: number) => (request: Message, access: Access) => access.may(operation, RESOURCE.group, request.groupId)
const group = (operation: number): Guard => all(mayGroup(operation), () => GROUP_REFUSED)
const cluster = (operation: number, refused: (request: Message) => Message = () => CLUSTER_REFUSED): Guard =>
  all((_, access) => access.may(operation, RESOURCE.cluster), refused)
const mayTransaction =
  (operation: number, field = 'transactionalId') =>
  (request: Message, access: Access) =>
    access.may(operation, RESOURCE.transactionalId, request[field])

const produceShape = {
  list: 'topicData',
  partitions: 'partitionData',
  index: 'index',
  answerList: 'responses',
  answerPartitions: 'partitionResponses',
  more: { baseOffset: -1 },
}

const produce: Guard = both(
  all(
    (request, access) => request.transactionalId === null || mayTransaction(write)(request, access),
    refuseAll(TRANSACTION_REFUSED, produceShape),
  ),
  topicsOf(write, produceShape),
)

/** Named topics get an error; a list of all leaves out what one may not see. Ids of topics that one may not see are unknown. */
const metadata: Guard = (request, access) => {
  const may = mayTopic(access, describe)
  const isAll = request.topics === null || (access.version === 0 && request.topics.length === 0)
  if (isAll) return { finish: (answer) => ({ ...answer, topics: answer.topics.filter(({ name }: Message) => may(name)) }) }
  const nameOf = (topic: Message): string | undefined => topic.name ?? access.topicNameOf(topic.topicId)
  const refused = request.topics.filter((topic: Message) => !may(nameOf(topic) ?? ''))
  const kept = request.topics.filter((topic: Message) => !refused.includes(topic))
  const mayCreate = access.may(create, RESOURCE.cluster) || kept.every(({ name }: Message) => mayTopic(access, create)(name ?? ''))
  if (refused.length === 0 && (mayCreate || !request.allowAutoTopicCreation)) return undefined
  const answers = refused.map(({ name, topicId }: Message) =>
    name === null ? { errorCode: ERROR.UNKNOWN_TOPIC_ID, name: null, topicId } : { errorCode: ERROR.TOPIC_AUTHORIZATION_FAILED, name },
  )
  return {
    // With no topic left the handler is asked for none, not for all.
    request: { ...request, topics: kept, allowAutoTopicCreation: request.allowAutoTopicCreation && mayCreate },
    finish: (answer) => ({ ...answer, topics: [...(kept.length === 0 ? [] : answer.topics), ...answers] }),
  }
}

const describeTopicPartitions: Guard = (request, access) => {
  const may = mayTopic(access, describe)
  if (request.topics.length === 0)
    return { finish: (answer) => ({ ...answer, topics: answer.topics.filter(({ name }: Message) => may(name)) }) }
  return each(
    'topics',
    ({ name }) => may(name),
    ({ name }) => ({ errorCode: ERROR.TOPIC_AUTHORIZATION_FAILED, name }),
  )(request, access)
}

const offsetFetch: Guard = (request, access) => {
  const mayGroupOf = (groupId: string) => access.may(describe, RESOURCE.group, groupId)
  const may = mayTopic(access, describe)
  const withoutTopics = (topics: Message[] | null) => (topics === null ? null : topics.filter(({ name }) => may(name)))
  const refusedTopics = (topics: Message[] | null) =>
    (topics ?? [])
      .filter(({ name }) => !may(name))
      .map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex: number) => ({
          partitionIndex,
          committedOffset: -1,
          metadata: '',
          ...TOPIC_REFUSED,
        })),
      }))
  const seen = (topics: Message[]) => topics.filter(({ name }) => may(name))
  if (access.version < 8) {
    if (!mayGroupOf(request.groupId)) {
      const shape = { partitions: 'partitionIndexes', answerPartitions: 'partitions', more: { committedOffset: -1, metadata: '' } }
      // Version 1 has no place for the error but the partitions.
      const topics = access.version < 2 ? refuseAll(GROUP_REFUSED, shape)(request).topics : []
      return { answer: { ...GROUP_REFUSED, topics } }
    }
    return {
      request: { ...request, topics: withoutTopics(request.topics) },
      finish: (answer) => ({ ...answer, topics: [...seen(answer.topics ?? []), ...refusedTopics(request.topics)] }),
    }
  }
  const refused = request.groups.filter(({ groupId }: Message) => !mayGroupOf(groupId))
  const kept = request.groups.filter((one: Message) => !refused.includes(one))
  return {
    request: { ...request, groups: kept.map((one: Message) => ({ ...one, topics: withoutTopics(one.topics) })) },
    finish: (answer) => ({
      ...answer,
      groups: [
        ...answer.groups.map((one: Message) => {
          const asked = kept.find(({ groupId }: Message) => groupId === one.groupId)
          return { ...one, topics: [...seen(one.topics ?? []), ...refusedTopics(asked?.topics ?? null)] }
        }),
        ...refused.map(({ groupId }: Message) => ({ groupId, ...GROUP_REFUSED })),
      ],
    }),
  }
}

/** As `byId`, with a list of topics in each group, and null for all of them: those that are deleted have no id, and are left out. */
const offsetFetchById: Guard = (request, access) => {
  if (access.version < 10) return offsetFetch(request, access)
  const unknown = new Map<string, Message[]>()
  const groups = request.groups.map((one: Message) => {
    if (one.topics === null) return one
    const named = one.topics.map((topic: Message) => ({ ...topic, name: access.topicNameOf(topic.topicId) }))
    const answers = named
      .filter(({ name }: Message) => name === undefined)
      .map(({ topicId, partitionIndexes }: Message) => ({
        topicId,
        partitions: partitionIndexes.map((partitionIndex: number) => ({
          partitionIndex,
          committedOffset: -1,
          metadata: '',
          errorCode: ERROR.UNKNOWN_TOPIC_ID,
        })),
      }))
    unknown.set(one.groupId, answers)
    return { ...one, topics: named.filter(({ name }: Message) => name !== undefined) }
  })
  const guarded = offsetFetch({ ...request, groups }, access)!
  const withIds = (one: Message) => {
    const known = (one.topics ?? []).flatMap((topic: Message) => {
      const topicId = access.topicIdOf(topic.name)
      return topicId === undefined ? [] : [{ ...topic, topicId }]
    })
    return { ...one, topics: one.errorCode ? [] : [...known, ...(unknown.get(one.groupId) ?? [])] }
  }
  return {
    ...guarded,
    finish: (answer) => {
      const finished = guarded.finish!(answer)
      return { ...finished, groups: finished.groups.map(withIds) }
    },
  }
}

const GROUP_KEY = 0
const findCoordinator: Guard = (request, access) => {
  const type = request.keyType === GROUP_KEY ? RESOURCE.group : RESOURCE.transactionalId
  const refused = request.keyType === GROUP_KEY ? GROUP_REFUSED : TRANSACTION_REFUSED
  if (access.version < 4)
    return access.may(describe, type, request.key) ? undefined : { answer: { ...refused, nodeId: -1, host: '', port: -1 } }
  return each(
    'coordinatorKeys',
    (key) => access.may(describe, type, key),
    (key) => ({ key, nodeId: -1, host: '', port: -1, ...refused }),
    'coordinators',
  )(request, access)
}

const listGroups: Guard = (_, access) => {
  if (access.may(describe, RESOURCE.cluster)) return undefined
  const isSeen = ({ groupId }: Message) => access.may(describe, RESOURCE.group, groupId)
  return { finish: (answer) => ({ ...answer, groups: (answer.groups ?? []).filter(isSeen) }) }
}

const consumerGroupHeartbeat: Guard = both(
  group(read),
  all(
    ({ subscribedTopicNames }, access) => (subscribedTopicNames ?? []).every(mayTopic(access, describe)),
    () => TOPIC_REFUSED,
  ),
)

const createTopics: Guard = each(
  'topics',
  ({ name }, access) => access.may(create, RESOURCE.cluster) || mayTopic(access, create)(name),
  ({ name }) => ({ name, ...TOPIC_REFUSED, configs: null }),
)

const deleteTopics: Guard = (request, access) => {
  const isByName = access.version < 6
  const may = (topic: Message) => mayTopic(access, remove)((isByName ? topic : (topic.name ?? access.topicNameOf(topic.topicId))) ?? '')
  const refuse = (topic: Message) => {
    if (isByName) return { name: topic, ...TOPIC_REFUSED }
    return topic.name === null ? { ...topic, errorCode: ERROR.UNKNOWN_TOPIC_ID } : { ...topic, ...TOPIC_REFUSED }
  }
  return each(isByName ? 'topicNames' : 'topics', may, refuse, 'responses')(request, access)
}

const [TOPIC_CONFIG, GROUP_CONFIG] = [2, 32]
const configs = (operation: number, answerList: string): Guard =>
  each(
    'resources',
    ({ resourceType, resourceName }, access) => {
      if (resourceType === TOPIC_CONFIG) return mayTopic(access, operation)(resourceName)
      if (resourceType === GROUP_CONFIG) return access.may(operation, RESOURCE.group, resourceName)
      return access.may(operation, RESOURCE.cluster)
    },
    ({ resourceType, resourceName }) => {
      const refused = resourceType === GROUP_CONFIG ? GROUP_REFUSED : CLUSTER_REFUSED
      return { resourceType, resourceName, configs: [], ...(resourceType === TOPIC_CONFIG ? TOPIC_REFUSED : refused) }
    },
    answerList,
  )

const initProducerId: Guard = all(
  (request, access) =>
    request.transactionalId === null
      ? access.mayWriteAnywhere() || access.may(idempotentWrite, RESOURCE.cluster)
      : mayTransaction(write)(request, access),
  ({ transactionalId }) => ({
    ...(transactionalId === null ? CLUSTER_REFUSED : TRANSACTION_REFUSED),
    producerId: -1,
    producerEpoch: -1,
  }),
)

/** From version 4 on it is what brokers ask each other. A topic that is refused keeps the others from being added. */
const addPartitionsToTxn: Guard = (request, access) => {
  if (access.version >= 4) return access.may(clusterAction, RESOURCE.cluster) ? undefined : { answer: CLUSTER_REFUSED }
  const isOwner = mayTransaction(write)(request, access)
  const may = mayTopic(access, write)
  if (isOwner && request.topics.every(({ name }: Message) => may(name))) return undefined
  const codeOf = (name: string) => {
    if (!isOwner) return ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return may(name) ? ERROR.OPERATION_NOT_ATTEMPTED : ERROR.TOPIC_AUTHORIZATION_FAILED
  }
  const resultsByTopic = request.topics.map(({ name, partitions }: Message) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex: number) => ({ partitionIndex, partitionErrorCode: codeOf(name) })),
  }))
  return { answer: { resultsByTopic } }
}

/** Nobody reads a topic that holds secrets, but who its producers are is no secret: tools that look at all partitions would fail at it. */
const describeProducers: Guard = each(
  'topics',
  ({ name }, access) => mayTopic(access, isSecretTopic(name) ? describe : read)(name),
  (topic) => refuseTopic(topic, TOPIC_REFUSED, { partitions: 'partitionIndexes', answerPartitions: 'partitions' }),
)

const offsetCommit: Guard = both(all(mayGroup(read), refuseAll(GROUP_REFUSED)), topicsOf(read))
const txnOffsetCommit: Guard = both(
  all(mayTransaction(write), refuseAll(TRANSACTION_REFUSED)),
  both(all(mayGroup(read), refuseAll(GROUP_REFUSED)), topicsOf(read)),
)
const scramUsers = ({ deletions, upsertions }: Message) => [...new Set([...deletions, ...upsertions].map(({ name }: Message) => name))]

const topicOperations = [read, write, create, remove, alter, describe, describeConfigs, alterConfigs]
const groupOperations = [read, remove, describe, describeConfigs, alterConfigs]
const clusterOperations = [create, alter, describe, clusterAction, describeConfigs, alterConfigs, idempotentWrite]

/** What the client may do, a bit for the number of each operation. */
const allowedBits = (access: Access, operations: readonly number[], resourceType: number, name?: string): number =>
  operations.reduce((bits, operation) => (access.may(operation, resourceType, name) ? bits | (1 << operation) : bits), 0)

/** Tells in the answer what the client may do, where the request asks for it: `fill` gives what is to be in the answer instead. */
const withOperations =
  (guard: Guard, fill: (answer: Message, request: Message, access: Access) => Message | undefined): Guard =>
  (request, access) => {
    const guarded = guard(request, access)
    if (guarded?.answer) return guarded
    const finish = (answer: Message) => {
      const finished = guarded?.finish ? guarded.finish(answer) : answer
      return { ...finished, ...fill(finished, request, access) }
    }
    return { ...guarded, finish }
  }

const topicsWith = (topics: Message[], access: Access): Message[] =>
  topics.map((topic) =>
    topic.errorCode ? topic : { ...topic, topicAuthorizedOperations: allowedBits(access, topicOperations, RESOURCE.topic, topic.name) },
  )
const groupsWith = (answer: Message, { includeAuthorizedOperations }: Message, access: Access): Message =>
  includeAuthorizedOperations && {
    groups: answer.groups.map((one: Message) =>
      one.errorCode ? one : { ...one, authorizedOperations: allowedBits(access, groupOperations, RESOURCE.group, one.groupId) },
    ),
  }
const clusterWith = (_: Message, { includeClusterAuthorizedOperations }: Message, access: Access): Message =>
  includeClusterAuthorizedOperations && { clusterAuthorizedOperations: allowedBits(access, clusterOperations, RESOURCE.cluster) }
const metadataWith = (answer: Message, request: Message, access: Access): Message => ({
  ...clusterWith(answer, request, access),
  ...(request.includeTopicAuthorizedOperations && { topics: topicsWith(answer.topics, access) }),
})

/** By API key. */
export const guards: Readonly<Record<number, Guard>> = {
  0: byId(13, produce, produceShape),
  1: free,
  2: topicsOf(describe, { more: { offset: -1, timestamp: -1, leaderEpoch: -1 } }),
  3: withOperations(metadata, metadataWith),
  8: byId(10, offsetCommit),
  9: offsetFetchById,
  10: findCoordinator,
  11: group(read),
  12: group(read),
  13: group(read),
  14: group(read),
  15: withOperations(
    each(
      'groups',
      (id, access) => access.may(describe, RESOURCE.group, id),
      (groupId) => ({ groupId, ...GROUP_REFUSED }),
    ),
    groupsWith,
  ),
  16: listGroups,
  17: free,
  18: free,
  19: createTopics,
  20: deleteTopics,
  21: topicsOf(remove, { more: { lowWatermark: -1 } }),
  22: initProducerId,
  23: topicsOf(describe, { name: 'topic', index: 'partition' }),
  24: addPartitionsToTxn,
  25: both(
    all(mayTransaction(write), () => TRANSACTION_REFUSED),
    group(read),
  ),
  26: all(mayTransaction(write), () => TRANSACTION_REFUSED),
  27: cluster(clusterAction, ({ markers }) => ({
    markers: markers.map(({ producerId, topics }: Message) => ({
      producerId,
      topics: topics.map(({ name, partitionIndexes }: Message) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex: number) => ({ partitionIndex, ...CLUSTER_REFUSED })),
      })),
    })),
  })),
  28: txnOffsetCommit,
  29: cluster(describe, () => ({ ...CLUSTER_REFUSED, resources: [] })),
  30: cluster(alter, ({ creations }) => ({ results: creations.map(() => CLUSTER_REFUSED) })),
  31: cluster(alter, ({ filters }) => ({ filterResults: filters.map(() => ({ ...CLUSTER_REFUSED, matchingAcls: [] })) })),
  32: configs(describeConfigs, 'results'),
  33: configs(alterConfigs, 'responses'),
  34: cluster(alter, ({ dirs }) => ({
    results: dirs.flatMap(({ topics }: Message) =>
      topics.map(({ name, partitions }: Message) => ({
        topicName: name,
        partitions: partitions.map((partitionIndex: number) => ({ partitionIndex, ...CLUSTER_REFUSED })),
      })),
    ),
  })),
  35: cluster(describe, () => ({ ...CLUSTER_REFUSED, results: [] })),
  36: free,
  37: each(
    'topics',
    ({ name }, access) => mayTopic(access, alter)(name),
    ({ name }) => ({ name, ...TOPIC_REFUSED }),
    'results',
  ),
  38: free,
  39: free,
  40: free,
  41: free,
  42: each(
    'groupsNames',
    (id, access) => access.may(remove, RESOURCE.group, id),
    (groupId) => ({ groupId, ...GROUP_REFUSED }),
    'results',
  ),
  43: cluster(alter, ({ topicPartitions }) => ({
    ...CLUSTER_REFUSED,
    replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }: Message) => ({
      topic,
      partitionResult: partitions.map((partitionId: number) => ({ partitionId, ...CLUSTER_REFUSED })),
    })),
  })),
  44: configs(alterConfigs, 'responses'),
  45: cluster(alter, () => ({ ...CLUSTER_REFUSED, responses: [] })),
  46: cluster(describe, () => ({ ...CLUSTER_REFUSED, topics: [] })),
  47: both(group(remove), topicsOf(read)),
  48: cluster(describeConfigs, () => ({ ...CLUSTER_REFUSED, entries: null })),
  49: cluster(alterConfigs, ({ entries }) => ({ entries: entries.map(({ entity }: Message) => ({ entity, ...CLUSTER_REFUSED })) })),
  50: cluster(describe, () => ({ ...CLUSTER_REFUSED, results: [] })),
  51: cluster(alter, (request) => ({ results: scramUsers(request).map((user) => ({ user, ...CLUSTER_REFUSED })) })),
  55: cluster(describe, () => CLUSTER_REFUSED),
  57: cluster(alter, ({ featureUpdates }) => ({
    ...CLUSTER_REFUSED,
    results: featureUpdates.map(({ feature }: Message) => ({ feature, ...CLUSTER_REFUSED })),
  })),
  60: withOperations(free, clusterWith),
  61: describeProducers,
  64: cluster(alter),
  65: each(
    'transactionalIds',
    (id, access) => access.may(describe, RESOURCE.transactionalId, id),
    (transactionalId) => ({ transactionalId, ...TRANSACTION_REFUSED }),
    'transactionStates',
  ),
  66: (_, access) => ({
    finish: (answer) => ({
      ...answer,
      transactionStates: (answer.transactionStates ?? []).filter(({ transactionalId }: Message) =>
        access.may(describe, RESOURCE.transactionalId, transactionalId),
      ),
    }),
  }),
  68: consumerGroupHeartbeat,
  69: withOperations(
    each(
      'groupIds',
      (id, access) => access.may(describe, RESOURCE.group, id),
      (groupId) => ({ groupId, ...GROUP_REFUSED }),
      'groups',
    ),
    groupsWith,
  ),
  74: cluster(describeConfigs),
  75: withOperations(describeTopicPartitions, ({ topics }, _, access) => ({ topics: topicsWith(topics, access) })),
}
