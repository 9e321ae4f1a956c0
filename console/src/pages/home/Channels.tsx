// The busiest channels over the latest windows, as a heat map.
import { useMemo } from 'react'
import { timestampMs } from '../../api/columns.ts'
import { useLiveTable } from '../../api/live.ts'
import { Heatmap, type HeatRow } from '../../charts/Heatmap.tsx'
import { formatMinute } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { useIsPhone, Waiting } from '../../ui/parts.tsx'

const table = 'channel_5min'
const stepMs = 300_000
const channelCount = 12
const windowCountMin = 8

export function Channels() {
  return (
    <Panel title="Channels" note="latest two hours" table={table} className="span-6">
      <ChannelHeat />
    </Panel>
  )
}

function ChannelHeat() {
  const windowCountMax = useIsPhone() ? 12 : 24
  // About 30 channels have edits in one window.
  const { rows, columns, hasData, refusal } = useLiveTable(table, { order: '-window_start', limit: 1_000 })
  const heat = useMemo(() => {
    const index = Object.fromEntries(columns.map((column, position) => [column.name, position]))
    const startOf = (cells: unknown[]): number => timestampMs(cells[index.window_start ?? -1])
    const lastMs = rows[0] ? startOf(rows[0].cells) : 0
    // In the first minutes there are fewer windows: they get the room.
    const knownCount = 1 + rows.reduce((most, { cells }) => Math.max(most, (lastMs - startOf(cells)) / stepMs), 0)
    const windowCount = Math.min(windowCountMax, Math.max(windowCountMin, knownCount))
    const firstMs = lastMs - (windowCount - 1) * stepMs
    const byChannel = new Map<string, HeatRow & { values: (number | null)[] }>()
    for (const { cells } of rows) {
      const column = Math.round((startOf(cells) - firstMs) / stepMs)
      if (!(column >= 0 && column < windowCount)) continue
      const name = String(cells[index.channel ?? -1]).replace(/^#/, '')
      let row = byChannel.get(name)
      if (!row) byChannel.set(name, (row = { name, values: Array.from({ length: windowCount }, () => null), total: 0 }))
      const edits = Number(cells[index.edits ?? -1] ?? 0)
      row.values[column] = edits
      row.total += edits
    }
    const top = [...byChannel.values()].sort((left, right) => right.total - left.total || left.name.localeCompare(right.name))
    return {
      rows: top.slice(0, channelCount),
      columnNames: Array.from({ length: windowCount }, (_, column) => formatMinute(firstMs + column * stepMs)),
    }
  }, [rows, columns, windowCountMax])
  if (!hasData || rows.length === 0) return <Waiting refusal={refusal} count={channelCount} />
  return <Heatmap label="Edits by channel and window" unit="edits per five minutes" columnNames={heat.columnNames} rows={heat.rows} />
}
