// `millrace topics …`: the declarations; what they do is in commands/topics.ts and commands/records.ts.
import { type Command, Option } from 'commander'
import { examples, guarded, interrupted, type TargetFlags, target, withTarget } from './commandParts.ts'
import { appErrors } from './errors.ts'

interface SeekFlags {
  from?: string
  offset?: string
  partition?: string
  where?: string
  select?: string
  decode?: string
}
type ReadFlags = TargetFlags & SeekFlags & { limit: string; follow?: boolean }
type ExportFlags = TargetFlags & SeekFlags & { format: string; limit: string; out?: string }
type ProduceFlags = TargetFlags & { key?: string; header?: string[]; partition?: string; encoding?: string; keySeparator?: string }
type SettingFlags = TargetFlags & { partitions?: string; config?: string[]; reset?: string[] }

/** @throws StreamError OPTION_INVALID */
export function wholeNumber(option: string, text: string | undefined, min = 0): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < min)
    throw appErrors('OPTION_INVALID', { option, value: text, expected: `a whole number from ${min}` })
  return value
}
export const collect = (value: string, all: string[] = []): string[] => [...all, value]

const withSeek = (command: Command): Command =>
  command
    .option('--from <place>', 'oldest, newest, an offset, or a time as 2026-03-01T12:00:00Z (UTC unless it says its zone)')
    .addOption(new Option('--offset <number>', 'the same as --from with an offset').hideHelp())
    .option('--partition <number>', 'only this partition (default: all, in the order of time)')
    .option(
      '--where <condition>',
      "a condition in SQL over the table's columns, _key, _value, _headers, _partition, _offset, _timestamp, _size",
    )
    .option('--select <list>', 'columns in SQL instead of the whole record')
    .addOption(new Option('--decode <as>', 'how values are shown').choices(['auto', 'json', 'text', 'hex']))

/** What the API wants to know of where to begin. @throws StreamError OPTION_INVALID */
function seekOf({ from, offset, partition, where, select, decode }: SeekFlags): Record<string, string> {
  const place = from ?? offset
  const seek: Record<string, string> = {}
  if (place === 'oldest' || place === 'newest') seek.from = place
  else if (place !== undefined && /^\d+$/.test(place)) seek.offset = place
  else if (offset !== undefined) wholeNumber('--offset', offset)
  else if (place !== undefined) seek.time = place
  const number = wholeNumber('--partition', partition)
  if (number !== undefined) seek.partition = String(number)
  return {
    ...seek,
    ...(where !== undefined && { where }),
    ...(select !== undefined && { select }),
    ...(decode !== undefined && { decode }),
  }
}

