// What one looks at, in a sentence; what needs attention, if anything; and the way of the data with its rates.
import { Link } from '@tanstack/react-router'
import { ChevronRight, CircleCheck, TriangleAlert } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import type { AttentionItem, Stats } from '../../../../src/serve/contract.ts'
import { eventTimeMs, measuredSpeed } from '../../api/eventTime.ts'
import { useAttention } from '../../api/figures.ts'
import { useStats } from '../../api/live.ts'
import { isInternalTopic, isInvalidTopic, useTables } from '../../api/queries.ts'
import { formatCompact, formatInteger, formatLongDate, formatMs, formatRate, none } from '../../ui/format.ts'
import { Failure, Status } from '../../ui/parts.tsx'
import { isDemoTopic } from './demo.ts'

/** The day that the recording is from; each round of the replay is a day later. */
const recordedDayMs = Date.UTC(2015, 8, 12)
const dayMs = 86_400_000
export function Headline({ isDemo }: { isDemo: boolean }) {
  const { latest, history } = useStats()
  if (!isDemo) {
    return (
      <div className="headline">
        <h1>This process, live</h1>
        <p>Events in, SQL over them, rows out. Every number below moves by itself.</p>
      </div>
    )
  }
  const count = (latest?.topics ?? []).filter((topic) => isDemoTopic(topic.name)).reduce((sum, topic) => sum + topic.recordCount, 0)
  const eventMs = eventTimeMs(latest)
  const speed = measuredSpeed(history)
  const round = eventMs === null ? 0 : Math.max(0, Math.floor((eventMs - recordedDayMs) / dayMs))
  return (
    <div className="headline">
      <h1>
        <span className="headline-count">{count > 0 ? formatInteger(count) : 'Real'}</span> edits of Wikipedia
      </h1>
      <p>
        Recorded on {formatLongDate(recordedDayMs)}, replayed over HTTP{' '}
        {speed === null ? (
          'in fast motion'
        ) : (
          <>
            at <b className="headline-speed">{Number(speed.toPrecision(2))}×</b> their speed
          </>
        )}
        . SQL windows in event time make the tables below; every number that moves is a row that was pushed.
        {round > 0 && ` Round ${round + 1}, dated ${formatLongDate(recordedDayMs + round * dayMs)}.`}
      </p>
    </div>
  )
}

const idOf = ({ code, subject }: AttentionItem): string => `${code} ${subject.kind} ${subject.name}`

/**
 * What a person should look at: cause and next step, at the top of the page. Nothing below it moves while one looks: what comes later is told in a
 * line that is always there, until it is asked for, and what is over stays, marked so.
 */
export function Attention() {
  const { data: items, error } = useAttention()
  const [kept, setKept] = useState<readonly AttentionItem[]>()
  // What is there at first is shown at once.
  if (items && kept === undefined) setKept(items)
  if (error && !items) return <Failure error={error} />
  if (!items || kept === undefined) return null
  const now = new Map(items.map((item) => [idOf(item), item]))
  const keptIds = new Set(kept.map(idOf))
  const fresh = items.filter((item) => !keptIds.has(idOf(item)))
  const overCount = kept.filter((item) => !now.has(idOf(item))).length
  const tone = items.some((item) => item.tone === 'bad') ? 'bad' : items.length > 0 ? 'warn' : 'ok'
  return (
    <section className="attention" aria-label="Attention">
      <p className="attention-head">
        <span role="status">
          <Status tone={tone}>
            {items.length === 0
              ? 'Nothing needs attention'
              : items.length === 1
                ? '1 thing needs attention'
                : `${items.length} things need attention`}
          </Status>
          {fresh[0] && <span className="attention-fresh">New: {fresh[0].fact}</span>}
        </span>
        {(fresh.length > 0 || overCount > 0) && (
          <button type="button" className="button small" onClick={() => setKept(items)}>
            {fresh.length > 0 ? `Show ${fresh.length} new` : 'Put away what is over'}
          </button>
        )}
      </p>
      {kept.length > 0 && (
        <ul aria-label="Needs attention">
          {kept.map((item) => {
            const { code, subject, tone: itemTone, fact, next } = now.get(idOf(item)) ?? item
            const isOver = !now.has(idOf(item))
            return (
              <li key={idOf(item)} className={isOver ? 'is-over' : itemTone === 'bad' ? 'is-bad' : undefined}>
                {isOver ? <CircleCheck size={15} aria-label="Over" /> : <TriangleAlert size={15} aria-hidden />}
                <span>
                  {/[.!?]$/.test(fact) ? fact : `${fact}.`} <em>{next}</em> <Subject code={code} subject={subject} />
                </span>
              </li>
            )
          })}
        </ul>
      )}
    </section>
  )
}

