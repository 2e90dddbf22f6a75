// The way to the page and the API: the address that opens it, an API that is lost meanwhile, and the page that
// the API itself serves, to whoever pastes a token.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { declareMany, settled } from './declared.mjs';
import { Gate } from './gate.mjs';
import { KEY, Plane, until } from './plane.mjs';
import { launch, named, VIEWS, Visit, WAIT } from './visit.mjs';

let plane;
let browser;

before(async () => {
  browser = await launch();
  plane = await Plane.up();
  await declareMany(plane, 'team', 10);
  await settled(plane, 'team', 50);
});

after(async () => {
  await browser?.close();
  await plane?.down();
});

describe('the address', () => {
  test('opens the page as a whole, and nothing without its code', async () => {
    const address = await plane.console('team');
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(address.replace(/#.*/, ''));
    await page.getByText('opened by its whole address').waitFor(WAIT);
    await page.goto('about:blank');
    await page.goto(address);
    await page.getByRole('navigation').waitFor(WAIT);
    assert.ok(!page.url().includes('code='), 'the code is gone from the address bar');
    // Another tab has no session of its own accord.
    const other = await context.newPage();
    await other.goto(address.replace(/#.*/, '#/models'));
    await other.getByText('opened by its whole address').waitFor(WAIT);
    // A page of another origin learns nothing.
    const evil = await context.newPage();
    await evil.goto(plane.vendor.url);
    const learnt = await evil.evaluate(
      (url) =>
        fetch(url, { credentials: 'include' }).then(
          (answer) => answer.status,
          () => 'refused',
        ),
      address.replace(/console\/.*/, 'api/v1/models'),
    );
    assert.equal(learnt, 'refused');
    await context.close();
  });
});

describe('an API that goes away while the page is open', () => {
  /** A gate before the API, for one test. */
  async function gateOf(test) {
    const gate = await Gate.before(plane.apiUrl);
    test.after(() => gate.shut());
    return gate;
  }

  const live = (page) => page.getByRole('status').filter({ hasText: 'Live' });
  const lost = (page) => page.getByRole('status').filter({ hasText: 'Not connected' });

  test('is told of in every view, which keeps what it has and goes on by itself', async (t) => {
    const gate = await gateOf(t);
    const visit = await Visit.of(browser, plane, 'team', { api: gate.url });
    const { page } = visit;
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    await gate.shut();
    await lost(page).waitFor(WAIT);
    const alert = page.getByRole('alert').filter({ hasText: 'The API is not reached' });
    await alert.first().waitFor(WAIT);
    await alert.getByText('It is tried again by itself.').first().waitFor(WAIT);
    assert.match(await alert.first().textContent(), /does not answer.*--api-url/);
    for (const view of VIEWS) {
      await visit.view(view);
      if (view !== 'resolve') await alert.first().waitFor(WAIT);
      await visit.axe();
      await visit.fits();
    }
    // What was read stays, and so do its pages.
    await visit.view('models');
    await page.getByText('50 models', { exact: true }).waitFor(WAIT);
    await visit.view('keys');
    await page.getByRole('link', { name: 'OpenAI, production' }).click();
    const holders = page.getByRole('region', { name: 'Holders' });
    await holders.getByText('It is tried again by itself.').waitFor(WAIT);

    await gate.open();
    await live(page).waitFor(WAIT);
    await holders.getByText('Nobody was given this key.').waitFor(WAIT);
    assert.equal(await page.getByRole('alert').count(), 0);
    // It follows the cluster again.
    await visit.view('models', 'q=Back+again');
    const patch = JSON.stringify({ spec: { displayName: 'Back again' } });
    await plane.kubectl('patch', 'llmmodel', 'openai-model-5', '-n', 'team', '--type=merge', '-p', patch);
    await page.getByRole('link', { name: 'Back again' }).waitFor(WAIT);
    await visit.end();
  });

  test('and breaks off in the midst of all that is there, which is not taken for the whole', async (t) => {
    const gate = await gateOf(t);
    const visit = await Visit.of(browser, plane, 'team', { api: gate.url });
    const { page } = visit;
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    await visit.view('models', 'q=Behind+the+break');
    await page.getByText('0 of 50 models', { exact: true }).waitFor(WAIT);
    // The next stream is a reset and no more; the one behind it is the API's again.
    let broken = 0;
    await page.route(
      '**/api/v1/watch?*',
      async (route) => {
        broken += 1;
        const body = 'retry: 10\n\nevent: reset\ndata: {"revision":1}\n\n';
        await route.fulfill({ contentType: 'text/event-stream', body });
      },
      { times: 1 },
    );
    await gate.shut();
    await gate.open();
    await until('a stream has broken off', () => broken === 1);
    await live(page).waitFor(WAIT);
    const patch = JSON.stringify({ spec: { displayName: 'Behind the break' } });
    await plane.kubectl('patch', 'llmmodel', 'openai-model-6', '-n', 'team', '--type=merge', '-p', patch);
    await page.getByRole('link', { name: 'Behind the break' }).waitFor(WAIT);
    await page.getByText('1 of 50 models', { exact: true }).waitFor(WAIT);
    await visit.end();
  });

  test('is waited for by a page that is opened meanwhile', async (t) => {
    const gate = await gateOf(t);
    const address = await plane.console('team', gate.url);
    await gate.shut();
    const visit = await Visit.at(browser, address);
    const { page } = visit;
    await page.getByRole('alert').filter({ hasText: 'The API is not reached' }).waitFor(WAIT);
    await page.getByText('Reading what is declared').waitFor({ state: 'detached' });
    await visit.axe();
    await gate.open();
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    assert.equal(await page.getByRole('alert').count(), 0);
    await visit.end();
  });

  test('is told of where it only falls silent', async (t) => {
    const gate = await gateOf(t);
    const visit = await Visit.of(browser, plane, 'team', { api: gate.url });
    const { page } = visit;
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    gate.silence(true);
    await page.getByRole('alert').filter({ hasText: 'The API is silent' }).waitFor({ timeout: 90_000 });
    await lost(page).waitFor(WAIT);
    gate.silence(false);
    await live(page).waitFor({ timeout: 90_000 });
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await visit.end();
  });

  test('and a console that ends is told apart from it', async () => {
    const visit = await Visit.of(browser, plane, 'team');
    const { page } = visit;
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    plane.children.at(-1).kill();
    await page
      .getByRole('alert')
      .filter({ hasText: /is it still running\?/ })
      .waitFor(WAIT);
    await visit.axe();
    await visit.end();
  });
});

describe('a right that ends while the page is open', () => {
  test('takes what it showed with it', async () => {
    await declareMany(plane, 'leaving', 2);
    const role = (name, resources) => [
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name, namespace: 'leaving' },
        rules: [{ apiGroups: ['llmplane.dev'], resources, verbs: ['get', 'list', 'watch'] }],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name, namespace: 'leaving' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
        subjects: [{ kind: 'ServiceAccount', name: 'viewer', namespace: 'leaving' }],
      },
    ];
    await plane.apply([
      ...role('providers', ['llmproviders', 'llmendpoints']),
      ...role('others', ['llmcredentials', 'llmmodelclasses']),
    ]);
    const leave = (...names) => plane.kubectl('delete', 'rolebinding', ...names, '-n', 'leaving');
    const LONG = { timeout: 120_000 };
    const visit = await Visit.of(browser, plane, 'leaving');
    const { page } = visit;
    await page.getByRole('link', { name: /Models 10/ }).waitFor(WAIT);
    await visit.view('models');
    await page.getByRole('link', { name: 'OpenAI Small 1' }).click();
    await named(page, 'OpenAI Small 1').waitFor(WAIT);

    // Those to all five kinds; those to four are left.
    await leave('llmplane-viewer', 'llmplane-auditor');
    await page.getByText('Not shown: models', { exact: true }).waitFor(LONG);
    await named(page, 'There is no such model').waitFor(WAIT);
    await visit.axe();
    await visit.view('overview');
    await page.getByRole('link', { name: /Models 0/ }).waitFor(WAIT);
    await page.getByRole('link', { name: /Providers 5/ }).waitFor(WAIT);
    await page.getByRole('link', { name: /Classes 5/ }).waitFor(WAIT);

    await leave('others');
    await page.getByText('Not shown: keys, models, classes', { exact: true }).waitFor(LONG);
    await page.getByRole('link', { name: /Classes 0/ }).waitFor(WAIT);
    await page.getByRole('link', { name: /Providers 5/ }).waitFor(WAIT);

    await leave('providers');
    await page.getByRole('alert').first().waitFor(LONG);
    assert.equal(await page.getByRole('link', { name: /Providers/ }).count(), 0);
    await visit.axe();
    await visit.end();
  });
});

describe('the page that the API serves', () => {
  let served;
  before(async () => (served = await plane.api({ LLMPLANE_CONSOLE: 'true' })));

  const viewerToken = async () =>
    (await plane.kubectl('create', 'token', 'viewer', '-n', 'team', '--audience=llmplane')).trim();

  const focused = (page) => page.evaluate(() => document.activeElement?.tagName);

  /** Opened, and asked for a token. */
  async function asked(options) {
    const visit = await Visit.at(browser, `${served}/console/`, options);
    await visit.page.getByLabel('Token').waitFor(WAIT);
    return visit;
  }

  for (const colours of ['light', 'dark']) {
    test(`asks for a token, ${colours}`, async () => {
      const visit = await asked({ colorScheme: colours });
      await named(visit.page, 'llmplane').waitFor(WAIT);
      await visit.page.getByText('--audience=llmplane').waitFor(WAIT);
      assert.notEqual(await visit.page.title(), '');
      await visit.axe();
      await visit.fits();
      await visit.page.setViewportSize({ width: 390, height: 844 });
      await visit.axe();
      await visit.fits();
      await visit.end();
    });
  }

  test('says what is wrong with a token, and keeps the question', async () => {
    const visit = await asked();
    const { page } = visit;
    await page.getByLabel('Token').fill('no token at all');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('alert').getByText('This is no token of Kubernetes').waitFor(WAIT);
    assert.equal(await focused(page), 'TEXTAREA');
    await visit.axe();
    await visit.end();

    // One of another audience, and one that nobody made: each at a page that has yet to complain.
    const other = await plane.kubectl('create', 'token', 'viewer', '-n', 'team', '--audience=somebody');
    for (const token of [other.trim(), 'e30.e30.made-up']) {
      const visit = await asked();
      const { page } = visit;
      await page.getByLabel('Token').fill(token);
      await page.getByRole('button', { name: 'Open' }).click();
      await page.getByRole('alert').getByText(/token/).first().waitFor(WAIT);
      await page.getByLabel('Token').waitFor(WAIT);
      assert.equal(await page.getByRole('alert').getByText('This is no token of Kubernetes').count(), 0);
      await visit.axe();
      await visit.end();
    }
  });

  test('opens with a token by keyboard alone, shows every view, and forgets it', async () => {
    const visit = await asked();
    const { page } = visit;
    const token = await viewerToken();
    await until('the field has the focus', async () => {
      await page.keyboard.press('Tab');
      return page.evaluate(() => document.activeElement?.getAttribute('name') === 'token');
    });
    await page.keyboard.insertText(token);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'namespace');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    // Where the reader is follows the page.
    await until('the heading has the focus', async () => (await focused(page)) === 'H1');
    assert.equal(await page.title(), 'Overview · llmplane');
    await page.getByText('kubectl llm status').waitFor(WAIT);
    for (const view of VIEWS) {
      await visit.view(view);
      await visit.axe();
      await visit.fits();
    }
    await visit.view('models', 'q=openai-model-1');
    await page.getByRole('link', { name: 'OpenAI Small 1' }).waitFor(WAIT);
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    assert.ok(!kept.includes(token) && !page.url().includes(token), kept);
    assert.ok(!(await page.content()).includes(token) && !(await page.content()).includes(KEY));
    await page.reload();
    await page.getByLabel('Token').waitFor(WAIT);
    await visit.end();
  });

  test('asks anew where a token counts no more', async () => {
    const visit = await asked();
    const { page } = visit;
    await page.getByLabel('Token').fill(await viewerToken());
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('link', { name: /Models 50/ }).waitFor(WAIT);
    // Its account is another's now: the token names the one before.
    await plane.kubectl('delete', 'serviceaccount', 'viewer', '-n', 'team');
    await page.getByLabel('Token').waitFor({ timeout: 120_000 });
    await page.getByRole('alert').first().waitFor(WAIT);
    await until('the heading has the focus', async () => (await focused(page)) === 'H1');
    assert.equal(await page.title(), 'llmplane');
    await visit.axe();
    await visit.end();
  });
});
