// The general JSON parser: walks one object, member by member in any order, and reads the members that have a field.
//
// Members without a field are checked and skipped. Of a key that comes twice the last one counts. Keys are compared as bytes and never
// become properties of an object, so `__proto__` is a key like any other.
//
// While it walks it notes where each value began and ended: from that `codegen.ts` makes a decoder for rows of the same layout.

import { type RowField, readUtf8 } from '../../data/index.ts'
import { out } from '../text.ts'
import {
  DEPTH_MAX,
  expectColon,
  FAIL_BYTE,
  FAIL_DEPTH,
  FAIL_END,
  FAIL_REQUIRED,
  FAIL_TYPE,
  fail,
  failAt,
  failValue,
  isNull,
  scanned,
  scanString,
  skipSpace,
  skipValue,
  unescapeInto,
} from './scan.ts'
import { isIgnorable, makeReader, notContainer, outValue, type ReadOptions, type ValueReader } from './values.ts'

/** Finds a field's ordinal by the bytes of its name, without making a string. */
class KeyTable {
  private readonly keys: Uint8Array[]
  private readonly buckets: number[][]
  private readonly mask: number

  constructor(names: readonly string[]) {
    this.keys = names.map((name) => new TextEncoder().encode(name))
    let size = 8
    while (size < names.length * 4) size *= 2
    this.mask = size - 1
    this.buckets = Array.from({ length: size }, () => [])
    this.keys.forEach((key, ordinal) => {
      this.buckets[this.hash(key, 0, key.length)].push(ordinal)
    })
  }

  /** The ordinal of `b[s … e)`, or -1; `guess` is tried first. */
  find(b: Uint8Array, s: number, e: number, guess: number): number {
    if (guess < this.keys.length && equals(b, s, e, this.keys[guess])) return guess
    for (const ordinal of this.buckets[this.hash(b, s, e)]) if (equals(b, s, e, this.keys[ordinal])) return ordinal
    return -1
  }

  private hash(b: Uint8Array, s: number, e: number): number {
    const length = e - s
    return length === 0 ? 0 : (length * 7 + b[s] * 31 + b[e - 1] * 17 + b[s + (length >> 1)]) & this.mask
  }
}

function equals(b: Uint8Array, s: number, e: number, key: Uint8Array): boolean {
  if (e - s !== key.length) return false
  for (let i = 0; i < key.length; i++) if (b[s + i] !== key[i]) return false
  return true
}

/** More members than this are walked, but no layout is made of them. */
export const LAYOUT_MEMBERS_MAX = 256

export abstract class ObjectWalker {
  readonly fields: readonly RowField[]
  readonly readers: ValueReader[]
  private readonly keys: KeyTable
  private readonly options: ReadOptions
  private readonly seenAt: Int32Array
  private walkCount = 0

  /** Of the last walk: for each member its field (or -1), and where its value begins and ends. */
  readonly memberFields = new Int32Array(LAYOUT_MEMBERS_MAX)
  readonly valueStarts = new Int32Array(LAYOUT_MEMBERS_MAX)
  readonly valueEnds = new Int32Array(LAYOUT_MEMBERS_MAX)
  memberCount = 0
  /** Of the last walk: a key came twice. */
  hasDuplicates = false

  constructor(fields: readonly RowField[], options: ReadOptions) {
    this.fields = fields
    this.options = options
    this.readers = fields.map((field) => makeReader(field.type, options))
    this.keys = new KeyTable(fields.map((field) => field.name))
    this.seenAt = new Int32Array(fields.length)
  }

  /** The value of a field is in `out`; its token is `[start, end)`. */
  protected abstract onValue(ordinal: number, start: number, end: number): void
  protected abstract onNull(ordinal: number): void

