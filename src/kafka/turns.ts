// Long work of one request in turns of the event loop: between them others are answered, and what they have sent is written.
//
// Invariants
//   1. No turn goes on for much longer than `turnMs`, however many topics and partitions a request names; a short request has one turn.
//   2. What was looked at in one turn may be gone in the next.

export class Turns {
  /** What the turns that are over have taken behind the first, ms. */
  laterMs = 0
  private count = 0
  private readonly turnMs: number
  /** Of the turn that is going on; 0: none has begun. */
  private endMs = 0

  constructor(turnMs: number) {
    this.turnMs = turnMs
  }

  /** As `items.map`; what `work` waits for is waited for before the next item, so that it may have turns itself. */
  async map<T, R>(items: Iterable<T>, work: (item: T) => R | Promise<R>): Promise<R[]> {
    const made: R[] = []
    for (const item of items) {
      if (this.isOver) await this.next()
      const one = work(item)
      made.push(one instanceof Promise ? await one : one)
    }
    return made
  }

  /** As `map`; all of `work`, which does not throw, is begun before it is waited for. */
  async all<T, R>(items: Iterable<T>, work: (item: T) => Promise<R>): Promise<R[]> {
    const begun: Promise<R>[] = []
    for (const item of items) {
      if (this.isOver) await this.next()
      begun.push(work(item))
    }
    return Promise.all(begun)
  }

  private get isOver(): boolean {
    const nowMs = performance.now()
    if (this.endMs === 0) this.endMs = nowMs + this.turnMs
    return nowMs >= this.endMs
  }

  private async next(): Promise<void> {
    if (this.count++ > 0) this.laterMs += this.turnMs
    await new Promise((resolve) => setImmediate(resolve))
    this.endMs = performance.now() + this.turnMs
  }
}
