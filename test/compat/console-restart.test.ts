// A page of the console that stays open while the server goes and comes back: it says so, keeps what it shows, and then shows what is there now.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { launchBrowser, shot, skipWithoutBrowser } from '../browser.ts'
import { countsSql, makeProject, startServer, untilRows } from '../harness.ts'

const projectSql = `${countsSql}
CREATE TABLE copy (id STRING, page STRING) WITH ('connector' = 'kafka', 'topic' = 'copy', 'format' = 'json');
INSERT INTO copy SELECT id, page FROM events;`
const event = (id: string, page: string) => [{ id, page, n: 1, ts: '2026-03-01 00:00:00.000' }]
/** Longer than the first waits between two tries, so that the next ones are long. */
const AWAY_MS = 9_000

describe('a server that goes and comes back', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser

  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('a table, and the topic that a query writes', async (t) => {
    const folder = makeProject(t, { 'pipelines/counts.sql': projectSql })
    const first = await startServer(t, folder)
    await first.post('events', event('a', '/before'))
    await untilRows(first, 'counts', [['/before', 1, 1]])
    const problems: string[] = []
    const looks = ['/tables/counts', '/queries/insert_into_copy?tab=output'].map(async (path) => {
      const page = await browser.newPage()
      t.after(() => page.close())
      page.setDefaultTimeout(20_000)
      page.on('pageerror', (error) => problems.push(error.message))
      await page.goto(`${first.ready.url}${path}`)
      const shown = (text: string) => page.locator('main').getByText(text)
      const connection = page.locator('.connection')
      await shown('/before').first().waitFor()
      await connection.getByText('Live').waitFor()
      return { page, path, shown, connection }
    })
    const pages = await Promise.all(looks)

    await first.running.kill('SIGKILL')
    for (const { connection } of pages) await connection.getByText('Reconnecting').waitFor()
    await setTimeout(AWAY_MS)
    for (const { page, path, shown } of pages) {
      assert.ok(await shown('/before').first().isVisible(), `${path}: what was there stays`)
      await shot(page, `away-${path.split('/')[1]}`)
    }
    // It begins anew: other records at the same offsets.
    const second = await startServer(t, folder, ['--port', String(first.ready.port), '--data', join(folder, 'other')])
    await second.post('events', event('b', '/after'))
    await untilRows(second, 'counts', [['/after', 1, 1]])
    for (const { path, shown, connection } of pages) {
      const again = connection.getByRole('button')
      if (await again.isVisible()) await again.click()
      await connection.getByText('Live').waitFor()
      // At once, and not when each connection's own wait is over.
      await shown('/after').first().waitFor({ timeout: 4_000 })
      assert.equal(await shown('/before').count(), 0, `${path}: rows of the time before are gone`)
    }
    assert.deepEqual(problems, [])
  })
})
