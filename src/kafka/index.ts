// The Kafka wire protocol in front of the log: any Kafka client can use an embedded Millrace as its broker.
export { kafkaErrors } from './errors.ts'
export { HostedKafka, kafkaThread } from './hostedKafka.ts'
export { type KafkaLimits, kafkaLimits } from './limits.ts'
export { type KafkaOptions, type KafkaServer, startKafka } from './server.ts'
