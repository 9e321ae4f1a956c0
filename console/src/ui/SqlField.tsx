// A line of SQL that is applied by Enter: a condition or a select list. The server checks it; what is wrong is marked where it is wrong.
import { CornerDownLeft, X } from 'lucide-react'
import { useId, useState } from 'react'
import type { ApiError } from '../../../src/serve/contract.ts'

export interface SqlFieldProps {
  label: string
  placeholder: string
  /** What is applied now. */
  value: string
  onApply: (text: string) => void
  error?: ApiError['error'] | null
  /** Earlier texts, offered while one types. */
  suggestions?: readonly string[]
}

export function SqlField({ label, placeholder, value, onApply, error, suggestions = [] }: SqlFieldProps) {
  const id = useId()
  const [draft, setDraft] = useState({ text: value, applied: value })
  // What was applied elsewhere, as by a link, replaces what stands here.
  const text = draft.applied === value ? draft.text : value
  const set = (next: string): void => setDraft({ text: next, applied: value })
  const apply = (next: string): void => {
    setDraft({ text: next, applied: next.trim() })
    onApply(next.trim())
  }
  const position = error?.position
  return (
    <form
      className="sql-field"
      onSubmit={(event) => {
        event.preventDefault()
        apply(text)
      }}
    >
      <div className="sql-input">
        <span className="sql-label" aria-hidden="true">
          {label}
        </span>
        <input
          type="text"
          aria-label={label}
          placeholder={placeholder}
          value={text}
          onChange={(event) => set(event.target.value)}
          onKeyDown={(event) => event.key === 'Escape' && set(value)}
          list={`${id}-list`}
          spellCheck={false}
          autoComplete="off"
          autoCapitalize="off"
          aria-invalid={error ? true : undefined}
          aria-describedby={error ? `${id}-error` : undefined}
        />
        <datalist id={`${id}-list`}>
          {suggestions.map((suggestion) => (
            <option key={suggestion} value={suggestion} />
          ))}
        </datalist>
        {text !== value ? (
          <button type="submit" className="button small">
            <CornerDownLeft size={12} aria-hidden />
            Apply
          </button>
        ) : (
          value !== '' && (
            <button type="button" className="button small" onClick={() => apply('')} aria-label={`Clear ${label}`}>
              <X size={12} aria-hidden />
            </button>
          )
        )}
      </div>
      {error && (
        <p id={`${id}-error`} className="sql-error" role="alert">
          {position && (
            <code>
              {value.slice(Math.max(0, position.start - 24), position.start)}
              <mark>{value.slice(position.start, Math.max(position.end, position.start + 1)) || ' '}</mark>
              {value.slice(position.end, position.end + 24)}
            </code>
          )}
          <span>
            {error.message}. {error.hint}
          </span>
        </p>
      )}
    </form>
  )
}
