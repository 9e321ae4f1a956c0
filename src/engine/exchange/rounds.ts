// Rounds: how the subtasks of a job keep step, so that what a parallel job gives depends on what was read in each round, and on nothing else.
//
//   subtask 0:  read a block --> stage 0 --> END | stage 1 --> END | stage 2 ...        stages are cut where rows are exchanged
//   subtask 1:  read a block --> stage 0 --> END | stage 1 --> END | stage 2 ...
//                                             '--> a stage of a round begins when the END of every subtask has come for it
//
// Invariants
//   1. Every subtask takes part in every round, with nothing if it has read nothing. Rounds go through a stage in order.
//   2. A stage sees the rows of its round subtask by subtask, each in the order in which they were sent: which thread was faster changes nothing.
//   3. No subtask is more than LOOKAHEAD rounds ahead of the slowest: what is under way is bounded, whoever is slow (back-pressure).
//   4. Nobody waits inside of a call. Messages are taken whenever they come, also while one's own cannot leave: no two wait for each other.
//   5. A barrier is said early enough that no subtask has gone past it: after its round, the state of all subtasks is one consistent cut.
// Invariant 2 is why a checkpoint needs none of the batches that are under way, and why a restart with the same blocks gives the same rows.
// The first subtask leads: its clock is that of stages behind an exchange, and it alone sets barriers.
import type { Batch, Field } from '../../data/index.ts'
import { MessageEncoder } from './codec.ts'
import type { EdgeEnd, ExchangeOperator } from './exchange.ts'
import type { Links, Message } from './links.ts'
import { BEFORE_ROWS, READER_MOMENTS } from './roundOrder.ts'

/** How many rounds the sources may be ahead of the last stage. Deeper hides more waiting; a checkpoint waits for so many rounds. */
const LOOKAHEAD = 4

export interface Barrier {
  /** The cut is behind this round. */
  round: number
  checkpointId: number
  isLast: boolean
}

/** What a subtask says at the end of a stage, beside its watermarks. */
export interface RoundNote {
  nowMs: number
  /** Arrival of the newest record that is in the round, epoch ms; -Infinity if there is none. */
  originMs: number
  isTick: boolean
  /** Something has happened here that no durable checkpoint has. */
  hasChanged: boolean
  /** This subtask begins no more rounds by itself. */
  isEnd: boolean
  barrier?: Barrier
}
export const emptyNote: RoundNote = { nowMs: -Infinity, originMs: -Infinity, isTick: false, hasChanged: false, isEnd: false }

interface Part {
  /** By edge: messages. A batch does not outlive its call, so what stays here is one, too. */
  batches: Map<number, ArrayBuffer[]>
  ends: Map<number, EdgeEnd>
  note: RoundNote
}
/** Parts of one stage by sender: finished ones in order, and the batches of the one that is arriving. */
interface Inbox {
  finished: Part[][]
  arriving: Part['batches'][]
}

const END = 1
const NOTE_DOUBLES = 8
/** Edge, is idle, watermark, how many doubles follow. */
const EDGE_DOUBLES = 4

export class Rounds {
  readonly subtask: number
  readonly parallelism: number
  /** Tables of which every subtask reads all rows: they need no exchange where they are joined. */
  readonly isReplicated: (table: string) => boolean
  private readonly links: Links
  private readonly encoder = new MessageEncoder()
  /** By number. */
  private readonly edges = new Map<number, ExchangeOperator>()
  private readonly inboxes: Inbox[] = []
  /** By stage: how many rounds have gone through it. */
  private readonly done: number[] = []
  /** The newest round that some subtask has begun, as far as this one knows. */
  private begun = 0
  private working: { parts: Part[]; note: RoundNote } | undefined
  private readonly notes: RoundNote[]
  barrier: Barrier | undefined
  /** Of what is given out now, within its round (roundOrder.ts); that of the first row that this subtask reads. */
  moment = BEFORE_ROWS
  readonly firstMoment: number
  /** A round is done here in which every subtask has said that it begins no more: all are after the same one. */
  isEnded = false

  constructor(links: Links, isReplicated: (table: string) => boolean = () => false) {
    this.links = links
    this.subtask = links.subtask
    this.parallelism = links.parallelism
    this.firstMoment = this.subtask * READER_MOMENTS
    this.isReplicated = isReplicated
    this.notes = Array.from({ length: this.parallelism }, () => emptyNote)
    this.reserveStage(1)
  }

  /** All subtasks add the same exchanges under the same numbers. */
  add(edge: number, exchange: ExchangeOperator): void {
    this.edges.set(edge, exchange)
    this.reserveStage(exchange.stage)
  }

