// For tests: what a checkpoint keeps of a graph.
import assert from 'node:assert/strict'
import type { Disk } from '../../log/index.ts'
import { joinParts, splitState } from '../checkpoints/stateParts.ts'
import type { Graph } from '../graph.ts'

/** State as a checkpoint keeps it: in parts, by their bytes. */
export function savedState(graph: Graph, disk: Disk) {
  return graph.snapshot().map((node) => {
    const bytes = new Map(
      splitState(node.state).map((part) => {
        if (!part.stored) return [part.name, { ...part, bytes: part.bytes.slice() }]
        const { path, position, sizeBytes } = part.stored
        const content = new Uint8Array(sizeBytes)
        const file = disk.open(path, 'read')
        assert.equal(disk.read(file, content, 0, sizeBytes, position), sizeBytes)
        disk.close(file)
        return [part.name, { ...part, bytes: content }]
      }),
    )
    const state = node.state === undefined ? undefined : joinParts([...bytes.values()], (name) => bytes.get(name)!.bytes)
    return { ...node, inputWatermarks: node.inputWatermarks.slice(), state }
  })
}
