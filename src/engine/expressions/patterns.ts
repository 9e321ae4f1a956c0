// Regular expressions as Java has them, and LIKE and SIMILAR TO.
import { enterFunction, functionMark, leaveFunction } from '../progress.ts'
import { expressionErrors, shown } from './errors.ts'
import type { FunctionTable, Implementation } from './registry.ts'
import { madeFrom, maybe, strict } from './registry.ts'

const posixClasses: Record<string, string> = {
  Alpha: 'A-Za-z',
  Digit: '0-9',
  Alnum: '0-9A-Za-z',
  Upper: 'A-Z',
  Lower: 'a-z',
  Punct: '!-\\/:-@\\[-`{-~',
  Space: '\\s',
  XDigit: '0-9A-Fa-f',
  Blank: ' \\t',
}

/** Java's syntax in JavaScript's; what both have stays as it is. */
function toJavaScript(pattern: string): { source: string; flags: string } {
  let flags = ''
  let rest = pattern
  const inline = /^\(\?([ims]+)\)/.exec(rest)
  if (inline !== null) {
    flags = inline[1]
    rest = rest.slice(inline[0].length)
  }
  let source = ''
  let inClass = 0
  for (let i = 0; i < rest.length; i++) {
    const unit = rest[i]
    if (unit === '\\') {
      const posix = /^\\([pP])\{(\w+)\}/.exec(rest.slice(i))
      if (posix !== null && posixClasses[posix[2]] !== undefined) {
        source += inClass > 0 ? posixClasses[posix[2]] : `[${posix[1] === 'P' ? '^' : ''}${posixClasses[posix[2]]}]`
        i += posix[0].length - 1
        continue
      }
      const next = rest[i + 1] ?? ''
      if (next === 'Q') {
        const end = rest.indexOf('\\E', i)
        const quoted = rest.slice(i + 2, end < 0 ? undefined : end)
        source += quoted.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
        i = end < 0 ? rest.length : end + 1
        continue
      }
      const anchors: Record<string, string> = { A: '^', z: '$', Z: '(?=\\n?$)', h: '[ \\t]', R: '(?:\\r\\n|[\\n\\r])' }
      source += inClass === 0 && anchors[next] !== undefined ? anchors[next] : unit + next
      i++
      continue
    }
    if (unit === '[') inClass++
    if (unit === ']' && inClass > 0) inClass--
    // Possessive quantifiers match the same or less: without backtracking into them.
    if (unit === '+' && inClass === 0 && i > 0 && /[*+?}]/.test(rest[i - 1]) && rest[i - 2] !== '\\' && /[*+?}]$/.test(source)) continue
    source += unit
  }
  return { source, flags }
}

/** A pattern in Java's syntax, or null where it is none. */
export function javaPattern(pattern: string, flags = 'g'): RegExp | null {
  const { source, flags: own } = toJavaScript(pattern)
  // With `u` a code point is one character, as in Java; some escapes that Java allows are only valid without.
  for (const unicode of ['u', '']) {
    try {
      return new RegExp(source, `${flags}${unicode}${own}`)
    } catch {
      // The next way of reading it, or none.
    }
  }
  return null
}

const cached = (literal: { value: unknown } | undefined): ((text: string) => RegExp | null) => {
  const made = madeFrom(literal, (text) => ({ pattern: javaPattern(text) }))
  return (text) => {
    const { pattern } = made(text)
    if (pattern !== null) pattern.lastIndex = 0
    return pattern
  }
}

function extractAll(text: string, pattern: RegExp | null, group: number): (string | null)[] | null {
  if (pattern === null || group < 0) return null
  const groups = new RegExp(`${pattern.source}|`, pattern.flags).exec('')!.length - 1
  if (group > groups) return null
  return [...text.matchAll(pattern)].map((match) => match[group] ?? null)
}

// ---------------------------------------------------------------- LIKE and SIMILAR TO

