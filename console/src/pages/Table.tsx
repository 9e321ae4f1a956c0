// One materialized table: its live rows, its columns, its SQL, and how to read it from outside.
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { ColumnInfo, TableSummary } from '../../../src/serve/contract.ts'
import { columnKind, readableType } from '../api/columns.ts'
import { useLiveTable, usePause } from '../api/live.ts'
import { type LiveRow, parseOrder } from '../api/liveTable.ts'
import { useTables } from '../api/queries.ts'
import { RowsChart } from '../charts/RowsChart.tsx'
import { parseCellFilter } from '../ui/cellFilter.ts'
import { DataGrid } from '../ui/DataGrid.tsx'
import { downloadRows, type ExportFormat, exportRowCountMax, readWholeTable } from '../ui/export.ts'
import { formatAge, formatCell, formatInteger, none } from '../ui/format.ts'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { IfTable, Panel, TableSource } from '../ui/Panel.tsx'
import { Code, ExportButtons, Failure, Modal, PauseButton, Segmented, SkeletonRows, Status, useNow } from '../ui/parts.tsx'

const limits = ['100', '1000', '10000'] as const
/** A filter goes to the server when typing pauses. */
const typingPauseMs = 300

interface Where {
  tests: { index: number; test: (cell: unknown) => boolean }[]
  parameters: [string, string][]
  /** Some of it can only be tested here, over the rows that were loaded. */
  isPartial: boolean
}

function parseWhere(columns: readonly ColumnInfo[], texts: Record<string, string> | undefined): Where {
  const where: Where = { tests: [], parameters: [], isPartial: false }
  columns.forEach((column, index) => {
    const filter = parseCellFilter(texts?.[column.name] ?? '', columnKind(column.type))
    if (!filter) return
    where.tests.push({ index, test: filter.test })
    for (const [suffix, value] of filter.parameters) where.parameters.push([column.name + suffix, value])
    where.isPartial ||= filter.isPartial
  })
  return where
}

/** The value once it has stayed the same for a while. */
function useSettled<T>(value: T, waitMs: number): T {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), waitMs)
    return () => clearTimeout(timer)
  }, [value, waitMs])
  return settled
}

export function Table() {
  const { name } = useParams({ from: '/tables/$name' })
  const summary = useTables(1_000).data?.find((table) => table.name === name)
  return (
    <div className="page">
      <IfTable name={name}>{summary && <LiveTablePage key={name} summary={summary} />}</IfTable>
    </div>
  )
}

