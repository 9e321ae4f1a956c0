// Whether a group of appends waits for more before it is synced.
//
//   5 batches in flight of one producer, T a sync, d until it has sent all again:   | 2 | 3 | 2 | 3 |  5 for each 2 T    |  5  | d |  5  |  5 for each T + d
//
// A producer has a fixed number of batches in flight. What arrives while a group is synced is only a part of them, and so each waits for two syncs in
// its turn. Waiting for those who were just answered makes one of two; with a slow disk that is up to twice the throughput, with fewer syncs. Where
// the disk is faster than the producer it is the other way round: one part is synced while it sends the other. Which it is depends on the disk, the
// producers and the machine, so both are tried: PERIOD_GROUPS groups one way, then as many the other way, and now and then again.
//
// Invariants
//   1. Groups wait only while that makes at least GAIN_MIN times as many appends in the same time as not to wait.
//   2. Nobody waits longer than half of what a group takes to be written and synced, and not at all if no more were in flight than are there.
//   3. Where waiting was in vain it is not tried again for a while, each time twice as long: who sends rarely, or answers slowly, loses next to nothing.

const SKIPPED_GROUPS_MAX = 64
/** Of what a group takes. Who has not sent again by then would mostly not within all of it either. */
const WAIT_SHARE = 0.5
/** Of the newest group in the average of what a group takes. */
const NEWEST_SHARE = 0.25
const PERIOD_GROUPS = 64
const GAIN_MIN = 1.15
/** Between two trials of the other way, while groups do not wait, and while they do: a trial can be wrong, and then it costs everybody to wait. */
const PERIODS_BETWEEN_MAX = { without: 32, waiting: 8 }

export class GroupPace {
  private groupMs = 0
  private expectedCount = 0
  /** Groups that are not waited for, from now on, and after the next wait in vain. */
  private skippedCount = 0
  private nextSkippedCount = 1
  /** Whether groups wait, in this period, and in those that are no trial. */
  private isWaiting = false
  private isWaitingBetter = false
  /** Until the next trial, and after it. */
  private periodsLeft = 1
  private periodsBetween = 1
  /** Appends for each ms of the newest period that was no trial. */
  private rate = 0
  private periodGroups = 0
  private periodAppends = 0
  private periodStartMs = 0

  /** How long a group of so many may wait for more, ms. */
  waitMs(count: number): number {
    if (!this.isWaiting || count === 0 || count >= this.expectedCount) return 0
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

  /** A group of so many, begun and answered then, ms; so many others had arrived by then. */
  noteAnswered(count: number, arrivedCount: number, startMs: number, endMs: number): void {
    this.expectedCount = count + arrivedCount
    this.groupMs += (endMs - startMs - this.groupMs) * NEWEST_SHARE
    // The time in which nobody sent anything before it is of no period.
    if (this.periodGroups === 0) this.periodStartMs = startMs
    this.periodAppends += count
    if (++this.periodGroups >= PERIOD_GROUPS) this.endPeriod(endMs)
  }

  private endPeriod(nowMs: number): void {
    const rate = this.periodAppends / (nowMs - this.periodStartMs)
    this.periodGroups = 0
    this.periodAppends = 0
    if (this.isWaiting === this.isWaitingBetter) {
      this.rate = rate
      if (--this.periodsLeft === 0) this.isWaiting = !this.isWaitingBetter
      return
    }
    const [waiting, without] = this.isWaiting ? [rate, this.rate] : [this.rate, rate]
    const isBetter = waiting >= without * GAIN_MIN
    const periodsMax = PERIODS_BETWEEN_MAX[isBetter ? 'waiting' : 'without']
    this.periodsBetween = isBetter === this.isWaitingBetter ? Math.min(periodsMax, this.periodsBetween * 2) : 1
    this.isWaitingBetter = isBetter
    this.isWaiting = isBetter
    this.periodsLeft = this.periodsBetween
  }
}
