// Five-minute windows over all channels: robots against people, and the share that nobody has checked.
import { useMemo, useState } from 'react'
import { timestampMs } from '../../api/columns.ts'
import { useLiveTable } from '../../api/live.ts'
import { TimeChart, type TimeSeries } from '../../charts/TimeChart.tsx'
import { formatCompact, formatInteger, formatShare } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Segmented } from '../../ui/parts.tsx'

const table = 'totals_5min'
const stepMs = 300_000
const hourMs = 3_600_000

interface Windows {
  timesMs: number[]
  robots: number[]
  humans: number[]
  unpatrolledShares: (number | null)[]
}

/** The newest windows in ascending time, without gaps in what is asked for. */
function useWindows(hourCount: number): Windows {
  const { rows, columns } = useLiveTable(table, { order: '-window_start', limit: 200 })
  return useMemo(() => {
    const index = Object.fromEntries(columns.map((column, position) => [column.name, position]))
    const number = (cells: unknown[], name: string): number => Number(cells[index[name] ?? -1] ?? 0)
    const lastMs = rows[0] ? timestampMs(rows[0].cells[index.window_start ?? -1]) : 0
    const recent = rows
      .map(({ cells }) => ({ cells, ms: timestampMs(cells[index.window_start ?? -1]) }))
      .filter(({ ms }) => ms > lastMs - hourCount * hourMs)
      .reverse()
    return {
      timesMs: recent.map(({ ms }) => ms),
      robots: recent.map(({ cells }) => number(cells, 'robots')),
      humans: recent.map(({ cells }) => number(cells, 'humans')),
      unpatrolledShares: recent.map(({ cells }) => {
        const edits = number(cells, 'edits')
        return edits > 0 ? number(cells, 'unpatrolled') / edits : null
      }),
    }
  }, [rows, columns, hourCount])
}

/** The axis grows with the data up to what was chosen, so that the first minutes are not a corner of an empty picture. */
function axisSpan(timesMs: readonly number[], hourCount: number): number {
  const spanMs = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0)
  return Math.min(hourCount, Math.max(1, Math.ceil((spanMs / hourMs) * 2 + 0.25) / 2)) * hourMs
}

type Span = '2' | '6' | '16'

export function EditsOverTime() {
  const [span, setSpan] = useState<Span>('6')
  const windows = useWindows(Number(span))
  const series = useMemo<TimeSeries[]>(
    () => [
      { label: 'People', color: '--people', kind: 'bars', values: windows.humans, format: formatInteger },
      { label: 'Robots', color: '--robots', kind: 'bars', values: windows.robots, format: formatInteger },
    ],
    [windows],
  )
  return (
    <Panel
      title="Edits per five minutes"
      note="event time"
      table={table}
      className="span-8"
      actions={
        <Segmented
          label="Hours shown"
          value={span}
          onChange={setSpan}
          options={[
            { value: '2', label: '2 h' },
            { value: '6', label: '6 h' },
            { value: '16', label: '16 h' },
          ]}
        />
      }
    >
      <TimeChart
        label="Edits in each five-minute window, people and robots stacked"
        timesMs={windows.timesMs}
        stepMs={stepMs}
        series={series}
        isStacked
        // Without a window yet: an axis of whole numbers.
        {...(windows.timesMs.length === 0 ? { yMax: 10 } : {})}
        minSpanMs={axisSpan(windows.timesMs, Number(span))}
        heightPx={228}
        formatAxis={formatCompact}
      />
    </Panel>
  )
}

export function Unpatrolled() {
  const windows = useWindows(6)
  const series = useMemo<TimeSeries[]>(
    () => [{ label: 'Unpatrolled', color: '--accent', kind: 'line', values: windows.unpatrolledShares, format: formatShare }],
    [windows],
  )
  return (
    <Panel title="Share not yet patrolled" note="of all edits" table={table} className="span-4">
      <TimeChart
        label="Share of edits in each five-minute window that nobody has checked"
        timesMs={windows.timesMs}
        stepMs={stepMs}
        series={series}
        minSpanMs={axisSpan(windows.timesMs, 6)}
        heightPx={228}
        formatAxis={(share) => `${Number((share * 100).toFixed(1))} %`}
      />
    </Panel>
  )
}
