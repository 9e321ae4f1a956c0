// millrace token: create, list, revoke.
import { join, resolve } from 'node:path'
import { authErrors, createToken, type Role, roles, TokenStore } from '../../base/index.ts'
import { tableText } from '../output.ts'

const pathOf = (data: string) => join(resolve(data), 'auth', 'tokens.json')
const storeOf = (data: string) => new TokenStore(pathOf(data))

export function create({ role, name, data, json }: { role: string; name: string; data: string; json?: boolean }): void {
  if (!roles.includes(role as Role)) throw authErrors('AUTH_ROLE_INVALID', { role })
  const { token, info } = createToken(storeOf(data), { role: role as Role, name })
  if (json) console.log(JSON.stringify({ token, ...info }))
  else
    console.log(
      `${token}\n\nA ${role}'s token with the id ${info.id}. It is not shown again; send it as "Authorization: Bearer …".\nIts hash is in ${pathOf(data)}: it is for the Millrace with that data folder (--data).`,
    )
}

export function list({ data, json }: { data: string; json?: boolean }): void {
  const infos = storeOf(data).list()
  if (json) for (const info of infos) console.log(JSON.stringify(info))
  else if (infos.length === 0) console.log(`no token yet in ${pathOf(data)} (--data): on loopback none is needed`)
  else
    console.log(
      tableText(
        ['id', 'role', 'name', 'created'],
        infos.map(({ id, role, name, createdAtMs }) => [id, role, name, new Date(createdAtMs).toISOString()]),
      ),
    )
}

export function revoke(id: string, { data, json }: { data: string; json?: boolean }): void {
  storeOf(data).revoke(id)
  console.log(json ? JSON.stringify({ revoked: id }) : `The token ${id} is no longer valid.`)
}
