// A live grid: virtual rows and, where there are many, virtual columns, headers that order, a filter row, discreet marks on cells that changed.
// Column widths depend on types alone, so nothing shifts when numbers change.
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDown, ArrowUp } from 'lucide-react'
import { type CSSProperties, type KeyboardEvent, memo, useRef } from 'react'
import type { ColumnInfo } from '../../../src/serve/contract.ts'
import { type ColumnKind, columnKind, isNumericKind, readableType } from '../api/columns.ts'
import type { LiveRow, Order } from '../api/liveTable.ts'
import { formatCell } from './format.ts'
import { useIsPhone } from './parts.tsx'

export interface DataGridProps {
  label: string
  columns: readonly ColumnInfo[]
  rows: readonly LiveRow[]
  /** Columns to show, in this order; all by default. */
  shown?: readonly string[]
  widths?: Readonly<Record<string, string>>
  order?: Order | null
  onOrder?: (column: string) => void
  filters?: Readonly<Record<string, string>>
  onFilter?: (column: string, text: string) => void
  /** A row was chosen, by mouse or Enter. */
  onOpen?: (row: LiveRow) => void
  /** CSS height of the scrolling part. */
  height: string
}

/** More columns are in the page only where they can be seen. */
const PLAIN_COLUMNS_MAX = 60

const widthByKind: Record<ColumnKind, string> = {
  integer: 'minmax(88px, 0.6fr)',
  decimal: 'minmax(104px, 0.7fr)',
  float: 'minmax(96px, 0.6fr)',
  timestamp: 'minmax(190px, 0.8fr)',
  date: 'minmax(96px, 0.6fr)',
  time: 'minmax(88px, 0.6fr)',
  boolean: 'minmax(72px, 0.4fr)',
  string: 'minmax(140px, 1.6fr)',
  other: 'minmax(160px, 1.6fr)',
}

interface ShownColumn {
  index: number
  name: string
  type: string
  kind: ColumnKind
}

/** Of a value of a megabyte the page holds what can be seen, and a little for the one who points at it. */
const CELL_CHARACTERS_MAX = 500
const clipped = (text: string, lengthMax: number): string => (text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text)

/** A mark older than this is not drawn, so scrolling does not replay it. */
const flashMs = 1_200

export function DataGrid({ label, columns, rows, shown, widths, order, onOrder, filters, onFilter, onOpen, height }: DataGridProps) {
  const scroller = useRef<HTMLDivElement>(null)
  const rowHeight = useIsPhone() ? 38 : 30
  const places = new Map(columns.map((column, index) => [column.name, index]))
  const visible: ShownColumn[] = (shown ?? columns.map((column) => column.name))
    .map((name) => {
      const index = places.get(name) ?? -1
      const type = columns[index]?.type ?? ''
      return { index, name, type, kind: columnKind(type) }
    })
    .filter((column) => column.index >= 0)
  const template = visible.map((column) => widths?.[column.name] ?? widthByKind[column.kind]).join(' ')
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    getItemKey: (index) => rows[index]!.key,
  })
  const widthsPx = visible.map((column) => Number(/minmax\((\d+)px/.exec(widths?.[column.name] ?? widthByKind[column.kind])?.[1] ?? 0))
  const minWidthPx = widthsPx.reduce((sum, width) => sum + width, 0)
  const isWide = visible.length > PLAIN_COLUMNS_MAX
  const columnVirtualizer = useVirtualizer({
    horizontal: true,
    enabled: isWide,
    count: visible.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => widthsPx[index]!,
    overscan: 3,
  })
  const near = isWide ? columnVirtualizer.getVirtualItems() : []
  const first = isWide ? (near[0]?.index ?? 0) : 0
  const seen = isWide ? visible.slice(first, (near.at(-1)?.index ?? 0) + 1) : visible
  const nowMs = Date.now()
  const headCount = onFilter ? 2 : 1
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section ref={scroller} className="grid-scroll" style={{ height }} tabIndex={0} aria-label={label}>
      {/* Roles in place of a table element: virtual rows are placed absolutely, which that does not allow. */}
      <div
        className="grid"
        role="table"
        aria-label={label}
        aria-rowcount={rows.length + headCount}
        aria-colcount={visible.length}
        style={{ '--grid-columns': template, '--row-height': `${rowHeight}px`, minWidth: `max(100%, ${minWidthPx}px)` } as CSSProperties}
      >
        <div className="grid-head" role="rowgroup">
          <div className="grid-row" role="row" aria-rowindex={1}>
            {seen.map((column, index) => (
              <HeadCell key={column.name} column={column} place={first + index + 1} order={order ?? null} onOrder={onOrder} />
            ))}
          </div>
          {onFilter && (
            <div className="grid-row grid-filters" role="row" aria-rowindex={2}>
              {seen.map((column, index) => (
                <div key={column.name} role="cell" className="cell" style={{ gridColumnStart: first + index + 1 }}>
                  <input
                    type="text"
                    inputMode={isNumericKind(column.kind) ? 'text' : 'search'}
                    aria-label={`Filter ${column.name}`}
                    placeholder={isNumericKind(column.kind) ? '>10, 5..9' : 'filter'}
                    value={filters?.[column.name] ?? ''}
                    onChange={(event) => onFilter(column.name, event.target.value)}
                    spellCheck={false}
                    autoComplete="off"
                  />
                </div>
              ))}
            </div>
          )}
        </div>
        <div role="rowgroup" className="grid-body" style={{ height: `${virtualizer.getTotalSize()}px` }}>
          {virtualizer.getVirtualItems().map((item) => {
            const row = rows[item.index]!
            return (
              <div
                key={row.key}
                role="row"
                aria-rowindex={item.index + headCount + 1}
                className={onOpen ? 'grid-row is-link' : 'grid-row'}
                style={{ transform: `translateY(${item.start}px)` }}
                {...(onOpen && {
                  tabIndex: 0,
                  onClick: () => onOpen(row),
                  onKeyDown: (event: KeyboardEvent) => {
                    if (event.key !== 'Enter') return
                    // Else the key would press what gets the focus now.
                    event.preventDefault()
                    onOpen(row)
                  },
                })}
              >
                <RowCells
                  row={row}
                  columns={seen}
                  first={first}
                  isFresh={nowMs - row.changedAtMs < flashMs}
                  layout={isWide ? `${first} ${seen.length} ${template}` : template}
                />
              </div>
            )
          })}
        </div>
      </div>
    </section>
  )
}

