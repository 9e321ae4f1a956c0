// What a query remembers: its operators, and of one of them the keys with their rows, and until when. The address has the operator and the key.
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useState } from 'react'
import type { ColumnInfo, OperatorState, QueryState, StateEntries, StateOperator } from '../../../../src/serve/contract.ts'
import { apiGet } from '../../api/client.ts'
import { columnKind, isNumericKind, readableType } from '../../api/columns.ts'
import { useQueryHistory } from '../../api/figures.ts'
import { stringifyExact } from '../../api/json.ts'
import { formatBytes, formatDate, formatDateTime, formatDayMinute, formatInteger, formatSpan, formatTime, none } from '../../ui/format.ts'
import { Badge, CopyButton, Empty, Failure, Waiting } from '../../ui/parts.tsx'
import { FactTable, LINE_LENGTH_MAX } from './FactTable.tsx'
import { Metrics, stateChart } from './Metrics.tsx'

type Key = Record<string, string | number | boolean | null>

const statePath = (id: string): string => `/v1/queries/${encodeURIComponent(id)}/state`
const KEYS = 50
/** A limit far above what there is would press the line of the state flat. */
const LIMIT_NEAR = 20

export function StateBrowser({ id }: { id: string }) {
  const { operator: chosen } = useSearch({ from: '/queries/$id' })
  const { data, error } = useQuery({
    queryKey: ['state', id],
    queryFn: ({ signal }) => apiGet<QueryState>(statePath(id), signal),
    refetchInterval: 2_000,
  })
  if (!data) return <Waiting refusal={error} count={4} />
  if (data.operators.length === 0)
    return <Empty title="It remembers nothing">No operator of this query keeps rows: it looks at one row at a time.</Empty>
  const operator = data.operators.find((one) => one.id === chosen) ?? (data.operators.length === 1 ? data.operators[0] : undefined)
  return (
    <div className="stack">
      {error && <Failure error={error} />}
      <p className="quiet">
        {formatBytes(data.stateBytes)} in memory{data.spilledBytes > 0 && `, ${formatBytes(data.spilledBytes)} on the disk`}. All queries
        and tables use {formatBytes(data.budget.usedBytes)} of the budget of {formatBytes(data.budget.limitBytes)}; state beyond it goes to
        the disk.
      </p>
      <Operators state={data} chosen={operator?.id} />
      {operator ? <Keys key={operator.id} id={id} operator={operator} /> : <p className="quiet">Choose an operator to see its keys.</p>}
      <Trend id={id} limitBytes={data.budget.limitBytes} />
    </div>
  )
}

function Trend({ id, limitBytes }: { id: string; limitBytes: number }) {
  const { data } = useQueryHistory(id)
  const most = Math.max(0, ...(data?.series.stateBytes ?? []).map((bytes) => bytes ?? 0))
  const isNear = most * LIMIT_NEAR >= limitBytes
  const chart = {
    ...stateChart,
    note: isNear ? undefined : `far below the budget of ${formatBytes(limitBytes)}`,
    limit: isNear ? { label: 'Budget of all', value: limitBytes, color: '--bad' as const } : undefined,
  }
  return <Metrics id={id} charts={[chart]} />
}

const keptWords: Record<StateEntries['kept']['by'], string> = {
  ttl: 'time to live',
  eventTime: 'event time',
  clock: 'the clock',
  query: 'the query',
}

function Operators({ state: { query, operators }, chosen }: { state: QueryState; chosen: number | undefined }) {
  const total = operators.reduce((sum, { stateBytes, spilledBytes }) => sum + stateBytes + spilledBytes, 0)
  return (
    <FactTable
      heads={['Operator', 'Holds', 'By key', '#Rows', '#In memory', '#On the disk', '#Share', 'Kept by', 'What it does']}
      rows={operators
        .toSorted((a, b) => b.stateBytes + b.spilledBytes - a.stateBytes - a.spilledBytes)
        .map(({ id, node, tables, stateRows, stateBytes, spilledBytes, label }) => [
          <Link
            key="operator"
            to="/queries/$id"
            params={{ id: query }}
            search={{ tab: 'state', operator: id }}
            aria-current={id === chosen ? 'true' : undefined}
            className="nowrap"
          >
            {id === chosen ? <b>{`${id} ${node}`}</b> : `${id} ${node}`}
          </Link>,
          tables.map(({ name }) => name).join(', '),
          tables[0]?.key.map(({ name }) => name).join(', ') || 'none',
          formatInteger(stateRows),
          formatBytes(stateBytes),
          spilledBytes > 0 ? formatBytes(spilledBytes) : none,
          total > 0 ? `${Math.round(((stateBytes + spilledBytes) / total) * 100)} %` : none,
          [...new Set(tables.map(({ kept }) => keptWords[kept.by]))].join(', '),
          <code key="label">{label}</code>,
        ])}
    />
  )
}

