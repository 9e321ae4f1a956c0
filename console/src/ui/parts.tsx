// Small pieces that every page uses.
import { Check, Copy, Download, Pause, Play } from 'lucide-react'
import { type ComponentType, type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react'
import type { ExportFormat } from './export.ts'
import { formatInteger } from './format.ts'
import { sqlTokens } from './sqlTokens.ts'

export type Tone = 'ok' | 'warn' | 'bad' | 'quiet'

/** A state in words, with a dot that repeats it in colour. */
export const Status = ({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string | undefined }) => (
  <span className={`status status-${tone}`} title={title}>
    <span className="dot" aria-hidden="true" />
    {children}
  </span>
)

export const Badge = ({ children, tone = 'quiet', title }: { children: ReactNode; tone?: Tone; title?: string }) => (
  <span className={`badge badge-${tone}`} title={title}>
    {children}
  </span>
)

export interface IconButtonProps {
  icon: ComponentType<{ size?: number; 'aria-hidden'?: boolean }>
  label: string
  onClick: () => void
  isPressed?: boolean
  /** Shows the label beside the icon. */
  withText?: boolean
  disabled?: boolean
}

export const IconButton = ({ icon: Icon, label, onClick, isPressed, withText, disabled }: IconButtonProps) => (
  <button
    type="button"
    className={withText ? 'button' : 'button icon-only'}
    onClick={onClick}
    aria-label={withText ? undefined : label}
    aria-pressed={isPressed}
    title={withText ? undefined : label}
    disabled={disabled}
  >
    <Icon size={14} aria-hidden />
    {withText && <span>{label}</span>}
  </button>
)

export interface PauseButtonProps {
  isPaused: boolean
  setPaused: (isPaused: boolean) => void
  /** What came since, shown or not; less than none where something else is shown meanwhile. */
  newCount: number
  what: 'change' | 'record'
  /** What the button says while it is paused. */
  resume?: string
  /** As `Alt+Shift+P`: whoever shows the button listens to them. */
  keys?: string
}

/** Holds a picture that moves by itself, and says how much came meanwhile. */
export function PauseButton({ isPaused, setPaused, newCount, what, resume = 'Resume', keys }: PauseButtonProps) {
  const id = useId()
  const label = isPaused ? resume : 'Pause'
  return (
    <span className="pause-group">
      <span id={id} className="quiet">
        {isPaused && `${formatInteger(Math.max(0, newCount))} new ${what}${newCount === 1 ? '' : 's'} while paused`}
      </span>
      <button
        type="button"
        className={isPaused ? 'button pause is-on' : 'button pause'}
        aria-describedby={id}
        aria-keyshortcuts={keys}
        title={keys && `${label}: ${keys}`}
        onClick={() => setPaused(!isPaused)}
      >
        {isPaused ? <Play size={13} aria-hidden /> : <Pause size={13} aria-hidden />}
        <span>{label}</span>
      </button>
      <span className="visually-hidden" role="status">
        {isPaused ? 'Paused: what is shown stands still.' : ''}
      </span>
    </span>
  )
}

export const ExportButtons = ({ onExport, isBusy }: { onExport: (format: ExportFormat) => void; isBusy?: boolean }) => (
  <span className="button-group">
    {(['csv', 'json'] as const).map((format) => (
      <button key={format} type="button" className="button" disabled={isBusy} onClick={() => onExport(format)}>
        <Download size={13} aria-hidden />
        <span>
          <span className="visually-hidden">Export </span>
          {format.toUpperCase()}
        </span>
      </button>
    ))}
  </span>
)

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [isDone, setDone] = useState(false)
  useEffect(() => {
    if (!isDone) return
    const timer = setTimeout(() => setDone(false), 1_500)
    return () => clearTimeout(timer)
  }, [isDone])
  return (
    <>
      <IconButton
        icon={isDone ? Check : Copy}
        label={label}
        onClick={() => {
          copyText(text).then(setDone, () => setDone(false))
        }}
      />
      <span className="visually-hidden" role="status">
        {isDone ? 'Copied' : ''}
      </span>
    </>
  )
}

/** Copies; on plain http to another host the clipboard API is absent, and a selection does it. */
async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text)
    return true
  }
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  const isDone = document.execCommand('copy')
  area.remove()
  return isDone
}

export const Code = ({ text, label }: { text: string; label?: string }) => (
  <figure className="code">
    {label && <figcaption>{label}</figcaption>}
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
    <pre tabIndex={0}>
      <code>{text}</code>
    </pre>
    <CopyButton text={text} label={`Copy${label ? ` ${label}` : ''}`} />
  </figure>
)

export const Sql = ({ sql }: { sql: string }) => (
  <figure className="code sql">
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
    <pre tabIndex={0}>
      <code>
        {sqlTokens(sql).map((token, index) =>
          token.kind === 'text' ? (
            token.text
          ) : (
            // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no other identity, and the list is never reordered
            <span key={index} className={`sql-${token.kind}`}>
              {token.text}
            </span>
          ),
        )}
      </code>
    </pre>
    <CopyButton text={sql} label="Copy SQL" />
  </figure>
)

