// Every view in a real Chromium: with 1,000 models, with nothing, with everything broken, without rights, with
// names that are more than names; by keyboard, on a phone, in both colours. axe looks at each.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { declareBroken, declareHostile, declareMany, HOSTILE, settled } from './declared.mjs';
import { KEY, Plane, until } from './plane.mjs';
import { launch, named, VIEWS, Visit, WAIT } from './visit.mjs';

let plane;
let browser;

before(async () => {
  browser = await launch();
  plane = await Plane.up();
  await declareMany(plane, 'many');
  await plane.namespace('nothing');
  await declareBroken(plane, 'broken');
  await plane.namespace('norights', []);
  await declareHostile(plane, 'hostile');
});

after(async () => {
  await browser?.close();
  await plane?.down();
});

describe('with 1,000 models', () => {
  let visit;
  before(async () => {
    await settled(plane, 'many', 900);
    visit = await Visit.of(browser, plane, 'many');
  });
  after(async () => visit?.end());

  test('the overview says what there is and what needs somebody', async () => {
    const { page } = visit;
    await page.getByRole('link', { name: /Models 1,000/ }).waitFor(WAIT);
    const attention = page.getByRole('region', { name: 'Needs attention' });
    await attention.getByText('Rejected').first().waitFor(WAIT);
    await attention.getByText('Expires soon').first().waitFor(WAIT);
    await attention.getByText('Unhealthy').first().waitFor(WAIT);
    await page
      .getByRole('table', { name: /Providers/ })
      .getByRole('link', { name: '深度求索' })
      .waitFor(WAIT);
    await visit.axe();
    await visit.picture('overview');
  });

  test('models are filtered, sorted, and only those in sight are in the document', async () => {
    const { page } = visit;
    await visit.view('models');
    const table = page.getByRole('table', { name: /Models/ });
    await page.getByText('1,000 models', { exact: true }).waitFor(WAIT);
    assert.equal(await table.getAttribute('aria-rowcount'), '1001');
    const rows = () => table.locator('tbody tr:not(.space)').count();
    assert.ok((await rows()) < 120, `${await rows()} rows are in the document`);
    await visit.axe();

    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await table.locator('tr[aria-rowindex="1001"]').waitFor(WAIT);
    assert.ok((await rows()) < 120, `${await rows()} rows are in the document`);
    await page.evaluate(() => window.scrollTo(0, 0));

    const sort = table.getByRole('button', { name: 'Input' });
    await sort.focus();
    await page.keyboard.press('Enter');
    await table.locator('th[aria-sort="ascending"]', { hasText: 'Input' }).waitFor(WAIT);
    // Amounts of one currency stay together, the cheapest first.
    await table.locator('tr[aria-rowindex="2"]', { hasText: 'CNY' }).waitFor(WAIT);
    await page.keyboard.press('Enter');
    await table.locator('th[aria-sort="descending"]', { hasText: 'Input' }).waitFor(WAIT);

    await page.getByRole('button', { name: 'Vision', exact: true }).click();
    await page.getByLabel('Window, at least').selectOption('200000');
    await page.getByLabel('Currency').selectOption('USD');
    await page.getByLabel('Input price, at most').fill('0.002');
    const found = page.getByRole('status').filter({ hasText: /of 1,000 models/ });
    await found.waitFor(WAIT);
    const number = Number((await found.textContent()).match(/^([\d,]+) of/)?.[1]);
    assert.ok(number > 0 && number < 400, `${number} pass`);
    await visit.axe();
    await visit.picture('models', { clip: { x: 0, y: 0, width: 1280, height: 760 } });
    // All that was chosen is in the address.
    await page.reload();
    await page.getByText(`${number} of 1,000 models`, { exact: true }).waitFor(WAIT);
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByText('1,000 models', { exact: true }).waitFor(WAIT);
    await page.getByLabel('Name', { exact: true }).fill('深度求索 Pro 3');
    await table
      .getByRole('link', { name: /深度求索 Pro 3/ })
      .first()
      .waitFor(WAIT);
    await table
      .getByRole('link', { name: /深度求索 Pro 3/ })
      .first()
      .click();
    await page.getByRole('heading', { level: 2, name: 'Can do' }).waitFor(WAIT);
    await visit.axe();
  });

  test('a model shows every price, its limits and its end', async () => {
    const { page } = visit;
    await visit.view('models', 'q=openai-model-0');
    await page.getByRole('link', { name: 'OpenAI Large 0' }).click();
    await page.locator('.verdict', { hasText: 'Retires soon' }).waitFor(WAIT);
    const prices = page.getByRole('table', { name: /Prices/ });
    for (const [of, ...amounts] of [
      ['Of', 'Price', 'Prompts from 200k', 'Prompts from 1M'],
      ['Prompt', '0.0025', '0.005', '0.01'],
      ['Answer', '0.01', '0.015', '0.02'],
      ['Prompt, read from the cache', '0.00025', '–', '–'],
      ['Prompt, written to the cache', '0.003125', '–', '–'],
      ['Reasoning', '0.012', '–', '–'],
      ['Audio in the prompt', '0.04', '–', '–'],
      ['Audio in the answer', '0.08', '–', '–'],
      ['Prompt in a batch', '0.00125', '–', '–'],
      ['Answer in a batch', '0.005', '–', '–'],
      ['Each call', '0.001', '0.001', '0.001'],
      ['An image', '0.02', '0.02', '0.02'],
    ]) {
      const name = [of, ...amounts].join(' ');
      await prices.getByRole('row', { name, exact: true }).waitFor(WAIT);
    }
    const limits = page.getByRole('region', { name: 'Limits' });
    for (const said of ['500 requests a minute', '2,000,000 tokens of prompt a day', '16 requests at once']) {
      await limits.getByText(said).waitFor(WAIT);
    }
    const facts = page.locator('.facts');
    await facts.locator('div', { hasText: 'Ends' }).getByRole('time').waitFor(WAIT);
    await facts.locator('div', { hasText: 'Deprecated' }).getByRole('time').waitFor(WAIT);
    await visit.axe();
    await facts
      .locator('div', { hasText: 'Replaced by' })
      .getByRole('link', { name: 'OpenAI Small 1' })
      .click();
    await named(page, 'OpenAI Small 1').waitFor(WAIT);
  });

  test('classes say which model each means now, in what order it is called, and why no other', async () => {
    const { page } = visit;
    await visit.view('classes');
    const table = page.getByRole('table', { name: /Classes/ });
    const row = (name) => table.locator('tr', { hasText: name });
    await row('In order').getByRole('link', { name: 'OpenAI Large 4' }).waitFor(WAIT);
    await row('impossible').getByText('No model', { exact: true }).waitFor(WAIT);
    await row('off').getByText('Off', { exact: true }).waitFor(WAIT);
    await row('Thinks best').getByText('the best score').waitFor(WAIT);
    await visit.axe();
    await visit.picture('classes');

    await page.getByRole('link', { name: 'In order' }).click();
    const targets = page.getByRole('region', { name: 'Targets' }).getByRole('listitem');
    // The model that comes first at both of its endpoints, then that of the other.
    await targets.nth(3).waitFor(WAIT);
    const models = (await targets.allTextContents()).map(
      (text) => text.match(/(openai|anthropic)-model-4/)?.[0],
    );
    assert.deepEqual(models, ['openai-model-4', 'openai-model-4', 'anthropic-model-4', 'anthropic-model-4']);
    const passed = page.getByRole('region', { name: 'Passed over' });
    await passed.locator('tr', { hasText: 'openai-model-99' }).getByText('Unavailable').waitFor(WAIT);
    await visit.axe();
    await visit.picture('class');

    // Asked for as a class, also where a model has the name.
    await page.getByRole('link', { name: 'Resolve it as an agent would' }).click();
    await named(page, 'Resolve').waitFor(WAIT);
    assert.ok(await page.getByRole('radio', { name: 'By its class' }).isChecked());
    assert.equal(await page.getByLabel('Name of the class').inputValue(), 'in-order');
    const sent = page.waitForRequest(/\/api\/v1\/resolve/, WAIT);
    await page.getByRole('button', { name: 'Resolve' }).click();
    assert.deepEqual((await sent).postDataJSON(), { class: 'in-order' });
    await page.getByRole('heading', { level: 2, name: 'Answer: OpenAI Large 4' }).waitFor(WAIT);
    await visit.axe();
    // An empty field is still that of a class.
    await page.getByLabel('Name of the class').fill('');
    await page.getByRole('button', { name: 'Resolve' }).click();
    await page.getByRole('heading', { level: 2, name: 'No answer' }).waitFor(WAIT);
    assert.ok(await page.getByRole('radio', { name: 'By its class' }).isChecked());

    await visit.view('classes');
    await page.getByRole('link', { name: 'impossible' }).click();
    await page.getByText('its window is smaller').first().waitFor(WAIT);
    await visit.axe();
  });

  test('endpoints show whether they answer, and how fast', async () => {
    const { page } = visit;
    await visit.view('endpoints');
    const table = page.getByRole('table', { name: /Endpoints/ });
    await table.locator('tr', { hasText: 'mistral-us' }).getByText('Unhealthy').waitFor(WAIT);
    await table
      .getByRole('img', { name: /probes?, none failed/ })
      .first()
      .waitFor(WAIT);
    await table
      .getByRole('img', { name: /none was answered/ })
      .first()
      .waitFor(WAIT);
    await visit.axe();
    await visit.picture('endpoints');
    await table.getByRole('link', { name: 'openai-eu' }).click();
    const plot = page.getByRole('group', { name: /Latency over time/ });
    await plot.focus();
    await page.keyboard.press('Home');
    await page.locator('figcaption', { hasText: 'ProbeSucceeded' }).waitFor(WAIT);
    await page
      .getByRole('table', { name: /Probes/ })
      .getByText('Passed')
      .first()
      .waitFor(WAIT);
    await visit.axe();
    await visit.picture('endpoint');
  });

  test('keys show when they end, and no key', async () => {
    const { page } = visit;
    await visit.view('keys');
    const table = page.getByRole('table', { name: /Keys/ });
    await table.locator('tr', { hasText: 'Anthropic, production' }).getByText('in 5 days').waitFor(WAIT);
    // The one that ends first is first.
    await table.locator('tr[aria-rowindex="2"]', { hasText: 'Anthropic' }).waitFor(WAIT);
    await table.locator('tr', { hasText: 'spare' }).getByText('Rejected').first().waitFor(WAIT);
    await visit.axe();
    await table.getByRole('link', { name: 'OpenAI, production' }).click();
    await page.getByText('Nobody was given this key.').waitFor(WAIT);
    await page
      .getByRole('table', { name: /Versions/ })
      .getByText('Current')
      .waitFor(WAIT);
    await visit.axe();
    assert.ok(!(await page.content()).includes(KEY));
  });

  test('a key that was given out has its holder, and the audit its row', async () => {
    const { page } = visit;
    await plane.apply([
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'agent', namespace: 'many' } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'agent', namespace: 'many' },
        roleRef: {
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'ClusterRole',
          name: 'llmplane-credential-user',
        },
        subjects: [{ kind: 'ServiceAccount', name: 'agent', namespace: 'many' }],
      },
    ]);
    const token = (
      await plane.kubectl('create', 'token', 'agent', '-n', 'many', '--audience=llmplane')
    ).trim();
    await until('the key is given', async () => {
      const answer = await fetch(`${plane.apiUrl}/api/v1/resolve`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ model: 'openai-model-1', with_secret: true, purpose: 'nightly summaries' }),
      });
      return answer.status === 200;
    });
    await visit.view('audit', 'action=Disclose');
    const row = page
      .getByRole('table', { name: /audit/ })
      .locator('tr', { hasText: 'nightly summaries' })
      .first();
    await row.getByText('system:serviceaccount:many:agent').waitFor(WAIT);
    await visit.axe();
    await visit.view('keys');
    await page.getByRole('link', { name: 'OpenAI, production' }).click();
    await page
      .getByRole('table', { name: /given which version/ })
      .getByText('many:agent')
      .waitFor(WAIT);
  });

  test('older rows of the audit come once, and only under what they were asked for', async () => {
    const { page } = visit;
    const rows = (from, number) =>
      Array.from({ length: number }, (_, place) => ({
        seq: from - place,
        at: '2026-03-04T05:06:07Z',
        action: 'Disclose',
        result: 'Disclosed',
        actor: 'system:serviceaccount:many:agent',
        pod: null,
        node: null,
        namespace: 'many',
        kind: 'LlmCredential',
        name: 'openai',
        credential_version: 1,
        purpose: null,
        count: 1,
      }));
    let letGo;
    let asked = 0;
    await page.route('**/api/v1/audit?*', async (route) => {
      const { searchParams } = new URL(route.request().url());
      const cursor = searchParams.get('cursor');
      if (cursor === null) {
        // Both lists go on at the same place.
        const items = searchParams.has('action') ? rows(300, 1) : rows(300, 100);
        return route.fulfill({ json: { items, next_cursor: 'before-201' } });
      }
      asked += 1;
      await new Promise((go) => (letGo = go));
      return route.fulfill({ json: { items: rows(200, 100), next_cursor: 'before-101' } });
    });
    const table = page.getByRole('table', { name: /audit/ });
    const older = page.getByRole('button', { name: 'Older rows' });
    const has = async (number) => {
      await page.locator(`table[aria-rowcount="${number + 1}"]`).waitFor(WAIT);
      assert.equal(await table.getAttribute('aria-rowcount'), String(number + 1));
    };

    await visit.view('audit');
    await has(100);
    await older.dblclick();
    await until('older rows are asked for', () => letGo);
    assert.ok(await older.isDisabled());
    assert.ok(await older.evaluate((button) => button === document.activeElement));
    await visit.axe();
    letGo();
    await has(200);
    assert.equal(asked, 1);
    assert.ok(await older.isEnabled());

    // Asked for here, and given up where other rows are looked at.
    letGo = undefined;
    await older.click();
    await until('older rows are asked for', () => letGo);
    const givenUp = page.waitForEvent('requestfailed', {
      ...WAIT,
      predicate: (request) => request.url().includes('cursor='),
    });
    await visit.view('audit', 'action=Disclose');
    await givenUp;
    await has(1);
    letGo();
    assert.ok(await older.isEnabled());
    await older.click();
    await until('older rows are asked for', () => asked === 3);
    letGo();
    await has(101);
    await page.unroute('**/api/v1/audit?*');
  });

  test('resolve says which model, and why no other', async () => {
    const { page } = visit;
    await visit.view('resolve');
    await page.getByRole('button', { name: 'Vision', exact: true }).click();
    await page.getByLabel('Window, at least').fill('200000');
    await page.getByLabel('Currency').fill('USD');
    await page.getByRole('button', { name: 'Resolve' }).click();
    await page.getByRole('heading', { level: 2, name: /Answer/ }).waitFor(WAIT);
    await page.getByText('it would do; another comes first').first().waitFor(WAIT);
    await page.getByText('With the key').first().waitFor(WAIT);
    await visit.axe();
    await visit.picture('resolve', { fullPage: false });
    assert.ok(!(await page.content()).includes(KEY));
    await page.getByLabel('Window, at least').fill('900000000');
    await page.getByRole('button', { name: 'Resolve' }).click();
    await page.getByRole('heading', { level: 2, name: 'No answer' }).waitFor(WAIT);
    await page.getByText('its window is smaller').first().waitFor(WAIT);
    await visit.axe();
  });

  test('what changes in the cluster changes in the page by itself', async () => {
    const { page } = visit;
    await visit.view('models');
    await page.getByLabel('Name', { exact: true }).fill('Renamed while somebody looks');
    await page.getByText('0 of 1,000 models', { exact: true }).waitFor(WAIT);
    const rename = (displayName) => {
      const patch = JSON.stringify({ spec: { displayName } });
      return plane.kubectl('patch', 'llmmodel', 'openai-model-5', '-n', 'many', '--type=merge', '-p', patch);
    };
    await rename('Renamed while somebody looks');
    await page.getByRole('link', { name: 'Renamed while somebody looks' }).click();
    await named(page, 'Renamed while somebody looks').waitFor(WAIT);
    await rename('Renamed once more');
    await named(page, 'Renamed once more').waitFor(WAIT);
  });

  test('the keyboard alone is enough', async () => {
    const { page } = visit;
    await visit.view('overview');
    await page.reload();
    await page.getByRole('navigation').waitFor(WAIT);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'To the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
    await page.getByRole('link', { name: 'Keys', exact: true }).focus();
    await page.keyboard.press('Enter');
    await named(page, 'Keys').waitFor(WAIT);
    await until('the heading has the focus', () =>
      page.evaluate(() => document.activeElement?.tagName === 'H1'),
    );
    assert.equal(await page.title(), 'Keys · llmplane');
  });

  for (const colours of ['light', 'dark']) {
    test(`on a phone, ${colours}`, async () => {
      const phone = await Visit.of(browser, plane, 'many', {
        viewport: { width: 390, height: 844 },
        colorScheme: colours,
        hasTouch: true,
        deviceScaleFactor: 2,
      });
      await phone.page.getByRole('link', { name: /Models 1,000/ }).waitFor(WAIT);
      for (const view of VIEWS) {
        await phone.view(view);
        await phone.fits();
        await phone.axe();
      }
      if (colours === 'light') {
        await phone.view('overview');
        await phone.page.waitForTimeout(300);
        await phone.picture('phone-light', { scale: 'css' });
      }
      await phone.end();
    });
  }

  test('in dark colours', async () => {
    const dark = await Visit.of(browser, plane, 'many', { colorScheme: 'dark' });
    await dark.page.getByRole('link', { name: /Models 1,000/ }).waitFor(WAIT);
    await dark.page.getByText('Rejected').first().waitFor(WAIT);
    await dark.picture('dark');
    for (const view of VIEWS) {
      await dark.view(view);
      await dark.axe();
    }
    await dark.end();
  });
});

