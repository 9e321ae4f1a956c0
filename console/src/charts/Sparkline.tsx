// A line without axes: the last minutes of one number, newest at the right. It spans the width once there are 30 points.
import { memo } from 'react'

const widthUnits = 120
const heightUnits = 28
const pointCountMin = 30

export interface SparklineProps {
  values: readonly number[]
  color?: string
}

export const Sparkline = memo(function Sparkline({ values, color = 'var(--accent)' }: SparklineProps) {
  if (values.length < 2) return <svg className="sparkline" aria-hidden="true" />
  const highest = Math.max(...values)
  const top = highest > 0 ? highest * 1.1 : 1
  const step = widthUnits / (Math.max(values.length, pointCountMin) - 1)
  const left = widthUnits - (values.length - 1) * step
  const points = values.map((value, index) => {
    const x = left + index * step
    const y = heightUnits - 1 - (Math.max(0, value) / top) * (heightUnits - 3)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  return (
    <svg className="sparkline" viewBox={`0 0 ${widthUnits} ${heightUnits}`} preserveAspectRatio="none" aria-hidden="true">
      <polygon points={`${left.toFixed(1)},${heightUnits} ${points.join(' ')} ${widthUnits},${heightUnits}`} fill={color} opacity="0.12" />
      <polyline points={points.join(' ')} fill="none" stroke={color} strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  )
})
