// A time chart on uPlot: bars or lines, stacked or not, in the colours of the theme; event time as it is, processing time in the zone that was chosen.
// The numbers under the cursor (or the newest ones) stand in a line of fixed height above it, so nothing covers the picture.
import { useEffect, useMemo, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { formatClockDayMinute, formatClockMinute, formatClockTime, formatDayMinute, formatMinute, formatTime } from '../ui/format.ts'
import { themeColor, useIsDark } from '../ui/theme.ts'
import { currentZone } from '../ui/zone.ts'
import { durationStepsMs, roundUp, roundUpBytes, roundUpDuration, stack, stepsFor } from './stack.ts'

export interface TimeSeries {
  label: string
  color: `--${string}`
  kind: 'bars' | 'line'
  values: readonly (number | null)[]
  format: (value: number) => string
}

export interface TimeChartProps {
  label: string
  /** Starts of the intervals, epoch ms, ascending. */
  timesMs: readonly number[]
  /** Length of an interval: bars fill it. */
  stepMs: number
  series: readonly TimeSeries[]
  isStacked?: boolean
  /** The axis is at least this long, so that the first bars are not walls. */
  minSpanMs: number
  heightPx: number
  formatAxis: (value: number) => string
  /** What its axis is of, where that has steps of its own: powers of two, or 15 s, half a minute, an hour (values in ms). */
  measure?: 'bytes' | 'duration' | undefined
  /** Its times are of the clock, not of events. */
  isClock?: boolean
  /** Top of the y axis if it is known; otherwise it follows the data in round steps. */
  yMax?: number
}

const AXIS_PX_MIN = 44
const AXIS_CHARACTER_PX = 6.4
/** Of the longest time under it, `03-01 12:00`: half of it stands beside the last mark. */
const LABEL_PX = 11 * AXIS_CHARACTER_PX
const measures = {
  bytes: { steps: Array.from({ length: 51 }, (_, power) => 2 ** power), roundUp: roundUpBytes },
  duration: { steps: durationStepsMs, roundUp: roundUpDuration },
}
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

/** How times are written: event time, or that of the clock. */
const writers = {
  event: { time: formatTime, minute: formatMinute, dayMinute: formatDayMinute },
  clock: { time: formatClockTime, minute: formatClockMinute, dayMinute: formatClockDayMinute },
}
type Writer = (typeof writers)['event']

/** Minutes; over more than a day, with the day; of less than a minute each, with seconds. */
function formatterOf(splits: readonly number[], { time, minute, dayMinute }: Writer): (ms: number) => string {
  const [first = 0, second = first] = splits
  if (second - first > 0 && second - first < MINUTE_MS) return time
  return (splits.at(-1) ?? 0) - first > DAY_MS ? dayMinute : minute
}

function intervalText(atMs: number, stepMs: number, timesMs: readonly number[], { time, minute, dayMinute }: Writer): string {
  if (stepMs < MINUTE_MS) return time(atMs)
  const isLong = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0) > DAY_MS
  return `${(isLong ? dayMinute : minute)(atMs)}–${minute(atMs + stepMs)}`
}

/** Values without a neighbour: no line goes through them, so they are drawn as points. */
function alone(plot: uPlot, seriesIndex: number): number[] {
  const values = plot.data[seriesIndex] ?? []
  return [...values.keys()].filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null)
}

