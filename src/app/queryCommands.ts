// `millrace queries …`: the declarations; what they do is in commands/queries.ts.
import type { Command } from 'commander'
import { examples, guarded, type TargetFlags, target, withTarget } from './commandParts.ts'

export function addQueryCommands(program: Command): void {
  const queries = program
    .command('queries')
    .description('queries of a running Millrace: how they do, what they remember, their settings; stop, start and rescale')
    .addHelpText('after', examples('millrace queries\nmillrace queries state revenue\nmillrace queries stop revenue'))
  const names = () => queries.commands.map((command) => command.name())

  withTarget(queries.command('list', { isDefault: true }).description('all queries: rates, watermark, state, restarts, last checkpoint'))
    .addHelpText('after', examples('millrace queries\nmillrace queries list --json | jq .watermarkMs'))
    .allowExcessArguments()
    .action(
      guarded(async (flags: TargetFlags, { args: [unknown] }: Command) => {
        if (unknown !== undefined) queries.error(`error: unknown command '${unknown}' (there are ${names().join(', ')})`)
        await (await import('./commands/queries.ts')).listQueries(target(flags), flags.json ?? false)
      }),
    )

  withTarget(
    queries
      .command('config')
      .description('what a query uses and is set to: each setting with its value, where that comes from, and what a change of it does')
      .argument('<query>', 'its id, or the table that it writes to')
      .option('--changed', 'only what somebody has said'),
  )
    .addHelpText('after', examples('millrace queries config revenue\nmillrace queries config revenue --changed --json | jq .settings'))
    .action(
      guarded(async (id: string, flags: TargetFlags & { changed?: boolean }) =>
        (await import('./commands/config.ts')).printQueryConfig(target(flags), id, {
          changed: flags.changed ?? false,
          json: flags.json ?? false,
        }),
      ),
    )

  withTarget(
    queries
      .command('state')
      .description('what a running query remembers: its operators; the first keys of one of them, or one key')
      .argument('<query>', 'its id, or the table that it writes to')
      .argument('[operator]', 'its id, or its kind where the query has one of it')
      .option(
        '--key <key>',
        'one key: column=value, repeated for several columns, or a JSON object of them',
        (text: string, before: string[]) => [...before, text],
        [] as string[],
      )
      .option('--limit <count>', 'keys of each table, or rows of the key: 20 unless given', Number),
  )
    .addHelpText(
      'after',
      examples(
        `millrace queries state revenue
millrace queries state revenue windowAggregate
millrace queries state revenue 4 --key user=42
millrace queries state revenue 4 --key '{"user":42,"city":null}' --json`,
      ),
    )
    .action(
      guarded(async (id: string, operator: string | undefined, flags: TargetFlags & { key: string[]; limit?: number }) =>
        (await import('./commands/queryState.ts')).printState(target(flags), id, operator, flags),
      ),
    )

  withTarget(
    queries
      .command('stop')
      .description('takes a checkpoint and stops a query; it stays so until it is started, and its rows stay readable')
      .argument('<query>', 'its id, or the table that it writes to')
      .option('--savepoint <name>', 'takes this savepoint, of all queries, before it'),
  )
    .addHelpText('after', examples('millrace queries stop revenue\nmillrace queries stop revenue --savepoint before-upgrade'))
    .action(
      guarded(async (id: string, flags: TargetFlags & { savepoint?: string }) =>
        (await import('./commands/queries.ts')).stopQuery(target(flags), id, { savepoint: flags.savepoint, json: flags.json ?? false }),
      ),
    )

  withTarget(
    queries
      .command('start')
      .description('starts a query that is stopped or has failed, from its checkpoint')
      .argument('<query>', 'its id, or the table that it writes to')
      .option(
        '--without-state',
        'begin anew, also one that runs: a table is computed again from the beginning of its topics; what an INSERT wrote is written once more',
      )
      .option('--savepoint <name>', 'takes this savepoint, of all queries, before it: the way back'),
  )
    .addHelpText(
      'after',
      examples('millrace queries start revenue\nmillrace queries start revenue --without-state --savepoint before-anew'),
    )
    .action(
      guarded(async (id: string, flags: TargetFlags & { withoutState?: boolean; savepoint?: string }) =>
        (await import('./commands/queries.ts')).startQuery(target(flags), id, {
          withoutState: flags.withoutState ?? false,
          savepoint: flags.savepoint,
          json: flags.json ?? false,
        }),
      ),
    )

  withTarget(
    queries
      .command('rescale')
      .description('has a query run in another number of threads, from its checkpoint and over restarts')
      .argument('<query>', 'its id, or the table that it writes to')
      .argument('[threads]', 'as the project says, unless given'),
  )
    .addHelpText('after', examples('millrace queries rescale revenue 2\nmillrace queries rescale revenue'))
    .action(
      guarded(async (id: string, threads: string | undefined, flags: TargetFlags) =>
        (await import('./commands/queries.ts')).rescaleQuery(
          target(flags),
          id,
          threads === undefined ? undefined : Number(threads),
          flags.json ?? false,
        ),
      ),
    )
}
