// All APIs that this broker answers: the list that ApiVersions shows.
import type { Broker, Handler } from '../broker.ts'
import type { Groups } from '../groups/coordinator.ts'
import { createAclsHandler, deleteAclsHandler, describeAclsHandler } from './acls.ts'
import { alterClientQuotasHandler, describeClientQuotasHandler } from './clientQuotas.ts'
import {
  apiVersionsHandler,
  describeClusterHandler,
  describeLogDirsHandler,
  describeQuorumHandler,
  findCoordinatorHandler,
  unregisterBrokerHandler,
  updateFeaturesHandler,
} from './cluster.ts'
import { alterConfigsHandler, describeConfigsHandler, incrementalAlterConfigsHandler, listConfigResourcesHandler } from './configs.ts'
import {
  createDelegationTokenHandler,
  describeDelegationTokenHandler,
  expireDelegationTokenHandler,
  renewDelegationTokenHandler,
} from './delegationTokens.ts'
import { fetchHandler } from './fetch.ts'
import {
  consumerGroupDescribeHandler,
  consumerGroupHeartbeatHandler,
  deleteGroupsHandler,
  describeGroupsHandler,
  heartbeatHandler,
  joinGroupHandler,
  leaveGroupHandler,
  listGroupsHandler,
  syncGroupHandler,
} from './groups.ts'
import { listOffsetsHandler, offsetForLeaderEpochHandler } from './listOffsets.ts'
import { describeTopicPartitionsHandler, metadataHandler } from './metadata.ts'
import { offsetCommitHandler, offsetDeleteHandler, offsetFetchHandler } from './offsets.ts'
import { produceHandler } from './produce.ts'
import { describeProducersHandler, initProducerIdHandler } from './producers.ts'
import {
  alterPartitionReassignmentsHandler,
  alterReplicaLogDirsHandler,
  electLeadersHandler,
  listPartitionReassignmentsHandler,
} from './replicas.ts'
import { applyTopicDefaults } from './resourceConfigs.ts'
import { saslAuthenticateHandler, saslHandshakeHandler } from './sasl.ts'
import { alterUserScramCredentialsHandler, describeUserScramCredentialsHandler } from './scramCredentials.ts'
import { createPartitionsHandler, createTopicsHandler, deleteRecordsHandler, deleteTopicsHandler } from './topics.ts'
import {
  addOffsetsToTxnHandler,
  addPartitionsToTxnHandler,
  describeTransactionsHandler,
  endTxnHandler,
  listTransactionsHandler,
  txnOffsetCommitHandler,
  writeTxnMarkersHandler,
} from './transactions.ts'

/** By API key. */
export function makeHandlers(broker: Broker, groups: Groups): ReadonlyMap<number, Handler> {
  const handlers = new Map<number, Handler>()
  const all = [
    produceHandler(broker),
    fetchHandler(broker),
    listOffsetsHandler(broker),
    metadataHandler(broker),
    offsetCommitHandler(broker, groups),
    offsetFetchHandler(groups),
    findCoordinatorHandler(),
    joinGroupHandler(broker, groups),
    heartbeatHandler(groups),
    leaveGroupHandler(groups),
    syncGroupHandler(groups),
    describeGroupsHandler(groups),
    listGroupsHandler(groups),
    apiVersionsHandler(() => handlers.values()),
    createTopicsHandler(broker),
    deleteTopicsHandler(broker, (topic) => groups.offsets.deleteTopic(topic)),
    deleteRecordsHandler(broker),
    initProducerIdHandler(broker),
    offsetForLeaderEpochHandler(broker),
    addPartitionsToTxnHandler(broker),
    addOffsetsToTxnHandler(broker, groups),
    endTxnHandler(broker),
    writeTxnMarkersHandler(broker),
    txnOffsetCommitHandler(broker, groups),
    describeConfigsHandler(broker),
    alterConfigsHandler(broker),
    alterReplicaLogDirsHandler(broker),
    describeLogDirsHandler(broker),
    createPartitionsHandler(broker),
    incrementalAlterConfigsHandler(broker),
    deleteGroupsHandler(broker, groups),
    electLeadersHandler(broker),
    alterPartitionReassignmentsHandler(broker),
    listPartitionReassignmentsHandler(),
    offsetDeleteHandler(broker, groups),
    updateFeaturesHandler(broker),
    describeClusterHandler(broker),
    unregisterBrokerHandler(broker),
    consumerGroupHeartbeatHandler(broker, groups),
    consumerGroupDescribeHandler(broker, groups),
    describeProducersHandler(broker),
    describeTransactionsHandler(broker),
    listTransactionsHandler(broker),
    describeTopicPartitionsHandler(broker),
    saslHandshakeHandler(broker),
    saslAuthenticateHandler(broker),
    describeAclsHandler(broker),
    createAclsHandler(broker),
    deleteAclsHandler(broker),
    describeClientQuotasHandler(broker),
    alterClientQuotasHandler(broker),
    describeUserScramCredentialsHandler(broker),
    alterUserScramCredentialsHandler(broker),
    createDelegationTokenHandler(),
    renewDelegationTokenHandler(),
    expireDelegationTokenHandler(),
    describeDelegationTokenHandler(),
    describeQuorumHandler(broker),
    listConfigResourcesHandler(broker),
  ]
  applyTopicDefaults(broker).catch((error: unknown) => {
    broker.logger.error({ err: error }, `what topics have by default could not be told to the log: ${(error as Error).message}`)
  })
  for (const one of all) handlers.set(one.api.key, one)
  return handlers
}
