// SQL text to the same SQL, laid out: what an editor's Format does.
//
//   text --lex--> tokens + the comments between them --groups--> a tree of ( … ), [ … ], CASE … END, BEGIN … END --layout--> lines
//
// Invariants
//   1. The parser would see the same tokens: only the space between them and the case of reserved words change. It is asserted for each statement.
//   2. Every comment stays, in its order: beside the code where it stood behind code, else on lines of its own.
//   3. Formatting what is formatted changes nothing.
//   4. A statement that cannot be read stays as it is, to the letter.
//   5. The time is about proportional to the length of the text, and at most as deep as the parser goes: it runs beside all else.
//   Held by format.property.test.ts over every SQL text of the golden files, however they were laid out.
//
// What fits a line stays one. What does not is broken at its clauses, then at the commas or the ANDs of a clause, then inside of parentheses.
import assert from 'node:assert/strict'
import { lex, type Token } from './lexer.ts'
import { parseScriptTolerant, statementTokens } from './parse.ts'

const WIDTH_MAX = 100
const INDENT = 2

interface Comment {
  text: string
  /** Nothing but space stands before it on its line. */
  isAlone: boolean
  endsLine: boolean
}
interface Leaf {
  kind: 'leaf'
  key: string
  text: string
  hasSpace: boolean
  /** That stand before it. */
  comments: Comment[]
}
interface Group {
  kind: 'group'
  open: Leaf
  items: Item[]
  close: Leaf
  /** What stands before it says how it is broken. */
  before: string
}
type Item = Leaf | Group

/**
 * @returns the script laid out; statements that cannot be parsed are left as they are
 * @throws StreamError SQL_TOO_LONG
 */
export function formatScript(text: string): string {
  const all = statementTokens(text)
  const { errors } = parseScriptTolerant(text)
  const wrong = errors.flatMap(({ position }) => position?.start ?? []).sort((a, b) => a - b)
  let passed = 0
  const isWrong = (start: number, end: number): boolean => {
    while (wrong[passed] < start) passed++
    return wrong[passed] <= end
  }
  let out = ''
  let at = 0
  for (const tokens of all) {
    const start = tokens[0]!.start
    const end = tokens.at(-1)!.start
    out += betweenStatements(text.slice(at, start), out === '')
    const hasSemicolon = text[end] === ';'
    at = hasSemicolon ? end + 1 : end
    out += isWrong(start, end) ? text.slice(start, at).trimEnd() : formatStatement(text, tokens, hasSemicolon)
  }
  const rest = betweenStatements(text.slice(at), out === '').trimEnd()
  return out === '' && rest === '' ? '' : `${out}${rest}\n`
}

/** Comments between two statements, and at most one empty line where there were some. */
function betweenStatements(gap: string, isFirst: boolean): string {
  let out = ''
  let endsLine = false
  let from = 0
  const put = (text: string): void => {
    if (text === '') return
    out += text
    endsLine = text.endsWith('\n')
  }
  const space = (text: string): void => {
    const lines = text.split('\n').length - 1
    put(isFirst && out === '' ? '' : lines > 1 ? '\n\n' : lines === 1 ? '\n' : '')
  }
  for (const match of gap.matchAll(commentPattern)) {
    space(gap.slice(from, match.index))
    if (out !== '' ? !endsLine : !isFirst) put(' ')
    put(match[0].trimEnd())
    from = match.index + match[0].length
  }
  space(gap.slice(from))
  // Two statements, or code behind a comment, never share a line.
  if (!endsLine && (!isFirst || out !== '')) put('\n')
  return out
}

