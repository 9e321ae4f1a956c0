// The command `millrace`. Each command loads what it needs and no more: --help answers at once.
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { addBackupCommands } from './backupCommands.ts'
import { examples, guarded, interrupted, json, type TargetFlags, target, token, url } from './commandParts.ts'
import type { SimulateFlags } from './commands/simulate.ts'
import type { StateOptions } from './commands/state.ts'
import type { VerifyFlags } from './commands/verify.ts'
import { type Flags, loadConfig } from './config.ts'
import { addGroupCommands } from './groupCommands.ts'
import { addKafkaUserCommands } from './kafkaUserCommands.ts'
import { addQueryCommands } from './queryCommands.ts'
import { addTopicCommands } from './topicCommands.ts'
import { version } from './version.ts'

const program = new Command('millrace')
  .description('Flink SQL in one Node process: events in over HTTP, live tables out.')
  .version(version)
  .showHelpAfterError('(run with --help to see the options and examples)')
  .configureHelp({ sortSubcommands: false })

/** As with `diff`: 1 says that something differs. */
const DIFF_FAILED = 2

type RunFlags = Flags & { speed?: string; keep?: boolean }
const withServerOptions = (command: Command): Command =>
  command
    .option('--port <number>', 'port to listen on; 0 picks a free one (default 7070)')
    .option('--kafka-port <number>', 'port for Kafka clients; 0 picks a free one, none opens none (default 9092, if it is free)')
    .option('--kafka-bootstrap <addresses>', 'host:port,…: a real Kafka is the log, instead of files in the data folder')
    .option('--kafka-tls-cert <file>', 'certificate in PEM, with its chain: the Kafka port then speaks TLS')
    .option('--kafka-tls-key <file>', 'the private key of the certificate, in PEM')
    .option('--kafka-tls-ca <file>', 'who signs the certificates of clients, in PEM: clients of the Kafka port then show one')
    .option('--kafka-tls-client-auth <mode>', 'none, requested or required (default with --kafka-tls-ca)')
    .option('--host <address>', 'address to listen on (default 127.0.0.1); any other needs a token or --insecure')
    .option('--data <folder>', 'where the log is kept (default .millrace in the project)')
    .option('--workers <number>', 'engine threads (default: one less than there are cores)')
    .option(
      '--memory <size>',
      'for state of queries, live tables and buffers, such as 2gb; state beyond it goes to the disk (default: half of what there is)',
    )
    .option('--durability <mode>', 'fsync: an acknowledgement means on disk (default); os: in the page cache, as Kafka does')
    .option('--insecure', 'listen beyond loopback without tokens: anybody who can connect may read and write')
    .addOption(json())

withServerOptions(program.command('demo').description('start with the demo: real edits of Wikipedia, replayed'))
  .option('--speed <factor>', 'seconds of event time for each second', '200')
  .option('--keep', 'go on with the data of the last time instead of starting anew')
  .addHelpText('after', examples('millrace demo\nmillrace demo --speed 1000 --port 8080'))
  .action(
    guarded(async (flags: RunFlags) => {
      const { serve } = await import('./commands/serve.ts')
      const { replayDemo } = await import('./commands/demo.ts')
      const folder = resolve(import.meta.dirname, '../../demo')
      const config = await loadConfig(folder, flags, true)
      // The replay begins at the first edit again: what an earlier one left behind would make all of it late.
      await serve(config, {
        watch: false,
        fresh: !flags.keep,
        beside: (platform, signal) => replayDemo(platform, Number(flags.speed), signal),
      })
    }),
  )

program
  .command('init')
  .description('makes a project: a SQL file, a test of it, events to send')
  .argument('[folder]', 'where; it is made if it is not there', '.')
  .addOption(json())
  .addHelpText('after', examples('millrace init shop\nmillrace dev shop'))
  .action(
    guarded(async (folder: string, flags: { json?: boolean }) => {
      const { initProject } = await import('./commands/init.ts')
      initProject(folder, { json: flags.json ?? false })
    }),
  )

