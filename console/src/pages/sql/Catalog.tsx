// What there is to ask, as a tree: one stop of the Tab key, from which the arrows, Home, End and the first letters of a name go everywhere
// (the tree view pattern of the ARIA practices).
import { ChevronRight } from 'lucide-react'
import { type KeyboardEvent, useRef, useState } from 'react'
import type { CatalogTable } from '../../../../src/serve/contract.ts'
import { readableType } from '../../api/columns.ts'
import { Failure, SkeletonRows } from '../../ui/parts.tsx'
import { nextItem, typedText } from '../../ui/treeKeys.ts'

/** More are searched. */
const CATALOG_PLAIN_MAX = 20
const CATALOG_SHOWN_MAX = 300

export interface CatalogProps {
  tables: CatalogTable[] | undefined
  error: unknown
  onPick: (text: string) => void
  onSelect: (statement: string) => void
}

interface Item {
  id: string
  label: string
  detail: string
  level: 1 | 2
  /** Of a table: whether its columns are shown. */
  isOpen?: boolean
  place: number
  count: number
  title: string
  act: () => void
}

export function Catalog({ tables, error, onPick, onSelect }: CatalogProps) {
  const [text, setText] = useState('')
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())
  const found = (tables ?? []).filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase()))
  const shown = found.slice(0, CATALOG_SHOWN_MAX)
  const setTable = (name: string, isOpen: boolean): void =>
    setOpen((old) => new Set(isOpen ? [...old, name] : [...old].filter((one) => one !== name)))
  const items = shown.flatMap((table, index): Item[] => {
    const { name, kind, columns, quoted = name } = table
    const isOpen = open.has(name)
    const head: Item = {
      id: name,
      label: name,
      detail: kind === 'materialized table' ? 'live' : kind,
      level: 1,
      isOpen,
      place: index + 1,
      count: shown.length,
      title: name,
      act: () => setTable(name, !isOpen),
    }
    if (!isOpen) return [head]
    const inner = { level: 2, count: columns.length + 1 } as const
    return [
      head,
      ...columns.map((column, i) => ({
        ...inner,
        id: `${name}\n${column.name}`,
        label: column.name,
        detail: readableType(column.type),
        place: i + 1,
        title: `Insert ${column.name}`,
        act: () => onPick(column.quoted ?? column.name),
      })),
      {
        ...inner,
        id: `${name}\n`,
        label: 'SELECT * FROM …',
        detail: '',
        place: columns.length + 1,
        title: `Begin with SELECT * FROM ${name}`,
        act: () => onSelect(`SELECT * FROM ${quoted} LIMIT 100;`),
      },
    ]
  })
  return (
    <nav className="panel sql-catalog" aria-label="Catalog">
      <header>
        <h2>Catalog</h2>
      </header>
      <div className="panel-body">
        {!tables && (error ? <Failure error={error} /> : <SkeletonRows />)}
        {tables?.length === 0 && <p className="quiet">Nothing is declared yet: a CREATE TABLE, deployed, is the first.</p>}
        {(tables?.length ?? 0) > CATALOG_PLAIN_MAX && (
          <input
            type="search"
            className="filter"
            aria-label="Find in the catalog"
            placeholder="Find"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        )}
        {items.length > 0 && <Tree items={items} setTable={setTable} />}
        {tables && tables.length > 0 && found.length === 0 && <p className="quiet">No name has that in it.</p>}
        {found.length > CATALOG_SHOWN_MAX && (
          <p className="quiet">… and {found.length - CATALOG_SHOWN_MAX} more: write a part of the name above.</p>
        )}
      </div>
    </nav>
  )
}

function Tree({ items, setTable }: { items: readonly Item[]; setTable: (name: string, isOpen: boolean) => void }) {
  const tree = useRef<HTMLDivElement>(null)
  const [chosen, setChosen] = useState('')
  const typed = useRef(typedText())
  const chosenIndex = Math.max(
    0,
    items.findIndex(({ id }) => id === chosen),
  )
  const focusOn = (index: number): void => {
    setChosen(items[index]!.id)
    tree.current?.querySelectorAll<HTMLElement>('[role=treeitem]')[index]?.focus()
  }
  const onKeyDown = (event: KeyboardEvent, index: number): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const item = items[index]!
    const parent = items.findLastIndex(({ level }, i) => i < index && level === 1)
    const isTable = item.isOpen !== undefined
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault()
      item.act()
    } else if (event.key === 'ArrowRight' && isTable) {
      event.preventDefault()
      if (item.isOpen) focusOn(Math.min(index + 1, items.length - 1))
      else setTable(item.id, true)
    } else if (event.key === 'ArrowLeft') {
      event.preventDefault()
      if (isTable) setTable(item.id, false)
      else focusOn(parent)
    } else {
      const labels = items.map(({ label }) => label)
      const next =
        nextItem(event.key, index, items.length) ?? (event.key.length === 1 ? typed.current(event.key, index, labels) : undefined)
      if (next === undefined) return
      event.preventDefault()
      focusOn(next)
    }
  }
  return (
    <div ref={tree} role="tree" aria-label="Tables, views and their columns">
      {items.map(({ id, label, detail, level, isOpen, place, count, title, act }, index) => (
        <div
          key={id}
          role="treeitem"
          aria-level={level}
          aria-expanded={isOpen}
          aria-selected={index === chosenIndex}
          aria-posinset={place}
          aria-setsize={count}
          tabIndex={index === chosenIndex ? 0 : -1}
          title={title}
          onClick={() => {
            setChosen(id)
            act()
          }}
          onFocus={() => setChosen(id)}
          onKeyDown={(event) => onKeyDown(event, index)}
        >
          {isOpen !== undefined && <ChevronRight size={12} aria-hidden />}
          <code>{label}</code>
          {detail && <small>{detail}</small>}
        </div>
      ))}
    </div>
  )
}
