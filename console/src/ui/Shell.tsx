// The frame around every page: navigation, event time against processing time, connection, theme, palette, token prompt.
import { Link, Outlet, useRouterState } from '@tanstack/react-router'
import {
  Activity,
  Archive,
  ChartLine,
  Database,
  Monitor,
  Moon,
  Network,
  Rows3,
  Search,
  SquareTerminal,
  Sun,
  Users,
  Workflow,
} from 'lucide-react'
import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from 'react'
import { access } from '../api/client.ts'
import { eventTimeMs } from '../api/eventTime.ts'
import { reconnectNow, useStats } from '../api/live.ts'
import { formatClock, formatDateTime } from './format.ts'
import { Segmented, Status, useNow } from './parts.tsx'
import { TimePicker } from './TimePicker.tsx'
import { chooseTheme, useThemeChoice } from './theme.ts'
import { chooseZone, ownZone, useZone, zoneText } from './zone.ts'

const Palette = lazy(() => import('./Palette.tsx'))
const TokenPrompt = lazy(() => import('./TokenPrompt.tsx'))

export const areas = [
  { to: '/', label: 'Home', icon: Activity },
  { to: '/tables', label: 'Tables', icon: Database },
  { to: '/topics', label: 'Topics', icon: Rows3 },
  { to: '/groups', label: 'Groups', icon: Users },
  { to: '/queries', label: 'Queries', icon: Workflow },
  { to: '/sql', label: 'SQL', icon: SquareTerminal },
  { to: '/lineage', label: 'Lineage', icon: Network },
  { to: '/observe', label: 'Observe', icon: ChartLine },
  { to: '/backups', label: 'Backups', icon: Archive },
] as const

const paletteKeys = /Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘K' : 'Ctrl K'

export function Shell() {
  const [isPaletteOpen, setPaletteOpen] = useState(false)
  const isTokenWanted = useSyncExternalStore(access.subscribe, () => access.isWanted)
  const { link, latest } = useStats()
  const zone = useZone()
  const path = useRouterState({ select: (state) => state.location.pathname })

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setPaletteOpen((isOpen) => !isOpen)
      }
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])

  useEffect(() => {
    const area = areas.find(({ to }) => to !== '/' && path.startsWith(to))
    const name = decodeURIComponent(path.split('/')[2] ?? '')
    document.title = [name, area?.label, 'Millrace'].filter(Boolean).join(' · ')
    scrollTo(0, 0)
  }, [path])

  return (
    <div className={latest && link !== 'live' ? 'frame is-lost' : 'frame'}>
      <a className="skip-link" href="#main">
        Skip to content
      </a>
      <aside className="sidebar">
        <Link to="/" className="brand" aria-label="Millrace, home">
          <Logo />
          <span>Millrace</span>
        </Link>
        <button type="button" className="search-button" onClick={() => setPaletteOpen(true)} aria-keyshortcuts="Meta+K Control+K">
          <Search size={14} aria-hidden />
          <span>Find</span>
          <kbd>{paletteKeys}</kbd>
        </button>
        <Navigation label="Areas" />
        <Version />
      </aside>
      <header className="topbar">
        <Link to="/" className="brand topbar-brand" aria-label="Millrace, home">
          <Logo />
          <span>Millrace</span>
        </Link>
        <Clocks />
        <TimePicker />
        <Connection />
        <ThemeSwitch />
        <button type="button" className="button icon-only topbar-search" onClick={() => setPaletteOpen(true)} aria-label="Find">
          <Search size={16} aria-hidden />
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        {/* Times are written anew in another zone. */}
        <Suspense key={zone}>
          <Outlet />
        </Suspense>
      </main>
      <div className="bottombar">
        <Navigation label="Areas, bottom" />
      </div>
      <Suspense>
        {isPaletteOpen && <Palette onClose={() => setPaletteOpen(false)} />}
        {isTokenWanted && <TokenPrompt />}
      </Suspense>
    </div>
  )
}

const Logo = () => (
  <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true" className="logo">
    <rect width="32" height="32" rx="7" />
    <path d="M5 12c3.7 0 3.7 3 7.3 3s3.7-3 7.4-3 3.6 3 7.3 3M5 19c3.7 0 3.7 3 7.3 3s3.7-3 7.4-3 3.6 3 7.3 3" />
  </svg>
)

const Navigation = ({ label }: { label: string }) => (
  <nav aria-label={label}>
    {areas.map(({ to, label: text, icon: Icon }) => (
      <Link
        key={to}
        to={to}
        activeOptions={{ exact: to === '/' }}
        activeProps={{ className: 'is-active', 'aria-current': 'page' }}
        title={text}
      >
        <Icon size={16} aria-hidden />
        <span>{text}</span>
      </Link>
    ))}
  </nav>
)

function Version() {
  const { latest } = useStats()
  return <p className="version">{latest ? `${latest.version} · Node ${latest.nodeVersion.replace(/^v/, '')}` : ' '}</p>
}

/** Of processing times; event time stays as the events have it. */
function ZonePicker() {
  const zone = useZone()
  const near = [...new Set(['UTC', ownZone(), zone])]
  /** Hundreds of names that nobody reads until the list opens. */
  const [isAsked, setAsked] = useState(false)
  const ask = (): void => setAsked(true)
  return (
    <select
      className="filter zone"
      aria-label="Zone of processing time"
      title={`Processing times in ${zoneText(zone)}; event time is as the events have it`}
      value={zone}
      onPointerDown={ask}
      onFocus={ask}
      onChange={({ target: { value } }) => chooseZone(value)}
    >
      {near.map((name) => (
        <option key={name}>{name}</option>
      ))}
      {isAsked && (
        <optgroup label="All zones">
          {Intl.supportedValuesOf('timeZone')
            .filter((name) => !near.includes(name))
            .map((name) => (
              <option key={name}>{name}</option>
            ))}
        </optgroup>
      )}
    </select>
  )
}

/** The two times that one must not mix up, always labelled. */
function Clocks() {
  const { latest } = useStats()
  const nowMs = useNow()
  const eventMs = eventTimeMs(latest)
  return (
    <div className="clocks">
      <dl>
        <div title="How far the events have come: the newest watermark of the running queries">
          <dt>Event time</dt>
          <dd className="is-event">{eventMs === null ? '–' : formatDateTime(eventMs)}</dd>
        </div>
        <div title="The clock of this machine">
          <dt>Processing time</dt>
          <dd>{formatClock(nowMs)}</dd>
        </div>
      </dl>
      <ZonePicker />
    </div>
  )
}

function Connection() {
  const { link, retryAtMs } = useStats()
  const nowMs = useNow()
  if (link === 'live') {
    return (
      <span className="connection" role="status">
        <Status tone="ok">Live</Status>
      </span>
    )
  }
  const waitSeconds = retryAtMs ? Math.max(0, Math.ceil((retryAtMs - nowMs) / 1_000)) : 0
  return (
    <span className="connection">
      <span role="status">
        <Status tone="warn">{link === 'connecting' ? 'Connecting' : 'Reconnecting'}</Status>
      </span>
      <button type="button" className="button" onClick={reconnectNow}>
        {waitSeconds > 0 ? `Now (${waitSeconds} s)` : 'Now'}
      </button>
    </span>
  )
}

function ThemeSwitch() {
  const choice = useThemeChoice()
  return (
    <Segmented
      label="Theme"
      value={choice}
      onChange={chooseTheme}
      options={[
        { value: 'light', label: 'Light', icon: Sun },
        { value: 'system', label: 'As the system', icon: Monitor },
        { value: 'dark', label: 'Dark', icon: Moon },
      ]}
    />
  )
}
