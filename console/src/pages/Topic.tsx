// One topic: its records as they come, or from an offset; its columns and settings; how to send to it.
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { type FormEvent, useMemo } from 'react'
import type { TopicSummary } from '../../../src/serve/contract.ts'
import { readableType } from '../api/columns.ts'
import { stringifyExact } from '../api/json.ts'
import { type TailMessage, usePause, useStats, useTopicTails } from '../api/live.ts'
import { isInternalTopic, isInvalidTopic, useMessages, useTopics } from '../api/queries.ts'
import { downloadRows, type ExportFormat } from '../ui/export.ts'
import { formatBytes, formatInteger, formatRate } from '../ui/format.ts'
import { MessageList } from '../ui/MessageList.tsx'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { Panel } from '../ui/Panel.tsx'
import { Code, Empty, ExportButtons, Failure, PauseButton, SkeletonRows } from '../ui/parts.tsx'

const keptCount = 2_000

export function Topic() {
  const { name } = useParams({ from: '/topics/$name' })
  const { data: topics, error } = useTopics(1_000)
  const topic = topics?.find((one) => one.name === name)
  return (
    <div className="page">
      {!topics && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {topics && !topic && (
        <Empty
          title={`No topic ${name}`}
          command={`CREATE TABLE ${name.replace(/\W/g, '_')} (…) WITH ('connector' = 'kafka', 'topic' = '${name}', 'format' = 'json');`}
        >
          A table that names it in <code>pipelines/*.sql</code> declares it.
        </Empty>
      )}
      {topic && <TopicPage key={name} topic={topic} />}
    </div>
  )
}

function TopicPage({ topic }: { topic: TopicSummary }) {
  const { name } = topic
  const search = useSearch({ from: '/topics/$name' })
  const navigate = useNavigate({ from: '/topics/$name' })
  const { latest } = useStats()
  const isLive = search.offset === undefined
  const tail = useTopicTails(
    useMemo(() => (isLive ? [name] : []), [name, isLive]),
    keptCount,
  )
  const { value: view, isPaused, setPaused } = usePause(tail)
  const from = isLive ? null : { partition: search.partition ?? 0, offset: search.offset ?? 0 }
  const read = useMessages(name, from)
  const messages = useMemo<readonly TailMessage[]>(
    () => (isLive ? view.messages : (read.data ?? []).map((message) => ({ ...message, topic: name }))),
    [isLive, view.messages, read.data, name],
  )
  const perSecond = latest?.topics.find((one) => one.name === name)?.perSecond ?? 0

  const exportRows = (format: ExportFormat): void =>
    downloadRows(
      name,
      format,
      ['partition', 'offset', 'timestamp', 'key', 'value', 'headers'],
      messages.map((message) => [
        message.partition,
        message.offset,
        new Date(message.timestampMs).toISOString(),
        message.key,
        message.value,
        message.headers,
      ]),
    )
  const seek = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const offset = String(form.get('offset') ?? '').trim()
    void navigate({
      search: (old) => ({
        ...old,
        offset: offset === '' ? undefined : Number(offset),
        partition: offset === '' ? undefined : Number(form.get('partition') ?? 0),
      }),
      replace: true,
    })
  }

  return (
    <>
      <PageHead
        title={name}
        parent={{ to: '/topics', label: 'Topics' }}
        note={
          isInvalidTopic(name)
            ? 'Events that were refused at the door: each with the rule and the field that it broke, and its bytes as they came.'
            : undefined
        }
      >
        {isLive && <PauseButton isPaused={isPaused} setPaused={setPaused} />}
        <ExportButtons onExport={exportRows} />
      </PageHead>
      <Facts
        facts={[
          ['Records/s', formatRate(perSecond)],
          ['Records', formatInteger(topic.recordCount)],
          ['Size', formatBytes(topic.sizeBytes)],
          ['Partitions', String(topic.partitionCount)],
        ]}
      />
      <Panel
        title={isLive ? 'Newest records' : `Records from offset ${search.offset}`}
        note={
          isLive
            ? `${formatInteger(messages.length)} kept here${view.skippedCount > 0 ? `, ${formatInteger(view.skippedCount)} left out to keep up` : ''}`
            : `${messages.length} read`
        }
        actions={
          <>
            <input
              type="search"
              className="filter"
              aria-label="Filter records"
              placeholder="Filter text"
              value={search.q ?? ''}
              onChange={(event) => void navigate({ search: (old) => ({ ...old, q: event.target.value || undefined }), replace: true })}
            />
            <form className="seek" onSubmit={seek}>
              {topic.partitionCount > 1 && (
                <select name="partition" aria-label="Partition" defaultValue={search.partition ?? 0}>
                  {Array.from({ length: topic.partitionCount }, (_, partition) => (
                    // biome-ignore lint/suspicious/noArrayIndexKey: a partition is its number
                    <option key={partition} value={partition}>
                      partition {partition}
                    </option>
                  ))}
                </select>
              )}
              <input
                name="offset"
                inputMode="numeric"
                pattern="\d*"
                className="filter"
                aria-label="Read from offset"
                placeholder="live, or offset"
                defaultValue={search.offset ?? ''}
              />
              <button type="submit" className="button">
                Go
              </button>
            </form>
          </>
        }
      >
        {read.error && <Failure error={read.error} />}
        <MessageList label={`Records of ${name}`} messages={messages} filter={search.q ?? ''} height="min(64vh, 680px)" />
      </Panel>
      <div className="two-columns">
        <Panel title="Columns" note="checked at the door">
          {topic.columns.length === 0 ? (
            <p className="quiet">No table declares columns for this topic: its records are kept as they come.</p>
          ) : (
            <table className="list">
              <tbody>
                {topic.columns.map((column) => (
                  <tr key={column.name}>
                    <td>
                      <code>{column.name}</code>
                    </td>
                    <td>
                      <code className="quiet">{readableType(column.type)}</code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Panel>
        <div className="stack">
          <Panel title="Settings">
            {Object.keys(topic.config).length === 0 && <p className="quiet">All as by default.</p>}
            <table className="list">
              <tbody>
                {Object.entries(topic.config).map(([key, value]) => (
                  <tr key={key}>
                    <td>
                      <code>{key}</code>
                    </td>
                    <td>
                      <code className="quiet">{String(value)}</code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Panel>
          {!isInvalidTopic(name) && !isInternalTopic(name) && (
            <Panel title="Send to it">
              <Code label="The newest record again, as a new event" text={sendCommand(name, messages[0])} />
            </Panel>
          )}
        </div>
      </div>
    </>
  )
}

/** For a POSIX shell: single quotes, with any inside closed, escaped and opened again. */
function sendCommand(topic: string, newest: TailMessage | undefined): string {
  const body = newest ? stringifyExact([newest.value]).replaceAll("'", "'\\''") : '[{…}]'
  return `curl ${location.origin}/v1/topics/${encodeURIComponent(topic)}/events -H 'content-type: application/json' -d '${body}'`
}
