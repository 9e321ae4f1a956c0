// Which records of the topics a run reads: all of them, the newest, or what lies between two times or offsets. Live begins there, and goes on.
import { useState } from 'react'
import type { SqlSlice } from '../../../../src/serve/contract.ts'
import { FormDialog, TextField } from '../../ui/forms.tsx'

const usual: { label: string; slice: SqlSlice | undefined }[] = [
  { label: 'all records', slice: undefined },
  { label: 'the newest 1,000', slice: { newest: 1_000 } },
  { label: 'the last 10 minutes', slice: { since: '10m' } },
  { label: 'the last hour', slice: { since: '1h' } },
  { label: 'the last day', slice: { since: '1d' } },
]
const isSame = (a: SqlSlice | undefined, b: SqlSlice | undefined): boolean => JSON.stringify(a) === JSON.stringify(b)

/** `from 1h, partition 0` */
export function sliceText(slice: SqlSlice | undefined): string {
  const known = usual.find((one) => isSame(one.slice, slice))
  if (known || slice === undefined) return known?.label ?? 'all records'
  const { since, until, partition, offset, endOffset, newest } = slice
  return [
    newest !== undefined && `the newest ${newest}`,
    since !== undefined && `since ${since}`,
    until !== undefined && `until ${until}`,
    partition !== undefined && `partition ${partition}`,
    (offset !== undefined || endOffset !== undefined) && `offsets ${offset ?? 0} to ${endOffset === undefined ? 'the end' : endOffset - 1}`,
  ]
    .filter(Boolean)
    .join(', ')
}

export function SlicePicker({ slice, onChange }: { slice: SqlSlice | undefined; onChange: (slice: SqlSlice | undefined) => void }) {
  const [isOpen, setOpen] = useState(false)
  const index = usual.findIndex((one) => isSame(one.slice, slice))
  return (
    <>
      <select
        className="filter slice-picker"
        aria-label="Records that are read"
        value={index < 0 ? 'other' : index}
        onChange={({ target: { value } }) =>
          value === 'choose' ? setOpen(true) : value !== 'other' && onChange(usual[Number(value)]!.slice)
        }
      >
        {usual.map(({ label }, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the list never changes
          <option key={i} value={i}>
            {label}
          </option>
        ))}
        {index < 0 && <option value="other">{sliceText(slice)}</option>}
        <option value="choose">choose …</option>
      </select>
      {isOpen && <SliceDialog slice={slice ?? {}} onClose={() => setOpen(false)} onChange={onChange} />}
    </>
  )
}

const numbers = ['partition', 'offset', 'endOffset', 'newest'] as const
const fields: { name: keyof SqlSlice; label: string; hint: string }[][] = [
  [
    { name: 'since', label: 'Since', hint: '30m, 2h, 1d or 2026-03-01T12:00:00Z' },
    { name: 'until', label: 'Until', hint: 'the same; the end if empty' },
  ],
  [
    { name: 'offset', label: 'First offset', hint: 'in each partition' },
    { name: 'endOffset', label: 'Before offset', hint: 'is not read any more' },
  ],
  [
    { name: 'partition', label: 'Partition', hint: 'all if empty' },
    { name: 'newest', label: 'Newest', hint: 'at most so many of each partition' },
  ],
]

function SliceDialog({
  slice,
  onClose,
  onChange,
}: {
  slice: SqlSlice
  onClose: () => void
  onChange: (slice: SqlSlice | undefined) => void
}) {
  const [texts, setTexts] = useState<Partial<Record<keyof SqlSlice, string>>>(() =>
    Object.fromEntries(Object.entries(slice).map(([name, value]) => [name, String(value)])),
  )
  const wrong = numbers.find((name) => !/^\d*$/.test(texts[name]?.trim() ?? ''))
  const apply = async (): Promise<void> => {
    const filled = Object.entries(texts).filter(([, text]) => text.trim() !== '')
    const next = Object.fromEntries(
      filled.map(([name, text]) => [name, (numbers as readonly string[]).includes(name) ? Number(text) : text.trim()]),
    ) as SqlSlice
    onChange(filled.length === 0 ? undefined : next)
    onClose()
  }
  return (
    <FormDialog
      title="Records that are read"
      action="Read these"
      reason={wrong && 'Offsets, partition and count are whole numbers.'}
      onClose={onClose}
      onSubmit={apply}
    >
      <p className="quiet">Of every topic of the statement. Times are those of the log, not the events' own.</p>
      {fields.map((row) => (
        <div key={row[0]!.name} className="field-row">
          {row.map(({ name, label, hint }) => (
            <TextField
              key={name}
              label={label}
              hint={hint}
              inputMode={name === 'since' || name === 'until' ? 'text' : 'numeric'}
              value={texts[name] ?? ''}
              onChange={(text) => setTexts({ ...texts, [name]: text })}
            />
          ))}
        </div>
      ))}
    </FormDialog>
  )
}
