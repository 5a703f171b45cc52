// npm's `browserchannel` in Chromium, by its build for browsers, from a page of the server's origin.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { Server } from '../lib/server.mjs';

const open = browser();
const SCRIPT = createRequire(import.meta.url).resolve('browserchannel/dist/bcsocket.js');

let server;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'browserchannel']);
});
after(() => server?.kill());

const page = async (t) => {
  const made = await open(t, `${server.url}/channel/test?VER=8&MODE=init`);
  await made.addScriptTag({ path: SCRIPT });
  return made;
};

/** In the page: what a client hears that says these values, one after the other, and closes when it has heard `count` words. */
const talk = ([path, values, count]) =>
  new Promise((resolve) => {
    const socket = new window.BCSocket(path, { reconnect: true });
    const log = [];
    const next = () => {
      if (log.length > count) socket.close();
      else if (log.length <= values.length) socket.send(values[log.length - 1]);
    };
    socket.onopen = () => {
      log.push('open');
      next();
    };
    socket.onmessage = ({ data }) => {
      log.push(data);
      next();
    };
    socket.onerror = (error) => log.push(['error', error]);
    socket.onclose = (reason) => resolve([...log, ['close', reason]]);
  });

const VALUES = ['x', '', 'Grüße, 世界 🦀', 'line\u2028and\u2029', '"\\/\b\n\t\0%25 100% &a=b +', '</script>', { a: [1, null, { b: true }] }, 0, false, 'ä'.repeat(300_000), 'last'];

test('browserchannel in Chromium gets any value back, and closes', async (t) => {
  const said = await (await page(t)).evaluate(talk, ['/channel', VALUES, VALUES.length]);
  assert.deepEqual(said, ['open', ...VALUES.map((echo) => ({ echo })), ['close', 'Closed']]);
});

test('browserchannel in Chromium has what the server says at once', async (t) => {
  assert.deepEqual(await (await page(t)).evaluate(talk, ['/hello', [], 1]), ['open', 'hello', ['close', 'Closed']]);
});

test('browserchannel in Chromium is stopped by the server, and does not come back', async (t) => {
  const said = await (await page(t)).evaluate(talk, ['/stop', ['last'], 9]);
  assert.deepEqual(said, ['open', 'last', ['error', 'Stopped by server'], ['close', 'Stopped by server']]);
});

test('browserchannel in Chromium gets a thousand messages that are sent at once, in order', async (t) => {
  const count = await (await page(t)).evaluate(() => new Promise((resolve) => {
    const socket = new window.BCSocket('/channel');
    let n = 0;
    socket.onopen = () => {
      for (let i = 0; i < 1000; i += 1) socket.send(i);
    };
    socket.onmessage = ({ data }) => {
      if (data.echo !== n) resolve(data);
      n += 1;
      if (n === 1000) resolve(n);
    };
  }));
  assert.equal(count, 1000);
});
