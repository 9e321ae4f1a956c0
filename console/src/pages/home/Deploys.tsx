// What was deployed last, and the way to what it changed.
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Deploy } from '../../../../src/serve/contract.ts'
import { apiGet } from '../../api/client.ts'
import { useQueries } from '../../api/queries.ts'
import { formatAge, formatClockZone } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Badge, Failure, SkeletonRows, useNow } from '../../ui/parts.tsx'

const SHOWN = 5

export function Deploys() {
  const { data, error } = useQuery({
    queryKey: ['deploys'],
    queryFn: ({ signal }) => apiGet<Deploy[]>(`/v1/deploys?limit=${SHOWN}`, signal),
    refetchInterval: 10_000,
  })
  const { data: queries } = useQueries()
  const nowMs = useNow(10_000)
  return (
    <Panel title="Deployed last" note="of all queries">
      {!data && (error ? <Failure error={error} /> : <SkeletonRows count={SHOWN} />)}
      {data?.length === 0 && <p className="quiet">No query has run yet.</p>}
      {data && (
        <ul className="deploys">
          {data.map(({ query, version, atMs, by, file, isCurrent, linesAdded, linesRemoved }) => (
            <li key={`${query} ${version}`}>
              {queries && !queries.some(({ id }) => id === query) ? (
                <code title="It is no query of the project any more">{query}</code>
              ) : (
                <Link
                  to="/queries/$id"
                  params={{ id: query }}
                  search={{ tab: 'versions' }}
                  title={`What version ${version} of ${query} changed`}
                >
                  <code>{query}</code>
                </Link>
              )}
              <span className="quiet">
                {version === 1 ? 'new' : `version ${version}`} in {file}
                {by && `, by ${by}`}
              </span>
              {!isCurrent && <Badge>runs no more</Badge>}
              {version > 1 && (
                <span className="deploys-lines">
                  <span className="ok" title="lines added">
                    +{linesAdded}
                  </span>{' '}
                  <span className="bad" title="lines removed">
                    −{linesRemoved}
                  </span>
                </span>
              )}
              <time dateTime={new Date(atMs).toISOString()} title={formatClockZone(atMs)} className="quiet">
                {formatAge(Math.max(0, nowMs - atMs))}
              </time>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}
