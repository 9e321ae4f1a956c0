// What the facts about a query mean, each as a sentence with its next step, the weightiest first.
//
// Rows go from the scans to the root. Where they stop is the reason: it is looked for from the root downwards, and told from the source on.
// Behind a node that waits for event time, the reason is the partition that holds the watermark back.
import type { ErrorBody } from '../base/index.ts'
import type { QuerySummary, WhyFinding, WhyNode, WhySource, WhyWindow } from './contract.ts'

export interface QueryFacts {
  id: string
  atMs: number
  state: QuerySummary['state']
  error?: ErrorBody
  isAnswering: boolean
  heldUp?: QuerySummary['heldUp']
  rowsIn: number
  rowsOut: number
  lastInMs?: number
  lastOutMs?: number
  sources: WhySource[]
  windows: WhyWindow[]
  nodes: WhyNode[]
  /** Since the query began, restarts included; those of `nodes` are since the last start. */
  lateRows: number
  lateTopics: readonly string[]
  dropped: readonly { table: string; file: string }[]
}

/** A query that has put out rows this short a time ago is well. */
const RECENT_MS = 10_000
/** So many unread records, or this share of the topic, are worth a word. */
const BEHIND_RECORDS_MIN = 1_000
/** A partition whose watermark is this much lower than another's holds it back. */
const PARTITION_LAG_MS = 1_000

export const isGood = ({ code }: WhyFinding): boolean => code === 'OK'

export function findingsOf(facts: QueryFacts): WhyFinding[] {
  const { state, error, isAnswering, heldUp, rowsOut, lastOutMs, atMs } = facts
  if (error || state === 'failed') return [failed(error)]
  if (state === 'stopped')
    return [
      {
        code: 'STOPPED',
        fact: 'It was stopped by hand; its rows are those of the checkpoint that was taken then.',
        next: `\`millrace queries start ${facts.id}\` lets it go on from there.`,
      },
    ]
  if (heldUp) return [held(facts.id, heldUp)]
  if (!isAnswering)
    return [
      {
        code: 'NOT_ANSWERING',
        fact: 'Its engine thread does not answer: it is starting, or busy with one large step.',
        next: 'Ask again in a moment. Where a thread does not get on, this says so after a few seconds, and by what it is held up.',
      },
    ]
  const findings: WhyFinding[] = []
  const isRecent = rowsOut > 0 && lastOutMs !== undefined && atMs - lastOutMs <= RECENT_MS
  if (isRecent)
    findings.push({
      code: 'OK',
      fact: `It puts out rows: ${count(rowsOut, 'row')} so far, the last ${ago(atMs - lastOutMs)}.`,
      next: 'Nothing to do.',
    })
  const blocks = rowsOut === 0 ? stops(facts, facts.nodes.at(-1)).flatMap((node) => whyStopped(facts, node)) : []
  findings.push(...blocks)
  if (rowsOut > 0 && !isRecent) findings.push(...whyQuiet(facts))
  findings.push(...remarks(facts))
  if (findings.length === 0)
    findings.push({
      code: 'NOTHING_YET',
      fact: `${count(facts.rowsIn, 'row')} came in and none has gone out yet.`,
      next: 'Ask again in a moment: results leave when their last step has seen them.',
    })
  return findings.filter(({ code, fact }, i) => findings.findIndex((other) => other.code === code && other.fact === fact) === i)
}

/** Of a query whose thread does not get on. */
export function held(id: string, { seconds, query, function: fn }: NonNullable<QuerySummary['heldUp']>): WhyFinding {
  const where = query === undefined || query === id ? '' : ` of ${query}`
  return {
    code: 'HELD_UP',
    fact:
      fn === undefined
        ? `Its engine thread has not got on for ${seconds} s${query === undefined ? '' : `, at work for ${query}`}.`
        : `Function ${fn}${where} has not returned for ${seconds} s, and holds its engine thread up.`,
    next: `\`millrace queries stop ${query ?? id}\` ends it now. Else the thread is ended after the stall timeout (60 s unless configured), and its queries go on from their checkpoints.`,
  }
}