  /** Walks the object that begins at `p`; `depth` counts the containers around it. Position behind it, or a FAIL_… code. */
  walk(b: Uint8Array, p: number, end: number, depth: number): number {
    this.memberCount = 0
    this.hasDuplicates = false
    this.walkCount = (this.walkCount + 1) & 0x3fffffff
    if (this.walkCount === 0) {
      this.seenAt.fill(0)
      this.walkCount = 1
    }
    if (p >= end) return failAt(FAIL_END, end)
    if (b[p] !== 123) {
      const next = skipValue(b, p, end, depth)
      return next < 0 ? next : failValue(FAIL_TYPE, 'not a JSON object')
    }
    if (depth >= DEPTH_MAX) return failAt(FAIL_DEPTH, p)
    p = skipSpace(b, p + 1, end)
    let guess = 0
    if (p < end && b[p] === 125) p++
    else {
      for (;;) {
        if (p >= end) return failAt(FAIL_END, end)
        if (b[p] !== 34) return failAt(FAIL_BYTE, p)
        const keyStart = p + 1
        p = scanString(b, keyStart, end)
        if (p < 0) return p
        const keyEnd = p
        const ordinal = scanned.escaped ? this.findEscaped(b, keyStart, keyEnd) : this.keys.find(b, keyStart, keyEnd, guess)
        p = expectColon(b, keyEnd + 1, end)
        if (p < 0) return p
        const start = p
        p = ordinal < 0 ? skipValue(b, p, end, depth + 1) : this.member(b, p, end, depth + 1, ordinal)
        if (p < 0) return prefixPath(p, readUtf8(b, keyStart, Math.min(keyEnd, keyStart + 100)))
        if (ordinal >= 0) guess = ordinal + 1
        if (this.memberCount < LAYOUT_MEMBERS_MAX) {
          this.memberFields[this.memberCount] = ordinal
          this.valueStarts[this.memberCount] = start
          this.valueEnds[this.memberCount] = p
        }
        this.memberCount++
        p = skipSpace(b, p, end)
        if (p >= end) return failAt(FAIL_END, end)
        const c = b[p++]
        if (c === 125) break
        if (c !== 44) return failAt(FAIL_BYTE, p - 1)
        p = skipSpace(b, p, end)
      }
    }
    for (let ordinal = 0; ordinal < this.seenAt.length; ordinal++) {
      if (this.seenAt[ordinal] === this.walkCount) continue
      const { name, type } = this.fields[ordinal]
      if (this.options.failOnMissingField || !type.nullable) {
        fail.path = name
        return failValue(FAIL_REQUIRED, type.nullable ? 'the field is missing' : 'the field is missing, and it is NOT NULL')
      }
      this.onNull(ordinal)
    }
    return p
  }

  private findEscaped(b: Uint8Array, s: number, e: number): number {
    const key = new Uint8Array(e - s)
    return this.keys.find(key, 0, unescapeInto(b, s, e, key, 0), 0)
  }

  private member(b: Uint8Array, p: number, end: number, depth: number, ordinal: number): number {
    if (this.seenAt[ordinal] === this.walkCount) this.hasDuplicates = true
    this.seenAt[ordinal] = this.walkCount
    const { nullable } = this.fields[ordinal].type
    if (isNull(b, p, end)) {
      if (!nullable) return failValue(FAIL_REQUIRED, 'null in a column that is NOT NULL')
      this.onNull(ordinal)
      return p + 4
    }
    const next = this.readers[ordinal].read(b, p, end, depth)
    if (next >= 0) {
      this.onValue(ordinal, p, next)
      return next
    }
    if (nullable && isIgnorable(next, this.options)) {
      fail.path = ''
      this.onNull(ordinal)
      return skipValue(b, p, end, depth)
    }
    return next
  }
}

/** Puts a field's name before the path of what failed within it. */
function prefixPath(code: number, name: string): number {
  fail.path = fail.path === '' || fail.path[0] === '[' ? name + fail.path : `${name}.${fail.path}`
  return code
}

/** Reads a nested ROW: an array of its fields' values. */
export class RowReader extends ObjectWalker implements ValueReader {
  readonly lane = 'any'
  private values: unknown[] = []

  protected onValue(ordinal: number): void {
    this.values[ordinal] = outValue(this.readers[ordinal].lane)
  }
  protected onNull(ordinal: number): void {
    this.values[ordinal] = null
  }
  read(b: Uint8Array, p: number, end: number, depth: number): number {
    if (b[p] !== 123) return notContainer(b, p, end, depth, 'an object')
    this.values = new Array(this.fields.length).fill(null)
    const next = this.walk(b, p, end, depth)
    out.value = this.values
    return next
  }
}
