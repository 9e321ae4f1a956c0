// Interns rows of key columns as dense group indices: the hash table below every grouping, distinct and join.
//
// slots: [hash, group + 1] pairs, open addressing ──> group ──> words / bytes of each key column, stored by column
//
// Invariants
//   1. Groups are numbered 0 … count-1 in order of their first row, so results do not depend on hashes.
//   2. Equality is SQL's "not distinct": NULL is one value, NaN is one value, 0.0 and -0.0 are two, text is equal by its bytes
//      whether it came as UTF-8 or as JS strings.
//   3. Stored bytes are only appended to and stored values never change: columns handed out stay valid while the table grows.
//   4. At most half of the slots are taken.
//   2 is held by keyTable.test.ts against a Map, 3 for what a checkpoint shares with the thread that writes it.
//
// Longer than other files because each lane of a key has its own loop for hashing, comparing and storing, and they must agree.
import { copyBytes, viewOf } from '../../base/index.ts'
import type { Column, SqlType } from '../../data/index.ts'
import { compileKernel } from './codegen.ts'
import { halves, type KeyForm, type KeyInput, keepsValues, keyFormOf, keyInput } from './columns.ts'
import { adopted, grown } from './growing.ts'

/** The stored values of one key column, indexed by group. */
class KeyStore {
  readonly type: SqlType
  readonly form: KeyForm
  data: Uint8Array | Int32Array | BigInt64Array | Float64Array | undefined
  words: Int32Array | Uint8Array = new Int32Array(0)
  bytes: Uint8Array = new Uint8Array(0)
  view = viewOf(this.bytes)
  /** offsets[g] … offsets[g + 1] are the bytes of group g. */
  offsets: Int32Array = new Int32Array(1)
  values: unknown[] | undefined
  nulls: Uint8Array
  hasNulls = false

  constructor(type: SqlType, capacity: number) {
    this.type = type
    this.form = keyFormOf(type)
    this.nulls = new Uint8Array(0)
    if (keepsValues(type)) this.values = []
    if (this.form === 'bytes') this.setBytes(new Uint8Array(capacity * 8))
    this.resize(capacity)
  }

  /** Stores rows as groups from `first` on, which fit; as `append` does one. */
  appendAll(first: number, input: KeyInput, rows: Int32Array | undefined, count: number): void {
    const { nulls } = input
    if (this.values !== undefined || (nulls !== undefined && holdsNull(nulls, rows, count))) {
      for (let i = 0; i < count; i++) this.append(first + i, input, rows === undefined ? i : rows[i])
      return
    }
    switch (this.form) {
      case 'u8':
      case 'i32':
        copyWords(input.words, this.words, first, rows, count)
        return
      case 'i64':
      case 'f64':
        copyPairs(input.words as Int32Array, this.words as Int32Array, first, rows, count)
        return
      default: {
        const { starts, ends } = input
        let size = this.offsets[first]
        for (let i = 0; i < count; i++) {
          const row = rows === undefined ? i : rows[i]
          size += ends[row] - starts[row]
          this.offsets[first + i + 1] = size
        }
        this.reserveBytes(size)
        copyTexts(input, this, first, rows, count)
      }
    }
  }

  /** Groups 0 … count-1 from a snapshot, with room for `capacity`; where its arrays may be taken over, they are. */
  adopt(column: Column, count: number, capacity: number): void {
    const isPlain = this.values === undefined && (column.nulls?.length ?? count) === count
    if (isPlain && column.lane === 'utf8' && isDense(column, count)) {
      this.setBytes(adopted(column.bytes))
      const { starts, ends } = column
      this.offsets = adopted(starts, capacity + 1)
      this.offsets[count] = ends[count - 1]
      this.nulls = column.nulls ? adopted(column.nulls, capacity) : grown(this.nulls, capacity)
      this.hasNulls = column.nulls !== undefined
    } else if (isPlain && column.lane === this.form && column.data.length === count) {
      this.setData(adopted(column.data, capacity))
      this.nulls = column.nulls ? adopted(column.nulls, capacity) : grown(this.nulls, capacity)
      this.hasNulls = column.nulls !== undefined
    } else {
      this.resize(capacity)
      this.appendAll(0, keyInput(column, this.type, 0, count), undefined, count)
    }
  }

