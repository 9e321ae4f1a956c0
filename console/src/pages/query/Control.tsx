// What one can do with a query: stop it with a checkpoint, start it from there, run it in more threads or fewer, or begin anew without state; before it stops
// or begins anew, a savepoint if one wants the way back; and a crash test of its project.
import { Link } from '@tanstack/react-router'
import { FlaskConical, Play, RotateCcw, Split, Square } from 'lucide-react'
import { useState } from 'react'
import type { QuerySummary } from '../../../../src/serve/contract.ts'
import { apiSend } from '../../api/client.ts'
import { queryClient } from '../../api/queries.ts'
import { useReason } from '../../api/topics.ts'
import { formatBytes, formatInteger } from '../../ui/format.ts'
import { FormDialog, TextField } from '../../ui/forms.tsx'
import { useConfig } from './Definition.tsx'

type Action = 'stop' | 'start' | 'anew' | 'rescale'
const words: Record<Action, { title: string; action: string }> = {
  stop: { title: 'Stop', action: 'Stop with a checkpoint' },
  start: { title: 'Start', action: 'Start from its checkpoint' },
  anew: { title: 'Begin anew', action: 'Begin without state' },
  rescale: { title: 'Rescale', action: 'Go on in so many threads' },
}

/** @param isTable  it keeps a table; else it writes elsewhere */
export function Control({ query, isTable }: { query: QuerySummary; isTable: boolean }) {
  const [action, setAction] = useState<Action>()
  const [threads, setThreads] = useState('')
  const [savepoint, setSavepoint] = useState('')
  const refusal = useReason('admin')
  const undivided = useConfig(query.id).data?.parallelism.reason
  const wanted = Number(threads)
  const isRunning = query.state === 'running' || query.state === 'starting'
  const hasWayBack = action === 'stop' || action === 'anew'
  const button = (name: Action, Icon: typeof Play, label: string, reason = refusal) => (
    <button
      type="button"
      className={name === 'anew' ? 'button danger' : 'button'}
      disabled={reason !== undefined}
      title={reason}
      onClick={() => setAction(name)}
    >
      <Icon size={13} aria-hidden />
      {label}
    </button>
  )
  return (
    <>
      {isRunning ? button('stop', Square, 'Stop…') : button('start', Play, 'Start…')}
      {button(
        'rescale',
        Split,
        'Rescale…',
        refusal ?? (undivided && query.parallelism === 1 ? `It runs in one thread: ${undivided}.` : undefined),
      )}
      {button('anew', RotateCcw, 'Begin anew…')}
      <Link to="/queries/$id" params={{ id: query.id }} search={{ tab: 'checkpoints' }} className="button">
        <FlaskConical size={13} aria-hidden />
        Crash test
      </Link>
      {action && (
        <FormDialog
          title={`${words[action].title}: ${query.name}`}
          action={words[action].action}
          isDanger={action === 'anew'}
          reason={
            action === 'rescale' && threads !== '' && !(Number.isInteger(wanted) && wanted >= 1 && wanted <= THREADS_MAX)
              ? `A whole number from 1 to ${THREADS_MAX}.`
              : undefined
          }
          onClose={() => setAction(undefined)}
          onSubmit={async () => {
            if (savepoint !== '' && hasWayBack) await apiSend('POST', '/v1/savepoints', { name: savepoint })
            const path = `/v1/queries/${encodeURIComponent(query.id)}`
            await (action === 'stop'
              ? apiSend('POST', `${path}/stop`, {})
              : action === 'rescale'
                ? apiSend('POST', `${path}/rescale`, threads === '' ? {} : { parallelism: wanted })
                : apiSend('POST', `${path}/start`, { withoutState: action === 'anew' }))
            for (const key of ['queries', 'config', 'history']) await queryClient.invalidateQueries({ queryKey: [key] })
            setAction(undefined)
            setSavepoint('')
          }}
        >
          <p>{effectOf(action, isTable)}</p>
          {action === 'anew' && (
            <p>
              Now it has {formatBytes(query.stateBytes)} of state, from {formatInteger(query.rowsIn)} rows in; it has put out{' '}
              {formatInteger(query.rowsOut)}.
            </p>
          )}
          {hasWayBack && (
            <TextField
              label="Savepoint before it"
              hint="Of all queries, under this name. Empty: none."
              value={savepoint}
              onChange={(text) => setSavepoint(text.trim())}
              isFirst
            />
          )}
          {action === 'rescale' && (
            <TextField
              label="Threads"
              hint={`It runs in ${query.parallelism} now. Empty: as the project says.`}
              inputMode="numeric"
              value={threads}
              onChange={(text) => setThreads(text.trim())}
              isFirst
            />
          )}
        </FormDialog>
      )}
    </>
  )
}

/** The number of key groups: state is not cut finer. */
const THREADS_MAX = 128

function effectOf(action: Action, isTable: boolean): string {
  switch (action) {
    case 'stop':
      return 'It takes a checkpoint and stops, and stays so, also over restarts of the process, until it is started here. Its rows stay readable; other queries go on.'
    case 'start':
      return 'It goes on from its newest checkpoint: nothing is lost, and nothing comes twice.'
    case 'rescale':
      return 'It takes a checkpoint, deals its state out to so many threads, and goes on from there, also after a restart of the process. No row is lost or comes twice.'
    case 'anew':
      return isTable
        ? 'Its state and rows are dropped, and the table is computed again from the beginning of its topics: records that retention has removed are missing in it. A savepoint taken before is the way back.'
        : 'Its state is dropped, and it reads its topics again from their beginning: what it has written is written once more. A savepoint taken before is the way back.'
  }
}
