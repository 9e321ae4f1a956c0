// What one does with a statement that was tried out: laid out, run over a part of the log, made a view, made a test; and tests of a query.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, watched } from '../browser.ts'
import { countsSql, makeProject, startServer, until, untilRows } from '../harness.ts'

const event = (id: string, page: string, n: number) => ({ id, page, n, ts: '2026-03-01 00:00:00.000' })

describe('a statement of the workspace becomes something of the project', { skip: skipWithoutBrowser, timeout: 180_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  const editorOf = (page: Page) => page.locator('.cm-content')
  const statusOf = (page: Page) => page.locator('.sql-bar [role=status]')
  async function write(page: Page, text: string, says: string): Promise<void> {
    await editorOf(page).click()
    await page.keyboard.press('Control+A')
    await page.keyboard.insertText(text)
    await page.keyboard.press('Escape')
    await statusOf(page).filter({ hasText: says }).waitFor()
  }

  for (const [device, scheme] of [
    ['desktop', 'dark'],
    ['phone', 'light'],
  ] as const)
    test(`formatted, run over a part of the log, saved as a view and as a test, on the ${device}`, async (t) => {
      const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
      const server = await startServer(t, folder)
      await server.post(
        'events',
        Array.from({ length: 10 }, (_, i) => event(`e${i}`, i % 2 === 0 ? '/x' : '/y', i)),
      )
      await untilRows(server, 'counts', [
        ['/x', 5, 20],
        ['/y', 5, 25],
      ])
      const { context, problems } = await watched(browser, device, scheme)
      t.after(() => context.close())
      const page = await open(context, `${server.ready.url}/sql`, '.cm-content')
      const dialog = page.getByRole('dialog')

      await write(page, 'select page,count(*) as n -- how many\nfrom events group by page', '1 statement, no errors')
      await page.getByRole('button', { name: 'Format' }).click()
      const wanted = 'SELECT page, COUNT(*) AS n -- how many\nFROM events\nGROUP BY page'
      await until(async () => (await page.locator('.cm-line').allInnerTexts()).join('\n').trim() === wanted, 'the text is not formatted')

      // What Flink would do otherwise is marked, in words too.
      await write(page, 'CREATE TABLE other (a INT);', '1 statement, no errors')
      await page.locator('.cm-lint-marker-info').waitFor()
      await page.locator('.cm-lintRange-info').hover()
      await page.locator('.cm-tooltip').getByText('Flink refuses a table without a connector').first().waitFor()
      await write(page, wanted, '1 statement, no errors')

      // Records 2 to 4 of the only partition: two of /x, one of /y.
      const rows = page.locator('.sql-results .grid-body [role=row]')
      const shown = async () => (await rows.allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').trim()).sort()
      await page.getByLabel('Records that are read').selectOption('choose')
      await dialog.getByLabel('First offset').fill('2')
      await dialog.getByLabel('Before offset').fill('x')
      await dialog.getByText('whole numbers').waitFor()
      await dialog.getByLabel('Before offset').fill('5')
      await shot(page, `workspace-slice-${device}-${scheme}`)
      await dialog.getByRole('button', { name: 'Read these' }).click()
      await page.getByRole('button', { name: 'Run', exact: true }).click()
      await until(async () => (await shown()).join() === '/x 2,/y 1', 'not the rows of the slice')
      await page.locator('.sql-results').getByText('offsets 2 to 4').waitFor()
      await page.getByLabel('Records that are read').selectOption({ label: 'all records' })
      await page.getByRole('button', { name: 'Run', exact: true }).click()
      await until(async () => (await shown()).join() === '/x 5,/y 5', 'not all rows')
      await checkFrame(page, `the workspace on the ${device}`, scheme)
      await shot(page, `workspace-${device}-${scheme}`)

      await page.getByRole('button', { name: 'Save as…' }).click()
      await dialog.getByLabel('Name').fill('busy')
      await dialog.getByRole('button', { name: 'Look at what it changes' }).click()
      await dialog.getByText('A new file').waitFor()
      await dialog.getByText('stay as they are: counts').waitFor()
      await dialog.getByRole('button', { name: 'Deploy' }).click()
      await until(() => existsSync(join(folder, 'pipelines/busy.sql')), 'the view is not in the project')
      await dialog.getByRole('button', { name: 'Close' }).click()
      await write(page, 'SELECT SUM(n) AS total FROM busy', 'no errors')

      await page.getByRole('button', { name: 'Save as…' }).click()
      await dialog.getByRole('radio', { name: 'Test' }).check({ force: true })
      await dialog.getByLabel('Name').fill('busy_total')
      await dialog.getByRole('button', { name: 'Draft it' }).click()
      await dialog.getByLabel('Text of busy_total.test').waitFor()
      await shot(page, `workspace-test-${device}-${scheme}`)
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByText('Saved:').waitFor()
      assert.match(readFileSync(join(folder, 'tests/busy_total.test'), 'utf8'), /--- use pipelines\n[\s\S]*\n\[10\]\n$/)
      assert.deepEqual(problems, [])
    })

  test('a test is drafted from the records of a query, passes, differs when the SQL changes, is deleted and comes back', async (t) => {
    const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
    const server = await startServer(t, folder, [], 'dev')
    await server.post('events', [event('a', '/x', 1), event('b', '/x', 2), event('c', '/y', 4)])
    await untilRows(server, 'counts', [
      ['/x', 2, 3],
      ['/y', 1, 4],
    ])
    const { context, problems } = await watched(browser, 'phone', 'dark')
    t.after(() => context.close())
    const page = await open(context, `${server.ready.url}/queries/counts?tab=tests`, '.empty-title')
    const dialog = page.getByRole('dialog')
    await page.getByText('No test expects the rows of counts').waitFor()
    await page.getByRole('button', { name: 'Draft a test' }).click()
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.getByRole('button', { name: 'Done' }).click()
    const section = page.getByLabel('counts.test', { exact: true })
    await section.getByRole('button', { name: 'Run counts.test' }).click()
    await section.getByText('passed in').waitFor()

    writeFileSync(join(folder, 'pipelines/counts.sql'), countsSql.replace('SUM(n)', 'MAX(n)'))
    await untilRows(server, 'counts', [
      ['/x', 2, 2],
      ['/y', 1, 4],
    ])
    await section.getByRole('button', { name: 'Run counts.test' }).click()
    await section.getByText('differs').waitFor()
    await section.getByText('+ ["/x", 2, 2]').waitFor()
    await checkFrame(page, 'tests on the phone', 'dark')
    await shot(page, 'query-tests-phone-dark')

    await section.getByRole('button', { name: 'Delete counts.test' }).click()
    await dialog.getByRole('button', { name: 'Delete the file' }).click()
    await dialog.getByText('is deleted').waitFor()
    assert.equal(existsSync(join(folder, 'tests/counts.test')), false)
    await dialog.getByRole('button', { name: 'Undo' }).click()
    await until(() => existsSync(join(folder, 'tests/counts.test')), 'the test is not back')
    await dialog.getByRole('button', { name: 'Close' }).click()
    await section.waitFor()
    assert.deepEqual(problems, [])
  })

  test('a tab that does not exist is none; a query is rescaled', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': countsSql }))
    const { context, problems } = await watched(browser, 'desktop', 'light')
    t.after(() => context.close())
    const page = await open(context, `${server.ready.url}/queries/counts?tab=nothing`, '.segmented')
    await page.getByText('Why no output').waitFor()
    const dialog = page.getByRole('dialog')
    await page.getByRole('button', { name: 'Rescale…' }).click()
    await dialog.getByLabel('Threads').fill('0')
    await dialog.getByText('A whole number from 1 to 128').waitFor()
    await dialog.getByLabel('Threads').fill('2')
    await shot(page, 'query-rescale-desktop-light')
    await dialog.getByRole('button', { name: 'Go on in so many threads' }).click()
    await page.locator('.fact-line div:has(dt:text-is("Threads")) dd').filter({ hasText: '2' }).waitFor()

    // Who looks at its rows meanwhile goes on seeing them.
    await page.goto(`${server.ready.url}/queries/counts?tab=output`)
    await server.post('events', [event('a', '/x', 1)])
    await page.getByText('/x', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Rescale…' }).click()
    await dialog.getByLabel('Threads').fill('3')
    await dialog.getByRole('button', { name: 'Go on in so many threads' }).click()
    await page.locator('.fact-line div:has(dt:text-is("Threads")) dd').filter({ hasText: '3' }).waitFor()
    await server.post('events', [event('b', '/y', 2)])
    const isRefused = page.getByText('VIEW_DROPPED').waitFor()
    await Promise.race([
      page.getByText('/y', { exact: true }).waitFor(),
      isRefused.then(() => assert.fail('the table is said to be dropped')),
    ])
    assert.deepEqual(problems, [])
  })
})
