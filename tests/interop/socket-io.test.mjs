// Stock clients of Socket.IO, from 1.7 to 4.8, over polling, WebSockets, and from one to the other.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { counts } from '../lib/metrics.mjs';
import { Proxy } from '../lib/proxy.mjs';
import { defer } from '../lib/scope.mjs';
import { config, serve } from '../lib/server.mjs';
import { CLIENTS, TOML, TRANSPORTS, connected, socket } from '../lib/socketio.mjs';
import { Inbox, once, until, within } from '../lib/within.mjs';

const start = async (t, more = '') => serve(t, 'socket-io', await config(t, `${TOML}${more}`));

/** Emits an event, and returns the arguments of its ack. */
const ask = (socket, ...event) =>
  within(5000, `ack of ${event[0]}`, new Promise((resolve) => socket.emit(...event, (...args) => resolve(args))));

/** The arguments of the next event. */
const next = (socket, name) =>
  within(5000, `event ${name}`, new Promise((resolve) => socket.once(name, (...args) => resolve(args))));

const bytes = (...numbers) => Buffer.from(numbers);
/** Old clients have typed arrays where new ones have buffers. */
const same = (actual, expected) => assert.deepEqual(plain(actual), plain(expected));
const plain = (value) => {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { bytes: [...Buffer.from(value)] };
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
};

const TEXTS = ['', 'hello', 'Grüße, 世界', '🦀😀', 'tab\tquote"line\nnul\u0000', 'x'.repeat(70_000)];

for (const client of CLIENTS) {
  for (const transports of TRANSPORTS) {
    const over = `socket.io-client ${client.name} over ${transports.join(' then ')}`;
    const open = async (t, server, options = {}) => {
      const made = await connected(t, server.url, client, { transports, ...options });
      const { engine } = made.io;
      if (transports.length > 1 && engine.transport.name !== 'websocket') await once(engine, 'upgrade');
      return made;
    };

    test(`${over}: text and unicode, without a name and with one`, async (t) => {
      const made = await open(t, await start(t));
      for (const text of TEXTS) {
        const back = next(made, 'message');
        made.send(text);
        assert.deepEqual(await back, [text]);
        assert.deepEqual(await ask(made, 'echo', text), [text]);
      }
    });

    test(`${over}: any arguments come back as they went`, async (t) => {
      const made = await open(t, await start(t));
      for (const args of [[], [1], [[1, 2]], [[]], [1, 'two', { 3: [true] }], [null, null], [false], [{ a: { b: [] } }, 0.5]]) {
        const back = next(made, 'backed');
        made.emit('back', ...args);
        assert.deepEqual(await back, args);
        assert.deepEqual(await ask(made, 'echo', ...args), args);
      }
    });

    test(`${over}: bytes, wherever they are`, async (t) => {
      const made = await open(t, await start(t));
      for (const args of [
        [bytes(1, 2, 3)],
        [bytes()],
        [bytes(0, 255), bytes(7)],
        [{ name: 'x', data: bytes(1, 2), more: [bytes(3)] }, 'text'],
        [Buffer.alloc(50_000, 7)],
      ]) {
        const back = next(made, 'backed');
        made.emit('back', ...args);
        same(await back, args);
        same(await ask(made, 'echo', ...args), args);
      }
      same(await ask(made, 'picture', { name: 'cat', data: bytes(1, 2, 3) }), [{ name: 'cat (3 bytes)', data: bytes(3, 2, 1) }]);
    });

    test(`${over}: acks both ways`, async (t) => {
      const made = await open(t, await start(t));
      assert.deepEqual(await ask(made, 'add', 1, 2, 3.5), [6.5]);
      assert.deepEqual(await ask(made, 'divide', 7, 2), [3, 1]);
      const acks = await Promise.all(Array.from({ length: 50 }, (_, n) => ask(made, 'add', n, 1)));
      assert.deepEqual(acks, Array.from({ length: 50 }, (_, n) => [n + 1]));
      assert.deepEqual(await ask(made, 'refuse', 1), [{ error: 'no coffee', status: 418 }]);
      assert.deepEqual(await ask(made, 'unheard of'), [{ error: 'nobody listens for unheard of', status: 404 }]);
      made.on('name', (question, answer) => answer(`Ada, ${question}`));
      const asked = next(made, 'asked');
      made.emit('ask', 'you?');
      assert.deepEqual(await asked, ['Ada, you?']);
      made.off('name');
      const late = next(made, 'asked');
      made.emit('ask', 'you?');
      assert.deepEqual(await late, ['no answer in time']);
    });

    test(`${over}: namespaces, rooms, refusal`, async (t) => {
      const server = await start(t);
      const [one, two] = await Promise.all([open(t, server), open(t, server)]);
      const auth = client.protocol === 5 ? { auth: { q: '1' } } : {};
      const path = client.protocol === 5 ? '' : '?q=1';
      const there = socket(t, `${server.url}/custom${path}`, client, { transports, ...auth });
      const said = next(there, 'auth');
      assert.deepEqual(await said, [{ q: '1' }]);
      const doc = socket(t, `${server.url}/doc/7`, client, { transports });
      await once(doc, 'connect');
      const heard = [there, doc, one].map((one) => new Inbox(one, 'said'));
      doc.emit('say', 'here');
      assert.equal(await heard[1].next(), 'here');
      there.emit('say', 'there');
      assert.equal(await heard[0].next(), 'there');
      one.emit('say', 'everywhere');
      assert.equal(await heard[2].next(), 'everywhere');

      assert.deepEqual(await ask(two, 'join', 'blue'), [true]);
      const roomed = new Inbox(two, 'roomed');
      one.emit('room', 'green', 0);
      one.emit('room', 'blue', 1);
      assert.equal(await roomed.next(), 1);

      const failed = client.protocol === 5 ? 'connect_error' : 'error';
      const refused = (namespace) => once(socket(t, `${server.url}${namespace}`, client, { transports }), failed);
      const [unknown] = await refused('/random');
      const [secret] = await refused('/secret');
      if (client.protocol === 5) {
        assert.equal(unknown.message, 'Invalid namespace');
        assert.deepEqual([secret.message, secret.data], ['members only', { code: 7 }]);
      } else {
        assert.equal(unknown, 'Invalid namespace');
        assert.deepEqual(secret, { code: 7 });
      }
    });

    test(`${over}: either side ends it`, async (t) => {
      const server = await start(t);
      const one = await open(t, server);
      const ended = once(one, 'disconnect');
      one.emit('bye');
      assert.equal((await ended)[0], 'io server disconnect');
      const two = await open(t, server);
      const left = once(two, 'disconnect');
      two.disconnect();
      assert.equal((await left)[0], 'io client disconnect');
      const gone = async () => (await (await fetch(`${server.url}/stats`)).json()).left;
      await until('both sparks are over', gone, (left) => left === 2);
    });
  }
}

