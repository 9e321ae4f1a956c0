// Lists, and what stands still while one looks: order and filter of lists, the lag of a group over time, what needs attention, ranges of time where
// there is little room. A real browser over the real process.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, watched } from '../browser.ts'
import { countsSql, makeProject, startServer, until } from '../harness.ts'

const names = ['alpha', 'beta', 'gamma']
const sql = `${countsSql}
${names
  .map(
    (name, i) => `CREATE MATERIALIZED TABLE ${name} (PRIMARY KEY (page) NOT ENFORCED) FRESHNESS = INTERVAL '1' SECOND AS
SELECT page, COUNT(*) AS c FROM events WHERE n >= ${i * 30} GROUP BY page;`,
  )
  .join('\n')}
`
const event = (i: number) => ({ id: `e${i}`, page: i % 2 === 0 ? '/x' : '/y', n: i, ts: '2026-03-01 00:00:00.000' })
const json = { 'content-type': 'application/json' }

/** How much of the page moved by itself since it was opened, as browsers measure it. */
const shiftProbe = `new Promise((done) => {
  let sum = 0
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value
  }).observe({ type: 'layout-shift', buffered: true })
  setTimeout(() => done(sum), 1500)
})`
/** What the picker has left beside its text, for its arrow. */
const roomProbe = `(() => {
  const select = [...document.querySelectorAll('.time-picker select')].find((one) => one.offsetWidth > 0)
  const style = getComputedStyle(select)
  const canvas = document.createElement('canvas').getContext('2d')
  canvas.font = style.font
  const textPx = canvas.measureText(select.selectedOptions[0].text).width
  return select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - textPx
})()`
const ARROW_PX = 12
const shiftOf = async (page: Page): Promise<number> => (await page.evaluate(shiftProbe)) as number

