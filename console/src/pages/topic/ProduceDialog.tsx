// Sends a record: through the front door, which checks it, or as it is, as a Kafka client would. Also one that is there already, again.
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { CheckResponse, IngestResponse, ProduceRequest, ProduceResponse, TopicSummary } from '../../../../src/serve/contract.ts'
import { apiSend, topicPath } from '../../api/client.ts'
import { parseExact, stringifyExact } from '../../api/json.ts'
import type { TailMessage } from '../../api/live.ts'
import { contentTypes } from '../../api/topics.ts'
import { Field, FormDialog } from '../../ui/forms.tsx'
import { valueText } from '../../ui/MessageList.tsx'
import { Segmented } from '../../ui/parts.tsx'

type Way = 'door' | 'raw'
type Encoding = NonNullable<ProduceRequest['messages'][number]['encoding']>

/** `name: value`, one a line. */
function headersOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => {
        const at = line.indexOf(':')
        if (at < 1) throw new Error(`"${line}" is no header: write name: value`)
        return [line.slice(0, at).trim(), line.slice(at + 1).trim()]
      }),
  )
}

/** An object with made-up values for the declared columns, to begin with. */
function template({ columns, format }: TopicSummary): string {
  if (columns.length === 0 || format !== 'json') return ''
  const sample = (type: string): unknown =>
    /^(TINYINT|SMALLINT|INT|BIGINT|DECIMAL|FLOAT|DOUBLE)/.test(type)
      ? 1
      : /^BOOLEAN/.test(type)
        ? false
        : /^TIMESTAMP_LTZ/.test(type)
          ? `${new Date().toISOString()}`
          : /^TIMESTAMP/.test(type)
            ? new Date().toISOString().slice(0, 23).replace('T', ' ')
            : /^(VARCHAR|CHAR)/.test(type)
              ? ''
              : null
  return stringifyExact(Object.fromEntries(columns.map(({ name, type }) => [name, sample(type)])), 2)
}

/** A problem of the value that can be said at once; the server decides. */
function jsonProblem(text: string): string | undefined {
  try {
    parseExact(text)
    return undefined
  } catch (error) {
    return text.trim() === '' ? 'An event is a JSON object.' : (error as Error).message
  }
}

/** What an event is; nothing need be said of JSON. */
function eventHint({ format, columns }: TopicSummary): string | undefined {
  if (format === 'csv') return `CSV, a record a line: ${columns.map(({ name }) => name).join(', ')}`
  return format === 'raw' ? 'The record as it is' : undefined
}

