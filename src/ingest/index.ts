// The front door: events over HTTP and WebSocket, checked against the declared columns, into the log; what is rejected into `<topic>.invalid`.
export { type IngestAnswer, type IngestDeps, type IngestLimits, ingestLimits, type TopicSchema } from './contract.ts'
export { Door, type EventsAnswer, type EventsRequest } from './door.ts'
export { ingestErrors } from './errors.ts'
export { type Ingest, registerIngest } from './routes.ts'
