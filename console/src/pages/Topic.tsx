// One topic: its records, partitions, consumers, settings, statistics, and what was refused for it.
import { Link, useParams } from '@tanstack/react-router'
import { lazy, Suspense, useCallback } from 'react'
import type { TopicSummary } from '../../../src/serve/contract.ts'
import { readableType } from '../api/columns.ts'
import { useStats } from '../api/live.ts'
import { isInternalTopic, isInvalidTopic, useTopics } from '../api/queries.ts'
import { formatBytes, formatInteger, formatRate } from '../ui/format.ts'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { Panel } from '../ui/Panel.tsx'
import { Badge, Empty, Failure, SkeletonRows } from '../ui/parts.tsx'
import { Tabs } from '../ui/Tabs.tsx'
import { Consumers } from './topic/Consumers.tsx'
import { Letters } from './topic/Letters.tsx'
import { Messages } from './topic/Messages.tsx'
import { Partitions } from './topic/Partitions.tsx'
import { retentionText, Settings } from './topic/Settings.tsx'
import { Statistics } from './topic/Statistics.tsx'

const LineageGraph = lazy(async () => ({ default: (await import('./Lineage.tsx')).LineageGraph }))

export function Topic() {
  const { name = '', tab } = useParams({ strict: false })
  const { data: topics, error } = useTopics(1_000)
  const topic = topics?.find((one) => one.name === name)
  return (
    <div className="page">
      {!topics && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {topics && !topic && (
        <Empty title={`No topic ${name}`} command={`millrace topics create ${name}`}>
          A table that names it in <code>pipelines/*.sql</code> declares it, and says what is checked at its door; or make it without one.
        </Empty>
      )}
      {topic && (
        <TopicPage key={name} topic={topic} tab={tab} letterCount={topics?.find((one) => one.name === `${name}.invalid`)?.recordCount} />
      )}
    </div>
  )
}

function TopicPage({ topic, tab, letterCount }: { topic: TopicSummary; tab: string | undefined; letterCount: number | undefined }) {
  const { name, readers } = topic
  const { latest } = useStats()
  const perSecond = latest?.topics.find((one) => one.name === name)?.perSecond ?? 0
  const isInvalid = isInvalidTopic(name)
  const hasLetters = isInvalid || letterCount !== undefined
  const tabs = [
    ...(isInvalid ? [{ id: 'letters', label: 'Dead letters', count: topic.recordCount }] : []),
    { id: 'messages', label: 'Messages' },
    { id: 'partitions', label: 'Partitions', count: topic.partitionCount },
    { id: 'consumers', label: 'Consumers', count: readers.queries + readers.groups },
    { id: 'lineage', label: 'Lineage' },
    { id: 'settings', label: 'Settings' },
    { id: 'statistics', label: 'Statistics' },
    ...(!isInvalid && letterCount !== undefined ? [{ id: 'letters', label: 'Dead letters', count: letterCount }] : []),
  ]
  const shown = tabs.some(({ id }) => id === tab) ? tab! : tabs[0]!.id
  return (
    <>
      <PageHead
        title={name}
        parent={{ to: '/topics', label: 'Topics' }}
        note={
          isInvalid
            ? 'Events that were refused at the door: each with the rule and the field that it broke, and its bytes as they came.'
            : isInternalTopic(name)
              ? 'What the server keeps for itself: it can be read, and nothing else.'
              : undefined
        }
      />
      <Facts
        facts={[
          ['Records/s', formatRate(perSecond)],
          ['Records', formatInteger(topic.recordCount)],
          ['Size', formatBytes(topic.sizeBytes)],
          ['Partitions', String(topic.partitionCount)],
          ['Retention', retentionText(topic.config)],
          ['Read by', readersText(readers)],
          ['Behind', readers.groups > 0 ? formatInteger(readers.lag) : '–'],
        ]}
      />
      <Tabs label={`Parts of ${name}`} current={shown}>
        {tabs.map(({ id, label, count }) => (
          <Link
            key={id}
            to="/topics/$name/$tab"
            params={{ name, tab: id }}
            className={id === shown ? 'is-active' : ''}
            aria-current={id === shown ? 'page' : undefined}
          >
            {label}
            {count !== undefined && count > 0 && <Badge tone={id === 'letters' ? 'bad' : 'quiet'}>{formatInteger(count)}</Badge>}
          </Link>
        ))}
      </Tabs>
      {shown === 'messages' && <Messages topic={topic} />}
      {shown === 'partitions' && <Partitions topic={topic} />}
      {shown === 'consumers' && <Consumers topic={topic} />}
      {shown === 'lineage' && (
        <Suspense fallback={<SkeletonRows />}>
          <LineageOf topic={name} />
        </Suspense>
      )}
      {shown === 'settings' && (
        <div className="stack">
          <Settings topic={topic} />
          <Columns topic={topic} />
        </div>
      )}
      {shown === 'statistics' && <Statistics topic={topic} />}
      {shown === 'letters' && hasLetters && <Letters topic={isInvalid ? name.replace(/\.invalid$/, '') : name} />}
    </>
  )
}

function LineageOf({ topic }: { topic: string }) {
  const isWanted = useCallback(({ kind, name }: { kind: string; name: string }) => kind === 'topic' && name === topic, [topic])
  return <LineageGraph isWanted={isWanted} />
}

function readersText({ queries, groups }: TopicSummary['readers']): string {
  const parts = [
    queries > 0 ? `${queries} ${queries === 1 ? 'query' : 'queries'}` : '',
    groups > 0 ? `${groups} ${groups === 1 ? 'group' : 'groups'}` : '',
  ].filter(Boolean)
  return parts.join(', ') || 'nobody'
}

const Columns = ({ topic: { columns } }: { topic: TopicSummary }) => (
  <Panel title="Columns" note={columns.length > 0 ? 'checked at the door' : ''}>
    {columns.length === 0 ? (
      <p className="quiet">No table declares columns for this topic: its records are kept as they come.</p>
    ) : (
      <table className="list">
        <tbody>
          {columns.map((column) => (
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
)