export function TimeChart({
  label,
  timesMs,
  stepMs,
  series,
  isStacked = false,
  minSpanMs,
  heightPx,
  formatAxis,
  measure,
  isClock = false,
  yMax,
}: TimeChartProps) {
  const writer = isClock ? writers.clock : writers.event
  const holder = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const [hovered, setHovered] = useState<number | null>(null)
  const isDark = useIsDark()

  const data = useMemo<uPlot.AlignedData>(() => {
    const values = series.map((one) => one.values)
    // The tallest of a stack is drawn first, behind the others.
    const drawn = isStacked ? stack(values).reverse() : values
    return [timesMs as number[], ...(drawn as (number | null)[][])]
  }, [timesMs, series, isStacked])

  const newest = useRef({ data, minSpanMs, yMax, formatAxis })
  newest.current = { data, minSpanMs, yMax, formatAxis }
  const shape = series.map((one) => `${one.label}/${one.color}/${one.kind}`).join()

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` and `isDark` stand for what the drawing is made of; data comes by setData
  useEffect(() => {
    const element = holder.current
    if (!element) return
    const muted = themeColor('--muted')
    const line = themeColor('--line')
    const font = `11px ${getComputedStyle(element).fontFamily}`
    const drawn = isStacked ? [...series].reverse() : series
    const { steps, roundUp: roundTop } = measure ? measures[measure] : { steps: stepsFor(formatAxis), roundUp }
    const plot = new uPlot(
      {
        width: element.clientWidth || 300,
        height: heightPx,
        padding: [6, LABEL_PX / 2, 0, 0],
        ms: 1,
        tzDate: (ms) => uPlot.tzDate(new Date(ms), isClock ? currentZone() : 'Etc/UTC'),
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: {
          x: {
            time: true,
            range: (_plot, min, max) => {
              const last = (max ?? 0) + stepMs
              const first = min ?? last
              return [first, Math.max(last, first + newest.current.minSpanMs)]
            },
          },
          // Below 0 is what can be: a watermark that is ahead of the clock.
          y: {
            range: (_plot, min, max) => [(min ?? 0) < 0 ? -roundTop(-min) : 0, newest.current.yMax ?? roundTop(max ?? 1)],
          },
        },
        axes: [
          {
            stroke: muted,
            font,
            size: 24,
            gap: 4,
            grid: { show: false },
            ticks: { stroke: line, width: 1, size: 4 },
            space: (_plot, _axis, min, max) => (max - min > DAY_MS ? LABEL_PX + 12 : 64),
            values: (_plot, splits) => splits.map(formatterOf(splits, writer)),
          },
          {
            stroke: muted,
            font,
            size: (_plot, labels) =>
              Math.max(AXIS_PX_MIN, 14 + AXIS_CHARACTER_PX * Math.max(0, ...(labels ?? []).map(({ length }) => length))),
            incrs: steps,
            gap: 6,
            space: 30,
            grid: { stroke: line, width: 1 },
            ticks: { show: false },
            values: (_plot, splits) => splits.map((value) => newest.current.formatAxis(value)),
          },
        ],
        series: [
          {},
          ...drawn.map((one): uPlot.Series => {
            const color = themeColor(one.color)
            return one.kind === 'bars'
              ? {
                  label: one.label,
                  fill: color,
                  width: 0,
                  paths: uPlot.paths.bars!({ size: [0.86, 60], align: 1 }),
                  points: { show: false },
                }
              : {
                  label: one.label,
                  stroke: color,
                  width: 1.75,
                  points: { show: true, size: 4, width: 1, fill: color, stroke: color, filter: alone },
                }
          }),
        ],
        hooks: { setCursor: [(self) => setHovered(self.cursor.idx ?? null)] },
      },
      newest.current.data,
      element,
    )
    chart.current = plot
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: heightPx }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.destroy()
      chart.current = null
    }
  }, [shape, isDark, heightPx, isStacked, measure, isClock, stepMs])

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new span asks for a new range of the same data
  useEffect(() => {
    chart.current?.setData(data)
  }, [data, minSpanMs])

  const index = hovered !== null && hovered < timesMs.length ? hovered : timesMs.length - 1
  const at = timesMs[index]
  return (
    <div className="chart">
      <div className="chart-readout">
        {series.map((one) => {
          const value = one.values[index]
          return (
            <span key={one.label} className="chart-key">
              <span className="swatch" style={{ background: `var(${one.color})` }} aria-hidden="true" />
              {one.label} <b>{value === null || value === undefined ? '–' : one.format(value)}</b>
            </span>
          )
        })}
        <span className="chart-at">{at === undefined ? '' : intervalText(at, stepMs, timesMs, writer)}</span>
      </div>
      <div ref={holder} className="chart-canvas" style={{ height: `${heightPx}px` }} role="img" aria-label={label} />
    </div>
  )
}
