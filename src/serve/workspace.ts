// The SQL workspace: what an editor asks while somebody types, live previews of a statement, and the project's files.
//
//   text --> /v1/sql/check (errors with places, what each statement is) | /v1/sql/complete (what may stand here)
//   statement --> /v1/sql/live (WebSocket: its changelog, as rows arrive)
//   text --> PUT /v1/project/files/NAME?dryRun=true (what would start, stop and stay) --> the same without dryRun: deployed
//
// Invariants
//   1. Checks, completions and previews change nothing; a preview ends with its socket.
//   2. A file is replaced as a whole, and only if it is the one that the caller has seen (`version`): two editors do not overwrite each other.
//   3. A preview has at most PREVIEW_BURST_ROWS rows and PREVIEW_BYTES_MAX bytes on the way, and PREVIEW_ROWS_PER_SECOND in the long run: what is
//      beyond them is left out, the oldest first, and counted.
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isStreamError, type StreamError, toStreamError } from '../base/index.ts'
import { type Batch, changeKindTexts, type Field, formatType, rowAt } from '../data/index.ts'
import type { ApplyReport, SliceOptions } from '../jobs/index.ts'
import {
  applyStatement,
  bindStatement,
  type Catalog,
  type CatalogEntry,
  type CompletionCatalog,
  completions,
  DEFAULT_DATABASE,
  explainPlan,
  functionNameOf,
  functionNames,
  parseScriptTolerant,
  portabilityMarks,
  type QualifiedName,
  sqlName,
} from '../sql/index.ts'
import { rowJson } from '../views/index.ts'
import { auditOf, byOf, shownTo } from './audit.ts'
import type { CatalogTable, DeployReport, ProjectFile, SqlCheck, SqlCompletions } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { ErrorInfo, NoQuery, same } from './schemas.ts'
import type { LiveSocket, LiveSockets } from './sockets.ts'
import { SliceBody, sliceOf } from './sql.ts'
import { upgradeRequired } from './tables.ts'

const SQL_CHARACTERS_MAX = 200_000
/** A person reads no faster. */
const PREVIEW_ROWS_PER_SECOND = 500
/** What was there before comes at once, as much of it as the console keeps. */
const PREVIEW_BURST_ROWS = 5_000
/** UTF-16 units of JSON. */
const PREVIEW_BYTES_MAX = 8 * 1024 * 1024
const PREVIEW_FRAME_MS = 200
const PREVIEW_STATEMENT_MS = 10_000

export interface PreviewOptions {
  /** Where the topics are read from: all that they hold, or what comes from now on. */
  from: 'earliest' | 'latest'
  /** Where it begins instead, and ends if that is said. */
  slice?: SliceOptions
  onChanges(batch: Batch): void
  onEnd(error?: StreamError): void
}
export interface Workspace {
  /** Names that SQL typed by a person may use. */
  catalog(): Catalog
  /** Topic of a declared table; undefined where it has none. */
  topicOf(table: string): string | undefined
  /** @throws StreamError of the SQL layer */
  preview(
    sql: string,
    options: PreviewOptions,
  ): Promise<{ fields: Field[]; changelog: 'append' | 'retract' | 'upsert'; key?: number[]; stop(): void }>
  /** Files of the project, with the queries that each declares; undefined where nothing may be edited. */
  files?: {
    list(): ProjectFile[]
    /**
     * Puts a file in place, or takes it away (`text` null), and applies the project.
     *
     * @param version  of the file that the caller has seen; null if there was none
     * @param by       who does it
     * @throws StreamError PROJECT_FILE_NAME, PROJECT_FILE_CHANGED
     */
    write(name: string, text: string | null, options: { version: string | null; dryRun: boolean; by: string }): Promise<ApplyReport>
  }
}

