// An operator whose state may be larger than memory.
//
// fits:      rows --> the operator                                                      nothing between but a count of rows
// does not:  rows --> wait --> many enough --> key group by key group: state is fetched, rows, watermark, state goes back
//
// The state is divided once, by key group, into operators of the same kind, of which some are in memory and the others on the disk. That is
// what parallel subtasks are (exchange/): so what they give together is what the one gave. Chosen by measurement over pages of state with a
// cache: with keys at random every row needs another page, some 10 µs each; fetching a whole key group for all rows that wait for it costs
// less than 1 µs a row, and no operator knows of it. `docs/state.md` has the figures.
//
// Invariants
//   1. Rows of a key are worked through in the order in which they came, each with the watermark that it saw.
//   2. The watermark goes on only when all that waited for it has been worked through, and no row that is given out sees a later one. Where
//      order or event time counts behind it (`keepOrder`) everything leaves as from memory (replay.ts).
//   3. After each call it holds what it is allowed to, or one key group alone if that is more.
//   4. Snapshots have what waits and, of each key group, the file with its state: a checkpoint takes the bytes from there.
//   5. State of two subtasks that were at different places in their work is never one: after a change of their number each comes to the event
//      time of the checkpoint by itself (`elders`), and then they are put together. A window that one has given out is still open in the other.
//   1, 2 and 4 are held by spill.property.test.ts, with a restore at any step; 5 by rescale.property.test.ts.
//
// Longer than other files because what waits, what is away and what comes back are one state machine: no part of it holds without the others.
import type { Batch, Field, SqlType } from '../../data/index.ts'
import { batchOf, gatherAll } from '../../data/index.ts'
import { inputsOf, type Plan } from '../../sql/index.ts'
import { joinParts, type StoredState, type UnreadState } from '../checkpoints/stateParts.ts'
import { KEY_GROUP_COUNT, partitionRows } from '../exchange/partition.ts'
import { BEFORE_ROWS } from '../exchange/roundOrder.ts'
import type { JoinSideStatus, Operator, OperatorContext, OperatorStatus } from '../operator.ts'
import { ordinals } from '../operators/emission.ts'
import { isMergeableAggregate, localFields } from '../operators/localAggregate.ts'
import type { StatePart, StateTable } from '../state/stateTable.ts'
import { DividedRows, divisionInto, divisionKeysOf } from './division.ts'
import type { Account, Memory } from './memory.ts'
import { Replay } from './replay.ts'
import { isInShare, type Share, sharedOut } from './share.ts'
import type { SpillFiles } from './spillFiles.ts'
import { Run, type RunSnapshot, WaitingRows } from './waitingRows.ts'

export interface SpillOptions {
  memory: Memory
  files: SpillFiles
  /** For tests: into how many parts state is divided. */
  keyGroups?: number
}

export interface SpillingOptions extends SpillOptions {
  /** `merges`: of an aggregation, the one that takes what its first phase gives. */
  build(context: OperatorContext, merges: boolean): Operator
  /** Which one is asked for. */
  merges: boolean
  /** Tells the next operators how far event time has come. */
  forward(watermarkMs: number): void
}

/** One part of the state. */
interface KeyGroup {
  /** In memory. */
  operator: Operator | undefined
  /** On the disk: what `operator` was when it was written. */
  stored: StoredState | undefined
  /** `operator` has changed since. */
  isDirty: boolean
  /** Event time that it has been told of. */
  watermarkMs: number
  dueMs: number
  status: OperatorStatus
}

interface DividedSnapshot {
  keyGroups: { id: number; state: StoredState | UnreadState; watermarkMs: number; dueMs: number; status: OperatorStatus }[]
  waiting: RunSnapshot[]
  watermarkMs: number
  pendingMs: number
  /** What those of `SpillingOperator` gave. */
  elders?: unknown[]
}