const escaped = (unit: string): string => unit.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
const badEscape = (fn: string, pattern: string) =>
  expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn, reason: `the pattern '${shown(pattern)}' has a wrong escape sequence` })

const badPattern = (pattern: string) =>
  expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'SIMILAR TO', reason: `the pattern '${shown(pattern)}' is none` })

/** A LIKE pattern in pieces: text, '%' or '_'. @throws StreamError EXPRESSION_ARGUMENT_INVALID */
export function likePieces(pattern: string, escapeUnit: string | undefined): (string | { wildcard: '%' | '_' })[] {
  if (escapeUnit !== undefined && [...escapeUnit].length !== 1) throw badEscape('LIKE', pattern)
  const pieces: (string | { wildcard: '%' | '_' })[] = []
  const add = (unit: string) => {
    if (typeof pieces[pieces.length - 1] === 'string') pieces[pieces.length - 1] += unit as never
    else pieces.push(unit)
  }
  const points = [...pattern]
  for (let i = 0; i < points.length; i++) {
    const unit = points[i]
    if (unit === escapeUnit) {
      const next = points[++i]
      if (next !== '%' && next !== '_' && next !== escapeUnit) throw badEscape('LIKE', pattern)
      add(next)
    } else if (unit === '%' || unit === '_') pieces.push({ wildcard: unit })
    else add(unit)
  }
  return pieces
}

/** What a pattern that was read once tells of texts. */
type Matcher = Pick<RegExp, 'test'>

/**
 * '_' is any character but a line break, '%' any text. What is between two '%' is looked for behind what was found before, and nothing is tried twice:
 * one regular expression of the whole would try every way, for years.
 */
export function likeMatcher(pattern: string, escapeUnit: string | undefined): Matcher {
  const parts = ['']
  for (const piece of likePieces(pattern, escapeUnit))
    if (typeof piece === 'string') parts[parts.length - 1] += escaped(piece)
    else if (piece.wildcard === '_') parts[parts.length - 1] += '.'
    else parts.push('')
  if (parts.length === 1) return new RegExp(`^${parts[0]}$`, 'u')
  const searches = [
    new RegExp(parts[0], 'uy'),
    ...parts.slice(1, -1).flatMap((part) => (part === '' ? [] : new RegExp(part, 'ug'))),
    new RegExp(`${parts.at(-1)}$`, 'ug'),
  ]
  return {
    test(text) {
      let at = 0
      return searches.every((search) => {
        search.lastIndex = at
        const isFound = search.test(text)
        at = search.lastIndex
        return isFound
      })
    },
  }
}

/** Characters that mean something in SIMILAR TO, and in a regular expression of Java's. */
const similarSpecials = '[]()|^-+*_%?{}'
/** As SIMILAR TO writes them, in capitals or not: `[[:ALPHA:]_]`. */
const similarClasses: Record<string, string> = {
  ALPHA: 'A-Za-z',
  UPPER: 'A-Z',
  LOWER: 'a-z',
  DIGIT: '0-9',
  ALNUM: '0-9A-Za-z',
  SPACE: ' ',
  WHITESPACE: '\\s',
}

/**
 * A pattern of SIMILAR TO. '.' is any character and a backslash itself, as for Flink, which leaves the first to the regular expression.
 *
 * @throws StreamError EXPRESSION_ARGUMENT_INVALID
 */
