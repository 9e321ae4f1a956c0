// The one place of expressions where source text becomes a function: a small builder for loops over the rows of a batch.
//
// Invariants
//   1. Source is made of our own words, ordinals and numbered names. Literals are constants `k0 …`, functions are imports `f0 …`:
//      no text, name or literal of a user is ever in the source.
//   2. The code of a `Value` is an expression; it may be placed once. Who needs it twice asks for `once`.
//   3. `isNull` is free of side effects and cheap: it may be placed any number of times.
//   4. Where `isNull` can be true, `code` is evaluated only if `safe`: the data of a NULL row is garbage.
import { viewOf } from '../../base/index.ts'
import type { Batch, Column, SqlType } from '../../data/index.ts'
import { laneOf, readUtf8 } from '../../data/index.ts'
import { halves } from '../state/columns.ts'

/** How a value is held by generated code. Text, bytes, collections and rows are 'any'. */
export type Rep = 'boolean' | 'number' | 'bigint' | 'any'

export interface Value {
  code: string
  /** 'false' where it cannot be NULL. */
  isNull: string
  /** Can be evaluated at a NULL row: never throws, and is of the right type. */
  safe: boolean
  rep: Rep
  /** Of a 64-bit integer that fits into 32 bits: code of it as a number, to be placed instead of `code`. */
  integer?: string
  /** Text that still is bytes: the ordinal of its column. */
  utf8?: number
  /** Text that is a part of a column's bytes: names that hold its limits. */
  slice?: { column: number; start: string; end: string }
}

/** What a kernel is specialised on: the lane of each column of the batch, and whether it holds NULLs. */
export type ColumnShape = { lane: Column['lane']; nulls: boolean }
export const shapeOf = (column: Column): ColumnShape => ({ lane: column.lane, nulls: column.nulls !== undefined })

export function repOf(type: SqlType): Rep {
  if (type.kind === 'DECIMAL') return 'bigint'
  switch (laneOf(type)) {
    case 'u8':
      return 'boolean'
    case 'i32':
    case 'f64':
      return 'number'
    case 'i64':
      return 'bigint'
    default:
      return type.kind === 'TIMESTAMP' || type.kind === 'TIMESTAMP_LTZ' ? 'bigint' : 'any'
  }
}

export const defaultCode: Record<Rep, string> = { boolean: 'false', number: '0', bigint: '0n', any: 'null' }

/** A 32-bit integer as a 64-bit one. */
export const longOf = (value: Value): Value => ({ ...value, code: `BigInt(${value.code})`, rep: 'bigint', integer: value.code })

export const orCode = (parts: readonly string[]): string => {
  if (parts.includes('true')) return 'true'
  const open = [...new Set(parts.filter((part) => part !== 'false'))]
  return open.length === 0 ? 'false' : open.length === 1 ? open[0] : `(${open.join(' || ')})`
}
const plainCode = /^[\w.]+$/

/** Where a computed column is written; `hasNulls` is set by the kernel. */
export interface Output {
  data: ArrayLike<unknown>
  nulls: Uint8Array | undefined
  hasNulls: boolean
  /** Of a text that is a part of a column's bytes: `data` are these. */
  starts?: Int32Array
  ends?: Int32Array
}
/** Called for a row that throws: its position in the selection and the error. */
export type RowFailed = (position: number, error: Error) => void
/**
 * Results of a call that stands in several places, by row of the batch: computed where it is first needed.
 * `states` is 0 where it was not yet, 1 where `values` has the result, 2 where that is NULL.
 */
export interface SharedCall {
  states: Uint8Array
  values: unknown[]
}
export type FilterKernel = (batch: Batch, selection: Int32Array, count: number, failed: RowFailed, shared: SharedCall[]) => number
export type ProjectKernel = (
  batch: Batch,
  selection: Int32Array | undefined,
  count: number,
  failed: RowFailed,
  shared: SharedCall[],
  outputs: Output[],
) => number

export class KernelBuilder {
  private readonly constants: unknown[] = []
  private readonly imports: unknown[] = []
  private readonly batchLines: string[] = []
  private readonly rowLines: string[] = []
  private lines: string[] = []
  private names = 0
  private depth = 0
  private readonly declared = new Set<string>()
  readonly shapes: readonly ColumnShape[]

