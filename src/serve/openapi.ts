// GET /v1/openapi.json, made from the very schemas that the routes check requests with.
import type { FastifyInstance } from 'fastify'
import type { RouteInfo } from '../base/http/index.ts'
import { ApiError, IngestResponse, NoQuery } from './schemas.ts'

type Json = Record<string, unknown>

/** For routes that other layers add without describing their answers. */
const known: Record<string, { summary: string; responses: Json; body?: Json }> = {
  'POST /v1/topics/{topic}/events': {
    summary:
      'Appends events in the format of the topic’s table: JSON (an object, an array, or NDJSON), CSV, or raw (lines, or one record). 202 means durable; 422 that none was accepted.',
    body: {
      'application/json': { schema: {} },
      'application/x-ndjson': { schema: { type: 'string' } },
      'text/csv': { schema: { type: 'string' } },
      'text/plain': { schema: { type: 'string' } },
      'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
    },
    responses: {
      202: { description: 'Accepted and durable; `rejected` says which were not.', content: jsonOf(IngestResponse) },
      422: { description: 'No event was accepted.', content: jsonOf(IngestResponse) },
    },
  },
}

function jsonOf(schema: unknown): Json {
  return { 'application/json': { schema } }
}

const pathOf = (url: string): string => url.replace(/:([A-Za-z]\w*)/g, '{$1}')

function parametersOf(schema: Json, path: string): Json[] {
  const parameters: Json[] = []
  const add = (place: 'path' | 'query', source: Json | undefined) => {
    const { properties = {}, required = [] } = (source ?? {}) as { properties?: Record<string, Json>; required?: string[] }
    for (const [name, property] of Object.entries(properties))
      parameters.push({
        name,
        in: place,
        required: place === 'path' || required.includes(name),
        ...(property.description ? { description: property.description } : {}),
        schema: property,
      })
    const rest = source?.additionalProperties
    if (place === 'query' && rest && typeof rest === 'object')
      parameters.push({
        name: 'filters',
        in: 'query',
        style: 'form',
        explode: true,
        description: (rest as Json).description,
        schema: { type: 'object', additionalProperties: rest },
      })
  }
  add('path', schema.params as Json)
  add('query', schema.querystring as Json)
  for (const [, name] of path.matchAll(/\{(\w+)\}/g))
    if (!parameters.some((parameter) => parameter.name === name))
      parameters.push({ name, in: 'path', required: true, schema: { type: 'string' } })
  return parameters
}

function operationOf(route: RouteInfo): Json {
  const path = pathOf(route.url)
  const { schema, role, isWebSocket } = route
  const extra = known[`${route.method} ${path}`]
  const responses: Json = { ...extra?.responses }
  for (const [status, response] of Object.entries((schema.response ?? {}) as Json)) {
    const isFrame = status === '101'
    responses[status] = {
      description: isFrame
        ? 'Switches to a WebSocket; each text message is one of these frames.'
        : status === '200'
          ? 'OK'
          : 'See the body.',
      content: jsonOf(response),
    }
  }
  if (Object.keys(responses).length === 0) responses[200] = { description: 'OK' }
  responses.default = { description: 'Refused, or failed.', content: jsonOf({ $ref: '#/components/schemas/ApiError' }) }
  const body = extra?.body ?? (schema.body ? jsonOf(schema.body) : undefined)
  return {
    operationId: `${route.method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+(\w)?/g, (_, letter: string | undefined) => letter?.toUpperCase() ?? '')}`,
    summary: schema.summary ?? extra?.summary ?? path,
    ...(schema.description ? { description: schema.description } : {}),
    parameters: parametersOf(schema, path),
    ...(body ? { requestBody: { content: body } } : {}),
    responses,
    security: role === 'public' ? [] : [{ token: [] }],
    'x-role': role,
    ...(isWebSocket ? { 'x-websocket': true } : {}),
  }
}

/** OpenAPI 3.1 of the routes given. */
export function openApi(routes: readonly RouteInfo[], version: string): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = pathOf(route.url)
    paths[path] ??= {}
    paths[path][route.method.toLowerCase()] = operationOf(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version,
      description:
        'Events in, live tables out. Each refusal has a `code`; a WebSocket that is refused after its upgrade sends an `error` frame first.',
    },
    paths,
    components: {
      schemas: { ApiError },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'mr_…; WebSockets of browsers: subprotocols `millrace` and `millrace.token.mr_…`',
        },
      },
    },
  }
}

export function registerOpenApi(app: FastifyInstance, version: string): void {
  app.get('/v1/openapi.json', { config: { role: 'public' }, schema: { summary: 'This description.', querystring: NoQuery } }, () =>
    openApi(app.routeList, version),
  )
}
