// Typed errors: a code, the fact, and the next step.
//
// Each layer declares its errors once, in its `errors.ts`, with `defineErrors`; throwing one is `throw logErrors('LOG_TORN', { … })`,
// and TypeScript checks the parameters by the code. Tests, logs and clients look at `code`, never at the text.
// A broken invariant of ours is an `assert`, not a StreamError.

/** user: the caller can mend it. external: the world failed (disk, network). internal: our fault. */
export type ErrorKind = 'user' | 'external' | 'internal'
/** Whether sending the same request again can succeed. */
export type RetryAdvice = 'never' | 'later'

export interface ErrorSpec<P> {
  kind: ErrorKind
  httpStatus: number
  retry: RetryAdvice
  message: (params: P) => string
  /** What the reader should do next. */
  hint: (params: P) => string
}

export const spec = <P>(errorSpec: ErrorSpec<P>): ErrorSpec<P> => errorSpec

/** Where in a text an error is; 1-based line and column, 0-based UTF-16 offsets. */
export interface TextPosition {
  line: number
  column: number
  start: number
  end: number
}

export interface ErrorBody {
  code: string
  message: string
  hint: string
  params: Record<string, unknown>
  position?: TextPosition
}

export class StreamError extends Error {
  readonly code: string
  readonly kind: ErrorKind
  readonly httpStatus: number
  readonly retry: RetryAdvice
  readonly hint: string
  readonly params: Record<string, unknown>

  constructor(code: string, errorSpec: ErrorSpec<never>, params: Record<string, unknown>, options?: ErrorOptions) {
    super(errorSpec.message(params as never), options)
    this.name = 'StreamError'
    this.code = code
    this.kind = errorSpec.kind
    this.httpStatus = errorSpec.httpStatus
    this.retry = errorSpec.retry
    this.hint = errorSpec.hint(params as never)
    this.params = params
  }

  get position(): TextPosition | undefined {
    return this.params.position as TextPosition | undefined
  }

  /** The form that crosses HTTP, a worker's port or the command line. */
  toJSON(): ErrorBody {
    const { position, ...params } = this.params
    const body: ErrorBody = { code: this.code, message: this.message, hint: this.hint, params }
    if (position) body.position = position as TextPosition
    return body
  }
}

type ParamsOf<S> = S extends ErrorSpec<infer P> ? P : never

/**
 * Declares a layer's errors.
 *
 * @example
 * export const logErrors = defineErrors({
 *   LOG_DISK_FULL: spec<{ folder: string }>({ kind: 'external', httpStatus: 507, retry: 'later', message: …, hint: … }),
 * })
 * throw logErrors('LOG_DISK_FULL', { folder })
 */
export function defineErrors<S extends Record<string, ErrorSpec<never>>>(specs: S) {
  return <C extends keyof S & string>(code: C, params: ParamsOf<S[C]>, options?: ErrorOptions): StreamError =>
    new StreamError(code, specs[code], params as Record<string, unknown>, options)
}

/** An error that came over a port or HTTP, made whole again. */
export function reviveError(body: ErrorBody, httpStatus = 500): StreamError {
  const params = body.position ? { ...body.params, position: body.position } : body.params
  const errorSpec: ErrorSpec<never> = {
    kind: 'internal',
    httpStatus,
    retry: 'never',
    message: () => body.message,
    hint: () => body.hint,
  }
  return new StreamError(body.code, errorSpec, params)
}

export const isStreamError = (error: unknown): error is StreamError => error instanceof StreamError

export const baseErrors = defineErrors({
  INTERNAL: spec<{ message: string }>({
    kind: 'internal',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `internal error: ${p.message}`,
    hint: () => 'This is a bug in Millrace. Please report it with the log lines around it.',
  }),
})

/** Any thrown value as a StreamError; what is not one becomes INTERNAL with its cause. */
export function toStreamError(error: unknown): StreamError {
  if (isStreamError(error)) return error
  const message = error instanceof Error ? error.message : String(error)
  return baseErrors('INTERNAL', { message }, { cause: error })
}
