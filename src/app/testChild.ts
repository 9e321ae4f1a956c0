// The process in which `millrace test` plays golden files, one after the other, as it is told. A function that does not return is mostly ended by V8
// (`play`); where V8 cannot, a thread beside ends the whole process, and who waits for it tells that.
import { writeFileSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import type { ErrorBody } from '../base/index.ts'
import type { GoldenOutcome } from '../engine/golden/index.ts'

export interface TestOrder {
  path: string
  update: boolean
}
export type FromTest = { outcome: GoldenOutcome; isChanged: boolean } | { error: ErrorBody }

if (isMainThread) {
  const { runGoldenFile, updatedGoldenFile } = await import('../engine/golden/index.ts')
  const { newProgress, shareProgress } = await import('../engine/index.ts')
  const { failureOf } = await import('./output.ts')
  const progress = newProgress()
  shareProgress(progress)
  new Worker(new URL(import.meta.url), { workerData: progress }).unref()
  const played = ({ path, update }: TestOrder): FromTest => {
    try {
      const isChanged = update && !runGoldenFile(path).passed
      if (isChanged) writeFileSync(path, updatedGoldenFile(path))
      return { outcome: runGoldenFile(path), isChanged }
    } catch (error) {
      return { error: failureOf(error).toJSON() }
    }
  }
  process.on('message', (order: TestOrder) => process.send?.(played(order)))
  process.on('disconnect', () => process.exit())
} else {
  const { PLAY_MS_MAX } = await import('../engine/golden/index.ts')
  const { LOOK_MS, ThreadWatch } = await import('../jobs/index.ts')
  const watch = new ThreadWatch(workerData as SharedArrayBuffer)
  setInterval(() => {
    watch.look(LOOK_MS)
    const { heldMs, function: name } = watch.state
    // V8 had its time.
    if (name !== undefined && heldMs >= PLAY_MS_MAX + 5_000) process.kill(process.pid, 'SIGKILL')
  }, LOOK_MS)
}
