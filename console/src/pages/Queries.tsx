// All running queries: state, rates, how far their event time is, late rows, and what went wrong.
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import type { QuerySummary } from '../../../src/serve/contract.ts'
import { useStats } from '../api/live.ts'
import { useHealth, useQueries } from '../api/queries.ts'
import { Sparkline } from '../charts/Sparkline.tsx'
import { downloadRows } from '../ui/export.ts'
import { formatAge, formatBytes, formatDateTime, formatInteger, formatRate, formatSpan, none } from '../ui/format.ts'
import { type ListColumn, ListHead, ListTools, useList } from '../ui/List.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { Badge, Empty, ExportButtons, Failure, SkeletonRows, Sql, Status, type Tone, useNow } from '../ui/parts.tsx'
import { VirtualRows } from '../ui/VirtualRows.tsx'

const tones: Record<QuerySummary['state'], Tone> = { starting: 'warn', running: 'ok', failed: 'bad', stopped: 'quiet', finished: 'quiet' }

export const QueryState = ({ query }: { query: QuerySummary }) => <Status tone={tones[query.state] ?? 'quiet'}>{query.state}</Status>

/** A source that ended has a watermark after all times. */
export const formatWatermark = (ms: number | undefined): string =>
  ms === undefined ? none : Math.abs(ms) > 8.64e15 ? 'ended' : formatDateTime(ms)

/** How far event time is behind the clock; of a source that ended, nothing. */
const watermarkLagMs = ({ state, watermarkMs }: QuerySummary, nowMs: number): number | null =>
  state !== 'running' || watermarkMs === undefined || Math.abs(watermarkMs) > 8.64e15 ? null : nowMs - watermarkMs
export const watermarkLag = (query: QuerySummary, nowMs: number): string => {
  const lagMs = watermarkLagMs(query, nowMs)
  return lagMs === null ? none : formatSpan(lagMs)
}

/** What of the project's files is wrong: why a query is missing, or is still the one before an edit. */
export function ProjectProblem() {
  const project = useHealth().data?.parts.project
  if (!project || project.state === 'ok' || project.state === 'starting') return null
  return (
    <Failure
      error={{
        message: `A file of the project is wrong, its queries are as they were before: ${project.detail ?? project.state}`,
        hint: 'Mend the file, here under SQL or in your editor.',
      }}
    />
  )
}

export const checkpointAge = ({ checkpointMs }: QuerySummary, nowMs: number): string =>
  checkpointMs === undefined ? none : formatAge(Math.max(0, nowMs - checkpointMs))

/** Definitions from the list, the numbers of the second from the statistics. */
export function useLiveQueries(): { queries: QuerySummary[] | undefined; error: unknown } {
  const { data, error } = useQueries()
  const { latest } = useStats()
  const queries = useMemo(() => {
    const live = new Map(latest?.queries.map((query) => [query.id, query]))
    return data?.map((query) => ({ ...query, ...live.get(query.id), sql: query.sql }))
  }, [data, latest])
  return { queries, error }
}

const noQueries: readonly QuerySummary[] = []
const textOf = ({ name, state, target, sql, error }: QuerySummary): string => [name, state, target.name, error?.message, sql].join(' ')
/** The lag is that of the clock less the watermark: the order of the one is that of the other, turned. */
const columns: readonly ListColumn<QuerySummary>[] = [
  { id: 'name', label: 'Name', value: ({ name }) => name },
  { id: 'state', label: 'Status', value: ({ state }) => state },
  { id: 'in', label: 'Rows in/s', className: 'number', value: ({ rowsInPerSecond }) => rowsInPerSecond },
  { id: 'minutes', label: 'Last minutes', className: 'wide-only roomy-only' },
  { id: 'out', label: 'Rows out/s', className: 'number', value: ({ rowsOutPerSecond }) => rowsOutPerSecond },
  { id: 'rows-in', label: 'Rows in', className: 'number over-1600', value: ({ rowsIn }) => rowsIn },
  { id: 'rows-out', label: 'Rows out', className: 'number over-1600', value: ({ rowsOut }) => rowsOut },
  { id: 'late', label: 'Late', className: 'number', value: ({ lateRows }) => lateRows },
  { id: 'watermark', label: 'Watermark', value: ({ watermarkMs }) => watermarkMs },
  {
    id: 'lag',
    label: 'Lag',
    className: 'number',
    title: 'How far the watermark is behind the clock',
    value: (query) => watermarkLagMs(query, 0),
  },
  { id: 'bytes', label: 'State', className: 'number over-1100', value: ({ stateBytes }) => stateBytes },
  { id: 'restarts', label: 'Restarts', className: 'number over-1100', value: ({ restarts }) => restarts },
  { id: 'checkpoint', label: 'Checkpoint', className: 'over-1100', value: ({ checkpointMs }) => checkpointMs },
  {
    id: 'flink',
    label: 'On Flink',
    className: 'over-1100',
    title: 'What Flink would refuse or do otherwise',
    value: ({ parityMarks }) => parityMarks,
  },
]

