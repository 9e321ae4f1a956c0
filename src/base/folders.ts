// Making folders.
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it; none if it is there.
 *
 * Not Node's `recursive: true`: that never returns where a file system refuses with ENOENT below a folder that exists, as /proc does.
 *
 * @throws Error of the file system: ENOTDIR, EACCES, ENOENT, …
 */
export function makeFolders(folder: string): void {
  const path = resolve(folder)
  const parent = dirname(path)
  if (!existsSync(parent)) makeFolders(parent)
  try {
    mkdirSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(path).isDirectory()) throw error
  }
}