/** Rows wait in no more memory than this, or a quarter of what the operator may hold. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024
/** Rows for state on the disk wait so long at most, while others come. */
const WAITING_MS_MAX = 1_000
/** After so many rows an operator looks how large it is, or after as many as an eighth of what it holds. */
const MEASURED_ROWS_MAX = 65_536
const ROW_BYTES_MIN = 16

export class SpillingOperator implements Operator {
  private readonly plan: Plan
  private readonly build: () => Operator
  private readonly forward: (watermarkMs: number) => void
  private readonly files: SpillFiles
  private readonly account: Account
  private readonly inputs: WaitingInput[]
  /** Of an aggregation in two phases: which of its two inputs gets rows now. Rows of the other wait since it ran in another number of subtasks. */
  private readonly firstInput: number
  private readonly buildOther: () => Operator
  /** One that only shows what it holds: nothing leaves it. */
  private readonly buildToRead: () => Operator
  private readonly context: OperatorContext
  private readonly newElder: () => SpillingOperator
  private readonly groupCount: number
  /** What leaves does so in the order and with the watermarks that it would have from memory. */
  private keepsOrder = false
  /** It gives out each change with the row that caused it. */
  private readonly tellsRows: boolean
  /** Rows that wait are of several old subtasks, each with an event time of its own. */
  private waitsMerged = false
  private replay: Replay | undefined
  /** As one of several subtasks, where order counts behind a further exchange: the moment within the round (exchange/roundOrder.ts). */
  private round: { moment: number } | undefined
  private momentsOfRows: number[] = []
  private steps: { row: number; watermarkMs: number; moment: number }[] = []
  /** While all of the state is in memory. */
  private whole: Operator | undefined
  private rowsUntilMeasured = MEASURED_ROWS_MAX
  private groups: KeyGroup[] = []
  /** State of further old subtasks, which ran in another number, with the rows that waited for it. No new rows come to them. */
  private elders: SpillingOperator[] = []
  private readonly waiting: WaitingRows
  /** Event time that has gone on, and that which is to. */
  private watermarkMs = -Infinity
  private pendingMs = -Infinity
  private nowMs = -Infinity
  /** Since when something waits. */
  private waitingSinceMs: number | undefined
  /** Key groups are fetched upwards and downwards in turn: those that came last are still there. */
  private isUpwards = true

  private constructor(plan: Plan, keys: number[][], context: OperatorContext, options: SpillingOptions) {
    const { merges } = options
    this.plan = plan
    // What they give out sees no event time that others have not reached.
    const ofElder = {
      ...context,
      emit: (batch: Batch) => context.emit({ ...batch, watermarksBefore: undefined, watermarkAfter: this.watermarkMs }),
    }
    this.newElder = () => {
      const elder = new SpillingOperator(plan, keys, ofElder, { ...options, forward: () => {} })
      elder.keepsOrder = this.keepsOrder
      return elder
    }
    this.inputs = waitingInputs(plan, keys)
    this.firstInput = merges ? 1 : 0
    this.context = context
    const own = { ...context, emit: (batch: Batch) => this.emit(batch) }
    this.build = () => options.build(own, merges)
    this.buildOther = () => options.build(own, !merges)
    this.buildToRead = () => options.build({ ...context, emit: () => {} }, merges)
    this.tellsRows = ('everyVersion' in plan && plan.everyVersion === true) || ('everyChange' in plan && plan.everyChange === true)
    this.whole = this.build()
    this.watermarkDelayMs = this.whole.watermarkDelayMs ?? 0
    this.forward = options.forward
    this.files = options.files
    this.account = options.memory.account()
    this.groupCount = options.keyGroups ?? KEY_GROUP_COUNT
    this.waiting = new WaitingRows(this.inputs.map(({ types }) => types))
    this.planMeasuring(0)
  }

