// Kafka's error codes, and which of them answers an error of ours. KafkaError is thrown inside a handler to answer with a code.
// Source: Kafka's protocol guide, "Error Codes".
import { defineErrors, type ErrorBody, isStreamError, type StreamError, spec } from '../base/index.ts'
import { reviveLogError } from '../log/index.ts'

export const ERROR = {
  UNKNOWN_SERVER_ERROR: -1,
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  REQUEST_TIMED_OUT: 7,
  MESSAGE_TOO_LARGE: 10,
  OFFSET_METADATA_TOO_LARGE: 12,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  INVALID_TOPIC_EXCEPTION: 17,
  RECORD_LIST_TOO_LARGE: 18,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  INVALID_TIMESTAMP: 32,
  UNSUPPORTED_SASL_MECHANISM: 33,
  ILLEGAL_SASL_STATE: 34,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REPLICA_ASSIGNMENT: 39,
  INVALID_CONFIG: 40,
  INVALID_REQUEST: 42,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  INVALID_TRANSACTION_TIMEOUT: 50,
  CONCURRENT_TRANSACTIONS: 51,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  OPERATION_NOT_ATTEMPTED: 55,
  KAFKA_STORAGE_ERROR: 56,
  LOG_DIR_NOT_FOUND: 57,
  SASL_AUTHENTICATION_FAILED: 58,
  UNKNOWN_PRODUCER_ID: 59,
  DELEGATION_TOKEN_AUTH_DISABLED: 61,
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: 64,
  NON_EMPTY_GROUP: 68,
  GROUP_ID_NOT_FOUND: 69,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  INVALID_FETCH_SESSION_EPOCH: 71,
  FENCED_LEADER_EPOCH: 74,
  UNKNOWN_LEADER_EPOCH: 75,
  UNSUPPORTED_COMPRESSION_TYPE: 76,
  MEMBER_ID_REQUIRED: 79,
  GROUP_MAX_SIZE_REACHED: 81,
  FENCED_INSTANCE_ID: 82,
  ELECTION_NOT_NEEDED: 84,
  NO_REASSIGNMENT_IN_PROGRESS: 85,
  GROUP_SUBSCRIBED_TO_TOPIC: 86,
  INVALID_RECORD: 87,
  UNSTABLE_OFFSET_COMMIT: 88,
  PRODUCER_FENCED: 90,
  RESOURCE_NOT_FOUND: 91,
  DUPLICATE_RESOURCE: 92,
  UNACCEPTABLE_CREDENTIAL: 93,
  INVALID_UPDATE_VERSION: 95,
  UNKNOWN_TOPIC_ID: 100,
  BROKER_ID_NOT_REGISTERED: 102,
  TRANSACTIONAL_ID_NOT_FOUND: 105,
  FENCED_MEMBER_EPOCH: 110,
  UNRELEASED_INSTANCE_ID: 111,
  UNSUPPORTED_ASSIGNOR: 112,
  STALE_MEMBER_EPOCH: 113,
  TRANSACTION_ABORTABLE: 120,
  INVALID_REGULAR_EXPRESSION: 128,
} as const
export type ErrorCode = (typeof ERROR)[keyof typeof ERROR]

export class KafkaError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

