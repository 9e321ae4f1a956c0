// The console where things are odd: names that SQL takes only in backquotes, rows of many columns and of a megabyte, what goes away while its page is
// open, texts in dialogs that one selects with the mouse, addresses that are typed by hand. A real browser over the real process.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, watched } from '../browser.ts'
import { countsSql, makeProject, startServer, until } from '../harness.ts'

const wideNames = Array.from({ length: 80 }, (_, i) => `a_column_with_a_long_name_${i}`)
const oddTable = 'odd table.x 100%'
const sql = `${countsSql}
CREATE TABLE wide (${wideNames.map((name, i) => `${name} ${i % 2 === 0 ? 'STRING' : 'BIGINT'}`).join(', ')})
WITH ('connector' = 'kafka', 'topic' = 'wide', 'format' = 'json');
CREATE TABLE \`odd.näme with \`\`tick\` (\`a b\` STRING, \`c.d\` BIGINT, \`order\` INT)
WITH ('connector' = 'kafka', 'topic' = 'odd.topic', 'format' = 'json', 'millrace.partitions' = '50');
CREATE MATERIALIZED TABLE \`${oddTable}\` (PRIMARY KEY (\`a b\`) NOT ENFORCED) AS
SELECT \`a b\`, SUM(\`c.d\`) AS \`c.d\`, COUNT(*) AS \`order\` FROM \`odd.näme with \`\`tick\` GROUP BY \`a b\`;
CREATE TABLE big (id STRING, text STRING) WITH ('connector' = 'kafka', 'topic' = 'big', 'format' = 'json');
CREATE MATERIALIZED TABLE big_live (PRIMARY KEY (id) NOT ENFORCED) AS SELECT id, MAX(text) AS text FROM big GROUP BY id;
`
const dropped =
  'CREATE MATERIALIZED TABLE dropped (PRIMARY KEY (page) NOT ENFORCED) AS SELECT page, COUNT(*) AS c FROM events GROUP BY page;\n'
const json = { 'content-type': 'application/json' }