  /** The operator of a plan's node, able to spill if its state divides by key. */
  static around(plan: Plan, context: OperatorContext, options: SpillingOptions): Operator {
    const keys = divisionKeysOf(plan)
    if (keys === undefined) return options.build(context, options.merges)
    const spilling = new SpillingOperator(plan, keys, context, options)
    if (spilling.whole?.divide !== undefined && spilling.whole.nextDueMs !== undefined) return spilling
    spilling.close()
    return options.build(context, options.merges)
  }

  /** Order or event time counts behind it. Called before anything else. */
  keepOrder(): void {
    this.keepsOrder = true
  }

  /** What it gives out has the moments of what caused it. Called before anything else. */
  keepMoments(round: { moment: number }): void {
    this.round = round
  }

  /** A stage of a round is over: with moments nothing waits for the next one. */
  endRound(): void {
    if (this.round !== undefined && this.whole === undefined && this.waitingSinceMs !== undefined) this.work()
  }

  /** What a key group gives out sees no event time that others have not reached; where order counts it is put into one with theirs. */
  private emit(batch: Batch): void {
    if (this.whole !== undefined) this.context.emit(batch)
    else if (this.replay !== undefined) this.replay.take(batch)
    else this.context.emit({ ...batch, watermarksBefore: undefined, watermarkAfter: this.watermarkMs })
  }

  process(batch: Batch, input: number): void {
    if (this.whole !== undefined) {
      this.whole.process(batch, input)
      this.rowsUntilMeasured -= batch.rowCount
      if (this.rowsUntilMeasured <= 0) this.measureWhole()
      return
    }
    if (batch.rowCount === 0) return
    this.absorb()
    if (this.round !== undefined) {
      while (this.momentsOfRows.length < this.waiting.rowCount) this.momentsOfRows.push(BEFORE_ROWS)
      for (let row = 0; row < batch.rowCount; row++) this.momentsOfRows.push(this.round.moment)
    }
    this.waiting.add(batch, this.firstInput + input)
    this.waitingSinceMs ??= this.nowMs
    this.measure()
    if (this.waiting.byteSize >= Math.min(WAITING_BYTES_MAX, this.account.allowedBytes / 4)) this.work()
  }

  advance(watermarkMs: number): void {
    if (this.whole !== undefined) {
      this.whole.advance(watermarkMs)
      this.watermarkMs = this.pendingMs = watermarkMs
      return
    }
    this.absorb()
    if (this.round !== undefined) this.steps.push({ row: this.waiting.rowCount, watermarkMs, moment: this.round.moment })
    this.pendingMs = Math.max(this.pendingMs, watermarkMs)
    this.waitingSinceMs ??= this.nowMs
    if (watermarkMs === Infinity) this.work()
  }

  get forwardsWatermark(): boolean {
    return this.whole === undefined
  }
  readonly watermarkDelayMs: number

  tick(nowMs: number): void {
    this.nowMs = nowMs
    if (this.whole !== undefined) {
      this.whole.tick?.(nowMs)
      // Others may need what it holds, though it gets no rows.
      if (this.account.bytes > this.account.allowedBytes) this.measureWhole()
      return
    }
    this.absorb()
    const isDue = this.isProcessingTime && this.groups.some(({ dueMs }) => dueMs <= nowMs)
    const waits = this.waitingSinceMs !== undefined
    const isIn = this.groups.every(({ operator, stored }) => operator !== undefined || stored === undefined)
    const waitedMs = nowMs - (this.waitingSinceMs ?? nowMs)
    // Where the clock was set back nobody knows how long it was.
    if (isDue || (waits && (isIn || waitedMs >= WAITING_MS_MAX || waitedMs < 0))) this.work()
  }

  private get isProcessingTime(): boolean {
    return 'window' in this.plan && this.plan.window.timeAttribute === 'processing'
  }

  private planMeasuring(stateRows: number): void {
    const roomRows = Math.ceil((this.account.allowedBytes - this.account.bytes) / (ROW_BYTES_MIN * 16))
    this.rowsUntilMeasured = Math.max(1, Math.min(Math.max(MEASURED_ROWS_MAX, stateRows >> 3), roomRows))
  }

