// The museum: our client, stock clients of others, and what browsers have built in, in one room.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { defer } from '../lib/scope.mjs';
import { serve } from '../lib/server.mjs';

const open = browser();
/** The panes, and as what the server knows their clients. */
const CLIENTS = {
  Primus: 'websocket at /primus',
  'Socket.IO': 'socket.io at /primus',
  SockJS: 'sockjs at /sockjs',
  Faye: 'bayeux at /faye',
  BrowserChannel: 'browserchannel at /channel',
  WebSocket: 'websocket at /bare',
  EventSource: 'sse at /bare',
};
const STOCK = ['Socket.IO', 'SockJS', 'Faye', 'BrowserChannel'];
const NAMES = Object.keys(CLIENTS);
const TEXT = 'says: Grüße 🦀 "\\/<b>%25&\u2028';

const pane = (page, name) => page.getByRole('region', { name, exact: true });
const lines = (page, name) => pane(page, name).locator('li').allTextContents();
const is = (page, name, state) => pane(page, name).locator(`output:text-is("${state}")`).waitFor();
const greeting = (name) => `museum you are ${CLIENTS[name]}`;

async function say(page, name, text) {
  await pane(page, name).getByRole('textbox').fill(text);
  await pane(page, name).getByRole('button').click();
}

for (const [size, viewport] of [['a desktop', { width: 1280, height: 900 }], ['a phone', { width: 390, height: 844 }]]) {
  test(`museum: every client says something, and every client reads all of it, on ${size}`, async (t) => {
    const page = await open(t, (await serve(t, 'museum')).url, { viewport });
    assert.deepEqual(await page.locator('h2 span').allTextContents(), NAMES);
    for (const name of NAMES) {
      await is(page, name, 'open');
      await pane(page, name).locator('li', { hasText: greeting(name) }).waitFor();
    }
    const said = [];
    for (const name of NAMES) {
      await say(page, name, `${name} ${TEXT}`);
      said.push(`${CLIENTS[name]} ${name} ${TEXT}`);
      for (const other of NAMES) await pane(page, other).locator(`li:nth-child(${said.length + 1})`).waitFor();
    }
    for (const name of NAMES) assert.deepEqual(await lines(page, name), [greeting(name), ...said], name);
    // Nothing sticks out of the page.
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), viewport.width);
  });
}

test('museum: a client that is not there names the command that fetches it, and the others talk', async (t) => {
  const empty = await mkdtemp(join(tmpdir(), 'primus-museum-'));
  defer(t, () => rm(empty, { recursive: true }));
  const server = await serve(t, 'museum', ['--stock', empty]);
  const page = await open(t, server.url, { allow: NETWORK_ERRORS });
  for (const name of STOCK) {
    await is(page, name, 'absent');
    assert.deepEqual(await lines(page, name), ['museum This client is not here: run cargo xtask stock, which fetches it, and load this page again.']);
    assert.ok(await pane(page, name).getByRole('button').isDisabled());
  }
  const answer = await fetch(`${server.url}/stock/sockjs.js`);
  assert.deepEqual([answer.status, await answer.text()], [404, 'run cargo xtask stock, which fetches it\n']);
  for (const name of ['Primus', 'WebSocket', 'EventSource']) await is(page, name, 'open');
  await say(page, 'EventSource', 'hello');
  for (const name of ['Primus', 'WebSocket', 'EventSource']) {
    await pane(page, name).locator('li:nth-child(2)').waitFor();
    assert.deepEqual(await lines(page, name), [greeting(name), 'sse at /bare hello']);
  }
});
