// A project's SQL files as the console edits them: read with a version, replaced as a whole, taken up at once.
//
// Invariants
//   1. A file is only replaced by one who has seen it: the version is a hash of its text.
//   2. A file is there whole or not at all, also after a crash: see wholeFile.ts.
//   3. No name leaves the project's folder.
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { type ApplyReport, bindProject, type JobManager, projectFolder, readProjectFiles, type SqlFile } from '../jobs/index.ts'
import type { Workspace } from '../serve/index.ts'
import { appErrors } from './errors.ts'
import { removeUnfinished, writeWhole } from './wholeFile.ts'

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.sql$/
const versionOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

/** @param onApplied  is told what a change started and stopped */
export function projectFiles(
  folder: string,
  jobs: JobManager,
  timeZone: string,
  onApplied: (report: ApplyReport) => void = () => {},
): NonNullable<Workspace['files']> {
  removeUnfinished(join(folder, projectFolder(folder)))
  /** One change at a time: a version is checked and the file replaced without anybody in between. */
  let turn: Promise<unknown> = Promise.resolve()

  async function write(
    name: string,
    text: string | null,
    { version, dryRun, by }: { version: string | null; dryRun: boolean; by: string },
  ): Promise<ApplyReport> {
    if (!namePattern.test(name)) throw appErrors('PROJECT_FILE_NAME', { name })
    const sub = projectFolder(folder)
    const path = join(sub, name)
    const before = readProjectFiles(folder)
    const present = before.find((file) => file.name === path)
    const presentVersion = present ? versionOf(present.text) : null
    if (presentVersion !== version) throw appErrors('PROJECT_FILE_CHANGED', { name, version: presentVersion ?? 'none' })
    const others = before.filter((file) => file !== present)
    if (text === null && others.length === 0) throw appErrors('PROJECT_FILE_LAST', { name })
    const after: SqlFile[] =
      text === null ? others : [...others, { name: path, text, folder: resolve(folder) }].sort((a, b) => (a.name < b.name ? -1 : 1))
    if (dryRun) return jobs.preview(bindProject(after, timeZone))
    const target = join(folder, path)
    if (text === null) rmSync(target, { force: true })
    else writeWhole(target, text)
    const report = await jobs.apply(bindProject(readProjectFiles(folder), timeZone), by)
    onApplied(report)
    return report
  }

  return {
    list() {
      const files = readProjectFiles(folder)
      const { queries } = bindProject(files)
      return files.map(({ name, text }) => ({
        name: basename(name),
        text,
        version: versionOf(text),
        queries: queries.filter(({ file }) => file === name).map(({ id }) => id),
      }))
    },
    write(name, text, options) {
      const report = turn.then(() => write(name, text, options))
      turn = report.catch(() => {})
      return report
    },
  }
}
