// Finds a Node that can run the TypeScript sources (24.6 or newer): this one, or the one that the npm package `node` brought.
// Plain JavaScript, so that any Node from 20 on can run it and say what is wrong.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

export function isNodeFit() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 6)
}

/** The path of a fitting Node, or undefined if none is installed yet. */
export function findNode() {
  if (isNodeFit()) return process.execPath
  // In a checkout it is in our own node_modules; beside an installed package, in those above.
  for (let folder = root; ; folder = dirname(folder)) {
    const local = join(folder, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    if (existsSync(local)) return local
    if (folder === dirname(folder)) return undefined
  }
}

/** `import 'millrace'` means the sources in a checkout, what was built from them elsewhere: see "exports" in package.json. */
const conditions = existsSync(join(root, 'src/index.ts')) ? ['--conditions=millrace-source'] : []
const flags = ['--disable-warning=ExperimentalWarning', ...conditions]

/**
 * A small resident memory for a process that makes a few MB of garbage a second, where V8 and malloc would take all they can get:
 * the young generation stays at 16 MB for each thread (V8 lets it grow to over 100 MB), malloc keeps two arenas instead of one for each thread,
 * and stripped and compiled sources are kept on disk (also 0.1 s off the start). Measured on the demo: 430 MB without, 300 MB with.
 */
const memoryFlags = ['--max-semi-space-size=8']
const memoryEnvironment = { MALLOC_ARENA_MAX: '2', NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'millrace') }

/** Runs Node 24 with these arguments, passes signals on, and gives its exit code: 128 and the number of the signal that ended it, as shells have it. */
export function runNode(args, cwd = root) {
  const child = spawn(findNode(), [...flags, ...memoryFlags, ...args], {
    stdio: 'inherit',
    cwd,
    env: { ...memoryEnvironment, ...process.env },
  })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? 1))))
}
