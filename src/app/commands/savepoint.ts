// millrace savepoint: create, list, delete. A running Millrace makes and removes them; they are also listed and removed in a data folder.
import { resolve } from 'node:path'
import { CheckpointStore } from '../../engine/index.ts'
import { type SavepointInfo, savepointInfo } from '../../jobs/index.ts'
import { lockFolder } from '../../log/index.ts'
import { call, getJson, type Target } from '../client.ts'
import { byteText, countText, tableText, timeText } from '../output.ts'

const text = ({ name, createdMs, bytes, queries }: SavepointInfo): string[] => [
  name,
  timeText(createdMs),
  byteText(bytes),
  queries.join(', '),
]

export async function createSavepoint(target: Target, name: string, json: boolean): Promise<void> {
  const body = JSON.stringify({ name })
  const response = await call(target, '/v1/savepoints', { method: 'POST', body, headers: { 'content-type': 'application/json' } })
  const info = (await response.json()) as SavepointInfo
  if (json) console.log(JSON.stringify(info))
  else
    console.log(
      `${name}: ${byteText(info.bytes)} of state of ${countText(info.queries.length, 'query', 'queries')}.\nBegin from it with: millrace start --from-savepoint ${name}`,
    )
}

/** @param data  this data folder, whether or not somebody runs on it; else the server at the target is asked */
export async function listSavepoints(target: Target, data: string | undefined, json: boolean): Promise<void> {
  const infos = data === undefined ? await getJson<SavepointInfo[]>(target, '/v1/savepoints') : inFolder(data)
  if (json) for (const info of infos) console.log(JSON.stringify(info))
  else console.log(infos.length === 0 ? 'There is no savepoint.' : tableText(['name', 'taken', 'state', 'queries'], infos.map(text)))
}

function inFolder(data: string): SavepointInfo[] {
  const store = new CheckpointStore(resolve(data))
  return store.savepoints().map((name) => savepointInfo(store, name))
}

/** @param data  this data folder, on which nobody runs; else the server at the target does it */
export async function deleteSavepoint(target: Target, name: string, data: string | undefined, json: boolean): Promise<void> {
  if (data === undefined) await call(target, `/v1/savepoints/${encodeURIComponent(name)}`, { method: 'DELETE' })
  else {
    const folder = resolve(data)
    const unlock = lockFolder(folder)
    try {
      new CheckpointStore(folder).deleteSavepoint(name)
    } finally {
      unlock()
    }
  }
  console.log(json ? JSON.stringify({ deleted: name }) : `The savepoint ${name} is gone.`)
}
