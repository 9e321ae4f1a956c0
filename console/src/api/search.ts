// Values in the address after `?`: JSON where the console wrote them, and what somebody types there by hand.
//
// Invariant: a text comes back as it was typed, to the digit: `123`, `1e5`, `null` and 20 digits are texts where a text is asked for.

/** @throws where it is no JSON of ours, and so a text */
export function parseSearchValue(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (value === null || (typeof value === 'number' && String(value) !== text)) throw new SyntaxError(`${text} is a text`)
  return value
}

/** Of a value that should be a text; undefined where there is none. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value || undefined : typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
