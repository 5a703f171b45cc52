// The echo example is what others measure. Here is shown, with npm `ws`, that nothing is left out of it for that: limits, metrics,
// transforms and heartbeat act on both of its mounts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { config, serve } from '../lib/server.mjs';
import { within } from '../lib/within.mjs';

const MOUNTS = ['/primus', '/ws'];

async function connect(t, server, path) {
  const socket = new WebSocket(`ws://${server.host}${path}`);
  t.after(() => socket.terminate());
  await within(5000, `${path} opens`, once(socket, 'open'));
  return socket;
}

async function exchange(socket, message) {
  const answer = once(socket, 'message');
  socket.send(message);
  const [data, binary] = await within(5000, 'the answer', answer);
  return binary ? data : data.toString();
}

for (const [path, max] of [['/primus', 1 << 20], ['/ws', 16 << 20]]) {
  test(`echo: the limit of a message acts on ${path}`, async (t) => {
    const server = await serve(t, 'echo');
    const socket = await connect(t, server, path);
    const largest = `"${'x'.repeat(max - 2)}"`;
    assert.equal((await exchange(socket, largest)).length, max);
    const closed = once(socket, 'close');
    socket.send(`${largest} `);
    const [code, reason] = await within(5000, 'the close', closed);
    assert.deepEqual([code, reason.toString()], [1009, 'message too big']);
    assert.equal(await exchange(await connect(t, server, path), '"still here"'), '"still here"');
  });
}

test('echo: metrics count on both mounts', async (t) => {
  const server = await serve(t, 'echo', ['--metrics', '/metrics']);
  const count = async (name) => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(new RegExp(`^${name}\\{transport="websocket"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  };
  let expected = 0;
  for (const path of MOUNTS) {
    const socket = await connect(t, server, path);
    for (let message = 0; message < 5; message += 1) await exchange(socket, `"${message}"`);
    expected += 5;
    assert.equal(await count('primus_messages_in_total'), expected, path);
    assert.equal(await count('primus_messages_out_total'), expected, path);
    assert.equal(await count('primus_bytes_in_total'), 3 * expected, path);
  }
  assert.equal(await count('primus_connections'), MOUNTS.length);
});

test('echo: transforms act on both mounts', async (t) => {
  const server = await serve(t, 'echo', ['--upper', 'quiet']);
  for (const path of MOUNTS) {
    const socket = await connect(t, server, path);
    assert.equal(await exchange(socket, '"be quiet now"'), '"be QUIET now"', path);
  }
});

test('echo: the heartbeat acts on both mounts', async (t) => {
  const server = await serve(t, 'echo', await config(t, 'ping_interval = "150ms"\nping_timeout = "150ms"\n'));
  for (const path of MOUNTS) {
    const alive = await connect(t, server, path);
    const dead = new WebSocket(`ws://${server.host}${path}`, { autoPong: false });
    t.after(() => dead.terminate());
    const closed = once(dead, 'close');
    await within(5000, `${path} pings`, once(alive, 'ping'));
    const [code, reason] = await within(5000, `${path} gives up who is silent`, closed);
    assert.deepEqual([code, reason.toString()], [4004, 'heartbeat'], path);
    assert.equal(await exchange(alive, '"alive"'), '"alive"', path);
  }
});

test('echo: a broadcast reaches its own mount only, from either mount', async (t) => {
  const server = await serve(t, 'echo');
  const sockets = {};
  for (const path of MOUNTS) sockets[path] = [await connect(t, server, path), await connect(t, server, path)];
  for (const [path, other] of [MOUNTS, [...MOUNTS].reverse()]) {
    const [sender, listener] = sockets[path];
    const message = path === '/ws' ? 'bravo' : '"bravo"';
    const heard = once(listener, 'message');
    assert.equal(await exchange(sender, message), message);
    assert.equal((await within(5000, 'the broadcast', heard))[0].toString(), message);
    assert.equal(await exchange(sockets[other][1], '"only mine"'), '"only mine"');
  }
});