  private measureWhole(): void {
    const { stateBytes = 0, stateRows = 0 } = (this.whole as Operator).describe?.() ?? {}
    this.account.set(stateBytes, 0)
    if (stateBytes > this.account.allowedBytes) this.divideWhole()
    else this.planMeasuring(stateRows)
  }

  /** From now on the state is in parts, all on the disk to begin with. */
  private divideWhole(): void {
    const whole = this.whole as Operator
    const status = whole.describe?.() ?? {}
    const dueMs = whole.nextDueMs?.() ?? -Infinity
    const partOf = whole.divide!(divisionInto(this.groupCount))
    this.groups = Array.from({ length: this.groupCount }, (_, id) => {
      const stored = this.files.write(partOf(id))
      const share = {
        stateRows: Math.ceil(((status.stateRows ?? 0) - id) / this.groupCount),
        stateBytes: 0,
        openWindows: id === 0 ? status.openWindows : undefined,
      }
      return { operator: undefined, stored, isDirty: false, watermarkMs: this.watermarkMs, dueMs, status: share }
    })
    this.whole = undefined
    this.measure()
  }

  /** Everything that waits is worked through, and the watermark goes on. */
  private work(): void {
    let rowCount = 0
    const runs = this.waiting.take().map((run) => this.divided(run, (rowCount += run.count) - run.count))
    this.waitingSinceMs = undefined
    const replay = this.beginReplay(runs.map(({ run }) => run))
    const pendingMs = replay?.toMs ?? this.pendingMs
    const clockMs = this.isProcessingTime ? this.nowMs : pendingMs
    for (let step = 0; step < this.groupCount; step++) {
      const id = this.isUpwards ? step : this.groupCount - 1 - step
      const group = this.groups[id]
      const parts = runs.map(({ rows }) => rows.of(id))
      const hasRows = parts.some(({ length }) => length > 0)
      if (!hasRows && clockMs < group.dueMs) continue
      let operator = this.fetch(group)
      const mark = this.context.memory.mark()
      const process = (i: number, rows: Int32Array) => {
        const { run, columns, earlier } = runs[i]
        const batch = run.batch(gatherAll(columns, rows, rows.length), rows, earlier)
        const input = run.input - this.firstInput
        if (this.context.inputFields[input]) operator.process(batch, input)
        else operator = group.operator = this.otherPhase(operator, batch)
        this.context.memory.release(mark)
      }
      // What it gives out now it remembers from now on.
      const remember = () => {
        if (this.plan.node === 'deduplicate' || this.plan.node === 'temporalJoin') operator.tick?.(this.nowMs)
      }
      if (replay === undefined || this.tellsRows) {
        for (const [i, rows] of parts.entries()) if (rows.length > 0) process(i, rows)
      } else {
        const places = parts.flatMap((rows, i) => Array.from(rows, (_, at) => [i, at] as const))
        const ordinals = Int32Array.from(places, ([i, at]) => runs[i].earlier + parts[i][at])
        const one = (place: number) => process(places[place][0], parts[places[place][0]].subarray(places[place][1], places[place][1] + 1))
        replay.play(() => operator, ordinals, one, remember)
      }
      remember()
      if (pendingMs > group.watermarkMs) operator.advance(pendingMs)
      if (this.isProcessingTime) operator.tick?.(this.nowMs)
      group.watermarkMs = pendingMs
      this.note(group)
      this.makeRoom(id)
    }
    this.isUpwards = !this.isUpwards
    this.measure()
    this.replay = undefined
    replay?.flush(this.context, this.forward)
    this.watermarkMs = this.pendingMs = pendingMs
    this.forward(pendingMs - this.watermarkDelayMs)
  }

