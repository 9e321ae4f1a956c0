// Rows by columns in shades of one colour. The numbers of the cell under the pointer stand above it.
import { useState } from 'react'
import { formatInteger } from '../ui/format.ts'

export interface HeatRow {
  name: string
  /** One value for each column; null where there was nothing. */
  values: readonly (number | null)[]
  total: number
}

export interface HeatmapProps {
  label: string
  columnNames: readonly string[]
  rows: readonly HeatRow[]
  unit: string
}

export function Heatmap({ label, columnNames, rows, unit }: HeatmapProps) {
  const [hovered, setHovered] = useState<{ row: number; column: number } | null>(null)
  const highest = Math.max(1, ...rows.flatMap((row) => row.values.map((value) => value ?? 0)))
  const row = hovered ? rows[hovered.row] : undefined
  const value = hovered && row ? row.values[hovered.column] : null
  return (
    <div className="heat">
      <div className="chart-readout">
        <span className="heat-scale" aria-hidden="true">
          0 <i /> {formatInteger(highest)}
        </span>
        <span>{unit}</span>
        <span className="chart-at">
          {hovered && row ? `${row.name} · ${columnNames[hovered.column]} · ` : ''}
          {hovered && row ? <b>{formatInteger(value ?? 0)}</b> : `${columnNames[0] ?? ''} to ${columnNames.at(-1) ?? ''}`}
        </span>
      </div>
      <div
        className="heat-rows"
        role="img"
        aria-label={`${label}. ${rows
          .slice(0, 5)
          .map((one) => `${one.name}: ${one.total}`)
          .join(', ')}`}
        onPointerLeave={() => setHovered(null)}
      >
        {rows.map((one, rowIndex) => (
          <div key={one.name} className="heat-row">
            <span className="heat-name">{one.name}</span>
            <span
              className="heat-cells"
              onPointerMove={(event) => {
                const box = event.currentTarget.getBoundingClientRect()
                const column = Math.floor(((event.clientX - box.left) / box.width) * columnNames.length)
                setHovered({ row: rowIndex, column: Math.min(columnNames.length - 1, Math.max(0, column)) })
              }}
            >
              {one.values.map((cell, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a column is its position
                <i key={index} style={{ opacity: cell ? 0.14 + 0.86 * Math.sqrt(cell / highest) : 0 }} />
              ))}
            </span>
            <span className="heat-total">{formatInteger(one.total)}</span>
          </div>
        ))}
      </div>
    </div>
  )
}
