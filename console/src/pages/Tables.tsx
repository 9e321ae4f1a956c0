// All materialized tables: how many rows, how fast they change, how fresh they are.
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import type { TableSummary } from '../../../src/serve/contract.ts'
import { useChangeRates, useTables } from '../api/queries.ts'
import { downloadRows } from '../ui/export.ts'
import { formatAge, formatInteger, formatRate, none } from '../ui/format.ts'
import { type ListColumn, ListHead, ListTools, useList } from '../ui/List.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { Empty, ExportButtons, Failure, SkeletonRows, useNow } from '../ui/parts.tsx'
import { VirtualRows } from '../ui/VirtualRows.tsx'

const example = `CREATE MATERIALIZED TABLE visits_by_page (PRIMARY KEY (page) NOT ENFORCED)
FRESHNESS = INTERVAL '1' SECOND AS
SELECT page, COUNT(*) AS visits FROM clicks GROUP BY page;`

const noTables: readonly TableSummary[] = []
const textOf = ({ name, comment = '' }: TableSummary): string => `${name} ${comment}`
const columnsOf = (rates: ReadonlyMap<string, number>): ListColumn<TableSummary>[] => [
  { id: 'name', label: 'Name', value: ({ name }) => name },
  { id: 'rows', label: 'Rows', className: 'number', value: ({ rowCount }) => rowCount },
  { id: 'rate', label: 'Changes/s', className: 'number', value: ({ name }) => rates.get(name) ?? 0 },
  { id: 'newest', label: 'Newest change', value: ({ updatedAtMs }) => updatedAtMs },
  { id: 'key', label: 'Primary key' },
  { id: 'subscribers', label: 'Subscribers', className: 'number', value: ({ subscriberCount }) => subscriberCount },
]

export function Tables() {
  const { data: tables, error } = useTables(1_000)
  const rates = useChangeRates(tables)
  const nowMs = useNow()
  const columns = useMemo(() => columnsOf(rates), [rates])
  const list = useList(tables ?? noTables, columns, textOf)
  const { shown } = list
  return (
    <div className="page">
      <PageHead title="Tables" note="Results of SQL, kept live, by primary key.">
        <ListTools list={list} label="Filter tables" />
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              'tables',
              format,
              ['name', 'rows', 'changes', 'updated_at', 'primary_key', 'subscribers', 'comment'],
              shown.map((table) => [
                table.name,
                table.rowCount,
                table.changeCount,
                table.updatedAtMs === undefined ? null : new Date(table.updatedAtMs).toISOString(),
                table.primaryKey.join(', '),
                table.subscriberCount,
                table.comment ?? null,
              ]),
            )
          }
        />
      </PageHead>
      {!tables && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {tables?.length === 0 && (
        <Empty title="No materialized table yet" command={example}>
          Put a statement like this into <code>pipelines/*.sql</code>; the table appears here when the first row does.
        </Empty>
      )}
      {tables && tables.length > 0 && (
        <div className="table-scroll">
          <table className="list cards">
            <ListHead list={list} />
            <VirtualRows
              items={shown}
              columnCount={list.columns.length}
              keyOf={({ name }) => name}
              row={(table) => (
                <tr>
                  <td className="name">
                    <Link to="/tables/$name" params={{ name: table.name }}>
                      {table.name}
                    </Link>
                    {table.comment && <small>{table.comment}</small>}
                  </td>
                  <td className="number" data-label="Rows">
                    {formatInteger(table.rowCount)}
                  </td>
                  <td className="number" data-label="Changes/s">
                    {formatRate(rates.get(table.name) ?? 0)}
                  </td>
                  <td data-label="Newest change">{table.updatedAtMs === undefined ? none : formatAge(nowMs - table.updatedAtMs)}</td>
                  <td data-label="Primary key">
                    <code>{table.primaryKey.join(', ') || none}</code>
                  </td>
                  <td className="number" data-label="Subscribers">
                    {table.subscriberCount}
                  </td>
                </tr>
              )}
            />
          </table>
          {shown.length === 0 && <p className="quiet">No table has this name.</p>}
        </div>
      )}
    </div>
  )
}
