// What the disk does to the process: which call of which file fails how, and where it crashes. Everything is drawn from the seed; a seed has some
// kinds of faults and not others, so that rare ones are not buried under frequent ones.
import { type DiskCall, diskError, type FakeDisk } from '../../src/log/fakeDisk.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** Chances of one call of the disk, and how often crashes come. */
export interface FaultPlan {
  /** A sync that fails: what it should have written is gone. */
  sync: number
  /** Any other call that fails with EIO. */
  io: number
  /** Pauses between two times of a full disk, of too few file handles, ms; 0: never. */
  fullEveryMs: number
  handlesEveryMs: number
  /** Short reads and writes. */
  short: number
  /** Pause between two failures aimed at one site, ms; 0: never. */
  failEveryMs: number
  /** Mean time between two crashes, ms; 0: never. */
  crashEveryMs: number
  /** Pause between two jumps of the clock, ms; 0: never. */
  clockEveryMs: number
  /** Pause between two times that a task is paused and replaced, ms; 0: never. */
  taskPauseEveryMs: number
}

const kinds: [RegExp, string][] = [
  [/\.log$/, 'log'],
  [/\.index$/, 'index'],
  [/\.producers$/, 'producers'],
  [/\.txnindex$/, 'aborted index'],
  [/\.compacting$/, 'compacted segment'],
  [/topic\.json/, 'topic.json'],
  [/broker\.json/, 'broker.json'],
  [/^\/data\/journal$/, 'journal'],
  [/\/chk-\d+(\.new)?$/, 'checkpoint'],
  [/\/data-\d+$/, 'checkpoint data'],
  [/\/q\d\/[^/]*\.(json|csv)(\.inprogress)?$/, 'output file'],
  [/\/q\d$/, 'output folder'],
  [/\/checkpoints\/[^/]+$/, 'job folder'],
  [/\/checkpoints$/, 'checkpoints folder'],
  [/\/topics\/[^/]+\/\d+$/, 'partition folder'],
  [/\/topics\/[^/]+$/, 'topic folder'],
  [/\/topics$/, 'topics folder'],
  [/\/spill\/[^/]+$/, 'spill file'],
  [/\/spill$/, 'spill folder'],
]
export const siteOf = (call: DiskCall, path: string): string =>
  `${call} ${kinds.find(([pattern]) => pattern.test(path))?.[1] ?? 'data folder'}`

/** What the first checkpoint of all, and of each query, does. */
const checkpointFolders = ['makeFolder checkpoints folder', 'syncFolder checkpoints folder']
/** Where crashes and failures are aimed at, so that rare calls are not missed: every call that changes something. */
export const crashSites = [
  ...['open', 'write', 'sync', 'truncate', 'rename'].map((call) => `${call} topic.json`),
  ...['open', 'write', 'sync', 'truncate', 'rename'].map((call) => `${call} broker.json`),
  ...['open', 'write', 'sync', 'truncate'].map((call) => `${call} log`),
  ...['open', 'write', 'sync', 'truncate'].map((call) => `${call} index`),
  ...['open', 'write', 'truncate', 'unlink'].map((call) => `${call} producers`),
  ...['open', 'write', 'sync', 'rename', 'unlink'].map((call) => `${call} checkpoint`),
  ...['open', 'write', 'sync', 'unlink'].map((call) => `${call} checkpoint data`),
  ...['makeFolder', 'syncFolder'].map((call) => `${call} job folder`),
  ...checkpointFolders,
  ...['open', 'write', 'sync', 'rename', 'unlink'].map((call) => `${call} output file`),
  ...['makeFolder', 'syncFolder'].map((call) => `${call} output folder`),
  ...['open', 'write', 'sync', 'rename'].map((call) => `${call} compacted segment`),
  ...['open', 'write'].map((call) => `${call} aborted index`),
  ...['syncFolder', 'makeFolder'].flatMap((call) => [`${call} partition folder`, `${call} topic folder`]),
  ...['rename', 'removeFolder'].map((call) => `${call} topic folder`),
  'syncFolder topics folder',
  'syncFolder data folder',
  'removeFolder partition folder',
  'unlink log',
  'unlink index',
  'unlink topic.json',
]
/** The same where state does not fit into memory. */
export const spillSites = [...['open', 'write', 'read', 'unlink'].map((call) => `${call} spill file`), 'makeFolder spill folder']
/** The same where the log has a commit journal. */
export const journalSites = ['open', 'write', 'sync', 'unlink'].map((call) => `${call} journal`)
const firstStartSites = [
  ...['broker.json', 'topic.json'].flatMap((kind) => ['open', 'write', 'sync', 'truncate', 'rename'].map((call) => `${call} ${kind}`)),
  'makeFolder topic folder',
  'makeFolder partition folder',
  'syncFolder data folder',
  'makeFolder job folder',
  ...checkpointFolders,
]
export const failSites = [
  ...crashSites,
  'read checkpoint',
  'read checkpoint data',
  'read aborted index',
  'list output folder',
  'read log',
  'read index',
  'read topic.json',
  'list partition folder',
  'list topics folder',
]