const optional = Type.Optional
const Sql = Type.String({ minLength: 1, maxLength: SQL_CHARACTERS_MAX })
const CheckBody = Type.Object({ sql: Type.String({ maxLength: SQL_CHARACTERS_MAX }) }, { additionalProperties: false })
const Column = Type.Object({ name: Type.String(), type: Type.String() })
const Check = Type.Object({
  statements: Type.Array(
    Type.Object({
      type: Type.String({ description: 'query, insert, createTable, createMaterializedTable, …' }),
      start: Type.Integer(),
      end: Type.Integer(),
      name: optional(Type.String()),
      columns: optional(Type.Array(Column)),
      plan: optional(Type.String({ description: 'As EXPLAIN prints it.' })),
    }),
  ),
  errors: Type.Array(ErrorInfo),
  marks: Type.Array(
    Type.Object({
      message: Type.String({ description: 'What Flink would refuse or do otherwise.' }),
      hint: Type.String(),
      position: Type.Object({ line: Type.Integer(), column: Type.Integer(), start: Type.Integer(), end: Type.Integer() }),
    }),
  ),
})
const CompleteBody = Type.Object(
  {
    sql: Type.String({ maxLength: SQL_CHARACTERS_MAX }),
    offset: Type.Integer({ minimum: 0, description: 'UTF-16 units from the start.' }),
  },
  { additionalProperties: false },
)
const completionKinds = ['keyword', 'table', 'column', 'function', 'type', 'option', 'value'] as const
const Completions = Type.Object({
  start: Type.Integer({ description: 'Where what they stand for begins: a word, or the quote before it.' }),
  items: Type.Array(Type.Object({ label: Type.String(), kind: Type.Union(completionKinds.map((kind) => Type.Literal(kind))) })),
})
const quoted = optional(Type.String({ description: 'The name as SQL takes it, where that needs backquotes.' }))
const Tables = Type.Array(
  Type.Object({
    name: Type.String(),
    kind: Type.Union([Type.Literal('table'), Type.Literal('view'), Type.Literal('materialized table')]),
    topic: optional(Type.String()),
    columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String(), quoted })),
    quoted,
  }),
)
const Report = Type.Object({
  started: Type.Array(Type.String()),
  kept: Type.Array(Type.String()),
  stopped: Type.Array(Type.String()),
  restored: Type.Array(Type.Object({ query: Type.String(), checkpointId: Type.Integer() })),
  notices: Type.Array(Type.String()),
  errors: Type.Array(Type.Object({ file: Type.String(), error: ErrorInfo })),
})
const Files = Type.Array(
  Type.Object({ name: Type.String(), text: Type.String(), version: Type.String(), queries: Type.Array(Type.String()) }),
)
const FileParams = Type.Object({ name: Type.String({ maxLength: 200, description: 'Without its folder: `orders.sql`.' }) })
const dryRun = optional(Type.Boolean({ description: 'Says what would change, and changes nothing.' }))
const FileQuery = Type.Object({ dryRun }, { additionalProperties: false })
// Not a union: what checks requests would make '' of null.
const version = Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Of the file as it was read; null if there was none.' })
const FileBody = Type.Object({ text: Type.String({ maxLength: SQL_CHARACTERS_MAX }), version }, { additionalProperties: false })
const GoneBody = Type.Object({ version }, { additionalProperties: false })
const PreviewQuery = Type.Object(
  {
    from: optional(Type.Union([Type.Literal('earliest'), Type.Literal('latest')], { description: 'earliest unless said.' })),
    numbers: optional(Type.Literal('string')),
  },
  { additionalProperties: false },
)
const PreviewRequest = Type.Object({ sql: Sql, slice: optional(SliceBody) }, { additionalProperties: false })

same<Static<typeof Check>, SqlCheck>(true)
same<Static<typeof Completions>, SqlCompletions>(true)
same<Static<typeof Tables>, CatalogTable[]>(true)
same<Static<typeof Report>, DeployReport>(true)
same<Static<typeof Files>, ProjectFile[]>(true)

