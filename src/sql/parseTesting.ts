// For tests: trees without what hides their shape.

/** A tree without spans; an identifier is its text, a qualified name its parts joined by dots. */
export function plain(node: unknown): unknown {
  if (typeof node === 'bigint' || node instanceof Uint8Array || typeof node !== 'object' || node === null) return node
  if (Array.isArray(node)) return node.map(plain)
  const { span, ...rest } = node as Record<string, unknown>
  // How an expression was written depends on its layout.
  if ('expression' in rest && 'text' in rest) delete rest.text
  const keys = Object.keys(rest)
  if (span && keys.length === 1 && keys[0] === 'name' && typeof rest.name === 'string') return rest.name
  if (span && keys.length === 1 && keys[0] === 'parts') return (rest.parts as unknown[]).map(plain).join('.')
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, plain(value)]))
}

type Tree = Record<string, never>

/** An expression as a list in prefix notation: `a + b * 2` is `(+ a (* b 2))`. Chains of AND and of OR are one list. */
export function listed(tree: unknown): string {
  const node = tree as Tree & { type: string }
  const many = (items: unknown[]): string => items.map(listed).join(' ')
  const name = (value: unknown): string => String(plain(value))
  switch (node.type as string) {
    case 'literal': {
      const value = node.value as unknown as Record<string, string>
      if (value.kind === 'string') return `'${value.value}'`
      if (value.kind === 'binary') return `X'${Buffer.from(value.value as unknown as Uint8Array).toString('hex')}'`
      if (value.kind === 'interval') {
        const precision = value.precision === undefined ? '' : `(${value.precision})`
        return `INTERVAL ${value.negative ? '-' : ''}'${value.text}' ${value.from}${precision}${value.to ? ` TO ${value.to}` : ''}`
      }
      if (value.kind === 'null') return 'NULL'
      return value.kind === 'number'
        ? value.text!
        : value.kind === 'boolean'
          ? String(value.value).toUpperCase()
          : `${value.kind!.toUpperCase()} '${value.text}'`
    }
    case 'column':
      return name(node.name)
    case 'star':
      return node.qualifier ? `${name(node.qualifier)}.*` : '*'
    case 'keyword':
      return `:${name(node.name)}`
    case 'field':
      return `(. ${listed(node.operand)} ${name(node.name)})`
    case 'element':
      return `([] ${many([node.operand, node.index])})`
    case 'unary':
      return `(${node.operator} ${listed(node.operand)})`
    case 'binary': {
      const operator = node.operator as string
      if (operator !== 'AND' && operator !== 'OR') return `(${operator} ${many([node.left, node.right])})`
      const terms = (side: Tree): unknown[] =>
        side.type === 'binary' && side.operator === operator ? [...terms(side.left), ...terms(side.right)] : [side]
      return `(${operator} ${many(terms(node))})`
    }
    case 'between':
      return `(${node.negated ? 'NOT ' : ''}BETWEEN${node.symmetric ? ' SYMMETRIC' : ''} ${many([node.operand, node.low, node.high])})`
    case 'like':
      return `(${node.negated ? 'NOT ' : ''}${node.operator} ${many([node.operand, node.pattern, ...(node.escape ? [node.escape] : [])])})`
    case 'in':
      return `(${node.negated ? 'NOT ' : ''}IN ${listed(node.left)} ${node.list ? many(node.list) : '<query>'})`
    case 'exists':
      return '(EXISTS <query>)'
    case 'subquery':
      return '<query>'
    case 'quantified':
      return `(${node.operator} ${node.quantifier} ${listed(node.left)} <query>)`
    case 'case': {
      const branches = (node.branches as unknown as { when: unknown; then: unknown }[]).map((b) => `(${many([b.when, b.then])})`).join(' ')
      return `(CASE ${node.operand ? `${listed(node.operand)} ` : ''}${branches}${node.otherwise ? ` ${listed(node.otherwise)}` : ''})`
    }
    case 'cast':
      return `(${node.safe ? 'TRY_CAST' : 'CAST'} ${listed(node.operand)} ${(node.target as unknown as { type: { kind: string } }).type.kind})`
    case 'rowValue':
      return `(${node.explicit ? 'ROW' : 'TUPLE'} ${many(node.items)})`
    case 'array':
      return `(ARRAY ${many(node.items)})`
    case 'map':
      return `(MAP ${(node.entries as unknown as { key: unknown; value: unknown }[]).map((e) => many([e.key, e.value])).join(' ')})`
    case 'namedArgument':
      return `(=> ${name(node.name)} ${listed(node.value)})`
    case 'descriptor':
      return `(DESCRIPTOR ${(node.columns as unknown[]).map(name).join(' ')})`
    case 'tableArgument':
      return `(TABLE ${name(node.source)}${(node.partitionBy as unknown[]).map((key) => ` by ${listed(key)}`).join('')})`
    case 'call': {
      const extras = [
        node.matchMode,
        node.distinct && 'DISTINCT',
        node.orderBy && `order:${(node.orderBy as unknown as { expression: unknown }[]).map((item) => listed(item.expression)).join(',')}`,
        node.filter && `filter:${listed(node.filter)}`,
        node.nullTreatment,
        node.over && 'over',
        node.json && JSON.stringify(plain(node.json)),
      ].filter(Boolean)
      return `(${[name(node.name), ...(node.args as unknown[]).map(listed), ...extras].join(' ')})`
    }
    default:
      throw new Error(`no list form for ${node.type}`)
  }
}
