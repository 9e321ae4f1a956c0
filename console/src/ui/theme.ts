// Light, dark or as the system says; remembered. public/theme.js applies the choice before the first paint.
import { useSyncExternalStore } from 'react'

export type ThemeChoice = 'system' | 'light' | 'dark'
const storageKey = 'millrace.theme'
const systemDark = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()

function readChoice(): ThemeChoice {
  try {
    const stored = localStorage.getItem(storageKey)
    return stored === 'light' || stored === 'dark' ? stored : 'system'
  } catch {
    return 'system'
  }
}

let choice = readChoice()

const isDark = (): boolean => choice === 'dark' || (choice === 'system' && systemDark.matches)

function apply(): void {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light'
  const background = getComputedStyle(document.documentElement).getPropertyValue('--bg').trim()
  document.querySelector('meta[name="theme-color"]')?.setAttribute('content', background)
  for (const listener of listeners) listener()
}

systemDark.addEventListener('change', apply)

export function chooseTheme(next: ThemeChoice): void {
  choice = next
  try {
    if (next === 'system') localStorage.removeItem(storageKey)
    else localStorage.setItem(storageKey, next)
  } catch {
    // Storage can be forbidden: the choice then lasts as long as the page.
  }
  apply()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useThemeChoice = (): ThemeChoice => useSyncExternalStore(subscribe, () => choice)
/** Changes when the colours do: what is drawn on a canvas depends on it. */
export const useIsDark = (): boolean => useSyncExternalStore(subscribe, isDark)

/** A colour of the current theme, for canvases. */
export const themeColor = (name: `--${string}`): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