  private beginReplay(runs: readonly Run[]): Replay | undefined {
    const { round, momentsOfRows: ofRows, steps } = this
    this.momentsOfRows = []
    this.steps = []
    if (!this.keepsOrder) return undefined
    const { plan, waitsMerged, watermarkMs: fromMs, pendingMs: toMs, watermarkDelayMs: delayMs } = this
    this.waitsMerged = false
    const seen = new Float64Array(runs.reduce((sum, { count }) => sum + count, 0))
    let filled = 0
    for (const run of runs) {
      seen.set(run.watermarksSeen(), filled)
      filled += run.count
    }
    this.replay = new Replay({
      types: plan.fields.map(({ type }) => type),
      rowCount: seen.length,
      seenBy: (row) => (waitsMerged ? -Infinity : seen[row]),
      fromMs,
      toMs,
      delayMs,
      timeColumn: timeGivenOut(plan),
      ...(round && !waitsMerged && { round: { ofRows, steps, begin: (moment: number) => (round.moment = moment) } }),
    })
    return this.replay
  }

  /** Rows that have not gone through the first phase, or have, unlike those that come now: the operator for these takes them. */
  private otherPhase(operator: Operator, batch: Batch): Operator {
    const other = this.buildOther()
    other.restore?.(operator.snapshot?.())
    other.process(batch, 0)
    const again = this.build()
    again.restore?.(other.snapshot?.())
    return again
  }

  /** Elders come to the event time of their checkpoint, as this does; from then on a key group is one. */
  private absorb(): void {
    if (this.elders.length === 0) return
    const { elders, pendingMs, nowMs } = this
    this.elders = []
    for (const elder of elders) {
      if (elder.whole !== undefined) continue
      elder.pendingMs = pendingMs
      elder.nowMs = nowMs
      elder.work()
    }
    this.work()
    for (const group of this.groups) {
      this.write(group)
      group.operator = undefined
    }
    for (const elder of elders) {
      if (elder.whole !== undefined) this.addWhole(elder.whole.snapshot?.())
      for (const [id, group] of elder.groups.entries()) {
        elder.write(group)
        if (group.stored === undefined) continue
        this.addToGroup(this.groups[id], this.files.read(group.stored), group.watermarkMs)
        this.files.release(group.stored)
      }
      elder.close()
    }
    this.measure()
  }

  /** @param earlier  how many rows of other runs came before */
  private divided(run: Run, earlier: number): { run: Run; earlier: number; columns: ReturnType<Run['columns']>; rows: DividedRows } {
    const columns = run.columns()
    const { keys, keyTypes: types } = this.inputs[run.input]
    const targets = new Uint8Array(run.count)
    partitionRows(
      keys.map((key) => columns[key]),
      types,
      run.count,
      this.groupCount,
      targets,
    )
    return { run, earlier, columns, rows: new DividedRows(targets, run.count, this.groupCount) }
  }

  private fetch(group: KeyGroup): Operator {
    if (group.operator === undefined) {
      const operator = this.build()
      if (group.stored) operator.restore?.(this.files.read(group.stored))
      group.operator = operator
    }
    // It was not due for what has come since: nothing is given out, but it knows what is late.
    if (this.watermarkMs > group.watermarkMs) group.operator.advance(this.watermarkMs)
    return group.operator
  }

  /** After a change. */
  private note(group: KeyGroup): void {
    const operator = group.operator as Operator
    group.isDirty = true
    group.status = operator.describe?.() ?? {}
    group.dueMs = operator.nextDueMs?.() ?? -Infinity
    this.measure()
  }

  private measure(): void {
    let bytes = this.waiting.byteSize
    let spilledBytes = 0
    for (const { operator, stored, status } of this.groups) {
      if (operator) bytes += status.stateBytes ?? 0
      else if (stored) spilledBytes += stored.sizeBytes
    }
    this.account.set(bytes, spilledBytes)
  }

  /** Moves out what is needed last, until it holds no more than it may. */
  private makeRoom(present: number): void {
    while (this.account.bytes > this.account.allowedBytes) {
      const id = this.lastNeeded(present)
      if (id === -1) return
      const group = this.groups[id]
      this.write(group)
      group.operator = undefined
      this.measure()
    }
  }

