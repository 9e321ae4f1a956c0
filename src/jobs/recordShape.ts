// Which columns of a `kafka` or `upsert-kafka` table are in a record's key, which in its value, and which are the record's own: the options
// 'format', 'value.format', 'key.format', 'key.fields', 'key.fields-prefix' and 'value.fields-include', with Flink's meaning.
import type { RecordFormat, RecordPart, SinkSpec, SourceSpec } from '../engine/index.ts'
import { codecOf } from '../log/index.ts'
import type { TableDef } from '../sql/index.ts'
import { jobErrors } from './errors.ts'

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const formats: readonly string[] = ['json', 'csv', 'raw'] satisfies RecordFormat[]

export interface RecordShape {
  valueFormat: RecordFormat
  keyFormat: RecordFormat
  /** Ordinals into the table's columns. */
  keyColumns: number[]
  valueColumns: number[]
  /** Names of `keyColumns` in the key. */
  keyNames: string[]
  /** The value has the columns of the key too. */
  isKeyInValue: boolean
  /** The codec that its producers compress batches in; absent where the table does not say. */
  compression?: string
}

/** @throws StreamError TABLE_OPTION_INVALID */
export function recordShapeOf(table: TableDef): RecordShape {
  const { options, columns } = table
  const invalid = (option: string, expected: string) =>
    jobErrors('TABLE_OPTION_INVALID', { table: table.name, option, value: options[option] ?? '', expected })
  const formatIn = (option: string): RecordFormat | undefined => {
    const format = options[option]
    if (format !== undefined && !formats.includes(format)) throw invalid(option, "'json', 'csv' or 'raw'")
    return format as RecordFormat | undefined
  }
  const isUpsert = options.connector === 'upsert-kafka'
  const valueFormat = formatIn('format') ?? formatIn('value.format') ?? 'json'
  const keyFormat = formatIn('key.format') ?? 'json'
  const prefix = options['key.fields-prefix'] ?? ''
  const include = options['value.fields-include'] ?? 'ALL'
  if (include !== 'ALL' && include !== 'EXCEPT_KEY') throw invalid('value.fields-include', "'ALL' or 'EXCEPT_KEY'")
  const isKeyInValue = include === 'ALL'
  const compression = options['properties.compression.type']
  if (compression !== undefined && !codecs.includes(compression))
    throw invalid('properties.compression.type', "'none', 'gzip', 'snappy', 'lz4' or 'zstd'")
  if (prefix !== '' && isKeyInValue) throw invalid('key.fields-prefix', "'value.fields-include' = 'EXCEPT_KEY' beside it")
  if (isUpsert && options['key.fields'] !== undefined)
    throw invalid('key.fields', 'not to be there: the key of upsert-kafka is the PRIMARY KEY')
  if (isUpsert && valueFormat !== 'json') throw invalid(options.format ? 'format' : 'value.format', "'json' for upsert-kafka")
  if (isUpsert && keyFormat === 'csv') throw invalid('key.format', "'json' or 'raw' for upsert-kafka")
  const names = (options['key.fields'] ?? '').split(';').filter(Boolean)
  const keyColumns = isUpsert
    ? [...(table.primaryKey ?? [])]
    : names.map((name) => {
        const ordinal = columns.findIndex((column) => column.kind === 'physical' && column.name === name)
        if (ordinal < 0) throw invalid('key.fields', `physical columns of the table, and "${name}" is none`)
        return ordinal
      })
  const keyNames = keyColumns.map((ordinal) => {
    const { name } = columns[ordinal]
    if (!name.startsWith(prefix)) throw invalid('key.fields-prefix', `a prefix of every column of the key, and "${name}" does not have it`)
    return name.slice(prefix.length)
  })
  if (keyFormat === 'raw' && keyColumns.length > 1) throw invalid('key.format', "'json' or 'csv': raw holds one column")
  const valueColumns = columns.flatMap(({ kind }, ordinal) =>
    kind === 'physical' && (isKeyInValue || !keyColumns.includes(ordinal)) ? [ordinal] : [],
  )
  return { valueFormat, keyFormat, keyColumns, valueColumns, keyNames, isKeyInValue, ...(compression !== undefined && { compression }) }
}

