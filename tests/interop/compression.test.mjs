// permessage-deflate with npm `ws`, which offers it in every way there is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { meter } from '../lib/meter.mjs';
import { config, serve } from '../lib/server.mjs';
import { once, within } from '../lib/within.mjs';

const NEITHER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

/** What is sent: nothing, a little, much, and what does not compress, as text and as bytes. */
function messages() {
  let state = 1;
  const random = () => (state = (state * 48271) % 0x7fffffff);
  const noise = Buffer.from({ length: 70_000 }, random);
  const words = Array.from({ length: 20_000 }, () => `${random() % 500} ünïcödé`).join(' ');
  const sizes = [0, 1, 125, 126, 1023, 1024, 1025, 5000, 65_535, 65_536, 200_000];
  return [...sizes.map((size) => words.slice(0, size)), ...sizes.map((size) => Buffer.from(words.slice(0, size))), noise, words];
}

async function connect(t, host, perMessageDeflate) {
  const socket = new WebSocket(`ws://${host}/ws`, { perMessageDeflate });
  t.after(() => socket.terminate());
  const answer = once(socket, 'upgrade');
  await once(socket, 'open');
  const [{ headers }] = await answer;
  return { socket, extensions: headers['sec-websocket-extensions'] };
}

async function exchange(socket, message) {
  const answer = once(socket, 'message');
  socket.send(message);
  const [data, binary] = await answer;
  return binary ? data : data.toString();
}

for (const [takeover, offers] of [
  [
    false,
    [
      [true, NEITHER],
      [{ serverNoContextTakeover: true, clientNoContextTakeover: true }, NEITHER],
      [{ serverMaxWindowBits: 9 }, `${NEITHER}; server_max_window_bits=9`],
      [{ clientMaxWindowBits: 10 }, NEITHER],
      [{ serverMaxWindowBits: 8 }, undefined],
      [false, undefined],
    ],
  ],
  [
    true,
    [
      [true, 'permessage-deflate'],
      [{ serverNoContextTakeover: true }, 'permessage-deflate; server_no_context_takeover'],
      [{ clientNoContextTakeover: true }, 'permessage-deflate; client_no_context_takeover'],
      [{ serverMaxWindowBits: 11, clientMaxWindowBits: 12 }, 'permessage-deflate; server_max_window_bits=11'],
      [{ serverMaxWindowBits: 15, clientMaxWindowBits: 9 }, 'permessage-deflate; server_max_window_bits=15'],
    ],
  ],
]) {
  test(`npm ws gets its messages back compressed, whatever it offers, ${takeover ? 'with' : 'without'} context takeover`, async (t) => {
    const options = `compression = true\ncompression_takeover = ${takeover}`;
    const server = await serve(t, 'echo', await config(t, options));
    for (const [offer, expected] of offers) {
      const name = JSON.stringify(offer);
      const { socket, extensions } = await connect(t, server.host, offer);
      assert.equal(extensions, expected, name);
      for (const message of messages()) {
        const answer = await within(5000, `${message.length} bytes, ${name}`, exchange(socket, message));
        assert.ok(Buffer.from(answer).equals(Buffer.from(message)) && typeof answer === typeof message, `${message.length} bytes, ${name}`);
      }
      socket.close();
      assert.equal((await once(socket, 'close'))[0], 1005, name);
    }
  });
}

test('compression saves bytes both ways for npm ws, and takes nobody by surprise', async (t) => {
  const text = JSON.stringify(Array.from({ length: 500 }, (_, id) => ({ id, name: `somebody ${id % 7}`, online: id % 2 === 0 })));
  const size = async (options, offer) => {
    const wire = await meter(t, await serve(t, 'echo', await config(t, options)));
    const { socket } = await connect(t, wire.host, offer);
    const before = { ...wire };
    for (let round = 0; round < 10; round += 1) assert.equal(await exchange(socket, text), text);
    return { sent: wire.sent - before.sent, received: wire.received - before.received };
  };
  const plain = await size('', true);
  assert.ok(plain.sent > 10 * text.length && plain.received > 10 * text.length, JSON.stringify(plain));
  const without = await size('compression = true', true);
  assert.ok(without.sent < plain.sent / 5 && without.received < plain.received / 5, JSON.stringify(without));
  const takeover = await size('compression = true\ncompression_takeover = true', true);
  assert.ok(takeover.sent < without.sent / 2 && takeover.received < without.received / 2, JSON.stringify(takeover));
  // Who does not offer it goes without.
  const never = await size('compression = true', false);
  assert.deepEqual(never.received, plain.received);
});

test('a broadcast reaches npm ws compressed, and those that did not offer it as it is', async (t) => {
  const server = await serve(t, 'echo', await config(t, 'compression = true'));
  const { socket: with1 } = await connect(t, server.host, true);
  const { socket: with2 } = await connect(t, server.host, { serverMaxWindowBits: 9 });
  const { socket: without } = await connect(t, server.host, false);
  const text = 'breaking '.repeat(1000);
  const heard = [with1, with2, without].map((socket) => once(socket, 'message'));
  with1.send(text);
  for (const [data, binary] of await Promise.all(heard)) assert.deepEqual([data.toString(), binary], [text, false]);
});

test('npm ws is told that a message is too big when it is inflated', async (t) => {
  const server = await serve(t, 'echo', await config(t, 'compression = true'));
  const { socket } = await connect(t, server.host, true);
  socket.send(Buffer.alloc((16 << 20) + 1));
  const [code, reason] = await once(socket, 'close');
  assert.deepEqual([code, reason.toString()], [1009, 'message too big']);
});
