// Figures of the server over the range that is chosen, as lines: of the process, of a query, of a consumer group, declared alike.
//
// Invariant: before the figures come, where there are none, and with them, a chart is as high: nothing below it moves.
import { useMemo } from 'react'
import type { StatsHistory } from '../../../src/serve/contract.ts'
import { formatRate } from '../ui/format.ts'
import { Panel } from '../ui/Panel.tsx'
import { Failure } from '../ui/parts.tsx'
import { TimeChart, type TimeSeries } from './TimeChart.tsx'

interface MetricLine {
  /** Of the server's series. */
  metric: string
  label: string
  color: TimeSeries['color']
}

export interface MetricChart {
  title: string
  note?: string
  lines: readonly MetricLine[]
  /** A limit, as a line of its own. */
  limit?: { label: string; value: number; color: TimeSeries['color'] } | undefined
  format: (value: number) => string
  formatAxis?: (value: number) => string
}

/** How figures for each second are written. */
export const perSecond = { format: (value: number): string => `${formatRate(value)}/s`, formatAxis: formatRate }

const HEIGHT_PX = 150

const measureOf = (lines: readonly MetricLine[]): 'bytes' | 'duration' | undefined =>
  lines.every(({ metric }) => metric.endsWith('Bytes'))
    ? 'bytes'
    : lines.every(({ metric }) => metric.endsWith('Ms'))
      ? 'duration'
      : undefined

const Body = ({ chart, history }: { chart: MetricChart; history: StatsHistory | undefined }) =>
  history ? <Lines chart={chart} history={history} /> : <div className="chart-empty" role="status" aria-label="Loading" />

function Lines({ chart: { title, lines, limit, format, formatAxis = format }, history }: { chart: MetricChart; history: StatsHistory }) {
  const { timesMs, stepMs, series } = history
  const drawn = useMemo<TimeSeries[]>(
    () => lines.map(({ metric, label, color }) => ({ label, color, kind: 'line', values: series[metric] ?? [], format })),
    [series, lines, format],
  )
  const { value: limitValue, label: limitLabel, color: limitColor } = limit ?? {}
  const shown = useMemo<TimeSeries[]>(
    () =>
      limitValue === undefined || limitLabel === undefined || limitColor === undefined
        ? drawn
        : [...drawn, { label: limitLabel, color: limitColor, kind: 'line', values: timesMs.map(() => limitValue), format }],
    [drawn, limitValue, limitLabel, limitColor, timesMs, format],
  )
  if (drawn.every(({ values }) => values.every((value) => value === null)))
    return <p className="quiet chart-empty">Nothing was measured in this range.</p>
  return (
    <TimeChart
      label={`${title}: ${lines.map(({ label }) => label).join(', ')}`}
      timesMs={timesMs}
      stepMs={stepMs}
      series={shown}
      minSpanMs={stepMs * 12}
      heightPx={HEIGHT_PX}
      formatAxis={formatAxis}
      isClock
      measure={measureOf(lines)}
    />
  )
}

export interface MetricChartsProps {
  charts: readonly MetricChart[]
  /** undefined: not here yet. */
  history: StatsHistory | undefined
  /** Why it is not. */
  refusal: unknown
  /** Each in a panel of its own, where they are in none. */
  isPanels?: boolean
}

export function MetricCharts({ charts, history, refusal, isPanels = false }: MetricChartsProps) {
  if (!history && refusal) return <Failure error={refusal} />
  return (
    <div className="chart-grid">
      {charts.map((chart) => {
        const { title, note } = chart
        return isPanels ? (
          <Panel key={title} title={title} note={note}>
            <Body chart={chart} history={history} />
          </Panel>
        ) : (
          <section key={title} aria-label={title}>
            <h3>
              {title} {note && <small className="quiet">{note}</small>}
            </h3>
            <Body chart={chart} history={history} />
          </section>
        )
      })}
    </div>
  )
}
