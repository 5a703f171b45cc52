// The served script connects whatever transformer the server is configured with: one page for each name.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { ROOT } from '../lib/readme.mjs';
import { config, serve } from '../lib/server.mjs';
import { until } from '../lib/within.mjs';

const open = browser();

/** What a page connects by: our own carriers, in the order in which it tries them. */
const NATIVE = ['websocket', 'sse', 'polling'];
/** Every name of a transformer, and which of our carriers there are if it is alone. */
const NAMES = {
  ...Object.fromEntries(NATIVE.map((name) => [name, [name]])),
  'engine.io': NATIVE,
  'socket.io': NATIVE,
  sockjs: NATIVE,
  bayeux: NATIVE,
  faye: NATIVE,
  browserchannel: NATIVE,
  actioncable: NATIVE,
};
const VALUE = { text: 'Grüße, 世界 🦀', list: [1, null, 'primus::end::'], deep: { a: true } };

/** What the server has counted. */
const stats = async (server) => (await fetch(`${server.url}/stats`)).json();

/** Loads the page, which connects by `transport`, is echoed, and goes by itself or is sent away. */
async function visit(t, server, transport, query = `?transport=${transport}`) {
  const before = await stats(server);
  const page = await open(t, `${server.url}/${query}`);
  await page.locator('#state', { hasText: 'open' }).waitFor();
  assert.equal(await page.evaluate('primus.transport'), transport);
  assert.deepEqual(await page.evaluate((value) => window.ask(value), VALUE), VALUE);
  // The id is the server's.
  const { id } = await page.evaluate(() => window.ask({ cmd: 'id' }));
  assert.equal(await page.evaluate('primus.id()'), id);
  return { page, before };
}

/** How it went, in the eyes of both. */
async function ended(page, server, before, code) {
  await page.locator('#state', { hasText: 'end' }).waitFor();
  assert.equal(await page.locator('#code').textContent(), `${code}`);
  assert.deepEqual((await page.evaluate('events')).map(([name]) => name), ['open', 'close', 'end']);
  const gone = ({ disconnections }) => disconnections === before.disconnections + 1;
  const after = await until('the end of the session', () => stats(server), gone);
  assert.deepEqual([after.opened - before.opened, after.connections], [1, 0]);
  await page.close();
}

async function visits(t, server, transport, query) {
  const one = await visit(t, server, transport, query);
  await one.page.evaluate('void primus.end()');
  await ended(one.page, server, one.before, 1000);
  const two = await visit(t, server, transport, query);
  await two.page.evaluate(`void primus.write({ cmd: 'end' })`);
  await ended(two.page, server, two.before, 4000);
}

test('these are all transformers that there are', async () => {
  const page = await readFile(join(ROOT, 'docs/configuration.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith('| `transformers` |'));
  const meaning = row.split(' | ').at(-1).replace('Builder::add_transformer', '');
  assert.deepEqual([...meaning.matchAll(/`([\w.]+)`/g)].map(([, name]) => name).sort(), Object.keys(NAMES).sort());
});

for (const [name, carriers] of Object.entries(NAMES)) {
  test(`a page of a server with the transformer ${name} alone connects, is echoed and ends`, async (t) => {
    const server = await serve(t, 'fixture', await config(t, `transformers = ["${name}"]\n`));
    const script = await (await fetch(`${server.url}/primus/primus.js`)).text();
    assert.deepEqual(JSON.parse(/"transports":(\[.*?\])/.exec(script)[1]), carriers);
    for (const carrier of carriers) await visits(t, server, carrier);
  });
}
