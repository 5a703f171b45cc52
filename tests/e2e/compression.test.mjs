// permessage-deflate with the one client that everybody has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { meter } from '../lib/meter.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();

/** What both sides of a test say: JSON that repeats itself, as JSON does. */
const value = Array.from({ length: 500 }, (_, id) => ({ id, name: `somebody ${id % 7}`, online: id % 2 === 0 }));
const ROUNDS = 10;

for (const takeover of [false, true]) {
  const how = takeover ? 'with' : 'without';

  test(`new WebSocket in Chromium compresses both ways, ${how} context takeover`, async (t) => {
    const options = `compression = true\ncompression_takeover = ${takeover}`;
    const wire = await meter(t, await serve(t, 'echo', await config(t, options)));
    const page = await open(t, `${wire.url}/primus/spec`);
    const before = { ...wire };
    const { extensions, wrong } = await page.evaluate(
      async ([host, value, rounds]) => {
        const socket = new WebSocket(`ws://${host}/ws`);
        socket.binaryType = 'arraybuffer';
        await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
        const exchange = (message) => {
          const answer = new Promise((resolve, reject) => Object.assign(socket, { onmessage: resolve, onclose: reject }));
          socket.send(message);
          return answer.then(({ data }) => data);
        };
        const text = JSON.stringify(value);
        let wrong = 0;
        for (let round = 0; round < rounds; round += 1) if ((await exchange(text)) !== text) wrong += 1;
        for (const size of [0, 1, 1024, 70_000]) {
          const bytes = new Uint8Array(await exchange(new Uint8Array(size).fill(7)));
          if (bytes.length !== size || !bytes.every((byte) => byte === 7)) wrong += 1;
        }
        return { extensions: socket.extensions, wrong };
      },
      [wire.host, value, ROUNDS],
    );
    assert.equal(wrong, 0);
    const neither = '; server_no_context_takeover; client_no_context_takeover';
    assert.equal(extensions, `permessage-deflate${takeover ? '' : neither}`);
    const plain = ROUNDS * JSON.stringify(value).length;
    const [sent, received] = [wire.sent - before.sent, wire.received - before.received];
    assert.ok(sent < plain / 4 && received < plain / 4, `${sent} and ${received} of ${plain} bytes`);
  });

  test(`our client in Chromium needs to know nothing of compression, ${how} context takeover`, async (t) => {
    const options = `compression = true\ncompression_takeover = ${takeover}\ntransformers = ["websocket"]`;
    const wire = await meter(t, await serve(t, 'echo', await config(t, options)));
    const page = await open(t, `${wire.url}/primus/spec`);
    await page.addScriptTag({ url: `${wire.url}/primus/primus.js` });
    const before = { ...wire };
    const answers = await page.evaluate(
      async ([value, rounds]) => {
        const primus = new Primus();
        const heard = [];
        const all = new Promise((resolve) => {
          primus.on('data', (data) => {
            if (heard.push(JSON.stringify(data)) === rounds) resolve();
          });
        });
        for (let round = 0; round < rounds; round += 1) primus.write(value);
        await all;
        primus.end();
        return heard;
      },
      [value, ROUNDS],
    );
    assert.deepEqual(new Set(answers), new Set([JSON.stringify(value)]));
    const plain = ROUNDS * JSON.stringify(value).length;
    const [sent, received] = [wire.sent - before.sent, wire.received - before.received];
    assert.ok(sent < plain / 4 && received < plain / 4, `${sent} and ${received} of ${plain} bytes`);
  });
}
