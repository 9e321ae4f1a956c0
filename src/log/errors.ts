// The log's errors. They cross the writer's port as JSON and are made whole again with `reviveLogError`.
import { defineErrors, type ErrorBody, isStreamError, reviveError, type StreamError, spec } from '../base/index.ts'

const badBatch = { kind: 'user', httpStatus: 400, retry: 'never' } as const
const badRequest = { kind: 'user', httpStatus: 400, retry: 'never' } as const
const diskTrouble = { kind: 'external', httpStatus: 503, retry: 'later' } as const

const specs = {
  LOG_BATCH_INVALID: spec<{ position: number; reason: string }>({
    ...badBatch,
    message: (p) => `not a valid record batch: ${p.reason} (byte ${p.position})`,
    hint: () => 'Send record batches of magic 2, as Kafka clients since 0.11 do.',
  }),
  LOG_BATCH_CHECKSUM: spec<{ position: number; expected: number; actual: number }>({
    ...badBatch,
    message: (p) => `record batch at byte ${p.position} has CRC32C ${p.actual.toString(16)}, its header says ${p.expected.toString(16)}`,
    hint: () => 'The bytes were changed on their way. Send the batch again.',
  }),
  LOG_BATCH_TOO_LARGE: spec<{ topic: string; sizeBytes: number; limitBytes: number }>({
    kind: 'user',
    httpStatus: 413,
    retry: 'never',
    message: (p) =>
      `record batch of ${p.sizeBytes} bytes is over the limit${p.limitBytes < 0 ? '' : ` of ${p.limitBytes} bytes`} of topic "${p.topic}"`,
    hint: () => "Send smaller batches, or raise the topic's max.message.bytes.",
  }),
  LOG_KEY_MISSING: spec<{ topic: string; index: number }>({
    ...badBatch,
    message: (p) => `record ${p.index} of the batch has no key, and topic "${p.topic}" is compacted`,
    hint: () => "Give each record a key, or set the topic's cleanup.policy to delete.",
  }),
  LOG_TIMESTAMP_INVALID: spec<{ topic: string; index: number; timestampMs: number; earliestMs: number; latestMs: number }>({
    ...badBatch,
    message: (p) =>
      `record ${p.index} of the batch has the timestamp ${p.timestampMs}, topic "${p.topic}" takes ${p.earliestMs} to ${p.latestMs}`,
    hint: () => "Correct the producer's clock, or change the topic's message.timestamp.before.max.ms or message.timestamp.after.max.ms.",
  }),
  LOG_TIMESTAMP_TOO_FAR: spec<{ timestampMs: number }>({
    ...badBatch,
    message: (p) => `a record has the timestamp ${p.timestampMs}, which is milliseconds of no year before 37,000`,
    hint: () => 'Timestamps are milliseconds since 1970: divide what is in microseconds or nanoseconds.',
  }),
  LOG_COMPRESSION_UNSUPPORTED: spec<{ codec: string }>({
    ...badBatch,
    message: (p) => `record batch is compressed with ${p.codec}, which is not supported`,
    hint: () => 'Use gzip, snappy, lz4, zstd or no compression.',
  }),
  DATA_FOLDER_LOCKED: spec<{ folder: string; pid: number }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'later',
    message: (p) => `data folder ${p.folder} is in use by process ${p.pid}`,
    hint: () => 'Stop that process, or give this one a data folder of its own.',
  }),
  DATA_FOLDER_NOT_WRITABLE: spec<{ folder: string; reason: string }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `data folder ${p.folder} cannot be written: ${p.reason}`,
    hint: () => 'Give this user the right to write there, or choose another data folder.',
  }),
  LOG_DISK_FULL: spec<{ path: string }>({
    kind: 'external',
    httpStatus: 507,
    retry: 'later',
    message: (p) => `no space left on the disk of ${p.path}`,
    hint: () => 'Free some space, or shorten the retention of a topic. Appends work again as soon as there is space.',
  }),
  LOG_WRITE_FAILED: spec<{ path: string; reason: string }>({
    ...diskTrouble,
    message: (p) => `writing ${p.path} failed: ${p.reason}`,
    hint: () => 'Nothing of the request was kept. Send it again; if it keeps failing, look at the disk (dmesg).',
  }),
  LOG_READ_FAILED: spec<{ path: string; reason: string }>({
    ...diskTrouble,
    message: (p) => `reading ${p.path} failed: ${p.reason}`,
    hint: () => 'Try again; if it keeps failing, look at the disk (dmesg) and at the limit of open files (ulimit -n).',
  }),
  LOG_SYNC_FAILED: spec<{ path: string; reason: string }>({
    ...diskTrouble,
    message: (p) => `the disk did not confirm ${p.path}: ${p.reason}`,
    hint: () => 'The records were not acknowledged and are cut off again. Send them again; if it keeps failing, look at the disk (dmesg).',
  }),
  LOG_PARTITION_FAILED: spec<{ path: string; reason: string }>({
    ...diskTrouble,
    message: (p) => `partition ${p.path} takes no records since its disk failed: ${p.reason}`,
    hint: () => 'It is checked and opened again with each append. Look at the disk (dmesg), or move the data folder to another one.',
  }),
  LOG_SEGMENT_DAMAGED: spec<{ path: string; position: number; firstOffset: number; nextOffset: number; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `${p.path} is damaged at byte ${p.position} (offsets ${p.firstOffset} to ${p.nextOffset - 1}): ${p.reason}`,
    hint: (p) =>
      `Other partitions go on, and so does this one from offset ${p.nextOffset}. \`millrace doctor --repair\` says what is lost, and mends it or takes it from a backup.`,
  }),
  LOG_METADATA_DAMAGED: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `topic metadata ${p.path} is damaged: ${p.reason}`,
    hint: () =>
      "`millrace doctor --repair --from-backup FOLDER` takes it from a backup; or move the topic's folder out of the data folder.",
  }),
  LOG_OVERLOADED: spec<{ pendingBytes: number; limitBytes: number }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `${p.pendingBytes} bytes wait to be written, the limit is ${p.limitBytes}`,
    hint: () => 'Send again later, more slowly.',
  }),
  LOG_OFFSET_OUT_OF_RANGE: spec<{ offset: number; startOffset: number; endOffset: number }>({
    kind: 'user',
    httpStatus: 416,
    retry: 'never',
    message: (p) => `offset ${p.offset} is outside the log, which holds ${p.startOffset} to ${p.endOffset} (exclusive)`,
    hint: () => 'Records before the start were removed by retention: go on from the start offset or from the end.',
  }),
  LOG_TOPIC_NOT_FOUND: spec<{ topic: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `topic "${p.topic}" does not exist`,
    hint: () => 'Create it first, or look at the list of topics for its name.',
  }),
  LOG_TOPIC_EXISTS: spec<{ topic: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `topic "${p.topic}" exists already`,
    hint: () => 'Use it, or choose another name.',
  }),
  LOG_TOPIC_NAME_INVALID: spec<{ topic: string; reason: string }>({
    ...badRequest,
    message: (p) => `"${p.topic}" is not a valid topic name: ${p.reason}`,
    hint: () => 'Use 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-", and not "." or ".." alone.',
  }),
  LOG_TOPIC_CONFIG_INVALID: spec<{ key: string; value: unknown; reason: string }>({
    ...badRequest,
    message: (p) => `topic setting ${p.key} = ${String(p.value)} is not valid: ${p.reason}`,
    hint: (p) => `Change ${p.key}; its meaning is Kafka's.`,
  }),
  LOG_TOPIC_DELETED: spec<{ topic: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `topic "${p.topic}" was deleted`,
    hint: () => 'Stop reading it, or create it again.',
  }),
  LOG_PARTITION_NOT_FOUND: spec<{ topic: string; partition: number; partitionCount: number }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `topic "${p.topic}" has no partition ${p.partition}; it has ${p.partitionCount}`,
    hint: (p) => `Use a partition from 0 to ${p.partitionCount - 1}.`,
  }),
  LOG_PRODUCER_FENCED: spec<{ producerId: number; epoch: number; knownEpoch: number }>({
    ...badBatch,
    message: (p) => `producer ${p.producerId} has epoch ${p.epoch}, and the log has seen ${p.knownEpoch}`,
    hint: () => 'Another producer has taken over. Stop this one.',
  }),
  LOG_PRODUCER_SEQUENCE: spec<{ producerId: number; sequence: number; expected: number }>({
    ...badBatch,
    message: (p) => `producer ${p.producerId} sent sequence ${p.sequence}, ${p.expected} is next`,
    hint: () => 'A batch before it was not taken. Send that first.',
  }),
  LOG_PRODUCER_IN_TRANSACTION: spec<{ producerId: number; openOffset: number }>({
    ...badBatch,
    message: (p) => `producer ${p.producerId} has a transaction open since offset ${p.openOffset}, and this batch is not part of it`,
    hint: () => 'Mark the batch as transactional, or end the transaction first.',
  }),
  LOG_TRANSACTION_UNKNOWN_ID: spec<{ transactionalId: string; producerId: number }>({
    ...badRequest,
    message: (p) => `transactional id "${p.transactionalId}" does not belong to producer ${p.producerId}`,
    hint: () => 'Begin with InitProducerId.',
  }),
  LOG_TRANSACTION_FENCED: spec<{ transactionalId: string; producerEpoch: number; knownEpoch: number }>({
    ...badRequest,
    message: (p) => `epoch ${p.producerEpoch} of transactional id "${p.transactionalId}" is over, ${p.knownEpoch} is the present one`,
    hint: () => 'Another producer took over, or the transaction timed out. Stop this one, or begin anew with InitProducerId.',
  }),
  LOG_TRANSACTION_STATE: spec<{ transactionalId: string; state: string; wanted: string }>({
    ...badRequest,
    message: (p) => `transactional id "${p.transactionalId}" is in state ${p.state}: it cannot ${p.wanted}`,
    hint: () => 'Add partitions to a transaction before its records are sent, and end it once.',
  }),
  LOG_TRANSACTION_CONCURRENT: spec<{ transactionalId: string; state: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the last transaction of "${p.transactionalId}" is in state ${p.state}: its markers are not all written yet`,
    hint: () => 'Try again soon. If it lasts, look at the disk: markers are written again until they are durable.',
  }),
  LOG_TRANSACTION_TIMEOUT_INVALID: spec<{ timeoutMs: number; limitMs: number }>({
    ...badRequest,
    message: (p) => `a transaction timeout of ${p.timeoutMs} ms is not between 1 and ${p.limitMs}`,
    hint: () => 'Lower transaction.timeout.ms of the producer.',
  }),
  LOG_TRANSACTION_ABORTED: spec<{ transactionalId: string; producerId: number; producerEpoch: number }>({
    kind: 'external',
    httpStatus: 409,
    retry: 'never',
    message: (p) =>
      `transaction ${p.producerId}/${p.producerEpoch} of "${p.transactionalId}" cannot be committed: it was aborted, or it is too old to be known`,
    hint: () => 'Its records are not visible. Begin again from the last position that is known to be committed.',
  }),
  LOG_TRANSACTION_COMMITTED: spec<{ transactionalId: string; producerId: number; producerEpoch: number }>({
    kind: 'external',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `transaction ${p.producerId}/${p.producerEpoch} of "${p.transactionalId}" cannot be aborted: it was committed`,
    hint: () => 'Its records are visible. Go on behind them.',
  }),
  LOG_REMOTE_UNAVAILABLE: spec<{ cluster: string; reason: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the Kafka cluster at ${p.cluster} does not answer as it should: ${p.reason}`,
    hint: () => 'Look whether its brokers are up and reachable from here under the addresses that they advertise. Then send again.',
  }),
  LOG_REMOTE_REFUSED: spec<{ cluster: string; topic: string; code: number; reason: string }>({
    kind: 'external',
    httpStatus: 502,
    retry: 'never',
    message: (p) => `the Kafka cluster at ${p.cluster} refused a request for topic "${p.topic}" with error ${p.code}: ${p.reason}`,
    hint: () => 'Look the code up in the Kafka protocol guide; 29 to 31 and 58 mean that this user may not do that.',
  }),
  LOG_CLOSED: spec<{ folder: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the log in ${p.folder} is closed`,
    hint: () => 'The server is stopping. Send again when it is back.',
  }),
  LOG_WRITER_STOPPED: spec<{ reason: string }>({
    kind: 'internal',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the log's writer thread stopped: ${p.reason}`,
    hint: () => 'Restart the process; everything acknowledged is on disk. Please report this with the lines around it.',
  }),
}

export const logErrors = defineErrors(specs)

/** An error of the log that came over a port, with its kind, status and retry advice. */
export function reviveLogError(body: ErrorBody): StreamError {
  if (body.code in specs) return logErrors(body.code as keyof typeof specs, body.params as never)
  return reviveError(body)
}

/** What the disk threw while `path` was written, as an error with a code of ours. */
export function writeError(error: unknown, path: string): StreamError {
  if (isStreamError(error)) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return logErrors('LOG_DISK_FULL', { path }, { cause: error })
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return logErrors('DATA_FOLDER_NOT_WRITABLE', { folder: path, reason: message }, { cause: error })
  }
  return logErrors('LOG_WRITE_FAILED', { path, reason: message }, { cause: error })
}

/** What the disk threw while `path` was read. */
export function readError(error: unknown, path: string): StreamError {
  if (isStreamError(error)) return error
  return logErrors('LOG_READ_FAILED', { path, reason: (error as Error).message }, { cause: error })
}
