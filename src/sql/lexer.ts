// SQL text to tokens, each with its place.
//
// Invariants
//   1. The lexer never throws: what is no token becomes one of kind 'error', thrown when the parser comes to it.
//      So a broken statement does not hide the ones before it.
//   2. Tokens are in order and do not overlap; the last one is 'end', at the end of the text.
//   3. One pass, linear in the length of the text.
import { reservedWords } from './keywords.ts'

export type TokenKind = 'word' | 'quoted' | 'number' | 'string' | 'unicode' | 'binary' | 'symbol' | 'error' | 'end'

export interface Token {
  kind: TokenKind
  /** What the grammar compares: the upper-case word or the symbol; '' for other kinds. */
  key: string
  /** The value: a name as written or without its backquotes, a text without its quotes, the digits, or the reason of an error. */
  text: string
  start: number
  end: number
  reserved: boolean
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57
const isHexDigits = (text: string): boolean => /^[0-9a-fA-F]*$/.test(text)
const isSpace = (code: number): boolean =>
  code === 32 || (code >= 9 && code <= 13) || (code > 127 && /[\s\ufeff]/.test(String.fromCharCode(code)))

/** How many units of a word stand here: letters, digits, _ and $, in any script; 0 if none. */
function wordUnits(text: string, at: number, isStart: boolean): number {
  const code = text.charCodeAt(at)
  if (code < 128) {
    const isLetter = (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code === 36
    return isLetter || (!isStart && isDigit(code)) ? 1 : 0
  }
  const point = text.codePointAt(at)
  if (point === undefined) return 0
  const sign = String.fromCodePoint(point)
  return (isStart ? /\p{ID_Start}/u : /\p{ID_Continue}/u).test(sign) ? sign.length : 0
}

const pairs = new Set(['<>', '<=', '>=', '!=', '||', '=>'])
const singles = new Set('()[]{},;.+-*/%=<>|?^:!')

export function lex(text: string): Token[] {
  const tokens: Token[] = []
  const length = text.length
  let hintIsOpen = false
  let at = 0

  const push = (kind: TokenKind, start: number, end: number, value: string, key = '', reserved = false): void => {
    tokens.push({ kind, key, text: value, start, end, reserved })
    at = end
  }

  /** Reads from the opening quote; a doubled quote stands for one. Returns undefined, and pushes the error, if it never ends. */
  const quoted = (start: number, open: number, quote: string, what: string): { value: string; end: number } | undefined => {
    let from = open + 1
    let value = ''
    for (;;) {
      const close = text.indexOf(quote, from)
      if (close < 0) {
        push('error', start, length, what, quote)
        return undefined
      }
      value += text.slice(from, close)
      if (text[close + 1] !== quote) return { value, end: close + 1 }
      value += quote
      from = close + 2
    }
  }

  const pushQuoted = (kind: TokenKind, start: number, open: number, quote: string, what: string): void => {
    const found = quoted(start, open, quote, what)
    if (found) push(kind, start, found.end, found.value)
  }

  const word = (start: number): void => {
    let end = start
    for (let units = wordUnits(text, start, true); units > 0; units = wordUnits(text, end, false)) end += units
    const raw = text.slice(start, end)
    if (text[end] === "'") {
      const upper = raw.toUpperCase()
      if (upper === 'X' || upper === 'N') {
        pushQuoted(upper === 'X' ? 'binary' : 'string', start, end, "'", 'text')
        return
      }
    } else if (text[end] === '&' && text[end + 1] === "'" && (raw === 'U' || raw === 'u')) {
      pushQuoted('unicode', start, end + 1, "'", 'text')
      return
    }
    // _UTF8'…', _UTF-16LE'…': all our text is Unicode, so the prefix says nothing.
    const charset = raw[0] === '_' ? /^_[\w.:-]+'/.exec(text.slice(start, start + 40)) : null
    if (charset) {
      pushQuoted('string', start, start + charset[0].length - 1, "'", 'text')
      return
    }
    const key = raw.toUpperCase()
    push('word', start, end, raw, key, reservedWords.has(key))
  }

  const number = (start: number): void => {
    const match = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
    match.lastIndex = start
    const digits = match.exec(text)![0]
    push('number', start, start + digits.length, digits)
  }

  while (at < length) {
    const code = text.charCodeAt(at)
    if (isSpace(code)) {
      at++
      continue
    }
    const pair = text.slice(at, at + 2)
    if (pair === '--' || pair === '//') {
      const lineEnd = text.indexOf('\n', at)
      at = lineEnd < 0 ? length : lineEnd
      continue
    }
    if (pair === '/*') {
      if (text[at + 2] === '+') {
        hintIsOpen = true
        push('symbol', at, at + 3, '/*+', '/*+')
        continue
      }
      const close = text.indexOf('*/', at + 2)
      if (close < 0) push('error', at, length, 'comment', '*/')
      else at = close + 2
      continue
    }
    if (hintIsOpen && pair === '*/') {
      hintIsOpen = false
      push('symbol', at, at + 2, '*/', '*/')
      continue
    }
    if (wordUnits(text, at, true) > 0) word(at)
    else if (isDigit(code) || (code === 46 && isDigit(text.charCodeAt(at + 1)))) number(at)
    else if (code === 39) pushQuoted('string', at, at, "'", 'text')
    else if (code === 96) pushQuoted('quoted', at, at, '`', 'name')
    else if (pairs.has(pair)) push('symbol', at, at + 2, pair, pair)
    else if (singles.has(text[at]!)) push('symbol', at, at + 1, text[at]!, text[at]!)
    else push('error', at, at + String.fromCodePoint(text.codePointAt(at)!).length, 'character')
  }
  push('end', length, length, '')
  return tokens
}

/** The bytes of X'…', or undefined if the text is not pairs of hex digits. */
export const bytesOfHex = (text: string): Uint8Array | undefined =>
  text.length % 2 === 0 && isHexDigits(text)
    ? Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(i * 2, i * 2 + 2), 16))
    : undefined

/** The text of U&'…': `\00e9` and `\+01f600`, or undefined if an escape is broken. */
export function textOfUnicodeEscapes(text: string, escapeSign: string): string | undefined {
  let result = ''
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== escapeSign) {
      result += text[i]
      continue
    }
    if (text[i + 1] === escapeSign) {
      result += escapeSign
      i++
      continue
    }
    const long = text[i + 1] === '+'
    const digits = long ? text.slice(i + 2, i + 8) : text.slice(i + 1, i + 5)
    const code = Number.parseInt(digits, 16)
    if (digits.length !== (long ? 6 : 4) || !isHexDigits(digits) || code > 0x10ffff) return undefined
    result += String.fromCodePoint(code)
    i += long ? 7 : 4
  }
  return result
}
