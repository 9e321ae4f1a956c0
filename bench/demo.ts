// The demo as `npm start` runs it: from the start of the process to the first live row over WebSocket, then its resident memory.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { benchOptions, numberIn } from '../scripts/options.ts'
import type { LiveFrame } from '../src/serve/contract.ts'
import { machineText } from './machine.ts'

const values = benchOptions('demo', {
  about: 'The demo as `npm start` runs it: from the start of the process to the first live row, then its resident memory.',
  takes: 'ten minutes',
  options: {
    minutes: { value: 'N', default: '10', doc: 'how long memory is looked at' },
    json: { doc: 'one line of JSON instead of text' },
  },
  examples: ['', '--minutes 1'],
})
const minutes = numberIn('minutes', values.minutes)
const folder = mkdtempSync(join(tmpdir(), 'millrace-demo-'))
const startedMs = performance.now()
const child = spawn(
  process.execPath,
  [resolve(import.meta.dirname, '../scripts/millrace.mjs'), 'demo', '--port', '0', '--data', join(folder, 'data'), '--json'],
  { stdio: ['ignore', 'pipe', 'ignore'] },
)
try {
  const { port, pid } = await new Promise<{ port: number; pid: number }>((found, failed) => {
    createInterface({ input: child.stdout }).once('line', (line) => found(JSON.parse(line) as { port: number; pid: number }))
    child.once('exit', (code) => failed(new Error(`the demo ended with ${code}`)))
  })
  const readyMs = performance.now() - startedMs
  const firstRowMs = await firstRow(port)
  let peakMb = 0
  let nowMb = 0
  for (const endMs = performance.now() + minutes * 60_000; performance.now() < endMs; await sleep(1_000)) {
    nowMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024
    peakMb = Math.max(peakMb, nowMb)
  }
  const result = {
    readyMs: Math.round(readyMs),
    firstRowMs: Math.round(firstRowMs),
    minutes: minutes,
    residentMb: Math.round(nowMb),
    peakMb: Math.round(peakMb),
  }
  if (values.json) console.log(JSON.stringify({ bench: 'demo', machine: machineText(), ...result }))
  else {
    console.log(machineText())
    console.log(`start → ready                   ${(readyMs / 1_000).toFixed(2)} s`)
    console.log(`start → first live row pushed   ${(firstRowMs / 1_000).toFixed(2)} s`)
    console.log(`resident memory                 ${result.residentMb} MB after ${result.minutes} minutes, at most ${result.peakMb} MB`)
  }
} finally {
  child.kill('SIGTERM')
  if (child.exitCode === null) await new Promise((done) => child.once('exit', done))
  rmSync(folder, { recursive: true, force: true })
}

/** Time from the start until a row that changed came over WebSocket, ms. */
function firstRow(port: number): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/tables/top_pages/live?order=-edits&limit=20`)
  return new Promise((found, failed) => {
    socket.once('error', failed)
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as LiveFrame
      if (frame.type !== 'delta' && !(frame.type === 'snapshot' && frame.rows.length > 0)) return
      socket.close()
      found(performance.now() - startedMs)
    })
  })
}
