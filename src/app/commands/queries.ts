// millrace queries: what runs, and the stop and start of one.
import type { QuerySummary } from '../../serve/contract.ts'
import { getJson, sendJson, type Target } from '../client.ts'
import { durationText, tableText, timeText } from '../output.ts'

const MB = 1024 * 1024

export async function listQueries(target: Target, json: boolean): Promise<void> {
  const queries = await getJson<QuerySummary[]>(target, '/v1/queries')
  if (json) for (const query of queries) console.log(JSON.stringify(query))
  else if (queries.length === 0) console.error('no query: each CREATE MATERIALIZED TABLE and INSERT INTO of the project is one')
  else
    console.log(
      tableText(
        ['query', 'state', 'in/s', 'out/s', 'rows in', 'rows out', 'late', 'watermark', 'state MB', 'threads', 'restarts', 'checkpoint'],
        queries.map((query) => [
          query.id,
          query.error ? `${query.state} ${query.error.code}` : query.state,
          Math.round(query.rowsInPerSecond),
          Math.round(query.rowsOutPerSecond),
          query.rowsIn,
          query.rowsOut,
          query.lateRows,
          Math.abs(query.watermarkMs ?? 0) > 8.64e15 ? 'ended' : timeText(query.watermarkMs),
          (query.stateBytes / MB).toFixed(1),
          query.parallelism,
          query.restarts,
          query.checkpointMs === undefined ? '' : `${durationText(Date.now() - query.checkpointMs)} ago`,
        ]),
      ),
    )
}

interface ControlFlags {
  /** Taken before it. */
  savepoint: string | undefined
  json: boolean
}
const takeSavepoint = async (target: Target, name: string | undefined): Promise<unknown> =>
  name === undefined ? undefined : sendJson(target, 'POST', '/v1/savepoints', { name })

export async function stopQuery(target: Target, id: string, { savepoint, json }: ControlFlags): Promise<void> {
  await takeSavepoint(target, savepoint)
  const query = await sendJson<QuerySummary>(target, 'POST', `/v1/queries/${encodeURIComponent(id)}/stop`, {})
  console.log(json ? JSON.stringify(query) : `${query.id} is stopped, with a checkpoint. Undo: millrace queries start ${query.id}`)
}

export async function startQuery(
  target: Target,
  id: string,
  { withoutState, savepoint, json }: ControlFlags & { withoutState: boolean },
): Promise<void> {
  await takeSavepoint(target, savepoint)
  const query = await sendJson<QuerySummary>(target, 'POST', `/v1/queries/${encodeURIComponent(id)}/start`, { withoutState })
  console.log(json ? JSON.stringify(query) : `${query.id} is ${query.state}. Next: millrace why ${query.id}`)
}

export async function rescaleQuery(target: Target, id: string, threads: number | undefined, json: boolean): Promise<void> {
  const body = threads === undefined ? {} : { parallelism: threads }
  const query = await sendJson<QuerySummary>(target, 'POST', `/v1/queries/${encodeURIComponent(id)}/rescale`, body)
  console.log(
    json ? JSON.stringify(query) : `${query.id} runs in ${query.parallelism} ${query.parallelism === 1 ? 'thread' : 'threads'} from now on`,
  )
}
