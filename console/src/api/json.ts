// JSON without losing a digit: BIGINT and DECIMAL arrive as numerals that a double may not hold.
//
// Invariants
//   1. A numeral that a double holds exactly becomes a number; any other whole one a bigint; any other a string of its digits.
//   2. `stringifyExact(parseExact(text))` has the same numerals as `text`.

/** A numeral outside of strings that may not fit a double; strings are matched first, so digits inside them are left alone. */
const tokenPattern = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]{15,}/g
const longDigits = /\d[\d.]{15}/

/** JSON.parse, but exact (see the invariants above). As fast as JSON.parse for text without long numerals. */
export function parseExact(text: string): unknown {
  if (!longDigits.test(text)) return JSON.parse(text)
  // The mark cannot occur in JSON as we receive it: a raw control character is not allowed inside a JSON string.
  let isMarked = false
  const marked = text.replace(tokenPattern, (token) => {
    if (token[0] === '"' || isExactNumeral(token)) return token
    isMarked = true
    return `"\\u0000${token}"`
  })
  if (!isMarked) return JSON.parse(text)
  return JSON.parse(marked, (_key, value) => {
    if (typeof value !== 'string' || value[0] !== '\u0000') return value
    const numeral = value.slice(1)
    return /^-?\d+$/.test(numeral) ? BigInt(numeral) : numeral
  })
}

/** Whether a double that is read from the numeral prints the same digits again. */
function isExactNumeral(numeral: string): boolean {
  const value = Number(numeral)
  if (/^-?\d+$/.test(numeral)) return Number.isSafeInteger(value)
  return String(value) === numeral
}

/** JSON.stringify with bigints as numerals. */
export function stringifyExact(value: unknown, indent = 0, depth = 0): string {
  if (typeof value === 'bigint') return value.toString()
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const isArray = Array.isArray(value)
  const parts = isArray
    ? value.map((item) => stringifyExact(item, indent, depth + 1))
    : Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => `${JSON.stringify(key)}:${indent ? ' ' : ''}${stringifyExact(item, indent, depth + 1)}`)
  const [open, close] = isArray ? '[]' : '{}'
  if (parts.length === 0) return open! + close!
  if (!indent) return open + parts.join(',') + close
  const pad = '\n' + ' '.repeat(indent * (depth + 1))
  return open + pad + parts.join(',' + pad) + '\n' + ' '.repeat(indent * depth) + close
}
