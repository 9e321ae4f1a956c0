// The settings of a topic: what they are, what they mean; changed and set back in a dialog; and the topic's end.
import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Pencil, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { TopicSetting, TopicSummary } from '../../../../src/serve/contract.ts'
import { ApiFailure, apiSend, topicPath } from '../../api/client.ts'
import { isInternalTopic } from '../../api/queries.ts'
import { useReason, useSettings } from '../../api/topics.ts'
import { formatBytes, formatDuration, formatInteger } from '../../ui/format.ts'
import { Field, FormDialog } from '../../ui/forms.tsx'
import { Panel } from '../../ui/Panel.tsx'
import { Badge, Waiting } from '../../ui/parts.tsx'

/** 3600000 -> `1 h` */
const spanText = (ms: number): string => formatDuration(ms / 1_000).replace(/ 00 [hms]$/, '')

/** Settings that are one of a few words. */
const choices: Record<string, readonly string[]> = {
  'compression.type': ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'],
  'cleanup.policy': ['delete', 'compact', 'compact,delete'],
  'message.timestamp.type': ['CreateTime', 'LogAppendTime'],
}

/** How long records are kept, in a few words. */
export function retentionText(config: TopicSummary['config']): string {
  if (config['cleanup.policy'] === 'compact') return 'compacted'
  const ms = Number(config['retention.ms'])
  return ms < 0 ? 'for ever' : spanText(ms)
}

/** A setting's value as people read it, beside what it is; nothing where it says itself. */
export function readableSetting(name: string, value: string | number): string {
  const number = Number(value)
  if (name.endsWith('.ms') && Number.isFinite(number))
    return number < 0 || number >= Number.MAX_SAFE_INTEGER ? 'no limit' : spanText(number)
  if (name.endsWith('.bytes') && Number.isFinite(number)) return number < 0 ? 'no limit' : formatBytes(number)
  return ''
}

