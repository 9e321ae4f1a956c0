// Options of scripts and benchmarks, on one way: --help says what there is, what is wrong is one line and exit code 2.
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** As `parseArgs`, where `--help` prints `help` and ends, and so does what is not known. */
export function parsedArgs<T extends ParseArgsConfig>(help: string, config: T): ReturnType<typeof parseArgs<T>> {
  try {
    const options = { ...config.options, help: { type: 'boolean', short: 'h' } } as const
    const parsed = parseArgs({ ...config, options })
    if (!('help' in parsed.values)) return parsed as unknown as ReturnType<typeof parseArgs<T>>
    console.log(help)
    process.exit(0)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error
    console.error(`${message.split('. ')[0]}. Run with --help to see the options.`)
    process.exit(2)
  }
}

interface Declared {
  /** What stands for its value; absent where it takes none. */
  value?: string
  default?: string
  doc: string
}
type Values<D extends Record<string, Declared>> = {
  [K in keyof D]: D[K] extends { value: string } ? (D[K] extends { default: string } ? string : string | undefined) : boolean
}

/**
 * Options of a benchmark, of which its help is made.
 *
 * @param takes  how long it runs as it is
 */
export function benchOptions<const D extends Record<string, Declared>>(
  name: string,
  { about, takes, options, examples }: { about: string; takes: string; options: D; examples: readonly string[] },
): Values<D> {
  const rows = Object.entries<Declared>({ ...options, help: { doc: 'this text' } }).map(
    ([key, { value, default: otherwise, doc }]) =>
      [`--${key}${value === undefined ? '' : ` ${value}`}`, `${doc}${otherwise === undefined ? '' : ` (default ${otherwise})`}`] as const,
  )
  const width = Math.max(...rows.map(([option]) => option.length))
  const help = [
    `Usage: npm run bench -- ${name} [options]`,
    `${about}\nAs it is it takes ${takes}.`,
    rows.map(([option, doc]) => `  ${option.padEnd(width)}  ${doc}`).join('\n'),
    `Examples\n${examples.map((example) => `  npm run bench -- ${name} ${example}`.trimEnd()).join('\n')}`,
  ].join('\n\n')
  const config = Object.fromEntries(
    Object.entries<Declared>(options).map(([key, { value, default: otherwise }]) => [
      key,
      value === undefined ? ({ type: 'boolean', default: false } as const) : ({ type: 'string', default: otherwise } as const),
    ]),
  )
  return parsedArgs(help, { options: config }).values as Values<D>
}

/** A number that an option has. Ends the process with one line where it is none, or below `min`. */
export function numberIn(option: string, text: string, min = 0): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value >= min) return value
  return endWrong(`--${option} "${text}" is no number from ${min} on`)
}

/** One of several that an option can have. Ends the process with one line where it is none of them. */
export function choiceIn<T extends string>(option: string, text: string, choices: readonly T[]): T {
  return choices.find((one) => one === text) ?? endWrong(`--${option} "${text}" is none of ${choices.join(', ')}`)
}

function endWrong(what: string): never {
  console.error(`${what}. Run with --help to see the options.`)
  process.exit(2)
}
