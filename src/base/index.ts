// What every layer stands on: errors, limits, metrics. Knows nothing of events, SQL or the log.
export * from './auth.ts'
export * from './bufferPool.ts'
export * from './bytes.ts'
export * from './errors.ts'
export * from './folders.ts'
export * from './metrics.ts'
export * from './nearestName.ts'
export * from './sizes.ts'
