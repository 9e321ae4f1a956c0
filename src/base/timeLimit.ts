// Synchronous work that must not hold its thread up: Node's vm can end it from another thread, wherever it is.
import { createContext, Script } from 'node:vm'

const context = createContext({ work: undefined as unknown })
const script = new Script('work()')

/**
 * Runs work for at most so long. Work that is cut off leaves behind what it was at: nothing that it changes may be used afterwards.
 *
 * @param cutOff  what is thrown then
 * @throws        what the work throws
 */
export function withTimeLimit<T>(work: () => T, timeoutMs: number, cutOff: () => Error): T {
  const outer = context.work
  context.work = work
  try {
    return script.runInContext(context, { timeout: timeoutMs }) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cutOff()
    throw error
  } finally {
    context.work = outer
  }
}
