// Places of the nodes of a graph without cycles, in layers from its beginnings to its ends.
import dagre from '@dagrejs/dagre'

export interface LayeredNode<Id extends string | number> {
  id: Id
  inputs: readonly Id[]
}

/** Left upper corners by id. */
export function layered<Id extends string | number>(
  nodes: readonly LayeredNode<Id>[],
  direction: 'LR' | 'TB',
  size: { width: number; height: number },
): Map<Id, { x: number; y: number }> {
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({ rankdir: direction, nodesep: 22, ranksep: 56 })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { id } of nodes) graph.setNode(String(id), { ...size })
  for (const { id, inputs } of nodes) for (const input of inputs) graph.setEdge(String(input), String(id))
  dagre.layout(graph)
  return new Map(
    nodes.map(({ id }) => {
      const { x, y } = graph.node(String(id))
      return [id, { x: x - size.width / 2, y: y - size.height / 2 }]
    }),
  )
}

/** Of a drawing that people look at and do not change: the wheel scrolls the page. */
export const lookedAt = {
  nodesDraggable: false,
  nodesConnectable: false,
  preventScrolling: false,
  zoomOnScroll: false,
  panOnScroll: false,
  proOptions: { hideAttribution: true },
}
