// Records of topics, newest on top; each opens to its JSON and headers.
//
// Invariant: what one reads does not run away. Scrolled away from the top, with a record open or with the mouse over it, the list
// stands still and counts what came in; "N new" goes back to the top.
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowUp, ChevronDown, ChevronRight } from 'lucide-react'
import { useMemo, useRef, useState } from 'react'
import { timestampMs } from '../api/columns.ts'
import { stringifyExact } from '../api/json.ts'
import { messageId, type TailMessage } from '../api/live.ts'
import { formatDateTime, formatSigned, formatTime } from './format.ts'
import { Badge, CopyButton } from './parts.tsx'

export interface MessageListProps {
  label: string
  messages: readonly TailMessage[]
  /** Text that the record's JSON must contain, ignoring case. */
  filter: string
  /** CSS height of the scrolling part. */
  height: string
  withTopic?: boolean
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

export function MessageList({ label, messages, filter, height, withTopic = false }: MessageListProps) {
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
                <MessageRow message={message} isOpen={opened.has(id)} onToggle={() => toggle(id)} withTopic={withTopic} />
              </div>
            )
          })}
        </div>
        {found.length === 0 && (
          <p className="quiet">
            {shown.length === 0 ? 'No record yet. New ones appear here by themselves.' : 'No record contains this text.'}
          </p>
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
}

function MessageRow({ message, isOpen, onToggle, withTopic }: MessageRowProps) {
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
            <span className="message-time" title={`${formatDateTime(message.timestampMs)} UTC, processing time`}>
              {formatTime(message.timestampMs)}
            </span>
            {withTopic && <span className="message-topic">{message.topic}</span>}
            {rule !== undefined && (
              <span className="message-rule">
                <Badge tone="bad">{rule}</Badge> <code>{path}</code> {reason}
              </span>
            )}
            <span className="message-preview">{preview(message.value)}</span>
          </>
        )}
      </button>
      {isOpen && <MessageDetail message={message} />}
    </>
  )
}

function MessageDetail({ message }: { message: TailMessage }) {
  const json = typeof message.value === 'string' ? message.value : stringifyExact(message.value, 2)
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
          <dt>Key</dt>
          <dd>{message.key ?? 'none'}</dd>
        </div>
        <div>
          <dt>Arrived (processing time)</dt>
          <dd>{formatDateTime(message.timestampMs)} UTC</dd>
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
        <CopyButton text={json} label="Copy JSON" />
      </figure>
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

const preview = (value: unknown): string => (typeof value === 'string' ? value : stringifyExact(value)).slice(0, 300)
