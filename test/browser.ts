// A real browser for tests: Debian's chromium, driven by playwright-core. Screenshots are kept where CONSOLE_SCREENSHOTS says, if it does.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { buildConsole } from '../scripts/prepare.mjs'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const screenshots = process.env.CONSOLE_SCREENSHOTS
const WAIT_MS = 20_000

/** For `describe`: why these tests cannot run here. */
export const skipWithoutBrowser = existsSync(executablePath)
  ? false
  : `there is no browser at ${executablePath}: install chromium, or name one in CHROMIUM`

export const devices = {
  desktop: { viewport: { width: 1440, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
}

/** A browser, with the console built. */
export async function launchBrowser(): Promise<Browser> {
  buildConsole()
  if (screenshots) mkdirSync(screenshots, { recursive: true })
  const flags = 'no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync'
  return chromium.launch({ executablePath, args: flags.split(' ').map((flag) => `--${flag}`) })
}

/** A context whose pages report what they should not do: errors, and what the content security policy stops. */
export async function watched(browser: Browser, device: keyof typeof devices, colorScheme: 'light' | 'dark') {
  const context = await browser.newContext({ ...devices[device], colorScheme })
  const problems: string[] = []
  await context.exposeFunction('reportViolation', (text: string) => problems.push(`policy: ${text}`))
  await context.addInitScript(
    "document.addEventListener('securitypolicyviolation', (event) => reportViolation(event.violatedDirective + ' ' + event.blockedURI))",
  )
  context.on('console', (message) => {
    if (message.type() === 'error') problems.push(`${new URL(message.page()?.url() ?? 'about:blank').pathname}: ${message.text()}`)
  })
  context.on('weberror', (error) => problems.push(`page error: ${error.error().message}`))
  return { context, problems }
}

/** Opens a page in the context's one tab, and waits for something on it. */
export async function open(context: BrowserContext, url: string, shows: string): Promise<Page> {
  const page = context.pages()[0] ?? (await context.newPage())
  page.setDefaultTimeout(WAIT_MS)
  await page.goto(url)
  await page.locator(shows).first().waitFor()
  return page
}

export const textOf = async (locator: Locator): Promise<string> => (await locator.first().allInnerTexts())[0] ?? ''

export async function shot(page: Page, name: string): Promise<void> {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) })
}

// What runs in the page is text: the types of a browser are not those of this program.
const frameProbe = `({
  sidewaysPx: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  background: getComputedStyle(document.documentElement).backgroundColor,
})`

/** Nothing scrolls sideways, and the page has the brightness that was asked for. */
export async function checkFrame(page: Page, name: string, scheme: 'light' | 'dark'): Promise<void> {
  const { sidewaysPx, background } = (await page.evaluate(frameProbe)) as { sidewaysPx: number; background: string }
  assert.ok(sidewaysPx <= 0, `${name} scrolls sideways by ${sidewaysPx} px`)
  const brightness = (background.match(/[\d.]+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3
  assert.equal(brightness > 128 ? 'light' : 'dark', scheme, `${name}: background ${background}`)
}

/** A radio button that looks like a segment shows its focus on its label. */
const focusProbe = `(() => {
  const element = document.activeElement
  const styles = [element, element.parentElement, ...element.parentElement.children].map((one) => getComputedStyle(one))
  return {
    text: element.innerText.trim(),
    isVisible: styles.some((style) => (style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || style.boxShadow !== 'none'),
  }
})()`

/** Presses Tab until what has the focus has this text; the focus is visible at every step. */
export async function tabTo(page: Page, isWanted: (text: string) => boolean): Promise<void> {
  for (let step = 0; step < 60; step++) {
    await page.keyboard.press('Tab')
    const { text, isVisible } = (await page.evaluate(focusProbe)) as { text: string; isVisible: boolean }
    assert.ok(isVisible, `the focus on "${text}" cannot be seen`)
    if (isWanted(text)) return
  }
  assert.fail('Tab does not reach it')
}
