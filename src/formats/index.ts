// Bytes to columnar batches and back: JSON, CSV, raw. No I/O.
export { makeCsvDecoder } from './csv.ts'
export * from './errors.ts'
export { type JsonChecker, makeJsonChecker } from './json/checker.ts'
export { type JsonDecodeOptions, jsonDecodeOptions, makeJsonDecoder } from './json/decoder.ts'
export { type EncodedRows, type JsonEncodeOptions, type JsonEncoder, makeJsonEncoder } from './json/encoder.ts'
export { EventSplitter, type SplitEvents } from './json/split.ts'
export { makeRawDecoder } from './raw.ts'
export type { DecodedRows, RowDecoder, RowDecoder as JsonDecoder } from './rows.ts'
