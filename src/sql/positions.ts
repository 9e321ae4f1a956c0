// Errors of the binder know a span; with the text it becomes a position that people can find.
import { isStreamError } from '../base/index.ts'
import type { Span } from './ast.ts'
import { textPosition } from './cursor.ts'

/** Runs `work`; what it throws points into `text`, unless it points somewhere already. */
export function placed<T>(text: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isStreamError(error) && error.params.position === undefined) {
      const span = error.params.span as Span | undefined
      if (span !== undefined) error.params.position = textPosition(text, span)
    }
    if (isStreamError(error)) delete error.params.span
    throw error
  }
}
