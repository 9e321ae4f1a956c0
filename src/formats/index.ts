// Bytes to columnar batches and back: JSON, CSV, raw. No I/O.
export { ByteSink } from './byteSink.ts'
export { type Charset, charsetNamed, charsetNames, isLittleEndian, rawCharset } from './charset.ts'
export type { EventChecker } from './checker.ts'
export { csvDelimiter, csvQuote, makeCsvDecoder } from './csv.ts'
export { CsvSplitter, makeCsvChecker } from './csvEvents.ts'
export * from './errors.ts'
export { makeJsonChecker } from './json/checker.ts'
export { type JsonDecodeOptions, jsonDecodeOptions, makeJsonDecoder } from './json/decoder.ts'
export {
  type EncodedRows,
  floatText,
  type JsonEncodeOptions,
  type JsonEncoder,
  jsonEncodeOptions,
  makeJsonEncoder,
} from './json/encoder.ts'
export { JsonSplitter } from './json/split.ts'
export { formatOptions } from './options.ts'
export { makeRawDecoder } from './raw.ts'
export { isRawOfLines, makeRawChecker, RawSplitter } from './rawEvents.ts'
export type { DecodedRows, RowDecoder, RowDecoder as JsonDecoder } from './rows.ts'
export type { BodyForm, EventSplitter } from './split.ts'