/** Where it ended, if one row was the reason. */
function atRow({ params }: ErrorBody): string {
  const { row, topic, partition, offset } = params as { row?: string; topic?: string; partition?: number; offset?: number }
  if (typeof row !== 'string') return ''
  const place = offset === undefined ? '' : `, offset ${offset} of ${topic}/${partition}`
  return ` at the row ${row}${place}`
}

const failed = (error: ErrorBody | undefined): WhyFinding => ({
  code: 'QUERY_FAILED',
  fact: `It ended with an error${error ? atRow(error) : ''}: ${error?.message ?? 'unknown'} [${error?.code ?? 'INTERNAL'}].`,
  next: error?.hint ?? 'See the log of the process.',
})

/** The nodes that rows reach and do not leave, and scans without rows; the source's side first. */
function stops(facts: QueryFacts, node: WhyNode | undefined): WhyNode[] {
  if (!node || node.rowsOut > 0) return []
  const inputs = node.inputs.map((id) => facts.nodes[id])
  const below = inputs.flatMap((input) => stops(facts, input))
  return inputs.length === 0 || inputs.some(({ rowsOut }) => rowsOut > 0) ? [...below, node] : below
}

function whyStopped(facts: QueryFacts, node: WhyNode): WhyFinding[] {
  const { rowsIn, failedRows, lateRows, label } = node
  if (node.node === 'scan') return whyNoRows(facts, node)
  if (failedRows > 0 && failedRows === rowsIn)
    return [
      {
        code: 'ROWS_FAILED',
        fact: `All ${count(rowsIn, 'row')} that came could not be computed by ${label}.`,
        next: lettersHint(facts),
      },
    ]
  if (lateRows > 0 && lateRows === rowsIn - failedRows) return [allLate(node)]
  if (node.predicate !== undefined) return [predicateDrops(facts, node)]
  if (node.sides) return joinStops(facts, node)
  const windows = facts.windows.filter((window) => window.node === node.id)
  if (windows.length > 0) return windowsWait(facts, node, windows)
  if ((node.stateRows ?? 0) > 0 && node.node !== 'groupAggregate') return [waiting(node), ...eventTimeHeld(facts, node)]
  return [
    {
      code: 'ROWS_STOP',
      fact: `${count(rowsIn, 'row')} reached ${label}, and none has left it.`,
      next: 'Look at the rows that reach it, below, and at what the SQL asks of them.',
    },
  ]
}

function whyNoRows({ sources }: QueryFacts, node: WhyNode): WhyFinding[] {
  const source = sources.find(({ table }) => table === node.table)
  if (!source) return []
  const { table, topic, recordCount, behind, undecided, invalidCount, lastInvalid, undecodedRows, partitions } = source
  const refused = lastInvalid && `${lastInvalid.rule}${lastInvalid.path ? ` at ${lastInvalid.path}` : ''}: ${lastInvalid.message}`
  if (undecodedRows > 0)
    return [
      {
        code: 'ROWS_FAILED',
        fact: `None of ${count(undecodedRows, 'record')} of topic "${topic}" could be read as a row of ${table}${refused ? `: ${refused}` : ''}.`,
        next: `See them with \`millrace topics read ${topic}.invalid\`, and compare them with the CREATE TABLE.`,
      },
    ]
  if (behind === 0 && undecided > 0) return [waitsForTransaction(source)]
  if (partitions.every(({ endOffset }) => endOffset === 0))
    return invalidCount > 0
      ? [
          {
            code: 'ALL_REJECTED',
            fact: `Topic "${topic}" is empty: ${invalidCount === 1 ? 'the one event' : `all ${count(invalidCount, 'event')}`} sent to it ${invalidCount === 1 ? 'was' : 'were'} refused at the door (${refused}).`,
            next: `See what was refused with \`millrace topics read ${topic}.invalid\`; mend the events or the columns of ${table}.`,
          },
        ]
      : [
          {
            code: 'TOPIC_EMPTY',
            fact: `Topic "${topic}" is empty: nothing was ever produced to it.`,
            next: `POST events to /v1/topics/${topic}/events, or check that the producer writes to this topic.`,
          },
        ]
  if (behind > 0) return [behindBy(source)]
  if (recordCount === 0)
    return [
      {
        code: 'TOPIC_EMPTIED',
        fact: `Topic "${topic}" is empty: retention has taken its records away before this query began.`,
        next: `Produce anew, or keep records longer: see \`millrace topics describe ${topic}\`.`,
      },
    ]
  return [
    {
      code: 'STARTED_AT_END',
      fact: `It reads only what arrives after its start, and nothing has: the ${count(recordCount, 'record')} of topic "${topic}" are older, or deletions.`,
      next: "To read them too, set 'scan.startup.mode' = 'earliest-offset' on the table.",
    },
  ]
}

