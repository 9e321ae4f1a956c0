// Errors of the command line and of starting up.
import { defineErrors, spec } from '../base/index.ts'

export const appErrors = defineErrors({
  OPTION_INVALID: spec<{ option: string; value: string; expected: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.option} is "${p.value}", expected ${p.expected}`,
    hint: () => 'Run the command with --help to see its options.',
  }),
  CONFIG_INVALID: spec<{ path: string; reason: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.path} could not be read: ${p.reason}`,
    hint: () => "It should hold: import { defineConfig } from 'millrace'; export default defineConfig({ … })",
  }),
  SERVER_UNREACHABLE: spec<{ url: string; reason: string }>({
    kind: 'external',
    httpStatus: 503,
    retry: 'later',
    message: (p) => `no Millrace answers at ${p.url}: ${p.reason}`,
    hint: () => 'Start one with `millrace start FOLDER`, or say where it is with --url or MILLRACE_URL.',
  }),
  SERVER_REFUSED: spec<{ url: string; status: number; code: string; message: string; hint: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.message} (${p.code}, HTTP ${p.status})`,
    hint: (p) => p.hint,
  }),
})
