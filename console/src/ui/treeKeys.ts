// Keys that go through a list of names: arrows, Home, End, and the first letters of a name. Pure but for the clock.

/** undefined where the key goes nowhere. */
export function nextItem(key: string, index: number, count: number): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return Math.min(index + 1, count - 1)
    case 'ArrowUp':
      return Math.max(index - 1, 0)
    case 'Home':
      return 0
    case 'End':
      return count - 1
    default:
      return undefined
  }
}

/** What is typed without a pause is one text. */
const PAUSE_MS = 700

/** What was typed so far, and the next name that begins with it. One letter again and again goes from name to name. */
export function typedText(nowMs: () => number = () => performance.now()) {
  let text = ''
  let lastMs = Number.NEGATIVE_INFINITY
  return (letter: string, index: number, labels: readonly string[]): number | undefined => {
    text = (nowMs() - lastMs < PAUSE_MS ? text : '') + letter.toLowerCase()
    lastMs = nowMs()
    const isRepeated = [...text].every((one) => one === text[0])
    const wanted = isRepeated ? text[0]! : text
    // A text that grows may still be that of the present name.
    const from = isRepeated ? index + 1 : index
    return labels.map((_, i) => (from + i) % labels.length).find((i) => labels[i]!.toLowerCase().startsWith(wanted))
  }
}
