// What an engine thread is doing, in shared memory: the thread writes it as it goes, and the main thread reads it also when the thread never comes back.
//
// Cells: [beats, query, function, loading], then the names of functions. A beat is anything that shows that the thread gets on: a turn of its event loop, a batch
// between two operators, a batch of expressions, one call of a user's function or of a regular expression, a part of state that is read or written.
// So however much work one step of a job is, its beats go on, unless a single call does not return.
//
// Invariants
//   1. One thread writes; who reads a stale value only decides a moment later. Nothing waits, and nothing is decided here.
//   2. `query` is the number of the query at work (0: none), `function` tells which function was called and has not returned (0: none), `loading` is the
//      number of a query whose functions are being loaded: their files run when the event loop comes to them.
const BEATS = 0
const QUERY = 1
const FUNCTION = 2
const LOADING = 3
const HEAD = 4
const NAMES_BYTES = 32 * 1024
const NAME_BYTES_MAX = 200

/** Shared memory for one thread's progress. */
export const newProgress = (): SharedArrayBuffer => new SharedArrayBuffer(HEAD * 4 + NAMES_BYTES)

// Of this thread.
let own = newProgress()
let cells = new Int32Array(own, 0, HEAD)
let names = new Uint8Array(own, HEAD * 4)
let namesEnd = 0
const marks = new Map<string, number>()

/** From now on this thread's progress is told in `shared`. Called once, before anything is compiled. */
export function shareProgress(shared: SharedArrayBuffer): void {
  own = shared
  cells = new Int32Array(shared, 0, HEAD)
  names = new Uint8Array(shared, HEAD * 4)
}

/** The thread gets on. */
export function beat(): void {
  cells[BEATS]++
}

/** The thread works for a query; 0: for none. */
export function atQuery(number: number): void {
  cells[BEATS]++
  cells[QUERY] = number
}

/** The files of functions of a query are being loaded; 0: no more. */
export function loadingFor(number: number): void {
  cells[LOADING] = number
}

/** Stands for a function in `enterFunction`; equal for equal names. 0 (no function) where there are more than anybody has. */
export function functionMark(name: string): number {
  const known = marks.get(name)
  if (known !== undefined) return known
  const bytes = Buffer.from(name).subarray(0, NAME_BYTES_MAX)
  const isFull = namesEnd + 1 + bytes.length > names.length
  const mark = isFull ? 0 : namesEnd + 1
  if (!isFull) {
    names[namesEnd] = bytes.length
    names.set(bytes, mark)
    namesEnd = mark + bytes.length
  }
  marks.set(name, mark)
  return mark
}

/** Calls of functions do not overlap: arguments are computed before. */
export function enterFunction(mark: number): void {
  cells[BEATS]++
  cells[FUNCTION] = mark
}
export function leaveFunction(): void {
  cells[FUNCTION] = 0
}

/** The function that was cut off in this thread, if it was one: from now on none is at work. */
export function cutOffFunction(): string | undefined {
  const { function: name } = readProgress(own)
  cells[FUNCTION] = 0
  return name
}

/** What a thread shows of itself. */
export interface Progress {
  /** Another one each time that it got on; 0 until it has begun. */
  beats: number
  /** Number of the query at work, 0 for none. */
  query: number
  /** Name of the function that has not returned. */
  function: string | undefined
}

export function readProgress(shared: SharedArrayBuffer): Progress {
  const [beats, query, mark, loading] = new Int32Array(shared, 0, HEAD)
  const text = new Uint8Array(shared, HEAD * 4)
  // A copy: TextDecoder takes no shared memory.
  return {
    beats,
    query: query || loading,
    function: mark === 0 ? undefined : Buffer.from(text.slice(mark, mark + text[mark - 1])).toString(),
  }
}
