// millrace explain: the plan of a running query as a tree, with what flows through each node right now. Two looks at it, and their difference.
import { setTimeout as sleep } from 'node:timers/promises'
import type { QueryWhy, WhyNode } from '../../serve/contract.ts'
import { getJson, type Target } from '../client.ts'
import { appErrors } from '../errors.ts'
import { byteText, plainText, timeText } from '../output.ts'

const SECONDS_MAX = 3_600

export interface NodeRates {
  id: number
  label: string
  inputs: number[]
  rowsInPerSecond: number
  rowsOutPerSecond: number
  /** Rows out for each row in, since the start; absent before the first row. */
  selectivity?: number
  /** Of one core, by this node alone. */
  busyShare: number
  stateRows?: number
  stateBytes?: number
  spilledBytes?: number
  watermarkMs?: number
  samples: WhyNode['samples']
  columns: string[]
}

/**
 * @param seconds  between the two looks
 * @throws         StreamError OPTION_INVALID, and what the server says
 */
export async function explainLive(target: Target, query: string, options: { seconds: string; json: boolean }): Promise<void> {
  const seconds = Number(options.seconds)
  if (!(seconds > 0 && seconds <= SECONDS_MAX))
    throw appErrors('OPTION_INVALID', {
      option: '--seconds',
      value: options.seconds,
      expected: `a number of seconds, up to ${SECONDS_MAX}`,
    })
  const look = () => getJson<QueryWhy>(target, `/v1/queries/${encodeURIComponent(query)}/why`)
  const first = await look()
  await sleep(seconds * 1_000)
  const second = await look()
  const nodes = ratesOf(first, second)
  console.log(
    options.json
      ? JSON.stringify({ query: second.query, state: second.state, seconds: (second.atMs - first.atMs) / 1_000, nodes })
      : liveText(second, nodes),
  )
}

/** A query that began anew in between is as if it had been silent before. */
export function ratesOf(first: QueryWhy, second: QueryWhy): NodeRates[] {
  const seconds = Math.max(0.001, (second.atMs - first.atMs) / 1_000)
  return second.nodes.map((node) => {
    const { id, label, inputs, rowsIn, rowsOut, busyMs, stateRows, stateBytes, spilledBytes, watermarkMs, samples, columns } = node
    const known = first.nodes.find((one) => one.id === id)
    const before = known && known.rowsIn <= rowsIn ? known : { rowsIn: 0, rowsOut: 0, busyMs: 0 }
    return {
      id,
      label,
      inputs,
      rowsInPerSecond: (rowsIn - before.rowsIn) / seconds,
      rowsOutPerSecond: (rowsOut - before.rowsOut) / seconds,
      ...(rowsIn > 0 && { selectivity: rowsOut / rowsIn }),
      busyShare: (busyMs - before.busyMs) / 1_000 / seconds,
      stateRows,
      stateBytes,
      spilledBytes,
      watermarkMs,
      samples,
      columns,
    }
  })
}

const rate = (perSecond: number): string => (perSecond >= 100 || perSecond === 0 ? perSecond.toFixed(0) : perSecond.toPrecision(2))
const percent = (share: number): string => (share > 0 && share < 0.001 ? 'under 0.1 %' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`)

function liveText({ query, state }: QueryWhy, nodes: readonly NodeRates[]): string {
  const root = nodes.at(-1)
  const shown = new Set<number>()
  const lines = root ? treeLines(root, nodes, '', '', shown) : ['its worker does not answer']
  return `${query} (${state})\n\n${lines.join('\n')}`
}

/** A node, what flows through it, its last rows, then its inputs below it. */
function treeLines(node: NodeRates, nodes: readonly NodeRates[], lead: string, indent: string, shown: Set<number>): string[] {
  if (shown.has(node.id)) return [`${lead}${node.id} (see above)`]
  shown.add(node.id)
  const inner = `${indent}${node.inputs.length > 0 ? '│ ' : '  '}`
  const facts = [
    `in ${rate(node.rowsInPerSecond)}/s, out ${rate(node.rowsOutPerSecond)}/s`,
    node.selectivity === undefined ? '' : `${percent(node.selectivity)} come out`,
    `${percent(node.busyShare)} of a core`,
    node.stateRows === undefined
      ? ''
      : `state ${node.stateRows} rows, ${byteText(node.stateBytes ?? 0)}${node.spilledBytes ? ` and ${byteText(node.spilledBytes)} on the disk` : ''}`,
    `watermark ${timeText(node.watermarkMs)}`,
  ]
  return [
    `${lead}${node.id} ${plainText(node.label)}`,
    `${inner}${facts.filter(Boolean).join(' · ')}`,
    ...node.samples.map(
      ({ op, row }) => `${inner}${op} ${plainText(row.map((value, i) => `${node.columns[i] ?? i}=${JSON.stringify(value)}`).join(' '))}`,
    ),
    ...node.inputs.flatMap((input, i) => {
      const isLast = i === node.inputs.length - 1
      return treeLines(nodes[input], nodes, `${indent}${isLast ? '└ ' : '├ '}`, `${indent}${isLast ? '  ' : '│ '}`, shown)
    }),
  ]
}
