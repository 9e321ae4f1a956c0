// Names as a statement takes them.
import { lex } from './lexer.ts'

/**
 * A name of a table or column as it is written in SQL: in backquotes where the parser would not take it bare.
 *
 * @example sqlName('order') // '`order`'
 */
export function sqlName(name: string): string {
  const [token, end] = lex(name)
  const isBare = token.kind === 'word' && !token.reserved && token.text === name && end.kind === 'end'
  return isBare ? name : `\`${name.replaceAll('`', '``')}\``
}