describe('lists, and what stands still', { skip: skipWithoutBrowser, timeout: 120_000, concurrency: 2 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())
  const namesOn = (page: Page) => page.locator('.cards td.name a').allInnerTexts()

  test('lists, figures and times', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': sql }), ['--kafka-port', '0'])
    const { url } = server.ready
    await server.post(
      'events',
      Array.from({ length: 90 }, (_, i) => event(i)),
    )
    // At once: most of it is waiting for what is measured every few seconds.
    await Promise.all([
      t.test('the lag of a group is drawn over time, in records and in time, also from before one looked', async () => {
        const reset = { to: 'earliest', topics: ['events'], execute: true }
        await server.call('/v1/groups/billing/reset', { method: 'POST', headers: json, body: JSON.stringify(reset) })
        interface Lags {
          series: { lagRecords: (number | null)[]; lagMs: (number | null)[] }
        }
        const lags = () => server.get<Lags>('/v1/groups/billing/stats/history')
        await until(async () => (await lags()).series.lagRecords.filter((one) => one === 90).length >= 2, 'no lag over time', 30_000)
        const { series } = await lags()
        const times = series.lagMs.filter((one) => one !== null)
        assert.ok(times.length >= 2 && times[1] > times[0] && times[1] - times[0] < 20_000, JSON.stringify(times))
        assert.equal((await server.call('/v1/groups/nobody/stats/history')).status, 404)

        const { context, problems } = await watched(browser, 'desktop', 'light')
        const page = await open(context, `${url}/groups/billing`, '.chart-canvas canvas')
        await page.getByRole('img', { name: 'In records: Behind' }).waitFor()
        await page.getByText('Behind for').waitFor()
        await page.locator('.chart-readout', { hasText: 'Behind 90' }).waitFor()
        await checkFrame(page, 'group with its lag', 'light')
        await shot(page, 'lists-group-desktop-light')
        assert.deepEqual(problems, [])
        await context.close()
      }),
      t.test('a list is ordered and filtered by keys and by touch, and its address shows the same to others', async () => {
        for (let i = 0; i < 5; i++)
          await server.call('/v1/topics', {
            method: 'POST',
            headers: json,
            body: JSON.stringify({ name: `made-${i}`, partitionCount: (i % 3) + 1 }),
          })
        const { context, problems } = await watched(browser, 'desktop', 'dark')
        const page = await open(context, `${url}/topics`, 'td.name a')
        assert.equal((await namesOn(page))[0], 'events')
        const head = (name: string) => page.getByRole('columnheader', { name })
        await head('Partitions').getByRole('button').press('Enter')
        await page.waitForURL(/sort=-partitions/)
        await until(async () => (await namesOn(page))[0] === 'made-2', 'not by partitions')
        assert.equal(await head('Partitions').getAttribute('aria-sort'), 'descending')
        await head('Name').getByRole('button').click()
        await page.waitForURL(/sort=name/)
        await until(async () => (await namesOn(page))[0].startsWith('__'), 'not by name')
        await page.getByLabel('Filter topics').pressSequentially('made')
        await page.waitForURL(/q=made/)
        await head('Name').getByRole('button').click()
        await page.waitForURL(/sort=-name/)
        const shown = ['made-4', 'made-3', 'made-2', 'made-1', 'made-0']
        const isShown = async () => (await namesOn(page)).join() === shown.join()
        await until(isShown, 'not found and ordered')
        await page.reload()
        await until(isShown, 'not found and ordered by the address')
        // The list's own name in the navigation is the list as it was.
        await page.getByRole('navigation', { name: 'Areas', exact: true }).getByRole('link', { name: 'Topics' }).click()
        await until(async () => (await namesOn(page))[0] === 'events', 'the filter is still there')
        assert.equal(await page.getByLabel('Filter topics').inputValue(), '')

        // Queries by a part of their SQL.
        await page.goto(`${url}/queries?sort=-name`)
        await until(async () => (await namesOn(page)).join() === 'gamma,counts,beta,alpha', 'not in the order of the address')
        await page.getByLabel('Filter queries').fill('n >= 60')
        await until(async () => (await namesOn(page)).join() === 'gamma', 'not found by its SQL')
        await page.getByLabel('Filter queries').fill('failed')
        await page.getByText('No query has this in its name, state or SQL.').waitFor()
        await checkFrame(page, 'queries, none found', 'dark')
        assert.deepEqual(problems, [])
        await context.close()

        const phone = await watched(browser, 'phone', 'light')
        const small = await open(phone.context, `${url}/queries`, 'td.name a')
        await small.getByLabel('Order').selectOption({ label: 'Name ↓' })
        await until(async () => (await namesOn(small))[0] === 'gamma', 'not ordered')
        await checkFrame(small, 'queries on the phone', 'light')
        await shot(small, 'lists-queries-phone-light')
        assert.deepEqual(phone.problems, [])
        await phone.context.close()
      }),
      t.test('processing times are in the zone that one chooses, written and read; event time is as events have it', async () => {
        const { context, problems } = await watched(browser, 'desktop', 'light')
        const path = '/observe?range=2026-03-01T23:30:00Z~2026-03-02T00:30:00Z'
        const page = await open(context, url + path, '.chart-grid')
        const range = page.getByRole('combobox', { name: 'Range of time' })
        const rangeText = () =>
          range.evaluate((select) => (select as unknown as { selectedOptions: { text: string }[] }).selectedOptions[0].text)
        assert.equal(await rangeText(), '03-01 23:30 – 03-02 00:30')
        await page.getByText('2026-02-28 23:59:59').waitFor()
        const zones = page.getByLabel('Zone of processing time')
        await zones.focus()
        await zones.selectOption('Asia/Tehran')
        await until(async () => (await rangeText()) === '03-02 03:00 – 04:00', 'the range is not in the zone')
        await page.getByText('2026-02-28 23:59:59').waitFor()
        await range.selectOption('choose')
        const dialog = page.getByRole('dialog')
        assert.equal(await dialog.getByLabel('From').inputValue(), '2026-03-02 03:00:00')
        await dialog.getByLabel('From').fill('2026-03-02 02:30')
        await page.keyboard.press('Enter')
        await page.waitForURL(({ href }) => decodeURIComponent(href).includes('range=2026-03-01T23:00:00Z~2026-03-02T00:30:00Z'))

        // Over a reload; a time to seek goes to the server as the moment that it is.
        const zoned = (ms: number) => new Date(ms + 3.5 * 3_600_000).toISOString().slice(0, 16).replace('T', ' ')
        await page.goto(`${url}/topics/events/messages?from=time`)
        await page.getByLabel('Read from time (Asia/Tehran)').fill(zoned(Date.now() - 3_600_000))
        await page.keyboard.press('Enter')
        await page.getByText(/ 90 found/).waitFor()
        assert.match(decodeURIComponent(page.url()), /time=\d{4}-[^&]*Z/)
        await page.getByLabel('Read from time (Asia/Tehran)').fill(zoned(Date.now() + 3_600_000))
        await page.keyboard.press('Enter')
        await page.getByText(/No record from there on/).waitFor()

        await page.keyboard.press('Control+k')
        await page.getByRole('dialog').waitFor()
        await page.keyboard.type('times in utc')
        await page.getByRole('option', { name: /Times in UTC/ }).waitFor()
        await page.keyboard.press('Enter')
        await page.getByLabel('Read from time (UTC)').waitFor()
        assert.equal(await page.getByLabel('Zone of processing time').inputValue(), 'UTC')
        await checkFrame(page, 'messages', 'light')
        assert.deepEqual(problems, [])
        await context.close()
      }),
      t.test('figures that come later move nothing on Observe, and a range between two days is whole', async () => {
        const { context, problems } = await watched(browser, 'desktop', 'dark')
        const page = await open(context, `${url}/observe`, '.chart-grid')
        for (const width of [390, 820]) {
          await page.setViewportSize({ width, height: 900 })
          // As over a slow network: what is asked comes after the page stands.
          await page.route(/\/v1\/(forecast|stats\/history)/, async (route) => {
            await new Promise((resolve) => setTimeout(resolve, 400))
            await route.continue().catch(() => undefined)
          })
          await page.goto(`${url}/observe`)
          await page
            .getByText(/of .* \(.* %\)/)
            .first()
            .waitFor()
          const shift = await shiftOf(page)
          assert.ok(shift < 0.02, `Observe at ${width} px shifts by ${shift}`)
          await page.unrouteAll({ behavior: 'ignoreErrors' })

          await page.goto(`${url}/observe?range=2026-03-01T23:30:00Z~2026-03-02T00:30:00Z`)
          const range = page.getByRole('combobox', { name: 'Range of time' }).locator('visible=true')
          await range.waitFor()
          const roomPx = (await page.evaluate(roomProbe)) as number
          assert.ok(roomPx >= ARROW_PX, `at ${width} px the range is cut by ${-roomPx} px`)
          await checkFrame(page, `Observe at ${width} px`, 'dark')
          await shot(page, `lists-range-${width}-dark`)
        }
        assert.deepEqual(problems, [])
        await context.close()
      }),
    ])
  })

  test('what comes later moves nothing on Home: what needs attention, and what was deployed', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': sql }))
    const { url } = server.ready
    await server.post(
      'events',
      Array.from({ length: 90 }, (_, i) => event(i)),
    )
    const { context, problems } = await watched(browser, 'desktop', 'dark')
    const page = await open(context, url, '.attention')
    await page.getByText('Nothing needs attention').waitFor()
    const top = async () => (await page.locator('.tiles').boundingBox())?.y
    const before = await top()
    await server.post('events', [{ page: '/x', n: 1 }])
    await page.getByText('1 thing needs attention').waitFor()
    await page.getByText(/^New: Refused for events: 1 event/).waitFor()
    assert.equal(await top(), before, 'the page has moved')
    await page.getByRole('button', { name: 'Show 1 new' }).click()
    await page.getByRole('list', { name: 'Needs attention' }).getByRole('link', { name: 'events.invalid' }).waitFor()
    await shot(page, 'lists-attention-desktop-dark')
    // Over: it stays, marked so, until it is put away.
    const shown = await top()
    await server.call('/v1/topics/events.invalid?confirm=events.invalid', { method: 'DELETE' })
    await page.getByText('Nothing needs attention').waitFor()
    assert.equal(await top(), shown, 'the page has moved')
    await page.getByRole('button', { name: 'Put away what is over' }).click()
    await page.getByRole('list', { name: 'Needs attention' }).waitFor({ state: 'detached' })
    assert.equal(await top(), before)

    // What was deployed last, and the way to what it changed.
    const deployed = page.getByRole('region', { name: 'Deployed last' })
    assert.match((await deployed.getByRole('listitem').allInnerTexts()).join(), /gamma\s+new in counts.sql/)
    await deployed.getByRole('link', { name: 'gamma' }).click()
    await page.getByText('The first version that is known:').waitFor()
    assert.deepEqual(problems, [])
    await context.close()
  })
})
