// What the subtasks of one job put out, as that of one job: their cuts are joined, and nothing from behind a cut comes before it.
//
//   subtask 0:  rows  CUT  rows ............. (these wait)  .--> rows
//   subtask 1:  rows  rows  rows  rows  CUT ----------------'--> the job's cut, then what has waited, in the order in which it came
//
// Invariant: what is handed on before the job's cut is what the subtasks have put out before theirs, and nothing else.
import { type JobCheckpoint, mergeCheckpoints } from '../engine/index.ts'

/** A subtask's checkpoint, or that of all. */
export interface SubtaskCut {
  checkpoint: JobCheckpoint
  /** How long the subtask stood still for it, or the longest of all did. */
  tookMs: number
}

export class AlignedOutput {
  private readonly parallelism: number
  private readonly onCut: (cut: SubtaskCut) => void
  /** Of those that have made theirs, while others have not. */
  private readonly cuts = new Map<number, SubtaskCut>()
  private held: (() => void)[] = []

  /** @param onCut  told when all have made theirs */
  constructor(parallelism: number, onCut: (cut: SubtaskCut) => void) {
    this.parallelism = parallelism
    this.onCut = onCut
  }

  /** A subtask has made its cut. */
  cut(subtask: number, { checkpoint, tookMs }: SubtaskCut): void {
    this.cuts.set(subtask, { checkpoint, tookMs })
    if (this.cuts.size < this.parallelism) return
    const cuts = Array.from({ length: this.parallelism }, (_, i) => this.cuts.get(i) as SubtaskCut)
    this.cuts.clear()
    this.onCut({
      checkpoint: mergeCheckpoints(cuts.map((cut) => cut.checkpoint)),
      tookMs: Math.max(...cuts.map((cut) => cut.tookMs)),
    })
    this.release()
  }

  /** Anything else that a subtask says: handled at once, or when its turn has come. */
  take(subtask: number, handle: () => void): void {
    if (this.cuts.has(subtask)) this.held.push(handle)
    else handle()
  }

  /** What waits is handled now: the cut is there, or will never be. */
  release(): void {
    const { held } = this
    this.held = []
    for (const handle of held) handle()
  }
}