  constructor(shapes: readonly ColumnShape[]) {
    this.shapes = shapes
  }

  constant(value: unknown): string {
    // Object.is: -0 and 0 are two constants.
    const at = this.constants.findIndex((one) => Object.is(one, value))
    return `k${at >= 0 ? at : this.constants.push(value) - 1}`
  }
  import(fn: unknown): string {
    const at = this.imports.indexOf(fn)
    return `f${at >= 0 ? at : this.imports.push(fn) - 1}`
  }
  fresh(prefix = 'v'): string {
    return `${prefix}${this.names++}`
  }
  line(text: string): void {
    this.lines.push(text)
  }
  get lineCount(): number {
    return this.lines.length
  }
  /** Lines of a block that may not run: nothing is declared in it that others use. */
  nested<T>(build: () => T): { result: T; lines: string[] } {
    const outer = this.lines
    this.lines = []
    this.depth++
    try {
      const result = build()
      return { result, lines: this.lines }
    } finally {
      this.depth--
      this.lines = outer
    }
  }

  /** A value whose code may be placed any number of times. */
  once(value: Value): Value {
    if (value.integer !== undefined) return longOf(this.once({ ...value, code: value.integer, rep: 'number', integer: undefined }))
    if (plainCode.test(value.code)) return value
    if (value.isNull !== 'false' && !value.safe) return this.guarded(value.isNull, value.rep, () => value.code, false)
    const name = this.fresh()
    this.line(`const ${name} = ${value.code}`)
    return { ...value, code: name, safe: true }
  }

  /** `code()` where `isNull` is false, else a default: always safe. */
  guarded(isNull: string, rep: Rep, code: () => string, mayBeNull: boolean): Value {
    const name = this.fresh()
    const { result, lines } = this.nested(code)
    if (!mayBeNull && isNull === 'false') {
      for (const one of lines) this.line(one)
      this.line(`const ${name} = ${result}`)
      return { code: name, isNull: 'false', safe: true, rep }
    }
    if (!mayBeNull) {
      this.line(
        `let ${name} = ${defaultCode[rep]}; if (!${isNull}) { ${lines.join('\n')}${lines.length > 0 ? '\n' : ''}${name} = ${result} }`,
      )
      return { code: name, isNull, safe: true, rep }
    }
    const nullName = this.fresh('n')
    const raw = this.fresh()
    this.line(`let ${name} = ${defaultCode[rep]}, ${nullName} = true`)
    const body = `${lines.join('\n')}\nconst ${raw} = ${result}; if (${raw} !== null) { ${name} = ${raw}; ${nullName} = false }`
    this.line(isNull === 'false' ? `{ ${body} }` : `if (!${isNull}) { ${body} }`)
    return { code: name, isNull: nullName, safe: true, rep }
  }

  private addOnce(key: string, target: string[], text: string): void {
    if (this.declared.has(key)) return
    this.declared.add(key)
    target.push(text)
  }

  /** A value that is the same for the whole batch, computed before its first row. */
  perBatch(key: string, code: string): string {
    this.addOnce(key, this.batchLines, `const ${key} = ${code}`)
    return key
  }

  /** Names that hold something for the row, from its beginning on. */
  perRow(key: string, declare: (name: string) => string): string {
    this.addOnce(key, this.rowLines, declare(key))
    return key
  }

  column(index: number, type: SqlType): Value {
    const { lane, nulls } = this.shapes[index]
    const rep = repOf(type)
    this.addOnce(`column${index}`, this.batchLines, `const p${index} = batch.columns[${index}]`)
    let isNull = 'false'
    if (nulls) {
      this.addOnce(`nulls${index}`, this.batchLines, `const n_${index} = p${index}.nulls`)
      isNull = `(n_${index}[row] === 1)`
      if (this.reachable(`isNull${index}`, `const c${index}_n = ${isNull}`)) isNull = `c${index}_n`
    }
    if (lane === 'utf8') {
      this.addOnce(
        `utf8_${index}`,
        this.batchLines,
        `const b${index} = p${index}.bytes, s${index} = p${index}.starts, e${index} = p${index}.ends`,
      )
      this.addOnce(`text${index}`, this.rowLines, `let t${index}`)
      const read = `${this.import(readUtf8)}(b${index}, s${index}[row], e${index}[row])`
      return { code: `(t${index} ??= ${read})`, isNull, safe: false, rep, utf8: index }
    }
    this.addOnce(`data${index}`, this.batchLines, `const d${index} = p${index}.data`)
    const code = lane === 'u8' ? `d${index}[row] === 1` : `d${index}[row]`
    const safe = lane !== 'any'
    return { code: this.reachable(`value${index}`, `const c${index} = ${code}`) ? `c${index}` : `(${code})`, isNull, safe, rep }
  }

