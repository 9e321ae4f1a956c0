// /v1/queries/:id/state: what a running query remembers, by operator and by key.
//
// Nothing is copied for it: its worker reads some keys between two of its steps (`engine/state/readState.ts`), so asking costs it little.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { heldUpError, type QueryInsight } from '../jobs/index.ts'
import type * as contract from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { queryNotFound, serveErrors } from './errors.ts'
import { NoQuery, optional, QueryParams, same } from './schemas.ts'

const KEYS = 20
const KEYS_MAX = 500

const count = (description?: string) => Type.Integer({ minimum: 0, ...(description && { description }) })
const Column = Type.Object({ name: Type.String(), type: Type.String({ description: 'As SQL writes it.' }) })
const table = {
  name: Type.String({ description: 'groups, left rows, partial matches, …' }),
  kept: Type.Object(
    {
      by: Type.Union([Type.Literal('ttl'), Type.Literal('eventTime'), Type.Literal('clock'), Type.Literal('query')]),
      text: Type.String({ description: 'Why a row is still there, and what would make it go.' }),
      ttlMs: optional(Type.Number()),
    },
    { description: 'query: as long as the query runs.' },
  ),
  key: Type.Array(Column),
  value: Type.Array(Column),
}
const operator = {
  id: count("Of its node, as in the query's graph."),
  node: Type.String({ description: 'Its kind, which names it as well where the query has one of it.' }),
  label: Type.String({ description: 'As EXPLAIN prints it.' }),
  stateRows: count('Groups, or rows, that it holds.'),
  stateBytes: count('In memory.'),
  spilledBytes: count('On the disk.'),
  waitingRows: count('Rows that wait for state on the disk: what is shown does not have them yet.'),
  rowsIn: count('Rows that have come to it.'),
  watermarkMs: optional(Type.Number({ description: 'The event time that it has come to.' })),
  tables: Type.Array(Type.Object(table)),
}
const QueryState = Type.Object({
  query: Type.String(),
  atMs: Type.Number(),
  stateBytes: count('In memory.'),
  spilledBytes: count('On the disk.'),
  budget: Type.Object(
    { limitBytes: count(), usedBytes: count() },
    { description: 'For state, live tables and buffers of the whole process; state beyond it goes to the disk.' },
  ),
  operators: Type.Array(Type.Object(operator), { description: 'Those that remember something.' }),
})
const OperatorState = Type.Object({
  query: Type.String(),
  atMs: Type.Number(),
  operator: Type.Object(operator),
  isComplete: Type.Boolean({ description: 'False: nothing indexes the key, and there was more to look through than one look-up may.' }),
  tables: Type.Array(
    Type.Object({
      ...table,
      keyCount: optional(count('Keys that it has; absent of a look-up, and where counting them would take all of the disk.')),
      isAbout: optional(Type.Literal(true, { description: 'Some of the keys hold nothing any more.' })),
      entries: Type.Array(
        Type.Object({
          key: Type.Array(Type.Unknown()),
          rows: Type.Array(
            Type.Object({
              values: Type.Array(Type.Unknown()),
              untilMs: optional(
                Type.Number({ description: 'When it is forgotten if nothing more comes, by the time that `kept.by` names.' }),
              ),
            }),
          ),
          rowCount: optional(count('`rows` are the first of them; absent where they are too many to count.')),
        }),
      ),
    }),
  ),
})
const Operator = Type.Object({
  id: QueryParams.properties.id,
  operator: Type.String({ description: "Its node's id, or its kind where the query has one of it." }),
})
const Look = Type.Object(
  {
    key: optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description: 'One key: a JSON object of its columns, or `column=value`, repeated for several columns. Without it: the first keys.',
      }),
    ),
    limit: optional(
      Type.Integer({ minimum: 1, maximum: KEYS_MAX, description: `Keys of each table, or rows of the key; ${KEYS} unless said.` }),
    ),
  },
  { additionalProperties: false },
)
same<Static<typeof QueryState>, contract.QueryState>(true)
same<Static<typeof OperatorState>, contract.OperatorState>(true)

