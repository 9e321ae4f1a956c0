// Deploying: the text becomes a file of the project. First what would change, then the change, then a way back.
import { useMutation, useQuery } from '@tanstack/react-query'
import { useId, useState } from 'react'
import type { DeployReport, ProjectFile, QueryDiff, ScriptDiff, StateForecast } from '../../../../src/serve/contract.ts'
import { apiGet, apiSend } from '../../api/client.ts'
import { useForecasts } from '../../api/figures.ts'
import { queryClient } from '../../api/queries.ts'
import { formatBytes, formatClock, formatDuration, formatInteger } from '../../ui/format.ts'
import { Code, Failure, Modal, SkeletonRows, Status } from '../../ui/parts.tsx'
import { FactTable } from '../query/FactTable.tsx'

export const useProjectFiles = () =>
  useQuery({ queryKey: ['files'], queryFn: ({ signal }) => apiGet<ProjectFile[]>('/v1/project/files', signal), retry: false })

/** All that one sees may have changed; what a dry run said of the files before has not. */
const seeAnew = () => queryClient.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'deploy' })

interface Change {
  name: string
  /** null removes the file. */
  text: string | null
  version: string | null
}
const send = ({ name, text, version }: Change, dryRun: boolean): Promise<DeployReport> =>
  apiSend(
    text === null ? 'DELETE' : 'PUT',
    `/v1/project/files/${encodeURIComponent(name)}${dryRun ? '?dryRun=true' : ''}`,
    text === null ? { version } : { text, version },
  )

export function Deploy({
  text,
  fileName,
  onClose,
  onDeployed,
}: {
  text: string
  fileName: string
  onClose: () => void
  onDeployed: (name: string) => void
}) {
  const [name, setName] = useState(fileName)
  const files = useProjectFiles()
  const known = files.data?.find((file) => file.name === name)
  const change: Change = { name, text, version: known?.version ?? null }
  const dry = useQuery({
    queryKey: ['deploy', name, text, change.version],
    queryFn: () => send(change, true),
    enabled: files.data !== undefined && name !== '',
    retry: false,
    gcTime: 0,
  })
  const deployed = useMutation({ mutationFn: (wanted: Change) => send(wanted, false), onSettled: seeAnew })
  const undo = useMutation({
    mutationFn: async () => {
      const now = (await apiGet<ProjectFile[]>('/v1/project/files')).find((file) => file.name === name)
      return send({ name, text: before, version: now?.version ?? null }, false)
    },
    onSettled: seeAnew,
  })
  /** What the file held before: null if there was none. */
  const [before, setBefore] = useState<string | null>(null)
  const id = useId()
  const hasErrors = (dry.data?.errors.length ?? 0) > 0
  return (
    <Modal title="Deploy" onClose={onClose} className="deploy">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault()
          setBefore(known?.text ?? null)
          deployed.mutate(change, { onSuccess: () => onDeployed(name) })
        }}
      >
        <label htmlFor={id}>File of the project</label>
        <input
          id={id}
          className="filter deploy-name"
          value={name}
          list={`${id}-files`}
          spellCheck={false}
          disabled={deployed.isSuccess}
          onChange={(event) => setName(event.target.value.trim())}
        />
        <datalist id={`${id}-files`}>
          {files.data?.map((file) => (
            <option key={file.name} value={file.name} />
          ))}
        </datalist>
        <p className="quiet">
          {known
            ? 'Replaces the file; queries whose plan stays the same go on untouched.'
            : 'A new file: its queries begin at the start of their topics.'}
        </p>
        {files.error && <Failure error={files.error} />}
        {deployed.isSuccess ? (
          <>
            <Report report={undo.data ?? deployed.data} isDone />
            {undo.error && <Failure error={undo.error} />}
          </>
        ) : dry.data ? (
          <Report report={dry.data} />
        ) : dry.error ? (
          <Failure error={dry.error} />
        ) : (
          files.data && <SkeletonRows count={3} />
        )}
        {deployed.error && <Failure error={deployed.error} />}
        {!deployed.isSuccess && dry.data && !hasErrors && <Comparison name={name} text={text} />}
        <div className="page-actions">
          {deployed.isSuccess ? (
            <button type="button" className="button" disabled={undo.isPending || undo.isSuccess} onClick={() => undo.mutate()}>
              {undo.isSuccess ? 'Undone' : 'Undo'}
            </button>
          ) : (
            <button type="submit" className="button primary" disabled={!dry.data || hasErrors || deployed.isPending}>
              Deploy
            </button>
          )}
        </div>
      </form>
    </Modal>
  )
}

