// What a connection has received: bytes are read into blocks, and whole frames are handed out as views of them.
//
// A new buffer for each read, and another for each frame that came in two, is what made V8 collect the whole heap two or three times a second
// under a producer of 45 MB/s: a quarter of all CPU time.
//
// Invariants
//   1. A frame's bytes stay until it is released; then its block is used again, by this connection or another.
//   2. Room is made as bytes arrive: a frame's length alone allocates nothing.
//   3. A block has BLOCK_BYTES_MAX at most, or as much as the one frame takes that does not fit; an idle connection begins with BLOCK_BYTES_MIN.
import type { BufferPool } from '../base/index.ts'

const BLOCK_BYTES_MIN = 8 * 1024
const BLOCK_BYTES_MAX = 128 * 1024
/** Less room is not worth a call of the system. */
const ROOM_BYTES_MIN = 4 * 1024

interface Block {
  bytes: Buffer
  /** Frames of it that are not released. */
  frames: number
}

export interface Frame {
  bytes: Buffer
  release(): void
}

export class FrameInput {
  private readonly pool: BufferPool
  private block: Block = { bytes: Buffer.alloc(0), frames: 0 }
  /** What was received and not taken is from `start` to `end`. */
  private start = 0
  private end = 0

  constructor(pool: BufferPool) {
    this.pool = pool
  }

  /** Bytes that were received and not taken. */
  get sizeBytes(): number {
    return this.end - this.start
  }

  /** Where the next bytes are to be read to; `received` says how many came. */
  room(): Buffer {
    const { block, sizeBytes } = this
    const { length } = block.bytes
    if (sizeBytes === 0 && block.frames === 0) this.start = this.end = 0
    const isTooLarge = sizeBytes === 0 && length > BLOCK_BYTES_MAX
    if (length - this.end < ROOM_BYTES_MIN || isTooLarge) {
      // Twice what was too little: a connection that sends much soon has large blocks.
      const wanted = Math.min(BLOCK_BYTES_MAX, Math.max(BLOCK_BYTES_MIN, length * 2))
      const taken = this.pool.take(Math.max(wanted, sizeBytes * 2))
      const bytes = Buffer.from(taken.buffer, taken.byteOffset, taken.length)
      block.bytes.copy(bytes, 0, this.start, this.end)
      this.block = { bytes, frames: 0 }
      this.start = 0
      this.end = sizeBytes
      if (block.frames === 0) this.pool.give(block.bytes)
    }
    return this.block.bytes.subarray(this.end)
  }

  received(sizeBytes: number): void {
    this.end += sizeBytes
  }

  /** Looks at what comes next; at least `at + 4` bytes must be there. */
  int32(at: number): number {
    return this.block.bytes.readInt32BE(this.start + at)
  }
  int16(at: number): number {
    return this.block.bytes.readInt16BE(this.start + at)
  }

  /** Takes the next bytes without the first `headBytes` of them. */
  take(sizeBytes: number, headBytes: number): Frame {
    const { block } = this
    const bytes = block.bytes.subarray(this.start + headBytes, this.start + sizeBytes)
    this.start += sizeBytes
    block.frames++
    const release = () => {
      if (--block.frames === 0 && block !== this.block) this.pool.give(block.bytes)
    }
    return { bytes, release }
  }
}
