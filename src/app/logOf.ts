// The log that a configuration asks for: our own files, or a real Kafka.
import { HostedKafka, kafkaThread } from '../kafka/index.ts'
import { type LocalLog, type Log, lockFolder, openKafkaLog, openLog } from '../log/index.ts'
import { finishRestore, isRestoreCutOff } from './backup/restore.ts'
import type { Config } from './config.ts'
import { appErrors } from './errors.ts'

export interface OpenedLog {
  log: Log
  /** The same, if it is in our own files: only then is there a port for Kafka clients, who otherwise go to the cluster itself. */
  local: LocalLog | undefined
  /** The Kafka port in the thread of the log's writer, where there is to be one. */
  hosted: HostedKafka | undefined
  close(): Promise<void>
}

/**
 * @param fresh  deletes all topics: of our own files only
 * @throws       DATA_FOLDER_LOCKED, LOG_REMOTE_UNAVAILABLE, OPTION_INVALID and others of the log
 */
export async function logOf({ kafka, dataFolder, durability, isKafkaPortGiven, kafkaPort }: Config, fresh: boolean): Promise<OpenedLog> {
  completeRestore(dataFolder)
  if (!kafka) {
    const hosted = kafkaPort === 'none' ? undefined : new HostedKafka()
    const host = hosted && { thread: kafkaThread, port: hosted.hostPort }
    const local = await openLog({ folder: dataFolder, durability, host })
    if (fresh) for (const { name } of local.topics()) await local.deleteTopic(name)
    return { log: local, local, hosted, close: () => local.close() }
  }
  const refuse = (option: string, value: string, expected: string) => appErrors('OPTION_INVALID', { option, value, expected })
  if (fresh)
    throw refuse(
      '--kafka-bootstrap',
      kafka.bootstrap.join(','),
      "our own log here: this command deletes all topics, and a cluster's are not ours",
    )
  if (isKafkaPortGiven && kafkaPort !== 'none')
    throw refuse('--kafka-port', String(kafkaPort), 'none: with --kafka-bootstrap, clients go to the cluster')
  // Catalog, positions and tokens are still here.
  const unlock = lockFolder(dataFolder)
  try {
    const log = await openKafkaLog(kafka)
    return { log, local: undefined, hosted: undefined, close: () => log.close().finally(unlock) }
  } catch (error) {
    unlock()
    throw error
  }
}

/** A restore that was killed behind its point of no return is completed before anybody looks. */
function completeRestore(dataFolder: string): void {
  if (!isRestoreCutOff(dataFolder)) return
  const unlock = lockFolder(dataFolder)
  try {
    finishRestore(dataFolder)
  } finally {
    unlock()
  }
}
