// A query that was tried out becomes something of the project: a view, a live table, or a test with records that are in the log.
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import type { SqlSlice } from '../../../../src/serve/contract.ts'
import { apiSend } from '../../api/client.ts'
import { queryClient } from '../../api/queries.ts'
import { useReason } from '../../api/topics.ts'
import { FormDialog, TextField } from '../../ui/forms.tsx'
import { Failure, Segmented, SkeletonRows, Status } from '../../ui/parts.tsx'
import { sliceText } from './Slice.tsx'

type Kind = 'view' | 'table' | 'test'
const kinds = [
  { value: 'view', label: 'View' },
  { value: 'table', label: 'Live table' },
  { value: 'test', label: 'Test' },
] as const
const effects: Record<Kind, string> = {
  view: 'A name for this query, for other statements. It computes nothing by itself.',
  table: "Kept up to date as records come; read by REST, pushed to subscribers. Its key is the query's own, or is declared in the text.",
  test: '',
}
const testPath = (name: string): string => `/v1/project/tests/${encodeURIComponent(`${name}.test`)}`

export interface SaveAsProps {
  statement: string
  slice: SqlSlice | undefined
  onClose: () => void
  /** A file of the project, to be deployed. */
  onDeploy: (text: string, fileName: string) => void
}

export function SaveAs({ statement, slice, onClose, onDeploy }: SaveAsProps) {
  const [kind, setKind] = useState<Kind>('view')
  const [name, setName] = useState('')
  const draft = useMutation({
    mutationFn: () => apiSend<{ text: string }>('POST', `${testPath(name)}/draft`, { sql: statement, ...(slice && { slice }) }),
  })
  const problem = name === '' || /^[A-Za-z_]\w{0,90}$/.test(name) ? undefined : 'Letters, digits and "_".'
  const text = `${kind === 'view' ? 'CREATE VIEW' : 'CREATE MATERIALIZED TABLE'} ${name} AS\n${statement.trim().replace(/;$/, '')};\n`
  if (kind === 'test' && (draft.data || draft.isPending || draft.error))
    return draft.data ? (
      <TestDialog name={`${name}.test`} draft={draft.data.text} onClose={onClose} />
    ) : (
      <FormDialog
        title={`Test ${name}`}
        action="Try again"
        reason={draft.isPending ? 'Reading records …' : undefined}
        onClose={onClose}
        onSubmit={async () => draft.mutate()}
      >
        {draft.error ? <Failure error={draft.error} /> : <SkeletonRows count={4} />}
      </FormDialog>
    )
  return (
    <FormDialog
      title="Save the query as"
      action={kind === 'test' ? 'Draft it' : 'Look at what it changes'}
      reason={name === '' ? 'It needs a name.' : problem && 'Its name is not possible.'}
      onClose={onClose}
      onSubmit={async () => {
        if (kind === 'test') draft.mutate()
        else onDeploy(text, `${name}.sql`)
      }}
    >
      <Segmented label="What it becomes" value={kind} options={kinds} onChange={setKind} />
      <p className="quiet">
        {kind === 'test'
          ? `A golden file: ${slice ? sliceText(slice) : 'the newest 50 records'} of its topics as input, and the rows that they give now. You see it before it is saved.`
          : effects[kind]}
      </p>
      <TextField
        label="Name"
        error={problem}
        hint={kind === 'test' ? `tests/${name || 'NAME'}.test` : `pipelines/${name || 'NAME'}.sql`}
        value={name}
        onChange={(text) => setName(text.trim())}
        isFirst
      />
    </FormDialog>
  )
}

/** The draft, to be read and mended before it is a file. */
export function TestDialog({ name, draft, onClose }: { name: string; draft: string; onClose: () => void }) {
  const [text, setText] = useState(draft)
  const [isSaved, setSaved] = useState(false)
  const reason = useReason('admin')
  const save = async (): Promise<void> => {
    if (isSaved) return onClose()
    await apiSend('PUT', `/v1/project/tests/${encodeURIComponent(name)}`, { text, version: null })
    await queryClient.invalidateQueries({ queryKey: ['tests'] })
    setSaved(true)
  }
  return (
    <FormDialog
      title={`tests/${name}`}
      className="wide"
      action={isSaved ? 'Done' : 'Save'}
      reason={reason}
      onClose={onClose}
      onSubmit={save}
    >
      <p className="quiet">Is this what should come? A test keeps rows as they are now, right or wrong.</p>
      <textarea
        className="test-text mono"
        aria-label={`Text of ${name}`}
        value={text}
        readOnly={isSaved}
        onChange={(event) => setText(event.target.value)}
        spellCheck={false}
        rows={18}
      />
      {isSaved && (
        <p role="status">
          <Status tone="ok">Saved: `millrace test` plays it, and so does the tab Tests of its query.</Status>
        </p>
      )}
    </FormDialog>
  )
}
