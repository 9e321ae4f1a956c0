// millrace backup and millrace restore: a running server takes its backups itself; the command line does it for a data folder that nobody runs on.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { reviveError } from '../../base/index.ts'
import type { BackupInfo, BackupRun, BackupStatus } from '../../serve/contract.ts'
import { backupErrors } from '../backup/errors.ts'
import { listBackups, pruneBackups, readBackup, verifyBackup } from '../backup/repository.ts'
import { restoreBackup } from '../backup/restore.ts'
import { openStopped } from '../backup/source.ts'
import { takeBackup } from '../backup/write.ts'
import { getJson, sendJson, type Target } from '../client.ts'
import { appErrors } from '../errors.ts'
import { byteText, Progress, shareText, tableText, timeText } from '../output.ts'

const POLL_MS = 250

const countOf = (option: string, text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw appErrors('OPTION_INVALID', { option, value: text, expected: 'a whole number from 1 on' })
  return value
}

export interface BackupFlags {
  /** A data folder that nobody runs on; else the server at the target takes the backup. */
  data?: string
  keep?: string
  json: boolean
}

export async function createBackup(target: Target, to: string, { data, keep: keepText, json }: BackupFlags): Promise<void> {
  const folder = resolve(to)
  const keep = keepText === undefined ? undefined : countOf('--keep', keepText)
  const progress = new Progress(!json)
  const show = (doneBytes: number, totalBytes: number) =>
    progress.show(`${byteText(doneBytes)} of ${byteText(totalBytes)}, ${shareText(doneBytes, totalBytes)}`)
  let backup: BackupInfo
  let removed: string[] = []
  if (data === undefined) {
    let run = await sendJson<BackupRun>(target, 'POST', '/v1/backups', { folder, ...(keep !== undefined && { keep }) })
    const { startedMs } = run
    while (run.state === 'running') {
      await sleep(POLL_MS)
      const { run: now } = await getJson<BackupStatus>(target, '/v1/backups')
      if (now?.startedMs !== startedMs) throw backupErrors('BACKUP_FAILED', { folder, reason: 'the server was started anew meanwhile' })
      run = now
      show(run.doneBytes, run.totalBytes)
    }
    progress.clear()
    if (run.state === 'failed' || !run.backup) throw reviveError({ params: {}, code: 'BACKUP_FAILED', message: '', hint: '', ...run.error })
    backup = run.backup
    removed = run.removed ?? []
  } else {
    const { source, close } = openStopped(data)
    try {
      backup = takeBackup(source, folder, ({ doneBytes, totalBytes }) => show(doneBytes, totalBytes))
    } finally {
      progress.clear()
      close()
    }
    if (keep !== undefined && backup.damaged.length === 0) removed = pruneBackups(folder, keep, false).removed
  }
  const { id, createdMs, sizeBytes, copiedBytes, files, damaged } = backup
  if (json) console.log(JSON.stringify({ folder, id, createdMs, sizeBytes, copiedBytes, files, damaged, removed }))
  else {
    console.log(`${id}: ${files} files, ${byteText(sizeBytes)}; ${byteText(copiedBytes)} of it had to be copied.`)
    if (removed.length > 0) console.log(`Removed: ${removed.join(', ')}`)
    console.log(`Restore it with: millrace restore ${to} --data FOLDER`)
    for (const one of damaged) console.error(`damaged: ${one}\n  millrace doctor --repair says what is lost.`)
  }
  if (damaged.length > 0) process.exitCode = 1
}

export function printBackups(folder: string, json: boolean): void {
  const { backups, problems } = listBackups(folder)
  if (json) {
    for (const { id, createdMs, sizeBytes, copiedBytes, files, damaged, version, checkpoints } of backups)
      console.log(JSON.stringify({ id, createdMs, sizeBytes, copiedBytes, files, damaged, version, checkpoints }))
    for (const problem of problems) console.log(JSON.stringify({ problem }))
  } else if (backups.length === 0 && problems.length === 0) console.log('There is no backup yet.')
  else {
    const rows = backups.map(({ id, createdMs, sizeBytes, copiedBytes, files, checkpoints, damaged }) => [
      id,
      timeText(createdMs),
      files,
      byteText(sizeBytes),
      byteText(copiedBytes),
      checkpoints.map(({ job, id: checkpoint }) => `${job} ${checkpoint}`).join(', '),
      damaged.length > 0 ? `${damaged.length} files were damaged` : '',
    ])
    console.log(tableText(['backup', 'taken', 'files', 'size', 'copied', 'checkpoints', ''], rows))
    for (const problem of problems) console.error(problem)
  }
  if (problems.length > 0) process.exitCode = 1
}

export function checkBackups(folder: string, at: string | undefined, json: boolean): void {
  const progress = new Progress(!json)
  const ids = at === undefined ? listBackups(folder).backups.map(({ id }) => id) : [at]
  if (ids.length === 0) readBackup(folder)
  for (const id of ids) {
    const manifest = readBackup(folder, id)
    const problems = verifyBackup(folder, manifest, ({ doneBytes, totalBytes }) =>
      progress.show(`${id}: ${byteText(doneBytes)} of ${byteText(totalBytes)}, ${shareText(doneBytes, totalBytes)}`),
    )
    progress.clear()
    if (json) console.log(JSON.stringify({ id, files: manifest.files.length, sizeBytes: manifest.sizeBytes, problems }))
    else if (problems.length === 0) console.log(`${id}: ${manifest.files.length} files, ${byteText(manifest.sizeBytes)}: all as they were.`)
    else for (const problem of problems) console.error(`${id}: ${problem}`)
    if (problems.length > 0) process.exitCode = 1
  }
}

export function removeBackups(folder: string, { keep, dryRun, json }: { keep: string; dryRun: boolean; json: boolean }): void {
  const report = pruneBackups(resolve(folder), countOf('--keep', keep), dryRun)
  if (json) console.log(JSON.stringify({ ...report, dryRun }))
  else {
    console.log(
      `${dryRun ? 'Would be removed' : 'Removed'}: ${report.removed.join(', ') || 'none'}, which frees ${byteText(report.freedBytes)}.`,
    )
    console.log(`Kept: ${report.kept.join(', ') || 'none'}`)
  }
}

export function restore(folder: string, flags: { data: string; at?: string; force: boolean; json: boolean }): void {
  const progress = new Progress(!flags.json)
  try {
    const report = restoreBackup(folder, flags.data, {
      force: flags.force,
      ...(flags.at !== undefined && { id: flags.at }),
      onProgress: (phase, { doneBytes, totalBytes }) =>
        progress.show(`${phase}: ${byteText(doneBytes)} of ${byteText(totalBytes)}, ${shareText(doneBytes, totalBytes)}`),
    })
    progress.clear()
    const { id, createdMs, dataFolder, files, sizeBytes, movedTo } = report
    if (flags.json) console.log(JSON.stringify(report))
    else console.log(`${dataFolder} is as it was at ${timeText(createdMs)}: backup ${id}, ${files} files, ${byteText(sizeBytes)}.`)
    if (movedTo !== undefined)
      console.log(`What was there is in ${movedTo}; to undo this, move it back. Delete it when you do not need it any more.`)
  } finally {
    progress.clear()
  }
}
