// millrace state: what checkpoints and savepoints hold, read from the data folder, whether or not somebody runs on it.
import { join, resolve } from 'node:path'
import { valueAt } from '../../data/index.ts'
import {
  CheckpointStore,
  checkpointErrors,
  type JsonMs,
  type Manifest,
  msOf,
  partKey,
  readNodes,
  verifyCheckpoint,
} from '../../engine/index.ts'
import { byteText, tableText, timeText } from '../output.ts'

export interface StateOptions {
  data: string
  savepoint?: string
  checkpoint?: string
  verify: boolean
  json: boolean
}
const SAMPLE_KEYS = 5

/** Without a query all checkpoints; else the operators of that query in the newest one that has it. */
export function showState(query: string | undefined, options: StateOptions): void {
  const store = new CheckpointStore(resolve(options.data))
  const root = options.savepoint === undefined ? store.checkpointsFolder : join(store.savepointsFolder, options.savepoint)
  if (options.savepoint !== undefined && !store.savepoints().includes(options.savepoint))
    throw checkpointErrors('SAVEPOINT_NOT_FOUND', { name: options.savepoint, known: store.savepoints() })
  const found = store.jobs(root).flatMap((job) => {
    const folder = `${root}/${job}`
    return store.ids(folder).map((id) => ({ job, folder, id, ...read(store, folder, id, options.verify) }))
  })
  if (query === undefined) list(found, options)
  else showQuery(store, query, found, options)
}

/** With `verify` all bytes are read and their checksums checked, else those of the manifest. */
function read(store: CheckpointStore, folder: string, id: number, verify: boolean): { manifest?: Manifest; problem?: string } {
  try {
    const manifest = store.read(folder, id)
    if (verify) verifyCheckpoint(store, folder, manifest)
    return { manifest }
  } catch (error) {
    return { problem: (error as Error).message }
  }
}
type Found = { job: string; folder: string; id: number; manifest?: Manifest; problem?: string }

function list(found: Found[], { data, json }: StateOptions): void {
  const rows = found.map(({ job, id, manifest, problem }) => ({
    job,
    id,
    createdMs: manifest?.createdMs,
    fullBytes: manifest?.fullBytes,
    writtenBytes: manifest?.writtenBytes,
    queries: manifest?.queries.map((query) => query.id) ?? [],
    parallelism: Math.max(1, ...(manifest?.queries ?? []).map(({ parallelism = 1 }) => parallelism)),
    ...(problem !== undefined && { problem }),
  }))
  if (json) for (const row of rows) console.log(JSON.stringify(row))
  else if (rows.length === 0) console.log(`no checkpoint yet in ${resolve(data)} (--data)`)
  else
    console.log(
      tableText(
        ['job', 'checkpoint', 'taken', 'state', 'written', 'subtasks', 'queries'],
        rows.map(({ job, id, createdMs, fullBytes = 0, writtenBytes = 0, parallelism, queries, problem }) =>
          problem !== undefined
            ? [job, String(id), '', '', '', '', `damaged: ${problem}`]
            : [
                job,
                String(id),
                timeText(createdMs ?? 0),
                byteText(fullBytes),
                byteText(writtenBytes),
                String(parallelism),
                queries.join(', '),
              ],
        ),
      ),
    )
}

