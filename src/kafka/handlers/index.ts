// All APIs that this broker answers: the list that ApiVersions shows.
import type { Broker, Handler } from '../broker.ts'
import { apiVersionsHandler, describeClusterHandler, describeLogDirsHandler, findCoordinatorHandler } from './cluster.ts'
import { alterConfigsHandler, describeConfigsHandler, incrementalAlterConfigsHandler } from './configs.ts'
import { fetchHandler } from './fetch.ts'
import { listOffsetsHandler, offsetForLeaderEpochHandler } from './listOffsets.ts'
import { describeTopicPartitionsHandler, metadataHandler } from './metadata.ts'
import { produceHandler } from './produce.ts'
import { createPartitionsHandler, createTopicsHandler, deleteRecordsHandler, deleteTopicsHandler } from './topics.ts'

/** By API key. */
export function makeHandlers(broker: Broker): ReadonlyMap<number, Handler> {
  const handlers = new Map<number, Handler>()
  const all = [
    produceHandler(broker),
    fetchHandler(broker),
    listOffsetsHandler(broker),
    metadataHandler(broker),
    findCoordinatorHandler(),
    apiVersionsHandler(() => handlers.values()),
    createTopicsHandler(broker),
    deleteTopicsHandler(broker, () => {}),
    deleteRecordsHandler(broker),
    offsetForLeaderEpochHandler(broker),
    describeConfigsHandler(broker),
    alterConfigsHandler(broker),
    describeLogDirsHandler(broker),
    createPartitionsHandler(broker),
    incrementalAlterConfigsHandler(broker),
    describeClusterHandler(broker),
    describeTopicPartitionsHandler(broker),
  ]
  for (const one of all) handlers.set(one.api.key, one)
  return handlers
}
