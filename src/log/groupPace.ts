// How long a group of appends waits for more before it is synced.
//
//   5 batches in flight of one producer, T a sync, d until it has sent again:   | 2 | 3 | 2 | 3 |  5 for each 2 T    |  5  | d |  5  |  5 for each T + d
//
// A producer has a fixed number of batches in flight. What arrives while a group is synced is only a part of them, and so each waits for two syncs in
// its turn. Waiting for those who were just answered makes one of two; with a slow disk that is up to twice the throughput, with fewer syncs.
//
// Invariants
//   1. Nobody waits longer than half of what a group takes to be written and synced, and not at all if no more were in flight than are there.
//   2. Where waiting was in vain it is not tried again for a while, each time twice as long: who sends rarely, or answers slowly, loses next to nothing.

const SKIPPED_GROUPS_MAX = 64
/** Of what a group takes. Who has not sent again by then would mostly not within all of it either. */
const WAIT_SHARE = 0.5
/** Of the newest group in the average of what a group takes. */
const NEWEST_SHARE = 0.25

export class GroupPace {
  private groupMs = 0
  private expectedCount = 0
  /** Groups that are not waited for, from now on, and after the next wait in vain. */
  private skippedCount = 0
  private nextSkippedCount = 1

  /** How long a group of so many may wait for more, ms. */
  waitMs(count: number): number {
    if (count === 0 || count >= this.expectedCount) return 0
    if (this.skippedCount > 0) {
      this.skippedCount--
      return 0
    }
    return this.groupMs * WAIT_SHARE
  }

  isComplete(count: number): boolean {
    return count >= this.expectedCount
  }

  /** A group had waited, and has so many now. */
  noteWait(count: number): void {
    if (this.isComplete(count)) this.nextSkippedCount = Math.max(1, this.nextSkippedCount / 2)
    else {
      this.skippedCount = this.nextSkippedCount
      this.nextSkippedCount = Math.min(SKIPPED_GROUPS_MAX, this.nextSkippedCount * 2)
    }
  }

  /** A group of so many was answered; so many others had arrived by then. */
  noteAnswered(count: number, arrivedCount: number, tookMs: number): void {
    this.expectedCount = count + arrivedCount
    this.groupMs += (tookMs - this.groupMs) * NEWEST_SHARE
  }
}
