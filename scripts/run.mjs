// Runs a TypeScript file with a Node that can: `node scripts/run.mjs src/app/main.ts dev`.
import { spawn } from 'node:child_process'
import { findNode, root } from './node24.mjs'

const node = findNode()
if (!node) {
  console.error('Millrace needs Node 24.6 or newer to run its sources, and the copy that npm installs is missing.')
  console.error('Run `npm install` in this folder, or `npm start`, which does it for you.')
  process.exit(1)
}
const child = spawn(node, ['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)], {
  stdio: 'inherit',
  cwd: process.env.INIT_CWD ?? process.cwd(),
  env: { ...process.env, MILLRACE_ROOT: root },
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
