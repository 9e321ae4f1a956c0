// Which columns a place in a query can name, from tokens alone: text that somebody is still writing has no tree.
//
//   ( … ( … | … ) … )   The parentheses around the cursor, from the inside out; of each the query that the cursor stands in, and what its FROM names.
//
// Invariants
//   1. Any tokens give an answer: parentheses may stay open, and what cannot be read names nothing.
//   2. Tables inside a subquery are not seen from outside of it, and a derived table does not see those beside it, unless it is LATERAL.
import type { Token } from './lexer.ts'

export interface Relation {
  /** Its alias, else its own name. */
  name: string
  columns: string[]
}
export interface ScopeTables {
  /** By the name that SQL gives them, with its database if that is not the present one. */
  get(name: string): string[] | undefined
}
export interface Scope {
  relations: Relation[]
  /** Of WITH, visible at the place. */
  withNames: string[]
  /** What ORDER BY can name beside columns. */
  aliases: string[]
  /** In MATCH_RECOGNIZE, where variables of its pattern stand before columns. */
  isInPattern: boolean
  /** The tokens from the beginning of its clause up to the place; none outside of queries. */
  clause: readonly Token[]
}

const tailKeys = ['WHERE', 'GROUP', 'HAVING', 'WINDOW', 'QUALIFY', 'ORDER', 'LIMIT', 'OFFSET', 'FETCH']
const clauseKeys: ReadonlySet<string> = new Set(['FROM', ...tailKeys])
const setKeys: ReadonlySet<string> = new Set(['UNION', 'EXCEPT', 'INTERSECT'])
const endKeys: ReadonlySet<string> = new Set([...clauseKeys, ...setKeys])
/** Behind them stands a table. */
const tableKeys: ReadonlySet<string> = new Set(['FROM', 'JOIN', ',', '('])
/** Behind them stands an expression, and no name for one. */
const operatorKeys: ReadonlySet<string> = new Set(['NOT', 'AND', 'OR', 'LIKE', 'BETWEEN', 'ESCAPE', 'FROM'])
const windowColumns = ['window_start', 'window_end', 'window_time']
const windowFunctions = new Set(['TUMBLE', 'HOP', 'CUMULATE', 'SESSION'])
const openers = new Set(['(', '['])
const closers = new Set([')', ']'])

type Known = ReadonlyMap<string, string[]>
/** Tokens from `from` up to, not with, `to`. */
interface Range {
  from: number
  to: number
}

const isName = (token: Token | undefined): token is Token => token?.kind === 'quoted' || (token?.kind === 'word' && !token.reserved)

class Reader {
  readonly tokens: readonly Token[]
  private readonly tables: ScopeTables
  private readonly at: number
  /** By opening parenthesis, where it closes; the end where it does not. */
  private readonly closes = new Map<number, number>()

  constructor(tokens: readonly Token[], at: number, tables: ScopeTables) {
    this.tokens = tokens
    this.at = at
    this.tables = tables
    const open: number[] = []
    tokens.forEach(({ key }, i) => {
      if (openers.has(key)) open.push(i)
      else if (closers.has(key)) this.closes.set(open.pop() ?? -1, i)
    })
    for (const i of open) this.closes.set(i, tokens.length)
  }

  /** Its tokens that lie in no parentheses of its own. */
  private *flat({ from, to }: Range): Generator<number> {
    for (let i = from; i < to; i++) {
      yield i
      const close = this.closes.get(i)
      if (close !== undefined && openers.has(this.tokens[i]!.key)) i = Math.min(close, to) - 1
    }
  }

  private keyAt(i: number): string {
    return this.tokens[i]?.key ?? ''
  }

  /** A word that begins a clause; IS DISTINCT FROM and WITHIN GROUP begin none. */
  private startOf(i: number): string {
    const key = this.keyAt(i)
    if (key === 'FROM' && this.keyAt(i - 1) === 'DISTINCT' && this.keyAt(i - 2) !== 'SELECT') return ''
    return key === 'GROUP' && this.keyAt(i - 1) === 'WITHIN' ? '' : key
  }

