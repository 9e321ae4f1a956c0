// Declares `millrace backup` and `millrace restore`.
import type { Command } from 'commander'
import { examples, guarded, json, type TargetFlags, target, token, url } from './commandParts.ts'

export function addBackupCommands(program: Command): void {
  const backup = program
    .command('backup')
    .description('copies of the data folder: topics, checkpoints, users; consistent while it is in use, each with only what is new')
    .addHelpText('after', examples('millrace backup /backups/shop\nmillrace backup list /backups/shop'))
  backup
    .command('create', { isDefault: true })
    .description('takes a backup (`millrace backup FOLDER` does the same)')
    .argument('<folder>', 'where backups are kept, on the machine of the server')
    .option('--data <folder>', 'back up this data folder, on which nobody runs, instead of asking a running Millrace')
    .option('--keep <number>', 'then remove all but so many newest backups')
    .addOption(url())
    .addOption(token())
    .addOption(json())
    .addHelpText(
      'after',
      `${examples('millrace backup /backups/shop\nmillrace backup /backups/shop --keep 7 --json\nmillrace backup /backups/shop --data shop/.millrace')}\n\nThe exit code is 1 if something was damaged already when it was copied.`,
    )
    .action(
      guarded(async (folder: string, flags: TargetFlags & { data?: string; keep?: string }) =>
        (await import('./commands/backup.ts')).createBackup(target(flags), folder, { ...flags, json: flags.json ?? false }),
      ),
    )
  backup
    .command('list')
    .description('the backups in a folder, oldest first')
    .argument('<folder>')
    .addOption(json())
    .addHelpText('after', examples('millrace backup list /backups/shop'))
    .action(
      guarded(async (folder: string, flags: { json?: boolean }) =>
        (await import('./commands/backup.ts')).printBackups(folder, flags.json ?? false),
      ),
    )
  backup
    .command('verify')
    .description('reads every byte of the backups in a folder, and compares the checksums')
    .argument('<folder>')
    .option('--at <id>', 'of this backup only')
    .addOption(json())
    .addHelpText(
      'after',
      `${examples('millrace backup verify /backups/shop\nmillrace backup verify /backups/shop --at 20260301T120000')}\n\nThe exit code is 1 if a file differs.`,
    )
    .action(
      guarded(async (folder: string, flags: { at?: string; json?: boolean }) =>
        (await import('./commands/backup.ts')).checkBackups(folder, flags.at, flags.json ?? false),
      ),
    )
  backup
    .command('prune')
    .description('removes all but the newest backups of a folder')
    .argument('<folder>')
    .requiredOption('--keep <number>', 'how many stay')
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .addOption(json())
    .addHelpText('after', examples('millrace backup prune /backups/shop --keep 7 --dry-run\nmillrace backup prune /backups/shop --keep 7'))
    .action(
      guarded(async (folder: string, flags: { keep: string; dryRun?: boolean; json?: boolean }) =>
        (await import('./commands/backup.ts')).removeBackups(folder, {
          keep: flags.keep,
          dryRun: flags.dryRun ?? false,
          json: flags.json ?? false,
        }),
      ),
    )

  program
    .command('restore')
    .description('makes a data folder from a backup; all of the backup is checked before anything is touched')
    .argument('<folder>', 'where the backups are')
    .option('--data <folder>', 'the data folder: new or empty, and nobody runs on it', '.millrace')
    .option('--at <id>', 'this backup instead of the newest')
    .option('--list', 'list the backups, and restore nothing')
    .option('--force', 'the data folder need not be empty: what is there is moved aside, into before-restore-… in it')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        'millrace restore /backups/shop --list\nmillrace restore /backups/shop --data shop/.millrace\nmillrace restore /backups/shop --data shop/.millrace --at 20260301T120000 --force',
      ),
    )
    .action(
      guarded(async (folder: string, flags: { data: string; at?: string; list?: boolean; force?: boolean; json?: boolean }) => {
        const { printBackups, restore } = await import('./commands/backup.ts')
        if (flags.list) printBackups(folder, flags.json ?? false)
        else restore(folder, { ...flags, force: flags.force ?? false, json: flags.json ?? false })
      }),
    )
}
