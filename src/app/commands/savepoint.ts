// millrace savepoint: create, list, delete. A running Millrace makes and removes them; they are listed from the data folder, too.
import type { SavepointInfo } from '../../jobs/index.ts'
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

export async function listSavepoints(target: Target, json: boolean): Promise<void> {
  const infos = await getJson<SavepointInfo[]>(target, '/v1/savepoints')
  if (json) for (const info of infos) console.log(JSON.stringify(info))
  else console.log(infos.length === 0 ? 'There is no savepoint.' : tableText(['name', 'taken', 'state', 'queries'], infos.map(text)))
}

export async function deleteSavepoint(target: Target, name: string, json: boolean): Promise<void> {
  await call(target, `/v1/savepoints/${encodeURIComponent(name)}`, { method: 'DELETE' })
  console.log(json ? JSON.stringify({ deleted: name }) : `The savepoint ${name} is gone.`)
}
