// Topics that others than their writers have to know by name.

/** Where a topic's dead letters are kept: what the front door refused, and rows that a query could not read or compute. */
export const lettersTopicOf = (topic: string): string => `${topic}.invalid`

/** Users and ACLs of the Kafka port, with what SCRAM stores. */
export const SECURITY_TOPIC = '__millrace_kafka_security'
/** Texts of queries and the files that they were in, with the secrets that are there. */
export const HISTORY_TOPIC = '__millrace_history'
/** Whoever may read topics reads none of these. */
export const isSecretTopic = (topic: string): boolean => topic === SECURITY_TOPIC || topic === HISTORY_TOPIC
