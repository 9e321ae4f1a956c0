// Records of topics, newest on top; each opens to its JSON and headers.
//
// Invariant: what one reads does not run away. Scrolled away from the top, with a record open or with the mouse over it, the list
// stands still and counts what came in; "N new" goes back to the top.
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowUp, ChevronDown, ChevronRight } from 'lucide-react'
import { type ReactNode, useMemo, useRef, useState } from 'react'
import { timestampMs } from '../api/columns.ts'
import { stringifyExact } from '../api/json.ts'
import { messageId, type TailMessage } from '../api/live.ts'
import { formatBytes, formatClockTime, formatClockZone, formatDateTime, formatSigned, formatTime } from './format.ts'
import { Badge, CopyButton } from './parts.tsx'

export interface MessageListProps {
  label: string
  messages: readonly TailMessage[]
  /** Text that the record's JSON must contain, ignoring case. */
  filter: string
  /** CSS height of the scrolling part. */
  height: string
  withTopic?: boolean
  /** What one can do with an opened record. */
  actions?: (message: TailMessage) => ReactNode
  /** What stands there while there is no record. */
  empty?: ReactNode
}

const idOf = (message: TailMessage): string => `${message.topic}:${messageId(message)}`

/** The text of a record that a filter looks at; kept, because a live list asks again and again. */
const texts = new WeakMap<object, string>()
function textOf(message: TailMessage): string {
  const key = message.value !== null && typeof message.value === 'object' ? message.value : message
  let text = texts.get(key)
  if (text === undefined) texts.set(key, (text = `${message.key ?? ''} ${stringifyExact(message.value)}`.toLowerCase()))
  return text
}

export function MessageList({ label, messages, filter, height, withTopic = false, actions, empty }: MessageListProps) {
  const scroller = useRef<HTMLDivElement>(null)
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set())
  const [held, setHeld] = useState<readonly TailMessage[] | null>(null)
  const isPointedAt = useRef(false)
  const shown = held ?? messages

  const found = useMemo(() => {
    const wanted = filter.trim().toLowerCase()
    return wanted === '' ? shown : shown.filter((message) => textOf(message).includes(wanted))
  }, [shown, filter])
  const newCount = useMemo(() => {
    if (!held) return 0
    const known = new Set(held.map(idOf))
    return messages.filter((message) => !known.has(idOf(message))).length
  }, [held, messages])

  const virtualizer = useVirtualizer({
    count: found.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 32,
    overscan: 10,
    getItemKey: (index) => idOf(found[index]!),
  })

  const settle = (openCount: number): void => {
    const isAtTop = (scroller.current?.scrollTop ?? 0) < 4
    if (isAtTop && openCount === 0 && !isPointedAt.current) setHeld(null)
    else setHeld((now) => now ?? messages)
  }
  const toggle = (id: string): void => {
    const next = new Set(opened)
    if (!next.delete(id)) next.add(id)
    setOpened(next)
    settle(next.size)
  }
  const follow = (): void => {
    setOpened(new Set())
    setHeld(isPointedAt.current ? messages : null)
    scroller.current?.scrollTo({ top: 0 })
  }

  return (
    <div
      className="messages"
      onPointerEnter={(event) => {
        isPointedAt.current = event.pointerType === 'mouse'
        settle(opened.size)
      }}
      onPointerLeave={() => {
        isPointedAt.current = false
        settle(opened.size)
      }}
    >
      {newCount > 0 && (
        <button type="button" className="button new-pill" onClick={follow}>
          <ArrowUp size={13} aria-hidden />
          {newCount} new
        </button>
      )}
      <section
        ref={scroller}
        className="messages-scroll"
        style={{ height }}
        onScroll={() => settle(opened.size)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        aria-label={label}
      >
        <div className="messages-body" style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {virtualizer.getVirtualItems().map((item) => {
            const message = found[item.index]!
            const id = idOf(message)
            return (
              <div
                key={id}
                ref={virtualizer.measureElement}
                data-index={item.index}
                className="message"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <MessageRow message={message} isOpen={opened.has(id)} onToggle={() => toggle(id)} withTopic={withTopic} actions={actions} />
              </div>
            )
          })}
        </div>
        {found.length === 0 && (
          <div className="messages-empty">
            {shown.length > 0 ? 'No record contains this text.' : (empty ?? 'No record yet. New ones appear here by themselves.')}
          </div>
        )}
      </section>
    </div>
  )
}

interface MessageRowProps {
  message: TailMessage
  isOpen: boolean
  onToggle: () => void
  withTopic: boolean
  actions: MessageListProps['actions']
}

