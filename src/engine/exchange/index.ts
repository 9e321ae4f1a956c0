// Subtasks of one job in several threads: where rows are, which must move, and the rings that they move through.
export { type Distribution, distributionOf, exchangesOf, sinkExchange } from './distribution.ts'
export { ExchangeOperator, type ExchangeOptions, limited } from './exchange.ts'
export { Links, type SharedLinks, shareLinks } from './links.ts'
export { type Parallelism, parallelismOf } from './parallelism.ts'
export { KEY_GROUP_COUNT, keyGroupsOf, PARALLELISM_MAX } from './partition.ts'
export { BEFORE_ROWS, deliverInOrder } from './roundOrder.ts'
export { type Barrier, emptyNote, type RoundNote, Rounds } from './rounds.ts'
