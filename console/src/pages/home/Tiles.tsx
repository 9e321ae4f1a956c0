// The process in seven numbers, each with its last minutes.
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Stats } from '../../../../src/serve/contract.ts'
import { useChosenHistory } from '../../api/figures.ts'
import { useStats } from '../../api/live.ts'
import { isInvalidTopic } from '../../api/queries.ts'
import { Sparkline } from '../../charts/Sparkline.tsx'
import { bytesParts, formatBytes, formatClockZone, formatDuration, formatInteger, formatRate, msParts, none } from '../../ui/format.ts'

interface TileProps {
  label: string
  title?: string
  value: ReactNode
  unit?: string | undefined
  note: ReactNode
  history?: number[]
  color?: string
  className?: string
}

const Tile = ({ label, title, value, unit, note, history, color, className = '' }: TileProps) => (
  <div className={`tile ${className}`} title={title}>
    <dt>{label}</dt>
    <dd>
      <span className="tile-value">
        {value}
        {unit && <small>{unit}</small>}
      </span>
      <span className="tile-note">{note}</span>
      {history && <Sparkline values={history} {...(color ? { color } : {})} />}
    </dd>
  </div>
)

export function Tiles() {
  const { latest, history } = useStats()
  const chosen = useChosenHistory()
  /** The last minutes, a point each second; another range that was chosen, as the server kept it. */
  const series = (metric: string, pick: (stats: Stats) => number): number[] =>
    chosen ? (chosen.series[metric] ?? []).filter((value) => value !== null) : history.map(pick)
  // A counter of failures leads to what failed.
  const refused = latest?.topics
    .filter(({ name, recordCount }) => isInvalidTopic(name) && recordCount > 0)
    .sort((left, right) => right.recordCount - left.recordCount)[0]
  const rss = latest ? bytesParts(latest.rssBytes) : null
  return (
    <dl className="tiles">
      <Tile
        label="Events in"
        value={latest ? formatRate(latest.eventsIn.perSecond) : none}
        unit="/s"
        note={`${formatInteger(latest?.eventsIn.total ?? 0)} accepted`}
        history={series('eventsInPerSecond', (stats) => stats.eventsIn.perSecond)}
      />
      <Tile
        label="Rows out"
        value={latest ? formatRate(latest.rowsOut.perSecond) : none}
        unit="/s"
        note={`${formatInteger(latest?.rowsOut.total ?? 0)} in total`}
        history={series('rowsOutPerSecond', (stats) => stats.rowsOut.perSecond)}
      />
      <LatencyTile
        latest={latest}
        measured={series('latencyP99Ms', (stats) => (stats.latency.count > 0 ? stats.latency.p99Ms : Number.NaN)).filter(
          (ms) => !Number.isNaN(ms),
        )}
      />
      <Tile
        label="Rejected"
        title="Events that failed the check at the door; they are kept in the topic’s .invalid twin"
        value={latest ? formatInteger(latest.rejected.total) : none}
        note={
          refused ? (
            <Link to="/topics/$name" params={{ name: refused.name }}>
              {refused.name}
            </Link>
          ) : (
            'none so far'
          )
        }
        history={series('rejectedPerSecond', (stats) => stats.rejected.perSecond)}
        color="var(--bad)"
      />
      <Tile
        label="Memory"
        title="Resident set of the whole process"
        value={rss?.value ?? none}
        unit={rss?.unit}
        note={`heap ${latest ? formatBytes(latest.heapBytes) : none}`}
        history={series('rssBytes', (stats) => stats.rssBytes)}
      />
      <Tile
        label="CPU"
        title="100 % is one core"
        value={latest ? (latest.cpuShare * 100).toFixed(0) : none}
        unit="%"
        note="of one core"
        history={series('cpuShare', (stats) => stats.cpuShare)}
      />
      <Tile
        label="Uptime"
        value={latest ? formatDuration(latest.uptimeSeconds) : none}
        note={latest ? `${formatBytes(latest.dataBytes)} on disk` : none}
        className="tile-uptime"
        {...(latest ? { title: `Since ${formatClockZone(latest.atMs - latest.uptimeSeconds * 1_000)}` } : {})}
      />
    </dl>
  )
}

/** From an event's arrival to the push of the row that it changed: what a user of the data feels. */
function LatencyTile({ latest, measured }: { latest: Stats | null; measured: number[] }) {
  const latency = latest && latest.latency.count > 0 ? latest.latency : null
  return (
    <Tile
      className="tile-latency"
      label="Latency, event to push"
      title="From the event’s arrival at the front door to the push of the row that it changed; over the last 10 s"
      value={
        <span className="quantiles">
          {(['p50', 'p95', 'p99'] as const).map((name) => {
            const parts = latency ? msParts(latency[`${name}Ms`]) : null
            return (
              <span key={name}>
                {parts?.value ?? none}
                <small>{parts?.unit ?? ' '}</small>
                <i>{name}</i>
              </span>
            )
          })}
        </span>
      }
      note={latency ? `of ${formatInteger(latency.count)} pushes in 10 s` : 'no change was pushed in the last 10 s'}
      history={measured}
    />
  )
}