function predicateDrops({ nodes }: QueryFacts, node: WhyNode): WhyFinding {
  const [input] = node.inputs.map((id) => nodes[id])
  const sample = input?.samples.at(-1)
  const example = sample ? `; for example ${rowText(input.columns, sample.row)}` : ''
  return {
    code: 'PREDICATE_DROPS',
    fact: `The condition ${node.predicate} let none of ${count(node.rowsIn, 'row')} through${example}.`,
    next: 'Compare the condition with such a row: letter case, NULLs, units, or a value that never comes.',
  }
}

function allLate({ label, rowsIn, lateSamples, columns }: WhyNode): WhyFinding {
  const last = lateSamples.at(-1)
  const example = last?.watermarkMs === undefined ? '' : `: the last one came when the watermark was already ${timeText(last.watermarkMs)}`
  return {
    code: 'ROWS_LATE',
    fact: `All ${count(rowsIn, 'row')} that reached ${nameOf(label)} were late${example}.`,
    next: `One event with a time far ahead makes all others late: look at the newest ${columns[0] ? 'events' : 'rows'}; or give the watermark more delay.`,
  }
}

function joinStops(facts: QueryFacts, node: WhyNode): WhyFinding[] {
  const inputs = node.inputs.map((id) => facts.nodes[id])
  const empty = inputs.findIndex(({ rowsOut }) => rowsOut === 0)
  const names = ['left', 'right']
  if (empty >= 0)
    return [
      {
        code: 'JOIN_SIDE_EMPTY',
        fact: `The ${names[empty]} side of ${nameOf(node.label)} has no rows, so the ${count(inputs[1 - empty].rowsOut, 'row')} of the other side find no partner.`,
        next: 'See why that side is empty; LEFT JOIN keeps rows without a partner.',
      },
    ]
  const windows = facts.windows.filter((window) => window.node === node.id)
  const held = node.sides!.reduce((sum, { rows }) => sum + rows, 0)
  const unmatched = node.sides!.findIndex((side) => side.unmatched > 0)
  if (windows.length > 0) return windowsWait(facts, node, windows)
  if (unmatched < 0 && held > 0 && node.node === 'temporalJoin') return [waiting(node), ...eventTimeHeld(facts, node)]
  const side = Math.max(0, unmatched)
  const sample = node.sides![side].samples.at(-1) ?? inputs[side].samples.at(-1)?.row
  return [
    {
      code: 'JOIN_UNMATCHED',
      fact: `No pair of rows met in ${node.label}: ${names.map((name, i) => `${count(inputs[i].rowsOut, 'row')} on the ${name}`).join(', ')}.`,
      next: sample
        ? `Look for the partner of ${rowText(inputs[side].columns, sample)}: same type, letter case and blanks in the keys${node.node === 'intervalJoin' ? ', and a time that the join allows' : ''}?`
        : 'Compare the join condition with rows of both sides.',
    },
  ]
}

const waiting = ({ label, stateRows }: WhyNode): WhyFinding => ({
  code: 'WAITS_FOR_TIME',
  fact: `${nameOf(label)} holds ${count(stateRows ?? 0, 'row')} until event time has passed them.`,
  next: 'It moves on with newer events; see the watermarks below.',
})

