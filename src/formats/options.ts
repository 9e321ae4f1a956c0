// Options of a format as a table gives them: `csv.null-literal`, or `null-literal` where the name of the format has been taken off already.
//
// @source Flink 2.1 JsonFormatOptions, CsvFormatOptions, RawFormatOptions; flags are true or false in any case of letters
import { formatErrors } from './errors.ts'

export interface FormatOptions {
  text(name: string): string | undefined
  /** False unless given. @throws StreamError FORMAT_OPTION */
  flag(name: string): boolean
  /** One of `values`, whatever the case of its letters, as it is listed there. @throws StreamError FORMAT_OPTION */
  choice<T extends string>(name: string, values: readonly T[]): T | undefined
  /** The error of a value that is none. */
  invalid(name: string, expected: string): Error
}

export function formatOptions(format: 'json' | 'csv' | 'raw', options: Readonly<Record<string, string>>): FormatOptions {
  const text = (name: string): string | undefined => options[`${format}.${name}`] ?? options[name]
  const invalid = (name: string, expected: string) =>
    formatErrors('FORMAT_OPTION', { option: `${format}.${name}`, value: text(name) ?? '', expected })
  const choice = <T extends string>(name: string, values: readonly T[]): T | undefined => {
    const value = text(name)
    if (value === undefined) return undefined
    const chosen = values.find((one) => one.toLowerCase() === value.toLowerCase())
    if (chosen === undefined) throw invalid(name, `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`)
    return chosen
  }
  return { text, invalid, choice, flag: (name) => choice(name, ['true', 'false']) === 'true' }
}
