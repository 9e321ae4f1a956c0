// One process per data folder: the file `lock` says who it is. A lock whose process is gone (kill -9, power cut) is taken over.
//
// Invariants
//   1. A lock is made by `link`, whole or not at all, and only one of several processes can make it.
//   2. A stale lock is replaced only by the holder of a second lock named after the stale one's token, and only if it is still there:
//      so two processes that find the same stale lock cannot both take it.
//   3. A process is known by its id and, on Linux, the boot and the moment it started: in containers the ids repeat. One that was killed and
//      that its parent has not asked about (a zombie, in a container without an init for ever) holds nothing.
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeFolders } from '../base/index.ts'
import { errorCodeOf, ignoreFailure, ignoreMissing } from './disk.ts'
import { logErrors } from './errors.ts'

interface Holder {
  pid: number
  /** What tells this process from another with the same id; empty where the system does not say. */
  started: string
  token: string
}

const heldTokens = new Set<string>()

/**
 * Makes the data folder if it is missing and takes its lock.
 *
 * @returns  lets the folder go
 * @throws   DATA_FOLDER_LOCKED, DATA_FOLDER_NOT_WRITABLE
 */
export function lockFolder(folder: string): () => void {
  const path = join(resolve(folder), 'lock')
  try {
    makeFolders(folder)
    const holder = acquire(path, folder)
    heldTokens.add(holder.token)
    return () => {
      heldTokens.delete(holder.token)
      if (readHolder(path)?.token === holder.token) ignoreMissing(() => unlinkSync(path))
    }
  } catch (error) {
    const code = errorCodeOf(error)
    if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error
    throw logErrors('DATA_FOLDER_NOT_WRITABLE', { folder, reason: (error as Error).message }, { cause: error })
  }
}

function acquire(path: string, folder: string): Holder {
  const mine: Holder = { pid: process.pid, started: startOf(process.pid) ?? '', token: randomUUID() }
  const temporary = `${path}.${mine.token}.new`
  writeFileSync(temporary, JSON.stringify(mine))
  try {
    // Each turn ends in our lock, in an error, or finds that the lock changed meanwhile.
    for (;;) {
      try {
        linkSync(temporary, path)
        return mine
      } catch (error) {
        if (errorCodeOf(error) !== 'EEXIST') throw error
      }
      const other = readHolder(path)
      if (other === undefined) continue
      if (isAlive(other)) throw logErrors('DATA_FOLDER_LOCKED', { folder, pid: other.pid })
      const takeover = `${path}.${other.token}`
      acquire(takeover, folder)
      try {
        if (readHolder(path)?.token !== other.token) continue
        renameSync(temporary, path)
        return mine
      } finally {
        unlinkSync(takeover)
      }
    }
  } finally {
    ignoreFailure(() => unlinkSync(temporary))
  }
}

/** Who holds the lock; undefined if nobody does. A file that says nothing sensible is a stale lock. */
function readHolder(path: string): Holder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const { pid, started, token } = JSON.parse(text)
    if (Number.isInteger(pid) && typeof started === 'string' && /^[0-9a-f-]{36}$/.test(token)) return { pid, started, token }
  } catch {}
  return { pid: 0, started: '', token: 'unreadable' }
}

function isAlive(holder: Holder): boolean {
  if (holder.pid <= 0) return false
  const started = startOf(holder.pid)
  if (started === 'dead') return false
  if (started !== undefined && holder.started !== '') return started === holder.started
  if (holder.pid === process.pid) return heldTokens.has(holder.token)
  try {
    process.kill(holder.pid, 0)
    return true
  } catch (error) {
    return errorCodeOf(error) === 'EPERM'
  }
}

/** The boot and the clock tick at which a process started, or that it is dead; undefined where /proc does not say (macOS, or the process is gone). */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    // The name before it may hold spaces and brackets: count from the last bracket. Field 22 of proc(5).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return /^[ZXx]$/.test(fields[0]) ? 'dead' : `${boot} ${fields[19]}`
  } catch {
    return undefined
  }
}
