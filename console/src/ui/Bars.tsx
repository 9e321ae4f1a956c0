// Counts or shares as horizontal bars with their numbers: histograms, null shares, percentiles.
import type { ReactNode } from 'react'

export interface Bar {
  label: ReactNode
  /** Text at the end of the bar. */
  text: ReactNode
  value: number
  tone?: 'bad' | 'warn' | 'quiet'
}

/** @param most  the value of a full bar; the largest unless given */
export function Bars({ label, bars, most }: { label: string; bars: readonly Bar[]; most?: number }) {
  const full = most ?? Math.max(...bars.map(({ value }) => value), 0)
  return (
    <ul className="bars" aria-label={label}>
      {bars.map((bar, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: bars have no other identity, and the list is never reordered
        <li key={index}>
          <span className="bar-label">{bar.label}</span>
          <span className="bar-track" aria-hidden="true">
            <span
              className={bar.tone ? `bar-fill is-${bar.tone}` : 'bar-fill'}
              style={{ width: full > 0 && bar.value > 0 ? `max(2px, ${(100 * bar.value) / full}%)` : 0 }}
            />
          </span>
          <span className="bar-text">{bar.text}</span>
        </li>
      ))}
    </ul>
  )
}

/** How far long work is, in words and as a line. */
export function Progress({ done, total, children }: { done: number; total: number; children: ReactNode }) {
  return (
    <div className="progress">
      <progress value={done} max={Math.max(total, 1)} aria-label="Progress" />
      <span role="status">{children}</span>
    </div>
  )
}
