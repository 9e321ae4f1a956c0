// npm start: installs what is missing, builds the console once, starts the platform with its demo, prints where to look.
// Plain JavaScript that runs on Node 20, because what it starts may need a newer Node that npm has yet to bring.

import { runNode } from './node24.mjs'
import { prepare } from './prepare.mjs'

await prepare({ console: true })
process.exit(await runNode(['src/app/main.ts', 'demo', ...process.argv.slice(2)]))
