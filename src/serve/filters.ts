// /v1/filters: what people look for again and again in a topic, its dead letters or the late rows of a query, by name.
//
// Invariants
//   1. A filter that is saved can be applied: its SQL is bound to its topic before it is kept.
//   2. Of each subject at most one applies by itself; a saved one goes before a declared one.
//   3. What `millrace.config.ts` declares is changed there and nowhere else.
//   4. Only an admin changes what all see: a token that writes events reads nothing here, and changes nothing.
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { Marks } from '../jobs/index.ts'
import { type Log, lettersTopicOf } from '../log/index.ts'
import type * as contract from './contract.ts'
import type { ServeDeps } from './deps.ts'
import { serveErrors } from './errors.ts'
import { NoQuery, same } from './schemas.ts'
import { findTopic } from './topicNames.ts'

const TOPIC = '__millrace_saved_filters'

const key = {
  on: Type.Union([Type.Literal('messages'), Type.Literal('letters'), Type.Literal('late')], {
    description: 'Records of a topic, its dead letters, or late rows of a query.',
  }),
  subject: Type.String({ minLength: 1, maxLength: 300, description: 'The topic, or the id of the query.' }),
  name: Type.String({ minLength: 1, maxLength: 100 }),
}
const Key = Type.Object(key, { additionalProperties: false })
const NewFilter = Type.Object(
  {
    ...key,
    where: Type.String({ minLength: 1, maxLength: 10_000, description: 'A condition in SQL; of late rows text that they contain.' }),
    isDefault: Type.Optional(Type.Boolean({ description: 'It applies where nobody has said another; no other of its subject does then.' })),
  },
  { additionalProperties: false },
)
const Filters = Type.Array(
  Type.Object({
    ...key,
    where: Type.String(),
    isDefault: Type.Boolean(),
    isDeclared: Type.Boolean({ description: 'In millrace.config.ts.' }),
  }),
)
same<Static<typeof Filters>, contract.SavedFilter[]>(true)

type FilterKey = Pick<contract.SavedFilter, 'on' | 'subject' | 'name'>
const idOf = ({ on, subject, name }: FilterKey): string => JSON.stringify([on, subject, name])

export class SavedFilters {
  private readonly marks: Marks<contract.SavedFilter>
  private readonly declared: readonly contract.SavedFilter[]
  /** One after the other: two tabs at once would leave two that apply by themselves. */
  private newest: Promise<void> = Promise.resolve()

  constructor(
    log: Pick<Log, 'topic' | 'createTopic' | 'appendRecords' | 'readMessages'>,
    declared: readonly contract.DeclaredFilter[],
    now: () => number,
  ) {
    this.marks = new Marks(log, TOPIC, now)
    this.declared = declared.map(({ isDefault = false, ...filter }) => ({ ...filter, isDefault, isDeclared: true }))
  }

  /** By subject and name. */
  async list(): Promise<contract.SavedFilter[]> {
    const saved = [...(await this.marks.all()).values()]
    const isTaken = (filter: FilterKey) =>
      saved.some(({ on, subject, isDefault }) => isDefault && on === filter.on && subject === filter.subject)
    const declared = this.declared.map((filter) => ({ ...filter, isDefault: filter.isDefault && !isTaken(filter) }))
    const ids = new Set(declared.map(idOf))
    return [...declared, ...saved.filter((filter) => !ids.has(idOf(filter)))].sort(
      (a, b) => a.subject.localeCompare(b.subject) || a.name.localeCompare(b.name),
    )
  }

  /** Durable when it resolves. @throws StreamError SERVE_FILTER_DECLARED */
  set(filter: Omit<contract.SavedFilter, 'isDeclared'>): Promise<void> {
    const set = this.newest.then(() => this.write(filter))
    this.newest = set.catch(() => {})
    return set
  }

  private async write(filter: Omit<contract.SavedFilter, 'isDeclared'>): Promise<void> {
    this.refuseDeclared(filter)
    if (filter.isDefault)
      for (const [id, other] of [...(await this.marks.all())])
        if (other.isDefault && other.on === filter.on && other.subject === filter.subject && id !== idOf(filter))
          await this.marks.set(id, { ...other, isDefault: false })
    await this.marks.set(idOf(filter), { ...filter, isDeclared: false })
  }

  /** @throws StreamError SERVE_FILTER_DECLARED, SERVE_FILTER_NOT_FOUND */
  async delete(filter: FilterKey): Promise<void> {
    this.refuseDeclared(filter)
    if (!(await this.marks.all()).has(idOf(filter))) throw serveErrors('SERVE_FILTER_NOT_FOUND', filter)
    await this.marks.set(idOf(filter), undefined)
  }

  private refuseDeclared(filter: FilterKey): void {
    if (this.declared.some((one) => idOf(one) === idOf(filter))) throw serveErrors('SERVE_FILTER_DECLARED', filter)
  }
}

export function registerFilters(app: FastifyInstance, { filters, log, bindRecords }: ServeDeps): void {
  app.get(
    '/v1/filters',
    {
      schema: {
        summary: 'Filters that were saved, and those of millrace.config.ts.',
        querystring: NoQuery,
        response: { 200: Filters },
      },
    },
    () => filters.list(),
  )
  app.put<{ Body: Static<typeof NewFilter> }>(
    '/v1/filters',
    {
      schema: { summary: 'Saves a filter under its name, in place of the one of that name.', body: NewFilter, response: { 200: Filters } },
    },
    async ({ body: { isDefault = false, ...filter } }) => {
      if (filter.on === 'messages') findTopic(log, filter.subject)
      if (filter.on !== 'late')
        bindRecords(filter.on === 'letters' ? lettersTopicOf(filter.subject) : filter.subject, { where: filter.where })
      await filters.set({ ...filter, isDefault })
      return filters.list()
    },
  )
  app.delete<{ Body: Static<typeof Key> }>(
    '/v1/filters',
    { schema: { summary: 'Removes a saved filter.', body: Key, response: { 200: Filters } } },
    async ({ body }) => {
      await filters.delete(body)
      return filters.list()
    },
  )
}