/** A partition that holds the others back is the reason; else it is the time that is missing. */
function windowsWait(facts: QueryFacts, node: WhyNode, windows: WhyWindow[]): WhyFinding[] {
  const open = windowOpen(facts, node, windows)
  const held = windows[0].clock === 'event' ? eventTimeHeld(facts, node) : []
  if (!held.some(({ code }) => HOLDERS.includes(code))) return [...open, ...held]
  return [...held, ...open.map((finding) => ({ ...finding, next: held[0].next }))]
}

const HOLDERS = ['SOURCE_SILENT', 'PARTITION_SILENT', 'PARTITION_BEHIND']

function windowOpen({ nodes }: QueryFacts, node: WhyNode, windows: WhyWindow[]): WhyFinding[] {
  const [first] = windows
  const span = `${timeText(first.startMs)} to ${timeText(first.endMs)}`
  const open = windows.length === 1 ? 'One window is open' : `${windows.length}${windows.length >= 100 ? ' or more' : ''} windows are open`
  if (first.clock === 'processing')
    return [
      {
        code: 'WINDOW_OPEN',
        fact: `${open}; the next, ${span}, fires in ${durationText(first.missingMs ?? 0)}.`,
        next: 'Wait: it goes by the clock.',
      },
    ]
  const below = watermarkNode(nodes, node)
  const rule = below ? ` (${below.label})` : ''
  return [
    first.missingMs === undefined
      ? {
          code: 'WINDOW_OPEN',
          fact: `${open}, and there is no watermark yet: the next, ${span}, fires when it reaches ${timeText(first.firesAtMs)}.`,
          next: 'See which partition holds event time back.',
        }
      : {
          code: 'WINDOW_OPEN',
          fact: `${open}; the next, ${span}, fires when the watermark reaches ${timeText(first.firesAtMs)}: ${durationText(first.missingMs)} of event time are missing.`,
          next: `Events that are ${durationText(first.missingMs)} newer move it on${rule}.`,
        },
  ]
}

/** The partition, or the whole source, for which the event time of a node waits. */
function eventTimeHeld(facts: QueryFacts, node: WhyNode): WhyFinding[] {
  const { nodes, sources, atMs } = facts
  const lowest = watermarkNode(nodes, node)
  const scan = lowest && scanBelow(nodes, lowest)
  const source = scan && sources.find(({ table }) => table === scan.table)
  if (!source) return []
  const { topic, partitions, newestMs } = source
  const idleHint =
    "Send it an event, or have it left out of event time while it is silent, by a line in the project's SQL: SET 'table.exec.source.idle-timeout' = '10 s';"
  if (partitions.every(({ watermarkMs }) => watermarkMs === undefined))
    return [
      {
        code: 'SOURCE_SILENT',
        fact: `Topic "${topic}" has given no row with a time yet, and holds back the event time of the whole query.`,
        next: idleHint,
      },
    ]
  const silent = partitions.filter(({ watermarkMs, isIdle }) => watermarkMs === undefined && !isIdle)
  if (silent.length > 0)
    return [
      {
        code: 'PARTITION_SILENT',
        fact: `${silent.length === 1 ? 'Partition' : 'Partitions'} ${silent.map(({ partition }) => partition).join(', ')} of topic "${topic}" ${silent.length === 1 ? 'has' : 'have'} sent no row yet, and ${silent.length === 1 ? 'holds' : 'hold'} event time back.`,
        next: idleHint,
      },
    ]
  const held = partitions.find(({ holdsBack }) => holdsBack)
  const ahead = Math.max(...partitions.map(({ watermarkMs }) => watermarkMs ?? -Infinity))
  if (held && ahead - (held.watermarkMs ?? ahead) >= PARTITION_LAG_MS)
    return [
      {
        code: 'PARTITION_BEHIND',
        fact: `Partition ${held.partition} of topic "${topic}" holds event time back: its watermark is ${timeText(held.watermarkMs!)}, another's ${timeText(ahead)}.`,
        next: idleHint,
      },
    ]
  if (partitions.every(({ isIdle }) => isIdle))
    return [
      {
        code: 'ALL_IDLE',
        fact: `All partitions of topic "${topic}" are idle: event time stands still.`,
        next: 'It moves on with the next event.',
      },
    ]
  if (newestMs !== undefined && atMs - newestMs > RECENT_MS)
    return [
      {
        code: 'SOURCE_QUIET',
        fact: `Nothing was produced to topic "${topic}" since ${timeText(newestMs)} (${ago(atMs - newestMs)}), so event time stands still.`,
        next: 'Check the producer: event time moves only with events.',
      },
    ]
  return []
}

