// Messages as streams: WHATWG, async iteration, and Node's.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Primus } from '../dist/node.mjs';
import { back, next, serve, WebSocket } from './server.mjs';

async function client(t, hooks, options) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, reconnect: { min: 1, max: 5 }, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  return { server, primus };
}

const end = { code: 4000, reason: 'done', reconnect: false };

for (const transports of [['websocket'], ['sse'], ['polling']]) {
  const [name] = transports;

  test(`${name}: readable, pipeThrough and pipeTo`, async (t) => {
    const { server, primus } = await client(t, {}, { transports });
    const got = [];
    const piped = primus.readable
      .pipeThrough(new TransformStream({ transform: (value, controller) => controller.enqueue(value * 2) }))
      .pipeTo(new WritableStream({ write: (value) => { got.push(value); } }));
    await next(primus, 'open');
    for (let n = 0; n < 100; n++) server.last.send('' + n);
    server.last.end(end);
    await piped;
    assert.deepEqual(got, Array.from({ length: 100 }, (_, n) => n * 2));
  });

  test(`${name}: a reader that does not read stops the network`, async (t) => {
    const { server, primus } = await client(t, {}, { transports, ping: false });
    const reader = primus.readable.getReader();
    let seen = 0;
    primus.on('data', () => seen++);
    await next(primus, 'open');
    const session = server.last;
    const big = JSON.stringify('x'.repeat(100000));
    // One after the other, as fast as the client takes them: polling answers a poll, the others fill the sockets.
    const total = 400;
    for (let n = 0; n < total; n++) session.send(big);
    await new Promise((resolve) => setTimeout(resolve, 150));
    const before = seen;
    if (name !== 'polling') assert.ok(before < total / 2, `${before} came though nobody read`);
    for (let n = 0; n < total; n++) assert.equal((await reader.read()).value.length, 100000);
    assert.equal(seen, total);
  });

  test(`${name}: writable, pipeTo, and its close`, async (t) => {
    const { server, primus } = await client(t, {}, { transports });
    const source = new ReadableStream({
      start(controller) { for (let n = 0; n < 500; n++) controller.enqueue(n); controller.close(); },
    });
    await Promise.all([source.pipeTo(primus.writable), next(primus, 'end')]);
    const session = server.last;
    while (!session.ended) await session.frame();
    assert.deepEqual(session.received, [...Array.from({ length: 500 }, (_, n) => '' + n), 'primus::end::']);
  });
}

test('a writable waits while there is no connection, and while the server is behind', async (t) => {
  let held;
  const { server, primus } = await client(t, {
    send: (one, frames) => new Promise((resolve) => { held = () => resolve(false); }),
  }, { transports: ['sse'], manual: true });
  primus.open();
  const writer = primus.writable.getWriter();
  let written = 0;
  const all = (async () => { for (let n = 0; n < 1000; n++) { await writer.write(n); written++; } })();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(written, 0);
  await next(primus, 'open');
  while (!held) await new Promise((resolve) => setTimeout(resolve, 1));
  const stuck = await new Promise((resolve) => setTimeout(() => resolve(written), 50));
  assert.ok(stuck > 0 && stuck < 400, `${stuck} were taken`);
  const release = setInterval(() => held(), 1);
  await all;
  const session = server.last;
  while (session.received.length < 1000) await session.frame();
  clearInterval(release);
  assert.deepEqual(session.received, Array.from({ length: 1000 }, (_, n) => '' + n));
});

test('streams fail when the client ends badly', async (t) => {
  const { primus } = await client(t, { attach: () => ({ status: 401, error: 'no' }) }, {});
  await assert.rejects(primus.readable.getReader().read(), { status: 401 });
  await assert.rejects(primus.writable.getWriter().write(1));
  await assert.rejects((async () => { for await (const _ of primus); })(), { status: 401 });
});

test('a stream goes on over a lost connection', async (t) => {
  const { server, primus } = await client(t, {}, {});
  const reader = primus.readable.getReader();
  await next(primus, 'open');
  server.last.send('1');
  assert.equal((await reader.read()).value, 1);
  server.last.cut();
  await back(primus);
  server.last.send('2');
  assert.equal((await reader.read()).value, 2);
  assert.equal(primus.readable, primus.readable);
});

test('async iteration: until the end, or until one breaks off', async (t) => {
  const { server, primus } = await client(t, {}, {});
  await next(primus, 'open');
  const got = [];
  const first = (async () => { for await (const message of primus) { got.push(message); if (message === 2) break; } })();
  for (const n of [1, 2, 3]) server.last.send('' + n);
  await first;
  assert.deepEqual(got, [1, 2]);
  assert.equal(primus.listeners('data').length, 0);
  const rest = [];
  const second = (async () => { for await (const message of primus) rest.push(message); })();
  server.last.send('4');
  server.last.send('5');
  server.last.end(end);
  await second;
  assert.deepEqual(rest.slice(-2), [4, 5]);
  for await (const _ of primus) assert.fail('it is over');
});

test('a Duplex of Node', async (t) => {
  const { server, primus } = await client(t, { frame: (one, frame) => !/^primus::/.test(frame) && one.send(frame) }, {});
  const stream = primus.stream();
  stream.write({ a: 1 });
  stream.write([2]);
  const [first] = await once(stream, 'data');
  const [second] = await once(stream, 'data');
  assert.deepEqual([first, second], [{ a: 1 }, [2]]);
  stream.end('bye');
  await once(stream, 'finish');
  while (!server.last.ended) await server.last.frame();
  assert.deepEqual(server.last.received.slice(-2), ['"bye"', 'primus::end::']);
  assert.equal(primus.state, 'closed');
});

test('a Duplex ends with the client, fails with it, and cannot carry null', async (t) => {
  const { server, primus } = await client(t, {}, {});
  const stream = primus.stream().resume();
  await next(primus, 'open');
  server.last.end(end);
  await once(stream, 'end');
  const { primus: refused } = await client(t, { attach: () => ({ status: 403, error: 'no' }) }, {});
  const [error] = await once(refused.stream().resume(), 'error');
  assert.equal(error.status, 403);
  const { server: other, primus: nulled } = await client(t, {}, {});
  const broken = nulled.stream().resume();
  await next(nulled, 'open');
  other.last.send('null');
  assert.match((await once(broken, 'error'))[0].message, /null/);
});
