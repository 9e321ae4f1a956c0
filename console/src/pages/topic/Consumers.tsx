// Who reads a topic, and how far behind they are: queries of the project, and consumer groups of Kafka clients.
import { Link } from '@tanstack/react-router'
import type { ConsumerPartition, TopicSummary } from '../../../../src/serve/contract.ts'
import { useConsumers, useGroups } from '../../api/topics.ts'
import { formatDuration, formatInteger, none } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Code, Empty, Status, type Tone, Waiting } from '../../ui/parts.tsx'

export const groupTone = (state: string): Tone => (state === 'Stable' ? 'ok' : state === 'Empty' || state === 'Dead' ? 'quiet' : 'warn')
/** How long the oldest record that was not read has been there. */
export const lagTime = (lagMs: number | undefined): string => (lagMs === undefined ? none : formatDuration(lagMs / 1_000))

/** Of more the furthest behind are shown. */
const GROUPS_SHOWN = 200

export function Consumers({ topic: { name } }: { topic: TopicSummary }) {
  const { data, error } = useConsumers(name)
  const kafkaPort = useGroups().data?.kafkaPort
  if (!data) return <Waiting refusal={error} count={4} />
  const { tables, writers, queries, groups } = data
  const furthest = groups.length > GROUPS_SHOWN ? [...groups].sort((a, b) => b.lag - a.lag).slice(0, GROUPS_SHOWN) : groups
  return (
    <div className="stack">
      <Panel title="Queries" note={tables.length > 0 ? `over ${tables.join(', ')}` : ''}>
        {queries.length === 0 ? (
          <p className="quiet">
            {tables.length > 0
              ? 'No running query reads this topic.'
              : 'No table of the project declares this topic, so no query can read it.'}
          </p>
        ) : (
          <ConsumerTable
            rows={queries.map(({ id, state, ...rest }) => ({
              ...rest,
              key: id,
              name: (
                <Link to="/queries/$id" params={{ id }}>
                  {id}
                </Link>
              ),
              state: <Status tone={state === 'running' ? 'ok' : state === 'failed' ? 'bad' : 'quiet'}>{state}</Status>,
            }))}
          />
        )}
        {writers.length > 0 && (
          <p className="quiet">
            Written by{' '}
            {writers.map((id) => (
              <Link key={id} to="/queries/$id" params={{ id }}>
                {id}{' '}
              </Link>
            ))}
          </p>
        )}
      </Panel>
      <Panel
        title="Consumer groups"
        note={furthest === groups ? 'of Kafka clients' : `the ${GROUPS_SHOWN} furthest behind of ${formatInteger(groups.length)}`}
      >
        {groups.length > 0 ? (
          <ConsumerTable
            rows={furthest.map(({ id, state, memberCount, ...rest }) => ({
              ...rest,
              key: id,
              name: (
                <Link to="/groups/$id" params={{ id }}>
                  {id}
                </Link>
              ),
              state: (
                <Status tone={groupTone(state)}>
                  {state}, {memberCount} {memberCount === 1 ? 'member' : 'members'}
                </Status>
              ),
            }))}
          />
        ) : kafkaPort === null ? (
          <Empty title="No Kafka client can connect" command="millrace start --kafka-port 9092">
            Consumer groups are those of Kafka clients.
          </Empty>
        ) : (
          <>
            <p className="quiet">No consumer group has committed an offset of this topic.</p>
            {kafkaPort !== undefined && (
              <Code label="Read it with kcat" text={`kcat -b ${location.hostname}:${kafkaPort} -G my-group ${name}`} />
            )}
          </>
        )}
      </Panel>
    </div>
  )
}

interface ConsumerRow {
  key: string
  name: React.ReactNode
  state: React.ReactNode
  lag: number
  lagMs?: number
  partitions: ConsumerPartition[]
}

const ConsumerTable = ({ rows }: { rows: readonly ConsumerRow[] }) => (
  <div className="table-scroll">
    <table className="list facts-table">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">State</th>
          <th scope="col" className="number">
            Behind
          </th>
          <th scope="col" className="number">
            For
          </th>
          <th scope="col">Partitions: offset of end</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ key, name, state, lag, lagMs, partitions }) => (
          <tr key={key}>
            <td data-label="Name">
              <code>{name}</code>
            </td>
            <td data-label="State">{state}</td>
            <td data-label="Behind" className={lag > 0 ? 'number warn' : 'number'}>
              {formatInteger(lag)}
            </td>
            <td data-label="For" className="number nowrap">
              {lagTime(lagMs)}
            </td>
            <td data-label="Offset of end" className="quiet">
              <Offsets partitions={partitions} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)

const OFFSETS_SHOWN = 6

/** Of many partitions those that are most behind; the others are counted. */
function Offsets({ partitions }: { partitions: readonly ConsumerPartition[] }) {
  const left = ({ offset, endOffset }: ConsumerPartition): number => endOffset - offset
  const isFew = partitions.length <= OFFSETS_SHOWN
  const shown = isFew
    ? partitions
    : partitions
        .filter((one) => left(one) > 0)
        .sort((a, b) => left(b) - left(a))
        .slice(0, OFFSETS_SHOWN)
  const rest = partitions.filter((one) => !shown.includes(one))
  const restBehind = rest.filter((one) => left(one) > 0).length
  return (
    <>
      {shown.map(({ partition, offset, endOffset }) => `${partition}: ${formatInteger(offset)} of ${formatInteger(endOffset)}`).join(' · ')}
      {rest.length > 0 &&
        `${shown.length > 0 ? ' · ' : ''}${restBehind > 0 ? `${rest.length} more, ${restBehind} of them behind` : `${shown.length > 0 ? 'the other' : 'all'} ${rest.length} at their end`}`}
    </>
  )
}
