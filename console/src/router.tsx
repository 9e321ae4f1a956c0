// The addresses of the console. Every object has one, and so have order and filters: a link shows what the sender saw.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { Shell } from './ui/Shell.tsx'

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

export interface TableSearch {
  /** `-edits`: descending by edits */
  order?: string
  /** Filter texts by column. */
  where?: Record<string, string>
  limit?: number
}

function tableSearch(raw: Record<string, unknown>): TableSearch {
  const search: TableSearch = {}
  const order = text(raw.order)
  if (order) search.order = order
  const limit = Number(raw.limit)
  if (Number.isInteger(limit) && limit >= 1 && limit <= 10_000) search.limit = limit
  if (raw.where && typeof raw.where === 'object') {
    const where = Object.entries(raw.where).filter((entry): entry is [string, string] => text(entry[1]) !== undefined)
    if (where.length > 0) search.where = Object.fromEntries(where)
  }
  return search
}

export interface TopicSearch {
  /** Text that a record must contain. */
  q?: string
  partition?: number
  /** Reads from this offset instead of the live end. */
  offset?: number
}

function topicSearch(raw: Record<string, unknown>): TopicSearch {
  const search: TopicSearch = {}
  const q = text(raw.q)
  if (q) search.q = q
  for (const name of ['partition', 'offset'] as const) {
    const value = Number(raw[name])
    if (raw[name] !== undefined && Number.isInteger(value) && value >= 0) search[name] = value
  }
  return search
}

export const queryTabs = ['why', 'graph', 'watermarks', 'windows', 'state', 'late', 'checkpoints', 'sql'] as const
export type QueryTab = (typeof queryTabs)[number]

const root = createRootRoute({ component: Shell })
const home = createRoute({ getParentRoute: () => root, path: '/', component: lazyRouteComponent(() => import('./pages/Home.tsx'), 'Home') })
const tables = createRoute({
  getParentRoute: () => root,
  path: '/tables',
  component: lazyRouteComponent(() => import('./pages/Tables.tsx'), 'Tables'),
})
const table = createRoute({
  getParentRoute: () => root,
  path: '/tables/$name',
  validateSearch: tableSearch,
  component: lazyRouteComponent(() => import('./pages/Table.tsx'), 'Table'),
})
const topics = createRoute({
  getParentRoute: () => root,
  path: '/topics',
  component: lazyRouteComponent(() => import('./pages/Topics.tsx'), 'Topics'),
})
const topic = createRoute({
  getParentRoute: () => root,
  path: '/topics/$name',
  validateSearch: topicSearch,
  component: lazyRouteComponent(() => import('./pages/Topic.tsx'), 'Topic'),
})
const queries = createRoute({
  getParentRoute: () => root,
  path: '/queries',
  component: lazyRouteComponent(() => import('./pages/Queries.tsx'), 'Queries'),
})
const query = createRoute({
  getParentRoute: () => root,
  path: '/queries/$id',
  validateSearch: ({ tab }: Record<string, unknown>): { tab?: QueryTab } => {
    const known = queryTabs.find((one) => one === tab)
    return known ? { tab: known } : {}
  },
  component: lazyRouteComponent(() => import('./pages/Query.tsx'), 'Query'),
})

const sql = createRoute({
  getParentRoute: () => root,
  path: '/sql',
  validateSearch: (raw: Record<string, unknown>): { file?: string } => {
    const file = text(raw.file)
    return file ? { file } : {}
  },
  component: lazyRouteComponent(() => import('./pages/Sql.tsx'), 'SqlWorkspace'),
})

export const router = createRouter({
  routeTree: root.addChildren([home, tables, table, topics, topic, queries, query, sql]),
  defaultPreload: 'intent',
  scrollRestoration: false,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
