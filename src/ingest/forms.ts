// What bodies a topic takes, by the format of its values, and what cuts and checks them.
import {
  type BodyForm,
  CsvSplitter,
  charsetNamed,
  type EventChecker,
  type EventSplitter,
  formatOptions,
  isRawOfLines,
  JsonSplitter,
  makeCsvChecker,
  makeJsonChecker,
  makeRawChecker,
  RawSplitter,
} from '../formats/index.ts'
import type { TopicSchema } from './contract.ts'
import { ingestErrors } from './errors.ts'

/** By Content-Type. */
const forms: Readonly<Record<string, BodyForm>> = {
  'application/json': 'json',
  'text/json': 'json',
  'application/cloudevents+json': 'json',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'application/x-jsonlines': 'ndjson',
  'text/csv': 'csv',
  'text/plain': 'lines',
  'application/octet-stream': 'whole',
}
export const mediaTypes = Object.keys(forms)

/** How people are told of them. */
const told: Record<BodyForm, string> = {
  json: '"application/json" (an object, or an array of them)',
  ndjson: '"application/x-ndjson" (an object a line)',
  csv: '"text/csv" (a record a line, without a header line)',
  lines: '"text/plain" (a record a line)',
  whole: '"application/octet-stream" (the body is one record)',
}

const formatOf = ({ valueFormat = 'json' }: TopicSchema) => valueFormat

/** What a topic takes; first what a body is that comes without a type. @throws StreamError FORMAT_OPTION */
function formsOf({ fields, formatOptions: options = {}, ...schema }: TopicSchema): BodyForm[] {
  const format = formatOf({ fields, ...schema })
  if (format === 'json') return ['json', 'ndjson']
  if (format === 'csv') return ['csv']
  return isRawOfLines(fields, options) ? ['whole', 'lines'] : ['whole']
}

/** The types that a topic takes, as a hint has them. */
export const bodiesOf = (schema: TopicSchema): string =>
  formsOf(schema)
    .map((form) => told[form])
    .join(' or ')

/**
 * What a body is; undefined for a type that no topic takes.
 *
 * @param contentType  the header; undefined for events that come without one: over a WebSocket, or from this process
 * @throws StreamError INGEST_FORMAT, INGEST_MEDIA_PARAMETER, INGEST_KEY_APART
 */
export function formOf(topic: string, schema: TopicSchema, contentType: string | undefined): BodyForm | undefined {
  const format = formatOf(schema)
  if (schema.isKeyApart && format !== 'json')
    throw ingestErrors('INGEST_KEY_APART', { topic, format, columns: schema.keyFields.join(', ') })
  if (contentType === undefined) return formsOf(schema)[0]
  const [type, ...parameters] = contentType.split(';')
  const mediaType = type.trim().toLowerCase()
  const form = Object.hasOwn(forms, mediaType) ? forms[mediaType] : undefined
  if (form === undefined) return undefined
  if (!formsOf(schema).includes(form)) throw ingestErrors('INGEST_FORMAT', { topic, format, mediaType, bodies: bodiesOf(schema) })
  if (form === 'csv' || form === 'lines') checkParameters(topic, schema, parameters)
  return form
}

/** Text in another charset would be stored as other text, and a header line as a record. */
function checkParameters(topic: string, schema: TopicSchema, parameters: readonly string[]): void {
  for (const parameter of parameters) {
    const [name, value = ''] = parameter.split('=').map((part) =>
      part
        .trim()
        .replace(/^"(.*)"$/, '$1')
        .toLowerCase(),
    )
    const invalid = (expected: string) => ingestErrors('INGEST_MEDIA_PARAMETER', { topic, parameter: `${name}=${value}`, expected })
    if (name === 'header' && value === 'present')
      throw invalid('Leave the header line out: fields are known by the order of the columns in CREATE TABLE.')
    if (name !== 'charset' || value === 'us-ascii') continue
    const options = formatOptions('raw', schema.formatOptions ?? {})
    const expected = (formatOf(schema) === 'raw' ? options.text('charset') : undefined) ?? 'UTF-8'
    const given = charsetNamed(value)
    if (given === undefined || given !== charsetNamed(expected)) throw invalid(`Send it in ${expected}.`)
  }
}

export function makeSplitter({ valueFormat, formatOptions: options = {} }: TopicSchema): EventSplitter {
  return valueFormat === 'csv' ? new CsvSplitter(options) : valueFormat === 'raw' ? new RawSplitter() : new JsonSplitter()
}

/** @throws StreamError FORMAT_COLUMNS, FORMAT_OPTION */
export function makeChecker({ valueFormat, fields, formatOptions: options = {} }: TopicSchema, captured: readonly string[]): EventChecker {
  if (valueFormat === 'csv') return makeCsvChecker(fields, options, captured)
  if (valueFormat === 'raw') return makeRawChecker(fields, options, captured)
  return makeJsonChecker(fields, captured)
}
