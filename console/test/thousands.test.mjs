// The console with 10,000 models: how soon they are there, and that filtering, sorting and the keyboard do not
// wait for them. The bounds are several times what a slow machine takes.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { declareMany, settled } from './declared.mjs';
import { Plane, until } from './plane.mjs';
import { launch, Visit, WAIT } from './visit.mjs';

/** The page must not stand still for longer, in milliseconds. */
const MAX_TASK = 1000;
/** All models must be shown within, in milliseconds. */
const MAX_LOAD = 20_000;
/** Most rows of a table that are in the document. */
const MAX_ROWS = 120;

describe('with 10,000 models', () => {
  let plane;
  let browser;
  let visit;
  let table;

  before(async () => {
    browser = await launch();
    plane = await Plane.up();
    await declareMany(plane, 'thousands', 2000);
    await settled(plane, 'thousands', 9890);
    visit = await Visit.of(browser, plane, 'thousands');
    await visit.page.addInitScript(watchTasks);
    await visit.page.reload();
    await visit.page.getByRole('link', { name: /Models 10,000/ }).waitFor({ timeout: MAX_LOAD });
    table = visit.page.getByRole('table', { name: /Models/ });
  });

  after(async () => {
    await visit?.end();
    await browser?.close();
    await plane?.down();
  });

  /** The longest that the page stood still while something was done; a load of the page counts from its begin. */
  async function longestTask(work) {
    const { page } = visit;
    await page.evaluate(() => {
      globalThis.longTasks.takeRecords();
      globalThis.stoodStill = 0;
    });
    await work();
    return page.evaluate(() => {
      globalThis.noteTasks(globalThis.longTasks.takeRecords());
      return globalThis.stoodStill;
    });
  }

  /** Notes from a page's begin on how long it stood still. */
  function watchTasks() {
    globalThis.stoodStill = 0;
    globalThis.noteTasks = (entries) => {
      globalThis.stoodStill = Math.max(globalThis.stoodStill, ...entries.map(({ duration }) => duration));
    };
    globalThis.longTasks = new PerformanceObserver((list) => globalThis.noteTasks(list.getEntries()));
    globalThis.longTasks.observe({ type: 'longtask' });
  }

  const rows = () => table.locator('tbody tr:not(.space)').count();
  const focusedRow = () =>
    visit.page.evaluate(() => Number(document.activeElement?.closest('tr')?.getAttribute('aria-rowindex')));

  test('they are all there soon, and the page is not held up meanwhile', async () => {
    const { page } = visit;
    const begun = Date.now();
    const longest = await longestTask(async () => {
      await page.reload();
      await page.getByRole('link', { name: /Models 10,000/ }).waitFor({ timeout: MAX_LOAD });
    });
    assert.ok(Date.now() - begun < MAX_LOAD, `they took ${Date.now() - begun} ms`);
    assert.ok(longest < MAX_TASK, `the page stood still for ${longest} ms`);
    const paint = await page.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    );
    assert.ok(paint < 3000, `something was seen after ${paint} ms`);
    // What works is counted by provider, and the longest list of trouble is cut.
    await page
      .getByRole('table', { name: /Providers/ })
      .getByText('of 2,000')
      .first()
      .waitFor(WAIT);
    await visit.axe();
  });

  test('typing a name filters them as it is typed', async () => {
    const { page } = visit;
    await visit.view('models');
    await page.getByText('10,000 models', { exact: true }).waitFor(WAIT);
    assert.equal(await table.getAttribute('aria-rowcount'), '10001');
    assert.ok((await rows()) < MAX_ROWS, `${await rows()} rows are in the document`);
    await visit.axe();
    const name = page.getByLabel('Name', { exact: true });
    const longest = await longestTask(async () => {
      await name.pressSequentially('gemini-model-1999');
      await page.getByText('1 of 10,000 models', { exact: true }).waitFor(WAIT);
      assert.equal(await name.inputValue(), 'gemini-model-1999');
      await page.getByRole('button', { name: 'Show all' }).click();
      await page.getByRole('button', { name: 'Vision', exact: true }).click();
      await page.getByText(/^6,\d+ of 10,000 models$/).waitFor(WAIT);
      await page.getByRole('button', { name: 'Vision', exact: true, pressed: true }).click();
      await page.getByText('10,000 models', { exact: true }).waitFor(WAIT);
    });
    assert.ok(longest < MAX_TASK, `the page stood still for ${longest} ms`);
  });

  test('every column sorts them at once', async () => {
    const { page } = visit;
    const longest = await longestTask(async () => {
      for (const column of ['State', 'Can do', 'Window', 'Input', 'Output', 'End', 'Model']) {
        await table.getByRole('button', { name: column, exact: true }).click();
        await table.locator('th[aria-sort="ascending"]', { hasText: column }).waitFor(WAIT);
      }
    });
    assert.ok(longest < MAX_TASK, `the page stood still for ${longest} ms`);
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    // By code units: what is not Latin comes last.
    await table.locator('tr[aria-rowindex="10001"]', { hasText: '深度求索 Small 997' }).waitFor(WAIT);
    assert.ok((await rows()) < MAX_ROWS, `${await rows()} rows are in the document`);
    await page.evaluate(() => window.scrollTo(0, 0));
  });

  test('models are filtered and sorted by their end', async () => {
    const { page } = visit;
    await visit.view('models');
    await page.getByText('10,000 models', { exact: true }).waitFor(WAIT);
    const ends = page.getByRole('combobox', { name: 'End' });
    const row = (index) => table.locator(`tr[aria-rowindex="${index}"]`);
    for (const [asked, number, first] of [
      ['within 30 days', 5, 'Large 0'],
      ['within 90 days', 10, 'Large 0'],
      ['within a year', 15, 'Large 0'],
      ['has passed', 5, 'Mini 14'],
      ['has one', '220', 'Large 0'],
      ['has none', '9,780', 'Large 100'],
    ]) {
      await ends.selectOption(asked);
      await page.getByText(`${number} of 10,000 models`, { exact: true }).waitFor(WAIT);
      await row(2).getByText(first).first().waitFor(WAIT);
    }
    await visit.axe();
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByText('10,000 models', { exact: true }).waitFor(WAIT);
    assert.equal(await ends.inputValue(), '');

    /** Scrolls to where a row is. */
    const inSight = (index) =>
      page.evaluate((place) => {
        const row = parseFloat(getComputedStyle(document.documentElement).fontSize) * 3.5;
        window.scrollTo(0, row * (place - 2));
      }, index);
    // The soonest first; what ends at a time that nobody said comes behind, and what has no end last.
    const sort = table.getByRole('button', { name: 'End', exact: true });
    const ascending = [
      [2, 'Mini 14', '10 days ago'],
      [7, 'Large 0', 'in 20 days'],
      [12, 'Large 12', 'in 2 months'],
      [17, 'Small 13', 'in 7 months'],
      [22, 'Pro', 'deprecated'],
      [222, '', '–'],
    ];
    await sort.click();
    await table.locator('th[aria-sort="ascending"]', { hasText: 'End' }).waitFor(WAIT);
    for (const [index, name, said] of ascending) {
      await inSight(index);
      await row(index).filter({ hasText: name }).getByText(said, { exact: true }).waitFor(WAIT);
    }
    await sort.click();
    await table.locator('th[aria-sort="descending"]', { hasText: 'End' }).waitFor(WAIT);
    await inSight(2);
    await row(2).getByText('deprecated', { exact: true }).waitFor(WAIT);
    await inSight(202);
    await row(202).filter({ hasText: 'Small 13' }).waitFor(WAIT);
    await inSight(222);
    await row(222).getByText('–', { exact: true }).waitFor(WAIT);

    // What is chosen is in the address, and what it may not be chooses nothing.
    await visit.view('models', 'end=90&sort=end');
    await page.getByText('10 of 10,000 models', { exact: true }).waitFor(WAIT);
    await visit.view('models', 'end=constructor');
    await page.getByText('10,000 models', { exact: true }).waitFor(WAIT);
  });

  test('the keyboard goes through them row by row, and to their end', async () => {
    const { page } = visit;
    await visit.view('models');
    await page.evaluate(() => window.scrollTo(0, 0));
    await table.locator('tr[aria-rowindex="2"]').waitFor(WAIT);
    await table.getByRole('button', { name: 'End', exact: true }).focus();
    // Further than what is in the document at first: no row is passed over.
    for (let row = 2; row < MAX_ROWS + 2; row += 1) {
      await page.keyboard.press('Tab');
      assert.equal(await focusedRow(), row);
    }
    await page.keyboard.press('End');
    await table.locator('tr[aria-rowindex="10001"]').waitFor(WAIT);
    await page.keyboard.press('Tab');
    await until('the focus is near the end', async () => (await focusedRow()) > 9900);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 2, name: 'Can do' }).waitFor(WAIT);
  });

  test('pages that gather them are as quick', async () => {
    const { page } = visit;
    await visit.view('overview');
    const longest = await longestTask(async () => {
      await page
        .getByRole('table', { name: /Providers/ })
        .getByRole('link', { name: 'OpenAI' })
        .click();
      await page.getByRole('table', { name: /Models of this provider/ }).waitFor(WAIT);
      assert.ok((await page.locator('tbody tr').count()) < 2 * MAX_ROWS);
      await visit.view('classes');
      await page.getByRole('link', { name: 'Thinks best' }).click();
      await page.getByRole('region', { name: 'Targets' }).getByRole('listitem').first().waitFor(WAIT);
    });
    assert.ok(longest < MAX_TASK, `the page stood still for ${longest} ms`);
    await visit.axe();
  });
});
