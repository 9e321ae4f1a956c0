// Backups of the data folder: the schedule, the one that is being taken, those that there are, and how one is restored.
import { useMutation, useQuery } from '@tanstack/react-query'
import type { BackupInfo, BackupRun, BackupStatus } from '../../../src/serve/contract.ts'
import { apiGet, apiSend } from '../api/client.ts'
import { queryClient } from '../api/queries.ts'
import { formatAge, formatBytes, formatClock, formatDuration, formatInteger, none } from '../ui/format.ts'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { Code, Empty, Failure, SkeletonRows, Status } from '../ui/parts.tsx'

const exampleConfig = `// millrace.config.ts
import { defineConfig } from 'millrace'
export default defineConfig({ backup: { folder: '/backups/shop', everyMinutes: 60, keep: 48 } })`

export function Backups() {
  const { data, error } = useQuery({
    queryKey: ['backups'],
    queryFn: ({ signal }) => apiGet<BackupStatus>('/v1/backups', signal),
    refetchInterval: ({ state }) => (state.data?.run?.state === 'running' ? 500 : 5_000),
  })
  const take = useMutation({
    mutationFn: () => apiSend<BackupRun>('POST', '/v1/backups', {}),
    onSettled: () => queryClient.invalidateQueries({ queryKey: ['backups'] }),
  })
  const isRunning = data?.run?.state === 'running'
  return (
    <div className="page stack">
      <PageHead title="Backups" note="Topics, checkpoints, savepoints and users of this process, all of one moment, taken while it runs.">
        {data?.folder !== undefined && (
          <button type="button" className="button primary" disabled={isRunning || take.isPending} onClick={() => take.mutate()}>
            {isRunning ? 'Being taken …' : 'Take one now'}
          </button>
        )}
      </PageHead>
      {take.error && <Failure error={take.error} />}
      {!data && (error ? <Failure error={error} /> : <SkeletonRows />)}
      {data && <Overview of={data} />}
      {data?.run?.state === 'failed' && <Failure error={data.run.error} />}
      {data && data.folder === undefined && (
        <Empty title="No folder for backups" command={exampleConfig}>
          Name one in <code>millrace.config.ts</code> and they are taken by themselves; or take one by hand with{' '}
          <code>millrace backup FOLDER</code>.
        </Empty>
      )}
      {data?.folder !== undefined && data.backups.length === 0 && !isRunning && (
        <Empty title="No backup yet">The first copies everything, later ones only what is new.</Empty>
      )}
      {data && data.backups.length > 0 && (
        <>
          <List backups={data.backups} />
          <Restore of={data} />
        </>
      )}
    </div>
  )
}

function Overview({ of: { folder, everyMinutes, keep, nextMs, run, backups } }: { of: BackupStatus }) {
  const [newest] = backups
  const facts: [string, string][] = [
    ['Newest', newest ? formatAge(Math.max(0, Date.now() - newest.createdMs)) : none],
    ['Size', newest ? formatBytes(newest.sizeBytes) : none],
    ['Every', everyMinutes === undefined ? 'on request' : formatDuration(everyMinutes * 60)],
    ['Next', nextMs === undefined ? none : formatClock(nextMs)],
    ['Kept', keep === undefined ? 'all' : `the newest ${formatInteger(keep)}`],
    ['Folder', folder ?? none],
    ['Last run', run ? runText(run) : none],
  ]
  return <Facts facts={facts} />
}

function runText({ state, doneBytes, totalBytes, startedMs }: BackupRun): string {
  if (state === 'running') return totalBytes > 0 ? `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}` : 'being looked at'
  return `${state}, ${formatClock(startedMs)}`
}

const List = ({ backups }: { backups: BackupInfo[] }) => (
  <div className="table-scroll">
    <table className="list cards">
      <thead>
        <tr>
          <th scope="col">Backup</th>
          <th scope="col">Taken</th>
          <th scope="col">State</th>
          <th scope="col" className="number">
            Size
          </th>
          <th scope="col" className="number">
            Copied
          </th>
          <th scope="col" className="number">
            Files
          </th>
        </tr>
      </thead>
      <tbody>
        {backups.map(({ id, createdMs, sizeBytes, copiedBytes, files, damaged }) => (
          <tr key={id}>
            <td className="name">
              <code>{id}</code>
            </td>
            <td data-label="Taken" className="nowrap">
              {formatClock(createdMs)}
            </td>
            <td data-label="State">
              {damaged.length === 0 ? (
                <Status tone="ok">whole</Status>
              ) : (
                <Status tone="bad" title={damaged.join('\n')}>
                  {formatInteger(damaged.length)} damaged
                </Status>
              )}
            </td>
            <td className="number" data-label="Size">
              {formatBytes(sizeBytes)}
            </td>
            <td className="number" data-label="Copied" title="The rest was there from the one before">
              {formatBytes(copiedBytes)}
            </td>
            <td className="number" data-label="Files">
              {formatInteger(files)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)

/** Restoring needs the process stopped: so it is a command, not a button. */
const Restore = ({ of: { folder = '', dataFolder, backups } }: { of: BackupStatus }) => (
  <section className="stack" aria-label="Restore">
    <h3>Restore</h3>
    <p>
      Stop Millrace first. Every byte is checked before anything is replaced; what is there moves aside, into <code>before-restore-…</code>,
      so that it can be undone. Without <code>--at</code> it is the newest.
    </p>
    <Code label="Check every byte of it" text={`millrace backup verify ${shell(folder)}`} />
    <Code
      label="Go back to it"
      text={`millrace restore ${shell(folder)} --data ${shell(dataFolder)} --at ${backups[0]?.id ?? ''} --force`}
    />
  </section>
)

const shell = (path: string): string => (/^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)
