// Bytes to columnar batches and back: JSON, CSV, raw. No I/O.
export * from './errors.ts'
export { type DecodedRows, type JsonDecodeOptions, type JsonDecoder, jsonDecodeOptions, makeJsonDecoder } from './json/decoder.ts'
