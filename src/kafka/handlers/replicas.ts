// ElectLeaders, partition reassignments and AlterReplicaLogDirs, as Kafka answers them where there is one broker with one folder: it leads
// everything, and nothing can move.
import { resolve } from 'node:path'
import { type Broker, handler, NODE_ID } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { alterPartitionReassignmentsApi } from '../messages/alterPartitionReassignments.ts'
import { alterReplicaLogDirsApi } from '../messages/alterReplicaLogDirs.ts'
import { electLeadersApi } from '../messages/electLeaders.ts'
import { listPartitionReassignmentsApi } from '../messages/listPartitionReassignments.ts'
import { answerError, partitionOf } from './partitions.ts'

export const electLeadersHandler = (broker: Broker) =>
  handler(electLeadersApi, async ({ topicPartitions }, { turns }) => {
    const replicaElectionResults = await turns.map(topicPartitions ?? [], async ({ topic, partitions }) => {
      const found = broker.log.topic(topic)
      const partitionResult = await turns.map(partitions, (partitionId) => {
        try {
          partitionOf(found, partitionId)
          throw new KafkaError(ERROR.ELECTION_NOT_NEEDED, 'Leader election not needed for topic partition.')
        } catch (error) {
          return { partitionId, ...answerError(broker, 'ElectLeaders', error) }
        }
      })
      return { topic, partitionResult }
    })
    return { replicaElectionResults }
  })

export const alterPartitionReassignmentsHandler = (broker: Broker) =>
  handler(alterPartitionReassignmentsApi, async ({ topics, allowReplicationFactorChange }, { turns }) => ({
    allowReplicationFactorChange,
    responses: await turns.map(topics, async ({ name, partitions }) => {
      const found = broker.log.topic(name)
      const answers = await turns.map(partitions, ({ partitionIndex, replicas }) => {
        try {
          partitionOf(found, partitionIndex)
          checkReplicas(replicas)
          return { partitionIndex, errorCode: ERROR.NONE }
        } catch (error) {
          return { partitionIndex, ...answerError(broker, 'AlterPartitionReassignments', error) }
        }
      })
      return { name, partitions: answers }
    }),
  }))

function checkReplicas(replicas: readonly number[] | null): void {
  if (replicas === null) throw new KafkaError(ERROR.NO_REASSIGNMENT_IN_PROGRESS, 'No partition reassignment is in progress.')
  if (replicas.length === 0) throw new KafkaError(ERROR.INVALID_REPLICA_ASSIGNMENT, 'The replica list must not be empty.')
  if (new Set(replicas).size < replicas.length) {
    throw new KafkaError(ERROR.INVALID_REPLICA_ASSIGNMENT, 'The replica list has a broker twice.')
  }
  const other = replicas.find((id) => id !== NODE_ID)
  if (other !== undefined)
    throw new KafkaError(ERROR.INVALID_REPLICA_ASSIGNMENT, `There is no broker ${other}; ${NODE_ID} is the only one.`)
}

export const listPartitionReassignmentsHandler = () => handler(listPartitionReassignmentsApi, () => ({ topics: [] }))

/** What is there already stays there: so a reassignment with the folders that kafka-reassign-partitions told can be given back to it. */
export const alterReplicaLogDirsHandler = (broker: Broker) =>
  handler(alterReplicaLogDirsApi, async ({ dirs }, { turns }) => {
    const topicsIn = dirs.flatMap(({ path, topics }) => topics.map((topic) => ({ path, ...topic })))
    const results = await turns.map(topicsIn, async ({ path, name, partitions }) => {
      const found = broker.log.topic(name)
      const isOurs = resolve(path) === resolve(broker.log.folder)
      const answers = await turns.map(partitions, (partitionIndex) => {
        try {
          if (!isOurs) throw new KafkaError(ERROR.LOG_DIR_NOT_FOUND, `${path} is no folder of the log`)
          partitionOf(found, partitionIndex)
          return { partitionIndex, errorCode: ERROR.NONE }
        } catch (error) {
          return { partitionIndex, errorCode: answerError(broker, 'AlterReplicaLogDirs', error).errorCode }
        }
      })
      return { topicName: name, partitions: answers }
    })
    return { results }
  })
