// The rows of a table, of which only those near the window are in the page where there are many: ten thousand topics scroll as ten do.
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useLayoutEffect, useRef, useState } from 'react'
import { useIsPhone } from './parts.tsx'

/** So many are all in the page, and the browser's own search finds them. */
const PLAIN_MAX = 150
const ROW_PX = 37
const CARD_PX = 250

export interface VirtualRowsProps<T> {
  items: readonly T[]
  columnCount: number
  keyOf: (item: T) => string
  /** One or more <tr>. */
  row: (item: T) => ReactNode
}

export function VirtualRows<T>(props: VirtualRowsProps<T>) {
  if (props.items.length > PLAIN_MAX) return <NearRows {...props} />
  return (
    <tbody>
      {props.items.map((item) => (
        <Keyed key={props.keyOf(item)}>{props.row(item)}</Keyed>
      ))}
    </tbody>
  )
}

const Keyed = ({ children }: { children: ReactNode }) => children

function NearRows<T>({ items, columnCount, keyOf, row }: VirtualRowsProps<T>) {
  const top = useRef<HTMLTableSectionElement>(null)
  const [topPx, setTopPx] = useState(0)
  const isPhone = useIsPhone()
  useLayoutEffect(() => setTopPx((top.current?.getBoundingClientRect().top ?? 0) + scrollY), [])
  const virtualizer = useWindowVirtualizer({
    count: items.length,
    estimateSize: () => (isPhone ? CARD_PX : ROW_PX),
    overscan: 12,
    scrollMargin: topPx,
    getItemKey: (index) => keyOf(items[index]!),
  })
  const near = virtualizer.getVirtualItems()
  const spacer = (heightPx: number) => (
    <tr className="spacer">
      <td colSpan={columnCount} style={{ height: `${Math.max(0, heightPx)}px` }} />
    </tr>
  )
  return (
    <>
      <tbody ref={top} aria-hidden="true">
        {spacer((near[0]?.start ?? topPx) - topPx)}
      </tbody>
      {near.map((item) => (
        <tbody key={item.key} ref={virtualizer.measureElement} data-index={item.index}>
          {row(items[item.index]!)}
        </tbody>
      ))}
      <tbody aria-hidden="true">{spacer(virtualizer.getTotalSize() + topPx - (near.at(-1)?.end ?? topPx))}</tbody>
    </>
  )
}
