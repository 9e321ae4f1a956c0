// CPU time of a process's threads, by name, as Linux counts it. Empty elsewhere.
import { readdirSync, readFileSync } from 'node:fs'

/** Of Linux' clock for them, on every machine that we know. */
const TICKS_PER_SECOND = 100

/** CPU seconds since its start by name of thread; V8's helpers (collection, compilation) and libuv's have one name each. */
export function threadCpuSeconds(pid: number): Map<string, number> {
  const seconds = new Map<string, number>()
  let threads: string[] = []
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    return seconds
  }
  for (const thread of threads) {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
      const nameEnd = stat.lastIndexOf(')')
      const own = stat.slice(stat.indexOf('(') + 1, nameEnd)
      const name = thread === String(pid) ? 'main' : own
      // Fields 14 and 15 of proc(5), user and system time; the state, field 3, comes behind the name.
      const fields = stat.slice(nameEnd + 2).split(' ')
      const ticks = Number(fields[11]) + Number(fields[12])
      seconds.set(name, (seconds.get(name) ?? 0) + ticks / TICKS_PER_SECOND)
    } catch {
      // It ended meanwhile.
    }
  }
  return seconds
}
