// Makes a fresh clone ready: installs dependencies where they are missing or older than the lock file, builds the console if its sources changed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findNode, root } from './node24.mjs'

const NODE_MAJOR_MIN = 20

function fail(message, hint) {
  console.error(`\nMillrace cannot start: ${message}\n${hint}`)
  process.exit(1)
}

function hashOf(paths) {
  const hash = createHash('sha256')
  const add = (path) => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name))
    else hash.update(path.slice(root.length)).update(readFileSync(path))
  }
  for (const path of paths) add(join(root, path))
  return hash.digest('hex')
}

/** Does `work` unless the stamp says that it was done for these very files. */
function once(stampPath, paths, isPresent, work) {
  const stamp = join(root, stampPath)
  const isDone = () => isPresent() && existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOf(paths)
  if (isDone()) return
  alone(() => {
    if (isDone()) return
    const wanted = hashOf(paths)
    work()
    mkdirSync(join(stamp, '..'), { recursive: true })
    writeFileSync(stamp, wanted)
  })
}

/** Two starts in one checkout would each install and build into the same folders: the second waits, and then has nothing to do. */
function alone(work) {
  const lock = join(root, 'node_modules', '.millrace-preparing')
  mkdirSync(join(lock, '..'), { recursive: true })
  for (let isTold = false; !taken(lock); isTold = true) {
    if (!isTold) console.error(`Waiting for another start of Millrace that prepares this folder (if there is none, remove ${lock}*) …`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
  const release = () => rmSync(lock, { force: true })
  process.once('exit', release)
  try {
    work()
  } finally {
    process.off('exit', release)
    release()
  }
}

/** Whether the lock is ours now. One whose process is gone counts for nothing. */
function taken(lock) {
  const make = (path) => {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return true
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      return false
    }
  }
  if (make(lock)) return true
  // One at a time looks whether it is left over, so that nobody takes away a lock that another has just made.
  if (!make(`${lock}.look`)) {
    // A look takes no time: who was killed in it has left its mark, which is then old.
    removeIf(`${lock}.look`, (_pid, ageMs) => ageMs > LOOK_MS_MAX)
    return false
  }
  try {
    // Empty for the instant between its making and its writing; who died in that instant has left it older.
    removeIf(lock, (pid, ageMs) => (pid === 0 ? ageMs > 2_000 : pid === process.pid || !isAlive(pid)))
  } finally {
    rmSync(`${lock}.look`, { force: true })
  }
  return false
}

const LOOK_MS_MAX = 10_000

/** Removes a lock whose holder and age in ms are such; one that is gone meanwhile is as good. */
function removeIf(path, isLeftOver) {
  try {
    if (isLeftOver(Number(readFileSync(path, 'utf8')), Date.now() - statSync(path).mtimeMs)) rmSync(path, { force: true })
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

export async function prepare(options) {
  const major = Number(process.versions.node.split('.')[0])
  if (major < NODE_MAJOR_MIN)
    fail(`Node ${process.versions.node} is too old.`, `Install Node ${NODE_MAJOR_MIN} or newer; Millrace brings the one it runs on itself.`)
  once(
    'node_modules/.millrace-installed',
    ['package.json', 'package-lock.json', 'console/package.json'],
    () => existsSync(join(root, 'node_modules')) && findNode() !== undefined,
    () => {
      console.error('Installing dependencies (once, about 20 seconds) …')
      const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
      // Not `npm ci`: it refuses a lock file that lacks optional packages of platforms that the registry did not have.
      const result = spawnSync(npm, ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: root,
        stdio: 'inherit',
      })
      if (result.error) fail('npm was not found.', 'Install npm (it comes with Node) and run this again.')
      if (result.status !== 0) fail('`npm install` failed.', 'See the lines above; is the npm registry reachable?')
      if (!findNode())
        fail(
          'the npm package `node` did not bring Node 24.',
          'Its install script may be switched off: run `npm rebuild node`, or install Node 24.6 or newer yourself.',
        )
    },
  )
  if (options.console) buildConsole()
}

export function buildConsole() {
  once(
    'console/dist/.millrace-built',
    ['console/src', 'console/index.html', 'console/vite.config.ts', 'console/package.json', 'console/public', 'src/serve/contract.ts'],
    () => existsSync(join(root, 'console/dist/index.html')),
    () => {
      console.error('Building the console (once, about 10 seconds) …')
      // Beside the old one, which a server that runs may be giving out.
      const [built, dist] = ['console/dist.new', 'console/dist'].map((path) => join(root, path))
      const args = ['build', '--logLevel', 'warn', '--outDir', built, '--emptyOutDir']
      const result = spawnSync(findNode(), [join(root, 'node_modules/vite/bin/vite.js'), ...args], {
        cwd: join(root, 'console'),
        stdio: 'inherit',
      })
      if (result.status !== 0) fail('the console did not build.', 'See the lines above.')
      rmSync(dist, { recursive: true, force: true })
      renameSync(built, dist)
    },
  )
}
