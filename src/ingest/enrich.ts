// What is added to an event, in its record's headers: id, ingested_at, trace_id, source.
import { randomBytes } from 'node:crypto'
import { viewOf } from '../base/index.ts'

const hex = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
export const ID_BYTES = 36

/**
 * Makes time-ordered unique ids: UUIDs of version 7 as text. 48 bits of epoch ms, then 26 bits that count within the ms, then 48 random bits of
 * this process. Ids of one source only grow, also when the clock is set back.
 *
 * @source RFC 9562, section 5.7 and method 1 of section 6.2
 */
export class IdSource {
  /** The newest id. */
  readonly text = new Uint8Array(ID_BYTES).fill(45)
  readonly view = viewOf(this.text)
  private lastMs = 0
  private counter = 0

  constructor() {
    this.text[14] = 55
    const node = randomBytes(6).toString('hex')
    for (let i = 0; i < 12; i++) this.text[24 + i] = node.charCodeAt(i)
  }

  /** Writes the next id into `text`. */
  next(nowMs: number): void {
    if (nowMs > this.lastMs) {
      this.lastMs = nowMs
      this.counter = 0
      this.writeTime()
    } else if (++this.counter === 1 << 26) {
      this.lastMs++
      this.counter = 0
      this.writeTime()
    }
    const { text, counter } = this
    text[15] = hex[(counter >> 22) & 15]
    text[16] = hex[(counter >> 18) & 15]
    text[17] = hex[(counter >> 14) & 15]
    text[19] = hex[8 | ((counter >> 12) & 3)]
    text[20] = hex[(counter >> 8) & 15]
    text[21] = hex[(counter >> 4) & 15]
    text[22] = hex[counter & 15]
  }

  private writeTime(): void {
    const digits = this.lastMs.toString(16).padStart(12, '0')
    for (let i = 0; i < 12; i++) this.text[i < 8 ? i : i + 1] = digits.charCodeAt(i)
  }
}

const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/
const noTrace = '0'.repeat(32)

/** The trace id of a W3C traceparent header; a new one if there is none that is valid. */
export function traceIdOf(header: string | undefined): string {
  const found = header === undefined ? undefined : traceparent.exec(header)
  return found && found[1] !== noTrace && !header?.startsWith('ff') ? found[1] : randomBytes(16).toString('hex')
}
