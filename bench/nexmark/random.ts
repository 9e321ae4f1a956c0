// Draws of the Nexmark generator: a seeded sequence of words, and what is made of them: numbers, prices, texts.

// mulberry32: the state grows by a constant, a draw is its mix. Constants are literals here, as V8 does not see through those of another module.
export const stepped = (word: number): number => (word + 0x6d2b79f5) | 0
export function mixed(x: number): number {
  let y = Math.imul(x ^ (x >>> 15), 1 | x)
  y = (y + Math.imul(y ^ (y >>> 7), 61 | y)) ^ y
  return y ^ (y >>> 14)
}
/** Uniform in [0, n). */
export const uniform = (draw: number, n: number): number => ((draw >>> 0) * (n * 2 ** -32)) | 0

/** 10^(6 u), u in 24 bits, as a product of two tables. */
const highPowers = Float64Array.from({ length: 4096 }, (_, i) => 10 ** ((6 * i) / 4096) * 100)
const lowPowers = Float64Array.from({ length: 4096 }, (_, i) => 10 ** ((6 * i) / (4096 * 4096)))
/** Log-uniform, 100 to 100,000,000, of the upper 24 bits of a word. */
export const priceOf = (draw: number): number => (highPowers[draw >>> 20] * lowPowers[(draw >>> 8) & 4095] + 0.5) | 0

/** One of 13 characters is special, the others are letters. */
const LETTERS = 13 * 26
const lettersWith = (special: number): Uint8Array => Uint8Array.from({ length: LETTERS }, (_, i) => (i < 26 ? special : 97 + (i % 26)))
export const spaced = lettersWith(32)
export const underscored = lettersWith(95)
const SPACE = 32

export class Random {
  /** State of the sequence: whoever draws by hand from a copy puts it back. */
  word: number

  constructor(word: number) {
    this.word = word | 0
  }

  nextWord(): number {
    this.word = stepped(this.word)
    return mixed(this.word)
  }

  /** Uniform in [0, n). */
  nextInt(n: number): number {
    return uniform(this.nextWord(), n)
  }

  price(): number {
    return priceOf(this.nextWord())
  }

  /**
   * Writes 3 to `max` - 1 letters with a special character here and there, without spaces at both ends; returns the end. A word makes two letters.
   *
   * @param bytes  with room for `max` from `at` on
   */
  text(bytes: Uint8Array, at: number, max: number, letters: Uint8Array): number {
    const end = at + 3 + this.nextInt(max - 3)
    let { word } = this
    for (let i = at; i < end; i += 2) {
      const draw = mixed((word = stepped(word)))
      bytes[i] = letters[((draw & 0xffff) * LETTERS) >>> 16]
      bytes[i + 1] = letters[((draw >>> 16) * LETTERS) >>> 16]
    }
    this.word = word
    let last = end
    while (last > at && bytes[last - 1] === SPACE) last--
    let first = at
    while (first < last && bytes[first] === SPACE) first++
    if (first > at) bytes.copyWithin(at, first, last)
    return last - (first - at)
  }
}
