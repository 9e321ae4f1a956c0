// Who this broker is: ApiVersions, UpdateFeatures, DescribeCluster, UnregisterBroker, DescribeQuorum, FindCoordinator, DescribeLogDirs.
import { statfsSync } from 'node:fs'
import { type Broker, type Handler, handler, METADATA_TOPIC, NODE_ID } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { apiVersionsApi } from '../messages/apiVersions.ts'
import { describeClusterApi } from '../messages/describeCluster.ts'
import { describeLogDirsApi } from '../messages/describeLogDirs.ts'
import { describeQuorumApi } from '../messages/describeQuorum.ts'
import { findCoordinatorApi } from '../messages/findCoordinator.ts'
import { produceApi } from '../messages/produce.ts'
import { unregisterBrokerApi } from '../messages/unregisterBroker.ts'
import { updateFeaturesApi } from '../messages/updateFeatures.ts'
import { answerError } from './partitions.ts'

const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** Version 2: every transaction has an epoch of its own, and partitions are added by their first batch (KIP-890). */
const TRANSACTION_VERSION = 2
/** Version 1: the group protocol of KIP-848. */
const GROUP_VERSION = 1
const features = [
  { name: 'group.version', level: GROUP_VERSION },
  { name: 'transaction.version', level: TRANSACTION_VERSION },
]
const supportedFeatures = features.map(({ name, level }) => ({ name, minVersion: 0, maxVersion: level }))
/** Java clients from 3.0 to 3.8 fail at a feature that begins at 0, and ask with an older version: they are told of none, as by Kafka. */
const FEATURES_FROM_0_VERSION = 4
const finalizedFeatures = features.map(({ name, level }) => ({ name, minVersionLevel: level, maxVersionLevel: level }))

/** @param handlers  all there are, also those that are added later */
export const apiVersionsHandler = (handlers: () => Iterable<Handler>) =>
  handler(apiVersionsApi, ({ clientSoftwareName, clientSoftwareVersion }, { version, client }) => {
    const isNamed = version < 3 || (SOFTWARE_NAME.test(clientSoftwareName) && SOFTWARE_NAME.test(clientSoftwareVersion))
    if (!isNamed) return { errorCode: ERROR.INVALID_REQUEST }
    client.name = clientSoftwareName
    const apiKeys = [...handlers()].map(({ api: { key, versions } }) => {
      // Below 3 Produce is refused; but librdkafka takes a broker that does not list 0 for one without compression. Kafka does the same.
      const minVersion = key === produceApi.key ? 0 : versions[0]
      return { apiKey: key, minVersion, maxVersion: versions[1] }
    })
    const told = version < FEATURES_FROM_0_VERSION ? [] : supportedFeatures
    const sorted = apiKeys.sort((a, b) => a.apiKey - b.apiKey)
    return { apiKeys: sorted, supportedFeatures: told, finalizedFeaturesEpoch: 0, finalizedFeatures }
  })

/** Levels are those of the program: one that holds can be asked for. */
export const updateFeaturesHandler = (broker: Broker) =>
  handler(updateFeaturesApi, ({ featureUpdates }) => {
    const results = featureUpdates.map(({ feature, maxVersionLevel }) => {
      const known = features.find(({ name }) => name === feature)
      if (known?.level === maxVersionLevel) return { feature, errorCode: ERROR.NONE, errorMessage: null }
      const fact = known ? `${feature} is ${known.level} here, and stays so` : `there is no feature ${feature} here`
      return { feature, ...answerError(broker, 'UpdateFeatures', new KafkaError(ERROR.INVALID_UPDATE_VERSION, fact)) }
    })
    // All or none; since version 2 the first that was refused answers for all.
    const { errorCode, errorMessage } = results.find((result) => result.errorCode !== ERROR.NONE) ?? {
      errorCode: ERROR.NONE,
      errorMessage: null,
    }
    return { errorCode, errorMessage, results }
  })

export const unregisterBrokerHandler = (broker: Broker) =>
  handler(unregisterBrokerApi, ({ brokerId }) => {
    const error =
      brokerId === NODE_ID
        ? new KafkaError(ERROR.INVALID_REQUEST, `broker ${brokerId} is the one that answers`)
        : new KafkaError(ERROR.BROKER_ID_NOT_REGISTERED, `there is no broker ${brokerId}`)
    return answerError(broker, 'UnregisterBroker', error)
  })

export const describeClusterHandler = (broker: Broker) =>
  handler(describeClusterApi, ({ endpointType }, { host, port }) => {
    if (endpointType !== 1) return { errorCode: ERROR.INVALID_REQUEST, errorMessage: 'this is a broker endpoint', endpointType }
    return { clusterId: broker.clusterId, controllerId: NODE_ID, brokers: [{ brokerId: NODE_ID, host, port }] }
  })

/** A quorum of one, this broker: there is no log of metadata whose offsets could be told. */
export const describeQuorumHandler = (broker: Broker) =>
  handler(describeQuorumApi, ({ topics }, { host, port }) => {
    const nowMs = broker.now()
    const itself = { replicaId: NODE_ID, logEndOffset: 0, lastFetchTimestamp: nowMs, lastCaughtUpTimestamp: nowMs }
    const described = { leaderId: NODE_ID, leaderEpoch: 0, highWatermark: 0, currentVoters: [itself] }
    return {
      topics: topics.map(({ topicName, partitions }) => ({
        topicName,
        partitions: partitions.map(({ partitionIndex }) =>
          topicName === METADATA_TOPIC && partitionIndex === 0
            ? { partitionIndex, ...described }
            : { partitionIndex, errorCode: ERROR.UNKNOWN_TOPIC_OR_PARTITION, leaderId: -1, leaderEpoch: -1, highWatermark: -1 },
        ),
      })),
      nodes: [{ nodeId: NODE_ID, listeners: [{ name: 'CONTROLLER', host, port }] }],
    }
  })

const GROUP = 0
const TRANSACTION = 1

export const findCoordinatorHandler = () =>
  handler(findCoordinatorApi, ({ key, keyType, coordinatorKeys }, { version, host, port }) => {
    const answer = (one: string) =>
      keyType === GROUP || keyType === TRANSACTION
        ? { key: one, nodeId: NODE_ID, host, port, errorCode: ERROR.NONE, errorMessage: null }
        : { key: one, nodeId: -1, errorCode: ERROR.INVALID_REQUEST, errorMessage: `coordinators of type ${keyType}` }
    return version < 4 ? answer(key) : { coordinators: coordinatorKeys.map(answer) }
  })

export const describeLogDirsHandler = (broker: Broker) =>
  handler(describeLogDirsApi, async ({ topics: wanted }, { turns }) => {
    const asked = wanted && new Map(wanted.map(({ topic, partitions }) => [topic, new Set(partitions)]))
    const found = broker.log.topics().filter(({ name }) => !asked || asked.has(name))
    const topics = await turns.map(found, ({ name, partitions }) => {
      const some = asked?.get(name)
      const chosen = some && some.size > 0 ? partitions.filter(({ partition }) => some.has(partition)) : partitions
      return { name, partitions: chosen.map(({ partition, sizeBytes }) => ({ partitionIndex: partition, partitionSize: sizeBytes })) }
    })
    const { blocks, bavail, bsize } = statfsSync(broker.log.folder)
    return { results: [{ logDir: broker.log.folder, topics, totalBytes: blocks * bsize, usableBytes: bavail * bsize }] }
  })