export function registerWorkspace(app: FastifyInstance, deps: Pick<ServeDeps, 'workspace' | 'audit'>, sockets: LiveSockets): void {
  const { workspace } = deps
  const audit = (request: FastifyRequest, action: string, details: Record<string, unknown>) => auditOf(deps, request)(action, details)
  const reader = { role: 'reader' } as const
  app.get(
    '/v1/catalog',
    {
      config: reader,
      schema: { summary: 'Tables, views and materialized tables with their columns.', querystring: NoQuery, response: { 200: Tables } },
    },
    () => tablesOf(workspace),
  )
  app.post<{ Body: Static<typeof CheckBody> }>(
    '/v1/sql/check',
    {
      config: reader,
      schema: {
        summary: 'What each statement of a script is, and what is wrong with it: for editors.',
        body: CheckBody,
        response: { 200: Check },
      },
    },
    ({ body }) => checkScript(body.sql, workspace.catalog()),
  )
  app.post<{ Body: Static<typeof CompleteBody> }>(
    '/v1/sql/complete',
    { config: reader, schema: { summary: 'What may stand at a place of a script.', body: CompleteBody, response: { 200: Completions } } },
    ({ body }) => completions(body.sql, Math.min(body.offset, body.sql.length), completionCatalog(workspace.catalog())),
  )
  app.route<{ Querystring: Static<typeof PreviewQuery> }>({
    method: 'GET',
    url: '/v1/sql/live',
    attachValidation: true,
    config: reader,
    schema: {
      summary: 'WebSocket: send {"sql": "SELECT …"} once; its columns and then its changelog come back, until the socket is closed.',
      description:
        'The message may have a `slice`, as POST /v1/sql: it begins there and, unless that has an end, goes on with what arrives.',
      querystring: PreviewQuery,
      response: { 101: Type.Unknown() },
    },
    handler: (request) => {
      throw upgradeRequired(request)
    },
    wsHandler: (webSocket, request) =>
      sockets.open(webSocket, request, (socket) => {
        const preview = new Preview(workspace, socket, request.query)
        const timer = setTimeout(
          () => socket.end(serveErrors('SERVE_PREVIEW_SILENT', { seconds: PREVIEW_STATEMENT_MS / 1_000 })),
          PREVIEW_STATEMENT_MS,
        )
        webSocket.once('message', (data) => {
          clearTimeout(timer)
          void preview.start(String(data))
        })
        return () => {
          clearTimeout(timer)
          preview.stop()
        }
      }),
  })
  const { files } = workspace
  if (files === undefined) return
  const admin = { role: 'admin' } as const
  app.get(
    '/v1/project/files',
    {
      config: reader,
      schema: {
        summary: "The project's SQL files; only administrators see secrets in them.",
        querystring: NoQuery,
        response: { 200: Files },
      },
    },
    (request) => files.list().map((file) => ({ ...file, text: shownTo(request, file.text) })),
  )
  app.put<{ Params: Static<typeof FileParams>; Querystring: Static<typeof FileQuery>; Body: Static<typeof FileBody> }>(
    '/v1/project/files/:name',
    {
      config: admin,
      schema: {
        summary: 'Writes a SQL file of the project and takes it up.',
        params: FileParams,
        querystring: FileQuery,
        body: FileBody,
        response: { 200: Report },
      },
    },
    async (request) => {
      const { params, query, body } = request
      const { dryRun = false } = query
      const report = reportOf(await files.write(params.name, body.text, { version: body.version, dryRun, by: byOf(request) }))
      if (!dryRun) audit(request, 'project file written', { file: params.name, started: report.started, stopped: report.stopped })
      return report
    },
  )
  app.delete<{ Params: Static<typeof FileParams>; Querystring: Static<typeof FileQuery>; Body: Static<typeof GoneBody> }>(
    '/v1/project/files/:name',
    {
      config: admin,
      schema: {
        summary: 'Removes a SQL file of the project; its queries stop.',
        params: FileParams,
        querystring: FileQuery,
        body: GoneBody,
        response: { 200: Report },
      },
    },
    async (request) => {
      const { params, query, body } = request
      const { dryRun = false } = query
      const report = reportOf(await files.write(params.name, null, { version: body.version, dryRun, by: byOf(request) }))
      if (!dryRun) audit(request, 'project file deleted', { file: params.name, stopped: report.stopped })
      return report
    },
  )
}