  private find(range: Range, keys: ReadonlySet<string>): number | undefined {
    for (const i of this.flat(range)) if (keys.has(this.startOf(i))) return i
    return undefined
  }

  private contains({ from, to }: Range): boolean {
    return from <= this.at && this.at <= to
  }

  /** The statement, and the parentheses around the place, from the outside in. */
  around(): Range[] {
    const inside = [...this.closes].filter(([open, close]) => open >= 0 && open < this.at && this.at <= close)
    return [{ from: 0, to: this.tokens.length }, ...inside.sort(([a], [b]) => a - b).map(([open, to]) => ({ from: open + 1, to }))]
  }

  /** The part of a query between set operations that a place stands in. */
  operandAt({ from, to }: Range, at: number): Range {
    let start = from
    for (const i of this.flat({ from, to })) {
      if (!setKeys.has(this.tokens[i]!.key)) continue
      if (i >= at) return { from: start, to: i }
      start = i + 1
    }
    return { from: start, to }
  }

  /** Where the clause that the place stands in begins. */
  clauseOf(range: Range): number | undefined {
    return [...this.flat(range)].filter((i) => i < this.at && (this.keyAt(i) === 'SELECT' || clauseKeys.has(this.startOf(i)))).at(-1)
  }

  fromOf(range: Range): Range | undefined {
    const from = this.find(range, new Set(['FROM']))
    if (from === undefined) return undefined
    const end = this.find({ from: from + 1, to: range.to }, endKeys)
    return { from: from + 1, to: end ?? range.to }
  }

  /** Whether a query begins in these parentheses, or one more of them around it. */
  isQuery({ from, to }: Range): boolean {
    const { key } = this.tokens[from] ?? { key: '' }
    if (key === '(' && from < to) return this.isQuery({ from: from + 1, to: this.closes.get(from) ?? to })
    return key === 'SELECT' || key === 'WITH' || key === 'VALUES'
  }

  /** Names that WITH gives, each with its columns. Those before it are seen by the next. */
  withOf(range: Range, outer: Known): Known {
    const start = [...this.flat(range)].find((i) => this.keyAt(i) === 'WITH' && isName(this.tokens[i + 1]))
    if (start === undefined) return outer
    const known = new Map(outer)
    for (let i = start + 1; i < range.to; i++) {
      const name = this.tokens[i]
      if (!isName(name)) break
      const columns = this.list(i + 1)
      const as = columns ? columns.to + 1 : i + 1
      const open = as + 1
      const close = this.closes.get(open)
      if (this.tokens[as]?.key !== 'AS' || close === undefined) break
      const given = columns ? this.namesIn(columns) : []
      const inner = this.columnsOf({ from: open + 1, to: Math.min(close, range.to) }, known)
      known.set(name.text, given.length > 0 ? given : inner)
      i = close + 1
      if (this.tokens[i]?.key !== ',') break
    }
    return known
  }

  private list(at: number): Range | undefined {
    const close = this.closes.get(at)
    return this.tokens[at]?.key === '(' && close !== undefined ? { from: at + 1, to: close } : undefined
  }

  private namesIn(range: Range): string[] {
    return [...this.flat(range)].map((i) => this.tokens[i]).flatMap((token) => (isName(token) ? [token.text] : []))
  }

  /** The columns that a query gives, those that have names. */
  columnsOf(range: Range, outer: Known): string[] {
    const inner = this.list(range.from)
    // A query in one more pair of parentheses, or the first of a set operation.
    if (inner && this.isQuery(inner)) return this.columnsOf({ from: inner.from, to: Math.min(inner.to, range.to) }, outer)
    const known = this.withOf(range, outer)
    const select = this.find(range, new Set(['SELECT']))
    if (select === undefined) return []
    const operand = this.operandAt(range, select + 1)
    const from = this.fromOf(operand)
    const relations = from ? this.relationsOf(from, known) : []
    const end = this.find({ from: select + 1, to: operand.to }, clauseKeys) ?? operand.to
    return this.items({ from: select + 1, to: end }).flatMap((item) => this.namesOf(item, relations))
  }