/** The keys of one operator: the first of them, or the one that is asked for. */
function Keys({ id, operator }: { id: string; operator: StateOperator }) {
  const { key } = useSearch({ from: '/queries/$id' })
  const look = new URLSearchParams({ limit: String(KEYS) })
  if (key) look.set('key', stringifyExact(key))
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ['state', id, operator.id, look.toString()],
    queryFn: ({ signal }) => apiGet<OperatorState>(`${statePath(id)}/${operator.id}?${look}`, signal),
    refetchInterval: 5_000,
    placeholderData: keepPreviousData,
  })
  const { waitingRows } = operator
  return (
    <section className="stack" aria-label={`What operator ${operator.id} holds`} aria-busy={isPlaceholderData}>
      <h3>
        {operator.id} {operator.node}{' '}
        <small className="quiet">{operator.watermarkMs !== undefined && `watermark ${formatDateTime(operator.watermarkMs)}`}</small>
      </h3>
      <Look id={id} operator={operator} value={key} />
      {error && <Failure error={error} />}
      {waitingRows > 0 && (
        <p className="quiet">{formatInteger(waitingRows)} rows of the last second wait for state on the disk: they are not in it yet.</p>
      )}
      {data && !error && (
        <>
          {data.tables.map((table) => (
            <Entries key={table.name} id={id} state={data} table={table} isLook={key !== undefined} />
          ))}
          {!data.isComplete && <p className="quiet">Nothing indexes this key: only a part of the rows was looked through.</p>}
        </>
      )}
      {!data && !error && <Waiting refusal={undefined} count={3} />}
    </section>
  )
}

/** A field for each column of the key. An empty one is the empty text; NULL is found by a click on a key that has it. */
function Look({ id, operator, value }: { id: string; operator: StateOperator; value: Key | undefined }) {
  const navigate = useNavigate({ from: '/queries/$id' })
  const columns = (operator.tables[0]?.key ?? []).map(({ name }) => name)
  const [typed, setTyped] = useState<Key>({})
  const [shown, setShown] = useState(value)
  // Another key was chosen in the list, or by Back.
  if (shown !== value) {
    setShown(value)
    setTyped({})
  }
  const given = { ...value, ...typed }
  if (columns.length === 0) return <p className="quiet">It has no key: all rows meet in one place.</p>
  const go = (key: Key | undefined) =>
    void navigate({ params: { id }, search: { tab: 'state', operator: operator.id, ...(key && { key }) } })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    go(Object.fromEntries(columns.map((column) => [column, given[column] === undefined ? '' : given[column]])))
  }
  return (
    <form className="filters" onSubmit={submit} aria-label="Find a key">
      {columns.map((column) => (
        <label key={column} className="filter-label">
          <span className="quiet">{column}</span>
          <input
            type="search"
            className="filter"
            aria-label={`Exact ${column}`}
            placeholder={given[column] === null ? 'NULL' : 'an exact value'}
            value={given[column] === undefined || given[column] === null ? '' : String(given[column])}
            onChange={(event) => setTyped({ ...typed, [column]: event.target.value })}
          />
        </label>
      ))}
      <button type="submit" className="button">
        Find key
      </button>
      {value && (
        <button type="button" className="button" onClick={() => go(undefined)}>
          First keys
        </button>
      )}
    </form>
  )
}

const isScalar = (value: unknown): value is Key[string] | bigint => value === null || typeof value !== 'object'

const Value = ({ value }: { value: unknown }) =>
  value === null ? (
    <span className="quiet">NULL</span>
  ) : typeof value === 'object' ? (
    <code>{stringifyExact(value)}</code>
  ) : (
    <span className={String(value).length <= LINE_LENGTH_MAX ? 'nowrap' : undefined}>{String(value)}</span>
  )

/** Columns of the rows that are not in the key already; of equal names each has its own. */
function shownColumns({ key, value }: Pick<StateEntries, 'key' | 'value'>): { heads: string[]; places: number[] } {
  const heads = key.map(({ name }) => name)
  const places: number[] = []
  value.forEach(({ name }, i) => {
    if (key.some((one) => one.name === name)) return
    let head = name
    for (let n = 2; heads.includes(head); n++) head = `${name} (${n})`
    heads.push(head)
    places.push(i)
  })
  return { heads, places }
}

