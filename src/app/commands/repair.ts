// millrace doctor --repair: reads every byte of a data folder, says what is damaged and lost, and mends it.
//
//   segments     whole batches stay, the rest comes from a backup or is replaced by empty batches over the same offsets (log/inspect.ts)
//   topic.json   from its copy or from a backup
//   checkpoints  from a backup; else the start takes the older one by itself, so there is nothing to do
//   savepoints   from a backup; else one that is damaged cannot be used
import { closeSync, copyFileSync, existsSync, openSync, readSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { makeFolders, toStreamError } from '../../base/index.ts'
import { CheckpointStore, verifyCheckpoint } from '../../engine/index.ts'
import {
  type DamagedRange,
  damagedTopics,
  ignoreFailure,
  inspectLog,
  lockFolder,
  readFile,
  realDisk,
  redoJournal,
  replaceFile,
  type SpareBytes,
} from '../../log/index.ts'
import { backupIds, checkContent, contentPath, readBackup, type StoredFile } from '../backup/repository.ts'
import { byteText, Progress, timeText } from '../output.ts'

export interface RepairOptions {
  dryRun: boolean
  fromBackup?: string
  json: boolean
}

/** A file beside the log that is damaged. */
interface DamagedFile {
  what: 'topic' | 'checkpoint' | 'savepoint'
  path: string
  reason: string
  /** restored: a backup has it. mended: made again from its copy. passed: the start uses `fallback` instead. left: nothing can be done here. */
  remedy: 'restored' | 'mended' | 'passed' | 'left'
  /** What is used instead, for people. */
  fallback?: string
}

/** What the backups in a folder have, newest first, read only when asked for. */
class Spares {
  private readonly folder: string
  private readonly byPath = new Map<string, StoredFile[]>()

  constructor(folder: string) {
    this.folder = folder
    for (const id of backupIds(folder).toReversed()) {
      for (const file of readBackup(folder, id).files) {
        const known = this.byPath.get(file.path)
        if (!known) this.byPath.set(file.path, [file])
        else if (!known.some(({ sha256 }) => sha256 === file.sha256)) known.push(file)
      }
    }
  }

  /** Versions of a file whose bytes are those that were backed up. */
  *versions(path: string): Generator<{ stored: string; sizeBytes: number }> {
    for (const file of this.byPath.get(path) ?? []) {
      const stored = contentPath(this.folder, file.sha256)
      if (checkContent(stored, file) === undefined) yield { stored, sizeBytes: file.sizeBytes }
    }
  }
}

export function repair(dataFolder: string, { dryRun, fromBackup, json }: RepairOptions): void {
  const unlock = dryRun ? () => {} : lockFolder(dataFolder)
  const progress = new Progress(!json)
  try {
    // As each start does it: else what a crash has left in the journal would seem lost, or come over what is repaired.
    if (!dryRun) redoJournal(realDisk, dataFolder)
    else ignoreFailure(() => redoStopped(dataFolder))
    const spares = fromBackup === undefined ? undefined : new Spares(fromBackup)
    const store = new CheckpointStore(dataFolder)
    const files = [...repairTopics(dataFolder, spares, dryRun), ...repairStates(dataFolder, store, spares, dryRun)]
    let readBytes = 0
    const ranges = inspectLog(dataFolder, {
      repairs: !dryRun,
      ...(spares && { spare: spareBytes(dataFolder, spares) }),
      onProgress: ({ bytes }) => progress.show(`${byteText((readBytes += bytes))} of the log read`),
    })
    progress.clear()
    report(dataFolder, files, ranges, { dryRun, json, readBytes, ...(fromBackup && { fromBackup }) })
    // What the start does by itself is no problem that is left.
    const isToDo = dryRun && (ranges.length > 0 || files.some(({ remedy }) => remedy === 'restored'))
    if (isToDo || files.some(({ remedy }) => remedy === 'left')) process.exitCode = 1
  } finally {
    progress.clear()
    unlock()
  }
}

/** @throws DATA_FOLDER_LOCKED: somebody runs on it, and then the files have all */
function redoStopped(dataFolder: string): void {
  const unlock = lockFolder(dataFolder)
  try {
    redoJournal(realDisk, dataFolder)
  } finally {
    unlock()
  }
}

const spareBytes =
  (dataFolder: string, spares: Spares): SpareBytes =>
  (path, position, endPosition) => {
    for (const { stored, sizeBytes } of spares.versions(relative(dataFolder, path))) {
      const end = Math.min(endPosition, sizeBytes)
      if (end <= position || (endPosition < Number.MAX_SAFE_INTEGER && end < endPosition)) continue
      const bytes = Buffer.alloc(end - position)
      const file = openSync(stored, 'r')
      try {
        return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, position))
      } finally {
        closeSync(file)
      }
    }
    return undefined
  }

