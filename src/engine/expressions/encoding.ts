// Hashes, encodings and URLs.
import { createHash, hash } from 'node:crypto'
import { type Charset, charsetNamed, charsetNames } from '../../formats/index.ts'
import { expressionErrors, shown } from './errors.ts'
import type { FunctionTable } from './registry.ts'
import { plain, plainMaybe } from './registry.ts'

const hashes: Record<string, string> = { MD5: 'md5', SHA1: 'sha1', SHA224: 'sha224', SHA256: 'sha256', SHA384: 'sha384', SHA512: 'sha512' }
const hashed = (algorithm: string) => (value: string | Uint8Array) => hash(algorithm, value, 'hex')

function sha2(value: string | Uint8Array, bits: number): string {
  if (![224, 256, 384, 512].includes(bits)) {
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'SHA2', reason: `${bits} bits is none of 224, 256, 384, 512` })
  }
  return createHash(`sha${bits}`).update(value).digest('hex')
}

const hexText = (value: bigint | string | Uint8Array): string =>
  typeof value === 'bigint'
    ? BigInt.asUintN(64, value).toString(16).toUpperCase()
    : Buffer.from(value as string)
        .toString('hex')
        .toUpperCase()

/** Of an odd number of digits the first is dropped and a zero byte takes its place; null for other text. */
function unhex(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]*$/.test(text)) return null
  const even = text.length % 2 === 0 ? text : `00${text.slice(1)}`
  return new Uint8Array(Buffer.from(even, 'hex'))
}

function fromBase64(value: string | Uint8Array): string {
  const text = typeof value === 'string' ? value : Buffer.from(value).toString('latin1')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1) {
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn: 'FROM_BASE64', reason: `'${shown(text)}' is not Base64` })
  }
  return Buffer.from(text, 'base64').toString('utf8')
}

function charset(fn: string, name: string): Charset {
  const found = charsetNamed(name)
  if (found === undefined)
    throw expressionErrors('EXPRESSION_ARGUMENT_INVALID', { fn, reason: `charset '${shown(name)}' is none of ${charsetNames}` })
  return found
}

// ---------------------------------------------------------------- URLs

const urlPattern = /^([a-zA-Z][a-zA-Z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s
/** Those that Java's URL knows. */
const protocols = new Set(['http', 'https', 'ftp', 'file', 'jar', 'mailto'])

/** Null where the part is missing, and for what is no URL. */
function parseUrl(text: string, part: string, key?: string): string | null {
  const match = urlPattern.exec(text.trim())
  if (match === null || !protocols.has(match[1].toLowerCase())) return null
  const [, protocol, authority, path, query, ref] = match
  const at = authority?.lastIndexOf('@') ?? -1
  const hostAndPort = authority?.slice(at + 1)
  if (key !== undefined) {
    if (part !== 'QUERY' || query === undefined) return null
    for (const pair of query.split('&')) if (pair.startsWith(`${key}=`)) return pair.slice(key.length + 1)
    return null
  }
  switch (part) {
    case 'HOST':
      return hostAndPort?.replace(/:\d*$/, '') ?? null
    case 'PATH':
      return path
    case 'QUERY':
      return query ?? null
    case 'REF':
      return ref ?? null
    case 'PROTOCOL':
      return protocol.toLowerCase()
    case 'FILE':
      return query === undefined ? path : `${path}?${query}`
    case 'AUTHORITY':
      return authority ?? null
    case 'USERINFO':
      return at >= 0 ? authority!.slice(0, at) : null
    default:
      return null
  }
}

/** @source Java's URLEncoder: a blank is '+', only letters, digits and .-*_ stay */
const urlEncode = (text: string): string =>
  encodeURIComponent(text.toWellFormed())
    .replace(/[!'()~]/g, (unit) => `%${unit.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')

/** Null where a percent sign has no two digits; bytes that are no UTF-8 become replacement characters. */
function urlDecode(text: string): string | null {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return null
  return text.replaceAll('+', ' ').replace(/(?:%[0-9a-fA-F]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}

export const encodingFunctions: FunctionTable = {
  ...Object.fromEntries(Object.entries(hashes).map(([name, algorithm]) => [name, plain(hashed(algorithm))])),
  SHA2: plain(sha2),
  HEX: plain(hexText),
  UNHEX: plainMaybe(unhex),
  BIN: plain((value: bigint) => BigInt.asUintN(64, value).toString(2)),
  TO_BASE64: plain((value: string | Uint8Array) => Buffer.from(value as string).toString('base64')),
  FROM_BASE64: plain(fromBase64),
  ENCODE: plain((text: string, name: string) => new Uint8Array(charset('ENCODE', name).encode(text))),
  DECODE: plain((bytes: Uint8Array, name: string) => charset('DECODE', name).decode(bytes)),
  PARSE_URL: plainMaybe(parseUrl),
  URL_ENCODE: plain(urlEncode),
  URL_DECODE: plainMaybe(urlDecode),
}
