// millrace init: a project that runs, with a test that passes and an event to send, so that the first edit is one of something that works.
//
// Invariant: nothing that is there is touched. If one of its files exists, none is written.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { makeFolders } from '../../base/index.ts'
import { appErrors } from '../errors.ts'

const pipeline = `-- A topic, which is also its own front door: POST /v1/topics/orders/events. What does not fit is refused with the reason, and kept in orders.invalid.
CREATE TABLE orders (
  order_time TIMESTAMP(3) NOT NULL,
  customer   STRING NOT NULL,
  amount     DECIMAL(10, 2) NOT NULL,
  -- An order may come 5 seconds late; what comes later than that is counted, and left out of windows that have closed.
  WATERMARK FOR order_time AS order_time - INTERVAL '5' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'customer');

-- A live table: GET /v1/tables/revenue. A minute comes out when event time has passed its end.
CREATE MATERIALIZED TABLE revenue (PRIMARY KEY (window_start, customer) NOT ENFORCED) AS
SELECT window_start, customer, COUNT(*) AS orders, SUM(amount) AS amount
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(order_time), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, customer;
`

const golden = `-- A minute has the orders of its own time, in whatever order they come; one that comes after it has closed is left out.
--- input orders
{"order_time":"2026-01-01 12:00:01.000","customer":"ana","amount":19.99}
{"order_time":"2026-01-01 12:00:30.000","customer":"bo","amount":7}
{"order_time":"2026-01-01 12:00:29.000","customer":"ana","amount":0.01}
{"order_time":"2026-01-01 12:01:05.000","customer":"ana","amount":5}
{"order_time":"2026-01-01 12:00:59.000","customer":"ana","amount":100}
--- use pipelines/orders.sql
--- expect revenue
["2026-01-01 12:00:00.000", "ana", 2, "20.00"]
["2026-01-01 12:00:00.000", "bo", 1, "7.00"]
["2026-01-01 12:01:00.000", "ana", 1, "5.00"]
--- late
{"order_time":"2026-01-01 12:00:59.000","customer":"ana","amount":100}
`

const events = `{"order_time":"2026-01-01 12:00:01","customer":"ana","amount":19.99}
{"order_time":"2026-01-01 12:00:02","customer":"bo","amount":7}
{"order_time":"2026-01-01 12:02:00","customer":"ana","amount":5}
`

/** What of it a .gitignore of the project must have: data and secrets do not belong into a repository. */
const ignored = ['.millrace/', 'certificates/']

const files: Readonly<Record<string, string>> = {
  'pipelines/orders.sql': pipeline,
  'tests/orders.test': golden,
  'events/orders.ndjson': events,
}

/** @throws StreamError PROJECT_EXISTS, and failures of the file system */
export function initProject(folder: string, { json }: { json: boolean }): void {
  const target = resolve(folder)
  const taken = Object.keys(files).filter((name) => existsSync(join(target, name)))
  if (taken.length > 0) throw appErrors('PROJECT_EXISTS', { folder: target, files: taken })
  for (const [name, text] of Object.entries(files)) {
    makeFolders(dirname(join(target, name)))
    writeFileSync(join(target, name), text)
  }
  ignoreData(join(target, '.gitignore'))
  const written = [...Object.keys(files), '.gitignore']
  const near = relative(process.cwd(), target)
  const place = near.startsWith('..') ? target : near || '.'
  const steps: readonly (readonly [command: string, what: string])[] = [
    [`millrace dev ${shellWord(place)}`, 'starts it, and takes up each edit of the SQL'],
    [
      `curl http://127.0.0.1:7070/v1/topics/orders/events -H 'content-type: application/x-ndjson' --data-binary ${shellWord(`@${join(place, 'events/orders.ndjson')}`)}`,
      'sends events',
    ],
    ['millrace sql "SELECT * FROM revenue"', 'shows the live table'],
    ['millrace why revenue', 'says when its next row comes'],
    [`millrace test ${shellWord(place)}`, 'runs tests/orders.test: with late rows, with a crash before every row'],
  ]
  if (json) {
    console.log(JSON.stringify({ folder: target, files: written, next: steps.map(([command]) => command) }))
    return
  }
  console.log(`A project is in ${target}\n\n${written.map((name) => `  ${name}`).join('\n')}\n\nNext`)
  for (const [command, what] of steps) console.log(`  ${command}\n      ${what}`)
}

/** As a shell takes it for one word, to be copied. */
const shellWord = (text: string): string => (/^[\w@%+=:,./\\-]+$/.test(text) ? text : `"${text.replace(/["$`]/g, '\\$&')}"`)

function ignoreData(path: string): void {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const missing = ignored.filter((line) => !text.split(/\r?\n/).includes(line))
  if (missing.length > 0) writeFileSync(path, `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${missing.join('\n')}\n`)
}