/** Puts a version of a file in its place, durably, by one rename; a copy of the old one stays beside. */
function putBack(dataFolder: string, path: string, stored: string): void {
  const target = join(dataFolder, path)
  makeFolders(dirname(target))
  if (existsSync(target)) copyFileSync(target, `${target}.damaged`)
  replaceFile(realDisk, dirname(target), path.slice(path.lastIndexOf('/') + 1), readFile(realDisk, stored))
}

function repairTopics(dataFolder: string, spares: Spares | undefined, dryRun: boolean): DamagedFile[] {
  return damagedTopics(realDisk, dataFolder).map(({ path, reason, hasCopy }) => {
    const found: DamagedFile = { what: 'topic', path: join(dataFolder, path), reason, remedy: hasCopy ? 'mended' : 'left' }
    // The start does that by itself.
    if (hasCopy) return { ...found, fallback: 'its copy' }
    const spare = spares?.versions(path).next().value
    if (!spare) return found
    if (!dryRun) putBack(dataFolder, path, spare.stored)
    return { ...found, remedy: 'restored' }
  })
}

function repairStates(dataFolder: string, store: CheckpointStore, spares: Spares | undefined, dryRun: boolean): DamagedFile[] {
  const problemOf = (folder: string, id: number): string | undefined => {
    try {
      verifyCheckpoint(store, folder, store.read(folder, id))
      return undefined
    } catch (error) {
      return toStreamError(error).message
    }
  }
  const roots = [
    { what: 'checkpoint' as const, root: store.checkpointsFolder },
    ...store.savepoints().map((name) => ({ what: 'savepoint' as const, root: `${store.savepointsFolder}/${name}` })),
  ]
  const found: DamagedFile[] = []
  for (const { what, root } of roots) {
    for (const job of store.jobs(root)) {
      const folder = `${root}/${job}`
      const ids = store.ids(folder)
      const damaged = ids.flatMap((id) => ({ id, reason: problemOf(folder, id) })).filter(({ reason }) => reason !== undefined)
      for (const { id, reason = '' } of damaged) {
        const path = `${folder}/chk-${id}`
        const isRestored = spares !== undefined && restoreState(dataFolder, folder, id, spares, dryRun)
        const older = ids.toReversed().find((other) => other < id && !damaged.some((one) => one.id === other))
        const newer = ids.some((other) => other > id && !damaged.some((one) => one.id === other))
        const fallback = newer ? 'a newer one' : older !== undefined ? `checkpoint ${older}` : 'none: the queries begin anew'
        const remedy = isRestored ? 'restored' : what === 'checkpoint' ? 'passed' : 'left'
        found.push({ what, path, reason, remedy, ...(!isRestored && what === 'checkpoint' && { fallback }) })
      }
    }
  }
  return found
}

