// One memory budget for the process: what each thread's operators hold, and what they may.
//
// Cells of shared memory: [limit, other] and for each thread [state, spilled, operators]. Each cell has one writer; who reads a stale value
// only decides a moment later. So nobody waits for anybody.
//
//   total <= limit                 everybody may grow
//   total >  limit                 who holds more than its fair share (limit / operators) moves state to the disk, until the total fits
//
// Invariant: an operator below its fair share is never asked to give anything up, so a large query does not push out the small ones.

const LIMIT = 0
const OTHER = 1
const HEAD = 2
const STATE = 0
const SPILLED = 1
const OPERATORS = 2
const THREAD_CELLS = 3

export interface MemoryUse {
  limitBytes: number
  /** State in memory, state on the disk, and what is beside the engine: live tables and buffers. */
  stateBytes: number
  spilledBytes: number
  otherBytes: number
}

export class Memory {
  readonly shared: SharedArrayBuffer
  private readonly cells: Float64Array
  private readonly first: number

  /** @param thread  which of the budget's threads this is, from 0 */
  constructor(shared: SharedArrayBuffer = Memory.budget(Infinity, 1), thread = 0) {
    this.shared = shared
    this.cells = new Float64Array(shared)
    this.first = HEAD + thread * THREAD_CELLS
  }

  static budget(limitBytes: number, threadCount: number): SharedArrayBuffer {
    const shared = new SharedArrayBuffer((HEAD + threadCount * THREAD_CELLS) * 8)
    new Float64Array(shared)[LIMIT] = limitBytes
    return shared
  }

  /** What is held outside of the engine. */
  set otherBytes(bytes: number) {
    this.cells[OTHER] = bytes
  }

  /** A thread has ended, and all that it held with it. */
  clear(thread: number): void {
    this.cells.fill(0, HEAD + thread * THREAD_CELLS, HEAD + (thread + 1) * THREAD_CELLS)
  }

  get use(): MemoryUse {
    return {
      limitBytes: this.cells[LIMIT],
      stateBytes: this.sum(STATE),
      spilledBytes: this.sum(SPILLED),
      otherBytes: this.cells[OTHER],
    }
  }

  private sum(cell: number): number {
    let sum = 0
    for (let at = HEAD + cell; at < this.cells.length; at += THREAD_CELLS) sum += this.cells[at]
    return sum
  }

  account(): Account {
    this.add(OPERATORS, 1)
    return new Account(this)
  }

  /** By accounts of this thread alone. */
  add(cell: number, by: number): void {
    this.cells[this.first + cell] += by
  }

  get fairShareBytes(): number {
    return Math.max(0, this.cells[LIMIT] - this.cells[OTHER]) / Math.max(1, this.sum(OPERATORS))
  }
  /** Negative when more is held than may be. */
  get freeBytes(): number {
    return this.cells[LIMIT] - this.cells[OTHER] - this.sum(STATE)
  }
}

/** What one operator holds. */
export class Account {
  bytes = 0
  spilledBytes = 0
  private readonly memory: Memory

  constructor(memory: Memory) {
    this.memory = memory
  }

  set(bytes: number, spilledBytes: number): void {
    this.memory.add(STATE, bytes - this.bytes)
    this.memory.add(SPILLED, spilledBytes - this.spilledBytes)
    this.bytes = bytes
    this.spilledBytes = spilledBytes
  }

  /** How many bytes it may hold now. */
  get allowedBytes(): number {
    return Math.max(this.memory.fairShareBytes, this.bytes + this.memory.freeBytes)
  }

  close(): void {
    this.set(0, 0)
    this.memory.add(OPERATORS, -1)
  }
}