function Report({ report, isDone = false }: { report: DeployReport; isDone?: boolean }) {
  const { started, kept, stopped, restored, notices, errors } = report
  const lines = [
    ['ok', isDone ? 'started' : 'will start anew', started],
    ['ok', 'go on from their state', restored.map(({ query }) => query)],
    ['quiet', isDone ? 'unchanged' : 'stay as they are', kept],
    ['bad', isDone ? 'stopped' : 'will stop; their tables go', stopped],
  ] as const
  return (
    <ul className="deploy-report" aria-live="polite">
      {lines
        .filter(([, , names]) => names.length > 0)
        .map(([tone, words, names]) => (
          <li key={words}>
            <Status tone={tone}>
              {words}: <code>{names.join(', ')}</code>
            </Status>
          </li>
        ))}
      {notices.map((notice) => (
        <li key={notice} className="quiet">
          {notice}
        </li>
      ))}
      {errors.map(({ file, error }) => (
        <li key={file + error.message}>
          <Failure
            error={{
              ...error,
              message: `${file}${error.position ? `:${error.position.line}:${error.position.column}` : ''} ${error.message.replace(/^line \d+, column \d+: /, '')}`,
            }}
          />
        </li>
      ))}
    </ul>
  )
}

const spans = [
  { since: '10m', label: 'the last 10 minutes' },
  { since: '1h', label: 'the last hour' },
  { since: '1d', label: 'the last day' },
  { since: 'earliest', label: 'all records' },
]
const ROWS_SHOWN = 5

