// `millrace groups …`: the declarations; what they do is in commands/groups.ts.
import { type Command, Option } from 'commander'
import type { ResetRequest } from '../serve/contract.ts'
import { examples, guarded, type TargetFlags, target, withTarget } from './commandParts.ts'
import { appErrors } from './errors.ts'
import { collect, wholeNumber } from './topicCommands.ts'

type ResetFlags = TargetFlags & {
  toEarliest?: boolean
  toLatest?: boolean
  toOffset?: string
  toTime?: string
  shiftBy?: string
  topic?: string[]
  partition?: string[]
  execute?: boolean
  dryRun?: boolean
}

/** @throws StreamError OPTION_INVALID */
function placeOf({ toEarliest, toLatest, toOffset, toTime, shiftBy }: ResetFlags): ResetRequest['to'] {
  const places: ResetRequest['to'][] = []
  if (toEarliest) places.push('earliest')
  if (toLatest) places.push('latest')
  if (toOffset !== undefined) places.push({ offset: wholeNumber('--to-offset', toOffset)! })
  if (toTime !== undefined) places.push({ time: toTime })
  if (shiftBy !== undefined) places.push({ shiftBy: wholeNumber('--shift-by', shiftBy, Number.MIN_SAFE_INTEGER)! })
  if (places.length !== 1)
    throw appErrors('OPTION_INVALID', {
      option: 'where to',
      value: `${places.length} places`,
      expected: 'one of --to-earliest, --to-latest, --to-offset, --to-time, --shift-by',
    })
  return places[0]
}

export function addGroupCommands(program: Command): void {
  const groups = program
    .command('groups')
    .description('consumer groups of a running Millrace, and how far behind they are')
    .addHelpText('after', examples('millrace groups\nmillrace groups describe billing'))
  const names = () => groups.commands.map((command) => command.name())

  withTarget(groups.command('list', { isDefault: true }).description('all consumer groups'))
    .addHelpText('after', examples('millrace groups\nmillrace groups list --json'))
    .allowExcessArguments()
    .action(
      guarded(async (flags: TargetFlags, { args: [unknown] }: Command) => {
        if (unknown !== undefined) groups.error(`error: unknown command '${unknown}' (there are ${names().join(', ')})`)
        await (await import('./commands/groups.ts')).listGroups(target(flags), flags.json ?? false)
      }),
    )

  withTarget(groups.command('describe').description('members of a group, and offset, end and lag of each partition').argument('<group>'))
    .addHelpText('after', examples('millrace groups describe billing\nmillrace groups describe billing --json | jq .lag'))
    .action(
      guarded(async (id: string, flags: TargetFlags) =>
        (await import('./commands/groups.ts')).describeGroup(target(flags), id, flags.json ?? false),
      ),
    )

  withTarget(
    groups
      .command('reset')
      .description('sets where a group goes on; shows what it would do, and does it only with --execute')
      .argument('<group>')
      .option('--to-earliest', 'the first record that is kept')
      .option('--to-latest', 'behind the last record')
      .option('--to-offset <number>', 'this offset')
      .option('--to-time <time>', 'the first record at or after this time, as 2026-03-01T12:00:00Z')
      .option('--shift-by <number>', 'so many records from where it is, back if negative')
      .option('--topic <name>', 'only this topic; may be given again (default: all that it has offsets of)', collect)
      .option('--partition <number>', 'only this partition; may be given again', collect)
      .option('--execute', 'do it; the group must have no members')
      .addOption(new Option('--dry-run', 'show what would be done (the default)').conflicts('execute')),
  )
    .addHelpText(
      'after',
      examples(
        `millrace groups reset billing --to-earliest
millrace groups reset billing --to-time 2026-03-01T12:00:00Z --topic orders --execute
millrace groups reset billing --shift-by -100 --topic orders --partition 0 --execute`,
      ),
    )
    .action(
      guarded(async (id: string, flags: ResetFlags) => {
        const request: ResetRequest = {
          to: placeOf(flags),
          ...(flags.topic && { topics: flags.topic }),
          ...(flags.partition && { partitions: flags.partition.map((text) => wholeNumber('--partition', text)!) }),
          execute: flags.execute ?? false,
        }
        await (await import('./commands/groups.ts')).resetGroup(target(flags), id, request, flags.json ?? false)
      }),
    )

  withTarget(groups.command('delete').description('deletes a group without members, and its committed offsets').argument('<group>'))
    .addHelpText('after', examples('millrace groups delete old-billing'))
    .action(
      guarded(async (id: string, flags: TargetFlags) =>
        (await import('./commands/groups.ts')).deleteGroup(target(flags), id, flags.json ?? false),
      ),
    )
}
