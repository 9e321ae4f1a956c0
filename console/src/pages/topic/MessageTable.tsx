// Records as a table of chosen fields. A field is a member of the JSON value, or a path into it: `user.id`.
import { Columns3 } from 'lucide-react'
import { type ReactNode, useMemo, useState } from 'react'
import type { ColumnInfo, TopicSummary } from '../../../../src/serve/contract.ts'
import { stringifyExact } from '../../api/json.ts'
import { messageId, type TailMessage } from '../../api/live.ts'
import type { LiveRow } from '../../api/liveTable.ts'
import { DataGrid } from '../../ui/DataGrid.tsx'
import { MessageDetail, valueText } from '../../ui/MessageList.tsx'
import { Modal } from '../../ui/parts.tsx'

export interface MessageTableProps {
  topic: TopicSummary
  messages: readonly TailMessage[]
  filter: string
  /** What is shown; all that are known unless said. */
  fields: readonly string[] | undefined
  onFields: (fields: string[]) => void
  height: string
  actions: (message: TailMessage) => ReactNode
  empty: ReactNode
}

/** Of records that no table declares: members that these many of the first have are fields. */
const sampledCount = 100
const offeredMax = 60
const placeColumns: readonly ColumnInfo[] = [
  { name: 'arrived', type: 'TIMESTAMP(3)' },
  { name: 'partition', type: 'INT' },
  { name: 'offset', type: 'BIGINT' },
  { name: 'key', type: 'STRING' },
]
const widths = {
  arrived: 'minmax(196px, 0.7fr)',
  partition: 'minmax(70px, 0.3fr)',
  offset: 'minmax(84px, 0.4fr)',
  key: 'minmax(100px, 0.7fr)',
}
/** With their milliseconds. */
const wideTimes = (columns: readonly ColumnInfo[]): Record<string, string> =>
  Object.fromEntries(columns.filter(({ type }) => type.startsWith('TIMESTAMP')).map(({ name }) => [name, 'minmax(196px, 0.8fr)']))
const noChange: ReadonlySet<number> = new Set()

function memberAt(value: unknown, path: string): unknown {
  if (value === null || typeof value !== 'object') return undefined
  const own = (value as Record<string, unknown>)[path]
  if (own !== undefined || !path.includes('.')) return own
  const [head, ...rest] = path.split('.')
  return memberAt((value as Record<string, unknown>)[head!], rest.join('.'))
}

/** Members of objects, and those of objects in them. */
function pathsOf(messages: readonly TailMessage[]): string[] {
  const paths = new Set<string>()
  for (const { value } of messages.slice(0, sampledCount)) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) continue
    for (const [name, member] of Object.entries(value)) {
      paths.add(name)
      if (member !== null && typeof member === 'object' && !Array.isArray(member))
        for (const inner of Object.keys(member)) paths.add(`${name}.${inner}`)
    }
  }
  return [...paths].slice(0, offeredMax)
}

export function MessageTable({ topic, messages, filter, fields, onFields, height, actions, empty }: MessageTableProps) {
  const [opened, setOpened] = useState<TailMessage | null>(null)
  const found = useMemo(() => pathsOf(messages), [messages])
  const declared = useMemo(() => topic.columns.map(({ name }) => name), [topic.columns])
  const offered = useMemo(() => [...new Set([...declared, ...found, ...(fields ?? [])])], [declared, found, fields])
  const standard = declared.length > 0 ? declared : found.filter((path) => !path.includes('.'))
  const chosen = fields ?? (standard.length > 0 ? standard : ['value'])
  const types = useMemo(() => new Map(topic.columns.map(({ name, type }) => [name, type])), [topic.columns])
  const columns = useMemo<ColumnInfo[]>(
    // A number of a record is shown as it was sent: kinds that group digits are for tables.
    () => [
      ...placeColumns,
      ...chosen.map((name) => ({
        name: placeColumns.some((one) => one.name === name) ? `${name} (value)` : name,
        type: types.get(name) ?? 'STRING',
      })),
    ],
    [chosen, types],
  )
  const { rows, byKey } = useMemo(() => {
    const wanted = filter.trim().toLowerCase()
    const shown =
      wanted === '' ? messages : messages.filter((message) => `${message.key ?? ''} ${valueText(message)}`.toLowerCase().includes(wanted))
    const list = shown.map((message): LiveRow => {
      const { timestampMs, partition, offset, key, value } = message
      const cells = chosen.map((name) => {
        const member = memberAt(value, name)
        if (member === undefined) return name === 'value' ? valueText(message) : null
        return member !== null && typeof member === 'object' ? stringifyExact(member) : member
      })
      return { key: messageId(message), cells: [timestampMs, partition, offset, key, ...cells], changed: noChange, changedAtMs: 0 }
    })
    return { rows: list, byKey: new Map(shown.map((message) => [messageId(message), message])) }
  }, [messages, chosen, filter])

  return (
    <>
      <details className="chooser">
        <summary className="button">
          <Columns3 size={13} aria-hidden />
          {chosen.length} of {offered.length} fields
        </summary>
        <fieldset>
          <legend className="visually-hidden">Fields of the table</legend>
          {offered.map((name) => (
            <label key={name}>
              <input
                type="checkbox"
                checked={chosen.includes(name)}
                onChange={(event) =>
                  onFields(
                    event.target.checked
                      ? offered.filter((one) => one === name || chosen.includes(one))
                      : chosen.filter((one) => one !== name),
                  )
                }
              />
              <code>{name}</code>
            </label>
          ))}
          {offered.length === 0 && <p className="quiet">Fields are those of JSON objects; there is none here yet.</p>}
        </fieldset>
      </details>
      {rows.length === 0 ? (
        <div className="messages-empty">{messages.length > 0 ? 'No record contains this text.' : empty}</div>
      ) : (
        <DataGrid
          label={`Records of ${topic.name}`}
          columns={columns}
          rows={rows}
          widths={{ ...wideTimes(columns), ...widths }}
          height={height}
          onOpen={(row) => setOpened(byKey.get(row.key) ?? null)}
        />
      )}
      {opened && (
        <Modal title={`${opened.topic} ${opened.partition}/${opened.offset}`} onClose={() => setOpened(null)}>
          <MessageDetail message={opened} actions={actions} />
        </Modal>
      )}
    </>
  )
}
