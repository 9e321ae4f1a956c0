// What a query puts out, live: the rows of its table, or the newest records of its topic.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { QuerySummary } from '../../../../src/serve/contract.ts'
import { columnKind } from '../../api/columns.ts'
import { useLiveTable, usePause, useTopicTails } from '../../api/live.ts'
import { useTables } from '../../api/queries.ts'
import { DataGrid } from '../../ui/DataGrid.tsx'
import { formatInteger } from '../../ui/format.ts'
import { MessageList } from '../../ui/MessageList.tsx'
import { Empty, Failure, PauseButton, SkeletonRows } from '../../ui/parts.tsx'

const ROWS_SHOWN = 100
const RECORDS_KEPT = 100

export function Output({ target: { kind, name }, rowsOut }: Pick<QuerySummary, 'target' | 'rowsOut'>) {
  if (kind === 'table') return <TableRows name={name} />
  if (kind === 'topic') return <TopicRecords name={name} />
  return (
    <Empty title={kind === 'files' ? `Files in ${name}` : `Connector ${name}`}>
      {formatInteger(rowsOut)} rows have gone there. Rows that go {kind === 'files' ? 'to files' : 'to this connector'} are not shown here;
      the Graph has the last ones.
    </Empty>
  )
}

/** Where the key has a time, as of windows, the newest come first: they are what the query puts out now. */
function TableRows({ name }: { name: string }) {
  const { data: tables, error } = useTables(60_000)
  if (!tables) return error ? <Failure error={error} /> : <SkeletonRows count={8} />
  const table = tables.find((one) => one.name === name)
  const time = table?.columns.find((column) => table.primaryKey.includes(column.name) && columnKind(column.type) === 'timestamp')
  return <OrderedRows key={name} name={name} newestBy={time?.name} />
}

function OrderedRows({ name, newestBy }: { name: string; newestBy: string | undefined }) {
  const [order, setOrder] = useState(newestBy === undefined ? null : { column: newestBy, isDescending: true })
  const live = useLiveTable(name, { limit: ROWS_SHOWN, ...(order && { order: `${order.isDescending ? '-' : ''}${order.column}` }) })
  const { value: view, isPaused, setPaused } = usePause(live)
  if (live.refusal) return <Failure error={live.refusal} />
  return (
    <div className="stack">
      <div className="page-actions">
        <p className="quiet">
          {view.rows.length >= ROWS_SHOWN
            ? `The ${newestBy === undefined ? 'first' : 'newest'} ${ROWS_SHOWN} rows.`
            : `${view.rows.length} rows.`}{' '}
          <Link to="/tables/$name" params={{ name }}>
            All of {name}
          </Link>
        </p>
        <PauseButton isPaused={isPaused} setPaused={setPaused} newCount={live.changeCount - view.changeCount} what="change" />
      </div>
      {!view.hasData ? (
        <SkeletonRows count={8} />
      ) : view.rows.length === 0 ? (
        <Empty title="No rows yet">The tab Why says what it waits for.</Empty>
      ) : (
        <DataGrid
          label={`Rows of ${name}`}
          columns={view.columns}
          rows={view.rows}
          order={order}
          onOrder={(column) => setOrder({ column, isDescending: !(order?.column === column && order.isDescending) })}
          height="min(50vh, 480px)"
        />
      )}
    </div>
  )
}

function TopicRecords({ name }: { name: string }) {
  const tail = useTopicTails([name], RECORDS_KEPT)
  const { value: view, isPaused, setPaused } = usePause(tail)
  return (
    <div className="stack">
      <div className="page-actions">
        <p className="quiet">
          The newest records, as committed.{' '}
          <Link to="/topics/$name" params={{ name }}>
            All of {name}
          </Link>
        </p>
        <PauseButton isPaused={isPaused} setPaused={setPaused} newCount={tail.arrivedCount - view.arrivedCount} what="record" />
      </div>
      {view.refusal ? (
        <Failure error={view.refusal} />
      ) : (
        <MessageList
          label={`Newest records of ${name}`}
          messages={view.messages}
          filter=""
          height="min(50vh, 480px)"
          empty={<Empty title="No record yet">The tab Why says what it waits for.</Empty>}
        />
      )}
    </div>
  )
}
