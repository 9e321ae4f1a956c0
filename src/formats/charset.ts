// The character sets of the format raw: bytes of a record to text and back.
//
// Text that cannot be written in its set becomes `?`, as Java has it; bytes that are no text of their set are an error, and not `�`.
import type { FormatOptions } from './options.ts'

export interface Charset {
  /** Undefined for bytes that are no text; undefined itself for UTF-8, which the engine reads as it is. */
  decode?: (bytes: Uint8Array) => string | undefined
  encode: (text: string) => Uint8Array
}

/** Of one byte a character: those of Unicode up to `max`. */
const oneByte = (max: number): Charset => ({
  decode: (bytes) => (bytes.every((byte) => byte <= max) ? Buffer.from(bytes).toString('latin1') : undefined),
  encode: (text) => Uint8Array.from([...text], (character) => (character.codePointAt(0)! <= max ? character.codePointAt(0)! : 63)),
})

const swapped = (bytes: Uint8Array): Uint8Array => Buffer.from(bytes).swap16()
const text16 = (littleEndian: Uint8Array): string | undefined => {
  const text = Buffer.from(littleEndian).toString('utf16le')
  return text.isWellFormed() ? text : undefined
}
const utf16 = (isLittle: boolean): Required<Charset> => ({
  decode: (bytes) => (bytes.length % 2 === 1 ? undefined : text16(isLittle ? bytes : swapped(bytes))),
  encode: (text) => (isLittle ? Buffer.from(text, 'utf16le') : swapped(Buffer.from(text, 'utf16le'))),
})
const [little, big] = [utf16(true), utf16(false)]

const charsets: Record<string, Charset> = {
  'UTF-8': { encode: (text) => Buffer.from(text) },
  'UTF-16LE': little,
  'UTF-16BE': big,
  // With a mark of the order of bytes, which is big-endian without one and as it is written.
  'UTF-16': {
    decode: (bytes) => {
      const mark = bytes.length < 2 ? 0 : bytes[0] * 256 + bytes[1]
      if (mark === 0xfffe) return little.decode(bytes.subarray(2))
      return big.decode(mark === 0xfeff ? bytes.subarray(2) : bytes)
    },
    encode: (text) => (text === '' ? new Uint8Array(0) : big.encode(`\ufeff${text}`)),
  },
  'ISO-8859-1': oneByte(255),
  'US-ASCII': oneByte(127),
}
const aliases: Record<string, string> = { UTF8: 'UTF-8', UTF16: 'UTF-16', LATIN1: 'ISO-8859-1', ASCII: 'US-ASCII' }

/** What 'raw.charset' names. @throws StreamError FORMAT_OPTION */
export function charsetOf(options: FormatOptions): Charset {
  const given = (options.text('charset') ?? 'UTF-8').toUpperCase()
  const charset = charsets[aliases[given] ?? given]
  if (charset === undefined) throw options.invalid('charset', Object.keys(charsets).join(', '))
  return charset
}

/** Whether 'raw.endianness' is little-endian. @throws StreamError FORMAT_OPTION */
export const isLittleEndian = (options: FormatOptions): boolean =>
  options.choice('endianness', ['big-endian', 'little-endian']) === 'little-endian'
