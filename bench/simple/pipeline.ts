// The simple pipeline, whole or as one of its parallel subtasks: lines of a file, decoded, 10-second windows by user, to CSV files.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Batch } from '../../src/data/index.ts'
import { FilesSink } from '../../src/engine/fileSink.ts'
import { emptyNote, Graph, type Links, Rounds } from '../../src/engine/index.ts'
import { makeJsonDecoder } from '../../src/formats/index.ts'
import { realDisk } from '../../src/log/index.ts'
import { bindScript, Catalog, readLeaves } from '../../src/sql/index.ts'
import { turn } from '../nexmark/run.ts'

/** The same statements for Millrace and for Flink, but for where the tables are. */
export const statements = (source: string, sink: string): string[] => [
  `CREATE TABLE ev (
    id BIGINT, ts BIGINT, user_id STRING, product_id STRING, event_type STRING, region STRING, amount DOUBLE, url STRING,
    rt AS TO_TIMESTAMP_LTZ(ts, 3), WATERMARK FOR rt AS rt - INTERVAL '2' SECOND) ${source}`,
  `CREATE TABLE o (ws TIMESTAMP(3), user_id STRING, c BIGINT, s DOUBLE, a DOUBLE, mi DOUBLE, ma DOUBLE) ${sink}`,
  `INSERT INTO o
  SELECT CAST(window_start AS TIMESTAMP(3)), user_id, COUNT(*), SUM(amount), AVG(amount), MIN(amount), MAX(amount)
  FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY user_id, window_start, window_end`,
]

const CHUNK_BYTES = 1 << 20
/** Longer lines do not occur in such a file. */
const LINE_BYTES_MAX = 1 << 14
const NEWLINE = 10

/**
 * Whole lines of a file, chunk by chunk, in memory that the next one overwrites: positions into `bytes`. A line belongs to the chunk in which it begins.
 *
 * @param every  of each so many chunks one is read, that numbered `first`: subtasks share a file and its timeline
 */
export function* lineChunks(
  path: string,
  every = 1,
  first = 0,
): Generator<{ bytes: Uint8Array; starts: Int32Array; ends: Int32Array; count: number }> {
  const file = openSync(path, 'r')
  const { size: fileBytes } = fstatSync(file)
  const starts = new Int32Array(1 << 16)
  const ends = new Int32Array(1 << 16)
  // What is made of a chunk is gone when the next one is asked for.
  const bytes = Buffer.allocUnsafeSlow(1 + CHUNK_BYTES + LINE_BYTES_MAX)
  for (let from = first * CHUNK_BYTES; from < fileBytes; from += every * CHUNK_BYTES) {
    // One byte before the chunk says whether a line begins with it.
    const before = from === 0 ? 0 : 1
    const size = readSync(file, bytes, 0, before + CHUNK_BYTES + LINE_BYTES_MAX, from - before)
    let at = from === 0 ? 0 : bytes.indexOf(NEWLINE) + 1
    let count = 0
    while (at < before + CHUNK_BYTES && at < size) {
      const end = bytes.indexOf(NEWLINE, at)
      if (end < 0 || end >= size) throw new Error(`${path}: a line longer than ${LINE_BYTES_MAX} bytes, or without an end`)
      starts[count] = at
      ends[count++] = end
      at = end + 1
    }
    if (count > 0) yield { bytes, starts, ends, count }
  }
  closeSync(file)
}

export interface PipelineTask {
  path: string
  folder: string
  /** Decode all columns of the table, as Flink does, instead of those that the query reads. */
  allColumns: boolean
}

export interface PipelineReport {
  eventCount: number
  /** Columns that are decoded. */
  columns: string[]
  /** Files that are synced and wait to be renamed. */
  files?: ReturnType<FilesSink['checkpoint']>
}

/** Gives what runs the pipeline, up to the moment at which its CSV files in `folder` are synced. Late and failed rows are errors. */
export function preparePipeline({ path, folder, allColumns }: PipelineTask, links?: Links): () => PipelineReport {
  const bound = bindScript(statements('', "WITH ('connector' = 'filesystem')").join(';'), new Catalog()).at(-1)
  if (bound?.type !== 'insert') throw new Error('the last statement is an INSERT')
  const plan = readLeaves(bound.query)
  return () => {
    const report: PipelineReport = { eventCount: 0, columns: [] }
    const spec = { kind: 'files', folder, format: 'csv', fields: plan.fields, options: {}, fileBytesMax: 1 << 27, firstFile: 0 } as const
    const files = new FilesSink(
      { id: 'simple', name: 'simple', plan, sink: spec },
      spec,
      realDisk,
      links?.subtask ?? 0,
      links?.parallelism ?? 1,
    )
    const sink = (batch: Batch) => files.write(batch)
    const fail = () => {
      throw new Error('no row may be late or fail')
    }
    const rounds = links && new Rounds(links)
    const graph = new Graph(plan, { timeZone: 'UTC', sink, rounds, hooks: { count: () => {}, late: fail, rowFailed: fail } })
    const { fields } = graph.sources[0]
    const table = graph.sources[0].table.columns.flatMap((column) => (column.kind === 'physical' ? [column] : []))
    const decoded = allColumns ? table : fields
    report.columns = decoded.map(({ name }) => name)
    const decoder = makeJsonDecoder(decoded)
    const read = fields.map((field) => report.columns.indexOf(field.name))
    const chunks = lineChunks(path, links?.parallelism, links?.subtask)
    let isEnd = false
    const next = (): void => {
      const chunk = chunks.next()
      if (chunk.done) {
        if (!isEnd) graph.finish()
        isEnd = true
        return
      }
      const { bytes, starts, ends, count } = chunk.value
      const { columns, rowCount } = decoder.decode(bytes, starts, ends, count, (_row, error) => {
        throw error
      })
      report.eventCount += rowCount
      graph.push(0, 0, { columns: read.map((at) => columns[at]), rowCount, watermarkAfter: -Infinity, processingTimeMs: 0 })
    }
    if (rounds === undefined) while (!isEnd) next()
    else
      turn(
        rounds,
        graph,
        () => rounds.isEnded,
        next,
        () => ({ ...emptyNote, isEnd }),
      )
    report.files = files.checkpoint()
    return report
  }
}
