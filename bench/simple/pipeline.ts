// The simple pipeline, whole or as one of its parallel subtasks: lines of a file, decoded, 10-second windows by user.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Batch } from '../../src/data/index.ts'
import { emptyNote, Graph, type Links, Rounds } from '../../src/engine/index.ts'
import { makeJsonDecoder } from '../../src/formats/index.ts'
import { bindScript, Catalog, readLeaves } from '../../src/sql/index.ts'
import { turn } from '../nexmark/run.ts'

const sql = `
CREATE TABLE ev (
  id BIGINT, ts BIGINT, user_id STRING, product_id STRING, event_type STRING, region STRING, amount DOUBLE, url STRING,
  rt AS TO_TIMESTAMP_LTZ(ts, 3), WATERMARK FOR rt AS rt - INTERVAL '2' SECOND);
SELECT window_start, user_id, COUNT(*) AS c, SUM(amount) AS s, AVG(amount) AS a, MIN(amount) AS mi, MAX(amount) AS ma
FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY user_id, window_start, window_end;`

const CHUNK_BYTES = 1 << 20
/** Longer lines do not occur in such a file. */
const LINE_BYTES_MAX = 1 << 14
const NEWLINE = 10

/**
 * Whole lines of a file, chunk by chunk: positions into `bytes`. A line belongs to the chunk in which it begins.
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
  for (let from = first * CHUNK_BYTES; from < fileBytes; from += every * CHUNK_BYTES) {
    const bytes = Buffer.allocUnsafeSlow(1 + CHUNK_BYTES + LINE_BYTES_MAX)
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

export interface PipelineReport {
  eventCount: number
  windowCount: number
  counted: bigint
  amount: number
  columns: string[]
}

/** Gives what runs the pipeline. Late and failed rows are errors. */
export function preparePipeline(path: string, links?: Links): () => PipelineReport {
  const bound = bindScript(sql, new Catalog()).at(-1)
  if (bound?.type !== 'query') throw new Error('the last statement is the query')
  const plan = readLeaves(bound.query)
  return () => {
    const report: PipelineReport = { eventCount: 0, windowCount: 0, counted: 0n, amount: 0, columns: [] }
    const sink = (batch: Batch) => {
      report.windowCount += batch.rowCount
      const counts = batch.columns[2].lane === 'i64' ? batch.columns[2].data : new BigInt64Array(0)
      const sums = batch.columns[3].lane === 'f64' ? batch.columns[3].data : new Float64Array(0)
      for (let row = 0; row < batch.rowCount; row++) {
        report.counted += counts[row]
        report.amount += sums[row]
      }
    }
    const fail = () => {
      throw new Error('no row may be late or fail')
    }
    const rounds = links && new Rounds(links)
    const graph = new Graph(plan, { timeZone: 'UTC', sink, rounds, hooks: { count: () => {}, late: fail, rowFailed: fail } })
    const { fields } = graph.sources[0]
    report.columns = fields.map(({ name }) => name)
    const decoder = makeJsonDecoder(fields)
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
      graph.push(0, 0, { columns, rowCount, watermarkAfter: -Infinity, processingTimeMs: 0 })
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
    return report
  }
}
