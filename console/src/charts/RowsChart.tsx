// Rows as a picture: their numbers over the first column of time, or over when each of them changed last; without such a column a bar for each row.
import { useMemo, useState } from 'react'
import type { ColumnInfo } from '../../../src/serve/contract.ts'
import { columnKind, isNumericKind } from '../api/columns.ts'
import type { LiveRow } from '../api/liveTable.ts'
import { useBothAxes, useTimeAxis } from '../api/timeAxis.ts'
import { AxisSwitch } from '../ui/AxisSwitch.tsx'
import { formatFigure, formatInteger } from '../ui/format.ts'
import { Empty, useIsPhone } from '../ui/parts.tsx'
import { arrivalPoints, eventPoints, numberOf, POINTS_MAX } from './rowPoints.ts'
import { TimeChart, type TimeSeries } from './TimeChart.tsx'

const colors = ['--people', '--robots', '--event', '--ok'] as const
const BARS_MAX = 20

export interface RowsChartProps {
  columns: readonly ColumnInfo[]
  rows: readonly LiveRow[]
  /** Rows change while one looks: it means something when they did. */
  isLive: boolean
}

export function RowsChart({ columns, rows, isLive }: RowsChartProps) {
  const kinds = useMemo(() => columns.map(({ type }) => columnKind(type)), [columns])
  const timeIndex = kinds.indexOf('timestamp')
  const offered = useMemo(() => kinds.flatMap((kind, index) => (isNumericKind(kind) ? [index] : [])), [kinds])
  const [chosen, setChosen] = useState<readonly string[]>()
  const numeric = useMemo(
    () => offered.filter((index, i) => (chosen ? chosen.includes(columns[index]!.name) : i < colors.length)).slice(0, colors.length),
    [offered, chosen, columns],
  )
  const hasBoth = isLive && timeIndex >= 0 && offered.length > 0
  useBothAxes(hasBoth)
  const { axis } = useTimeAxis()
  const isPhone = useIsPhone()
  const isByArrival = hasBoth && axis === 'processing'
  const { timesMs, stepMs, values, timeless, older } = useMemo(
    () => (isByArrival ? arrivalPoints(rows, numeric) : eventPoints(rows, timeIndex, numeric)),
    [isByArrival, rows, numeric, timeIndex],
  )
  if (offered.length === 0) return <Empty title="Nothing to draw">A chart needs a column of numbers.</Empty>
  if (timeIndex < 0)
    return (
      <Bars rows={rows} labels={kinds.flatMap((kind, index) => (isNumericKind(kind) ? [] : [index]))} value={numeric[0] ?? offered[0]!} />
    )
  const series = numeric.map(
    (index, i): TimeSeries => ({
      label: columns[index]!.name,
      color: colors[i]!,
      kind: 'line',
      values: values[i]!,
      format: formatFigure,
    }),
  )
  const over = isByArrival ? 'when each row changed last' : columns[timeIndex]!.name
  return (
    <div className="stack">
      {hasBoth && isPhone && <AxisSwitch />}
      {offered.length > 1 && (
        <fieldset className="chart-columns">
          <legend className="visually-hidden">Columns that are drawn</legend>
          {offered.map((index) => {
            const { name } = columns[index]!
            const isDrawn = numeric.includes(index)
            const drawn = numeric.map((one) => columns[one]!.name)
            return (
              <label key={name} className="check">
                <input
                  type="checkbox"
                  checked={isDrawn}
                  disabled={!isDrawn && numeric.length === colors.length}
                  onChange={() => setChosen(isDrawn ? drawn.filter((one) => one !== name) : [...drawn, name])}
                />
                {name}
              </label>
            )
          })}
        </fieldset>
      )}
      {numeric.length === 0 ? (
        <p className="quiet">Choose a column.</p>
      ) : timesMs.length === 0 ? (
        <Empty title="Nothing to draw yet">
          {isByArrival ? 'No row has changed since this page looks at them.' : `${over} is NULL in every row.`}
        </Empty>
      ) : (
        <TimeChart
          label={`${series.map(({ label }) => label).join(', ')} over ${over}`}
          timesMs={timesMs}
          stepMs={stepMs}
          series={series}
          minSpanMs={stepMs * 10}
          heightPx={280}
          formatAxis={formatFigure}
          isClock={isByArrival}
        />
      )}
      <p className="quiet">
        Over {over}; rows of one time are summed.
        {timeless > 0 && ` ${formatInteger(timeless)} rows are not in it: ${isByArrival ? 'they were there before' : 'they have no time'}.`}
        {older > 0 && ` ${formatInteger(older)} older rows are not in it: it has ${POINTS_MAX} points at most.`}
      </p>
    </div>
  )
}

function Bars({ rows, labels, value }: { rows: readonly LiveRow[]; labels: readonly number[]; value: number }) {
  const bars = rows
    .map(({ key, cells }) => ({
      key,
      label: labels.map((index) => String(cells[index] ?? 'NULL')).join(' · ') || 'all',
      size: numberOf(cells[value]) ?? 0,
    }))
    .sort((a, b) => b.size - a.size)
    .slice(0, BARS_MAX)
  const most = Math.max(...bars.map(({ size }) => size), 1)
  return (
    <ol className="bar-list">
      {bars.map(({ key, label, size }) => (
        <li key={key}>
          <span className="bar" style={{ transform: `scaleX(${Math.max(0, size) / most})` }} aria-hidden="true" />
          <span className="bar-name">{label}</span>
          <span className="bar-value">{formatFigure(size)}</span>
        </li>
      ))}
    </ol>
  )
}