for (const transports of TRANSPORTS) {
  test(`socket.io-client 4.8 over ${transports.join(' then ')}: it recovers what it missed, again and again`, async (t) => {
    const server = await start(t, 'socket_io_recovery = true\nresume_messages = 100000\nresume_bytes = "16MiB"\n');
    const proxy = new Proxy(server.url);
    await proxy.up();
    defer(t, () => proxy.down());
    const options = { transports, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50, forceNew: false };
    const [root, custom] = ['', '/custom'].map((path) => socket(t, proxy.url + path, undefined, options));
    const heard = [root, custom].map((one) => {
      const numbers = [];
      one.on('number', (number) => numbers.push(number));
      return numbers;
    });
    await Promise.all([root, custom].map((one) => once(one, 'connect')));
    const ids = [root.id, custom.id];
    [root, custom].forEach((one) => one.emit('count', 600));
    for (let cuts = 0; cuts < 4; cuts += 1) {
      const before = heard[0].length;
      await until('numbers come', () => heard[0].length, (length) => length > before + 20);
      const back = Promise.all([root, custom].map((one) => once(one, 'connect', 15000)));
      // Between two polls there is nothing to be cut. Where its next attempt is cut between the upgrade and the first packet, the stock client
      // waits for its own timeout.
      const cut = () => root.connected && (proxy.cut() ?? true);
      await until('it is cut', cut, (connected) => !connected);
      await back;
      assert.deepEqual([root.recovered, custom.recovered], [true, true]);
    }
    await until('all has come', () => heard.map((numbers) => numbers.length), ([a, b]) => a >= 600 && b >= 600, 20000);
    const all = Array.from({ length: 600 }, (_, number) => number);
    assert.deepEqual(heard, [all, all]);
    assert.deepEqual([root.id, custom.id], ids);
  });
}

