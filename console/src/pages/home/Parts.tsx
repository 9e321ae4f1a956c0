// Health of the parts, and three things to try from a terminal.
import { Link } from '@tanstack/react-router'
import { useHealth } from '../../api/queries.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Code, Failure, SkeletonRows, Status, type Tone } from '../../ui/parts.tsx'

const tones: Record<string, Tone> = { ok: 'ok', starting: 'warn', degraded: 'warn', failed: 'bad' }

const badEvent = '[{"page":"no time, no channel"}]'

export function Parts() {
  const { data: health, error } = useHealth()
  const origin = location.origin
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
      <Panel title="Try it" note="from a terminal">
        <div className="stack">
          <Code label="Read a live table" text={`curl '${origin}/v1/tables/top_pages?order=-edits&limit=3'`} />
          <Code
            label="Send a bad event, then look into wiki_edits.invalid"
            text={`curl ${origin}/v1/topics/wiki_edits/events -H 'content-type: application/json' -d '${badEvent}'`}
          />
        </div>
      </Panel>
    </div>
  )
}