  private reserveBytes(size: number): void {
    if (size > this.bytes.length) this.setBytes(grown(this.bytes, Math.max(this.bytes.length * 2, size, 64)))
  }

  /** Makes room for groups below `capacity`, which is more than there was room for. */
  resize(capacity: number): void {
    this.nulls = grown(this.nulls, capacity)
    if (this.form === 'bytes') this.offsets = grown(this.offsets, capacity + 1)
    else this.setData(this.data === undefined ? newData(this.form, capacity) : grown(this.data, capacity))
  }

  setData(data: Uint8Array | Int32Array | BigInt64Array | Float64Array): void {
    this.data = data
    this.words = data instanceof BigInt64Array || data instanceof Float64Array ? halves(data) : data
  }

  setBytes(bytes: Uint8Array): void {
    this.bytes = bytes
    this.view = viewOf(bytes)
  }

  clear(): void {
    if (this.hasNulls) this.nulls.fill(0)
    this.hasNulls = false
    if (this.values !== undefined) this.values = []
  }

  append(group: number, input: KeyInput, row: number): void {
    const isNull = input.nulls !== undefined && input.nulls[row] === 1
    if (isNull) {
      this.nulls[group] = 1
      this.hasNulls = true
    }
    switch (this.form) {
      case 'u8':
      case 'i32':
        this.words[group] = isNull ? 0 : input.words[row]
        break
      case 'i64':
      case 'f64':
        this.words[2 * group] = isNull ? 0 : input.words[2 * row]
        this.words[2 * group + 1] = isNull ? 0 : input.words[2 * row + 1]
        break
      default: {
        const start = this.offsets[group]
        const size = isNull ? 0 : input.ends[row] - input.starts[row]
        this.reserveBytes(start + size)
        if (!isNull) copyBytes(input.bytes, input.view, input.starts[row], input.ends[row], this.bytes, this.view, start)
        this.offsets[group + 1] = start + size
        if (this.values !== undefined) this.values[group] = isNull ? null : (input.column as Column & { lane: 'any' }).data[row]
      }
    }
  }

  /** Values of groups from … from+count-1, sharing memory. */
  range(from: number, count: number): Column {
    const to = from + count
    const nulls = this.hasNulls ? this.nulls.subarray(from, to) : undefined
    if (this.values !== undefined) return { lane: 'any', data: this.values.slice(from, to), nulls }
    if (this.form === 'bytes')
      return {
        lane: 'utf8',
        bytes: this.bytes,
        starts: this.offsets.subarray(from, to),
        ends: this.offsets.subarray(from + 1, to + 1),
        nulls,
      }
    return { lane: this.form, data: this.data?.subarray(from, to), nulls } as Column
  }

  /** As `range`, of no more bytes than the values have. */
  saved(count: number): Column {
    const column = this.range(0, count)
    return column.lane === 'utf8' ? { ...column, bytes: this.bytes.subarray(0, this.offsets[count]) } : column
  }

  get byteSize(): number {
    // A JS value is reckoned at 64 bytes.
    return this.nulls.length + this.words.byteLength + this.bytes.length + this.offsets.byteLength + (this.values?.length ?? 0) * 64
  }
}

/** Columns of a filtered batch often have a bitmap, but no NULL in it. */
function holdsNull(nulls: Uint8Array, rows: Int32Array | undefined, count: number): boolean {
  for (let i = 0; i < count; i++) if (nulls[rows === undefined ? i : rows[i]] === 1) return true
  return false
}

/** As `saved` gives it: texts lie one behind the other, and nothing else. */
function isDense({ bytes, starts, ends }: Column & { lane: 'utf8' }, count: number): boolean {
  if (count === 0 || starts.length !== count || ends.length !== count || starts[0] !== 0 || ends[count - 1] !== bytes.length) return false
  for (let i = 1; i < count; i++) if (starts[i] !== ends[i - 1]) return false
  return true
}

