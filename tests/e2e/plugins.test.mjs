// The example with two plugins, in Chromium: what a page was loaded with, and what the server has now.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { serve } from '../lib/server.mjs';

const open = browser();

/** Waits until the text of an element is just this. */
const shows = (page, selector, text) =>
  page.locator(selector).filter({ hasText: new RegExp(`^${text}$`) }).waitFor({ state: 'attached' });

async function say(page, text) {
  await page.fill('[name=text]', text);
  await page.press('[name=text]', 'Enter');
}

/** The last line that came, or that was said here, once there are `count` of its kind. */
async function line(page, kind, count) {
  await page.waitForFunction(([kind, count]) => document.querySelectorAll(`li.${kind}`).length == count, [kind, count]);
  return page.locator(`li.${kind}`).last();
}

test('latency: both halves measure, and the page sees none of their messages', async (t) => {
  const server = await serve(t, 'plugins');
  const page = await open(t, server.url);
  await page.waitForFunction(() => primus.latency > 0);
  const [measured, shown] = await page.evaluate(
    () => new Promise((resolve) => primus.once('latency', (latency) => resolve([latency, primus.latency]))),
  );
  assert.ok(measured > 0 && measured < 5000, measured);
  assert.equal(shown, measured);
  await shows(page, '#latency', '\\d+\\.\\d ms');
  // Everything that the application has heard is the list of the plugins.
  const heard = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const heard = [];
        primus.on('data', (data) => heard.push(data));
        primus.once('latency', () => primus.once('latency', () => resolve(heard)));
      }),
  );
  assert.deepEqual(heard, []);
});

test('redact: words go out as blocks, and are marked where they are written', async (t) => {
  const server = await serve(t, 'plugins');
  const [ada, bob] = [await open(t, server.url), await open(t, server.url)];
  for (const page of [ada, bob]) await shows(page, '#server', 'latency, redact');
  await say(ada, 'my Password is a secret, <b>secretly</b>');
  assert.equal(await (await line(bob, 'theirs', 1)).textContent(), 'my ████████ is a ██████, <b>secretly</b>');
  const mine = await line(ada, 'mine', 1);
  assert.equal(await mine.textContent(), 'my Password is a secret, <b>secretly</b>');
  assert.deepEqual(await mine.locator('mark').allTextContents(), ['Password', 'secret']);
});

test('a plugin that is removed is gone from the server at once, and from a page when it is loaded again', async (t) => {
  const server = await serve(t, 'plugins');
  const script = async () => {
    const answer = await fetch(`${server.url}/primus/primus.js`);
    return [answer.headers.get('etag'), (await answer.text()).includes('primus.marked')];
  };
  const [ada, bob] = [await open(t, server.url), await open(t, server.url)];
  await shows(ada, '#page', 'latency, redact');
  await shows(ada, '#server', 'latency, redact');
  const [before, there] = await script();
  assert.equal(there, true);

  await ada.click('#remove');
  for (const page of [ada, bob]) {
    await shows(page, '#server', 'latency');
    await shows(page, '#page', 'latency, redact');
  }
  const [without, still] = await script();
  assert.equal(still, false);
  assert.notEqual(without, before);
  await say(ada, 'a secret');
  assert.equal(await (await line(bob, 'theirs', 1)).textContent(), 'a secret');
  // The page still has its half, until it is loaded again.
  assert.deepEqual(await (await line(ada, 'mine', 1)).locator('mark').allTextContents(), ['secret']);
  await ada.reload();
  await shows(ada, '#page', 'latency');
  await shows(ada, '#server', 'latency');
  await ada.waitForFunction(() => primus.latency > 0);
  await say(ada, 'a secret');
  assert.deepEqual(await (await line(ada, 'mine', 1)).locator('mark').allTextContents(), []);
  assert.equal(await (await line(bob, 'theirs', 2)).textContent(), 'a secret');

  await ada.click('#add');
  for (const page of [ada, bob]) await shows(page, '#server', 'latency, redact');
  assert.deepEqual(await script(), [before, true]);
  await say(ada, 'a secret');
  assert.equal(await (await line(bob, 'theirs', 3)).textContent(), 'a ██████');
  await ada.reload();
  await shows(ada, '#page', 'latency, redact');
});
