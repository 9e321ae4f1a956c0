#!/usr/bin/env node
// The command `millrace` in a checkout: finds a fitting Node and hands over to src/app/main.ts.
import { join } from 'node:path'
import { findNode, root, runNode } from './node24.mjs'

if (!findNode()) {
  console.error('Millrace needs Node 24.6 or newer to run its sources, and the copy that npm installs is missing.')
  console.error(`Run \`npm install\` in ${root}, or \`npm start\`, which does it for you.`)
  process.exit(1)
}
process.exit(await runNode([join(root, 'src/app/main.ts'), ...process.argv.slice(2)], process.cwd()))