function copyWords(from: Int32Array | Uint8Array, to: Int32Array | Uint8Array, first: number, rows: Int32Array | undefined, count: number) {
  for (let i = 0; i < count; i++) to[first + i] = from[rows === undefined ? i : rows[i]]
}

function copyPairs(from: Int32Array, to: Int32Array, first: number, rows: Int32Array | undefined, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = 2 * (rows === undefined ? i : rows[i])
    const into = 2 * (first + i)
    to[into] = from[at]
    to[into + 1] = from[at + 1]
  }
}

function copyTexts(
  { bytes, view, starts, ends }: KeyInput,
  store: KeyStore,
  first: number,
  rows: Int32Array | undefined,
  count: number,
): void {
  const { bytes: to, view: toView, offsets } = store
  for (let i = 0; i < count; i++) {
    const row = rows === undefined ? i : rows[i]
    copyBytes(bytes, view, starts[row], ends[row], to, toView, offsets[first + i])
  }
}

function newData(form: KeyForm, capacity: number) {
  switch (form) {
    case 'u8':
      return new Uint8Array(capacity)
    case 'i32':
      return new Int32Array(capacity)
    case 'i64':
      return new BigInt64Array(capacity)
    default:
      return new Float64Array(capacity)
  }
}

/** Shares memory with the table: it holds until the table's next change. Stored values never change, so what a snapshot of the same lineage had is the same. */
export interface KeyTableSnapshot {
  count: number
  columns: { column: Column }[]
  lineage: number
}
let lineages = 0
/** From 1 MB of slots on. */
const FETCHED_SLOT_WORDS_MIN = 1 << 18
const noSlots = new Int32Array(0)

type Lookup = (table: KeyTable, inputs: KeyInput[], rowCount: number, out: Int32Array, rows: Int32Array | undefined) => void

export class KeyTable {
  count = 0
  readonly types: readonly SqlType[]
  /** Public for the generated look-up alone. None until the first look-up: rows that are only appended need none. */
  slots = noSlots
  stores: KeyStore[]
  /** What the look-up fetched ahead: written so that fetching is not left out as useless. */
  fetched = 0
  private capacity: number
  private readonly lineage = ++lineages

  /** @param expected  groups to make room for */
  constructor(types: readonly SqlType[], expected = 16) {
    this.types = types
    this.capacity = 16
    while (this.capacity < expected) this.capacity *= 2
    this.stores = types.map((type) => new KeyStore(type, this.capacity))
  }

  get byteSize(): number {
    return this.stores.reduce((sum, store) => sum + store.byteSize, this.slots.byteLength)
  }

  /**
   * Group indices of rows; new keys become new groups.
   *
   * @param columns   one for each key type
   * @param rowCount  rows to look up
   * @param out       (rowCount) group of each row
   * @param rows      (rowCount) which rows of the columns; all from 0 if absent
   */
  lookup(columns: readonly Column[], rowCount: number, out: Int32Array, rows?: Int32Array): void {
    if (rowCount === 0) return
    if (this.stores.length === 0) {
      this.count = 1
      out.fill(0, 0, rowCount)
      return
    }
    this.run(columns, rowCount, out, rows, true)
  }

  /** As `lookup`, but a key that is not in the table gives -1. */
  find(columns: readonly Column[], rowCount: number, out: Int32Array, rows?: Int32Array): void {
    if (rowCount === 0) return
    if (this.stores.length === 0) out.fill(this.count - 1, 0, rowCount)
    else this.run(columns, rowCount, out, rows, false)
  }

  /** Stores rows as new groups without looking for equal ones: `lookup` and `find` do not know them. Returns the first group. */
  append(columns: readonly Column[], rowCount: number, rows?: Int32Array): number {
    const first = this.count
    const inputs = this.types.map((type, i) => keyInput(columns[i], type, i, rowCount, rows))
    while (this.capacity < first + rowCount) this.grow()
    this.count += rowCount
    this.stores.forEach((store, k) => {
      store.appendAll(first, inputs[k], rows, rowCount)
    })
    return first
  }