/** `name=value`, again and again. @throws StreamError OPTION_INVALID */
function pairsOf(option: string, pairs: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw appErrors('OPTION_INVALID', { option, value: pair, expected: 'name=value' })
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

export function addTopicCommands(program: Command): void {
  const topics = program
    .command('topics')
    .description('topics of a running Millrace: what is in them, their settings, their records')
    .addHelpText('after', examples('millrace topics\nmillrace topics read orders --follow\nmillrace topics describe orders'))
  const names = () => topics.commands.map((command) => command.name())

  withTarget(topics.command('list', { isDefault: true }).description('all topics'))
    .addHelpText('after', examples('millrace topics\nmillrace topics list --json'))
    .allowExcessArguments()
    .action(
      guarded(async (flags: TargetFlags, { args: [unknown] }: Command) => {
        // A word that is none of the commands ends up here, because this is the default one.
        if (unknown !== undefined) topics.error(`error: unknown command '${unknown}' (there are ${names().join(', ')})`)
        await (await import('./commands/topics.ts')).listTopics(target(flags), flags.json ?? false)
      }),
    )

  withTarget(topics.command('describe').description('columns, settings, partitions and consumers of a topic').argument('<topic>'))
    .addHelpText('after', examples('millrace topics describe orders\nmillrace topics describe orders --json | jq .partitions'))
    .action(
      guarded(async (name: string, flags: TargetFlags) =>
        (await import('./commands/topics.ts')).describeTopic(target(flags), name, flags.json ?? false),
      ),
    )

  withTarget(
    topics
      .command('create')
      .description('makes a topic; a CREATE TABLE of the project makes its own')
      .argument('<topic>')
      .option('--partitions <number>', 'how many partitions (default 1)')
      .option('--config <name=value>', 'a setting, as retention.ms=86400000; may be given again', collect),
  )
    .addHelpText('after', examples('millrace topics create orders --partitions 4 --config retention.ms=86400000'))
    .action(
      guarded(async (name: string, flags: SettingFlags) => {
        const change = { partitionCount: wholeNumber('--partitions', flags.partitions, 1), config: pairsOf('--config', flags.config) }
        await (await import('./commands/topics.ts')).createTopic(target(flags), name, change, flags.json ?? false)
      }),
    )

  withTarget(
    topics
      .command('alter')
      .description('changes settings of a topic, or gives it more partitions')
      .argument('<topic>')
      .option('--partitions <number>', 'how many partitions: it can only grow')
      .option('--config <name=value>', 'a setting; may be given again', collect)
      .option('--reset <name>', 'sets the default of a setting again; may be given again', collect),
  )
    .addHelpText(
      'after',
      examples('millrace topics alter orders --config retention.ms=3600000\nmillrace topics alter orders --reset retention.ms'),
    )
    .action(
      guarded(async (name: string, flags: SettingFlags) => {
        const defaults = Object.fromEntries((flags.reset ?? []).map((setting) => [setting, null]))
        const change = {
          partitionCount: wholeNumber('--partitions', flags.partitions, 1),
          config: { ...pairsOf('--config', flags.config), ...defaults },
        }
        await (await import('./commands/topics.ts')).alterTopic(target(flags), name, change, flags.json ?? false)
      }),
    )

  withTarget(
    topics
      .command('delete')
      .description('deletes a topic with all its records; there is no way back')
      .argument('<topic>')
      .option('--confirm <topic>', "the topic's name once more; without it you are asked")
      .option('--force', 'also where tables and queries of the project depend on it'),
  )
    .addHelpText('after', examples('millrace topics delete old_orders\nmillrace topics delete old_orders --confirm old_orders'))
    .action(
      guarded(async (name: string, flags: TargetFlags & { confirm?: string; force?: boolean }) =>
        (await import('./commands/topics.ts')).deleteTopic(target(flags), name, flags, flags.json ?? false),
      ),
    )

  withTarget(
    withSeek(
      topics
        .command('read')
        .description('records of a topic: the newest, or from a place on; rejected events are in <topic>.invalid')
        .argument('<topic>')
        .option('--limit <number>', 'how many', '10')
        .option('--follow', 'go on with what arrives'),
    ),
  )
    .addHelpText(
      'after',
      examples(
        `millrace topics read orders
millrace topics read orders --follow --where "amount > 100"
millrace topics read orders --from 2026-03-01T12:00:00Z --limit 100 --json
millrace topics read orders --where "_headers['source'] = 'http'" --select "_offset, id, amount"
millrace topics read orders.invalid --limit 3 --json`,
      ),
    )
    .action(
      guarded(async (name: string, flags: ReadFlags) => {
        const { readTopic } = await import('./commands/records.ts')
        const limit = wholeNumber('--limit', flags.limit, 1) ?? 10
        await readTopic(
          target(flags),
          name,
          { seek: seekOf(flags), limit, follow: flags.follow ?? false },
          flags.json ?? false,
          interrupted(),
        )
      }),
    )

  withTarget(
    topics
      .command('produce')
      .description('appends records as a Kafka client would, past the checks of the front door')
      .argument('<topic>')
      .argument('[value]', 'the value; without it, each line of standard input is one')
      .option('--key <text>', 'the key')
      .option('--key-separator <text>', 'standard input: the key is what stands before it in a line')
      .option('--header <name=value>', 'a header; may be given again', collect)
      .option('--partition <number>', 'where to (default: by the key)')
      .addOption(new Option('--encoding <as>', 'of keys and values').choices(['text', 'hex', 'base64'])),
  )
    .addHelpText(
      'after',
      examples(
        `millrace topics produce orders '{"id":1,"amount":9.5}' --key 1 --header source=shell
millrace topics produce orders --key-separator : < lines.txt
millrace topics export orders --select _value --format csv | tail -n +2 | millrace topics produce copy`,
      ),
    )
    .action(
      guarded(async (name: string, value: string | undefined, flags: ProduceFlags) => {
        const { produce } = await import('./commands/records.ts')
        const common = {
          headers: pairsOf('--header', flags.header),
          partition: wholeNumber('--partition', flags.partition),
          encoding: flags.encoding as 'text' | undefined,
        }
        await produce(target(flags), name, { value, key: flags.key, keySeparator: flags.keySeparator, common }, flags.json ?? false)
      }),
    )

  withTarget(
    withSeek(
      topics
        .command('export')
        .description('records as NDJSON or CSV, oldest first unless --from newest, to standard output or a file')
        .argument('<topic>')
        .addOption(new Option('--format <as>', 'of the lines').choices(['ndjson', 'csv']).default('ndjson'))
        .option('--limit <number>', 'how many at most, up to 1000000', '100000')
        .option('--out <file>', 'where to (default: standard output)'),
    ),
  )
    .addHelpText(
      'after',
      examples(
        `millrace topics export orders > orders.ndjson
millrace topics export orders --format csv --select "id, amount" --where "amount > 100" --out orders.csv`,
      ),
    )
    .action(
      guarded(async (name: string, flags: ExportFlags) => {
        const { exportTopic } = await import('./commands/records.ts')
        const limit = wholeNumber('--limit', flags.limit, 1) ?? 100_000
        const query = { ...seekOf(flags), format: flags.format, limit: String(limit) }
        await exportTopic(target(flags), name, { query, limit, out: flags.out }, flags.json ?? false)
      }),
    )

  withTarget(
    topics
      .command('stats')
      .description('unique keys, null shares, sizes, times and lateness of the newest records')
      .argument('<topic>')
      .option('--sample <number>', 'how many of the newest records are looked at', '100000'),
  )
    .addHelpText('after', examples('millrace topics stats orders\nmillrace topics stats orders --sample 1000000 --json'))
    .action(
      guarded(async (name: string, flags: TargetFlags & { sample: string }) => {
        const sample = wholeNumber('--sample', flags.sample, 1) ?? 100_000
        await (await import('./commands/topics.ts')).printStatistics(target(flags), name, sample, flags.json ?? false)
      }),
    )
}
