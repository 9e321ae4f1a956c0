// The console in a real browser, over the real process with its demo: what a person does with it, and what a picture does not show.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, devices, launchBrowser, open, shot, skipWithoutBrowser, tabTo, textOf, watched } from '../browser.ts'
import { countsSql, makeProject, type Ready, run, Server, startServer, until } from '../harness.ts'

const views: { name: string; path: string; shows: string }[] = [
  { name: 'home', path: '/', shows: '.grid-body [role=row]' },
  { name: 'tables', path: '/tables', shows: 'td.name a' },
  { name: 'table', path: '/tables/top_pages?order=-edits', shows: '.grid-body [role=row]' },
  { name: 'topics', path: '/topics', shows: 'td.name a' },
  { name: 'topic', path: '/topics/wiki_edits', shows: '.message-line' },
  { name: 'queries', path: '/queries', shows: 'td.name a' },
  { name: 'query', path: '/queries/totals_5min', shows: '.why' },
  { name: 'query-graph', path: '/queries/totals_5min?tab=graph', shows: '.plan-node' },
  { name: 'query-state', path: '/queries/totals_5min?tab=state', shows: '.list td' },
  { name: 'query-threads', path: '/queries/totals_5min?tab=threads', shows: '.list td' },
  { name: 'query-checkpoints', path: '/queries/totals_5min?tab=checkpoints', shows: '.savepoint-form' },
  { name: 'query-sql', path: '/queries/totals_5min?tab=sql', shows: '.code.sql' },
  { name: 'query-history', path: '/queries/totals_5min?tab=history', shows: '.list td' },
  { name: 'query-versions', path: '/queries/totals_5min?tab=versions', shows: '.version-difference' },
  { name: 'sql', path: '/sql', shows: '.cm-line' },
]

/** The demo; events come fast, so that a five-minute window closes every half second. */
async function startDemo(t: TestContext, data: string, port = 0): Promise<Server> {
  const running = run(t, ['demo', '--port', String(port), '--data', data, '--workers', '1', '--speed', '600', '--json'])
  return new Server(running, await running.firstLine<Ready>())
}

