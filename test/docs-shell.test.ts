// The commands of README.md and of the pages in docs/, as a reader would type them one after the other, in one folder with one server.
//
// A command is a line of a fence that is `sh` or has no language, if it begins with a program that is ours or that talks to us. Each either runs
// here (its exit code is 0, or the one below, and what the page shows behind it as `# …` is what it prints), or stands below with the reason why not.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startServer, until } from './harness.ts'

const root = resolve(import.meta.dirname, '..')
const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: root }).sort()]

/** What does not run here, by how it begins, and why. */
const leftOut: [begins: string, reason: string][] = [
  ['npm start', 'installs and builds: test/prepare.test.ts'],
  ['npm run sim', 'minutes: test/sim'],
  ['test/compat/servers', 'a real Flink: .ci/run'],
  ['kcat', 'may not be here: test/compat'],
  ['alias millrace', 'the shell of this test has it'],
  ['node scripts/millrace.mjs dev shop', 'the server of this test is it'],
  ['millrace start', 'runs until it is stopped: test/checkpoints.test.ts, test/config.test.ts'],
  ['millrace verify', 'minutes: test/verify.test.ts'],
  ['millrace backup /backups/shop --data', 'nobody may run on the folder: test/backup.test.ts'],
  ['millrace restore', 'nobody may run on the folder: test/backup.test.ts'],
  ['millrace doctor --repair', 'nobody may run on the folder: test/repair.test.ts'],
]
const exitCodes: [begins: string, code: number][] = [['millrace diff', 1]]
/** A live table has its rows a moment after the events. */
const comesLater = /^curl .*\/v1\/tables\//

interface Command {
  page: string
  line: number
  text: string
  shows: string[]
}

/** A quote that is open at the end of a line goes on in the next. */
const isOpen = (text: string): boolean => (text.replace(/#.*$/gm, '').match(/'/g)?.length ?? 0) % 2 === 1

function commandsOf(page: string): Command[] {
  const commands: Command[] = []
  let fence: string | undefined
  for (const [i, line] of readFileSync(join(root, page), 'utf8').split('\n').entries()) {
    const mark = /^```(.*)$/.exec(line)
    const last = commands.at(-1)
    if (mark) fence = fence === undefined ? mark[1] : undefined
    else if (fence !== '' && fence !== 'sh') continue
    else if (last && isOpen(last.text)) last.text += `\n${line}`
    else if (line.startsWith('# ')) last?.shows.push(line.slice(2))
    else if (/^(millrace|npm|node|curl|kcat|alias|test\/compat\/\S+\.sh) /.test(line))
      commands.push({ page, line: i + 1, text: line.replace(/ +# .*$/, ''), shows: [] })
  }
  return commands
}

const revenue = 'CREATE MATERIALIZED TABLE totals AS SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer;\n'

test('the commands of the pages run, and print what the pages say', { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-shell-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const { execPath } = process
  let url = ''
  const sh = async (text: string): Promise<{ code: number; stdout: string; stderr: string }> => {
    const own = text
      .replaceAll('node scripts/millrace.mjs', 'millrace')
      .replaceAll('http://127.0.0.1:7070', url)
      .replaceAll('/backups/shop', join(folder, 'backups'))
    const script = `millrace() { '${execPath}' --disable-warning=ExperimentalWarning '${root}/src/app/main.ts' "$@"; }\n${own}`
    const env = { ...process.env, MILLRACE_URL: url }
    return promisify(execFile)('bash', ['-c', script], { cwd: folder, env }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    )
  }

  assert.equal((await sh('millrace init shop')).code, 0)
  writeFileSync(join(folder, 'shop/pipelines/totals.sql'), revenue)
  const posted = /```sql\n(.*?)```/s.exec(readFileSync(join(root, 'docs/events.md'), 'utf8'))![1]
  writeFileSync(join(folder, 'shop/pipelines/posted.sql'), posted)
  mkdirSync(join(folder, 'new'))
  writeFileSync(join(folder, 'new/totals.sql'), revenue.replace('GROUP', 'WHERE amount > 10 GROUP'))
  symlinkSync(join(folder, 'shop/.millrace'), join(folder, '.millrace'))
  const data = join(folder, 'shop/.millrace')
  url = (await startServer(t, join(folder, 'shop'), ['--kafka-port', '0', '--data', data], 'dev')).ready.url

  const commands = pages.flatMap(commandsOf)
  const wrong: string[] = []
  const unused = new Set(leftOut.map(([begins]) => begins))
  let runs = 0
  for (const { page, line, text, shows } of commands) {
    const left = leftOut.find(([begins]) => text.startsWith(begins))
    if (left) {
      unused.delete(left[0])
      continue
    }
    if (text === 'node scripts/millrace.mjs init shop') continue // done, above
    const expected = exitCodes.find(([begins]) => text.startsWith(begins))?.[1] ?? 0
    let result = await sh(text)
    if (comesLater.test(text)) await until(async () => (result = await sh(text)).stdout.includes('"ana"'), text)
    runs++
    if (result.code !== expected)
      wrong.push(`${page}:${line}: ${text}\n  exit code ${result.code} instead of ${expected}: ${result.stdout}${result.stderr}`)
    for (const shown of shows)
      if (!result.stdout.includes(shown)) wrong.push(`${page}:${line}: ${text}\n  shows ${shown}\n  prints ${result.stdout}`)
  }
  assert.equal(wrong.join('\n'), '')
  assert.deepEqual([...unused], [], 'reasons for commands that no page has')
  assert.ok(runs >= 20, `only ${runs} of ${commands.length} commands ran`)
})