/** Takes the files of a checkpoint from the backups. Whether that makes it whole is tried in a folder of its own first. */
function restoreState(dataFolder: string, folder: string, id: number, spares: Spares, dryRun: boolean): boolean {
  const names = [`chk-${id}`]
  const sources = new Map<string, string>()
  const take = (name: string): boolean => {
    const path = relative(dataFolder, join(folder, name))
    const spare = spares.versions(path).next().value
    if (spare) sources.set(path, spare.stored)
    return spare !== undefined
  }
  const disk = {
    ...realDisk,
    open: (path: string, mode: 'read' | 'create') => realDisk.open(sources.get(relative(dataFolder, path)) ?? path, mode),
  }
  const trial = new CheckpointStore(dataFolder, disk)
  try {
    try {
      trial.read(folder, id)
    } catch {
      if (!take(names[0])) return false
    }
    const manifest = trial.read(folder, id)
    try {
      verifyCheckpoint(trial, folder, manifest)
    } catch {
      for (const file of Object.keys(manifest.dataBytes)) take(`data-${file}`)
      verifyCheckpoint(trial, folder, manifest)
    }
  } catch {
    return false
  }
  if (!dryRun) for (const [path, stored] of sources) putBack(dataFolder, path, stored)
  return true
}

const times = ({ fromMs, toMs }: DamagedRange): string =>
  toMs === undefined && fromMs === undefined ? '' : `, event times about ${timeText(fromMs ?? toMs)} to ${timeText(toMs ?? fromMs)}`

function rangeText(range: DamagedRange, dryRun: boolean): string {
  const { topic, partition, path, position, endPosition, firstOffset, nextOffset, reason, remedy } = range
  const place = `${topic}/${partition} offsets ${firstOffset} to ${nextOffset - 1}`
  const where = `  ${path} bytes ${position} to ${endPosition}: ${reason}`
  const what = {
    healed: 'nothing is lost: only offsets that the log itself has set were damaged',
    restored: `nothing is lost: the backup has these bytes, and their checksum fits`,
    lost: `up to ${nextOffset - firstOffset} records are lost${times(range)}`,
  }[remedy]
  const next =
    remedy === 'lost'
      ? `${dryRun ? 'would be' : 'are'} replaced by an empty batch over the same offsets: readers go on behind it`
      : `${dryRun ? 'would be' : 'are'} written again`
  return `✗ ${place}: ${what}\n${where}\n  The bytes ${next}.`
}

function report(
  dataFolder: string,
  files: DamagedFile[],
  ranges: DamagedRange[],
  { dryRun, json, readBytes, fromBackup }: RepairOptions & { readBytes: number },
): void {
  if (json) {
    for (const file of files) console.log(JSON.stringify(file))
    for (const range of ranges) console.log(JSON.stringify({ what: 'segment', ...range, records: range.nextOffset - range.firstOffset }))
    console.log(JSON.stringify({ dataFolder, dryRun, damaged: files.length + ranges.length, readBytes }))
    return
  }
  if (files.length + ranges.length === 0) {
    console.log(`${dataFolder}: ${byteText(readBytes)} of the log, and all checkpoints and savepoints: nothing is damaged.`)
    return
  }
  const remedies = {
    restored: `${dryRun ? 'would be' : 'is'} taken from the backup`,
    mended: 'is made again from its copy by the next start',
    passed: 'the next start uses',
    left: 'nothing here can mend it; a backup might: --from-backup FOLDER',
  }
  for (const { what, path, reason, remedy, fallback } of files)
    console.log(`✗ ${what} ${path}: ${reason}\n  ${remedies[remedy]}${remedy === 'passed' ? ` ${fallback}` : ''}`)
  for (const range of ranges) console.log(rangeText(range, dryRun))
  const isLost = ranges.some(({ remedy }) => remedy === 'lost')
  if (dryRun) {
    console.log('\nNothing was changed. Stop Millrace, then add --no-dry-run to do this; files that are replaced stay beside, as ….damaged')
    if (isLost && fromBackup === undefined) console.log('If you have a backup, add --from-backup FOLDER first: what it has is not lost.')
  } else console.log('\nDone. The files that were replaced are beside, as ….damaged: delete them when you do not need them any more.')
}
