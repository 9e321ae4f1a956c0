// Files of a project that a person changes over the API: each is there whole or not at all, also after a crash.
//
// Invariant: what is written beside them has a name that no editor and no person gives, so that what a crash left can be removed unseen.
import { globSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const PREFIX = '.millrace-'
const SUFFIX = '.new'

/** Replaces a file: written beside, synced, renamed. */
export function writeWhole(path: string, text: string): void {
  const temporary = join(dirname(path), PREFIX + basename(path) + SUFFIX)
  try {
    writeFileSync(temporary, text, { flush: true })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** Removes what a crash left of `writeWhole`. In a folder that cannot be written it stays. */
export function removeUnfinished(folder: string): void {
  for (const name of globSync(`${PREFIX}*${SUFFIX}`, { cwd: folder })) {
    try {
      rmSync(join(folder, name))
    } catch {
      // Nobody reads it.
    }
  }
}
