// The console for those who hear it or use no mouse: axe's rules (WCAG 2.2 A and AA, contrast included) over every page, in both themes, on desktop and
// phone. A real browser over the real process.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import axe, { type AxeResults } from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser, open, skipWithoutBrowser, watched } from '../browser.ts'
import { countsSql, makeProject, startServer, untilRows } from '../harness.ts'

const event = (i: number) => ({ id: `e${i}`, page: i % 2 === 0 ? '/x' : '/y', n: i, ts: '2026-03-01 00:00:00.000' })

/** What axe finds: the rule, and where. */
async function findings(page: Page): Promise<string[]> {
  const found = (await page.evaluate(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations'], preload: false, elementRef: false }).then(({ violations }) => violations)`,
  )) as AxeResults['violations']
  return found.flatMap(({ id, nodes }) =>
    nodes.map(
      ({ target, html, failureSummary }) => `${id}: ${target.join(' ')} ${html.slice(0, 160)} ${failureSummary?.split('\n')[1] ?? ''}`,
    ),
  )
}

/**
 * Goes on within the application, as a link does: loading it anew for each page took half of the time. What matched before is marked, so that
 * what is waited for is of the new page.
 */
async function goOn(page: Page, path: string, shows: string): Promise<void> {
  await page.evaluate(`(() => {
    for (const element of document.querySelectorAll(${JSON.stringify(shows)})) element.dataset.before = ''
    history.pushState(null, '', ${JSON.stringify(path)})
    dispatchEvent(new PopStateEvent('popstate'))
  })()`)
  await page.locator(`:is(${shows}):not([data-before])`).first().waitFor()
}

describe('the console by ear and by keys', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('no page breaks a rule of WCAG, in light and dark, on desktop and phone', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': countsSql }), ['--kafka-port', '0'])
    const { url } = server.ready
    await server.post(
      'events',
      Array.from({ length: 10 }, (_, i) => event(i)),
    )
    await server.post('events', [{ page: '/x', n: 1 }])
    await untilRows(server, 'counts', [
      ['/x', 5, 20],
      ['/y', 5, 25],
    ])
    const reset = { to: 'earliest', topics: ['events'], execute: true }
    await server.call('/v1/groups/billing/reset', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(reset),
    })
    // One of each kind: the others are tables as these.
    const tabs = ['why', 'graph', 'windows', 'state', 'metrics', 'checkpoints', 'versions', 'tests', 'sql']
    const views: [path: string, shows: string][] = [
      ['/', '.attention li'],
      ['/tables', 'td.name a'],
      ['/tables/counts', '.grid-body [role=row]'],
      ['/topics', 'td.name a'],
      ['/topics/events', '.message-line'],
      ['/topics/events/messages?from=oldest&view=table', '.grid-body [role=row]'],
      ['/topics/events/partitions', '.list td'],
      ['/topics/events/consumers', '.list td'],
      ['/topics/events/settings', '.settings td'],
      ['/topics/events/statistics', '.panel'],
      ['/topics/events.invalid', '.letters li'],
      ['/groups', 'td.name a'],
      ['/groups/billing', '.panel'],
      ['/queries', 'td.name a'],
      ...tabs.map((tab): [string, string] => [`/queries/counts?tab=${tab}`, '.panel-body > *']),
      ['/sql', '.cm-content'],
      ['/lineage', '.plan-node'],
      ['/observe', '.chart-grid'],
      ['/backups', 'h1'],
      ['/nowhere', '.empty'],
    ]
    const look = async (device: 'desktop' | 'phone', scheme: 'dark' | 'light', shown: typeof views) => {
      const { context } = await watched(browser, device, scheme)
      await context.addInitScript(axe.source)
      const all = new Map<string, string>()
      const [[first, firstShows], ...others] = shown
      const page = await open(context, url + first, firstShows)
      for (const [path, shows] of [[first], ...others]) {
        if (shows !== undefined) await goOn(page, path, shows)
        for (const one of await findings(page)) all.set(one, path)
      }
      assert.deepEqual([...all], [], `${device}, ${scheme}`)
      await context.close()
    }
    // What is laid out otherwise on the phone.
    const onPhone = views.filter(([path]) => !path.includes('?tab=') || path.endsWith('why'))
    const half = Math.ceil(views.length / 2)
    // At once, in parts of much the same length: while one waits for its rows, the others are looked at.
    await Promise.all([
      look('desktop', 'dark', views.slice(0, half)),
      look('desktop', 'dark', views.slice(half)),
      look('phone', 'light', onPhone),
    ])
  })
})
