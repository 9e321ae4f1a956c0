// The crash test of the project: started here, watched while it kills its copies, and its certificate.
import { useMutation, useQuery } from '@tanstack/react-query'
import { Zap } from 'lucide-react'
import type { CrashTest as Test } from '../../../../src/serve/contract.ts'
import { ApiFailure, apiGet, apiSend } from '../../api/client.ts'
import { queryClient } from '../../api/queries.ts'
import { download } from '../../ui/export.ts'
import { formatInteger } from '../../ui/format.ts'
import { Code, Failure, IconButton, Status } from '../../ui/parts.tsx'
import { FactTable } from './FactTable.tsx'

const path = '/v1/verify/exactly-once'
const KILLS = 10

export function CrashTest() {
  const { data, error } = useQuery({
    queryKey: ['crash-test'],
    queryFn: ({ signal }) => apiGet<Test>(path, signal),
    refetchInterval: ({ state }) => (state.data?.state === 'running' ? 1_000 : false),
    retry: false,
  })
  const start = useMutation({
    mutationFn: () => apiSend<Test>('POST', path, { kills: KILLS }),
    onSuccess: (test) => queryClient.setQueryData(['crash-test'], test),
  })
  // A server without a project of files has none.
  if (error instanceof ApiFailure && error.status === 404) return null
  const certificate = data?.certificate
  return (
    <section className="stack" aria-label="Crash test">
      <h3>Crash test</h3>
      <p className="quiet">
        Sends what the topics hold through two copies of the project: one runs through, the other is killed {KILLS} times, at random and
        inside of checkpoints. All results must be the same. What runs here is only read.
      </p>
      <div className="page-actions">
        <IconButton
          icon={Zap}
          label="Run the crash test"
          withText
          disabled={data?.state === 'running' || start.isPending}
          onClick={() => start.mutate()}
        />
        {certificate && (
          <button
            type="button"
            className="button"
            onClick={() => download('certificate.json', `${JSON.stringify(certificate, null, 2)}\n`, 'application/json')}
          >
            Certificate
          </button>
        )}
      </div>
      {start.error && <Failure error={start.error} />}
      {data && data.state !== 'none' && (
        <div aria-live="polite" className="stack">
          {certificate ? (
            <Status tone={certificate.isExactlyOnce ? 'ok' : 'bad'}>
              {certificate.isExactlyOnce ? 'Exactly once' : 'NOT exactly once'}: {formatInteger(certificate.kills.length)} kills,{' '}
              {formatInteger(certificate.kills.filter(({ restored }) => restored).length)} starts from a checkpoint, {certificate.seconds} s
            </Status>
          ) : (
            <Status tone={data.state === 'failed' ? 'bad' : 'warn'}>{data.lines.at(-1) ?? 'starting'}</Status>
          )}
          {certificate && (
            <FactTable
              heads={['Result', 'Kind', '#Rows', '#With crashes', '#Lost', '#Too much', 'SHA-256']}
              rows={certificate.results.map(({ name, kind, rows, rowsWithCrashes, missingCount, extraCount, sha256 }) => [
                name,
                kind,
                formatInteger(rows),
                formatInteger(rowsWithCrashes),
                formatInteger(missingCount),
                formatInteger(extraCount),
                <code key="hash">{sha256.slice(0, 12)}</code>,
              ])}
            />
          )}
          {data.lines.length > 0 && data.state !== 'done' && <Code text={data.lines.slice(-12).join('\n')} />}
        </div>
      )}
    </section>
  )
}