const reportOf = ({ errors, ...report }: ApplyReport): DeployReport => ({
  ...report,
  errors: errors.map(({ file, error }) => ({ file, error: error.toJSON() as DeployReport['errors'][number]['error'] })),
})

const quotedOf = (name: string): { quoted?: string } => (sqlName(name) === name ? {} : { quoted: sqlName(name) })
const columnsOf = (fields: readonly Field[]) => fields.map(({ name, type }) => ({ name, type: formatType(type) }))

function tablesOf({ catalog, topicOf }: Workspace): CatalogTable[] {
  const all = catalog()
  return all.names().flatMap((name) => {
    const entry = all.get(name)
    if (entry === undefined) return []
    const fields = fieldsOf(entry)
    const topic = entry.kind === 'table' ? topicOf(name) : undefined
    const columns = columnsOf(fields).map((column) => ({ ...column, ...quotedOf(column.name) }))
    return [{ name, kind: entry.kind, ...(topic !== undefined && { topic }), columns, ...quotedOf(name) }]
  })
}

function fieldsOf(entry: CatalogEntry): readonly Field[] {
  switch (entry.kind) {
    case 'view':
      return entry.view.fields
    case 'table':
      return entry.table.columns
    default:
      return entry.table.fields
  }
}

const completionCatalog = (catalog: Catalog): CompletionCatalog => ({
  tables: catalog.names().map((name) => {
    const entry = catalog.get(name)
    const connector = entry?.kind === 'table' ? entry.table.options.connector : undefined
    const columns = entry ? fieldsOf(entry).map((field) => field.name) : []
    return { name, kind: entry?.kind ?? 'table', columns, ...(connector !== undefined && { connector }) }
  }),
  functions: functionNames(catalog),
  userFunctions: catalog.functionNames(),
  databases: catalog.databaseNames().filter((name) => name !== DEFAULT_DATABASE),
})

/** Each statement sees what those before it declare; one that is wrong does not hide what is wrong with the others. */
export function checkScript(text: string, known: Catalog): SqlCheck {
  const { statements, errors } = parseScriptTolerant(text)
  const catalog = known.clone()
  // Before anything is bound: binding lets declarations come again by changing their trees.
  const marks = portabilityMarks(statements, text)
  const result: SqlCheck = { statements: [], marks, errors: errors.map((error) => error.toJSON() as SqlCheck['errors'][number]) }
  for (const statement of statements) {
    const { start, end } = statement.span
    try {
      // A script is often what is running already, to be edited: its own declarations may come again.
      if (statement.type === 'createDatabase') Object.assign(statement, { ifNotExists: true })
      else if (statement.type === 'createFunction') catalog.dropFunction(functionNameOf(statement.name))
      else if ('name' in statement && /^create/.test(statement.type)) catalog.drop(catalog.nameOf(statement.name as QualifiedName))
      const bound = bindStatement(statement, text, catalog)
      applyStatement(bound, catalog)
      const plan = 'query' in bound ? bound.query : undefined
      const name = 'table' in bound ? bound.table.name : undefined
      result.statements.push({
        type: bound.type,
        start,
        end,
        ...(name !== undefined && { name }),
        ...(plan && { columns: columnsOf(plan.fields), plan: explainPlan(plan) }),
      })
    } catch (error) {
      if (!isStreamError(error)) throw error
      result.errors.push(error.toJSON() as SqlCheck['errors'][number])
    }
  }
  return result
}

