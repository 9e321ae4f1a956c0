// Walking expressions as written. Sub-queries are not entered: their names and aggregates are their own.
import type { Expression, GroupItem, OrderItem, WindowSpec } from './ast.ts'

const ordered = (items: readonly OrderItem[] | undefined): Expression[] => items?.map((item) => item.expression) ?? []

export const windowParts = (spec: WindowSpec): Expression[] => [...spec.partitionBy, ...ordered(spec.orderBy)]

function childrenOf(node: Expression): Expression[] {
  switch (node.type) {
    case 'field':
    case 'unary':
    case 'cast':
      return [node.operand]
    case 'element':
      return [node.operand, node.index]
    case 'binary':
      return [node.left, node.right]
    case 'between':
      return [node.operand, node.low, node.high]
    case 'like':
      return node.escape ? [node.operand, node.pattern, node.escape] : [node.operand, node.pattern]
    case 'in':
      return [node.left, ...(node.list ?? [])]
    case 'quantified':
      return [node.left]
    case 'case': {
      const parts = node.branches.flatMap(({ when, then }) => [when, then])
      if (node.operand) parts.unshift(node.operand)
      if (node.otherwise) parts.push(node.otherwise)
      return parts
    }
    case 'call': {
      const parts = [...node.args, ...ordered(node.orderBy)]
      if (node.filter) parts.push(node.filter)
      if (node.over && 'partitionBy' in node.over) parts.push(...windowParts(node.over))
      return parts
    }
    case 'rowValue':
    case 'array':
      return node.items
    case 'map':
      return node.entries.flatMap(({ key, value }) => [key, value])
    case 'namedArgument':
      return [node.value]
    default:
      return []
  }
}

/** Visits a node and all below it, parents first; `visit` returns false to leave out what is below. */
export function walk(node: Expression, visit: (node: Expression) => boolean): void {
  if (!visit(node)) return
  for (const child of childrenOf(node)) walk(child, visit)
}

/** The sets of a grouping: ROLLUP (a, b) are (a, b), (a) and (); CUBE (a, b) all that can be chosen. */
export function groupingSetsOf<T>(kind: Extract<GroupItem, { type: 'sets' }>['kind'], parts: readonly T[][]): T[][] {
  if (kind === 'GROUPING SETS') return [...parts]
  if (kind === 'ROLLUP') return [...Array(parts.length + 1).keys()].map((dropped) => parts.slice(0, parts.length - dropped).flat())
  const subsets = [...Array(2 ** parts.length).keys()].reverse()
  return subsets.map((mask) => parts.filter((_, i) => mask & (2 ** (parts.length - 1 - i))).flat())
}
