// The records of a topic: live, or from a place on; through a filter in SQL; as lines or as a table of chosen fields.
// All of it is in the address, so a link shows what its sender saw.
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Download, List, Send, Table2 } from 'lucide-react'
import { type FormEvent, useEffect, useMemo, useState } from 'react'
import type { ApiError, TopicSummary } from '../../../../src/serve/contract.ts'
import { ApiFailure } from '../../api/client.ts'
import { type TailMessage, usePause, useTopicTails } from '../../api/live.ts'
import { isInternalTopic, isInvalidTopic } from '../../api/queries.ts'
import { curlEvent, useReason, useScan } from '../../api/topics.ts'
import type { TopicPlace, TopicSearch } from '../../router.tsx'
import { Progress } from '../../ui/Bars.tsx'
import { clockForApi, clockFromApi, formatClock, formatInteger } from '../../ui/format.ts'
import { MessageList } from '../../ui/MessageList.tsx'
import { Empty, Failure, IconButton, PauseButton, Segmented } from '../../ui/parts.tsx'
import { SavedFilters, useDefaultFilter } from '../../ui/SavedFilters.tsx'
import { SqlField } from '../../ui/SqlField.tsx'
import { currentZone } from '../../ui/zone.ts'
import { ExportDialog } from './ExportDialog.tsx'
import { MessageTable } from './MessageTable.tsx'
import { ProduceDialog } from './ProduceDialog.tsx'

const keptCount = 2_000
const recentMax = 12

type Place = TopicPlace | 'live'
const places: readonly { value: Place; label: string }[] = [
  { value: 'live', label: 'Live' },
  { value: 'newest', label: 'Newest' },
  { value: 'oldest', label: 'Oldest' },
  { value: 'offset', label: 'Offset' },
  { value: 'time', label: 'Time' },
]

/** The parameters of the API that say which records these are. */
export function apiQuery({ from, offset, time, partition, where, decode }: TopicSearch): URLSearchParams {
  const query = new URLSearchParams()
  if (from === 'newest' || from === 'oldest') query.set('from', from)
  if (from === 'offset') query.set('offset', String(offset ?? 0))
  if (from === 'time' && time) query.set('time', time)
  if (partition !== undefined) query.set('partition', String(partition))
  if (where) query.set('where', where)
  if (decode) query.set('decode', decode)
  return query
}

/** Filters that were applied to a topic before, newest first; kept in this browser. */
function recentFilters(topic: string): string[] {
  try {
    return JSON.parse(localStorage.getItem(`millrace.filters.${topic}`) ?? '[]') as string[]
  } catch {
    return []
  }
}
function rememberFilter(topic: string, where: string): void {
  const recent = [where, ...recentFilters(topic).filter((one) => one !== where)].slice(0, recentMax)
  localStorage.setItem(`millrace.filters.${topic}`, JSON.stringify(recent))
}

