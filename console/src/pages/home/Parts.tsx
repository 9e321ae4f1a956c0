// Health of the parts, and three things to try from a terminal.
import { Link } from '@tanstack/react-router'
import { isInternalTopic, isInvalidTopic, useHealth, useTables, useTopics } from '../../api/queries.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Code, Failure, SkeletonRows, Status, type Tone } from '../../ui/parts.tsx'

const tones: Record<string, Tone> = { ok: 'ok', starting: 'warn', degraded: 'warn', failed: 'bad' }

/** Of the first table and the first topic with a door that this project has. */
function TryIt() {
  const table = useTables().data?.[0]
  const door = useTopics().data?.find(({ columns, name }) => columns.length > 0 && !isInternalTopic(name) && !isInvalidTopic(name))
  const { origin } = location
  if (!table && !door) return null
  return (
    <Panel title="Try it" note="from a terminal">
      <div className="stack">
        {table && <Code label="Read a live table" text={`curl '${origin}/v1/tables/${encodeURIComponent(table.name)}?limit=3'`} />}
        {door && (
          <Code
            label={`Send a bad event, then look into ${door.name}.invalid`}
            text={`curl ${origin}/v1/topics/${door.name}/events -H 'content-type: application/json' -d '["not a row"]'`}
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
      <TryIt />
    </div>
  )
}
