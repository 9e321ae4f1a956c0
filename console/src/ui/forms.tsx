// Forms in dialogs: labelled fields, one button that does it, and the server's own words where it refuses.
import { LoaderCircle } from 'lucide-react'
import { type FormEvent, type ReactNode, useId, useState } from 'react'
import { Failure, Modal } from './parts.tsx'

export interface FieldProps {
  label: string
  hint?: ReactNode
  /** What is wrong with it. */
  error?: string | undefined
  children: (id: string, describedBy: string | undefined) => ReactNode
}

/** A label above a control, with a hint or what is wrong below. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId()
  const noteId = `${id}-note`
  const hasNote = hint !== undefined || error !== undefined
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(id, hasNote ? noteId : undefined)}
      {hasNote && (
        <p id={noteId} className={error ? 'field-note bad' : 'field-note'} role={error ? 'alert' : undefined}>
          {error ?? hint}
        </p>
      )}
    </div>
  )
}

export interface TextFieldProps extends Omit<FieldProps, 'children'> {
  value: string
  onChange: (value: string) => void
  inputMode?: 'text' | 'numeric'
  /** It has the focus when its dialog opens. */
  isFirst?: boolean
}

/** One line of a name, number or time, in the face of code: nothing in it is corrected or completed. */
export const TextField = ({ value, onChange, inputMode = 'text', isFirst = false, ...field }: TextFieldProps) => (
  <Field {...field}>
    {(id, describedBy) => (
      <input
        id={id}
        aria-describedby={describedBy}
        className="mono"
        inputMode={inputMode}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        autoComplete="off"
        spellCheck={false}
        // biome-ignore lint/a11y/noAutofocus: the first field of a dialog
        autoFocus={isFirst}
      />
    )}
  </Field>
)

export interface FormDialogProps {
  title: string
  /** What the button says. */
  action: string
  isDanger?: boolean
  /** Why it cannot be done now; the button is off and says so. */
  reason?: string | undefined
  className?: string
  onClose: () => void
  /** Does it; what it throws is shown, and the dialog stays. */
  onSubmit: () => Promise<unknown>
  /** Beside the button. */
  extra?: ReactNode
  children: ReactNode
}

export function FormDialog({ title, action, isDanger, reason, className = '', onClose, onSubmit, extra, children }: FormDialogProps) {
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    if (isBusy || reason) return
    setBusy(true)
    setFailure(null)
    try {
      await onSubmit()
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Modal title={title} onClose={onClose} className={`form-dialog ${className}`}>
      <form onSubmit={(event) => void submit(event)}>
        {children}
        {failure !== null && <Failure error={failure} />}
        <footer>
          {extra}
          {reason && <span className="quiet">{reason}</span>}
          <button type="submit" className={isDanger ? 'button primary danger' : 'button primary'} disabled={isBusy || reason !== undefined}>
            {isBusy && <LoaderCircle size={14} className="spin" aria-hidden />}
            {action}
          </button>
        </footer>
      </form>
    </Modal>
  )
}
