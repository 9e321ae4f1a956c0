// Facts of one moment as a table, and how times and rows are written in them.
import type { ReactNode } from 'react'
import { formatDateTime, none } from '../../ui/format.ts'

export const timeText = (ms: number | undefined): string => (ms === undefined ? none : formatDateTime(ms))
export const rowText = (columns: readonly string[], row: readonly unknown[]): string =>
  row.map((value, i) => `${columns[i] ?? i}=${JSON.stringify(value)}`).join(' ')

/** Times, names and numbers stay on one line; texts are broken. */
export const LINE_LENGTH_MAX = 28
const cellClass = (head: string | undefined, cell: ReactNode): string | undefined =>
  [head?.startsWith('#') && 'number', typeof cell === 'string' && cell.length <= LINE_LENGTH_MAX && 'nowrap'].filter(Boolean).join(' ') ||
  undefined

/** A table of plain cells, on the phone a card for each row; a head that begins with # is of numbers. */
export const FactTable = ({ heads, rows }: { heads: readonly string[]; rows: readonly (readonly ReactNode[])[] }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
  <div className="table-scroll" tabIndex={0}>
    <table className="list facts-table">
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col" className={head.startsWith('#') ? 'number' : undefined}>
              {head === '' ? <span className="visually-hidden">Note</span> : head.replace('#', '')}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: rows are facts of one moment, without identity
          <tr key={index}>
            {row.map((cell, i) => (
              <td key={heads[i]} className={cellClass(heads[i], cell)} data-label={heads[i]?.replace('#', '') || undefined}>
                {cell}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)
