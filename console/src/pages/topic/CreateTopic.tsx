// Makes a topic that no table declares: for records of Kafka clients, or before its table is written.
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { NewTopic } from '../../../../src/serve/contract.ts'
import { apiSend } from '../../api/client.ts'
import { useTopics } from '../../api/queries.ts'
import { Field, FormDialog, TextField } from '../../ui/forms.tsx'
import { readableSetting } from './Settings.tsx'

const day = 86_400_000
const retentions = [
  { label: '1 hour', ms: 3_600_000 },
  { label: '1 day', ms: day },
  { label: '7 days (default)', ms: 7 * day },
  { label: '30 days', ms: 30 * day },
  { label: 'for ever', ms: -1 },
]

/** What is wrong with a name; the server has the last word. */
function nameProblem(name: string, taken: readonly string[]): string | undefined {
  if (name === '') return undefined
  if (taken.includes(name)) return 'There is a topic of this name.'
  if (/[^\w.-]/.test(name)) return 'Letters, digits, ., _ and - only.'
  if (name.startsWith('__')) return "Names that begin with __ are the server's own."
  return name.length > 249 ? 'At most 249 characters.' : undefined
}

export function CreateTopic({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const { data: topics } = useTopics()
  const [name, setName] = useState('')
  const [partitions, setPartitions] = useState('1')
  const [retentionMs, setRetentionMs] = useState(7 * day)
  const [isCompacted, setCompacted] = useState(false)
  const problem = nameProblem(
    name.trim(),
    (topics ?? []).map((topic) => topic.name),
  )
  const create = async (): Promise<void> => {
    const topic: NewTopic = {
      name: name.trim(),
      partitionCount: Number(partitions),
      config: { 'retention.ms': retentionMs, ...(isCompacted && { 'cleanup.policy': 'compact' }) },
    }
    await apiSend('POST', '/v1/topics', topic)
    await queries.invalidateQueries({ queryKey: ['topics'] })
    await navigate({ to: '/topics/$name', params: { name: topic.name } })
  }
  return (
    <FormDialog
      title="New topic"
      action="Create"
      reason={name.trim() === '' ? 'It needs a name.' : problem && 'Its name is not possible.'}
      onClose={onClose}
      onSubmit={create}
    >
      <TextField
        label="Name"
        error={problem}
        hint="As in 'topic' = '…' of a table that reads it."
        value={name}
        onChange={setName}
        isFirst
      />
      <div className="field-row">
        <Field label="Partitions" hint="Order is kept within one.">
          {(id, describedBy) => (
            <input
              id={id}
              aria-describedby={describedBy}
              type="number"
              min={1}
              max={1024}
              value={partitions}
              onChange={(event) => setPartitions(event.target.value)}
              required
            />
          )}
        </Field>
        <Field
          label="Keep records"
          hint={isCompacted ? 'Compacted: the newest of each key stays.' : readableSetting('retention.ms', retentionMs)}
        >
          {(id, describedBy) => (
            <select
              id={id}
              aria-describedby={describedBy}
              className="select"
              value={retentionMs}
              disabled={isCompacted}
              onChange={(event) => setRetentionMs(Number(event.target.value))}
            >
              {retentions.map(({ label, ms }) => (
                <option key={ms} value={ms}>
                  {label}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <label className="check">
        <input type="checkbox" checked={isCompacted} onChange={(event) => setCompacted(event.target.checked)} />
        Compact it: keep the newest record of each key
      </label>
    </FormDialog>
  )
}
