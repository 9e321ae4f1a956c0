// The nearest name: what "Did you mean …?" asks, for keywords, columns, tables and functions alike.

/**
 * The candidate that differs least from a name, if it is near enough to be a slip of the hand.
 *
 * @param name        as the user wrote it
 * @param candidates  in order of preference: of equally near ones the first wins
 * @returns           the candidate as given, or undefined; never one that is `name` itself, letter for letter
 * @source            optimal string alignment distance (insert, delete, replace, swap of neighbours), ignoring case
 * @example           nearestName('SELEC', ['SET', 'SELECT']) // 'SELECT'
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase()
  // A third of the letters may be wrong, and always one: 'a' is near 'b' only as far as nothing else is.
  let best = Math.max(1, Math.floor(wanted.length / 3)) + 1
  let nearest: string | undefined
  for (const candidate of candidates) {
    if (candidate === name || Math.abs(candidate.length - name.length) >= best) continue
    const distance = editDistance(wanted, candidate.toLowerCase())
    // Two names of one or two letters that share none are no slip.
    if (distance < best && distance < Math.max(wanted.length, candidate.length)) {
      best = distance
      nearest = candidate
    }
  }
  return nearest
}

function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let distance = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) distance = Math.min(distance, before[j - 2]! + 1)
      current.push(distance)
    }
    before = previous
    previous = current
  }
  return previous[b.length]!
}