withServerOptions(
  program.command('dev').description('start a project and take up each edit of its SQL files').argument('[folder]', 'the project', '.'),
)
  .addHelpText('after', examples('millrace dev\nmillrace dev examples/weblog --port 8080'))
  .action(
    guarded(async (folder: string, flags: RunFlags) => {
      const { serve } = await import('./commands/serve.ts')
      // Who edits sees what an edit drops; nothing is to be asked.
      await serve(await loadConfig(folder, flags), { watch: true, allowsDroppedState: true })
    }),
  )

withServerOptions(program.command('start').description('start a project').argument('[folder]', 'the project', '.'))
  .option('--from-savepoint <name>', 'queries go on from this savepoint instead of their newest checkpoints')
  .option('--allow-dropped-state', 'changed queries go on although some of their state fits nowhere any more')
  .addHelpText(
    'after',
    examples(
      'millrace start shop --port 0 --data /var/lib/millrace --json\nmillrace start shop --from-savepoint before-upgrade\nmillrace start shop --allow-dropped-state',
    ),
  )
  .action(
    guarded(async (folder: string, flags: RunFlags & { fromSavepoint?: string; allowDroppedState?: boolean }) => {
      const { serve } = await import('./commands/serve.ts')
      const { fromSavepoint: savepoint, allowDroppedState: allowsDroppedState } = flags
      await serve(await loadConfig(folder, flags), { watch: false, savepoint, allowsDroppedState })
    }),
  )

program
  .command('sql')
  .description('run a statement over what a running Millrace holds; without one, a prompt')
  .argument('[statement]', 'SELECT, SHOW, DESCRIBE or EXPLAIN; several with ";" between them')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText(
    'after',
    examples(
      `millrace sql "SHOW TABLES"\nmillrace sql "SELECT channel, COUNT(*) AS edits FROM edits GROUP BY channel"\nmillrace sql < statements.sql`,
    ),
  )
  .action(
    guarded(async (statement: string | undefined, flags: TargetFlags) => {
      const { promptSql, runSql } = await import('./commands/sql.ts')
      if (statement === undefined) await promptSql(target(flags), flags.json ?? false)
      else await runSql(target(flags), statement, flags.json ?? false)
    }),
  )

program
  .command('why')
  .description('why a query puts out nothing, or when its next row comes: watermarks, open windows, late and dropped rows')
  .argument('<query>', 'a query, or the table that it writes to')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace why channel_5min\nmillrace why channel_5min --json | jq .findings'))
  .action(
    guarded(async (query: string, flags: TargetFlags) =>
      (await import('./commands/why.ts')).printWhy(target(flags), query, flags.json ?? false),
    ),
  )

program
  .command('explain')
  .description('the plan of a running query with what flows through it now: rates, selectivity, state, time, watermarks, sample rows')
  .argument('<query>', 'a query, or the table that it writes to; the plan of a statement: millrace sql "EXPLAIN …"')
  .option('--seconds <number>', 'how long to look', '1')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace explain top_pages\nmillrace explain top_pages --seconds 10 --json | jq .nodes'))
  .action(
    guarded(async (query: string, flags: TargetFlags & { seconds: string }) => {
      const { explainLive } = await import('./commands/explain.ts')
      await explainLive(target(flags), query, { seconds: flags.seconds, json: flags.json ?? false })
    }),
  )

program
  .command('diff')
  .description('a changed SQL file beside what runs: both over the same records, row by row, with the first record that makes a difference')
  .argument('<file>', 'its text takes the place of the file of that name in the running project')
  .option('--since <time>', '30m, 2h, 1d, a point in time, or earliest', '1h')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText(
    'after',
    `${examples('millrace diff pipelines/revenue.sql\nmillrace diff new/revenue.sql --since 2h\nmillrace diff revenue.sql --since earliest --json | jq .queries[0].first')}\n\nThe exit code is 0 if every row is the same, 1 if one differs, 2 if they could not be compared.`,
  )
  .action(
    guarded(
      async (file: string, flags: TargetFlags & { since: string }) =>
        (await import('./commands/diff.ts')).diffFile(target(flags), file, { since: flags.since, json: flags.json ?? false }),
      DIFF_FAILED,
    ),
  )
  // Wrong use, too, is no answer.
  .exitOverride(({ exitCode }) => process.exit(exitCode && DIFF_FAILED))

