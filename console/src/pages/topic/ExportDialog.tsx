// Takes records out as a file: those that the page shows the beginning of, with its place, partition and filter.
import { useRef, useState } from 'react'
import type { TopicSummary } from '../../../../src/serve/contract.ts'
import { apiDownload, topicPath } from '../../api/client.ts'
import type { TopicSearch } from '../../router.tsx'
import { downloadBlob } from '../../ui/export.ts'
import { formatBytes } from '../../ui/format.ts'
import { Field, FormDialog } from '../../ui/forms.tsx'
import { Segmented } from '../../ui/parts.tsx'
import { apiQuery } from './Messages.tsx'

const limits = [1_000, 10_000, 100_000, 1_000_000] as const

export function ExportDialog({ topic, search, onClose }: { topic: TopicSummary; search: TopicSearch; onClose: () => void }) {
  const { name } = topic
  const [format, setFormat] = useState<'ndjson' | 'csv'>('ndjson')
  const [limit, setLimit] = useState<number>(10_000)
  const [select, setSelect] = useState('')
  const [bytes, setBytes] = useState<number | null>(null)
  const running = useRef<AbortController | null>(null)
  const close = (): void => {
    running.current?.abort()
    onClose()
  }
  const save = async (): Promise<void> => {
    const control = new AbortController()
    running.current = control
    const query = apiQuery(search)
    // Live has no beginning: what is newest is.
    if (search.from === undefined) query.set('from', 'newest')
    query.set('format', format)
    query.set('limit', String(limit))
    if (select.trim() !== '') query.set('select', select.trim())
    setBytes(0)
    try {
      downloadBlob(`${name}.${format}`, await apiDownload(`${topicPath(name)}/export?${query}`, setBytes, control.signal))
      onClose()
    } catch (error) {
      if (!control.signal.aborted) throw error
    } finally {
      setBytes(null)
    }
  }
  const place =
    search.from === undefined || search.from === 'newest'
      ? 'the newest first'
      : search.from === 'oldest'
        ? 'from the oldest on'
        : `from ${search.from} ${search.from === 'offset' ? (search.offset ?? 0) : (search.time ?? '')} on`
  return (
    <FormDialog
      title={`Export ${name}`}
      action="Save file"
      onClose={close}
      onSubmit={save}
      extra={bytes !== null && <span role="status">{formatBytes(bytes)}</span>}
    >
      <p className="quiet">
        Records {place}
        {search.partition !== undefined && `, of partition ${search.partition}`}
        {search.where && (
          <>
            , where <code>{search.where}</code>
          </>
        )}
        .
      </p>
      <div className="field-row">
        <Field label="Format">
          {() => (
            <Segmented
              label="Format"
              value={format}
              options={[
                { value: 'ndjson', label: 'NDJSON' },
                { value: 'csv', label: 'CSV' },
              ]}
              onChange={setFormat}
            />
          )}
        </Field>
        <Field label="At most">
          {(id) => (
            <select id={id} className="select" value={limit} onChange={(event) => setLimit(Number(event.target.value))}>
              {limits.map((count) => (
                <option key={count} value={count}>
                  {count.toLocaleString('en')} records
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <Field label="Columns" hint="A select list in SQL. Empty: whole records, with key, headers and place.">
        {(id, describedBy) => (
          <input
            id={id}
            aria-describedby={describedBy}
            className="mono"
            value={select}
            onChange={(event) => setSelect(event.target.value)}
            placeholder={`_offset, _timestamp${topic.columns[0] ? `, ${topic.columns[0].name}` : ''}`}
            spellCheck={false}
          />
        )}
      </Field>
    </FormDialog>
  )
}