  /** Those that have had their turn come again when the direction has changed, the first of them last. */
  private lastNeeded(present: number): number {
    const ids = this.isUpwards ? [...this.groups.keys()] : [...this.groups.keys()].reverse()
    const isPast = (id: number) => (this.isUpwards ? id < present : id > present)
    const isIn = (id: number) => this.groups[id].operator !== undefined
    return ids.find((id) => isPast(id) && isIn(id)) ?? ids.findLast((id) => id !== present && isIn(id)) ?? (isIn(present) ? present : -1)
  }

  private write(group: KeyGroup): void {
    if (!group.isDirty || group.operator === undefined) return
    const { stored } = group
    group.stored = this.files.write(group.operator.snapshot?.())
    group.isDirty = false
    if (stored) this.files.release(stored)
  }

  snapshot(): unknown {
    if (this.whole !== undefined) return this.whole.snapshot?.()
    for (const group of this.groups) this.write(group)
    const keyGroups = this.groups.flatMap(({ stored, watermarkMs, dueMs, status }, id) =>
      stored ? [{ id, state: stored, watermarkMs, dueMs, status }] : [],
    )
    const { watermarkMs, pendingMs } = this
    const elders = this.elders.map((elder) => elder.snapshot())
    return {
      keyGroups,
      waiting: this.waiting.snapshot(),
      watermarkMs,
      pendingMs,
      ...(elders.length > 0 && { elders }),
    } satisfies DividedSnapshot
  }

  restore(state: unknown): void {
    if (!isDivided(state)) {
      this.whole?.restore?.(state)
      this.rowsUntilMeasured = 0
      return
    }
    this.whole = undefined
    const { keyGroups, waiting, watermarkMs, pendingMs, elders = [] } = state
    Object.assign(this, { watermarkMs, pendingMs, waitingSinceMs: this.nowMs })
    this.elders = elders.map((one) => {
      const elder = this.newElder()
      elder.restore(one)
      return elder
    })
    this.waiting.restore(waiting)
    const saved = new Map(keyGroups.map((group) => [group.id, group]))
    this.groups = Array.from({ length: this.groupCount }, (_, id) => {
      const group = saved.get(id)
      if (!group) return emptyGroup()
      const { watermarkMs, dueMs, status } = group
      return { operator: undefined, stored: this.files.copy(group.state as UnreadState), isDirty: false, watermarkMs, dueMs, status }
    })
    this.measure()
  }

  /**
   * As `restore`, of a job that had another number of subtasks: what falls to this one, of one old subtask after another. Where one of them was
   * divided this one is.
   *
   * @param adds  it is not the first
   */
  restoreShare(state: unknown, share: Share, adds: boolean): void {
    const isDealtByGroup = share.keyGroups !== undefined && this.groupCount === KEY_GROUP_COUNT
    if (isDivided(state) && state.elders !== undefined) {
      const { elders, ...own } = state
      for (const [i, one] of [own, ...elders].entries()) this.restoreShare(one, share, adds || i > 0)
      return
    }
    if (adds && !isDealtByGroup && (isDivided(state) || this.whole === undefined)) {
      this.addElder(state, share)
      return
    }
    if (!isDivided(state)) {
      const own = sharedOut(state, share, this.build)
      if (this.whole === undefined) this.addWhole(own)
      else this.whole.restore?.(own, adds)
      this.rowsUntilMeasured = 0
      return
    }
    const { keyGroups, waiting, watermarkMs, pendingMs } = state
    const isFirst = this.whole !== undefined
    if (isFirst && adds) this.divideWhole()
    else if (isFirst) this.groups = Array.from({ length: this.groupCount }, emptyGroup)
    this.whole = undefined
    this.watermarkMs = isFirst ? watermarkMs : Math.min(this.watermarkMs, watermarkMs)
    this.pendingMs = Math.max(this.pendingMs, pendingMs)
    this.waitingSinceMs = this.nowMs
    for (const { id, ...saved } of keyGroups) {
      if (!isInShare(share, id, this.groupCount)) continue
      const group = this.groups[id]
      const unread = saved.state as UnreadState
      if (group.stored === undefined && (share.isWhole || isDealtByGroup)) Object.assign(group, saved, { stored: this.files.copy(unread) })
      else {
        const read = joinParts(unread.parts, (name) => unread.read(name))
        this.addToGroup(group, isDealtByGroup ? read : sharedOut(read, share, this.build), saved.watermarkMs)
      }
    }
    this.waitsMerged = true
    for (const saved of waiting) this.addWaiting(new Run(saved.input, this.inputs[saved.input].types, saved), share)
    this.measure()
  }

