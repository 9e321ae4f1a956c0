// All consumer groups of Kafka clients: their state, and how far behind they are, in records and in time.
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useGroups } from '../api/topics.ts'
import { downloadRows } from '../ui/export.ts'
import { formatInteger } from '../ui/format.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Empty, ExportButtons, Failure, SkeletonRows, Status } from '../ui/parts.tsx'
import { groupTone, lagTime } from './topic/Consumers.tsx'

export function Groups() {
  const { data, error } = useGroups()
  const [text, setText] = useState('')
  const wanted = text.trim().toLowerCase()
  const groups = data?.groups ?? []
  const shown = groups.filter(({ id, topics }) => [id, ...topics].some((name) => name.toLowerCase().includes(wanted)))
  return (
    <div className="page">
      <PageHead title="Consumer groups" note="Kafka clients that share the reading of topics, and how far behind they are.">
        <input
          type="search"
          className="filter"
          aria-label="Filter groups"
          placeholder="Filter by group or topic"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              'groups',
              format,
              ['group', 'state', 'type', 'members', 'topics', 'lag', 'lag_ms'],
              shown.map(({ id, state, type, memberCount, topics, lag, lagMs }) => [
                id,
                state,
                type,
                memberCount,
                topics.join(' '),
                lag,
                lagMs,
              ]),
            )
          }
        />
      </PageHead>
      {!data && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {data && groups.length === 0 && <NoGroups kafkaPort={data.kafkaPort} />}
      {groups.length > 0 && (
        <div className="table-scroll">
          <table className="list cards">
            <thead>
              <tr>
                <th scope="col">Group</th>
                <th scope="col">State</th>
                <th scope="col" className="number">
                  Members
                </th>
                <th scope="col" className="number">
                  Behind
                </th>
                <th scope="col" className="number">
                  For
                </th>
                <th scope="col">Topics</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ id, state, memberCount, lag, lagMs, topics }) => (
                <tr key={id}>
                  <td className="name">
                    <Link to="/groups/$id" params={{ id }}>
                      {id}
                    </Link>
                  </td>
                  <td data-label="State">
                    <Status tone={groupTone(state)}>{state}</Status>
                  </td>
                  <td className="number" data-label="Members">
                    {memberCount}
                  </td>
                  <td className={lag > 0 ? 'number warn' : 'number'} data-label="Behind">
                    {formatInteger(lag)}
                  </td>
                  <td className="number nowrap" data-label="For" title="How long the oldest record that was not read has been there">
                    {lagTime(lagMs)}
                  </td>
                  <td data-label="Topics" className="links">
                    {topics.map((name) => (
                      <Link key={name} to="/topics/$name/$tab" params={{ name, tab: 'consumers' }}>
                        <code>{name}</code>
                      </Link>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {shown.length === 0 && <p className="quiet">No group or topic has this name.</p>}
        </div>
      )}
    </div>
  )
}

const NoGroups = ({ kafkaPort }: { kafkaPort: number | null }) =>
  kafkaPort === null ? (
    <Empty title="No Kafka client can connect" command="millrace start --kafka-port 9092">
      Consumer groups are those of Kafka clients, and this process has no port for them.
    </Empty>
  ) : (
    <Empty title="No consumer group yet" command={`kcat -b ${location.hostname}:${kafkaPort} -G my-group TOPIC`}>
      A group begins with the first Kafka client that names it. Queries of the project are no groups: a topic's Consumers lists both.
    </Empty>
  )
