// Checkpoints of a query: the last ones with their cost, what failed and why, and savepoints, which one can take and delete here.
import { useMutation, useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import type { QueryCheckpoints, SavepointInfo } from '../../../../src/serve/contract.ts'
import { apiGet, apiSend } from '../../api/client.ts'
import { queryClient } from '../../api/queries.ts'
import { formatAge, formatBytes, formatClock, formatDuration, formatInteger, formatMs, none } from '../../ui/format.ts'
import { Empty, Failure, Modal, SkeletonRows, Status } from '../../ui/parts.tsx'
import { CrashTest } from './CrashTest.tsx'
import { FactTable } from './FactTable.tsx'

const SHOWN = 50
const tones = { completed: 'ok', failed: 'bad', running: 'warn' } as const
const causes: Record<string, string> = {
  interval: 'its time had come',
  read: 'a committed read',
  savepoint: 'a savepoint',
  change: 'an edit',
  stop: 'the stop of the process',
}

export function Checkpoints({ id }: { id: string }) {
  const { data, error } = useQuery({
    queryKey: ['checkpoints', id],
    queryFn: ({ signal }) => apiGet<QueryCheckpoints>(`/v1/queries/${encodeURIComponent(id)}/checkpoints`, signal),
    refetchInterval: 2_000,
  })
  if (!data) return error ? <Failure error={error} /> : <SkeletonRows />
  return (
    <div className="stack">
      <Overview of={data} />
      <History of={data} />
      <Savepoints />
      <CrashTest />
    </div>
  )
}

function Overview({ of: { checkpoints, intervalMs, restoredFrom } }: { of: QueryCheckpoints }) {
  const done = checkpoints.filter(({ state }) => state === 'completed')
  const [last] = done
  const failed = checkpoints.filter(({ state }) => state === 'failed')
  const mean = (values: (number | undefined)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0) / Math.max(1, values.length)
  const facts: [string, string][] = [
    ['Last', last ? `${last.id}, ${formatAge(Math.max(0, Date.now() - last.startedMs))}` : none],
    ['State', last?.fullBytes === undefined ? none : formatBytes(last.fullBytes)],
    ['Interval', intervalMs ? `${formatDuration(intervalMs / 1_000)}, while rows come` : 'on request'],
    ['Took, on average', done.length > 0 ? formatMs(mean(done.map(({ durationMs }) => durationMs))) : none],
    ['Queries stood still', done.length > 0 ? formatMs(mean(done.map(({ stallMs }) => stallMs))) : none],
    ['Failed', formatInteger(failed.length)],
    ['Went on from', restoredFrom === undefined ? 'the start of its topics' : `checkpoint ${restoredFrom}`],
  ]
  return (
    <>
      <dl className="facts">
        {facts.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {checkpoints[0]?.state === 'failed' && <Failure error={checkpoints[0].error} />}
    </>
  )
}

function History({ of: { checkpoints } }: { of: QueryCheckpoints }) {
  if (checkpoints.length === 0)
    return <Empty title="No checkpoint yet">Where nothing has happened since the last one, none is taken.</Empty>
  return (
    <FactTable
      heads={['#Id', 'State', 'When', '#Took', '#Stood still', '#Written', '#State bytes', 'Because of']}
      rows={checkpoints.slice(0, SHOWN).map(({ id, state, startedMs, durationMs, stallMs, writtenBytes, fullBytes, cause, error }) => [
        String(id),
        <Status key="state" tone={tones[state]} title={error?.message}>
          {error?.code ?? state}
        </Status>,
        formatClock(startedMs),
        durationMs === undefined ? none : formatMs(durationMs),
        stallMs === undefined ? none : formatMs(stallMs),
        writtenBytes === undefined ? none : formatBytes(writtenBytes),
        fullBytes === undefined ? none : formatBytes(fullBytes),
        causes[cause] ?? cause,
      ])}
    />
  )
}

function Savepoints() {
  const { data, error } = useQuery({ queryKey: ['savepoints'], queryFn: ({ signal }) => apiGet<SavepointInfo[]>('/v1/savepoints', signal) })
  const [name, setName] = useState('')
  const [doomed, setDoomed] = useState<string | null>(null)
  const onSettled = () => queryClient.invalidateQueries({ queryKey: ['savepoints'] })
  const create = useMutation({
    mutationFn: () => apiSend<SavepointInfo>('POST', '/v1/savepoints', { name }),
    onSuccess: () => setName(''),
    onSettled,
  })
  const remove = useMutation({
    mutationFn: (gone: string) => apiSend('DELETE', `/v1/savepoints/${encodeURIComponent(gone)}`, {}),
    onSettled,
  })
  return (
    <section className="stack" aria-label="Savepoints">
      <h3>Savepoints</h3>
      <p className="quiet">
        Named copies of the state of all queries. A start goes on from one with <code>millrace start --from-savepoint NAME</code>.
      </p>
      <form
        className="savepoint-form"
        onSubmit={(event: FormEvent) => {
          event.preventDefault()
          create.mutate()
        }}
      >
        <input
          className="filter"
          aria-label="Name of the savepoint"
          placeholder="before-upgrade"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <button type="submit" className="button" disabled={name === '' || create.isPending}>
          Take a savepoint
        </button>
      </form>
      {[error, create.error, remove.error].map((problem) => (problem ? <Failure key={String(problem)} error={problem} /> : null))}
      {data && data.length > 0 && (
        <FactTable
          heads={['Name', 'When', '#Bytes', 'Queries', '']}
          rows={data.map((one) => [
            one.name,
            formatClock(one.createdMs),
            formatBytes(one.bytes),
            one.queries.join(', '),
            <button key="delete" type="button" className="button small" onClick={() => setDoomed(one.name)}>
              Delete…
            </button>,
          ])}
        />
      )}
      {doomed !== null && (
        <Modal title={`Delete the savepoint ${doomed}?`} onClose={() => setDoomed(null)}>
          <p>Its copy of the state is gone then; what runs is not touched.</p>
          <div className="page-actions">
            <button
              type="button"
              className="button primary"
              onClick={() => {
                remove.mutate(doomed)
                setDoomed(null)
              }}
            >
              Delete
            </button>
          </div>
        </Modal>
      )}
    </section>
  )
}
