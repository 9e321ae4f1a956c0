// Flink-dialect SQL: text to tree to bound plan. Pure functions, no I/O.
export type * from './ast.ts'
export * from './functions/index.ts'
export type * from './plan.ts'
