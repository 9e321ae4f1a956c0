// Health of the parts, and three things to try from a terminal.
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { CheckResponse } from '../../../../src/serve/contract.ts'
import { apiSend, topicPath } from '../../api/client.ts'
import { isInternalTopic, isInvalidTopic, useHealth, useTables, useTopics } from '../../api/queries.ts'
import { contentTypes } from '../../api/topics.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Code, Failure, SkeletonRows, Status, type Tone } from '../../ui/parts.tsx'
import { Deploys } from './Deploys.tsx'

const tones: Record<string, Tone> = { ok: 'ok', starting: 'warn', degraded: 'warn', failed: 'bad' }

const BAD_EVENT = '["not a row"]'
const DOORS_ASKED = 5

/** The first topic whose door would refuse an event: where any bytes are a row, as of `raw` or CSV of text, none is bad. */
function useDoorThatRefuses(event: string) {
  const doors = useTopics().data?.filter(({ columns, name }) => columns.length > 0 && !isInternalTopic(name) && !isInvalidTopic(name))
  const asked = doors?.slice(0, DOORS_ASKED)
  const names = asked?.map(({ name }) => name)
  const { data } = useQuery({
    queryKey: ['door-that-refuses', event, names],
    queryFn: async () => {
      for (const topic of asked ?? []) {
        // A topic that takes no events at all has no door.
        const answer = await apiSend<CheckResponse>('POST', `${topicPath(topic.name)}/check`, { value: event }).catch(() => undefined)
        if (answer && answer.rejectedCount > 0) return topic
      }
      return null
    },
    enabled: names !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  })
  return data
}

/** Of the first table and the first topic with a door that this project has. */
function TryIt() {
  const table = useTables().data?.[0]
  const door = useDoorThatRefuses(BAD_EVENT)
  const { origin } = location
  if (!table && !door) return null
  return (
    <Panel title="Try it" note="from a terminal">
      <div className="stack">
        {table && <Code label="Read a live table" text={`curl '${origin}/v1/tables/${encodeURIComponent(table.name)}?limit=3'`} />}
        {door && (
          <Code
            label={`Send a bad event, then look into ${door.name}.invalid`}
            text={`curl ${origin}/v1/topics/${encodeURIComponent(door.name)}/events -H 'content-type: ${contentTypes[door.format ?? 'json']}' -d '${BAD_EVENT}'`}
          />
        )}
      </div>
    </Panel>
  )
}

export function Parts() {
  const { data: health, error } = useHealth()
  return (
    <div className="span-4 stack">
      <Panel
        title="Health"
        note={health ? (health.ready ? 'ready' : 'not ready') : ''}
        actions={
          <Link to="/backups" className="button small">
            Backups
          </Link>
        }
      >
        {health && (
          <ul className="parts">
            {Object.entries(health.parts).map(([name, part]) => (
              <li key={name}>
                <span className="parts-name">{name}</span>
                <Status tone={tones[part.state] ?? 'quiet'}>{part.state}</Status>
                <span className="parts-detail" title={part.detail}>
                  {part.detail}
                </span>
              </li>
            ))}
          </ul>
        )}
        {!health && (error ? <Failure error={error} /> : <SkeletonRows count={6} />)}
      </Panel>
      <Deploys />
      <TryIt />
    </div>
  )
}
