// When something is full at the growth of the last hour: memory for state, the disk, and the state of one query.
import type { Forecast } from '../../../../src/serve/contract.ts'
import { useForecasts } from '../../api/figures.ts'
import { formatBytes, formatClockDayMinute, formatDuration, formatShare, none } from '../../ui/format.ts'
import { Failure, Status, type Tone } from '../../ui/parts.tsx'

const DAY_MS = 86_400_000
const NEAR_SHARE = 0.9

/** `+1.2 MiB an hour, over the last 58 m` */
function growthText({ bytesPerHour, overMs }: Forecast): string {
  if (bytesPerHour === undefined || overMs === undefined) return 'watched too short to say how it grows'
  const over = `over the last ${formatDuration(overMs / 1_000)}`
  if (bytesPerHour === 0) return `steady ${over}`
  return `${bytesPerHour > 0 ? '+' : '−'}${formatBytes(Math.abs(bytesPerHour))} an hour, ${over}`
}

function fullText({ fullAtMs, bytesPerHour, usedBytes, limitBytes }: Forecast, nowMs: number): { text: string; tone: Tone } {
  if (limitBytes !== undefined && usedBytes >= limitBytes) return { text: 'full', tone: 'bad' }
  if (fullAtMs === undefined)
    return {
      text: bytesPerHour === undefined ? none : 'not within a year',
      tone: limitBytes !== undefined && usedBytes / limitBytes > NEAR_SHARE ? 'warn' : bytesPerHour === undefined ? 'quiet' : 'ok',
    }
  const leftMs = Math.max(0, fullAtMs - nowMs)
  return {
    text: `in ${formatDuration(leftMs / 1_000)} (${formatClockDayMinute(fullAtMs)})`,
    tone: leftMs < DAY_MS ? 'warn' : 'ok',
  }
}

/** As high as the line that comes. */
const WaitingLine = ({ name }: { name: string }) => (
  <li aria-busy="true">
    <span className="forecast-name">{name}</span>
    <span className="forecast-bar" aria-hidden="true" />
    <span>{none}</span>
    <span className="quiet">{none}</span>
    <span className="forecast-full">
      Full: <Status tone="quiet">{none}</Status>
    </span>
  </li>
)

function ForecastLine({ name, forecast, nowMs }: { name: string; forecast: Forecast | undefined; nowMs: number }) {
  if (!forecast) return <WaitingLine name={name} />
  const { usedBytes, limitBytes } = forecast
  const { text, tone } = fullText(forecast, nowMs)
  const share = limitBytes === undefined || limitBytes <= 0 ? 0 : Math.min(1, usedBytes / limitBytes)
  return (
    <li>
      <span className="forecast-name">{name}</span>
      <span className="forecast-bar" aria-hidden="true">
        <span className={`is-${tone}`} style={{ transform: `scaleX(${share})` }} />
      </span>
      <span>
        <b>{formatBytes(usedBytes)}</b>
        {limitBytes !== undefined && ` of ${formatBytes(limitBytes)} (${formatShare(share)})`}
      </span>
      <span className="quiet">{growthText(forecast)}</span>
      <span className="forecast-full">
        Full: <Status tone={tone}>{text}</Status>
      </span>
    </li>
  )
}

/** @param query  its own line, and that of the memory that it shares; without it those of the process */
export function Forecasts({ query }: { query?: string }) {
  const { data, error } = useForecasts()
  if (!data && error) return <Failure error={error} />
  const nowMs = data?.atMs ?? 0
  return (
    <>
      <ul className="forecasts">
        {query !== undefined && (
          <ForecastLine name="State of this query" forecast={data?.queries.find(({ id }) => id === query)} nowMs={nowMs} />
        )}
        <ForecastLine name="State and live tables" forecast={data?.memory} nowMs={nowMs} />
        {query === undefined && <ForecastLine name="Disk of the data folder" forecast={data?.disk} nowMs={nowMs} />}
      </ul>
      <p className="quiet">
        State beyond the memory budget (<code>--memory</code>) goes to the disk: slower, without failing. A time to live bounds it:{' '}
        <code>SET 'table.exec.state.ttl' = '1 d'</code>.
      </p>
    </>
  )
}
