// Subtasks of one job in several threads: where rows are, which must move, and the rings that they move through.
export { type Distribution, distributionOf, exchangesOf } from './distribution.ts'
export { ExchangeOperator, limited } from './exchange.ts'
export { Links, type SharedLinks, shareLinks } from './links.ts'
export { PARALLELISM_MAX } from './partition.ts'
export { Peers } from './peers.ts'
