// millrace test: the golden files of a project, each played in every mode. Exit code 1 if any differs, 2 if one cannot be read or there is none.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { globSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { reviveError } from '../../base/index.ts'
import { type GoldenOutcome, reportOf } from '../../engine/golden/index.ts'
import { appErrors } from '../errors.ts'
import { errorText, failureOf } from '../output.ts'
import type { FromTest, TestOrder } from '../testChild.ts'

export interface TestOptions {
  update: boolean
  json: boolean
}

export async function runTests(names: readonly string[], { update, json }: TestOptions): Promise<void> {
  const player = new Player()
  const startedMs = performance.now()
  const counts = { passed: 0, failed: 0, unreadable: 0 }
  const files: string[] = []
  const unreadable = (file: string, error: unknown) => {
    counts.unreadable++
    const failure = failureOf(error)
    if (json) console.log(JSON.stringify({ file, error: failure.toJSON() }))
    else console.log(`✗ ${file}: ${errorText(failure).replace(`${resolve(file)}:`, 'line ')}\n`)
  }
  for (const name of names.length > 0 ? names : ['.'])
    try {
      files.push(...goldenFilesOf(name))
    } catch (error) {
      unreadable(name, error)
    }
  for (const path of files) {
    const file = relative(process.cwd(), path)
    try {
      const { outcome, isChanged } = await player.play({ path, update })
      counts[outcome.passed ? 'passed' : 'failed']++
      if (json) console.log(jsonLine(file, outcome))
      else console.log(outcomeText(file, outcome, isChanged))
    } catch (error) {
      unreadable(file, error)
    }
  }
  player.close()
  if (json) console.log(JSON.stringify(counts))
  else if (files.length + counts.unreadable === 0)
    console.log(
      'There is no test here. Write tests/NAME.test (events in, rows out: docs/golden-files.md); `millrace init FOLDER` makes a project with one.',
    )
  else
    console.log(
      `${counts.passed} passed, ${counts.failed} failed${counts.unreadable > 0 ? `, ${counts.unreadable} unreadable` : ''} in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`,
    )
  process.exitCode = counts.unreadable > 0 || files.length === 0 ? 2 : counts.failed > 0 ? 1 : 0
}

/** A file; of a project, the files in `tests`; of another folder, those in it and below. */
function goldenFilesOf(name: string): string[] {
  const path = resolve(name)
  if (!statSync(path).isDirectory()) return [path]
  const tests = join(path, 'tests')
  const folder = statSync(tests, { throwIfNoEntry: false })?.isDirectory() ? tests : path
  return globSync('**/*.test', { cwd: folder, exclude: (entry) => entry === 'node_modules' })
    .sort()
    .map((file) => join(folder, file))
}

/** Plays files in a process of its own, which may end with one of them: the next one is played in another. */
class Player {
  private child: ChildProcess | undefined

  /** @throws StreamError what is wrong with the file; TEST_ENDED */
  async play(order: TestOrder): Promise<{ outcome: GoldenOutcome; isChanged: boolean }> {
    this.child ??= fork(new URL('../testChild.ts', import.meta.url), { serialization: 'advanced' })
    const { child } = this
    const over = new AbortController()
    const { signal } = over
    child.send(order)
    const answer = await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message as FromTest),
      once(child, 'exit', { signal }).then(() => undefined),
    ]).finally(() => over.abort())
    if (answer === undefined) {
      this.child = undefined
      throw appErrors('TEST_ENDED', { file: order.path })
    }
    if ('error' in answer) throw reviveError(answer.error)
    return answer
  }

  close(): void {
    this.child?.disconnect()
  }
}

function outcomeText(file: string, outcome: GoldenOutcome, isChanged: boolean): string {
  if (outcome.passed) return `✓ ${file}${isChanged ? ' (updated: review the difference)' : ''}`
  return `✗ ${file}: ${outcome.summary}\n${reportOf(outcome).replace(/^/gm, '  ')}\n`
}

const jsonLine = (file: string, { summary, passed, problems }: GoldenOutcome): string =>
  JSON.stringify({ file, summary, passed, problems: problems.map(({ mode, lines }) => ({ mode, lines })) })
