// millrace why: the verdict in one sentence, then the facts, then the next step.
import type { QueryWhy, WhyNode, WhySource } from '../../serve/contract.ts'
import { getJson, type Target } from '../client.ts'
import { durationText, plainText, tableText, timeText } from '../output.ts'

const WINDOWS_SHOWN = 8
const PARTITIONS_SHOWN = 16

const rowText = (columns: readonly string[], row: readonly unknown[]): string =>
  plainText(row.map((value, i) => `${columns[i] ?? i}=${JSON.stringify(value)}`).join(' '))

export async function printWhy(target: Target, query: string, json: boolean): Promise<void> {
  const why = await getJson<QueryWhy>(target, `/v1/queries/${encodeURIComponent(query)}/why`)
  console.log(json ? JSON.stringify(why) : whyText(why))
}

/** The whole answer for a terminal. */
export function whyText(why: QueryWhy): string {
  const {
    query,
    state,
    verdict,
    findings,
    rowsIn,
    rowsOut,
    lateRows,
    failedRows,
    watermarkMs,
    sources,
    windows,
    nodes,
    parallelism,
    subtasks,
  } = why
  const parts = [
    `${query} (${state})\n\n${plainText(verdict)}`,
    findings
      .slice(1)
      .map(({ fact }) => `  · ${plainText(fact)}`)
      .join('\n'),
    `rows in ${rowsIn}, out ${rowsOut}, late ${lateRows}, failed ${failedRows}; watermark ${timeText(watermarkMs)}`,
    sources.length > 0 ? sourcesText(sources) : '',
    windows.length > 0 ? windowsText(why) : '',
    nodes.length > 0 ? nodesText(nodes) : '',
    nodes.flatMap((node) => detailLines(node, nodes)).join('\n'),
    parallelism.reason ? `in one thread: ${parallelism.reason}` : subtasks.length > 1 ? subtasksText(subtasks) : '',
    stepsText(why),
  ]
  return parts.filter(Boolean).join('\n\n')
}

const stepsText = ({ findings, isHealthy, next }: QueryWhy): string => {
  const all = [...new Set(findings.map((one) => one.next))]
  // "Nothing to do" is said where there is really nothing.
  const steps = isHealthy && all.length > 1 ? all.filter((step) => step !== next) : all
  return `Next: ${plainText(steps[0])}${steps
    .slice(1)
    .map((step) => `\n      ${plainText(step)}`)
    .join('')}`
}

/** Of many partitions those that event time waits for come first. */
function sourcesText(sources: readonly WhySource[]): string {
  const left = sources.reduce((sum, { partitions }) => sum + Math.max(0, partitions.length - PARTITIONS_SHOWN), 0)
  const table = tableText(
    ['topic', 'partition', 'records', 'behind', 'newest record', 'watermark', ''],
    sources.flatMap(({ topic, partitions }) =>
      shownFirst(partitions).map(({ partition, offset, endOffset, newestMs, watermarkMs, isIdle, holdsBack }) => [
        topic,
        partition,
        endOffset,
        Math.max(0, endOffset - offset),
        timeText(newestMs),
        timeText(watermarkMs),
        endOffset === 0 ? 'no record yet' : holdsBack ? 'holds the others back' : isIdle ? 'idle: not counted' : '',
      ]),
    ),
  )
  return left > 0 ? `${table}\n… and ${left} more partitions: --json has all` : table
}

const shownFirst = (partitions: WhySource['partitions']): WhySource['partitions'] =>
  partitions.length <= PARTITIONS_SHOWN
    ? partitions
    : partitions
        .toSorted((a, b) => Number(b.holdsBack) - Number(a.holdsBack) || (a.watermarkMs ?? -Infinity) - (b.watermarkMs ?? -Infinity) || 0)
        .slice(0, PARTITIONS_SHOWN)

function windowsText({ windows, nodes }: QueryWhy): string {
  const rows = windows
    .slice(0, WINDOWS_SHOWN)
    .map(({ node, startMs, endMs, rows: held, clock, firesAtMs, missingMs }) => [
      `${node} ${nodes[node].node}`,
      timeText(startMs),
      timeText(endMs),
      held,
      `${timeText(firesAtMs)}${clock === 'processing' ? ' by the clock' : ''}`,
      missingMs === undefined ? 'no watermark yet' : durationText(missingMs),
    ])
  const more = windows.length > WINDOWS_SHOWN ? `\n… and ${windows.length - WINDOWS_SHOWN} more` : ''
  return `${tableText(['open window of', 'from', 'to', 'holds', 'fires at', 'missing'], rows)}${more}`
}

const subtasksText = (subtasks: QueryWhy['subtasks']): string =>
  tableText(
    ['subtask', 'rows in', 'rows out', 'late', 'watermark', 'state rows', 'state bytes', 'busy', 'back-pressured'],
    subtasks.map(({ subtask, rowsIn, rowsOut, lateRows, watermarkMs, stateRows, stateBytes, busyMs, backPressuredMs, idleMs }) => {
      const share = (ms: number) => `${Math.round((100 * ms) / Math.max(1, busyMs + backPressuredMs + idleMs))} %`
      return [subtask, rowsIn, rowsOut, lateRows, timeText(watermarkMs), stateRows, stateBytes, share(busyMs), share(backPressuredMs)]
    }),
  )

const nodesText = (nodes: readonly WhyNode[]): string =>
  tableText(
    ['node', 'rows in', 'rows out', 'late', 'failed', 'watermark', 'what it does'],
    nodes
      .toReversed()
      .map(({ id, rowsIn, rowsOut, lateRows, failedRows, watermarkMs, label }) => [
        id,
        rowsIn,
        rowsOut,
        lateRows,
        failedRows,
        timeText(watermarkMs),
        label,
      ]),
  )

/** Rows that are worth seeing: late ones, those without a partner, and what last left a node below which nothing comes. */
function detailLines({ id, columns, inputs, rowsIn, rowsOut, samples, lateSamples, sides }: WhyNode, nodes: readonly WhyNode[]): string[] {
  const [input] = inputs.map((at) => nodes[at])
  return [
    ...lateSamples.map(
      ({ row, watermarkMs, window }) =>
        `late at node ${id}: ${rowText(input?.columns ?? [], row)} (watermark ${timeText(watermarkMs)}${window ? `, window ${timeText(window.startMs)} to ${timeText(window.endMs)}` : ''})`,
    ),
    ...(sides ?? []).flatMap((side, i) =>
      side.samples.map((row) => `no partner at node ${id}, ${i === 0 ? 'left' : 'right'}: ${rowText(nodes[inputs[i]].columns, row)}`),
    ),
    ...(rowsIn > 0 && rowsOut === 0 && input ? input.samples.map(({ row }) => `reached node ${id}: ${rowText(input.columns, row)}`) : []),
    ...(id === nodes.length - 1 ? samples.map(({ op, row }) => `put out: ${op} ${rowText(columns, row)}`) : []),
  ]
}
