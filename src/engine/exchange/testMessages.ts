// Messages whose content says who sent them, and as the how manieth.
import type { Message } from './links.ts'

export interface Received {
  count: number
}

export function makeMessage(from: number, number: number, size: number): Uint8Array {
  const words = new Int32Array(size / 4)
  for (let i = 0; i < words.length; i++) words[i] = from * 1_000_003 + number * 31 + i
  words[0] = size
  return new Uint8Array(words.buffer)
}

/** Counts the message. @throws Error where it is not the sender's next one, whole */
export function verified({ from, buffer }: Message, received: Received): void {
  const size = new Int32Array(buffer)[0]
  const expected = makeMessage(from, received.count, size)
  if (Buffer.compare(new Uint8Array(buffer, 0, size), expected) !== 0) throw new Error(`message ${received.count} of ${from} is damaged`)
  received.count++
}
