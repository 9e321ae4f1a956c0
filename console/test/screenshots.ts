// Looks at the pages with a real browser: screenshots, and the checks that a picture does not show.
//
//   node console/test/screenshots.ts http://127.0.0.1:7070 FOLDER [wait seconds]
//
// Exit code 1 if a page logs an error, breaks the content security policy or scrolls sideways on the phone.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [, , url = 'http://127.0.0.1:7070', folder = '/tmp/console-screenshots', waitText = '6'] = process.argv
const paths: [name: string, path: string][] = [
  ['home', '/'],
  ['tables', '/tables'],
  ['table', '/tables/top_pages?order=-edits'],
  ['topics', '/topics'],
  ['topic', '/topics/wiki_edits'],
  ['invalid', '/topics/wiki_edits.invalid'],
  ['queries', '/queries'],
]
const devices = [
  { name: 'desktop', viewport: { width: 1440, height: 900 }, isMobile: false, hasTouch: false },
  { name: 'phone', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
]

mkdirSync(folder, { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
const problems: string[] = []
for (const { name: device, ...options } of devices) {
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser.newContext({ ...options, colorScheme })
    const page = await context.newPage()
    let at = ''
    page.on('console', (message) => message.type() === 'error' && problems.push(`${device} ${colorScheme} ${at}: ${message.text()}`))
    page.on('pageerror', (error) => problems.push(`${device} ${colorScheme} ${at}: ${error.message}`))
    for (const [name, path] of paths) {
      at = name
      await page.goto(url + path)
      await page.waitForTimeout((name === 'home' ? 1_000 : 300) * Number(waitText))
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      if (overflow > 0) problems.push(`${device} ${colorScheme} ${name}: scrolls sideways by ${overflow} px`)
      await page.screenshot({ path: join(folder, `${name}-${device}-${colorScheme}.png`) })
      if (name === 'home') {
        const shift = await page.evaluate(
          () =>
            new Promise<number>((done) => {
              let sum = 0
              const observer = new PerformanceObserver((list) => {
                for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) sum += entry.value
              })
              observer.observe({ type: 'layout-shift' })
              setTimeout(() => done(sum), 3_000)
            }),
        )
        if (shift > 0.005) problems.push(`${device} ${colorScheme} ${name}: layout shifts by ${shift.toFixed(4)} in 3 s`)
        await page.screenshot({ path: join(folder, `${name}-${device}-${colorScheme}-full.png`), fullPage: true })
      }
    }
    await context.close()
  }
}
await browser.close()
process.stdout.write(problems.length > 0 ? `${problems.join('\n')}\n` : 'no problem found\n')
process.exitCode = problems.length > 0 ? 1 : 0
