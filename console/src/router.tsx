// The addresses of the console. Every object has one, and so have order and filters: a link shows what the sender saw.
import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  lazyRouteComponent,
  parseSearchWith,
  retainSearchParams,
  stringifySearchWith,
} from '@tanstack/react-router'
import { parseRange } from './api/range.ts'
import { parseSearchValue, textOf as text } from './api/search.ts'
import type { TimeAxis } from './api/timeAxis.ts'
import type { ListSearch } from './ui/List.tsx'
import { PageHead } from './ui/PageHead.tsx'
import { Empty } from './ui/parts.tsx'
import { Shell } from './ui/Shell.tsx'

export interface TableSearch {
  /** `-edits`: descending by edits */
  order?: string
  /** Filter texts by column. */
  where?: Record<string, string>
  limit?: number
  view?: 'chart'
}

function tableSearch(raw: Record<string, unknown>): TableSearch {
  const search: TableSearch = {}
  const order = text(raw.order)
  if (order) search.order = order
  const limit = Number(raw.limit)
  if (Number.isInteger(limit) && limit >= 1 && limit <= 10_000) search.limit = limit
  if (raw.view === 'chart') search.view = 'chart'
  if (raw.where && typeof raw.where === 'object') {
    const where = Object.entries(raw.where).filter((entry): entry is [string, string] => text(entry[1]) !== undefined)
    if (where.length > 0) search.where = Object.fromEntries(where)
  }
  return search
}

export type TopicPlace = 'newest' | 'oldest' | 'offset' | 'time'
/** Where the records of a topic are read, and how they are shown; without a place, live. */
export interface TopicSearch {
  from?: TopicPlace
  offset?: number
  time?: string
  partition?: number
  /** A condition in SQL; the server filters. */
  where?: string
  /** Without one, also where a saved filter would apply by itself. */
  bare?: true
  /** Text that a record must contain; the page filters. */
  q?: string
  view?: 'table'
  /** Fields that the table shows. */
  fields?: string[]
  decode?: 'json' | 'text' | 'hex'
}

function listSearch(raw: Record<string, unknown>): ListSearch {
  const [q, sort] = [text(raw.q), text(raw.sort)]
  return { ...(q && { q }), ...(sort && { sort }) }
}

const places: readonly unknown[] = ['newest', 'oldest', 'offset', 'time']
function topicSearch(raw: Record<string, unknown>): TopicSearch {
  const search: TopicSearch = {}
  for (const name of ['q', 'where', 'time'] as const) {
    const value = text(raw[name])
    if (value) search[name] = value
  }
  for (const name of ['partition', 'offset'] as const) {
    const value = Number(raw[name])
    if (raw[name] !== undefined && Number.isInteger(value) && value >= 0) search[name] = value
  }
  if (places.includes(raw.from)) search.from = raw.from as TopicPlace
  else if (search.offset !== undefined) search.from = 'offset'
  else if (search.time !== undefined) search.from = 'time'
  if (raw.bare === true && search.where === undefined) search.bare = true
  if (raw.view === 'table') search.view = 'table'
  if (raw.decode === 'json' || raw.decode === 'text' || raw.decode === 'hex') search.decode = raw.decode
  if (Array.isArray(raw.fields)) search.fields = raw.fields.filter((field) => typeof field === 'string')
  return search
}

export const queryTabs = [
  'why',
  'graph',
  'output',
  'watermarks',
  'windows',
  'state',
  'threads',
  'late',
  'metrics',
  'checkpoints',
  'history',
  'versions',
  'tests',
  'sql',
] as const
export type QueryTab = (typeof queryTabs)[number]
export interface QuerySearch {
  tab?: QueryTab
  /** Of the state: an operator, by its id, and one of its keys, by column. */
  operator?: number
  key?: Record<string, string | number | boolean | null>
}

