// Golden files that expect this query's rows: played on the server in every mode, and what came otherwise.
import { useMutation, useQuery } from '@tanstack/react-query'
import { FlaskConical, Play, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { ProjectTest, TestRun } from '../../../../src/serve/contract.ts'
import { ApiFailure, apiGet, apiSend } from '../../api/client.ts'
import { queryClient } from '../../api/queries.ts'
import { useReason } from '../../api/topics.ts'
import { FormDialog } from '../../ui/forms.tsx'
import { Code, Empty, Failure, IconButton, SkeletonRows, Status } from '../../ui/parts.tsx'
import { TestDialog } from '../sql/SaveAs.tsx'

const pathOf = (name: string): string => `/v1/project/tests/${encodeURIComponent(name)}`

export function Tests({ id }: { id: string }) {
  const { data, error } = useQuery({
    queryKey: ['tests'],
    queryFn: ({ signal }) => apiGet<ProjectTest[]>('/v1/project/tests', signal),
    retry: false,
  })
  const draft = useMutation({ mutationFn: () => apiSend<{ text: string }>('POST', `${pathOf(freeName(id, data))}/draft`, { query: id }) })
  if (error instanceof ApiFailure && error.status === 404)
    return <Empty title="No tests here">This server runs files that it cannot edit: its tests are played with `millrace test`.</Empty>
  if (!data) return error ? <Failure error={error} /> : <SkeletonRows count={3} />
  const own = data.filter(({ queries }) => queries.includes(id))
  const others = data.filter(({ queries }) => !queries.includes(id))
  return (
    <div className="stack">
      <div className="page-actions">
        <IconButton
          icon={FlaskConical}
          label="Draft a test from its newest records"
          withText
          disabled={draft.isPending}
          onClick={() => draft.mutate()}
        />
        {draft.isPending && <span role="status">Reading records …</span>}
      </div>
      {draft.error && <Failure error={draft.error} />}
      {own.length === 0 ? (
        <Empty title={`No test expects the rows of ${id}`}>
          Events in, rows out: a file in <code>tests/</code>, played as it is, with a crash before every row, and in other batches.
        </Empty>
      ) : (
        own.map((test) => <Test key={test.name} test={test} />)
      )}
      {others.length > 0 && (
        <details>
          <summary className="quiet">{others.length === 1 ? 'One more test' : `${others.length} more tests`} of the project</summary>
          <div className="stack">
            {others.map((test) => (
              <Test key={test.name} test={test} />
            ))}
          </div>
        </details>
      )}
      {draft.data && <TestDialog name={freeName(id, data)} draft={draft.data.text} onClose={() => draft.reset()} />}
    </div>
  )
}

function freeName(id: string, tests: readonly ProjectTest[] = []): string {
  const isTaken = (name: string): boolean => tests.some((test) => test.name === name)
  let name = `${id}.test`
  for (let number = 2; isTaken(name); number++) name = `${id}_${number}.test`
  return name
}

function Test({ test }: { test: ProjectTest }) {
  const reason = useReason('admin')
  const [isDeleting, setDeleting] = useState(false)
  const run = useMutation({ mutationFn: () => apiSend<TestRun>('POST', `${pathOf(test.name)}/run`) })
  return (
    <section className="stack test" aria-label={test.name}>
      <div className="page-actions">
        <IconButton
          icon={Play}
          label={`Run ${test.name}`}
          withText
          disabled={run.isPending || reason !== undefined}
          onClick={() => run.mutate()}
        />
        <span role="status">{run.isPending ? <Status tone="warn">playing …</Status> : run.data && <Outcome run={run.data} />}</span>
        <span className="toolbar-end">
          <IconButton icon={Trash2} label={`Delete ${test.name}`} disabled={reason !== undefined} onClick={() => setDeleting(true)} />
        </span>
      </div>
      <p className="quiet">{test.summary}</p>
      {run.error && <Failure error={run.error} />}
      {run.data?.error && <Failure error={run.data.error} />}
      {run.data?.problems.map(({ modes, lines }) => (
        <Code key={modes.join()} label={`${modes.join(', ')}: - is expected, + came`} text={lines.join('\n')} />
      ))}
      <details>
        <summary className="quiet">Its text</summary>
        <Code text={test.text} />
      </details>
      {isDeleting && <DeleteDialog test={test} onClose={() => setDeleting(false)} />}
    </section>
  )
}

function Outcome({ run }: { run: TestRun }) {
  if (run.passed) return <Status tone="ok">passed in {run.seconds.toFixed(1)} s</Status>
  return <Status tone="bad">{run.error ? 'could not be played' : 'differs'}</Status>
}

/** A deleted test is kept here until the dialog closes: that is the way back. */
function DeleteDialog({ test, onClose }: { test: ProjectTest; onClose: () => void }) {
  const [isGone, setGone] = useState(false)
  const close = (): void => {
    onClose()
    void queryClient.invalidateQueries({ queryKey: ['tests'] })
  }
  const submit = async (): Promise<void> => {
    if (isGone) await apiSend('PUT', pathOf(test.name), { text: test.text, version: null })
    else await apiSend('DELETE', pathOf(test.name), { version: test.version })
    setGone(!isGone)
  }
  return (
    <FormDialog
      title={`Delete ${test.name}`}
      action={isGone ? 'Undo' : 'Delete the file'}
      isDanger={!isGone}
      onClose={close}
      onSubmit={submit}
    >
      <p role="status">
        {isGone ? `${test.name} is deleted. Undo writes it again.` : `The file tests/${test.name} is removed. Nothing that runs changes.`}
      </p>
    </FormDialog>
  )
}
