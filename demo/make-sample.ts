// Makes demo/data/wiki-edits.sample.ndjson.gz from the whole recording: of one user in four all edits of articles,
// users and IP addresses replaced by numbered pseudonyms (a hash of an IP address can be reversed by trying all), comments dropped.
// Other pages than articles are left out: their titles name people.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'

const source = resolve(import.meta.dirname, '../../shared/data/wiki-edits/wikiticker-2015-09-12.h00-15.ndjson.gz')

interface WikiEdit {
  user: string
  namespace: string
  comment?: string
  isAnonymous: boolean
  isRobot: boolean
}

const numbers = new Map<string, number>()
const pseudonym = (event: WikiEdit): string => {
  const number = numbers.get(event.user) ?? numbers.size + 1
  numbers.set(event.user, number)
  return `${event.isRobot ? 'Robot' : event.isAnonymous ? 'Guest' : 'User'}-${number}`
}
const isKept = (event: WikiEdit): boolean => event.namespace === 'Main' && createHash('sha256').update(event.user).digest()[0] % 4 === 0

const lines = gunzipSync(readFileSync(source)).toString('utf8').trimEnd().split('\n')
const sample = lines
  .map((line) => JSON.parse(line) as WikiEdit)
  .filter(isKept)
  .map((event) => {
    const { comment: _dropped, ...rest } = event
    return JSON.stringify({ ...rest, user: pseudonym(event) })
  })
const target = join(import.meta.dirname, 'data/wiki-edits.sample.ndjson.gz')
writeFileSync(target, gzipSync(`${sample.join('\n')}\n`, { level: 9 }))
console.log(`${sample.length} of ${lines.length} events in ${target}`)