  /** A list cut at its commas. */
  private items(range: Range): Range[] {
    const cuts = [...this.flat(range)].filter((i) => this.tokens[i]!.key === ',')
    const ends = [...cuts, range.to]
    return ends.map((to, i) => ({ from: i === 0 ? range.from : ends[i - 1]! + 1, to }))
  }

  private namesOf({ from, to }: Range, relations: readonly Relation[]): string[] {
    const last = this.tokens[to - 1]
    if (to <= from || last === undefined) return []
    if (last.key === '*') {
      const qualifier = this.tokens[to - 2]?.key === '.' ? this.tokens[to - 3]?.text : undefined
      return relations.filter(({ name }) => qualifier === undefined || name === qualifier).flatMap(({ columns }) => columns)
    }
    if (!isName(last) || this.keyAt(to - 3) === 'INTERVAL') return []
    const before = to - 2 < from ? undefined : this.tokens[to - 2]!
    // `a`, `t.a`, `x AS a`, `f(x) a` end in the name; `1 + a` and `NOT a` have none.
    const isNamed = before === undefined || (before.kind === 'symbol' ? /^[.)\]]$/.test(before.key) : !operatorKeys.has(before.key))
    return isNamed ? [last.text] : []
  }

  /** Names that a SELECT list gives by AS. */
  aliasesOf(operand: Range): string[] {
    const select = this.find(operand, new Set(['SELECT']))
    if (select === undefined) return []
    const end = this.find({ from: select + 1, to: operand.to }, clauseKeys) ?? operand.to
    return this.items({ from: select + 1, to: end }).flatMap((item) => (item.to - item.from > 1 ? this.namesOf(item, []) : []))
  }

  /** What FROM names. */
  relationsOf(range: Range, known: Known): Relation[] {
    const found: Relation[] = []
    let isWanted = true
    for (let i = range.from; i < range.to; i++) {
      const key = this.keyAt(i)
      if (key === 'JOIN' || key === ',') isWanted = true
      else if (isWanted && key !== 'LATERAL') {
        isWanted = false
        i = this.relationAt(i, range.to, known, found) - 1
      } else i = this.behindGroup(i, range.to) - 1
    }
    return found
  }

  private behindGroup(at: number, to: number): number {
    const close = openers.has(this.tokens[at]!.key) ? this.closes.get(at) : undefined
    return close === undefined ? at + 1 : Math.min(close + 1, to)
  }

  /** @returns where to go on */
  private relationAt(at: number, to: number, known: Known, found: Relation[]): number {
    let i = at
    let columns: string[] = []
    let name: string | undefined
    const group = this.list(at)
    if (group) {
      const inner = { from: group.from, to: Math.min(group.to, to) }
      if (this.isQuery(inner)) columns = this.columnsOf(inner, known)
      else found.push(...this.relationsOf(inner, known))
      i = this.behindGroup(at, to)
    } else {
      const parts: string[] = []
      // TABLE(…), UNNEST(…) and functions by name.
      if (!isName(this.tokens[i]) && this.tokens[i + 1]?.key !== '(') return i + 1
      while (i < to && (isName(this.tokens[i]) || this.tokens[i + 1]?.key === '(')) {
        parts.push(this.tokens[i++]!.text)
        if (this.tokens[i]?.key !== '.') break
        i++
      }
      const call = this.list(i)
      if (call) {
        columns = this.columnsOfCall({ from: call.from, to: Math.min(call.to, to) }, known)
        i = this.behindGroup(i, to)
      } else {
        const full = parts.join('.')
        columns = known.get(full) ?? this.tables.get(full) ?? []
        name = parts.at(-1)
      }
    }
    if (this.tokens[i]?.key === '/*+') while (i < to && this.tokens[i++]!.key !== '*/');
    // FOR SYSTEM_TIME AS OF o.ts AS r
    if (this.keyAt(i) === 'FOR' && this.keyAt(i + 3) === 'OF') {
      // The time is a column or a function; a name that stands right behind it is the alias.
      i += 5
      while (i < to && this.keyAt(i) === '.') i += 2
      i = i < to && this.keyAt(i) === '(' ? this.behindGroup(i, to) : i
    }
    const match = this.tokens[i]?.key === 'MATCH_RECOGNIZE' ? this.list(i + 1) : undefined
    if (match) {
      if (!this.contains(match)) columns = this.columnsOfMatch({ from: match.from, to: Math.min(match.to, to) })
      i = this.behindGroup(i + 1, to)
    }
    if (i < to && this.tokens[i]?.key === 'AS') i++
    const alias = i < to ? this.tokens[i] : undefined
    if (isName(alias)) {
      name = alias.text
      i++
      const given = this.list(i)
      if (given && i < to) {
        columns = this.namesIn(given)
        i = this.behindGroup(i, to)
      }
    }
    if (name !== undefined || columns.length > 0) found.push({ name: name ?? '', columns })
    return i
  }

  /** TUMBLE(TABLE bids, …) has the columns of bids and those of the window. */
  private columnsOfCall(range: Range, known: Known): string[] {
    for (let i = range.from; i < range.to; i++) {
      if (this.tokens[i]!.key !== 'TABLE' || i + 1 >= range.to) continue
      const found: Relation[] = []
      this.relationAt(i + 1, range.to, known, found)
      const isWindow = [range.from, range.from - 2].some((name) => windowFunctions.has(this.keyAt(name))) && !this.contains(range)
      return [...found.flatMap(({ columns }) => columns), ...(isWindow ? windowColumns : [])]
    }
    return []
  }

  /** MATCH_RECOGNIZE gives what it is partitioned by, and its measures. */
  private columnsOfMatch(range: Range): string[] {
    const part = (start: string, ends: readonly string[]): Range | undefined => {
      const from = this.find(range, new Set([start]))
      if (from === undefined) return undefined
      return { from: from + 1, to: this.find({ from: from + 1, to: range.to }, new Set(ends)) ?? range.to }
    }
    const keys = part('PARTITION', ['ORDER', 'MEASURES'])
    const measures = part('MEASURES', ['ONE', 'ALL', 'AFTER', 'PATTERN'])
    return [...(keys ? this.namesIn(keys) : []), ...(measures ? this.items(measures).flatMap((item) => this.namesOf(item, [])) : [])]
  }
}

