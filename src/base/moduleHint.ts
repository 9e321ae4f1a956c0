// What mends a file of a project that Node took for CommonJS, as `npm init` has it.

/** @param reason  what Node says of a module that it cannot load; undefined if that is not why */
export const moduleHint = (reason: string): string | undefined =>
  /Unexpected token 'export'|Cannot use import statement outside a module/.test(reason)
    ? 'Node takes it for CommonJS, because the nearest package.json says so: write "type": "module" there, or put a package.json with {"type":"module"} into the project\'s folder.'
    : undefined
