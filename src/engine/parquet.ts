// Rows to Parquet files, by DuckDB in a child process (docs/LIBRARIES.md): what is staged as JSON lines is converted once its checkpoint is durable.
//
//   rows ─► JSON lines in a staged file, synced with the checkpoint ─► durable ─► child: staged file ─► …new, synced ─► RENAME ─► staged file removed
//
// Invariants
//   1. The staged file is there until the Parquet file has its name, durably: a child, or this process, that is killed loses nothing.
//   2. A conversion can be repeated: its output depends on the staged file alone, and nobody sees it before the rename.
//   3. The library is loaded by the child only, and the child is started with the first conversion, and ended when it has had nothing to do.
// Types are those of Flink's and Iceberg's Parquet: DECIMAL, DATE, TIME and TIMESTAMP in microseconds (nanoseconds above 6 digits), TIMESTAMP_LTZ
// adjusted to UTC, lists, maps and structs.
import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { type Batch, decimalText, type Field, formatType, rowAt, type SqlType } from '../data/index.ts'
import { type Disk, ignoreMissing } from '../log/index.ts'
import { engineErrors } from './errors.ts'
import { formatValue } from './expressions/index.ts'

/** A column of a staged file: how it is read, and what is made of it. Both are SQL of DuckDB; names of users are quoted. */
export interface ParquetColumn {
  readAs: string
  select: string
}
export type ToParquetChild = { id: number; from: string; to: string; columns: ParquetColumn[] }
/** The first message, with id 0, says that it listens: what is sent before that would be lost. */
export type FromParquetChild = { id: number; error?: string }

const IDLE_MS = 30_000
/** The child is told the double. */
const LINE_BYTES_MAX = 16 * 1024 * 1024

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * Why the rows of a table cannot be written, if they cannot. What passes here and in `stagedLines` can be converted: a file whose checkpoint is
 * durable must not turn out to be one that no attempt will ever convert.
 */
export function parquetProblem(fields: readonly Field[]): string | undefined {
  for (const { name, type } of fields) {
    const problem = typeProblem(type)
    if (problem !== undefined) return `column "${name}" ${problem}`
  }
  const double = sameName(fields)
  if (double !== undefined) return `the columns ${double} differ only in upper and lower case`
  try {
    createRequire(import.meta.url).resolve('@duckdb/node-api')
    return undefined
  } catch {
    return 'the format "parquet" needs the package @duckdb/node-api: npm install @duckdb/node-api'
  }
}

function typeProblem(type: SqlType): string | undefined {
  switch (type.kind) {
    case 'NULL':
    case 'MULTISET':
    case 'INTERVAL_DAY_TIME':
    case 'INTERVAL_YEAR_MONTH':
      return `has the type ${formatType(type)}, which Parquet does not have`
    case 'TIMESTAMP_LTZ':
      return type.precision > 6 ? `has the type ${formatType(type)}: CAST it AS TIMESTAMP_LTZ(6), of which no digit is lost` : undefined
    case 'ARRAY':
      return typeProblem(type.element)
    case 'MAP':
      return typeProblem(type.key) ?? typeProblem(type.value)
    case 'ROW': {
      const double = sameName(type.fields)
      if (double !== undefined) return `has a ROW whose fields ${double} differ only in upper and lower case`
      return type.fields.map((field) => typeProblem(field.type)).find((problem) => problem !== undefined)
    }
    default:
      return undefined
  }
}

/** Two names that are one to DuckDB. */
function sameName(fields: readonly { name: string }[]): string | undefined {
  const known = new Map<string, string>()
  for (const { name } of fields) {
    const other = known.get(name.toLowerCase())
    if (other !== undefined) return `"${other}" and "${name}"`
    known.set(name.toLowerCase(), name)
  }
  return undefined
}

export const parquetColumns = (fields: readonly Field[]): ParquetColumn[] =>
  fields.map(({ name, type }, i) => ({ readAs: stagedType(type), select: `${fromStaged(`c${i}`, type)} AS ${quoted(name)}` }))