const codeOfLogError: Record<string, ErrorCode> = {
  LOG_BATCH_INVALID: ERROR.INVALID_RECORD,
  LOG_BATCH_CHECKSUM: ERROR.CORRUPT_MESSAGE,
  LOG_BATCH_TOO_LARGE: ERROR.MESSAGE_TOO_LARGE,
  LOG_KEY_MISSING: ERROR.INVALID_RECORD,
  LOG_TIMESTAMP_INVALID: ERROR.INVALID_TIMESTAMP,
  LOG_TIMESTAMP_TOO_FAR: ERROR.INVALID_TIMESTAMP,
  LOG_COMPRESSION_UNSUPPORTED: ERROR.UNSUPPORTED_COMPRESSION_TYPE,
  LOG_TOPIC_NOT_FOUND: ERROR.UNKNOWN_TOPIC_OR_PARTITION,
  LOG_TOPIC_DELETED: ERROR.UNKNOWN_TOPIC_OR_PARTITION,
  LOG_PARTITION_NOT_FOUND: ERROR.UNKNOWN_TOPIC_OR_PARTITION,
  LOG_TOPIC_EXISTS: ERROR.TOPIC_ALREADY_EXISTS,
  LOG_TOPIC_NAME_INVALID: ERROR.INVALID_TOPIC_EXCEPTION,
  LOG_TOPIC_CONFIG_INVALID: ERROR.INVALID_CONFIG,
  LOG_SEGMENT_DAMAGED: ERROR.CORRUPT_MESSAGE,
  LOG_OFFSET_OUT_OF_RANGE: ERROR.OFFSET_OUT_OF_RANGE,
  // A code that clients retry: the request was not kept, and the pressure passes.
  LOG_OVERLOADED: ERROR.REQUEST_TIMED_OUT,
  LOG_PRODUCER_SEQUENCE: ERROR.OUT_OF_ORDER_SEQUENCE_NUMBER,
  LOG_PRODUCER_FENCED: ERROR.INVALID_PRODUCER_EPOCH,
  LOG_PRODUCER_IN_TRANSACTION: ERROR.INVALID_TXN_STATE,
  LOG_TRANSACTION_UNKNOWN_ID: ERROR.INVALID_PRODUCER_ID_MAPPING,
  LOG_TRANSACTION_FENCED: ERROR.PRODUCER_FENCED,
  LOG_TRANSACTION_STATE: ERROR.INVALID_TXN_STATE,
  LOG_TRANSACTION_CONCURRENT: ERROR.CONCURRENT_TRANSACTIONS,
  LOG_TRANSACTION_TIMEOUT_INVALID: ERROR.INVALID_TRANSACTION_TIMEOUT,
}

/** Kafka's code and a text for whatever was thrown. What the disk or the log's writer did is KAFKA_STORAGE_ERROR, which clients retry. */
export function kafkaCodeOf(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof KafkaError) return { code: error.code, message: error.message }
  if (!isStreamError(error)) return { code: ERROR.UNKNOWN_SERVER_ERROR, message: 'internal error' }
  const code = codeOfLogError[error.code] ?? (error.code.startsWith('LOG_') ? ERROR.KAFKA_STORAGE_ERROR : ERROR.UNKNOWN_SERVER_ERROR)
  return { code, message: error.message }
}

const closes = { kind: 'user', httpStatus: 400, retry: 'never' } as const