  private reserveStage(stage: number): void {
    while (this.inboxes.length <= stage) {
      this.inboxes.push({
        finished: Array.from({ length: this.parallelism }, () => []),
        arriving: Array.from({ length: this.parallelism }, () => new Map()),
      })
      this.done.push(0)
    }
  }

  private get lastStage(): number {
    return this.inboxes.length - 1
  }

  /** Rounds that all stages have done, here. */
  get completed(): number {
    return this.done[this.lastStage]
  }

  /** Rounds that this subtask has begun. */
  get begunHere(): number {
    return this.done[0]
  }

  /** Some subtask waits for this one's part of a round. */
  get isCalled(): boolean {
    return this.begun > this.done[0] || (this.barrier !== undefined && this.barrier.round >= this.done[0])
  }

  /** Whether a round may begin here; false while messages cannot leave, others are too far behind, or a cut is due. */
  get canBegin(): boolean {
    if (this.done[0] - this.completed >= LOOKAHEAD || this.links.isBlocked) return false
    return this.barrier === undefined || this.barrier.round >= this.done[0]
  }

  /** All rounds up to the barrier are done here: now is the time for the cut. Forgets the barrier. */
  takeBarrier(): Barrier | undefined {
    const { barrier } = this
    if (barrier === undefined || this.completed <= barrier.round) return undefined
    this.barrier = undefined
    return barrier
  }

  /** Of the first subtask: the earliest round behind which all can make a cut. */
  get nextBarrierRound(): number {
    return this.done[0] + LOOKAHEAD
  }

  /** Something under way or begun, here or elsewhere. */
  get isUnderWay(): boolean {
    return this.begun > this.completed || this.done[0] > this.completed
  }

  /** What each subtask has said last. */
  get lastNotes(): readonly RoundNote[] {
    return this.notes
  }

  /** Takes what has come and sends what could not leave; false if there was neither. */
  pump(): boolean {
    let any = this.links.flush()
    for (let message = this.links.take(); message !== undefined; message = this.links.take()) {
      this.arrive(message)
      any = true
    }
    return any
  }

  private arrive({ from, buffer }: Message): void {
    const [, kind, number] = new Int32Array(buffer, 0, 3)
    if (kind !== END) {
      // Its query may have failed here.
      const stage = this.edges.get(number)?.stage
      if (stage !== undefined) put(this.inboxes[stage].arriving[from], number, buffer)
      else this.links.giveBack(buffer)
      return
    }
    const { ends, note } = readEnd(buffer)
    this.links.giveBack(buffer)
    const inbox = this.inboxes[number]
    inbox.finished[from].push({ batches: inbox.arriving[from], ends, note })
    inbox.arriving[from] = new Map()
    if (number === 1) {
      this.begun = Math.max(this.begun, this.done[1] + inbox.finished[from].length)
      if (note.barrier) this.barrier = note.barrier
      this.notes[from] = note
    }
  }

  /**
   * Begins a round: `run` reads, and lets what it has read go through the first stage.
   *
   * @param note  read after `run`, so that it may say what that has found
   */
  begin(run: () => void, note: () => RoundNote): void {
    this.begun = Math.max(this.begun, this.done[0] + 1)
    this.working = { parts: [], note: emptyNote }
    this.moment = this.firstMoment + BEFORE_ROWS
    run()
    this.close(0, note())
  }

  /**
   * Works on a stage whose round has come from all subtasks, later stages first; false if there is none.
   *
   * @param run  gets the stage and what was said about the round: its clock is the first subtask's
   */
  deliver(run: (stage: number, note: RoundNote) => void): boolean {
    if (this.links.isBlocked) return false
    for (let stage = this.lastStage; stage > 0; stage--) {
      const { finished } = this.inboxes[stage]
      if (finished.some(({ length }) => length === 0)) continue
      const parts = finished.map((queue) => queue.shift() as Part)
      const [leader] = parts
      const note = { ...leader.note, originMs: Math.max(...parts.map((part) => part.note.originMs)) }
      this.working = { parts, note }
      run(stage, note)
      for (const { batches } of parts) for (const messages of batches.values()) for (const message of messages) this.links.giveBack(message)
      if (stage === this.lastStage && parts.every((part) => part.note.isEnd)) this.isEnded = true
      this.close(stage, { ...parts[this.subtask].note, originMs: note.originMs })
      return true
    }
    return false
  }

