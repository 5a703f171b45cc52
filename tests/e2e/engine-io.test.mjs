// Stock engine.io-clients as browsers have them: XMLHttpRequest, WebSocket, JSONP; from pages of the same origin and of another one.
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();

const MODULES = join(dirname(fileURLToPath(import.meta.url)), '..', 'node_modules');
const CLIENTS = {
  'engine.io-client 6': join(MODULES, 'engine.io-client', 'dist', 'engine.io.js'),
  'engine.io-client 3': join(MODULES, 'engine.io-client-3', 'engine.io.js'),
};
const OPTIONS = `
  path = "/engine.io"
  transformer = "engine.io"
  parser = "raw"
  engine_io_3 = true
  ping_interval = "400ms"
  ping_timeout = "5s"
`;

/** What a client in the page got back for what it sent, and by which transport. Blobs are not asked for, and bytes come as numbers. */
const converse = ([host, options]) =>
  new Promise((resolve, reject) => {
    const socket = window.eio(`ws://${host}`, options);
    socket.binaryType = 'arraybuffer';
    const got = [];
    const messages = ['hello', 'пойду €😀', new Uint8Array([0, 1, 254, 255]), 'x'.repeat(70000), 'last'];
    const begin = () => messages.forEach((message) => socket.send(message.buffer ?? message));
    socket.on('open', () => (options.transports.length > 1 ? socket.on('upgrade', begin) : begin()));
    socket.on('error', (error) => reject(new Error(`${error.message}: ${error.description}`)));
    socket.on('message', (message) => {
      got.push(typeof message === 'string' ? message : Array.from(new Uint8Array(message)));
      if (got.length < messages.length) return;
      // Still there after the next heartbeats.
      setTimeout(() => {
        socket.off();
        resolve([socket.transport.name, socket.readyState, ...got]);
        socket.close();
      }, 1000);
    });
  });

const ALL = ['hello', 'пойду €😀', [0, 1, 254, 255], 'x'.repeat(70_000), 'last'];

for (const [name, path] of Object.entries(CLIENTS)) {
  test(`${name} in Chromium: polling, WebSocket and the upgrade`, async (t) => {
    const server = await serve(t, 'echo', await config(t, OPTIONS));
    const page = await open(t, `${server.url}/engine.io/spec`);
    await page.addScriptTag({ path });
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
      const options = { path: '/engine.io', transports };
      const said = await page.evaluate(converse, [server.host, options]);
      assert.deepEqual(said, [transports.at(-1), 'open', ...ALL], transports.join());
    }
  });

  test(`${name} in Chromium: a page of another origin, with credentials, if it may`, async (t) => {
    const elsewhere = await serve(t, 'echo');
    const options = `${OPTIONS}\n origins = ["${elsewhere.url}"]`;
    const server = await serve(t, 'echo', await config(t, options));
    const page = await open(t, `${elsewhere.url}/primus/spec`);
    await page.addScriptTag({ path });
    const asked = { path: '/engine.io', transports: ['polling', 'websocket'], withCredentials: true };
    assert.deepEqual(await page.evaluate(converse, [server.host, asked]), ['websocket', 'open', ...ALL]);
  });
}

test('engine.io-client 3 in Chromium: JSONP', async (t) => {
  const server = await serve(t, 'echo', await config(t, OPTIONS));
  const page = await open(t, `${server.url}/engine.io/spec`);
  await page.addScriptTag({ path: CLIENTS['engine.io-client 3'] });
  const options = { path: '/engine.io', transports: ['polling'], forceJSONP: true };
  assert.deepEqual(await page.evaluate(converse, [server.host, options]), ['polling', 'open', ...ALL]);
});
