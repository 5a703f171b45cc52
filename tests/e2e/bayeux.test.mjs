// npm's `faye` in Chromium, by its build for browsers, over each transport that a browser has.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { Server } from '../lib/server.mjs';

const open = browser();
const SCRIPT = createRequire(import.meta.url).resolve('faye/client/faye-browser-min.js');
const SAME = ['websocket', 'eventsource', 'long-polling', 'callback-polling'];
const CROSS = ['websocket', 'cross-origin-long-polling', 'callback-polling'];

let server;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'bayeux']);
});
after(() => server?.kill());

/** In the page: a client goes on by this transport. It says by which one, and not when. */
function over({ _dispatcher }, transport) {
  return new Promise((resolve) => {
    let used;
    const set = (type) => (used = type) === transport && resolve();
    Object.defineProperty(_dispatcher, 'connectionType', { get: () => used, set });
  });
}

/** A page with the client's script. */
async function visit(t, url, options) {
  const page = await open(t, url, options);
  await page.addScriptTag({ path: SCRIPT });
  await page.addScriptTag({ content: over.toString() });
  return page;
}

/** In the page: what a client of one transport hears of what it publishes; and how often it can come and go. */
async function talk([url, transport, values, times]) {
  const { Faye } = window;
  const make = () => {
    // While it has a stream, it gives a request up that takes 1.2 times as long as it waits to try again: 6 s unless said.
    const client = new Faye.Client(url);
    // It shakes hands by one of those that every page has, and goes on by the one that is asked for.
    const shakes = url.startsWith('/') ? 'long-polling' : 'callback-polling';
    for (const other of ['websocket', 'eventsource', 'long-polling', 'cross-origin-long-polling', 'callback-polling']) {
      if (other !== transport && (transport === 'callback-polling' || other !== shakes)) client.disable(other);
    }
    return client;
  };
  const channel = `/page/${transport}`;
  const client = make();
  const there = over(client, transport);
  const said = [];
  let told;
  await client.subscribe('/page/*', (value) => {
    said.push(value);
    told();
  });
  await there;
  for (const value of values) {
    const heard = new Promise((resolve) => (told = resolve));
    await client.publish(channel, value);
    await heard;
  }
  const used = client._dispatcher.connectionType;
  const why = await client.publish('/secret/x', 1).then(() => 'published', (error) => error.message);
  await client.disconnect();
  for (let n = 0; n < times; n += 1) {
    const one = make();
    const there = over(one, transport);
    const heard = new Promise((resolve) => one.subscribe(channel, resolve).then(() => there).then(() => one.publish(channel, n)));
    if ((await heard) !== n) return `${n} was not heard`;
    await one.disconnect();
  }
  return { said, used, why };
}

/** In the page: the server ends a client. Whether it stays away. */
async function ended([url, transport]) {
  const client = new window.Faye.Client(url);
  for (const other of ['websocket', 'eventsource', 'long-polling', 'callback-polling']) {
    if (other !== transport && (transport === 'callback-polling' || other !== 'long-polling')) client.disable(other);
  }
  const there = over(client, transport);
  await client.subscribe('/ended', () => {});
  await there;
  // What it is told last is that it is to stay away.
  const told = new Promise((resolve) => client._dispatcher.bind('message', ({ advice }) => advice?.reconnect === 'none' && resolve()));
  client.publish('/service/close', 1);
  await told;
  return client._dispatcher.connectionType;
}

const VALUES = ['x', '', 'Grüße, 世界 🦀', 'line\u2028and\u2029', '"\\/\b\n\t\0%25 100% &a=b +', '</script>', { a: [1, null, { b: true }] }, 0, false, 'ä'.repeat(100_000), 'last'];
/** A script is asked for by `GET`, whose URL has no room for large messages. */
const fits = (transport) => (value) => transport !== 'callback-polling' || String(value).length < 1000;

for (const transport of SAME) {
  test(`faye in Chromium over ${transport}: any value, why it may not, a hundred times, and the end by the server`, async (t) => {
    const page = await visit(t, `${server.url}/bayeux/?asked`);
    const values = VALUES.filter(fits(transport));
    const said = await page.evaluate(talk, ['/bayeux', transport, values, 100]);
    assert.deepEqual(said, { said: values, used: transport, why: 'it is secret' });
    assert.equal(await page.evaluate(ended, ['/bayeux', transport]), transport);
  });
}

for (const transport of CROSS) {
  test(`faye in Chromium over ${transport}, from a page of another origin`, async (t) => {
    const page = await visit(t, `${server.url.replace('127.0.0.1', 'localhost')}/bayeux/?asked`, { allow: NETWORK_ERRORS });
    const values = VALUES.filter(fits('callback-polling'));
    const said = await page.evaluate(talk, [`${server.url}/bayeux`, transport, values, 0]);
    assert.deepEqual(said, { said: values, used: transport, why: 'it is secret' });
  });
}