function showQuery(store: CheckpointStore, name: string, found: Found[], { checkpoint, json }: StateOptions): void {
  const ofQuery = found.flatMap(({ folder, manifest }) => {
    const state = manifest?.queries.find(({ id }) => id === name || id === `insert_into_${name}`)
    return manifest && state && (checkpoint === undefined || manifest.id === Number(checkpoint)) ? [{ folder, manifest, state }] : []
  })
  const newest = ofQuery.toSorted((a, b) => a.state.takenAt - b.state.takenAt).at(-1)
  if (!newest)
    throw checkpointErrors('CHECKPOINT_NOT_FOUND', { path: checkpoint === undefined ? `of "${name}"` : `${checkpoint} of "${name}"` })
  const { folder, manifest, state } = newest
  const reader = store.openParts(folder, manifest)
  const bytesOf = (keys: string[]) => keys.reduce((sum, key) => sum + (manifest.parts[key]?.sizeBytes ?? 0), 0)
  // Those of all subtasks together.
  const bySignature = Map.groupBy(
    state.operators.filter(({ parts }) => parts.length > 0),
    ({ signature }) => signature,
  )
  const operators = [...bySignature].map(([signature, ofSubtasks]) => {
    const [{ node, label }] = ofSubtasks
    const names = new Map(ofSubtasks.flatMap(({ parts }) => parts.map((part) => [part.name, part] as const)))
    const bytesOfPart = (name: string) => bytesOf(ofSubtasks.map(({ subtask }) => partKey(state.id, signature, name, subtask)))
    const states = [...names.values()].map(({ name, type }) => ({ name: name || '(rest)', type, bytes: bytesOfPart(name) }))
    return {
      signature,
      node,
      label,
      stateRows: ofSubtasks.reduce((sum, { stateRows }) => sum + stateRows, 0),
      bytes: states.reduce((sum, { bytes }) => sum + bytes, 0),
      // Of a subtask that reads nothing there is none.
      watermarkMs: ofSubtasks.reduce<JsonMs>((most, { watermarkMs }) => (msOf(watermarkMs) > msOf(most) ? watermarkMs : most), null),
      states,
      sampleKeys: ofSubtasks
        .flatMap(({ subtask }) => sampleKeys(readNodes(state, reader, subtask).find((one) => one.signature === signature)?.state))
        .slice(0, SAMPLE_KEYS),
    }
  })
  reader.close()
  const { id, takenAt, inputs, counters, sink, parallelism = 1 } = state
  if (json) {
    console.log(
      JSON.stringify(
        { query: id, checkpoint: takenAt, takenMs: manifest.createdMs, parallelism, inputs, counters, sink, operators },
        plain,
      ),
    )
    return
  }
  console.log(
    `${id} in checkpoint ${takenAt}, taken ${timeText(manifest.createdMs)}${parallelism > 1 ? ` in ${parallelism} subtasks` : ''}\n`,
  )
  for (const { topic, positions } of inputs)
    console.log(`  reads    ${topic} from ${positions.map((offset, partition) => `${partition}:${offset}`).join(' ')}`)
  console.log(`  output   ${sinkText(sink)}`)
  console.log(`  so far   ${counters.rowsIn} rows in, ${counters.rowsOut} out, ${counters.lateRows} late\n`)
  for (const { label, stateRows, bytes, states, sampleKeys: keys } of operators) {
    console.log(`${label}\n  ${stateRows} rows, ${byteText(bytes)}`)
    for (const part of states) console.log(`    ${part.name.padEnd(44)} ${byteText(part.bytes)}`)
    if (keys.length > 0) console.log(`  keys such as ${keys.map((key) => JSON.stringify(key, plain)).join(' ')}`)
    console.log()
  }
}

const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

function sinkText(sink: Manifest['queries'][number]['sink']): string {
  switch (sink.kind) {
    case 'view':
      return `live table ${sink.name}, ${sink.segments.length} parts of its rows`
    case 'transaction':
      return `topic ${sink.topic}, ${sink.refs.length} transactions to be committed with it`
    case 'files':
      return `files in ${sink.folder}, ${sink.pending.length} to be finished with it`
    default:
      return 'at least once: not part of checkpoints'
  }
}

/** Some keys of the first table of keys that a state has, as people read them. */
function sampleKeys(state: unknown): unknown[][] {
  if (typeof state !== 'object' || state === null) return []
  const { columns, count } = state as { columns?: { column: Parameters<typeof valueAt>[0] }[]; count?: number }
  if (Array.isArray(columns) && typeof count === 'number' && columns.every((one) => one?.column))
    return Array.from({ length: Math.min(count, SAMPLE_KEYS) }, (_, row) => columns.map(({ column }) => valueAt(column, row)))
  for (const value of Array.isArray(state) ? state.slice(0, 10) : Object.values(state)) {
    if (ArrayBuffer.isView(value)) continue
    const found = sampleKeys(value)
    if (found.length > 0) return found
  }
  return []
}
