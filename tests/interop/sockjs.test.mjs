// npm's `sockjs-client` over each transport that it has in Node, and the stock Primus 8 client that npm's `primus`
// generates for `sockjs`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import SockJS from 'sockjs-client';
import { counts } from '../lib/metrics.mjs';
import { proxy } from '../lib/proxy.mjs';
import { defer } from '../lib/scope.mjs';
import { config, serve, Server } from '../lib/server.mjs';
import { client, connected, cutOff, kindFor } from '../lib/stock.mjs';
import { Inbox, once, until } from '../lib/within.mjs';

/** How long a transport may take to open, in ms: by itself the client gives up one on a slow machine. */
const PATIENCE = 30_000;
const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

let services;
before(async () => {
  services = await Server.start('conformance', ['--suite', 'sockjs']);
});
after(() => services?.kill());

/** A client of one transport, and what it says, as `[what, ...]`. */
function sockjs(t, url, transport) {
  const socket = new SockJS(url, null, { transports: [transport], timeout: PATIENCE });
  const inbox = new Inbox({ on: () => {} }, '', `word of ${transport}`);
  socket.onopen = () => inbox.push(['open', socket.transport]);
  socket.onmessage = ({ data }) => inbox.push(['message', data]);
  socket.onclose = ({ code, reason, wasClean }) => inbox.push(['close', code, reason, wasClean]);
  defer(t, () => socket.close());
  return { socket, next: (ms = 15_000) => inbox.next(ms) };
}

async function opened(t, url, transport) {
  const it = sockjs(t, url, transport);
  assert.deepEqual(await it.next(), ['open', transport]);
  return it;
}

const TEXTS = ['x', '', 'Grüße, 世界', 'line\u2028and\u2029paragraph', '🦀 and 𝄞', '"\\/\b\f\n\r\t\0', '%25 100% %', '</script>', '\u200c\ufeff\uffff'];

for (const transport of TRANSPORTS) {
  test(`sockjs-client over ${transport} gets any text back`, async (t) => {
    const { socket, next } = await opened(t, `${services.url}/echo`, transport);
    for (const text of TEXTS) {
      socket.send(text);
      assert.deepEqual(await next(), ['message', text]);
    }
    // Many at once, in order.
    for (let n = 0; n < 200; n += 1) socket.send(`${n}`);
    for (let n = 0; n < 200; n += 1) assert.deepEqual(await next(), ['message', `${n}`]);
  });

  test(`half a surrogate pair is replaced, over ${transport}`, async (t) => {
    const { socket, next } = await opened(t, `${services.url}/echo`, transport);
    socket.send('a\ud800b');
    assert.deepEqual(await next(), ['message', 'a\ufffdb']);
  });

  test(`sockjs-client over ${transport} gets large messages`, async (t) => {
    const echo = await opened(t, `${services.url}/echo`, transport);
    const large = 'ä'.repeat(300_000);
    for (let n = 0; n < 2; n += 1) {
      echo.socket.send(large);
      const [what, data] = await echo.next();
      assert.ok(what === 'message' && data === large);
    }
    const amplify = await opened(t, `${services.url}/amplify`, transport);
    for (const n of [1, 10, 18]) {
      amplify.socket.send(`${n}`);
      const [, data] = await amplify.next();
      assert.equal(data.length, 2 ** n);
    }
  });

  test(`the server closes a sockjs-client over ${transport}`, async (t) => {
    const { next } = await opened(t, `${services.url}/close`, transport);
    assert.deepEqual(await next(), ['close', 3000, 'Go away!', true]);
  });

  test(`a sockjs-client over ${transport} closes, and nothing is left of it`, async (t) => {
    const server = await serve(t, 'fixture', await config(t, 'transformers = ["sockjs"]\n'));
    const { socket, next } = await opened(t, `${server.url}/primus`, transport);
    socket.send('"x"');
    assert.deepEqual(await next(), ['message', '"x"']);
    socket.close(3001, 'enough');
    assert.deepEqual(await next(), ['close', 3001, 'enough', true]);
    const gone = (said) => said.connections === 0 && said.disconnections === 1;
    await until('the disconnection', () => fetch(`${server.url}/stats`).then((it) => it.json()), gone, 15_000);
  });

  test(`sockjs-client over ${transport} connects a hundred times`, async (t) => {
    for (let n = 0; n < 100; n += 1) {
      const { socket, next } = await opened(t, `${services.url}/echo`, transport);
      socket.send(`${n}`);
      assert.deepEqual(await next(), ['message', `${n}`]);
      socket.close();
      assert.equal((await next())[0], 'close');
    }
  });
}

test('a broadcast reaches sockjs-clients over all transports', async (t) => {
  const all = await Promise.all(TRANSPORTS.map((transport) => opened(t, `${services.url}/broadcast`, transport)));
  for (const { socket } of all) {
    socket.send('to all');
    for (const { next } of all) assert.deepEqual(await next(), ['message', 'to all']);
  }
});

test('metrics count sockjs-clients', async (t) => {
  const server = await serve(t, 'echo', ['--metrics', '/metrics', ...(await config(t, 'transformers = ["sockjs"]\n'))]);
  for (const transport of TRANSPORTS) {
    const { socket, next } = await opened(t, `${server.url}/primus`, transport);
    socket.send('"x"');
    assert.deepEqual(await next(), ['message', '"x"']);
  }
  const count = await counts(server, 'sockjs');
  assert.equal(count('primus_messages_in_total'), TRANSPORTS.length);
  assert.equal(count('primus_messages_out_total'), TRANSPORTS.length);
  assert.equal(count('primus_connections'), TRANSPORTS.length);
});

