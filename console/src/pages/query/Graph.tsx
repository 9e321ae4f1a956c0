// The plan of a running query as a graph, from its topics to its result: what flows through each node now, and rows that just did.
import { Background, Controls, type Edge, Handle, MarkerType, type Node, type NodeProps, Position, ReactFlow } from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import { useMemo, useState } from 'react'
import type { QueryWhy, WhyNode } from '../../../../src/serve/contract.ts'
import { formatBytes, formatCompact, formatDateTime, formatInteger, formatRate, formatShare, none } from '../../ui/format.ts'
import { layered, lookedAt } from '../../ui/layered.ts'
import { Badge, Code, useIsPhone } from '../../ui/parts.tsx'
import { useIsDark } from '../../ui/theme.ts'
import { type Flow, useFlows } from './rates.ts'

const SIZE = { width: 208, height: 96 }
/** A busier node is marked: it is what the others wait for. */
const BUSY_SHARE = 0.5

type PlanNode = Node<{ node: WhyNode; flow: Flow | undefined }, 'plan'>

/** A rate that is not known yet, at the first look, is not 0. */
const rateText = (perSecond: number | undefined): string => (perSecond === undefined ? '…' : `${formatRate(perSecond)}/s`)

export function Graph({ why }: { why: QueryWhy }) {
  const flows = useFlows(why)
  const [chosen, setChosen] = useState<number | null>(null)
  const isDark = useIsDark()
  const isPhone = useIsPhone()
  const shape = why.nodes.map(({ id, inputs }) => `${id}<${inputs.join()}`).join(' ')
  // biome-ignore lint/correctness/useExhaustiveDependencies: places depend on the shape alone
  const places = useMemo(() => layered(why.nodes, isPhone ? 'TB' : 'LR', SIZE), [shape, isPhone])
  const nodes: PlanNode[] = why.nodes.map((node) => ({
    id: String(node.id),
    type: 'plan',
    position: places.get(node.id) ?? { x: 0, y: 0 },
    data: { node, flow: flows.get(node.id) },
    selected: node.id === chosen,
    sourcePosition: isPhone ? Position.Bottom : Position.Right,
    targetPosition: isPhone ? Position.Top : Position.Left,
    ...SIZE,
  }))
  const edges: Edge[] = why.nodes.flatMap(({ id, inputs }) =>
    inputs.map((input, index) => {
      const perSecond = flows.get(input)?.rowsOutPerSecond
      return {
        id: `${input}-${id}-${index}`,
        source: String(input),
        target: String(id),
        label: rateText(perSecond),
        animated: (perSecond ?? 0) > 0,
        markerEnd: { type: MarkerType.ArrowClosed },
      }
    }),
  )
  const shown = why.nodes.find(({ id }) => id === chosen) ?? why.nodes.at(-1)
  return (
    <div className="plan-graph">
      <div className="plan-canvas" role="group" aria-label={`Plan of ${why.query}: ${why.nodes.length} nodes`}>
        <ReactFlow<PlanNode>
          key={`${shape} ${isPhone}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={nodeTypes}
          colorMode={isDark ? 'dark' : 'light'}
          fitView
          fitViewOptions={{ padding: 0.04, maxZoom: 1, minZoom: 0.6 }}
          minZoom={0.15}
          {...lookedAt}
          onNodeClick={(_event, { id }) => setChosen(Number(id))}
          onSelectionChange={({ nodes: [first] }) => first && setChosen(Number(first.id))}
        >
          <Background gap={22} />
          <Controls showInteractive={false} position="top-right" />
        </ReactFlow>
      </div>
      {shown && <Details node={shown} flow={flows.get(shown.id)} />}
    </div>
  )
}

function PlanNodeBox({
  data: { node, flow },
  selected,
  sourcePosition = Position.Right,
  targetPosition = Position.Left,
}: NodeProps<PlanNode>) {
  const busyShare = flow?.busyShare ?? 0
  const isBusy = busyShare >= BUSY_SHARE
  return (
    <div className={`plan-node${selected ? ' is-chosen' : ''}${node.failedRows > 0 || isBusy ? ' is-hot' : ''}`}>
      {node.inputs.length > 0 && <Handle type="target" position={targetPosition} isConnectable={false} />}
      <strong>
        {node.node}
        {node.table ? ` ${node.table}` : ''}
      </strong>
      <span className="plan-label" title={node.label}>
        {node.label.replace(/^\w+ /, '')}
      </span>
      <span className="plan-facts">
        <b>{rateText(flow?.rowsOutPerSecond)}</b>
        <span title="Of one core, by this node alone">{flow ? formatShare(busyShare) : ''}</span>
        {node.stateBytes !== undefined && <span title="State">{formatBytes(node.stateBytes)}</span>}
        {node.lateRows > 0 && (
          <span className="warn" title={`${formatInteger(node.lateRows)} late rows`}>
            {formatCompact(node.lateRows)} late
          </span>
        )}
      </span>
      <span className="plan-busy" style={{ transform: `scaleX(${Math.min(1, busyShare)})` }} aria-hidden="true" />
      <Handle type="source" position={sourcePosition} isConnectable={false} />
    </div>
  )
}
const nodeTypes = { plan: PlanNodeBox }

function Details({ node, flow }: { node: WhyNode; flow: Flow | undefined }) {
  const { rowsIn, rowsOut, stateRows, stateBytes, watermarkMs, lateRows, failedRows, columns, samples } = node
  const facts: [string, string][] = [
    ['In', `${rateText(flow?.rowsInPerSecond)}, ${formatInteger(rowsIn)} rows`],
    ['Out', `${rateText(flow?.rowsOutPerSecond)}, ${formatInteger(rowsOut)} rows`],
    ['Selectivity', rowsIn > 0 ? formatShare(rowsOut / rowsIn) : none],
    ['Time', flow ? `${formatShare(flow.busyShare)} of a core` : none],
    ['State', stateRows === undefined ? none : `${formatInteger(stateRows)} rows, ${formatBytes(stateBytes ?? 0)}`],
    ['Watermark', watermarkMs === undefined ? none : formatDateTime(watermarkMs)],
    ['Late, failed', `${formatInteger(lateRows)}, ${formatInteger(failedRows)}`],
  ]
  return (
    <section className="plan-details" aria-label={`Node ${node.id}`}>
      <code>{node.label}</code>
      <dl className="facts">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {samples.length > 0 ? (
        <ul className="plan-samples" aria-label="Rows that it put out last">
          {samples.map(({ op, row }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows of one moment, without identity
            <li key={index}>
              <Badge tone={op === '-D' || op === '-U' ? 'bad' : 'quiet'}>{op}</Badge>{' '}
              <Code text={row.map((value, i) => `${columns[i] ?? i} = ${JSON.stringify(value)}`).join('\n')} />
            </li>
          ))}
        </ul>
      ) : (
        <p className="quiet">No row has left it yet.</p>
      )}
    </section>
  )
}
