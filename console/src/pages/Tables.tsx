// All materialized tables: how many rows, how fast they change, how fresh they are.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useChangeRates, useTables } from '../api/queries.ts'
import { downloadRows } from '../ui/export.ts'
import { formatAge, formatInteger, formatRate, none } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Empty, ExportButtons, Failure, SkeletonRows, useNow } from '../ui/parts.tsx'
import { VirtualRows } from '../ui/VirtualRows.tsx'

const example = `CREATE MATERIALIZED TABLE visits_by_page (PRIMARY KEY (page) NOT ENFORCED)
FRESHNESS = INTERVAL '1' SECOND AS
SELECT page, COUNT(*) AS visits FROM clicks GROUP BY page;`

export function Tables() {
  const { data: tables, error } = useTables(1_000)
  const rates = useChangeRates(tables)
  const nowMs = useNow()
  const [text, setText] = useState('')
  const shown = (tables ?? []).filter((table) => `${table.name} ${table.comment ?? ''}`.toLowerCase().includes(text.trim().toLowerCase()))
  return (
    <div className="page">
      <PageHead title="Tables" note="Results of SQL, kept live, by primary key.">
        <input
          type="search"
          className="filter"
          aria-label="Filter tables"
          placeholder="Filter"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
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
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col" className="number">
                  Rows
                </th>
                <th scope="col" className="number">
                  Changes/s
                </th>
                <th scope="col">Newest change</th>
                <th scope="col">Primary key</th>
                <th scope="col" className="number">
                  Subscribers
                </th>
              </tr>
            </thead>
            <VirtualRows
              items={shown}
              columnCount={6}
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
