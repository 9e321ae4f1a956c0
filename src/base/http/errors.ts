// Errors of the HTTP front: who may connect, from where, and how much.
import { defineErrors, spec } from '../errors.ts'

const user = { kind: 'user', retry: 'never' } as const
const busy = { kind: 'user', httpStatus: 503, retry: 'later' } as const

export const httpErrors = defineErrors({
  HTTP_PORT_IN_USE: spec<{ host: string; port: number; flag: string }>({
    ...user,
    kind: 'external',
    httpStatus: 500,
    message: (p) => `port ${p.port} on ${p.host} is in use`,
    hint: (p) => `Stop the process that listens there, or choose another port: ${p.flag} ${p.port + 1} (${p.flag} 0 takes a free one).`,
  }),
  HTTP_ADDRESS_UNAVAILABLE: spec<{ host: string; port: number; reason: string }>({
    ...user,
    kind: 'external',
    httpStatus: 500,
    message: (p) => `cannot listen on ${p.host}, port ${p.port}: ${p.reason}`,
    hint: () => 'Use an address of this machine (127.0.0.1 is the default) and a port from 1024 on.',
  }),
  HTTP_TOKENS_MISSING: spec<{ host: string }>({
    ...user,
    httpStatus: 500,
    message: (p) => `${p.host} can be reached from other machines, and there is no access token`,
    hint: () => 'Make one with: millrace token create --role admin. To let everybody in who can connect, say --insecure.',
  }),
  HTTP_HOST_UNKNOWN: spec<{ host: string }>({
    ...user,
    httpStatus: 421,
    message: (p) => `this server does not answer for the host "${p.host}"`,
    hint: () => 'Use localhost or an IP address, or add the name to allowedHosts in millrace.config.ts.',
  }),
  HTTP_ORIGIN_FORBIDDEN: spec<{ origin: string }>({
    ...user,
    httpStatus: 403,
    message: (p) => `pages of ${p.origin} may not use this server`,
    hint: () => 'Add the origin to allowedOrigins in millrace.config.ts if it is yours.',
  }),
  HTTP_TOKEN_MISSING: spec<Record<string, never>>({
    ...user,
    httpStatus: 401,
    message: () => 'this server asks for an access token',
    hint: () => 'Send "Authorization: Bearer mr_…", or for a WebSocket the subprotocols millrace and millrace.token.mr_…',
  }),
  HTTP_TOKEN_INVALID: spec<Record<string, never>>({
    ...user,
    httpStatus: 401,
    message: () => 'the access token is unknown or was revoked',
    hint: () => 'millrace token list shows the tokens there are; millrace token create makes a new one.',
  }),
  HTTP_ROLE_FORBIDDEN: spec<{ role: string; needed: string }>({
    ...user,
    httpStatus: 403,
    message: (p) => `a token of role ${p.role} may not do this`,
    hint: (p) => `Use a token of role ${p.needed}.`,
  }),
  HTTP_ROUTE_NOT_FOUND: spec<{ method: string; path: string }>({
    ...user,
    httpStatus: 404,
    message: (p) => `there is no ${p.method} ${p.path}`,
    hint: () => 'GET /v1/openapi.json lists the routes.',
  }),
  HTTP_REQUEST_INVALID: spec<{ reason: string; path?: string }>({
    ...user,
    httpStatus: 400,
    message: (p) => (p.path ? `${p.path} ${p.reason}` : p.reason),
    hint: () => 'GET /v1/openapi.json says what each route takes.',
  }),
  HTTP_JSON_INVALID: spec<{ reason: string }>({
    ...user,
    httpStatus: 400,
    message: (p) => `the body is not valid JSON: ${p.reason}`,
    hint: () => 'Send one JSON value in UTF-8.',
  }),
  HTTP_MEDIA_TYPE_UNSUPPORTED: spec<{ mediaType: string }>({
    ...user,
    httpStatus: 415,
    message: (p) => `a body of type "${p.mediaType}" is not understood here`,
    hint: () => 'Send "Content-Type: application/json".',
  }),
  HTTP_BODY_TOO_LARGE: spec<{ maxBytes: number }>({
    ...user,
    httpStatus: 413,
    message: (p) => `the body is larger than ${p.maxBytes} bytes`,
    hint: () => 'Send smaller batches, or raise http.limits.bodyBytes in millrace.config.ts.',
  }),
  HTTP_URL_TOO_LONG: spec<{ maxBytes: number }>({
    ...user,
    httpStatus: 414,
    message: (p) => `the URL is longer than ${p.maxBytes} characters`,
    hint: () => 'Use fewer filters, or raise http.limits.urlBytes in millrace.config.ts.',
  }),
  HTTP_HEADERS_TOO_LARGE: spec<{ maxBytes: number }>({
    ...user,
    httpStatus: 431,
    message: (p) => `the request's headers are larger than ${p.maxBytes} bytes`,
    hint: () => 'Send fewer cookies and headers, or raise http.limits.headerBytes in millrace.config.ts.',
  }),
  HTTP_REQUEST_TIMEOUT: spec<{ maxMs: number }>({
    ...user,
    httpStatus: 408,
    retry: 'later',
    message: (p) => `the request did not arrive within ${p.maxMs} ms`,
    hint: () => 'Send it faster, in smaller parts, or raise http.limits.requestMs in millrace.config.ts.',
  }),
  HTTP_CONNECTIONS_LIMIT: spec<{ max: number }>({
    ...busy,
    message: (p) => `there are already ${p.max} connections`,
    hint: () => 'Keep connections alive and reuse them, or raise http.limits.connections in millrace.config.ts.',
  }),
  HTTP_REQUESTS_LIMIT: spec<{ max: number }>({
    ...busy,
    message: (p) => `${p.max} requests are being answered already`,
    hint: () => 'Send it again after Retry-After seconds, or raise http.limits.requestsInFlight in millrace.config.ts.',
  }),
  HTTP_WEBSOCKETS_LIMIT: spec<{ max: number }>({
    ...busy,
    message: (p) => `there are already ${p.max} WebSocket connections`,
    hint: () => 'Close those not needed, or raise http.limits.webSockets in millrace.config.ts.',
  }),
  HTTP_CLIENT_SOCKETS_LIMIT: spec<{ max: number }>({
    ...busy,
    httpStatus: 429,
    message: (p) => `this client already has ${p.max} WebSocket connections`,
    hint: () => 'Share subscriptions within the client, or raise http.limits.webSocketsPerClient in millrace.config.ts.',
  }),
  HTTP_UPGRADE_REQUIRED: spec<{ path: string }>({
    ...user,
    httpStatus: 426,
    message: (p) => `${p.path} is a WebSocket`,
    hint: () => 'Connect with ws:// or wss://; in a browser new WebSocket(url, ["millrace"]).',
  }),
  HTTP_CONSOLE_MISSING: spec<{ folder: string }>({
    kind: 'external',
    httpStatus: 404,
    retry: 'later',
    message: (p) => `the console is not built: ${p.folder} has no index.html`,
    hint: () => 'Build it with: npm run build --workspace console. The API under /v1 works without it.',
  }),
  HTTP_INTERNAL: spec<{ requestId: string }>({
    kind: 'internal',
    httpStatus: 500,
    retry: 'later',
    message: (p) => `internal error (request ${p.requestId})`,
    hint: () => "This is a bug in Millrace. The server's log has the details under the request's id.",
  }),
})
