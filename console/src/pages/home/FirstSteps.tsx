// For whoever is here for the first time: what comes next, until it is done or put away.
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Circle, CircleCheck } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import type { BackupStatus, ProjectTest } from '../../../../src/serve/contract.ts'
import { apiGet } from '../../api/client.ts'
import { useStats } from '../../api/live.ts'
import { isInternalTopic, isInvalidTopic, useTables, useTopics } from '../../api/queries.ts'
import { curlEvent } from '../../api/topics.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Code } from '../../ui/parts.tsx'

const putAwayKey = 'millrace.firstSteps'
const isPutAway = (): boolean => {
  try {
    return localStorage.getItem(putAwayKey) !== null
  } catch {
    return false
  }
}

const read = <T,>(path: string) => ({
  queryKey: [path],
  queryFn: ({ signal }: { signal: AbortSignal }) => apiGet<T>(path, signal),
  retry: false,
})
export const useProjectTests = () => useQuery(read<ProjectTest[]>('/v1/project/tests'))
export const useBackups = () => useQuery(read<BackupStatus>('/v1/backups'))

export function FirstSteps() {
  const [isHidden, setHidden] = useState(isPutAway)
  return isHidden ? null : (
    <Steps
      onPutAway={() => {
        try {
          localStorage.setItem(putAwayKey, 'yes')
        } catch {
          // Storage can be forbidden: it is away as long as the page lasts.
        }
        setHidden(true)
      }}
    />
  )
}

function Steps({ onPutAway }: { onPutAway: () => void }) {
  const topics = useTopics().data
  const tables = useTables().data
  const { latest } = useStats()
  const tests = useProjectTests()
  const backups = useBackups()
  if (!topics || !tables || !latest || (tests.isPending && !tests.error) || (backups.isPending && !backups.error)) return null
  const declared = topics.filter(({ name, columns }) => columns.length > 0 && !isInternalTopic(name) && !isInvalidTopic(name))
  const [door] = declared
  const steps: { isDone: boolean; name: ReactNode; how: ReactNode }[] = [
    {
      isDone: declared.length > 0,
      name: 'Declare a topic',
      how: (
        <>
          A <code>CREATE TABLE</code> in <code>pipelines/*.sql</code>, or under <Link to="/sql">SQL</Link>.
        </>
      ),
    },
    {
      isDone: latest.eventsIn.total > 0 || topics.some(({ name, recordCount }) => recordCount > 0 && !isInternalTopic(name)),
      name: 'Send an event',
      how: door && <Code text={curlEvent(door)} />,
    },
    {
      isDone: tables.some(({ rowCount }) => rowCount > 0),
      name: 'Have a live table',
      how: (
        <>
          Try a query under <Link to="/sql">SQL</Link>, then <b>Save as… Live table</b>.
        </>
      ),
    },
    ...(tests.data
      ? [
          {
            isDone: tests.data.length > 0,
            name: 'Keep a test of it',
            how: (
              <>
                <b>Tests</b> of a <Link to="/queries">query</Link> drafts one from the records that are there.
              </>
            ),
          },
        ]
      : []),
    ...(backups.data
      ? [
          {
            isDone: backups.data.backups.length > 0,
            name: 'Take a backup',
            how: (
              <>
                Now and by a schedule: <Link to="/backups">Backups</Link>.
              </>
            ),
          },
        ]
      : []),
  ]
  if (steps.every(({ isDone }) => isDone)) return null
  const next = steps.findIndex(({ isDone }) => !isDone)
  return (
    <Panel
      title="First steps"
      note={`${steps.filter(({ isDone }) => isDone).length} of ${steps.length} done`}
      actions={
        <button type="button" className="button small" onClick={onPutAway}>
          Put away
        </button>
      }
    >
      <ol className="first-steps">
        {steps.map(({ isDone, name, how }, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the steps never change their order
          <li key={index} className={isDone ? 'is-done' : undefined}>
            {isDone ? <CircleCheck size={15} aria-label="Done" /> : <Circle size={15} aria-label="To do" />}
            <span>
              <b>{name}</b>
              {index === next && how && <>: {how}</>}
            </span>
          </li>
        ))}
      </ol>
    </Panel>
  )
}