/** The new text beside what runs, over the same records. */
export function Comparison({ name, text }: { name: string; text: string }) {
  const [since, setSince] = useState('1h')
  const compare = useMutation({
    mutationFn: () => apiSend<ScriptDiff>('POST', '/v1/queries/diff', { file: name, sql: text, since, numbers: 'string' }),
  })
  const forecast = useMutation({
    mutationFn: () => apiSend<StateForecast>('POST', '/v1/queries/forecast', { file: name, sql: text, since }),
  })
  return (
    <div className="stack comparison">
      <div className="page-actions">
        <select className="filter" aria-label="Compare over" value={since} onChange={({ target }) => setSince(target.value)}>
          {spans.map((span) => (
            <option key={span.since} value={span.since}>
              {span.label}
            </option>
          ))}
        </select>
        <button type="button" className="button" disabled={compare.isPending} onClick={() => compare.mutate()}>
          {compare.isPending ? 'Comparing …' : 'Compare with what runs'}
        </button>
        <button type="button" className="button" disabled={forecast.isPending} onClick={() => forecast.mutate()}>
          {forecast.isPending ? 'Measuring …' : 'Forecast its state'}
        </button>
      </div>
      {forecast.error && <Failure error={forecast.error} />}
      {forecast.data && <StateAhead forecast={forecast.data} />}
      {compare.error && <Failure error={compare.error} />}
      {compare.data?.queries.map((diff) => (
        <Difference key={diff.query} diff={diff} records={compare.data.records} />
      ))}
    </div>
  )
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** What each query held after the records that were chosen, how it grows, and what that means for the memory that there is. */
function StateAhead({ forecast: { queries, records, firstMs, lastMs } }: { forecast: StateForecast }) {
  const memory = useForecasts().data?.memory
  const freeBytes = memory?.limitBytes === undefined ? undefined : Math.max(0, memory.limitBytes - memory.usedBytes)
  if (queries.length === 0) return <p className="quiet">No plan is new: all go on with the state that they have.</p>
  return (
    <section className="stack" aria-label="State forecast">
      <p className="quiet">
        {records === 0
          ? 'There is no record in this time to measure with.'
          : `Measured over ${formatInteger(records)} records of ${formatDuration((lastMs - firstMs) / 1_000)}.`}
      </p>
      <ul className="deploy-report">
        {queries.map(({ query, recordsRead, stateRows, stateBytes, bytesPerHour, operators }) => {
          const fullInMs = bytesPerHour && freeBytes !== undefined ? ((freeBytes - stateBytes) / bytesPerHour) * HOUR_MS : undefined
          const isNear = freeBytes !== undefined && (stateBytes > freeBytes || (fullInMs !== undefined && fullInMs < DAY_MS))
          return (
            <li key={query} title={operators.map(({ label, stateBytes: bytes }) => `${label}: ${formatBytes(bytes)}`).join('\n')}>
              <Status tone={isNear ? 'warn' : 'ok'}>
                <code>{query}</code>: {formatBytes(stateBytes)} of state, {formatInteger(stateRows)} {stateRows === 1 ? 'row' : 'rows'}
                {stateRows > 0 && ` of ${formatBytes(stateBytes / stateRows)}`}
                {recordsRead < records && `, after ${formatInteger(recordsRead)} of the records: it took too long to read them all`}
                {bytesPerHour === 0 && '; steady'}
                {bytesPerHour !== undefined && bytesPerHour > 0 && `; +${formatBytes(bytesPerHour)} an hour`}
                {fullInMs !== undefined &&
                  (fullInMs <= 0
                    ? ', more than the memory that is free'
                    : `, the memory that is free is full in ${formatDuration(fullInMs / 1_000)}`)}
              </Status>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

function Difference({ diff, records }: { diff: QueryDiff; records: number }) {
  const { query, state, counts, columns, oldColumns, changed, onlyOld, onlyNew, first } = diff
  const names = columns.map((column) => column.name)
  const inOldOrder = (row: readonly unknown[]) => names.map((column) => row[oldColumns.findIndex((old) => old.name === column)])
  const rows = [
    ...changed.flatMap(({ before, after }) => [
      ['−', ...inOldOrder(before)],
      ['+', ...after],
    ]),
    ...onlyOld.map((row) => ['−', ...inOldOrder(row)]),
    ...onlyNew.map((row) => ['+', ...row]),
  ].slice(0, 2 * ROWS_SHOWN)
  const isSame = counts.changed + counts.onlyOld + counts.onlyNew === 0
  return (
    <section className="stack" aria-label={`Difference of ${query}`}>
      <Status tone={state === 'new' || isSame ? 'ok' : 'warn'}>
        <code>{query}</code>:{' '}
        {state === 'new'
          ? `new, ${formatInteger(counts.new)} rows`
          : `${formatInteger(counts.same)} rows the same, ${formatInteger(counts.changed)} changed, ${formatInteger(counts.onlyOld)} only before, ${formatInteger(counts.onlyNew)} only after`}
        {` (${formatInteger(records)} records)`}
      </Status>
      {state !== 'new' && rows.length > 0 && (
        <FactTable heads={['', ...names]} rows={rows.map((row) => row.map((cell) => (cell === null ? 'NULL' : String(cell ?? ''))))} />
      )}
      {first && (
        <Code
          label={`The first record that makes a difference: ${first.topic} ${first.partition}/${first.offset}, ${formatClock(first.timestampMs)}`}
          text={first.value ?? 'no value'}
        />
      )}
    </section>
  )
}
