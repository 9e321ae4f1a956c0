// The kernel as a judge: a batch is acknowledged only after an fdatasync of its file that began after its write had returned.
// Needs strace (Debian package `strace`) and the right to trace; says why if it cannot run.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const probe = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'])
const skip = probe.error
  ? 'strace is not installed (apt-get install strace)'
  : probe.status !== 0 && `strace cannot trace here: ${probe.stderr.toString().trim()}`
if (skip) console.log(`skipped: ${skip}`)

const ACKS = 200

test('each acknowledgement follows an fdatasync of what it acknowledges', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-strace-'))
  try {
    const trace = join(folder, 'trace')
    const program = fileURLToPath(new URL('../../src/log/testWriterProcess.ts', import.meta.url))
    const calls = 'trace=write,pwrite64,pwritev,pwritev2,fdatasync'
    const child = spawn(
      'strace',
      ['-f', '-y', '-s', '24', '-e', calls, '-o', trace, process.execPath, program, join(folder, 'data'), '0'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        detached: true,
      },
    )
    let acks = 0
    child.stdout.on('data', (data: Buffer) => {
      for (const byte of data) if (byte === 10 && ++acks === ACKS) process.kill(-child.pid!, 'SIGKILL')
    })
    await once(child, 'close')
    const { ackedCount, syncCount } = judge(readFileSync(trace, 'utf8'))
    assert.ok(ackedCount >= ACKS / 2 && syncCount > 10, `${ackedCount} acknowledgements and ${syncCount} syncs in the trace`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Walks the trace in time: batches written and returned, batches covered by a sync that returned, acknowledgements printed. */
function judge(trace: string): { ackedCount: number; syncCount: number } {
  const begun = new Map<string, string>()
  const coveredWhenBegun = new Map<string, number>()
  let writtenCount = 0
  let durableCount = 0
  let ackedCount = 0
  let syncCount = 0
  for (const line of trace.split('\n')) {
    const [, thread, text] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (text === undefined) continue
    const unfinished = text.endsWith('<unfinished ...>')
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    const call = resumed ? (begun.get(thread) ?? '') + resumed[1] : text
    const isLog = /^\w+\(\d+<[^>]*\/\d{20}\.log>/.test(call)
    if (!resumed && call.startsWith('fdatasync(') && isLog) coveredWhenBegun.set(thread, writtenCount)
    // An acknowledgement counts when its write begins: what the reader of the pipe could see from then on.
    const ack = !resumed && /^write\(1<[^>]*>, "((?:\d+ \d+ \d+\\n)+)"/.exec(call)
    if (ack) {
      ackedCount++
      assert.ok(ackedCount <= durableCount, `acknowledgement ${ackedCount} with ${durableCount} batches synced: ${line}`)
    }
    if (unfinished) {
      begun.set(thread, text.replace(' <unfinished ...>', ''))
      continue
    }
    if (!isLog || !/= \d+$/.test(call)) continue
    if (call.startsWith('pwrite64(')) writtenCount++
    else if (call.startsWith('pwritev')) writtenCount += Number(/\], (\d+), \d+/.exec(call)?.[1] ?? 0)
    else if (call.startsWith('fdatasync(')) {
      syncCount++
      durableCount = coveredWhenBegun.get(thread) ?? durableCount
    }
  }
  return { ackedCount, syncCount }
}
