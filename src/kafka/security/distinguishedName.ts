// The subject of a certificate as text, character for character as Java writes it (`X500Principal.getName()`, RFC 2253): ACLs and mapping rules
// that were written for Kafka name clients by it.
//
// Invariants
//   1. Whatever the bytes are, nothing outside of them is read; what is no certificate is an Error.
//   2. The names of RFC 2253 are written by name, other types as numbers, with the DER of their value in hexadecimal digits.

const SEQUENCE = 0x30
const VERSION = 0xa0
const KEYWORDS: Record<string, string> = {
  '2.5.4.3': 'CN',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
}
/** UTF8String, PrintableString, TeletexString, IA5String, GeneralString. */
const byteTexts: Record<number, BufferEncoding> = { 12: 'utf8', 19: 'latin1', 20: 'latin1', 22: 'latin1', 27: 'latin1' }
const BMP_STRING = 30

interface Element {
  tag: number
  body: Buffer
  /** With its tag and length. */
  whole: Buffer
}

/** @param der  an X.509 certificate. @throws Error if it is none */
export function subjectOf(der: Uint8Array): string {
  const [certificate] = elements(Buffer.from(der.buffer, der.byteOffset, der.length))
  const [signed] = elements(bodyOf(certificate, SEQUENCE))
  const fields = elements(bodyOf(signed, SEQUENCE)).filter(({ tag }) => tag !== VERSION)
  // Serial number, algorithm, issuer, validity, subject.
  return elements(bodyOf(fields[4], SEQUENCE))
    .toReversed()
    .map(({ body }) =>
      elements(body)
        .map((attribute) => attributeText(elements(attribute.body)))
        .join('+'),
    )
    .join(',')
}

function bodyOf(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new Error('not a certificate')
  return element.body
}

function elements(bytes: Buffer): Element[] {
  const found: Element[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]
    let size = bytes[at + 1]
    let bodyAt = at + 2
    if (size >= 0x80) {
      const sizeBytes = size & 0x7f
      if (sizeBytes < 1 || sizeBytes > 4 || bodyAt + sizeBytes > bytes.length) throw new Error('not DER')
      size = bytes.readUIntBE(bodyAt, sizeBytes)
      bodyAt += sizeBytes
    }
    if (!(bodyAt + size <= bytes.length)) throw new Error('not DER')
    found.push({ tag, body: bytes.subarray(bodyAt, bodyAt + size), whole: bytes.subarray(at, bodyAt + size) })
    at = bodyAt + size
  }
  return found
}

function attributeText([type, value]: Element[]): string {
  if (!type || !value) throw new Error('not a name')
  const number = objectId(type.body)
  const keyword = KEYWORDS[number]
  const text = keyword && textOf(value)
  return text === undefined ? `${keyword ?? number}=#${value.whole.toString('hex')}` : `${keyword}=${escapeText(text)}`
}

function textOf({ tag, body }: Element): string | undefined {
  if (tag === BMP_STRING && body.length % 2 === 0) return Buffer.from(body).swap16().toString('utf16le')
  return byteTexts[tag] && body.toString(byteTexts[tag])
}

const escapeText = (text: string): string =>
  text
    .replace(/[,=+<>#;"\\]/g, '\\$&')
    .replaceAll('\0', '\\00')
    .replace(/^ +| +$/g, (spaces) => '\\ '.repeat(spaces.length))

function objectId(body: Buffer): string {
  const numbers: bigint[] = []
  let number = 0n
  for (const byte of body) {
    number = number * 128n + BigInt(byte & 0x7f)
    if (byte & 0x80) continue
    if (numbers.length === 0) {
      const first = number < 80n ? number / 40n : 2n
      numbers.push(first, number - first * 40n)
    } else numbers.push(number)
    number = 0n
  }
  return numbers.join('.')
}