/**
 * @param tokens  of one statement, without its end
 * @param at      index of the token behind the place
 */
export function scopeAt(tokens: readonly Token[], at: number, tables: ScopeTables): Scope {
  const reader = new Reader(tokens, at, tables)
  const levels = reader.around()
  let known: Known = new Map()
  const knownAt = levels.map((level) => (known = reader.withOf(level, known)))
  const before = ({ from }: Range): string => tokens[from - 2]?.key ?? ''
  // A call's parentheses have no clause of their own.
  const inner = levels.findLast((level) => reader.clauseOf(reader.operandAt(level, at)) !== undefined)
  const clause = inner && reader.clauseOf(reader.operandAt(inner, at))
  const relations: Relation[] = []
  for (let depth = levels.length - 1; depth >= 0; depth--) {
    const level = levels[depth]!
    const from = reader.fromOf(reader.operandAt(level, at))
    if (from) relations.push(...reader.relationsOf(from, knownAt[depth]!))
    // A query in WITH or in FROM sees nothing of what stands beside it.
    const outer = depth > 0 ? reader.fromOf(reader.operandAt(levels[depth - 1]!, at)) : undefined
    const isDerived = outer && outer.from < level.from && level.from <= outer.to && tableKeys.has(before(level))
    if (reader.isQuery(level) && (isDerived || before(level) === 'AS')) break
  }
  const isOrder = inner !== undefined && clause !== undefined && tokens[clause]!.key === 'ORDER'
  return {
    relations,
    withNames: [...known.keys()],
    // Of set operations the first says what the columns are called.
    aliases: isOrder ? reader.aliasesOf(reader.operandAt(inner, inner.from)) : [],
    isInPattern: levels.some((level) => before(level) === 'MATCH_RECOGNIZE'),
    clause: clause === undefined ? [] : tokens.slice(clause, at),
  }
}