describe('with nothing', () => {
  test('every view says so', async () => {
    const visit = await Visit.of(browser, plane, 'nothing');
    const { page } = visit;
    const said = {
      overview: 'Nothing is declared here',
      endpoints: 'No endpoint is declared here.',
      keys: 'No key is declared here.',
      models: 'No model is declared here.',
      classes: 'No class is declared here.',
      resolve: 'Asks for a model as an agent would',
      audit: 'There is no such row.',
    };
    for (const view of VIEWS) {
      await visit.view(view);
      await page.getByText(said[view]).first().waitFor(WAIT);
      await visit.axe();
    }
    await visit.view('models/nobody');
    await named(page, 'There is no such model').waitFor(WAIT);
    await visit.view('elsewhere');
    await named(page, 'There is no such page').waitFor(WAIT);
    await visit.end();
  });
});

describe('with everything broken', () => {
  test('the overview tells what, why and what to do, also of what has no row', async () => {
    const visit = await Visit.of(browser, plane, 'broken');
    const { page } = visit;
    const attention = page.getByRole('region', { name: 'Needs attention' });
    for (const reason of ['ProbeFailed', 'SecretNotFound', 'KeyRejected', 'ProviderNotFound']) {
      await attention.getByText(reason).first().waitFor({ timeout: 120_000 });
    }
    await attention.getByText('Not in force').first().waitFor(WAIT);
    await attention.getByText('put a valid one into the Secret', { exact: false }).first().waitFor(WAIT);
    await visit.axe();
    for (const view of VIEWS) {
      await visit.view(view);
      await visit.axe();
      await visit.fits();
    }
    await visit.view('classes');
    await page.getByRole('link', { name: 'nothing-works' }).click();
    await page
      .getByRole('region', { name: 'Passed over' })
      .locator('tr', { hasText: 'nobody' })
      .getByText('there is no such model')
      .waitFor(WAIT);
    await visit.axe();
    await visit.fits();
    await visit.view('classes');
    await page.getByRole('link', { name: 'nothing-fits' }).click();
    const asks = page.getByRole('region', { name: 'Asks for' });
    await asks.getByText('takes Text and Image').waitFor(WAIT);
    assert.deepEqual(await asks.getByRole('listitem').allTextContents(), [
      'takes Text and Image',
      'gives Text',
      'vectors of 1,536 numbers',
      'recommended for summaries and code',
      'prices of a call with 3k tokens of prompt (2k cached) and 500 tokens of answer',
    ]);
    await page
      .getByRole('region', { name: 'Passed over' })
      .getByText('it is not recommended for this task')
      .first()
      .waitFor(WAIT);
    await visit.axe();
    await visit.view('keys');
    await page
      .locator('tr', { hasText: 'Keyless' })
      .getByText('keyless, by OpenRouter', { exact: false })
      .waitFor(WAIT);
    await page.getByRole('link', { name: 'Keyless' }).click();
    await page.locator('.facts').getByText('https://openrouter.ai').waitFor(WAIT);
    await page.locator('.facts').getByText('fp_1').waitFor(WAIT);
    await page.getByText('None: no token was exchanged yet.').waitFor(WAIT);
    await visit.axe();
    await visit.view('keys');
    await page.getByRole('link', { name: 'wrong' }).click();
    await page.locator('.verdict', { hasText: 'Rejected' }).waitFor(WAIT);
    await visit.axe();
    await visit.end();
  });
});

