// Where a consumer group goes on: choose, look at what would change, apply. The server makes the plan, and applies it only while the group
// has no members.
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { GroupDetail, ResetPlan, ResetRequest } from '../../../../src/serve/contract.ts'
import { apiSend, groupPath } from '../../api/client.ts'
import { useTopics } from '../../api/queries.ts'
import { useReason } from '../../api/topics.ts'
import { clockForApi, formatClock, formatInteger, none } from '../../ui/format.ts'
import { Field, FormDialog } from '../../ui/forms.tsx'
import { Segmented } from '../../ui/parts.tsx'

type Place = 'earliest' | 'latest' | 'offset' | 'time' | 'shift'
const places: readonly { value: Place; label: string }[] = [
  { value: 'earliest', label: 'Earliest' },
  { value: 'latest', label: 'Latest' },
  { value: 'time', label: 'Time' },
  { value: 'offset', label: 'Offset' },
  { value: 'shift', label: 'Shift' },
]
const hints: Record<Place, string> = {
  earliest: 'The first record that is kept: everything is read again.',
  latest: 'Behind the last record: what is there now is skipped.',
  time: 'The first record of each partition at or after this time, in the zone of the bar at the top unless it says its own.',
  offset: 'The same offset in each partition.',
  shift: 'So many records from where it is; back if negative.',
}

export function ResetDialog({ group, onClose }: { group: GroupDetail; onClose: () => void }) {
  const { id, memberCount, topics } = group
  const queries = useQueryClient()
  const { data: all } = useTopics()
  const adminReason = useReason('admin')
  const [place, setPlace] = useState<Place>('earliest')
  const [text, setText] = useState('')
  const [topic, setTopic] = useState('')
  const [partition, setPartition] = useState('')
  const [plan, setPlan] = useState<ResetPlan | null>(null)
  const hasText = place !== 'earliest' && place !== 'latest'
  const partitionCount = all?.find(({ name }) => name === topic)?.partitionCount ?? 0

  const request = (execute: boolean): ResetRequest => ({
    to:
      place === 'time'
        ? { time: clockForApi(text.trim()) }
        : place === 'offset'
          ? { offset: Number(text) }
          : place === 'shift'
            ? { shiftBy: Number(text) }
            : place,
    ...(topic !== '' && { topics: [topic] }),
    ...(topic !== '' && partition !== '' && { partitions: [Number(partition)] }),
    execute,
  })
  const submit = async (): Promise<void> => {
    const next = await apiSend<ResetPlan>('POST', `${groupPath(id)}/reset`, request(plan !== null))
    setPlan(next)
    if (next.executed) await queries.invalidateQueries({ queryKey: ['group', id] })
    if (next.executed) void queries.invalidateQueries({ queryKey: ['groups'] })
  }
  const change =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      set(value)
      setPlan(null)
    }
  const moved = plan?.partitions.filter((one) => one.change !== 0).length ?? 0
  const activeReason =
    memberCount > 0
      ? `The group has ${memberCount} ${memberCount === 1 ? 'member' : 'members'}: stop its consumers, then apply.`
      : undefined
  return (
    <FormDialog
      title={`Reset offsets of ${id}`}
      className="wide"
      action={
        plan === null ? 'Show what would change' : plan.executed ? 'Done' : `Apply to ${moved} ${moved === 1 ? 'partition' : 'partitions'}`
      }
      isDanger={plan !== null && !plan.executed}
      reason={
        hasText && text.trim() === ''
          ? 'Where to is missing.'
          : plan !== null && !plan.executed
            ? (adminReason ?? activeReason ?? (moved === 0 ? 'Nothing would change.' : undefined))
            : adminReason
      }
      onClose={onClose}
      onSubmit={plan?.executed ? async () => onClose() : submit}
    >
      <Segmented label="Where it goes on" value={place} options={places} onChange={change(setPlace)} />
      <p className="quiet">{hints[place]}</p>
      <div className="field-row">
        {hasText && (
          <Field label={place === 'time' ? 'Time' : place === 'offset' ? 'Offset' : 'Records'}>
            {(id) => (
              <input
                id={id}
                className="mono"
                inputMode={place === 'time' ? 'text' : 'numeric'}
                pattern={place === 'time' ? undefined : '-?\\d+'}
                placeholder={place === 'time' ? formatClock(Date.now() - 3_600_000) : place === 'shift' ? '-100' : '0'}
                value={text}
                onChange={(event) => change(setText)(event.target.value)}
                autoComplete="off"
              />
            )}
          </Field>
        )}
        <Field label="Topic">
          {(id) => (
            <select id={id} className="select" value={topic} onChange={(event) => change(setTopic)(event.target.value)}>
              <option value="">all that it reads ({topics.length})</option>
              {[...new Set([...topics, ...(all ?? []).map(({ name }) => name).filter((name) => !name.startsWith('__'))])].map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          )}
        </Field>
        {partitionCount > 1 && (
          <Field label="Partition">
            {(id) => (
              <select id={id} className="select" value={partition} onChange={(event) => change(setPartition)(event.target.value)}>
                <option value="">all ({partitionCount})</option>
                {Array.from({ length: partitionCount }, (_, index) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: a partition is its number
                  <option key={index} value={index}>
                    {index}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
      </div>
      {plan && (
        <>
          <p className={plan.executed ? 'answer is-good' : 'quiet'} role="status">
            {plan.executed ? 'Applied: its next member goes on there.' : 'A dry run: nothing is changed yet.'}
          </p>
          <div className="table-scroll plan">
            <table className="list">
              <thead>
                <tr>
                  <th scope="col">Topic</th>
                  <th scope="col" className="number">
                    Partition
                  </th>
                  <th scope="col" className="number">
                    From
                  </th>
                  <th scope="col" className="number">
                    To
                  </th>
                  <th scope="col" className="number wide-only">
                    End
                  </th>
                  <th scope="col">So it</th>
                </tr>
              </thead>
              <tbody>
                {plan.partitions.map(({ topic: name, partition: number, from, to, endOffset, change: by, isClamped }) => (
                  <tr key={`${name}/${number}`}>
                    <td>
                      <code>{name}</code>
                    </td>
                    <td className="number">{number}</td>
                    <td className="number">{from === undefined ? none : formatInteger(from)}</td>
                    <td className="number">
                      <b>{formatInteger(to)}</b>
                    </td>
                    <td className="number wide-only">{formatInteger(endOffset)}</td>
                    <td>
                      {from === undefined
                        ? 'begins there'
                        : by === 0
                          ? 'stays'
                          : by < 0
                            ? `reads ${formatInteger(-by)} again`
                            : `skips ${formatInteger(by)}`}
                      {isClamped && <span className="quiet">, as far as there are records</span>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </FormDialog>
  )
}
