// From the subject of a client's certificate to the name of its user: Kafka's `ssl.principal.mapping.rules`.
//
//   RULE:^CN=(.*?),OU=Sales.*$/$1/L, RULE:^.*UID=([^,]+).*$/$1/, DEFAULT        the first rule that fits gives the name
//
// Invariants
//   1. A pattern must fit the whole subject; then all that it finds is replaced, as Java's `replaceAll` does, and L or U changes the letters' case.
//   2. Who fits no rule does not get in.
// The patterns are JavaScript's regular expressions: what only Java's have, such as `(?i)` at the beginning, is an error at the start.
// Source: Kafka's documentation of that setting, KIP-371, and its SslPrincipalMapper.
import { kafkaErrors } from '../errors.ts'

/** The name for a subject (RFC 2253); undefined where no rule fits. */
export type PrincipalMapping = (subject: string) => string | undefined

const RULE = /^(?:DEFAULT|RULE:((?:\\.|[^\\/])*)\/((?:\\.|[^\\/])*)\/([LU]?))\s*(?:[,\n]\s*|$)/

/** @throws StreamError KAFKA_PRINCIPAL_RULES_INVALID */
export function parsePrincipalRules(rules: string): PrincipalMapping {
  const mappings: PrincipalMapping[] = []
  for (let rest = rules.trim(); rest !== ''; ) {
    const found = RULE.exec(rest)
    if (!found) throw kafkaErrors('KAFKA_PRINCIPAL_RULES_INVALID', { rules, reason: `no rule begins with "${rest.slice(0, 60)}"` })
    const [text, pattern, replacement, letters] = found
    if (pattern === undefined) mappings.push((subject) => subject)
    else {
      try {
        mappings.push(ruleOf(pattern, replacement, letters))
      } catch (error) {
        throw kafkaErrors('KAFKA_PRINCIPAL_RULES_INVALID', { rules, reason: (error as Error).message }, { cause: error })
      }
    }
    rest = rest.slice(text.length)
  }
  if (mappings.length === 0) throw kafkaErrors('KAFKA_PRINCIPAL_RULES_INVALID', { rules, reason: 'there is no rule' })
  return (subject) => {
    for (const mapping of mappings) {
      const name = mapping(subject)
      if (name !== undefined) return name
    }
    return undefined
  }
}

function ruleOf(pattern: string, replacement: string, letters: string): PrincipalMapping {
  const whole = new RegExp(`^(?:${pattern})$`)
  const each = new RegExp(pattern, 'g')
  return (subject) => {
    if (!whole.test(subject)) return undefined
    const name = subject.replace(each, (...args) => expand(replacement, groupsOf(args)))
    return letters === 'L' ? name.toLowerCase() : letters === 'U' ? name.toUpperCase() : name
  }
}

/** The whole and the groups, of what `replace` calls back with: then come the position, the subject, and named groups if there are any. */
const groupsOf = (args: unknown[]): (string | undefined)[] =>
  args.slice(
    0,
    args.findIndex((value) => typeof value === 'number'),
  ) as (string | undefined)[]

/** `$1` is a group if there is one of that number, else it stays; `\` takes what follows as it is. */
const expand = (replacement: string, groups: readonly (string | undefined)[]): string =>
  replacement.replace(/\\(.)|\$(\d)/g, (text, escaped: string | undefined, digit: string | undefined) =>
    digit === undefined ? escaped! : Number(digit) < groups.length ? (groups[Number(digit)] ?? '') : text,
  )
