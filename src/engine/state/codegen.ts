// The one place of state, aggregates and operators where source text becomes a function.
//
// Invariants
//   1. Source is made of our own words and of numbers (ordinals, strides, cells). No text of a user, no name and no literal of a query.
//   2. One signature is compiled once per process: operators of equal shape share their kernels, and V8's knowledge of them.
const compiled = new Map<string, unknown>()

/**
 * The function with these parameters and this body, compiled on first use.
 *
 * @param signature  all that the body depends on; equal signatures must have equal bodies
 */
export function compileKernel<F>(signature: string, params: readonly string[], body: () => string): F {
  let kernel = compiled.get(signature) as F | undefined
  if (kernel === undefined) {
    // The name that profiles and stack traces show.
    kernel = new Function(...params, `'use strict'\n${body()}\n//# sourceURL=kernel/${signature.replaceAll(' ', '_')}`) as F
    compiled.set(signature, kernel)
  }
  return kernel
}
