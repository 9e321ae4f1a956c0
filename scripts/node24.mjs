// Finds a Node that can run the TypeScript sources (24.6 or newer): this one, or the one that the npm package `node` brought.
// Plain JavaScript, so that any Node from 20 on can run it and say what is wrong.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

export function isNodeFit() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 6)
}

/** The path of a fitting Node, or undefined if none is installed yet. */
export function findNode() {
  if (isNodeFit()) return process.execPath
  const local = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  return existsSync(local) ? local : undefined
}

/** `import 'millrace'` means the sources in a checkout, what was built from them elsewhere: see "exports" in package.json. */
const conditions = existsSync(join(root, 'src/index.ts')) ? ['--conditions=millrace-source'] : []
const flags = ['--disable-warning=ExperimentalWarning', ...conditions]

/**
 * V8 lets the young generation grow to over 100 MB for a process that makes a few MB of garbage a second; with this it stays at 32 MB,
 * and the demo's resident memory falls by a quarter. Throughput of the pipeline benchmark is the same.
 */
const memoryFlags = ['--max-semi-space-size=16']

/** Runs Node 24 with these arguments, passes signals on, and gives its exit code. */
export function runNode(args, cwd = root) {
  const child = spawn(findNode(), [...flags, ...memoryFlags, ...args], { stdio: 'inherit', cwd })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))))
}