function similarPattern(pattern: string, escapeUnit: string | undefined): RegExp {
  if (escapeUnit !== undefined && [...escapeUnit].length !== 1) throw badEscape('SIMILAR TO', pattern)
  let source = ''
  const points = [...pattern]
  let isInBrackets = false
  for (let i = 0; i < points.length; i++) {
    const unit = points[i]
    if (unit === escapeUnit) {
      const next = points[++i]
      if (next === undefined || !(similarSpecials.includes(next) || next === escapeUnit)) throw badEscape('SIMILAR TO', pattern)
      source += isInBrackets && next === '-' ? '\\-' : escaped(next)
    } else if (isInBrackets) {
      const named = unit === '[' ? /^\[:(\w+):\]/.exec(points.slice(i).join('')) : null
      const chars =
        named && (named[1] === named[1].toUpperCase() || named[1] === named[1].toLowerCase()) && similarClasses[named[1].toUpperCase()]
      if (named && chars) {
        source += chars
        i += named[0].length - 1
      } else if (unit === ']') {
        isInBrackets = false
        source += unit
      } else if (unit === '-' || unit === '^') source += unit
      else if (similarSpecials.includes(unit)) throw badPattern(pattern)
      else source += escaped(unit)
    } else if (unit === '[') {
      isInBrackets = true
      source += unit
    } else if (unit === ']') throw badPattern(pattern)
    else if (unit === '%') source += '[^]*'
    else if (unit === '_' || unit === '.') source += '[^\\n\\r\\u0085\\u2028\\u2029]'
    else source += /[\\$/]/.test(unit) ? `\\${unit}` : unit
  }
  try {
    return new RegExp(`^(?:${source})$`, 'u')
  } catch {
    throw badPattern(pattern)
  }
}

function matcher(
  make: (pattern: string, escapeUnit: string | undefined) => Matcher,
  literal: { value: unknown } | undefined,
  hasEscape: boolean,
) {
  if (!hasEscape) {
    const made = madeFrom(literal, (text) => make(text, undefined))
    return (text: string, pattern: string) => made(pattern).test(text)
  }
  const made = madeFrom(undefined, (both) => make(both.slice(0, both.lastIndexOf('\u0000')), both.slice(both.lastIndexOf('\u0000') + 1)))
  return (text: string, pattern: string, escapeUnit: string) => made(`${pattern}\u0000${escapeUnit}`).test(text)
}

/** A pattern of the user may backtrack for ages, in Java as here: whoever waits for the thread can tell which function it is in. */
const watched = ({ nulls, make }: Implementation): Implementation => ({
  nulls,
  make: (context) => {
    const fn = make(context)
    const mark = functionMark(context.fn)
    return (text, pattern, third) => {
      enterFunction(mark)
      try {
        return fn(text, pattern, third)
      } finally {
        leaveFunction()
      }
    }
  },
})

const functions: FunctionTable = {
  LIKE: strict(({ literals, argTypes }) => matcher(likeMatcher, literals[1], argTypes.length > 2)),
  SIMILAR: strict(({ literals, argTypes }) => matcher(similarPattern, literals[1], argTypes.length > 2)),
  REGEXP: strict(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string) => source !== '' && (pattern(source)?.test(text) ?? false)
  }),
  REGEXP_EXTRACT: maybe(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string, group = 0) => pattern(source)?.exec(text)?.[group] ?? null
  }),
  REGEXP_EXTRACT_ALL: maybe(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string, group = 1) => extractAll(text, pattern(source), group)
  }),
  REGEXP_REPLACE: maybe(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string, replacement: string) => {
      const compiled = pattern(source)
      return compiled === null ? null : text.replace(compiled, () => replacement)
    }
  }),
  REGEXP_COUNT: maybe(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string) => {
      const compiled = pattern(source)
      return compiled === null ? null : [...text.matchAll(compiled)].length
    }
  }),
  REGEXP_INSTR: maybe(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string) => {
      const compiled = pattern(source)
      return compiled === null ? null : (compiled.exec(text)?.index ?? -1) + 1
    }
  }),
  REGEXP_SUBSTR: maybe(({ literals }) => {
    const pattern = cached(literals[1])
    return (text: string, source: string) => pattern(source)?.exec(text)?.[0] ?? null
  }),
}

export const patternFunctions: FunctionTable = Object.fromEntries(Object.entries(functions).map(([name, fn]) => [name, watched(fn)]))
/** Those whose pattern may take for ever over a text. */
export const backtracking: ReadonlySet<string> = new Set(Object.keys(functions).filter((name) => name !== 'LIKE'))