  private run(columns: readonly Column[], rowCount: number, out: Int32Array, rows: Int32Array | undefined, inserts: boolean): void {
    if (this.slots.length === 0) this.slots = new Int32Array(this.capacity * 4)
    const inputs = this.types.map((type, i) => keyInput(columns[i], type, i, rowCount, rows))
    const signature = this.stores.map((store, i) => store.form + (store.hasNulls || inputs[i].nulls !== undefined ? '?' : '')).join()
    inputs.forEach((input, i) => {
      if (this.stores[i].hasNulls) input.nulls ??= noNulls(rows === undefined ? rowCount : maxOf(rows, rowCount) + 1)
    })
    lookupKernel(signature, rows !== undefined, inserts)(this, inputs, rowCount, out, rows)
  }

  /** Forgets all groups; columns that were handed out become invalid. For tables that are in no snapshot. */
  clear(): void {
    this.count = 0
    this.slots.fill(0)
    for (const store of this.stores) store.clear()
  }

  /** For the generated look-up: memory for the hashes of rows. */
  hashesFor(rowCount: number): Int32Array {
    if (hashes.length < rowCount) hashes = new Int32Array(rowCount * 2)
    return hashes
  }

  /** Called by the generated look-up: stores a new key and returns its group. */
  insert(inputs: KeyInput[], row: number, hash: number): number {
    const group = this.count++
    if (group === this.capacity) this.grow()
    for (let i = 0; i < this.stores.length; i++) this.stores[i].append(group, inputs[i], row)
    place(this.slots, hash, group)
    return group
  }

  private grow(): void {
    this.capacity *= 2
    for (const store of this.stores) store.resize(this.capacity)
    const old = this.slots
    if (old.length === 0) return
    this.slots = new Int32Array(this.capacity * 4)
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) place(this.slots, old[i], old[i + 1] - 1)
  }

  /** A key column's values of groups from … from+count-1, sharing memory with the table. */
  range(key: number, from: number, count: number): Column {
    return this.stores[key].range(from, count)
  }

  /** All values of a key column. */
  column(key: number): Column {
    return this.stores[key].range(0, this.count)
  }

  /**
   * A table with only the groups marked 1 in `keep`, in their order; group indices move up.
   *
   * @returns the new table and, for each old group, its new index or -1
   */
  compacted(keep: Uint8Array): { table: KeyTable; newIndex: Int32Array } {
    const newIndex = new Int32Array(this.count).fill(-1)
    const rows = new Int32Array(this.count)
    let kept = 0
    for (let group = 0; group < this.count; group++) if (keep[group] === 1) rows[kept++] = group
    const table = new KeyTable(this.types, kept)
    const out = new Int32Array(kept)
    table.lookup(
      this.stores.map((store) => store.range(0, this.count)),
      kept,
      out,
      rows,
    )
    for (let i = 0; i < kept; i++) newIndex[rows[i]] = out[i]
    return { table, newIndex }
  }

  /** A snapshot of these groups alone, in their order, with memory of its own. */
  pick(groups: Int32Array): KeyTableSnapshot {
    return pickRows(
      this.types,
      this.stores.map((store) => store.range(0, this.count)),
      groups,
    )
  }

  snapshot(): KeyTableSnapshot {
    return { count: this.count, columns: this.stores.map((store) => ({ column: store.saved(this.count) })), lineage: this.lineage }
  }

  /** Takes the snapshot's memory over if it was read to be taken (`growing.ts`). */
  static restore(types: readonly SqlType[], snapshot: KeyTableSnapshot): KeyTable {
    const table = KeyTable.stored(types, snapshot)
    if (types.length > 0) table.index()
    return table
  }

  /** As `restore`, but without the look-up: for rows that are only appended. */
  static stored(types: readonly SqlType[], { count, columns }: KeyTableSnapshot): KeyTable {
    const table = new KeyTable(types)
    while (table.capacity < count) table.capacity *= 2
    table.stores.forEach((store, k) => {
      store.adopt(columns[k].column, count, table.capacity)
    })
    table.count = count
    return table
  }

  /** Adds the groups of a snapshot; keys that are here stay one. @returns the group of each */
  add({ count, columns }: KeyTableSnapshot): Int32Array {
    const groups = new Int32Array(count)
    this.lookup(
      columns.map(({ column }) => column),
      count,
      groups,
    )
    return groups
  }

  /** Makes the look-up find what was only stored: keys that are all different, so nothing is compared. */
  private index(): void {
    this.slots = new Int32Array(this.capacity * 4)
    const inputs = this.stores.map((store, k) => keyInput(store.range(0, this.count), store.type, k, this.count))
    const signature = this.stores.map(({ form }, k) => form + (inputs[k].nulls === undefined ? '' : '?')).join()
    fillSlots(this.slots, this.count, (from, to, hashes) => hashKernel(signature)(inputs, from, to, hashes))
  }
}

