// What comes from where: topics, queries, live tables and consumer groups, with what flows between them now.
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Background, Controls, type Edge, Handle, MarkerType, type Node, type NodeProps, Position, ReactFlow } from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import { useMemo, useState } from 'react'
import type { Lineage as LineageBody } from '../../../src/serve/contract.ts'
import { apiGet } from '../api/client.ts'
import { formatAge, formatRate } from '../ui/format.ts'
import { layered, lookedAt } from '../ui/layered.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Empty, useIsPhone, useNow, Waiting } from '../ui/parts.tsx'
import { useIsDark } from '../ui/theme.ts'

const SIZE = { width: 216, height: 58 }
/** So that three of them beside each other can be read. */
const PHONE_SIZE = { width: 132, height: 58 }
/** A graph of more is no picture any more: one looks for a name. */
const SHOWN_MAX = 400

type Place = LineageBody['nodes'][number]
type PlaceNode = Node<{ place: Place }, 'place'>

const kindTexts: Record<Place['kind'], string> = {
  topic: 'topic',
  query: 'query',
  table: 'live table',
  group: 'consumer group',
  files: 'files',
  other: 'outside',
}

const useLineage = () =>
  useQuery({ queryKey: ['lineage'], queryFn: ({ signal }) => apiGet<LineageBody>('/v1/lineage', signal), refetchInterval: 2_000 })

/** All that a place comes from, and all that comes from it; everything without one. */
function around({ nodes, edges }: LineageBody, isWanted: ((place: Place) => boolean) | undefined): LineageBody {
  if (!isWanted) return { nodes, edges }
  const reach = (from: 'from' | 'to', to: 'from' | 'to'): Set<string> => {
    const found = new Set(nodes.filter(isWanted).map(({ id }) => id))
    const next = Map.groupBy(edges, (edge) => edge[from])
    for (const id of found) for (const edge of next.get(id) ?? []) found.add(edge[to])
    return found
  }
  const ids = new Set([...reach('from', 'to'), ...reach('to', 'from')])
  return { nodes: nodes.filter(({ id }) => ids.has(id)), edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to)) }
}

export function Lineage() {
  const [text, setText] = useState('')
  const wanted = text.trim().toLowerCase()
  const isWanted = useMemo(() => (wanted === '' ? undefined : (place: Place) => place.name.toLowerCase().includes(wanted)), [wanted])
  return (
    <div className="page">
      <PageHead title="Lineage" note="What comes from where. A query over a live table computes that table's rows itself, from its topics.">
        <input
          type="search"
          className="filter"
          aria-label="Show what is connected with"
          placeholder="Connected with …"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </PageHead>
      <LineageGraph isWanted={isWanted} />
    </div>
  )
}

/** @param isWanted  only what is connected with these; all without it */
export function LineageGraph({ isWanted }: { isWanted: ((place: Place) => boolean) | undefined }) {
  const { data, error } = useLineage()
  const isDark = useIsDark()
  const isPhone = useIsPhone()
  const navigate = useNavigate()
  const shown = useMemo(() => data && around(data, isWanted), [data, isWanted])
  const shape = shown ? `${shown.nodes.map(({ id }) => id).join()} ${shown.edges.map(({ from, to }) => `${from}>${to}`).join()}` : ''
  // biome-ignore lint/correctness/useExhaustiveDependencies: places depend on the shape alone
  const places = useMemo(() => {
    if (!shown || shown.nodes.length > SHOWN_MAX) return new Map<string, { x: number; y: number }>()
    const inputs = Map.groupBy(shown.edges, ({ to }) => to)
    return layered(
      shown.nodes.map(({ id }) => ({ id, inputs: (inputs.get(id) ?? []).map(({ from }) => from) })),
      'LR',
      isPhone ? PHONE_SIZE : SIZE,
    )
  }, [shape, isPhone])
  if (!shown) return <Waiting refusal={error} count={6} />
  if (shown.nodes.length === 0)
    return isWanted ? (
      <Empty title="Nothing is connected with it">
        No query reads it or writes to it, and no consumer group has committed offsets of it.
      </Empty>
    ) : (
      <Empty title="No query runs" command="npx millrace dev">
        Each <code>CREATE MATERIALIZED TABLE</code> and <code>INSERT INTO</code> in <code>pipelines/*.sql</code> makes one thing of others.
      </Empty>
    )
  if (shown.nodes.length > SHOWN_MAX)
    return (
      <Empty title={`${shown.nodes.length} places`}>
        Too many for a picture: write a part of a name above, to see what is connected with it.
      </Empty>
    )
  const nodes: PlaceNode[] = shown.nodes.map((place) => ({
    id: place.id,
    type: 'place',
    position: places.get(place.id) ?? { x: 0, y: 0 },
    data: { place },
    sourcePosition: Position.Right,
    targetPosition: Position.Left,
    ...(isPhone ? PHONE_SIZE : SIZE),
  }))
  const edges: Edge[] = shown.edges.map(({ from, to, perSecond }) => ({
    id: `${from}>${to}`,
    source: from,
    target: to,
    label: `${formatRate(perSecond)}/s`,
    animated: perSecond > 0,
    markerEnd: { type: MarkerType.ArrowClosed },
  }))
  const open = (id: string): void => {
    const place = shown.nodes.find((one) => one.id === id)
    if (place?.kind === 'topic') void navigate({ to: '/topics/$name', params: { name: place.name } })
    if (place?.kind === 'query') void navigate({ to: '/queries/$id', params: { id: place.name } })
    if (place?.kind === 'table') void navigate({ to: '/tables/$name', params: { name: place.name } })
    if (place?.kind === 'group') void navigate({ to: '/groups/$id', params: { id: place.name } })
  }
  return (
    <div
      className="plan-canvas lineage"
      role="group"
      aria-label={`Lineage: ${nodes.length} places`}
      onKeyDown={(event) => {
        const id = (event.target as HTMLElement).closest('.react-flow__node')?.getAttribute('data-id')
        if (event.key === 'Enter' && id) open(id)
      }}
    >
      <ReactFlow<PlaceNode>
        key={`${shape} ${isPhone}`}
        nodes={nodes}
        edges={edges}
        nodeTypes={nodeTypes}
        colorMode={isDark ? 'dark' : 'light'}
        fitView
        fitViewOptions={{ padding: 0.04, maxZoom: 1, minZoom: 0.4 }}
        minZoom={0.1}
        onlyRenderVisibleElements={nodes.length > 100}
        {...lookedAt}
        onNodeClick={(_event, { id }) => open(id)}
      >
        <Background gap={22} />
        <Controls showInteractive={false} position="top-right" />
      </ReactFlow>
    </div>
  )
}

function PlaceBox({ data: { place }, sourcePosition = Position.Right, targetPosition = Position.Left }: NodeProps<PlaceNode>) {
  const { kind, name, state, newestMs } = place
  const nowMs = useNow(5_000)
  return (
    <div className={`plan-node place-${kind}${state === 'failed' ? ' is-hot' : ''}`} title={name}>
      <Handle type="target" position={targetPosition} isConnectable={false} />
      <strong>{name}</strong>
      <span className="quiet">
        {kindTexts[kind]}
        {state !== undefined && `, ${state}`}
        {newestMs !== undefined && `, changed ${formatAge(Math.max(0, nowMs - newestMs))}`}
      </span>
      <Handle type="source" position={sourcePosition} isConnectable={false} />
    </div>
  )
}
const nodeTypes = { place: PlaceBox }
