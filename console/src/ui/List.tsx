// A list of objects: found by a part of their text, ordered by a column; both are in the address, so a link shows what its sender saw.
//
// Invariant: rows that are alike in the column keep the order of their names, and those without a value come last, so a list whose numbers move
// does not shuffle what stands still.
import { useNavigate, useSearch } from '@tanstack/react-router'
import { ArrowDown, ArrowUp } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useIsPhone, useMedia } from './parts.tsx'

export interface ListSearch {
  /** A part of the text. */
  q?: string
  /** A column, with a `-` before it descending. */
  sort?: string
}

export interface ListColumn<T> {
  id: string
  label: string
  /** By which the list is ordered; a column without it has no order. */
  value?: (item: T) => string | number | null | undefined
  className?: string
  title?: string
}

/** One order of many ways to write it: descending first where the largest is what one looks for. */
const firstOrder = <T,>({ id, className }: ListColumn<T>): string => (className?.includes('number') ? `-${id}` : id)
const turned = (sort: string): string => (sort.startsWith('-') ? sort.slice(1) : `-${sort}`)

export function sorted<T>(items: readonly T[], sort: string | undefined, columns: readonly ListColumn<T>[]): readonly T[] {
  const value = columns.find(({ id }) => id === sort?.replace(/^-/, ''))?.value
  if (!value) return items
  const by = sort!.startsWith('-') ? -1 : 1
  const isMissing = (one: unknown): boolean => one === null || one === undefined || Number.isNaN(one)
  return items
    .map((item) => ({ item, key: value(item) }))
    .sort(({ key: a }, { key: b }) => {
      if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b))
      return by * (typeof a === 'string' ? a.localeCompare(String(b)) : Number(a) - Number(b))
    })
    .map(({ item }) => item)
}

export interface ListView<T> {
  columns: readonly ListColumn<T>[]
  shown: readonly T[]
  text: string
  sort: string | undefined
  find: (text: string) => void
  order: (sort: string | undefined) => void
}

/** @param textOf  what a part of is looked for, upper and lower case alike */
export function useList<T>(items: readonly T[], columns: readonly ListColumn<T>[], textOf: (item: T) => string): ListView<T> {
  const { q = '', sort } = useSearch({ strict: false }) as ListSearch
  const navigate = useNavigate()
  const write = (change: ListSearch): void =>
    void navigate({ to: '.', search: ((old: object) => ({ ...old, ...change })) as never, replace: true })
  // What is typed stands at once: the address follows a little later. One that nobody typed here, as by Back or a click on the list's own name, is
  // what counts.
  const [text, setText] = useState(q)
  const underway = useRef<string[]>([])
  useEffect(() => {
    const at = underway.current.indexOf(q)
    underway.current.splice(0, at < 0 ? underway.current.length : at + 1)
    if (at < 0) setText(q)
  }, [q])
  const wanted = text.trim().toLowerCase()
  const shown = useMemo(
    () =>
      sorted(
        items.filter((item) => textOf(item).toLowerCase().includes(wanted)),
        sort,
        columns,
      ),
    [items, wanted, sort, columns, textOf],
  )
  return {
    columns,
    shown,
    text,
    sort,
    find: (next) => {
      setText(next)
      underway.current.push(next)
      write({ q: next === '' ? undefined : next } as ListSearch)
    },
    order: (next) => write({ sort: next } as ListSearch),
  }
}

/** The width from which on a column is there, by its class `over-1100`. */
const fromPx = (className = ''): number => Number(/over-(\d+)/.exec(className)?.[1] ?? 0)

/** The field to find in it; also its order, where no head shows it: on the phone, where a list is cards, and by a column that has no room. */
export function ListTools<T>({ list, label, placeholder = 'Filter' }: { list: ListView<T>; label: string; placeholder?: string }) {
  const { columns, text, sort, find, order } = list
  const isPhone = useIsPhone()
  const ordered = columns.find(({ id }) => id === sort?.replace(/^-/, ''))
  const isHidden = useMedia(`(width < ${fromPx(ordered?.className)}px)`)
  return (
    <>
      <input
        type="search"
        className="filter"
        aria-label={label}
        placeholder={placeholder}
        value={text}
        onChange={(event) => find(event.target.value)}
      />
      {(isPhone || isHidden) && (
        <select
          className="filter"
          aria-label="Order"
          value={sort ?? ''}
          onChange={({ target: { value } }) => order(value === '' ? undefined : value)}
        >
          <option value="">Order</option>
          {columns
            .filter(({ value }) => value !== undefined)
            .flatMap((column) => [firstOrder(column), turned(firstOrder(column))].map((one) => ({ one, label: column.label })))
            .map(({ one, label: name }) => (
              <option key={one} value={one}>
                {name} {one.startsWith('-') ? '↓' : '↑'}
              </option>
            ))}
        </select>
      )}
    </>
  )
}

/** The head of its table: each click on a column turns the order, the third takes it away. */
export function ListHead<T>({ list: { columns, sort, order } }: { list: ListView<T> }) {
  const isPhone = useIsPhone()
  return (
    <thead>
      <tr>
        {columns.map((column) => {
          const { id, label, value, className, title } = column
          if (!value || isPhone)
            return (
              <th key={id} scope="col" className={className} title={title}>
                {label}
              </th>
            )
          const isOrdered = sort?.replace(/^-/, '') === id
          const Arrow = sort?.startsWith('-') ? ArrowDown : ArrowUp
          const first = firstOrder(column)
          const next = !isOrdered ? first : sort === first ? turned(first) : undefined
          return (
            <th
              key={id}
              scope="col"
              className={className}
              title={title}
              aria-sort={isOrdered ? (sort?.startsWith('-') ? 'descending' : 'ascending') : 'none'}
            >
              <button type="button" className="order-button" onClick={() => order(next)}>
                {label}
                {isOrdered && <Arrow size={12} aria-hidden />}
              </button>
            </th>
          )
        })}
      </tr>
    </thead>
  )
}