/** Rows of columns as a table that stores them has them in its snapshot. */
export function pickRows(types: readonly SqlType[], columns: readonly Column[], rows: Int32Array): KeyTableSnapshot {
  const table = new KeyTable(types, rows.length)
  table.append(columns, rows.length, rows)
  return table.snapshot()
}

/** Hashes of rows, for the look-up in work. */
let hashes = new Int32Array(1 << 13)
let zeros = new Uint8Array(1 << 13)
/** At least `rowCount` zeros, shared and never written to. */
function noNulls(rowCount: number): Uint8Array {
  if (zeros.length < rowCount) zeros = new Uint8Array(rowCount * 2)
  return zeros
}

function maxOf(rows: Int32Array, count: number): number {
  let max = 0
  for (let i = 0; i < count; i++) if (rows[i] > max) max = rows[i]
  return max
}

function place(slots: Int32Array, hash: number, group: number): void {
  const mask = (slots.length >> 1) - 1
  let slot = hash & mask
  while (slots[2 * slot + 1] !== 0) slot = (slot + 1) & mask
  slots[2 * slot] = hash
  slots[2 * slot + 1] = group + 1
}

// ---------------------------------------------------------------- the generated look-up

const mixWord = (word: string): string => `h = Math.imul(h ^ ${word}, 0x85ebca6b); h ^= h >>> 15;`

/** Source that mixes key column `k` of `row` into `h`. */
export function hashSource(form: string, k: number): string {
  const nullable = form.endsWith('?')
  const value = hashValueSource(form.replace('?', ''), k)
  return nullable ? `if (n${k}[row] === 1) { ${mixWord('0x5bd1e995')} } else { ${value} }` : value
}

function hashValueSource(form: string, k: number): string {
  switch (form) {
    case 'u8':
    case 'i32':
      return mixWord(`w${k}[row]`)
    case 'i64':
      return `${mixWord(`w${k}[2 * row]`)} ${mixWord(`w${k}[2 * row + 1]`)}`
    case 'f64':
      return mixWord(`lo${k}`) + mixWord(`hi${k}`)
    default:
      return `
      const size${k} = e${k} - s${k}
      h ^= size${k}
      if (size${k} >= 4) {
        const last = e${k} - 4
        for (let at = s${k}; at < last; at += 4) { ${mixWord(`v${k}.getInt32(at, true)`)} }
        ${mixWord(`v${k}.getInt32(last, true)`)}
      } else for (let at = s${k}; at < e${k}; at++) { ${mixWord(`b${k}[at]`)} }`
  }
}

/** Source that names what is read of the input of key column `k`. */
export const inputSource = (form: string, k: number): string =>
  `const { words: w${k}, bytes: b${k}, view: v${k}, starts: st${k}, ends: en${k} } = inputs[${k}]
  ${form.endsWith('?') ? `const n${k} = inputs[${k}].nulls` : ''}`

/** Source of what a key column needs to be read once per row. */
export function loadSource(form: string, k: number): string {
  switch (form.replace('?', '')) {
    case 'f64':
      // All NaN are one.
      return `let lo${k} = w${k}[2 * row], hi${k} = w${k}[2 * row + 1]
      if ((hi${k} & 0x7ff00000) === 0x7ff00000 && ((hi${k} & 0xfffff) | lo${k}) !== 0) { lo${k} = 0; hi${k} = 0x7ff80000 }`
    case 'bytes':
      return `const s${k} = st${k}[row], e${k} = en${k}[row]`
    default:
      return ''
  }
}

