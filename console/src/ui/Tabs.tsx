// The parts of an object's page, each with an address of its own. The children are links; the current one has aria-current.
import { type ReactNode, useEffect, useRef } from 'react'

/** @param current  identity of the current tab: on a narrow screen it is scrolled to */
export function Tabs({ label, current, children }: { label: string; current: string; children: ReactNode }) {
  const ref = useRef<HTMLElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another tab is what it waits for
  useEffect(() => {
    const nav = ref.current
    const tab = nav?.querySelector<HTMLElement>('[aria-current]')
    if (!nav || !tab) return
    // Not scrollIntoView: that would move the page too.
    nav.scrollLeft = Math.max(0, tab.offsetLeft - nav.offsetLeft - (nav.clientWidth - tab.clientWidth) / 2)
  }, [current])
  return (
    <nav ref={ref} className="tabs" aria-label={label}>
      {children}
    </nav>
  )
}
