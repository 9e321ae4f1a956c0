// When each entry of a state was last written, by the clock, and whether its time to live is over.
//
// Time comes with the batches: between two of them nothing expires, so a restart in between changes nothing.

export type ExpirySnapshot = Float64Array

export class Expiry {
  readonly ttlMs: number
  private writtenMs = new Float64Array(16)
  private sweptMs = Number.NEGATIVE_INFINITY

  constructor(ttlMs: number) {
    this.ttlMs = ttlMs
  }

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
    return this.writtenMs[entry] + this.ttlMs <= nowMs
  }

  /** Whether so much of the time to live has gone by since the last sweep that another one pays. */
  isDue(nowMs: number): boolean {
    if (nowMs < this.sweptMs + this.ttlMs / 2) return false
    this.sweptMs = nowMs
    return true
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
  restore(snapshot: ExpirySnapshot): void {
    this.writtenMs = snapshot.slice()
  }
  /** Entries of a snapshot, under other numbers. */
  add(snapshot: ExpirySnapshot, entries: Int32Array): void {
    for (const entry of entries) this.reserve(entry + 1)
    snapshot.forEach((ms, i) => {
      this.writtenMs[entries[i]] = ms
    })
  }
}
