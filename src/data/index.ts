// The data itself: SQL types, schemas, columnar batches and change kinds +I -U +U -D. No I/O, no SQL text.
export * from './batch.ts'
export { decimalText } from './decimal.ts'
export { inHashOrder, inJavaOrder } from './mapOrder.ts'
export * from './memory.ts'
export * from './types.ts'
