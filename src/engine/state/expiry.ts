// When each entry of a state was last written, by the clock, and whether its time to live is over.
//
// Time comes with the batches: between two of them nothing expires, so a restart in between changes nothing. What comes from a state
// that had no time to live counts from when it is looked at first.

export type ExpirySnapshot = Float64Array

/** When to look for what is over although nobody asks for it: what is found pays for the look. */
export class SweepClock {
  readonly ttlMs: number
  private sweptMs = Number.NEGATIVE_INFINITY

  constructor(ttlMs: number) {
    this.ttlMs = ttlMs
  }

  /** Whether so much of the time to live has gone by since the last sweep that another one pays. */
  isDue(nowMs: number): boolean {
    if (nowMs < this.sweptMs + this.ttlMs / 2) return false
    this.sweptMs = nowMs
    return true
  }
}

export class Expiry extends SweepClock {
  private writtenMs = new Float64Array(16)

  reserve(count: number): void {
    if (count <= this.writtenMs.length) return
    const larger = new Float64Array(Math.max(count, this.writtenMs.length * 2))
    larger.set(this.writtenMs)
    this.writtenMs = larger
  }

  write(entry: number, nowMs: number): void {
    this.writtenMs[entry] = nowMs
  }

  isOver(entry: number, nowMs: number): boolean {
    const writtenMs = this.writtenMs[entry]
    if (Number.isNaN(writtenMs)) this.writtenMs[entry] = nowMs
    return writtenMs + this.ttlMs <= nowMs
  }

  /** When an entry was last written; NaN where nobody knows. */
  at(entry: number): number {
    return this.writtenMs[entry]
  }

  /** When its time will be over if it is not written again; undefined where nobody knows. */
  untilMs(entry: number): number | undefined {
    const untilMs = this.writtenMs[entry] + this.ttlMs
    return Number.isNaN(untilMs) ? undefined : untilMs
  }

  /** Entries have a new index; -1 for those that are gone. */
  move(newIndex: Int32Array): void {
    const moved = new Float64Array(this.writtenMs.length)
    newIndex.forEach((to, from) => {
      if (to >= 0) moved[to] = this.writtenMs[from]
    })
    this.writtenMs = moved
  }

  pick(entries: Int32Array): ExpirySnapshot {
    return Float64Array.from(entries, (entry) => this.writtenMs[entry])
  }

  snapshot(count: number): ExpirySnapshot {
    this.reserve(count)
    return this.writtenMs.slice(0, count)
  }
  /** @param count  how many entries there are, for a state without times */
  restore(snapshot: ExpirySnapshot | undefined, count: number): void {
    this.writtenMs = snapshot?.slice() ?? new Float64Array(count).fill(Number.NaN)
  }
  /** Entries of a snapshot, under other numbers. */
  add(snapshot: ExpirySnapshot | undefined, entries: Int32Array): void {
    entries.forEach((entry, i) => {
      this.reserve(entry + 1)
      this.writtenMs[entry] = snapshot?.[i] ?? Number.NaN
    })
  }
}