function MessageRow({ message, isOpen, onToggle, withTopic, actions }: MessageRowProps) {
  const Chevron = isOpen ? ChevronDown : ChevronRight
  // What a record of an .invalid topic has: the rule that it broke, where, and in words.
  const { rule, path, message: reason } = message.headers
  const edit = rule === undefined ? editOf(message.value) : null
  return (
    <>
      <button type="button" className={edit ? 'message-line is-edit' : 'message-line'} onClick={onToggle} aria-expanded={isOpen}>
        <Chevron size={13} aria-hidden />
        {edit ? (
          <EditLine edit={edit} />
        ) : (
          <>
            <span className="message-time" title={`${formatClockZone(message.timestampMs)}, processing time`}>
              {formatClockTime(message.timestampMs)}
            </span>
            {withTopic && <span className="message-topic">{message.topic}</span>}
            {rule !== undefined && (
              <span className="message-rule">
                <Badge tone="bad">{rule}</Badge> <code>{path}</code> {reason}
              </span>
            )}
            {message.key !== null && <span className="message-key">{message.key}</span>}
            <span className="message-preview">{preview(message)}</span>
          </>
        )}
      </button>
      {isOpen && <MessageDetail message={message} actions={actions} />}
    </>
  )
}

/** All of a record: where it is, its key, headers and value. */
export function MessageDetail({ message, actions }: { message: TailMessage; actions?: MessageListProps['actions'] }) {
  const json = valueText(message, 2)
  const headers = Object.entries(message.headers)
  return (
    <div className="message-detail">
      <dl className="facts">
        <div>
          <dt>Topic</dt>
          <dd>{message.topic}</dd>
        </div>
        <div>
          <dt>Partition, offset</dt>
          <dd>
            {message.partition}, {message.offset}
          </dd>
        </div>
        <div>
          <dt>Size</dt>
          <dd>
            {formatBytes(message.sizeBytes)}
            {message.encoding === 'hex' && ', shown as hexadecimal digits'}
            {message.encoding === null && ', a tombstone: no value'}
          </dd>
        </div>
        <div>
          <dt>Key</dt>
          <dd>{message.key === '' ? 'empty' : (message.key ?? 'none')}</dd>
        </div>
        <div>
          <dt>Arrived (processing time)</dt>
          <dd>{formatClockZone(message.timestampMs)}</dd>
        </div>
        {headers.map(([name, value]) => (
          <div key={name}>
            <dt>Header {name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <figure className="code">
        <pre>
          <code>{json}</code>
        </pre>
        <CopyButton text={json} label="Copy value" />
      </figure>
      {actions && <div className="message-actions">{actions(message)}</div>}
    </div>
  )
}

interface Edit {
  timeMs: number
  channel: string
  page: string
  user: string
  delta: number
  marks: string[]
}

/** An edit of Wikipedia gets a line made for it; anything else is shown as JSON. */
function editOf(value: unknown): Edit | null {
  if (value === null || typeof value !== 'object') return null
  const event = value as Record<string, unknown>
  if (typeof event.page !== 'string' || typeof event.channel !== 'string' || typeof event.user !== 'string') return null
  const timeMs = timestampMs(event.time)
  if (Number.isNaN(timeMs)) return null
  const marks = (
    [
      ['isRobot', 'robot'],
      ['isNew', 'new'],
      ['isAnonymous', 'anonymous'],
      ['isUnpatrolled', 'unpatrolled'],
    ] as const
  ).flatMap(([field, mark]) => (event[field] === true ? [mark] : []))
  return { timeMs, channel: event.channel.replace(/^#/, ''), page: event.page, user: event.user, delta: Number(event.delta ?? 0), marks }
}

const EditLine = ({ edit }: { edit: Edit }) => (
  <>
    <span className="message-time is-event" title={`${formatDateTime(edit.timeMs)} UTC, event time`}>
      {formatTime(edit.timeMs)}
    </span>
    <span className="message-channel">{edit.channel}</span>
    <span className="message-page">{edit.page}</span>
    <span className="message-user">{edit.user}</span>
    <span className="message-marks">
      {edit.marks.map((mark) => (
        <Badge key={mark}>{mark}</Badge>
      ))}
    </span>
    <span className={`message-delta ${edit.delta > 0 ? 'is-plus' : edit.delta < 0 ? 'is-minus' : ''}`}>{formatSigned(edit.delta)}</span>
  </>
)

/** The value as text: JSON again, where it was JSON. */
export const valueText = ({ value, encoding }: TailMessage, indent = 0): string =>
  encoding === null ? '' : encoding === 'json' ? stringifyExact(value, indent) : String(value)

const preview = (message: TailMessage): string =>
  message.encoding === null ? 'tombstone' : valueText(message).slice(0, 300) || 'empty value'
