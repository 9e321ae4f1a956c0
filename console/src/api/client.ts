// HTTP to the server of this page: typed reads, the access token, and the one place that knows how a token travels.
import type { ApiError } from '../../../src/serve/contract.ts'
import { parseExact, stringifyExact } from './json.ts'

const tokenKey = 'millrace.token'

/** An answer that is not 2xx, or no answer at all (`status` 0). */
export class ApiFailure extends Error {
  readonly status: number
  readonly code: string
  readonly hint: string
  /** As the server gave it. */
  readonly error: ApiError['error']

  constructor(status: number, error: ApiError['error']) {
    super(error.message)
    this.name = 'ApiFailure'
    this.status = status
    this.code = error.code
    this.hint = error.hint
    this.error = error
  }

  /** Where in a text that was sent something is wrong. */
  get position(): ApiError['error']['position'] {
    return this.error.position
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

/** An answer that is 2xx, or `alsoOk`; with the token, and its refusals as failures. */
async function request(path: string, init: RequestInit, alsoOk?: number): Promise<Response> {
  const token = access.token()
  const headers: Record<string, string> = { accept: 'application/json', ...(init.headers as Record<string, string> | undefined) }
  if (token) headers.authorization = `Bearer ${token}`
  let response: Response
  try {
    response = await fetch(path, { ...init, headers })
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw new ApiFailure(0, {
      code: 'SERVER_UNREACHABLE',
      message: 'The server does not answer.',
      hint: 'Check that the Millrace process is running.',
    })
  }
  if (response.status === 401) access.demand()
  if (response.ok || response.status === alsoOk) return response
  throw failureOf(response.status, path, parsed(await response.text()))
}

function parsed(text: string): unknown {
  try {
    return parseExact(text)
  } catch {
    return undefined
  }
}

const failureOf = (status: number, path: string, body: unknown): ApiFailure =>
  new ApiFailure(
    status,
    (body as ApiError | undefined)?.error ?? {
      code: `HTTP_${status}`,
      message: `The server answered ${status} to ${path}.`,
      hint: 'Look at the log of the Millrace process.',
    },
  )

async function json<T>(path: string, init: RequestInit, alsoOk?: number): Promise<T> {
  const response = await request(path, init, alsoOk)
  if (response.status === 204) return undefined as T
  const body = parsed(await response.text())
  if (body === undefined) throw failureOf(response.status, path, body)
  return body as T
}

/**
 * GET of a JSON resource.
 *
 * @param alsoOk  a status besides 2xx whose body is an answer and not an error
 * @throws ApiFailure  with the server's code, message and hint; status 0 if the server cannot be reached
 */
export const apiGet = <T>(path: string, signal?: AbortSignal, alsoOk?: number): Promise<T> =>
  json<T>(path, { signal: signal ?? null }, alsoOk)

/**
 * What changes something, or asks with a body.
 *
 * @param body  an object, sent as JSON with every digit; text is JSON already, and is sent as it is
 * @throws ApiFailure  as apiGet
 */
export const apiSend = <T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  { signal, alsoOk, contentType = 'application/json' }: { signal?: AbortSignal; alsoOk?: number; contentType?: string } = {},
): Promise<T> =>
  json<T>(
    path,
    {
      method,
      signal: signal ?? null,
      ...(body !== undefined && {
        headers: { 'content-type': contentType },
        body: typeof body === 'string' ? body : stringifyExact(body),
      }),
    },
    alsoOk,
  )

/**
 * A stream of the server as one file.
 *
 * @param onProgress  called with the bytes so far
 * @throws ApiFailure  as apiGet; an AbortError when `signal` is aborted
 */
export async function apiDownload(path: string, onProgress: (bytes: number) => void, signal: AbortSignal): Promise<Blob> {
  const response = await request(path, { signal, headers: { accept: '*/*' } })
  const parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  const reader = response.body!.getReader()
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    parts.push(chunk.value)
    onProgress((bytes += chunk.value.length))
  }
  return new Blob(parts, { type: response.headers.get('content-type') ?? '' })
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
export const groupPath = (id: string): string => `/v1/groups/${encodeURIComponent(id)}`
