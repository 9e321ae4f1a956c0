// All consumer groups of Kafka clients: their state, and how far behind they are, in records and in time.
import { Link } from '@tanstack/react-router'
import type { GroupSummary } from '../../../src/serve/contract.ts'
import { useGroups } from '../api/topics.ts'
import { downloadRows } from '../ui/export.ts'
import { formatInteger } from '../ui/format.ts'
import { type ListColumn, ListHead, ListTools, useList } from '../ui/List.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { Empty, ExportButtons, Failure, SkeletonRows, Status } from '../ui/parts.tsx'
import { VirtualRows } from '../ui/VirtualRows.tsx'
import { groupTone, lagTime } from './topic/Consumers.tsx'

const noGroups: readonly GroupSummary[] = []
const textOf = ({ id, topics }: GroupSummary): string => [id, ...topics].join(' ')
const columns: readonly ListColumn<GroupSummary>[] = [
  { id: 'name', label: 'Group', value: ({ id }) => id },
  { id: 'state', label: 'State', value: ({ state }) => state },
  { id: 'members', label: 'Members', className: 'number', value: ({ memberCount }) => memberCount },
  { id: 'behind', label: 'Behind', className: 'number', value: ({ lag }) => lag },
  { id: 'for', label: 'For', className: 'number', value: ({ lagMs }) => lagMs },
  { id: 'topics', label: 'Topics' },
]

export function Groups() {
  const { data, error } = useGroups()
  const groups = data?.groups ?? noGroups
  const list = useList(groups, columns, textOf)
  const { shown } = list
  return (
    <div className="page">
      <PageHead title="Consumer groups" note="Kafka clients that share the reading of topics, and how far behind they are.">
        <ListTools list={list} label="Filter groups" placeholder="Group or topic" />
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
            <ListHead list={list} />
            <VirtualRows
              items={shown}
              columnCount={columns.length}
              keyOf={({ id }) => id}
              row={({ id, state, memberCount, lag, lagMs, topics }) => (
                <tr>
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
                  <td data-label="Topics">
                    <span className="links">
                      {topics.map((name) => (
                        <Link key={name} to="/topics/$name/$tab" params={{ name, tab: 'consumers' }}>
                          <code>{name}</code>
                        </Link>
                      ))}
                    </span>
                  </td>
                </tr>
              )}
            />
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
