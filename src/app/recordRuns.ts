// Many records for one topic, as batches that it takes.
import { ensureTopic, type Log, type RecordInput } from '../log/index.ts'

/** Of a batch, and of each record and header, beside their bytes. */
const OVERHEAD_BYTES = 64

/** Cuts records, in their order, into runs that have at most `bytesMax` as a batch each; one that alone has more is a run of its own. */
function* runsOf(records: readonly RecordInput[], bytesMax: number): Generator<RecordInput[]> {
  let run: RecordInput[] = []
  let runBytes = OVERHEAD_BYTES
  for (const record of records) {
    const bytes = bytesOf(record)
    if (run.length > 0 && runBytes + bytes > bytesMax) {
      yield run
      run = []
      runBytes = OVERHEAD_BYTES
    }
    run.push(record)
    runBytes += bytes
  }
  if (run.length > 0) yield run
}

const bytesOf = ({ key, value, headers = [] }: RecordInput): number =>
  headers.reduce(
    (sum, [name, text]) => sum + OVERHEAD_BYTES + Buffer.byteLength(name) + (text?.length ?? 0),
    OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0),
  )

/** Runs of records as large as a topic takes them; the topic is made if there is none. */
export async function runsFor(log: Log, topic: string, records: readonly RecordInput[]): Promise<RecordInput[][]> {
  await ensureTopic(log, topic)
  return [...runsOf(records, log.topic(topic)?.config['max.message.bytes'] ?? Number.POSITIVE_INFINITY)]
}