/** The watermark node that a node waits for: the one on the path with the lowest watermark. */
function watermarkNode(nodes: readonly WhyNode[], node: WhyNode): WhyNode | undefined {
  if (node.node === 'watermark') return node
  const inputs = node.inputs.map((id) => nodes[id]).sort((a, b) => (a.watermarkMs ?? -Infinity) - (b.watermarkMs ?? -Infinity))
  return inputs[0] && watermarkNode(nodes, inputs[0])
}

const scanBelow = (nodes: readonly WhyNode[], node: WhyNode): WhyNode | undefined =>
  node.node === 'scan' ? node : node.inputs.map((id) => scanBelow(nodes, nodes[id])).find(Boolean)

/** Rows came out earlier, but none for a while. */
function whyQuiet(facts: QueryFacts): WhyFinding[] {
  const { atMs, lastOutMs, lastInMs, rowsOut, windows, nodes, sources } = facts
  const since = `It has put out ${count(rowsOut, 'row')}, the last ${lastOutMs === undefined ? 'before a restart' : ago(atMs - lastOutMs)}.`
  const found: WhyFinding[] = sources.filter(({ behind }) => behind >= BEHIND_RECORDS_MIN).map(behindBy)
  found.push(...sources.filter(({ undecided }) => undecided > 0).map(waitsForTransaction))
  const [first] = windows
  const newestMs = Math.max(...sources.map((source) => source.newestMs ?? -Infinity))
  const quietSinceMs = Number.isFinite(newestMs) ? newestMs : lastInMs
  // After a restart nothing has come in yet: then the log says since when.
  const cameInMs = lastInMs ?? quietSinceMs
  if (first) {
    found.push(
      ...windowsWait(
        facts,
        nodes[first.node],
        windows.filter((window) => window.node === first.node),
      ),
    )
  } else if (quietSinceMs !== undefined && cameInMs !== undefined && atMs - cameInMs > RECENT_MS) {
    found.push({
      code: 'SOURCE_QUIET',
      fact: `All is read, and nothing was produced since ${timeText(quietSinceMs)} (${ago(atMs - quietSinceMs)}).`,
      next: 'Check the producer if that is longer than you expect.',
    })
  } else {
    found.push({
      code: 'QUIET',
      fact: `Rows come in, but for now they change nothing in the result.`,
      next: 'See below at which node rows are dropped or held.',
    })
  }
  found[0] = { ...found[0], fact: `${since} ${found[0].fact}` }
  return found
}

const behindBy = ({ topic, behind, recordCount }: WhySource): WhyFinding => ({
  code: 'BEHIND',
  fact: `It is behind by ${count(behind, 'record')} of ${recordCount.toLocaleString('en-US')} in topic "${topic}".`,
  next: 'Wait while it catches up; if the number grows, more comes in than it can take.',
})

const waitsForTransaction = ({ topic, undecided }: WhySource): WhyFinding => ({
  code: 'TRANSACTION_OPEN',
  fact: `${count(undecided, 'record')} of topic "${topic}" ${undecided === 1 ? 'waits' : 'wait'} for a transaction that is open.`,
  next: "They come when its producer commits. Kafka's `kafka-transactions.sh list` shows who that is; 'properties.isolation.level' = 'read_uncommitted' on the table does not wait.",
})

