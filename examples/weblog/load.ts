// Posts an access log, line by line as events: node scripts/run.mjs examples/weblog/load.ts [access.log[.gz]] [--url http://127.0.0.1:7070]
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { url: { type: 'string', default: process.env.MILLRACE_URL ?? 'http://127.0.0.1:7070' } },
})
const shared = resolve(import.meta.dirname, '../../../shared/data/apache-weblog/apache_logs.gz')
const sample = join(import.meta.dirname, 'sample.log.gz')
const path = positionals[0] ?? (existsSync(shared) ? shared : sample)
const bytes = readFileSync(path)
const lines = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').split('\n').filter(Boolean)

const BATCH_LINES = 1_000
let accepted = 0
for (let start = 0; start < lines.length; start += BATCH_LINES) {
  const body = lines
    .slice(start, start + BATCH_LINES)
    .map((line) => JSON.stringify({ line }))
    .join('\n')
  const response = await fetch(`${values.url}/v1/topics/weblog/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': `${path}-${bytes.length}-${start}` },
    body,
  })
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
  accepted += ((await response.json()) as { accepted: number }).accepted
}
console.log(`${accepted} of ${lines.length} lines of ${path} accepted`)
