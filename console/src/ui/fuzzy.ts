// Finding by a few letters: all letters in order; starts of words and unbroken runs come first.

/** Score of a match, higher is better; null if the letters are not all there in order. */
export function score(text: string, wanted: string): number | null {
  const haystack = text.toLowerCase()
  const needle = wanted.toLowerCase().replace(/\s+/g, '')
  let from = 0
  let sum = 0
  let last = -2
  for (const letter of needle) {
    const found = haystack.indexOf(letter, from)
    if (found < 0) return null
    const isWordStart = found === 0 || /[^a-z0-9]/.test(haystack[found - 1]!)
    sum += found === last + 1 ? 3 : isWordStart ? 2 : 0
    sum -= Math.min(found - from, 5) * 0.1
    last = found
    from = found + 1
  }
  return sum - haystack.length * 0.01
}

/** Items that match, best first; all of them, in their order, for an empty text. */
export function rank<T>(items: readonly T[], wanted: string, textOf: (item: T) => string): T[] {
  if (wanted.trim() === '') return [...items]
  return items
    .flatMap((item) => {
      const points = score(textOf(item), wanted)
      return points === null ? [] : [{ item, points }]
    })
    .sort((left, right) => right.points - left.points)
    .map(({ item }) => item)
}
