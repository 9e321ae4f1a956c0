// Somebody who makes, grows and deletes topics of their own beside all else, and remembers what was answered.
import type { SimLog } from './simLog.ts'
import { Violation, type World } from './world.ts'

interface KnownTopic {
  /** `unknown`: the answer was an error, or never came. */
  state: 'there' | 'gone' | 'unknown'
  partitionCount: number
}
const NAMES = ['x', 'y', 'z']
const PARTITIONS_MAX = 3

export class Admin {
  private readonly world: World
  private readonly log: () => SimLog | undefined
  private readonly known = new Map<string, KnownTopic>(NAMES.map((name) => [name, { state: 'gone', partitionCount: 0 }]))
  private left: number

  constructor(world: World, log: () => SimLog | undefined, acts: number) {
    this.left = acts
    this.world = world
    this.log = log
  }

  work(): void {
    this.world.after(this.world.random.int(20, 300), () => {
      this.act()
      if (--this.left > 0) this.work()
    })
  }

  /** After a start: what was answered is so. */
  check(log: SimLog): void {
    for (const [name, topic] of this.known) {
      const found = log.topic(name)
      if (topic.state === 'there' && !found) throw new Violation(`topic ${name} was made, and is gone`)
      if (topic.state === 'gone' && found) throw new Violation(`topic ${name} was deleted, and is there again`)
      if (found && found.partitions.length < topic.partitionCount)
        throw new Violation(`topic ${name} had ${topic.partitionCount} partitions`)
      topic.state = found ? 'there' : 'gone'
      topic.partitionCount = found?.partitions.length ?? 0
    }
  }

  private act(): void {
    const { world } = this
    const log = this.log()
    if (!log) return
    const name = world.random.pick(NAMES)
    const topic = this.known.get(name)!
    const settle = (state: KnownTopic['state'], partitionCount: number, act: Promise<unknown>) => {
      topic.state = 'unknown'
      const had = topic.partitionCount
      if (state === 'gone') topic.partitionCount = 0
      act.then(
        () => {
          if (log.isDead) return
          Object.assign(topic, { state, partitionCount })
          world.trace(`topic ${name} ${state}, ${partitionCount} partitions`)
        },
        (error: { code: string }) => {
          if (log.isDead) return
          world.trace(`topic ${name}: ${error.code}`)
          if (!error.code.startsWith('LOG_')) throw new Violation(`topic ${name}: ${error}`)
          // What is there is still there for those who ask, whatever the disk says after a restart.
          if (had > 0 && log.topic(name)) topic.partitionCount = Math.min(had, log.topic(name)!.partitions.length)
        },
      )
    }
    const partitionCount = world.random.int(1, PARTITIONS_MAX)
    if (!log.topic(name)) settle('there', partitionCount, log.createTopic(name, { partitionCount }))
    else if (topic.partitionCount < PARTITIONS_MAX && world.random.chance(0.5))
      settle('there', PARTITIONS_MAX, log.alterTopic(name, { partitionCount: PARTITIONS_MAX }))
    else settle('gone', 0, log.deleteTopic(name))
  }
}
