// Accumulators of SQL aggregates, columnar by group index.
export { Accumulators, type AccumulatorsSnapshot, type AggregateRows } from './accumulators.ts'
export { type AggregateLayout, isMergeable, layoutOf } from './layout.ts'
export { heapPop, heapPush } from './objects.ts'
export { compareValues } from './values.ts'