describe('the console', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser

  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  const number = async (page: Page, selector: string): Promise<number> =>
    Number((await textOf(page.locator(selector))).replace(/[^\d.]/g, ''))
  const factOf = (label: string) => `.fact-line div:has(dt:text-is("${label}")) dd`

  test('every page, on desktop and phone, light and dark: no errors, no violations, nothing scrolls sideways', async (t) => {
    const startedMs = performance.now()
    const server = await startDemo(t, makeProject(t, {}))
    const { url } = server.ready
    const first = await watched(browser, 'desktop', 'light')
    await open(first.context, url, '.grid-body [role=row]')
    t.diagnostic(
      `process start to first live row on the page: ${((performance.now() - startedMs) / 1_000).toFixed(1)} s (target: under 5 s)`,
    )
    await first.context.close()

    for (const device of ['desktop', 'phone'] as const)
      for (const scheme of ['light', 'dark'] as const) {
        const { context, problems } = await watched(browser, device, scheme)
        for (const { name, path, shows } of views) {
          const page = await open(context, url + path, shows)
          await checkFrame(page, name, scheme)
          await shot(page, `${name}-${device}-${scheme}`)
        }
        assert.deepEqual(problems, [], `${device}, ${scheme}`)
        await context.close()
      }
  })

  test('numbers move, links and reloads keep what one saw, keys suffice, a refused event is explained', async (t) => {
    const server = await startDemo(t, makeProject(t, {}))
    const { url } = server.ready
    const { context, problems } = await watched(browser, 'desktop', 'light')

    // Home: the count grows, and a five-minute window closes while one looks.
    let page = await open(context, url, '.chart-at:not(:empty)')
    const count = await number(page, '.headline-count')
    const windowAt = await textOf(page.locator('.chart-at'))
    await until(async () => (await number(page, '.headline-count')) > count, 'the number of edits stands still')
    await until(async () => (await textOf(page.locator('.chart-at'))) !== windowAt, 'no new window in the chart')

    // A paused feed stands still while events go on coming.
    const feed = page.locator('.panel', { has: page.locator('h2:text-is("Events")') })
    await feed.locator('.message-line').nth(5).waitFor()
    await feed.getByRole('button', { name: 'Pause' }).click()
    const held = await textOf(feed.locator('.messages'))
    const before = await number(page, '.headline-count')
    await until(async () => (await number(page, '.headline-count')) > before + 20, 'no events while the feed is paused')
    assert.equal(await textOf(feed.locator('.messages')), held, 'the paused feed moved')
    await page.mouse.move(5, 5)
    await feed.getByRole('button', { name: 'Resume' }).click()
    await page.mouse.move(5, 5)
    await until(async () => (await textOf(feed.locator('.messages'))) !== held, 'the feed goes on')

    // A table: rows change in place; its order is in the address and survives a reload.
    page = await open(context, `${url}/tables/top_pages`, '.grid-body [role=row]')
    await page.getByRole('columnheader', { name: 'edits' }).getByRole('button').click()
    await page.waitForURL(/order=-edits/)
    await page.reload()
    await page.locator('[role=columnheader][aria-sort=descending]:has-text("edits")').waitFor()
    await page.locator('.grid-body [role=row]').first().waitFor()
    const rows = await textOf(page.locator('.grid-body'))
    const changes = await number(page, factOf('Changes'))
    await until(async () => (await textOf(page.locator('.grid-body'))) !== rows, 'the rows of the table stand still')
    await until(async () => (await number(page, factOf('Changes'))) > changes, 'the number of changes stands still')

    // Windows as a table: a row more for each that closes.
    page = await open(context, `${url}/tables/totals_5min?order=-window_start`, '.grid-body [role=row]')
    const windows = await number(page, factOf('Rows'))
    const newest = await textOf(page.locator('.grid-body [role=row]'))
    await until(async () => (await number(page, factOf('Rows'))) > windows, 'no new window in the table')
    await until(async () => (await textOf(page.locator('.grid-body [role=row]'))) !== newest, 'the newest window is not on top')

    // Keys alone: to Tables, into a table, and by the palette to a query.
    page = await open(context, url, '.grid-body [role=row]')
    await tabTo(page, (text) => text === 'Tables')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/tables$/)
    await page.locator('td.name a').first().waitFor()
    await tabTo(page, (text) => text === 'country_edits')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/tables\/country_edits$/)
    await page.keyboard.press('Control+k')
    await page.getByRole('option', { name: /totals_5min.*Query/s }).waitFor()
    await page.keyboard.type('totals query')
    assert.match(await textOf(page.locator('[role=option][aria-selected=true]')), /totals_5min\n[\s\S]*Query/)
    await shot(page, 'palette-desktop-light')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/queries\/totals_5min$/)
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })

    // A query is stopped: its rows stand still, why says so; started, it goes on from where it was.
    page = await open(context, `${url}/queries/totals_5min`, '.why')
    await page.getByRole('button', { name: 'Stop…' }).click()
    await shot(page, 'query-stop-desktop-light')
    await page.getByRole('button', { name: 'Stop with a checkpoint' }).click()
    await page.getByRole('button', { name: 'Start…' }).waitFor()
    await page.getByText('It was stopped by hand').first().waitFor()
    const stopped = await number(page, factOf('Rows out'))
    await page.getByRole('button', { name: 'Start…' }).click()
    await page.getByRole('button', { name: 'Start from its checkpoint' }).click()
    await page.getByRole('button', { name: 'Stop…' }).waitFor()
    await until(async () => (await number(page, factOf('Rows out'))) > stopped, 'the query does not go on')

    // A refused event: rule and path on the page of the .invalid topic, which opens from a link.
    const { status, body } = await server.post('wiki_edits', [{ page: 'no time, no channel' }])
    assert.equal(status, 422, JSON.stringify(body))
    const { rule, path } = body.rejected[0]
    page = await open(context, `${url}/topics/wiki_edits.invalid`, '.letters li')
    assert.equal(await textOf(page.locator('.letters h2')), `${rule}: ${path}`)
    await page.getByRole('link', { name: 'Messages' }).click()
    await page.locator('.message-rule').first().waitFor()
    assert.match(await textOf(page.locator('.message-rule')), new RegExp(`${rule}\\s+${path}`))
    await page.locator('.message-line').first().click()
    assert.match(await textOf(page.locator('.message-detail')), /no time, no channel/)
    await shot(page, 'invalid-desktop-light')
    assert.deepEqual(problems, [])

    // The server goes away and comes back.
    page = await open(context, url, '.grid-body [role=row]')
    const { code } = await server.running.kill('SIGTERM')
    assert.equal(code, 0, server.running.output)
    await page.getByRole('status').filter({ hasText: 'Reconnecting' }).waitFor()
    await shot(page, 'reconnecting-desktop-light')
    const again = await startDemo(t, makeProject(t, {}), server.ready.port)
    assert.equal(again.ready.port, server.ready.port)
    await page
      .getByRole('status')
      .filter({ hasText: /^Live$/ })
      .waitFor()
    const restarted = await number(page, '.headline-count')
    await until(async () => (await number(page, '.headline-count')) !== restarted, 'the numbers stand still after the restart')
    await context.close()
  })

  test('a server that asks for a token: so does the page, again after a wrong one', async (t) => {
    const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
    const data = join(folder, 'data')
    const made = run(t, ['token', 'create', '--role', 'reader', '--data', data, '--json'])
    await made.exited
    const [{ token }] = made.lines<{ token: string }>()
    const server = await startServer(t, folder, ['--host', '0.0.0.0', '--data', data])
    const context = await browser.newContext(devices.desktop)
    const page = await open(context, `http://127.0.0.1:${server.ready.port}/tables`, 'dialog #token')
    await page.locator('#token').fill(`${token.slice(0, -4)}AAAA`)
    await page.keyboard.press('Enter')
    await page.getByText('The last token was refused').waitFor()
    await page.locator('#token').fill(token)
    await page.keyboard.press('Enter')
    await page.locator('td.name a:text-is("counts")').waitFor()
    await page
      .getByRole('status')
      .filter({ hasText: /^Live$/ })
      .waitFor()
    assert.ok(!page.url().includes('mr_'), 'the token is in the address')
    await context.close()
  })
})
