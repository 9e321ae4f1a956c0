// Runs plans: operators, event time, state. Sees batches and watermarks; time and I/O are given to it.
export { engineErrors } from './errors.ts'
export { formatValue } from './expressions/index.ts'
export { Graph, type GraphHooks, type NodeStatus } from './graph.ts'
export { Job, type JobPort } from './job.ts'
export { rowOrder } from './operators/rows.ts'
export type * from './protocol.ts'
export { metadataTypes } from './source.ts'