/** Nothing here yet: says so, and what to do next. */
export const Empty = ({ title, children, command }: { title: string; children?: ReactNode; command?: string }) => (
  <div className="empty">
    <p className="empty-title">{title}</p>
    {children && <p>{children}</p>}
    {command && <Code text={command} />}
  </div>
)

/** Words of the server: what it has in backquotes is to be typed. */
export const Prose = ({ text }: { text: string }) =>
  text.split(/`([^`]+)`/).map((part, i) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text, never reordered
    i % 2 === 1 ? <code key={i}>{part}</code> : part,
  )

/** The server's own words about what went wrong and what to do. */
export const Failure = ({ error }: { error: unknown }) => {
  const failure = error as { message?: string; hint?: string; code?: string }
  return (
    <div className="failure" role="alert">
      <strong>{failure.message ?? String(error)}</strong>
      {failure.hint && (
        <span>
          <Prose text={failure.hint} />
        </span>
      )}
      {failure.code && <code>{failure.code}</code>}
    </div>
  )
}

export const SkeletonRows = ({ count = 6 }: { count?: number }) => (
  <div className="skeleton" role="status" aria-label="Loading">
    {Array.from({ length: count }, (_, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: placeholders
      <span key={index} />
    ))}
  </div>
)

/** In place of what is not there yet: why not, if the server said, else a placeholder. */
export const Waiting = ({ refusal, count }: { refusal: unknown; count: number }) =>
  refusal ? <Failure error={refusal} /> : <SkeletonRows count={count} />

export interface SegmentedProps<T extends string> {
  label: string
  value: T
  options: readonly { value: T; label: string; icon?: ComponentType<{ size?: number }> }[]
  onChange: (value: T) => void
}

/** One of a few: radio buttons that look like one control. */
export function Segmented<T extends string>({ label, value, options, onChange }: SegmentedProps<T>) {
  const name = useId()
  const field = useRef<HTMLFieldSetElement>(null)
  // On a phone the strip is wider than the screen: what is chosen is seen.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another value is another element that is checked
  useEffect(() => {
    const strip = field.current
    const chosen = strip?.querySelector<HTMLElement>('label:has(:checked)')
    if (!strip || !chosen) return
    const [outer, inner] = [strip.getBoundingClientRect(), chosen.getBoundingClientRect()]
    strip.scrollLeft += inner.left + inner.width / 2 - (outer.left + outer.width / 2)
  }, [value])
  return (
    <fieldset className="segmented" ref={field}>
      <legend className="visually-hidden">{label}</legend>
      {options.map(({ value: option, label: text, icon: Icon }) => (
        <label key={option} title={Icon ? text : undefined}>
          <input type="radio" name={name} checked={option === value} onChange={() => onChange(option)} />
          <span>{Icon ? <Icon size={14} /> : text}</span>
          {Icon && <span className="visually-hidden">{text}</span>}
        </label>
      ))}
    </fieldset>
  )
}

/** A modal on the browser's own <dialog>: focus stays inside, Escape closes, focus returns. */
export function Modal({
  title,
  onClose,
  children,
  className = '',
  isTitleHidden = false,
}: {
  title: string
  onClose: () => void
  children: ReactNode
  className?: string
  isTitleHidden?: boolean
}) {
  const ref = useRef<HTMLDialogElement>(null)
  // Text that is selected with the mouse may end outside: a click on the backdrop begins there, too.
  const isPressedOutside = useRef(false)
  // A layout effect: its end comes before the element leaves the page, so the dialog gives the focus back.
  useLayoutEffect(() => {
    const dialog = ref.current
    if (!dialog) return
    dialog.showModal()
    return () => dialog.close()
  }, [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself; the click is on its backdrop
    <dialog
      ref={ref}
      className={`modal ${className}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onPointerDown={(event) => {
        isPressedOutside.current = event.target === event.currentTarget
      }}
      onClick={(event) => event.target === event.currentTarget && isPressedOutside.current && onClose()}
    >
      <div className="modal-inner">
        {!isTitleHidden && (
          <header>
            <h2>{title}</h2>
            <button type="button" className="button" onClick={onClose}>
              Close
            </button>
          </header>
        )}
        {children}
      </div>
    </dialog>
  )
}

/** Follows a media query. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (listener) => {
      const media = matchMedia(query)
      media.addEventListener('change', listener)
      return () => media.removeEventListener('change', listener)
    },
    () => matchMedia(query).matches,
  )
}
export const useIsPhone = (): boolean => useMedia('(max-width: 767px)')

/** The time of this machine, each second. */
export function useNow(everyMs = 1_000): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return nowMs
}
