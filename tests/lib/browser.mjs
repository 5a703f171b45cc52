// Debian's Chromium, driven by playwright-core. Whatever a page complains about fails its test.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { defer } from './scope.mjs';

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

function executable() {
  if (process.env.XTASK_CHROMIUM) return process.env.XTASK_CHROMIUM;
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)];
  const found = folders.map((folder) => join(folder, 'chromium')).find(existsSync);
  if (!found) throw new Error('no chromium on the PATH; run: cargo xtask setup');
  return found;
}

/**
 * One Chromium for all tests of a file, with an empty profile that is removed at the end. Returns a function
 * that opens a window of its own (nothing shared with the others) for the length of a test:
 *
 *     const open = browser();
 *     test('…', async (t) => { const page = await open(t, url); });
 *
 * Options: `viewport`, and `allow`, patterns of console errors that belong to the test, such as the line that
 * Chromium itself writes for a WebSocket that does not open.
 */
export function browser() {
  let launched;
  before(async () => {
    launched = await chromium.launch({ executablePath: executable(), headless: true, args: ARGS });
  });
  after(() => launched?.close());

  return async function open(t, url, { allow = [], viewport = { width: 1000, height: 700 } } = {}) {
    const context = await launched.newContext({ viewport });
    const complaints = [];
    defer(t, async () => {
      await context.close();
      if (complaints.length) throw new Error(`the page complained:\n${complaints.join('\n')}`);
    });
    context.setDefaultTimeout(10000);
    const page = await context.newPage();
    // Chromium asks for an icon by itself.
    const ignored = [/\/favicon\.ico/, ...allow];
    const complain = (text) => {
      if (!ignored.some((pattern) => pattern.test(text))) complaints.push(text);
    };
    page.on('pageerror', (error) => complain(`uncaught: ${error.stack ?? error}`));
    page.on('console', (message) => {
      if (message.type() === 'error') complain(`${message.text()} (${message.location().url})`);
    });
    await page.goto(url, { waitUntil: 'load' });
    return page;
  };
}

/** What Chromium writes to the console when the network fails it; no script can prevent that. */
export const NETWORK_ERRORS = [/WebSocket connection to .* failed/, /Failed to load resource/, /ERR_(CONNECTION|EMPTY|INCOMPLETE|FAILED|NETWORK)/];
