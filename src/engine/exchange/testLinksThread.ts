// A subtask of links.test.ts: sends its messages to all others while it takes theirs, and reports a checksum of what came.
import { parentPort, workerData } from 'node:worker_threads'
import { Links, type SharedLinks } from './links.ts'
import { makeMessage, type Received, verified } from './testMessages.ts'

const { shared, subtask, sizes } = workerData as { shared: SharedLinks; subtask: number; sizes: number[] }
const links = new Links(shared, subtask)
const received: Received[] = Array.from({ length: shared.parallelism }, () => ({ count: 0 }))
const takeAll = (): void => {
  for (let message = links.take(); message !== undefined; message = links.take()) {
    verified(message, received[message.from])
    links.giveBack(message.buffer)
  }
}
for (const [i, size] of sizes.entries()) {
  for (let to = 0; to < shared.parallelism; to++) if (to !== subtask) links.write(to, makeMessage(subtask, i, size), size)
  // Blocked, it takes what comes and lets others go on.
  for (let bell = links.bell; links.isBlocked; bell = links.bell) {
    takeAll()
    if (!links.flush() && links.isBlocked) links.wait(bell)
  }
  if (i % 3 === 0) takeAll()
}
const isDone = () => received.every(({ count }, from) => from === subtask || count === sizes.length)
for (let bell = links.bell; !isDone(); bell = links.bell) {
  takeAll()
  if (!isDone()) links.wait(bell)
}
parentPort?.postMessage(received.map(({ count }) => count))