function Subject({ code, subject }: Pick<AttentionItem, 'code' | 'subject'>) {
  const { kind, name } = subject
  switch (kind) {
    case 'query':
      return (
        <Link to="/queries/$id" params={{ id: name }} search={code === 'CHECKPOINT_FAILED' ? { tab: 'checkpoints' } : {}}>
          {name}
        </Link>
      )
    case 'topic':
      return (
        <Link to="/topics/$name" params={{ name }}>
          {name}
        </Link>
      )
    case 'group':
      return (
        <Link to="/groups/$id" params={{ id: name }}>
          {name}
        </Link>
      )
    case 'part':
      return name === 'memory' || name === 'disk' ? <Link to="/observe">Observe</Link> : null
  }
}

/** HTTP, topics, queries, tables, push: each with its rate now. */
export function Flow({ stats }: { stats: Stats | null }) {
  const tables = useTables().data
  const subscribers = (tables ?? []).reduce((sum, table) => sum + table.subscriberCount, 0)
  const topics = (stats?.topics ?? []).filter(({ name }) => !isInvalidTopic(name) && !isInternalTopic(name))
  const queries = stats?.queries ?? []
  const running = queries.filter((query) => query.state === 'running').length
  const rowsIn = queries.reduce((sum, query) => sum + query.rowsInPerSecond, 0)
  const late = queries.reduce((sum, query) => sum + query.lateRows, 0)
  const steps: { id: string; name: ReactNode; now: string; note: string }[] = [
    {
      id: 'in',
      name: 'HTTP',
      now: `${formatRate(stats?.eventsIn.perSecond ?? 0)} events/s`,
      note: `${formatCompact(stats?.eventsIn.total ?? 0)} accepted`,
    },
    {
      id: 'topics',
      name: <Link to="/topics">Topics</Link>,
      now: `${formatCompact(topics.reduce((sum, topic) => sum + topic.recordCount, 0))} records`,
      note: `${topics.length} durable logs`,
    },
    {
      id: 'queries',
      name: <Link to="/queries">Queries</Link>,
      now: `${formatRate(rowsIn)} rows/s`,
      note: `${running} of ${queries.length} running, ${formatCompact(late)} late`,
    },
    {
      id: 'tables',
      name: <Link to="/tables">Tables</Link>,
      now: `${formatRate(stats?.rowsOut.perSecond ?? 0)} changes/s`,
      note: `${tables?.length ?? 0} with ${formatCompact((tables ?? []).reduce((sum, table) => sum + table.rowCount, 0))} rows`,
    },
    {
      id: 'push',
      name: 'Push',
      now: stats && stats.latency.count > 0 ? `p99 ${formatMs(stats.latency.p99Ms)}` : none,
      note: `${subscribers} subscriptions`,
    },
  ]
  return (
    <ol className="flow" aria-label="The way of the data">
      {steps.map((step, index) => (
        <li key={step.id}>
          {index > 0 && <ChevronRight size={14} aria-hidden />}
          <span className="flow-name">{step.name}</span>
          <span className="flow-now">{step.now}</span>
          <span className="flow-note">{step.note}</span>
        </li>
      ))}
    </ol>
  )
}