export function ProduceDialog({ topic, again, onClose }: { topic: TopicSummary; again?: TailMessage | undefined; onClose: () => void }) {
  const { name, columns, partitionCount, format = 'json' } = topic
  const queries = useQueryClient()
  const isDeclared = columns.length > 0
  const [way, setWay] = useState<Way>(isDeclared && again?.encoding !== 'hex' ? 'door' : 'raw')
  const [value, setValue] = useState(again ? valueText(again, again.encoding === 'json' && format === 'json' ? 2 : 0) : template(topic))
  const [isTombstone, setTombstone] = useState(again?.encoding === null)
  const [key, setKey] = useState(again?.key ?? '')
  const [headers, setHeaders] = useState(
    again
      ? Object.entries(again.headers)
          .map(([header, text]) => `${header}: ${text}`)
          .join('\n')
      : '',
  )
  const [partition, setPartition] = useState(again && partitionCount > 1 ? String(again.partition) : '')
  const [encoding, setEncoding] = useState<Encoding>(again?.encoding === 'hex' ? 'hex' : 'text')
  const [answer, setAnswer] = useState<{ isGood: boolean; text: string } | null>(null)
  const problem = way === 'door' && format === 'json' ? jsonProblem(value) : undefined

  const said = ({ accepted, rejected }: CheckResponse, good: string): void =>
    setAnswer(
      accepted > 0 && rejected.length === 0
        ? { isGood: true, text: good }
        : {
            isGood: false,
            text:
              rejected.map(({ path, message }) => (path && !message.includes(path) ? `${path}: ${message}` : message)).join('; ') ||
              'It was refused.',
          },
    )
  const check = async (): Promise<void> => {
    try {
      said(await apiSend<CheckResponse>('POST', `${topicPath(name)}/check`, { value }), 'The front door would take it.')
    } catch (error) {
      setAnswer({ isGood: false, text: (error as Error).message })
    }
  }
  const send = async (): Promise<void> => {
    setAnswer(null)
    if (way === 'door') {
      // As text: a numeral that a double does not hold keeps its digits. 422 says which rule it breaks.
      const response = await apiSend<IngestResponse>('POST', `${topicPath(name)}/events`, value, {
        alsoOk: 422,
        contentType: contentTypes[format],
      })
      const [range] = response.offsets
      said(response, range ? `Stored at ${range.partition}/${range.first}.` : 'Stored.')
    } else {
      const message = {
        key: key === '' ? null : key,
        value: isTombstone ? null : value,
        encoding,
        headers: headersOf(headers),
        ...(partition !== '' && { partition: Number(partition) }),
      }
      const { offsets } = await apiSend<ProduceResponse>('POST', `${topicPath(name)}/messages`, { messages: [message] })
      setAnswer({ isGood: true, text: `Stored at ${offsets[0]!.partition}/${offsets[0]!.offset}.` })
    }
    void queries.invalidateQueries({ queryKey: ['topics'] })
  }

  return (
    <FormDialog
      title={again ? `Send ${again.partition}/${again.offset} again` : `Send to ${name}`}
      action={answer?.isGood ? 'Send once more' : 'Send'}
      className="wide"
      onClose={onClose}
      onSubmit={send}
      extra={
        way === 'door' && (
          <button type="button" className="button" onClick={() => void check()} disabled={problem !== undefined}>
            Check
          </button>
        )
      }
    >
      {isDeclared && (
        <Segmented
          label="How it is sent"
          value={way}
          options={[
            { value: 'door', label: 'As an event, checked' },
            { value: 'raw', label: 'As a record, unchecked' },
          ]}
          onChange={(next) => {
            setWay(next)
            setAnswer(null)
          }}
        />
      )}
      <p className="quiet">
        {way === 'door'
          ? 'Through the front door, as every event: checked against the declared columns, with id and time added; the key comes from the table.'
          : 'Past all checks, as a Kafka client would: what queries cannot read goes to the dead letters later.'}
      </p>
      <Field
        label="Value"
        hint={isTombstone ? 'No value: a tombstone.' : way === 'door' ? eventHint(topic) : undefined}
        error={value.trim() === '' ? undefined : problem}
      >
        {(id, describedBy) => (
          <textarea
            id={id}
            aria-describedby={describedBy}
            value={isTombstone ? '' : value}
            disabled={isTombstone}
            onChange={(event) => {
              setValue(event.target.value)
              setAnswer(null)
            }}
            rows={10}
            spellCheck={false}
          />
        )}
      </Field>
      {way === 'raw' && (
        <>
          <div className="field-row">
            <Field label="Key" hint="Empty: none">
              {(id, describedBy) => (
                <input id={id} aria-describedby={describedBy} value={key} onChange={(event) => setKey(event.target.value)} />
              )}
            </Field>
            <Field label="Partition" hint="Empty: by the key">
              {(id, describedBy) => (
                <input
                  id={id}
                  aria-describedby={describedBy}
                  inputMode="numeric"
                  pattern="\d*"
                  value={partition}
                  onChange={(event) => setPartition(event.target.value)}
                />
              )}
            </Field>
            <Field label="Bytes are written as">
              {(id) => (
                <select id={id} className="select" value={encoding} onChange={(event) => setEncoding(event.target.value as Encoding)}>
                  <option value="text">text</option>
                  <option value="hex">hexadecimal digits</option>
                  <option value="base64">base64</option>
                </select>
              )}
            </Field>
          </div>
          <Field label="Headers" hint="name: value, one a line">
            {(id, describedBy) => (
              <textarea
                id={id}
                aria-describedby={describedBy}
                value={headers}
                onChange={(event) => setHeaders(event.target.value)}
                rows={3}
                spellCheck={false}
              />
            )}
          </Field>
          <label className="check">
            <input type="checkbox" checked={isTombstone} onChange={(event) => setTombstone(event.target.checked)} />
            Tombstone: a key without a value, which deletes the key where the topic is compacted
          </label>
        </>
      )}
      {answer && (
        <p className={answer.isGood ? 'answer is-good' : 'answer is-bad'} role="status">
          {answer.text}
        </p>
      )}
    </FormDialog>
  )
}
