// The range of time that all pages with figures over time show: one for the whole console, in the address (`?range=6h`), kept from page to page.
// It is of processing time: figures are of when something was done, whatever times its events have.
import { useNavigate, useSearch } from '@tanstack/react-router'

/** `6h`: the last six hours, going on; `2026-03-01T10:00:00Z~2026-03-01T11:00:00Z`: what was between, standing still. */
export type RangeText = string

export interface TimeRange {
  /** Parameters of the API. */
  since: string
  until?: string
  /** Epoch ms where it stands still. */
  fixed?: { fromMs: number; toMs: number }
  /** Of a going one. */
  lengthMs: number
}

export const usualRanges = [
  { value: '15m', label: 'Last 15 minutes' },
  { value: '1h', label: 'Last hour' },
  { value: '6h', label: 'Last 6 hours' },
  { value: '1d', label: 'Last day' },
  { value: '7d', label: 'Last 7 days' },
] as const
export const defaultRange: RangeText = usualRanges[0].value

const unitsMs: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** undefined where it is no range. */
export function parseRange(text: RangeText): TimeRange | undefined {
  const [, amount, unit] = /^(\d{1,4})([mhd])$/.exec(text) ?? []
  if (amount !== undefined && Number(amount) > 0) return { since: text, lengthMs: Number(amount) * unitsMs[unit!]! }
  const [fromMs = Number.NaN, toMs = Number.NaN] = text.split('~').map(parseMoment)
  if (!(fromMs < toMs)) return undefined
  return {
    since: new Date(fromMs).toISOString(),
    until: new Date(toMs).toISOString(),
    fixed: { fromMs, toMs },
    lengthMs: toMs - fromMs,
  }
}

/** A time in UTC as people write it, with or without seconds; NaN where it is none. */
export function parseMoment(text: string): number {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?Z?$/.exec(text.trim()) ?? []
  return date === undefined ? Number.NaN : Date.parse(`${date}T${time ?? '00:00'}Z`)
}

export const rangeBetween = (fromMs: number, toMs: number): RangeText =>
  [fromMs, toMs].map((ms) => new Date(ms).toISOString().replace('.000Z', 'Z')).join('~')

/** What the address says, else the last minutes. */
export function useRange(): { text: RangeText; range: TimeRange; choose: (text: RangeText) => void } {
  const { range: text = defaultRange } = useSearch({ strict: false }) as { range?: RangeText }
  const navigate = useNavigate()
  return {
    text,
    range: parseRange(text) ?? parseRange(defaultRange)!,
    choose: (next) =>
      void navigate({
        to: '.',
        search: ((old: object) => ({ ...old, range: next === defaultRange ? undefined : next })) as never,
        replace: true,
      }),
  }
}
