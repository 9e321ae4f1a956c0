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
  for (const missing of [...missingFolders(dirname(path)), path]) {
    try {
      mkdirSync(missing)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(missing).isDirectory()) throw error
    }
  }
}

/**
 * Folders on the way to `path` that are not there, the uppermost first; with the root itself where that is a drive that does not exist.
 *
 * @param parentOf  of a root it is the root
 */
export function missingFolders(
  path: string,
  // Declared, so that the package's types need none of Node's.
  exists: (path: string) => boolean = existsSync,
  parentOf: (path: string) => string = dirname,
): string[] {
  const missing: string[] = []
  for (let one = path; !exists(one); one = parentOf(one)) {
    missing.unshift(one)
    if (parentOf(one) === one) break
  }
  return missing
}