program
  .command('promote')
  .description('puts a SQL file in the place of that of the running project, and takes it up')
  .argument('<file>', 'the file of this name in the project is replaced; a new one is added')
  .option('--dry-run', 'say what would start, stay and stop, and change nothing')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace promote new/revenue.sql --dry-run\nmillrace promote new/revenue.sql'))
  .action(
    guarded(async (file: string, flags: TargetFlags & { dryRun?: boolean }) =>
      (await import('./commands/diff.ts')).promoteFile(target(flags), file, { dryRun: flags.dryRun ?? false, json: flags.json ?? false }),
    ),
  )

program
  .command('history')
  .description('texts that a query has had, its starts and where they went on from, its failures')
  .argument('<query>', 'a query, or the table that it writes to; also one that does not run any more')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace history totals\nmillrace history totals --json | jq .versions[0].sql'))
  .action(
    guarded(async (query: string, flags: TargetFlags) =>
      (await import('./commands/history.ts')).printHistory(target(flags), query, flags.json ?? false),
    ),
  )

program
  .command('rollback')
  .description('puts the file in place in which a query had an earlier version, and takes it up')
  .argument('<query>', 'a query, or the table that it writes to')
  .requiredOption('--to <version>', 'as `millrace history` lists them')
  .option('--dry-run', 'say what would start, stay and stop, and change nothing')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace rollback totals --to 3 --dry-run\nmillrace rollback totals --to 3'))
  .action(
    guarded(async (query: string, flags: TargetFlags & { to: string; dryRun?: boolean }) =>
      (await import('./commands/history.ts')).rollBack(target(flags), query, {
        to: flags.to,
        dryRun: flags.dryRun ?? false,
        json: flags.json ?? false,
      }),
    ),
  )

const verify = program
  .command('verify')
  .description('checks of a project that take their time')
  .addHelpText('after', examples('millrace verify exactly-once shop'))
verify
  .command('exactly-once')
  .description('kills copies of the project again and again, at random and inside of checkpoints, and compares with a run without a crash')
  .argument('[folder]', 'the project', '.')
  .option('--kills <number>', 'how often', '20')
  .option('--seed <number>', 'of when and where', '1')
  .option('--at <points>', 'where, in turn: random; in a checkpoint: disk,cut; in a commit: durable,settled (default: all of them)')
  .option('--max <number>', 'records of each topic that are taken from the running Millrace', '5000')
  .option('--events <folder>', 'events from <topic>.ndjson files there instead')
  .option('--out <file>', 'the certificate (default: certificates/ in the project)')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText(
    'after',
    `${examples('millrace verify exactly-once shop\nmillrace verify exactly-once shop --kills 100 --seed 7\nmillrace verify exactly-once shop --at cut,durable\nmillrace verify exactly-once shop --events recorded --out certificate.json')}\n\nThe exit code is 1 if a row is lost or double. Where results differ it says whether they do so without a crash, too.`,
  )
  .action(
    guarded(async (folder: string, flags: TargetFlags & Omit<VerifyFlags, 'json'>) =>
      (await import('./commands/verify.ts')).verifyCommand(folder, target(flags), { ...flags, json: flags.json ?? false }),
    ),
  )

program
  .command('test')
  .description('golden files of a project: events in, rows out; as written, with a crash before every row, and in other batchings')
  .argument('[files...]', 'files and folders; of a project its tests/*.test (default: the project here)')
  .option('--update', 'rewrite what files that differ expect with what came: the difference is the review')
  .addOption(json())
  .addHelpText(
    'after',
    `${examples('millrace test\nmillrace test shop\nmillrace test tests/sessions.test --update\nmillrace test --json')}\n\nThe exit code is 1 if a file differs, 2 if one cannot be read or there is none.`,
  )
  .action(
    guarded(async (files: string[], flags: { update?: boolean; json?: boolean }) =>
      (await import('./commands/test.ts')).runTests(files, { update: flags.update ?? false, json: flags.json ?? false }),
    ),
  )