/** What is worth knowing beside the reason. */
function remarks(facts: QueryFacts): WhyFinding[] {
  const { sources, nodes, lateRows, lateTopics, dropped } = facts
  const found: WhyFinding[] = dropped.map(({ table, file }) => ({
    code: 'TABLE_DROPPED',
    fact: `The table "${table}" was dropped in ${file}; the query goes on with it as it was.`,
    next: 'Take the query out of the project to end it, or the DROP to keep the table.',
  }))
  const lateSince = nodes.reduce((sum, { lateRows }) => sum + lateRows, 0)
  const lateNode = nodes.find(({ lateRows }) => lateRows > 0)
  const late = lateSince || lateRows
  if (lateNode ? lateNode.lateRows !== lateNode.rowsIn : lateRows > 0)
    found.push({
      code: 'LATE_ROWS',
      fact: `${count(late, 'row')} ${late === 1 ? 'was' : 'were'} dropped for being late${lateNode ? '' : ' before the last start'}${lateTopics.length > 0 ? `, and kept in "${lateTopics.join('", "')}"` : ''}.`,
      next:
        lateTopics.length > 0
          ? `See the late rows with ${lateTopics.map((topic) => `\`millrace topics read ${topic}\``).join(', ')}; a longer delay of the watermark would take them in.`
          : "Give the watermark more delay, or keep such rows: 'millrace.late-rows.topic' = 'a topic' in the table's WITH.",
    })
  const undecoded = sources.reduce((sum, source) => sum + source.undecodedRows, 0)
  const failedRows = nodes.reduce((sum, node) => sum + node.failedRows, 0) + undecoded
  if (failedRows > 0)
    found.push({
      code: 'DEAD_LETTERS',
      fact: `${count(failedRows, 'row')} could not be read or computed and ${failedRows === 1 ? 'was' : 'were'} put aside.`,
      next: lettersHint(facts),
    })
  for (const source of sources) if (source.behind >= BEHIND_RECORDS_MIN) found.push(behindBy(source))
  for (const { topic, invalidCount, undecodedRows, recordCount } of sources)
    if (invalidCount > undecodedRows && recordCount > 0)
      found.push({
        code: 'REJECTED',
        fact: `${count(invalidCount, 'record')} ${invalidCount === 1 ? 'is' : 'are'} in "${topic}.invalid": refused at the door, or put aside by a query.`,
        next: `See what was refused with \`millrace topics read ${topic}.invalid\`.`,
      })
  for (const node of nodes) {
    const unmatched = node.rowsOut > 0 ? (node.sides ?? []).map((side) => side.unmatched) : []
    if (unmatched.some((rows) => rows > 0))
      found.push({
        code: 'JOIN_UNMATCHED_ROWS',
        fact: `In ${nameOf(node.label)} ${unmatched[0]} rows on the left and ${unmatched[1]} on the right have no partner.`,
        next: 'See examples at the node, below.',
      })
  }
  return found
}

/** Rows that cannot be read are kept beside their own topic, those that cannot be computed beside the first one. */
const lettersHint = ({ sources, nodes }: QueryFacts): string => {
  const [first] = sources
  const kept = sources.filter((source) => source.undecodedRows > 0 || (source === first && nodes.some(({ failedRows }) => failedRows > 0)))
  return `See them, with the reason, with ${kept.map(({ topic }) => `\`millrace topics read ${topic}.invalid\``).join(', ')}.`
}

const nameOf = (label: string): string => label.split(' ')[0]
const count = (n: number, noun: string): string => `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`
export const timeText = (ms: number): string => {
  if (Math.abs(ms) > 8.64e15) return 'the end'
  return new Date(ms)
    .toISOString()
    .slice(0, -1)
    .replace('T', ' ')
    .replace(/\.000$/, '')
}
/** `2.5 s`, `3 min`, `5 h` */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`
  const seconds = ms / 1_000
  if (seconds < 120) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}
const ago = (ms: number): string => (ms < 1_000 ? 'just now' : `${durationText(ms)} ago`)
const rowText = (columns: readonly string[], row: readonly unknown[]): string =>
  columns.map((name, i) => `${name}=${JSON.stringify(row[i])}`).join(' ')
