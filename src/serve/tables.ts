// /v1/tables: pages, look-ups, exports, and live subscriptions.

import { Readable } from 'node:stream'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { httpErrors } from '../base/http/index.ts'
import { nearestName } from '../base/index.ts'
import { type Field, formatType } from '../data/index.ts'
import {
  type Filter,
  jsonOf,
  type Order,
  parseFilter,
  parseOrder,
  type Row,
  rowJson,
  textOf,
  type ViewDefinition,
  type ViewStatus,
} from '../views/index.ts'
import type { ColumnInfo, TableSummary } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { LiveFrame, LiveQuery, NameParams, NoQuery, TablePage, TableQuery, TableSummary as TableSummarySchema } from './schemas.ts'
import type { LiveSockets } from './sockets.ts'

const PAGE_ROWS = 100
const EXPORTS_MAX = 4
const EXPORT_CHUNK_ROWS = 500

type Query = Record<string, string | string[] | number | undefined>

const columnsOf = (fields: readonly Field[]): ColumnInfo[] => fields.map(({ name, type }) => ({ name, type: formatType(type) }))

function summaryOf({ name, comment, fields, primaryKey, rowCount, changeCount, updatedAtMs, subscriberCount }: ViewStatus): TableSummary {
  return {
    name,
    ...(comment !== undefined && { comment }),
    columns: columnsOf(fields),
    primaryKey: primaryKey.map((column) => fields[column].name),
    rowCount,
    changeCount,
    ...(updatedAtMs !== undefined && { updatedAtMs }),
    subscriberCount,
  }
}

/**
 * Filters and order of a URL: whatever is not a parameter of the route is a filter.
 *
 * @throws StreamError SERVE_PARAMETER_UNKNOWN and those of parseFilter and parseOrder
 */
function parseQuery(table: ViewDefinition, query: Query, parameters: readonly string[]): { filters: Filter[]; order: Order } {
  const filters: Filter[] = []
  const names = table.fields.map((field) => field.name)
  for (const [parameter, value] of Object.entries(query)) {
    if (parameters.includes(parameter) || value === undefined) continue
    if (!parameter.includes('.') && !names.includes(parameter))
      throw serveErrors('SERVE_PARAMETER_UNKNOWN', { parameter, nearest: nearestName(parameter, [...names, ...parameters]) })
    for (const text of Array.isArray(value) ? value : [String(value)]) filters.push(parseFilter(table, parameter, text))
  }
  return { filters, order: query.order === undefined ? [] : parseOrder(table, String(query.order)) }
}

export function registerTables(
  app: FastifyInstance,
  { views, checkpoints }: Pick<ServeDeps, 'views' | 'checkpoints'>,
  sockets: LiveSockets,
): void {
  let exportCount = 0

  app.get(
    '/v1/tables',
    { schema: { summary: 'All materialized tables.', querystring: NoQuery, response: { 200: Type.Array(TableSummarySchema) } } },
    () => views.list().map(summaryOf),
  )

  app.get('/v1/tables/:name', {
    schema: {
      summary: 'Rows of a table: filtered, ordered, page by page; or one row by all columns of its primary key; or an export.',
      params: NameParams,
      querystring: TableQuery,
      response: { 200: TablePage },
    },
    handler: async (request, reply) => {
      const { name } = request.params as Static<typeof NameParams>
      const query = request.query as Static<typeof TableQuery>
      const table = views.definition(name)
      const { filters, order } = parseQuery(table, query as Query, Object.keys(TableQuery.properties))
      const numbersAsText = query.numbers === 'string'
      const read = <T>(rows: () => T): T | Promise<T> =>
        query.isolation === 'committed' ? checkpoints.atNextCheckpoint(name, rows) : rows()
      if (query.format === 'ndjson' || query.format === 'csv') {
        if (exportCount >= EXPORTS_MAX) throw serveErrors('SERVE_EXPORTS_LIMIT', { max: EXPORTS_MAX })
        const rows = await read(() => views.copy(name, filters, order))
        exportCount++
        const write = query.format === 'csv' ? csvWriter(table.fields) : ndjsonWriter(table.fields, numbersAsText)
        const stream = Readable.from(chunksOf(rows, write, query.format === 'csv' ? csvHead(table.fields) : ''))
        stream.once('close', () => exportCount--)
        return reply
          .header('content-type', query.format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
          .header('content-disposition', `attachment; filename="${name.replace(/[^\w.-]/g, '_')}.${query.format}"`)
          .send(stream)
      }
      const page = await read(() => views.scan(name, { filters, order, limit: query.limit ?? PAGE_ROWS, cursor: query.cursor }))
      const rows = page.rows.map(rowJson(table.fields, { numbersAsText })).join(',')
      return sendJson(
        reply,
        `{"columns":${JSON.stringify(columnsOf(table.fields))},"rows":[${rows}],"next":${JSON.stringify(page.next)},"epoch":${page.epoch}}`,
      )
    },
  })

  app.route({
    method: 'GET',
    url: '/v1/tables/:name/live',
    attachValidation: true,
    schema: {
      summary: 'WebSocket: a snapshot of the rows, then deltas. With the same filters as the table, and resumable.',
      params: NameParams,
      querystring: LiveQuery,
      response: { 101: LiveFrame },
    },
    handler: (request) => {
      throw upgradeRequired(request)
    },
    wsHandler: (webSocket, request) =>
      sockets.open(webSocket, request, (socket) => {
        const { name } = request.params as Static<typeof NameParams>
        const query = request.query as Static<typeof LiveQuery>
        const { filters, order } = parseQuery(views.definition(name), query as Query, Object.keys(LiveQuery.properties))
        const { limit, interval: intervalMs, resume } = query
        return views.subscribe(name, { filters, order, limit, intervalMs, resume, numbersAsText: query.numbers === 'string' }, socket)
      }),
  })
}

export const upgradeRequired = (request: FastifyRequest) =>
  httpErrors('HTTP_UPGRADE_REQUIRED', { path: request.url.split('?')[0].slice(0, 200) })

export const sendJson = (reply: FastifyReply, text: string): FastifyReply =>
  reply.header('content-type', 'application/json; charset=utf-8').send(text)

/** Pieces of an export; the next is made when the socket has taken the last. */
function* chunksOf(rows: readonly Row[], write: (row: Row) => string, head: string): Generator<string> {
  if (head) yield head
  for (let i = 0; i < rows.length; i += EXPORT_CHUNK_ROWS)
    yield rows
      .slice(i, i + EXPORT_CHUNK_ROWS)
      .map(write)
      .join('')
}

function ndjsonWriter(fields: readonly Field[], numbersAsText: boolean): (row: Row) => string {
  const members = fields.map(({ name, type }) => ({ label: `${JSON.stringify(name)}:`, encode: jsonOf(type, { numbersAsText }) }))
  return (row) => `{${members.map(({ label, encode }, i) => label + encode(row[i])).join(',')}}\n`
}

/** RFC 4180; NULL is an empty field, an empty text is `""`. */
const csvField = (text: string): string => (text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
const csvHead = (fields: readonly Field[]): string => `${fields.map(({ name }) => csvField(name)).join(',')}\r\n`
function csvWriter(fields: readonly Field[]): (row: Row) => string {
  const writers = fields.map(({ type }) => textOf(type))
  return (row) => `${writers.map((write, i) => (row[i] === null ? '' : csvField(write(row[i])))).join(',')}\r\n`
}