/** Source that sets `same` to false if the stored key column differs from the row's. */
function equalSource(form: string, k: number): string {
  const value = equalValueSource(form.replace('?', ''), k)
  if (!form.endsWith('?')) return `if (same) { ${value} }`
  return `if (same) { if (n${k}[row] === 1 || tn${k}[g] === 1) same = n${k}[row] === tn${k}[g]; else { ${value} } }`
}

function equalValueSource(form: string, k: number): string {
  switch (form) {
    case 'u8':
    case 'i32':
      return `same = tw${k}[g] === w${k}[row]`
    case 'i64':
      return `same = tw${k}[2 * g] === w${k}[2 * row] && tw${k}[2 * g + 1] === w${k}[2 * row + 1]`
    case 'f64':
      return `let tlo = tw${k}[2 * g], thi = tw${k}[2 * g + 1]
      if ((thi & 0x7ff00000) === 0x7ff00000 && ((thi & 0xfffff) | tlo) !== 0) { tlo = 0; thi = 0x7ff80000 }
      same = tlo === lo${k} && thi === hi${k}`
    default:
      return `
      let to = to${k}[g]
      const size = e${k} - s${k}
      if (to${k}[g + 1] - to !== size) same = false
      else if (size >= 4) {
        const last = e${k} - 4
        const shift = to - s${k}
        for (let at = s${k}; at < last; at += 4) if (v${k}.getInt32(at, true) !== tv${k}.getInt32(at + shift, true)) { same = false; break }
        if (same) same = v${k}.getInt32(last, true) === tv${k}.getInt32(last + shift, true)
      } else for (let at = s${k}; at < e${k}; at++, to++) if (b${k}[at] !== tb${k}[to]) { same = false; break }`
  }
}

/** Hashes of rows from … to-1, into `hashes` from its beginning. */
function hashKernel(signature: string): (inputs: KeyInput[], from: number, to: number, hashes: Int32Array) => void {
  return compileKernel(`hash ${signature}`, ['inputs', 'from', 'to', 'hashes'], () => {
    const forms = signature.split(',')
    const each = (source: (form: string, k: number) => string) => forms.map(source).join('\n')
    return `
    ${each(inputSource)}
    for (let row = from; row < to; row++) {
      ${each(loadSource)}
      let h = 0x2545f491
      ${each(hashSource)}
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35); h ^= h >>> 16
      hashes[row - from] = h
    }`
  })
}

/** So many slots (a MB of them) are filled at a time: they stay in the processor's cache. */
const SLOTS_AT_ONCE_BITS = 17
/** So many rows are hashed at a time. */
const HASHED_AT_ONCE = 1 << 13

/**
 * Puts groups 0 … count-1, whose keys are all different, into empty slots, a range of them after the other: one by one, in a table that is
 * larger than the cache, each would wait for memory. For `index`, and its test. Nothing beside the slots is needed: what belongs to a range waits at its beginning.
 *
 * @param hash  gives hashes of groups from … to-1
 */
