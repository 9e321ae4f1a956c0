#!/usr/bin/env node
// The command `millrace`: finds a fitting Node and hands over to the sources in a checkout, to what was built from them in an installed package.
// Plain JavaScript, so that an old Node can run it and say what is wrong.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findNode, root, runNode } from './node24.mjs'

const sources = join(root, 'src/app/main.ts')
const isCheckout = existsSync(sources)
if (!findNode()) {
  console.error(`Millrace needs Node 24.6 or newer; this one is ${process.versions.node} (${process.execPath}).`)
  console.error(
    isCheckout
      ? `Run \`npm install\` in ${root}, which brings one, or \`npm start\`, which does it for you.`
      : 'Run `npm install node@24` here, which brings one, or install a newer one from https://nodejs.org.',
  )
  process.exit(1)
}
// In a checkout the console is built from its sources, which a pull may have changed.
if (isCheckout && ['demo', 'dev', 'start'].includes(process.argv[2]) && !process.argv.some((one) => one === '--help' || one === '-h')) {
  const { buildConsole } = await import('./prepare.mjs')
  buildConsole()
}
process.exit(await runNode([isCheckout ? sources : join(root, 'dist/src/app/main.js'), ...process.argv.slice(2)], process.cwd()))
