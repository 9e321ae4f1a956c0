// Sizes as people write them.

const units: Record<string, number> = { '': 1, b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30, tb: 2 ** 40 }

/**
 * Bytes of a size such as `512`, `64mb`, `1.5 GB`: powers of 1024. NaN if it is none.
 */
export function parseBytes(text: string): number {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? []
  const factor = units[(unit ?? '').toLowerCase().replace(/^([kmgt])(ib)?$/, '$1b')]
  return digits === undefined || factor === undefined ? NaN : Math.floor(Number(digits) * factor)
}
