// Event time or processing time, for charts of rows: in the bar at the top, on the phone above the chart.
import { useTimeAxis } from '../api/timeAxis.ts'
import { Segmented } from './parts.tsx'

const axes = [
  { value: 'event', label: 'By event time' },
  { value: 'processing', label: 'By arrival' },
] as const

export function AxisSwitch() {
  const { axis, choose } = useTimeAxis()
  return <Segmented label="Time of the chart" value={axis} options={axes} onChange={choose} />
}
