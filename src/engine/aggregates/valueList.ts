// Values in the order in which they came, of which any may be taken away: aggregates that look at the order of rows that may leave.
//
// Invariants
//   1. Of equal values the one that came first is taken away.
//   2. Adding, taking away, the first and the last value each cost the same however many there are, on average: places that are free are
//      given up at both ends, and in between when they are the majority.
//   Held by valueList.property.test.ts.

/** A place from which the value was taken. */
const FREE = Symbol('free')

/** The places of equal values, ascending; those before `from` are used up. */
interface Places {
  at: number[]
  from: number
}

export class ValueList {
  private readonly keyOf: (value: unknown) => unknown
  private slots: unknown[]
  /** The first slot that is not free. */
  private head = 0
  /** By key: most have one. Made when the first value is taken away. */
  private places: Map<unknown, number | Places> | undefined
  count: number

  /** @param keyOf  equal for equal values, by a Map's measure */
  constructor(keyOf: (value: unknown) => unknown, values: readonly unknown[] = []) {
    this.keyOf = keyOf
    this.slots = values.slice()
    this.count = values.length
  }

  add(value: unknown): void {
    this.count++
    const place = this.slots.push(value) - 1
    if (this.places !== undefined) this.note(this.places, value, place)
  }

  private note(places: Map<unknown, number | Places>, value: unknown, place: number): void {
    const key = this.keyOf(value)
    const known = places.get(key)
    if (known === undefined) places.set(key, place)
    else if (typeof known === 'number') places.set(key, { at: [known, place], from: 0 })
    else known.at.push(place)
  }

  /** The first of equal ones; nothing if there is none. */
  remove(value: unknown): void {
    const place = this.takePlace(this.keyOf(value))
    if (place === undefined) return
    const { slots } = this
    slots[place] = FREE
    this.count--
    while (slots.length > this.head && slots[slots.length - 1] === FREE) slots.pop()
    while (this.head < slots.length && slots[this.head] === FREE) this.head++
    if (slots.length > 64 && this.count * 2 < slots.length) this.rebuild()
  }

  private takePlace(key: unknown): number | undefined {
    const places = (this.places ??= this.placesOfAll())
    const known = places.get(key)
    if (known === undefined || typeof known === 'number') {
      places.delete(key)
      return known
    }
    const place = known.at[known.from++]
    if (known.from === known.at.length) places.delete(key)
    else if (known.from > 32 && known.from * 2 > known.at.length) known.at.splice(0, known.from) && (known.from = 0)
    return place
  }

  private placesOfAll(): Map<unknown, number | Places> {
    const places = new Map<unknown, number | Places>()
    for (const [place, value] of this.slots.entries()) this.note(places, value, place)
    return places
  }

  private rebuild(): void {
    this.slots = this.toArray()
    this.head = 0
    this.places = undefined
  }

  /** Undefined where there is none. */
  get first(): unknown {
    return this.slots[this.head]
  }
  get last(): unknown {
    return this.count === 0 ? undefined : this.slots[this.slots.length - 1]
  }

  toArray(): unknown[] {
    return this.slots.filter((value) => value !== FREE)
  }
}