function LiveTablePage({ summary }: { summary: TableSummary }) {
  const { name } = summary
  const search = useSearch({ from: '/tables/$name' })
  const navigate = useNavigate({ from: '/tables/$name' })
  const limit = search.limit ?? 1_000
  const where = search.where
  const settledWhere = useSettled(where, typingPauseMs)
  const { tests, parameters, isPartial } = useMemo(() => parseWhere(summary.columns, settledWhere), [summary.columns, settledWhere])
  const time = summary.columns.find(({ type }) => columnKind(type) === 'timestamp')?.name
  // A chart is of the newest rows, unless one wants others.
  const order = search.order ?? (search.view === 'chart' && time !== undefined ? `-${time}` : undefined)
  const live = useLiveTable(name, { order, limit, filters: parameters })
  // While another order or filter is on its way, the old rows stay.
  const lastView = useRef(live)
  if (live.hasData) lastView.current = live
  const { value: view, isPaused, setPaused } = usePause(lastView.current)
  const nowMs = useNow()
  const [opened, setOpened] = useState<LiveRow | null>(null)
  const [exporting, setExporting] = useState<{ isBusy: boolean; error?: unknown; note?: string }>({ isBusy: false })

  const isKept = (cells: readonly unknown[]): boolean => tests.every(({ index, test }) => test(cells[index]))
  // biome-ignore lint/correctness/useExhaustiveDependencies: isKept depends on tests alone
  const rows = useMemo(() => (tests.length > 0 ? view.rows.filter((row) => isKept(row.cells)) : view.rows), [view.rows, tests])

  const setWhere = (column: string, text: string): void => {
    const next = { ...where, [column]: text }
    if (text === '') delete next[column]
    void navigate({ search: (old) => ({ ...old, where: Object.keys(next).length > 0 ? next : undefined }), replace: true })
  }
  const setOrder = (column: string): void => {
    setPaused(false)
    void navigate({ search: (old) => ({ ...old, order: old.order === `-${column}` ? column : `-${column}` }), replace: true })
  }
  const exportRows = (format: ExportFormat): void => {
    setExporting({ isBusy: true })
    readWholeTable(name, search.order, parameters, isKept).then(
      ({ names, rows: all, isCut }) => {
        downloadRows(name, format, names, all)
        setExporting({ isBusy: false, note: isCut ? `Only the first ${formatInteger(exportRowCountMax)} rows were exported.` : '' })
      },
      (error: unknown) => setExporting({ isBusy: false, error }),
    )
  }

  return (
    <>
      <PageHead title={name} parent={{ to: '/tables', label: 'Tables' }} note={summary.comment}>
        <PauseButton isPaused={isPaused} setPaused={setPaused} newCount={lastView.current.changeCount - view.changeCount} what="change" />
        <ExportButtons onExport={exportRows} isBusy={exporting.isBusy} />
      </PageHead>
      <Facts
        facts={[
          ['Rows', formatInteger(summary.rowCount)],
          ['Changes', formatInteger(summary.changeCount)],
          ['Newest change', summary.updatedAtMs === undefined ? none : formatAge(nowMs - summary.updatedAtMs)],
          ['Primary key', <code key="key">{summary.primaryKey.join(', ') || none}</code>],
          ['Subscribers', String(summary.subscriberCount)],
          ['State', <RowState key="state" isPaused={isPaused} isStale={view.isStale} isRefused={live.refusal !== null} link={live.link} />],
        ]}
      />
      {live.refusal && <Failure error={live.refusal} />}
      {exporting.error !== undefined && <Failure error={exporting.error} />}
      {exporting.note && <p className="quiet">{exporting.note}</p>}
      <section className="panel" aria-label="Rows">
        <header>
          <h2>Rows</h2>
          <p className="panel-note">
            {formatInteger(rows.length)} shown
            {view.rows.length >= limit
              ? isPartial
                ? `, among the first ${formatInteger(limit)} in this order`
                : order === search.order
                  ? ', the first in this order'
                  : `, the newest by ${time}`
              : ''}
          </p>
          <div className="panel-actions">
            <Segmented
              label="Show"
              value={search.view ?? 'rows'}
              onChange={(value) =>
                void navigate({ search: (old) => ({ ...old, view: value === 'chart' ? 'chart' : undefined }), replace: true })
              }
              options={[
                { value: 'rows', label: 'Rows' },
                { value: 'chart', label: 'Chart' },
              ]}
            />
            <Segmented
              label="Rows loaded"
              value={String(limit)}
              onChange={(value) => void navigate({ search: (old) => ({ ...old, limit: Number(value) }), replace: true })}
              options={limits.map((value) => ({ value: value as string, label: formatInteger(Number(value)) }))}
            />
          </div>
        </header>
        <div className="panel-body">
          {view.hasData && search.view === 'chart' ? (
            <RowsChart columns={view.columns} rows={rows} isLive />
          ) : view.hasData ? (
            <DataGrid
              label={`Rows of ${name}`}
              columns={view.columns}
              rows={rows}
              order={parseOrder(search.order)}
              onOrder={setOrder}
              filters={where ?? {}}
              onFilter={setWhere}
              height="min(60vh, 640px)"
              onOpen={setOpened}
            />
          ) : (
            !live.refusal && <SkeletonRows count={14} />
          )}
        </div>
      </section>
      {opened && (
        <Modal title={`Row of ${name}`} onClose={() => setOpened(null)}>
          <RowDetail columns={view.columns} row={opened} />
        </Modal>
      )}
      <div className="two-columns">
        <Panel title="Columns">
          <div className="table-scroll">
            <table className="list">
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">Type</th>
                  <th scope="col">Key</th>
                </tr>
              </thead>
              <tbody>
                {summary.columns.map((column) => (
                  <tr key={column.name}>
                    <td>
                      <code>{column.name}</code>
                    </td>
                    <td>
                      <code className="quiet">{readableType(column.type)}</code>
                    </td>
                    <td>{summary.primaryKey.includes(column.name) ? 'primary key' : ''}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
        <Panel title="SQL">
          <TableSource table={name} />
        </Panel>
        <Panel title="From your code" className="wide">
          <Snippets name={name} order={search.order} />
        </Panel>
      </div>
    </>
  )
}

/** Each column on a line of its own, its value whole; as it was when one opened it. */
const RowDetail = ({ columns, row }: { columns: readonly ColumnInfo[]; row: LiveRow }) => (
  <div className="table-scroll">
    <table className="list row-detail">
      <tbody>
        {columns.map(({ name, type }, index) => (
          <tr key={name}>
            <th scope="row" title={readableType(type)}>
              <code>{name}</code>
            </th>
            <td className={row.cells[index] === null ? 'quiet' : undefined}>{formatCell(row.cells[index], columnKind(type))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)

function RowState({ isPaused, isStale, isRefused, link }: { isPaused: boolean; isStale: boolean; isRefused: boolean; link: string }) {
  if (isPaused) return <Status tone="warn">paused</Status>
  if (isRefused) return <Status tone="bad">refused</Status>
  if (link !== 'live') return <Status tone="warn">{link}</Status>
  return isStale ? <Status tone="warn">waiting for rows</Status> : <Status tone="ok">live</Status>
}

function Snippets({ name, order }: { name: string; order: string | undefined }) {
  const query = `${order ? `order=${order}&` : ''}limit=100`
  const path = `/v1/tables/${encodeURIComponent(name)}`
  const socketOrigin = location.origin.replace(/^http/, 'ws')
  const script = `// Rows by primary key: a snapshot, then deltas. Numbers beyond 2^53 come as text.
const url = '${socketOrigin}${path}/live?${query}&numbers=string'
const rows = new Map<string, unknown[]>()
let keyIndexes: number[] = []
let resume = ''

function connect() {
  const socket = new WebSocket(resume ? \`\${url}&resume=\${encodeURIComponent(resume)}\` : url)
  socket.onclose = () => setTimeout(connect, 1_000)
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data)
    const keyOf = (row: unknown[]) => JSON.stringify(keyIndexes.map((index) => row[index]))
    if (frame.type === 'reset') resume = ''
    if (frame.type === 'snapshot') {
      const names = frame.columns.map((column: { name: string }) => column.name)
      keyIndexes = frame.primaryKey.map((key: string) => names.indexOf(key))
      rows.clear()
      for (const row of frame.rows) rows.set(keyOf(row), row)
    }
    if (frame.type === 'delta') {
      for (const { op, row } of frame.changes) {
        if (op === '+I' || op === '+U') rows.set(keyOf(row), row)
        else rows.delete(keyOf(row))
      }
    }
    if (frame.resume) resume = frame.resume
    console.log(rows.size, 'rows')
  }
}
connect()`
  return (
    <div className="stack">
      <Code label="HTTP" text={`curl '${location.origin}${path}?${query}'`} />
      <Code label="TypeScript, WebSocket" text={script} />
    </div>
  )
}