/**
 * Rows as lines of a staged file: digits as text, where a double would lose some; times as numbers, which nobody has to parse.
 *
 * @returns  its function throws StreamError PARQUET_VALUE
 */
export function stagedLines(fields: readonly Field[]): (batch: Batch) => Uint8Array[] {
  return (batch) =>
    Array.from({ length: batch.rowCount }, (_, row) => {
      const values = rowAt(batch, row)
      const line = Buffer.from(
        `${JSON.stringify(Object.fromEntries(fields.map(({ name, type }, i) => [`c${i}`, staged(values[i], type, name)])))}\n`,
      )
      if (line.length > LINE_BYTES_MAX) {
        const column = fields.map(({ name }) => name).join(', ')
        throw engineErrors('PARQUET_VALUE', { column, reason: `a row has ${line.length} bytes, ${LINE_BYTES_MAX} is the limit` })
      }
      return line
    })
}

function staged(value: unknown, type: SqlType, column: string): unknown {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'BIGINT':
      return String(value)
    case 'DECIMAL':
      return decimalText(value as bigint, type.scale)
    case 'FLOAT':
    case 'DOUBLE':
      return Object.is(value, -0) ? '-0.0' : Number.isFinite(value) ? value : String(value)
    case 'CHAR':
    case 'VARCHAR':
      return (value as string).toWellFormed()
    case 'BINARY':
    case 'VARBINARY':
      return Buffer.from(value as Uint8Array).toString('hex')
    case 'TIMESTAMP': {
      if (type.precision <= 6) return microsOf(value as number | bigint)
      const nanos = nanosOf(value as number | bigint)
      if (nanos >= NANOS_MIN && nanos <= NANOS_MAX) return String(nanos)
      const reason = `${formatType(type)} reaches from 1677 to 2262, and ${formatValue(value, type)} is not in it`
      throw engineErrors('PARQUET_VALUE', { column, reason })
    }
    case 'TIMESTAMP_LTZ':
      return microsOf(value as number | bigint)
    case 'ARRAY':
      return (value as unknown[]).map((one) => staged(one, type.element, column))
    case 'MAP':
      return [...(value as Map<unknown, unknown>)].map(([k, v]) => {
        if (k === null || k === undefined) throw engineErrors('PARQUET_VALUE', { column, reason: 'a key of a MAP is NULL' })
        return { k: staged(k, type.key, column), v: staged(v, type.value, column) }
      })
    case 'ROW':
      return Object.fromEntries((value as unknown[]).map((one, i) => [`f${i}`, staged(one, type.fields[i].type, column)]))
    default:
      return value
  }
}

/** Of TIMESTAMP_NS; the greatest i64 stands for infinity there, and its negative. */
const [NANOS_MIN, NANOS_MAX] = [-9_223_286_400_000_000_000n, 9_223_372_036_854_775_806n]
const nanosOf = (value: number | bigint): bigint => (typeof value === 'bigint' ? value : BigInt(value) * 1_000_000n)
/** Towards the past: what is below a microsecond is none of a type of up to 6 digits. */
const microsOf = (value: number | bigint): string => String((nanosOf(value) - (((nanosOf(value) % 1_000n) + 1_000n) % 1_000n)) / 1_000n)

function stagedType(type: SqlType): string {
  switch (type.kind) {
    case 'BOOLEAN':
    case 'TINYINT':
    case 'SMALLINT':
    case 'BIGINT':
    case 'FLOAT':
    case 'DOUBLE':
      return type.kind
    case 'INT':
    case 'DATE':
      return 'INTEGER'
    case 'TIME':
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return 'BIGINT'
    case 'DECIMAL':
      return `DECIMAL(${type.precision}, ${type.scale})`
    case 'ARRAY':
      return `${stagedType(type.element)}[]`
    case 'MAP':
      return `STRUCT(k ${stagedType(type.key)}, v ${stagedType(type.value)})[]`
    case 'ROW':
      return `STRUCT(${type.fields.map((field, i) => `f${i} ${stagedType(field.type)}`).join(', ')})`
    default:
      return 'VARCHAR'
  }
}

