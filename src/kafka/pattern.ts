// Regular expressions that clients send: Kafka's broker takes those of RE2, and matches the whole text, in a time that grows with its length only.
//
// Invariant: what a pattern may cost is known from its compiled size, which has a limit; and each text is tried once, as long as few are remembered.
import { RE2JS } from 're2js'
import { ERROR, KafkaError } from './errors.ts'

const CHARACTERS_MAX = 2_000
/** Instructions of the compiled pattern. Trying a name takes so many steps for each of its characters, of which there are 249 at most. */
const PROGRAM_SIZE_MAX = 2_500
const REMEMBERED_MAX = 10_000

export class Pattern {
  private readonly compiled: RE2JS
  private readonly known = new Map<string, boolean>()

  /** @throws KafkaError INVALID_REGULAR_EXPRESSION */
  constructor(text: string) {
    const fail = (why: string) => new KafkaError(ERROR.INVALID_REGULAR_EXPRESSION, `regular expression ${text.slice(0, 200)}: ${why}`)
    if (text.length > CHARACTERS_MAX) throw fail(`it has more than ${CHARACTERS_MAX} characters`)
    try {
      this.compiled = RE2JS.compile(text)
    } catch (error) {
      throw fail((error as Error).message)
    }
    if (this.compiled.programSize() > PROGRAM_SIZE_MAX) throw fail('it repeats too much')
  }

  /** Whether the whole text matches. */
  matches(text: string): boolean {
    const known = this.known.get(text)
    if (known !== undefined) return known
    if (this.known.size >= REMEMBERED_MAX) this.known.clear()
    const isMatch = this.compiled.matches(text)
    this.known.set(text, isMatch)
    return isMatch
  }
}
