// What the declarations of commands share: common options, examples under --help, errors with their next step.
import { Command, Option } from 'commander'
import { environment } from './config.ts'
import { reportError } from './output.ts'

export const json = () => new Option('--json', 'print JSON, one object a line')
export const url = () => new Option('--url <address>', 'address of a running Millrace').default(environment.url)
export const token = () => new Option('--token <token>', 'access token; MILLRACE_TOKEN is used unless given')
/** A command that talks to a running Millrace. */
export const withTarget = (command: Command): Command => command.addOption(url()).addOption(token()).addOption(json())
export const examples = (text: string) => `\nExamples\n${text.trim().replace(/^/gm, '  ')}`

/** Runs a command; errors are printed with their next step and make the exit code 1, or another where 1 is an answer. */
export const guarded =
  <A extends unknown[]>(work: (...args: A) => Promise<void>, errorCode = 1) =>
  async (...args: A): Promise<void> => {
    const options = args.find(
      (arg): arg is A[number] & { json?: boolean } =>
        typeof arg === 'object' && arg !== null && !Array.isArray(arg) && !(arg instanceof Command),
    )
    try {
      await work(...args)
    } catch (error) {
      reportError(error, (options as { json?: boolean } | undefined)?.json ?? false, undefined, errorCode)
    }
  }

export const target = (flags: { url: string; token?: string }) => ({ url: flags.url, token: flags.token ?? environment.token })
export type TargetFlags = { url: string; token?: string; json?: boolean }

/** Aborted by Ctrl-C. */
export function interrupted(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => controller.abort())
  return controller.signal
}
