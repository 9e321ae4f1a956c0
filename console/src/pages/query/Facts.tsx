// The facts behind a query, a tab each: watermarks of its partitions, open windows, threads, late rows.
import { useState } from 'react'
import type { QueryWhy, WhySource } from '../../../../src/serve/contract.ts'
import { formatAge, formatBytes, formatDateTime, formatDuration, formatInteger, none } from '../../ui/format.ts'
import { Badge, Code, Empty } from '../../ui/parts.tsx'
import { SavedFilters, useDefaultFilter } from '../../ui/SavedFilters.tsx'
import { FactTable, rowText, timeText } from './FactTable.tsx'

/** Of many partitions, those that event time waits for come first: who looks at watermarks looks for them. */
export const heldBackFirst = (partitions: WhySource['partitions']): WhySource['partitions'] =>
  partitions.length <= PARTITIONS_MANY
    ? partitions
    : partitions.toSorted((a, b) => {
        const [one, other] = [a, b].map(({ watermarkMs }) => watermarkMs ?? -Number.MAX_VALUE)
        return Number(b.holdsBack) - Number(a.holdsBack) || one! - other!
      })
const PARTITIONS_MANY = 16

export function Watermarks({ why }: { why: QueryWhy }) {
  if (why.sources.length === 0) return <Empty title="No sources">The query's worker does not answer, or it reads no topic.</Empty>
  return (
    <FactTable
      heads={['Topic', '#Partition', '#Read to', '#Behind', 'Newest record', 'Watermark', '#Behind the newest', '']}
      rows={why.sources.flatMap(({ topic, partitions }) => {
        const most = Math.max(...partitions.map(({ watermarkMs }) => watermarkMs ?? -Infinity))
        return heldBackFirst(partitions).map(({ partition, offset, endOffset, newestMs, watermarkMs, isIdle, holdsBack }) => [
          topic,
          partition,
          formatInteger(offset),
          formatInteger(Math.max(0, endOffset - offset)),
          newestMs === undefined ? none : formatAge(Math.max(0, why.atMs - newestMs)),
          <span key="watermark" className="is-event">
            {timeText(watermarkMs)}
          </span>,
          watermarkMs === undefined || !Number.isFinite(most) ? none : formatDuration((most - watermarkMs) / 1_000),
          endOffset === 0 ? (
            <Badge key="state">no record yet</Badge>
          ) : holdsBack ? (
            <Badge key="state" tone="warn">
              holds the others back
            </Badge>
          ) : isIdle ? (
            <Badge key="state">idle: not counted</Badge>
          ) : (
            ''
          ),
        ])
      })}
    />
  )
}

export function Windows({ why }: { why: QueryWhy }) {
  if (why.windows.length === 0)
    return <Empty title="No open windows">Nothing waits for event time to pass: the query has no windows, or all have fired.</Empty>
  return (
    <FactTable
      heads={['Window', 'Until', 'Node', '#Holds', 'Fires when event time reaches', 'Missing']}
      rows={why.windows.map(({ node, startMs, endMs, rows, clock, firesAtMs, missingMs }) => [
        timeText(startMs),
        timeText(endMs),
        `${node} ${why.nodes[node]?.node ?? ''}`,
        formatInteger(rows),
        `${timeText(firesAtMs)}${clock === 'processing' ? ' by the clock' : ''}`,
        missingMs === undefined ? 'no watermark yet' : formatDuration(missingMs / 1_000),
      ])}
    />
  )
}

/** What each thread does with its time: where one is busy and the others idle, keys are uneven; back-pressured ones wait for what takes their rows. */
export function Threads({ why: { subtasks, parallelism } }: { why: QueryWhy }) {
  if (subtasks.length === 0) return <Empty title="No thread runs it">It is stopped, or its worker does not answer.</Empty>
  return (
    <div className="stack">
      <p className="quiet">
        {subtasks.length > 1
          ? `${subtasks.length} threads exchange rows by key.`
          : parallelism.reason
            ? `One thread: ${parallelism.reason}.`
            : "One thread. More: SET 'parallelism.default' = '2', or `parallelism` in millrace.config.ts."}
      </p>
      <FactTable
        heads={['#Thread', '#Rows in', '#Rows out', '#Late', 'Watermark', '#State rows', '#In memory', '#Busy', '#Back-pressured', '#Idle']}
        rows={subtasks.map((one) => {
          const spent = Math.max(1, one.busyMs + one.backPressuredMs + one.idleMs)
          return [
            one.subtask,
            formatInteger(one.rowsIn),
            formatInteger(one.rowsOut),
            formatInteger(one.lateRows),
            <span key="watermark" className="is-event">
              {timeText(one.watermarkMs)}
            </span>,
            formatInteger(one.stateRows),
            formatBytes(one.stateBytes),
            ...[one.busyMs, one.backPressuredMs, one.idleMs].map((ms) => `${Math.round((ms / spent) * 100)} %`),
          ]
        })}
      />
    </div>
  )
}

export function LateRows({ why }: { why: QueryWhy }) {
  const byItself = useDefaultFilter({ on: 'late', subject: why.query })
  const [said, setText] = useState<string>()
  const text = said ?? byItself ?? ''
  const nodes = why.nodes.filter(({ lateRows }) => lateRows > 0)
  if (nodes.length === 0 && why.lateRows > 0)
    return (
      <Empty title={`${formatInteger(why.lateRows)} late rows, all before the last start`}>
        Examples are of the rows that came since then. {why.findings.find(({ code }) => code === 'LATE_ROWS')?.next}
      </Empty>
    )
  if (nodes.length === 0)
    return (
      <Empty title="No late rows">
        A row is late when its window has fired. They can be kept in a topic: <code>'millrace.late-rows.topic' = '…'</code> at the table.
      </Empty>
    )
  const wanted = text.trim().toLowerCase()
  return (
    <div className="stack">
      <div className="filters">
        <input
          type="search"
          className="filter"
          aria-label="Find in these late rows"
          placeholder="Find text here"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <SavedFilters on="late" subject={why.query} where={text.trim()} onApply={setText} />
      </div>
      {nodes.map(({ id, node, lateRows, lateSamples, inputs }) => {
        const texts = lateSamples
          .map(
            ({ row, watermarkMs, window }) =>
              `${rowText(why.nodes[inputs[0] ?? -1]?.columns ?? [], row)}\n  the watermark was ${timeText(watermarkMs)}${window ? `; its window ended ${formatDateTime(window.endMs)}` : ''}`,
          )
          .filter((one) => one.toLowerCase().includes(wanted))
        return (
          <section key={id} className="stack" aria-label={`Late rows of node ${id}`}>
            <p>
              <b>{formatInteger(lateRows)}</b> at node {id} {node}. The last of them:
            </p>
            {texts.length > 0 ? (
              <Code text={texts.join('\n')} />
            ) : (
              <p className="quiet">None of the last {lateSamples.length} contains this text.</p>
            )}
          </section>
        )
      })}
      <p className="quiet">
        These are the last of each node. All are kept where <code>'millrace.late-rows.topic' = '…'</code> is set at the table; that topic
        has filters in SQL.
      </p>
    </div>
  )
}
