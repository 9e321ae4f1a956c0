// What a statement gave: rows, the changelog that made them, a chart, and the plan.
import { useEffect, useState } from 'react'
import { columnKind, isNumericKind } from '../../api/columns.ts'
import { usePause } from '../../api/live.ts'
import { RowsChart } from '../../charts/RowsChart.tsx'
import { DataGrid } from '../../ui/DataGrid.tsx'
import { downloadRows } from '../../ui/export.ts'
import { formatCell, formatInteger, formatMs } from '../../ui/format.ts'
import { Badge, Code, Empty, ExportButtons, Failure, PauseButton, Segmented, SkeletonRows, Status } from '../../ui/parts.tsx'
import type { ResultView } from './result.ts'
import { sliceText } from './Slice.tsx'
import type { Run } from './useRun.ts'

type Tab = 'rows' | 'changes' | 'chart' | 'plan'
const tabs = [
  { value: 'rows', label: 'Rows' },
  { value: 'changes', label: 'Changes' },
  { value: 'chart', label: 'Chart' },
  { value: 'plan', label: 'Plan' },
] as const

/** Of a live run the picture can be held: the run goes on in the bounds of `Result`, and what came is shown when the picture goes on. */
export function Results({ run, plan }: { run: Run | null; plan: string | undefined }) {
  const [tab, setTab] = useState<Tab>('rows')
  const { value: view, isPaused, setPaused } = usePause(run?.view)
  const isGoing = run?.state === 'running' && run.mode !== 'end'
  const newCount = isPaused ? (run?.view?.changeCount ?? 0) - (view?.changeCount ?? 0) : 0
  // Another run has a picture of its own; of one that has ended nothing more will come.
  // biome-ignore lint/correctness/useExhaustiveDependencies: a run is known by when it began
  useEffect(() => setPaused(false), [run?.startedMs])
  useEffect(() => {
    if (isPaused && !isGoing && newCount === 0) setPaused(false)
  }, [isPaused, isGoing, newCount, setPaused])
  const hasPause = run?.view !== undefined && (isGoing || isPaused)
  useEffect(() => {
    if (!hasPause) return
    const onKey = (event: KeyboardEvent): void => {
      if (!event.altKey || !event.shiftKey || event.code !== 'KeyP') return
      event.preventDefault()
      setPaused(!isPaused)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [hasPause, isPaused, setPaused])
  return (
    <section className="panel sql-results" aria-label="Result">
      <header>
        <Segmented label="Show" value={tab} options={tabs} onChange={setTab} />
        {run && <RunStatus run={run} view={view} isPaused={isPaused} />}
        {view && (
          <span className="panel-actions">
            {hasPause && (
              <PauseButton
                isPaused={isPaused}
                setPaused={setPaused}
                newCount={newCount}
                what="change"
                resume={isGoing ? 'Resume' : 'Show the rest'}
                keys="Alt+Shift+P"
              />
            )}
            <ExportButtons
              onExport={(format) =>
                downloadRows(
                  'result',
                  format,
                  view.columns.map(({ name }) => name),
                  view.rows.map(({ cells }) => cells),
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
        ) : view ? (
          <Shown tab={tab} view={view} isLive={run.mode !== 'end'} />
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

function RunStatus({ run, view, isPaused }: { run: Run; view: ResultView | undefined; isPaused: boolean }) {
  const { state, tookMs, mode } = run
  const tone = { running: mode === 'end' ? 'warn' : 'ok', stopped: 'quiet', done: 'ok', failed: 'bad' } as const
  const words = {
    running: mode === 'end' ? 'running' : 'live',
    stopped: 'stopped',
    done: 'done',
    failed: 'failed',
  }
  return (
    <span className="quiet">
      {/* Figures that go on are not said aloud. */}
      <span role="status">
        <Status tone={tone[state]}>{words[state]}</Status>
      </span>
      {run.slice && ` · ${sliceText(run.slice)}`}
      {view && ` · ${formatInteger(view.rows.length)} rows`}
      {view && mode !== 'end' && `, ${formatInteger(view.changeCount)} changes`}
      {tookMs !== undefined && !isPaused && ` · ${formatMs(tookMs)}`}
      {view && view.skipped > 0 && <span className="warn"> · {formatInteger(view.skipped)} left out to keep up: Run gives them all</span>}
      {view?.isCut && <span className="warn"> · oldest rows left out</span>}
    </span>
  )
}

function Shown({ tab, view, isLive }: { tab: Exclude<Tab, 'plan'>; view: ResultView; isLive: boolean }) {
  const { columns, rows } = view
  switch (tab) {
    case 'rows':
      return rows.length > 0 ? <DataGrid label="Rows" columns={columns} rows={rows} height="min(46vh, 480px)" /> : <NoRows />
    case 'changes':
      return <Changes view={view} />
    case 'chart':
      return rows.length > 0 ? <RowsChart columns={columns} rows={rows} isLive={isLive} /> : <NoRows />
  }
}

const NoRows = () => (
  <Empty title="No rows yet">
    A window gives its rows when event time passes its end. <b>Why</b> a running query is silent is on its page.
  </Empty>
)

function Changes({ view: { columns, changes } }: { view: ResultView }) {
  const kinds = columns.map(({ type }) => columnKind(type))
  if (changes.length === 0) return <NoRows />
  return (
    <div className="table-scroll sql-changes">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Kind</th>
            {columns.map(({ name }, index) => (
              <th key={name} scope="col" className={isNumericKind(kinds[index]!) ? 'number' : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {changes.slice(0, 200).map(({ id, op, cells }) => (
            <tr key={id}>
              <td>
                <Badge tone={op === '-D' || op === '-U' ? 'bad' : 'ok'}>{op}</Badge>
              </td>
              {cells.map((cell, index) => (
                <td key={columns[index]!.name} className={isNumericKind(kinds[index]!) ? 'number' : undefined}>
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
