// What became of a query: its starts, with where it went on from and who asked for it, its failures with their reason, its stops.
import { useQuery } from '@tanstack/react-query'
import type { QueryHistory } from '../../../../src/serve/contract.ts'
import { apiGet } from '../../api/client.ts'
import { formatClock, formatInteger } from '../../ui/format.ts'
import { Empty, Failure, Prose, SkeletonRows, Status } from '../../ui/parts.tsx'
import { FactTable } from './FactTable.tsx'

type Event = QueryHistory['events'][number]
const tones = { started: 'ok', failed: 'bad', stopped: 'quiet' } as const

export const useHistory = (id: string) =>
  useQuery({
    queryKey: ['history', id],
    queryFn: ({ signal }) => apiGet<QueryHistory>(`/v1/queries/${encodeURIComponent(id)}/history`, signal),
    refetchInterval: 5_000,
  })

export function History({ id }: { id: string }) {
  const { data, error } = useHistory(id)
  if (!data) return error ? <Failure error={error} /> : <SkeletonRows />
  if (data.events.length === 0)
    return <Empty title="Nothing yet">Starts, failures and stops are listed here, also those of earlier runs.</Empty>
  const failures = data.events.filter(({ kind }) => kind === 'failed').length
  return (
    <div className="stack">
      <p className="quiet">
        {failures === 0 ? 'No failure' : `${formatInteger(failures)} failure${failures === 1 ? '' : 's'}`} among the last{' '}
        {formatInteger(data.events.length)} events.
      </p>
      <FactTable
        heads={['When', 'What', 'By', 'Facts', 'What to do']}
        rows={data.events.map((event) => [
          formatClock(event.atMs),
          <Status key="kind" tone={tones[event.kind]}>
            {event.kind}
          </Status>,
          ('by' in event && event.by) || '',
          factOf(event),
          event.kind === 'failed' ? <Prose key="next" text={event.error.hint} /> : '',
        ])}
      />
    </div>
  )
}

function factOf(event: Event) {
  switch (event.kind) {
    case 'started':
      return `version ${event.version}, from ${event.checkpointId === undefined ? 'the start of its topics' : `checkpoint ${formatInteger(event.checkpointId)}`}`
    case 'failed':
      return (
        <>
          <code>{event.error.code}</code> {event.error.message}
          {typeof event.error.params?.row === 'string' && (
            <>
              {' '}
              at the row <code>{event.error.params.row}</code>
            </>
          )}
        </>
      )
    default:
      return ''
  }
}
