// What a temporal join gave out for the rows of a left side that updates, until they are taken back.
//
// One row:  comes --> waits --> meets its version, is given out --> is taken back: what was given leaves again
//                         \--> is taken back while it waits: nothing was given, nothing leaves
//
// Why not as Flink's operator, which keeps nothing and looks for the version anew: of the versions before the watermark only the newest is there
// by then, so what it takes back may be another row than it gave, or none (docs/flink-differences.md).
import { canonicalText } from '../../state/columns.ts'
import type { Row } from '../rows.ts'

export interface LeftRow {
  time: number
  /** Rows of equal time leave in order of arrival. */
  arrival: number
  row: Row
  /** Its key, by number; where rows are forgotten or taken back by key. */
  key?: number
  /** What was given out for it. */
  given?: Row
  /** Taken back while it waited. */
  isGone?: true
}

export class GivenRows {
  /** By key, by the row's text: equal rows. Those that wait are here, too. */
  private byKey: (Map<string, LeftRow[]> | undefined)[] = []
  /** Of both. */
  count = 0

  add(key: number, left: LeftRow): void {
    const rows = (this.byKey[key] ??= new Map())
    const text = canonicalText(left.row)
    const equal = rows.get(text)
    this.count++
    if (equal === undefined) rows.set(text, [left])
    else equal.push(left)
  }

  /** The row that is taken back, which is here no longer; undefined for one that is not known. */
  take(key: number, row: Row): LeftRow | undefined {
    return this.remove(key, row, (equal) => equal.pop())
  }

  /** Nothing was given out for it, so nothing will be taken back. */
  drop(key: number, left: LeftRow): void {
    this.remove(key, left.row, (equal) => equal.splice(equal.indexOf(left), 1)[0])
  }

  private remove(key: number, row: Row, from: (equal: LeftRow[]) => LeftRow | undefined): LeftRow | undefined {
    const rows = this.byKey[key]
    const text = canonicalText(row)
    const equal = rows?.get(text)
    if (rows === undefined || equal === undefined) return undefined
    const removed = from(equal)
    this.count--
    if (equal.length === 0) rows.delete(text)
    if (rows.size === 0) this.byKey[key] = undefined
    return removed
  }

  /** Those of a key that have been given out. */
  ofKey(key: number): LeftRow[] {
    return [...(this.byKey[key]?.values() ?? [])].flat().filter(({ given }) => given !== undefined)
  }

  has(key: number): boolean {
    return this.byKey[key] !== undefined
  }

  forget(key: number): void {
    for (const equal of this.byKey[key]?.values() ?? []) this.count -= equal.length
    this.byKey[key] = undefined
  }

  /** Keys have a new number. */
  move(newIndex: Int32Array): void {
    const moved: typeof this.byKey = []
    this.byKey.forEach((rows, key) => {
      if (rows !== undefined) moved[newIndex[key]] = rows
    })
    this.byKey = moved
  }

  /** Those that have been given out, in order of arrival: the newest of equal rows is taken back first. */
  given(): LeftRow[] {
    const given: LeftRow[] = []
    for (const rows of this.byKey)
      if (rows !== undefined) for (const equal of rows.values()) for (const left of equal) if (left.given !== undefined) given.push(left)
    return given.sort((a, b) => a.arrival - b.arrival)
  }
}
