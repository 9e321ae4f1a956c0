// Keys that a table declares as raw, as SQL reads them and Kafka's serializers write them: text and bytes as they are, numbers and booleans in big-endian bytes.
// Source: Flink's raw format.

type Write = (bytes: Buffer, text: string) => unknown

const writers: Record<string, [sizeBytes: number, write: Write]> = {
  BOOLEAN: [1, (bytes, text) => bytes.writeInt8(text === 'true' ? 1 : 0)],
  TINYINT: [1, (bytes, text) => bytes.writeInt8(Number(text))],
  SMALLINT: [2, (bytes, text) => bytes.writeInt16BE(Number(text))],
  INT: [4, (bytes, text) => bytes.writeInt32BE(Number(text))],
  // Exact where the text is; a text with an exponent has been checked to be whole.
  BIGINT: [8, (bytes, text) => bytes.writeBigInt64BE(/^[-+]?\d+$/.test(text) ? BigInt(text) : BigInt(Number(text)))],
  FLOAT: [4, (bytes, text) => bytes.writeFloatBE(Number(text))],
  DOUBLE: [8, (bytes, text) => bytes.writeDoubleBE(Number(text))],
}

/** Makes the key from the text of a field that was checked to be of its type; undefined where the text is the key. */
export function rawKeyOf(kind: string | undefined): ((text: Uint8Array) => Uint8Array) | undefined {
  if (kind === 'BINARY' || kind === 'VARBINARY') return (text) => Buffer.from(Buffer.from(text).toString('latin1'), 'base64')
  const writer = writers[kind ?? '']
  if (!writer) return undefined
  const [sizeBytes, write] = writer
  return (text) => {
    const bytes = Buffer.alloc(sizeBytes)
    write(bytes, Buffer.from(text).toString('latin1'))
    return bytes
  }
}
