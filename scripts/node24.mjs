// Finds a Node that can run the TypeScript sources (24.6 or newer): this one, or the one that the npm package `node` brought.
// Plain JavaScript, so that any Node from 20 on can run it and say what is wrong.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** The path of a fitting Node, or undefined if none is installed yet. */
export function findNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 6)) return process.execPath
  const local = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  return existsSync(local) ? local : undefined
}

/** Runs Node 24 with these arguments, passes signals on, and gives its exit code. */
export function runNode(args, cwd = root) {
  const child = spawn(findNode(), ['--disable-warning=ExperimentalWarning', ...args], { stdio: 'inherit', cwd })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))))
}
