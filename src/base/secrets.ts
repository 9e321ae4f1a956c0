// Settings whose values nobody is shown.

/** What Flink's GlobalConfiguration keeps from its logs (`SENSITIVE_KEYS`), and Kafka's settings of type `password`. */
const NAME =
  /password|passwd|secret|token|credential|jaas|(?:private|access|account|service|api|keystore)[._-]?key$|keystore\.certificate\.chain|basic[._-]auth|auth-params|http-headers/i
export const MASKED = '••••••'

/** The value of a setting as it may be shown. */
export const maskedValue = (name: string, value: string): string => (NAME.test(name) && value !== '' ? MASKED : value)

/** An option as SQL writes it: `'name' = 'value'`, in WITH, SET and hints; also one without its equals sign, or whose value is not closed. */
const OPTION = /('([^'\n]+)'(?:\s|--.*\n|\/\*[\s\S]*?\*\/)*(?:=(?:\s|--.*\n|\/\*[\s\S]*?\*\/)*)?)'((?:[^']|'')*)('|$)/g

/**
 * A text of SQL as it may be shown: with the values of its secret options masked. Every way on which such a text leaves the process to somebody who
 * may not edit it goes through here.
 *
 * @param keepsPlaces  whether what follows stays where it is, for positions in the text
 */
export const maskedSql = (sql: string, keepsPlaces = false): string =>
  sql.replace(OPTION, (text, before: string, name: string, value: string, end: string) =>
    maskedValue(name, value) === value ? text : `${before}'${keepsPlaces ? value.replace(/./g, '•') : MASKED}${end}`,
  )
