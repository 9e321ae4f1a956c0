// Errors of state on the disk.
import { defineErrors, spec } from '../../base/index.ts'

export const spillErrors = defineErrors({
  SPILL_FAILED: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 507,
    retry: 'later',
    message: (p) => `state does not fit into memory and could not be moved to ${p.path}: ${p.reason}`,
    hint: () =>
      'Nothing is lost: the query begins again at its last checkpoint, and tries until there is room. Free space in the data folder, or give more memory with --memory.',
  }),
  SPILL_DAMAGED: spec<{ path: string; reason: string }>({
    kind: 'external',
    httpStatus: 500,
    retry: 'later',
    message: (p) => `state that was moved to ${p.path} did not come back as it was: ${p.reason}`,
    hint: () =>
      'Nothing of it was used: the query begins again at its last checkpoint. Look at the disk: something changed bytes that were written.',
  }),
})
