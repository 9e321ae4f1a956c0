// Random cases on Flink and here: runs many of them in one JVM, and tells which differ.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isStreamError } from '../../src/base/index.ts'
import { differences, parseGoldenFile, play } from '../../src/engine/golden/index.ts'
import type { RandomCase } from './cases.ts'
import { randomCase } from './cases.ts'
import { isSmaller, smaller } from './choices.ts'

/** What Flink's planner says where it breaks, not where it refuses: of no use for comparing. */
const breaks =
  /Type mismatch:|Cannot add expression of different type to set|method 'merge' in class|can only be ordered by a single time column|predicate on incompatible types|Zero-length character strings|unexpected correlate variable|convertTypeToSpec|not supported when sorting on a non-time|Table '[EHJ]' not found|AssertionError|NullPointerException|CompileException|ClassCastException/

export type Verdict = 'same' | 'rows differ' | 'rejected here' | 'accepted here' | 'both reject' | 'no answer'

export interface Compared {
  random: RandomCase
  verdict: Verdict
  /** The golden file with what Flink gave. */
  text: string
  lines: string[]
}

/** What Flink gives for each case: the file with its expectation, an error's text, or nothing (it took too long). */
async function onFlink(runner: string, cases: readonly RandomCase[]): Promise<Map<string, { text?: string; error?: string }>> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-random-'))
  try {
    const paths = cases.map(({ name, text }) => {
      const path = join(folder, `${name}.test`)
      writeFileSync(path, text)
      return path
    })
    const child = spawn('bash', [runner, 'run', '--timeout=90', ...paths], { stdio: ['ignore', 'pipe', 'ignore'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk) => (output += chunk))
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
    if (!/^\d+ passed, \d+ failed$/m.test(output)) throw new Error(`${runner} ended with ${code} before it was done: ${output.slice(-500)}`)
    const answers = new Map<string, { text?: string; error?: string }>()
    for (const [i, { name }] of cases.entries()) {
      const text = readFileSync(paths[i], 'utf8')
      const failed = output.split('\n').find((line) => line.startsWith(`FAILED ${paths[i]}: `))
      if (text.includes('\n--- expect\n')) answers.set(name, { text })
      else if (failed && !failed.includes('TIMEOUT after')) answers.set(name, { error: failed.slice(`FAILED ${paths[i]}: `.length) })
    }
    return answers
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param runner the script that runs golden files on Flink: `RUNNER run FILE…` writes what they give into them */
export async function compareWithFlink(runner: string, cases: readonly RandomCase[]): Promise<Compared[]> {
  const answers = await onFlink(runner, cases)
  return cases.map((random) => {
    const { text, error } = answers.get(random.name) ?? {}
    if (text === undefined && (error === undefined || breaks.test(error)))
      return { random, verdict: 'no answer', text: random.text, lines: [] }
    const golden = text ?? `${random.text}--- expect error\n${error}\n`
    const compared = (verdict: Verdict, lines: string[] = []): Compared => ({ random, verdict, text: golden, lines })
    try {
      const file = parseGoldenFile(random.name, golden)
      const result = play(file, { kind: 'as-written' })
      if (error !== undefined) return compared('accepted here', [error])
      if (file.rows.some(({ text: row }) => row.startsWith('NEGATIVE'))) return compared('no answer')
      const { lines } = differences(file, result, { kind: 'as-written' })
      return lines.length === 0 ? compared('same') : compared('rows differ', lines)
    } catch (own) {
      if (error !== undefined) return compared('both reject', [error, isStreamError(own) ? own.message : String(own)])
      return compared('rejected here', [isStreamError(own) ? `${own.code}: ${own.message}` : String((own as Error).stack)])
    }
  })
}

/**
 * The smallest case found that differs in the same way. Each round asks Flink about many smaller ones at once.
 *
 * @param isLike tells whether a smaller case shows the same as the one at hand
 */
export async function smallest(
  runner: string,
  found: Compared,
  { rounds = 12, width = 40, isLike = (one: Compared) => one.verdict === found.verdict } = {},
): Promise<Compared> {
  let best = found
  const tried = new Set([found.random.text])
  for (let round = 0; round < rounds; round++) {
    const candidates: RandomCase[] = []
    for (const choices of smaller(best.random.choices)) {
      if (candidates.length >= width) break
      const random = randomCase(found.random.name, choices)
      if (tried.has(random.text) || !isSmaller(random.choices.taken, best.random.choices.taken)) continue
      tried.add(random.text)
      candidates.push({ ...random, name: `${found.random.name}_${round}_${candidates.length}` })
    }
    if (candidates.length === 0) break
    const compared = await compareWithFlink(runner, candidates)
    for (const one of compared)
      if (isLike(one) && isSmaller(one.random.choices.taken, best.random.choices.taken))
        best = { ...one, random: { ...one.random, name: found.random.name } }
  }
  return best
}

/** Writes a case as a golden file, for people to look at and to keep. */
export function keep(folder: string, { random, text, verdict, lines }: Compared): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${random.name}.test`)
  writeFileSync(path, text)
  writeFileSync(join(folder, `${random.name}.txt`), `${verdict}\n${lines.join('\n')}\n`)
  return path
}
