// Sets the theme before the first paint. A file of its own, because the page's content security policy allows no inline script.
// The choice is 'light', 'dark' or absent (follow the system); src/ui/theme.ts writes it.
;(() => {
  let choice = null
  try {
    choice = localStorage.getItem('millrace.theme')
  } catch {
    // Storage can be forbidden; the system's theme then applies.
  }
  const isDark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light'
})()
