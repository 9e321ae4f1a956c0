// A panel of a page. One that shows a materialized table names it, links to it and shows its SQL on demand;
// if the table does not exist, the panel says so and how to make it.
import { Link } from '@tanstack/react-router'
import { Database } from 'lucide-react'
import { type ReactNode, useId, useState } from 'react'
import { queryOfTable, useQueries, useTables } from '../api/queries.ts'
import { Code, Empty, Failure, Modal, SkeletonRows, Sql } from './parts.tsx'

export interface PanelProps {
  title: string
  /** What is counted, in a few words. */
  note?: ReactNode
  actions?: ReactNode
  /** Materialized table that the panel shows. */
  table?: string
  className?: string
  children: ReactNode
}

export function Panel({ title, note, actions, table, className = '', children }: PanelProps) {
  const id = useId()
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note && <p className="panel-note">{note}</p>}
        <div className="panel-actions">
          {actions}
          {table && <Source table={table} />}
        </div>
      </header>
      <div className="panel-body">{table ? <IfTable name={table}>{children}</IfTable> : children}</div>
    </section>
  )
}

/** Where a panel's numbers come from. */
function Source({ table }: { table: string }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <span className="source">
      <Link to="/tables/$name" params={{ name: table }} title={`Open the table ${table}`}>
        <Database size={12} aria-hidden />
        {table}
      </Link>
      <button type="button" className="button small" onClick={() => setOpen(true)} aria-label={`SQL of ${table}`}>
        SQL
      </button>
      {isOpen && (
        <Modal title={table} onClose={() => setOpen(false)}>
          <TableSource table={table} />
        </Modal>
      )}
    </span>
  )
}

/** The query that keeps a table, and how to read the table from outside. */
export function TableSource({ table }: { table: string }) {
  const { data: queries, error } = useQueries()
  const query = queryOfTable(queries, table)
  return (
    <div className="stack">
      {error && !queries && <Failure error={error} />}
      {queries && !query && <p className="quiet">No running query writes to this table.</p>}
      {query && (
        <>
          <Sql sql={query.sql} />
          <p>
            Kept by the query{' '}
            <Link to="/queries/$id" params={{ id: query.id }}>
              {query.name}
            </Link>
            .
          </p>
        </>
      )}
      <Code label="Read it" text={`curl '${location.origin}/v1/tables/${encodeURIComponent(table)}?limit=10'`} />
    </div>
  )
}

/** Its children if the table exists; until that is known, a placeholder; else what to do. */
export function IfTable({ name, children }: { name: string; children: ReactNode }) {
  const { data: tables, error } = useTables()
  if (!tables) return error ? <Failure error={error} /> : <SkeletonRows />
  if (tables.some((table) => table.name === name)) return children
  return (
    <Empty title={`No table ${name}`}>
      No materialized table <code>{name}</code> exists in this process: it may have been renamed or dropped, or its file has an error. A{' '}
      <code>CREATE MATERIALIZED TABLE</code> in <code>pipelines/*.sql</code> makes it. <Link to="/tables">All tables</Link>
    </Empty>
  )
}