/** Options of a format: those of the table, and those that are meant for the value or the key alone. */
const optionsFor = (part: 'value' | 'key', options: Readonly<Record<string, string>>): Record<string, string> => ({
  ...(part === 'value' && options),
  ...Object.fromEntries(
    Object.entries(options).flatMap(([key, value]) => (key.startsWith(`${part}.`) ? [[key.slice(part.length + 1), value]] : [])),
  ),
})

/** What a source reads. @throws StreamError TABLE_OPTION_INVALID */
export function sourceParts(table: TableDef): Pick<SourceSpec, 'format' | 'formatOptions' | 'key' | 'upsert'> {
  const { valueFormat, keyFormat, keyColumns, keyNames, isKeyInValue } = recordShapeOf(table)
  const key = { format: keyFormat, formatOptions: optionsFor('key', table.options), columns: keyColumns, names: keyNames }
  const isUpsert = table.options.connector === 'upsert-kafka'
  return {
    format: valueFormat,
    formatOptions: optionsFor('value', table.options),
    // Where the value has these columns too, the value's count, as with Flink.
    ...(!isKeyInValue && keyColumns.length > 0 && { key }),
    ...(isUpsert && { upsert: { keyFormat: keyFormat as 'json' | 'raw', keyColumn: table.columns[table.primaryKey?.[0] ?? 0].name } }),
  }
}

/**
 * What a sink writes. Its query puts out the table's columns but computed and virtual ones, in their order.
 *
 * @throws StreamError TABLE_OPTION_INVALID, SINK_METADATA_READ_ONLY
 */
export function sinkParts(
  table: TableDef,
): Pick<SinkSpec & { kind: 'topic' }, 'value' | 'key' | 'timestampColumn' | 'headersColumn' | 'codec'> {
  const { valueFormat, keyFormat, keyColumns, valueColumns, keyNames, compression = 'none' } = recordShapeOf(table)
  const { columns, options } = table
  const written = columns.flatMap((column, ordinal) =>
    column.kind === 'computed' || (column.kind === 'metadata' && column.virtual) ? [] : [ordinal],
  )
  const part = (format: RecordFormat, of: 'value' | 'key', ordinals: readonly number[], names: readonly string[]): RecordPart => ({
    format,
    formatOptions: optionsFor(of, options),
    columns: ordinals.map((ordinal) => written.indexOf(ordinal)),
    fields: ordinals.map((ordinal, i) => ({ name: names[i], type: columns[ordinal].type })),
  })
  if (valueFormat === 'raw' && valueColumns.length !== 1) {
    const [option, expected] = [
      options.format ? 'format' : 'value.format',
      `'json' or 'csv' for ${valueColumns.length} columns: raw writes one`,
    ]
    throw jobErrors('TABLE_OPTION_INVALID', { table: table.name, option, value: 'raw', expected })
  }
  const own: { timestampColumn?: number; headersColumn?: number } = {}
  for (const [at, ordinal] of written.entries()) {
    const column = columns[ordinal]
    if (column.kind !== 'metadata') continue
    if (column.key === 'timestamp') own.timestampColumn = at
    else if (column.key === 'headers') own.headersColumn = at
    else throw jobErrors('SINK_METADATA_READ_ONLY', { table: table.name, column: column.name, key: column.key })
  }
  const valueNames = valueColumns.map((ordinal) => columns[ordinal].name)
  return {
    codec: codecOf(compression),
    value: part(valueFormat, 'value', valueColumns, valueNames),
    ...(keyColumns.length > 0 && { key: part(keyFormat, 'key', keyColumns, keyNames) }),
    ...own,
  }
}