export function fillSlots(slots: Int32Array, count: number, hash: (from: number, to: number, hashes: Int32Array) => void): void {
  const hashes = new Int32Array(Math.min(count, HASHED_AT_ONCE))
  const mask = (slots.length >> 1) - 1
  const rangeSlots = Math.min(mask + 1, 1 << SLOTS_AT_ONCE_BITS)
  const rangeCount = (mask + 1) / rangeSlots
  const next = Int32Array.from({ length: rangeCount }, (_, range) => range * rangeSlots)
  /** [hash, group + 1] of those that do not fit into their range, or reach beyond the last one. */
  const others: number[] = []
  for (let from = 0; from < count; from += HASHED_AT_ONCE) {
    const to = Math.min(count, from + HASHED_AT_ONCE)
    hash(from, to, hashes)
    for (let group = from; group < to; group++) {
      const h = hashes[group - from]
      const range = Math.floor((h & mask) / rangeSlots)
      const at = next[range]
      if (at === (range + 1) * rangeSlots) {
        others.push(h, group + 1)
        continue
      }
      next[range] = at + 1
      slots[2 * at] = h
      slots[2 * at + 1] = group + 1
    }
  }
  let waiting = new Int32Array(0)
  // From the last range on: what has no room in one reaches into the next, which is done.
  for (let range = rangeCount - 1; range >= 0; range--) {
    const first = 2 * range * rangeSlots
    const size = 2 * next[range] - first
    if (waiting.length < size) waiting = new Int32Array(2 * size)
    waiting.set(slots.subarray(first, first + size))
    slots.fill(0, first, first + size)
    for (let i = 0; i < size; i += 2) {
      let slot = waiting[i] & mask
      while (slot <= mask && slots[2 * slot + 1] !== 0) slot++
      if (slot > mask) {
        others.push(waiting[i], waiting[i + 1])
        continue
      }
      slots[2 * slot] = waiting[i]
      slots[2 * slot + 1] = waiting[i + 1]
    }
  }
  for (let i = 0; i < others.length; i += 2) place(slots, others[i], others[i + 1] - 1)
}

/**
 * The look-up for key columns of the given forms, such as 'bytes,i64?'; '?' where a NULL may occur in the input or the table.
 * `selects`: rows are given; `inserts`: new keys are stored.
 */
function lookupKernel(signature: string, selects: boolean, inserts: boolean): Lookup {
  return compileKernel<Lookup>(`lookup ${signature} ${selects} ${inserts}`, ['table', 'inputs', 'rowCount', 'out', 'rows'], () => {
    const forms = signature.split(',')
    const each = (source: (form: string, k: number) => string) => forms.map(source).join('\n')
    const tableNames = forms.map((_, k) => `tw${k}, tb${k}, tv${k}, to${k}, tn${k}`).join(', ')
    const loadTable = `slots = table.slots; mask = (slots.length >> 1) - 1
      ${each((_, k) => `{ const store = table.stores[${k}]; tw${k} = store.words; tb${k} = store.bytes; tv${k} = store.view; to${k} = store.offsets; tn${k} = store.nulls }`)}`
    const hash = `let h = 0x2545f491
      ${each(hashSource)}
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35); h ^= h >>> 16`
    const missing = inserts ? `out[i] = table.insert(inputs, row, h)\n${loadTable}` : 'out[i] = -1'
    return `
    ${each(inputSource)}
    let slots, mask, ${tableNames}
    ${loadTable}
    // A large table lies beyond the caches: its slots, then its groups, are fetched for all rows at once, and each row then finds them near.
    const fetches = slots.length >= ${FETCHED_SLOT_WORDS_MIN}
    const hashes = fetches ? table.hashesFor(rowCount) : undefined
    if (fetches) {
      let fetched = 0
      for (let i = 0; i < rowCount; i++) {
        const row = ${selects ? 'rows[i]' : 'i'}
        ${each(loadSource)}
        ${hash}
        hashes[i] = h
        fetched ^= slots[2 * (h & mask) + 1]
      }
      for (let i = 0; i < rowCount; i++) {
        const g = slots[2 * (hashes[i] & mask) + 1] - 1
        if (g >= 0) fetched ^= ${forms.map((form, k) => (form.startsWith('bytes') ? `to${k}[g]` : form.startsWith('i64') || form.startsWith('f64') ? `tw${k}[2 * g]` : `tw${k}[g]`)).join(' ^ ')}
      }
      table.fetched = fetched
    }
    for (let i = 0; i < rowCount; i++) {
      const row = ${selects ? 'rows[i]' : 'i'}
      ${each(loadSource)}
      let h
      if (fetches) h = hashes[i]
      else { ${hash.replace('let h', 'h')} }
      let slot = h & mask
      for (;;) {
        const g = slots[2 * slot + 1] - 1
        if (g < 0) { ${missing}; break }
        if (slots[2 * slot] === h) {
          let same = true
          ${each(equalSource)}
          if (same) { out[i] = g; break }
        }
        slot = (slot + 1) & mask
      }
    }`
  })
}
