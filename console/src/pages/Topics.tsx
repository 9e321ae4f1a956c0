// All topics: durable logs that events go into, and the .invalid twins with what was refused; who reads them, and how far behind.
import { Link } from '@tanstack/react-router'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { TopicSummary } from '../../../src/serve/contract.ts'
import { useStats } from '../api/live.ts'
import { isInternalTopic, isInvalidTopic, useTopics } from '../api/queries.ts'
import { useReason } from '../api/topics.ts'
import { Sparkline } from '../charts/Sparkline.tsx'
import { downloadRows } from '../ui/export.ts'
import { formatBytes, formatInteger, formatRate, none } from '../ui/format.ts'
import { type ListColumn, ListHead, ListTools, useList } from '../ui/List.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { Badge, Empty, ExportButtons, Failure, SkeletonRows } from '../ui/parts.tsx'
import { VirtualRows } from '../ui/VirtualRows.tsx'
import { CreateTopic } from './topic/CreateTopic.tsx'
import { retentionText } from './topic/Settings.tsx'

const nameOf = ({ name }: TopicSummary): string => name
const columnsOf = (rates: ReadonlyMap<string, number>): ListColumn<TopicSummary>[] => [
  { id: 'name', label: 'Name', value: nameOf },
  { id: 'rate', label: 'Records/s', className: 'number', value: ({ name }) => rates.get(name) ?? 0 },
  { id: 'minutes', label: 'Last minutes', className: 'wide-only' },
  { id: 'records', label: 'Records', className: 'number', value: ({ recordCount }) => recordCount },
  { id: 'size', label: 'Size', className: 'number', value: ({ sizeBytes }) => sizeBytes },
  { id: 'partitions', label: 'Partitions', className: 'number', value: ({ partitionCount }) => partitionCount },
  { id: 'kept', label: 'Kept', className: 'number' },
  { id: 'consumers', label: 'Consumers', className: 'number', value: ({ readers }) => readers.queries + readers.groups },
  { id: 'lag', label: 'Lag', className: 'number', value: ({ readers }) => (readers.groups > 0 ? readers.lag : null) },
]

export function Topics() {
  const { data: topics, error } = useTopics(1_000)
  const { latest, history } = useStats()
  const [isCreating, setCreating] = useState(false)
  const reason = useReason('admin')
  const rates = useMemo(() => new Map(latest?.topics.map((topic) => [topic.name, topic.perSecond])), [latest])
  const histories = useMemo(() => {
    const byName = new Map<string, number[]>()
    for (const stats of history) {
      for (const { name, perSecond } of stats.topics) {
        const list = byName.get(name)
        if (list) list.push(perSecond)
        else byName.set(name, [perSecond])
      }
    }
    return byName
  }, [history])
  // What the server keeps for itself comes last, unless an order was chosen.
  const all = useMemo(() => [...(topics ?? [])].sort((a, b) => Number(isInternalTopic(a.name)) - Number(isInternalTopic(b.name))), [topics])
  const columns = useMemo(() => columnsOf(rates), [rates])
  const list = useList(all, columns, nameOf)
  const { shown } = list
  return (
    <div className="page">
      <PageHead title="Topics" note="Durable logs: what was acknowledged is on disk.">
        <ListTools list={list} label="Filter topics" />
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              'topics',
              format,
              ['name', 'records', 'size_bytes', 'partitions', 'per_second', 'retention_ms', 'queries', 'groups', 'lag'],
              shown.map(({ name, recordCount, sizeBytes, partitionCount, config, readers }) => [
                name,
                recordCount,
                sizeBytes,
                partitionCount,
                rates.get(name) ?? 0,
                config['retention.ms'],
                readers.queries,
                readers.groups,
                readers.lag,
              ]),
            )
          }
        />
        <button type="button" className="button" disabled={reason !== undefined} title={reason} onClick={() => setCreating(true)}>
          <Plus size={13} aria-hidden />
          New topic…
        </button>
        {isCreating && <CreateTopic onClose={() => setCreating(false)} />}
      </PageHead>
      {!topics && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {topics?.length === 0 && (
        <Empty
          title="No topic yet"
          command={`CREATE TABLE clicks (page STRING NOT NULL, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)\nWITH ('connector' = 'kafka', 'topic' = 'clicks', 'format' = 'json');`}
        >
          A table in <code>pipelines/*.sql</code> declares a topic and what is checked at its door.
        </Empty>
      )}
      {topics && topics.length > 0 && (
        <div className="table-scroll">
          <table className="list cards">
            <ListHead list={list} />
            <VirtualRows
              items={shown}
              columnCount={list.columns.length}
              keyOf={({ name }) => name}
              row={(topic) => (
                <tr>
                  <td className="name">
                    <Link to="/topics/$name" params={{ name: topic.name }}>
                      {topic.name}
                    </Link>
                    {isInternalTopic(topic.name) && <Badge>internal</Badge>}
                    {isInvalidTopic(topic.name) && <Badge tone={topic.recordCount > 0 ? 'bad' : 'quiet'}>refused</Badge>}
                  </td>
                  <td className="number" data-label="Records/s">
                    {formatRate(rates.get(topic.name) ?? 0)}
                  </td>
                  <td className="spark wide-only">
                    <Sparkline values={histories.get(topic.name) ?? []} />
                  </td>
                  <td className="number" data-label="Records">
                    {formatInteger(topic.recordCount)}
                  </td>
                  <td className="number" data-label="Size">
                    {formatBytes(topic.sizeBytes)}
                  </td>
                  <td className="number" data-label="Partitions">
                    {topic.partitionCount}
                  </td>
                  <td className="number nowrap" data-label="Kept">
                    {retentionText(topic.config)}
                  </td>
                  <td className="number" data-label="Consumers">
                    {topic.readers.queries + topic.readers.groups > 0 ? (
                      <Link
                        to="/topics/$name/$tab"
                        params={{ name: topic.name, tab: 'consumers' }}
                        title={`${topic.readers.queries} queries, ${topic.readers.groups} consumer groups`}
                      >
                        {topic.readers.queries + topic.readers.groups}
                      </Link>
                    ) : (
                      0
                    )}
                  </td>
                  <td className={topic.readers.lag > 0 ? 'number warn' : 'number'} data-label="Lag">
                    {topic.readers.groups > 0 ? formatInteger(topic.readers.lag) : none}
                  </td>
                </tr>
              )}
            />
          </table>
          {shown.length === 0 && <p className="quiet">No topic has this name.</p>}
        </div>
      )}
    </div>
  )
}
