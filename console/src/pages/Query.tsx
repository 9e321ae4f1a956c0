// One query: its state and numbers, its error with what to do, its SQL, and the table that it keeps.
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { lazy, type ReactNode, Suspense } from 'react'
import type { QuerySummary, QueryWhy } from '../../../src/serve/contract.ts'
import { useWhy } from '../api/queries.ts'
import { type QueryTab, queryTabs } from '../router.tsx'
import { formatAge, formatBytes, formatClockZone, formatInteger, formatRate, none } from '../ui/format.ts'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { Panel } from '../ui/Panel.tsx'
import { Empty, Failure, Segmented, SkeletonRows, useNow, Waiting } from '../ui/parts.tsx'
import { Forecasts } from './observe/Forecasts.tsx'
import { checkpointAge, formatWatermark, ProjectProblem, QueryState, useLiveQueries, watermarkLag } from './Queries.tsx'
import { Checkpoints } from './query/Checkpoints.tsx'
import { Control } from './query/Control.tsx'
import { Definition } from './query/Definition.tsx'
import { LateRows, Threads, Watermarks, Windows } from './query/Facts.tsx'
import { History, useHistory } from './query/History.tsx'
import { Metrics } from './query/Metrics.tsx'
import { Output } from './query/Output.tsx'
import { StateBrowser } from './query/StateBrowser.tsx'
import { Tests } from './query/Tests.tsx'
import { Why } from './query/Why.tsx'

const Versions = lazy(async () => ({ default: (await import('./query/Versions.tsx')).Versions }))
const Graph = lazy(async () => ({ default: (await import('./query/Graph.tsx')).Graph }))

export function Query() {
  const { id } = useParams({ from: '/queries/$id' })
  const { queries, error } = useLiveQueries()
  const query = queries?.find((one) => one.id === id)
  return (
    <div className="page">
      {!queries && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {queries && !query && <ProjectProblem />}
      {queries && !query && (
        <Empty title={`No query ${id}`}>
          It may have been renamed or stopped. <Link to="/queries">All queries</Link>
        </Empty>
      )}
      {query && <QueryPage key={id} query={query} />}
    </div>
  )
}

function QueryPage({ query }: { query: QuerySummary }) {
  const nowMs = useNow()
  return (
    <>
      <PageHead title={query.name} parent={{ to: '/queries', label: 'Queries' }}>
        <Control query={query} isTable={query.target.kind === 'table'} />
      </PageHead>
      <Facts
        facts={[
          ['Status', <QueryState key="state" query={query} />],
          ['Rows in', `${formatInteger(query.rowsIn)} (${formatRate(query.rowsInPerSecond)}/s)`],
          ['Rows out', `${formatInteger(query.rowsOut)} (${formatRate(query.rowsOutPerSecond)}/s)`],
          ['Late rows', formatInteger(query.lateRows)],
          [
            'Watermark (event time)',
            <span key="watermark" className="is-event">
              {formatWatermark(query.watermarkMs)}
            </span>,
          ],
          ['Behind the clock', watermarkLag(query, nowMs)],
          ['State', formatBytes(query.stateBytes)],
          ['Threads', formatInteger(query.parallelism)],
          ['Restarts', formatInteger(query.restarts)],
          ['Checkpoint', checkpointAge(query, nowMs)],
          ['Writes to', <Target key="target" target={query.target} />],
          ['Deployed', <Deployed key="deployed" id={query.id} nowMs={nowMs} />],
        ]}
      />
      {query.error && <Failure error={query.error} />}
      <Tabs query={query} />
    </>
  )
}

/** Its owner, as far as it is known: who deployed the text that runs. */
function Deployed({ id, nowMs }: { id: string; nowMs: number }) {
  const current = useHistory(id).data?.versions.find(({ isCurrent }) => isCurrent)
  if (!current) return <>{none}</>
  const { version, atMs, by } = current
  return (
    <Link to="/queries/$id" params={{ id }} search={{ tab: 'history' }} title={`Version ${version}, ${formatClockZone(atMs)}`}>
      {by ?? `version ${version}`}, {formatAge(Math.max(0, nowMs - atMs))}
    </Link>
  )
}

function Target({ target: { kind, name } }: Pick<QuerySummary, 'target'>) {
  if (kind === 'table')
    return (
      <Link to="/tables/$name" params={{ name }}>
        {name}
      </Link>
    )
  if (kind === 'topic')
    return (
      <Link to="/topics/$name" params={{ name }}>
        {name}
      </Link>
    )
  return <>{name}</>
}

const tabLabels: Record<QueryTab, string> = {
  why: 'Why',
  graph: 'Graph',
  output: 'Output',
  watermarks: 'Watermarks',
  windows: 'Windows',
  state: 'State',
  threads: 'Threads',
  late: 'Late rows',
  metrics: 'Metrics',
  checkpoints: 'Checkpoints',
  history: 'History',
  versions: 'Versions',
  tests: 'Tests',
  sql: 'Definition & config',
}
const shownBy: Record<
  Exclude<QueryTab, 'sql' | 'output' | 'metrics' | 'checkpoints' | 'history' | 'versions' | 'tests'>,
  (why: QueryWhy) => ReactNode
> = {
  why: (why) => <Why why={why} />,
  graph: (why) => (
    <Suspense fallback={<SkeletonRows />}>
      <Graph why={why} />
    </Suspense>
  ),
  watermarks: (why) => <Watermarks why={why} />,
  windows: (why) => <Windows why={why} />,
  state: (why) => (
    <div className="stack">
      <StateBrowser id={why.query} />
      <section className="stack" aria-label="When it is full">
        <h3>When it is full, at the growth of the last hour</h3>
        <Forecasts query={why.query} />
      </section>
    </div>
  ),
  threads: (why) => <Threads why={why} />,
  late: (why) => <LateRows why={why} />,
}

function Tabs({ query }: { query: QuerySummary }) {
  const { tab = 'why' } = useSearch({ from: '/queries/$id' })
  const navigate = useNavigate({ from: '/queries/$id' })
  const { data: why, error } = useWhy(query.id)
  return (
    <>
      <Segmented
        label="Show"
        value={tab}
        options={queryTabs.map((value) => ({ value, label: tabLabels[value] }))}
        onChange={(value) => void navigate({ search: { tab: value }, replace: true })}
      />
      <Panel
        title={tab === 'why' ? 'Why no output' : tabLabels[tab]}
        note={why && `${formatInteger(why.rowsIn)} rows in, ${formatInteger(why.rowsOut)} out`}
      >
        {tab === 'sql' ? (
          <Definition id={query.id} isTable={query.target.kind === 'table'} />
        ) : tab === 'metrics' ? (
          <Metrics id={query.id} />
        ) : tab === 'output' ? (
          <Output target={query.target} rowsOut={query.rowsOut} />
        ) : tab === 'checkpoints' ? (
          <Checkpoints id={query.id} />
        ) : tab === 'history' ? (
          <History id={query.id} />
        ) : tab === 'versions' ? (
          <Suspense fallback={<SkeletonRows />}>
            <Versions id={query.id} />
          </Suspense>
        ) : tab === 'tests' ? (
          <Tests id={query.id} />
        ) : why ? (
          shownBy[tab](why)
        ) : (
          <Waiting refusal={error} count={4} />
        )}
      </Panel>
    </>
  )
}
