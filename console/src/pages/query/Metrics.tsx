// Figures of a query over the range of time that is chosen.
import { useQueryHistory } from '../../api/figures.ts'
import { MetricChart, type MetricChartProps } from '../../charts/MetricChart.tsx'
import { formatBytes, formatRate, formatShare, formatSpan } from '../../ui/format.ts'
import { useIsPhone, Waiting } from '../../ui/parts.tsx'
import { TimePicker } from '../../ui/TimePicker.tsx'

type Chart = Omit<MetricChartProps, 'history' | 'label'> & { title: string }
const perSecond = (value: number): string => `${formatRate(value)}/s`

export const stateChart: Chart = {
  title: 'State in memory',
  format: formatBytes,
  lines: [{ metric: 'stateBytes', label: 'State', color: '--accent' }],
}
const allCharts: Chart[] = [
  {
    title: 'Rows',
    format: perSecond,
    formatAxis: formatRate,
    lines: [
      { metric: 'rowsInPerSecond', label: 'In', color: '--accent' },
      { metric: 'rowsOutPerSecond', label: 'Out', color: '--robots' },
      { metric: 'lateRowsPerSecond', label: 'Late', color: '--bad' },
    ],
  },
  {
    title: 'Watermark behind the clock',
    format: formatSpan,
    lines: [{ metric: 'watermarkLagMs', label: 'Behind', color: '--event' }],
  },
  stateChart,
  {
    title: 'What its threads did',
    format: formatShare,
    lines: [
      { metric: 'busyShare', label: 'Busy', color: '--accent' },
      { metric: 'backPressuredShare', label: 'Back-pressured', color: '--bad' },
    ],
  },
]

export function Metrics({ id, charts = allCharts }: { id: string; charts?: readonly Chart[] }) {
  const { data, error } = useQueryHistory(id)
  const isPhone = useIsPhone()
  if (!data) return <Waiting refusal={error} count={6} />
  return (
    <div className="chart-grid">
      {isPhone && <TimePicker />}
      {charts.map(({ title, ...chart }) => (
        <section key={title} aria-label={title}>
          <h3>{title}</h3>
          <MetricChart label={title} history={data} {...chart} />
        </section>
      ))}
    </div>
  )
}