test('socket.io-client 4.8: who was away too long is told so', async (t) => {
  const server = await start(t, 'socket_io_recovery = true\nresume_window = "100ms"\n');
  const proxy = new Proxy(server.url);
  await proxy.up();
  defer(t, () => proxy.down());
  const options = { transports: ['websocket'], reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
  const made = await connected(t, proxy.url, undefined, options);
  const { id } = made;
  const closed = once(made, 'disconnect');
  await proxy.down();
  await closed;
  const left = async () => (await (await fetch(`${server.url}/stats`)).json()).left;
  await until('the session is over', left, (left) => left === 1);
  const back = once(made, 'connect', 15000);
  await proxy.up();
  await back;
  assert.equal(made.recovered, false);
  assert.notEqual(made.id, id);
});

test('socket.io-client 4.8: a refused connect says why, with data', async (t) => {
  const server = await start(t);
  const made = socket(t, server.url, undefined, { auth: { refuse: 'not you' } });
  const [error] = await once(made, 'connect_error');
  assert.equal(error.message, 'not you');
  made.auth = { token: 'better' };
  const said = next(made, 'auth');
  made.connect();
  assert.deepEqual(await said, [{ token: 'better' }]);
});

test('socket.io-client 4.8: a namespace alone, and the root after it', async (t) => {
  const server = await start(t);
  const options = { forceNew: false };
  const custom = socket(t, `${server.url}/custom`, undefined, options);
  await once(custom, 'connect');
  const root = socket(t, server.url, undefined, options);
  assert.equal(root.io, custom.io);
  assert.deepEqual(await next(root, 'auth'), [{}]);
  custom.disconnect();
  assert.deepEqual(await ask(root, 'echo', 1), [1]);
  root.disconnect();
  const left = async () => (await (await fetch(`${server.url}/stats`)).json()).left;
  await until('both sparks are over', left, (left) => left === 2);
});

test('socket.io-client 4.8: all are asked, and who does not answer is counted', async (t) => {
  const server = await start(t);
  const sockets = await Promise.all([1, 2, 3].map(() => connected(t, server.url)));
  sockets[0].on('guilty?', (answer) => answer(true));
  sockets[1].on('guilty?', (answer) => answer(false));
  const polled = next(sockets[2], 'polled');
  sockets[2].emit('poll', 'guilty?');
  const [answers, missing] = await polled;
  assert.deepEqual([answers.sort(), missing], [[false, true], 1]);
});

test('socket.io-client 4.8: ackTimeout and retries find their answers', async (t) => {
  const server = await start(t);
  const made = await connected(t, server.url, undefined, { retries: 3, ackTimeout: 2000 });
  const answers = [1, 2, 3].map((n) => within(5000, 'ack', new Promise((resolve, reject) => made.emit('add', n, n, (error, sum) => (error ? reject(error) : resolve(sum))))));
  assert.deepEqual(await Promise.all(answers), [2, 4, 6]);
});

for (const transports of TRANSPORTS) {
  test(`socket.io-client 4.8 with the msgpack parser over ${transports.join(' then ')}`, async (t) => {
    const server = await start(t, 'socket_io_msgpack = true\n');
    const parser = createRequire(import.meta.url)('socket.io-msgpack-parser');
    const options = { transports, parser, auth: { token: 'x' } };
    const made = socket(t, server.url, undefined, options);
    assert.deepEqual(await next(made, 'auth'), [{ token: 'x' }]);
    for (const args of [[], [1], ['ü🦀', { a: [null, -1.5] }], [bytes(1, 2)], [{ x: bytes(3) }, 2]]) {
      same(await ask(made, 'echo', ...args), args);
    }
    const [error] = await once(socket(t, `${server.url}/random`, undefined, options), 'connect_error');
    assert.equal(error.message, 'Invalid namespace');
    const ended = once(made, 'disconnect');
    made.emit('bye');
    assert.equal((await ended)[0], 'io server disconnect');
  });
}

test('metrics count socket.io-clients', async (t) => {
  const server = await serve(t, 'echo', ['--metrics', '/metrics', ...(await config(t, TOML))]);
  for (const [index, client] of CLIENTS.entries()) {
    const made = await connected(t, server.url, client);
    const back = next(made, 'message');
    made.send('x');
    assert.deepEqual(await back, ['x']);
    const count = await counts(server, 'socket.io');
    assert.equal(count('primus_messages_in_total'), index + 1);
    assert.equal(count('primus_messages_out_total'), index + 1);
    assert.equal(count('primus_connections'), index + 1);
  }
});
