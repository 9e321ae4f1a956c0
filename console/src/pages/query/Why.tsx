// Why a query puts out nothing, or when its next row comes: the verdict, what else was found, what to do, and the facts behind it.
import type { QueryWhy, WhyNode } from '../../../../src/serve/contract.ts'
import { formatAge, formatDuration, formatInteger, none } from '../../ui/format.ts'
import { Code, Prose, Status } from '../../ui/parts.tsx'
import { heldBackFirst } from './Facts.tsx'
import { FactTable, rowText, timeText } from './FactTable.tsx'

const WINDOWS_SHOWN = 8
const PARTITIONS_SHOWN = 16
/** It waits for event time or for events, or those that come change nothing: no fault, where that comes first. */
const calm: readonly string[] = ['WINDOW_OPEN', 'ALL_IDLE', 'SOURCE_QUIET', 'QUIET']

export function Why({ why }: { why: QueryWhy }) {
  const { isHealthy, state, verdict, findings, sources, windows, nodes } = why
  const steps = [...new Set(findings.map(({ next }) => next))].filter((step) => !isHealthy || step !== why.next)
  return (
    <div className="stack why">
      <p aria-live="polite">
        <Status tone={isHealthy ? 'ok' : state === 'failed' ? 'bad' : calm.includes(findings[0].code) ? 'quiet' : 'warn'}>
          <Prose text={verdict} />
        </Status>
      </p>
      {findings.length > 1 && (
        <ul className="quiet">
          {findings.slice(1).map(({ code, fact }) => (
            <li key={code + fact}>
              <Prose text={fact} />
            </li>
          ))}
        </ul>
      )}
      {steps.length > 0 && (
        <p>
          <b>Next:</b> <Prose text={steps.join(' ')} />
        </p>
      )}
      {sources.length > 0 && (
        <FactTable
          heads={['Topic', 'Partition', '#Records', '#Behind', 'Newest record', 'Watermark', '']}
          rows={sources.flatMap(({ topic, partitions }) =>
            heldBackFirst(partitions)
              .slice(0, PARTITIONS_SHOWN)
              .map(({ partition, offset, endOffset, newestMs, watermarkMs, isIdle, holdsBack }) => [
                topic,
                partition,
                formatInteger(endOffset),
                formatInteger(Math.max(0, endOffset - offset)),
                newestMs === undefined ? none : formatAge(Math.max(0, why.atMs - newestMs)),
                <span key="watermark" className="is-event">
                  {timeText(watermarkMs)}
                </span>,
                endOffset === 0 ? 'no record yet' : holdsBack ? 'holds the others back' : isIdle ? 'idle: not counted' : '',
              ]),
          )}
        />
      )}
      {sources.some(({ partitions }) => partitions.length > PARTITIONS_SHOWN) && (
        <p className="quiet">The partitions that hold event time back, and some others; the tab Watermarks has all.</p>
      )}
      {windows.length > 0 && (
        <FactTable
          heads={['Open window', 'Until', '#Holds', 'Fires at', 'Missing']}
          rows={windows
            .slice(0, WINDOWS_SHOWN)
            .map(({ startMs, endMs, rows, clock, firesAtMs, missingMs }) => [
              timeText(startMs),
              timeText(endMs),
              formatInteger(rows),
              `${timeText(firesAtMs)}${clock === 'processing' ? ' by the clock' : ''}`,
              missingMs === undefined ? 'no watermark yet' : formatDuration(missingMs / 1_000),
            ])}
        />
      )}
      {windows.length > WINDOWS_SHOWN && <p className="quiet">… and {windows.length - WINDOWS_SHOWN} more open windows.</p>}
      {nodes.length > 0 && (
        <FactTable
          heads={['Node', '#Rows in', '#Rows out', '#Late', '#Failed', 'Watermark', 'What it does']}
          rows={nodes
            .toReversed()
            .map(({ id, rowsIn, rowsOut, lateRows, failedRows, watermarkMs, label }) => [
              id,
              formatInteger(rowsIn),
              formatInteger(rowsOut),
              formatInteger(lateRows),
              formatInteger(failedRows),
              timeText(watermarkMs),
              <code key="label">{label}</code>,
            ])}
        />
      )}
      <Samples nodes={nodes} />
    </div>
  )
}

/** Late rows, rows without a partner, and those that reached a node which let none through. */
function Samples({ nodes }: { nodes: readonly WhyNode[] }) {
  const lines = nodes.flatMap(({ id, inputs, rowsIn, rowsOut, lateSamples, sides }) => {
    const columnsOf = (input: number): readonly string[] => nodes[inputs[input] ?? -1]?.columns ?? []
    return [
      ...lateSamples.map(
        ({ row, watermarkMs }) => `late at node ${id}: ${rowText(columnsOf(0), row)} (the watermark was ${timeText(watermarkMs)})`,
      ),
      ...(sides ?? []).flatMap((side, i) =>
        side.samples.map((row) => `no partner at node ${id}, ${i === 0 ? 'left' : 'right'}: ${rowText(columnsOf(i), row)}`),
      ),
      ...(rowsIn > 0 && rowsOut === 0
        ? (nodes[inputs[0] ?? -1]?.samples ?? []).map(({ row }) => `reached node ${id}: ${rowText(columnsOf(0), row)}`)
        : []),
    ]
  })
  return lines.length === 0 ? null : <Code text={lines.join('\n')} label="Rows" />
}
