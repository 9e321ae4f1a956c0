// Figures of the server over the range that is chosen, as lines; words in place of a picture where there is nothing.
import { useMemo } from 'react'
import type { StatsHistory } from '../../../src/serve/contract.ts'
import { TimeChart, type TimeSeries } from './TimeChart.tsx'

export interface MetricLine {
  /** Of the server's series. */
  metric: string
  label: string
  color: TimeSeries['color']
}

export interface MetricChartProps {
  label: string
  history: StatsHistory
  lines: readonly MetricLine[]
  format: (value: number) => string
  formatAxis?: (value: number) => string
}

const HEIGHT_PX = 150

export function MetricChart({ label, history: { timesMs, stepMs, series }, lines, format, formatAxis = format }: MetricChartProps) {
  const drawn = useMemo<TimeSeries[]>(
    () => lines.map(({ metric, label: name, color }) => ({ label: name, color, kind: 'line', values: series[metric] ?? [], format })),
    [series, lines, format],
  )
  if (drawn.every(({ values }) => values.every((value) => value === null)))
    return <p className="quiet chart-empty">Nothing was measured in this range.</p>
  return (
    <TimeChart
      label={label}
      timesMs={timesMs}
      stepMs={stepMs}
      series={drawn}
      minSpanMs={stepMs * 12}
      heightPx={HEIGHT_PX}
      formatAxis={formatAxis}
      isBytes={lines.every(({ metric }) => metric.endsWith('Bytes'))}
    />
  )
}
