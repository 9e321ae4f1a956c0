// Why a query puts out nothing: the facts, gathered from the running graph and the log, and what they mean.
//
//   insight (nodes, sources) + log --> facts: partitions, windows, nodes --> findings, weightiest first --> verdict
import type { QueryInsight } from '../jobs/index.ts'
import { type BrowsedRecord, type Log, lettersTopicOf } from '../log/index.ts'
import type { QueryWhy, WhyNode, WhySource, WhyWindow } from './contract.ts'
import { findingsOf, isGood, type QueryFacts } from './whyFindings.ts'

export type LogReader = Pick<Log, 'topic' | 'readMessages'>
type Live = NonNullable<QueryInsight['live']>
type LiveNode = Live['nodes'][number]

const WINDOWS_MAX = 100

/** JSON has no infinity: before the first watermark, and after the end of bounded input, there is none to show. */
const finite = (ms: number): number | undefined => (Number.isFinite(ms) ? ms : undefined)

export async function explainWhy(insight: QueryInsight, log: LogReader, nowMs: number): Promise<QueryWhy> {
  const { id, state, error, live, heldUp, parallelism, lateTopics, dropped } = insight
  const nodes = live?.nodes ?? []
  const facts: QueryFacts = {
    id,
    atMs: nowMs,
    state,
    error,
    isAnswering: live !== undefined,
    heldUp,
    rowsIn: live?.rowsIn ?? 0,
    rowsOut: live?.rowsOut ?? 0,
    lateRows: live?.lateRows ?? 0,
    lastInMs: live?.lastInMs,
    lastOutMs: live?.lastOutMs,
    sources: await Promise.all((live?.sources ?? []).map((source) => sourceFacts(source, nodes, log))),
    windows: nodes
      .flatMap((node) => windowFacts(node, nodes, nowMs))
      .sort((a, b) => a.firesAtMs - b.firesAtMs)
      .slice(0, WINDOWS_MAX),
    nodes: nodes.map(nodeFacts),
    lateTopics,
    dropped,
  }
  const findings = findingsOf(facts)
  return {
    query: id,
    state,
    atMs: nowMs,
    isHealthy: isGood(findings[0]),
    verdict: findings[0].fact,
    next: findings[0].next,
    findings,
    ...(error && { error }),
    rowsIn: facts.rowsIn,
    rowsOut: facts.rowsOut,
    lateRows: facts.lateRows,
    failedRows: live?.failedRows ?? 0,
    lastInMs: facts.lastInMs,
    lastOutMs: facts.lastOutMs,
    watermarkMs: live && finite(live.watermarkMs),
    sources: facts.sources,
    windows: facts.windows,
    nodes: facts.nodes,
    parallelism,
    subtasks: (live?.subtasks ?? []).map((one) => ({ ...one, watermarkMs: finite(one.watermarkMs) })),
  }
}

const headerText = (record: BrowsedRecord, name: string): string => {
  const value = record.headers.find(([header]) => header === name)?.[1]
  return value ? Buffer.from(value).toString('utf8') : ''
}

/** Where a topic stands, and what its event time is by the watermark node above its scan. */
async function sourceFacts(source: Live['sources'][number], nodes: readonly LiveNode[], log: LogReader): Promise<WhySource> {
  const { table, topic, undecodedRows } = source
  const scans = nodes.filter((node) => node.table === table)
  const watermarks = nodes.find(({ partitions, inputs }) => partitions && scans.some((scan) => leadsTo(scan.id, inputs, nodes)))?.partitions
  const counting = watermarks?.filter(({ idle }) => !idle) ?? []
  const lowest = Math.min(...counting.map(({ watermarkMs }) => watermarkMs))
  const newestOf = async (partition: number) =>
    log.topic(topic) && (await log.readMessages(topic, { partition, newest: true, limit: 1 }))[0]?.timestampMs
  const readPartition = async ({ partition, offset, endOffset }: (typeof source.partitions)[number]) => {
    const own = watermarks?.find((one) => one.partition === partition)
    const newestMs = await newestOf(partition)
    return {
      partition,
      offset,
      endOffset,
      newestMs,
      watermarkMs: own && finite(own.watermarkMs),
      isIdle: own?.idle ?? false,
      holdsBack: own !== undefined && !own.idle && own.watermarkMs === lowest && counting.some(({ watermarkMs }) => watermarkMs > lowest),
    }
  }
  const partitions = await Promise.all(source.partitions.map(readPartition))
  const ends = new Map(source.partitions.map(({ partition, endOffset }) => [partition, endOffset]))
  const held = (log.topic(topic)?.partitions ?? []).map(({ partition, endOffset, lastStableOffset }) =>
    Math.max(0, endOffset - Math.max(lastStableOffset, ends.get(partition) ?? 0)),
  )
  const invalid = log.topic(lettersTopicOf(topic))
  const [lastInvalid] = invalid ? await log.readMessages(lettersTopicOf(topic), { newest: true, limit: 1 }) : []
  const newest = partitions.flatMap(({ newestMs }) => newestMs ?? [])
  return {
    table,
    topic,
    recordCount: source.partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0),
    behind: source.partitions.reduce((sum, { offset, endOffset }) => sum + Math.max(0, endOffset - offset), 0),
    undecided: held.reduce((sum, records) => sum + records, 0),
    newestMs: newest.length > 0 ? Math.max(...newest) : undefined,
    undecodedRows,
    invalidCount: invalid?.partitions.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0) ?? 0,
    lastInvalid: lastInvalid && {
      rule: headerText(lastInvalid, 'rule'),
      path: headerText(lastInvalid, 'path'),
      message: headerText(lastInvalid, 'message'),
    },
    partitions,
  }
}

/** Whether a scan's rows come through one of these nodes, with nothing but calcs in between. */
function leadsTo(scan: number, inputs: readonly number[], nodes: readonly LiveNode[]): boolean {
  return inputs.length === 1 && (inputs[0] === scan || leadsTo(scan, nodes[inputs[0]].inputs, nodes))
}

function windowFacts(node: LiveNode, nodes: readonly LiveNode[], nowMs: number): WhyWindow[] {
  const watermarkMs = Math.min(...node.inputs.map((input) => nodes[input].watermarkMs))
  const clock = node.isProcessingTime ? 'processing' : 'event'
  const reachedMs = node.isProcessingTime ? nowMs : watermarkMs
  return (node.operator?.openWindows ?? []).map(({ startMs, endMs, rows, firesAtMs }) => ({
    node: node.id,
    startMs,
    endMs,
    rows,
    clock,
    firesAtMs,
    ...(Number.isFinite(reachedMs) && { missingMs: Math.max(0, firesAtMs - reachedMs) }),
  }))
}

function nodeFacts(node: LiveNode): WhyNode {
  const {
    id,
    node: kind,
    label,
    table,
    predicate,
    columns,
    inputs,
    rowsIn,
    rowsOut,
    lateRows,
    failedRows,
    busyMs,
    samples,
    lateSamples,
    sides,
  } = node
  return {
    id,
    node: kind,
    label,
    table,
    predicate,
    columns,
    inputs,
    rowsIn,
    rowsOut,
    lateRows,
    failedRows,
    busyMs,
    watermarkMs: finite(node.watermarkMs),
    stateRows: node.operator?.stateRows,
    stateBytes: node.operator?.stateBytes,
    spilledBytes: node.operator?.spilledBytes,
    waitingRows: node.operator?.waitingRows,
    samples,
    lateSamples: lateSamples.map(({ watermarkMs, ...sample }) => ({ ...sample, watermarkMs: finite(watermarkMs) })),
    sides,
  }
}
