// DECIMAL as text.

/**
 * All digits of a scaled integer, the point where the scale puts it.
 *
 * @example decimalText(-5n, 2) // '-0.05'
 */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString()
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}