  /** The 32-bit halves of a column of 64-bit integers, low half first. */
  words(index: number): string {
    return this.perBatch(`w${index}`, `${this.import(halves)}(batch.columns[${index}].data)`)
  }
  /** The bytes of a text column, read several at a time. */
  bytesView(index: number): string {
    return this.perBatch(`view${index}`, `${this.import(viewOf)}(batch.columns[${index}].bytes)`)
  }

  /** Declares a name of the row where that is surely reached; false within a branch that may not run. */
  private reachable(key: string, text: string): boolean {
    if (this.declared.has(key)) return true
    if (this.depth > 0) return false
    this.declared.add(key)
    this.line(text)
    return true
  }

  /** Forgets what was loaded for a row: the next lines belong to another loop. */
  private loop(selected: boolean): string {
    const head = [`const row = ${selected ? 'selection[i]' : 'i'}`, ...this.rowLines, ...this.lines].join('\n')
    return `let i = 0, o = 0
while (i < count) {
try {
for (; i < count; i++) {
${head}
}
} catch (error) { failed(i, error); i++ }
}`
  }

  private make(params: string, body: string): unknown {
    const constants = this.constants.map((_, index) => `const k${index} = K[${index}]`)
    const imports = this.imports.map((_, index) => `const f${index} = F[${index}]`)
    const source = `'use strict'\n${[...constants, ...imports].join('\n')}\nreturn (${params}) => {\n${body}\n}`
    return new Function('K', 'F', source)(this.constants, this.imports)
  }

  /** A loop over all rows that keeps those for which the lines so far run to their end. */
  filter(): FilterKernel {
    this.line('selection[o++] = row')
    const body = this.loop(false)
    return this.make('batch, selection, count, failed, shared', `${this.batchLines.join('\n')}\n${body}\nreturn o`) as FilterKernel
  }

  /** A loop over the selected rows, or over all, that writes each value to its output. */
  project(values: readonly Value[], selected: boolean): ProjectKernel {
    const heads: string[] = []
    const ends: string[] = []
    for (const [index, value] of values.entries()) {
      const out =
        value.slice === undefined ? `o${index} = outputs[${index}].data` : `{ starts: o${index}, ends: q${index} } = outputs[${index}]`
      heads.push(`const ${out}, m${index} = outputs[${index}].nulls; let h${index} = false`)
      const written = writtenCode(value, index)
      if (value.integer !== undefined) heads.push(`const w_${index} = ${this.import(halves)}(o${index})`)
      if (value.isNull === 'false') this.line(written)
      // The limits of a NULL text are given: functions on bytes may look at it.
      else {
        const lost = value.slice === undefined ? '' : `; o${index}[o] = q${index}[o] = 0`
        this.line(`if (${value.isNull}) { m${index}[o] = 1; h${index} = true${lost} } else { m${index}[o] = 0; ${written} }`)
      }
      ends.push(`outputs[${index}].hasNulls = h${index}`)
    }
    this.line('o++')
    const body = this.loop(selected)
    const all = [...this.batchLines, ...heads, body, ...ends, 'return o'].join('\n')
    return this.make('batch, selection, count, failed, shared, outputs', all) as ProjectKernel
  }
}

/** Writes a value to the output of its ordinal; a 64-bit integer of 32 bits by its halves. */
function writtenCode({ code, rep, integer, slice }: Value, index: number): string {
  if (slice !== undefined) return `o${index}[o] = ${slice.start}; q${index}[o] = ${slice.end}`
  if (integer !== undefined) return `const x${index} = ${integer}; w_${index}[2 * o] = x${index}; w_${index}[2 * o + 1] = x${index} >> 31`
  return `o${index}[o] = ${rep === 'boolean' ? `${code} ? 1 : 0` : code}`
}
