// How the process does and did, without another tool: its figures over the range that is chosen, and what fills up when.
import { useProcessHistory } from '../api/figures.ts'
import { type MetricChart, MetricCharts, perSecond } from '../charts/MetricChart.tsx'
import { downloadRows } from '../ui/export.ts'
import { formatBytes, formatDateTime, formatMs, formatShare, formatSpanAxis } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Panel } from '../ui/Panel.tsx'
import { Code, ExportButtons, useIsPhone } from '../ui/parts.tsx'
import { TimePicker } from '../ui/TimePicker.tsx'
import { Forecasts } from './observe/Forecasts.tsx'

const charts: readonly MetricChart[] = [
  {
    title: 'Events and rows',
    note: 'per second',
    ...perSecond,
    lines: [
      { metric: 'eventsInPerSecond', label: 'Events in', color: '--accent' },
      { metric: 'rowsOutPerSecond', label: 'Rows out', color: '--robots' },
      { metric: 'rejectedPerSecond', label: 'Rejected', color: '--bad' },
    ],
  },
  {
    title: 'Latency, event to push',
    note: 'the highest of each step',
    format: formatMs,
    formatAxis: formatSpanAxis,
    lines: [
      { metric: 'latencyP50Ms', label: 'p50', color: '--accent' },
      { metric: 'latencyP95Ms', label: 'p95', color: '--robots' },
      { metric: 'latencyP99Ms', label: 'p99', color: '--event' },
    ],
  },
  {
    title: 'Memory of the process',
    note: 'resident set and heap',
    format: formatBytes,
    lines: [
      { metric: 'rssBytes', label: 'Resident', color: '--accent' },
      { metric: 'heapBytes', label: 'Heap', color: '--robots' },
    ],
  },
  {
    title: 'State and live tables',
    note: 'in the memory budget',
    format: formatBytes,
    lines: [
      { metric: 'memoryUsedBytes', label: 'In memory', color: '--accent' },
      { metric: 'stateBytes', label: 'of it state', color: '--robots' },
      { metric: 'spilledBytes', label: 'On the disk', color: '--event' },
    ],
  },
  {
    title: 'CPU',
    note: '100 % is one core',
    format: formatShare,
    lines: [{ metric: 'cpuShare', label: 'CPU', color: '--accent' }],
  },
  {
    title: 'The log on the disk',
    note: 'all topics',
    format: formatBytes,
    lines: [{ metric: 'dataBytes', label: 'Log', color: '--accent' }],
  },
]

export function Observe() {
  const { data, error } = useProcessHistory()
  const isPhone = useIsPhone()
  return (
    <div className="page">
      <PageHead title="Observe" note="Figures of the process in the range of time chosen above. Those of a query are on its page.">
        {isPhone && <TimePicker />}
        <ExportButtons
          isBusy={!data}
          onExport={(format) =>
            data &&
            downloadRows(
              'figures',
              format,
              ['time', ...Object.keys(data.series)],
              data.timesMs.map((ms, i) => [formatDateTime(ms), ...Object.values(data.series).map((values) => values[i] ?? null)]),
            )
          }
        />
      </PageHead>
      <Panel title="When it is full" note="at the growth of the last hour">
        <Forecasts />
      </Panel>
      <MetricCharts charts={charts} history={data} refusal={error} isPanels />
      <Panel title="For Prometheus and Grafana" note="the same and more, to be collected from outside">
        <Code label="Read it" text={`curl ${location.origin}/metrics`} />
      </Panel>
    </div>
  )
}