function Entries({ id, state, table, isLook }: { id: string; state: OperatorState; table: StateEntries; isLook: boolean }) {
  const { name, kept, key, value, entries, keyCount, isAbout } = table
  const { operator, atMs } = state
  const { heads, places } = shownColumns(table)
  const columns = [...key, ...places.map((place) => value[place] as ColumnInfo)]
  const hasUntil = entries.some(({ rows }) => rows.some(({ untilMs }) => untilMs !== undefined))
  const marked = heads.map((head, i) => (isNumericKind(columnKind(columns[i]!.type)) ? `#${head}` : head))
  const total =
    keyCount === undefined
      ? `the operator holds ${formatInteger(operator.stateRows)} rows`
      : `${isAbout ? 'about ' : ''}${formatInteger(keyCount)} ${keyCount === 1 ? 'key' : 'keys'}`
  const keyCell = (values: readonly unknown[], i: number) =>
    i === 0 && values.every(isScalar) ? (
      <KeyLink id={id} operator={operator.id} columns={key} values={values} isLook={isLook} />
    ) : (
      <Value value={values[i]} />
    )
  const rowsOf = (entry: StateEntries['entries'][number]): ReactNode[][] => {
    const copied = (values: readonly unknown[]) =>
      Object.fromEntries([
        ...key.map((one, i) => [one.name, entry.key[i]]),
        ...places.map((place, i) => [heads[key.length + i], values[place]]),
      ])
    const rows = entry.rows.map(({ values, untilMs }): ReactNode[] => [
      ...key.map(({ name }, i) => <span key={name}>{keyCell(entry.key, i)}</span>),
      ...places.map((place) => <Value key={place} value={values[place]} />),
      ...(hasUntil ? [<Until key="until" untilMs={untilMs} by={kept.by} watermarkMs={operator.watermarkMs} atMs={atMs} />] : []),
      <CopyButton key="copy" label={`Copy this row of ${name}`} text={stringifyExact(copied(values))} />,
    ])
    if (entry.rowCount === entry.rows.length) return rows
    const more = entry.rowCount === undefined ? 'very many more rows' : `${formatInteger(entry.rowCount - entry.rows.length)} more rows`
    const note = (
      <span key="more">
        {key.length > 0 && keyCell(entry.key, 0)} <Badge>{more}</Badge>
      </span>
    )
    return [...rows, [note, ...Array.from({ length: marked.length - 1 + (hasUntil ? 1 : 0) }, () => ''), '']]
  }
  return (
    <section className="stack" aria-label={name}>
      <p>
        <b>{name}</b>{' '}
        <span className="quiet">
          {!isLook && entries.length > 0 && (keyCount === entries.length ? `${total}. ` : `the first ${entries.length} of ${total}. `)}
          {kept.text}
        </span>
      </p>
      {entries.length === 0 ? (
        <NoEntries id={id} operator={operator} isLook={isLook} />
      ) : (
        <FactTable heads={[...marked, ...(hasUntil ? ['Until'] : []), '']} rows={entries.flatMap(rowsOf)} />
      )}
      {entries.length > 0 && <p className="quiet">{columns.map(({ name, type }) => `${name} ${readableType(type)}`).join(', ')}</p>}
    </section>
  )
}

function KeyLink({
  id,
  operator,
  columns,
  values,
  isLook,
}: {
  id: string
  operator: number
  columns: readonly ColumnInfo[]
  values: readonly unknown[]
  isLook: boolean
}) {
  const [first] = values
  if (isLook || columns.length === 0 || !values.every(isScalar)) return <Value value={first} />
  const key = Object.fromEntries(columns.map(({ name }, i) => [name, typeof values[i] === 'bigint' ? String(values[i]) : values[i]])) as Key
  return (
    <Link
      to="/queries/$id"
      params={{ id }}
      search={{ tab: 'state', operator, key }}
      aria-label={`The key ${values.map(String).join(', ')}`}
    >
      {first === null ? 'NULL' : first === '' ? "''" : String(first)}
    </Link>
  )
}

/** As much of it as tells it from a time near it; the whole is there for who points at it, and in the row that has the focus. */
function shortTime(ms: number, nearMs: number | undefined): string {
  if (nearMs === undefined || formatDate(ms).slice(0, 4) !== formatDate(nearMs).slice(0, 4)) return formatDate(ms)
  return formatDate(ms) === formatDate(nearMs) ? formatTime(ms) : formatDayMinute(ms)
}

/** By event time: at which watermark, and how much of it is missing; by the clock: how long from now. */
function Until({
  untilMs,
  by,
  watermarkMs,
  atMs,
}: {
  untilMs: number | undefined
  by: StateEntries['kept']['by']
  watermarkMs: number | undefined
  atMs: number
}) {
  if (untilMs === undefined) return <span className="quiet">{none}</span>
  if (by === 'eventTime')
    return (
      <span className="short-time is-event">
        <span aria-hidden>{shortTime(untilMs, watermarkMs)}</span>
        <span className="full">watermark {formatDateTime(untilMs)}</span>
        {watermarkMs !== undefined && untilMs > watermarkMs && (
          <small className="quiet"> {formatSpan(untilMs - watermarkMs)} missing</small>
        )}
      </span>
    )
  return untilMs <= atMs ? <Badge>over: gone when its key is touched</Badge> : <span>in {formatSpan(untilMs - atMs)}</span>
}

function NoEntries({ id, operator, isLook }: { id: string; operator: StateOperator; isLook: boolean }) {
  if (isLook) return <Empty title="Nothing of this key">It has not come, or what it had was taken back or has been forgotten.</Empty>
  if (operator.rowsIn === 0)
    return (
      <Empty title="Nothing has come to it yet">
        Why not says the tab{' '}
        <Link to="/queries/$id" params={{ id }} search={{ tab: 'why' }}>
          Why
        </Link>
        .
      </Empty>
    )
  return <p className="quiet">Nothing now: what came was given out and forgotten, or was taken back.</p>
}
