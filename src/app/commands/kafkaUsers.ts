// millrace kafka-user: who may log in to the Kafka port.
import { text } from 'node:stream/consumers'
import { call, getJson, sendJson, type Target } from '../client.ts'
import { tableText } from '../output.ts'

const pathOf = (name: string): string => `/v1/kafka/users/${encodeURIComponent(name)}`

export async function createUser(target: Target, name: string, fromInput: boolean, json: boolean): Promise<void> {
  const given = fromInput ? { password: (await text(process.stdin)).replace(/\r?\n$/, '') } : {}
  const created = await sendJson<{ name: string; password?: string }>(target, 'PUT', pathOf(name), given)
  if (json) console.log(JSON.stringify(created))
  else {
    if (created.password !== undefined) console.log(`${created.password}\n`)
    console.log(
      `${created.password === undefined ? 'The password' : `The password of ${name}. It`} is stored salted and hashed${created.password === undefined ? '' : ' and not shown again'}. Kafka clients log in with sasl.mechanism SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN.`,
    )
  }
}

export async function listUsers(target: Target, json: boolean): Promise<void> {
  const users = await getJson<{ name: string; mechanisms: string[] }[]>(target, '/v1/kafka/users')
  if (json) for (const user of users) console.log(JSON.stringify(user))
  else if (users.length === 0) console.error('no Kafka user yet: on loopback everybody may connect')
  else
    console.log(
      tableText(
        ['user', 'mechanisms'],
        users.map(({ name, mechanisms }) => [name, mechanisms.join(', ')]),
      ),
    )
}

export async function deleteUser(target: Target, name: string, json: boolean): Promise<void> {
  await call(target, pathOf(name), { method: 'DELETE' })
  console.log(json ? JSON.stringify({ deleted: name }) : `${name} can no longer log in. Connections that are open stay.`)
}
