// Keeps the few layouts that rows have had lately, each with its generated code, and decides when a new one is worth compiling.
//
// Rows of one sender look alike, so one layout takes nearly all. Optional fields make a few more. What has too many shapes stays with the
// general parser: every compilation of a further layout needs twice as many rows of that shape as the last one did.
import type { Layout, LayoutMember } from './codegen.ts'
import { LAYOUT_MEMBERS_MAX, type ObjectWalker } from './object.ts'

const LAYOUTS_MAX = 4
const LAYOUT_BYTES_MAX = 8192
const ROWS_TO_COMPILE = 8
const CANDIDATES_MAX = 64

interface Compiled<Code> {
  code: Code
  rowCount: number
}

export class LayoutCache<Code> {
  /** In no particular order. */
  readonly compiled: Compiled<Code>[] = []
  private readonly candidates = new Map<number, number>()
  private readonly compile: (layout: Layout) => Code
  private rowsToCompile = ROWS_TO_COMPILE

  constructor(compile: (layout: Layout) => Code) {
    this.compile = compile
  }

  /** Counts the row `b[start … end)` that the general parser has just walked; compiles its layout if it comes often. */
  learn(walker: ObjectWalker, b: Uint8Array, start: number, end: number): void {
    const { memberCount } = walker
    if (walker.hasDuplicates || memberCount === 0 || memberCount > LAYOUT_MEMBERS_MAX) return
    // A collision of hashes only makes a layout be compiled a little early.
    let hash = memberCount
    let from = start
    for (let i = 0; i < memberCount; i++) {
      const to = walker.valueStarts[i]
      for (let p = from; p < to; p++) hash = Math.imul(hash ^ b[p], 0x01000193)
      from = walker.valueEnds[i]
    }
    const count = (this.candidates.get(hash) ?? 0) + 1
    if (count < this.rowsToCompile) {
      if (this.candidates.size >= CANDIDATES_MAX) this.candidates.clear()
      this.candidates.set(hash, count)
      return
    }
    this.candidates.clear()
    const layout = layoutOf(walker, b, start, end)
    if (layout === undefined) return
    if (this.compiled.length >= LAYOUTS_MAX) {
      let least = 0
      for (let i = 1; i < LAYOUTS_MAX; i++) if (this.compiled[i].rowCount < this.compiled[least].rowCount) least = i
      this.compiled.splice(least, 1)
      for (const each of this.compiled) each.rowCount = 0
      this.rowsToCompile = Math.min(this.rowsToCompile * 2, 1 << 24)
    }
    this.compiled.push({ code: this.compile(layout), rowCount: 0 })
  }
}

function layoutOf(walker: ObjectWalker, b: Uint8Array, start: number, end: number): Layout | undefined {
  const members: LayoutMember[] = []
  let from = start
  let size = 0
  for (let i = 0; i < walker.memberCount; i++) {
    const lead = b.slice(from, walker.valueStarts[i])
    members.push({ lead, field: walker.memberFields[i] })
    size += lead.length
    from = walker.valueEnds[i]
  }
  const tail = b.slice(from, end)
  return size + tail.length > LAYOUT_BYTES_MAX ? undefined : { members, tail }
}