/** Errors that end a connection, or the start of the server. */
const specs = {
  KAFKA_REQUEST_INVALID: spec<{ reason: string }>({
    ...closes,
    message: (p) => `not a valid Kafka request: ${p.reason}`,
    hint: () => 'Is this a Kafka client, and does it speak without TLS?',
  }),
  KAFKA_REQUEST_TOO_LARGE: spec<{ sizeBytes: number; limitBytes: number }>({
    ...closes,
    message: (p) => `a Kafka request of ${p.sizeBytes} bytes is over the limit of ${p.limitBytes} bytes`,
    hint: () => "Lower the producer's max.request.size. A length like this is often another protocol's first bytes.",
  }),
  KAFKA_API_UNSUPPORTED: spec<{ apiKey: number; version: number }>({
    ...closes,
    message: (p) => `API ${p.apiKey} in version ${p.version} is not supported`,
    hint: () => 'Use a client that asks for ApiVersions first, as all current ones do.',
  }),
  KAFKA_GROUP_ACTIVE: spec<{ group: string; memberCount: number }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'later',
    message: (p) => `group "${p.group}" has ${p.memberCount} ${p.memberCount === 1 ? 'member' : 'members'}`,
    hint: () => 'Stop its consumers first: they would go on where they are, and commit that over the change.',
  }),
  KAFKA_GROUP_NOT_FOUND: spec<{ group: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no consumer group "${p.group}"`,
    hint: () => 'A group begins with the first consumer that names it.',
  }),
  KAFKA_PORT_IN_USE: spec<{ host: string; port: number }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'later',
    message: (p) => `port ${p.port} of ${p.host} is in use`,
    hint: () => 'Choose another with --kafka-port, or 0 for a free one.',
  }),
  KAFKA_ADDRESS_UNAVAILABLE: spec<{ host: string; port: number; reason: string }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `cannot listen for Kafka clients on ${p.host}:${p.port}: ${p.reason}`,
    hint: () => 'Use 127.0.0.1, or an address of this machine.',
  }),
  KAFKA_HOST_NOT_LOOPBACK: spec<{ host: string }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the Kafka port is not opened on ${p.host}: nobody could log in`,
    hint: () =>
      'Create a token (millrace token create --role admin): Kafka clients use it as their PLAIN password. Or say --insecure to let in everybody.',
  }),
  KAFKA_LOGIN_NEEDED: spec<{ api: string }>({
    ...closes,
    message: (p) => `${p.api} before a login`,
    hint: () => 'Set security.protocol to SASL_PLAINTEXT or SASL_SSL in the client, and its sasl.mechanism, user and password.',
  }),
  KAFKA_LOGIN_FAILED: spec<{ reason: string }>({
    ...closes,
    message: (p) => `a login failed: ${p.reason}`,
    hint: () => 'Look at the user with: millrace kafka-user list',
  }),
  KAFKA_SETTING_INVALID: spec<{ name: string; value: string; reason: string }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `${p.name} = ${p.value} in kafkaSettings is not valid: ${p.reason}`,
    hint: () => 'docs/kafka.md lists the settings of the Kafka port.',
  }),
  KAFKA_TLS_INVALID: spec<{ reason: string }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the certificates or the key of the Kafka port cannot be used: ${p.reason}`,
    hint: () =>
      'Give --kafka-tls-cert and --kafka-tls-key, both PEM files that belong together; --kafka-tls-ca where clients show certificates.',
  }),
  KAFKA_PRINCIPAL_RULES_INVALID: spec<{ rules: string; reason: string }>({
    kind: 'user',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the rules "${p.rules.slice(0, 200)}" for names of certificates cannot be used: ${p.reason}`,
    hint: () =>
      'Rules are RULE:pattern/replacement/, with L or U at the end for lower or upper case, or DEFAULT; commas stand between them.',
  }),
  KAFKA_SECURITY_DAMAGED: spec<{ topic: string; offset: number; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `record ${p.offset} of ${p.topic}, which holds users, ACLs and settings, cannot be understood: ${p.reason}`,
    hint: () => 'Restore the data folder from a backup, or start a newer Millrace.',
  }),
  KAFKA_USER_NOT_FOUND: spec<{ user: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no Kafka user "${p.user}"`,
    hint: () => 'millrace kafka-user list shows them.',
  }),
  KAFKA_USER_INVALID: spec<{ reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `not a user that can be made: ${p.reason}`,
    hint: () => 'Run millrace kafka-user create --help for examples.',
  }),
  KAFKA_PORT_SILENT: spec<{ seconds: number }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the thread of the Kafka port and of the log's writer has not answered for ${p.seconds} s`,
    hint: () => 'Look at /v1/health and at the disk. If it stays so, restart Millrace: what was acknowledged is on the disk.',
  }),
}
export const kafkaErrors = defineErrors(specs)

/** An error of the Kafka port, or of the log, that came over a port. */
export function reviveKafkaError(body: ErrorBody): StreamError {
  if (body.code in specs) return kafkaErrors(body.code as keyof typeof specs, body.params as never)
  return reviveLogError(body)
}