const commentPattern = /--[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\//g

function formatStatement(text: string, tokens: readonly Token[], hasSemicolon: boolean): string {
  const leaves = leavesOf(text, tokens)
  const last = leaves.pop()!
  const layout = new Layout()
  layout.clauses(groupsOf(leaves), 0, 'query')
  layout.comments(last.comments, 0)
  if (hasSemicolon) layout.end(';')
  const result = layout.text
  const before = tokens.slice(0, -1).map(identity)
  const after = lex(result)
    .slice(0, hasSemicolon ? -2 : -1)
    .map(identity)
  assert.deepEqual(after, before, 'formatting has changed a token')
  return result
}

const identity = ({ kind, key, text, reserved }: Token): string => `${kind} ${key} ${reserved ? '' : text}`

// ---- tokens, and the space between them

const tight = new Set([',', ';', ')', ']', '.', '*/'])
const openers = new Set(['(', '[', '.'])
const comparisons = new Set(['=', '<>', '!=', '<=', '>=', '||', '=>'])
const arithmetic = new Set(['+', '-', '*', '/', '%'])
const typeWords = new Set(['ROW', 'ARRAY', 'MAP', 'MULTISET'])
const valueWords = new Set(['END', 'NULL', 'TRUE', 'FALSE', 'CURRENT_DATE', 'CURRENT_TIMESTAMP', 'LOCALTIMESTAMP'])

function leavesOf(text: string, tokens: readonly Token[]): Leaf[] {
  let typeDepth = 0
  let patternDepth = 0
  let isInPattern = false
  return tokens.map((token, i) => {
    const before = tokens[i - 1]
    const gap = text.slice(before?.end ?? token.start, token.start)
    if (before?.key === 'PATTERN' && token.key === '(') isInPattern = true
    if (isInPattern && token.key === '(') patternDepth++
    const { hasSpace, closesType } = spaceBefore(before, token, tokens[i - 2], gap !== '', { typeDepth, isInPattern })
    if (token.key === '<' && before && typeWords.has(before.key)) typeDepth++
    else if (closesType) typeDepth--
    if (isInPattern && token.key === ')' && --patternDepth === 0) isInPattern = false
    return {
      kind: 'leaf',
      key: token.key,
      text: token.reserved ? token.key : text.slice(token.start, token.end),
      hasSpace,
      comments: i === 0 ? [] : commentsOf(gap),
    }
  })
}

const isOperand = ({ kind, key, reserved }: Token): boolean =>
  key === ')' ||
  key === ']' ||
  kind === 'quoted' ||
  kind === 'number' ||
  kind === 'string' ||
  (kind === 'word' && (!reserved || valueWords.has(key)))

function spaceBefore(
  before: Token | undefined,
  token: Token,
  twoBefore: Token | undefined,
  hadSpace: boolean,
  { typeDepth, isInPattern }: { typeDepth: number; isInPattern: boolean },
): { hasSpace: boolean; closesType: boolean } {
  const closesType = token.key === '>' && typeDepth > 0
  const is = (hasSpace: boolean) => ({ hasSpace, closesType })
  if (before === undefined || tight.has(token.key) || openers.has(before.key)) return is(token.key === '*/')
  if (before.key === ',' || before.key === '/*+' || before.key === '*/') return is(true)
  if (closesType || (typeDepth > 0 && before.key === '<') || (token.key === '<' && typeWords.has(before.key))) return is(false)
  if (isInPattern) return is(hadSpace)
  if (comparisons.has(token.key) || comparisons.has(before.key) || token.key === '<' || token.key === '>') return is(true)
  if ((before.key === '<' || before.key === '>') && typeDepth === 0 && token.kind !== 'symbol') return is(true)
  if (arithmetic.has(token.key) && isOperand(before)) return is(true)
  // A sign stays at its number; an operator between two operands has space on both sides.
  if (arithmetic.has(before.key) && twoBefore !== undefined && isOperand(twoBefore)) return is(true)
  const isWord = token.kind === 'word' || token.kind === 'string' || token.kind === 'quoted' || token.kind === 'number'
  if (isWord && (before.kind === 'word' || before.key === ')' || before.key === ']')) return is(true)
  return is(hadSpace)
}

function commentsOf(gap: string): Comment[] {
  return [...gap.matchAll(commentPattern)].map((match) => {
    const line = gap.slice(gap.lastIndexOf('\n', match.index - 1) + 1, match.index)
    const isAlone = match.index > 0 && gap.slice(0, match.index).includes('\n') && line.trim() === ''
    return { text: match[0].trimEnd(), isAlone, endsLine: !match[0].startsWith('/*') }
  })
}

// ---- groups

function groupsOf(leaves: readonly Leaf[]): Item[] {
  const top: Item[] = []
  const open: Group[] = []
  let before = ''
  for (const leaf of leaves) {
    const items = open.at(-1)?.items ?? top
    const isOpener = leaf.key === '(' || leaf.key === '[' || leaf.key === 'CASE' || (leaf.key === 'BEGIN' && before === 'SET')
    if (isOpener) {
      const group: Group = { kind: 'group', open: leaf, items: [], close: leaf, before }
      items.push(group)
      open.push(group)
    } else if (open.length > 0 && closers[open.at(-1)!.open.key] === leaf.key) open.pop()!.close = leaf
    else items.push(leaf)
    before = leaf.key
  }
  return top
}
const closers: Record<string, string> = { '(': ')', '[': ']', CASE: 'END', BEGIN: 'END' }

const keyOf = (item: Item | undefined): string => (item === undefined ? '' : item.kind === 'leaf' ? item.key : item.open.key)

// ---- clauses

type Mode = 'query' | 'match' | 'over' | 'case' | 'set' | 'list'
const queryWords = new Set('SELECT FROM WHERE GROUP HAVING WINDOW QUALIFY ORDER LIMIT FETCH UNION EXCEPT INTERSECT MINUS VALUES'.split(' '))
const matchWords = new Set('PARTITION ORDER MEASURES ONE ALL AFTER PATTERN SUBSET DEFINE'.split(' '))
const overWords = new Set('PARTITION ORDER ROWS RANGE'.split(' '))
const joinWords = new Set('NATURAL CROSS INNER LEFT RIGHT FULL'.split(' '))
/** Stand before what a clause lists. */
const headWords = new Set('SELECT DISTINCT ALL GROUP ORDER PARTITION BY MEASURES DEFINE VALUES WITH'.split(' '))

function modeOf({ open, items, before }: Group): Mode {
  if (open.key === 'CASE') return 'case'
  if (open.key === 'BEGIN') return 'set'
  if (before === 'MATCH_RECOGNIZE') return 'match'
  if (before === 'OVER') return 'over'
  const first = keyOf(items[0])
  const isQuery = first === 'SELECT' || first === 'WITH' || first === 'VALUES'
  return isQuery || items.some((item) => setOperators.has(keyOf(item))) ? 'query' : 'list'
}
const setOperators = new Set(['UNION', 'EXCEPT', 'INTERSECT', 'MINUS'])

function beginsClause(items: readonly Item[], i: number, mode: Mode): boolean {
  const key = keyOf(items[i])
  const before = keyOf(items[i - 1])
  const after = keyOf(items[i + 1])
  switch (mode) {
    case 'query':
      if (key === 'JOIN') return before !== 'OUTER' && !joinWords.has(before)
      if (joinWords.has(key)) return (after === 'JOIN' || after === 'OUTER') && before !== 'NATURAL'
      if (key === 'FROM') return before !== 'DISTINCT'
      return queryWords.has(key)
    case 'match':
      return matchWords.has(key) && (key !== 'ALL' || after === 'ROWS') && (key !== 'ONE' || after === 'ROW')
    case 'over':
      return overWords.has(key)
    case 'case':
      return key === 'WHEN' || key === 'ELSE'
    case 'set':
      return before === ';'
    default:
      return false
  }
}

/** Cuts before each item that `begins`. */
function cut(items: readonly Item[], begins: (i: number) => boolean): Item[][] {
  const parts: Item[][] = [[]]
  items.forEach((item, i) => {
    if (i > 0 && begins(i)) parts.push([])
    parts.at(-1)!.push(item)
  })
  return parts
}

// ---- lines

function* leavesOfItems(items: readonly Item[]): Generator<Leaf> {
  for (const item of items) {
    if (item.kind === 'leaf') yield item
    else {
      yield item.open
      yield* leavesOfItems(item.items)
      yield item.close
    }
  }
}

/**
 * How long a line it makes; undefined where it is longer than `widthMax`, or a comment wants a line, the first item's own comments aside. It looks no
 * further than the width: the whole of a text is laid out in about the time that its length takes.
 */
function flatWidth(items: readonly Item[], widthMax: number): number | undefined {
  let width = 0
  let isFirst = true
  let hasNewline = false
  for (const leaf of leavesOfItems(items)) {
    if (leaf.key === ';' || hasNewline) return undefined
    if (!isFirst) {
      if (leaf.comments.some(({ text, isAlone, endsLine }) => isAlone || endsLine || text.includes('\n'))) return undefined
      for (const { text } of leaf.comments) width += 1 + text.length
      if (leaf.hasSpace || leaf.comments.length > 0) width++
    }
    width += leaf.text.length
    if (width > widthMax) return undefined
    isFirst = false
    hasNewline = leaf.text.includes('\n')
  }
  return width
}

class Layout {
  text = ''
  /** Where the last line of the text begins. */
  private lineStart = 0
  /** The indentation of a line that begins with the next token. */
  private pending: number | undefined = 0

  private get column(): number {
    return this.pending ?? this.text.length - this.lineStart
  }

  private put(text: string): void {
    const newline = text.lastIndexOf('\n')
    if (newline >= 0) this.lineStart = this.text.length + newline + 1
    this.text += text
  }

  private newline(indent: number): void {
    this.pending = indent
  }

  private leaf(leaf: Leaf, indent: number): void {
    this.comments(leaf.comments, indent)
    if (this.pending !== undefined) this.put(`${this.text === '' ? '' : '\n'}${' '.repeat(this.pending)}`)
    else if (leaf.hasSpace || leaf.comments.length > 0) this.put(' ')
    this.pending = undefined
    this.put(leaf.text)
  }

  comments(comments: readonly Comment[], indent: number): void {
    for (const { text, isAlone, endsLine } of comments) {
      if (isAlone) {
        this.put(`\n${' '.repeat(this.pending ?? indent)}${text}`)
        this.pending ??= indent
      } else {
        this.put(` ${text}`)
        if (endsLine) this.pending ??= indent
      }
    }
  }

  end(text: string): void {
    if (this.pending !== undefined && this.text !== '') this.put('\n')
    this.pending = undefined
    this.put(text)
  }

  private flatly(items: readonly Item[], indent: number): boolean {
    if (flatWidth(items, WIDTH_MAX - this.column) === undefined) return false
    for (const leaf of leavesOfItems(items)) this.leaf(leaf, indent)
    return true
  }

  clauses(items: readonly Item[], indent: number, mode: Mode): void {
    if (this.flatly(items, indent)) return
    for (const [i, clause] of cut(items, (at) => beginsClause(items, at, mode)).entries()) {
      if (i > 0) this.newline(indent)
      if (mode === 'set') this.clauses(clause, indent, 'query')
      else this.clause(clause, indent)
    }
  }

  /** What a clause lists, an item a line; or its conditions. */
  private clause(items: readonly Item[], indent: number): void {
    if (this.flatly(items, indent)) return
    const isList = headWords.has(keyOf(items[0])) || items[0]?.kind !== 'leaf'
    if (isList && items.some((item) => keyOf(item) === ',')) {
      let head = 0
      while (headWords.has(keyOf(items[head]))) head++
      for (const item of items.slice(0, head)) this.leaf(item as Leaf, indent)
      const isCommonTable = keyOf(items[0]) === 'WITH'
      if (!isCommonTable) this.newline(indent + INDENT)
      this.list(items.slice(head), isCommonTable ? indent : indent + INDENT)
      return
    }
    this.conditions(items, indent)
  }

  private list(items: readonly Item[], indent: number): void {
    for (const [i, part] of cut(items, (at) => keyOf(items[at - 1]) === ',').entries()) {
      if (i > 0) this.newline(indent)
      this.conditions(part, indent)
    }
  }

  private conditions(items: readonly Item[], indent: number): void {
    if (this.flatly(items, indent)) return
    let betweens = 0
    const parts = cut(items, (at) => {
      const key = keyOf(items[at])
      if (key === 'BETWEEN') betweens++
      if (key === 'AND' && betweens > 0) {
        betweens--
        return false
      }
      return key === 'AND' || key === 'OR'
    })
    for (const [i, part] of parts.entries()) {
      if (i > 0) this.newline(indent + INDENT)
      this.expression(part, indent + (i > 0 ? INDENT : 0))
    }
  }

  private expression(items: readonly Item[], indent: number): void {
    for (const [i, item] of items.entries()) {
      if (item.kind === 'leaf') {
        this.leaf(item, indent + INDENT)
        continue
      }
      // What follows on the line up to the next group or space stays with it, as an alias does.
      const next = items[i + 1]
      const room = next?.kind === 'leaf' && !next.hasSpace ? next.text.length : 0
      if (flatWidth([item], WIDTH_MAX - this.column - room - 1) !== undefined) {
        for (const leaf of leavesOfItems([item])) this.leaf(leaf, indent + INDENT)
        continue
      }
      this.group(item, indent)
    }
  }

  private group(group: Group, indent: number): void {
    const { open, items, close } = group
    this.leaf(open, indent)
    const mode = modeOf(group)
    if (mode !== 'case') this.newline(indent + INDENT)
    if (mode === 'list') {
      if (!this.flatly(items, indent + INDENT)) this.list(items, indent + INDENT)
    } else if (mode === 'case') {
      for (const [i, part] of cut(items, (at) => beginsClause(items, at, mode)).entries()) {
        if (i > 0 || keyOf(part[0]) === 'WHEN') this.newline(indent + INDENT)
        this.conditions(part, indent + INDENT)
      }
    } else this.clauses(items, indent + INDENT, mode)
    this.newline(indent)
    this.leaf(close, indent)
  }
}
