// When the state of a temporal join's keys is forgotten, with a time to live: Flink's rule, which is another one than that of the other operators.
//
// One key:  rows of either side come, or event time passes one that waits --> cleanup in 1.5 times to live --> all of the key is forgotten
//
// Invariants
//   1. A cleanup is put off only when less than one time to live is left: so a key is forgotten between 1 and 1.5 times to live after the last
//      thing that happened to it, left rows that wait included (nothing is given out for them).
//   2. Of the right side's rows event time looks only at those that were the next thing of their key when they came, as in Flink.
//   Both are held by stateTtl.property.test.ts.
// @source Flink's BaseTwoInputStreamOperatorWithStateRetention and TemporalRowTimeJoinOperator
import { heapPop, heapPush } from '../../aggregates/index.ts'

interface At {
  atMs: number
  key: number
}
const soonest = (a: At, b: At): boolean => a.atMs < b.atMs

/** By key: when it is forgotten (NaN: nobody knows yet), and the event time at which it is looked at next. */
export interface RetentionSnapshot {
  cleanups: Float64Array
  looks: Float64Array
}

export class Retention {
  private readonly ttlMs: number
  private cleanups: number[] = []
  private looks: number[] = []
  /** By key: times of the left rows that wait. */
  private lefts: number[][] = []
  private cleanupQueue: At[] = []
  private lookQueue: At[] = []

  constructor(ttlMs: number) {
    this.ttlMs = ttlMs
  }

  /** A row has come, of event time `timeMs`, at `nowMs` of processing time. */
  add(key: number, timeMs: number, isLeft: boolean, nowMs: number): void {
    if (isLeft) (this.lefts[key] ??= []).push(timeMs)
    this.lookAt(key, timeMs)
    this.touch(key, nowMs)
  }

  private lookAt(key: number, timeMs: number): void {
    if (timeMs >= (this.looks[key] ?? Infinity)) return
    this.looks[key] = timeMs
    heapPush(this.lookQueue, { atMs: timeMs, key }, soonest)
  }

  private touch(key: number, nowMs: number): void {
    const known = this.cleanups[key] ?? Infinity
    // Infinity: none is set; NaN: nobody knows it.
    if (!Number.isFinite(known) || nowMs + this.ttlMs > known) this.cleanAt(key, nowMs + Math.floor((this.ttlMs * 3) / 2))
  }

  private cleanAt(key: number, atMs: number): void {
    this.cleanups[key] = atMs
    heapPush(this.cleanupQueue, { atMs, key }, soonest)
  }

  /** When a key is forgotten; undefined where nobody knows, or it is not. */
  untilMs(key: number): number | undefined {
    const atMs = this.cleanups[key] ?? NaN
    return Number.isFinite(atMs) ? atMs : undefined
  }

  /** Event time has gone on. @param hasVersions  whether the right side of a key has anything left */
  advance(watermarkMs: number, nowMs: number, hasVersions: (key: number) => boolean): void {
    const { lookQueue } = this
    const again: At[] = []
    while (lookQueue.length > 0 && lookQueue[0].atMs <= watermarkMs) {
      const { atMs, key } = heapPop(lookQueue, soonest) as At
      if (this.looks[key] !== atMs) continue
      const waiting = (this.lefts[key] ?? []).filter((timeMs) => timeMs > watermarkMs)
      this.lefts[key] = waiting
      this.looks[key] = Infinity
      if (waiting.length > 0) again.push({ atMs: waiting.reduce((a, b) => Math.min(a, b)), key })
      if (waiting.length > 0 || hasVersions(key)) this.touch(key, nowMs)
      else this.cleanups[key] = Infinity
    }
    for (const { atMs, key } of again) this.lookAt(key, atMs)
  }

  /** Keys whose time is over: they are as if they had never been. */
  takeOver(nowMs: number): number[] {
    const over: number[] = []
    while (this.cleanupQueue.length > 0 && this.cleanupQueue[0].atMs <= nowMs) {
      const { atMs, key } = heapPop(this.cleanupQueue, soonest) as At
      if (this.cleanups[key] !== atMs) continue
      this.forget(key)
      over.push(key)
    }
    return over
  }

  private forget(key: number): void {
    this.cleanups[key] = this.looks[key] = Infinity
    this.lefts[key] = []
  }

  /** Keys of a state that had no times: they count from now. */
  begin(nowMs: number): void {
    this.cleanups.forEach((atMs, key) => {
      if (Number.isNaN(atMs)) this.touch(key, nowMs)
    })
  }

  pick(keys: Int32Array): RetentionSnapshot {
    return {
      cleanups: Float64Array.from(keys, (key) => this.cleanups[key] ?? Infinity),
      looks: Float64Array.from(keys, (key) => this.looks[key] ?? Infinity),
    }
  }

  /** Keys of a snapshot, under the numbers `keys`; what their left rows wait for comes with `wait`. */
  restore(saved: RetentionSnapshot | undefined, keys: Int32Array): void {
    keys.forEach((key, i) => {
      this.forget(key)
      const atMs = saved?.cleanups[i] ?? NaN
      if (Number.isFinite(atMs)) this.cleanAt(key, atMs)
      else this.cleanups[key] = atMs
      this.lookAt(key, saved?.looks[i] ?? Infinity)
    })
  }
  /** A left row that waits since before a restart. */
  wait(key: number, timeMs: number): void {
    ;(this.lefts[key] ??= []).push(timeMs)
    this.lookAt(key, timeMs)
  }

  /** Keys have a new number; -1 for those that are gone. */
  move(newIndex: Int32Array): void {
    const moved = new Retention(this.ttlMs)
    newIndex.forEach((to, from) => {
      if (to < 0) return
      moved.cleanups[to] = this.cleanups[from]
      moved.looks[to] = this.looks[from]
      moved.lefts[to] = this.lefts[from]
    })
    const movedTo = (queue: At[]) => queue.map((at) => ({ ...at, key: newIndex[at.key] })).filter(({ key }) => key >= 0)
    moved.cleanupQueue = movedTo(this.cleanupQueue).sort((a, b) => a.atMs - b.atMs)
    moved.lookQueue = movedTo(this.lookQueue).sort((a, b) => a.atMs - b.atMs)
    Object.assign(this, moved)
  }
}