  /** Says to all that this subtask has done a stage of a round. */
  private close(stage: number, note: RoundNote): void {
    this.working = undefined
    this.done[stage]++
    const next = stage + 1
    if (next > this.lastStage) return
    if (next === 1) {
      this.notes[this.subtask] = note
      if (note.barrier) this.barrier = note.barrier
    }
    const ends = new Map<number, EdgeEnd>()
    for (const [edge, exchange] of this.edges) if (exchange.stage === next) ends.set(edge, exchange.say())
    if (this.parallelism > 1) {
      const bytes = writeEnd(next, ends, note)
      for (let to = 0; to < this.parallelism; to++) if (to !== this.subtask) this.links.write(to, bytes, bytes.length)
    }
    const inbox = this.inboxes[next]
    inbox.finished[this.subtask].push({ batches: inbox.arriving[this.subtask], ends, note })
    inbox.arriving[this.subtask] = new Map()
  }

  /** Rows of a batch for a subtask, which may be this one: then they wait for their turn like those of others. */
  send(to: number, edge: number, stage: number, batch: Batch, fields: readonly Field[], rows: Int32Array, count: number): void {
    const length = this.encoder.batch(edge, batch, fields, rows, count)
    if (to !== this.subtask) this.links.write(to, this.encoder.bytes, length)
    else put(this.inboxes[stage].arriving[to], edge, this.links.copy(this.encoder.bytes, length))
  }

  /** For an exchange whose stage is at work: what each subtask has sent, in the order of subtasks. */
  received(edge: number): { from: number; messages: readonly ArrayBuffer[]; end: EdgeEnd | undefined }[] {
    const parts = this.working?.parts ?? []
    return parts.map(({ batches, ends }, from) => ({ from, messages: batches.get(edge) ?? [], end: ends.get(edge) }))
  }

  /** The clock of the round that is at work behind an exchange. */
  get nowMs(): number {
    return this.working?.note.nowMs ?? -Infinity
  }

  get isBlocked(): boolean {
    return this.links.isBlocked
  }
  /** To be read before looking for work, and given to `wait`. */
  get bell(): number {
    return this.links.bell
  }
  /** Blocks the thread until a peer has done something since `bell` was read. */
  wait(bell: number): void {
    this.links.wait(bell)
  }
  waitAsync(bell: number, timeoutMs: number): Promise<unknown> {
    return this.links.waitAsync(bell, timeoutMs)
  }
}

function put(batches: Part['batches'], edge: number, batch: ArrayBuffer): void {
  const list = batches.get(edge)
  if (list === undefined) batches.set(edge, [batch])
  else list.push(batch)
}

/** [length, END, stage, edge count] [note: 8 doubles] [edge, is idle, watermark, number of doubles that follow; its steps] for each edge */
function writeEnd(stage: number, ends: ReadonlyMap<number, EdgeEnd>, note: RoundNote): Uint8Array {
  let size = 2 + NOTE_DOUBLES + EDGE_DOUBLES * ends.size
  for (const { steps } of ends.values()) size += steps.length
  const doubles = new Float64Array(size)
  const ints = new Int32Array(doubles.buffer, 0, 4)
  ints.set([doubles.byteLength, END, stage, ends.size])
  const { nowMs, originMs, isTick, hasChanged, isEnd, barrier } = note
  const flags = [isTick, hasChanged, isEnd, barrier !== undefined, barrier?.isLast ?? false].reduce(
    (sum, on, bit) => sum + (on ? 1 << bit : 0),
    0,
  )
  doubles.set([nowMs, originMs, flags, barrier?.round ?? 0, barrier?.checkpointId ?? 0], 2)
  let at = 2 + NOTE_DOUBLES
  for (const [edge, { isIdle, watermarkMs, steps }] of ends) {
    doubles.set([edge, isIdle ? 1 : 0, watermarkMs, steps.length], at)
    doubles.set(steps, at + EDGE_DOUBLES)
    at += EDGE_DOUBLES + steps.length
  }
  return new Uint8Array(doubles.buffer)
}

function readEnd(buffer: ArrayBuffer): { ends: Part['ends']; note: RoundNote } {
  const doubles = new Float64Array(buffer, 0, new Int32Array(buffer, 0, 1)[0] / 8)
  const [nowMs, originMs, flags, round, checkpointId] = doubles.subarray(2)
  const has = (bit: number) => (flags & (1 << bit)) !== 0
  const ends: Part['ends'] = new Map()
  for (let at = 2 + NOTE_DOUBLES; at < doubles.length; ) {
    const [edge, isIdle, watermarkMs, stepCount] = doubles.subarray(at, at + EDGE_DOUBLES)
    at += EDGE_DOUBLES
    ends.set(edge, { isIdle: isIdle === 1, watermarkMs, steps: Array.from(doubles.subarray(at, (at += stepCount))) })
  }
  const barrier = has(3) ? { barrier: { round, checkpointId, isLast: has(4) } } : {}
  return { ends, note: { nowMs, originMs, isTick: has(0), hasChanged: has(1), isEnd: has(2), ...barrier } }
}