export function Queries() {
  const { queries, error } = useLiveQueries()
  const list = useList(queries ?? noQueries, columns, textOf)
  const { history } = useStats()
  const histories = useMemo(() => {
    const byId = new Map<string, number[]>()
    for (const stats of history) {
      for (const { id, rowsInPerSecond } of stats.queries) {
        const list = byId.get(id)
        if (list) list.push(rowsInPerSecond)
        else byId.set(id, [rowsInPerSecond])
      }
    }
    return byId
  }, [history])
  return (
    <div className="page">
      <PageHead title="Queries" note="SQL that runs for as long as the process does. The watermark is in event time.">
        <ListTools list={list} label="Filter queries" placeholder="Name, state or SQL" />
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              'queries',
              format,
              [
                'id',
                'name',
                'state',
                'rows_in',
                'rows_out',
                'late_rows',
                'watermark',
                'watermark_lag_ms',
                'state_bytes',
                'threads',
                'restarts',
                'parity_marks',
                'error',
                'sql',
              ],
              list.shown.map((query) => [
                query.id,
                query.name,
                query.state,
                query.rowsIn,
                query.rowsOut,
                query.lateRows,
                query.watermarkMs === undefined ? null : formatWatermark(query.watermarkMs),
                watermarkLagMs(query, Date.now()),
                query.stateBytes,
                query.parallelism,
                query.restarts,
                query.parityMarks,
                query.error?.message ?? null,
                query.sql,
              ]),
            )
          }
        />
      </PageHead>
      {!queries && (error ? <Failure error={error} /> : <SkeletonRows />)}
      <ProjectProblem />
      {queries?.length === 0 && (
        <Empty title="No query runs" command="npx millrace dev">
          Each <code>CREATE MATERIALIZED TABLE</code> and <code>INSERT INTO</code> in <code>pipelines/*.sql</code> is one.
        </Empty>
      )}
      {queries && queries.length > 0 && (
        <div className="table-scroll">
          <table className="list cards">
            <ListHead list={list} />
            <VirtualRows
              items={list.shown}
              columnCount={list.columns.length}
              keyOf={({ id }) => id}
              row={(query) => <QueryRow query={query} history={histories.get(query.id) ?? []} />}
            />
          </table>
          {list.shown.length === 0 && <p className="quiet">No query has this in its name, state or SQL.</p>}
        </div>
      )}
    </div>
  )
}

/** Whether the same texts do the same on Flink, as far as they show it. */
const ParityBadge = ({ query: { id, parityMarks } }: { query: QuerySummary }) =>
  parityMarks === 0 ? (
    <Badge tone="ok" title="Nothing in its text that Flink would refuse or do otherwise">
      the same
    </Badge>
  ) : (
    <Link to="/queries/$id" params={{ id }} search={{ tab: 'sql' }} className="badge badge-warn">
      {parityMarks} {parityMarks === 1 ? 'differs' : 'differ'}
    </Link>
  )

function QueryRow({ query, history }: { query: QuerySummary; history: readonly number[] }) {
  const [isOpen, setOpen] = useState(false)
  const nowMs = useNow()
  return (
    <>
      <tr>
        <td className="name nowrap">
          <button
            type="button"
            className="button small"
            aria-expanded={isOpen}
            aria-label={`SQL of ${query.name}`}
            onClick={() => setOpen(!isOpen)}
          >
            SQL
          </button>
          <Link to="/queries/$id" params={{ id: query.id }}>
            {query.name}
          </Link>
          {query.error && <small className="bad">{query.error.message}</small>}
          {query.droppedTables.length > 0 && <small className="warn">goes on with dropped {query.droppedTables.join(', ')}</small>}
        </td>
        <td data-label="Status">
          <QueryState query={query} />
        </td>
        <td className="number" data-label="Rows in/s">
          {formatRate(query.rowsInPerSecond)}
        </td>
        <td className="spark wide-only roomy-only">
          <Sparkline values={history} />
        </td>
        <td className="number" data-label="Rows out/s">
          {formatRate(query.rowsOutPerSecond)}
        </td>
        <td className="number over-1600" data-label="Rows in">
          {formatInteger(query.rowsIn)}
        </td>
        <td className="number over-1600" data-label="Rows out">
          {formatInteger(query.rowsOut)}
        </td>
        <td className="number" data-label="Late">
          {query.lateRows > 0 ? <span className="warn">{formatInteger(query.lateRows)}</span> : '0'}
        </td>
        <td className="is-event nowrap" data-label="Watermark">
          {formatWatermark(query.watermarkMs)}
        </td>
        <td className="number nowrap" data-label="Lag">
          {watermarkLag(query, nowMs)}
        </td>
        <td className="number nowrap over-1100" data-label="State">
          {formatBytes(query.stateBytes)}
        </td>
        <td className="number over-1100" data-label="Restarts">
          {query.restarts > 0 ? <span className="warn">{formatInteger(query.restarts)}</span> : '0'}
        </td>
        <td className="nowrap over-1100" data-label="Checkpoint">
          {checkpointAge(query, nowMs)}
        </td>
        <td className="nowrap over-1100" data-label="On Flink">
          <ParityBadge query={query} />
        </td>
      </tr>
      {isOpen && (
        <tr>
          <td colSpan={columns.length} className="row-detail">
            <Sql sql={query.sql} />
          </td>
        </tr>
      )}
    </>
  )
}
