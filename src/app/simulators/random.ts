// Seeded randomness for simulators: the same seed gives the same events.

export class Random {
  private a: number
  private b = 0x9e3779b9 | 0
  private c = 0x243f6a88 | 0
  private counter = 1
  private spare: number | undefined

  constructor(seed: number) {
    this.a = seed | 0
    this.b ^= Math.floor(seed / 2 ** 32) | 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** Uniform in [0, 1), in steps of 2^-32. sfc32: its period is beyond any run, as an endless simulator needs. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** Whole number in [0, n). */
  int(n: number): number {
    return Math.floor(this.next() * n)
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)]
  }

  /** One of the items, by weight. */
  weighted<T>(items: readonly (readonly [item: T, weight: number])[]): T {
    let at = this.next() * items.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [item, weight] of items) if ((at -= weight) < 0) return item
    return items[items.length - 1][0]
  }

  normal(): number {
    if (this.spare !== undefined) {
      const { spare } = this
      this.spare = undefined
      return spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()))
    const angle = 2 * Math.PI * this.next()
    this.spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }

  lognormal(mu: number, sigma: number): number {
    return Math.exp(mu + sigma * this.normal())
  }

  /** Mean `shape` × `scale`. Marsaglia and Tsang's method. */
  gamma(shape: number, scale: number): number {
    if (shape < 1) return this.gamma(shape + 1, scale) * (1 - this.next()) ** (1 / shape)
    const d = shape - 1 / 3
    const c = 1 / Math.sqrt(9 * d)
    for (;;) {
      const x = this.normal()
      const v = (1 + c * x) ** 3
      if (v > 0 && Math.log(1 - this.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v * scale
    }
  }

  hex(length: number): string {
    let text = ''
    while (text.length < length)
      text += Math.floor(this.next() * 16 ** 8)
        .toString(16)
        .padStart(8, '0')
    return text.slice(0, length)
  }
}

/** Ranks 0 … size-1 with probability proportional to 1 / (rank + 1)^exponent. */
export class Zipf {
  private readonly cumulative: Float64Array

  constructor(size: number, exponent: number) {
    this.cumulative = new Float64Array(size)
    let sum = 0
    for (let rank = 0; rank < size; rank++) this.cumulative[rank] = sum += (rank + 1) ** -exponent
    for (let rank = 0; rank < size; rank++) this.cumulative[rank] /= sum
  }

  sample(random: Random): number {
    const u = random.next()
    let low = 0
    let high = this.cumulative.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.cumulative[middle] < u) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** A binary heap: the smallest `at` leaves first; of equal ones the first that came. */
export class Schedule<T> {
  private readonly heap: { at: number; order: number; item: T }[] = []
  private order = 0

  get size(): number {
    return this.heap.length
  }
  get nextAt(): number {
    return this.heap.length > 0 ? this.heap[0].at : Infinity
  }

  push(at: number, item: T): void {
    const { heap } = this
    const entry = { at, order: this.order++, item }
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(entry, heap[parent])) break
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = entry
  }

  pop(): T | undefined {
    const { heap } = this
    if (heap.length === 0) return undefined
    const [top] = heap
    const last = heap.pop()!
    if (heap.length > 0) {
      let i = 0
      for (;;) {
        let child = 2 * i + 1
        if (child >= heap.length) break
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
        if (!before(heap[child], last)) break
        heap[i] = heap[child]
        i = child
      }
      heap[i] = last
    }
    return top.item
  }
}

const before = (a: { at: number; order: number }, b: { at: number; order: number }): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order)
