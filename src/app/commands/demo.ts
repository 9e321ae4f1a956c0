// The demo's replay, started beside the platform.
import { setTimeout as sleep } from 'node:timers/promises'
import { appErrors } from '../errors.ts'
import type { Platform } from '../platform.ts'

export async function replayDemo({ url, jobs }: Platform, speed: number, signal: AbortSignal): Promise<void> {
  if (!(speed > 0)) throw appErrors('OPTION_INVALID', { option: '--speed', value: String(speed), expected: 'a number above 0' })
  const { replayWiki } = await import('../../../demo/replay.ts')
  // With --keep the log has earlier rounds: go on a day after the newest, so that nothing is late.
  await sleep(100)
  await jobs.poll()
  const newestMs = Math.max(...jobs.queries().map(({ watermarkMs }) => watermarkMs ?? -Infinity))
  await replayWiki({ url, speed, afterMs: newestMs, signal, log: (line) => console.error(line) })
}
