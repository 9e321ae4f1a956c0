// Runs a TypeScript file with a Node that can: `node scripts/run.mjs src/app/main.ts dev`.
import { resolve } from 'node:path'
import { findNode, root, runNode } from './node24.mjs'

if (!findNode()) {
  console.error('Millrace needs Node 24.6 or newer to run its sources, and the copy that npm installs is missing.')
  console.error('Run `npm install` in this folder, or `npm start`, which does it for you.')
  process.exit(1)
}
const [first, ...rest] = process.argv.slice(2)
// npm runs scripts in the repository's folder; files that the user names are relative to theirs.
const script = first?.startsWith('-') ? first : resolve(root, first ?? '')
process.exit(await runNode([script, ...rest], process.env.INIT_CWD ?? process.cwd()))