function querySearch({ tab, operator, key }: Record<string, unknown>): QuerySearch {
  const search: QuerySearch = {}
  const known = queryTabs.find((one) => one === tab)
  if (known) search.tab = known
  if (Number.isInteger(Number(operator)) && operator !== undefined && operator !== null) search.operator = Number(operator)
  if (key && typeof key === 'object' && !Array.isArray(key)) {
    const isScalar = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value)
    const columns = Object.entries(key).filter((entry): entry is [string, string | number | boolean | null] => isScalar(entry[1]))
    if (columns.length > 0) search.key = Object.fromEntries(columns)
  }
  return search
}

const root = createRootRoute({
  component: Shell,
  validateSearch: ({ range, axis }: Record<string, unknown>): { range?: string; axis?: TimeAxis } => {
    const found = text(range)
    return { ...(found && parseRange(found) && { range: found }), ...(axis === 'processing' && { axis }) }
  },
  // From page to page the range of time stays, and by which time charts are drawn.
  search: { middlewares: [retainSearchParams(['range', 'axis'])] },
})
const home = createRoute({ getParentRoute: () => root, path: '/', component: lazyRouteComponent(() => import('./pages/Home.tsx'), 'Home') })
const tables = createRoute({
  getParentRoute: () => root,
  path: '/tables',
  validateSearch: listSearch,
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
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import('./pages/Topics.tsx'), 'Topics'),
})
const topic = createRoute({
  getParentRoute: () => root,
  path: '/topics/$name',
  validateSearch: topicSearch,
  component: lazyRouteComponent(() => import('./pages/Topic.tsx'), 'Topic'),
})
const topicTab = createRoute({
  getParentRoute: () => root,
  path: '/topics/$name/$tab',
  validateSearch: topicSearch,
  component: lazyRouteComponent(() => import('./pages/Topic.tsx'), 'Topic'),
})
const groups = createRoute({
  getParentRoute: () => root,
  path: '/groups',
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import('./pages/Groups.tsx'), 'Groups'),
})
const group = createRoute({
  getParentRoute: () => root,
  path: '/groups/$id',
  component: lazyRouteComponent(() => import('./pages/Group.tsx'), 'Group'),
})
const queries = createRoute({
  getParentRoute: () => root,
  path: '/queries',
  validateSearch: listSearch,
  component: lazyRouteComponent(() => import('./pages/Queries.tsx'), 'Queries'),
})
const query = createRoute({
  getParentRoute: () => root,
  path: '/queries/$id',
  validateSearch: querySearch,
  component: lazyRouteComponent(() => import('./pages/Query.tsx'), 'Query'),
})
const lineage = createRoute({
  getParentRoute: () => root,
  path: '/lineage',
  component: lazyRouteComponent(() => import('./pages/Lineage.tsx'), 'Lineage'),
})
const observe = createRoute({
  getParentRoute: () => root,
  path: '/observe',
  component: lazyRouteComponent(() => import('./pages/Observe.tsx'), 'Observe'),
})
const backups = createRoute({
  getParentRoute: () => root,
  path: '/backups',
  component: lazyRouteComponent(() => import('./pages/Backups.tsx'), 'Backups'),
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

function NotFound() {
  return (
    <div className="page">
      <PageHead title="No such page" />
      <Empty title="Nothing is at this address">
        It may have been mistyped, or be of an older version. <Link to="/">Home</Link>; Ctrl-K (⌘K) finds every page, table, topic and
        query.
      </Empty>
    </div>
  )
}

export const router = createRouter({
  defaultNotFoundComponent: NotFound,
  routeTree: root.addChildren([
    home,
    tables,
    table,
    topics,
    topic,
    topicTab,
    groups,
    group,
    queries,
    query,
    lineage,
    observe,
    backups,
    sql,
  ]),
  defaultPreload: 'intent',
  // Only what a route has checked: an unknown tab in a link is no tab.
  search: { strict: true },
  parseSearch: parseSearchWith(parseSearchValue),
  stringifySearch: stringifySearchWith(JSON.stringify, parseSearchValue),
  scrollRestoration: false,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
