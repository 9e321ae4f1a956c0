// Errors of checkpoints and savepoints.
import { defineErrors, type ErrorBody, nearestName, reviveError, type StreamError, spec } from '../../base/index.ts'

const specs = {
  CHECKPOINT_DAMAGED: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'never',
    message: (p) => `the checkpoint ${p.path} is damaged: ${p.reason}`,
    hint: () => 'An older one is used where there is one. Look at the disk: something changed bytes that were written and synced.',
  }),
  /** Nothing is known of its bytes: who took an older one could write the same rows twice. */
  CHECKPOINT_UNREADABLE: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `the checkpoint ${p.path} cannot be read now: ${p.reason}`,
    hint: () => 'Its queries begin once it can. Look at the limit of open files (`ulimit -n`), at permissions and at the disk.',
  }),
  CHECKPOINT_NOT_FOUND: spec<{ path: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no checkpoint ${p.path}`,
    hint: () => '`millrace state` lists those that are there.',
  }),
  CHECKPOINT_FORMAT: spec<{ path: string; format: number; known: number }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the checkpoint ${p.path} has format ${p.format}; this version reads up to ${p.known}`,
    hint: () => 'Start it with the version of Millrace that wrote it, or a newer one.',
  }),
  CHECKPOINT_FAILED: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 507,
    retry: 'later',
    message: (p) => `the checkpoint ${p.path} could not be written: ${p.reason}`,
    hint: () => 'The queries go on, and the next checkpoint tries again. If the disk is full, free some of it.',
  }),
  /** It may be on the disk or not: who goes on as if it were not could write the same rows twice. */
  CHECKPOINT_UNCERTAIN: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 507,
    retry: 'later',
    message: (p) => `whether the checkpoint ${p.path} is on the disk is not known: ${p.reason}`,
    hint: () => 'Its queries are restored from what the disk has. Look at the disk: it refuses to sync.',
  }),
  CHECKPOINT_TIMEOUT: spec<{ timeoutMs: number }>({
    kind: 'external',
    httpStatus: 504,
    retry: 'later',
    message: (p) => `the checkpoint was not done after ${p.timeoutMs} ms`,
    hint: () => "The queries go on. Raise 'execution.checkpointing.timeout' if its state is large and the disk slow.",
  }),
  CHECKPOINT_BUSY: spec<{ job: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'later',
    message: (p) => `a checkpoint of "${p.job}" is on its way`,
    hint: () => 'Try again in a moment.',
  }),
  SAVEPOINT_NAME_INVALID: spec<{ name: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `"${p.name}" is no name for a savepoint`,
    hint: () => 'Use up to 100 letters, digits, "-", "_" and ".", beginning with a letter or digit.',
  }),
  SAVEPOINT_EXISTS: spec<{ name: string }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `there is already a savepoint "${p.name}"`,
    hint: (p) => `Choose another name, or delete it with \`millrace savepoint delete ${p.name}\`.`,
  }),
  SAVEPOINT_NOT_FOUND: spec<{ name: string; known: string[] }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no savepoint "${p.name}"`,
    hint: ({ name, known }) => {
      const nearest = nearestName(name, known)
      if (nearest !== undefined) return `Did you mean "${nearest}"?`
      return known.length > 0
        ? `There is ${known.join(', ')}.`
        : 'There is none: `millrace savepoint create NAME` makes one while the project runs.'
    },
  }),
  STATE_NOT_RESTORED: spec<{ query: string; dropped: string[] }>({
    kind: 'user',
    httpStatus: 409,
    retry: 'never',
    message: (p) => `"${p.query}" has changed, and state of it fits nowhere any more: ${p.dropped.join('; ')}`,
    hint: () =>
      'Start with --allow-dropped-state to go on without that state where the query had got to, or undo the change. A materialized table is computed anew by itself.',
  }),
}
export const checkpointErrors = defineErrors(specs)

/** An error that came over a thread's port, with its HTTP status and whether to try again. */
export const reviveCheckpointError = (body: ErrorBody): StreamError =>
  Object.hasOwn(specs, body.code) ? checkpointErrors(body.code as keyof typeof specs, body.params as never) : reviveError(body)
