// HTTP to the server of this page: typed reads, the access token, and the one place that knows how a token travels.
import type { ApiError } from '../../../src/serve/contract.ts'
import { parseExact, stringifyExact } from './json.ts'

const tokenKey = 'millrace.token'

/** An answer that is not 2xx, or no answer at all (`status` 0). */
export class ApiFailure extends Error {
  readonly status: number
  readonly code: string
  readonly hint: string
  readonly position: ApiError['error']['position']

  constructor(status: number, error: ApiError['error']) {
    super(error.message)
    this.name = 'ApiFailure'
    this.status = status
    this.code = error.code
    this.hint = error.hint
    this.position = error.position
  }
}

/** The access token of this tab, and whether the server asked for one. */
export const access = {
  isWanted: false,
  listeners: new Set<() => void>(),
  token(): string | null {
    return sessionStorage.getItem(tokenKey)
  },
  /** The server refused us: the page shows the prompt. */
  demand(): void {
    if (access.isWanted) return
    access.isWanted = true
    for (const listener of access.listeners) listener()
  },
  accept(token: string): void {
    sessionStorage.setItem(tokenKey, token)
    access.isWanted = false
    for (const listener of access.listeners) listener()
  },
  subscribe(listener: () => void): () => void {
    access.listeners.add(listener)
    return () => access.listeners.delete(listener)
  },
}

/**
 * GET of a JSON resource.
 *
 * @param alsoOk  a status besides 2xx whose body is an answer and not an error
 * @throws ApiFailure  with the server's code, message and hint; status 0 if the server cannot be reached
 */
export const apiGet = <T>(path: string, signal?: AbortSignal, alsoOk?: number): Promise<T> => request<T>(path, {}, signal, alsoOk)

/** A request with a JSON body. @throws ApiFailure */
export const apiSend = <T>(method: 'POST' | 'PUT' | 'DELETE' | 'PATCH', path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  request<T>(path, { method, body: stringifyExact(body), headers: { 'content-type': 'application/json' } }, signal)

async function request<T>(path: string, init: RequestInit, signal?: AbortSignal, alsoOk?: number): Promise<T> {
  const token = access.token()
  const headers: Record<string, string> = { accept: 'application/json', ...(init.headers as Record<string, string> | undefined) }
  if (token) headers.authorization = `Bearer ${token}`
  let response: Response
  try {
    response = await fetch(path, { ...init, headers, signal: signal ?? null })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new ApiFailure(0, {
      code: 'SERVER_UNREACHABLE',
      message: 'The server does not answer.',
      hint: 'Check that the Millrace process is running.',
    })
  }
  if (response.status === 401) access.demand()
  if (response.status === 204) return undefined as T
  const text = await response.text()
  let body: unknown
  try {
    body = parseExact(text)
  } catch {
    body = undefined
  }
  if ((response.ok || response.status === alsoOk) && body !== undefined) return body as T
  throw new ApiFailure(
    response.status,
    (body as ApiError | undefined)?.error ?? {
      code: `HTTP_${response.status}`,
      message: `The server answered ${response.status} to ${path}.`,
      hint: 'Look at the log of the Millrace process.',
    },
  )
}

/** A WebSocket to a path of this origin, with the token as subprotocol (a browser cannot set headers). */
export function openWebSocket(path: string): WebSocket {
  const url = new URL(path, location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const token = access.token()
  return token ? new WebSocket(url, ['millrace', `millrace.token.${token}`]) : new WebSocket(url)
}

export const tablePath = (name: string): string => `/v1/tables/${encodeURIComponent(name)}`
export const topicPath = (name: string): string => `/v1/topics/${encodeURIComponent(name)}`
