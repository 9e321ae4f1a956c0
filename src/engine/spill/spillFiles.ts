// State on the disk while a job runs: a file for each state that is moved there, written once, read whole, removed when a newer one is there.
//
// Invariants
//   1. What comes back is what was written, or SPILL_DAMAGED: every 64 KB have two checksums, which stay in memory.
//   2. A file that a checkpoint on its way points to stays until that has settled.
//   3. Nothing of it outlives the process: no sync, and a start removes what it finds. What must survive is in checkpoints.
//   1 and 3 are held by spill.property.test.ts.
import { type Disk, errorCodeOf } from '../../log/index.ts'
import { joinParts, type StatePart, StoredState, splitState, type UnreadState } from '../checkpoints/stateParts.ts'
import { CHUNK_BYTES, checksumsOf, chunksChecksums } from '../checkpoints/stateTracker.ts'
import { beat } from '../progress.ts'
import { spillErrors } from './errors.ts'

export class SpillFiles {
  private readonly disk: Disk
  private readonly folder: string
  private readonly prefix: string
  private fileCount = 0
  private readonly files = new Set<string>()
  /** Not needed any more but by the checkpoint that is on its way; undefined when none is. */
  private released: string[] | undefined
  private isFolderThere = false

  /**
   * @param folder  made with the first file; the one above exists
   * @param prefix  of the files' names, which nobody else uses
   */
  constructor(disk: Disk, folder: string, prefix: string) {
    this.disk = disk
    this.folder = folder
    this.prefix = prefix
  }

  /** @throws StreamError SPILL_FAILED */
  write(state: unknown): StoredState {
    return this.writeParts(splitState(state))
  }

  /** From a checkpoint, part by part. @throws StreamError SPILL_FAILED, CHECKPOINT_DAMAGED */
  copy(state: UnreadState): StoredState {
    return this.writeParts(state.parts.map(({ name, type }) => ({ name, type, bytes: state.read(name) })))
  }

  private writeParts(parts: readonly StatePart[]): StoredState {
    const path = `${this.folder}/${this.prefix}-${++this.fileCount}`
    let file: number | undefined
    try {
      if (!this.isFolderThere) this.makeFolder()
      file = this.disk.open(path, 'create')
      this.files.add(path)
      let position = 0
      const stored = parts.map(({ name, type, bytes }) => {
        const part = { name, type, sizeBytes: bytes.length, position, checksums: chunksChecksums(bytes) }
        position += bytes.length
        return part
      })
      beat()
      this.disk.write(
        file,
        parts.map(({ bytes }) => bytes),
        0,
      )
      return new StoredState(path, stored)
    } catch (error) {
      this.remove(path)
      throw spillErrors('SPILL_FAILED', { path, reason: (error as Error).message }, { cause: error })
    } finally {
      if (file !== undefined) this.disk.close(file)
    }
  }

  private makeFolder(): void {
    try {
      this.disk.makeFolder(this.folder)
    } catch (error) {
      if (errorCodeOf(error) !== 'EEXIST') throw error
    }
    this.isFolderThere = true
  }

  /** @throws StreamError SPILL_DAMAGED */
  read({ path, parts }: StoredState): unknown {
    const damaged = (reason: string, cause?: unknown) => spillErrors('SPILL_DAMAGED', { path, reason }, { cause })
    const byName = new Map(parts.map((part) => [part.name, part]))
    let file: number
    try {
      file = this.disk.open(path, 'read')
    } catch (error) {
      throw damaged((error as Error).message, error)
    }
    try {
      return joinParts(parts, (name) => {
        const { sizeBytes, position, checksums } = byName.get(name)!
        const bytes = new Uint8Array(sizeBytes)
        beat()
        let count: number
        try {
          count = this.disk.read(file, bytes, 0, sizeBytes, position)
        } catch (error) {
          throw damaged((error as Error).message, error)
        }
        if (count < sizeBytes) throw damaged(`it ends at ${position + count}`)
        for (let i = 0; i * CHUNK_BYTES < sizeBytes; i++) {
          const [a, b] = checksumsOf(bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES))
          if (a !== checksums[2 * i] || b !== checksums[2 * i + 1]) throw damaged(`wrong checksum at ${position + i * CHUNK_BYTES}`)
        }
        return bytes
      })
    } finally {
      this.disk.close(file)
    }
  }

  /** It is not needed any more. */
  release({ path }: StoredState): void {
    if (this.released) this.released.push(path)
    else this.remove(path)
  }

  /** From now on a checkpoint points to files. */
  hold(): void {
    this.released ??= []
  }
  /** It is durable, or has failed. */
  settle(): void {
    for (const path of this.released ?? []) this.remove(path)
    this.released = undefined
  }

  close(): void {
    for (const path of this.files) this.remove(path)
  }

  private remove(path: string): void {
    this.files.delete(path)
    ignoreFailure(() => this.disk.unlink(path))
  }
}

/** For clean-up whose failure changes nothing. */
function ignoreFailure(action: () => void): void {
  try {
    action()
  } catch {}
}

/** At the start, before any job: what another process has left behind. */
export function removeSpilled(disk: Disk, folder: string): void {
  let names: string[]
  try {
    names = disk.list(folder)
  } catch {
    return
  }
  for (const name of names) ignoreFailure(() => disk.unlink(`${folder}/${name}`))
}
