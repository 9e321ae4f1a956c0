// One range of time for all figures of all pages: the last while, going on, or what was between two moments.
import { ChevronLeft, ChevronRight } from 'lucide-react'
import { useState } from 'react'
import { rangeBetween, type TimeRange, useRange, usualRanges } from '../api/range.ts'
import { useHasBothAxes } from '../api/timeAxis.ts'
import { AxisSwitch } from './AxisSwitch.tsx'
import { formatClock, formatClockTime, parseClock } from './format.ts'
import { FormDialog, TextField } from './forms.tsx'
import { IconButton, useIsPhone } from './parts.tsx'
import { currentZone } from './zone.ts'

/** `03-01 10:00:00 – 11:00:00` */
function fixedText({ fromMs, toMs }: NonNullable<TimeRange['fixed']>): string {
  const isOneDay = formatClock(fromMs).slice(0, 10) === formatClock(toMs).slice(0, 10)
  return `${formatClock(fromMs).slice(5, 16)} – ${isOneDay ? formatClockTime(toMs).slice(0, 5) : formatClock(toMs).slice(5, 16)}`
}

export function TimePicker() {
  const { text, range, choose } = useRange()
  const [isOpen, setOpen] = useState(false)
  const isUsual = usualRanges.some(({ value }) => value === text)
  const { fixed, lengthMs } = range
  // On the phone the chart has it.
  const isPhone = useIsPhone()
  const hasBothAxes = useHasBothAxes() && !isPhone
  const step = (by: number): void => {
    const toMs = (fixed?.toMs ?? Date.now()) + by * lengthMs
    choose(rangeBetween(toMs - lengthMs, toMs))
  }
  return (
    <fieldset className="time-picker" title="Processing time that figures are shown of, on all pages">
      <legend className="visually-hidden">Range of time</legend>
      {hasBothAxes && <AxisSwitch />}
      <IconButton icon={ChevronLeft} label="Earlier by as much" onClick={() => step(-1)} />
      <select
        className="filter"
        aria-label="Range of time"
        value={isUsual ? text : 'other'}
        onChange={({ target: { value } }) => (value === 'choose' ? setOpen(true) : value !== 'other' && choose(value))}
      >
        {usualRanges.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
        {!isUsual && <option value="other">{fixed ? fixedText(fixed) : `Last ${text}`}</option>}
        <option value="choose">Between …</option>
      </select>
      <IconButton
        icon={ChevronRight}
        label="Later by as much"
        // What is going on has no later.
        disabled={fixed === undefined || fixed.toMs >= Date.now()}
        onClick={() => step(1)}
      />
      {isOpen && <RangeDialog range={range} onClose={() => setOpen(false)} onChoose={choose} />}
    </fieldset>
  )
}

function RangeDialog({ range, onClose, onChoose }: { range: TimeRange; onClose: () => void; onChoose: (text: string) => void }) {
  const [now] = useState(() => Date.now())
  const toMs = range.fixed?.toMs ?? now
  const [from, setFrom] = useState(formatClock(toMs - range.lengthMs))
  const [to, setTo] = useState(formatClock(toMs))
  const [fromAt, toAt] = [parseClock(from), parseClock(to)]
  const problem = (ms: number): string | undefined => (Number.isNaN(ms) ? `As 2026-03-01 12:00, in ${currentZone()}.` : undefined)
  const isBackwards = fromAt >= toAt
  const fields = [
    { label: 'From', value: from, set: setFrom, error: problem(fromAt) },
    { label: 'To', value: to, set: setTo, error: problem(toAt) ?? (isBackwards ? 'It is before the beginning.' : undefined) },
  ]
  return (
    <FormDialog
      title="Range of time"
      action="Show it"
      reason={isBackwards ? 'It ends before it begins.' : fields.some(({ error }) => error) ? 'A time cannot be read.' : undefined}
      onClose={onClose}
      onSubmit={async () => {
        onChoose(rangeBetween(fromAt, toAt))
        onClose()
      }}
    >
      <p className="quiet">
        Processing time, in {currentZone()}. Figures are kept since the process began, for at most a week; the further back, the coarser the
        steps.
      </p>
      <div className="field-row">
        {fields.map(({ label, value, set, error }, index) => (
          <TextField key={label} label={label} error={error} hint={currentZone()} value={value} onChange={set} isFirst={index === 0} />
        ))}
      </div>
    </FormDialog>
  )
}
