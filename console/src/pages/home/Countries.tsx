// Where anonymous edits come from: the map and, beside it, the numbers.
import { lazy, Suspense, useMemo } from 'react'
import { useLiveTable } from '../../api/live.ts'
import type { CountryValue } from '../../charts/WorldMap.tsx'
import { formatInteger } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Waiting } from '../../ui/parts.tsx'

const WorldMap = lazy(() => import('../../charts/WorldMap.tsx'))
const table = 'country_edits'
const listCount = 10

export function Countries() {
  return (
    <Panel title="Countries" note="of anonymous edits" table={table} className="span-6">
      <CountryMap />
    </Panel>
  )
}

function CountryMap() {
  const { rows, columns, hasData, refusal } = useLiveTable(table, { order: '-edits', limit: 300 })
  const values = useMemo<CountryValue[]>(() => {
    const index = Object.fromEntries(columns.map((column, position) => [column.name, position]))
    return rows.map(({ cells }) => ({
      code: String(cells[index.country_code ?? -1] ?? ''),
      name: String(cells[index.country ?? -1] ?? cells[index.country_code ?? -1] ?? ''),
      value: Number(cells[index.edits ?? -1] ?? 0),
    }))
  }, [rows, columns])
  if (!hasData) return <Waiting refusal={refusal} count={10} />
  const highest = Math.max(1, values[0]?.value ?? 1)
  return (
    <div className="countries">
      <Suspense fallback={<div className="map" />}>
        <WorldMap values={values} unit="edits" />
      </Suspense>
      <ol className="bar-list" aria-label="Countries with most edits">
        {values.slice(0, listCount).map((one) => (
          <li key={one.code}>
            <span className="bar" style={{ transform: `scaleX(${one.value / highest})` }} aria-hidden="true" />
            <span className="bar-name">{one.name}</span>
            <span className="bar-value">{formatInteger(one.value)}</span>
          </li>
        ))}
      </ol>
    </div>
  )
}
