// Small files that are replaced as a whole: one line of JSON with its checksum in front, as `topic.json`.
//
// Invariants
//   1. After a crash either the old or the new content is there, whole.
//   2. What comes back is what was written, or LOG_METADATA_DAMAGED.
import { isStreamError, type StreamError } from '../base/index.ts'
import { crc32c } from './crc32c.ts'
import { type Disk, errorCodeOf } from './disk.ts'
import { logErrors } from './errors.ts'

const CHECKSUM_CHARACTERS = 8
const checksumOf = (bytes: Uint8Array): string => crc32c(bytes).toString(16).padStart(CHECKSUM_CHARACTERS, '0')

export function checkedLine(value: unknown): Uint8Array {
  const body = Buffer.from(JSON.stringify(value))
  return Buffer.concat([Buffer.from(`${checksumOf(body)} `), body, Buffer.from('\n')])
}

/** @throws LOG_METADATA_DAMAGED; the disk's error, ENOENT if there is no such file */
export function readLine<T>(disk: Disk, path: string): T {
  const bytes = readFile(disk, path)
  const fail = (reason: string) => logErrors('LOG_METADATA_DAMAGED', { path, reason })
  if (bytes.length < CHECKSUM_CHARACTERS + 2 || bytes[CHECKSUM_CHARACTERS] !== 0x20 || bytes.at(-1) !== 0x0a)
    throw fail('it is not one line with a checksum')
  const body = bytes.subarray(CHECKSUM_CHARACTERS + 1, -1)
  const expected = new TextDecoder().decode(bytes.subarray(0, CHECKSUM_CHARACTERS))
  const actual = checksumOf(body)
  if (actual !== expected) throw fail(`its checksum is ${actual}, not ${expected}`)
  return JSON.parse(new TextDecoder().decode(body)) as T
}

export function readFile(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path, 'read')
  try {
    const bytes = new Uint8Array(disk.size(file))
    return bytes.subarray(0, disk.read(file, bytes, 0, bytes.length, 0))
  } finally {
    disk.close(file)
  }
}

/** What the disk refuses so often is damage. */
const READ_ATTEMPTS = 3

/**
 * Reads what can be done without, or has an older one, where it is damaged. What is damaged the disk refuses (EIO) each time; that the system
 * has no handle or memory, or gives no permission, says nothing of the bytes.
 *
 * @throws `unreadable` of what the system says; of damage, what `read` throws
 */
export function readAgain<T>(read: () => T, unreadable: (error: unknown) => StreamError): T {
  for (let attempt = 1; ; attempt++) {
    try {
      return read()
    } catch (error) {
      const code = errorCodeOf(error)
      if (isStreamError(error) || code === 'ENOENT') throw error
      if (code !== 'EIO') throw unreadable(error)
      if (attempt === READ_ATTEMPTS) throw error
    }
  }
}

/** Writes a whole file, and syncs it. */
export function writeFile(disk: Disk, path: string, content: Uint8Array[]): void {
  const file = disk.open(path, 'create')
  try {
    disk.truncate(file, 0)
    disk.write(file, content, 0)
    disk.sync(file)
  } finally {
    disk.close(file)
  }
}

/** Puts a file in place, durably: written beside, synced, renamed, and its folder synced. */
export function replaceFile(disk: Disk, folder: string, name: string, content: Uint8Array): void {
  const temporary = `${folder}/${name}.new`
  writeFile(disk, temporary, [content])
  disk.rename(temporary, `${folder}/${name}`)
  disk.syncFolder(folder)
}
