// The choices that make a random case, kept as a list of numbers: playing the list again makes the same case, and a shorter or smaller list
// makes a smaller one, which is always well formed. So whatever a case has found is made small without knowing what SQL is.
//
// Invariants
//   1. 0 is always the simplest choice: no further row, no clause, a table instead of a query. After the end of a list all choices are 0.
//   2. A span is what one piece (a row, an expression, a relation) was made from; spans nest.
//   3. Every candidate of `smaller` is shorter, or as long and smaller at its first difference: making small ends.

import { seededRandom } from '../../src/base/index.ts'

interface Span {
  label: string
  from: number
  to: number
}

export class Choices {
  readonly taken: number[] = []
  readonly spans: Span[] = []
  private readonly next: () => number | undefined

  /** @param source a seed, or choices to play again */
  constructor(source: number | readonly number[]) {
    if (typeof source === 'number') {
      const random = seededRandom(source)
      this.next = () => Math.floor(random() * 2 ** 30)
    } else this.next = () => source[this.taken.length]
  }

  /** A whole number from 0 to below `count`. */
  below(count: number): number {
    const value = (this.next() ?? 0) % count
    this.taken.push(value)
    return value
  }
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }
  chance(share: number): boolean {
    return this.below(100) >= 100 - share * 100
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }
  maybe(share: number, make: () => string): string {
    return this.chance(share) ? make() : ''
  }
  span<T>(label: string, make: () => T): T {
    const from = this.taken.length
    const made = make()
    this.spans.push({ label, from, to: this.taken.length })
    return made
  }
  /** From `min` to `max` pieces. Each further one is a span with its own "yes", so that it can be taken out. */
  several<T>(label: string, min: number, max: number, make: (index: number) => T, more = 0.65): T[] {
    const made: T[] = []
    while (made.length < max) {
      const one = this.span(label, () => (made.length < min || this.chance(more) ? [make(made.length)] : []))
      if (one.length === 0) break
      made.push(one[0])
    }
    return made
  }
}

/** Shorter or smaller lists of choices, the greatest steps first: pieces left out, put in place of what they are in, or made simple. */
export function smaller({ taken, spans }: Choices): number[][] {
  const bySize = [...spans].filter(({ from, to }) => to > from).sort((a, b) => b.to - b.from - (a.to - a.from))
  const candidates: number[][] = []
  for (const { from, to, label } of bySize) {
    for (const inner of bySize)
      if (inner.label === label && inner.from >= from && inner.to <= to && inner.to - inner.from < to - from)
        candidates.push([...taken.slice(0, from), ...taken.slice(inner.from, inner.to), ...taken.slice(to)])
    candidates.push([...taken.slice(0, from), ...taken.slice(to)])
    if (taken.slice(from, to).some((value) => value > 0)) candidates.push([...taken.slice(0, from), 0, ...taken.slice(to)])
  }
  taken.forEach((value, i) => {
    for (const less of new Set([0, value >> 1, value - 1])) if (less >= 0 && less < value) candidates.push(taken.with(i, less))
  })
  return candidates.filter((one) => isSmaller(one, taken))
}

export function isSmaller(one: readonly number[], other: readonly number[]): boolean {
  if (one.length !== other.length) return one.length < other.length
  const at = one.findIndex((value, i) => value !== other[i])
  return at >= 0 && one[at] < other[at]
}