withServerOptions(
  program
    .command('config')
    .description('what the process is set to, and where each value comes from: flags, environment, millrace.config.ts, defaults')
    .argument('[folder]', 'what `millrace start` of this project would take; without it the running Millrace is asked'),
)
  .option('--changed', 'only what somebody has said')
  .addOption(url())
  .addOption(token())
  .addHelpText('after', examples('millrace config\nmillrace config --changed\nmillrace config shop --port 8080 --json'))
  .action(
    guarded(async (folder: string | undefined, flags: Flags & TargetFlags & { changed?: boolean }) => {
      const { printConfig } = await import('./commands/config.ts')
      const local = folder === undefined ? undefined : await loadConfig(folder, flags)
      await printConfig(target(flags), local, { changed: flags.changed ?? false, json: flags.json ?? false })
    }),
  )

addTopicCommands(program)
addGroupCommands(program)
addQueryCommands(program)
addKafkaUserCommands(program)

program
  .command('simulate')
  .description('endless events of a made-up website, with late, duplicate and malformed ones, and the truth about them')
  .argument('<what>', 'website')
  .option('--topic <name>', 'topic to post to', 'website_events')
  .option('--out <file>', 'write events to a file instead of posting them; - is standard output')
  .option('--truth <file>', 'where the ground truth goes', 'website-truth.ndjson')
  .option('--seed <number>', 'the same seed gives the same events', '1')
  .option('--start <time>', 'event time of the first event, as 2026-03-01T00:00:00Z (default: now)')
  .option('--rate <number>', 'mean events per second of event time', '50')
  .option('--speed <factor>', 'seconds of event time for each second; max is as fast as it goes', '1')
  .option('--events <number>', 'end after so many')
  .option('--late <share>', 'share of events that arrive a second or more late', '0.06')
  .option('--duplicates <share>', 'share of events that are sent twice', '0.0075')
  .option('--malformed <share>', 'share of events that are broken', '0.002')
  .option('--bots <share>', "share of events that are robots'", '0.2')
  .option('--anomalies <number>', 'labelled anomalies per simulated day', '1.5')
  .option('--clocks-ahead', 'wrong clocks may also be a day ahead: one such event moves the watermark by a day')
  .option('--ddl', 'print the CREATE TABLE that reads the events, and end')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText(
    'after',
    examples(
      'millrace simulate website --ddl > shop/pipelines/website.sql\nmillrace simulate website --speed 60\nmillrace simulate website --speed max --events 100000 --out events.ndjson --truth truth.ndjson',
    ),
  )
  .action(
    guarded(async (what: string, flags: SimulateFlags & TargetFlags) => {
      const { simulate } = await import('./commands/simulate.ts')
      await simulate(what, flags, target(flags), interrupted())
    }),
  )

program
  .command('state')
  .description('what checkpoints hold: operators of a query, rows, bytes and some keys; without a query, all checkpoints')
  .argument('[query]', 'a query, or the table that it writes to')
  .option('--data <folder>', 'the data folder; it may be in use', '.millrace')
  .option('--savepoint <name>', 'look into this savepoint instead')
  .option('--checkpoint <id>', 'look into this checkpoint instead of the newest')
  .option('--verify', 'read every byte and check its checksums', false)
  .addOption(json())
  .addHelpText('after', examples('millrace state\nmillrace state channel_5min --json\nmillrace state --verify --data /var/lib/millrace'))
  .action(
    guarded(async (query: string | undefined, { json: asJson = false, ...flags }: Omit<StateOptions, 'json'> & { json?: boolean }) =>
      (await import('./commands/state.ts')).showState(query, { ...flags, json: asJson }),
    ),
  )

const savepoints = program
  .command('savepoint')
  .description('named copies of all state: to go back to, before an upgrade or a risky edit')
  .addHelpText('after', examples('millrace savepoint create before-upgrade\nmillrace savepoint list'))
savepoints
  .command('create')
  .description('takes one, while the queries go on')
  .argument('<name>')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace savepoint create before-upgrade\nmillrace start shop --from-savepoint before-upgrade'))
  .action(
    guarded(async (name: string, flags: TargetFlags) =>
      (await import('./commands/savepoint.ts')).createSavepoint(target(flags), name, flags.json ?? false),
    ),
  )
