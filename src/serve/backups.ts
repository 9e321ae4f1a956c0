// /v1/backups: takes a backup of the data folder while the server runs, and says how far it is.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { auditOf } from './audit.ts'
import type { BackupStatus } from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { NoQuery, same } from './schemas.ts'

const count = (description: string) => Type.Integer({ minimum: 0, description })
const Backup = Type.Object({
  id: Type.String({ description: 'By time: newer ones sort behind older ones.' }),
  createdMs: Type.Number({ description: 'Epoch ms.' }),
  sizeBytes: count('Of all files in it.'),
  copiedBytes: count('That this one had to copy: the rest was there from the one before.'),
  files: count('Files in it.'),
  damaged: Type.Array(Type.String(), { description: 'What was damaged in the data folder when it was copied.' }),
})
const Run = Type.Object({
  state: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')]),
  folder: Type.String(),
  startedMs: Type.Number({ description: 'Epoch ms.' }),
  doneBytes: count('So far.'),
  totalBytes: count('0: not known yet.'),
  backup: Type.Optional(Backup),
  removed: Type.Optional(Type.Array(Type.String(), { description: 'Ids of older backups that were removed, because of `keep`.' })),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String(), hint: Type.String() }, { additionalProperties: true })),
})
const Status = Type.Object({
  dataFolder: Type.String({ description: 'What a backup is of, on the machine of the server.' }),
  folder: Type.Optional(Type.String({ description: 'The folder that the configuration names.' })),
  everyMinutes: Type.Optional(Type.Number({ description: 'How often one is taken by itself.' })),
  keep: Type.Optional(Type.Integer({ description: 'So many of the newest are kept.' })),
  nextMs: Type.Optional(Type.Number({ description: 'When the next one is due by itself, epoch ms.' })),
  run: Type.Optional(Run),
  backups: Type.Array(Backup, { description: 'In that folder, newest first.' }),
})
const Order = Type.Object(
  {
    folder: Type.Optional(
      Type.String({ minLength: 1, description: 'An absolute path on the machine of the server. Default: that of the configuration.' }),
    ),
    keep: Type.Optional(Type.Integer({ minimum: 1, description: 'Backups in the folder that are older than so many newest are removed.' })),
  },
  { additionalProperties: false },
)
same<Static<typeof Status>, BackupStatus>(true)

export function registerBackups(app: FastifyInstance, deps: ServeDeps): void {
  const { backups } = deps
  if (!backups) return
  app.get(
    '/v1/backups',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'The backup that is being taken, or the last one of this run; and those in the configured folder.',
        querystring: NoQuery,
        response: { 200: Status },
      },
    },
    () => backups.status(),
  )
  app.post(
    '/v1/backups',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Begins a backup of the data folder into a folder on the machine of the server. GET says how far it is.',
        body: Order,
        querystring: NoQuery,
        response: { 202: Run },
      },
    },
    async (request, reply) => {
      const { folder, keep } = request.body as Static<typeof Order>
      const run = backups.start(folder, keep)
      auditOf(deps, request)('backup', { folder: run.folder, ...(keep !== undefined && { keep }) })
      return reply.code(202).send(run)
    },
  )
}
