// The world that a run lives in: a clock that jumps from event to event, the trace, and the count of what went wrong where.
//
// Invariants
//   1. Nothing happens but events of the queue, in the order of their time, then of their planning. After each, all promises that can
//      settle have settled.
//   2. The trace holds nothing that differs between two runs of one seed: no random ids, no real time, no addresses.
import { createHash } from 'node:crypto'
import type { Random } from './random.ts'

interface Planned {
  atMs: number
  order: number
  act: () => void | Promise<void>
}

/** What makes a run fail: a promise of the product that did not hold. */
export class Violation extends Error {}

export class World {
  readonly random: Random
  /** Time of the simulation: it only grows. */
  nowMs = 0
  /** How often each fault hit each site, and how often what was reached. */
  readonly hits = new Map<string, number>()
  /** Set where product code would catch what is thrown. */
  violation: Violation | undefined
  private readonly queue: Planned[] = []
  private order = 0
  private readonly hash = createHash('sha256')
  private readonly onLine: ((line: string) => void) | undefined

  constructor(random: Random, onLine?: (line: string) => void) {
    this.random = random
    this.onLine = onLine
  }

  trace(line: string): void {
    const text = `${this.nowMs} ${line}\n`
    this.hash.update(text)
    this.onLine?.(text.slice(0, -1))
  }

  get traceHash(): string {
    return this.hash.copy().digest('hex').slice(0, 16)
  }

  hit(what: string, count = 1): void {
    this.hits.set(what, (this.hits.get(what) ?? 0) + count)
  }

  /** Plans an event. A binary heap: the earliest is first. */
  after(delayMs: number, act: Planned['act']): void {
    const { queue } = this
    const one = { atMs: this.nowMs + delayMs, order: this.order++, act }
    let at = queue.push(one) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(one, queue[parent])) break
      queue[at] = queue[parent]
      at = parent
    }
    queue[at] = one
  }

  /** Lets events happen until `isDone` says so, or there is none left, or it is later than `untilMs`. */
  async run(isDone: () => boolean, untilMs: number): Promise<void> {
    while (!isDone()) {
      const next = this.take()
      if (!next) return
      this.nowMs = next.atMs
      if (this.nowMs > untilMs) throw new Violation(`it does not come to an end: ${Math.round(this.nowMs)} ms have gone by`)
      await next.act()
      await settle()
      if (this.violation) throw this.violation
    }
  }

  /** Work that waits for events: what it throws fails the run. */
  background(work: Promise<unknown>): void {
    work.catch((error: Error) => {
      this.violation ??= error instanceof Violation ? error : new Violation(`${error.stack}`)
    })
  }

  private take(): Planned | undefined {
    const { queue } = this
    const [first] = queue
    const last = queue.pop()
    if (last === undefined || queue.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= queue.length) break
      if (child + 1 < queue.length && isBefore(queue[child + 1], queue[child])) child++
      if (!isBefore(queue[child], last)) break
      queue[at] = queue[child]
      at = child
    }
    queue[at] = last
    return first
  }
}

const isBefore = (a: Planned, b: Planned): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

interface Timers {
  setTimeout: unknown
  clearTimeout: unknown
  setInterval: unknown
  clearInterval: unknown
}

/** Until the returned function is called, timers of the product go by the world's time. */
export function installTimers(world: World): () => void {
  const target = globalThis as unknown as Timers
  const real: Timers = { ...pickTimers(target) }
  class Timer {
    isOver = false
    unref = () => this
    ref = () => this
    hasRef = () => false
  }
  const clear = (timer: unknown) => {
    if (timer instanceof Timer) timer.isOver = true
  }
  const later = (act: (...args: unknown[]) => void, ms: number, args: unknown[], repeats: boolean) => {
    const timer = new Timer()
    const plan = (): void =>
      world.after(Math.max(1, ms || 0), () => {
        if (timer.isOver) return
        if (repeats) plan()
        act(...args)
      })
    plan()
    return timer
  }
  target.setTimeout = (act: () => void, ms = 0, ...args: unknown[]) => later(act, ms, args, false)
  target.setInterval = (act: () => void, ms = 0, ...args: unknown[]) => later(act, ms, args, true)
  target.clearTimeout = clear
  target.clearInterval = clear
  return () => Object.assign(target, real)
}
const pickTimers = ({ setTimeout, clearTimeout, setInterval, clearInterval }: Timers): Timers => ({
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
})

/** All promises that can settle without a timer have settled. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