describe('the console where things are odd', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('odd names, large rows, what goes away, dialogs and addresses', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/all.sql': sql, 'pipelines/dropped.sql': dropped }))
    const { url } = server.ready
    await server.post(
      'wide',
      Array.from({ length: 5 }, (_, row) => Object.fromEntries(wideNames.map((name, i) => [name, i % 2 === 0 ? `text ${row}` : row]))),
    )
    await server.post('odd.topic', [{ 'a b': 'x', 'c.d': 7, order: 1 }])
    for (let i = 0; i < 20; i++) await server.post('big', [{ id: `b${i}`, text: 'lorem ipsum '.repeat(80_000) }])
    for (const name of ['made.1', 'made.12', 'made.2'])
      await server.call('/v1/topics', { method: 'POST', headers: json, body: JSON.stringify({ name, partitionCount: 2 }) })
    const { context, problems } = await watched(browser, 'desktop', 'dark')
    const namesOn = (page: Page) => page.locator('.cards td.name a').allInnerTexts()

    await t.test('a name from the catalog is written as SQL takes it', async () => {
      const page = await open(context, `${url}/sql`, '.cm-content')
      await page.getByRole('treeitem', { name: 'odd.näme' }).click()
      await page.getByText('SELECT * FROM …').click()
      await page.locator('.cm-content', { hasText: 'SELECT * FROM `odd.näme with ``tick` LIMIT 100;' }).waitFor()
      await page.locator('.sql-bar [role=status]', { hasText: 'no errors' }).waitFor()
      await page.getByRole('button', { name: 'Run', exact: true }).click()
      await page.locator('.sql-results .grid-body [role=row]').first().waitFor()
      await page.locator('.cm-content').click()
      await page.keyboard.press('Control+A')
      // Too long a text is not looked at, and that is said.
      await page.keyboard.press('Control+A')
      await page.keyboard.insertText(`SELECT ${'1 + '.repeat(300_000)} 1`)
      await page.locator('.sql-bar [role=status]', { hasText: 'Not looked at' }).waitFor()
      await page.keyboard.press('Control+A')
      await page.keyboard.insertText('SELECT 1')
      await page.locator('.sql-bar [role=status]', { hasText: 'no errors' }).waitFor()
    })

    await t.test('heads of columns are cut, not written over each other; a row opens whole', async () => {
      const page = await open(context, `${url}/topics/wide/messages?from=oldest&view=table`, '.grid-body [role=row]')
      const overlaps = (await page.evaluate(`[...document.querySelectorAll('.grid-head [role=columnheader]')].filter((head, i, all) => {
        const text = head.querySelector('span').getBoundingClientRect(), next = all[i + 1]?.getBoundingClientRect()
        return next && text.right > next.left + 1
      }).length`)) as number
      assert.equal(overlaps, 0)
      const time = page.locator('.grid-body .cell').first()
      const isCut = await time.evaluate((cell) => {
        const { scrollWidth, clientWidth } = (cell as unknown as { firstElementChild: { scrollWidth: number; clientWidth: number } })
          .firstElementChild
        return scrollWidth > clientWidth
      })
      assert.equal(isCut, false, 'the time of a record is cut')
      await page.goto(`${url}/tables/big_live`)
      const row = page.locator('.grid-body [role=row]').first()
      await row.waitFor()
      const characters = (await page.evaluate('document.documentElement.outerHTML.length')) as number
      assert.ok(characters < 1_000_000, `the page has ${characters} characters`)
      await row.press('Enter')
      const text = await page.getByRole('dialog').locator('td').nth(1).textContent()
      assert.ok(text?.length === 80_000 * 12, `${text?.length} characters of the value`)
      await shot(page, 'edges-row-desktop-dark')
      await page.keyboard.press('Escape')
    })

    await t.test('many partitions: those that matter', async () => {
      const page = await open(context, `${url}/topics/odd.topic/consumers`, '.list td')
      await page.getByText('all 50 at their end').waitFor()
      await page.goto(`${url}/tables/${encodeURIComponent(oddTable)}`)
      await page.locator('.grid-body [role=row]', { hasText: 'x' }).waitFor()
      await page.getByRole('link', { name: oddTable }).click()
      await page.getByRole('heading', { name: oddTable }).waitFor()
    })

    await t.test('what is typed into the address counts, and Back brings back what was looked for', async () => {
      const page = await open(context, `${url}/topics?q=1`, 'td.name a')
      const field = page.getByLabel('Filter topics')
      await until(async () => (await namesOn(page)).join() === 'made.1,made.12', 'not found by a number in the address')
      assert.equal(await field.inputValue(), '1')
      await page.goto(`${url}/topics?q=12`)
      await until(async () => (await namesOn(page)).join() === 'made.12', 'not found')
      // Within the page, as a link or another address in its history does.
      await page.evaluate(`history.pushState({}, '', '/topics?q=made.2'), dispatchEvent(new PopStateEvent('popstate'))`)
      await until(async () => (await field.inputValue()) === 'made.2', 'the field has the old text')
      await page.goBack()
      await until(async () => (await field.inputValue()) === '12' && (await namesOn(page)).join() === 'made.12', 'Back left the text')
      await field.fill('')
      await field.pressSequentially('made.12', { delay: 5 })
      await page.waitForURL(/q=made.12/)
      assert.equal(await field.inputValue(), 'made.12')
    })

    await t.test('the order by a column that has no room is said', async () => {
      const page = await open(context, `${url}/queries?sort=-bytes`, 'td.name a')
      await page.setViewportSize({ width: 1000, height: 800 })
      const order = page.getByLabel('Order')
      await order.waitFor()
      assert.equal(await order.inputValue(), '-bytes')
      await checkFrame(page, 'queries, narrow', 'dark')
      await page.setViewportSize({ width: 1440, height: 900 })
      await order.waitFor({ state: 'detached' })
    })

    await t.test('text that is selected with the mouse to beyond the dialog leaves it open; Escape gives the focus back', async () => {
      const page = await open(context, `${url}/topics/events/messages`, '.messages')
      await page.getByRole('button', { name: 'Send…' }).press('Enter')
      const dialog = page.getByRole('dialog')
      const box = (await dialog.locator('textarea').first().boundingBox())!
      await page.mouse.move(box.x + 40, box.y + 12)
      await page.mouse.down()
      await page.mouse.move(5, 300, { steps: 3 })
      await page.mouse.up()
      assert.equal(await dialog.count(), 1, 'it closed')
      await page.mouse.click(5, 300)
      await dialog.waitFor({ state: 'detached' })
      await page.getByRole('button', { name: 'Send…' }).press('Enter')
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      assert.equal(await page.evaluate('document.activeElement.innerText'), 'Send…')
    })
    assert.deepEqual(
      problems.filter((problem) => !problem.includes('400')),
      [],
    )
    problems.length = 0

    await t.test('a topic and a query that go while one looks', async () => {
      const page = await open(context, `${url}/topics/made.1/partitions`, '.list td')
      await server.call('/v1/topics/made.1?confirm=made.1', { method: 'DELETE' })
      await page.getByText('No topic made.1').waitFor()
      await page.goto(`${url}/queries/dropped`)
      await page.getByText('running').first().waitFor()
      const files = await server.get<{ name: string; version: string }[]>('/v1/project/files')
      const { version } = files.find(({ name }) => name === 'dropped.sql')!
      await server.call('/v1/project/files/dropped.sql', { method: 'DELETE', headers: json, body: JSON.stringify({ version }) })
      await page.getByText('No query dropped').waitFor()
      // It was deployed, and there is no page of it to go to.
      await page.goto(url)
      const deploys = page.getByRole('region', { name: 'Deployed last' })
      await deploys.getByText('dropped', { exact: true }).waitFor()
      await deploys.getByText('runs no more').waitFor()
      await until(async () => (await deploys.getByRole('link', { name: 'dropped' }).count()) === 0, 'a link to what is gone')
      assert.ok((await deploys.getByRole('link').count()) > 0)
    })
    await context.close()
  })
})