/** One statement's changelog on its way to one socket: gathered, and sent a few times a second. */
class Preview {
  private readonly workspace: Workspace
  private readonly socket: LiveSocket
  private readonly options: Static<typeof PreviewQuery>
  private timer: NodeJS.Timeout | undefined
  private end: (() => void) | undefined
  private changes: string[] = []
  /** Before it they have been left out. */
  private first = 0
  private sizeBytes = 0
  /** Rows that may be sent now. */
  private budgetRows = PREVIEW_BURST_ROWS
  private rowCount = 0
  private skipped = 0
  private isSent = false
  private isStopped = false

  constructor(workspace: Workspace, socket: LiveSocket, options: Static<typeof PreviewQuery>) {
    this.workspace = workspace
    this.socket = socket
    this.options = options
  }

  async start(message: string): Promise<void> {
    try {
      const { sql, slice } = requestOf(message)
      const { from = 'earliest', numbers } = this.options
      let encode: (row: unknown[]) => string = () => ''
      const { fields, changelog, key, stop } = await this.workspace.preview(sql, {
        from,
        ...(slice && { slice: sliceOf(slice) }),
        onChanges: (batch) => this.take(batch, encode),
        onEnd: (error) => (error ? this.socket.end(error) : this.flush(true)),
      })
      this.end = stop
      if (this.isStopped) return stop()
      encode = rowJson(fields, { numbersAsText: numbers === 'string' })
      this.send({ type: 'columns', columns: columnsOf(fields), changelog, key: (key ?? []).map((ordinal) => fields[ordinal].name) })
      this.timer = setInterval(() => this.flush(false), PREVIEW_FRAME_MS)
    } catch (error) {
      this.socket.end(toStreamError(error))
    }
  }

  stop(): void {
    this.isStopped = true
    clearInterval(this.timer)
    this.end?.()
  }

  private take(batch: Batch, encode: (row: unknown[]) => string): void {
    for (let row = 0; row < batch.rowCount; row++) {
      this.rowCount++
      const change = `{"op":"${changeKindTexts[(batch.kinds?.[row] ?? 0) as 0]}","row":${encode(rowAt(batch, row))}}`
      this.changes.push(change)
      this.sizeBytes += change.length
      // The newest are worth more than the oldest. One is sent however large it is.
      while (this.pendingRows() > 1 && (this.pendingRows() > this.budgetRows || this.sizeBytes > PREVIEW_BYTES_MAX)) {
        this.sizeBytes -= this.changes[this.first].length
        this.changes[this.first++] = ''
        this.skipped++
      }
    }
    if (this.first <= PREVIEW_BURST_ROWS) return
    this.changes = this.changes.slice(this.first)
    this.first = 0
  }

  private pendingRows(): number {
    return this.changes.length - this.first
  }

  private flush(isLast: boolean): void {
    this.budgetRows = Math.min(PREVIEW_BURST_ROWS, this.budgetRows + (PREVIEW_ROWS_PER_SECOND * PREVIEW_FRAME_MS) / 1_000)
    if (this.socket.bufferedBytes() > 0 && !isLast) return
    if (this.changes.length === 0 && this.isSent && !isLast) return
    this.isSent = true
    const changes = this.changes.slice(this.first)
    this.changes = []
    this.first = 0
    this.sizeBytes = 0
    this.budgetRows -= changes.length
    const head = JSON.stringify({ type: 'changes', rowCount: this.rowCount, skipped: this.skipped, atMs: Date.now(), isLast })
    this.socket.send(Buffer.from(`${head.slice(0, -1)},"changes":[${changes.join(',')}]}`))
    this.skipped = 0
  }

  private send(frame: object): void {
    this.socket.send(Buffer.from(JSON.stringify(frame)))
  }
}

/** @throws StreamError SERVE_PREVIEW_MESSAGE */
function requestOf(message: string): Static<typeof PreviewRequest> {
  try {
    const request: unknown = JSON.parse(message)
    if (Value.Check(PreviewRequest, request) && request.sql.trim() !== '') return request
  } catch {
    // said below
  }
  throw serveErrors('SERVE_PREVIEW_MESSAGE', { sizeMax: SQL_CHARACTERS_MAX })
}
