// GET /v1/lineage: topics, the queries that read them, what those write to, and who reads it.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type * as contract from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { NoQuery, optional, QuerySummary, same } from './schemas.ts'
import { isInternalTopic } from './topicNames.ts'

type Node = contract.Lineage['nodes'][number]

const Lineage = Type.Object({
  nodes: Type.Array(
    Type.Object({
      id: Type.String({ description: '`kind/name`' }),
      kind: Type.Union((['topic', 'query', 'table', 'group', 'files', 'other'] as const).map((kind) => Type.Literal(kind))),
      name: Type.String(),
      state: optional(QuerySummary.properties.state),
      newestMs: optional(Type.Number({ description: 'Of a live table: when its newest change came.' })),
    }),
  ),
  edges: Type.Array(
    Type.Object({
      from: Type.String(),
      to: Type.String(),
      perSecond: Type.Number({ description: 'Rows of the query at one of its ends; of a topic and a group, what the topic takes.' }),
    }),
  ),
})
same<Static<typeof Lineage>, contract.Lineage>(true)

export function registerLineage(app: FastifyInstance, deps: ServeDeps): void {
  app.get(
    '/v1/lineage',
    {
      schema: {
        summary: 'What comes from where: topics, queries, live tables, consumer groups.',
        description: "A query over a live table computes that table's rows itself, so it comes from the table's topics.",
        querystring: NoQuery,
        response: { 200: Lineage },
      },
    },
    () => lineageOf(deps),
  )
}

async function lineageOf({ queries, sourcesOf, log, views, groups, stats }: ServeDeps): Promise<contract.Lineage> {
  const nodes = new Map<string, Node>()
  const edges: contract.Lineage['edges'] = []
  const idOf = ({ kind, name }: Pick<Node, 'kind' | 'name'>): string => `${kind}/${name}`
  const add = (node: Omit<Node, 'id'>): string => {
    const id = idOf(node)
    if (!nodes.has(id)) nodes.set(id, { id, ...node })
    return id
  }
  for (const { name, updatedAtMs } of views.list())
    add({ kind: 'table', name, ...(updatedAtMs !== undefined && { newestMs: updatedAtMs }) })
  // A topic that nobody declares, reads or writes is on no way: it is in the list of topics.
  const sources = sourcesOf()
  const rates = new Map(stats.current().topics.map(({ name, perSecond }) => [name, perSecond]))
  for (const { id, state, target, rowsInPerSecond, rowsOutPerSecond } of queries()) {
    const query = add({ kind: 'query', name: id, state })
    const from = sources.get(id) ?? []
    // Of several sources it is only known what all of them give: each shows what its topic takes.
    for (const place of from)
      edges.push({
        from: add(place),
        to: query,
        perSecond: from.length === 1 || state !== 'running' ? rowsInPerSecond : (rates.get(place.name) ?? 0),
      })
    edges.push({ from: query, to: add({ kind: target.kind, name: target.name }), perSecond: rowsOutPerSecond })
  }
  const registry = await groups()
  for (const { id } of registry?.list() ?? [])
    for (const topic of new Set(registry?.offsets(id).map((one) => one.topic)))
      if (!isInternalTopic(topic) && log.topic(topic))
        edges.push({ from: add({ kind: 'topic', name: topic }), to: add({ kind: 'group', name: id }), perSecond: rates.get(topic) ?? 0 })
  return { nodes: [...nodes.values()], edges }
}
