// The chat's page at /stock, which uses the stock client of Socket.IO, and the chat's own page, in one room.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();
const ALL = 'transformers = ["websocket", "sse", "polling", "socket.io"]\n';

test('chat: a page with the stock client of Socket.IO and ours talk in one room', async (t) => {
  const server = await serve(t, 'chat', await config(t, ALL));
  const ours = await open(t, server.url);
  await ours.fill('#nick', 'Ada');
  await ours.click('#join');
  await ours.locator('#members .count').waitFor({ state: 'attached' });

  const stock = await open(t, `${server.url}/stock`);
  await stock.fill('#nick', 'Grace');
  await stock.click('#enter button');
  await stock.locator('#say').waitFor();
  await ours.locator('.log:not([hidden]) li.notice', { hasText: 'Grace joined' }).waitFor();

  await stock.fill('#text', 'hello from afar 🦀');
  await stock.click('#say button');
  await ours.locator('.log:not([hidden])', { hasText: 'hello from afar 🦀' }).waitFor();
  await ours.fill('#text', 'welcome');
  await ours.click('#send');
  await stock.locator('#log li', { hasText: 'Ada: welcome' }).waitFor();

  const lines = await stock.locator('#log li').allTextContents();
  assert.deepEqual(lines, ['Grace: hello from afar 🦀', 'Ada: welcome']);
  assert.deepEqual((await ours.locator('#members .where').allTextContents()).sort(), ['Ada', 'Grace']);

  await stock.close();
  await ours.locator('.log:not([hidden]) li.notice', { hasText: 'Grace left' }).waitFor({ timeout: 20000 });
});