  /** State of one more old subtask, of which one at least was divided. */
  private addElder(state: unknown, share: Share): void {
    const elder = this.newElder()
    elder.restoreShare(state, share, false)
    this.elders.push(elder)
    const isFirst = this.whole !== undefined
    if (isFirst) this.divideWhole()
    // What is not divided has nothing that waits: it had come to the event time of the checkpoint.
    if (elder.whole === undefined) this.watermarkMs = isFirst ? elder.watermarkMs : Math.min(this.watermarkMs, elder.watermarkMs)
    this.pendingMs = Math.max(this.pendingMs, elder.pendingMs)
    this.waitingSinceMs = this.nowMs
  }

  /** State of an old subtask that was not divided, where another one was. */
  private addWhole(state: unknown): void {
    const whole = this.build()
    whole.restore?.(state)
    const partOf = whole.divide!(divisionInto(this.groupCount))
    this.groups.forEach((group, id) => {
      this.addToGroup(group, partOf(id), group.watermarkMs)
    })
    this.measure()
  }

  private addToGroup(group: KeyGroup, state: unknown, watermarkMs: number): void {
    const operator = this.build()
    const before = group.stored
    if (before) operator.restore?.(this.files.read(before))
    operator.restore?.(state, before !== undefined)
    group.stored = this.files.write(operator.snapshot?.())
    if (before) this.files.release(before)
    group.watermarkMs = before ? Math.min(group.watermarkMs, watermarkMs) : watermarkMs
    group.dueMs = operator.nextDueMs?.() ?? -Infinity
    group.status = operator.describe?.() ?? {}
  }

  private addWaiting(run: Run, { isWhole, division, part }: Share): void {
    const columns = run.columns()
    const { keys, keyTypes } = this.inputs[run.input]
    const keyColumns = keys.map((key) => columns[key])
    const rows = isWhole ? ordinals(run.count) : division.rows(keyColumns, keyTypes, run.count)(part)
    if (rows.length > 0) this.waiting.add(run.batch(gatherAll(columns, rows, rows.length), rows), run.input)
  }

  /** Of a divided operator what its tables are, and nothing in them. */
  stateTables(): StateTable[] {
    return (this.whole ?? this.buildToRead()).stateTables?.() ?? []
  }

  /** A key group on the disk is read into an operator of its own, which is gone when it has been looked at. */
  stateParts(): StatePart[] | undefined {
    if (this.whole !== undefined) return undefined
    const own = this.groups.map((_, id): StatePart => {
      const isOnDisk = this.groups[id].operator === undefined
      return {
        mayHold: (key) => key.length !== this.inputs[0].keys.length || this.keyGroupOf(key) === id,
        isOnDisk,
        tables: () => {
          const { operator, stored } = this.groups[id]
          if (operator !== undefined) return operator.stateTables?.() ?? []
          if (stored === undefined) return []
          const copy = this.buildToRead()
          copy.restore?.(this.files.read(stored))
          // As when it is fetched: it has not been told, as nothing of it was due.
          if (this.watermarkMs > this.groups[id].watermarkMs) copy.advance(this.watermarkMs)
          return copy.stateTables?.() ?? []
        },
      }
    })
    const elders = this.elders.flatMap((elder) => elder.stateParts() ?? [{ tables: () => elder.stateTables() }])
    return [...own, ...elders]
  }

