// Character sets that Java has in every release: those of the format raw, of ENCODE and of DECODE.
//
// As in Java, characters that a set does not have are written as `?`, and bytes that are no text are read as `�`; `isText` tells them.
import type { FormatOptions } from './options.ts'

export interface Charset {
  encode: (text: string) => Uint8Array
  decode: (bytes: Uint8Array) => string
  /** Whether the bytes are text of the set, as a whole. */
  isText: (bytes: Uint8Array) => boolean
}

/** One byte a character, of those of Unicode up to `last`. */
const oneByte = (last: number): Charset => ({
  encode: (text) => Uint8Array.from([...text], (point) => (point.codePointAt(0)! <= last ? point.codePointAt(0)! : 63)),
  decode: (bytes) => Array.from(bytes, (byte) => (byte <= last ? String.fromCharCode(byte) : '\ufffd')).join(''),
  isText: (bytes) => bytes.every((byte) => byte <= last),
})

const swapped = (bytes: Uint8Array): Buffer => Buffer.from(bytes).swap16()
const whole = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length & ~1)
const utf16 = (littleEnd: (bytes: Uint8Array) => Buffer): Charset => {
  const decode = (bytes: Uint8Array) => `${littleEnd(whole(bytes)).toString('utf16le')}${bytes.length % 2 === 0 ? '' : '\ufffd'}`
  return {
    encode: (text) => littleEnd(Buffer.from(text, 'utf16le')),
    decode,
    isText: (bytes) => bytes.length % 2 === 0 && decode(bytes).isWellFormed(),
  }
}
const bigEndian = utf16(swapped)
const littleEndian = utf16((bytes) => Buffer.from(bytes))
/** What a mark of the order of bytes at the beginning says; without one it is big-endian. */
const marked = (bytes: Uint8Array): [charset: Charset, text: Uint8Array] => {
  const mark = bytes.length >= 2 ? (bytes[0] << 8) | bytes[1] : 0
  return [mark === 0xfffe ? littleEndian : bigEndian, mark === 0xfffe || mark === 0xfeff ? bytes.subarray(2) : bytes]
}
const through =
  <T>(use: (charset: Charset, text: Uint8Array) => T) =>
  (bytes: Uint8Array): T =>
    use(...marked(bytes))

const charsets: Record<string, Charset> = {
  'UTF-8': {
    encode: (text) => Buffer.from(text),
    decode: (bytes) => Buffer.from(bytes).toString(),
    isText: (bytes) => Buffer.from(Buffer.from(bytes).toString()).equals(bytes),
  },
  'UTF-16BE': bigEndian,
  'UTF-16LE': littleEndian,
  'UTF-16': {
    encode: (text) => (text === '' ? new Uint8Array(0) : bigEndian.encode(`\ufeff${text}`)),
    decode: through((charset, text) => charset.decode(text)),
    isText: through((charset, text) => charset.isText(text)),
  },
  'ISO-8859-1': oneByte(255),
  'US-ASCII': oneByte(127),
}
const aliases: Record<string, string> = { UTF8: 'UTF-8', UTF16: 'UTF-16', LATIN1: 'ISO-8859-1', ASCII: 'US-ASCII' }

export const charsetNames = Object.keys(charsets).join(', ')

/** The set of that name, in any case of letters; undefined if there is none. */
export function charsetNamed(name: string): Charset | undefined {
  const upper = name.toUpperCase()
  return charsets[aliases[upper] ?? upper]
}

/** What 'raw.charset' names, undefined for UTF-8. @throws StreamError FORMAT_OPTION */
export function rawCharset(options: FormatOptions): Charset | undefined {
  const charset = charsetNamed(options.text('charset') ?? 'UTF-8')
  if (charset === undefined) throw options.invalid('charset', charsetNames)
  return charset === charsets['UTF-8'] ? undefined : charset
}

/** Whether 'raw.endianness' is little-endian. @throws StreamError FORMAT_OPTION */
export const isLittleEndian = (options: FormatOptions): boolean =>
  options.choice('endianness', ['big-endian', 'little-endian']) === 'little-endian'
