#!/usr/bin/env node
// The command `millrace`. In a checkout: finds a fitting Node and hands over to src/app/main.ts.
// In an installed package, which has no sources: runs what was built from them, in this process.
// Plain JavaScript, so that an old Node can run it and say what is wrong.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findNode, isNodeFit, root, runNode } from './node24.mjs'

const main = join(root, 'src/app/main.ts')
if (!existsSync(main)) {
  if (!isNodeFit()) {
    console.error(`Millrace needs Node 24.6 or newer; this one is ${process.versions.node} (${process.execPath}).`)
    console.error('Install a newer one from https://nodejs.org, or run `npx -p node@24 -p millrace millrace`.')
    process.exit(1)
  }
  await import('../dist/src/app/main.js')
} else {
  if (!findNode()) {
    console.error('Millrace needs Node 24.6 or newer to run its sources, and the copy that npm installs is missing.')
    console.error(`Run \`npm install\` in ${root}, or \`npm start\`, which does it for you.`)
    process.exit(1)
  }
  process.exit(await runNode([main, ...process.argv.slice(2)], process.cwd()))
}