describe('without rights', () => {
  test('every view says which right is missing, and shows nothing', async () => {
    const visit = await Visit.of(browser, plane, 'norights');
    const { page } = visit;
    for (const view of VIEWS) {
      await visit.view(view);
      if (view === 'resolve') {
        await page.getByRole('radio', { name: 'By its name' }).check();
        await page.getByLabel('Name, display name').fill('m');
        await page.getByRole('button', { name: 'Resolve' }).click();
      }
      const alert = page.getByRole('alert').first();
      await alert.waitFor(WAIT);
      assert.match(await alert.textContent(), /may|right|forbidden/i);
      await visit.axe();
    }
    await visit.end();
  });
});

describe('with names that are more than names', () => {
  test('they are shown as they are, and do nothing', async () => {
    const visit = await Visit.of(browser, plane, 'hostile');
    const { page } = visit;
    await visit.view('models');
    for (const name of HOSTILE) {
      await page.getByRole('link', { name, exact: true }).waitFor(WAIT);
    }
    await visit.axe();
    for (const view of ['overview', 'endpoints', 'keys', 'classes', 'resolve', 'audit']) {
      await visit.view(view);
      await visit.axe();
      await visit.fits();
    }
    for (const name of HOSTILE) {
      await visit.view('models');
      await page.getByRole('link', { name, exact: true }).click();
      await named(page, name).waitFor(WAIT);
      await visit.fits();
    }
    await visit.view('classes');
    await page.getByRole('rowheader').getByRole('link', { name: HOSTILE[0], exact: true }).click();
    await page.getByRole('region', { name: 'Targets' }).getByRole('listitem').first().waitFor(WAIT);
    await visit.axe();
    await visit.fits();
    await visit.view('resolve', `by=name&model=${encodeURIComponent(HOSTILE[0])}`);
    await page.getByRole('button', { name: 'Resolve' }).click();
    await page.getByRole('heading', { level: 2, name: /Answer|No answer/ }).waitFor(WAIT);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await visit.end();
  });
});
