// Errors of backups and restoring.
import { defineErrors, spec } from '../../base/index.ts'

export const backupErrors = defineErrors({
  BACKUP_FOLDER_STRANGE: spec<{ folder: string; name: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.folder}" holds something else: ${p.name}`,
    hint: () => 'Give a new or empty folder, or one that holds backups of this data folder.',
  }),
  BACKUP_FOLDER_UNKNOWN: spec<{ folder: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `"${p.folder}" holds no backup`,
    hint: () => 'Make one with `millrace backup FOLDER`.',
  }),
  BACKUP_FOLDER_RELATIVE: spec<{ folder: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.folder}" is no absolute path`,
    hint: () => 'Give the path from the root of the machine that Millrace runs on, outside of its data folder.',
  }),
  BACKUP_NOT_FOUND: spec<{ folder: string; id: string; ids: string[] }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `"${p.folder}" has no backup ${p.id}`,
    hint: (p) => (p.ids.length > 0 ? `It has ${p.ids.slice(-5).join(', ')}.` : 'Make one with `millrace backup FOLDER`.'),
  }),
  BACKUP_FORMAT: spec<{ path: string; format: number; known: number }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.path} has version ${p.format} of the format; this Millrace knows up to ${p.known}`,
    hint: () => 'Use the version of Millrace that made it, or a newer one.',
  }),
  BACKUP_DAMAGED: spec<{ id: string; problems: string[] }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the backup ${p.id} is damaged: ${p.problems.slice(0, 3).join('; ')}${p.problems.length > 3 ? ' …' : ''}`,
    hint: () =>
      'Take another: `millrace backup list FOLDER`. A stored file that you delete is copied again by the next backup, if the data folder still has it.',
  }),
  BACKUP_BUSY: spec<{ reason: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'later',
    message: (p) => `no backup can be taken now: ${p.reason}`,
    hint: () => 'Try again when it is done; GET /v1/backups says how far it is.',
  }),
  BACKUP_SOURCE_MISSING: spec<{ folder: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.folder}" cannot be backed up: ${p.reason}`,
    hint: () => 'Give the data folder of a Millrace that does not run with --data, or the address of one that does with --url.',
  }),
  BACKUP_FAILED: spec<{ folder: string; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'later',
    message: (p) => `the backup into "${p.folder}" failed: ${p.reason}`,
    hint: () => 'Nothing of it counts; older backups are as they were. What it has copied already need not be copied again.',
  }),
  RESTORE_NOT_EMPTY: spec<{ folder: string; names: string[] }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `"${p.folder}" is not empty: it has ${p.names.slice(0, 5).join(', ')}`,
    hint: () =>
      'Give an empty folder with --data, or --force: what is there is then moved aside, into before-restore-… in the same folder.',
  }),
})