export function Settings({ topic }: { topic: TopicSummary }) {
  const { name } = topic
  const { data: settings, error } = useSettings(name)
  const [dialog, setDialog] = useState<'alter' | 'delete' | null>(null)
  const reason = useReason('admin') ?? (isInternalTopic(name) ? "The server's own topics are not changed." : undefined)
  return (
    <>
      <Panel
        title="Settings"
        note="Kafka's names and meanings"
        actions={
          <>
            <button
              type="button"
              className="button"
              disabled={reason !== undefined || !settings}
              title={reason}
              onClick={() => setDialog('alter')}
            >
              <Pencil size={13} aria-hidden />
              Change…
            </button>
            <button
              type="button"
              className="button danger"
              disabled={reason !== undefined}
              title={reason}
              onClick={() => setDialog('delete')}
            >
              <Trash2 size={13} aria-hidden />
              Delete topic…
            </button>
          </>
        }
      >
        {!settings ? (
          <Waiting refusal={error} count={4} />
        ) : (
          <table className="list settings">
            <tbody>
              {settings.map(({ name: setting, value, isDefault, description }) => (
                <tr key={setting}>
                  <td>
                    <code>{setting}</code> {!isDefault && <Badge>changed</Badge>}
                    <small>{description}</small>
                  </td>
                  <td className="number">
                    <code>{String(value)}</code>
                    <small>{readableSetting(setting, value)}</small>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Panel>
      {dialog === 'alter' && settings && <AlterDialog topic={topic} settings={settings} onClose={() => setDialog(null)} />}
      {dialog === 'delete' && <DeleteDialog topic={topic} onClose={() => setDialog(null)} />}
    </>
  )
}

function AlterDialog({ topic, settings, onClose }: { topic: TopicSummary; settings: readonly TopicSetting[]; onClose: () => void }) {
  const queries = useQueryClient()
  const [values, setValues] = useState<Record<string, string>>(Object.fromEntries(settings.map(({ name, value }) => [name, String(value)])))
  const [partitions, setPartitions] = useState(String(topic.partitionCount))
  const changed = settings.filter(({ name, value }) => values[name]?.trim() !== String(value))
  const isGrown = Number(partitions) !== topic.partitionCount
  const save = async (): Promise<void> => {
    // An empty field is the default again.
    const config = Object.fromEntries(changed.map(({ name }) => [name, values[name]!.trim() === '' ? null : values[name]!.trim()]))
    await apiSend('PATCH', topicPath(topic.name), { config, ...(isGrown && { partitionCount: Number(partitions) }) })
    await queries.invalidateQueries({ queryKey: ['settings', topic.name] })
    await queries.invalidateQueries({ queryKey: ['topics'] })
    onClose()
  }
  const count = changed.length + (isGrown ? 1 : 0)
  return (
    <FormDialog
      title={`Settings of ${topic.name}`}
      action={count === 0 ? 'Save' : `Save ${count} ${count === 1 ? 'change' : 'changes'}`}
      reason={count === 0 ? 'Nothing is changed yet.' : undefined}
      onClose={onClose}
      onSubmit={save}
    >
      <Field label="Partitions" hint="Can only grow. A key may then go to another partition than before.">
        {(id, describedBy) => (
          <input
            id={id}
            aria-describedby={describedBy}
            inputMode="numeric"
            pattern="\d+"
            value={partitions}
            onChange={(event) => setPartitions(event.target.value)}
          />
        )}
      </Field>
      {settings.map(({ name, default: standard, description }) => {
        const readable = readableSetting(name, values[name] ?? '')
        return (
          <Field key={name} label={name} hint={`${readable && values[name]?.trim() ? `${readable}. ` : ''}${description}`}>
            {(id, describedBy) =>
              choices[name] ? (
                <select
                  id={id}
                  aria-describedby={describedBy}
                  className="select"
                  value={values[name]}
                  onChange={(event) => setValues({ ...values, [name]: event.target.value })}
                >
                  {choices[name].map((choice) => (
                    <option key={choice}>{choice}</option>
                  ))}
                </select>
              ) : (
                <input
                  id={id}
                  aria-describedby={describedBy}
                  className="mono"
                  value={values[name]}
                  placeholder={`${standard} (default)`}
                  onChange={(event) => setValues({ ...values, [name]: event.target.value })}
                  autoComplete="off"
                />
              )
            }
          </Field>
        )
      })}
    </FormDialog>
  )
}

function DeleteDialog({ topic, onClose }: { topic: TopicSummary; onClose: () => void }) {
  const { name, recordCount, sizeBytes } = topic
  const queries = useQueryClient()
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [inUse, setInUse] = useState<ApiFailure | null>(null)
  const [isForced, setForced] = useState(false)
  const remove = async (): Promise<void> => {
    try {
      await apiSend('DELETE', `${topicPath(name)}?${new URLSearchParams({ confirm: text.trim(), ...(isForced && { force: 'true' }) })}`)
    } catch (error) {
      if (error instanceof ApiFailure && error.code === 'SERVE_TOPIC_IN_USE') setInUse(error)
      throw error
    }
    await navigate({ to: '/topics' })
    void queries.invalidateQueries({ queryKey: ['topics'] })
  }
  return (
    <FormDialog
      title={`Delete ${name}`}
      action="Delete for good"
      isDanger
      reason={text.trim() === name ? undefined : 'Its name is missing.'}
      onClose={onClose}
      onSubmit={remove}
    >
      <p>
        This deletes <b>{formatInteger(recordCount)}</b> records, {formatBytes(sizeBytes)}, and what consumer groups know of them. There is
        no way back: to keep them, export them first.
      </p>
      <Field label="Type its name to go on">
        {(id) => (
          <input
            id={id}
            className="mono"
            value={text}
            onChange={(event) => setText(event.target.value)}
            placeholder={name}
            autoComplete="off"
            spellCheck={false}
          />
        )}
      </Field>
      {inUse && (
        <label className="check">
          <input type="checkbox" checked={isForced} onChange={(event) => setForced(event.target.checked)} />
          Delete it although the project depends on it: its queries fail then
        </label>
      )}
    </FormDialog>
  )
}
