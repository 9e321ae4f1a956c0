// What a statement gave: rows, the changelog that made them, a chart, and the plan.
import { useMemo, useState } from 'react'
import { columnKind, isNumericKind } from '../../api/columns.ts'
import type { LiveRow } from '../../api/liveTable.ts'
import { TimeChart, type TimeSeries } from '../../charts/TimeChart.tsx'
import { DataGrid } from '../../ui/DataGrid.tsx'
import { downloadRows } from '../../ui/export.ts'
import { formatCell, formatCompact, formatInteger, formatMs } from '../../ui/format.ts'
import { Badge, Code, Empty, ExportButtons, Failure, Segmented, SkeletonRows, Status } from '../../ui/parts.tsx'
import type { Result } from './result.ts'
import { sliceText } from './Slice.tsx'
import type { Run } from './useRun.ts'

type Tab = 'rows' | 'changes' | 'chart' | 'plan'
const tabs = [
  { value: 'rows', label: 'Rows' },
  { value: 'changes', label: 'Changes' },
  { value: 'chart', label: 'Chart' },
  { value: 'plan', label: 'Plan' },
] as const
const BARS_MAX = 20
const POINTS_MAX = 500

export function Results({ run, plan }: { run: Run | null; plan: string | undefined }) {
  const [tab, setTab] = useState<Tab>('rows')
  const result = run?.result
  return (
    <section className="panel sql-results" aria-label="Result">
      <header>
        <Segmented label="Show" value={tab} options={tabs} onChange={setTab} />
        {run && <RunStatus run={run} />}
        {result && (
          <span className="panel-actions">
            <ExportButtons
              onExport={(format) =>
                downloadRows(
                  'result',
                  format,
                  result.columns.map(({ name }) => name),
                  result.rows().map(({ cells }) => cells),
                )
              }
            />
          </span>
        )}
      </header>
      <div className="panel-body">
        {run?.state === 'failed' && <Failure error={run.error} />}
        {tab === 'plan' ? (
          <PlanText plan={plan} />
        ) : !run ? (
          <Empty title="Nothing run yet">
            <b>Run</b> reads what the topics hold now, or the part of it that you choose, and ends there; <b>Live</b> begins there, too, and
            goes on with what arrives. Neither changes anything.
          </Empty>
        ) : result ? (
          <Shown tab={tab} result={result} version={run.version} />
        ) : (
          run.state === 'running' && <SkeletonRows />
        )}
      </div>
    </section>
  )
}

const PlanText = ({ plan }: { plan: string | undefined }) =>
  plan ? (
    <Code text={plan} label="Plan, with the changelog of each node" />
  ) : (
    <Empty title="No plan">The statement at the cursor is no query, or has errors.</Empty>
  )

function RunStatus({ run }: { run: Run }) {
  const { state, tookMs, result, mode } = run
  const tone = state === 'failed' ? 'bad' : state === 'running' ? 'warn' : 'ok'
  const words = { running: mode === 'end' ? 'running' : 'live', stopped: 'stopped', done: 'done', failed: 'failed' }
  return (
    <span className="quiet" role="status">
      <Status tone={tone}>{words[state]}</Status>
      {run.slice && ` · ${sliceText(run.slice)}`}
      {result && ` · ${formatInteger(result.rows().length)} rows`}
      {result && mode !== 'end' && `, ${formatInteger(result.changeCount + result.skipped)} changes`}
      {tookMs !== undefined && ` · ${formatMs(tookMs)}`}
      {result && result.skipped > 0 && (
        <span className="warn"> · {formatInteger(result.skipped)} left out to keep up: Run gives them all</span>
      )}
      {result?.isCut && <span className="warn"> · oldest rows left out</span>}
    </span>
  )
}

function Shown({ tab, result, version }: { tab: Exclude<Tab, 'plan'>; result: Result; version: number }) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the result changes in place; its version says so
  const rows = useMemo(() => result.rows(), [result, version])
  switch (tab) {
    case 'rows':
      return rows.length > 0 ? <DataGrid label="Rows" columns={result.columns} rows={rows} height="min(46vh, 480px)" /> : <NoRows />
    case 'changes':
      return <Changes result={result} />
    case 'chart':
      return rows.length > 0 ? <Chart result={result} rows={rows} /> : <NoRows />
  }
}

