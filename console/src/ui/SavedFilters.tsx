// Filters by name, shared by all who look at the same thing: one is chosen, saved, deleted (and comes back by Undo), or applies by itself.
import { useMutation, useQuery } from '@tanstack/react-query'
import { BookmarkPlus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { SavedFilter } from '../../../src/serve/contract.ts'
import { apiGet, apiSend } from '../api/client.ts'
import { queryClient } from '../api/queries.ts'
import { useReason } from '../api/topics.ts'
import { FormDialog, TextField } from './forms.tsx'
import { Failure, IconButton } from './parts.tsx'

type Place = Pick<SavedFilter, 'on' | 'subject'>
const queryKey = ['filters']

const useFilters = () =>
  useQuery({ queryKey, queryFn: ({ signal }) => apiGet<SavedFilter[]>('/v1/filters', signal), staleTime: 10_000, refetchInterval: 30_000 })
const isOf =
  ({ on, subject }: Place) =>
  (filter: SavedFilter): boolean =>
    filter.on === on && filter.subject === subject

/** The condition that applies where nobody has said another. */
export const useDefaultFilter = (place: Place): string | undefined =>
  useFilters().data?.find((filter) => filter.isDefault && isOf(place)(filter))?.where

export interface SavedFiltersProps extends Place {
  /** What is applied now. */
  where: string
  onApply: (where: string) => void
}

export function SavedFilters({ on, subject, where, onApply }: SavedFiltersProps) {
  const { data = [], error } = useFilters()
  const filters = data.filter(isOf({ on, subject }))
  const chosen = filters.find((filter) => filter.where === where)
  const [isSaving, setSaving] = useState(false)
  const [deleted, setDeleted] = useState<SavedFilter>()
  const reason = useReason('admin')
  const change = useMutation({
    mutationFn: ({ method, filter: { isDeclared: _, ...filter } }: { method: 'PUT' | 'DELETE'; filter: SavedFilter }) =>
      apiSend<SavedFilter[]>(
        method,
        '/v1/filters',
        method === 'PUT' ? filter : { on: filter.on, subject: filter.subject, name: filter.name },
      ),
    onSuccess: (all, { method, filter }) => {
      queryClient.setQueryData(queryKey, all)
      setDeleted(method === 'DELETE' ? filter : undefined)
    },
  })
  const failure = change.error ?? (data.length === 0 ? error : null)
  return (
    <span className="saved-filters">
      <select
        className="select"
        aria-label="Saved filters"
        value={chosen?.name ?? ''}
        disabled={filters.length === 0}
        onChange={({ target: { value } }) => onApply(filters.find(({ name }) => name === value)?.where ?? '')}
      >
        <option value="">{filters.length === 0 ? 'No saved filters' : chosen ? 'No filter' : 'Saved filters'}</option>
        {filters.map(({ name, isDefault, isDeclared }) => (
          <option key={name} value={name}>
            {`${isDefault ? '★ ' : ''}${name}${isDeclared ? ' (of the project)' : ''}`}
          </option>
        ))}
      </select>
      {where !== '' && !chosen && (
        <button type="button" className="button" disabled={reason !== undefined} title={reason} onClick={() => setSaving(true)}>
          <BookmarkPlus size={13} aria-hidden />
          Save filter…
        </button>
      )}
      {chosen && !chosen.isDeclared && reason === undefined && (
        <IconButton
          icon={Trash2}
          label={`Delete the filter ${chosen.name}`}
          onClick={() => change.mutate({ method: 'DELETE', filter: chosen })}
        />
      )}
      {deleted && (
        <span role="status">
          {deleted.name} is deleted.{' '}
          <button type="button" className="button small" onClick={() => change.mutate({ method: 'PUT', filter: deleted })}>
            Undo
          </button>
        </span>
      )}
      {failure && <Failure error={failure} />}
      {isSaving && (
        <SaveDialog
          names={filters.map(({ name }) => name)}
          where={where}
          onClose={() => setSaving(false)}
          onSave={async (name, isDefault) => {
            await change.mutateAsync({ method: 'PUT', filter: { on, subject, name, where, isDefault, isDeclared: false } })
            setSaving(false)
          }}
        />
      )}
    </span>
  )
}

interface SaveDialogProps {
  names: readonly string[]
  where: string
  onClose: () => void
  onSave: (name: string, isDefault: boolean) => Promise<void>
}

function SaveDialog({ names, where, onClose, onSave }: SaveDialogProps) {
  const [name, setName] = useState('')
  const [isDefault, setDefault] = useState(false)
  const trimmed = name.trim()
  return (
    <FormDialog
      title="Save the filter"
      action={names.includes(trimmed) ? 'Replace it' : 'Save'}
      reason={trimmed === '' ? 'It needs a name.' : trimmed.length > 100 ? 'At most 100 characters.' : undefined}
      onClose={onClose}
      onSubmit={() => onSave(trimmed, isDefault)}
    >
      <p>
        <code>{where}</code>
      </p>
      <TextField
        label="Name"
        hint={names.includes(trimmed) ? 'There is one of this name: it is replaced.' : 'All who open this page see it.'}
        value={name}
        onChange={setName}
        isFirst
      />
      <label className="check">
        <input type="checkbox" checked={isDefault} onChange={(event) => setDefault(event.target.checked)} />
        Apply it by itself when the page is opened
      </label>
    </FormDialog>
  )
}