function fromStaged(expression: string, type: SqlType, depth = 0): string {
  const item = `x${depth}`
  switch (type.kind) {
    case 'BINARY':
    case 'VARBINARY':
      return `unhex(${expression})`
    case 'DATE':
      return `DATE '1970-01-01' + ${expression}`
    case 'TIME':
      return `CAST(make_timestamp(${expression} * 1000) AS TIME)`
    case 'TIMESTAMP':
      return type.precision > 6 ? `make_timestamp_ns(${expression})` : `make_timestamp(${expression})`
    case 'TIMESTAMP_LTZ':
      return `CAST(make_timestamp(${expression}) AS TIMESTAMPTZ)`
    case 'ARRAY':
      return `list_transform(${expression}, ${item} -> ${fromStaged(item, type.element, depth + 1)})`
    case 'MAP': {
      const [key, value] = [fromStaged(`${item}.k`, type.key, depth + 1), fromStaged(`${item}.v`, type.value, depth + 1)]
      return `map_from_entries(list_transform(${expression}, ${item} -> {'k': ${key}, 'v': ${value}}))`
    }
    case 'ROW': {
      const fields = type.fields.map((field, i) => `${quoted(field.name)} := ${fromStaged(`${expression}.f${i}`, field.type, depth)}`)
      return `CASE WHEN ${expression} IS NULL THEN NULL ELSE struct_pack(${fields.join(', ')}) END`
    }
    default:
      return expression
  }
}

/** Makes a Parquet file of a staged one and removes that; can be repeated. @throws StreamError PARQUET_FAILED; the disk's error */
export async function finishParquet(disk: Disk, folder: string, from: string, to: string, columns: ParquetColumn[]): Promise<void> {
  const names = disk.list(folder)
  if (!names.includes(to)) {
    if (!names.includes(from)) return
    // The dot hides it; what a killed process leaves of it is written over.
    const temporary = `${folder}/.${to}.new.inprogress`
    await convert({ from: `${folder}/${from}`, to: temporary, columns })
    const file = disk.open(temporary, 'create')
    try {
      disk.sync(file)
    } finally {
      disk.close(file)
    }
    disk.rename(temporary, `${folder}/${to}`)
  }
  disk.syncFolder(folder)
  ignoreMissing(() => disk.unlink(`${folder}/${from}`))
}

let child: ChildProcess | undefined
let idle: NodeJS.Timeout | undefined
let lastId = 0
let isReady = false
const unsent: ToParquetChild[] = []
const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void; path: string }>()

function convert(order: Omit<ToParquetChild, 'id'>): Promise<void> {
  clearTimeout(idle)
  const running = (child ??= startChild())
  const id = ++lastId
  return new Promise<void>((resolve, reject) => {
    waiting.set(id, { resolve, reject, path: order.to })
    running.ref()
    running.channel?.ref()
    const message: ToParquetChild = { id, ...order }
    if (isReady) running.send(message)
    else unsent.push(message)
  })
}

function startChild(): ChildProcess {
  const started = fork(new URL('./parquetChild.ts', import.meta.url), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  isReady = false
  started.on('message', ({ id, error }: FromParquetChild) => {
    if (child !== started) return
    if (id === 0) {
      isReady = true
      for (const message of unsent.splice(0)) started.send(message)
      return
    }
    const one = waiting.get(id)
    waiting.delete(id)
    if (error !== undefined) one?.reject(engineErrors('PARQUET_FAILED', { path: one.path, reason: error }))
    else one?.resolve()
    if (waiting.size > 0) return
    started.unref()
    started.channel?.unref()
    idle = setTimeout(() => started.kill(), IDLE_MS)
    idle.unref()
  })
  // Whoever waits tries again, with a new one.
  const gone = (reason: string) => {
    if (child !== started) return
    child = undefined
    unsent.length = 0
    for (const { reject, path } of waiting.values()) reject(engineErrors('PARQUET_FAILED', { path, reason }))
    waiting.clear()
  }
  started.on('error', ({ message }) => gone(message))
  started.on('exit', (code, signal) => gone(`the child process ended with ${signal ?? code}`))
  return started
}