export function Messages({ topic }: { topic: TopicSummary }) {
  const { name } = topic
  const asked: TopicSearch = useSearch({ strict: false })
  const byItself = useDefaultFilter({ on: 'messages', subject: name })
  const search: TopicSearch = asked.where === undefined && byItself !== undefined && !asked.bare ? { ...asked, where: byItself } : asked
  const navigate = useNavigate()
  const change = (next: TopicSearch): void =>
    void navigate({ to: '.', search: ((old: TopicSearch) => ({ ...old, ...next })) as never, replace: true })
  const { from, partition, where, view, decode } = search
  const filter = (text: string): void =>
    change({ where: text || undefined, bare: text === '' && byItself !== undefined ? true : undefined } as TopicSearch)
  const isLive = from === undefined
  const [dialog, setDialog] = useState<'send' | 'export' | TailMessage | null>(null)
  const writeReason = useReason('writer')
  const mayWrite = !isInternalTopic(name)

  const tail = useTopicTails(
    useMemo(() => (isLive ? [name] : []), [name, isLive]),
    keptCount,
    { partition, where, decode },
  )
  const { value: held, isPaused, setPaused } = usePause(tail)
  const isReadable = from !== 'time' || search.time !== undefined
  const scan = useScan(name, isLive || !isReadable ? null : String(apiQuery(search)))
  const messages = useMemo<readonly TailMessage[]>(
    () => (isLive ? held.messages : scan.messages.map((message) => ({ ...message, topic: name }))),
    [isLive, held.messages, scan.messages, name],
  )

  const refusal: ApiError['error'] | null = isLive ? tail.refusal : scan.error instanceof ApiFailure ? scan.error.error : null
  // What is wrong in the filter stands at the filter; all else is said where the records would be.
  const filterError = refusal && where && refusal.position ? refusal : null
  useEffect(() => {
    if (where && !refusal && messages.length > 0) rememberFilter(name, where)
  }, [name, where, refusal, messages.length])

  const place = (next: Place): void =>
    change({
      from: next === 'live' ? undefined : next,
      offset: next === 'offset' ? (search.offset ?? 0) : undefined,
      time: next === 'time' ? search.time : undefined,
    } as TopicSearch)
  const seek = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const text = String(new FormData(event.currentTarget).get('place') ?? '').trim()
    if (from === 'offset') change({ offset: Math.max(0, Math.floor(Number(text) || 0)) })
    else change({ time: text ? clockForApi(text) : undefined } as TopicSearch)
  }
  const actions = (message: TailMessage) => (
    <button
      type="button"
      className="button"
      disabled={!mayWrite || writeReason !== undefined}
      title={writeReason}
      onClick={() => setDialog(message)}
    >
      <Send size={13} aria-hidden />
      Send again…
    </button>
  )
  const empty = filterError ? (
    'Nothing is read with a filter that is wrong.'
  ) : isLive ? (
    where ? (
      'No new record passes the filter yet. Newest and Oldest look at what is there already.'
    ) : (
      <Empty title="No record yet" {...(mayWrite && !isInvalidTopic(name) && { command: curlEvent(topic) })}>
        New ones appear here by themselves.
      </Empty>
    )
  ) : scan.isRunning ? (
    'Looking …'
  ) : (
    `No record${where ? ' passes the filter' : ' from there on'}; ${formatInteger(scan.scanned)} looked at.`
  )
  const height = 'max(260px, calc(100dvh - 356px))'

  return (
    <div className="stack">
      <div className="toolbar">
        <Segmented label="Where to read" value={from ?? 'live'} options={places} onChange={place} />
        {(from === 'offset' || from === 'time') && (
          <form className="seek" onSubmit={seek}>
            <input
              key={from}
              name="place"
              className="filter"
              inputMode={from === 'offset' ? 'numeric' : 'text'}
              aria-label={from === 'offset' ? 'Read from offset' : `Read from time (${currentZone()})`}
              placeholder={from === 'offset' ? 'offset' : formatClock(Date.now()).slice(0, 16)}
              defaultValue={from === 'offset' ? (search.offset ?? 0) : clockFromApi(search.time ?? '')}
              // biome-ignore lint/a11y/noAutofocus: it appears because one asked for it
              autoFocus
            />
            <button type="submit" className="button">
              Go
            </button>
          </form>
        )}
        {topic.partitionCount > 1 && (
          <select
            className="select"
            aria-label="Partition"
            value={partition ?? ''}
            onChange={(event) => change({ partition: event.target.value === '' ? undefined : Number(event.target.value) } as TopicSearch)}
          >
            <option value="">All partitions</option>
            {Array.from({ length: topic.partitionCount }, (_, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a partition is its number
              <option key={index} value={index}>
                Partition {index}
              </option>
            ))}
          </select>
        )}
        <select
          className="select"
          aria-label="Show values as"
          value={decode ?? ''}
          onChange={(event) => change({ decode: event.target.value || undefined } as TopicSearch)}
        >
          <option value="">As it is</option>
          <option value="text">As text</option>
          <option value="hex">As hex</option>
        </select>
        <Segmented
          label="View"
          value={view ?? 'list'}
          options={[
            { value: 'list', label: 'Lines', icon: List },
            { value: 'table', label: 'Table of fields', icon: Table2 },
          ]}
          onChange={(next) => change({ view: next === 'table' ? 'table' : undefined } as TopicSearch)}
        />
        <span className="toolbar-end">
          {isLive && (
            <PauseButton isPaused={isPaused} setPaused={setPaused} newCount={tail.arrivedCount - held.arrivedCount} what="record" />
          )}
          <IconButton icon={Download} label="Export…" onClick={() => setDialog('export')} withText />
          {mayWrite && (
            <button
              type="button"
              className="button"
              disabled={writeReason !== undefined}
              title={writeReason}
              onClick={() => setDialog('send')}
            >
              <Send size={13} aria-hidden />
              Send…
            </button>
          )}
        </span>
      </div>
      <div className="filters">
        <SqlField
          label="WHERE"
          placeholder={placeholderOf(topic)}
          value={where ?? ''}
          onApply={filter}
          error={filterError}
          suggestions={recentFilters(name)}
        />
        <SavedFilters on="messages" subject={name} where={where ?? ''} onApply={filter} />
        <input
          type="search"
          className="filter"
          aria-label="Find in these records"
          placeholder="Find text here"
          value={search.q ?? ''}
          onChange={(event) => change({ q: event.target.value || undefined } as TopicSearch)}
        />
      </div>
      {refusal && !filterError && <Failure error={refusal} />}
      {!isLive && scan.error !== null && !refusal && <Failure error={scan.error} />}
      {from === 'time' && !search.time ? (
        <p className="quiet">A time in {currentZone()}, as 2026-03-01 12:00, or epoch milliseconds.</p>
      ) : view === 'table' ? (
        <MessageTable
          topic={topic}
          messages={messages}
          filter={search.q ?? ''}
          fields={search.fields}
          onFields={(fields) => change({ fields })}
          height={height}
          actions={actions}
          empty={empty}
        />
      ) : (
        <MessageList
          label={`Records of ${name}`}
          messages={messages}
          filter={search.q ?? ''}
          height={height}
          actions={actions}
          empty={empty}
        />
      )}
      <div className="scan-line">
        {isLive ? (
          <span className="quiet">
            {formatInteger(messages.length)} kept here, the newest on top
            {held.skippedCount > 0 && `; ${formatInteger(held.skippedCount)} left out to keep up`}
          </span>
        ) : (
          isReadable && (
            <>
              <Progress done={scan.scanned} total={scan.total}>
                scanned {formatInteger(scan.scanned)} of {formatInteger(scan.total)}, {formatInteger(scan.messages.length)} found
                {scan.failed > 0 && `; ${formatInteger(scan.failed)} left out, as the filter failed for them`}
                {scan.undecoded > 0 && `; ${formatInteger(scan.undecoded)} do not fit the columns`}
              </Progress>
              {scan.isRunning ? (
                <button type="button" className="button" onClick={scan.stop}>
                  Stop
                </button>
              ) : (
                scan.hasMore && (
                  <button type="button" className="button" onClick={scan.more}>
                    More
                  </button>
                )
              )}
            </>
          )
        )}
      </div>
      {dialog === 'export' && <ExportDialog topic={topic} search={search} onClose={() => setDialog(null)} />}
      {dialog !== null && dialog !== 'export' && (
        <ProduceDialog topic={topic} again={dialog === 'send' ? undefined : dialog} onClose={() => setDialog(null)} />
      )}
    </div>
  )
}

/** A filter that fits the topic, to begin with. */
function placeholderOf({ name, columns }: TopicSummary): string {
  if (isInvalidTopic(name)) return "_headers['rule'] = 'type'"
  const number = columns.find(({ type }) => /^(INT|BIGINT|DECIMAL|DOUBLE|FLOAT|SMALLINT)/.test(type))?.name
  const text = columns.find(({ type }) => /^(VARCHAR|CHAR|STRING)/.test(type))?.name
  const parts = [text && `${text} LIKE 'A%'`, number && `${number} > 100`].filter(Boolean)
  return parts.length > 0 ? parts.join(' AND ') : "JSON_VALUE(_value, '$.name') = 'A' AND _size > 100"
}