const NoRows = () => (
  <Empty title="No rows yet">
    A window gives its rows when event time passes its end. <b>Why</b> a running query is silent is on its page.
  </Empty>
)

function Changes({ result }: { result: Result }) {
  const kinds = result.columns.map(({ type }) => columnKind(type))
  if (result.changes.length === 0) return <NoRows />
  return (
    <div className="table-scroll sql-changes">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Kind</th>
            {result.columns.map(({ name }, index) => (
              <th key={name} scope="col" className={isNumericKind(kinds[index]!) ? 'number' : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {result.changes.slice(0, 200).map(({ id, op, cells }) => (
            <tr key={id}>
              <td>
                <Badge tone={op === '-D' || op === '-U' ? 'bad' : 'ok'}>{op}</Badge>
              </td>
              {cells.map((cell, index) => (
                <td key={result.columns[index]!.name} className={isNumericKind(kinds[index]!) ? 'number' : undefined}>
                  {formatCell(cell, kinds[index]!)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const colors = ['--people', '--robots', '--event', '--ok'] as const
const numberOf = (cell: unknown): number | null => (cell === null || cell === undefined ? null : Number(cell))

/** Over the first column of time if there is one, else a bar for each row. */
function Chart({ result, rows }: { result: Result; rows: readonly LiveRow[] }) {
  const kinds = result.columns.map(({ type }) => columnKind(type))
  const timeIndex = kinds.indexOf('timestamp')
  const numeric = kinds.flatMap((kind, index) => (isNumericKind(kind) ? [index] : [])).slice(0, colors.length)
  if (numeric.length === 0) return <Empty title="Nothing to draw">A chart needs a column of numbers.</Empty>
  if (timeIndex < 0)
    return <Bars rows={rows} labels={kinds.flatMap((kind, index) => (isNumericKind(kind) ? [] : [index]))} value={numeric[0]!} />
  // Several rows of one time, as of several keys, are summed.
  const sums = new Map<number, (number | null)[]>()
  for (const { cells } of rows) {
    const atMs = Date.parse(`${String(cells[timeIndex]).replace(' ', 'T').replace(/Z?$/, 'Z')}`)
    if (Number.isNaN(atMs)) continue
    const before = sums.get(atMs)
    sums.set(
      atMs,
      numeric.map((index, i) => {
        const value = numberOf(cells[index])
        return value === null ? (before?.[i] ?? null) : (before?.[i] ?? 0) + value
      }),
    )
  }
  const points = [...sums].sort(([a], [b]) => a - b).slice(-POINTS_MAX)
  const timesMs = points.map(([atMs]) => atMs)
  const stepMs = Math.max(1_000, Math.min(...timesMs.slice(1).map((atMs, i) => atMs - timesMs[i]!), 3_600_000))
  const series = numeric.map(
    (index, i): TimeSeries => ({
      label: result.columns[index]!.name,
      color: colors[i]!,
      kind: 'line',
      values: points.map(([, values]) => values[i] ?? null),
      format: formatCompact,
    }),
  )
  return (
    <TimeChart
      label={`${series.map(({ label }) => label).join(', ')} over ${result.columns[timeIndex]!.name}`}
      timesMs={timesMs}
      stepMs={stepMs}
      series={series}
      minSpanMs={stepMs * 10}
      heightPx={280}
      formatAxis={formatCompact}
    />
  )
}

function Bars({ rows, labels, value }: { rows: readonly LiveRow[]; labels: readonly number[]; value: number }) {
  const bars = rows
    .map(({ key, cells }) => ({
      key,
      label: labels.map((index) => String(cells[index] ?? 'NULL')).join(' · ') || 'all',
      size: numberOf(cells[value]) ?? 0,
    }))
    .sort((a, b) => b.size - a.size)
    .slice(0, BARS_MAX)
  const most = Math.max(...bars.map(({ size }) => size), 1)
  return (
    <ol className="bar-list">
      {bars.map(({ key, label, size }) => (
        <li key={key}>
          <span className="bar" style={{ transform: `scaleX(${Math.max(0, size) / most})` }} aria-hidden="true" />
          <span className="bar-name">{label}</span>
          <span className="bar-value">{formatCompact(size)}</span>
        </li>
      ))}
    </ol>
  )
}
