// A page in Chromium, and all that went wrong in it.

import assert from 'node:assert/strict';
import { readFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Where pictures for the documentation go; without it none are made. */
const PICTURES = process.env.PICTURES;
export const VIEWS = ['overview', 'endpoints', 'keys', 'models', 'classes', 'resolve', 'audit'];
export const WAIT = { timeout: 60_000 };

/** The Chromium that the tests look with. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
  });

/** A page of a console, and all that went wrong in it. */
export class Visit {
  /** Of the address that `llmplane console` prints; `api` is the one that it asks instead of the plane's. */
  static async of(browser, plane, namespace, { api, ...options } = {}) {
    const visit = await Visit.at(browser, await plane.console(namespace, api), options);
    await visit.page.getByRole('navigation').waitFor(WAIT);
    return visit;
  }

  static async at(browser, address, options = {}) {
    const visit = new Visit();
    const { origin } = new URL(address);
    visit.context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
    visit.page = await visit.context.newPage();
    visit.errors = [];
    visit.page.on('pageerror', (error) => visit.errors.push(`error: ${error}`));
    visit.page.on('console', (message) => {
      // Answers of 4xx and 5xx are shown to the user; the browser notes them too.
      const expected = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !expected) visit.errors.push(`console: ${message.text()}`);
    });
    visit.page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) visit.errors.push(`elsewhere: ${request.url()}`);
    });
    visit.page.on('dialog', (dialog) => {
      visit.errors.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await visit.page.goto(address);
    return visit;
  }

  async view(name, query = '') {
    const namespace = new URL(this.page.url()).hash.match(/namespace=([^&]+)/)?.[1];
    await this.page.evaluate(
      (hash) => (location.hash = hash),
      `#/${name}?${[namespace && `namespace=${namespace}`, query].filter(Boolean).join('&')}`,
    );
    if (VIEWS.includes(name)) {
      await this.page.locator('nav a[aria-current]', { hasText: new RegExp(name, 'i') }).waitFor(WAIT);
    }
    await this.page.getByRole('heading', { level: 1 }).waitFor(WAIT);
  }

  /** What axe holds to be serious. */
  async axe() {
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(() =>
      globalThis.axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      }),
    );
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    assert.deepEqual(
      serious.map(
        ({ id, nodes }) =>
          `${id}: ${nodes
            .slice(0, 3)
            .map(({ html }) => html)
            .join(' | ')}`,
      ),
      [],
    );
  }

  async fits() {
    const { wide, room } = await this.page.evaluate(() => ({
      wide: document.documentElement.scrollWidth,
      room: document.documentElement.clientWidth,
    }));
    assert.ok(wide <= room, `${this.page.url()}: ${wide} px in ${room}`);
  }

  async picture(name, options = {}) {
    if (PICTURES === undefined) return;
    await mkdir(PICTURES, { recursive: true });
    await this.page.screenshot({ path: join(PICTURES, `console-${name}.png`), ...options });
  }

  async end() {
    assert.deepEqual(this.errors, []);
    await this.context.close();
  }
}

export const named = (page, name) => page.getByRole('heading', { level: 1, name });
