// The head of a page: name, what it is, and what one can do.
import { Link } from '@tanstack/react-router'
import { ChevronRight } from 'lucide-react'
import type { ReactNode } from 'react'

export interface PageHeadProps {
  title: string
  note?: ReactNode
  /** The list that this object is from. */
  parent?: { to: '/tables' | '/topics' | '/groups' | '/queries'; label: string }
  children?: ReactNode
}

export const PageHead = ({ title, note, parent, children }: PageHeadProps) => (
  <header className="page-head">
    <div>
      <h1>
        {parent && (
          <>
            <Link to={parent.to}>{parent.label}</Link>
            <ChevronRight size={16} aria-hidden />
          </>
        )}
        <span className={parent ? 'object-name' : undefined}>{title}</span>
      </h1>
      {note && <p>{note}</p>}
    </div>
    {children && <div className="page-actions">{children}</div>}
  </header>
)

/** Facts about an object in one line: label above value. */
export const Facts = ({ facts }: { facts: readonly (readonly [label: string, value: ReactNode])[] }) => (
  <dl className="facts fact-line">
    {facts.map(([label, value]) => (
      <div key={label}>
        <dt>{label}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
)
