// The command line's side of the HTTP API.
import { WebSocket } from 'ws'
import { reviveError } from '../base/index.ts'
import type { ApiError } from '../serve/contract.ts'
import { appErrors } from './errors.ts'

export interface Target {
  url: string
  token?: string
}

const authorization = ({ token }: Target): Record<string, string> => (token ? { authorization: `Bearer ${token}` } : {})

/** @throws StreamError OPTION_INVALID */
function addressOf({ url }: Target, path: string): URL {
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw appErrors('OPTION_INVALID', { option: '--url', value: url, expected: 'an address such as http://127.0.0.1:7070' })
  return new URL(path, url)
}

/** @throws StreamError OPTION_INVALID, SERVER_UNREACHABLE, SERVER_TOKEN_MISSING, SERVER_STRANGE, and what the server says, with its HTTP status */
export async function call(target: Target, path: string, init: RequestInit = {}): Promise<Response> {
  const url = addressOf(target, path).href
  let response: Response
  try {
    response = await fetch(url, { ...init, headers: { ...authorization(target), ...init.headers } })
  } catch (error) {
    const cause = (error as { cause?: Error }).cause
    throw appErrors('SERVER_UNREACHABLE', { url: target.url, reason: cause?.message || (error as Error).message }, { cause: error })
  }
  if (response.ok) return response
  const body = (await response.json().catch(() => undefined)) as Partial<ApiError> | undefined
  if (body?.error?.code === 'HTTP_TOKEN_MISSING') throw appErrors('SERVER_TOKEN_MISSING', { url: target.url })
  if (body?.error) throw reviveError({ ...body.error, params: body.error.params ?? {} }, response.status)
  throw appErrors('SERVER_STRANGE', { url, status: response.status, reason: response.statusText })
}

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown
const { rawJSON } = JSON as unknown as { rawJSON(source: string): unknown }

/** JSON whose numerals keep their digits: one that a double would change is printed again as it came. */
function parseExact<T>(text: string): T {
  const keep: Reviver = (_key, value, { source }) => (typeof value === 'number' && String(value) !== source ? rawJSON(source!) : value)
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown) as T
}

export const getJson = async <T>(target: Target, path: string): Promise<T> => parseExact<T>(await (await call(target, path)).text())

export const topicPath = (name: string): string => `/v1/topics/${encodeURIComponent(name)}`

export const sendJson = async <T>(target: Target, method: 'POST' | 'PUT' | 'PATCH', path: string, body: unknown): Promise<T> => {
  const response = await call(target, path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  return response.json() as Promise<T>
}

/** Frames of a WebSocket until it closes or `signal` is aborted. `message` is sent first. */
export async function* frames<T>(target: Target, path: string, signal: AbortSignal, message?: string): AsyncGenerator<T> {
  const socket = new WebSocket(addressOf(target, path).href.replace(/^http/, 'ws'), { headers: authorization(target) })
  const queue: T[] = []
  let failure: Error | undefined
  let closed = false
  let wake = () => {}
  if (message !== undefined) socket.on('open', () => socket.send(message))
  socket.on('message', (data) => {
    queue.push(parseExact<T>(String(data)))
    wake()
  })
  socket.on('error', (error) => {
    failure = appErrors('SERVER_UNREACHABLE', { url: target.url, reason: error.message }, { cause: error })
  })
  socket.on('close', () => {
    closed = true
    wake()
  })
  signal.addEventListener('abort', () => socket.close())
  while (true) {
    const next = queue.shift()
    if (next !== undefined) yield next
    else if (failure) throw failure
    else if (closed) return
    else
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  }
}