interface HeadCellProps {
  column: ShownColumn
  /** Which one of all that could be seen, from 1. */
  place: number
  order: Order | null
  onOrder: ((column: string) => void) | undefined
}

function HeadCell({ column, place, order, onOrder }: HeadCellProps) {
  const isOrdered = order?.column === column.name
  const Arrow = order?.isDescending ? ArrowDown : ArrowUp
  const title = `${column.name} ${readableType(column.type)}`
  return (
    <div
      role="columnheader"
      aria-sort={isOrdered ? (order?.isDescending ? 'descending' : 'ascending') : onOrder ? 'none' : undefined}
      aria-colindex={place}
      className={isNumericKind(column.kind) ? 'cell number' : 'cell'}
      style={{ gridColumnStart: place }}
      title={title}
    >
      {onOrder ? (
        <button type="button" onClick={() => onOrder(column.name)}>
          <span>{column.name}</span>
          {isOrdered && <Arrow size={12} aria-hidden />}
        </button>
      ) : (
        <span>{column.name}</span>
      )}
    </div>
  )
}

interface RowCellsProps {
  row: LiveRow
  columns: readonly ShownColumn[]
  /** How many are before them. */
  first: number
  isFresh: boolean
  /** Stands for `columns` and `first`: the array is a new one at each render. */
  layout: string
}

const RowCells = memo(
  function RowCells({ row, columns, first, isFresh }: RowCellsProps) {
    return columns.map((column, index) => {
      const cell = row.cells[column.index]
      const text = clipped(formatCell(cell, column.kind), CELL_CHARACTERS_MAX)
      const isNull = cell === null || cell === undefined
      const isFlashing = isFresh && row.changed.has(column.index)
      return (
        <div
          key={column.name}
          role="cell"
          className={`cell${isNumericKind(column.kind) ? ' number' : ''}${isNull ? ' null' : ''}`}
          style={{ gridColumnStart: first + index + 1 }}
          title={text.length > 14 ? text : undefined}
        >
          {/* A new key starts the animation again. */}
          {isFlashing && <span key={row.changedAtMs} className="flash" aria-hidden="true" />}
          <span className="cell-text">{text}</span>
        </div>
      )
    })
  },
  (before, after) => before.row === after.row && before.layout === after.layout && (before.isFresh === after.isFresh || !after.isFresh),
)
