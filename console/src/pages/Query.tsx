// One query: its state and numbers, its error with what to do, its SQL, and the table that it keeps.
import { Link, useParams } from '@tanstack/react-router'
import type { QuerySummary } from '../../../src/serve/contract.ts'
import { queryOfTable, useTables } from '../api/queries.ts'
import { formatInteger, formatRate } from '../ui/format.ts'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { Panel } from '../ui/Panel.tsx'
import { Empty, Failure, SkeletonRows, Sql } from '../ui/parts.tsx'
import { formatWatermark, QueryState, useLiveQueries } from './Queries.tsx'
import { Why } from './query/Why.tsx'

export function Query() {
  const { id } = useParams({ from: '/queries/$id' })
  const { queries, error } = useLiveQueries()
  const query = queries?.find((one) => one.id === id)
  return (
    <div className="page">
      {!queries && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {queries && !query && (
        <Empty title={`No query ${id}`}>
          It may have been renamed or stopped. <Link to="/queries">All queries</Link>
        </Empty>
      )}
      {query && queries && <QueryPage query={query} queries={queries} />}
    </div>
  )
}

function QueryPage({ query, queries }: { query: QuerySummary; queries: QuerySummary[] }) {
  const tables = useTables().data
  const kept = tables?.filter((table) => queryOfTable(queries, table.name)?.id === query.id) ?? []
  return (
    <>
      <PageHead title={query.name} parent={{ to: '/queries', label: 'Queries' }} />
      <Facts
        facts={[
          ['State', <QueryState key="state" query={query} />],
          ['Rows in', `${formatInteger(query.rowsIn)} (${formatRate(query.rowsInPerSecond)}/s)`],
          ['Rows out', `${formatInteger(query.rowsOut)} (${formatRate(query.rowsOutPerSecond)}/s)`],
          ['Late rows', formatInteger(query.lateRows)],
          [
            'Watermark (event time)',
            <span key="watermark" className="is-event">
              {formatWatermark(query.watermarkMs)}
            </span>,
          ],
          [
            'Writes to',
            kept.length === 0
              ? '–'
              : kept.map((table) => (
                  <Link key={table.name} to="/tables/$name" params={{ name: table.name }}>
                    {table.name}
                  </Link>
                )),
          ],
        ]}
      />
      {query.error && <Failure error={query.error} />}
      <Why id={query.id} />
      <Panel title="SQL">
        <Sql sql={query.sql} />
      </Panel>
    </>
  )
}