/** What is counted for each operator, by how its name in the counts begins. */
export const faultKinds = ['kill', 'power cut', 'EIO', 'ENOSPC', 'EMFILE', 'clock', 'net', 'task paused'] as const
export const faultOf = (kind: string, operator: string): string => `runs of ${operator} with: ${kind}`

export const isLook = (call: DiskCall): boolean => call === 'open' || call === 'read' || call === 'list'

export class DiskFaults {
  plan: FaultPlan | undefined
  private readonly world: World
  /** Calls until the crash, of one site or of any; undefined: none is planned. */
  private crashIn: { calls: number; site: string | undefined } | undefined
  /** The next call of this site fails. */
  private failAt: string | undefined
  /** Calls that changed the disk; after so many of them it crashes, at the next call of any kind. */
  changes = 0
  crashAfterChanges = Number.POSITIVE_INFINITY

  /** Of these and those that all have. */
  private readonly moreSites: readonly string[]
  private readonly random: Random

  /** @param random  chooses whether it is one of `moreSites` */
  constructor(world: World, plan: FaultPlan, moreSites: readonly string[], random: Random) {
    this.world = world
    this.plan = plan
    this.moreSites = moreSites
    this.random = random
  }

  private aim(sites: readonly string[]): string {
    const { moreSites, random, world } = this
    return moreSites.length > 0 && random.chance(0.4) ? random.pick(moreSites) : world.random.pick(sites)
  }

  planCrash(): void {
    const { random } = this.world
    if (random.chance(0.7)) this.crashIn = { calls: random.int(0, 1), site: this.aim(crashSites) }
    else this.crashSoon()
  }

  /** At any of the next calls. */
  crashSoon(): void {
    this.crashIn = { calls: this.world.random.int(0, 25), site: undefined }
  }

  planFailure(): void {
    this.failAt = this.aim(failSites)
  }

  /** What only the first start does is met there or never. */
  planForFirstStart(): void {
    const { random } = this.world
    const site = random.pick(firstStartSites)
    if (random.chance(0.5)) this.crashIn = { calls: 0, site }
    else this.failAt = site
  }

  end(): void {
    this.plan = undefined
    this.crashIn = undefined
    this.failAt = undefined
  }

  /** @param crash  takes the process away */
  attach(disk: FakeDisk, crash: (site: string) => void): void {
    const { world } = this
    disk.before = (call, path) => {
      const site = siteOf(call, path)
      world.hit(`call ${site}`)
      if (this.changes === this.crashAfterChanges) {
        this.crashAfterChanges = Number.POSITIVE_INFINITY
        crash(site)
        throw diskError('EIO')
      }
      if (!isLook(call)) this.changes++
      const { crashIn } = this
      if (crashIn && (crashIn.site === undefined || crashIn.site === site) && crashIn.calls-- <= 0) {
        this.crashIn = undefined
        crash(site)
        throw diskError('EIO')
      }
      const { plan } = this
      if (!plan) return
      const isSync = call === 'sync' || call === 'syncFolder'
      const chance = isSync ? plan.sync : plan.io
      if (this.failAt === site || (chance > 0 && world.random.chance(chance))) {
        if (this.failAt === site) this.failAt = undefined
        world.hit(`EIO ${site}`)
        world.trace(`EIO ${site}`)
        throw diskError('EIO')
      }
    }
    disk.refused = (code, call, path) => world.hit(`${code} ${siteOf(call, path)}`)
    disk.portion = (call, sizeBytes) => {
      if (!this.plan || sizeBytes < 2 || !world.random.chance(this.plan.short)) return sizeBytes
      world.hit(`short ${call}`)
      return world.random.int(1, sizeBytes)
    }
  }
}