savepoints
  .command('list')
  .description('all savepoints')
  .option('--data <folder>', 'those in this data folder, instead of asking a running Millrace')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText('after', examples('millrace savepoint list\nmillrace savepoint list --data shop/.millrace'))
  .action(
    guarded(async (flags: TargetFlags & { data?: string }) =>
      (await import('./commands/savepoint.ts')).listSavepoints(target(flags), flags.data, flags.json ?? false),
    ),
  )
savepoints
  .command('delete')
  .description('deletes one; there is no way back')
  .argument('<name>')
  .option('--data <folder>', 'in this data folder, on which nobody runs, instead of asking a running Millrace')
  .addOption(url())
  .addOption(token())
  .addOption(json())
  .addHelpText(
    'after',
    examples('millrace savepoint delete before-upgrade\nmillrace savepoint delete before-upgrade --data shop/.millrace'),
  )
  .action(
    guarded(async (name: string, flags: TargetFlags & { data?: string }) =>
      (await import('./commands/savepoint.ts')).deleteSavepoint(target(flags), name, flags.data, flags.json ?? false),
    ),
  )

addBackupCommands(program)

program
  .command('doctor')
  .description('looks at what usually goes wrong: Node, disk, port, project')
  .argument('[folder]', 'the project', '.')
  .option('--data <folder>', 'the data folder to look at')
  .option('--port <number>', 'the port to look at')
  .option('--repair', 'look at every byte of the data folder: what is damaged, what of it is lost, and what would be done about it')
  .option('--no-dry-run', 'with --repair: do it; nobody may run on the data folder')
  .option('--from-backup <folder>', 'with --repair: take damaged files from the backups there, if their checksums fit')
  .addOption(json())
  .addHelpText(
    'after',
    `${examples('millrace doctor\nmillrace doctor shop --data /var/lib/millrace\nmillrace doctor --repair\nmillrace doctor --repair --from-backup /backups/shop --no-dry-run')}\n\nThe exit code is 1 if there is a problem that is left.`,
  )
  .action(
    guarded(async (folder: string, flags: Flags & { repair?: boolean; dryRun: boolean; fromBackup?: string }) => {
      if (flags.repair) {
        const { repair } = await import('./commands/repair.ts')
        const { dataFolder } = await loadConfig(folder, flags)
        repair(dataFolder, { dryRun: flags.dryRun, json: flags.json ?? false, ...(flags.fromBackup && { fromBackup: flags.fromBackup }) })
        return
      }
      const { findingText, runDoctor } = await import('./commands/doctor.ts')
      const findings = await runDoctor(await loadConfig(folder, flags))
      for (const finding of findings) console.log(flags.json ? JSON.stringify(finding) : findingText(finding))
      if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1
    }),
  )

const tokens = program
  .command('token')
  .description('access tokens: needed to listen beyond loopback')
  .addHelpText('after', examples('millrace token create --role writer --name "web shop"\nmillrace token list'))
const dataOption = () => new Option('--data <folder>', 'the data folder').default('.millrace')
tokens
  .command('create')
  .description('makes a token and shows it once')
  .requiredOption('--role <role>', 'reader, writer or admin')
  .option('--name <text>', 'what it is for', '')
  .addOption(dataOption())
  .addOption(json())
  .addHelpText('after', examples('millrace token create --role writer --name "web shop"'))
  .action(
    guarded(async (flags: { role: string; name: string; data: string; json?: boolean }) =>
      (await import('./commands/token.ts')).create(flags),
    ),
  )
tokens
  .command('list')
  .description('ids, names and roles; never the tokens')
  .addOption(dataOption())
  .addOption(json())
  .action(guarded(async (flags: { data: string; json?: boolean }) => (await import('./commands/token.ts')).list(flags)))
tokens
  .command('revoke')
  .description('ends a token')
  .argument('<id>')
  .addOption(dataOption())
  .addOption(json())
  .action(guarded(async (id: string, flags: { data: string; json?: boolean }) => (await import('./commands/token.ts')).revoke(id, flags)))

await program.parseAsync()
