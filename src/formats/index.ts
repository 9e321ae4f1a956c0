// Bytes to columnar batches and back: JSON, CSV, raw. No I/O.
export { ByteSink } from './byteSink.ts'
export { type Charset, charsetNamed, charsetNames, isLittleEndian, rawCharset } from './charset.ts'
export { csvDelimiter, csvQuote, makeCsvDecoder } from './csv.ts'
export * from './errors.ts'
export { type JsonChecker, makeJsonChecker } from './json/checker.ts'
export { type JsonDecodeOptions, jsonDecodeOptions, makeJsonDecoder } from './json/decoder.ts'
export {
  type EncodedRows,
  floatText,
  type JsonEncodeOptions,
  type JsonEncoder,
  jsonEncodeOptions,
  makeJsonEncoder,
} from './json/encoder.ts'
export { EventSplitter, type SplitEvents } from './json/split.ts'
export { formatOptions } from './options.ts'
export { makeRawDecoder } from './raw.ts'
export type { DecodedRows, RowDecoder, RowDecoder as JsonDecoder } from './rows.ts'
