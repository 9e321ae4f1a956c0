// What a live query sees of a view: all of it, the rows that pass a filter, or the first `limit` of an order.
//
// Invariant: after `sync`, `rows` holds exactly the rows a scan with the same parameters would give, and remembers their changes.
// A feed is synced once per flush, however many changes there were: hot keys cost once.
import { viewErrors } from './errors.ts'
import { compileFilters, type Filter, type Predicate } from './filter.ts'
import type { Key } from './keys.ts'
import { type Order, totalOrder } from './order.ts'
import { type Change, KeyedRows } from './rows.ts'
import type { View, ViewLimits } from './view.ts'

export interface Feed {
  readonly rows: KeyedRows
  sync(): void
  close(): void
}

export interface FeedRequest {
  filters: readonly Filter[]
  order: Order
  limit?: number
}

/** @throws StreamError VIEW_INDEXES_LIMIT */
export function openFeed(view: View, { filters, order, limit }: FeedRequest, limits: ViewLimits): Feed {
  const matches = compileFilters(filters)
  const parent = matches ? new FilteredFeed(view.rows, matches, limits) : wholeFeed(view.rows)
  return limit === undefined ? parent : new TopFeed(view, parent, totalOrder(order, view.definition.primaryKey), limit, limits)
}

const wholeFeed = (rows: KeyedRows): Feed => ({ rows, sync: () => {}, close: () => {} })

/** Puts changes into rows as one version; none if there are none. */
function applyChanges(rows: KeyedRows, changes: readonly Change[]): void {
  if (changes.length === 0) return
  rows.beginVersion()
  for (const { op, key, row } of changes) {
    if (op === '-D') rows.delete(key)
    else rows.upsert(key, row)
  }
}

class FilteredFeed implements Feed {
  readonly rows: KeyedRows
  private readonly parent: KeyedRows
  private readonly matches: Predicate
  private seenVersion = -1

  constructor(parent: KeyedRows, matches: Predicate, limits: ViewLimits) {
    this.rows = new KeyedRows(limits.tombstonesMax)
    this.parent = parent
    this.matches = matches
    this.sync()
  }

  sync(): void {
    const { parent, rows, matches } = this
    if (this.seenVersion === parent.version) return
    const own: Change[] = []
    const changes = this.seenVersion < 0 ? undefined : parent.changesSince(this.seenVersion)
    if (changes) {
      for (const change of changes) {
        if (change.op !== '-D' && matches(change.row)) own.push(change)
        else {
          const known = rows.entries.get(change.key)
          if (known) own.push({ op: '-D', key: change.key, row: known.row })
        }
      }
    } else {
      for (const { key, row } of rows.entries.values()) {
        const entry = parent.entries.get(key)
        if (!entry || !matches(entry.row)) own.push({ op: '-D', key, row })
      }
      for (const { key, row } of parent.entries.values())
        if (matches(row) && rows.entries.get(key)?.row !== row) own.push({ op: '+U', key, row })
    }
    applyChanges(rows, own)
    this.seenVersion = parent.version
  }

  close(): void {}
}

class TopFeed implements Feed {
  readonly rows: KeyedRows
  private readonly view: View
  private readonly parent: Feed
  private readonly order: Order
  private readonly limit: number
  private readonly limits: ViewLimits
  private seenVersion = -1

  constructor(view: View, parent: Feed, order: Order, limit: number, limits: ViewLimits) {
    this.rows = new KeyedRows(limits.tombstonesMax)
    this.view = view
    this.parent = parent
    this.order = order
    this.limit = limit
    this.limits = limits
    if (!parent.rows.ordered(order, limits.indexesMax))
      throw viewErrors('VIEW_INDEXES_LIMIT', { table: view.definition.name, max: limits.indexesMax })
    parent.rows.pin(order, 1)
    this.sync()
  }

  sync(): void {
    const { parent, rows, limit } = this
    parent.sync()
    if (parent.rows.version === this.seenVersion) return
    const top = new Set<Key>()
    const upserts: Change[] = []
    // Pinned, so it is there.
    parent.rows.ordered(this.order, this.limits.indexesMax)!.visit((row) => {
      const key = this.view.keyOf(row)
      top.add(key)
      if (rows.entries.get(key)?.row !== row) upserts.push({ op: '+U', key, row })
      return top.size < limit
    })
    const deletes: Change[] = []
    for (const { key, row } of rows.entries.values()) if (!top.has(key)) deletes.push({ op: '-D', key, row })
    applyChanges(rows, [...deletes, ...upserts])
    this.seenVersion = parent.rows.version
  }

  close(): void {
    this.parent.rows.pin(this.order, -1)
    this.parent.close()
  }
}
