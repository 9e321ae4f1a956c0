// Figures of a query over the range of time that is chosen.
import { useQueryHistory } from '../../api/figures.ts'
import { type MetricChart, MetricCharts, perSecond } from '../../charts/MetricChart.tsx'
import { formatBytes, formatShare, formatSpan, formatSpanAxis } from '../../ui/format.ts'
import { useIsPhone } from '../../ui/parts.tsx'
import { TimePicker } from '../../ui/TimePicker.tsx'

export const stateChart: MetricChart = {
  title: 'State in memory',
  format: formatBytes,
  lines: [{ metric: 'stateBytes', label: 'State', color: '--accent' }],
}
const allCharts: readonly MetricChart[] = [
  {
    title: 'Rows',
    ...perSecond,
    lines: [
      { metric: 'rowsInPerSecond', label: 'In', color: '--accent' },
      { metric: 'rowsOutPerSecond', label: 'Out', color: '--robots' },
      { metric: 'lateRowsPerSecond', label: 'Late', color: '--bad' },
    ],
  },
  {
    title: 'Watermark behind the clock',
    format: formatSpan,
    formatAxis: formatSpanAxis,
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

export function Metrics({ id, charts = allCharts }: { id: string; charts?: readonly MetricChart[] }) {
  const { data, error } = useQueryHistory(id)
  const isPhone = useIsPhone()
  return (
    <>
      {isPhone && <TimePicker />}
      <MetricCharts charts={charts} history={data} refusal={error} />
    </>
  )
}
