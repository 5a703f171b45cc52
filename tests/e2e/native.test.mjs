// What a browser has built in, without any library: `new WebSocket` and `new EventSource`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { proxy } from '../lib/proxy.mjs';
import { serve } from '../lib/server.mjs';

const open = browser();

/** A page of the server's own origin, to call browser functions from. */
const page = (t, server, options) => open(t, `${server.url}/primus/spec`, options);

/** In the page: opens a WebSocket, sends `messages` one after the other, and returns what came back for each. */
async function exchange([url, protocol, messages]) {
  const socket = protocol ? new WebSocket(url, protocol) : new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const event = (name) =>
    new Promise((resolve, reject) => {
      socket.addEventListener(name, resolve, { once: true });
      socket.addEventListener('close', ({ code }) => reject(new Error(`closed with ${code}`)), { once: true });
    });
  await event('open');
  const answers = [];
  for (const message of messages) {
    const answer = event('message');
    socket.send(Array.isArray(message) ? new Uint8Array(message) : message);
    const { data } = await answer;
    answers.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data);
  }
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve, { once: true }));
  socket.close(1000);
  const { code, wasClean } = await closed;
  return { protocol: socket.protocol, answers, code, wasClean };
}

test('new WebSocket(url, protocol) gets its protocol and its messages back as JSON', async (t) => {
  const server = await serve(t, 'echo');
  const messages = ['{"a":1}', '"text"', '0', 'null', '"ünïcödé \\u2028"'];
  const result = await (await page(t, server)).evaluate(exchange, [`ws://${server.host}/primus`, 'echo-protocol', messages]);
  assert.equal(result.protocol, 'echo-protocol');
  assert.deepEqual(result.answers.map((text) => JSON.parse(text)), messages.map((text) => JSON.parse(text)));
  assert.deepEqual([result.code, result.wasClean], [1000, true]);
});

test('new WebSocket on the raw endpoint gets text and binary back', async (t) => {
  const server = await serve(t, 'echo');
  const messages = ['plain text', 'ünïcödé', '{not json', [0, 1, 2, 254, 255], [], ''];
  const result = await (await page(t, server)).evaluate(exchange, [`ws://${server.host}/ws`, 'echo-protocol', messages]);
  assert.deepEqual(result.answers, messages);
  assert.equal(result.protocol, 'echo-protocol');
  assert.deepEqual([result.code, result.wasClean], [1000, true]);
});

test('new WebSocket without a protocol gets none', async (t) => {
  const server = await serve(t, 'echo');
  const result = await (await page(t, server)).evaluate(exchange, [`ws://${server.host}/ws`, '', ['hello']]);
  assert.deepEqual([result.protocol, result.answers], ['', ['hello']]);
});

test('new WebSocket carries four megabytes on the raw endpoint', async (t) => {
  const server = await serve(t, 'echo');
  const size = await (await page(t, server)).evaluate(async (url) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
    const answer = new Promise((resolve, reject) => Object.assign(socket, { onmessage: resolve, onclose: reject }));
    socket.send(new Uint8Array(4 << 20).fill(7));
    const bytes = new Uint8Array((await answer).data);
    return bytes.every((byte) => byte === 7) ? bytes.length : -1;
  }, `ws://${server.host}/ws`);
  assert.equal(size, 4 << 20);
});

/** In the page: opens an EventSource, makes something broadcast, and returns what it heard. */
async function listen([stream, send, body]) {
  const source = new EventSource(stream);
  await new Promise((resolve, reject) => Object.assign(source, { onopen: resolve, onerror: () => reject(new Error('no stream')) }));
  const heard = new Promise((resolve) => (source.onmessage = resolve));
  await fetch(send, { method: 'POST', body });
  const { data, lastEventId } = await heard;
  source.close();
  return { data, lastEventId };
}

test('new EventSource hears a broadcast', async (t) => {
  const server = await serve(t, 'echo');
  const arguments_ = [`${server.url}/primus/sse`, `${server.url}/primus`, '"breaking news\\nof two lines"'];
  const { data, lastEventId } = await (await page(t, server)).evaluate(listen, arguments_);
  assert.equal(JSON.parse(data), 'breaking news\nof two lines');
  assert.match(lastEventId, /^[A-Za-z0-9_-]{22}\.1$/);
});

test('new EventSource on the mount itself is a stream', async (t) => {
  const server = await serve(t, 'echo');
  const arguments_ = [`${server.url}/primus`, `${server.url}/primus`, '"b"'];
  const { data } = await (await page(t, server)).evaluate(listen, arguments_);
  assert.equal(data, '"b"');
});

test('new EventSource on the raw endpoint gets the lines of a text as they were', async (t) => {
  const server = await serve(t, 'echo');
  const arguments_ = [`${server.url}/ws/sse`, `${server.url}/ws`, 'b one\nb two\n'];
  const { data } = await (await page(t, server)).evaluate(listen, arguments_);
  assert.equal(data, 'b one\nb two\n');
});

test('an EventSource and fetch are a conversation', async (t) => {
  const server = await serve(t, 'echo');
  const data = await (await page(t, server)).evaluate(async (mount) => {
    const source = new EventSource(`${mount}/sse`);
    const next = () => new Promise((resolve) => (source.onmessage = resolve));
    await new Promise((resolve) => (source.onopen = resolve));
    const first = next();
    await fetch(mount, { method: 'POST', body: '"begin"' });
    const token = (await first).lastEventId.split('.')[0];
    const echo = next();
    const sent = await fetch(`${mount}/sse?token=${token}`, { method: 'POST', body: '{"mine":true}' });
    const { data } = await echo;
    source.close();
    return { status: sent.status, data };
  }, `${server.url}/primus`);
  assert.deepEqual(data, { status: 204, data: '{"mine":true}' });
});

test('an EventSource that is cut off comes back by itself and misses nothing', async (t) => {
  const server = await serve(t, 'echo');
  const line = await proxy(t, server);
  const tab = await page(t, line, { allow: NETWORK_ERRORS });
  await tab.evaluate(
    (stream) =>
      new Promise((opened) => {
        window.heard = [];
        const source = new EventSource(stream);
        source.onopen = opened;
        source.onmessage = ({ data, lastEventId }) => window.heard.push([data, lastEventId]);
      }),
    `${line.url}/primus/sse`,
  );
  const say = (n) => fetch(`${server.url}/primus`, { method: 'POST', body: `"b ${n}"` });
  const heard = (count) => tab.waitForFunction((count) => window.heard.length >= count, count);
  await say(1);
  await heard(1);
  for (const round of [1, 2, 3]) {
    line.cut();
    // The one that it comes back for, and one that may find it away or back.
    await say(2 * round);
    await say(2 * round + 1);
    await heard(2 * round + 1);
  }
  const all = await tab.evaluate(() => window.heard);
  assert.deepEqual(all.map(([data]) => data), [1, 2, 3, 4, 5, 6, 7].map((n) => `"b ${n}"`));
  const token = all[0][1].split('.')[0];
  assert.deepEqual(all.map(([, id]) => id), [1, 2, 3, 4, 5, 6, 7].map((n) => `${token}.${n}`));
});
