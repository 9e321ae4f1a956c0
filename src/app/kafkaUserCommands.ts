// `millrace kafka-user …`: the declarations; what they do is in commands/kafkaUsers.ts.
import type { Command } from 'commander'
import { examples, guarded, type TargetFlags, target, withTarget } from './commandParts.ts'

export function addKafkaUserCommands(program: Command): void {
  const users = program
    .command('kafka-user')
    .description('who may log in to the Kafka port of a running Millrace; with the first user, clients have to')
    .addHelpText('after', examples('millrace kafka-user create billing\nmillrace kafka-user list'))

  withTarget(
    users
      .command('create')
      .description('makes a user and shows the password once; of a user who exists, the password changes')
      .argument('<name>')
      .option('--password-stdin', 'read the password from standard input instead of making one'),
  )
    .addHelpText(
      'after',
      examples('millrace kafka-user create billing\nmillrace kafka-user create billing --password-stdin < password.txt'),
    )
    .action(
      guarded(async (name: string, flags: TargetFlags & { passwordStdin?: boolean }) =>
        (await import('./commands/kafkaUsers.ts')).createUser(target(flags), name, flags.passwordStdin ?? false, flags.json ?? false),
      ),
    )

  withTarget(users.command('list').description('users and their SCRAM mechanisms; never the passwords'))
    .addHelpText('after', examples('millrace kafka-user list\nmillrace kafka-user list --json'))
    .action(guarded(async (flags: TargetFlags) => (await import('./commands/kafkaUsers.ts')).listUsers(target(flags), flags.json ?? false)))

  withTarget(users.command('delete').description('ends a user').argument('<name>'))
    .addHelpText('after', examples('millrace kafka-user delete billing'))
    .action(
      guarded(async (name: string, flags: TargetFlags) =>
        (await import('./commands/kafkaUsers.ts')).deleteUser(target(flags), name, flags.json ?? false),
      ),
    )
}
