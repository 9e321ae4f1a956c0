// All topics: durable logs that events go into, and the .invalid twins with what was refused; who reads them, and how far behind.
import { Link } from '@tanstack/react-router'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import { useStats } from '../api/live.ts'
import { isInternalTopic, isInvalidTopic, useTopics } from '../api/queries.ts'
import { useReason } from '../api/topics.ts'
import { Sparkline } from '../charts/Sparkline.tsx'
import { downloadRows } from '../ui/export.ts'
import { formatBytes, formatInteger, formatRate, none } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Badge, Empty, ExportButtons, Failure, SkeletonRows } from '../ui/parts.tsx'
import { VirtualRows } from '../ui/VirtualRows.tsx'
import { CreateTopic } from './topic/CreateTopic.tsx'
import { retentionText } from './topic/Settings.tsx'

export function Topics() {
  const { data: topics, error } = useTopics(1_000)
  const { latest, history } = useStats()
  const [text, setText] = useState('')
  const [isCreating, setCreating] = useState(false)
  const reason = useReason('admin')
  const rates = new Map(latest?.topics.map((topic) => [topic.name, topic.perSecond]))
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
  const found = (topics ?? []).filter((topic) => topic.name.toLowerCase().includes(text.trim().toLowerCase()))
  const shown = [...found.filter(({ name }) => !isInternalTopic(name)), ...found.filter(({ name }) => isInternalTopic(name))]
  return (
    <div className="page">
      <PageHead title="Topics" note="Durable logs: what was acknowledged is on disk.">
        <input
          type="search"
          className="filter"
          aria-label="Filter topics"
          placeholder="Filter"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
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
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col" className="number">
                  Records/s
                </th>
                <th scope="col" className="wide-only">
                  Last minutes
                </th>
                <th scope="col" className="number">
                  Records
                </th>
                <th scope="col" className="number">
                  Size
                </th>
                <th scope="col" className="number">
                  Partitions
                </th>
                <th scope="col" className="number">
                  Kept
                </th>
                <th scope="col" className="number">
                  Consumers
                </th>
                <th scope="col" className="number">
                  Lag
                </th>
              </tr>
            </thead>
            <VirtualRows
              items={shown}
              columnCount={9}
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