type Live = NonNullable<QueryInsight['live']>

export function registerState(app: FastifyInstance, { queries, inspectQuery, readState, stats }: ServeDeps): void {
  const insightOf = async (name: string): Promise<{ id: string; live: Live }> => {
    const insight = await inspectQuery(name)
    if (!insight) throw queryNotFound(name, queries())
    const { id, state, live, heldUp } = insight
    if (state === 'stopped' || state === 'failed') throw serveErrors('SERVE_STATE_NOT_RUNNING', { query: id, state })
    if (heldUp) throw heldUpError(id, heldUp)
    if (!live) throw serveErrors('SERVE_STATE_SILENT', { query: id })
    return { id, live }
  }
  app.get<{ Params: Static<typeof QueryParams> }>(
    '/v1/queries/:id/state',
    {
      schema: {
        summary: 'What the operators of a query remember: rows, bytes, what is on the disk, and why it is kept.',
        params: QueryParams,
        querystring: NoQuery,
        response: { 200: QueryState },
      },
    },
    async ({ params }): Promise<contract.QueryState> => {
      const { id, live } = await insightOf(params.id)
      const operators = operatorsOf(live)
      const { limitBytes, stateBytes, otherBytes } = stats.current().memory
      const sum = (of: 'stateBytes' | 'spilledBytes') => operators.reduce((all, one) => all + one[of], 0)
      return {
        query: id,
        atMs: Date.now(),
        stateBytes: sum('stateBytes'),
        spilledBytes: sum('spilledBytes'),
        budget: { limitBytes, usedBytes: stateBytes + otherBytes },
        operators,
      }
    },
  )
  app.get<{ Params: Static<typeof Operator>; Querystring: Static<typeof Look> }>(
    '/v1/queries/:id/state/:operator',
    {
      schema: {
        summary: 'What one operator of a query remembers: its first keys with their rows, or those of one key.',
        params: Operator,
        querystring: Look,
        response: { 200: OperatorState },
      },
    },
    async ({ params, query: { key, limit = KEYS } }): Promise<contract.OperatorState> => {
      const wanted = key === undefined ? undefined : keyOf([key].flat())
      const { id, live } = await insightOf(params.id)
      const reading = await readState(id, { operator: params.operator, limit, ...(wanted && { key: wanted }) })
      const found = operatorsOf(live).filter((one) => String(one.id) === params.operator || one.node === params.operator)
      if (!reading || found.length !== 1) throw serveErrors('SERVE_STATE_SILENT', { query: id })
      return { query: id, atMs: Date.now(), operator: found[0], ...reading }
    },
  )
}

const operatorsOf = ({ nodes }: Live): contract.StateOperator[] =>
  nodes.flatMap(({ id, node, label, operator = {}, rowsIn, watermarkMs, tables = [] }) =>
    tables.length === 0
      ? []
      : [
          {
            id,
            node,
            label,
            stateRows: operator.stateRows ?? 0,
            stateBytes: operator.stateBytes ?? 0,
            spilledBytes: operator.spilledBytes ?? 0,
            waitingRows: operator.waitingRows ?? 0,
            rowsIn,
            ...(Number.isFinite(watermarkMs) && { watermarkMs }),
            tables,
          },
        ],
  )

/** @throws StreamError SERVE_STATE_KEY */
function keyOf(texts: readonly string[]): Record<string, unknown> {
  return Object.assign({}, ...texts.map(partOf))
}

function partOf(text: string): Record<string, unknown> {
  const at = text.indexOf('=')
  if (!text.startsWith('{')) {
    if (at <= 0) throw serveErrors('SERVE_STATE_KEY', { key: text.slice(0, 100) })
    return { [text.slice(0, at)]: text.slice(at + 1) }
  }
  try {
    // Numbers that a double cannot hold stay as they were written.
    return JSON.parse(text, (_, value, context?: { source: string }) =>
      typeof value === 'number' && String(value) !== context?.source ? context?.source : value,
    )
  } catch (error) {
    throw serveErrors('SERVE_STATE_KEY', { key: text.slice(0, 100) }, { cause: error })
  }
}