test('sockjs-client hears the ticker', async (t) => {
  const { next } = await opened(t, `${services.url}/ticker`, 'xhr-streaming');
  for (let n = 0; n < 2; n += 1) assert.deepEqual(await next(), ['message', 'tick!']);
});

test('sockjs-client falls back where WebSockets are off', async (t) => {
  const socket = new SockJS(`${services.url}/disabled_websocket_echo`, null, { timeout: PATIENCE });
  defer(t, () => socket.close());
  await new Promise((resolve) => (socket.onopen = resolve));
  assert.equal(socket.transport, 'xhr-streaming');
});

// ---- the stock Primus 8 client ----

const Stock = kindFor('sockjs');
const stock = async (t, program = 'fixture', toml = '') => {
  const server = await serve(t, program, await config(t, `transformers = ["sockjs"]\n${toml}`));
  return { server, socket: await connected(t, server.url, { transport: { timeout: PATIENCE } }, Stock) };
};
const names = (socket) => socket.events.map(([name]) => name);
const id = (socket) => new Promise((resolve) => socket.id(resolve));
/** The client lives in a context of its own, whose objects have other prototypes. */
const same = (actual, expected) => assert.deepEqual(structuredClone(actual), expected);

async function exchange(socket, value) {
  const answer = once(socket, 'data', 15_000);
  assert.equal(socket.write(value), true);
  return (await answer)[0];
}

/** It over WebSocket, and over the transport that follows. */
const WAYS = [['websocket', ''], ['xhr-streaming', 'sockjs_websocket = false\n']];

for (const [way, toml] of WAYS) {
  test(`the stock client for sockjs gets its values back over ${way}`, async (t) => {
    const { socket } = await stock(t, 'echo', toml);
    const values = [{ a: [1, null, { b: true }] }, 0, '', null, false, 'Grüße 🦀', 'line\u2028', 'ä'.repeat(100_000)];
    for (const value of values) same(await exchange(socket, value), value);
    assert.equal(socket.socket.transport, way);
  });

  test(`the stock client for sockjs learns its id over ${way}`, async (t) => {
    const { socket } = await stock(t, 'fixture', toml);
    const own = await id(socket);
    assert.match(own, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(await id(socket), own);
    same(await exchange(socket, { cmd: 'id' }), { id: own });
  });

  test(`the stock client for sockjs gets pings over ${way}, and its pongs keep it alive`, async (t) => {
    const { socket } = await stock(t, 'fixture', `ping_interval = "300ms"\nping_timeout = "900ms"\n${toml}`);
    const pings = new Inbox(socket, 'incoming::ping');
    for (let n = 0; n < 6; n += 1) assert.ok(Math.abs(Date.now() - Number(await pings.next())) < 60_000);
    assert.deepEqual(names(socket), ['readyStateChange', 'readyStateChange', 'open']);
  });

  test(`the server ends a stock client for sockjs over ${way}, which does not come back`, async (t) => {
    const { socket } = await stock(t, 'fixture', toml);
    const ended = once(socket, 'end', 15_000);
    socket.write({ cmd: 'endWith', message: { bye: 'bye' } });
    await ended;
    same(socket.events.find(([name]) => name === 'data')[1], { bye: 'bye' });
    assert.deepEqual(names(socket).slice(-4), ['data', 'readyStateChange', 'close', 'end']);
    assert.ok(!socket.recovery.reconnecting());
  });

  test(`the server asks a stock client for sockjs to reconnect over ${way}`, async (t) => {
    const { socket } = await stock(t, 'fixture', toml);
    const first = await id(socket);
    const back = once(socket, 'reconnected', 15_000);
    socket.write({ cmd: 'reconnect' });
    await back;
    assert.ok(!names(socket).includes('end') && !names(socket).includes('error'));
    assert.notEqual(await id(socket), first);
  });

  test(`the stock client for sockjs comes back over ${way} a hundred times`, async (t) => {
    const through = await proxy(t, await serve(t, 'fixture', await config(t, `transformers = ["sockjs"]\n${toml}`)));
    const options = { transport: { timeout: PATIENCE }, reconnect: { min: 5, max: 50 } };
    const socket = await connected(t, through.url, options, Stock);
    for (let n = 0; n < 100; n += 1) {
      const back = once(socket, 'reconnected', 15_000);
      // In Node its requests do not notice when a stream is cut; there the server says that it is to come back.
      if (way === 'websocket') await cutOff(through, socket);
      else socket.write({ cmd: 'reconnect' });
      await back;
      same(await exchange(socket, { n }), { n });
    }
    assert.equal(socket.socket.transport, way);
  });

  test(`the stock client for sockjs ends over ${way}`, async (t) => {
    const { server, socket } = await stock(t, 'fixture', toml);
    const ended = once(socket, 'end');
    same(await exchange(socket, 1), 1);
    socket.end();
    await ended;
    assert.deepEqual(names(socket).slice(-3), ['readyStateChange', 'close', 'end']);
    const gone = (said) => said.connections === 0 && said.disconnections === 1;
    await until('the disconnection', () => fetch(`${server.url}/stats`).then((it) => it.json()), gone, 15_000);
  });
}

test('the plugins of the stock client work over sockjs', async (t) => {
  const Kind = kindFor('sockjs', 'primus-emitter', 'primus-multiplex');
  for (const [, toml] of WAYS) {
    const server = await serve(t, 'classic', await config(t, `transformers = ["sockjs"]\n${toml}`));
    const socket = client(t, server.url, { transport: { timeout: PATIENCE } }, Kind);
    const news = socket.channel('news');
    const said = once(news, 'said', 15_000);
    news.send('say', 'hello');
    assert.deepEqual(await said, ['hello']);
    assert.equal(await new Promise((resolve) => socket.send('add', [1, 2, 3], resolve)), 6);
  }
});
