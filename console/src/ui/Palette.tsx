// ⌘K: every page, table, topic, consumer group and query by name.
import { useNavigate } from '@tanstack/react-router'
import { Clock, Database, Rows3, Users, Workflow } from 'lucide-react'
import { type ComponentType, type KeyboardEvent, useMemo, useRef, useState } from 'react'
import { useQueries, useTables, useTopics } from '../api/queries.ts'
import { useGroups } from '../api/topics.ts'
import { rank } from './fuzzy.ts'
import { Modal } from './parts.tsx'
import { areas } from './Shell.tsx'
import { chooseZone, currentZone, ownZone } from './zone.ts'

interface Entry {
  id: string
  kind: string
  name: string
  note: string
  icon: ComponentType<{ size?: number }>
  open: () => void
}

const shownCountMax = 50

export default function Palette({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate()
  const tables = useTables(10_000).data
  const topics = useTopics(10_000).data
  const groups = useGroups().data?.groups
  const queries = useQueries(10_000).data
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const list = useRef<HTMLDivElement>(null)

  const entries = useMemo<Entry[]>(
    () => [
      ...areas.map(({ to, label, icon }) => ({ id: to, kind: 'Page', name: label, note: '', icon, open: () => void navigate({ to }) })),
      ...[...new Set(['UTC', ownZone()])]
        .filter((zone) => zone !== currentZone())
        .map((zone) => ({
          id: `zone/${zone}`,
          kind: 'Setting',
          name: `Times in ${zone}`,
          note: 'processing time',
          icon: Clock,
          open: () => chooseZone(zone),
        })),
      ...(tables ?? []).map(({ name, comment, rowCount }) => ({
        id: `table/${name}`,
        kind: 'Table',
        name,
        note: comment ?? `${rowCount.toLocaleString('en')} rows`,
        icon: Database,
        open: () => void navigate({ to: '/tables/$name', params: { name } }),
      })),
      ...(topics ?? []).map(({ name, recordCount }) => ({
        id: `topic/${name}`,
        kind: 'Topic',
        name,
        note: `${recordCount.toLocaleString('en')} records`,
        icon: Rows3,
        open: () => void navigate({ to: '/topics/$name', params: { name } }),
      })),
      ...(groups ?? []).map(({ id, lag }) => ({
        id: `group/${id}`,
        kind: 'Group',
        name: id,
        note: `${lag.toLocaleString('en')} behind`,
        icon: Users,
        open: () => void navigate({ to: '/groups/$id', params: { id } }),
      })),
      ...(queries ?? []).map(({ id, name, state }) => ({
        id: `query/${id}`,
        kind: 'Query',
        name,
        note: state,
        icon: Workflow,
        open: () => void navigate({ to: '/queries/$id', params: { id } }),
      })),
    ],
    [tables, topics, groups, queries, navigate],
  )
  const found = useMemo(() => rank(entries, text, (entry) => `${entry.name} ${entry.kind}`).slice(0, shownCountMax), [entries, text])
  const selected = Math.min(at, found.length - 1)

  const choose = (entry: Entry | undefined): void => {
    if (!entry) return
    onClose()
    entry.open()
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0 && found.length > 0) {
      event.preventDefault()
      const next = (selected + step + found.length) % found.length
      setAt(next)
      list.current?.children[next]?.scrollIntoView({ block: 'nearest' })
    } else if (event.key === 'Enter') {
      event.preventDefault()
      choose(found[selected])
    }
  }

  return (
    <Modal title="Find" className="palette" onClose={onClose} isTitleHidden>
      <input
        type="text"
        role="combobox"
        aria-label="Find a page, table, topic, group or query"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found[selected] ? `palette-${selected}` : undefined}
        placeholder="Find a page, table, topic, group or query"
        value={text}
        onChange={(event) => {
          setText(event.target.value)
          setAt(0)
        }}
        onKeyDown={onKeyDown}
        autoComplete="off"
        spellCheck={false}
      />
      <div ref={list} id="palette-list" role="listbox" aria-label="Found">
        {found.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the combobox, as its pattern asks
          <div
            key={entry.id}
            id={`palette-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === selected}
            onPointerMove={() => setAt(index)}
            onClick={() => choose(entry)}
          >
            <entry.icon size={15} />
            <span className="palette-name">{entry.name}</span>
            <span className="palette-note">{entry.note}</span>
            <span className="palette-kind">{entry.kind}</span>
          </div>
        ))}
        {found.length === 0 && <p className="quiet">Nothing has this name.</p>}
      </div>
    </Modal>
  )
}