  private keyGroupOf(key: readonly unknown[]): number {
    const [{ keyTypes }] = this.inputs
    const target = new Uint8Array(1)
    const { columns } = batchOf(
      keyTypes.map((type, i) => ({ name: String(i), type })),
      [[...key]],
    )
    partitionRows(columns, keyTypes, 1, this.groupCount, target)
    return target[0]
  }

  describe(): OperatorStatus {
    if (this.whole !== undefined) return this.whole.describe?.() ?? {}
    let stateRows = 0
    const windows = new Map<string, NonNullable<OperatorStatus['openWindows']>[number]>()
    for (const { status } of this.groups) {
      stateRows += status.stateRows ?? 0
      for (const window of status.openWindows ?? []) {
        const id = `${window.startMs} ${window.endMs}`
        const known = windows.get(id)
        windows.set(id, known ? { ...known, rows: known.rows + window.rows } : window)
      }
    }
    const openWindows = [...windows.values()].sort((a, b) => a.endMs - b.endMs).slice(0, 100)
    const { bytes: stateBytes, spilledBytes } = this.account
    let { rowCount: waitingRows } = this.waiting
    for (const elder of this.elders) {
      const status = elder.describe()
      stateRows += status.stateRows ?? 0
      waitingRows += status.waitingRows ?? 0
    }
    return { stateRows, stateBytes, spilledBytes, waitingRows, ...(openWindows.length > 0 && { openWindows }) }
  }

  /** Of a divided join only what is in memory. */
  joinSides(): JoinSideStatus[] {
    const operators = this.whole !== undefined ? [this.whole] : this.groups.flatMap(({ operator }) => operator ?? [])
    const sides = operators.map((operator) => operator.joinSides?.() ?? [])
    return (sides[0] ?? []).map((_, input) => ({
      rows: sides.reduce((sum, of) => sum + of[input].rows, 0),
      unmatched: sides.reduce((sum, of) => sum + of[input].unmatched, 0),
      samples: sides.flatMap((of) => of[input].samples).slice(0, 3),
    }))
  }

  close(): void {
    for (const elder of this.elders) elder.close()
    this.account.close()
  }
}

/** Rows of an input as they wait, and the columns by which they divide. */
interface WaitingInput {
  types: SqlType[]
  keys: number[]
  keyTypes: SqlType[]
}

/** Of an aggregation in two phases: its rows, and what the first phase makes of them. */
function waitingInputs(plan: Plan, keys: number[][]): WaitingInput[] {
  const inputOf = (fields: readonly Field[], own: number[]) => {
    const types = fields.map(({ type }) => type)
    return { types, keys: own, keyTypes: own.map((key) => types[key]) }
  }
  const inputs = inputsOf(plan).map(({ fields }, i) => inputOf(fields, keys[i]))
  return isMergeableAggregate(plan) ? [...inputs, inputOf(localFields(plan), [...plan.keys.keys()])] : inputs
}

/** Of what leaves at a watermark, each row by itself: its event time. */
function timeGivenOut(plan: Plan): number | undefined {
  if (plan.node === 'deduplicate') return plan.timeColumn
  if (plan.node === 'temporalJoin') return plan.leftTime
  return plan.node === 'over' && plan.frame.timeOrdered ? plan.orderBy[0].column : undefined
}

const emptyGroup = (): KeyGroup => ({
  operator: undefined,
  stored: undefined,
  isDirty: false,
  watermarkMs: -Infinity,
  dueMs: Infinity,
  status: {},
})

const isDivided = (state: unknown): state is DividedSnapshot =>
  typeof state === 'object' && state !== null && 'keyGroups' in state && 'waiting' in state
